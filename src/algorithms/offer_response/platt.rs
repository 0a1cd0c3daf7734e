//! Chances from log-odds.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::algorithms::response::{FittedResponse, Kind, ResponseParams};

/// From log-odds to a chance: σ(intercept + slope · log-odds) (Platt 1999). A curve that bends with every group of
/// rows, as isotonic regression finds it, would be right for chances and wrong for their differences, which are all
/// that an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Platt {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Platt {
    /// Of log-odds that were said of rows, and what came; nothing where nothing can be told apart.
    pub(super) fn fit(said: &[f64], came: &[bool]) -> Option<Self> {
        let outcomes: Vec<f64> = came.iter().map(|&came| f64::from(came)).collect();
        let column = Array2::from_shape_vec((said.len(), 1), said.to_vec()).ok()?;
        let params = ResponseParams {
            l2: 1e-3,
            ..ResponseParams::default()
        };
        let fitted = FittedResponse::fit(column, &outcomes, Kind::Chance, &params);
        let slope = fitted.weights().first().copied().unwrap_or(0.0);
        let is_of_use = !fitted.is_mean() && slope > 0.0;
        is_of_use.then(|| Self {
            slope,
            intercept: fitted.bias(),
        })
    }
}
