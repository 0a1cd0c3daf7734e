//! Importing as the command does it, into a journal that only remembers keys.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nextbest::application::AppError;
use nextbest::application::ingest::{Ingest, Written};
use nextbest::application::recipes::Recipes;
use nextbest::application::recommend::{Question, Who};
use nextbest::application::shop::Clock;
use nextbest::cli::import::{Args, Summary, Target, carry_out, exit_code};
use nextbest::domain::{CampaignId, CustomerId, Journey, OfferId, RecordBody, Timestamp};
use nextbest::server::Service;
use nextbest::store::{Artefacts, MemoryJournal};

use crate::csv_edge::{counter, packed_events, shared};
use crate::harness::settings;

/// The products the largest offer of the real shop names, and those of all.
const LARGEST: usize = 14_367;
const NAMED: usize = 67_922;
/// The campaigns that household 1 of it was sent.
const CAMPAIGNS_OF_1: [&str; 4] = ["26", "8", "12", "13"];

/// Remembers what it has seen.
#[derive(Default)]
struct Memory {
    seen: HashSet<String>,
    batches: usize,
}

impl Memory {
    fn write(&mut self, batch: Vec<RecordBody>) -> Written {
        self.batches += 1;
        let mut written = Written::default();
        for body in batch {
            let key = match body {
                RecordBody::Event(event) => event.key.to_string(),
                other => format!("{other:?}"),
            };
            if self.seen.insert(key) {
                written.new += 1;
            } else {
                written.duplicate += 1;
            }
        }
        written
    }
}

fn import(args: &Args, data: &Path, memory: &mut Memory, cancel: &AtomicBool) -> Summary {
    let mut write =
        |batch: Vec<RecordBody>| -> Result<Written, AppError> { Ok(memory.write(batch)) };
    let target = Target {
        write: &mut write,
        now: Timestamp::parse("2025-01-01").unwrap(),
        journey: &journey(),
        repetitions: &mut || Ok(counter()),
    };
    carry_out(args, data, target, cancel).unwrap()
}

fn numbers(summary: &Summary) -> Vec<(u64, u64, u64, u64)> {
    let counts = summary.files.iter().map(|file| &file.counts);
    counts
        .map(|c| (c.read, c.new, c.duplicate, c.refused))
        .collect()
}

fn journey() -> Journey {
    Recipes::embedded().unwrap().journey
}

#[test]
fn a_folder_is_imported_in_order_and_twice_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file(
        "events.csv",
        "event_type,timestamp,customer_id,product_id\n\
        purchase,2024-01-01,c1,p1\npurchase,2024-01-01,c1,p1\nbought,2024-01-01,c1,p1\n",
    );
    file("products.csv", "product_id,price\np1,1\np2,-1\n");
    let args = Args {
        from: Some(folder.path().to_owned()),
        ..Args::default()
    };
    let (mut memory, cancel) = (Memory::default(), AtomicBool::new(false));
    let first = import(&args, folder.path(), &mut memory, &cancel);
    assert_eq!(numbers(&first), [(2, 1, 0, 1), (3, 2, 0, 1)]);
    let second = import(&args, folder.path(), &mut memory, &cancel);
    assert_eq!(numbers(&second), [(2, 0, 1, 1), (3, 0, 2, 1)]);

    let refused = std::fs::read_to_string(folder.path().join("import.refused.csv")).unwrap();
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1]
            .ends_with("products.csv,3,price,OUT_OF_RANGE,must be from 0 to 1000000000,\"p2,-1\"")
    );
    assert!(lines[2].contains("events.csv,4,event_type,UNKNOWN_NAME,"));

    assert_eq!(
        (exit_code(&second, false), exit_code(&second, true)),
        (0, 1)
    );
    let text = second.to_string();
    assert!(text.contains("products: price: OUT_OF_RANGE"), "{text}");
    assert_eq!(second.to_json()["total"]["duplicate"], 3);
    assert_eq!(
        second.to_json()["files"][1]["rows"]["reasons"][0]["code"],
        "UNKNOWN_NAME"
    );
}

/// A service that remembers until it is dropped.
fn service(models: &Path) -> Service {
    Service::with(
        Arc::new(MemoryJournal::new()),
        None,
        Artefacts::open(models).unwrap(),
        Clock::fixed(Timestamp::parse("2025-01-01").unwrap()),
        &settings(),
        &Recipes::embedded().unwrap(),
    )
    .unwrap()
}

