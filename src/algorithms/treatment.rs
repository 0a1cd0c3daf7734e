//! With which probability somebody was treated, where nobody wrote it down: the propensity score (Rosenbaum and Rubin
//! 1983, The central role of the propensity score in observational studies), by linfa's logistic regression.

use ndarray::Array2;

use super::response::{FittedResponse, Kind, ResponseParams};
use super::standard::Standard;

/// Whoever was treated, or not, nearly for sure has nobody to be compared with: propensities outside are none (Crump et
/// al. 2009, Dealing with limited overlap in estimation of average treatment effects).
const OVERLAP: (f64, f64) = (0.1, 0.9);

/// What tells propensities.
#[derive(Debug)]
pub struct FittedTreatment {
    standard: Standard,
    response: FittedResponse,
}

impl FittedTreatment {
    /// Of rows of features, as many in each, and whether each was treated.
    ///
    /// # Panics
    /// If rows are not of the same length.
    #[must_use]
    pub fn fit(rows: &[&[f64]], treated: &[bool]) -> Self {
        let standard = Standard::of(rows);
        let flat: Vec<f64> = rows.iter().flat_map(|row| standard.all(row)).collect();
        let matrix = Array2::from_shape_vec((rows.len(), standard.features()), flat);
        let matrix = matrix.expect("every row has as many features");
        let treated: Vec<f64> = treated.iter().map(|&treated| f64::from(treated)).collect();
        let params = ResponseParams::default();
        Self {
            response: FittedResponse::fit(matrix, &treated, Kind::Chance, &params),
            standard,
        }
    }

    /// The probability that somebody with these features was treated, if `is_treated`, or else was not; nothing if
    /// either was nearly sure.
    #[must_use]
    pub fn propensity(&self, x: &[f64], is_treated: bool) -> Option<f64> {
        let treated = self.response.expect(&self.standard.all(x));
        let overlaps = (OVERLAP.0..=OVERLAP.1).contains(&treated);
        overlaps.then_some(if is_treated { treated } else { 1.0 - treated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::choice::number;

    #[test]
    fn propensities_are_found_and_sure_ones_are_none() {
        // of the first half three in ten were treated, of the second seven in ten
        let count = 8_000;
        let rows: Vec<[f64; 1]> = (0..count).map(|i| [f64::from(i % 2)]).collect();
        let chance = |x: f64| 0.3 + 0.4 * x;
        let treated = |i: u32| number(u64::from(i)) < chance(f64::from(i % 2));
        let treated: Vec<bool> = (0..count).map(treated).collect();
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let fitted = FittedTreatment::fit(&rows, &treated);
        for x in [0.0, 1.0] {
            let told = fitted.propensity(&[x], true).unwrap();
            assert!((told - chance(x)).abs() < 0.03, "{told}");
            let other = fitted.propensity(&[x], false).unwrap();
            assert!((told + other - 1.0).abs() < 1e-12);
        }
        // everybody was, or nobody
        let all = FittedTreatment::fit(&rows, &vec![true; rows.len()]);
        assert_eq!(all.propensity(&[1.0], true), None);
        let none = FittedTreatment::fit(&[], &[]);
        assert_eq!(none.propensity(&[], false), None);
    }
}
