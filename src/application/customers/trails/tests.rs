//! The index against reading all of the journal.

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
