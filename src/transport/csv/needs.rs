//! `truth_replenishment.csv`: when what is used up is truly needed again, for judging what is said to be due.

use std::path::Path;

use super::table::{Found, Table, time};
use super::{FileError, MAX_TRUTH_ROWS};
use crate::application::import::{Refusal, RowError};
use crate::application::truth::Need;
use crate::domain::{CustomerId, FaultCode, Faults, ProductId, Timestamp};

const COLUMNS: [&str; 4] = ["customer_id", "product_id", "purchased_at", "next_due_at"];
const NEEDED: [&[&str]; 4] = [
    &["customer_id"],
    &["product_id"],
    &["purchased_at"],
    &["next_due_at"],
];

/// The needs of a file, in its order, and the rows that were refused.
#[derive(Debug, Default)]
pub struct Needs {
    /// What is needed, and when.
    pub needs: Vec<Need>,
    /// What was refused.
    pub refused: Vec<Refusal>,
}

impl Needs {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::TooManyRows`] above [`MAX_TRUTH_ROWS`] among them.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::read_at_most(path, MAX_TRUTH_ROWS)
    }

    fn read_at_most(path: &Path, limit: usize) -> Result<Self, FileError> {
        let mut table = Table::open(path, &COLUMNS)?;
        let found = table.find(COLUMNS, &NEEDED)?;
        let mut read = Self::default();
        while let Some(row) = table.next_row() {
            if read.needs.len() + read.refused.len() == limit {
                return Err(FileError::TooManyRows {
                    path: path.to_owned(),
                    limit,
                });
            }
            match row.and_then(|line| need(&table, &found, line)) {
                Ok(need) => read.needs.push(need),
                Err(RowError::Refused(refusal)) => read.refused.push(refusal),
                Err(RowError::Unreadable(source)) => {
                    return Err(FileError::Unreadable {
                        path: path.to_owned(),
                        source,
                    });
                }
            }
        }
        Ok(read)
    }
}

fn need(table: &Table, found: &Found<4>, line: u64) -> Result<Need, RowError> {
    let cell = |place: usize| table.cell(found.0[place]);
    let mut faults = Faults::new();
    let customer = faults.take("customer_id", CustomerId::parse(cell(0)));
    let product = faults.take("product_id", ProductId::parse(cell(1)));
    let bought_at = match time(cell(2)) {
        Some(parsed) => faults.take("purchased_at", parsed),
        None => {
            faults.add("purchased_at", FaultCode::Required, "must be given");
            None
        }
    };
    let due_at: Option<Timestamp> =
        time(cell(3)).and_then(|parsed| faults.take("next_due_at", parsed));
    match (customer, product, bought_at) {
        (Some(customer), Some(product), Some(bought_at)) if faults.is_empty() => Ok(Need {
            customer,
            product,
            bought_at,
            due_at,
        }),
        _ => Err(table.refuse(line, &faults)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_need_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth_replenishment.csv");
        let text = "customer_id,product_id,purchased_at,quantity,next_due_at\n\
            c1,p1,2026-01-01,2,2026-02-01\nc1,p1,2026-02-01,2,\n,p1,,1,soon\n";
        std::fs::write(&path, text).unwrap();
        let read = Needs::read(&path).unwrap();
        let due: Vec<bool> = read
            .needs
            .iter()
            .map(|need| need.due_at.is_some())
            .collect();
        assert_eq!(due, [true, false]);
        assert_eq!(read.refused.len(), 1);
        assert_eq!(read.refused[0].line, 4);
        assert!(matches!(
            Needs::read_at_most(&path, 2),
            Err(FileError::TooManyRows { limit: 2, .. })
        ));
    }
}
