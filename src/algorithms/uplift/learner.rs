//! What a treatment is expected to change, by customer: the S-learner (one model that knows the arm) and the T-learner
//! (one model an arm); Künzel et al. 2019.

use ndarray::{Array2, ShapeBuilder as _};
use serde::{Deserialize, Serialize};

use super::super::response::{FittedResponse, Kind, ResponseParams};
use super::features::Encoded;

/// A fit takes at most so many cells of 8 bytes.
pub const MAX_CELLS: usize = 1 << 23;

/// The columns of an S-learner: the features, and for each arm but control a mark and the features again.
#[must_use]
pub fn columns(features: usize, arms: usize) -> usize {
    features + arms.saturating_sub(1) * (features + 1)
}

/// What learners are fitted on.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The features.
    pub encoded: &'a Encoded,
    /// The rows to fit on.
    pub rows: &'a [usize],
    /// The arm of every row, 0 for control.
    pub arm: &'a [u32],
    /// How many arms, control among them.
    pub arms: usize,
    /// The outcome of every row.
    pub outcome: &'a [f64],
    /// What the outcomes are.
    pub kind: Kind,
}

/// One response on features, arm, and arm × features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedSLearner {
    features: usize,
    response: FittedResponse,
}

impl FittedSLearner {
    /// Fits. Deterministic.
    #[must_use]
    pub fn fit(data: &Data<'_>, params: &ResponseParams) -> Self {
        let features = data.encoded.columns();
        let mut x = Array2::zeros((data.rows.len(), columns(features, data.arms)).f());
        for (&row, mut out) in data.rows.iter().zip(x.rows_mut()) {
            let arm = data.arm[row] as usize;
            for (column, &number) in data.encoded.row(row).iter().enumerate() {
                out[column] = number;
                if arm > 0 {
                    out[own_part(features, arm) + 1 + column] = number;
                }
            }
            if arm > 0 {
                out[own_part(features, arm)] = 1.0;
            }
        }
        let outcomes: Vec<f64> = data.rows.iter().map(|&row| data.outcome[row]).collect();
        Self {
            features,
            response: FittedResponse::fit(x, &outcomes, data.kind, params),
        }
    }

    /// True if it expects the same of everybody.
    #[must_use]
    pub fn is_mean(&self) -> bool {
        self.response.is_mean()
    }

    /// What to expect of a customer with these features in an arm, 0 for control.
    #[must_use]
    pub fn expect(&self, x: &[f64], arm: usize) -> f64 {
        let weights = self.response.weights();
        let dot = |start: usize| {
            x.iter()
                .zip(&weights[start..])
                .map(|(x, w)| x * w)
                .sum::<f64>()
        };
        let mut sum = self.response.bias() + dot(0);
        if arm > 0 {
            let start = own_part(self.features, arm);
            sum += weights[start] + dot(start + 1);
        }
        self.response.of_sum(sum)
    }

    /// What an arm, from 1, is expected to change against control.
    #[must_use]
    pub fn uplift(&self, x: &[f64], arm: usize) -> f64 {
        self.expect(x, arm) - self.expect(x, 0)
    }
}

/// Where the columns of an arm, from 1, begin.
fn own_part(features: usize, arm: usize) -> usize {
    features + (arm - 1) * (features + 1)
}

/// A response for each arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedTLearner {
    arms: Vec<FittedResponse>,
}

impl FittedTLearner {
    /// Fits. Deterministic.
    #[must_use]
    pub fn fit(data: &Data<'_>, params: &ResponseParams) -> Self {
        let of_arm = |arm: usize| {
            let is_in = |row: &usize| data.arm[*row] as usize == arm;
            let rows: Vec<usize> = data.rows.iter().copied().filter(is_in).collect();
            let x = Array2::from_shape_fn(
                (rows.len(), data.encoded.columns()).f(),
                |(place, column)| data.encoded.row(rows[place])[column],
            );
            let outcomes: Vec<f64> = rows.iter().map(|&row| data.outcome[row]).collect();
            FittedResponse::fit(x, &outcomes, data.kind, params)
        };
        Self {
            arms: (0..data.arms).map(of_arm).collect(),
        }
    }

    /// What an arm, from 1, is expected to change against control.
    #[must_use]
    pub fn uplift(&self, x: &[f64], arm: usize) -> f64 {
        self.arms[arm].expect(x) - self.arms[0].expect(x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::{FeatureColumn, FeatureValues};
    use super::*;

    #[test]
    fn both_learners_find_an_effect_that_goes_by_the_feature() {
        // chances: control 0.2; arm 1 0.2 or 0.6 by the category; arm 2 the other way round
        let row_of = |i: usize| (i % 3, (i / 3) % 2, (i / 6) % 10);
        let rows: Vec<usize> = (0..6_000).collect();
        let arm: Vec<u32> = rows.iter().map(|&i| row_of(i).0 as u32).collect();
        let category: Vec<u32> = rows.iter().map(|&i| row_of(i).1 as u32).collect();
        let outcome: Vec<f64> = rows
            .iter()
            .map(|&i| {
                let (arm, category, tenth) = row_of(i);
                let works = arm > 0 && (arm == 1) == (category == 1);
                f64::from(tenth < if works { 6 } else { 2 })
            })
            .collect();
        let feature = FeatureColumn {
            name: "category".to_owned(),
            values: FeatureValues::Categories(category),
        };
        let encoded = Encoded::of(&[feature], rows.len(), 3);
        let data = Data {
            encoded: &encoded,
            rows: &rows,
            arm: &arm,
            arms: 3,
            outcome: &outcome,
            kind: Kind::Chance,
        };
        let params = ResponseParams::default();
        let (s, t) = (
            FittedSLearner::fit(&data, &params),
            FittedTLearner::fit(&data, &params),
        );
        // rows 0 and 3 are of the two categories
        for (row, arm, expected) in [(0, 1, 0.0), (3, 1, 0.4), (0, 2, 0.4), (3, 2, 0.0)] {
            let x = encoded.row(row);
            let (s, t) = (s.uplift(x, arm), t.uplift(x, arm));
            assert!(
                (s - expected).abs() < 0.02 && (t - expected).abs() < 0.02,
                "{row}, {arm}: {s}, {t}"
            );
        }
        assert!((s.expect(encoded.row(3), 0) - 0.2).abs() < 0.02);
        let kept = postcard::to_allocvec(&s).unwrap();
        assert_eq!(postcard::from_bytes::<FittedSLearner>(&kept).unwrap(), s);
    }
}
