//! Who buys with which offer, and who without: an S-learner (Künzel et al. 2019) by logistic regression whose
//! arms are nested (`nested.rs`). Every offer shares a part with all offers, one with those of its kind, and has one of
//! its own; each is an effect and how it differs by the effect modifiers. How hard each sort of weights is drawn to 0
//! follows from the rows themselves. So an offer that hardly anybody saw does what its kind does, and a new kind what
//! offers do; and where nothing shows that an effect differs, it does not.

mod nested;

use std::collections::BTreeMap;

use ndarray::Array2;
use nested::NestedRows;
use serde::{Deserialize, Serialize};

use super::calibration::expected_error;
use super::folds::folds;
use super::response::{FittedResponse, Kind, ResponseParams};
use super::standard::Standard;
use super::uplift::features::{Encoded, FeatureColumn, FeatureValues};
use super::uplift::learner::{Data, FittedTLearner};

/// A kind, or an offer, needs so many rows for a part of its own.
pub const MIN_ARM_ROWS: usize = 200;
/// At most so many offers have one.
pub const MAX_OFFERS: usize = 20;
/// Held-back folds.
const FOLDS: usize = 4;
/// The groups of weights that have a penalty of their own: of the features of everybody, then the mark and the
/// modifiers of all offers, of kinds and of offers. Each begins with the first number; what `true` stands beside is
/// learned.
const PENALTIES: [(f64, bool); 7] = [
    (10.0, true),
    // one weight shows no spread: an odds ratio of e is usual
    (1.0, false),
    (100.0, true),
    (30.0, true),
    (100.0, true),
    (30.0, true),
    (100.0, true),
];
/// The groups of the marks of all offers, of kinds and of offers; behind each stands that of the modifiers.
const OF_ALL: usize = 1;
const OF_KINDS: usize = 3;
const OF_OFFERS: usize = 5;

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
    /// The effect modifiers, which are taken as they are: as many in every row; none: every feature is one.
    pub modifiers: Vec<f64>,
    /// The offer; absent: none.
    pub arm: Option<OfferArm>,
    /// They bought.
    pub bought: bool,
}

/// What it expects of a customer before an offer is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// A mark and the modifiers: what each part is multiplied by.
    marked: Vec<f64>,
    /// Without any offer, before the link.
    none: f64,
}

/// The fitted learner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedOfferResponse {
    standard: Standard,
    layout: Layout,
    /// Of the features.
    weights: Vec<f64>,
    bias: f64,
    /// Of the parts.
    effects: Vec<f64>,
    /// What the weights of the parts may be off by, all by all.
    covariance: Vec<f64>,
    /// The penalty of each group of weights.
    penalties: Vec<f64>,
    calibration: Option<Platt>,
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
}

/// From log-odds to a chance: σ(intercept + slope · log-odds) (Platt 1999). A curve that bends with every group of
/// rows, as isotonic regression finds it, would be right for chances and wrong for their differences, which are all
/// that an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Platt {
    slope: f64,
    intercept: f64,
}

impl Platt {
    /// Of log-odds that were said of rows, and what came; nothing where nothing can be told apart.
    fn fit(said: &[f64], came: &[bool]) -> Option<Self> {
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

/// Which kinds and offers have a part of their own, both sorted, and how many modifiers a part has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Layout {
    kinds: Vec<u8>,
    offers: Vec<u32>,
    modifiers: usize,
    /// True if every feature is a modifier.
    by_features: bool,
}

impl Layout {
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
        let first = rows.first();
        let given = first.map_or(0, |row| row.modifiers.len());
        let by_features = given == 0;
        Self {
            kinds: frequent(arms().map(|arm| arm.kind), usize::from(u8::MAX)),
            offers: frequent(arms().map(|arm| arm.offer), MAX_OFFERS),
            modifiers: match by_features {
                true => first.map_or(0, |row| row.x.len()),
                false => given,
            },
            by_features,
        }
    }

    /// How many numbers a part has: a mark, and the modifiers.
    fn width(&self) -> usize {
        1 + self.modifiers
    }

    /// The weights of all parts.
    fn size(&self) -> usize {
        (1 + self.kinds.len() + self.offers.len()) * self.width()
    }

