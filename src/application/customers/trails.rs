//! Where in the journal somebody's events stand, so that who asks for one customer does not read all of it.
//!
//! Made from the journal when it is first asked for, and brought up to date before each answer: only what is new is
//! read, by one at a time and under no lock, so that who needs none of it goes on. An erasure takes out who is gone.
//!
//! Memory: the two to four bytes of a position for each event, and about a hundred for each person. Visitors who did
//! nothing for so long that State forgets them are let go, too: a filter of fixed size says that there may have been
//! one, and then the old part of the journal is read for who asks.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use foldhash::quality::FixedState;

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
/// The bits of the filter of those who were let go: of a million, one in fifty who was not is taken for one.
const FILTER_BITS: u64 = 1 << 23;
/// The bits of one visitor in it.
const FILTER_HASHES: u32 = 4;

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

/// Visitors whose positions are not kept: a filter that forgets none, and takes few others for one of them (Bloom 1970).
#[derive(Debug, Default)]
struct LetGo {
    /// Empty: nobody was.
    bits: Vec<u64>,
    /// All that they did stands before.
    before: Position,
}

impl LetGo {
    fn places(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        // two halves make as many hashes as are wanted (Kirsch, Mitzenmacher 2006)
        let step = hash.rotate_left(32) | 1;
        (0..FILTER_HASHES).map(move |number| {
            let bit = hash.wrapping_add(step.wrapping_mul(number.into())) % FILTER_BITS;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn add(&mut self, hash: u64, before: Position) {
        if self.bits.is_empty() {
            self.bits = vec![0; (FILTER_BITS / 64) as usize];
        }
        for (word, bit) in Self::places(hash) {
            self.bits[word] |= bit;
        }
        self.before = self.before.max(before);
    }

    fn may_have(&self, hash: u64) -> bool {
        !self.bits.is_empty() && Self::places(hash).all(|(word, bit)| self.bits[word] & bit != 0)
    }
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

    /// Takes out a customer who was erased from `journal`; `is_changed` says whether anything of theirs was there. Waits
    /// for who reads the journal: blocking.
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::EventDraft;
    use crate::store::{JournalError, MemoryJournal, Records};

    fn customer(number: u8) -> CustomerId {
        CustomerId::trusted(format!("c{number}"))
    }

    fn visitor(number: u8) -> VisitorId {
        VisitorId::trusted(format!("v{number}"))
    }

    /// A day later each time.
    fn at(number: usize) -> Timestamp {
        Timestamp::from_ms(1_300_000_000_000 + number as i64 * DAY_MS)
    }

    /// Visitors are let go after three days, and looked at after each record.
    fn hasty() -> Trails {
        Trails {
            sweep_every: 1,
            ..Trails::new(3)
        }
    }

    fn write(journal: &MemoryJournal, body: RecordBody) {
        let recorded_at = Timestamp::default();
        journal.append(&[Record { recorded_at, body }]).unwrap();
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
            time: Some(Ok(at(number))),
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
            is_told in any::<bool>(),
        ) {
            let (journal, trails) = (MemoryJournal::new(), hasty());
            for (number, act) in acts.into_iter().enumerate() {
                write(&journal, body(number, act));
                if number == asked_at {
                    assert_found(&trails, &journal);
                }
            }
            assert_found(&trails, &journal);
            let gone = crate::application::ownership::positions(&journal, &customer(erased)).unwrap();
            let is_changed = journal.erase(&gone).unwrap() > 0;
            if is_told {
                trails.forget(&customer(erased), is_changed, &journal);
                let kept = trails.kept.read().unwrap();
                // nothing is read again, and nobody is named who is gone
                assert_eq!((kept.epoch, kept.next), (journal.epoch(), journal.end()));
                let is_named = kept.turns.values().flatten().any(|turn| turn.1 == customer(erased));
                assert!(!is_named && !kept.devices.contains_key(&customer(erased)));
            }
            assert_found(&trails, &journal);
        }
    }

    #[test]
    fn what_was_read_before_somebody_went_away_is_kept() {
        let (journal, trails) = (MemoryJournal::new(), hasty());
        for number in 0..10 {
            write(&journal, body(number, (1, 0, true)));
        }
        let left = std::cell::Cell::new(4);
        let gone = || left.replace(left.get() - 1) == 0;
        let who = Who::Customer(customer(1));
        let ended = trails.of(&who, &journal, &gone);
        assert!(matches!(ended, Err(AppError::Stopping)));
        assert_eq!(trails.kept.read().unwrap().next, Position(4));
        assert_found(&trails, &journal);
    }

    #[test]
    fn visitors_who_never_come_back_are_let_go_and_found_all_the_same() {
        let (journal, trails) = (MemoryJournal::new(), hasty());
        for number in 0..200 {
            write(&journal, body(number, (0, number as u8, true)));
        }
        let of = |number| {
            let found = trails.of(&Who::Visitor(visitor(number)), &journal, &|| false);
            found.unwrap().positions
        };
        assert_eq!(of(199), [Position(199)]);
        let kept = || trails.kept.read().unwrap().visitors.len();
        assert!((3..=6).contains(&kept()), "{}", kept());
        assert!(trails.kept.read().unwrap().days.len() <= 6);
        assert_eq!(of(7), [Position(7)]);
        // who turns out to be somebody brings along what was let go
        write(
            &journal,
            RecordBody::VisitorIdentified {
                visitor: visitor(7),
                customer: customer(1),
            },
        );
        write(&journal, body(201, (0, 7, true)));
        let theirs = || trails.of(&Who::Customer(customer(1)), &journal, &|| false);
        assert_eq!(theirs().unwrap().positions, [7, 201].map(Position));
        // and is not looked for again
        let hash = hash_of_visitor(&visitor(7));
        assert!(trails.kept.read().unwrap().found.contains(&hash));
        assert_eq!(theirs().unwrap().positions, [7, 201].map(Position));
    }

    /// A journal that lets nobody read from its beginning while it is closed.
    struct Slow {
        inner: MemoryJournal,
        is_closed: Mutex<bool>,
        changed: Condvar,
    }

    impl Journal for Slow {
        fn append(&self, records: &[Record]) -> Result<crate::store::Appended, JournalError> {
            self.inner.append(records)
        }

        fn read_from(&self, position: Position) -> Records<'_> {
            let closed = self.is_closed.lock().unwrap();
            let is_begin = position == Position(0);
            drop(
                self.changed
                    .wait_while(closed, |closed| *closed && is_begin),
            );
            self.inner.read_from(position)
        }

        fn read_at<'a>(&'a self, positions: &'a [Position]) -> Records<'a> {
            self.inner.read_at(positions)
        }

        fn end(&self) -> Position {
            self.inner.end()
        }

        fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
            self.inner.erase(positions)
        }

        fn epoch(&self) -> u64 {
            self.inner.epoch()
        }
    }

