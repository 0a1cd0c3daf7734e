//! `uplift_log.csv`: who was treated in a trial, what was known of them, and what came of it.

use std::path::Path;

use super::FileError;
use super::policy_log::{MAX_LOG_ROWS, Names, Refused};
use super::table::{Table, number};
use crate::algorithms::uplift::{FeatureColumn, FeatureValues, MAX_ARMS, UpliftLog};
use crate::application::import::{Refusal, RowError};
use crate::domain::id::{MAX_ID_BYTES, check};
use crate::domain::{FaultCode, Faults};

/// The most cells of features of a log; they are held in memory.
pub const MAX_UPLIFT_CELLS: usize = 20_000_000;
/// So many different values of a feature are told apart; later ones are one.
const MAX_VALUES: usize = 10_000;
/// The largest outcome or value, above and below 0.
const MAX_OUTCOME: f64 = 1e12;
/// A feature with words is called suspicious if so many of a hundred of its values are numbers.
const MOSTLY_NUMBERS: usize = 90;

const TREATMENT: &str = "treatment";
const OUTCOME: &str = "outcome";
const VALUE: &str = "value";
const CONTROL: &str = "none";

/// A log of a trial.
#[derive(Debug)]
pub struct UpliftFile {
    /// The names of the arms, control (`none`) first.
    pub arms: Vec<String>,
    /// The arm of each row.
    pub arm: Vec<u32>,
    /// The outcome of each row.
    pub outcome: Vec<f64>,
    /// The value of each row, where the file has the column; absent ones are 0.
    pub value: Option<Vec<f64>>,
    /// Rows without a value.
    pub blank_values: usize,
    /// Every other column.
    pub features: Vec<FeatureColumn>,
    /// Features whose values are nearly all numbers, with a value that is none.
    pub mostly_numbers: Vec<(String, String)>,
    /// Rows that were refused.
    pub refused: Refused,
}

/// A feature that is being read: as numbers for as long as it may be one.
struct Reading {
    name: String,
    place: usize,
    /// NaN where there is none.
    numbers: Vec<f64>,
    categories: Vec<u32>,
    names: Names,
    /// Values that are numbers, the first that is none, and whether it is to be a category whatever it looks like.
    count: usize,
    word: Option<String>,
    is_id: bool,
}

impl Reading {
    fn take(&mut self, cell: &str) {
        let parsed = number(cell).and_then(Result::ok);
        self.count += usize::from(parsed.is_some());
        if parsed.is_none() && !cell.is_empty() && self.word.is_none() {
            self.word = Some(cell.to_owned());
        }
        self.numbers.push(parsed.unwrap_or(f64::NAN));
        let known = self.names.get(cell);
        let category = match known {
            Some(number) => number,
            None if self.names.len() < MAX_VALUES => self.names.number(cell),
            None => MAX_VALUES as u32,
        };
        self.categories.push(category);
    }

    fn is_number(&self) -> bool {
        self.word.is_none() && self.count > 0 && !self.is_id
    }
}