/// Imports into a service.
fn import_into(ingest: &Ingest, args: &Args, data: &Path) -> Summary {
    let target = Target {
        write: &mut |batch| ingest.write_blocking(batch),
        now: ingest.now(),
        journey: &journey(),
        repetitions: &mut || Ok(counter()),
    };
    carry_out(args, data, target, &AtomicBool::new(false)).unwrap()
}

#[test]
fn offers_are_imported_once_changed_where_they_changed_and_back_after_a_deletion() {
    let folder = tempfile::tempdir().unwrap();
    let (service, path) = (service(folder.path()), folder.path().join("offers.csv"));
    let args = Args {
        offers: Some(path.clone()),
        ..Args::default()
    };
    let header = "offer_id,kind,value,product_ids,stages\n";
    let file = |rows: &str| std::fs::write(&path, format!("{header}{rows}")).unwrap();
    let ingest = &service.use_cases.ingest;
    let run = || numbers(&import_into(ingest, &args, folder.path()))[0];
    file("o1,percentage,20,p1|p2,decision\no2,gift,,,\no3,free_shippin,,,sleep\n");
    assert_eq!(run(), (3, 2, 0, 1));
    let refused = std::fs::read_to_string(folder.path().join("import.refused.csv")).unwrap();
    let row = refused.lines().nth(1).unwrap();
    assert!(row.contains("offers.csv,4,kind,UNKNOWN_NAME,"), "{row}");
    assert!(row.contains("stages: entry 1: not a stage; the journey has awareness"));
    assert_eq!(run(), (3, 0, 2, 1));
    // another order of the same products is the same offer
    file("o1,percentage,20,p2|p1|p2,decision\no2,gift,5,,\n");
    assert_eq!(run(), (2, 1, 1, 0));
    let id = OfferId::parse("o2").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let offers = &service.use_cases.offers;
    assert_eq!(
        offers.get(&id).unwrap().offer.terms.benefit.value(),
        Some(5.0)
    );
    runtime.block_on(offers.delete(&id)).unwrap();
    assert_eq!(run(), (2, 1, 1, 0));
    assert_eq!(offers.get(&id).unwrap().deleted_at, None);
    service.close().unwrap();
}

#[test]
fn who_was_sent_a_campaign_may_be_asked_for_and_twice_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("customers.csv", "customer_id\nc1\nc2\nc3\n");
    file(
        "targets.csv",
        "customer_id,campaign_id,sent_at\nc1,13,2024-12-01\nc2,13,never\nc3,,2024-12-01\n",
    );
    file(
        "events.csv",
        "event_type,timestamp,customer_id,campaign_id\noffer_sent,2024-12-02,c2,14\npage_view,2024-12-02,c2,14\n",
    );
    file(
        "offers.csv",
        "offer_id,kind,value,unit_cost,eligibility\no13,gift,1,1,'13' in customer.campaigns\n",
    );
    let args = Args {
        from: Some(folder.path().to_owned()),
        ..Args::default()
    };
    let ingest = &service.use_cases.ingest;
    let told = numbers(&import_into(ingest, &args, folder.path()));
    assert_eq!(
        told,
        [(3, 3, 0, 0), (1, 1, 0, 0), (3, 1, 0, 2), (2, 1, 0, 1)]
    );
    let refused = std::fs::read_to_string(folder.path().join("import.refused.csv")).unwrap();
    for fault in [
        "targets.csv,3,sent_at,BAD_TIME,",
        "targets.csv,4,campaign_id,REQUIRED,",
        "events.csv,3,campaign_id,NOT_ALLOWED,",
    ] {
        assert!(refused.contains(fault), "{fault}: {refused}");
    }
    let again = numbers(&import_into(ingest, &args, folder.path()));
    assert_eq!(
        again,
        [(3, 0, 3, 0), (1, 0, 1, 0), (3, 0, 1, 2), (2, 0, 1, 1)]
    );
    service.shop.set_ready(true);
    let offers = |customer: &str| {
        let question = Question {
            who: Who::Customer(CustomerId::parse(customer).unwrap()),
            stage: None,
            placement: String::new(),
            context: Vec::new(),
            count: 1,
            offers: Some(1),
            channel: String::new(),
            filter: String::new(),
            boost: String::new(),
            exclude: Vec::new(),
            exclude_bought: false,
            strict: false,
            at: None,
        };
        let answer = service.use_cases.recommender.recommend(&question).unwrap();
        answer.offers.len()
    };
    assert_eq!(["c1", "c2", "c3"].map(offers), [1, 0, 0]);
    service.close().unwrap();
}

