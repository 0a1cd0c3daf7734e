//! Damaged files: what was acknowledged is there again, from the other copy.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nextbest::domain::Record;
use nextbest::store::{
    Durability, Failure, Faults, Journal, JournalError, Options, Recovery, Repair, SledJournal,
    Step,
};

use crate::journal_stories::{purchases, read_all};

const BATCHES: u64 = 12;

struct Case {
    folder: tempfile::TempDir,
    options: Options,
}

impl Case {
    /// A journal of a dozen blocks, closed.
    fn new() -> Self {
        let options = Options {
            key_buffer: 500,
            ..Options::default()
        };
        let case = Self {
            folder: tempfile::tempdir().unwrap(),
            options,
        };
        let (journal, recovery) = case.open();
        assert!(recovery.is_clean(), "{recovery:?}");
        for batch in 0..BATCHES {
            journal
                .append(&purchases(batch * 100..batch * 100 + 100))
                .unwrap();
        }
        case
    }

    fn open(&self) -> (SledJournal, Recovery) {
        SledJournal::open(self.folder.path(), &self.options).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("journal").join(name)
    }

    /// Opens, finds every record, every key known, writes on, and finds all of it again with nothing left to mend.
    fn is_whole(&self) -> Recovery {
        let (journal, recovery) = self.open();
        let all = purchases(0..BATCHES * 100);
        assert!(read_all(&journal) == all, "{recovery:?}");
        assert!(
            journal.append(&all).unwrap().is_new.iter().all(|new| !new),
            "{recovery:?}"
        );
        let more = purchases(90_000..90_010);
        journal.append(&more).unwrap();
        drop(journal);
        let (journal, again) = self.open();
        assert!(again.is_clean(), "{recovery:?}, then {again:?}");
        let expected: Vec<Record> = all.into_iter().chain(more).collect();
        assert!(read_all(&journal) == expected);
        recovery
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_tail_of_the_mirror_is_mended_from_sled() {
    for cut in [1, 50, 5_000] {
        let case = Case::new();
        edit(&case.path("mirror.log"), |bytes| {
            bytes.truncate(bytes.len() - cut);
        });
        let recovery = case.is_whole();
        let Repair::Mended { blocks_added, .. } = recovery.mirror else {
            panic!("{recovery:?}");
        };
        assert!(blocks_added > 0);
        assert_eq!(recovery.engine, Repair::None);
    }
}

#[test]
fn half_a_block_at_the_end_of_the_mirror_was_never_acknowledged() {
    let case = Case::new();
    edit(&case.path("mirror.log"), |bytes| {
        let begun = bytes[..200].to_vec();
        bytes.extend(begun);
    });
    let recovery = case.is_whole();
    assert_eq!(
        recovery.mirror,
        Repair::Mended {
            blocks_added: 0,
            bytes_cut: 200
        }
    );
}

#[test]
fn a_torn_first_block_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    drop(SledJournal::open(folder.path(), &options).unwrap());
    fs::write(
        folder.path().join("journal/mirror.log"),
        b"\xF6nbblk\xFF\nhalf",
    )
    .unwrap();
    let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
    journal.append(&purchases(0..5)).unwrap();
    assert_eq!(read_all(&journal), purchases(0..5));
}

#[test]
fn a_flipped_byte_in_the_mirror_is_mended_from_sled() {
    for (part, of) in [(0, 1), (1, 3), (1, 2), (9, 10)] {
        let case = Case::new();
        edit(&case.path("mirror.log"), |bytes| {
            let at = bytes.len() * part / of;
            bytes[at] ^= 0x40;
        });
        let recovery = case.is_whole();
        let Repair::Rebuilt {
            moved_to: Some(aside),
            ..
        } = &recovery.mirror
        else {
            panic!("{recovery:?}");
        };
        assert!(aside.exists() && aside.to_string_lossy().ends_with("mirror.log.damaged-1"));
    }
}

#[test]
fn flipped_and_missing_bytes_in_sled_are_mended_from_the_mirror() {
    // some of the bytes are in pages that sled no longer reads: then there is nothing to mend
    let mut mended = 0;
    for part in 0..12 {
        let case = Case::new();
        edit(&case.path("sled/db"), |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            let at = used * part / 12;
            bytes[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0x5A);
        });
        let recovery = case.is_whole();
        mended += u32::from(recovery.engine != Repair::None);
    }
    assert!(mended > 0);
    for keep in [0, 1_000, 100_000] {
        let case = Case::new();
        edit(&case.path("sled/db"), |bytes| bytes.truncate(keep));
        assert_ne!(case.is_whole().engine, Repair::None, "{keep} bytes kept");
    }
}

