//! How far another way to learn, with an arm for each kind and nothing shared, finds the same people (a T-learner).

use super::{FittedOfferResponse, OfferArm, OfferRow};
use crate::algorithms::response::{Kind, ResponseParams};
use crate::algorithms::uplift::features::{Encoded, FeatureColumn, FeatureValues};
use crate::algorithms::uplift::learner::{Data, FittedTLearner};

/// How far a T-learner with an arm for each kind agrees: the mean correlation, over the kinds with rows enough, of the
/// uplift both expect of each row. Nothing where one of them tells nobody apart.
#[must_use]
pub fn agreement(fitted: &FittedOfferResponse, rows: &[OfferRow]) -> Option<f64> {
    let kinds = &fitted.layout.kinds;
    let features = rows.first()?.x.len() + rows.first()?.modifiers.len();
    let number = |row: &OfferRow, column: usize| match column.checked_sub(row.x.len()) {
        Some(behind) => row.modifiers[behind],
        None => row.x[column],
    };
    let columns = (0..features).map(|column| FeatureColumn {
        name: column.to_string(),
        values: FeatureValues::Numbers(rows.iter().map(|row| number(row, column)).collect()),
    });
    let encoded = Encoded::of(&columns.collect::<Vec<_>>(), rows.len(), 2);
    let place = |arm: OfferArm| kinds.binary_search(&arm.kind).ok();
    let is_in = |row: &OfferRow| row.arm.is_none_or(|arm| place(arm).is_some());
    let arm: Vec<u32> = rows
        .iter()
        .map(|row| row.arm.and_then(place).map_or(0, |place| place as u32 + 1))
        .collect();
    let used: Vec<usize> = (0..rows.len()).filter(|&r| is_in(&rows[r])).collect();
    let outcome: Vec<f64> = rows
        .iter()
        .map(|row| f64::from(row.outcome.bought()))
        .collect();
    let data = Data {
        encoded: &encoded,
        rows: &used,
        arm: &arm,
        arms: kinds.len() + 1,
        outcome: &outcome,
        kind: Kind::Chance,
    };
    let params = ResponseParams {
        l2: 30.0,
        ..ResponseParams::default()
    };
    let other = FittedTLearner::fit(&data, &params);
    let correlations = kinds.iter().enumerate().filter_map(|(number, &kind)| {
        let pairs = rows.iter().enumerate().map(|(row, taught)| {
            let z = fitted
                .layout
                .inputs(&fitted.standard, &taught.x, &taught.modifiers);
            let standing = fitted.standing_of(&z);
            // an offer that nobody has seen is as its kind
            let new = OfferArm { kind, offer: 0 };
            let uplift = fitted.expect(&standing, Some(new)) - fitted.expect(&standing, None);
            (uplift, other.uplift(encoded.row(row), number + 1))
        });
        correlation(&pairs.collect::<Vec<_>>())
    });
    let correlations: Vec<f64> = correlations.collect();
    let count = correlations.len() as f64;
    (count > 0.0).then(|| correlations.iter().sum::<f64>() / count)
}

fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let (a, b) = pairs
        .iter()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (a, b) = (a / count, b / count);
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| -> f64 { pairs.iter().map(|(x, y)| of(x - a, y - b)).sum() };
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    (spread > 1e-12).then(|| sum(&|x, y| x * y) / spread)
}
