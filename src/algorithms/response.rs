//! What to expect of a row of numbers: the chance of a yes (logistic regression, linfa-logistic), or an amount (ridge
//! regression). Offers and offline evaluation fit it.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};

use super::ease::{factor, solve};

/// L-BFGS ends where the gradient of the summed loss is this small: a hundredth of a row.
const GRADIENT_TOLERANCE: f64 = 1e-2;

/// What the outcomes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Each is 0 or 1.
    Chance,
    /// Any finite numbers.
    Amount,
}

impl Kind {
    /// The kind of these outcomes.
    #[must_use]
    pub fn of(outcomes: &[f64]) -> Self {
        let binary =
            |outcome: &f64| outcome.abs() < f64::EPSILON || (outcome - 1.0).abs() < f64::EPSILON;
        if outcomes.iter().all(binary) {
            Self::Chance
        } else {
            Self::Amount
        }
    }
}

/// How to fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseParams {
    /// Strength of the L2 penalty on the weights; the bias has none.
    pub l2: f64,
    /// The most steps of L-BFGS.
    pub max_iterations: u64,
}

impl Default for ResponseParams {
    fn default() -> Self {
        Self {
            l2: 1.0,
            max_iterations: 100,
        }
    }
}

/// A fitted response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedResponse {
    weights: Vec<f64>,
    bias: f64,
    link: Link,
}

/// From the weighted sum to the response.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Link {
    Logistic,
    /// The sum itself, kept within the outcomes that were seen.
    Linear {
        low: f64,
        high: f64,
    },
    /// Nothing could be told apart: the bias is the mean of the outcomes.
    Mean,
}

impl FittedResponse {
    /// Fits `x` (rows × columns, finite; quicker if columns lie together) to the outcomes. Where nothing can be told
    /// apart (no rows, one outcome only, a solver that gives up) it is the mean; [`FittedResponse::is_mean`] says so.
    /// Deterministic.
    #[must_use]
    pub fn fit(x: Array2<f64>, outcomes: &[f64], kind: Kind, params: &ResponseParams) -> Self {
        let mean = outcomes.iter().sum::<f64>() / outcomes.len().max(1) as f64;
        let columns = x.ncols();
        let (low, high) = outcomes
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &y| {
                (low.min(y), high.max(y))
            });
        let fitted = if high > low && columns > 0 {
            match kind {
                Kind::Chance => logistic(x, outcomes, params),
                Kind::Amount => ridge(&x, outcomes, mean, params).map(|(weights, bias)| Self {
                    weights,
                    bias,
                    link: Link::Linear { low, high },
                }),
            }
        } else {
            None
        };
        let is_finite =
            |fitted: &Self| fitted.bias.is_finite() && fitted.weights.iter().all(|w| w.is_finite());
        fitted
            .filter(is_finite)
            .unwrap_or_else(|| Self::mean(mean, columns))
    }

    /// The same of every row of so many columns.
    #[must_use]
    fn mean(mean: f64, columns: usize) -> Self {
        Self {
            weights: vec![0.0; columns],
            bias: mean,
            link: Link::Mean,
        }
    }

    /// True if it expects the same of every row.
    #[must_use]
    pub fn is_mean(&self) -> bool {
        self.link == Link::Mean
    }

    /// The weight of each column.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The bias: the sum of a row of zeros.
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.bias
    }

    /// What to expect of a row.
    #[must_use]
    pub fn expect(&self, row: &[f64]) -> f64 {
        let sum: f64 = row.iter().zip(&self.weights).map(|(x, w)| x * w).sum();
        self.of_sum(self.bias + sum)
    }

    /// What to expect where the weighted sum, with the bias, is this.
    #[must_use]
    pub fn of_sum(&self, sum: f64) -> f64 {
        match self.link {
            Link::Logistic => 1.0 / (1.0 + (-sum).exp()),
            Link::Linear { low, high } => sum.clamp(low, high),
            Link::Mean => self.bias,
        }
    }
}

fn logistic(x: Array2<f64>, outcomes: &[f64], params: &ResponseParams) -> Option<FittedResponse> {
    let y: Array1<bool> = outcomes.iter().map(|&outcome| outcome > 0.5).collect();
    let fitted = LogisticRegression::default()
        .alpha(params.l2)
        .max_iterations(params.max_iterations)
        .gradient_tolerance(GRADIENT_TOLERANCE)
        .fit(&Dataset::new(x, y))
        .ok()?;
    // linfa decides by order which class is "positive"
    let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    Some(FittedResponse {
        weights: fitted.params().iter().map(|weight| weight * sign).collect(),
        bias: fitted.intercept() * sign,
        link: Link::Logistic,
    })
}

