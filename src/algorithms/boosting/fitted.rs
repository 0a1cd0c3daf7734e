//! Fitted trees, laid out for scoring: no walk from node to node, a bit for each leaf instead.

use std::hint::select_unpredictable;

use serde::{Deserialize, Serialize};

use super::examples::MAX_COLUMNS;
use super::params::{MAX_LEAVES, MAX_TREES};

/// So many rows are scored at a time.
const LANES: usize = 16;

/// Boosted trees. A row's score is the start plus one leaf's value of each tree.
///
/// A tree's leaves are numbered from left to right. A row fails a split if its feature is above the threshold
/// (or NaN); then no leaf to the left of that split can be the row's. Of the leaves that no failed split rules out
/// the leftmost is the one that a walk from the root would end at (QuickScorer: Lucchese et al., SIGIR 2015,
/// theorem 1). So a tree's splits are looked at one after the other, for several rows at once: more work than a walk,
/// but no branch to guess wrong, and nothing in a damaged model could make it run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct FittedBoosting {
    columns: usize,
    start: f32,
    trees: Vec<Tree>,
    splits: Vec<Split>,
    /// For each split what it gained.
    gains: Vec<f32>,
    values: Vec<f32>,
}

/// Where a tree's splits and values end; they start where those of the tree before end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tree {
    splits: usize,
    values: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    threshold: f32,
    column: u16,
    /// The leaves that a row which fails may still end in.
    keep: u64,
}

/// How a model is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    columns: u32,
    start: f32,
    trees: Vec<StoredTree>,
}

/// A tree as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredTree {
    /// A split, then all to its left, then all to its right.
    pub(super) splits: Vec<StoredSplit>,
    /// The value of each leaf, from left to right: one more than splits.
    pub(super) values: Vec<f32>,
}

/// A split as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredSplit {
    pub(super) column: u16,
    /// Up to here a row goes left.
    pub(super) threshold: f32,
    /// How many leaves are to the left.
    pub(super) left: u8,
    pub(super) gain: f32,
}

