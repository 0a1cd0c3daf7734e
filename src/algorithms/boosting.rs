//! Histogram gradient-boosted trees, for ranking and for probabilities: the tree-shaped sibling of [`super::ranker`].
//!
//! Trees grow leaf by leaf on features cut into at most 64 bins, as in LightGBM (Ke et al., NIPS 2017), with
//! XGBoost's second-order gain (Chen, Guestrin, KDD 2016). [`BoostingParams`] are checked, then fitted on
//! [`Examples`], and give a [`FittedBoosting`]. Same parameters and examples, same bytes: sums are integers,
//! draws depend on the seed alone.

mod bins;
mod draw;
mod examples;
mod faults;
mod fitted;
mod histogram;
mod objective;
mod params;
#[cfg(test)]
mod tests;
mod tree;

pub use examples::{Examples, ExamplesFault, MAX_COLUMNS, MAX_LABEL, Parts};
pub use faults::Faults;
pub use fitted::{Damaged, FittedBoosting};
pub use params::{
    BoostingParams, CheckedParams, MAX_BINS, MAX_LEAVES, MAX_TREES, Objective, ParamFault,
};

use bins::Bins;
pub(super) use draw::scramble;
use draw::{Purpose, draw};
use fitted::{StoredSplit, StoredTree};
use histogram::{Gradient, Quanta};
use objective::Loss;
use tree::{Grower, Grown};

/// No leaf says more than this: a leaf whose rows have hardly a second derivative could say anything.
const LARGEST_VALUE: f64 = 1e4;

/// Why nothing was fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// All rows that count are positive, or none is.
    #[error("{positives} of {rows} rows are positive: there is nothing to tell apart")]
    OneClass {
        /// Positive rows.
        positives: usize,
        /// All rows with a weight above 0.
        rows: usize,
    },
    /// No group has two different labels.
    #[error("none of {groups} groups has two different labels: there is nothing to order")]
    NothingToOrder {
        /// All groups.
        groups: usize,
    },
    /// The validation examples are of another width.
    #[error("the validation examples have {validation} columns instead of {train}")]
    Columns {
        /// Columns to train on.
        train: usize,
        /// Columns to validate on.
        validation: usize,
    },
    /// One of the two is missing.
    #[error("patience and validation examples are given together or not at all")]
    Patience,
    /// Scores on a base and scores without one cannot be compared.
    #[error("examples and validation examples both have base scores or neither has")]
    Base,
    /// The validation examples have no group to order, or no row that counts.
    #[error("the validation examples judge nothing")]
    NothingToJudge,
    /// `progress` said no.
    #[error("cancelled after {trees} trees")]
    Cancelled {
        /// Trees grown by then.
        trees: usize,
    },
}

/// The examples that decide when to stop, and how it stands.
struct Judge<'a> {
    loss: Loss<'a>,
    examples: &'a Examples<'a>,
    scores: Vec<f64>,
    patience: usize,
    best: f64,
    best_trees: usize,
    waited: usize,
}

impl Judge<'_> {
    /// Looks at a model after a round that gave it new trees from `old` on; true if it is time to stop.
    fn is_done(&mut self, fitted: &FittedBoosting, old: usize) -> bool {
        for tree in old..fitted.trees() {
            for (row, score) in self.scores.iter_mut().enumerate() {
                *score += f64::from(fitted.score_of_tree(tree, self.examples.row(row)));
            }
        }
        let value = self.loss.value(&self.scores);
        if value < self.best {
            self.best = value;
            self.best_trees = fitted.trees();
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited >= self.patience
    }
}

