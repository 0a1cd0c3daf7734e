//! Who buys with which offer, and who without: an S-learner (Künzel et al. 2019) by logistic regression whose
//! arms are nested (`nested.rs`). Every offer shares a part with all offers, one with those of its kind, and has one of
//! its own; each is an effect and how it differs by the effect modifiers. How hard each sort of weights is drawn to 0
//! follows from the rows themselves. So an offer that hardly anybody saw does what its kind does, and a new kind what
//! offers do; and where nothing shows that an effect differs, it does not.
//!
//! Many come back whom an offer reached, and few of them buy, so what offers do shows sooner in visits (a surrogate;
//! Athey et al. 2019, The surrogate index). The chance to buy is that to come back times that to buy of those who do (a
//! hurdle model; Mullahy 1986), each learned in this way. What an offer does to purchases beyond drawing people in has
//! the parts of the second, drawn to 0 by the same rule: nothing is assumed to go through visits that purchases deny.
//!
//! Who buys again what they have run out of comes for that, mostly with or without an offer: it hides what offers do to
//! everybody else, who comes to look. So where enough is bought again, it has a chance of its own:
//!
//! P(buy) = 1 − (1 − P(come for something new) · P(buy it | come)) · (1 − P(buy again)).

mod agreement;
mod chance;
mod layout;
mod nested;
mod platt;
mod sums;

pub use agreement::agreement;
use chance::{Came, FittedChance, LearnedChance};
use layout::Layout;
use platt::Platt;
use serde::{Deserialize, Serialize};
use sums::Sums;

use super::calibration::expected_error;
use super::folds::folds;
use super::standard::Standard;

/// A kind, or an offer, needs so many rows for a part of its own.
pub const MIN_ARM_ROWS: usize = 200;
/// At most so many offers have one.
pub const MAX_OFFERS: usize = 20;
/// Held-back folds.
const FOLDS: usize = 4;
/// Chances are this far from 0 and 1 before their log-odds are taken.
const LEAST_CHANCE: f64 = 1e-9;
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
/// The penalty of the mark of all offers where it is not about coming: beyond drawing people in, offers do little as a
/// rule.
const BEYOND_VISITS: f64 = 10.0;
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
    /// What came of it.
    pub outcome: Outcome,
}

/// What somebody did after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// They came back: began another visit.
    pub came_back: bool,
    /// One of these visits did more than buy again what they had bought before.
    pub explored: bool,
    /// They bought what they had never bought before.
    pub bought_new: bool,
    /// They bought again what they had.
    pub bought_again: bool,
}

impl Outcome {
    /// They bought something.
    #[must_use]
    pub fn bought(self) -> bool {
        self.bought_new || self.bought_again
    }
}

/// What it expects of a customer before an offer is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// A mark and the modifiers: what each part is multiplied by.
    marked: Vec<f64>,
    /// Without any offer.
    none: Sums,
}

/// The fitted learner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedOfferResponse {
    standard: Standard,
    layout: Layout,
    /// Who comes back; absent where visits say nothing more than purchases do.
    comes: Option<FittedChance>,
    /// Who buys: of those who come back, or, without that, of all.
    buys: FittedChance,
    /// Who buys again what they had bought before; then the two others are about everything else. Absent where too
    /// little is bought again.
    again: Option<FittedChance>,
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

