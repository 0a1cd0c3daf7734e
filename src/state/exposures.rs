//! What became of decisions about offers, by events with the tokens of answers: that one reached somebody, and what
//! came of its offers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::algorithms::offer_response::OfferArm;
use crate::algorithms::online::Setting;
use crate::algorithms::online::offers::OnlineOffers;
use crate::domain::attribution::short_hash;
use crate::domain::time::DAY_MS;
use crate::domain::{
    Attribution, CustomerId, Event, OfferDecision, OfferEffect, OfferKind, Outcome, Subject as Who,
    Timestamp, VisitorId,
};
use crate::state::State;
use crate::state::remembered::Remembered;

/// Within how many days after a decision reached somebody they must buy for it to have worked.
pub const HORIZON_DAYS: i64 = 7;
/// A trial is counted at least so long after its exposure was taken in: what is late, or stands further down in the
/// same file, is known by then.
const SETTLED_AFTER_MS: i64 = DAY_MS;
/// The most exposures whose horizon has not ended; then the oldest is counted at once.
pub const MAX_OPEN: usize = 1 << 18;
/// The most pairs of a stage and a placement that an arm is counted by; others count in all of them together.
pub const MAX_CELLS: usize = 64;

/// How often a decision reached somebody, and what they did within [`HORIZON_DAYS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trials {
    /// Decisions that reached somebody and whose horizon has ended.
    pub shown: u64,
    /// After which something was bought.
    pub bought: u64,
    /// After which something was bought and the offer redeemed.
    pub redeemed: u64,
}

impl Trials {
    fn add(&mut self, bought: bool, redeemed: bool) {
        self.shown += 1;
        self.bought += u64::from(bought);
        self.redeemed += u64::from(bought && redeemed);
    }
}

/// Where an answer was given: hashes of the stage's name and of the placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// [`short_hash`] of the name of the stage.
    pub stage: u32,
    /// [`short_hash`] of the placement.
    pub placement: u32,
}

impl Place {
    /// As online models know it.
    #[must_use]
    pub fn setting(self) -> Setting {
        Setting {
            stage: self.stage,
            placement: self.placement,
        }
    }
}

/// The trials of an arm: in all, and by place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmTrials {
    /// In all.
    pub all: Trials,
    cells: Vec<(Place, Trials)>,
}

impl ArmTrials {
    /// In all, in the stage, and in the stage at the placement.
    #[must_use]
    pub fn at(&self, place: Place) -> [Trials; 3] {
        let mut stage = Trials::default();
        let mut cell = Trials::default();
        for (other, trials) in &self.cells {
            if other.stage == place.stage {
                stage.shown += trials.shown;
                stage.bought += trials.bought;
                stage.redeemed += trials.redeemed;
            }
            if *other == place {
                cell = *trials;
            }
        }
        [self.all, stage, cell]
    }

    fn add(&mut self, place: Place, bought: bool, redeemed: bool) {
        self.all.add(bought, redeemed);
        let known = self.cells.iter().position(|(other, _)| *other == place);
        let known = known.or_else(|| {
            let has_room = self.cells.len() < MAX_CELLS;
            has_room.then(|| {
                self.cells.push((place, Trials::default()));
                self.cells.len() - 1
            })
        });
        if let Some(known) = known {
            self.cells[known].1.add(bought, redeemed);
        }
    }
}

/// An exposure whose horizon has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    /// Whether it is a customer, and the id.
    who: (bool, Box<str>),
    from: Timestamp,
    /// The hash of the offer; none: there was none.
    offer: Option<u32>,
    place: Place,
    /// The log-odds that a model gave them to buy.
    base: Option<f32>,
}

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
    /// The trials of the arm without an offer.
    pub none: ArmTrials,
    /// Those of all offers of a kind, by the kind's number.
    kinds: [Trials; OfferKind::ALL.len()],
    /// By when they are counted, and their number.
    open: BTreeMap<(Timestamp, u64), Open>,
    remembered: Remembered,
    /// What learns from their trials.
    pub online: OnlineOffers,
}

impl Exposures {
    /// Makes the map anew, after decoding.
    pub(super) fn index(&mut self) {
        self.remembered.index();
    }

    /// The trials of all offers of a kind.
    #[must_use]
    pub fn of_kind(&self, kind: OfferKind) -> Trials {
        self.kinds[kind as usize]
    }

    /// What a model said of a decision is held against what came of it.
    fn learn(&mut self, open: &Open, arm: Option<OfferArm>, bought: bool) {
        if let Some(base) = open.base {
            let setting = open.place.setting();
            self.online.learn(setting, arm, f64::from(base), bought);
        }
    }