    /// Where the parts of an arm begin: that of all offers, of its kind, of the offer; absent: too little was seen of
    /// it.
    fn of_arm(&self, arm: OfferArm) -> [Option<usize>; 3] {
        let kind = self.kinds.binary_search(&arm.kind).ok();
        let offer = self.offers.binary_search(&arm.offer).ok();
        let start = |part: usize| part * self.width();
        [
            Some(0),
            kind.map(|place| start(1 + place)),
            offer.map(|place| start(1 + self.kinds.len() + place)),
        ]
    }

    /// The group of each column of the parts.
    fn groups(&self) -> impl Iterator<Item = usize> {
        let parts = [
            (OF_ALL, 1),
            (OF_KINDS, self.kinds.len()),
            (OF_OFFERS, self.offers.len()),
        ];
        let width = self.width();
        parts.into_iter().flat_map(move |(group, count)| {
            (0..count * width).map(move |column| group + usize::from(column % width > 0))
        })
    }

    /// The number of each row's arm, and of each arm where its parts begin behind so many features.
    fn arms(&self, rows: &[OfferRow], features: usize) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut known = BTreeMap::new();
        let mut all = Vec::new();
        let arm = rows.iter().map(|row| {
            // arms of the same parts are one here
            let parts = row.arm.map(|arm| self.of_arm(arm));
            *known.entry(parts).or_insert_with(|| {
                let parts = parts.into_iter().flatten().flatten();
                all.push(parts.map(|start| features + start).collect());
                all.len() - 1
            })
        });
        (arm.collect(), all)
    }

    /// What everybody's weights, and the parts, are multiplied by.
    fn inputs(&self, standard: &Standard, x: &[f64], modifiers: &[f64]) -> Vec<f64> {
        let mut z = standard.all(x);
        if !self.by_features {
            z.extend(modifiers);
        }
        z
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
        let layout = Layout::of(rows);
        let standard = Standard::of(&rows.iter().map(|row| &row.x[..]).collect::<Vec<_>>());
        let inputs = |row: &OfferRow| layout.inputs(&standard, &row.x, &row.modifiers);
        let z: Vec<Vec<f64>> = rows.iter().map(inputs).collect();
        let features = z.first().map_or(0, Vec::len);
        let bought: Vec<bool> = rows.iter().map(|row| row.bought).collect();
        let (arm, parts) = layout.arms(rows, features);
        let columns = features + layout.size();
        let nested = NestedRows {
            z: &z,
            modifiers: layout.modifiers,
            arm: &arm,
            came: &bought,
            parts: &parts,
            columns,
        };
        let groups: Vec<usize> = std::iter::repeat_n(0, features)
            .chain(layout.groups())
            .collect();
        if !keep_on() {
            return None;
        }
        let mut is_stopped = false;
        let evidence = nested.fit_by_evidence(&groups, &PENALTIES, &mut || {
            is_stopped |= !keep_on();
            !is_stopped
        });
        if is_stopped {
            return None;
        }
        let share = bought.iter().filter(|&&b| b).count() as f64 / bought.len().max(1) as f64;
        let base_log_loss = log_loss(std::iter::repeat_n(share, bought.len()), &bought);
        let Some(evidence) = evidence else {
            // all bought, or none: that is all that can be said
            let fitted = Self::mean(standard, layout, features, share);
            let quality = FitQuality {
                log_loss: base_log_loss,
                base_log_loss,
                calibration_error: 0.0,
            };
            return Some((fitted, quality));
        };
        let size = columns + 1;
        let behind = features..columns;
        let covariance = behind.clone().flat_map(|row| {
            let line = &evidence.covariance[row * size..][..size];
            line[behind.clone()].iter().copied()
        });
        let mut fitted = Self {
            covariance: covariance.collect(),
            penalties: evidence.penalties.clone(),
            ..Self::of_weights(
                standard.clone(),
                layout.clone(),
                features,
                &evidence.weights,
            )
        };
        let strata = rows.iter().map(|row| {
            let arm = row.arm.map_or(0, |arm| 1 + u32::from(arm.kind));
            2 * arm + u32::from(row.bought)
        });
        let fold_of = folds(&strata.collect::<Vec<u32>>(), FOLDS, seed);
        let penalties: Vec<f64> = groups
            .iter()
            .map(|&group| evidence.penalties[group])
            .collect();
        let mut said = vec![0.0; rows.len()];
        for fold in 0..FOLDS as u8 {
            if !keep_on() {
                return None;
            }
            let others: Vec<usize> = (0..rows.len()).filter(|&p| fold_of[p] != fold).collect();
            let Some(weights) = nested.fit(&others, &penalties, Some(&evidence.weights)) else {
                continue;
            };
            let held = Self::of_weights(standard.clone(), layout.clone(), features, &weights);
            for (place, row) in rows.iter().enumerate().filter(|&(p, _)| fold_of[p] == fold) {
                said[place] = held.sum(&held.standing_of(&z[place]), row.arm);
            }
        }
        let loss = log_loss(said.iter().map(|&sum| chance(sum)), &bought);
        fitted.calibration = Platt::fit(&said, &bought);
        let calibrated: Vec<f64> = said.iter().map(|&sum| chance(fitted.odds(sum))).collect();
        let quality = FitQuality {
            log_loss: loss,
            base_log_loss,
            calibration_error: expected_error(&calibrated, &bought),
        };
        Some((fitted, quality))
    }

    fn of_weights(standard: Standard, layout: Layout, features: usize, weights: &[f64]) -> Self {
        let (own, rest) = weights.split_at(features);
        let (effects, bias) = rest.split_at(layout.size());
        Self {
            standard,
            layout,
            weights: own.to_vec(),
            bias: bias.first().copied().unwrap_or(0.0),
            effects: effects.to_vec(),
            covariance: Vec::new(),
            penalties: PENALTIES.iter().map(|&(penalty, _)| penalty).collect(),
            calibration: None,
        }
    }

    /// The same of everybody.
    fn mean(standard: Standard, layout: Layout, features: usize, share: f64) -> Self {
        let mut weights = vec![0.0; features + layout.size()];
        let share = share.clamp(1e-6, 1.0 - 1e-6);
        weights.push((share / (1.0 - share)).ln());
        Self::of_weights(standard, layout, features, &weights)
    }

    /// What is known of a customer before an offer is named, by their features and effect modifiers; nothing if it was
    /// fitted for others.
    #[must_use]
    pub fn standing(&self, x: &[f64], modifiers: &[f64]) -> Option<Standing> {
        let given = match self.layout.by_features {
            true => modifiers.is_empty(),
            false => modifiers.len() == self.layout.modifiers,
        };
        let fits = given && x.len() == self.standard.features();
        fits.then(|| self.standing_of(&self.layout.inputs(&self.standard, x, modifiers)))
    }

    fn standing_of(&self, z: &[f64]) -> Standing {
        let modifiers = &z[z.len() - self.layout.modifiers.min(z.len())..];
        Standing {
            none: self.bias + dot(z, &self.weights),
            marked: std::iter::once(1.0)
                .chain(modifiers.iter().copied())
                .collect(),
        }
    }

    /// The calibrated probability that they buy with an offer, or with none.
    #[must_use]
    pub fn expect(&self, standing: &Standing, arm: Option<OfferArm>) -> f64 {
        chance(self.odds(self.sum(standing, arm)))
    }

    /// By how much that may be off with an offer, as far as its effect goes: a standard deviation. That of the log-odds
    /// is √(uᵀ Σ u) by the Laplace approximation, and where an arm has no part yet, that of those which have one.
    #[must_use]
    pub fn deviation(&self, standing: &Standing, arm: OfferArm) -> f64 {
        let (marked, size) = (&standing.marked, self.layout.size());
        let parts = self.layout.of_arm(arm);
        let mut variance = 0.0;
        for (start, group) in parts.into_iter().zip([OF_ALL, OF_KINDS, OF_OFFERS]) {
            let Some(start) = start else {
                let squares = dot(&marked[1..], &marked[1..]);
                variance += 1.0 / self.penalties[group] + squares / self.penalties[group + 1];
                continue;
            };
            for (row, of_row) in marked.iter().enumerate() {
                for other in parts.into_iter().flatten() {
                    let line = (start + row) * size + other;
                    // without anything told apart there is no covariance
                    let line = self
                        .covariance
                        .get(line..line + marked.len())
                        .unwrap_or_default();
                    variance += of_row * dot(marked, line);
                }
            }
        }
        let slope = self.calibration.map_or(1.0, |platt| platt.slope);
        let said = self.expect(standing, Some(arm));
        said * (1.0 - said) * slope * variance.max(0.0).sqrt()
    }

    /// The log-odds, before calibration.
    fn sum(&self, standing: &Standing, arm: Option<OfferArm>) -> f64 {
        let parts = arm.into_iter().flat_map(|arm| self.layout.of_arm(arm));
        let effects = parts
            .flatten()
            .map(|start| dot(&standing.marked, &self.effects[start..]));
        standing.none + effects.sum::<f64>()
    }

    fn odds(&self, sum: f64) -> f64 {
        let calibration = self.calibration.as_ref();
        calibration.map_or(sum, |platt| platt.intercept + platt.slope * sum)
    }
}

