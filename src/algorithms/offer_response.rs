//! Who buys with which offer, and who without: an S-learner (Künzel et al. 2019) by logistic regression whose
//! arms are nested (`nested.rs`). Every offer shares a part with all offers, one with those of its kind, and
//! has one of its own, each with all features; the narrower parts are drawn harder to 0. So an offer that hardly
//! anybody saw does what its kind does, and a new kind what offers do.

mod nested;

use std::collections::BTreeMap;

use nested::{Block, NestedRows};
use serde::{Deserialize, Serialize};

use super::calibration::{Calibration, expected_error, grouped};
use super::folds::folds;
use super::response::{FittedResponse, Kind, ResponseParams};
use super::standard::Standard;
use super::uplift::features::{Encoded, FeatureColumn, FeatureValues};
use super::uplift::learner::{Data, FittedTLearner};

/// A kind, or an offer, needs so many rows for a part of its own.
pub const MIN_ARM_ROWS: usize = 200;
/// At most so many offers have one.
pub const MAX_OFFERS: usize = 20;
/// The penalties that are tried on rows that were not fitted.
const PENALTIES: [f64; 3] = [300.0, 30.0, 3.0];
/// By so much the columns of kinds and of offers are shortened: a penalty counts the more.
const NARROW: f64 = 0.7;
/// Held-back folds.
const FOLDS: usize = 4;

/// An arm: an offer and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OfferArm {
    /// The number of the kind.
    pub kind: u8,
    /// What tells the offer apart.
    pub offer: u32,
}

/// What one decision taught.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferRow {
    /// The features; as many in every row.
    pub x: Vec<f64>,
    /// The offer; absent: none.
    pub arm: Option<OfferArm>,
    /// They bought.
    pub bought: bool,
}

/// What it expects of a customer before an offer is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    z: Vec<f64>,
    /// Without any offer, and what all offers add; before the link.
    none: f64,
    treated: f64,
}

/// The fitted learner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedOfferResponse {
    standard: Standard,
    parts: Parts,
    response: FittedResponse,
    calibration: Option<Calibration>,
}

/// How good a fit is on rows it has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FitQuality {
    /// Mean log-loss, before calibration.
    pub log_loss: f64,
    /// The same of the share that bought, whoever it was.
    pub base_log_loss: f64,
    /// Expected calibration error, after calibration.
    pub calibration_error: f64,
    /// The penalty that foretold best.
    pub l2: f64,
}

/// Which kinds and offers have a part of their own; both sorted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parts {
    kinds: Vec<u8>,
    offers: Vec<u32>,
}

impl Parts {
    fn of(rows: &[OfferRow]) -> Self {
        fn frequent<T: Copy + Ord>(all: impl Iterator<Item = T>, most: usize) -> Vec<T> {
            let mut counts = BTreeMap::new();
            all.for_each(|one| *counts.entry(one).or_insert(0usize) += 1);
            let mut found: Vec<(usize, T)> = counts
                .into_iter()
                .filter(|&(_, count)| count >= MIN_ARM_ROWS)
                .map(|(one, count)| (count, one))
                .collect();
            found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            found.truncate(most);
            let mut found: Vec<T> = found.into_iter().map(|(_, one)| one).collect();
            found.sort_unstable();
            found
        }
        let arms = || rows.iter().filter_map(|row| row.arm);
        Self {
            kinds: frequent(arms().map(|arm| arm.kind), usize::from(u8::MAX)),
            offers: frequent(arms().map(|arm| arm.offer), MAX_OFFERS),
        }
    }

    /// The columns of one row: the features, and a mark and the features again for each part.
    fn columns(&self, features: usize) -> usize {
        features + (1 + self.kinds.len() + self.offers.len()) * (features + 1)
    }

