//! The journey: its stages, and the rules that say from the events where somebody stands.

use serde::{Deserialize, Serialize};

use crate::domain::event::EventKind;
use crate::domain::health::HealthBounds;
use crate::domain::time::{DAY_MS, Timestamp};

/// The most stages of a journey.
pub const MAX_STAGES: usize = 16;
/// The most events that are named as the reason for a stage.
pub const MAX_EVIDENCE: usize = 5;

/// A stage of the journey, by its place in [`Journey::stages`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct StageIndex(pub u8);

/// One thing somebody did, as much of it as the rules ask for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// With which product, by its number in State.
    pub product: Option<u32>,
    /// How it was rated.
    pub rating: Option<f32>,
}

/// A set of kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KindSet(u64);

impl KindSet {
    /// The set of these kinds.
    #[must_use]
    pub fn of(kinds: &[EventKind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | 1 << (*kind as u8)))
    }

    /// Adds a kind.
    pub fn insert(&mut self, kind: EventKind) {
        self.0 |= 1 << (kind as u8);
    }

    /// True if the kind is in the set.
    #[must_use]
    pub fn contains(self, kind: EventKind) -> bool {
        self.0 & 1 << (kind as u8) != 0
    }
}

/// Puts somebody into a stage: when at least `at_least` events of `kinds` happened, the newest of them between
/// `from_ms` and `within_ms` ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The stage it leads to.
    pub stage: StageIndex,
    /// The events that count.
    pub kinds: KindSet,
    /// The newest of them is at least this old, in milliseconds.
    pub from_ms: i64,
    /// They are at most this old, in milliseconds.
    pub within_ms: i64,
    /// How many are needed.
    pub at_least: usize,
    /// Only events after the last one of these kinds count.
    pub after_last: KindSet,
    /// Rated events count only if rated at least this, on their own scale (1 to 5; NPS 0 to 10).
    pub min_rating: Option<f32>,
    /// Only for somebody who has bought (true) or has not (false).
    pub has_bought: Option<bool>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name, as in the API.
    pub name: String,
    /// What it is for.
    pub aim: String,
}

/// When a customer is to be won back: after a rating this low, until a better one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Reviews and CSAT (1 to 5) up to this are low.
    pub max_rating: f32,
    /// NPS (0 to 10) up to this is low.
    pub max_nps: f32,
    /// For so long after the rating, in milliseconds.
    pub within_ms: i64,
}

impl Default for Recovery {
    /// Up to 2 of 5, up to 6 of 10 (a detractor), for 30 days.
    fn default() -> Self {
        Self {
            max_rating: 2.0,
            max_nps: 6.0,
            within_ms: 30 * DAY_MS,
        }
    }
}

impl Recovery {
    /// The rating that is to be made good at `now`, if `newest`, the newest rating of somebody, is low.
    #[must_use]
    pub fn due(&self, newest: Option<Step>, now: Timestamp) -> Option<Step> {
        newest.filter(|step| {
            let most = match step.kind {
                EventKind::NpsResponse => self.max_nps,
                _ => self.max_rating,
            };
            let age = now.ms() - step.time.ms();
            step.rating.is_some_and(|rating| rating <= most) && (0..=self.within_ms).contains(&age)
        })
    }
}

/// The journey of a shop: stages in order, and rules, of which the first that holds decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// The stages, in the order of the journey.
    pub stages: Vec<Stage>,
    /// The rules, the strongest first.
    pub rules: Vec<Rule>,
    /// The stage of somebody no rule holds for.
    pub otherwise: StageIndex,
    /// When somebody is to be won back.
    pub recovery: Recovery,
    /// When a buyer is due, at risk, lapsed.
    pub health: HealthBounds,
}

/// Where somebody stands, since when, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The stage.
    pub stage: StageIndex,
    /// Since when; absent if no rule held.
    pub since: Option<Timestamp>,
    /// The steps that made it so, oldest first, by their place in the steps that were looked at; at most
    /// [`MAX_EVIDENCE`].
    pub evidence: Vec<usize>,
}

