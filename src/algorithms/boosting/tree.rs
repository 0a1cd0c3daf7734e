//! Grows one tree, always where it gains most, on rows in bins.

use std::ops::Range;

use super::bins::Bins;
use super::histogram::{Filler, Histogram, Quanta, Sums};
use super::params::BoostingParams;

/// Where rows part: those whose feature is at most the threshold go left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parting {
    pub(super) feature: u16,
    pub(super) threshold: f32,
    /// By how much the loss falls, to second order, times 2.
    pub(super) gain: f64,
    left: Child,
    right: Child,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    Parting(usize),
    Leaf(usize),
}

/// A tree before its leaves have values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grown {
    partings: Vec<Parting>,
    root: Child,
    /// Where each leaf's rows stand among the rows that were given.
    pub(super) leaves: Vec<Range<usize>>,
}

/// A parting with the number of leaves to its left.
pub(super) type Step<'a> = (&'a Parting, usize);

impl Grown {
    /// The partings, each before those to its left and these before those to its right, and the numbers of the
    /// leaves from left to right.
    pub(super) fn in_order(&self) -> (Vec<Step<'_>>, Vec<usize>) {
        let (mut steps, mut leaves) = (Vec::new(), Vec::new());
        self.walk(self.root, &mut steps, &mut leaves);
        (steps, leaves)
    }

    fn walk<'a>(&'a self, child: Child, steps: &mut Vec<Step<'a>>, leaves: &mut Vec<usize>) {
        match child {
            Child::Leaf(leaf) => leaves.push(leaf),
            Child::Parting(place) => {
                let parting = &self.partings[place];
                let (step, before) = (steps.len(), leaves.len());
                steps.push((parting, 0));
                self.walk(parting.left, steps, leaves);
                steps[step].1 = leaves.len() - before;
                self.walk(parting.right, steps, leaves);
            }
        }
    }
}

/// The best way to part a leaf.
#[derive(Debug, Clone, Copy)]
struct Best {
    gain: f64,
    /// Place among the columns chosen.
    place: usize,
    /// Bins up to this one go left.
    bin: usize,
    left: Sums,
}

/// A leaf while the tree grows.
#[derive(Debug)]
struct Leaf {
    rows: Range<usize>,
    total: Sums,
    /// Empty once nothing can be gained any more.
    histogram: Histogram,
    best: Option<Best>,
    /// The parting above, and whether this is to its left.
    parent: Option<(usize, bool)>,
}