impl FittedOfferResponse {
    /// Fits. Deterministic by `seed`. Asks `keep_on` before each of its fits; nothing if it shall not.
    #[must_use]
    pub fn fit(
        rows: &[OfferRow],
        seed: u64,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Option<(Self, FitQuality)> {
        let lesson = Lesson::of(rows, seed);
        let bought: Vec<bool> = rows.iter().map(|row| row.outcome.bought()).collect();
        let share = bought.iter().filter(|&&b| b).count() as f64 / bought.len().max(1) as f64;
        let base_log_loss = log_loss(std::iter::repeat_n(share, bought.len()), &bought);
        let told = Told::of(rows);
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut beyond = PENALTIES;
        beyond[OF_ALL].0 = BEYOND_VISITS;
        let mut comes = None;
        let (mut penalties, mut places) = (&PENALTIES, all.clone());
        if has_visits(&told) {
            let came = Came::of(&lesson, all.clone(), told.came.clone());
            comes = Some(came.learn(&lesson, penalties, keep_on)?);
            penalties = &beyond;
            places.retain(|&place| told.came[place]);
        }
        let came = places.iter().map(|&place| told.bought[place]).collect();
        let buys = Came::of(&lesson, places, came).learn(&lesson, penalties, keep_on)?;
        let mut again = None;
        if let Some(came) = told.again {
            again = Some(Came::of(&lesson, all, came).learn(&lesson, &beyond, keep_on)?);
        }
        let own = |learned: &LearnedChance| learned.fitted.clone();
        let mut fitted = Self {
            standard: lesson.standard.clone(),
            layout: lesson.layout.clone(),
            comes: comes.as_ref().map(own),
            buys: own(&buys),
            again: again.as_ref().map(own),
            calibration: None,
        };
        let said = rows.iter().enumerate().map(|(place, row)| {
            let fold = usize::from(lesson.fold_of[place]);
            let marked = lesson.layout.marked(&lesson.z[place]);
            let of = |learned: &LearnedChance| {
                let held = &learned.held_back[fold];
                let effect = lesson.layout.effect(&held.effects, &marked, row.arm);
                held.none(&lesson.z[place]) + effect
            };
            let sums = Sums {
                comes: comes.as_ref().map(of),
                buys: of(&buys),
                again: again.as_ref().map(of),
            };
            log_odds(sums.chance())
        });
        let said: Vec<f64> = said.collect();
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
        let none = |fitted: &FittedChance| fitted.none(z);
        Standing {
            none: Sums {
                comes: self.comes.as_ref().map(none),
                buys: none(&self.buys),
                again: self.again.as_ref().map(none),
            },
            marked: self.layout.marked(z),
        }
    }

    /// The calibrated probability that they buy with an offer, or with none.
    #[must_use]
    pub fn expect(&self, standing: &Standing, arm: Option<OfferArm>) -> f64 {
        chance(self.expect_odds(standing, arm))
    }

    /// The log-odds of [`Self::expect`].
    #[must_use]
    pub fn expect_odds(&self, standing: &Standing, arm: Option<OfferArm>) -> f64 {
        self.odds(log_odds(self.sums(standing, arm).chance()))
    }

    /// By how much that may be off with an offer, as far as its effect goes: a standard deviation. That of the log-odds
    /// of each of the chances is √(uᵀ Σ u) by the Laplace approximation, and where an arm has no part yet, that of
    /// those which have one; they are taken for independent.
    #[must_use]
    pub fn deviation(&self, standing: &Standing, arm: OfferArm) -> f64 {
        let sums = self.sums(standing, Some(arm));
        let of = |fitted: &FittedChance| fitted.variance(&self.layout, &standing.marked, arm);
        let variance = sums.variance(&Sums {
            comes: self.comes.as_ref().map(of),
            buys: of(&self.buys),
            again: self.again.as_ref().map(of),
        });
        let said = sums.chance();
        let slope = self.calibration.map_or(1.0, |platt| platt.slope);
        let told = chance(self.odds(log_odds(said)));
        // from a chance to its log-odds, and from the calibrated log-odds to a chance
        let spread = (said * (1.0 - said)).max(LEAST_CHANCE);
        told * (1.0 - told) * slope * variance.max(0.0).sqrt() / spread
    }

    /// The log-odds of the chances.
    fn sums(&self, standing: &Standing, arm: Option<OfferArm>) -> Sums {
        let with = |fitted: &FittedChance, none: f64| {
            none + self.layout.effect(&fitted.effects, &standing.marked, arm)
        };
        let given = |fitted: &Option<FittedChance>, none: Option<f64>| {
            fitted.as_ref().zip(none).map(|(f, none)| with(f, none))
        };
        Sums {
            comes: given(&self.comes, standing.none.comes),
            buys: with(&self.buys, standing.none.buys),
            again: given(&self.again, standing.none.again),
        }
    }

    fn odds(&self, sum: f64) -> f64 {
        let calibration = self.calibration.as_ref();
        calibration.map_or(sum, |platt| platt.intercept + platt.slope * sum)
    }
}

/// What is learned of the rows.
struct Told {
    /// Who came; of everything that is not bought again, if that is learned apart.
    came: Vec<bool>,
    /// Who bought, the same.
    bought: Vec<bool>,
    /// Who bought again, where that is told often enough.
    again: Option<Vec<bool>>,
}

impl Told {
    fn of(rows: &[OfferRow]) -> Self {
        let all = |told: fn(Outcome) -> bool| rows.iter().map(|row| told(row.outcome)).collect();
        let again: Vec<bool> = all(|outcome| outcome.bought_again);
        let count = again.iter().filter(|&&again| again).count();
        // whoever buys is there
        match count >= MIN_ARM_ROWS && rows.len() - count >= MIN_ARM_ROWS {
            true => Self {
                came: all(|outcome| outcome.explored || outcome.bought_new),
                bought: all(|outcome| outcome.bought_new),
                again: Some(again),
            },
            false => Self {
                came: all(|outcome| outcome.came_back || outcome.bought()),
                bought: all(Outcome::bought),
                again: None,
            },
        }
    }
}

/// True if visits say more than purchases do.
fn has_visits(told: &Told) -> bool {
    let both = || told.came.iter().zip(&told.bought);
    let looked = both().filter(|&(&came, &bought)| came && !bought).count();
    let stayed_away = both().filter(|&(&came, _)| !came).count();
    looked >= MIN_ARM_ROWS && stayed_away >= MIN_ARM_ROWS
}

/// Rows as they are learned from.
struct Lesson<'a> {
    rows: &'a [OfferRow],
    layout: Layout,
    standard: Standard,
    /// What everybody's weights are multiplied by: as many in every row.
    z: Vec<Vec<f64>>,
    features: usize,
    fold_of: Vec<u8>,
}

