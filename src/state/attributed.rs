//! What became of recommendations, by events that carry back their attribution tokens: counts by stage and by source,
//! and the online ranker that learns from them.

use serde::{Deserialize, Serialize};

use crate::algorithms::online::{Online, Setting};
use crate::domain::attribution::short_hash;
use crate::domain::{Attribution, Effect, Origin, Shown};
use crate::state::remembered::{Marks, Remembered};

/// The stages of which counts are kept; a shop has a handful, and those it had before.
pub const MAX_STAGES: usize = 256;

/// How often each effect came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectCounts([u64; Effect::ALL.len()]);

impl EffectCounts {
    /// Of one of them.
    #[must_use]
    pub fn of(&self, effect: Effect) -> u64 {
        self.0[effect as usize]
    }

    fn add(&mut self, effect: Effect) {
        self.0[effect as usize] += 1;
    }
}

/// What became of recommendations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributed {
    stages: Vec<(Box<str>, EffectCounts)>,
    origins: [EffectCounts; Origin::COUNT],
    other_subjects: u64,
    remembered: Remembered,
    /// What learns from it.
    pub online: Online,
}

impl Attributed {
    /// Makes the map anew, after decoding.
    pub(super) fn index(&mut self) {
        self.remembered.index();
    }

    /// By stage, in the order in which they came first.
    #[must_use]
    pub fn stages(&self) -> &[(Box<str>, EffectCounts)] {
        &self.stages
    }

    /// By what spoke most for the product.
    #[must_use]
    pub fn of_origin(&self, origin: Origin) -> &EffectCounts {
        &self.origins[origin.index()]
    }

    /// Events with the token of an answer for somebody else.
    #[must_use]
    pub fn other_subjects(&self) -> u64 {
        self.other_subjects
    }

    /// Takes in the token of an answer for somebody else.
    pub(super) fn take_other(&mut self) {
        self.other_subjects += 1;
    }

    /// Takes in what became of an answer. Each effect counts once for a decision and a product.
    pub(super) fn take(&mut self, attribution: &Attribution, effect: Effect) {
        let setting = Setting {
            stage: short_hash(&attribution.stage),
            placement: attribution.placement,
        };
        for shown in &attribution.shown {
            let key = super::hash((attribution.decision.0, shown.product));
            let Some(before) = self.remembered.mark(key, effect as u8) else {
                continue;
            };
            if let Some(counts) = self.of_stage(&attribution.stage) {
                counts.add(effect);
            }
            self.origins[shown.origin.index()].add(effect);
            self.learn(setting, shown, effect, before);
        }
    }

    /// An impression is a negative example; the first thing that becomes of it, whichever comes first, a positive one.
    fn learn(&mut self, setting: Setting, shown: &Shown, effect: Effect, before: Marks) {
        let was_seen = before.has(Effect::Impression as u8);
        let had_outcome = Effect::ALL[1..]
            .iter()
            .any(|&effect| before.has(effect as u8));
        if effect == Effect::Impression {
            self.online.learn(setting, shown, false);
            if had_outcome {
                self.online.learn(setting, shown, true);
            }
        } else if was_seen && !had_outcome {
            self.online.learn(setting, shown, true);
        }
    }

    fn of_stage(&mut self, stage: &str) -> Option<&mut EffectCounts> {
        let place = match self.stages.iter().position(|(name, _)| **name == *stage) {
            Some(place) => place,
            None if self.stages.len() < MAX_STAGES => {
                self.stages.push((stage.into(), EffectCounts::default()));
                self.stages.len() - 1
            }
            None => return None,
        };
        Some(&mut self.stages[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Fingerprint, Timestamp};

    fn attribution(decision: u32, products: std::ops::Range<u32>) -> Attribution {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&decision.to_le_bytes());
        let shown = products.map(|product| Shown {
            product,
            origin: Origin::ALL[product as usize % Origin::COUNT],
            rank: product as u8 + 1,
            base: None,
            probability: 1.0,
        });
        Attribution {
            decision: Fingerprint(bytes),
            moment: Timestamp::default(),
            stage: "decision".into(),
            placement: 1,
            revision: 0,
            is_theirs: true,
            shown: shown.collect(),
            offers: None,
        }
    }

    fn counts(attributed: &Attributed) -> [u64; 4] {
        let counts = attributed.stages().first().map(|(_, counts)| *counts);
        Effect::ALL.map(|effect| counts.unwrap_or_default().of(effect))
    }

    #[test]
    fn each_effect_counts_once_for_a_decision_and_a_product() {
        let mut attributed = Attributed::default();
        for effect in [
            Effect::Impression,
            Effect::Impression,
            Effect::Click,
            Effect::Click,
        ] {
            attributed.take(&attribution(1, 0..2), effect);
        }
        attributed.take(&attribution(1, 1..3), Effect::Impression);
        attributed.take(&attribution(1, 0..1), Effect::Purchase);
        attributed.take(&attribution(2, 0..1), Effect::Purchase);
        assert_eq!(counts(&attributed), [3, 2, 0, 2]);
        let of = |index: usize| attributed.of_origin(Origin::ALL[index]).0;
        assert_eq!(
            [of(0), of(1), of(2)],
            [[1, 1, 0, 2], [1, 1, 0, 0], [1, 0, 0, 0]]
        );
    }

    #[test]
    fn an_outcome_is_learned_once_and_only_of_what_was_seen_in_either_order() {
        let learned = |story: &[Effect]| {
            let mut attributed = Attributed::default();
            for &effect in story {
                attributed.take(&attribution(1, 0..1), effect);
            }
            attributed.online.examples()
        };
        use Effect::{Cart, Click, Impression, Purchase};
        assert_eq!(learned(&[Impression]), (1, 0));
        assert_eq!(learned(&[Impression, Click, Cart, Purchase]), (1, 1));
        assert_eq!(learned(&[Click, Purchase, Impression]), (1, 1));
        assert_eq!(learned(&[Click, Impression, Purchase, Click]), (1, 1));
        assert_eq!(learned(&[Click, Cart, Purchase]), (0, 0));
    }

    #[test]
    fn stages_are_counted_up_to_their_bound() {
        let mut attributed = Attributed::default();
        for number in 0..MAX_STAGES as u32 + 1 {
            let named = Attribution {
                stage: format!("stage-{number}").into(),
                ..attribution(number, 0..1)
            };
            attributed.take(&named, Effect::Impression);
        }
        assert_eq!(attributed.stages().len(), MAX_STAGES);
        let all = attributed.of_origin(Origin::ALL[0]).of(Effect::Impression);
        assert_eq!(all, MAX_STAGES as u64 + 1);
    }
}
