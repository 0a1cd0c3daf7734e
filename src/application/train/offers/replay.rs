//! A history, replayed for the decisions about offers that reached somebody.

use std::collections::HashSet;

use super::exposure::{Exposure, KnownPersonas, Moment};
use super::mailings::{Mailed, Mailings};
use crate::application::history::Ahead;
use crate::application::train::Lesson;
use crate::domain::attribution::short_hash;
use crate::domain::time::DAY_MS;
use crate::domain::{
    Credit, EventKind, Fingerprint, OfferEffect, Recipe, Record, RecordBody, Subject as Who,
    Timestamp,
};
use crate::state::State;
use crate::state::exposures::{HORIZON_DAYS, teaches};
use crate::state::people::Person;
use crate::state::view::View;

/// So many of the last exposures are learned from.
const MAX_ROWS: usize = 250_000;
/// So many records are taken in between two looks at whether to go on.
const RECORDS_AT_ONCE: usize = 4_096;

/// The exposures of a history in the order of time, each with what came of it, and State at the end of it; those whose
/// horizon has not ended are left out, and the oldest of more than [`MAX_ROWS`]. Nothing if `keep_on` says so.
pub(super) fn exposures(
    lesson: Lesson<'_>,
    personas: KnownPersonas<'_>,
    keep_on: &mut dyn FnMut() -> bool,
) -> Option<(Vec<Exposure>, State)> {
    let history = lesson.history;
    let mut state = State::new(lesson.fold.clone());
    history.known.iter().for_each(|record| state.apply(record));
    let mut replay = Replay {
        personas,
        exposures: Vec::new(),
        decided: HashSet::new(),
        mailings: Mailings::default(),
    };
    for (place, record) in history.moments.iter().enumerate() {
        if place.is_multiple_of(RECORDS_AT_ONCE) && !keep_on() {
            return None;
        }
        replay.observe(&state, lesson.recipes, record, place);
        state.apply(record);
    }
    let until = history.span().map_or(Timestamp::MIN, |(_, last)| last);
    let mut all = replay.exposures;
    all.retain(|exposure| exposure.time.plus_ms(HORIZON_DAYS * DAY_MS) <= until);
    all.drain(..all.len().saturating_sub(MAX_ROWS));
    let ahead = Ahead::of(&history.moments);
    for exposure in &mut all {
        exposure.settle(&state, &ahead);
    }
    // of these nobody can say which offer did it
    all.retain(|exposure| !exposure.is_spoiled);
    Some((all, state))
}

/// True if anything in a history says that an offer, or none, reached somebody.
pub(super) fn has_exposures(lesson: Lesson<'_>) -> bool {
    let is_mailing = |record: &Record| match &record.body {
        RecordBody::Event(event) => event.kind == EventKind::OfferSent,
        _ => false,
    };
    let mut records = lesson.history.moments.iter();
    records.any(|record| is_mailing(record) || is_exposure(record))
}

/// What is seen on the way.
struct Replay<'a> {
    personas: KnownPersonas<'a>,
    exposures: Vec<Exposure>,
    decided: HashSet<Fingerprint>,
    mailings: Mailings,
}

/// True if a record says that a decision reached somebody.
fn is_exposure(record: &Record) -> bool {
    let RecordBody::Event(event) = &record.body else {
        return false;
    };
    let has_decision =
        matches!(&event.credit, Some(Credit::Proven(proven)) if proven.offers.is_some());
    has_decision && OfferEffect::of(event.kind) == Some(OfferEffect::Exposure)
}

impl Replay<'_> {
    /// Sees a record of the history, at its place, before `state` takes it in.
    fn observe(&mut self, state: &State, recipes: &[Recipe], record: &Record, place: usize) {
        let RecordBody::Event(event) = &record.body else {
            return;
        };
        for mailed in self.mailings.observe(state, event, place) {
            self.observe_mailed(state, recipes, mailed, event.time);
        }
        if !is_exposure(record) {
            return;
        }
        let Some(Credit::Proven(proven)) = &event.credit else {
            return;
        };
        let Some(decision) = proven.offers.as_ref().filter(|d| teaches(d)) else {
            return;
        };
        let (answered, Some(propensity)) = decision.arm() else {
            return;
        };
        if !proven.is_theirs || !self.decided.insert(proven.decision) {
            return;
        }
        let person = match &event.subject {
            Who::Customer { customer, .. } => state.people.customer(customer),
            Who::Visitor(visitor) => state.people.visitor(visitor),
        };
        let others = decision.others.iter().copied();
        let moment = Moment {
            person,
            stage: state.journey().stage(&proven.stage),
            time: event.time,
            place,
        };
        let Some(exposure) = moment.exposure(state, recipes, self.personas, answered, others)
        else {
            return;
        };
        self.add(Exposure {
            propensity: Some(propensity),
            is_held_out: decision.is_held_out,
            ..exposure
        });
    }

    /// Somebody who was mailed by another tool, or stands beside one who was.
    fn observe_mailed(
        &mut self,
        state: &State,
        recipes: &[Recipe],
        mailed: Mailed,
        time: Timestamp,
    ) {
        let person = Person::Customer(mailed.customer);
        let stage = View::new(state, state.subject(person), &[], time).stage;
        let moment = Moment {
            person: Some(person),
            stage: Some(stage),
            time,
            place: mailed.place,
        };
        let offer = short_hash(&state.offers.item(mailed.offer).id);
        let (answered, other) = match mailed.was_sent {
            true => (Some(offer), None),
            false => (None, Some(offer)),
        };
        let others = other.into_iter();
        let exposure = moment.exposure(state, recipes, self.personas, answered, others);
        exposure.into_iter().for_each(|exposure| self.add(exposure));
    }

    fn add(&mut self, exposure: Exposure) {
        if self.exposures.len() >= 2 * MAX_ROWS {
            self.exposures.drain(..MAX_ROWS);
        }
        self.exposures.push(exposure);
    }
}
