//! Where in the journal somebody's events stand, so that who asks for one customer does not read all of it.
//!
//! Made from the journal when it is first asked for, and brought up to date before each answer: only what is new is
//! read, by one at a time and under no lock, so that who needs none of it goes on. An erasure takes out who is gone.
//!
//! Memory: the two to four bytes of a position for each event, and about a hundred for each person. Visitors who did
//! nothing for so long that State forgets them are let go, too: a filter of fixed size says that there may have been
//! one, and then the old part of the journal is read for who asks.

mod let_go;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use foldhash::quality::FixedState;

use self::let_go::LetGo;
use crate::application::error::AppError;
use crate::application::ownership::{Ownership, identification};
use crate::application::recommend::Who;
use crate::domain::time::DAY_MS;
use crate::domain::{CustomerId, Position, Record, RecordBody, Subject, Timestamp, VisitorId};
use crate::store::Journal;

/// So many records are taken in under one hold of the lock.
const AT_ONCE: usize = 1_024;
/// Every so many records, visitors are let go.
const SWEEP_EVERY: u64 = 65_536;
/// Who waits until somebody else has read looks so often whether they are still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

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
#[derive(Debug)]
pub(super) struct Trails {
    kept: RwLock<Kept>,
    /// Whether somebody reads the journal for it.
    is_read: Mutex<bool>,
    /// Somebody has read some of it.
    moved: Condvar,
    /// Visitors who did nothing for so long are let go.
    idle_ms: i64,
    sweep_every: u64,
}

#[derive(Debug, Default)]
struct Kept {
    epoch: u64,
    /// What stands before is known.
    next: Position,
    newest: Option<Timestamp>,
    /// The first moment of a day, by the newest event until then, with the position that began it; oldest first.
    days: VecDeque<(Timestamp, Position)>,
    /// By the hash of an id.
    customers: HashMap<u64, Trail, FixedState>,
    visitors: HashMap<u64, Trail, FixedState>,
    let_go: LetGo,
    /// Of these the hashes of those whose positions were read again.
    found: HashSet<u64, FixedState>,
    /// By visitor: who they turned out to be, and from where on; only changes.
    turns: HashMap<VisitorId, Vec<(Position, CustomerId)>, FixedState>,
    /// By customer: who ever turned out to be them.
    devices: HashMap<CustomerId, BTreeSet<VisitorId>, FixedState>,
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

/// Says that nobody reads any more when it goes.
struct Reading<'a>(&'a Trails);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        *self
            .0
            .is_read
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = false;
        self.0.moved.notify_all();
    }
}

impl Trails {
    /// Of nobody yet. Visitors who did nothing for `idle_days` are let go.
    pub(super) fn new(idle_days: u32) -> Self {
        Self {
            kept: RwLock::default(),
            is_read: Mutex::default(),
            moved: Condvar::new(),
            idle_ms: i64::from(idle_days) * DAY_MS,
            sweep_every: SWEEP_EVERY,
        }
    }

    /// Takes out a customer who was erased from `journal`; `is_changed` says whether anything of theirs was there.
    /// Waits for who reads the journal: blocking.
    pub(super) fn forget(&self, customer: &CustomerId, is_changed: bool, journal: &dyn Journal) {
        let _reading = self.waits_to_read();
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let before = kept.epoch;
        kept.forget(customer);
        // another erasure that nobody told of is found by its epoch
        if is_changed && journal.epoch() == before + 1 {
            kept.epoch = before + 1;
        }
    }

