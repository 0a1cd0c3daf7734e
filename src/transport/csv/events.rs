//! `events.csv`: what happened.

use std::io;
use std::path::Path;

use super::FileError;
use super::table::{Found, Table, number, time};
use crate::application::import::{Row, RowError, RowResult};
use crate::domain::{Event, EventDraft, Fingerprint, Timestamp};

const COLUMNS: [&str; 17] = [
    "event_type",
    "timestamp",
    "customer_id",
    "visitor_id",
    "event_id",
    "session_id",
    "product_id",
    "quantity",
    "unit_price",
    "currency",
    "order_id",
    "offer_id",
    "touchpoint",
    "rating",
    "search_query",
    "attribution_token",
    "campaign_id",
];
const NEEDED: [&[&str]; 3] = [
    &["event_type"],
    &["timestamp"],
    &["customer_id", "visitor_id"],
];

/// Says how many events of this content stood before in the same file. Asked only for rows without
/// an `event_id`.
pub type Repetitions<'a> = Box<dyn FnMut(Fingerprint) -> io::Result<u64> + Send + 'a>;

/// Reads events.
pub struct Events<'a> {
    table: Table,
    found: Found<17>,
    now: Timestamp,
    repetitions: Repetitions<'a>,
}

impl std::fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Events").field(&self.table).finish()
    }
}

impl<'a> Events<'a> {
    /// Opens a file. `now` bounds the times of the events; `repetitions` must be new for every
    /// file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(
        path: &Path,
        now: Timestamp,
        repetitions: Repetitions<'a>,
    ) -> Result<Self, FileError> {
        let table = Table::open(path, &COLUMNS[..3])?;
        let found = table.find(COLUMNS, &NEEDED)?;
        Ok(Self {
            table,
            found,
            now,
            repetitions,
        })
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

    fn event(&mut self, line: u64) -> RowResult<Event> {
        let cell = |place: usize| self.table.cell(self.found.0[place]);
        let draft = EventDraft {
            event_type: cell(0).trim(),
            time: time(cell(1)),
            time_field: "timestamp",
            customer_id: cell(2),
            visitor_id: cell(3),
            event_id: cell(4),
            session_id: cell(5),
            product_id: cell(6),
            quantity: number(cell(7)),
            unit_price: number(cell(8)),
            currency: cell(9).trim(),
            currency_field: "currency",
            order_id: cell(10),
            offer_id: cell(11),
            touchpoint: cell(12),
            rating: number(cell(13)),
            search_query: cell(14),
            attribution_token: cell(15),
            campaign_id: cell(16),
        };
        let mut uncounted = None;
        let checked = draft.check(self.now, |content| {
            (self.repetitions)(content).unwrap_or_else(|error| {
                uncounted = Some(error);
                0
            })
        });
        match checked {
            // with a wrong number the event would be another one the next time
            Ok(value) => match uncounted {
                Some(error) => Err(RowError::Unreadable(error)),
                None => Ok(Row { line, value }),
            },
            Err(faults) => Err(self.table.refuse(line, &faults)),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = RowResult<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|line| self.event(line)))
    }
}