impl UpliftFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`]; among them more rows, cells or arms than are taken.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::read_at_most(path, MAX_LOG_ROWS, MAX_UPLIFT_CELLS)
    }

    /// It as the algorithm wants it.
    #[must_use]
    pub fn log(&self) -> UpliftLog<'_> {
        UpliftLog {
            arms: &self.arms,
            arm: &self.arm,
            outcome: &self.outcome,
            value: self.value.as_deref(),
            features: &self.features,
        }
    }

    fn read_at_most(path: &Path, rows: usize, cells: usize) -> Result<Self, FileError> {
        let mut table = Table::open(path, &[TREATMENT, OUTCOME])?;
        let found = table
            .find([TREATMENT, OUTCOME, VALUE], &[&[TREATMENT], &[OUTCOME]])?
            .0;
        let mut file = Self {
            arms: Vec::new(),
            arm: Vec::new(),
            outcome: Vec::new(),
            value: found[2].map(|_| Vec::new()),
            blank_values: 0,
            features: Vec::new(),
            mostly_numbers: Vec::new(),
            refused: Refused::default(),
        };
        let mut arms = Names::default();
        arms.number(CONTROL);
        let features = table
            .header()
            .iter()
            .enumerate()
            .filter(|(place, _)| !found.contains(&Some(*place)));
        let mut features: Vec<Reading> = features
            .map(|(place, name)| Reading {
                name: name.clone(),
                place,
                numbers: Vec::new(),
                categories: Vec::new(),
                names: with_absent(),
                count: 0,
                word: None,
                // the contract: ids are opaque
                is_id: name == "id" || name.ends_with("_id"),
            })
            .collect();
        let limit = rows.min(cells / features.len().max(1));
        let (mut read, mut lines) = (0, Vec::new());
        while let Some(row) = table.next_row() {
            read += 1;
            let path = path.to_owned();
            if read > limit {
                return Err(FileError::TooManyRows { path, limit });
            }
            let taken =
                row.and_then(|line| file.take(&table, found, line, &mut arms).map(|()| line));
            match taken {
                Ok(line) => {
                    lines.push(line);
                    for feature in &mut features {
                        feature.take(table.cell(Some(feature.place)).trim());
                    }
                }
                Err(RowError::Refused(refusal)) => file.refused.add(refusal),
                Err(RowError::Unreadable(source)) => {
                    return Err(FileError::Unreadable { path, source });
                }
            }
            if arms.len() > MAX_ARMS {
                let (what, limit) = ("arms", MAX_ARMS);
                return Err(FileError::TooMany { path, what, limit });
            }
        }
        file.arms = arms.into_names();
        file.finish(features, &lines);
        Ok(file)
    }

    fn take(
        &mut self,
        table: &Table,
        found: [Option<usize>; 3],
        line: u64,
        arms: &mut Names,
    ) -> Result<(), RowError> {
        let mut faults = Faults::new();
        let [treatment, outcome, value] = found.map(|place| table.cell(place).trim());
        faults.take(TREATMENT, check(treatment, MAX_ID_BYTES));
        let outcome = faults.take(OUTCOME, amount(outcome, None));
        let worth = self
            .value
            .as_ref()
            .and_then(|_| faults.take(VALUE, amount(value, Some(0.0))));
        let (Some(outcome), true) = (outcome, faults.is_empty()) else {
            return Err(table.refuse(line, &faults));
        };
        self.arm.push(arms.number(&arm(treatment)));
        self.outcome.push(outcome);
        if let Some(values) = &mut self.value {
            values.extend(worth);
            self.blank_values += usize::from(value.is_empty());
        }
        Ok(())
    }

    /// Decides which features are numbers, and refuses rows in which such a one is not finite.
    fn finish(&mut self, features: Vec<Reading>, lines: &[u64]) {
        let mut is_good = vec![true; lines.len()];
        for feature in features.iter().filter(|feature| feature.is_number()) {
            for (row, number) in feature.numbers.iter().enumerate() {
                // NaN stands for absent too, whose category is 0
                let says_nan = number.is_nan() && feature.categories[row] != 0;
                if (number.is_infinite() || says_nan) && is_good[row] {
                    is_good[row] = false;
                    self.refused.add(Refusal {
                        line: lines[row],
                        column: feature.name.clone(),
                        code: FaultCode::NotANumber,
                        reason: "not a finite number, as the other values of the column are"
                            .to_owned(),
                        row: String::new(),
                    });
                }
            }
        }
        for feature in features {
            if let Some(word) = feature.word.as_ref().filter(|_| !feature.is_id) {
                let filled = feature.categories.len();
                if feature.count * 100 >= filled * MOSTLY_NUMBERS && feature.count > 0 {
                    self.mostly_numbers
                        .push((feature.name.clone(), word.clone()));
                }
            }
            let values = if feature.is_number() {
                FeatureValues::Numbers(kept(feature.numbers, &is_good))
            } else {
                FeatureValues::Categories(kept(feature.categories, &is_good))
            };
            let name = feature.name;
            self.features.push(FeatureColumn { name, values });
        }
        self.arm = kept(std::mem::take(&mut self.arm), &is_good);
        self.outcome = kept(std::mem::take(&mut self.outcome), &is_good);
        self.value = self.value.take().map(|values| kept(values, &is_good));
    }
}

/// Names in which absent is 0.
fn with_absent() -> Names {
    let mut names = Names::default();
    names.number("");
    names
}

fn kept<T>(of: Vec<T>, is_good: &[bool]) -> Vec<T> {
    of.into_iter()
        .zip(is_good)
        .filter(|(_, is_good)| **is_good)
        .map(|(value, _)| value)
        .collect()
}

/// The name of an arm: 0, however it is written, is control, as `none` is.
fn arm(treatment: &str) -> String {
    match treatment.parse::<f64>() {
        Ok(number) if number.is_finite() && number.abs() < f64::EPSILON => CONTROL.to_owned(),
        Ok(number) if number.is_finite() => number.to_string(),
        _ if treatment.eq_ignore_ascii_case(CONTROL) => CONTROL.to_owned(),
        _ => treatment.to_owned(),
    }
}

fn amount(cell: &str, blank: Option<f64>) -> Result<f64, (FaultCode, String)> {
    match number(cell) {
        None => blank.ok_or((FaultCode::Required, "must be given".to_owned())),
        Some(Err(fault)) => Err(fault),
        Some(Ok(amount)) if amount.is_nan() => {
            Err((FaultCode::NotANumber, "not a number".to_owned()))
        }
        Some(Ok(amount)) if amount.abs() > MAX_OUTCOME => {
            let reason = format!("must be from {} to {MAX_OUTCOME}", -MAX_OUTCOME);
            Err((FaultCode::OutOfRange, reason))
        }
        Some(Ok(amount)) => Ok(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<UpliftFile, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        std::fs::write(&path, text).unwrap();
        UpliftFile::read_at_most(&path, 20, 40)
    }

    #[test]
    fn features_are_numbers_where_all_values_are() {
        let file = read(
            "treatment,outcome,value,age,city,customer_id\n\
             none,0,,30,a,1\nmail,1,9.5,,b,2\n0,0,1,NaN,b,3\n0.0,1,2,1e999,b,4\n,1,1,30,a,5\n\
             mail,x,1,30,a,6\nmail,,inf,30,a,7\nNone,1,3,31,5,8\n",
        )
        .unwrap();
        assert_eq!(
            (file.arms.as_slice(), file.arm.as_slice()),
            (&["none".to_owned(), "mail".to_owned()][..], &[0, 1, 0][..])
        );
        assert_eq!(file.value.as_deref(), Some(&[0.0, 9.5, 3.0][..]));
        assert_eq!(file.blank_values, 1);
        let refused: Vec<_> = file
            .refused
            .first
            .iter()
            .map(|r| (r.line, &*r.column, r.code))
            .collect();
        assert_eq!(
            refused,
            [
                (6, TREATMENT, FaultCode::Required),
                (7, OUTCOME, FaultCode::NotANumber),
                (8, OUTCOME, FaultCode::Required),
                (4, "age", FaultCode::NotANumber),
                (5, "age", FaultCode::NotANumber),
            ]
        );
        let [age, city, id] = &file.features[..] else {
            panic!("three features");
        };
        let FeatureValues::Numbers(ages) = &age.values else {
            panic!("an age is a number");
        };
        assert!(
            (ages[0] - 30.0).abs() < 1e-12 && ages[1].is_nan() && (ages[2] - 31.0).abs() < 1e-12
        );
        assert_eq!(city.values, FeatureValues::Categories(vec![1, 2, 3]));
        assert_eq!(id.values, FeatureValues::Categories(vec![1, 2, 5]));
    }

    #[test]
    fn an_absent_number_after_many_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let rows: String = (0..MAX_VALUES + 5)
            .map(|row| format!("0,1,{row}\n"))
            .collect();
        std::fs::write(
            &path,
            format!("treatment,outcome,age\n{rows}0,1,\n0,1,nan\n"),
        )
        .unwrap();
        let file = UpliftFile::read_at_most(&path, 20_000, 20_000).unwrap();
        let refused: Vec<_> = file.refused.first.iter().map(|r| r.line).collect();
        assert_eq!(refused, [MAX_VALUES as u64 + 8]);
        assert_eq!(file.arm.len(), MAX_VALUES + 6);
    }

    #[test]
    fn a_word_among_numbers_is_told() {
        let text = format!("treatment,outcome,age\n{}1,0,NA\n", "0,1,30\n".repeat(19));
        assert_eq!(
            read(&text).unwrap().mostly_numbers,
            [("age".to_owned(), "NA".to_owned())]
        );
    }

    #[test]
    fn everything_is_bounded() {
        assert!(matches!(read(""), Err(FileError::Empty { .. })));
        assert!(matches!(
            read("treatment,y\n0,1\n"),
            Err(FileError::Header { .. })
        ));
        let rows =
            |columns: &str, row: &str, count: usize| format!("{columns}\n{}", row.repeat(count));
        assert!(read(&rows("treatment,outcome", "0,1\n", 20)).is_ok());
        let error = read(&rows("treatment,outcome", "0,1\n", 21));
        assert!(matches!(
            error,
            Err(FileError::TooManyRows { limit: 20, .. })
        ));
        let error = read(&rows("treatment,outcome,a,b,c,d", "0,1,1,1,1,1\n", 11));
        assert!(matches!(
            error,
            Err(FileError::TooManyRows { limit: 10, .. })
        ));
        let arms = |count: usize| {
            let rows: String = (0..count).map(|arm| format!("arm{arm},1\n")).collect();
            read(&format!("treatment,outcome\n{rows}"))
        };
        assert!(arms(MAX_ARMS - 1).is_ok());
        assert!(matches!(
            arms(MAX_ARMS),
            Err(FileError::TooMany {
                limit: MAX_ARMS,
                ..
            })
        ));
    }
}