impl Journey {
    /// The stage of that name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<StageIndex> {
        self.stages
            .iter()
            .position(|stage| stage.name == name)
            .map(|i| StageIndex(i as u8))
    }

    /// The name of a stage.
    #[must_use]
    pub fn name(&self, stage: StageIndex) -> &str {
        self.stages
            .get(stage.0 as usize)
            .map_or("", |stage| &stage.name)
    }

    /// Where somebody stands at `now` who took `steps` (oldest first; later ones than `now` do not count).
    #[must_use]
    pub fn standing(&self, steps: &[Step], now: Timestamp) -> Standing {
        let past = &steps[..steps.partition_point(|step| step.time <= now)];
        self.rules
            .iter()
            .find_map(|rule| rule.holds(past, now))
            .unwrap_or(Standing {
                stage: self.otherwise,
                since: None,
                evidence: Vec::new(),
            })
    }

    /// The stage alone, without the reasons.
    #[must_use]
    pub fn stage_at(&self, steps: &[Step], now: Timestamp) -> StageIndex {
        let past = &steps[..steps.partition_point(|step| step.time <= now)];
        let holds = |rule: &&Rule| rule.matching(past, now).is_some();
        self.rules
            .iter()
            .find(holds)
            .map_or(self.otherwise, |rule| rule.stage)
    }

    /// When rules may begin or cease to hold for `steps` by time alone; at other moments the stage stays the same if
    /// nothing happens.
    #[must_use]
    pub fn turns(&self, steps: &[Step]) -> Vec<Timestamp> {
        let mut turns = Vec::new();
        for rule in &self.rules {
            for step in steps.iter().filter(|step| rule.counts(step)) {
                if rule.from_ms > 0 {
                    turns.push(step.time.plus_ms(rule.from_ms));
                }
                turns.push(step.time.plus_ms(rule.within_ms).plus_ms(1));
            }
        }
        turns.sort_unstable();
        turns.dedup();
        turns
    }

    /// Forgets the steps (oldest first) that can change no stage from the newest one on, whatever follows.
    pub fn forget(&self, steps: &mut Vec<Step>) {
        let mut needed = vec![false; steps.len()];
        let last = |is_it: &dyn Fn(&Step) -> bool| steps.iter().rposition(is_it);
        let bought = last(&|step| step.kind == EventKind::Purchase);
        bought.into_iter().for_each(|i| needed[i] = true);
        for rule in &self.rules {
            let turned = last(&|step| rule.after_last.contains(step.kind));
            turned.into_iter().for_each(|i| needed[i] = true);
            let counted = (0..steps.len()).rev().filter(|i| rule.counts(&steps[*i]));
            counted.take(rule.at_least).for_each(|i| needed[i] = true);
        }
        let mut needed = needed.into_iter();
        steps.retain(|_| needed.next().unwrap_or(false));
    }
}

impl Rule {
    fn counts(&self, step: &Step) -> bool {
        self.kinds.contains(step.kind)
            && match (self.min_rating, step.rating) {
                (Some(least), Some(rating)) => rating >= least,
                _ => true,
            }
    }

    /// The start of the steps that may count, and the newest one that does, if the rule holds.
    fn matching(&self, past: &[Step], now: Timestamp) -> Option<(usize, usize)> {
        if let Some(wanted) = self.has_bought {
            let has_bought = past.iter().any(|step| step.kind == EventKind::Purchase);
            if has_bought != wanted {
                return None;
            }
        }
        let start = past
            .iter()
            .rposition(|step| self.after_last.contains(step.kind))
            .map_or(0, |last| last + 1);
        let oldest = now.ms().saturating_sub(self.within_ms);
        let mut newest = None;
        let mut found = 0;
        for (i, step) in past.iter().enumerate().skip(start).rev() {
            if step.time.ms() < oldest || found == self.at_least {
                break;
            }
            if self.counts(step) {
                newest = newest.or(Some(i));
                found += 1;
            }
        }
        let newest = newest.filter(|_| found >= self.at_least)?;
        (past[newest].time.ms() <= now.ms().saturating_sub(self.from_ms)).then_some((start, newest))
    }