#[test]
fn a_deleted_copy_is_written_anew() {
    let case = Case::new();
    fs::remove_dir_all(case.path("sled")).unwrap();
    assert!(matches!(
        case.is_whole().engine,
        Repair::Rebuilt { moved_to: None, .. }
    ));
    let case = Case::new();
    fs::remove_file(case.path("mirror.log")).unwrap();
    assert!(matches!(
        case.is_whole().mirror,
        Repair::Rebuilt { moved_to: None, .. }
    ));
}

#[test]
fn damage_in_both_copies_at_different_places_is_mended() {
    let case = Case::new();
    // sled loses its end, the mirror a block near its front
    let options = Options {
        mirror: false,
        ..case.options.clone()
    };
    let twin = tempfile::tempdir().unwrap();
    let (short, _) = SledJournal::open(twin.path(), &options).unwrap();
    for batch in 0..BATCHES / 2 {
        short
            .append(&purchases(batch * 100..batch * 100 + 100))
            .unwrap();
    }
    drop(short);
    fs::remove_dir_all(case.path("sled")).unwrap();
    fs::rename(twin.path().join("journal/sled"), case.path("sled")).unwrap();
    edit(&case.path("mirror.log"), |bytes| {
        let at = bytes.len() / 4;
        bytes[at] ^= 1;
    });
    let recovery = case.is_whole();
    assert!(
        matches!(recovery.engine, Repair::Mended { .. }),
        "{recovery:?}"
    );
    assert!(
        matches!(recovery.mirror, Repair::Rebuilt { .. }),
        "{recovery:?}"
    );
}

#[test]
fn a_block_that_is_whole_in_neither_copy_is_told_and_nothing_is_changed() {
    let case = Case::new();
    fs::remove_dir_all(case.path("sled")).unwrap();
    edit(&case.path("mirror.log"), |bytes| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    });
    let before = fs::read(case.path("mirror.log")).unwrap();
    let Err(error) = SledJournal::open(case.folder.path(), &case.options) else {
        panic!("it must not open");
    };
    let JournalError::Damaged { position, .. } = error else {
        panic!("{error}")
    };
    assert!(
        (500..=600).contains(&position) && position % 100 == 0,
        "{position}"
    );
    assert_eq!(fs::read(case.path("mirror.log")).unwrap(), before);

    let case = Case::new();
    fs::remove_dir_all(case.path("sled")).unwrap();
    fs::write(case.path("mirror.log"), b"nothing of it is left").unwrap();
    let opened = SledJournal::open(case.folder.path(), &case.options);
    assert!(matches!(
        opened,
        Err(JournalError::Damaged { position: 0, .. })
    ));
}

#[test]
fn a_half_written_snapshot_of_sled_is_removed() {
    let case = Case::new();
    let planted = case.path("sled").join("snap.00000000000000FF.generating");
    fs::write(&planted, b"half").unwrap();
    assert_eq!(case.is_whole().engine, Repair::None);
    assert!(!planted.exists());
}

#[test]
fn missing_and_damaged_key_files_are_gathered_anew() {
    let case = Case::new();
    fs::remove_dir_all(case.path("keys")).unwrap();
    case.is_whole();
    for name in ["manifest", "0000000000.run"] {
        let case = Case::new();
        edit(&case.path("keys").join(name), |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
        });
        assert!(case.is_whole().keys_rebuilt.is_some(), "{name}");
    }
    // keys of another journal
    let (case, other) = (Case::new(), tempfile::tempdir().unwrap());
    let (journal, _) = SledJournal::open(other.path(), &case.options).unwrap();
    journal.append(&purchases(5_000..6_000)).unwrap();
    drop(journal);
    fs::remove_dir_all(case.path("keys")).unwrap();
    fs::rename(other.path().join("journal/keys"), case.path("keys")).unwrap();
    assert!(case.is_whole().keys_rebuilt.is_some());
}

