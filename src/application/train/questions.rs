//! Which questions to ask of the past: at regular dates of everybody who came back, as a mailing would, and in the
//! middle of visits, as a page view would.

use crate::algorithms::draw::mix;
use crate::application::history::{Ahead, History, time};
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, RecordBody, Timestamp};

/// The days between the regular dates, and from the last one to the end of the history, at most.
const PERIOD_DAYS: f64 = 30.0;
/// How many regular dates there are at most.
const PERIODS: usize = 8;
/// The first questions are asked after this share of the history.
const WARM_UP: f64 = 0.15;

/// How many questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuestionSettings {
    /// Decides which of too many are asked.
    pub seed: u64,
    /// The most.
    pub most: usize,
}

/// A question of the past: about `person`, after the first `place` moments of the history, at `time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How many moments had passed.
    pub place: usize,
    /// When it is asked.
    pub time: Timestamp,
    /// About whom, by the number in [`Ahead`].
    pub person: u32,
}

/// The questions, in the order of time, and which part of a run they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The questions.
    pub questions: Vec<Moment>,
    /// From here on, questions calibrate.
    calibrate: Timestamp,
    /// From here on, questions judge.
    judge: Timestamp,
    /// The time between regular dates.
    period_ms: i64,
}

impl Plan {
    /// Questions to tune by, in the order of time, at most `most` of each kind: those of a regular date, and those in
    /// the middle of visits after it; none of them calibrates or judges.
    #[must_use]
    pub fn tuning(&self, most: usize) -> (Vec<Moment>, Vec<Moment>) {
        let date = self.calibrate.plus_ms(-self.period_ms);
        let within = self
            .questions
            .iter()
            .copied()
            .filter(|q| q.time >= date && q.time < self.calibrate);
        let (regular, visits): (Vec<Moment>, Vec<Moment>) =
            within.partition(|question| question.time == date);
        (sample(regular, most, 2), sample(visits, most, 3))
    }

    /// 0: to learn from; 1: to calibrate with; 2: to judge by.
    #[must_use]
    pub fn part(&self, time: Timestamp) -> usize {
        usize::from(time >= self.calibrate) + usize::from(time >= self.judge)
    }
}

/// Chooses the questions of a history.
#[must_use]
pub fn choose(history: &History, ahead: &Ahead<'_>, settings: &QuestionSettings) -> Plan {
    let Some((first, last)) = history.span() else {
        let never = Timestamp::MAX;
        return Plan {
            questions: Vec::new(),
            calibrate: never,
            judge: never,
            period_ms: 0,
        };
    };
    let span_days = last.days_since(first);
    let period_ms = ((span_days * (1.0 - WARM_UP) / 5.0).min(PERIOD_DAYS) * DAY_MS as f64) as i64;
    let period_ms = period_ms.max(1);
    let earliest = first.plus_ms((span_days * WARM_UP * DAY_MS as f64) as i64);
    let dates: Vec<Timestamp> = (1..=PERIODS as i64)
        .map(|periods| last.plus_ms(-periods * period_ms))
        .take_while(|&date| date > earliest)
        .collect();
    Plan {
        questions: all(history, ahead, &dates, period_ms, earliest, settings),
        calibrate: last.plus_ms(-2 * period_ms),
        judge: last.plus_ms(-period_ms),
        period_ms,
    }
}

/// Chooses questions from `since` to the end of the history, as [`choose`] does: at regular dates, the last one as far
/// from the end as they are from each other, and in the middle of visits.
#[must_use]
pub fn choose_since(
    history: &History,
    ahead: &Ahead<'_>,
    since: Timestamp,
    settings: &QuestionSettings,
) -> Vec<Moment> {
    let Some((_, last)) = history.span() else {
        return Vec::new();
    };
    let period_ms = (last.ms() - since.ms()).min((PERIOD_DAYS * DAY_MS as f64) as i64);
    let period_ms = period_ms.max(1);
    let dates: Vec<Timestamp> = (1..)
        .map(|periods| last.plus_ms(-periods * period_ms))
        .take_while(|&date| date >= since)
        .collect();
    all(history, ahead, &dates, period_ms, since, settings)
}

/// Questions at `dates`, and in visits from `earliest` on, in the order of time.
fn all(
    history: &History,
    ahead: &Ahead<'_>,
    dates: &[Timestamp],
    period_ms: i64,
    earliest: Timestamp,
    settings: &QuestionSettings,
) -> Vec<Moment> {
    let mut questions = regular(history, ahead, dates, period_ms, settings);
    let room = settings.most.saturating_sub(questions.len());
    questions.extend(in_visits(history, ahead, earliest, room, settings.seed));
    questions.sort_by_key(|question| (question.place, question.time, question.person));
    questions
}

/// Everybody who was known at a date and came back within the period after it.
fn regular(
    history: &History,
    ahead: &Ahead<'_>,
    dates: &[Timestamp],
    period_ms: i64,
    settings: &QuestionSettings,
) -> Vec<Moment> {
    let bought = history.has(EventKind::Purchase);
    let outcome = if bought {
        EventKind::Purchase
    } else {
        EventKind::ViewItem
    };
    let mut questions = Vec::new();
    for &date in dates {
        let place = history.until(date).len();
        let end = date.plus_ms(period_ms);
        let came_back = |&person: &u32| {
            ahead.last_before(person, place).is_some()
                && !ahead.next(person, place, end, outcome).is_empty()
        };
        questions.extend((0..ahead.persons()).filter(came_back).map(|person| Moment {
            place,
            time: date,
            person,
        }));
    }
    // three quarters of the questions at most: visits must have their say where there are any
    sample(questions, settings.most * 3 / 4, settings.seed)
}

/// After steps in the middle of visits; after a basket only when it is whole.
pub(super) fn in_visits(
    history: &History,
    ahead: &Ahead<'_>,
    earliest: Timestamp,
    most: usize,
    seed: u64,
) -> Vec<Moment> {
    let mut questions = Vec::new();
    for (place, record) in history.moments.iter().enumerate() {
        let (RecordBody::Event(event), Some(person)) = (&record.body, ahead.person(place)) else {
            continue;
        };
        let is_step = !matches!(
            event.kind,
            EventKind::Purchase
                | EventKind::Refund
                | EventKind::OfferSent
                | EventKind::OrderDelivered
        );
        if is_step && event.time >= earliest {
            questions.push(Moment {
                place: place + 1,
                time: time(record),
                person,
            });
        }
    }
    sample(questions, most, seed ^ 1)
}

/// At most `most` of the questions, chosen by the seed, in their order.
pub(super) fn sample(questions: Vec<Moment>, most: usize, seed: u64) -> Vec<Moment> {
    if questions.len() <= most {
        return questions;
    }
    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_by_key(|&i| mix(seed, i as u64));
    order.truncate(most);
    order.sort_unstable();
    order.into_iter().map(|i| questions[i]).collect()
}
