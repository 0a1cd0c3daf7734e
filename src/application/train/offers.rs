//! What offers do, learned from the decisions that came back: each exposure of the history becomes a row when it is
//! replayed (`replay.rs`), with what was known of the customer at that moment and what they did afterwards
//! (`exposure.rs`); so does each offer that was mailed without a token (`mailings.rs`). A fitted model must not be
//! surely worse than what chooses now, by the doubly robust estimate on the last part of the exposures.

mod decisions;
mod exposure;
mod judging;
mod mailings;
mod replay;
mod trial;

use std::fmt;

pub use decisions::{DecisionLog, JudgedPolicy, judge_decisions};
use exposure::{Exposure, KnownPersonas};
use judging::{MIN_JUDGED, judge};
use replay::{exposures, has_exposures};
use serde::{Deserialize, Serialize};
pub use trial::{HoldoutTrial, holdout_trial};

use super::{Lesson, TrainError};
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::offer_response::{FitQuality, FittedOfferResponse, OfferRow, agreement};
use crate::application::model::{Made, Model};
use crate::application::offer_effects::OfferEffects;
use crate::application::personas::Personas;

/// Fewer rows than these teach nothing: in all, …
const MIN_ROWS: usize = 1_000;
/// … without an offer, and with one, …
const MIN_ROWS_OF_SIDE: usize = 200;
/// … and those of each side who bought.
const MIN_BOUGHT_OF_SIDE: usize = 20;
/// The last part of the exposures judges: one in so many.
const JUDGED_PART: usize = 4;

/// What a way to choose offers is worth on the exposures that judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferPolicyValue {
    /// `learned`, `live`, `expected_value` or `no_offer`.
    pub policy: String,
    /// Money a decision, by the doubly robust estimate.
    pub value: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How learning what offers do went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfferFigures {
    /// Exposures whose horizon has ended.
    pub rows: u64,
    /// Those of no offer.
    pub rows_without: u64,
    /// Those that judged.
    pub judged_rows: u64,
    /// Mean log-loss on held-back rows, and that of the share that buys.
    pub log_loss: f64,
    /// The log-loss of the share that buys.
    pub base_log_loss: f64,
    /// Expected calibration error on held-back rows.
    pub calibration_error: f64,
    /// How far a T-learner agrees, −1 to 1; absent: it tells nobody apart.
    pub agreement: Option<f64>,
    /// What the ways to choose are worth.
    pub values: Vec<OfferPolicyValue>,
    /// True if the model chooses with the revision.
    pub chooses: bool,
    /// What became of it, in words.
    pub verdict: String,
}

impl OfferFigures {
    fn tell(&mut self, policy: &str, value: Interval) {
        self.values.push(OfferPolicyValue {
            policy: policy.to_owned(),
            value: value.mean,
            low: value.low,
            high: value.high,
        });
    }
}

/// What a run learned of offers.
#[derive(Debug)]
pub(super) struct LearnedOffers {
    pub(super) made: Made<OfferEffects>,
    pub(super) figures: OfferFigures,
}