#[test]
fn a_mirror_that_is_turned_off_and_on_again_is_whole() {
    let mut case = Case::new();
    case.options.mirror = false;
    fs::remove_dir_all(case.path("sled")).unwrap();
    let (journal, recovery) = case.open();
    assert_eq!(recovery.mirror, Repair::Off);
    assert!(read_all(&journal) == purchases(0..BATCHES * 100));
    assert!(!case.path("mirror.log").exists());
    drop(journal);
    case.options.mirror = true;
    case.is_whole();
}

#[test]
fn a_block_that_only_reached_the_mirror_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::planned();
    let options = Options {
        faults: faults.clone(),
        ..Options::default()
    };
    let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
    journal.append(&purchases(0..10)).unwrap();
    faults.fail_once(Step::EngineWrite, 0, Failure::Full);
    assert!(matches!(
        journal.append(&purchases(10..20)),
        Err(JournalError::Poisoned(_))
    ));
    drop(journal);
    let (journal, recovery) = SledJournal::open(folder.path(), &options).unwrap();
    assert_eq!(
        recovery.engine,
        Repair::Mended {
            blocks_added: 1,
            bytes_cut: 0
        }
    );
    assert_eq!(read_all(&journal), purchases(0..20));
}

#[test]
fn a_failed_sync_or_rewind_of_the_mirror_is_clean_or_poisons() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::planned();
    let options = Options {
        faults: faults.clone(),
        ..Options::default()
    };
    let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
    faults.fail_once(Step::MirrorSync, 0, Failure::Full);
    assert!(matches!(
        journal.append(&purchases(0..10)),
        Err(JournalError::Io(_))
    ));
    journal.append(&purchases(0..10)).unwrap();
    faults.fail_once(Step::MirrorWrite, 0, Failure::Full);
    faults.fail_once(Step::MirrorRewind, 0, Failure::Full);
    assert!(matches!(
        journal.append(&purchases(10..20)),
        Err(JournalError::Poisoned(_))
    ));
    drop(journal);
    let (journal, recovery) = SledJournal::open(folder.path(), &options).unwrap();
    assert!(
        matches!(
            recovery.mirror,
            Repair::Mended {
                blocks_added: 0,
                ..
            }
        ),
        "{recovery:?}"
    );
    assert_eq!(read_all(&journal), purchases(0..10));
}

#[test]
fn what_the_power_took_within_the_interval_is_told_and_the_rest_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3_600);
    let options = Options {
        durability: Durability::Interval(hour),
        ..Options::default()
    };
    let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
    let mirror = folder.path().join("journal/mirror.log");
    let mut ends = vec![0];
    for batch in 0..5 {
        journal
            .append(&purchases(batch * 10..batch * 10 + 10))
            .unwrap();
        ends.push(usize::try_from(fs::metadata(&mirror).unwrap().len()).unwrap());
    }
    drop(journal);
    // the file grew, the third block did not reach the disk, those after it did; of sled nothing did
    edit(&mirror, |bytes| bytes[ends[2]..ends[3]].fill(0));
    fs::remove_dir_all(folder.path().join("journal/sled")).unwrap();
    let (journal, recovery) = SledJournal::open(folder.path(), &options).unwrap();
    assert!(
        recovery.lost_unsynced && !recovery.is_clean(),
        "{recovery:?}"
    );
    assert_eq!(read_all(&journal), purchases(0..20));
    journal.append(&purchases(20..50)).unwrap();
    drop(journal);
    let (journal, recovery) = SledJournal::open(folder.path(), &options).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(read_all(&journal), purchases(0..50));
}

