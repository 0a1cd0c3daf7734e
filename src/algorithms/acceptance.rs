//! Whether somebody takes an offer: what their history says of the products it is about, and a logistic regression
//! (linfa-logistic) on it, held back hard because few offers are ever redeemed.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::algorithms::ranker::FitError;

/// How many numbers the regression reads.
const COUNT: usize = 8;

/// What is known of a customer and an offer at one moment. Every number is 0 or more.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Features {
    /// Own purchases of the products it is about: pairs of a basket and a product.
    pub own: f64,
    /// The same, fading with time.
    pub own_faded: f64,
    /// How many own purchases of them the types of the own products let expect: see [`expected`].
    pub by_type: f64,
    /// The same by categories.
    pub by_category: f64,
    /// Purchases of its products by everybody: pairs of a basket and a product.
    pub popularity: f64,
    /// How many products it is about.
    pub breadth: f64,
    /// How like it is to the offers this customer redeemed before: Σ over these offers and over types of the share of
    /// the type among the products of both.
    pub redeemed_alike: f64,
}

impl Features {
    /// What the regression reads: ln(1 + x) of each, and of what is said while nothing is learned.
    fn row(&self) -> [f64; COUNT] {
        let Self {
            own,
            own_faded,
            by_type,
            by_category,
            popularity,
            breadth,
            redeemed_alike,
        } = *self;
        let numbers = [
            own,
            own_faded,
            by_type,
            by_category,
            popularity,
            breadth,
            redeemed_alike,
            self.unlearned(),
        ];
        numbers.map(|number| number.max(0.0).ln_1p())
    }

    /// The score while nothing is learned: own purchases, and those that the types of the own products let expect.
    #[must_use]
    pub fn unlearned(&self) -> f64 {
        self.own + self.by_type
    }
}

/// How many own purchases of some products are to be expected, where the own purchases are only known by kind (type or
/// category): Σ over kinds of own purchases of the kind × share of these products in everybody's purchases of the kind.
/// Both are sorted by kind, each kind once; shares are from 0 to 1.
#[must_use]
pub fn expected(own: &[(u32, f64)], shares: &[(u32, f64)]) -> f64 {
    let (short, long) = if own.len() < shares.len() {
        (own, shares)
    } else {
        (shares, own)
    };
    let products = short.iter().filter_map(|&(kind, number)| {
        let place = long.binary_search_by_key(&kind, |&(kind, _)| kind).ok()?;
        Some(number * long[place].1)
    });
    products.sum()
}

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AcceptanceParams {
    /// Strength of the L2 penalty on the standardised weights, against the sum of the losses of all examples.
    pub l2: f64,
    /// The most steps of L-BFGS.
    pub max_iterations: u64,
}

impl Default for AcceptanceParams {
    fn default() -> Self {
        Self {
            l2: 1_000.0,
            max_iterations: 200,
        }
    }
}

/// A fitted regression: a weight for the logarithm of each feature, and a bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedAcceptance {
    weights: [f64; COUNT],
    bias: f64,
}

/// Fits examples: what was known, and whether the offer was taken. Deterministic.
///
/// # Errors
/// [`FitError`].
pub fn fit(
    examples: &[(Features, bool)],
    params: &AcceptanceParams,
) -> Result<FittedAcceptance, FitError> {
    if !(params.l2 > 0.0 && params.l2.is_finite()) {
        return Err(FitError::Params("l2 must be greater than zero"));
    }
    let positives = examples.iter().filter(|&&(_, taken)| taken).count();
    if positives == 0 || positives == examples.len() {
        return Err(FitError::OneClass {
            positives,
            rows: examples.len(),
        });
    }
    let rows: Vec<[f64; COUNT]> = examples.iter().map(|(known, _)| known.row()).collect();
    let (mean, scale) = standard(&rows);
    let x = Array2::from_shape_fn((rows.len(), COUNT), |(row, feature)| {
        (rows[row][feature] - mean[feature]) / scale[feature]
    });
    let y: Array1<bool> = examples.iter().map(|&(_, taken)| taken).collect();
    let fitted = LogisticRegression::default()
        .alpha(params.l2)
        .max_iterations(params.max_iterations)
        .gradient_tolerance(1e-4)
        .fit(&Dataset::new(x, y))
        .map_err(|error| FitError::Solver(error.to_string()))?;
    // linfa decides by order which class is "positive"
    let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    let mut weights = [0.0; COUNT];
    let mut bias = fitted.intercept() * sign;
    for (feature, weight) in fitted.params().iter().enumerate() {
        weights[feature] = weight * sign / scale[feature];
        bias -= weights[feature] * mean[feature];
    }
    if !weights
        .iter()
        .chain([&bias])
        .all(|number| number.is_finite())
    {
        return Err(FitError::Solver("the weights are not finite".to_owned()));
    }
    Ok(FittedAcceptance { weights, bias })
}