    /// Exposures whose horizon has not ended.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// How many decisions reached somebody.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl State {
    /// Takes in what became of the offers of an answer. Each effect counts once for a decision and an offer.
    pub(super) fn apply_to_offers(
        &mut self,
        event: &Event,
        attribution: &Attribution,
        effect: OfferEffect,
    ) {
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
        let rest = decision.offers.iter().skip(1);
        let rest: Vec<bool> = rest.map(|offered| is_new(Some(offered.offer))).collect();
        if arm.is_none() && is_first {
            self.exposures.no_offer.add(effect);
        }
        let news = std::iter::once(is_first).chain(rest);
        for (offered, is_new) in decision.offers.iter().zip(news) {
            if is_new && let Some(number) = self.offers.of_hash(offered.offer) {
                self.offers.attributed_mut(number).add(effect);
            }
        }
        if is_first && effect == OfferEffect::Exposure {
            self.exposures.count += 1;
            if teaches(decision) {
                self.open_trial(event, attribution, decision);
            }
        }
    }

    fn open_trial(&mut self, event: &Event, attribution: &Attribution, decision: &OfferDecision) {
        let who = match &event.subject {
            Who::Customer { customer, .. } => (true, customer.as_str().into()),
            Who::Visitor(visitor) => (false, visitor.as_str().into()),
        };
        let ends = event.time.plus_ms(HORIZON_DAYS * DAY_MS);
        let known = self.recorded.plus_ms(SETTLED_AFTER_MS);
        let open = Open {
            who,
            from: event.time,
            offer: decision.arm().0,
            place: Place {
                stage: short_hash(&attribution.stage),
                placement: attribution.placement,
            },
            base: decision.log_odds().map(|base| base as f32),
        };
        let number = self.exposures.count;
        self.exposures.open.insert((ends.max(known), number), open);
        if self.exposures.open.len() > MAX_OPEN {
            self.settle_first();
        }
    }

    /// Counts the trials whose time has come.
    pub(super) fn settle_trials(&mut self) {
        while let Some((&(at, _), _)) = self.exposures.open.first_key_value()
            && at <= self.recorded
        {
            self.settle_first();
        }
    }

    fn settle_first(&mut self) {
        let Some((_, open)) = self.exposures.open.pop_first() else {
            return;
        };
        let number = open.offer.and_then(|hash| self.offers.of_hash(hash));
        let id = open.who.1.to_string();
        let person = match open.who.0 {
            true => self.people.customer(&CustomerId::trusted(id)),
            false => self.people.visitor(&VisitorId::trusted(id)),
        };
        let subject = person.and_then(|person| self.subject(person));
        let within = open.from..=open.from.plus_ms(HORIZON_DAYS * DAY_MS);
        let bought = subject.is_some_and(|subject| {
            let mut baskets = subject.baskets.iter().rev();
            baskets.any(|basket| within.contains(&basket.time))
        });
        let redeemed = subject.is_some_and(|subject| {
            let mut outcomes = subject.outcomes.iter().rev();
            outcomes.any(|other| {
                other.outcome == Outcome::Redeemed
                    && Some(other.offer) == number
                    && within.contains(&other.time)
            })
        });
        match (open.offer, number) {
            (None, _) => {
                self.exposures.none.add(open.place, bought, false);
                self.exposures.learn(&open, None, bought);
            }
            (Some(offer), Some(number)) => {
                self.offers
                    .trials_mut(number)
                    .add(open.place, bought, redeemed);
                let listing = self.offers.item(number).listing.as_ref();
                if let Some(kind) = listing.map(|listing| listing.terms.benefit.kind()) {
                    self.exposures.kinds[kind as usize].add(bought, redeemed);
                    let kind = kind as u8;
                    let arm = Some(OfferArm { kind, offer });
                    self.exposures.learn(&open, arm, bought);
                }
            }
            // an offer of which nothing is known any more
            (Some(_), None) => {}
        }
    }
}

/// True if something can be learned from a decision: its probability is known, and there was something to decide.
#[must_use]
pub fn teaches(decision: &OfferDecision) -> bool {
    let (arm, probability) = decision.arm();
    let had_choice = arm.is_some() || decision.is_held_out || !decision.others.is_empty();
    probability.is_some() && had_choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_counted_by_place_up_to_a_bound() {
        let mut arm = ArmTrials::default();
        let place = |stage, placement| Place { stage, placement };
        for placement in 0..=MAX_CELLS as u32 {
            arm.add(place(1, placement), true, placement == 0);
        }
        arm.add(place(1, 0), false, true);
        let [all, stage, cell] = arm.at(place(1, 0));
        let most = MAX_CELLS as u64;
        assert_eq!(
            (all.shown, all.bought, all.redeemed),
            (most + 2, most + 1, 1)
        );
        assert_eq!((stage.shown, cell.shown, cell.bought), (most + 1, 2, 1));
        assert_eq!(arm.at(place(2, 0))[1..], [Trials::default(); 2]);
        assert_eq!(arm.at(place(1, most as u32))[2], Trials::default());
    }
}
