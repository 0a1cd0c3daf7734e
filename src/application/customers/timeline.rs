//! What somebody did, the newest first, with the stage after each step.

use std::collections::VecDeque;

use super::{Customers, Theirs};
use crate::application::catalog::Page;
use crate::application::error::AppError;
use crate::domain::journey::Step;
use crate::domain::{Event, EventKind, Position, RecordBody};

/// With more steps than this those are forgotten that no rule of the journey asks for.
const FORGET_FROM: usize = 64;

/// An event of somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What happened.
    pub event: Event,
    /// The stage they were in right after it, by what had come in until then.
    pub stage: String,
}

impl Customers {
    /// The newest events of somebody that stand in the journal before the position `before` (absent: all), at most
    /// `limit`, in the reverse order of the journal. Reads all of theirs up to there: blocking.
    ///
    /// # Errors
    /// `DataLoss`.
    pub fn newest_events(
        &self,
        theirs: &Theirs,
        before: Option<u64>,
        limit: usize,
        gone: &dyn Fn() -> bool,
    ) -> Result<Page<Told>, AppError> {
        let journey = &self.shop.settings.fold.journey;
        let mut steps: Vec<Step> = Vec::new();
        let mut newest: VecDeque<(Position, Told)> = VecDeque::new();
        let mut is_more = false;
        let positions = theirs.positions_before(before.unwrap_or(u64::MAX));
        for read in self.shop.journal.read_at(positions) {
            if gone() {
                return Err(AppError::Stopping);
            }
            let (position, record) = read?;
            if !theirs.holds(position, &record) {
                continue;
            }
            let RecordBody::Event(event) = record.body else {
                continue;
            };
            // what the shop sends is no step of theirs
            if event.kind != EventKind::OfferSent {
                let at = steps.partition_point(|step| step.time <= event.time);
                let step = Step {
                    time: event.time,
                    kind: event.kind,
                    product: None,
                    rating: event.rating.map(|rating| rating as f32),
                };
                steps.insert(at, step);
                if steps.len() > FORGET_FROM {
                    journey.forget(&mut steps);
                }
            }
            let stage = journey.name(journey.stage_at(&steps, event.time));
            let told = Told {
                stage: stage.to_owned(),
                event: *event,
            };
            newest.push_back((position, told));
            if newest.len() > limit {
                newest.pop_front();
                is_more = true;
            }
        }
        let oldest = newest.front().map(|(position, _)| position.0);
        Ok(Page {
            next: oldest.filter(|_| is_more),
            items: newest.into_iter().rev().map(|(_, told)| told).collect(),
        })
    }
}
