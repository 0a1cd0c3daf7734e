//! Files of questions with known answers: all rows of one `case_id` are one question, each with one thing that was
//! truly next.

use std::path::Path;

use indexmap::IndexMap;

use super::FileError;
use super::table::{Found, Table, time};
use crate::application::import::{Refusal, RowError};
use crate::domain::id::{MAX_ID_BYTES, check};
use crate::domain::{FaultCode, Faults, Timestamp};

/// The most rows of a file of truth; they are held in memory.
pub const MAX_TRUTH_ROWS: usize = 5_000_000;
/// The most answers of one case.
pub(super) const MAX_ANSWERS_IN_CASE: usize = 2_000;

/// The cells of a row, in the order of [`CaseRow::COLUMNS`].
pub type Cells<'a> = [&'a str; 5];

/// A question of which each row has one answer.
pub trait CaseRow: Sized {
    /// What an answer is.
    type Answer: PartialEq;
    /// `case_id` first, `timestamp` fourth, the answer last.
    const COLUMNS: [&'static str; 5];
    /// Of each group of columns one must be there.
    const NEEDED: &'static [&'static [&'static str]];
    /// What an answer is called.
    const ANSWER: &'static str;

    /// About whom a row is, and its answer; faults go to `faults`, in the order of the columns. `at` is its time, once
    /// it is asked for.
    fn read(
        cells: Cells<'_>,
        at: &mut dyn FnMut(&mut Faults) -> Option<Timestamp>,
        faults: &mut Faults,
    ) -> Option<Self>;

    /// Columns in which another row of the same case must say the same: the column, what stands there, and whether it
    /// differs.
    fn differences(&self, other: &Self) -> Vec<(&'static str, &'static str, bool)>;

    /// The answers so far.
    fn answers(&mut self) -> &mut Vec<Self::Answer>;
}

/// The questions of a file, in the order in which they begin there, and the rows that were refused.
#[derive(Debug)]
pub struct Cases<C> {
    /// The questions.
    pub cases: Vec<C>,
    /// What was refused.
    pub refused: Vec<Refusal>,
    /// Rows that were read, with the refused ones.
    pub rows: usize,
}

impl<C: CaseRow> Cases<C> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::TooManyRows`] above [`MAX_TRUTH_ROWS`] among them.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::read_at_most(path, MAX_TRUTH_ROWS)
    }

    pub(super) fn read_at_most(path: &Path, limit: usize) -> Result<Self, FileError> {
        let mut table = Table::open(path, &C::COLUMNS)?;
        let found = table.find(C::COLUMNS, C::NEEDED)?;
        let mut cases: IndexMap<String, C> = IndexMap::new();
        let (mut refused, mut rows) = (Vec::new(), 0);
        while let Some(row) = table.next_row() {
            rows += 1;
            if rows > limit {
                let path = path.to_owned();
                return Err(FileError::TooManyRows { path, limit });
            }
            match row.and_then(|line| take(&table, &found, line, &mut cases)) {
                Ok(()) => {}
                Err(RowError::Refused(refusal)) => refused.push(refusal),
                Err(RowError::Unreadable(source)) => {
                    let path = path.to_owned();
                    return Err(FileError::Unreadable { path, source });
                }
            }
        }
        Ok(Self {
            cases: cases.into_values().collect(),
            refused,
            rows,
        })
    }
}

fn take<C: CaseRow>(
    table: &Table,
    found: &Found<5>,
    line: u64,
    cases: &mut IndexMap<String, C>,
) -> Result<(), RowError> {
    let mut faults = Faults::new();
    let cells = found.0.map(|place| table.cell(place));
    faults.take("case_id", check(cells[0], MAX_ID_BYTES));
    let mut at = |faults: &mut Faults| match time(cells[3]) {
        Some(parsed) => faults.take("timestamp", parsed),
        None => {
            faults.add("timestamp", FaultCode::Required, "must be given");
            None
        }
    };
    let read = C::read(cells, &mut at, &mut faults);
    if let Some(row) = read.filter(|_| faults.is_empty()) {
        join(cells[0], row, cases, &mut faults);
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(table.refuse(line, &faults))
    }
}

/// Adds a row to its case.
fn join<C: CaseRow>(id: &str, mut row: C, cases: &mut IndexMap<String, C>, faults: &mut Faults) {
    let Some(case) = cases.get_mut(id) else {
        cases.insert(id.to_owned(), row);
        return;
    };
    for (column, what, differs) in case.differences(&row) {
        if differs {
            let reason = format!("another {what} than in the first row of this case");
            faults.add(column, FaultCode::NotAllowed, reason);
        }
    }
    let column = C::COLUMNS[4];
    let answers = case.answers();
    if row.answers().iter().any(|answer| answers.contains(answer)) {
        let reason = format!("this case has the {} already", C::ANSWER);
        faults.add(column, FaultCode::Duplicate, reason);
    } else if answers.len() == MAX_ANSWERS_IN_CASE {
        let reason = format!("more than {MAX_ANSWERS_IN_CASE} {}s in one case", C::ANSWER);
        faults.add(column, FaultCode::TooLong, reason);
    }
    if faults.is_empty() {
        answers.append(row.answers());
    }
}
