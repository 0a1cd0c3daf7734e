//! What is counted of somebody's visits: when they come, by which way, and what they do there, in bounded memory.

use serde::{Deserialize, Serialize};

use crate::algorithms::sessions::SILENCE_MS;
use crate::domain::journey::Step;
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::domain::{EventKind, Timestamp};

/// The most names of touchpoints that are told apart in a shop; those that come later count as [`OTHER_WAY`].
pub const MAX_WAYS: usize = 255;
/// The most ways in that are told apart of one person; further ones count as [`OTHER_WAY`].
pub const MAX_OWN_WAYS: usize = 16;
/// The number of all other ways in.
pub const OTHER_WAY: u8 = u8::MAX;
/// So many parts of a day are told apart, each two hours long.
pub const PARTS: usize = 12;

/// What somebody does on visits, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Looks at a product.
    Look,
    /// Searches, or looks through a list.
    Search,
    /// Puts something into the cart.
    Cart,
    /// Speaks up: reviews, answers, shares, recommends.
    Speak,
    /// Opens a mail, or clicks a link in it.
    Mail,
}

/// How many [`Act`]s there are.
pub const ACTS: usize = 5;

impl Act {
    fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::ViewItem => Some(Self::Look),
            EventKind::Search | EventKind::ViewItemList => Some(Self::Search),
            EventKind::AddToCart => Some(Self::Cart),
            EventKind::Review
            | EventKind::CsatResponse
            | EventKind::NpsResponse
            | EventKind::Share
            | EventKind::Referral => Some(Self::Speak),
            EventKind::EmailOpen | EventKind::EmailClick => Some(Self::Mail),
            _ => None,
        }
    }
}

/// What is counted of somebody's visits. A visit begins with an event of a visit more than 30 minutes after the newest
/// one that is known, or before it. Counts stay at their greatest number; those of two people who turn out to be one
/// are added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    /// The newest event of a visit.
    pub last: Option<Timestamp>,
    /// Visits on working days (Monday to Friday) and on weekends, by the two hours (UTC) they began in.
    pub times: [[u16; PARTS]; 2],
    /// Visits by the number of the touchpoint they began at, ordered by number.
    pub ways: Vec<(u8, u16)>,
    /// Events by [`Act`].
    pub acts: [u32; ACTS],
    /// The newest rating (review, CSAT, NPS).
    pub rated: Option<Step>,
}

impl Habits {
    /// Counts an event; `way` is the number of its touchpoint, if it has one.
    pub(super) fn count(&mut self, step: Step, way: Option<u8>) {
        let Step { kind, time, .. } = step;
        if step.rating.is_some() {
            self.rate(step);
        }
        if let Some(act) = Act::of(kind) {
            let count = &mut self.acts[act as usize];
            *count = count.saturating_add(1);
        }
        if !is_of_visit(kind) {
            return;
        }
        let apart = |last: Timestamp| (time.ms() - last.ms()).abs() > SILENCE_MS;
        if self.last.is_none_or(apart) {
            let (day, part) = moment(time);
            let count = &mut self.times[day][part];
            *count = count.saturating_add(1);
            if let Some(way) = way {
                self.add_way(way, 1);
            }
        }
        self.last = self.last.max(Some(time));
    }

    fn rate(&mut self, step: Step) {
        if self.rated.is_none_or(|rated| rated.time <= step.time) {
            self.rated = Some(step);
        }
    }

    fn add_way(&mut self, way: u8, by: u16) {
        let find = |ways: &[(u8, u16)], way: u8| ways.binary_search_by_key(&way, |&(way, _)| way);
        let (way, place) = match find(&self.ways, way) {
            // the last place is that of all others
            Err(_) if way != OTHER_WAY && self.ways.len() >= MAX_OWN_WAYS - 1 => {
                (OTHER_WAY, find(&self.ways, OTHER_WAY))
            }
            place => (way, place),
        };
        match place {
            Ok(place) => self.ways[place].1 = self.ways[place].1.saturating_add(by),
            Err(place) => self.ways.insert(place, (way, by)),
        }
    }