    fn holds(&self, past: &[Step], now: Timestamp) -> Option<Standing> {
        let (start, newest) = self.matching(past, now)?;
        // the steps that count, back from the newest, as long as each keeps the rule alive until the next
        let mut chain = vec![newest];
        for i in (start..newest).rev() {
            let next = past[chain[chain.len() - 1]].time.ms();
            if next - past[i].time.ms() > self.within_ms {
                break;
            }
            if self.counts(&past[i]) {
                chain.push(i);
            }
        }
        chain.reverse();
        let since = if self.from_ms > 0 {
            past[newest].time.plus_ms(self.from_ms)
        } else {
            past[chain[self.at_least.clamp(1, chain.len()) - 1]].time
        };
        let evidence = chain[chain.len().saturating_sub(MAX_EVIDENCE)..].to_vec();
        Some(Standing {
            stage: self.stage,
            since: Some(since),
            evidence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{DAY_MS, HOUR_MS};

    fn step(hours: i64, kind: EventKind, rating: Option<f32>) -> Step {
        Step {
            time: Timestamp::from_ms(hours * HOUR_MS),
            kind,
            product: None,
            rating,
        }
    }

    fn rule(stage: u8, kinds: &[EventKind], within_ms: i64) -> Rule {
        Rule {
            stage: StageIndex(stage),
            kinds: KindSet::of(kinds),
            from_ms: 0,
            within_ms,
            at_least: 1,
            after_last: KindSet::default(),
            min_rating: None,
            has_bought: None,
        }
    }

    fn journey() -> Journey {
        let cart = Rule {
            after_last: KindSet::of(&[EventKind::Purchase]),
            ..rule(1, &[EventKind::AddToCart], 2 * DAY_MS)
        };
        let bought = rule(2, &[EventKind::Purchase], 7 * DAY_MS);
        let fan = Rule {
            min_rating: Some(8.0),
            ..rule(4, &[EventKind::NpsResponse], 60 * DAY_MS)
        };
        let kept = Rule {
            from_ms: 7 * DAY_MS,
            ..rule(3, &[EventKind::Purchase], 4000 * DAY_MS)
        };
        let names = ["new", "cart", "bought", "kept", "fan"];
        let stage = |name: &str| Stage {
            name: name.to_owned(),
            aim: String::new(),
        };
        Journey {
            stages: names.map(stage).to_vec(),
            rules: vec![cart, bought, fan, kept],
            otherwise: StageIndex(0),
            recovery: Recovery::default(),
            health: HealthBounds::default(),
        }
    }

    fn check(steps: &[Step], now_hours: i64, stage: &str, since_hours: Option<i64>) {
        let journey = journey();
        let now = Timestamp::from_ms(now_hours * HOUR_MS);
        let standing = journey.standing(steps, now);
        assert_eq!(journey.name(standing.stage), stage);
        assert_eq!(standing.since.map(|t| t.ms() / HOUR_MS), since_hours);
        assert_eq!(journey.stage_at(steps, now), standing.stage);
    }

    #[test]
    fn the_first_rule_that_holds_decides() {
        let steps = [
            step(0, EventKind::AddToCart, None),
            step(10, EventKind::AddToCart, None),
            step(20, EventKind::Purchase, None),
        ];
        check(&[], 5, "new", None);
        check(&steps[..1], 5, "cart", Some(0));
        check(&steps[..2], 12, "cart", Some(0));
        check(&steps[..1], 49, "new", None);
        check(&steps, 15, "cart", Some(0));
        check(&steps, 21, "bought", Some(20));
        check(&steps, 20 + 7 * 24 + 1, "kept", Some(20 + 7 * 24));
    }

    #[test]
    fn what_is_forgotten_changes_no_stage_and_turns_are_all_there_are() {
        let mut journey = journey();
        journey.rules[0].at_least = 2;
        let kinds = [
            EventKind::AddToCart,
            EventKind::Purchase,
            EventKind::NpsResponse,
            EventKind::PageView,
        ];
        let mut number = 7_u64;
        let (mut all, mut few) = (Vec::new(), Vec::new());
        for i in 0..400 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let kind = kinds[(number >> 33) as usize % 4];
            let rating = (kind == EventKind::NpsResponse).then_some((number >> 40) as f32 % 11.0);
            let step = step(i * 7 + (number >> 50) as i64 % 7, kind, rating);
            all.push(step);
            few.push(step);
            journey.forget(&mut few);
            assert!(few.len() <= 6, "{few:?}");
            let turns = journey.turns(&few);
            let mut before = journey.stage_at(&all, step.time);
            for hours in 0..40 {
                let now = step.time.plus_ms(hours * 8 * HOUR_MS);
                let stage = journey.stage_at(&all, now);
                assert_eq!(journey.stage_at(&few, now), stage);
                let has_turned =
                    |turn: &Timestamp| *turn > now.plus_ms(-8 * HOUR_MS) && *turn <= now;
                assert!(stage == before || turns.iter().any(has_turned));
                before = stage;
            }
        }
    }

    #[test]
    fn a_low_rating_is_to_be_made_good_for_a_while() {
        let recovery = Recovery::default();
        let rated = |kind, rating| Some(step(100, kind, Some(rating)));
        let due = |newest, hours: i64| {
            let now = Timestamp::from_ms(hours * HOUR_MS);
            recovery.due(newest, now).is_some()
        };
        for (kind, low, good) in [
            (EventKind::Review, 2.0, 3.0),
            (EventKind::CsatResponse, 1.0, 2.5),
            (EventKind::NpsResponse, 6.0, 7.0),
        ] {
            assert!(due(rated(kind, low), 100) && due(rated(kind, low), 100 + 30 * 24));
            assert!(!due(rated(kind, low), 99) && !due(rated(kind, low), 101 + 30 * 24));
            assert!(!due(rated(kind, good), 100));
        }
        assert!(!due(None, 100));
    }

    #[test]
    fn ratings_count_from_their_threshold_on() {
        let kept = [step(0, EventKind::Purchase, None)];
        let fan = [kept[0], step(200, EventKind::NpsResponse, Some(9.0))];
        let critic = [kept[0], step(200, EventKind::NpsResponse, Some(6.0))];
        check(&fan, 201, "fan", Some(200));
        check(&critic, 201, "kept", Some(168));
    }
}