    #[test]
    fn who_reads_long_keeps_nobody_else_waiting() {
        let journal = Slow {
            inner: MemoryJournal::new(),
            is_closed: Mutex::new(false),
            changed: Condvar::new(),
        };
        let trails = hasty();
        for number in 0..50 {
            write(
                &journal.inner,
                body(number, (u8::from(number % 2 == 0), number as u8, true)),
            );
        }
        let never = || false;
        let anna = Who::Customer(customer(1));
        assert_eq!(
            trails.of(&anna, &journal, &never).unwrap().positions.len(),
            25
        );
        *journal.is_closed.lock().unwrap() = true;
        std::thread::scope(|scope| {
            // of a visitor who was let go all of the journal is read
            let old = scope.spawn(|| trails.of(&Who::Visitor(visitor(1)), &journal, &never));
            // others go on meanwhile, with what is new
            write(&journal.inner, body(50, (1, 0, true)));
            assert_eq!(
                trails.of(&anna, &journal, &never).unwrap().positions.len(),
                26
            );
            assert!(!old.is_finished());
            *journal.is_closed.lock().unwrap() = false;
            journal.changed.notify_all();
            assert_eq!(old.join().unwrap().unwrap().positions, [Position(1)]);
        });
        // who waits for another one who reads, and is not wanted any more, goes
        let reading = trails.waits_to_read();
        write(&journal.inner, body(51, (1, 0, true)));
        let ended = trails.of(&anna, &journal, &|| true);
        assert!(matches!(ended, Err(AppError::Stopping)));
        drop(reading);
        assert_eq!(
            trails.of(&anna, &journal, &never).unwrap().positions.len(),
            27
        );
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