    fn waits_to_read(&self) -> Reading<'_> {
        let is_read = self.is_read.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.moved.wait_while(is_read, |is_read| *is_read);
        *free.unwrap_or_else(PoisonError::into_inner) = true;
        Reading(self)
    }

    /// What is somebody's in `journal`, with all that it held when it was asked for. Reads what is new in it, or waits
    /// until somebody else has: blocking.
    ///
    /// # Errors
    /// `DataLoss`; `Stopping` if nobody waits any more: what was read until then is kept.
    pub(super) fn of(
        &self,
        who: &Who,
        journal: &dyn Journal,
        gone: &dyn Fn() -> bool,
    ) -> Result<Theirs, AppError> {
        let end = journal.end();
        let mut found = loop {
            {
                let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
                if kept.epoch == journal.epoch() && kept.next >= end {
                    break kept.theirs(who);
                }
            }
            let is_read = self.is_read.lock().unwrap_or_else(PoisonError::into_inner);
            let mut is_read = match *is_read {
                false => is_read,
                true => {
                    let waited = self.moved.wait_timeout(is_read, LOOK_UP);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                    if gone() {
                        return Err(AppError::Stopping);
                    }
                    continue;
                }
            };
            *is_read = true;
            drop(is_read);
            let reading = Reading(self);
            self.read_until(end, journal, gone)?;
            drop(reading);
        };
        if let Some((before, visitors)) = found.unknown {
            let old = read_old(before, visitors, journal, gone)?;
            let all = old.values().flatten().copied().collect();
            found.theirs.positions = merged(all, found.theirs.positions);
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            kept.find_again(old);
        }
        Ok(found.theirs)
    }

    /// Reads what stands before `end`. Only who has said that they read may.
    fn read_until(
        &self,
        end: Position,
        journal: &dyn Journal,
        gone: &dyn Fn() -> bool,
    ) -> Result<(), AppError> {
        let epoch = journal.epoch();
        let next = {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            if kept.epoch != epoch {
                *kept = Kept {
                    epoch,
                    ..Kept::default()
                };
            }
            kept.next
        };
        let mut batch: Vec<(Position, Record)> = Vec::with_capacity(AT_ONCE);
        let take = |batch: &mut Vec<(Position, Record)>, next: Option<Position>| {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            for (position, record) in batch.drain(..) {
                kept.take(position, &record);
                kept.next = Position(position.0.saturating_add(1));
                if kept.next.0.is_multiple_of(self.sweep_every) {
                    kept.sweep(self.idle_ms);
                }
            }
            kept.next = kept.next.max(next.unwrap_or_default());
            drop(kept);
            self.moved.notify_all();
        };
        for read in journal.read_from(next) {
            if gone() {
                take(&mut batch, None);
                return Err(AppError::Stopping);
            }
            let (position, record) = read?;
            if position >= end {
                break;
            }
            batch.push((position, record));
            if batch.len() == AT_ONCE {
                take(&mut batch, None);
            }
        }
        take(&mut batch, Some(end));
        Ok(())
    }
}

/// Where records of each of these visitors stand before `before`: ascending. Reads all of that.
fn read_old(
    before: Position,
    visitors: Vec<VisitorId>,
    journal: &dyn Journal,
    gone: &dyn Fn() -> bool,
) -> Result<HashMap<VisitorId, Vec<Position>>, AppError> {
    let none = visitors.into_iter().map(|visitor| (visitor, Vec::new()));
    let mut positions: HashMap<VisitorId, Vec<Position>> = none.collect();
    for read in journal.read_from(Position(0)) {
        if gone() {
            return Err(AppError::Stopping);
        }
        let (position, record) = read?;
        if position >= before {
            break;
        }
        if let Some(Subject::Visitor(visitor)) = subject(&record)
            && let Some(theirs) = positions.get_mut(visitor)
        {
            theirs.push(position);
        }
    }
    Ok(positions)
}

fn merged(mut some: Vec<Position>, mut others: Vec<Position>) -> Vec<Position> {
    some.append(&mut others);
    some.sort_unstable();
    some.dedup();
    some
}

/// Whose a record is that pages tell of.
fn subject(record: &Record) -> Option<&Subject> {
    match &record.body {
        RecordBody::Event(event) => Some(&event.subject),
        RecordBody::AnswerKept(kept) => Some(&kept.subject),
        _ => None,
    }
}

/// What is known of somebody.
struct Found {
    theirs: Theirs,
    /// Visitors who may have been let go, and before where that which they did stands.
    unknown: Option<(Position, Vec<VisitorId>)>,
}