/// Ridge regression (Hoerl, Kennard 1970) of centred columns: (XᵀX + λI) w = Xᵀy, by Cholesky.
fn ridge(
    x: &Array2<f64>,
    outcomes: &[f64],
    mean: f64,
    params: &ResponseParams,
) -> Option<(Vec<f64>, f64)> {
    let size = x.ncols();
    let means = x.mean_axis(Axis(0))?;
    let centred = x - &means;
    let y: Array1<f64> = outcomes.iter().map(|outcome| outcome - mean).collect();
    let mut gram: Vec<f64> = centred.t().dot(&centred).iter().copied().collect();
    for place in 0..size {
        // a constant column gets no weight, whatever the penalty
        gram[place * size + place] += params.l2.max(1e-9);
    }
    factor(&mut gram, size)?;
    let mut weights: Vec<f64> = centred.t().dot(&y).to_vec();
    solve(&gram, size, &mut weights);
    let shift: f64 = weights.iter().zip(&means).map(|(w, m)| w * m).sum();
    Some((weights, mean - shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(count: usize) -> Array2<f64> {
        Array2::from_shape_fn((count, 2), |(row, column)| {
            let step = if column == 0 { 7 } else { 13 };
            ((row * step) % 101) as f64 / 50.0 - 1.0
        })
    }

    #[test]
    fn amounts_are_found_again() {
        let x = grid(500);
        let y: Vec<f64> = x
            .rows()
            .into_iter()
            .map(|row| 3.0 + 2.0 * row[0] - row[1])
            .collect();
        let params = ResponseParams {
            l2: 0.0,
            ..ResponseParams::default()
        };
        let fitted = FittedResponse::fit(x, &y, Kind::of(&y), &params);
        assert!(
            (fitted.expect(&[0.5, -0.5]) - 4.5).abs() < 1e-6,
            "{fitted:?}"
        );
        // by hand: x = −1, 1; y = 0, 2; penalty 2: w = Σxy / (Σx² + 2) = 2 / 4
        let x = Array2::from_shape_vec((2, 1), vec![-1.0, 1.0]).unwrap();
        let params = ResponseParams {
            l2: 2.0,
            ..ResponseParams::default()
        };
        let fitted = FittedResponse::fit(x, &[0.0, 2.0], Kind::Amount, &params);
        assert!((fitted.weights()[0] - 0.5).abs() < 1e-12 && (fitted.bias() - 1.0).abs() < 1e-12);
        assert!(
            (fitted.expect(&[9.0]) - 2.0).abs() < 1e-12,
            "kept within what was seen"
        );
    }

    #[test]
    fn chances_are_found_again() {
        // the chance is 0.8 where the first column is above 0, else 0.2
        let x = Array2::from_shape_fn((1_000, 1), |(row, _)| (row % 2) as f64);
        let y: Vec<f64> = (0..1_000)
            .map(|row| f64::from((row / 2) % 10 < if row % 2 == 1 { 8 } else { 2 }))
            .collect();
        let fitted = FittedResponse::fit(x, &y, Kind::of(&y), &ResponseParams::default());
        assert!(
            (fitted.expect(&[1.0]) - 0.8).abs() < 0.01
                && (fitted.expect(&[0.0]) - 0.2).abs() < 0.01
        );
    }

    #[test]
    fn where_nothing_can_be_told_apart_it_is_the_mean() {
        let params = ResponseParams::default();
        for outcome in [0.0, 1.0, 2.5] {
            let y = [outcome; 10];
            let fitted = FittedResponse::fit(grid(10), &y, Kind::of(&y), &params);
            assert!(fitted.is_mean() && (fitted.expect(&[3.0, 3.0]) - outcome).abs() < 1e-12);
        }
        let none = FittedResponse::fit(grid(0), &[], Kind::Chance, &params);
        assert!(none.is_mean() && none.expect(&[1.0, 1.0]).abs() < 1e-12);
        let no_columns = FittedResponse::fit(
            Array2::zeros((4, 0)),
            &[0.0, 1.0, 1.0, 1.0],
            Kind::Chance,
            &params,
        );
        assert!((no_columns.expect(&[]) - 0.75).abs() < 1e-12);
    }
}
