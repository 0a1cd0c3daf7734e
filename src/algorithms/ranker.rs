//! The stage-aware ranker: logistic regression (linfa-logistic) on the features, with a part of its own for each stage.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::algorithms::features::{COUNT, NAMES};
use crate::algorithms::rows::{self, Rows};

/// Features that may weigh differently from stage to stage.
const CROSSED: &[&str] = &[
    "own",
    "own_slow",
    "own_last_days",
    "own_by_basket",
    "item_recent",
    "item_stage",
    "item_trend",
    "new_x_bought_together",
    "new_x_browsed_together",
    "step_products_ago",
    "step_in_cart",
    "step_weight",
    "content",
];
/// A stage needs so many positive rows for a part of its own.
const MIN_STAGE_POSITIVES: usize = 300;

/// How to fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankerParams {
    /// Strength of the L2 penalty on the standardised weights.
    pub l2: f64,
    /// The most steps of L-BFGS.
    pub max_iterations: u64,
}

impl Default for RankerParams {
    fn default() -> Self {
        Self {
            l2: 3.0,
            max_iterations: 20,
        }
    }
}

/// Why a ranker cannot be fitted.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// All rows are positive, or none is.
    #[error("{positives} of {rows} rows are positive: there is nothing to tell apart")]
    OneClass {
        /// Positive rows.
        positives: usize,
        /// All rows.
        rows: usize,
    },
    /// A parameter outside its range.
    #[error("{0}")]
    Params(&'static str),
    /// linfa gave up.
    #[error("the logistic regression cannot be fitted: {0}")]
    Solver(String),
}

/// A fitted ranker: for each stage a weight for each feature, as it is (not standardised), and a bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedRanker {
    stages: Vec<StageWeights>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StageWeights {
    weights: Vec<f64>,
    bias: f64,
}

/// Fits rows of `stages` stages. Deterministic: the same rows give the same weights.
///
/// # Errors
/// [`FitError`].
pub fn fit(rows: &Rows, stages: usize, params: &RankerParams) -> Result<FittedRanker, FitError> {
    if !(params.l2 >= 0.0 && params.l2.is_finite()) {
        return Err(FitError::Params("l2 must be zero or more"));
    }
    let positives = rows.positives();
    if positives == 0 || positives == rows.len() {
        return Err(FitError::OneClass {
            positives,
            rows: rows.len(),
        });
    }
    let crossed: Vec<usize> = (0..COUNT)
        .filter(|&feature| CROSSED.contains(&NAMES[feature]))
        .collect();
    let own_part = own_parts(rows, stages);
    let parts = own_part.iter().flatten().count();
    let (mean, scale) = standard(rows);
    let columns = COUNT + parts * (crossed.len() + 1);
    let mut x = Array2::<f64>::zeros((rows.len(), columns));
    for ((row, _), mut out) in rows.iter().zip(x.rows_mut()) {
        for feature in 0..COUNT {
            out[feature] = (f64::from(row[feature]) - mean[feature]) / scale[feature];
        }
        if let Some(part) = own_part[rows::stage(row) as usize] {
            let start = COUNT + part * (crossed.len() + 1);
            for (place, &feature) in crossed.iter().enumerate() {
                out[start + place] = out[feature];
            }
            out[start + crossed.len()] = 1.0;
        }
    }
    let y: Array1<bool> = rows.iter().map(|(_, label)| label).collect();
    let fitted = LogisticRegression::default()
        .alpha(params.l2)
        .max_iterations(params.max_iterations)
        .gradient_tolerance(1e-4)
        .fit(&Dataset::new(x, y))
        .map_err(|error| FitError::Solver(error.to_string()))?;
    // linfa decides by order which class is "positive"
    let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    let solved: Vec<f64> = fitted.params().iter().map(|weight| weight * sign).collect();
    if !solved.iter().all(|weight| weight.is_finite()) {
        return Err(FitError::Solver("the weights are not finite".to_owned()));
    }
    let stages = own_part
        .iter()
        .map(|part| {
            let mut standardised = solved[..COUNT].to_vec();
            let mut bias = fitted.intercept() * sign;
            if let Some(part) = part {
                let start = COUNT + part * (crossed.len() + 1);
                for (place, &feature) in crossed.iter().enumerate() {
                    standardised[feature] += solved[start + place];
                }
                bias += solved[start + crossed.len()];
            }
            let weights: Vec<f64> = standardised
                .iter()
                .zip(&scale)
                .map(|(w, s)| w / s)
                .collect();
            bias -= weights.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
            StageWeights { weights, bias }
        })
        .collect();
    Ok(FittedRanker { stages })
}

