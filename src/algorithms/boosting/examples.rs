//! What is learned from: rows of features with labels, in groups; a group is one question.

use super::faults::Faults;

/// The most columns: a leaf's sums take 1.5 KiB for each while a tree grows.
pub const MAX_COLUMNS: usize = 4_096;
/// The highest label: its gain is 2^30 − 1.
pub const MAX_LABEL: u8 = 30;

/// The parts of [`Examples`], unchecked.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// `rows × columns` numbers, row by row, all finite. NaN is refused: what is not known needs a number that
    /// the caller chooses, or a column that says so.
    pub features: &'a [f32],
    /// How many numbers a row has.
    pub columns: usize,
    /// How good each row is, 0 to [`MAX_LABEL`]; for the logistic objective all above 0 is "yes".
    pub labels: &'a [u8],
    /// Lengths of the groups, which follow each other and cover all rows; none is 0.
    pub groups: &'a [u32],
    /// What each row counts, finite and 0 or more; absent: 1.
    pub weights: Option<&'a [f32]>,
    /// What each row scores before the first tree, finite; absent: the same for all.
    pub base: Option<&'a [f32]>,
}

/// What is wrong with examples. Of the faults of single rows the first of each kind is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExamplesFault {
    /// No rows.
    #[error("there are no rows")]
    Empty,
    /// More rows than 32 bits can count.
    #[error("{0} rows are more than 2^32 − 1")]
    TooManyRows(usize),
    /// No columns or too many.
    #[error("{0} columns; there must be 1 to {MAX_COLUMNS}")]
    Columns(usize),
    /// A part that is not as long as it must be.
    #[error("{part} holds {got} numbers instead of {wanted}")]
    Length {
        /// Which part.
        part: &'static str,
        /// How long it is.
        got: usize,
        /// How long it must be.
        wanted: usize,
    },
    /// A group without rows.
    #[error("group {group} is empty")]
    EmptyGroup {
        /// Its place among the groups.
        group: usize,
    },
    /// The groups do not cover the rows.
    #[error("the groups have {got} rows instead of {wanted}")]
    Groups {
        /// The sum of their lengths.
        got: u64,
        /// How many rows there are.
        wanted: usize,
    },
    /// A feature that is no finite number.
    #[error("the feature in row {row}, column {column} is not finite")]
    Feature {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
    },
    /// A label that is too high.
    #[error("the label of row {row} is {label}; the highest is {MAX_LABEL}")]
    Label {
        /// The row.
        row: usize,
        /// Its label.
        label: u8,
    },
    /// A weight below 0 or not finite.
    #[error("the weight of row {row} is not a finite number of 0 or more")]
    Weight {
        /// The row.
        row: usize,
    },
    /// A base score that is not finite.
    #[error("the base score of row {row} is not finite")]
    Base {
        /// The row.
        row: usize,
    },
}

/// Examples that can be learned from.
#[derive(Debug, Clone)]
pub struct Examples<'a> {
    parts: Parts<'a>,
    /// Where each group starts, and the end.
    starts: Vec<u32>,
}

impl<'a> Examples<'a> {
    /// Checks the parts.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn new(parts: Parts<'a>) -> Result<Self, Faults<ExamplesFault>> {
        let faults = faults(&parts);
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let mut starts = Vec::with_capacity(parts.groups.len() + 1);
        let mut start = 0;
        starts.push(start);
        for length in parts.groups {
            start += length;
            starts.push(start);
        }
        Ok(Self { parts, starts })
    }

    /// How many rows there are; at least 1.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.parts.labels.len()
    }

    /// How many numbers a row has; at least 1.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.parts.columns
    }

    /// How many groups there are; at least 1.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.parts.groups.len()
    }

    pub(super) fn features(&self) -> &'a [f32] {
        self.parts.features
    }

    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        &self.parts.features[row * self.parts.columns..(row + 1) * self.parts.columns]
    }

    pub(super) fn labels(&self) -> &'a [u8] {
        self.parts.labels
    }

    pub(super) fn base(&self) -> Option<&'a [f32]> {
        self.parts.base
    }

    pub(super) fn weight(&self, row: usize) -> f64 {
        self.parts
            .weights
            .map_or(1.0, |weights| f64::from(weights[row]))
    }

    /// The rows of a group.
    pub(super) fn group(&self, group: usize) -> std::ops::Range<usize> {
        self.starts[group] as usize..self.starts[group + 1] as usize
    }
}