#[test]
fn without_a_mirror_damage_is_told_or_takes_the_end_only() {
    let mut told = 0;
    for part in 0..12 {
        let mut case = Case::new();
        case.options.mirror = false;
        drop(case.open());
        edit(&case.path("sled/db"), |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            let at = used * part / 12;
            bytes[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0x5A);
        });
        match SledJournal::open(case.folder.path(), &case.options) {
            Ok((journal, recovery)) => {
                let read = read_all(&journal);
                assert!(read == purchases(0..read.len() as u64), "{recovery:?}");
            }
            Err(JournalError::Damaged { .. }) => told += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(told > 0);
}

/// On a file system of a few megabytes:
/// `mount -t tmpfs -o size=64m none DIR; NEXTBEST_TEST_SMALL_DISK=DIR cargo test --test it -- --ignored full_disk`.
#[test]
#[ignore = "needs a small file system of its own"]
fn a_full_disk_loses_nothing() {
    let disk = std::env::var("NEXTBEST_TEST_SMALL_DISK").expect("names a small file system");
    for round in 0..6 {
        let ballast = Path::new(&disk).join("ballast");
        fs::write(&ballast, vec![1; 8_000_000 + round * 3_777_777]).unwrap();
        let folder = Path::new(&disk).join("journal-under-test");
        let options = Options {
            key_buffer: 2_000,
            ..Options::default()
        };
        let (journal, _) = SledJournal::open(&folder, &options).unwrap();
        let mut end = 0;
        let error = loop {
            match journal.append(&purchases(end..end + 500)) {
                Ok(_) => end += 500,
                Err(error) => break error,
            }
        };
        println!("round {round}: {end} records, then: {error}");
        assert!(matches!(error, JournalError::Io(_)), "{error}");
        assert!(end > 1_000 && read_all(&journal) == purchases(0..end));
        // it may be tried again, now in vain, later with success
        assert!(matches!(
            journal.append(&purchases(end..end + 500)),
            Err(JournalError::Io(_))
        ));
        fs::remove_file(&ballast).unwrap();
        journal.append(&purchases(end..end + 500)).unwrap();
        drop(journal);
        let (journal, recovery) = SledJournal::open(&folder, &options).unwrap();
        assert!(recovery.is_clean(), "{recovery:?}");
        assert!(read_all(&journal) == purchases(0..end + 500));
        drop(journal);
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// As above, but something else fills the disk in the middle: sled fails, and nothing that was acknowledged is lost.
#[test]
#[ignore = "needs a small file system of its own"]
fn a_full_disk_that_somebody_else_filled_loses_nothing() {
    let disk = std::env::var("NEXTBEST_TEST_SMALL_DISK").expect("names a small file system");
    let mut poisoned = 0;
    for left in [100_000, 300_000, 600_000, 900_000, 1_500_000] {
        let ballast = Path::new(&disk).join("ballast-of-others");
        let folder = Path::new(&disk).join(format!("journal-with-{left}-left"));
        let options = Options::default();
        let (journal, _) = SledJournal::open(&folder, &options).unwrap();
        journal.append(&purchases(0..500)).unwrap();
        let mut filler = fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut filler, &[1; 4_096]).is_ok() {}
        filler
            .set_len(filler.metadata().unwrap().len() - left)
            .unwrap();
        let mut end = 500;
        let error = loop {
            match journal.append(&purchases(end..end + 500)) {
                Ok(_) => end += 500,
                Err(error) => break error,
            }
        };
        println!("{left} bytes left: {end} records, then: {error}");
        poisoned += u32::from(matches!(error, JournalError::Poisoned(_)));
        // dropping must not hang, whatever sled's state is
        drop(journal);
        fs::remove_file(&ballast).unwrap();
        // sled may keep its lock until the process ends, so the mirror is opened elsewhere
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("journal")).unwrap();
        let mirror = folder.join("journal/mirror.log");
        fs::copy(mirror, copy.path().join("journal/mirror.log")).unwrap();
        let (journal, recovery) = SledJournal::open(copy.path(), &options).unwrap();
        let there = read_all(&journal);
        assert!(there.len() as u64 >= end, "{recovery:?}");
        assert!(there == purchases(0..there.len() as u64), "{recovery:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
    assert!(poisoned > 0);
}