    /// Where the parts of an arm begin, and by how much each counts.
    fn of_arm(&self, arm: OfferArm, features: usize) -> impl Iterator<Item = (usize, f64)> {
        let start = move |part: usize| features + part * (features + 1);
        let kind = self.kinds.binary_search(&arm.kind).ok();
        let offer = self.offers.binary_search(&arm.offer).ok();
        let kind = kind.map(|place| (start(1 + place), NARROW));
        let offer = offer.map(|place| (start(1 + self.kinds.len() + place), NARROW));
        kind.into_iter().chain(offer)
    }
}

impl Parts {
    /// The number of each row's arm, and of each arm which parts it has.
    fn blocks(&self, rows: &[OfferRow], features: usize) -> (Vec<usize>, Vec<Vec<Block>>) {
        let base = Block {
            start: None,
            weight: 1.0,
        };
        let mut known = BTreeMap::new();
        let mut blocks = Vec::new();
        let arm = rows.iter().map(|row| {
            // arms of the same parts are one here
            let parts = row.arm.map(|arm| {
                let kind = self.kinds.binary_search(&arm.kind).ok();
                (kind, self.offers.binary_search(&arm.offer).ok())
            });
            *known.entry(parts).or_insert_with(|| {
                let mut own = vec![base];
                if let Some(arm) = row.arm {
                    let all = std::iter::once((features, 1.0));
                    let parts = all.chain(self.of_arm(arm, features));
                    own.extend(parts.map(|(start, weight)| Block {
                        start: Some(start),
                        weight,
                    }));
                }
                blocks.push(own);
                blocks.len() - 1
            })
        });
        (arm.collect(), blocks)
    }
}

impl FittedOfferResponse {
    /// Fits. Deterministic by `seed`. Asks `keep_on` before each of its fits; nothing if it shall not.
    #[must_use]
    pub fn fit(
        rows: &[OfferRow],
        seed: u64,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Option<(Self, FitQuality)> {
        let parts = Parts::of(rows);
        let features = rows.first().map_or(0, |row| row.x.len());
        let standard = Standard::of(&rows.iter().map(|row| &row.x[..]).collect::<Vec<_>>());
        let z: Vec<Vec<f64>> = rows.iter().map(|row| standard.all(&row.x)).collect();
        let bought: Vec<bool> = rows.iter().map(|row| row.bought).collect();
        let strata = rows.iter().map(|row| {
            let arm = row.arm.map_or(0, |arm| 1 + u32::from(arm.kind));
            2 * arm + u32::from(row.bought)
        });
        let fold_of = folds(&strata.collect::<Vec<u32>>(), FOLDS, seed);
        let (arm, blocks) = parts.blocks(rows, features);
        let nested = NestedRows {
            z: &z,
            arm: &arm,
            came: &bought,
            blocks: &blocks,
            columns: parts.columns(features),
        };
        let fit = |wanted: &dyn Fn(usize) -> bool, l2: f64| {
            let places: Vec<usize> = (0..rows.len()).filter(|&place| wanted(place)).collect();
            let response = nested.fit(&places, l2);
            Self {
                standard: standard.clone(),
                parts: parts.clone(),
                response,
                calibration: None,
            }
        };
        let mut best: Option<(f64, f64, Vec<f64>)> = None;
        for l2 in PENALTIES {
            let mut said = vec![0.0; rows.len()];
            for fold in 0..FOLDS as u8 {
                if !keep_on() {
                    return None;
                }
                let fitted = fit(&|place| fold_of[place] != fold, l2);
                for (place, row) in rows.iter().enumerate().filter(|&(p, _)| fold_of[p] == fold) {
                    let standing = fitted.standing(&row.x);
                    said[place] = fitted.raw(&standing, row.arm);
                }
            }
            let loss = log_loss(&said, &bought);
            if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, l2, said));
            }
        }
        let (loss, l2, said) = best.unwrap_or((0.0, PENALTIES[0], Vec::new()));
        if !keep_on() {
            return None;
        }
        let mut fitted = fit(&|_| true, l2);
        fitted.calibration = Calibration::fit(&grouped(&said), &bought);
        let calibrated: Vec<f64> = said.iter().map(|&said| fitted.calibrated(said)).collect();
        let share = bought.iter().filter(|&&b| b).count() as f64 / bought.len().max(1) as f64;
        let quality = FitQuality {
            log_loss: loss,
            base_log_loss: log_loss(&vec![share; bought.len()], &bought),
            calibration_error: expected_error(&calibrated, &bought),
            l2,
        };
        Some((fitted, quality))
    }

    /// What is known of a customer before an offer is named.
    #[must_use]
    pub fn standing(&self, x: &[f64]) -> Standing {
        let z = self.standard.all(x);
        let none = self.response.bias() + self.dot(&z, 0);
        let treated = self.part(&z, z.len());
        Standing { z, none, treated }
    }

    /// The calibrated probability that they buy with an offer, or with none.
    #[must_use]
    pub fn expect(&self, standing: &Standing, arm: Option<OfferArm>) -> f64 {
        self.calibrated(self.raw(standing, arm))
    }

    /// True if it takes as many features.
    #[must_use]
    pub fn fits(&self, features: usize) -> bool {
        self.standard.features() == features
    }

    fn raw(&self, standing: &Standing, arm: Option<OfferArm>) -> f64 {
        let Standing { z, none, treated } = standing;
        let sum = match arm {
            None => *none,
            Some(arm) => {
                let parts = self.parts.of_arm(arm, z.len());
                let own = parts.map(|(start, weight)| weight * self.part(z, start));
                none + treated + own.sum::<f64>()
            }
        };
        self.response.of_sum(sum)
    }

    fn calibrated(&self, probability: f64) -> f64 {
        let calibration = self.calibration.as_ref();
        calibration.map_or(probability, |c| c.probability(probability))
    }

    fn part(&self, z: &[f64], start: usize) -> f64 {
        let weights = self.response.weights();
        weights.get(start).copied().unwrap_or(0.0) + self.dot(z, start + 1)
    }

    fn dot(&self, z: &[f64], start: usize) -> f64 {
        let weights = self.response.weights().iter().skip(start);
        z.iter().zip(weights).map(|(x, w)| x * w).sum()
    }
}