/// The number of each stage's own part; none for stages with too few positive rows, and where there is but one stage.
fn own_parts(rows: &Rows, stages: usize) -> Vec<Option<usize>> {
    let mut positives = vec![0usize; stages];
    for (row, _) in rows.iter().filter(|(_, label)| *label) {
        positives[rows::stage(row) as usize] += 1;
    }
    let enough = |&&count: &&usize| count >= MIN_STAGE_POSITIVES;
    let several = positives.iter().filter(enough).count() > 1;
    let mut next = 0..;
    positives
        .iter()
        .map(|count| {
            if several && enough(&count) {
                next.next()
            } else {
                None
            }
        })
        .collect()
}

/// Mean and standard deviation of each feature; the deviation of a constant one is 1.
fn standard(rows: &Rows) -> ([f64; COUNT], [f64; COUNT]) {
    let n = rows.len() as f64;
    let (mut mean, mut scale) = ([0.0; COUNT], [0.0; COUNT]);
    for (row, _) in rows.iter() {
        for (mean, &value) in mean.iter_mut().zip(row) {
            *mean += f64::from(value) / n;
        }
    }
    for (row, _) in rows.iter() {
        for ((scale, mean), &value) in scale.iter_mut().zip(&mean).zip(row) {
            *scale += (f64::from(value) - mean).powi(2) / n;
        }
    }
    for variance in &mut scale {
        *variance = if *variance > 1e-12 {
            variance.sqrt()
        } else {
            1.0
        };
    }
    (mean, scale)
}

impl FittedRanker {
    /// The log-odds of a row, up to the sampling of the rows: it orders; [`super::calibration`] makes it a probability.
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f64 {
        let Some(part) = self.stages.get(rows::stage(row) as usize) else {
            return 0.0;
        };
        // four sums at a time: one alone would wait for itself
        let mut sums = [0.0f64; 4];
        let (weights, numbers) = (part.weights.chunks_exact(4), row.chunks_exact(4));
        let rest = weights.remainder();
        for (weights, numbers) in weights.zip(numbers) {
            for lane in 0..4 {
                sums[lane] += weights[lane] * f64::from(numbers[lane]);
            }
        }
        let last = row.iter().skip(COUNT - rest.len()).zip(rest);
        let last: f64 = last
            .map(|(&number, weight)| weight * f64::from(number))
            .sum();
        part.bias + sums.iter().sum::<f64>() + last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in which feature 0 decides in stage 0, and feature `own_slow` the other way in stage 1.
    fn rows(keep: impl Fn(bool) -> bool) -> Rows {
        let crossed = NAMES.iter().position(|&name| name == "own_slow").unwrap();
        let mut rows = Rows::default();
        let all = (0..4_000u32).map(|i| {
            let stage = (i % 2) as u8;
            let value = f64::from(i * 7919 % 1000) / 500.0 - 1.0;
            let noise = f64::from(i * 104_729 % 1000) / 1000.0 - 0.5;
            let mut features = [0.0; COUNT];
            features[crossed] = value as f32;
            let label = if stage == 0 {
                value + noise > 0.3
            } else {
                value + noise < -0.3
            };
            (rows::row(stage, &features), label)
        });
        all.filter(|&(_, label)| keep(label))
            .for_each(|row| rows.push(std::iter::once(row)));
        rows
    }

    #[test]
    fn stages_have_weights_of_their_own() {
        let fitted = fit(&rows(|_| true), 3, &RankerParams::default()).unwrap();
        let crossed = NAMES.iter().position(|&name| name == "own_slow").unwrap();
        let mut high = [0.0; COUNT];
        high[crossed] = 0.8;
        let low = high.map(|value| -value);
        let score = |stage, features| fitted.score_row(&rows::row(stage, features));
        assert!(score(0, &high) > score(0, &low) + 2.0);
        assert!(score(1, &high) < score(1, &low) - 2.0);
        assert!(score(2, &high).is_finite());
        assert_eq!(
            fitted,
            fit(&rows(|_| true), 3, &RankerParams::default()).unwrap()
        );
    }

    #[test]
    fn one_class_is_an_error_not_a_model() {
        let result = fit(&rows(|label| label), 2, &RankerParams::default());
        assert!(matches!(result, Err(FitError::OneClass { .. })));
        assert!(matches!(
            fit(&Rows::default(), 2, &RankerParams::default()),
            Err(FitError::OneClass { .. })
        ));
    }
}