/// Over as many as the shorter has.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// From log-odds.
fn chance(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
}

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

fn log_loss(said: impl Iterator<Item = f64>, came: &[bool]) -> f64 {
    let loss = said.zip(came).map(|(said, &came)| {
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
                modifiers: Vec::new(),
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
        for steps in [0, 1, 2, FOLDS] {
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
            let standing = fitted.standing(&[feature, 7.0], &[]).unwrap();
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

    /// Of three groups of people offer 1 works for the first alone; every number but the group says nothing.
    fn grouped(count: u64) -> Vec<OfferRow> {
        let row = |i: u64| {
            let group = (i % 3) as usize;
            let arm = (i / 3) % 3;
            let works = arm == 1 && group == 0;
            let mut modifiers = vec![0.0; 3];
            modifiers[group] = 1.0;
            OfferRow {
                x: (0..8).map(|which| number(i * 10 + which)).collect(),
                modifiers,
                arm: (arm > 0).then_some(OfferArm {
                    kind: arm as u8,
                    offer: arm as u32,
                }),
                bought: number(i * 10 + 9) < if works { 0.3 } else { 0.2 },
            }
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn an_effect_differs_by_its_modifiers_and_is_as_sure_as_the_rows_make_it() {
        let (fitted, _) = fit(&grouped(36_000));
        let arm = |offer: u32| OfferArm {
            kind: offer as u8,
            offer,
        };
        let mut deviations = Vec::new();
        for group in 0..3 {
            let mut modifiers = vec![0.0; 3];
            modifiers[group] = 1.0;
            let standing = fitted.standing(&[0.5; 8], &modifiers).unwrap();
            let none = fitted.expect(&standing, None);
            for offer in [1, 2] {
                let effect = fitted.expect(&standing, Some(arm(offer))) - none;
                let expected = if offer == 1 && group == 0 { 0.1 } else { 0.0 };
                let off = fitted.deviation(&standing, arm(offer));
                // 4,000 rows of each: √(2 · 0.2 · 0.8 / 4000) is 0.009
                let bound = 3.0 * 0.009;
                assert!(
                    (effect - expected).abs() < bound,
                    "{group} {offer}: {effect}"
                );
                assert!((0.001..0.015).contains(&off), "{group} {offer}: {off}");
                deviations.push(off);
            }
            // of a kind nobody has seen less is known
            let new = fitted.deviation(&standing, arm(7));
            assert!(new > fitted.deviation(&standing, arm(1)), "{new}");
        }
        // fewer rows, less sure
        let (fewer, _) = fit(&grouped(9_000));
        let standing = fewer.standing(&[0.5; 8], &[1.0, 0.0, 0.0]).unwrap();
        assert!(fewer.deviation(&standing, arm(1)) > 1.2 * deviations[0]);
        // asked for others than it was fitted for
        assert_eq!(fitted.standing(&[0.5; 8], &[]), None);
        assert_eq!(fitted.standing(&[0.5; 7], &[1.0, 0.0, 0.0]), None);
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
            modifiers: Vec::new(),
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
            let asked: &[f64] = if rows.is_empty() {
                &[]
            } else {
                &[1e300, -1e300]
            };
            let standing = fitted.standing(asked, &[]).unwrap();
            for arm in [None, arm, Some(OfferArm { kind: 9, offer: 9 })] {
                let said = fitted.expect(&standing, arm);
                assert!((0.0..=1.0).contains(&said), "{said}");
                let off = arm.map_or(0.0, |arm| fitted.deviation(&standing, arm));
                assert!((0.0..1.0).contains(&off), "{off}");
            }
            assert!(quality.log_loss.is_finite() && quality.calibration_error.is_finite());
            assert!(agreement(&fitted, &rows).is_none_or(f64::is_finite));
        }
    }
}