    /// Adds what was counted of somebody who turned out to be the same.
    pub(super) fn merge(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        if let Some(rated) = other.rated {
            self.rate(rated);
        }
        let times = self.times.iter_mut().flatten();
        for (mine, theirs) in times.zip(other.times.iter().flatten()) {
            *mine = mine.saturating_add(*theirs);
        }
        for (mine, theirs) in self.acts.iter_mut().zip(other.acts) {
            *mine = mine.saturating_add(theirs);
        }
        for &(way, by) in &other.ways {
            self.add_way(way, by);
        }
    }

    /// All visits.
    #[must_use]
    pub fn visits(&self) -> u32 {
        self.times
            .iter()
            .flatten()
            .map(|&count| u32::from(count))
            .sum()
    }

    /// How often they did something.
    #[must_use]
    pub fn acts(&self, act: Act) -> u32 {
        self.acts[act as usize]
    }
}

/// True if somebody who does this is in the shop; the others come by mail, from the carrier, or afterwards.
#[must_use]
pub fn is_of_visit(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::OfferSent
            | EventKind::OfferRedeemed
            | EventKind::OfferDeclined
            | EventKind::OrderDelivered
            | EventKind::EmailOpen
            | EventKind::Refund
            | EventKind::Share
            | EventKind::SupportContact
            | EventKind::Review
            | EventKind::CsatResponse
            | EventKind::NpsResponse
    )
}

/// Working day (0) or weekend (1), and the part of the day; UTC.
fn moment(time: Timestamp) -> (usize, usize) {
    // the first of January 1970 was a Thursday
    let weekday = (time.ms().div_euclid(DAY_MS) + 3).rem_euclid(7);
    let part = time.ms().rem_euclid(DAY_MS) / (2 * HOUR_MS);
    (usize::from(weekday >= 5), part as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: EventKind, text: &str) -> Step {
        step(kind, Timestamp::parse(text).unwrap())
    }

    fn step(kind: EventKind, time: Timestamp) -> Step {
        Step {
            time,
            kind,
            product: None,
            rating: kind.rating_scale().map(|scale| *scale.end() as f32),
        }
    }

    #[test]
    fn a_visit_is_counted_once_where_and_when_it_began() {
        let mut habits = Habits::default();
        // a Friday, then a Saturday
        for (kind, time, way) in [
            (EventKind::AdClick, "2026-06-05T23:50:00Z", 3),
            (EventKind::ViewItem, "2026-06-06T00:10:00Z", 1),
            (EventKind::ViewItem, "2026-06-06T00:41:00Z", 1),
            (EventKind::EmailOpen, "2026-06-07T10:00:00Z", 2),
            (EventKind::Review, "2026-06-07T10:00:00Z", 2),
        ] {
            habits.count(at(kind, time), Some(way));
        }
        assert_eq!(habits.rated.unwrap().kind, EventKind::Review);
        assert_eq!(habits.visits(), 2);
        assert_eq!((habits.times[0][11], habits.times[1][0]), (1, 1));
        assert_eq!(habits.ways, [(1, 1), (3, 1)]);
        let acts = [Act::Look, Act::Search, Act::Cart, Act::Speak, Act::Mail];
        assert_eq!(acts.map(|act| habits.acts(act)), [2, 0, 0, 1, 1]);
        let mut both = habits.clone();
        both.merge(&habits);
        assert_eq!(both.visits(), 4);
        assert_eq!(both.ways, [(1, 2), (3, 2)]);
        assert_eq!(both.acts(Act::Look), 4);
    }

    #[test]
    fn memory_is_bounded() {
        let mut habits = Habits::default();
        for number in 0..100_000i64 {
            let time = Timestamp::from_ms(number * HOUR_MS * 24);
            let page = step(EventKind::PageView, time);
            habits.count(page, Some((number % 100) as u8));
        }
        assert_eq!(habits.ways.len(), MAX_OWN_WAYS);
        assert_eq!(habits.ways.last(), Some(&(OTHER_WAY, u16::MAX)));
        // at the greatest number they stay
        assert_eq!(habits.times[0][0], u16::MAX);
    }
}