fn faults(parts: &Parts<'_>) -> Vec<ExamplesFault> {
    let rows = parts.labels.len();
    let mut faults = Vec::new();
    if rows == 0 {
        faults.push(ExamplesFault::Empty);
    }
    if u32::try_from(rows).is_err() {
        faults.push(ExamplesFault::TooManyRows(rows));
    }
    if !(1..=MAX_COLUMNS).contains(&parts.columns) {
        faults.push(ExamplesFault::Columns(parts.columns));
    }
    let lengths = [
        (
            "features",
            Some(parts.features),
            rows.saturating_mul(parts.columns),
        ),
        ("weights", parts.weights, rows),
        ("base", parts.base, rows),
    ];
    for (part, numbers, wanted) in lengths {
        let got = numbers.map_or(wanted, <[f32]>::len);
        if got != wanted {
            faults.push(ExamplesFault::Length { part, got, wanted });
        }
    }
    if let Some(group) = parts.groups.iter().position(|&length| length == 0) {
        faults.push(ExamplesFault::EmptyGroup { group });
    }
    let got = parts.groups.iter().map(|&length| u64::from(length)).sum();
    if got != rows as u64 {
        faults.push(ExamplesFault::Groups { got, wanted: rows });
    }
    if let Some(place) = parts.features.iter().position(|value| !value.is_finite()) {
        faults.push(ExamplesFault::Feature {
            row: place / parts.columns.max(1),
            column: place % parts.columns.max(1),
        });
    }
    if let Some(row) = parts.labels.iter().position(|&label| label > MAX_LABEL) {
        let label = parts.labels[row];
        faults.push(ExamplesFault::Label { row, label });
    }
    let is_weight = |weight: &f32| *weight >= 0.0 && weight.is_finite();
    let mut weights = parts.weights.unwrap_or_default().iter();
    if let Some(row) = weights.position(|weight| !is_weight(weight)) {
        faults.push(ExamplesFault::Weight { row });
    }
    let mut base = parts.base.unwrap_or_default().iter();
    if let Some(row) = base.position(|score| !score.is_finite()) {
        faults.push(ExamplesFault::Base { row });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        let nothing = Parts {
            features: &[],
            columns: 0,
            labels: &[],
            groups: &[],
            weights: None,
            base: None,
        };
        assert_eq!(
            Examples::new(nothing).unwrap_err().0,
            [ExamplesFault::Empty, ExamplesFault::Columns(0)]
        );
        let wrong = Parts {
            features: &[0.0, f32::NAN, 1.0],
            columns: 2,
            labels: &[0, 31],
            groups: &[1, 0],
            weights: Some(&[1.0, -1.0]),
            base: Some(&[f32::INFINITY]),
        };
        assert_eq!(
            Examples::new(wrong).unwrap_err().0,
            [
                ExamplesFault::Length {
                    part: "features",
                    got: 3,
                    wanted: 4
                },
                ExamplesFault::Length {
                    part: "base",
                    got: 1,
                    wanted: 2
                },
                ExamplesFault::EmptyGroup { group: 1 },
                ExamplesFault::Groups { got: 1, wanted: 2 },
                ExamplesFault::Feature { row: 0, column: 1 },
                ExamplesFault::Label { row: 1, label: 31 },
                ExamplesFault::Weight { row: 1 },
                ExamplesFault::Base { row: 0 },
            ]
        );
    }

    #[test]
    fn groups_follow_each_other() {
        let examples = Examples::new(Parts {
            features: &[1.0, 2.0, 3.0],
            columns: 1,
            labels: &[0, 1, 0],
            groups: &[1, 2],
            weights: None,
            base: None,
        })
        .unwrap();
        assert_eq!((examples.rows(), examples.groups()), (3, 2));
        assert_eq!(examples.group(0), 0..1);
        assert_eq!(examples.group(1), 1..3);
        assert_eq!(examples.row(2), [3.0]);
    }
}
