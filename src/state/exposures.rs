//! What became of decisions about offers, by events with the tokens of answers: that one reached somebody, and what
//! came of its offers.

use serde::{Deserialize, Serialize};

use crate::domain::{Attribution, OfferEffect};
use crate::state::State;
use crate::state::remembered::Remembered;

/// How often each effect came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferCounts([u64; OfferEffect::ALL.len()]);

impl OfferCounts {
    /// Of one of them.
    #[must_use]
    pub fn of(&self, effect: OfferEffect) -> u64 {
        self.0[effect as usize]
    }

    fn add(&mut self, effect: OfferEffect) {
        self.0[effect as usize] += 1;
    }
}

/// What became of decisions about offers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exposures {
    /// Decisions that reached somebody: the first event of each counts.
    count: u64,
    /// What became of answers without an offer; only exposures and purchases can.
    pub no_offer: OfferCounts,
    remembered: Remembered,
}

impl Exposures {
    /// Makes the map anew, after decoding.
    pub(super) fn index(&mut self) {
        self.remembered.index();
    }

    /// How many decisions reached somebody.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl State {
    /// Takes in what became of the offers of an answer. Each effect counts once for a decision and an offer.
    pub(super) fn apply_to_offers(&mut self, attribution: &Attribution, effect: OfferEffect) {
        let Some(decision) = &attribution.offers else {
            return;
        };
        let decided = attribution.decision.0;
        let remembered = &mut self.exposures.remembered;
        let mut is_new = |offer: Option<u32>| {
            let key = super::hash(("offer", decided, offer));
            remembered.mark(key, effect as u8).is_some()
        };
        let (arm, _) = decision.arm();
        let is_first = is_new(arm);
        let rest: Vec<bool> = decision
            .offers
            .iter()
            .skip(1)
            .map(|o| is_new(Some(o.offer)))
            .collect();
        if arm.is_none() && is_first {
            self.exposures.no_offer.add(effect);
        }
        let news = std::iter::once(is_first).chain(rest);
        for (offered, _) in decision
            .offers
            .iter()
            .zip(news)
            .filter(|(_, is_new)| *is_new)
        {
            if let Some(number) = self.offers.of_hash(offered.offer) {
                self.offers.attributed_mut(number).add(effect);
            }
        }
        if is_first && effect == OfferEffect::Exposure {
            self.exposures.count += 1;
        }
    }
}