#[test]
fn the_offers_of_a_real_shop_and_what_became_of_them_are_known() {
    let Some(path) = shared("complete-journey") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path());
    let args = Args {
        from: Some(path),
        ..Args::default()
    };
    let ingest = &service.use_cases.ingest;
    let first = import_into(ingest, &args, folder.path());
    let counts = numbers(&first);
    assert_eq!(counts[2], (866, 866, 0, 0));
    assert_eq!(counts[3], (4_168, 4_168, 0, 0));
    assert_eq!(counts[4], (75_297, 75_297, 0, 0));
    {
        let known = service.shop.known();
        let (offers, products) = (&known.state.offers, &known.state.products);
        // every redemption is of an offer of the file
        assert_eq!((offers.listed().len(), offers.items().len()), (866, 866));
        let redeemed = offers.items().iter().map(|item| item.outcomes.redeemed);
        assert_eq!(redeemed.sum::<u64>(), 1_232);
        let campaigns = ["8", "13", "27"].map(|id| CampaignId::parse(id).unwrap());
        let sizes = campaigns.map(|campaign| offers.of_campaign(&campaign).len());
        assert_eq!(sizes, [209, 207, 181]);
        let named = |number: u32| offers.item(number).listing.as_ref().unwrap().products.len();
        let all = (0..866).map(named);
        let (largest, total) = (all.clone().max().unwrap(), all.sum::<usize>());
        assert_eq!((largest, total), (LARGEST, NAMED));
        // who was sent which campaign, and that no offer counts as sent
        let person = |id: &str| known.state.people.customer(&CustomerId::parse(id).unwrap());
        let sent = known.state.subject(person("1").unwrap()).unwrap();
        let campaigns = sent.book.as_ref().unwrap().campaigns();
        let campaigns: Vec<&str> = campaigns.iter().map(|(_, id)| &**id).collect();
        assert_eq!(campaigns, CAMPAIGNS_OF_1);
        let all = known.state.people.customers().iter();
        let reached = all.filter_map(|subject| subject.book.as_ref());
        let reached: usize = reached.map(|book| book.campaigns().len()).sum();
        assert_eq!(reached, 4_168);
        assert!(offers.items().iter().all(|item| item.outcomes.sent == 0));
        let bytes = known.state.encode().len() / 1_000;
        eprintln!("{} products, {bytes} kB of State", products.items().len());
    }
    let again = import_into(ingest, &args, folder.path()).total();
    assert_eq!((again.new, again.refused), (0, 0));
    service.close().unwrap();
}

#[test]
fn a_wrong_header_is_found_before_anything_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("products.csv"), "product_id\np1\n").unwrap();
    std::fs::write(folder.path().join("events.csv"), "event_type\n").unwrap();
    let args = Args {
        from: Some(folder.path().to_owned()),
        ..Args::default()
    };
    let mut write = |_: Vec<RecordBody>| -> Result<Written, AppError> { panic!("imported") };
    let target = Target {
        write: &mut write,
        now: Timestamp::parse("2025-01-01").unwrap(),
        journey: &journey(),
        repetitions: &mut || Ok(counter()),
    };
    let error = carry_out(&args, folder.path(), target, &AtomicBool::new(false)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the column timestamp is missing"),
        "{error}"
    );
}

#[test]
fn an_input_is_never_overwritten_by_refused_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("products.csv");
    std::fs::write(&path, "product_id\np1\n").unwrap();
    let args = Args {
        products: Some(path.clone()),
        refused: Some(path.clone()),
        ..Args::default()
    };
    let mut write = |_: Vec<RecordBody>| -> Result<Written, AppError> { panic!("imported") };
    let target = Target {
        write: &mut write,
        now: Timestamp::parse("2025-01-01").unwrap(),
        journey: &journey(),
        repetitions: &mut || Ok(counter()),
    };
    let error = carry_out(&args, folder.path(), target, &AtomicBool::new(false)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot be read and hold refused rows")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "product_id\np1\n");
}

