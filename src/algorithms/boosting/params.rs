//! How to boost: the parameters as they come, what can be wrong with them, and the same ones checked.

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// The most trees of one model.
pub const MAX_TREES: usize = 10_000;
/// The most leaves of one tree: serving keeps a bit for each.
pub const MAX_LEAVES: usize = 64;
/// The most bins of one column: the histograms are laid out for it.
pub const MAX_BINS: usize = 64;

/// What is to be made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objective {
    /// The weighted log loss of "the label is above 0"; scores are log-odds.
    Logistic,
    /// LambdaMART: pairs of one group, weighted by how much NDCG at `at` would change if the two were swapped;
    /// scores order within a group, nothing more.
    LambdaRank {
        /// Length of the list that is judged; pairs of which neither row stands in the first `at` places do not
        /// count.
        at: usize,
    },
}

/// How to fit; unchecked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostingParams {
    /// What is to be made small.
    pub objective: Objective,
    /// Trees to grow; 0 is a model that says the same of everything. At most [`MAX_TREES`].
    pub trees: usize,
    /// The most leaves of a tree, 2 to [`MAX_LEAVES`]; the leaf that gains most is split next.
    pub leaves: usize,
    /// What a leaf's value is multiplied by, above 0 and at most 1.
    pub learning_rate: f64,
    /// A leaf holds at least so many rows of those the tree was grown on; 1 or more.
    pub min_rows_in_leaf: usize,
    /// The second derivatives of a leaf's rows sum to at least this; 0 or more.
    pub min_hessian_in_leaf: f64,
    /// Added to that sum: shrinks the values of small leaves; 0 or more.
    pub l2: f64,
    /// Share of the columns that each tree may split on, above 0 and at most 1.
    pub feature_share: f64,
    /// Share of the groups that each tree is grown on, above 0 and at most 1; groups come whole or not at all.
    pub row_share: f64,
    /// The most bins of a column, 2 to [`MAX_BINS`].
    pub max_bins: usize,
    /// Decides which columns and groups each tree gets, and nothing else.
    pub seed: u64,
    /// Stop after so many trees without a better figure on the validation examples, and keep the best number of
    /// trees; absent: grow all.
    pub patience: Option<usize>,
}

impl Default for BoostingParams {
    fn default() -> Self {
        Self {
            objective: Objective::LambdaRank { at: 10 },
            trees: 80,
            leaves: 24,
            learning_rate: 0.1,
            min_rows_in_leaf: 50,
            min_hessian_in_leaf: 1e-3,
            l2: 1.0,
            feature_share: 0.8,
            row_share: 0.8,
            max_bins: MAX_BINS,
            seed: 0,
            patience: None,
        }
    }
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamFault {
    /// `at` of [`Objective::LambdaRank`].
    #[error("at must be 1 or more")]
    At,
    /// `trees`.
    #[error("trees must be at most {MAX_TREES}")]
    Trees,
    /// `leaves`.
    #[error("leaves must be between 2 and {MAX_LEAVES}")]
    Leaves,
    /// `learning_rate`.
    #[error("learning_rate must be above 0 and at most 1")]
    LearningRate,
    /// `min_rows_in_leaf`.
    #[error("min_rows_in_leaf must be 1 or more")]
    MinRowsInLeaf,
    /// `min_hessian_in_leaf`.
    #[error("min_hessian_in_leaf must be 0 or more")]
    MinHessianInLeaf,
    /// `l2`.
    #[error("l2 must be 0 or more")]
    L2,
    /// `feature_share`.
    #[error("feature_share must be above 0 and at most 1")]
    FeatureShare,
    /// `row_share`.
    #[error("row_share must be above 0 and at most 1")]
    RowShare,
    /// `max_bins`.
    #[error("max_bins must be between 2 and {MAX_BINS}")]
    MaxBins,
    /// `patience`.
    #[error("patience must be 1 or more")]
    Patience,
}

/// Parameters that can be fitted with.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedParams(BoostingParams);

impl CheckedParams {
    /// The parameters.
    #[must_use]
    pub fn get(&self) -> &BoostingParams {
        &self.0
    }
}

impl BoostingParams {
    /// Checks every parameter.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn check(self) -> Result<CheckedParams, Faults<ParamFault>> {
        let is_share = |value: f64| value > 0.0 && value <= 1.0;
        let is_amount = |value: f64| value >= 0.0 && value.is_finite();
        let rules = [
            (
                self.objective != Objective::LambdaRank { at: 0 },
                ParamFault::At,
            ),
            (self.trees <= MAX_TREES, ParamFault::Trees),
            ((2..=MAX_LEAVES).contains(&self.leaves), ParamFault::Leaves),
            (is_share(self.learning_rate), ParamFault::LearningRate),
            (self.min_rows_in_leaf >= 1, ParamFault::MinRowsInLeaf),
            (
                is_amount(self.min_hessian_in_leaf),
                ParamFault::MinHessianInLeaf,
            ),
            (is_amount(self.l2), ParamFault::L2),
            (is_share(self.feature_share), ParamFault::FeatureShare),
            (is_share(self.row_share), ParamFault::RowShare),
            ((2..=MAX_BINS).contains(&self.max_bins), ParamFault::MaxBins),
            (self.patience != Some(0), ParamFault::Patience),
        ];
        let faults: Vec<ParamFault> = rules
            .into_iter()
            .filter(|(holds, _)| !holds)
            .map(|(_, fault)| fault)
            .collect();
        if faults.is_empty() {
            Ok(CheckedParams(self))
        } else {
            Err(Faults(faults))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        assert!(BoostingParams::default().check().is_ok());
        let wrong = BoostingParams {
            objective: Objective::LambdaRank { at: 0 },
            trees: MAX_TREES + 1,
            leaves: 1,
            learning_rate: f64::NAN,
            min_rows_in_leaf: 0,
            min_hessian_in_leaf: -1.0,
            l2: f64::INFINITY,
            feature_share: 0.0,
            row_share: 1.1,
            max_bins: 65,
            seed: 0,
            patience: Some(0),
        };
        let faults = wrong.check().unwrap_err();
        assert_eq!(faults.0.len(), 11, "{faults:?}");
        let text = faults.to_string();
        assert!(
            text.contains("; leaves must be between 2 and 64; "),
            "{text}"
        );
    }
}
