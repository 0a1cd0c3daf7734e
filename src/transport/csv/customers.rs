//! `customers.csv`: who is known, and their traits.

use std::path::Path;

use super::FileError;
use super::table::Table;
use crate::application::import::{Row, RowError, RowResult};
use crate::domain::{Customer, CustomerDraft};

const ID: &str = "customer_id";

/// Reads customers.
#[derive(Debug)]
pub struct Customers {
    table: Table,
    id: Option<usize>,
}

impl Customers {
    /// Opens a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let table = Table::open(path, &[ID])?;
        let [id] = table.find([ID], &[&[ID]])?.0;
        Ok(Self { table, id })
    }

    /// The file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn customer(&self, line: u64) -> RowResult<Customer> {
        let traits = self.table.header().iter().enumerate();
        let draft = CustomerDraft {
            customer_id: self.table.cell(self.id),
            traits: traits
                .filter(|(place, _)| Some(*place) != self.id)
                .map(|(place, name)| (name.as_str(), self.table.cell(Some(place))))
                .collect(),
        };
        match draft.check() {
            Ok(value) => Ok(Row { line, value }),
            Err(faults) => {
                let mut error = self.table.refuse(line, &faults);
                if let RowError::Refused(refusal) = &mut error {
                    // in a file the trait is a column
                    if let Some(column) = refusal.column.strip_prefix("traits.") {
                        refusal.column = column.to_owned();
                    }
                }
                Err(error)
            }
        }
    }
}

impl Iterator for Customers {
    type Item = RowResult<Customer>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|line| self.customer(line)))
    }
}
