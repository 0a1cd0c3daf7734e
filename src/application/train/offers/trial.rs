//! The permanent hold-out as a trial: what it changes that customers may get offers, by the decisions that came back.
//! Who is held out follows from a hash of their id, so it is as good as drawn.

use std::collections::HashSet;

use super::exposure::{Exposure, KnownPersonas};
use super::replay::exposures;
use crate::algorithms::uplift::{FeatureColumn, FeatureValues, UpliftLog};
use crate::application::train::Lesson;
use crate::domain::{RecordBody, Subject as Who, Timestamp};
use crate::state::State;
use crate::state::people::Person;
use crate::state::shopper;

/// Features that offers themselves make: whoever is held out never has them, so they tell the sides apart and nothing
/// else.
const OF_OFFERS: [&str; 3] = ["redeemed_offers", "share_redeemed", "offers_last_month"];
/// The share of those who are held out may be so many standard errors away from what it should be.
const MAX_SHARE_ERRORS: f64 = 4.0;

/// Everybody a decision reached, once each.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldoutTrial {
    /// Decisions of the window whose horizon has ended.
    pub decisions: usize,
    /// Of them, those with an offer.
    pub with_offer: usize,
    /// The names of the two sides: who is held out first.
    pub arms: [String; 2],
    /// The side of each customer.
    pub arm: Vec<u32>,
    /// 1 if they bought within the horizon, else 0.
    pub outcome: Vec<f64>,
    /// The margin of what they bought less what the redeemed offer cost, in money.
    pub value: Vec<f64>,
    /// What was known of them at the moment of their first decision.
    pub features: Vec<FeatureColumn>,
}

impl HoldoutTrial {
    /// It as the algorithm wants it.
    #[must_use]
    pub fn log(&self) -> UpliftLog<'_> {
        UpliftLog {
            arms: &self.arms,
            arm: &self.arm,
            outcome: &self.outcome,
            value: Some(&self.value),
            features: &self.features,
        }
    }

    /// How many customers are held out.
    #[must_use]
    pub fn held_out(&self) -> usize {
        self.arm.iter().filter(|&&arm| arm == 0).count()
    }

    /// True if chance does not explain how many are held out, of whom `share` should be: then decisions of one side
    /// come back more often, and the sides cannot be compared.
    #[must_use]
    pub fn is_lopsided(&self, share: f64) -> bool {
        let rows = self.arm.len() as f64;
        let error = (rows * share * (1.0 - share)).sqrt();
        (self.held_out() as f64 - rows * share).abs() > MAX_SHARE_ERRORS * error
    }
}

/// Whom decisions about offers reached from `since` on, by the first decision of each.
#[must_use]
pub fn holdout_trial(lesson: Lesson<'_>, since: Timestamp) -> HoldoutTrial {
    let history = lesson.history;
    let exposures = exposures(lesson, KnownPersonas::default(), &mut || true);
    let (all, state) = exposures.expect("it is not told to stop");
    let wanted = |e: &&Exposure| e.propensity.is_some() && e.time > since;
    let decisions: Vec<&Exposure> = all.iter().filter(wanted).collect();
    let mut seen = HashSet::new();
    let is_first = |e: &&&Exposure| {
        let person = match &history.moments[e.place].body {
            RecordBody::Event(event) => person(&state, &event.subject),
            _ => None,
        };
        person.is_some_and(|person| seen.insert(person))
    };
    let rows: Vec<&Exposure> = decisions.iter().filter(is_first).copied().collect();
    HoldoutTrial {
        decisions: decisions.len(),
        with_offer: decisions.iter().filter(|e| e.chosen.is_some()).count(),
        arms: ["held out", "may get offers"].map(str::to_owned),
        arm: rows.iter().map(|e| u32::from(!e.is_held_out)).collect(),
        outcome: rows.iter().map(|e| f64::from(e.outcome.bought())).collect(),
        value: rows.iter().map(|e| e.earned / 1e6).collect(),
        features: features(&state, &rows),
    }
}

/// Who it turned out to be.
fn person(state: &State, subject: &Who) -> Option<Person> {
    match subject {
        Who::Customer { customer, .. } => state.people.customer(customer),
        Who::Visitor(visitor) => state.people.visitor(visitor),
    }
}

fn features(state: &State, rows: &[&Exposure]) -> Vec<FeatureColumn> {
    let stages = state.journey().stages.iter();
    let stages = stages.map(|stage| format!("stage:{}", stage.name));
    let names = shopper::NAMES.iter().map(|&name| name.to_owned());
    let all = names.chain(stages).enumerate();
    let of_customers = all.filter(|(_, name)| !OF_OFFERS.contains(&name.as_str()));
    of_customers
        .map(|(column, name)| FeatureColumn {
            name,
            values: FeatureValues::Numbers(rows.iter().map(|e| e.x[column]).collect()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(held_out: usize, others: usize) -> HoldoutTrial {
        let arm = [vec![0; held_out], vec![1; others]].concat();
        HoldoutTrial {
            decisions: arm.len(),
            with_offer: 0,
            arms: ["held out", "may get offers"].map(str::to_owned),
            outcome: vec![0.0; arm.len()],
            value: vec![0.0; arm.len()],
            arm,
            features: Vec::new(),
        }
    }

    #[test]
    fn a_side_whose_decisions_do_not_come_back_is_noticed() {
        // of 1,000 a twentieth is held out: 50, give or take four times 6.9
        assert!(!trial(50, 950).is_lopsided(0.05));
        assert!(!trial(23, 977).is_lopsided(0.05));
        assert!(trial(22, 978).is_lopsided(0.05));
        assert!(trial(78, 922).is_lopsided(0.05));
        assert!(trial(1, 999).is_lopsided(0.0) && !trial(0, 9).is_lopsided(0.0));
    }

    #[test]
    fn features_that_offers_make_have_names() {
        let known = |name| shopper::NAMES.contains(name);
        assert!(OF_OFFERS.iter().all(known));
    }
}
