//! Where somebody goes next on their journey, why, and what else is to be expected of them.
//!
//! The question: somebody stands in a stage now; which other stage does an event of theirs bring them to first, within
//! the horizon of the stage? If none does, they stay, or leave. Time alone brings nobody anywhere.

use serde::{Deserialize, Serialize};

use crate::algorithms::next_stage::{FittedNextStage, FittedPropensity};
use crate::application::model::Model;
use crate::domain::StageIndex;
use crate::domain::time::DAY_MS;
use crate::state::journeyer::{self, COUNT, FEATURES};
use crate::state::view::View;

/// A cart that is not bought for so long is abandoned.
pub const CART_MS: i64 = 3 * DAY_MS;
/// Who does not buy for so many of their usual gaps lapses, …
const LAPSE_GAPS: f64 = 2.0;
/// … but no sooner and no later than this, in days.
const LAPSE_DAYS: [f64; 2] = [14.0, 180.0];
/// At most so many reasons of a stage are told, …
const MAX_REASONS: usize = 3;
/// … each of which pushes at least so much, in log-odds.
const MIN_PUSH: f64 = 0.1;

/// After how long without an order somebody lapses, who usually orders every `gap_days`.
#[must_use]
pub fn lapse_ms(gap_days: f64) -> i64 {
    let [least, most] = LAPSE_DAYS;
    ((LAPSE_GAPS * gap_days).clamp(least, most) * DAY_MS as f64) as i64
}

/// What is learned of the journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedJourney {
    features: Vec<String>,
    /// Where they go.
    pub next: FittedNextStage,
    /// Whether they buy within the horizon of their stage; absent where nothing better than the share is known.
    pub buy: Option<FittedPropensity>,
    /// Whether they leave their cart, who have one.
    pub abandon_cart: Option<FittedPropensity>,
    /// Whether they lapse, who have bought twice.
    pub lapse: Option<FittedPropensity>,
}

impl FittedJourney {
    /// By the features of this program.
    #[must_use]
    pub fn new(
        next: FittedNextStage,
        [buy, abandon_cart, lapse]: [Option<FittedPropensity>; 3],
    ) -> Self {
        Self {
            features: FEATURES
                .iter()
                .map(|feature| feature.name.to_owned())
                .collect(),
            next,
            buy,
            abandon_cart,
            lapse,
        }
    }

    /// True if it was fitted for the features of this program, and for so many stages.
    #[must_use]
    pub fn fits(&self, stages: usize) -> bool {
        let names = FEATURES.iter().map(|feature| feature.name);
        self.features.iter().map(String::as_str).eq(names) && self.next.fits(COUNT, stages)
    }
}

/// A stage somebody may enter next.
#[derive(Debug, Clone, PartialEq)]
pub struct NextStage {
    /// Its name; that of their stage: they stay, or leave.
    pub stage: String,
    /// How probable that is.
    pub probability: f64,
    /// What speaks for it, the strongest first.
    pub reasons: Vec<&'static str>,
}

/// What is to be expected of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Propensities {
    /// They buy within the horizon of their stage.
    pub buy: Option<f64>,
    /// They leave their cart; absent without one.
    pub abandon_cart: Option<f64>,
    /// They lapse; absent for who has not bought twice.
    pub lapse: Option<f64>,
}

/// Somebody on their journey, as a model that is live sees them.
pub struct Journeyer<'a> {
    fitted: &'a FittedJourney,
    view: &'a View<'a>,
    stage: StageIndex,
    x: [f64; COUNT],
}

impl<'a> Journeyer<'a> {
    /// Who asks; nothing if the model does not know journeys. Where they stand follows from their steps, whatever stage
    /// the answer is for.
    #[must_use]
    pub fn of(model: &'a Model, view: &'a View<'a>) -> Option<Self> {
        let fitted = &model.next_stage.as_ref()?.fitted;
        let standing = view.state.journey().standing(&view.steps, view.now);
        Some(Self {
            fitted,
            view,
            stage: standing.stage,
            x: journeyer::features(view, &standing),
        })
    }

    /// Where they go, the likeliest first, the first `reasoned` of them with reasons; empty where too little is known
    /// of their stage.
    #[must_use]
    pub fn next_stages(&self, reasoned: usize) -> Vec<NextStage> {
        let Some(said) = self.fitted.next.probabilities(&self.x, self.stage.0) else {
            return Vec::new();
        };
        let mut said: Vec<(u8, f64)> = (0u8..).zip(said).collect();
        said.sort_by(|a, b| b.1.total_cmp(&a.1));
        let journey = self.view.state.journey();
        let stages = said.into_iter().enumerate();
        let stages = stages.map(|(place, (stage, probability))| NextStage {
            stage: journey.name(StageIndex(stage)).to_owned(),
            probability,
            reasons: if place < reasoned {
                self.reasons(stage)
            } else {
                Vec::new()
            },
        });
        stages.collect()
    }

    /// What is to be expected of them.
    #[must_use]
    pub fn propensities(&self) -> Propensities {
        let of = |fitted: &Option<FittedPropensity>, is_asked: bool| {
            let fitted = fitted.as_ref().filter(|_| is_asked)?;
            Some(fitted.probability(&self.x, self.stage.0))
        };
        let has_cart = journeyer::has_cart(self.view, CART_MS);
        let has_rhythm = journeyer::usual_gap_days(self.view).is_some();
        Propensities {
            buy: of(&self.fitted.buy, true),
            abandon_cart: of(&self.fitted.abandon_cart, has_cart),
            lapse: of(&self.fitted.lapse, has_rhythm),
        }
    }

    fn reasons(&self, stage: u8) -> Vec<&'static str> {
        let pushes = self.fitted.next.pushes(&self.x, self.stage.0, stage);
        let mut pushes: Vec<(usize, f64)> = pushes.into_iter().enumerate().collect();
        pushes.retain(|(_, push)| *push >= MIN_PUSH);
        pushes.sort_by(|a, b| b.1.total_cmp(&a.1));
        pushes.truncate(MAX_REASONS);
        let words = pushes.into_iter().map(|(feature, _)| {
            if self.fitted.next.is_high(feature, &self.x) {
                FEATURES[feature].high
            } else {
                FEATURES[feature].low
            }
        });
        words.collect()
    }
}