impl Kept {
    fn take(&mut self, position: Position, record: &Record) {
        if let Some(subject) = subject(record) {
            let trail = match subject {
                Subject::Customer { customer, .. } => {
                    self.customers.entry(hash_of_customer(customer))
                }
                Subject::Visitor(visitor) => self.visitors.entry(hash_of_visitor(visitor)),
            };
            trail.or_default().push(position);
        }
        if let RecordBody::Event(event) = &record.body {
            self.newest = self.newest.max(Some(event.time));
            let last = self.days.back().map(|day| day.0);
            if last.is_none_or(|last| event.time >= last.plus_ms(DAY_MS)) {
                self.days.push_back((event.time, position));
            }
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
        let devices = self.devices.entry(customer.clone()).or_default();
        devices.insert(visitor.clone());
    }

    /// Lets those go who are nobody's and did nothing for `idle_ms` before the newest event.
    fn sweep(&mut self, idle_ms: i64) {
        let Some(newest) = self.newest else { return };
        let oldest = newest.plus_ms(-idle_ms);
        // what stands before a day that begins earlier is older than that
        let mut before = None;
        while let Some(&(begin, position)) = self.days.front().filter(|day| day.0 < oldest) {
            before = Some(position);
            self.days.pop_front();
            if self.days.front().is_none_or(|next| next.0 >= oldest) {
                self.days.push_front((begin, position));
                break;
            }
        }
        let Some(before) = before else { return };
        let owned: HashSet<u64, FixedState> = self.turns.keys().map(hash_of_visitor).collect();
        let let_go = &mut self.let_go;
        self.visitors.retain(|hash, trail| {
            let is_idle = trail.last.is_none_or(|last| last < before) && !owned.contains(hash);
            if is_idle {
                let_go.add(*hash, before);
            }
            !is_idle
        });
    }

    /// Keeps where records of visitors stand who had been let go, if they turned out to be somebody: those stay.
    fn find_again(&mut self, old: HashMap<VisitorId, Vec<Position>>) {
        for (visitor, positions) in old {
            if !self.turns.contains_key(&visitor) {
                continue;
            }
            let hash = hash_of_visitor(&visitor);
            let trail = self.visitors.entry(hash).or_default();
            let all = merged(positions, trail.positions().collect());
            *trail = Trail::default();
            all.into_iter().for_each(|position| trail.push(position));
            self.found.insert(hash);
        }
    }

    /// What is left once a customer is erased: their records, and that visitors turned out to be them, are gone.
    fn forget(&mut self, customer: &CustomerId) {
        self.customers.remove(&hash_of_customer(customer));
        for visitor in self.devices.remove(customer).unwrap_or_default() {
            let Some(turns) = self.turns.get_mut(&visitor) else {
                continue;
            };
            turns.retain(|turn| turn.1 != *customer);
            turns.dedup_by(|later, earlier| later.1 == earlier.1);
            if turns.is_empty() {
                self.turns.remove(&visitor);
                self.visitors.remove(&hash_of_visitor(&visitor));
            }
        }
    }

    fn theirs(&self, who: &Who) -> Found {
        let (customer, visitors) = match who {
            Who::Customer(customer) => {
                let visitors = self.devices.get(customer).into_iter().flatten();
                (Some(customer), visitors.collect())
            }
            Who::Visitor(visitor) => (None, vec![visitor]),
            Who::Nobody => (None, Vec::new()),
        };
        let turns = visitors.iter().flat_map(|&visitor| {
            let turns = self.turns.get(visitor).map(Vec::as_slice);
            let turns = turns.unwrap_or_default().iter();
            turns.map(move |(position, customer)| (*position, visitor, customer))
        });
        let ownership = Ownership::of_turns(who, turns);
        let own = customer.and_then(|id| self.customers.get(&hash_of_customer(id)));
        let hashes = visitors.iter().map(|visitor| hash_of_visitor(visitor));
        let trails = hashes.filter_map(|hash| self.visitors.get(&hash));
        let positions = own.into_iter().chain(trails).flat_map(Trail::positions);
        let let_go = visitors.iter().filter(|visitor| {
            let hash = hash_of_visitor(visitor);
            self.let_go.may_have(hash) && !self.found.contains(&hash)
        });
        let let_go: Vec<VisitorId> = let_go.map(|&visitor| visitor.clone()).collect();
        Found {
            theirs: Theirs {
                ownership,
                positions: merged(positions.collect(), Vec::new()),
            },
            unknown: (!let_go.is_empty()).then_some((self.let_go.before, let_go)),
        }
    }
}

#[cfg(test)]
mod tests;
