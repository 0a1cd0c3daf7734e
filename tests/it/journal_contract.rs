//! What every home of the journal must do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nextbest::domain::{Position, Record, RecordBody};
use nextbest::store::{
    Durability, Failure, Faults, Journal, JournalError, MAX_BLOCK_RECORDS, MemoryJournal, Options,
    SledJournal, Step,
};

use crate::journal_stories::{others, purchase, purchases, read_all, read_from, record};

/// A home: makes a journal, and opens it again if it outlives its process.
struct Home {
    name: &'static str,
    folder: tempfile::TempDir,
    faults: Faults,
    options: Option<Options>,
    /// A failure of the disk that must leave nothing behind.
    clean_failures: &'static [Step],
    /// A failure after which nobody knows.
    poisoning: (Step, Failure),
}

impl Home {
    fn open(&self) -> Arc<dyn Journal> {
        match &self.options {
            None => Arc::new(MemoryJournal::with_faults(self.faults.clone())),
            Some(options) => {
                let (journal, _) = SledJournal::open(self.folder.path(), options).expect("opens");
                Arc::new(journal)
            }
        }
    }

    fn outlives_its_process(&self) -> bool {
        self.options.is_some()
    }
}

fn homes() -> Vec<Home> {
    let sled = |name, change: fn(&mut Options)| {
        let faults = Faults::planned();
        // a small buffer, so that event keys go to files
        let mut options = Options {
            key_buffer: 700,
            faults: faults.clone(),
            ..Options::default()
        };
        change(&mut options);
        let clean: &[Step] = if options.mirror {
            &[Step::MirrorWrite]
        } else {
            &[]
        };
        Home {
            name,
            folder: tempfile::tempdir().expect("a folder"),
            faults,
            options: Some(options),
            clean_failures: clean,
            poisoning: (Step::EngineWrite, Failure::Full),
        }
    };
    let memory = Home {
        name: "memory",
        folder: tempfile::tempdir().expect("a folder"),
        faults: Faults::planned(),
        options: None,
        clean_failures: &[Step::MemoryWrite],
        poisoning: (Step::MemoryWrite, Failure::Poison),
    };
    vec![
        memory,
        sled("sled", |_| {}),
        sled("sled without mirror", |options| options.mirror = false),
        sled("sled at an interval", |options| {
            options.durability = Durability::Interval(Duration::from_millis(5));
        }),
    ]
}

fn check(contract: impl Fn(&Home)) {
    for home in homes() {
        println!("home: {}", home.name);
        contract(&home);
    }
}

#[test]
fn an_empty_journal_is_empty() {
    check(|home| {
        let journal = home.open();
        assert_eq!((journal.end(), journal.epoch()), (Position(0), 0));
        assert_eq!(read_all(&*journal), []);
        let appended = journal.append(&[]).unwrap();
        assert_eq!((appended.first, appended.is_new), (Position(0), vec![]));
        assert_eq!(journal.end(), Position(0));
        assert_eq!(journal.erase(&[]).unwrap(), 0);
        assert_eq!(journal.erase(&[Position(0), Position(7)]).unwrap(), 0);
        assert_eq!(journal.epoch(), 0);
    });
}

#[test]
fn one_record_and_every_kind_of_record_are_read_as_they_were_written() {
    check(|home| {
        let journal = home.open();
        let mut expected = vec![purchase(1, None)];
        assert_eq!(journal.append(&expected).unwrap().first, Position(0));
        assert_eq!(read_all(&*journal), expected);
        let appended = journal.append(&others("c1")).unwrap();
        assert_eq!(appended.first, Position(1));
        assert!(appended.is_new.iter().all(|new| *new));
        expected.extend(others("c1"));
        assert_eq!(read_all(&*journal), expected);
        assert_eq!(journal.end(), Position(expected.len() as u64));
    });
}

#[test]
fn ten_thousand_records_are_read_from_any_position() {
    check(|home| {
        let journal = home.open();
        let all = purchases(0..10_000);
        for batch in all.chunks(613) {
            journal.append(batch).unwrap();
        }
        for from in [0, 1, 612, 613, 614, 5_000, 9_999, 10_000, 20_000] {
            let read = read_from(&*journal, from).unwrap();
            assert_eq!(
                read,
                all.get(from as usize..).unwrap_or_default(),
                "from {from}"
            );
        }
        let again = journal.append(&all).unwrap();
        assert!(again.is_new.iter().all(|new| !new));
        assert_eq!(
            (again.first, journal.end()),
            (Position(10_000), Position(10_000))
        );
    });
}

#[test]
fn an_event_is_kept_once_within_and_across_batches() {
    check(|home| {
        let journal = home.open();
        let (a, b, c) = (purchase(1, None), purchase(2, None), purchase(3, None));
        let appended = journal
            .append(&[
                a.clone(),
                b.clone(),
                a.clone(),
                record(RecordBody::Redacted),
            ])
            .unwrap();
        assert_eq!(appended.is_new, [true, true, false, true]);
        let appended = journal
            .append(&[
                b.clone(),
                c.clone(),
                c.clone(),
                record(RecordBody::Redacted),
            ])
            .unwrap();
        assert_eq!(appended.is_new, [false, true, false, true]);
        assert_eq!(appended.first, Position(3));
        let redacted = record(RecordBody::Redacted);
        assert_eq!(read_all(&*journal), [a, b, redacted.clone(), c, redacted]);
    });
}

