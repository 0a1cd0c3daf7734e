//! `kill -9` in the middle of writing: what was acknowledged is there, and nothing is there twice.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nextbest::domain::{Position, RecordBody};
use nextbest::store::{Durability, Journal, Options, SledJournal};

use crate::journal_stories::{purchase, read_all};

const FOLDER: &str = "NEXTBEST_TEST_KILL_FOLDER";
const FIRST: &str = "NEXTBEST_TEST_KILL_FIRST";
const INTERVAL: &str = "NEXTBEST_TEST_KILL_INTERVAL";
/// How many records a batch has.
const BATCH: u64 = 40;

fn options(interval: bool) -> Options {
    let durability = match interval {
        true => Durability::Interval(Duration::from_millis(20)),
        false => Durability::Always,
    };
    Options {
        durability,
        key_buffer: 1_000,
        ..Options::default()
    }
}

/// Not a test of its own: the process that is killed. Without the variable it has nothing to do.
#[test]
fn the_process_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let first: u64 = std::env::var(FIRST)
        .expect("given")
        .parse()
        .expect("a number");
    let options = options(std::env::var(INTERVAL).is_ok());
    let (journal, _) = SledJournal::open(Path::new(&folder), &options).expect("it opens");
    for batch in first.. {
        let records: Vec<_> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|n| purchase(n, None))
            .collect();
        let appended = journal.append(&records).expect("it is written");
        // an acknowledged batch is written out at once, past the harness that captures prints
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "acknowledged {batch} {}", appended.is_new[0]);
        let _ = out.flush();
        if batch % 25 == 24 && std::env::var("NEXTBEST_TEST_KILL_ERASE").is_ok() {
            // those of one customer: records stand where their numbers say
            let numbers = (0..(batch + 1) * BATCH).filter(|n| n % 100 == batch % 100);
            let theirs: Vec<_> = numbers.map(Position).collect();
            journal.erase(&theirs).expect("it is erased");
        }
    }
}

/// Runs the child, kills it `after` the first acknowledgement, and returns the batches it acknowledged.
fn run_and_kill(
    folder: &Path,
    first: u64,
    interval: bool,
    erase: bool,
    after: Duration,
) -> Vec<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "journal_kill::the_process_that_is_killed",
            "--exact",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if interval {
        command.env(INTERVAL, "1");
    }
    if erase {
        command.env("NEXTBEST_TEST_KILL_ERASE", "1");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        // SIGKILL on Unix
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let mut acknowledged = Vec::new();
    for line in lines.map_while(Result::ok) {
        // a harness may print its own words before ours on the same line
        let Some((_, words)) = line.split_once("acknowledged ") else {
            continue;
        };
        // the last line may be cut short by the kill; whole ones end with a word
        if let Some((batch, "true" | "false")) = words.split_once(' ') {
            acknowledged.push(batch.parse().unwrap());
        }
    }
    killer.join().unwrap();
    acknowledged
}

fn kill_rounds(rounds: u64, interval: bool, erase: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    let mut next = 0;
    for round in 0..rounds {
        // from in the middle of opening to well into writing
        let after = Duration::from_millis(30 + 170 * (round * 7 % 5));
        for batch in run_and_kill(folder.path(), next, interval, erase, after) {
            acknowledged.insert(batch);
        }
        let (journal, recovery) = SledJournal::open(folder.path(), &options(interval)).unwrap();
        let mut seen = HashSet::new();
        let mut redacted = 0;
        let records = read_all(&journal);
        for record in &records {
            match &record.body {
                RecordBody::Event(event) => {
                    let id = event.id.as_ref().unwrap().as_str();
                    let number: u64 = id.strip_prefix("event-").unwrap().parse().unwrap();
                    assert!(*record == purchase(number, None));
                    assert!(seen.insert(number), "event {number} is there twice");
                }
                RecordBody::Redacted if erase => redacted += 1,
                other => panic!("{other:?} was never written"),
            }
        }
        let there = seen.len() + redacted;
        if !erase {
            for batch in &acknowledged {
                for number in batch * BATCH..(batch + 1) * BATCH {
                    assert!(
                        seen.contains(&number),
                        "event {number} is lost: {recovery:?}"
                    );
                }
            }
        }
        assert!(
            there as u64 >= acknowledged.len() as u64 * BATCH,
            "{recovery:?}"
        );
        assert!(
            (there as u64).is_multiple_of(BATCH),
            "part of a batch: {recovery:?}"
        );
        next = there as u64 / BATCH;
        let known: Vec<_> = (0..there as u64)
            .map(|number| purchase(number, None))
            .collect();
        for batch in known.chunks(10_000) {
            assert!(journal.append(batch).unwrap().is_new.iter().all(|new| !new));
        }
    }
    assert!(
        acknowledged.len() > 10,
        "only {} batches were written",
        acknowledged.len()
    );
}

#[test]
fn acknowledged_events_survive_kill_9_exactly_once() {
    kill_rounds(6, false, false);
}

#[test]
fn acknowledged_events_survive_kill_9_also_at_an_interval() {
    kill_rounds(4, true, false);
}

#[test]
fn kill_9_in_the_middle_of_erasures_loses_nothing() {
    kill_rounds(5, false, true);
}

/// The long form: `cargo test --test it -- --ignored fifty_kills`.
#[test]
#[ignore = "takes a minute"]
fn fifty_kills() {
    kill_rounds(50, false, false);
}
