//! What became of recommendations, by events that carry back their attribution tokens: counts by stage and by source,
//! and the online ranker that learns from them.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::algorithms::online::{Online, Setting};
use crate::domain::attribution::short_hash;
use crate::domain::{Attribution, Effect, Origin, Shown};

/// So many products of answers are remembered with what became of them; what comes again later counts again, and
/// what becomes of an impression later is not learned from.
pub const MAX_REMEMBERED: usize = 1 << 18;
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

    /// Takes in what became of an answer. Each effect counts once for a decision and a product.
    pub(super) fn take(&mut self, attribution: &Attribution, effect: Effect) {
        if !attribution.is_theirs {
            self.other_subjects += 1;
            return;
        }
        let setting = Setting {
            stage: short_hash(&attribution.stage),
            placement: attribution.placement,
        };
        for shown in &attribution.shown {
            let key = super::hash((attribution.decision.0, shown.product));
            let Some(before) = self.remembered.mark(key, effect) else {
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
        let was_seen = before.has(Effect::Impression);
        let had_outcome = Effect::ALL[1..].iter().any(|&effect| before.has(effect));
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

/// Which effects came already: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks(u64);

impl Marks {
    /// The bits of a remembered number that are marks.
    const ALL: u64 = 0xF;

    fn has(self, effect: Effect) -> bool {
        self.0 & bit(effect) != 0
    }
}

fn bit(effect: Effect) -> u64 {
    1 << effect as u64
}

/// The last products of answers of which something became: a ring of hashes, with marks in the lowest bits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Remembered {
    ring: Vec<u64>,
    /// Where the oldest stands once the ring is full.
    oldest: u32,
    #[serde(skip)]
    places: HashMap<u64, u32, FixedState>,
}

impl Remembered {
    fn index(&mut self) {
        let ring = self.ring.iter().zip(0u32..);
        self.places = ring
            .map(|(&entry, place)| (entry & !Marks::ALL, place))
            .collect();
    }

    /// Notes an effect; returns the marks from before, or none if this one stood among them.
    fn mark(&mut self, key: u64, effect: Effect) -> Option<Marks> {
        let key = key & !Marks::ALL;
        if let Some(&place) = self.places.get(&key) {
            let entry = &mut self.ring[place as usize];
            let before = Marks(*entry & Marks::ALL);
            *entry |= bit(effect);
            return (!before.has(effect)).then_some(before);
        }
        let entry = key | bit(effect);
        let place = if self.ring.len() < MAX_REMEMBERED {
            self.ring.push(entry);
            self.ring.len() as u32 - 1
        } else {
            let place = self.oldest;
            let gone = std::mem::replace(&mut self.ring[place as usize], entry);
            self.places.remove(&(gone & !Marks::ALL));
            self.oldest = (place + 1) % MAX_REMEMBERED as u32;
            place
        };
        self.places.insert(key, place);
        Some(Marks(0))
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
    fn somebody_elses_token_counts_as_nothing_else() {
        let mut attributed = Attributed::default();
        let theirs = attribution(1, 0..3);
        let others = Attribution {
            is_theirs: false,
            ..theirs
        };
        attributed.take(&others, Effect::Impression);
        assert_eq!(attributed.other_subjects(), 1);
        assert_eq!(counts(&attributed), [0; 4]);
        assert_eq!(attributed.online.examples(), (0, 0));
    }

    #[test]
    fn the_oldest_is_forgotten_at_the_bound() {
        let mut remembered = Remembered::default();
        let key = |number: u64| (number + 1) << 4;
        for number in 0..MAX_REMEMBERED as u64 {
            assert_eq!(remembered.mark(key(number), Effect::Click), Some(Marks(0)));
        }
        assert_eq!(remembered.mark(key(0), Effect::Click), None);
        let newest = key(MAX_REMEMBERED as u64);
        assert_eq!(remembered.mark(newest, Effect::Click), Some(Marks(0)));
        assert_eq!(remembered.mark(key(1), Effect::Click), None);
        assert_eq!(remembered.mark(newest, Effect::Click), None);
        assert_eq!(remembered.mark(key(0), Effect::Click), Some(Marks(0)));
        assert_eq!(remembered.ring.len(), MAX_REMEMBERED);
        assert_eq!(remembered.places.len(), MAX_REMEMBERED);
        let mut restored: Remembered =
            postcard::from_bytes(&postcard::to_stdvec(&remembered).unwrap()).unwrap();
        restored.index();
        assert!(restored == remembered);
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
