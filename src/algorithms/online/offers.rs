//! The online model of offers: what the outcomes of decisions say of offers beyond what the batch model believes
//! (linfa-ftrl), between two trainings.
//!
//! Two parts as of the ranker: the **plain** part calibrates the batch model by a constant, its log-odds, the stage and
//! the placement; the **arm** part learns what that leaves over, from all offers together, the kind, the offer, the
//! kind in this stage and the offer at this placement; no offer has none of these. What a decision came to is known
//! when its horizon ends, so each is one example, of who bought and who did not.

use serde::{Deserialize, Serialize};

use super::{
    BASE_LIMIT, MOST, PLACEMENTS, Part, Prequential, STAGES, Setting, bucket, loss, probability,
};
use crate::algorithms::offer_response::OfferArm;

/// The arm part has no influence before so many decisions.
pub const MIN_DECISIONS: u64 = 500;

const OFFERS: usize = 64;
const KINDS: usize = 16;
const CROSSED: usize = 64;

// columns of the plain part
const CONSTANT: usize = 0;
const BASE: usize = 1;
const STAGE: usize = 2;
const PLACEMENT: usize = STAGE + STAGES;
const PLAIN: usize = PLACEMENT + PLACEMENTS;
// columns of the arm part
const ALL: usize = 0;
const KIND: usize = 1;
const OFFER: usize = KIND + KINDS;
const KIND_IN_STAGE: usize = OFFER + OFFERS;
const OFFER_AT_PLACEMENT: usize = KIND_IN_STAGE + CROSSED;
const ARM: usize = OFFER_AT_PLACEMENT + CROSSED;

/// The online model of offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnlineOffers {
    plain: Part,
    arm: Part,
    decisions: u64,
    bought: u64,
    prequential: Prequential,
}

impl Default for OnlineOffers {
    fn default() -> Self {
        Self {
            plain: Part::new(PLAIN, 0.1, 0.0),
            arm: Part::new(ARM, 0.05, 1.0),
            decisions: 0,
            bought: 0,
            prequential: Prequential::default(),
        }
    }
}

impl OnlineOffers {
    /// Learns what came of a decision for an arm (absent: no offer), which the batch model gave these log-odds to buy
    /// with.
    pub fn learn(&mut self, setting: Setting, arm: Option<OfferArm>, base: f64, bought: bool) {
        let base = base.clamp(-BASE_LIMIT, BASE_LIMIT);
        let plain = [
            (CONSTANT, 1.0),
            (BASE, base / BASE_LIMIT),
            (STAGE + bucket(setting.stage, 0, STAGES), 1.0),
            (PLACEMENT + bucket(setting.placement, 0, PLACEMENTS), 1.0),
        ];
        let of_arm = arm.map(|arm| row(setting, arm));
        let of_arm = of_arm.as_ref().map_or(&[][..], |row| &row[..]);
        let plain_score = base + self.plain.score(&plain);
        let score = plain_score + self.arm.score(of_arm);
        self.prequential
            .add(loss(plain_score, bought), loss(score, bought));
        self.plain.learn(&plain, probability(plain_score), bought);
        if !of_arm.is_empty() {
            self.arm.learn(of_arm, probability(score), bought);
        }
        self.decisions += 1;
        self.bought += u64::from(bought);
    }

    /// What is added to the log-odds to buy with an arm, at most [`MOST`] up or down; 0 while it has not proved itself.
    #[must_use]
    pub fn correction(&self, setting: Setting, arm: OfferArm) -> f64 {
        match self.is_active() {
            true => self.arm.score(&row(setting, arm)).clamp(-MOST, MOST),
            false => 0.0,
        }
    }

    /// Whether it has proved itself.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.decisions >= MIN_DECISIONS && self.prequential.is_gain()
    }

    /// How many decisions it learned from, and after how many of them somebody bought.
    #[must_use]
    pub fn examples(&self) -> (u64, u64) {
        (self.decisions, self.bought)
    }

    /// The mean gain of the arm part in log-loss, over about the last 5,000 decisions; 0 before there are any.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.prequential.mean()
    }
}

fn row(setting: Setting, arm: OfferArm) -> [(usize, f64); 5] {
    let kind = usize::from(arm.kind) % KINDS;
    let offer = |with: usize, buckets: usize| bucket(arm.offer, with, buckets);
    let crossed = |hash: u32, with: usize| bucket(hash, with, CROSSED);
    [
        (ALL, 1.0),
        (KIND + kind, 1.0),
        (OFFER + offer(0, OFFERS), 1.0),
        (KIND_IN_STAGE + crossed(setting.stage, 1 + kind), 1.0),
        (
            OFFER_AT_PLACEMENT + crossed(setting.placement, 1 + arm.offer as usize),
            1.0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::choice::number;

    const SETTING: Setting = Setting {
        stage: 1,
        placement: 2,
    };

    fn arm(offer: u32) -> OfferArm {
        OfferArm {
            kind: offer as u8,
            offer: offer * 7_919,
        }
    }

    /// So many decisions for the arms 0 (none), 1 and 2 in turn: what the batch model says, and what is `truly` added.
    fn run(count: u64, truly: [f64; 3]) -> OnlineOffers {
        let mut online = OnlineOffers::default();
        for i in 0..count {
            let which = (i % 3) as u32;
            let base = -2.0 + number(10 * i);
            let truth = probability(base + truly[which as usize]);
            let arm = (which > 0).then(|| arm(which));
            online.learn(SETTING, arm, base, number(10 * i + 1) < truth);
        }
        online
    }

    #[test]
    fn an_offer_that_works_better_than_believed_is_learned_against_the_others() {
        let online = run(12_000, [0.0, 0.8, -0.4]);
        assert!(online.is_active() && online.gain() > 0.0, "{online:?}");
        let [first, second] = [1, 2].map(|offer| online.correction(SETTING, arm(offer)));
        // the plain part takes what all three have, the arm part is drawn to 0
        assert!((0.4..MOST).contains(&first), "{first}");
        assert!((-0.8..-0.1).contains(&second), "{second}");
        let (decisions, bought) = online.examples();
        assert_eq!(decisions, 12_000);
        assert!((1_500..5_000).contains(&bought), "{bought}");
        let kept = postcard::to_stdvec(&online).unwrap();
        assert_eq!(postcard::from_bytes::<OnlineOffers>(&kept).unwrap(), online);
    }

    #[test]
    fn what_all_do_is_no_merit_of_an_offer_and_what_is_believed_changes_nothing() {
        for truly in [[0.0; 3], [0.7; 3]] {
            let online = run(12_000, truly);
            for offer in [1, 2] {
                let correction = online.correction(SETTING, arm(offer));
                assert!(correction.abs() < 0.15, "{truly:?}: {correction}");
            }
        }
    }

    #[test]
    fn it_is_off_until_it_has_seen_enough_and_corrections_are_bounded() {
        let early = run(MIN_DECISIONS - 1, [-8.0, 8.0, 8.0]);
        assert!(early.correction(SETTING, arm(1)).abs() < 1e-12);
        let sure = run(30_000, [-8.0, 8.0, 8.0]);
        assert!((sure.correction(SETTING, arm(1)) - MOST).abs() < 1e-12);
        // of another place less is known
        let elsewhere = Setting {
            stage: 9,
            placement: 9,
        };
        assert!(sure.correction(elsewhere, arm(1)) > 0.0);
    }
}
