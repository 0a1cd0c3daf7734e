//! Where in the journal somebody's events stand, so that who asks for one customer does not read all of it.
//!
//! Made from the journal when it is first asked for, and brought up to date before each answer: only what is new is
//! read. An erasure has it made anew, so that it names nobody who is gone. Memory: the two to four bytes of a position
//! for each event, and about a hundred for each person.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::FixedState;

use crate::application::error::AppError;
use crate::application::ownership::{Ownership, identification};
use crate::application::recommend::Who;
use crate::domain::{CustomerId, Position, Record, RecordBody, Subject, VisitorId};
use crate::store::Journal;

/// What is somebody's in the journal, and where their events and kept answers stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theirs {
    ownership: Ownership,
    /// Ascending; a few may be of others who share a hash: [`Theirs::holds`] tells.
    positions: Vec<Position>,
}

impl Theirs {
    /// True if the record at `position` is theirs.
    #[must_use]
    pub fn holds(&self, position: Position, record: &Record) -> bool {
        self.ownership.holds(position, record)
    }

    /// As [`Ownership::visitors`].
    pub fn visitors(&self) -> impl Iterator<Item = &VisitorId> {
        self.ownership.visitors()
    }

    /// Where to look for their records from `from` on.
    pub(super) fn positions_from(&self, from: u64) -> &[Position] {
        let first = self.positions.partition_point(|position| position.0 < from);
        &self.positions[first..]
    }

    /// Where to look for their records before `before`.
    pub(super) fn positions_before(&self, before: u64) -> &[Position] {
        let end = self
            .positions
            .partition_point(|position| position.0 < before);
        &self.positions[..end]
    }
}

/// Everybody's.
#[derive(Debug, Default)]
pub(super) struct Trails(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    epoch: u64,
    /// What stands before is known.
    next: Position,
    /// By the hash of an id.
    trails: HashMap<u64, Trail, FixedState>,
    /// By visitor: who they turned out to be, and from where on; only changes.
    turns: HashMap<VisitorId, Vec<(Position, CustomerId)>, FixedState>,
    /// By customer: who ever turned out to be them.
    visitors: HashMap<CustomerId, Vec<VisitorId>, FixedState>,
}

/// Ascending positions, each as its distance from the one before, seven bits a byte.
#[derive(Debug, Default)]
struct Trail {
    last: Option<Position>,
    distances: Vec<u8>,
}

impl Trail {
    fn push(&mut self, position: Position) {
        // what was read twice stands once
        if self.last.is_some_and(|last| position <= last) {
            return;
        }
        let before = self.last.map_or(0, |last| last.0);
        let mut rest = position.0 - before;
        while rest >= 0x80 {
            self.distances.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.distances.push(rest as u8);
        self.last = Some(position);
    }

    fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let (mut at, mut distance, mut shift) = (0, 0_u64, 0);
        self.distances.iter().filter_map(move |byte| {
            distance |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            (byte & 0x80 == 0).then(|| {
                at += distance;
                (distance, shift) = (0, 0);
                Position(at)
            })
        })
    }
}

fn hash_of_customer(id: &CustomerId) -> u64 {
    FixedState::default().hash_one(("customer", id.as_str()))
}

fn hash_of_visitor(id: &VisitorId) -> u64 {
    FixedState::default().hash_one(("visitor", id.as_str()))
}

impl Trails {
    /// Forgets everything; it is made anew when it is asked for.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// What is somebody's in `journal`. Reads what is new in it: blocking.
    ///
    /// # Errors
    /// `DataLoss`; `Stopping` if nobody waits any more: what was read until then is kept.
    pub(super) fn of(
        &self,
        who: &Who,
        journal: &dyn Journal,
        gone: &dyn Fn() -> bool,
    ) -> Result<Theirs, AppError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = journal.epoch();
        if kept.epoch != epoch {
            *kept = Kept {
                epoch,
                ..Kept::default()
            };
        }
        for read in journal.read_from(kept.next) {
            if gone() {
                return Err(AppError::Stopping);
            }
            let (position, record) = read?;
            kept.take(position, &record);
            kept.next = Position(position.0.saturating_add(1));
        }
        Ok(kept.theirs(who))
    }
}

impl Kept {
    fn take(&mut self, position: Position, record: &Record) {
        let subject = match &record.body {
            RecordBody::Event(event) => Some(&event.subject),
            RecordBody::AnswerKept(kept) => Some(&kept.subject),
            _ => None,
        };
        if let Some(subject) = subject {
            let hash = match subject {
                Subject::Customer { customer, .. } => hash_of_customer(customer),
                Subject::Visitor(visitor) => hash_of_visitor(visitor),
            };
            self.trails.entry(hash).or_default().push(position);
        }
        if let Some((visitor, customer)) = identification(record) {
            self.identify(position, visitor, customer);
        }
    }

    fn identify(&mut self, position: Position, visitor: &VisitorId, customer: &CustomerId) {
        if let Some(turns) = self.turns.get_mut(visitor) {
            if turns.last().is_some_and(|turn| turn.1 == *customer) {
                return;
            }
            turns.push((position, customer.clone()));
        } else {
            let first = vec![(position, customer.clone())];
            self.turns.insert(visitor.clone(), first);
        }
        let visitors = self.visitors.entry(customer.clone()).or_default();
        if !visitors.contains(visitor) {
            visitors.push(visitor.clone());
        }
    }