/// Bytes that are no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trees are damaged: {0}")]
pub struct Damaged(&'static str);

impl FittedBoosting {
    pub(super) fn new(columns: usize, start: f32) -> Self {
        Self {
            columns,
            start,
            trees: Vec::new(),
            splits: Vec::new(),
            gains: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a tree, if it is one.
    pub(super) fn push(&mut self, tree: &StoredTree) -> Result<(), Damaged> {
        let leaves = tree.values.len();
        if leaves == 0 || leaves > MAX_LEAVES || tree.splits.len() + 1 != leaves {
            return Err(Damaged("leaves and splits do not match"));
        }
        if !tree.values.iter().all(|value| value.is_finite()) {
            return Err(Damaged("a value is not finite"));
        }
        // the leaves below each split that is still to come
        let mut open = vec![(0, leaves)];
        let mut splits = Vec::with_capacity(tree.splits.len());
        for split in &tree.splits {
            while open.pop_if(|(first, end)| *end - *first == 1).is_some() {}
            let Some((first, end)) = open.pop() else {
                return Err(Damaged("a split is below a leaf"));
            };
            let middle = first + usize::from(split.left);
            if middle == first || middle >= end {
                return Err(Damaged("a split has no leaf to one side"));
            }
            if usize::from(split.column) >= self.columns {
                return Err(Damaged("a split is on no column"));
            }
            if !(split.threshold.is_finite() && split.gain.is_finite() && split.gain >= 0.0) {
                return Err(Damaged("a threshold or gain is not finite"));
            }
            open.push((middle, end));
            open.push((first, middle));
            splits.push(Split {
                threshold: split.threshold,
                column: split.column,
                keep: !(ones(middle) & !ones(first)),
            });
        }
        self.splits.extend(splits);
        self.gains
            .extend(tree.splits.iter().map(|split| split.gain));
        self.values.extend(&tree.values);
        self.trees.push(Tree {
            splits: self.splits.len(),
            values: self.values.len(),
        });
        Ok(())
    }

    /// Keeps the first trees only.
    pub(super) fn truncate(&mut self, trees: usize) {
        self.trees.truncate(trees);
        let end = self.trees.last();
        let (splits, values) = end.map_or((0, 0), |end| (end.splits, end.values));
        self.splits.truncate(splits);
        self.gains.truncate(splits);
        self.values.truncate(values);
    }

    /// How many trees there are.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// For each column by how much its splits made the training loss fall, to second order and times 2; 0 if it
    /// has none.
    #[must_use]
    pub fn importance(&self) -> Vec<f64> {
        let mut importance = vec![0.0; self.columns];
        for (split, &gain) in self.splits.iter().zip(&self.gains) {
            importance[usize::from(split.column)] += f64::from(gain);
        }
        importance
    }

    /// The score of a row: log-odds for [`super::Objective::Logistic`], something to order by for
    /// [`super::Objective::LambdaRank`]; to be added to the row's base score if it was fitted on such. A
    /// feature that the row is too short for counts as 0. Does not allocate.
    #[must_use]
    pub fn score(&self, features: &[f32]) -> f32 {
        let scores = (0..self.trees.len()).map(|tree| self.score_of_tree(tree, features));
        scores.fold(self.start, |sum, value| sum + value)
    }

    /// What one tree adds to the score of a row.
    pub(super) fn score_of_tree(&self, tree: usize, features: &[f32]) -> f32 {
        let (splits, values) = self.tree(tree);
        let mut open = u64::MAX;
        for split in splits {
            let value = features.get(usize::from(split.column)).copied();
            open &= split.still_open(value.unwrap_or_default());
        }
        values[open.trailing_zeros() as usize]
    }

    fn tree(&self, tree: usize) -> (&[Split], &[f32]) {
        let end = self.trees[tree];
        let start = match tree.checked_sub(1) {
            Some(before) => self.trees[before],
            None => Tree {
                splits: 0,
                values: 0,
            },
        };
        (
            &self.splits[start.splits..end.splits],
            &self.values[start.values..end.values],
        )
    }

    /// The scores of the rows at `places` of a table of `columns` numbers a row, as [`Self::score`] gives them, written
    /// to `out` in place of what it held.
    ///
    /// # Panics
    /// If there is no row at one of the places.
    pub fn score_rows(&self, table: &[f32], columns: usize, places: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.reserve(places.len());
        let used = self
            .splits
            .iter()
            .map(|split| usize::from(split.column) + 1);
        // for each column the numbers of all rows of a block
        let mut block = vec![[0.0f32; LANES]; used.max().unwrap_or_default()];
        for places in places.chunks(LANES) {
            for (lane, &place) in places.iter().enumerate() {
                let row = &table[place as usize * columns..][..columns];
                for (column, &value) in block.iter_mut().zip(row) {
                    column[lane] = value;
                }
            }
            let mut sums = [self.start; LANES];
            for tree in 0..self.trees.len() {
                let (splits, values) = self.tree(tree);
                if values.len() <= 32 {
                    add_scores::<u32>(splits, values, &block, &mut sums);
                } else {
                    add_scores::<u64>(splits, values, &block, &mut sums);
                }
            }
            out.extend_from_slice(&sums[..places.len()]);
        }
    }
}

/// The first leaves, as bits.
fn ones(leaves: usize) -> u64 {
    if leaves >= 64 {
        u64::MAX
    } else {
        (1 << leaves) - 1
    }
}

impl Split {
    /// The leaves that a row with this feature may still end in; no branch, it would often be guessed wrong.
    fn still_open(&self, value: f32) -> u64 {
        select_unpredictable(value <= self.threshold, u64::MAX, self.keep)
    }
}

/// A bit for each leaf of a tree.
trait Leaves: Copy {
    const ALL: Self;
    fn of(leaves: u64) -> Self;
    fn and(self, other: Self) -> Self;
    fn first(self) -> usize;
}

impl Leaves for u32 {
    const ALL: Self = Self::MAX;
    fn of(leaves: u64) -> Self {
        leaves as Self
    }
    fn and(self, other: Self) -> Self {
        self & other
    }
    fn first(self) -> usize {
        self.trailing_zeros() as usize
    }
}

impl Leaves for u64 {
    const ALL: Self = Self::MAX;
    fn of(leaves: u64) -> Self {
        leaves
    }
    fn and(self, other: Self) -> Self {
        self & other
    }
    fn first(self) -> usize {
        self.trailing_zeros() as usize
    }
}

/// The leaves that each row of a block may end in. A function of its own so that it stays in vector registers.
#[inline(never)]
fn open_leaves<L: Leaves>(splits: &[Split], block: &[[f32; LANES]]) -> [L; LANES] {
    let mut open = [L::ALL; LANES];
    for split in splits {
        let keep = L::of(split.keep);
        let column = &block[usize::from(split.column)];
        for (open, &value) in open.iter_mut().zip(column) {
            let still = if value <= split.threshold {
                L::ALL
            } else {
                keep
            };
            *open = open.and(still);
        }
    }
    open
}

/// Adds what a tree says of each row of a block.
fn add_scores<L: Leaves>(
    splits: &[Split],
    values: &[f32],
    block: &[[f32; LANES]],
    sums: &mut [f32; LANES],
) {
    let open = open_leaves::<L>(splits, block);
    for (sum, open) in sums.iter_mut().zip(open) {
        *sum += values[open.first()];
    }
}

impl From<FittedBoosting> for Stored {
    fn from(fitted: FittedBoosting) -> Self {
        let mut gains = fitted.gains.iter();
        let trees = (0..fitted.trees.len()).map(|tree| {
            let (splits, values) = fitted.tree(tree);
            let splits = splits
                .iter()
                .zip(&mut gains)
                .map(|(split, &gain)| StoredSplit {
                    column: split.column,
                    threshold: split.threshold,
                    left: split.keep.count_zeros() as u8,
                    gain,
                });
            StoredTree {
                splits: splits.collect(),
                values: values.to_vec(),
            }
        });
        Stored {
            columns: fitted.columns as u32,
            start: fitted.start,
            trees: trees.collect(),
        }
    }
}

impl TryFrom<Stored> for FittedBoosting {
    type Error = Damaged;

    fn try_from(stored: Stored) -> Result<Self, Damaged> {
        let columns = stored.columns as usize;
        if !(1..=MAX_COLUMNS).contains(&columns) || stored.trees.len() > MAX_TREES {
            return Err(Damaged("too many columns or trees"));
        }
        if !stored.start.is_finite() {
            return Err(Damaged("the start is not finite"));
        }
        let mut fitted = FittedBoosting::new(columns, stored.start);
        for tree in &stored.trees {
            fitted.push(tree)?;
        }
        Ok(fitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(column: u16, threshold: f32, left: u8) -> StoredSplit {
        StoredSplit {
            column,
            threshold,
            left,
            gain: 2.0,
        }
    }

    /// x0 ≤ 1 ? (x1 ≤ 5 ? 10 : 20) : (x1 ≤ 7 ? (x0 ≤ 3 ? 30 : 40) : 50)
    fn tree() -> StoredTree {
        StoredTree {
            splits: vec![
                split(0, 1.0, 2),
                split(1, 5.0, 1),
                split(1, 7.0, 2),
                split(0, 3.0, 1),
            ],
            values: vec![10.0, 20.0, 30.0, 40.0, 50.0],
        }
    }

    fn walk(x: &[f32]) -> f32 {
        match (x[0] <= 1.0, x[1] <= 5.0, x[1] <= 7.0, x[0] <= 3.0) {
            (true, true, _, _) => 10.0,
            (true, false, _, _) => 20.0,
            (false, _, true, true) => 30.0,
            (false, _, true, false) => 40.0,
            (false, _, false, _) => 50.0,
        }
    }

    /// A tree of so many leaves, each split at its number: a row's leaf is the number of the first threshold it
    /// does not exceed.
    fn comb(leaves: u8) -> StoredTree {
        StoredTree {
            splits: (1..leaves).map(|i| split(0, f32::from(i), 1)).collect(),
            values: (1..=leaves).map(f32::from).collect(),
        }
    }

    #[test]
    fn scores_are_those_of_a_walk() {
        let mut fitted = FittedBoosting::new(2, 0.5);
        fitted.push(&tree()).unwrap();
        let mut rows = Vec::new();
        for i in 0..23u8 {
            for j in 0..23u8 {
                rows.extend([f32::from(i) / 4.0, f32::from(j) / 2.0]);
            }
        }
        rows.extend([f32::NAN, 6.0, 0.0, f32::INFINITY, 2.0, f32::NEG_INFINITY]);
        let mut many = vec![9.0; 3];
        let places: Vec<u32> = (0..rows.len() as u32 / 2).collect();
        fitted.score_rows(&rows, 2, &places, &mut many);
        let single: Vec<f32> = rows.chunks(2).map(|row| fitted.score(row)).collect();
        let walked: Vec<f32> = rows.chunks(2).map(|row| walk(row) + 0.5).collect();
        assert_eq!(single, walked);
        assert_eq!(many, single);
        assert_eq!(fitted.importance(), [4.0, 4.0]);
        assert_eq!((fitted.trees(), fitted.columns()), (1, 2));
    }

    #[test]
    fn trees_of_all_sizes_are_scored() {
        for leaves in [1u8, 2, 31, 32, 33, 63, 64] {
            let mut fitted = FittedBoosting::new(1, 0.0);
            fitted.push(&comb(leaves)).unwrap();
            fitted.push(&comb(leaves)).unwrap();
            let rows: Vec<f32> = (0..70u8).map(|i| f32::from(i) + 0.5).collect();
            let mut many = Vec::new();
            let places: Vec<u32> = (0..70).collect();
            fitted.score_rows(&rows, 1, &places, &mut many);
            for (row, score) in rows.iter().zip(many) {
                let leaf = (row.ceil()).min(f32::from(leaves));
                assert!((score - 2.0 * leaf).abs() < 1e-6, "{leaves} {row} {score}");
                assert!((fitted.score(&[*row]) - score).abs() < 1e-6);
            }
            let bytes = postcard::to_stdvec(&fitted).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok(fitted));
        }
    }

    #[test]
    fn rows_of_another_width_are_scored_too() {
        let mut fitted = FittedBoosting::new(2, 0.0);
        fitted.push(&tree()).unwrap();
        let mut many = Vec::new();
        let table = [2.0, 6.0, 0.0, 2.0, 8.0, 0.0];
        fitted.score_rows(&table, 3, &[0, 1], &mut many);
        assert_eq!(many, [30.0, 50.0]);
        fitted.score_rows(&table, 3, &[1], &mut many);
        assert_eq!(many, [50.0]);
        fitted.score_rows(&[2.0, 0.0], 1, &[0, 1], &mut many);
        assert_eq!(many, [fitted.score(&[2.0, 0.0]), 10.0]);
        assert_eq!(fitted.score(&[2.0]).to_bits(), 30.0f32.to_bits());
        fitted.score_rows(&[2.0], 1, &[], &mut many);
        assert!(many.is_empty());
        fitted.truncate(0);
        assert_eq!(fitted.score(&[]).to_bits(), 0.0f32.to_bits());
    }

    #[test]
    fn damaged_trees_are_refused() {
        let refused = |change: fn(&mut Stored)| {
            let mut stored = Stored {
                columns: 2,
                start: 0.0,
                trees: vec![tree()],
            };
            change(&mut stored);
            let bytes = postcard::to_stdvec(&stored).unwrap();
            postcard::from_bytes::<FittedBoosting>(&bytes).is_err()
        };
        assert!(!refused(|_| ()));
        assert!(refused(|s| s.columns = 1));
        assert!(refused(|s| s.columns = 0));
        assert!(refused(|s| s.columns = u32::MAX));
        assert!(refused(|s| s.start = f32::NAN));
        assert!(refused(|s| s.trees[0].values[1] = f32::INFINITY));
        assert!(refused(|s| s.trees[0].splits[1].threshold = f32::NAN));
        assert!(refused(|s| s.trees[0].splits[1].gain = -1.0));
        assert!(refused(|s| s.trees[0].splits[0].left = 0));
        assert!(refused(|s| s.trees[0].splits[0].left = 5));
        assert!(refused(|s| s.trees[0].splits[0].left = 255));
        assert!(refused(|s| s.trees[0].splits[1].left = 2));
        assert!(refused(|s| s.trees[0].splits.truncate(3)));
        assert!(refused(|s| s.trees[0].values.push(1.0)));
        assert!(refused(|s| {
            s.trees[0].splits.clear();
            s.trees[0].values.clear();
        }));
        assert!(refused(|s| s.trees[0] = StoredTree {
            splits: vec![split(0, 1.0, 1); 64],
            values: vec![0.0; 65],
        }));
        assert!(refused(|s| s.trees = vec![
            StoredTree {
                splits: Vec::new(),
                values: vec![0.0]
            };
            MAX_TREES + 1
        ]));
    }

    #[test]
    fn any_damage_is_refused_or_harmless() {
        let mut fitted = FittedBoosting::new(2, 0.25);
        for _ in 0..3 {
            fitted.push(&tree()).unwrap();
            fitted.push(&comb(9)).unwrap();
        }
        let bytes = postcard::to_stdvec(&fitted).unwrap();
        let mut many = Vec::new();
        let mut refusals = 0;
        for place in 0..bytes.len() {
            assert!(postcard::from_bytes::<FittedBoosting>(&bytes[..place]).is_err());
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                match postcard::from_bytes::<FittedBoosting>(&damaged) {
                    Ok(other) => {
                        assert!(other.score(&[2.0, 6.0]).is_finite());
                        other.score_rows(&[2.0, 6.0, 1.0, 1.0], 2, &[0, 1], &mut many);
                        assert_eq!(many.len(), 2);
                    }
                    Err(_) => refusals += 1,
                }
            }
        }
        assert!(refusals > bytes.len());
    }
}