#[test]
fn what_was_appended_is_there_after_reopening_and_still_known() {
    check(|home| {
        if !home.outlives_its_process() {
            return;
        }
        let mut expected = Vec::new();
        for round in 0..6 {
            let journal = home.open();
            assert_eq!(read_all(&*journal), expected);
            let overlapping = purchases(round * 400..round * 400 + 600);
            let appended = journal.append(&overlapping).unwrap();
            let known = if round == 0 { 0 } else { 200 };
            assert_eq!(appended.is_new.iter().filter(|new| !**new).count(), known);
            expected.extend_from_slice(&overlapping[known..]);
        }
        assert_eq!(read_all(&*home.open()), expected);
    });
}

#[test]
fn the_folder_is_for_one_at_a_time() {
    check(|home| {
        if let Some(options) = &home.options {
            let journal = home.open();
            let second = SledJournal::open(home.folder.path(), options);
            assert!(matches!(second, Err(JournalError::InUse { .. })));
            drop(journal);
            home.open();
        }
    });
}

#[test]
fn an_erasure_redacts_keeps_positions_and_keys_and_grows_the_epoch() {
    check(|home| {
        let journal = home.open();
        let mut all = purchases(0..1_000);
        all.extend(others("customer-7"));
        for batch in all.chunks(97) {
            journal.append(batch).unwrap();
        }
        // records of every kind, in no order, some twice, some that are not there
        let every = (0..all.len() as u64).filter(|at| at % 100 == 7 || *at >= 1_000);
        let mut theirs: Vec<_> = every.map(Position).collect();
        let count = theirs.len() as u64;
        assert_eq!(count, 18);
        theirs.reverse();
        theirs.extend([Position(7), Position(1_000_000), Position(u64::MAX)]);
        assert_eq!(journal.erase(&theirs).unwrap(), count);
        assert_eq!(journal.epoch(), 1);
        let expected: Vec<Record> = all
            .iter()
            .zip((0..).map(Position))
            .map(|(kept, position)| match theirs.contains(&position) {
                true => record(RecordBody::Redacted),
                false => kept.clone(),
            })
            .collect();
        assert_eq!(read_all(&*journal), expected);
        assert_eq!(journal.erase(&theirs).unwrap(), 0);
        assert_eq!(journal.epoch(), 1);
        assert!(
            journal
                .append(&all[..1_000])
                .unwrap()
                .is_new
                .iter()
                .all(|new| !new)
        );
        let next = journal.append(&[purchase(5_000, None)]).unwrap();
        assert_eq!(next.first, Position(all.len() as u64));
        if home.outlives_its_process() {
            drop(journal);
            let journal = home.open();
            assert_eq!(journal.epoch(), 1);
            assert_eq!(read_all(&*journal)[..all.len()], expected);
            assert!(
                journal
                    .append(&all[..1_000])
                    .unwrap()
                    .is_new
                    .iter()
                    .all(|new| !new)
            );
        }
    });
}

#[test]
fn readers_read_whole_batches_in_order_while_somebody_writes() {
    check(|home| {
        let journal = home.open();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let last = done.load(Ordering::SeqCst);
                        let end = journal.end().0;
                        let read = read_all(&*journal);
                        assert!(read.len() as u64 >= end && read.len().is_multiple_of(50));
                        let expected = purchases(0..read.len() as u64);
                        assert!(read == expected);
                        if last {
                            assert_eq!(read.len(), 2_000);
                            break;
                        }
                    }
                });
            }
            for batch in 0..40 {
                journal
                    .append(&purchases(batch * 50..batch * 50 + 50))
                    .unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
    });
}

#[test]
fn a_full_disk_leaves_nothing_and_may_be_tried_again() {
    check(|home| {
        for step in home.clean_failures {
            let journal = home.open();
            let before = read_all(&*journal);
            let batch = purchases(0..100);
            home.faults.fail_once(*step, 0, Failure::Full);
            assert!(matches!(journal.append(&batch), Err(JournalError::Io(_))));
            assert_eq!(read_all(&*journal), before);
            let appended = journal.append(&batch).unwrap();
            assert!(appended.is_new.iter().all(|new| *new));
            assert_eq!(read_all(&*journal), batch);
        }
    });
}

#[test]
fn an_unknown_outcome_stops_all_writing_until_reopened() {
    check(|home| {
        let journal = home.open();
        journal.append(&purchases(0..10)).unwrap();
        home.faults.fail_once(home.poisoning.0, 0, home.poisoning.1);
        let batch = purchases(10..20);
        assert!(matches!(
            journal.append(&batch),
            Err(JournalError::Poisoned(_))
        ));
        assert!(matches!(
            journal.append(&batch),
            Err(JournalError::Poisoned(_))
        ));
        assert!(matches!(
            journal.erase(&[Position(1)]),
            Err(JournalError::Poisoned(_))
        ));
        assert_eq!(read_all(&*journal), purchases(0..10));
        if home.outlives_its_process() {
            drop(journal);
            let journal = home.open();
            // whichever it was: appending again makes it once
            journal.append(&batch).unwrap();
            assert_eq!(read_all(&*journal), purchases(0..20));
        }
    });
}

#[test]
fn more_than_a_block_holds_is_refused() {
    check(|home| {
        let journal = home.open();
        let many = vec![record(RecordBody::Redacted); MAX_BLOCK_RECORDS + 1];
        assert!(matches!(
            journal.append(&many),
            Err(JournalError::TooLarge { .. })
        ));
        assert_eq!(journal.end(), Position(0));
        journal.append(&many[1..]).unwrap();
        assert_eq!(journal.end(), Position(MAX_BLOCK_RECORDS as u64));
    });
}