impl<'a> Lesson<'a> {
    fn of(rows: &'a [OfferRow], seed: u64) -> Self {
        let layout = Layout::of(rows);
        let standard = Standard::of(&rows.iter().map(|row| &row.x[..]).collect::<Vec<_>>());
        let inputs = |row: &OfferRow| layout.inputs(&standard, &row.x, &row.modifiers);
        let z: Vec<Vec<f64>> = rows.iter().map(inputs).collect();
        let strata = rows.iter().map(|row| {
            let arm = row.arm.map_or(0, |arm| 1 + u32::from(arm.kind));
            2 * arm + u32::from(row.outcome.bought())
        });
        Self {
            fold_of: folds(&strata.collect::<Vec<u32>>(), FOLDS, seed),
            features: z.first().map_or(0, Vec::len),
            rows,
            layout,
            standard,
            z,
        }
    }
}

/// ln(p/(1 − p)), within bounds.
fn log_odds(chance: f64) -> f64 {
    let chance = chance.clamp(LEAST_CHANCE, 1.0 - LEAST_CHANCE);
    (chance / (1.0 - chance)).ln()
}

/// Over as many as the shorter has.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// From log-odds.
#[must_use]
pub fn chance(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
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
                outcome: outcome(number(i) < if works { 0.5 } else { 0.2 }),
            }
        };
        (0..count).map(row).collect()
    }

    /// Whoever comes buys.
    fn outcome(came: bool) -> Outcome {
        Outcome {
            came_back: came,
            explored: came,
            bought_new: came,
            bought_again: false,
        }
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
                outcome: outcome(number(i * 10 + 9) < if works { 0.3 } else { 0.2 }),
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

    /// Chances of three groups of people to come back, with nine kinds of offers or none (0): a third without, and
    /// with an offer between half and twice as often.
    fn drawn_in(group: usize, kind: usize) -> f64 {
        let odds = 0.5 * 4f64.powf(number((group * 100 + kind) as u64) - 0.5);
        if kind == 0 {
            1.0 / 3.0
        } else {
            odds / (1.0 + odds)
        }
    }

    /// Of those who come back a third buys; if `in_vain`, an offer makes nobody buy who would not have come without it.
    fn visited(count: u64, in_vain: bool) -> Vec<OfferRow> {
        let row = |i: u64| {
            // every second one gets none, as beside mailings
            let kind = if i.is_multiple_of(2) {
                0
            } else {
                1 + (i / 2 % 9) as usize
            };
            let group = (i / 18 % 3) as usize;
            let mut modifiers = vec![0.0; 3];
            modifiers[group] = 1.0;
            let draw = number(i * 10);
            let came_back = draw < drawn_in(group, kind);
            let buys = if in_vain { draw < 1.0 / 3.0 } else { came_back };
            OfferRow {
                x: vec![number(i * 10 + 1)],
                modifiers,
                arm: (kind > 0).then_some(OfferArm {
                    kind: kind as u8,
                    offer: kind as u32,
                }),
                outcome: Outcome {
                    came_back,
                    explored: came_back,
                    bought_new: buys && number(i * 10 + 2) < 1.0 / 3.0,
                    bought_again: false,
                },
            }
        };
        (0..count).map(row).collect()
    }

    /// How far the effects that are told are off, at the root of the mean square over groups and kinds.
    fn off(rows: &[OfferRow], truth: impl Fn(usize, usize) -> f64) -> f64 {
        let (fitted, _) = fit(rows);
        let mut squares = Vec::new();
        for group in 0..3 {
            let mut modifiers = vec![0.0; 3];
            modifiers[group] = 1.0;
            let standing = fitted.standing(&[0.5], &modifiers).unwrap();
            for kind in 1..10u8 {
                let offer = u32::from(kind);
                let told = fitted.expect(&standing, Some(OfferArm { kind, offer }));
                let told = told - fitted.expect(&standing, None);
                squares.push((told - truth(group, usize::from(kind))).powi(2));
            }
        }
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
    }

    #[test]
    fn what_offers_do_shows_sooner_in_visits_and_is_believed_of_purchases_alone() {
        let arrives = |group, kind| (drawn_in(group, kind) - 1.0 / 3.0) / 3.0;
        let rows = visited(20_000, false);
        let mut blind = rows.clone();
        for row in &mut blind {
            row.outcome = outcome(row.outcome.bought());
        }
        let (told, blind) = (off(&rows, arrives), off(&blind, arrives));
        // whom offers draw in in vain they do not make buy
        let in_vain = off(&visited(60_000, true), |_, _| 0.0);
        println!("off by {told}, without visits {blind}, where it is in vain {in_vain}");
        assert!(told < 0.8 * blind, "{told} {blind}");
        assert!(in_vain < 0.01, "{in_vain}");
    }

    #[test]
    fn what_is_bought_again_anyway_does_not_hide_what_offers_do_to_others() {
        let arrives = |group, kind| (drawn_in(group, kind) - 1.0 / 3.0) / 3.0;
        // half of the people buy again what they have run out of, half of the weeks, whatever they were sent
        let mut rows = visited(20_000, false);
        for (row, i) in rows.iter_mut().zip(0u64..) {
            let is_due = number(i * 10 + 4) < 0.5;
            row.x.push(f64::from(is_due));
            row.outcome.bought_again = is_due && number(i * 10 + 5) < 0.5;
            row.outcome.came_back |= row.outcome.bought_again;
        }
        let mut mixed = rows.clone();
        for row in &mut mixed {
            row.outcome = Outcome {
                explored: row.outcome.came_back,
                bought_new: row.outcome.bought(),
                bought_again: false,
                ..row.outcome
            };
        }
        // of those who are not due purchases rise by all that an offer does, of the others by half of it
        let off = |rows: &[OfferRow]| {
            let (fitted, _) = fit(rows);
            let mut squares = Vec::new();
            for group in 0..3 {
                let mut modifiers = vec![0.0; 3];
                modifiers[group] = 1.0;
                for (due, share) in [(0.0, 1.0), (1.0, 0.5)] {
                    let standing = fitted.standing(&[0.5, due], &modifiers).unwrap();
                    for kind in 1..10u8 {
                        let offer = u32::from(kind);
                        let told = fitted.expect(&standing, Some(OfferArm { kind, offer }));
                        let told = told - fitted.expect(&standing, None);
                        let expected = share * arrives(group, usize::from(kind));
                        squares.push((told - expected).powi(2));
                    }
                }
            }
            (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
        };
        let (told, mixed) = (off(&rows), off(&mixed));
        println!("off by {told}, mixed {mixed}");
        assert!(told < 0.8 * mixed, "{told} {mixed}");
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
            outcome: outcome(bought),
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