impl CheckedParams {
    /// Fits trees on `train`. With `patience` the `validation` examples decide how many are kept: those with
    /// the lowest mean log loss, or the highest mean NDCG at `at`.
    ///
    /// The model's scores are to be added to the examples' base scores, if they have any. Trees that can part
    /// nothing are left out when ranking, so [`FittedBoosting::trees`] can be less than asked for.
    ///
    /// `progress` is told the rounds done, from 0, and of how many; false cancels. Needs, besides the examples,
    /// two bytes for each feature and about 40 bytes for each row. A row costs about 2 ns for each column and
    /// tree.
    ///
    /// # Errors
    /// [`FitError`].
    pub fn fit(
        &self,
        train: &Examples<'_>,
        validation: Option<&Examples<'_>>,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<FittedBoosting, FitError> {
        let params = self.get();
        let mut loss = Loss::new(params.objective, train);
        let groups = loss.telling_groups();
        check_labels(params.objective, &loss, &groups, train)?;
        let start = loss.start();
        let mut judge = self.judge(train, validation, start)?;
        if !progress(0, params.trees) {
            return Err(FitError::Cancelled { trees: 0 });
        }
        let bins = Bins::new(train, params.max_bins);
        let columns: Vec<u32> = (0..bins.columns().len() as u32).collect();
        let mut grower = Grower::new(params, &bins);
        let mut quanta = Quanta::default();
        let mut rows: Vec<u32> = Vec::new();
        let mut scores = loss.scores(start);
        let mut gradients = vec![Gradient::default(); train.rows()];
        let mut fitted = FittedBoosting::new(train.columns(), start);
        for round in 0..params.trees {
            let drawn = draw(
                &groups,
                params.row_share,
                params.seed,
                Purpose::Groups,
                round,
            );
            rows.clear();
            let ranges = drawn.iter().map(|&group| train.group(group as usize));
            rows.extend(ranges.flatten().map(|row| row as u32));
            loss.gradients(&drawn, &scores, &mut gradients);
            quanta.take(&gradients, &rows);
            let share = params.feature_share;
            let chosen = draw(&columns, share, params.seed, Purpose::Columns, round);
            let grown = grower.grow(&mut rows, &chosen, &quanta);
            let old = fitted.trees();
            if grown.leaves.len() > 1 || params.objective == Objective::Logistic {
                let values = values(params, &grown, &rows, &gradients);
                for (leaf, &value) in grown.leaves.iter().zip(&values) {
                    for &row in &rows[leaf.clone()] {
                        scores[row as usize] += f64::from(value);
                    }
                }
                fitted
                    .push(&stored(&grown, &values))
                    .expect("a grown tree has a leaf at both sides of each parting");
                add_to_others(&fitted, train, &groups, &drawn, &mut scores);
            }
            if !progress(round + 1, params.trees) {
                let trees = fitted.trees();
                return Err(FitError::Cancelled { trees });
            }
            if let Some(judge) = &mut judge
                && judge.is_done(&fitted, old)
            {
                break;
            }
        }
        if let Some(judge) = judge {
            fitted.truncate(judge.best_trees);
        }
        Ok(fitted)
    }

    fn judge<'a>(
        &self,
        train: &Examples<'_>,
        validation: Option<&'a Examples<'a>>,
        start: f32,
    ) -> Result<Option<Judge<'a>>, FitError> {
        let (examples, patience) = match (validation, self.get().patience) {
            (None, None) => return Ok(None),
            (Some(examples), Some(patience)) => (examples, patience),
            _ => return Err(FitError::Patience),
        };
        if examples.columns() != train.columns() {
            return Err(FitError::Columns {
                train: train.columns(),
                validation: examples.columns(),
            });
        }
        if examples.base().is_some() != train.base().is_some() {
            return Err(FitError::Base);
        }
        let mut loss = Loss::new(self.get().objective, examples);
        if loss.telling_groups().is_empty() || loss.positives().1 == 0 {
            return Err(FitError::NothingToJudge);
        }
        let scores = loss.scores(start);
        Ok(Some(Judge {
            best: loss.value(&scores),
            loss,
            examples,
            scores,
            patience,
            best_trees: 0,
            waited: 0,
        }))
    }
}

fn check_labels(
    objective: Objective,
    loss: &Loss<'_>,
    telling: &[u32],
    train: &Examples<'_>,
) -> Result<(), FitError> {
    let (positives, rows) = loss.positives();
    match objective {
        Objective::Logistic if positives == 0 || positives == rows => {
            Err(FitError::OneClass { positives, rows })
        }
        Objective::LambdaRank { .. } if telling.is_empty() => Err(FitError::NothingToOrder {
            groups: train.groups(),
        }),
        _ => Ok(()),
    }
}

/// What each leaf says: the Newton step of its rows (XGBoost, equation 5), times the learning rate.
fn values(
    params: &BoostingParams,
    grown: &Grown,
    rows: &[u32],
    gradients: &[Gradient],
) -> Vec<f32> {
    let value = |leaf: &std::ops::Range<usize>| {
        let (mut first, mut second) = (0.0, params.l2);
        for &row in &rows[leaf.clone()] {
            let gradient = gradients[row as usize];
            first += gradient.first;
            second += gradient.second;
        }
        let step = if second > 0.0 { -first / second } else { 0.0 };
        (params.learning_rate * step).clamp(-LARGEST_VALUE, LARGEST_VALUE) as f32
    };
    grown.leaves.iter().map(value).collect()
}

fn stored(grown: &Grown, values: &[f32]) -> StoredTree {
    let (steps, leaves) = grown.in_order();
    let splits = steps.into_iter().map(|(parting, left)| StoredSplit {
        column: parting.feature,
        threshold: parting.threshold,
        left: left as u8,
        gain: parting.gain.min(f64::from(f32::MAX)) as f32,
    });
    StoredTree {
        splits: splits.collect(),
        values: leaves.into_iter().map(|leaf| values[leaf]).collect(),
    }
}

/// Adds the last tree to the scores of the groups that it was not grown on.
fn add_to_others(
    fitted: &FittedBoosting,
    train: &Examples<'_>,
    groups: &[u32],
    drawn: &[u32],
    scores: &mut [f64],
) {
    let mut drawn = drawn.iter().peekable();
    for group in groups {
        if drawn.next_if_eq(&group).is_some() {
            continue;
        }
        for row in train.group(*group as usize) {
            let value = fitted.score_of_tree(fitted.trees() - 1, train.row(row));
            scores[row] += f64::from(value);
        }
    }
}