/// Learns what offers do from a history, by the personas that a model will have; fits, judges, and says what came of
/// it. Asks `keep_on` between its steps.
pub(super) fn learn(
    lesson: Lesson<'_>,
    personas: Option<&Personas>,
    live: Option<&Model>,
    seed: u64,
    keep_on: &mut dyn FnMut() -> bool,
) -> Result<LearnedOffers, TrainError> {
    let nothing = |reason: String, figures| LearnedOffers {
        made: Made {
            fitted: None,
            refusal: reason,
        },
        figures,
    };
    // a shop that has no offers, or hands no tokens back, need not hear of it
    let no_decision = || nothing("no decision came back".to_owned(), OfferFigures::default());
    if !has_exposures(lesson) {
        return Ok(no_decision());
    }
    let effects = live.and_then(|live| live.offers.as_ref());
    let known = KnownPersonas {
        own: personas,
        live: effects.and_then(|part| part.fitted.personas.as_ref()),
    };
    let (all, _) = exposures(lesson, known, keep_on).ok_or(TrainError::Cancelled)?;
    if all.is_empty() {
        return Ok(no_decision());
    }
    let mut figures = OfferFigures {
        rows: all.len() as u64,
        rows_without: all.iter().filter(|e| e.chosen.is_none()).count() as u64,
        ..OfferFigures::default()
    };
    let stays = match effects {
        Some(_) => "the live model of offers stays",
        None => "offers are drawn by Thompson sampling",
    };
    let (taught, judging, by) = split(&all);
    let can_judge = || {
        let rows = judging.iter().filter(|e| by.judges(e)).count();
        let reason = format!("{rows} {by} to judge by; {MIN_JUDGED} are needed");
        (rows < MIN_JUDGED).then_some(reason)
    };
    let too_little = too_few(&all).or_else(|| too_few(taught));
    if let Some(reason) = too_little.or_else(can_judge) {
        figures.verdict = format!("{reason}: {stays}");
        return Ok(nothing(reason, figures));
    }
    let mut fit = |exposures: &[Exposure]| {
        let rows: Vec<OfferRow> = exposures.iter().map(Exposure::row).collect();
        let fitted = FittedOfferResponse::fit(&rows, seed, keep_on);
        fitted.ok_or(TrainError::Cancelled)
    };
    let (first, _) = fit(taught)?;
    let (response, quality) = fit(&all)?;
    let trial = Trial {
        taught,
        judging,
        by,
    };
    let refusal = judge(&first, &trial, live, seed, keep_on, &mut figures)?;
    let FitQuality {
        log_loss,
        base_log_loss,
        calibration_error,
    } = quality;
    figures.log_loss = log_loss;
    figures.base_log_loss = base_log_loss;
    figures.calibration_error = calibration_error;
    if !keep_on() {
        return Err(TrainError::Cancelled);
    }
    let rows: Vec<OfferRow> = all.iter().map(Exposure::row).collect();
    figures.agreement = agreement(&response, &rows);
    figures.verdict = match &refusal {
        None if by == JudgedBy::Mailings => format!("chooses, judged by {by}"),
        None => "chooses".to_owned(),
        Some(reason) => format!("{reason}: {stays}"),
    };
    Ok(LearnedOffers {
        made: Made {
            fitted: Some(OfferEffects {
                response,
                personas: personas.cloned(),
            }),
            refusal: refusal.unwrap_or_default(),
        },
        figures,
    })
}

/// What a model is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JudgedBy {
    /// Decisions with tokens, whose probabilities are known.
    Decisions,
    /// Mailings without tokens, as long as there are too few of these.
    Mailings,
}

impl JudgedBy {
    fn judges(self, exposure: &Exposure) -> bool {
        let is_decision = exposure.propensity.is_some();
        let has_choice = !exposure.is_held_out && !exposure.arms.is_empty();
        has_choice && is_decision == (self == Self::Decisions)
    }
}

impl fmt::Display for JudgedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decisions => "decisions with tokens",
            Self::Mailings => "mailings, whose probabilities are estimated",
        })
    }
}

/// Exposures that teach, and later ones that judge.
struct Trial<'a> {
    taught: &'a [Exposure],
    judging: &'a [Exposure],
    by: JudgedBy,
}

/// Those that teach, and the last part of the decisions with tokens, with all that came after its first one, which
/// judges; while these are too few, the last part of the mailings.
fn split(all: &[Exposure]) -> (&[Exposure], &[Exposure], JudgedBy) {
    let places = |by: JudgedBy| -> Vec<usize> {
        let judges = |&place: &usize| by.judges(&all[place]);
        (0..all.len()).filter(judges).collect()
    };
    let mut by = JudgedBy::Decisions;
    let mut judging = places(by);
    if judging.len() / JUDGED_PART < MIN_JUDGED {
        by = JudgedBy::Mailings;
        judging = places(by);
    }
    let first = judging.get(judging.len() - judging.len() / JUDGED_PART);
    let (taught, judging) = all.split_at(first.copied().unwrap_or(all.len()));
    (taught, judging, by)
}

/// Why nothing is learned of these, if it is not.
fn too_few(exposures: &[Exposure]) -> Option<String> {
    let rows = exposures.len();
    // three quarters of the floor must be left to learn from when the last part judges
    let [least, least_of_side] = [MIN_ROWS, MIN_ROWS_OF_SIDE].map(|least| least * 3 / 4);
    if rows < least {
        return Some(format!("{rows} exposures; {MIN_ROWS} are needed"));
    }
    for (side, has_offer) in [("without an offer", false), ("with an offer", true)] {
        let of_side = || exposures.iter().filter(|e| e.chosen.is_some() == has_offer);
        let (rows, bought) = (
            of_side().count(),
            of_side().filter(|e| e.outcome.bought()).count(),
        );
        if rows < least_of_side || bought < MIN_BOUGHT_OF_SIDE {
            return Some(format!(
                "{rows} exposures {side}, {bought} who bought; {MIN_ROWS_OF_SIDE} and {MIN_BOUGHT_OF_SIDE} are needed"
            ));
        }
    }
    None
}
