//! How fast the journal is. Not part of the checks:
//! `cargo test --release --test it -- --ignored --nocapture journal_speed`.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::time::Instant;

use nextbest::domain::Position;
use nextbest::store::{Journal, Options, SledJournal};

use crate::journal_stories::purchase;

#[test]
#[ignore = "measures; needs a release build and a quiet machine"]
fn a_million_records() {
    const RECORDS: u64 = 1_000_000;
    const BLOCK: u64 = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
    let mut appending = std::time::Duration::ZERO;
    let mut slowest = std::time::Duration::ZERO;
    for block in 0..RECORDS / BLOCK {
        let records: Vec<_> = (block * BLOCK..(block + 1) * BLOCK)
            .map(|number| purchase(number, None))
            .collect();
        let begun = Instant::now();
        journal.append(&records).unwrap();
        appending += begun.elapsed();
        slowest = slowest.max(begun.elapsed());
    }
    let rate = RECORDS as f64 / appending.as_secs_f64();
    println!("append: {rate:.0} records/s in blocks of {BLOCK}; slowest block {slowest:?}");
    drop(journal);
    let bytes = folder_bytes(folder.path());
    println!(
        "disk: {} bytes a record in both copies and the keys",
        bytes / RECORDS
    );
    for _ in 0..3 {
        let begun = Instant::now();
        let (journal, recovery) = SledJournal::open(folder.path(), &options).unwrap();
        println!("open: {:?} ({} records)", begun.elapsed(), recovery.records);
        assert!(recovery.is_clean());
        assert_eq!(journal.known_keys(), RECORDS);
        let begun = Instant::now();
        assert_eq!(
            journal.read_from(Position(0)).map(Result::unwrap).count() as u64,
            RECORDS
        );
        println!(
            "read: {:.0} records/s",
            RECORDS as f64 / begun.elapsed().as_secs_f64()
        );
    }
    let (journal, _) = SledJournal::open(folder.path(), &options).unwrap();
    let known: Vec<_> = (0..10_000)
        .map(|number| purchase(number * 97, None))
        .collect();
    let begun = Instant::now();
    assert!(
        journal
            .append(&known)
            .unwrap()
            .is_new
            .iter()
            .all(|new| !new)
    );
    println!("known keys: {:?} a lookup", begun.elapsed() / 10_000);
    let begun = Instant::now();
    for number in RECORDS..RECORDS + 200 {
        journal.append(&[purchase(number, None)]).unwrap();
    }
    println!("one record at a time: {:?} each", begun.elapsed() / 200);
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let size = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        meta if meta.is_dir() => folder_bytes(&entry.path()),
        meta => meta.len(),
    };
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| size(entry.unwrap()))
        .sum()
}
