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
mod tests;