#[test]
fn a_journal_that_fails_is_told_with_what_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..12_000).map(|i| format!("p{i}\n")).collect();
    std::fs::write(
        folder.path().join("products.csv"),
        format!("product_id\n{rows}"),
    )
    .unwrap();
    let args = Args {
        from: Some(folder.path().to_owned()),
        ..Args::default()
    };
    let mut batches = 0;
    let mut write = |batch: Vec<RecordBody>| {
        batches += 1;
        match batches {
            1 => Ok(Written {
                new: batch.len(),
                duplicate: 0,
                ..Written::default()
            }),
            _ => Err(AppError::Stopping),
        }
    };
    let target = Target {
        write: &mut write,
        now: Timestamp::parse("2025-01-01").unwrap(),
        journey: &journey(),
        repetitions: &mut || Ok(counter()),
    };
    let summary = carry_out(&args, folder.path(), target, &AtomicBool::new(false)).unwrap();
    assert_eq!(numbers(&summary), [(5_000, 5_000, 0, 0)]);
    assert_eq!(exit_code(&summary, false), 1);
    assert!(summary.failures[0].contains("the service is stopping"));
}

#[test]
fn a_damaged_file_fails_the_import_and_keeps_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let whole = packed_events(12_000);
    let (broken, sound) = (folder.path().join("a.csv.gz"), folder.path().join("b.csv"));
    std::fs::write(&broken, &whole[..whole.len() * 3 / 4]).unwrap();
    let row = "event_type,timestamp,customer_id\npage_view,2024-01-01,c1\n";
    std::fs::write(&sound, row).unwrap();
    let args = Args {
        events: vec![broken.clone(), sound],
        ..Args::default()
    };
    let (mut memory, cancel) = (Memory::default(), AtomicBool::new(false));
    let summary = import(&args, folder.path(), &mut memory, &cancel);
    assert_eq!(exit_code(&summary, false), 1);
    let counts = numbers(&summary);
    let (read, new, duplicate, refused) = counts[0];
    assert!((5_000..12_000).contains(&read), "{read}");
    assert_eq!((new, duplicate, refused), (read, 0, 0));
    assert_eq!(counts[1], (1, 1, 0, 0), "other files are read all the same");

    let last_line = read + 1;
    let failure = format!(
        "{}: the file cannot be read after the row in line {last_line}: \
         the file is cut short: its gzip data do not end",
        broken.display()
    );
    assert_eq!(summary.failures, [failure]);
    assert!(summary.to_string().contains("what is counted above is in"));
    std::fs::write(&broken, &whole).unwrap();
    let mended = import(&args, folder.path(), &mut memory, &cancel);
    assert_eq!(exit_code(&mended, true), 0);
    assert_eq!(numbers(&mended)[0], (12_000, 12_000 - read, read, 0));
}

#[test]
fn real_shops_are_imported_twice_and_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    for (name, expected) in [
        ("online-retail", vec![3_667, 3_658, 368_972]),
        ("complete-journey", vec![92_331, 801, 866, 4_168, 75_297]),
    ] {
        let Some(path) = shared(name) else { return };
        let args = Args {
            from: Some(path),
            ..Args::default()
        };
        let mut memory = Memory::default();
        // a stop in the middle, then the same command again
        let cancel = AtomicBool::new(false);
        let mut write = |batch: Vec<RecordBody>| -> Result<Written, AppError> {
            let written = memory.write(batch);
            cancel.store(memory.batches == 4, Ordering::Relaxed);
            Ok(written)
        };
        let target = Target {
            write: &mut write,
            now: Timestamp::parse("2025-01-01").unwrap(),
            journey: &journey(),
            repetitions: &mut || Ok(counter()),
        };
        let stopped = carry_out(&args, folder.path(), target, &cancel).unwrap();
        assert_eq!(exit_code(&stopped, false), 130);
        assert!(stopped.cancelled && stopped.to_string().contains("without duplicates"));
        let before = stopped.total().new;
        cancel.store(false, Ordering::Relaxed);

        let started = Instant::now();
        let second = import(&args, folder.path(), &mut memory, &cancel);
        let read: Vec<u64> = second.files.iter().map(|file| file.counts.read).collect();
        assert_eq!(read, expected);
        let total = second.total();
        assert_eq!((total.duplicate, total.refused), (before, 0));
        eprintln!(
            "{name}: {:.0} rows/s",
            total.read as f64 / started.elapsed().as_secs_f64()
        );
        let third = import(&args, folder.path(), &mut memory, &cancel);
        assert_eq!(third.total().new, 0);
    }
}