/// Mean and standard deviation of each column; the deviation of a constant one is 1.
fn standard(rows: &[[f64; COUNT]]) -> ([f64; COUNT], [f64; COUNT]) {
    let n = rows.len() as f64;
    let (mut mean, mut scale) = ([0.0; COUNT], [0.0; COUNT]);
    for feature in 0..COUNT {
        let column = || rows.iter().map(|row| row[feature]);
        mean[feature] = column().sum::<f64>() / n;
        let squares = column().map(|number| (number - mean[feature]).powi(2));
        let variance = squares.sum::<f64>() / n;
        scale[feature] = if variance > 1e-12 {
            variance.sqrt()
        } else {
            1.0
        };
    }
    (mean, scale)
}

impl FittedAcceptance {
    /// The log-odds that the offer is taken, among offers like those it was fitted on.
    #[must_use]
    pub fn score(&self, known: &Features) -> f64 {
        let terms = self.weights.iter().zip(known.row());
        self.bias + terms.map(|(weight, number)| weight * number).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers of which those are taken whose products were bought before; popularity is noise.
    fn examples() -> Vec<(Features, bool)> {
        let all = (0..4_000u32).map(|i| {
            let own = f64::from(i % 5);
            let known = Features {
                own,
                own_faded: own / 2.0,
                popularity: f64::from(i * 7_919 % 101),
                breadth: 10.0,
                ..Features::default()
            };
            let chance = f64::from(i * 104_729 % 1_000) / 1_000.0;
            (known, chance < 0.02 + 0.1 * own)
        });
        all.collect()
    }

    #[test]
    fn what_was_bought_is_taken() {
        let fitted = fit(&examples(), &AcceptanceParams::default()).unwrap();
        let known = |own: f64, popularity: f64| Features {
            own,
            own_faded: own / 2.0,
            popularity,
            breadth: 10.0,
            ..Features::default()
        };
        assert!(fitted.score(&known(4.0, 50.0)) > fitted.score(&known(0.0, 50.0)) + 0.5);
        let noise = fitted.score(&known(1.0, 100.0)) - fitted.score(&known(1.0, 0.0));
        assert!(noise.abs() < 0.5, "{noise}");
        assert_eq!(
            fitted,
            fit(&examples(), &AcceptanceParams::default()).unwrap()
        );
    }

    #[test]
    fn a_weaker_penalty_leaves_greater_weights() {
        let spread = |l2| {
            let params = AcceptanceParams {
                l2,
                ..AcceptanceParams::default()
            };
            let fitted = fit(&examples(), &params).unwrap();
            let known = |own| Features {
                own,
                ..Features::default()
            };
            fitted.score(&known(4.0)) - fitted.score(&known(0.0))
        };
        assert!(spread(10.0) > 1.5 * spread(3_000.0));
        // the mean is not held back: on average what is said is what came
        let fitted = fit(&examples(), &AcceptanceParams::default()).unwrap();
        let said = examples().into_iter().map(|(known, _)| {
            let odds = fitted.score(&known).exp();
            odds / (1.0 + odds)
        });
        let came = examples().iter().filter(|&&(_, taken)| taken).count() as f64 / 4_000.0;
        assert!((said.sum::<f64>() / 4_000.0 - came).abs() < 0.01);
    }

    #[test]
    fn one_class_and_wrong_params_are_errors() {
        let params = AcceptanceParams::default();
        let mut refused = examples();
        refused.retain(|&(_, taken)| !taken);
        for examples in [&refused[..], &[]] {
            let result = fit(examples, &params);
            assert!(matches!(
                result,
                Err(FitError::OneClass { positives: 0, .. })
            ));
        }
        for l2 in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let params = AcceptanceParams { l2, ..params };
            assert!(matches!(
                fit(&examples(), &params),
                Err(FitError::Params(_))
            ));
        }
    }

    #[test]
    fn what_is_expected_is_computed_by_hand() {
        let own = [(1, 2.0), (4, 3.0), (7, 1.0)];
        let shares = [(0, 1.0), (1, 0.5), (4, 0.1)];
        assert!((expected(&own, &shares) - 1.3).abs() < 1e-12);
        assert!((expected(&shares, &own) - 1.3).abs() < 1e-12);
        assert!((expected(&own, &[(7, 0.25)]) - 0.25).abs() < 1e-12);
        assert!(expected(&own, &[]).abs() < 1e-12 && expected(&[], &own).abs() < 1e-12);
        let known = Features {
            own: 2.0,
            by_type: 1.3,
            popularity: 100.0,
            ..Features::default()
        };
        assert!((known.unlearned() - 3.3).abs() < 1e-12);
    }
}
