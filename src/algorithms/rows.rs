//! What a ranker learns from: the candidates of past questions with their features, question by question.

use crate::algorithms::features::{COUNT, NAMES};

/// How many numbers a row has: the features, and the stage of the question.
pub const COLUMNS: usize = COUNT + 1;

/// The names of the columns.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied().chain(["stage"])
}

/// A row of numbers: the features, those the stage's recipe does not name are 0, and the stage.
#[must_use]
pub fn row(stage: u8, features: &[f32; COUNT]) -> [f32; COLUMNS] {
    let mut row = [0.0; COLUMNS];
    row[..COUNT].copy_from_slice(features);
    row[COUNT] = f32::from(stage);
    row
}

/// Adds a row to numbers that are rows.
pub fn append(numbers: &mut Vec<f32>, stage: u8, features: &[f32; COUNT]) {
    numbers.extend_from_slice(features);
    numbers.push(f32::from(stage));
}

/// The candidates of past questions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    numbers: Vec<f32>,
    labels: Vec<u8>,
    questions: Vec<u32>,
}

impl Rows {
    /// Adds the candidates of a question: what they are made of, and whether each was truly next. None: nothing is
    /// added.
    pub fn push(&mut self, candidates: impl Iterator<Item = ([f32; COLUMNS], bool)>) {
        let before = self.labels.len();
        for (row, label) in candidates {
            self.numbers.extend(row);
            self.labels.push(u8::from(label));
        }
        let added = self.labels.len() - before;
        if added > 0 {
            self.questions.push(added as u32);
        }
    }

    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many were truly next.
    #[must_use]
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label > 0).count()
    }

    /// All numbers, row by row.
    #[must_use]
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// 1 for what was truly next, else 0.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// How many candidates each question has.
    #[must_use]
    pub fn questions(&self) -> &[u32] {
        &self.questions
    }

    /// The rows with their labels.
    pub fn iter(&self) -> impl Iterator<Item = (&[f32], bool)> {
        let rows = self.numbers.chunks_exact(COLUMNS);
        rows.zip(self.labels.iter().map(|&label| label > 0))
    }

    /// Of all rows, every so many'th question's, so that there are at most `most`.
    #[must_use]
    pub fn thinned(&self, most: usize) -> Self {
        let step = self.len().div_ceil(most.max(1)).max(1);
        let mut thinned = Self::default();
        let mut rows = self.iter();
        for (number, &size) in self.questions.iter().enumerate() {
            let question = rows.by_ref().take(size as usize);
            if number.is_multiple_of(step) {
                let owned = question.map(|(row, label)| {
                    let mut numbers = [0.0; COLUMNS];
                    numbers.copy_from_slice(row);
                    (numbers, label)
                });
                thinned.push(owned);
            } else {
                question.for_each(drop);
            }
        }
        thinned
    }
}

/// The stage of a row.
#[must_use]
pub fn stage(row: &[f32]) -> u8 {
    row[COUNT] as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(first: f32, size: usize) -> Vec<([f32; COLUMNS], bool)> {
        (0..size)
            .map(|i| {
                let mut features = [0.0; COUNT];
                features[0] = first + i as f32;
                (row(3, &features), i == 0)
            })
            .collect()
    }

    #[test]
    fn questions_are_thinned_whole() {
        let mut rows = Rows::default();
        for number in 0..10 {
            rows.push(question(100.0 * number as f32, 4).into_iter());
        }
        rows.push(std::iter::empty());
        assert_eq!(
            (rows.len(), rows.questions().len(), rows.positives()),
            (40, 10, 10)
        );
        let thinned = rows.thinned(20);
        assert_eq!(thinned.questions(), [4; 5]);
        let firsts: Vec<f32> = thinned
            .iter()
            .filter(|(_, label)| *label)
            .map(|(row, _)| row[0])
            .collect();
        assert_eq!(firsts, [0.0, 200.0, 400.0, 600.0, 800.0]);
        assert!(thinned.iter().all(|(row, _)| stage(row) == 3));
        assert_eq!(rows.thinned(40), rows);
        assert!(Rows::default().thinned(5).is_empty());
    }
}