/// How far a T-learner with an arm for each kind agrees: the mean correlation, over the kinds with rows enough, of the
/// uplift both expect of each row. Nothing where one of them tells nobody apart.
#[must_use]
pub fn agreement(fitted: &FittedOfferResponse, rows: &[OfferRow]) -> Option<f64> {
    let kinds = &fitted.parts.kinds;
    let features = rows.first()?.x.len();
    let columns = (0..features).map(|column| FeatureColumn {
        name: column.to_string(),
        values: FeatureValues::Numbers(rows.iter().map(|row| row.x[column]).collect()),
    });
    let encoded = Encoded::of(&columns.collect::<Vec<_>>(), rows.len(), 2);
    let place = |arm: OfferArm| kinds.binary_search(&arm.kind).ok();
    let is_in = |row: &OfferRow| row.arm.is_none_or(|arm| place(arm).is_some());
    let arm: Vec<u32> = rows
        .iter()
        .map(|row| row.arm.and_then(place).map_or(0, |place| place as u32 + 1))
        .collect();
    let used: Vec<usize> = (0..rows.len()).filter(|&r| is_in(&rows[r])).collect();
    let outcome: Vec<f64> = rows.iter().map(|row| f64::from(row.bought)).collect();
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
            let standing = fitted.standing(&taught.x);
            // an offer that nobody has seen is as its kind
            let new = OfferArm { kind, offer: 0 };
            let uplift = fitted.raw(&standing, Some(new)) - fitted.raw(&standing, None);
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

fn log_loss(said: &[f64], came: &[bool]) -> f64 {
    let loss = said.iter().zip(came).map(|(&said, &came)| {
        let said = said.clamp(1e-9, 1.0 - 1e-9);
        -if came { said.ln() } else { (1.0 - said).ln() }
    });
    loss.sum::<f64>() / came.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::choice::number;

    /// Two offers of one kind: the first works where the feature is 1, the second where it is 0.
    fn rows(count: u64) -> Vec<OfferRow> {
        let row = |i: u64| {
            let feature = (i % 2) as f64;
            let arm = (i / 2) % 3;
            let works = arm == 1 && feature > 0.5 || arm == 2 && feature < 0.5;
            OfferRow {
                x: vec![feature, 7.0],
                arm: (arm > 0).then_some(OfferArm {
                    kind: 1,
                    offer: arm as u32,
                }),
                bought: number(i) < if works { 0.5 } else { 0.2 },
            }
        };
        (0..count).map(row).collect()
    }

    fn fit(rows: &[OfferRow]) -> (FittedOfferResponse, FitQuality) {
        FittedOfferResponse::fit(rows, 7, &mut || true).unwrap()
    }

    #[test]
    fn a_fit_that_shall_stop_stops_before_its_next_step() {
        let rows = rows(600);
        for steps in [0, 1, FOLDS * PENALTIES.len()] {
            let mut left = steps;
            let mut keep_on = || {
                let keeps_on = left > 0;
                left = left.saturating_sub(1);
                keeps_on
            };
            assert_eq!(FittedOfferResponse::fit(&rows, 7, &mut keep_on), None);
        }
    }

    #[test]
    fn offers_of_one_kind_may_work_for_different_people() {
        let (fitted, quality) = fit(&rows(6_000));
        assert!(quality.log_loss < quality.base_log_loss, "{quality:?}");
        assert!(quality.calibration_error < 0.05, "{quality:?}");
        let said = |feature: f64, arm: Option<u32>| {
            let standing = fitted.standing(&[feature, 7.0]);
            let arm = arm.map(|offer| OfferArm { kind: 1, offer });
            fitted.expect(&standing, arm)
        };
        for (feature, arm, expected) in [
            (1.0, Some(1), 0.5),
            (0.0, Some(1), 0.2),
            (1.0, Some(2), 0.2),
            (0.0, Some(2), 0.5),
            (1.0, None, 0.2),
            (0.0, None, 0.2),
        ] {
            let said = said(feature, arm);
            assert!((said - expected).abs() < 0.06, "{feature} {arm:?}: {said}");
        }
        // a new offer stands between those of its kind
        let new = said(1.0, Some(99));
        assert!(new > 0.21 && new < 0.49, "{new}");
        let kept = postcard::to_allocvec(&fitted).unwrap();
        assert_eq!(
            postcard::from_bytes::<FittedOfferResponse>(&kept).unwrap(),
            fitted
        );
        assert_eq!(fit(&rows(6_000)).0, fitted);
    }

    #[test]
    fn a_t_learner_agrees_where_a_kind_works_for_some() {
        let mut rows = rows(6_000);
        rows.retain(|row| row.arm.is_none_or(|arm| arm.offer == 1));
        let (fitted, _) = fit(&rows);
        let agreement = agreement(&fitted, &rows).unwrap();
        assert!(agreement > 0.9, "{agreement}");
    }

    #[test]
    fn whatever_was_seen_everything_is_a_number() {
        let all = |bought: bool, arm: Option<OfferArm>, count: usize| OfferRow {
            x: vec![count as f64, 1e300],
            arm,
            bought,
        };
        let arm = Some(OfferArm { kind: 3, offer: 4 });
        let strange: [Vec<OfferRow>; 5] = [
            Vec::new(),
            vec![all(true, None, 1)],
            (0..500).map(|i| all(true, arm, i)).collect(),
            (0..500).map(|i| all(false, None, i)).collect(),
            (0..500).map(|i| all(i % 2 == 0, arm, 0)).collect(),
        ];
        for rows in strange {
            let (fitted, quality) = fit(&rows);
            let standing = fitted.standing(&[1e300, -1e300]);
            for arm in [None, arm, Some(OfferArm { kind: 9, offer: 9 })] {
                let said = fitted.expect(&standing, arm);
                assert!((0.0..=1.0).contains(&said), "{said}");
            }
            assert!(quality.log_loss.is_finite() && quality.calibration_error.is_finite());
            assert!(agreement(&fitted, &rows).is_none_or(f64::is_finite));
        }
    }
}
