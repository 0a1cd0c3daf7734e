//! Erasing: nothing of the customer stays in any file, and a kill in the middle is finished by the next start.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::Path;

use nextbest::domain::{Position, RecordBody};
use nextbest::store::{Faults, Journal, Options, SledJournal};

use crate::journal_stories::{purchase, purchases, read_all, stands_in_any_file};

const SECRET: &str = "erika.mustermann@example.com";

/// Where [`fill`] puts the records that go.
fn theirs() -> Vec<Position> {
    (0..20).map(|batch| Position(batch * 51 + 50)).collect()
}

fn fill(folder: &Path, options: &Options) -> SledJournal {
    let (journal, _) = SledJournal::open(folder, options).unwrap();
    for batch in 0..20 {
        let mut records = purchases(batch * 50..batch * 50 + 50);
        records.push(purchase(100_000 + batch, Some(SECRET)));
        journal.append(&records).unwrap();
    }
    journal
}

/// How many records are redacted; nobody else's is.
fn redacted(journal: &SledJournal) -> usize {
    let records = read_all(journal);
    assert_eq!(records.len(), 20 * 51);
    let is_gone = |record: &&nextbest::domain::Record| record.body == RecordBody::Redacted;
    for (index, record) in records.iter().enumerate() {
        let index = index as u64;
        if index % 51 != 50 {
            assert!(*record == purchase(index / 51 * 50 + index % 51, None));
        }
    }
    records.iter().filter(is_gone).count()
}

#[test]
fn no_file_holds_the_id_afterwards() {
    for mirror in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            mirror,
            key_buffer: 300,
            ..Options::default()
        };
        let journal = fill(folder.path(), &options);
        if mirror {
            // a copy that was moved aside holds it, too
            fs::copy(
                folder.path().join("journal/mirror.log"),
                folder.path().join("journal/mirror.log.damaged-1"),
            )
            .unwrap();
        }
        assert!(stands_in_any_file(folder.path(), SECRET));
        assert_eq!(journal.erase(&theirs()).unwrap(), 20);
        assert!(!stands_in_any_file(folder.path(), SECRET));
        assert_eq!(redacted(&journal), 20);
        drop(journal);
        assert!(!stands_in_any_file(folder.path(), SECRET));
        let (journal, recovery) = SledJournal::open(folder.path(), &options).unwrap();
        assert!(recovery.is_clean(), "{recovery:?}");
        assert!(!stands_in_any_file(folder.path(), SECRET));
        let again = journal.append(&[purchase(100_003, Some(SECRET))]).unwrap();
        assert_eq!(again.is_new, [false]);
    }
}

#[test]
fn a_kill_at_any_step_is_finished_by_the_next_start() {
    let quiet = Options::default();
    let mut before_the_marker = 0;
    let mut finished = 0;
    for spare in 0..1_000 {
        let folder = tempfile::tempdir().unwrap();
        drop(fill(folder.path(), &quiet));
        let faults = Faults::planned();
        let options = Options {
            faults: faults.clone(),
            ..Options::default()
        };
        let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
        // steps that write the engine's blocks are many and alike
        let spare = if spare < 6 {
            spare
        } else {
            6 + (spare - 6) * 4
        };
        faults.fail_all_after(spare);
        let outcome = journal.erase(&theirs());
        drop(journal);
        let (journal, recovery) = SledJournal::open(folder.path(), &quiet).unwrap();
        match redacted(&journal) {
            0 => {
                assert!(outcome.is_err());
                assert_eq!((journal.epoch(), recovery.erasure_finished), (0, None));
                before_the_marker += 1;
            }
            20 => {
                assert_eq!(journal.epoch(), 1, "after {spare} steps");
                assert!(
                    !stands_in_any_file(folder.path(), SECRET),
                    "after {spare} steps"
                );
                finished += 1;
            }
            part => panic!("{part} of 20 redacted after {spare} steps"),
        }
        if outcome.is_ok() {
            assert!(before_the_marker > 0 && finished > 5);
            return;
        }
    }
    panic!("the erasure never came to an end");
}

#[test]
fn a_failed_erasure_is_finished_by_asking_again() {
    for spare in (0..60).step_by(3) {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::planned();
        let options = Options {
            faults: faults.clone(),
            ..Options::default()
        };
        let journal = fill(folder.path(), &options);
        faults.fail_all_after(spare);
        let failed = journal.erase(&theirs());
        faults.heal();
        if failed.is_ok() {
            continue;
        }
        // unless it cannot know whether it may write on
        if journal.append(&purchases(0..1)).is_ok() {
            journal.erase(&theirs()).unwrap();
            assert_eq!((redacted(&journal), journal.epoch()), (20, 1));
            assert!(
                !stands_in_any_file(folder.path(), SECRET),
                "after {spare} steps"
            );
        }
    }
}

#[test]
fn readers_go_on_while_somebody_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let journal = fill(folder.path(), &Options::default());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..10).map(|_| redacted(&journal)).collect::<Vec<_>>());
        assert_eq!(journal.erase(&theirs()).unwrap(), 20);
        let seen = reader.join().unwrap();
        assert!(
            seen.is_sorted() && seen.iter().all(|count| *count <= 20),
            "{seen:?}"
        );
    });
    assert_eq!(redacted(&journal), 20);
}