    fn theirs(&self, who: &Who) -> Theirs {
        let (customer, visitors) = match who {
            Who::Customer(customer) => {
                let visitors = self.visitors.get(customer).map(Vec::as_slice);
                (Some(customer), visitors.unwrap_or_default())
            }
            Who::Visitor(visitor) => (None, std::slice::from_ref(visitor)),
            Who::Nobody => (None, &[][..]),
        };
        let turns = visitors.iter().flat_map(|visitor| {
            let turns = self.turns.get(visitor).map(Vec::as_slice);
            let turns = turns.unwrap_or_default().iter();
            turns.map(move |(position, customer)| (*position, visitor, customer))
        });
        let ownership = Ownership::of_turns(who, turns);
        let hashes = customer.map(hash_of_customer).into_iter();
        let hashes = hashes.chain(visitors.iter().map(hash_of_visitor));
        let trails = hashes.filter_map(|hash| self.trails.get(&hash));
        let mut positions: Vec<Position> = trails.flat_map(Trail::positions).collect();
        positions.sort_unstable();
        positions.dedup();
        Theirs {
            ownership,
            positions,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{EventDraft, Timestamp};
    use crate::store::MemoryJournal;

    fn customer(number: u8) -> CustomerId {
        CustomerId::trusted(format!("c{number}"))
    }

    fn visitor(number: u8) -> VisitorId {
        VisitorId::trusted(format!("v{number}"))
    }

    /// An event of a customer, a visitor or both; an identification, if both and not `is_event`.
    fn body(number: usize, (who, on, is_event): (u8, u8, bool)) -> RecordBody {
        let customer_id = (who > 0).then(|| customer(who));
        let visitor_id = (on > 0 || who == 0).then(|| visitor(on));
        if let (Some(customer), Some(visitor), false) = (&customer_id, &visitor_id, is_event) {
            return RecordBody::VisitorIdentified {
                visitor: visitor.clone(),
                customer: customer.clone(),
            };
        }
        let draft = EventDraft {
            event_id: &number.to_string(),
            event_type: "page_view",
            time: Some(Ok(Timestamp::from_ms(1_300_000_000_000))),
            customer_id: customer_id.as_ref().map_or("", CustomerId::as_str),
            visitor_id: visitor_id.as_ref().map_or("", VisitorId::as_str),
            ..EventDraft::default()
        };
        let event = draft.check(Timestamp::MAX, |_| 0).unwrap();
        RecordBody::Event(Box::new(event))
    }

    fn everybody() -> impl Iterator<Item = Who> {
        let customers = (1..4).map(|number| Who::Customer(customer(number)));
        customers.chain((0..4).map(|number| Who::Visitor(visitor(number))))
    }

    /// What reading all of the journal finds.
    fn read_through(journal: &MemoryJournal, who: &Who) -> (Ownership, Vec<Position>) {
        let all = || journal.read_from(Position(0));
        let ownership = Ownership::of(who, all()).unwrap();
        let theirs = all().map(Result::unwrap).filter(|(position, record)| {
            matches!(record.body, RecordBody::Event(_)) && ownership.holds(*position, record)
        });
        let positions = theirs.map(|(position, _)| position).collect();
        (ownership, positions)
    }

    fn assert_found(trails: &Trails, journal: &MemoryJournal) {
        for who in everybody() {
            let found = trails.of(&who, journal, &|| false).unwrap();
            let (ownership, wanted) = read_through(journal, &who);
            assert_eq!(found.ownership, ownership, "{who:?}");
            let read = journal.read_at(found.positions_from(0)).map(Result::unwrap);
            let read = read.filter(|(position, record)| found.holds(*position, record));
            let read: Vec<Position> = read.map(|(position, _)| position).collect();
            assert_eq!(read, wanted, "{who:?}");
            let (before, after) = (found.positions_before(7), found.positions_from(7));
            assert_eq!([before, after].concat(), found.positions);
            assert!(before.iter().all(|position| position.0 < 7));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn it_finds_what_reading_everything_finds(
            acts in proptest::collection::vec((0..4_u8, 0..4_u8, any::<bool>()), 1..40),
            asked_at in 0..40_usize,
            erased in 1..4_u8,
        ) {
            let (journal, trails) = (MemoryJournal::new(), Trails::default());
            for (number, act) in acts.into_iter().enumerate() {
                let recorded_at = Timestamp::default();
                let body = body(number, act);
                journal.append(&[Record { recorded_at, body }]).unwrap();
                if number == asked_at {
                    assert_found(&trails, &journal);
                }
            }
            assert_found(&trails, &journal);
            let gone = crate::application::ownership::positions(&journal, &customer(erased)).unwrap();
            journal.erase(&gone).unwrap();
            assert_found(&trails, &journal);
        }
    }

    #[test]
    fn what_was_read_before_somebody_went_away_is_kept() {
        let (journal, trails) = (MemoryJournal::new(), Trails::default());
        for number in 0..10 {
            let recorded_at = Timestamp::default();
            let body = body(number, (1, 0, true));
            journal.append(&[Record { recorded_at, body }]).unwrap();
        }
        let left = std::cell::Cell::new(4);
        let gone = || left.replace(left.get() - 1) == 0;
        let who = Who::Customer(customer(1));
        let ended = trails.of(&who, &journal, &gone);
        assert!(matches!(ended, Err(AppError::Stopping)));
        assert_eq!(trails.0.lock().unwrap().next, Position(4));
        assert_found(&trails, &journal);
    }

    #[test]
    fn distances_come_back_as_positions() {
        let wanted = [0, 1, 127, 128, 255, 16_511, 1 << 40, u64::MAX].map(Position);
        let mut trail = Trail::default();
        for position in wanted {
            trail.push(position);
            trail.push(position);
        }
        assert_eq!(trail.positions().collect::<Vec<_>>(), wanted);
        assert_eq!(trail.distances.len(), 1 + 1 + 1 + 1 + 1 + 2 + 6 + 10);
    }
}
