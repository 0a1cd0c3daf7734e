//! `targets.csv`: to whom the offers of a campaign were sent, where it is not known which of them. Each row becomes an
//! event `offer_sent` that names the campaign.

use std::fmt;
use std::path::Path;

use super::FileError;
use super::table::{Found, Table, time};
use crate::application::import::{Row, RowResult};
use crate::domain::{Event, EventDraft, FaultCode, Faults, Timestamp};

const COLUMNS: [&str; 4] = ["customer_id", "campaign_id", "sent_at", "touchpoint"];
const NEEDED: [&[&str]; 3] = [&["customer_id"], &["campaign_id"], &["sent_at"]];

/// Reads who was sent what.
pub struct Targets {
    table: Table,
    found: Found<4>,
    now: Timestamp,
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Targets").field(&self.table).finish()
    }
}

impl Targets {
    /// Opens a file. `now` bounds its times.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, FileError> {
        let table = Table::open(path, &COLUMNS[..3])?;
        let found = table.find(COLUMNS, &NEEDED)?;
        Ok(Self { table, found, now })
    }

    /// The file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The columns nobody reads.
    #[must_use]
    pub fn ignored(&self) -> Vec<String> {
        self.table.unknown(&COLUMNS)
    }

    fn sent(&self, line: u64) -> RowResult<Event> {
        let cell = |place: usize| self.table.cell(self.found.0[place]);
        let draft = EventDraft {
            event_type: "offer_sent",
            time: time(cell(2)),
            time_field: "sent_at",
            customer_id: cell(0),
            campaign_id: cell(1),
            touchpoint: cell(3),
            ..EventDraft::default()
        };
        // the same customer, campaign and moment is the same sending, however often it is told
        let checked = draft.check(self.now, |_| 0);
        let mut faults = Faults::new();
        if cell(1).is_empty() {
            faults.add("campaign_id", FaultCode::Required, "must be given");
        }
        match checked {
            Ok(value) => Ok(Row { line, value }),
            Err(found) => {
                // of an event without a campaign it is said that it names no offer: here there is no such column
                let found = found.as_slice().iter();
                for fault in found.filter(|fault| fault.field != "offer_id") {
                    faults.add(&fault.field, fault.code, fault.reason.clone());
                }
                Err(self.table.refuse(line, &faults))
            }
        }
    }
}

impl Iterator for Targets {
    type Item = RowResult<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|line| self.sent(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::import::RowError;

    #[test]
    fn a_row_is_a_sending_and_faults_are_in_columns_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("targets.csv");
        let text = "customer_id,campaign_id,sent_at,note\n\
            c1,13,2017-08-08T00:00:00Z,x\nc1,13,2017-08-08T00:00:00Z,y\nc1,14,2017-08-08,\n\
            c2,,2017-08-08,\n,13,soon,\nc3,13,2030-01-01,\n";
        std::fs::write(&path, text).unwrap();
        let now = Timestamp::parse("2018-01-01").unwrap();
        let targets = Targets::open(&path, now).unwrap();
        assert_eq!(targets.ignored(), ["note"]);
        let (mut keys, mut refused) = (Vec::new(), Vec::new());
        for row in targets {
            match row {
                Ok(row) => keys.push(row.value.key),
                Err(RowError::Refused(refusal)) => {
                    refused.push((refusal.line, refusal.column, refusal.code));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(keys[0], keys[1]);
        assert_ne!(keys[0], keys[2]);
        let told = |line, column: &str, code| (line, column.to_owned(), code);
        assert_eq!(
            refused,
            [
                told(5, "campaign_id", FaultCode::Required),
                told(6, "sent_at", FaultCode::BadTime),
                told(7, "sent_at", FaultCode::InTheFuture),
            ]
        );
    }
}
