//! `truth.csv`: what came next, for judging answers.

use std::path::Path;

use indexmap::IndexMap;

use super::FileError;
use super::table::{Found, Table, time};
use crate::application::import::{Refusal, RowError};
use crate::application::recommend::Who;
use crate::application::truth::Case;
use crate::domain::id::{MAX_ID_BYTES, check};
use crate::domain::{CustomerId, FaultCode, Faults, ProductId, Timestamp, VisitorId};

/// The most rows of a file of truth; they are held in memory.
pub const MAX_TRUTH_ROWS: usize = 5_000_000;
/// The most products of one case.
const MAX_PRODUCTS_IN_CASE: usize = 2_000;

const COLUMNS: [&str; 5] = [
    "case_id",
    "customer_id",
    "visitor_id",
    "timestamp",
    "product_id",
];
const NEEDED: [&[&str]; 4] = [
    &["case_id"],
    &["customer_id", "visitor_id"],
    &["timestamp"],
    &["product_id"],
];

/// The questions of a file, in the order in which they begin there, and the rows that were refused.
#[derive(Debug, Default)]
pub struct Truth {
    /// The questions.
    pub cases: Vec<Case>,
    /// What was refused.
    pub refused: Vec<Refusal>,
    /// Rows that were read, with the refused ones.
    pub rows: usize,
}

struct Read {
    who: Who,
    at: Timestamp,
    product: ProductId,
}

impl Truth {
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
        let mut cases: IndexMap<String, Case> = IndexMap::new();
        let mut truth = Self::default();
        while let Some(row) = table.next_row() {
            truth.rows += 1;
            if truth.rows > limit {
                return Err(FileError::TooManyRows {
                    path: path.to_owned(),
                    limit,
                });
            }
            match row.and_then(|line| take(&table, &found, line, &mut cases)) {
                Ok(()) => {}
                Err(RowError::Refused(refusal)) => truth.refused.push(refusal),
                Err(RowError::Unreadable(source)) => {
                    return Err(FileError::Unreadable {
                        path: path.to_owned(),
                        source,
                    });
                }
            }
        }
        truth.cases = cases.into_values().collect();
        Ok(truth)
    }
}

fn take(
    table: &Table,
    found: &Found<5>,
    line: u64,
    cases: &mut IndexMap<String, Case>,
) -> Result<(), RowError> {
    let mut faults = Faults::new();
    let id = table.cell(found.0[0]);
    faults.take("case_id", check(id, MAX_ID_BYTES));
    let read = read(table, found, &mut faults);
    if let Some(read) = read.filter(|_| faults.is_empty()) {
        join(id, read, cases, &mut faults);
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(table.refuse(line, &faults))
    }
}

fn read(table: &Table, found: &Found<5>, faults: &mut Faults) -> Option<Read> {
    let cell = |place: usize| table.cell(found.0[place]);
    let who = match (cell(1), cell(2)) {
        ("", "") => {
            let reason = "one of customer_id and visitor_id must be given";
            faults.add("customer_id", FaultCode::Required, reason);
            None
        }
        ("", visitor) => {
            let visitor = faults.take("visitor_id", VisitorId::parse(visitor));
            visitor.map(Who::Visitor)
        }
        (customer, _) => {
            let customer = faults.take("customer_id", CustomerId::parse(customer));
            customer.map(Who::Customer)
        }
    };
    let at = match time(cell(3)) {
        Some(parsed) => faults.take("timestamp", parsed),
        None => {
            faults.add("timestamp", FaultCode::Required, "must be given");
            None
        }
    };
    let product = faults.take("product_id", ProductId::parse(cell(4)));
    Some(Read {
        who: who?,
        at: at?,
        product: product?,
    })
}

/// Adds a row to its case.
fn join(id: &str, read: Read, cases: &mut IndexMap<String, Case>, faults: &mut Faults) {
    let Some(case) = cases.get_mut(id) else {
        let case = Case {
            id: id.to_owned(),
            who: read.who,
            at: read.at,
            truth: vec![read.product],
        };
        cases.insert(id.to_owned(), case);
        return;
    };
    if case.who != read.who {
        let reason = "another customer or visitor than in the first row of this case";
        faults.add("customer_id", FaultCode::NotAllowed, reason);
    }
    if case.at != read.at {
        let reason = "another time than in the first row of this case";
        faults.add("timestamp", FaultCode::NotAllowed, reason);
    }
    if case.truth.contains(&read.product) {
        let reason = "this case has the product already";
        faults.add("product_id", FaultCode::Duplicate, reason);
    } else if case.truth.len() == MAX_PRODUCTS_IN_CASE {
        let reason = format!("more than {MAX_PRODUCTS_IN_CASE} products in one case");
        faults.add("product_id", FaultCode::TooLong, reason);
    }
    if faults.is_empty() {
        case.truth.push(read.product);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_case_are_one_question() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.csv");
        let text = "case_id,customer_id,timestamp,product_id\n\
            a,c1,2011-09-01,p1\nb,c2,2011-09-01,p1\na,c1,2011-09-01,p2\n\
            a,c1,2011-09-01,p2\na,c2,2011-09-02,p3\n,c1,2011-09-01,p1\nd,,,\n";
        std::fs::write(&path, text).unwrap();
        let truth = Truth::read(&path).unwrap();
        let sizes: Vec<_> = truth
            .cases
            .iter()
            .map(|c| (&*c.id, c.truth.len()))
            .collect();
        assert_eq!(sizes, [("a", 2), ("b", 1)]);
        let refused: Vec<_> = truth
            .refused
            .iter()
            .map(|r| (r.line, &*r.column, r.code))
            .collect();
        assert_eq!(
            refused,
            [
                (5, "product_id", FaultCode::Duplicate),
                (6, "customer_id", FaultCode::NotAllowed),
                (7, "case_id", FaultCode::Required),
                (8, "customer_id", FaultCode::Required),
            ]
        );
        assert!(matches!(
            Truth::read_at_most(&path, 6),
            Err(FileError::TooManyRows { limit: 6, .. })
        ));
    }
}