/// Grows trees; keeps the space for it.
#[derive(Debug)]
pub(super) struct Grower<'a> {
    params: &'a BoostingParams,
    bins: &'a Bins,
    filler: Filler,
    spare: Vec<Histogram>,
    right: Vec<u32>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(params: &'a BoostingParams, bins: &'a Bins) -> Self {
        Self {
            params,
            bins,
            filler: Filler::default(),
            spare: Vec::new(),
            right: Vec::new(),
        }
    }

    /// A tree on `rows`, rising, which are left in the order of the leaves. It may split on the columns of
    /// `bins` that are `chosen`; without any it is one leaf.
    pub(super) fn grow(&mut self, rows: &mut [u32], chosen: &[u32], quanta: &Quanta) -> Grown {
        let mut partings: Vec<Parting> = Vec::new();
        let mut leaves = Vec::new();
        if !chosen.is_empty() {
            self.filler.choose(self.bins, chosen);
            leaves.push(self.root(rows, chosen, quanta));
        }
        while leaves.len() < self.params.leaves
            && let Some((number, best)) = most_gain(&leaves)
        {
            let parting = partings.len();
            let column = &self.bins.columns()[chosen[best.place] as usize];
            let new = leaves.len();
            partings.push(Parting {
                feature: column.feature,
                threshold: column.edges[best.bin],
                gain: best.gain,
                left: Child::Leaf(number),
                right: Child::Leaf(new),
            });
            let leaf = &mut leaves[number];
            if let Some((above, is_left)) = leaf.parent {
                let above: &mut Parting = &mut partings[above];
                let child = if is_left {
                    &mut above.left
                } else {
                    &mut above.right
                };
                *child = Child::Parting(parting);
            }
            let middle = self.part(&mut rows[leaf.rows.clone()], chosen[best.place], best.bin);
            let middle = leaf.rows.start + middle;
            let mut right = Leaf {
                rows: middle..leaf.rows.end,
                total: leaf.total.without(best.left),
                histogram: Histogram::default(),
                best: None,
                parent: Some((parting, false)),
            };
            leaf.rows.end = middle;
            leaf.total = best.left;
            leaf.parent = Some((parting, true));
            leaf.best = None;
            if new + 1 < self.params.leaves {
                self.histograms(leaf, &mut right, rows, chosen, quanta);
            }
            leaves.push(right);
        }
        for leaf in &mut leaves {
            self.spare.push(std::mem::take(&mut leaf.histogram));
        }
        let root = if partings.is_empty() {
            Child::Leaf(0)
        } else {
            Child::Parting(0)
        };
        let mut leaves: Vec<Range<usize>> = leaves.into_iter().map(|leaf| leaf.rows).collect();
        if leaves.is_empty() {
            leaves.push(0..rows.len());
        }
        Grown {
            partings,
            root,
            leaves,
        }
    }

    fn root(&mut self, rows: &[u32], chosen: &[u32], quanta: &Quanta) -> Leaf {
        let mut histogram = self.spare.pop().unwrap_or_default();
        let filler = &mut self.filler;
        filler.fill(&mut histogram, chosen.len(), self.bins, quanta, rows);
        let total = histogram.total();
        Leaf {
            rows: 0..rows.len(),
            total,
            best: self.best(&histogram, total, chosen, quanta),
            histogram,
            parent: None,
        }
    }

    /// Adds up the smaller of two new leaves; the larger is what the parent, whose histogram `left` still has,
    /// has besides.
    fn histograms(
        &mut self,
        left: &mut Leaf,
        right: &mut Leaf,
        rows: &[u32],
        chosen: &[u32],
        quanta: &Quanta,
    ) {
        let mut parent = std::mem::take(&mut left.histogram);
        let (small, large) = if left.rows.len() <= right.rows.len() {
            (left, right)
        } else {
            (right, left)
        };
        let enough = 2 * self.params.min_rows_in_leaf;
        if large.rows.len() >= enough {
            let mut histogram = self.spare.pop().unwrap_or_default();
            let rows = &rows[small.rows.clone()];
            let filler = &mut self.filler;
            filler.fill(&mut histogram, chosen.len(), self.bins, quanta, rows);
            parent.subtract(&histogram);
            large.best = self.best(&parent, large.total, chosen, quanta);
            if small.rows.len() >= enough {
                small.best = self.best(&histogram, small.total, chosen, quanta);
            }
            small.histogram = histogram;
        }
        large.histogram = parent;
    }

    /// Brings the rows that go left to the front, both sides in their order; returns how many they are.
    fn part(&mut self, rows: &mut [u32], column: u32, bin: usize) -> usize {
        if self.right.len() < rows.len() {
            self.right.resize(rows.len(), 0);
        }
        let column = self.bins.column(column as usize);
        let bin = bin as u8;
        let (mut lefts, mut rights) = (0, 0);
        for i in 0..rows.len() {
            let row = rows[i];
            let goes_left = column[row as usize] <= bin;
            rows[lefts] = row;
            self.right[rights] = row;
            lefts += usize::from(goes_left);
            rights += usize::from(!goes_left);
        }
        rows[lefts..].copy_from_slice(&self.right[..rights]);
        lefts
    }

    /// The parting of a leaf that gains most, by XGBoost's equation 7 (Chen, Guestrin 2016) times 2; the first
    /// of equals.
    fn best(
        &self,
        histogram: &Histogram,
        total: Sums,
        chosen: &[u32],
        quanta: &Quanta,
    ) -> Option<Best> {
        let least_rows = self.params.min_rows_in_leaf as i64;
        let least_second = self.params.min_hessian_in_leaf;
        let second = |sums: Sums| sums.second as f64 * quanta.second_step;
        let worth = |sums: Sums| {
            let first = sums.first as f64 * quanta.first_step;
            let divisor = second(sums) + self.params.l2;
            if divisor > 0.0 {
                first * first / divisor
            } else {
                0.0
            }
        };
        let whole = worth(total);
        // what rounding alone can make
        let nothing = whole * 1e-9;
        let mut best: Option<Best> = None;
        for (place, (sums, &column)) in histogram.columns().iter().zip(chosen).enumerate() {
            let edges = self.bins.columns()[column as usize].edges.len();
            let mut left = Sums::default();
            for (bin, sums) in sums.bins().enumerate().take(edges) {
                if sums.rows == 0 {
                    continue;
                }
                left.first += sums.first;
                left.second += sums.second;
                left.rows += sums.rows;
                let right = total.without(left);
                if left.rows < least_rows || second(left) < least_second {
                    continue;
                }
                if right.rows < least_rows || second(right) < least_second {
                    break;
                }
                let gain = worth(left) + worth(right) - whole;
                if gain > best.map_or(nothing, |best| best.gain) {
                    best = Some(Best {
                        gain,
                        place,
                        bin,
                        left,
                    });
                }
            }
        }
        best
    }
}

/// The leaf whose parting gains most; the first of equals.
fn most_gain(leaves: &[Leaf]) -> Option<(usize, Best)> {
    let mut most: Option<(usize, Best)> = None;
    for (number, leaf) in leaves.iter().enumerate() {
        if let Some(best) = leaf.best
            && most.is_none_or(|(_, most)| best.gain > most.gain)
        {
            most = Some((number, best));
        }
    }
    most
}
