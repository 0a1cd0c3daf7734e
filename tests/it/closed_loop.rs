//! `nextbest simulate --against`: the simulated people live on with a running service, over the wire.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::cli::import::{self, Target};
use nextbest::cli::simulate::{Args, SERVICE, Standings, lived_on, write_shop};
use nextbest::proto::v1;
use nextbest::server::repetition_counter;
use nextbest::simulation::{OfferKind, Policy, Settings};
use nextbest::store::MemoryJournal;
use nextbest::transport::grpc::limits::Limits;

use crate::harness::{Clients, Harness, fresh_fold, settings};
use crate::wire_story_offers::get;

const CUSTOMERS: u32 = 200;
const PRODUCTS: u32 = 80;
const HISTORY: u32 = 120;
const DAYS: u32 = 14;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn args(address: &str, seed: u64, more: &[&str]) -> Args {
    let mut words: Vec<String> = format!(
        "simulate --against {address} --seed {seed} --customers {CUSTOMERS} --products {PRODUCTS} \
         --days {HISTORY} --live-days {DAYS}"
    )
    .split_whitespace()
    .map(str::to_owned)
    .collect();
    words.extend(more.iter().map(ToString::to_string));
    Command::parse_from(words).args
}

fn shop(seed: u64) -> Settings {
    let end = "2026-06-30".parse().unwrap();
    Settings::new(seed, CUSTOMERS, PRODUCTS, HISTORY, end).unwrap()
}

/// A service with the history of the shop of a seed; one in ten is held out.
async fn served(clock: Clock, seed: u64) -> (Harness, Clients) {
    let recipes = Recipes::embedded().unwrap();
    let mut settings = settings();
    settings.offers.holdout_per_mille = 100;
    settings.training.tuning_seconds = 0;
    let journal = Arc::new(MemoryJournal::new());
    let limits = Limits::default();
    let harness = Harness::start_at(clock, journal, limits, &recipes, &settings).await;
    harness.set_ready(true);
    let ingest = harness.service.use_cases.ingest.clone();
    let imported = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        write_shop(&shop(seed), folder.path(), false, false, || {}).unwrap();
        let args = import::Args {
            from: Some(folder.path().to_owned()),
            ..import::Args::default()
        };
        let target = Target {
            write: &mut |batch| ingest.write_blocking(batch),
            now: ingest.latest(),
            journey: &recipes.journey,
            repetitions: &mut || Ok(counter(folder.path())),
        };
        import::carry_out(&args, folder.path(), target, &AtomicBool::new(false)).unwrap()
    });
    let summary = imported.await.unwrap();
    assert!(summary.failures.is_empty() && summary.total().refused == 0);
    let clients = harness.clients().await;
    (harness, clients)
}

fn counter(folder: &Path) -> nextbest::transport::csv::Repetitions<'static> {
    repetition_counter(folder)
}

async fn lived(args: Args) -> anyhow::Result<Standings> {
    let seed = args.seed;
    // it has a runtime of its own
    tokio::task::spawn_blocking(move || lived_on(&args, &shop(seed)))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_live_on_with_the_offers_of_the_service() {
    let (harness, mut clients) = served(Clock::events(), 7).await;
    let address = harness.addr.to_string();
    let before = harness.service.shop.journal.end().0;
    let standings = lived(args(&address, 7, &["--train-every", "7"]))
        .await
        .unwrap();

    let service = standings.named(SERVICE).unwrap();
    assert_eq!(standings.all.len(), Policy::all().len() + 1);
    assert_eq!(service.tally.profits.len(), standings.readers);
    assert_eq!(service.tally.weeks.len(), 2);
    let (sent, none) = service.tally.sent();
    let sent_count: u32 = sent.iter().sum();
    assert_eq!((sent_count + none) as usize, 2 * standings.readers);
    assert!(sent_count > 0, "the service chose no offer for anybody");

    // everything that was said was taken in, once
    let closed_loop = standings.closed_loop.as_ref().unwrap();
    let shop = harness.service.shop.clone();
    let taken = shop.journal.end().0 - before;
    // besides: nine offers, and a model that went live
    assert!((closed_loop.events + 9..=closed_loop.events + 10).contains(&taken));
    assert!(closed_loop.events > 500);
    assert_eq!(closed_loop.trainings.len(), 1);
    assert!(closed_loop.trainings[0].1.contains(": "));
    assert!(closed_loop.held_out > 0 && (closed_loop.held_out as u32) <= none);
    let unexpected: Vec<_> = closed_loop.unattributed.keys().collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(fresh_fold(&shop) == shop.known().state);

    // the history sent some of each kind, too
    let now = shop.clock.now();
    let end = shop_end();
    assert!(now > end && now < end.plus_ms(i64::from(DAYS) * 86_400_000));
    let mut outcomes = v1::OfferOutcomes::default();
    for kind in OfferKind::ALL {
        let offer = get(&mut clients, &format!("offer_{}", kind.name()))
            .await
            .unwrap();
        assert_eq!(offer.state(), v1::OfferState::Live);
        outcomes.sent_count += offer.outcomes.unwrap().sent_count;
    }
    assert!(outcomes.sent_count >= i64::from(sent_count));

    // every report can be read
    let text = standings.to_text();
    assert!(text.contains("service against the oracle"), "{text}");
    let json = standings.to_json();
    assert_eq!(json["loop"]["held_out"], closed_loop.held_out);
    assert_eq!(
        json["policies"].as_array().unwrap().len(),
        standings.all.len()
    );
    let html = standings.to_html(&["nextbest".to_owned()]);
    let page = html.strip_prefix("<!DOCTYPE html>\n").unwrap();
    let page = roxmltree::Document::parse(page).unwrap();
    let lines = page
        .descendants()
        .filter(|node| node.has_tag_name("polyline"));
    // the service, the oracle, the best single offer, the deepest, random: the best single may be the deepest
    assert!((4..=5).contains(&lines.count()));

    // a second life would write the same events again
    let again = lived(args(&address, 7, &[])).await.unwrap_err().to_string();
    assert!(again.contains("clock does not stand"), "{again}");
    harness.stop().await.unwrap();
}

fn shop_end() -> nextbest::domain::Timestamp {
    nextbest::domain::Timestamp::parse("2026-06-30").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_stand_there_is_refused() {
    let (harness, _) = served(Clock::events(), 8).await;
    let address = harness.addr.to_string();
    let other = lived(args(&address, 7, &[])).await.unwrap_err().to_string();
    assert!(other.contains("does not know the history of"), "{other}");
    harness.stop().await.unwrap();

    let harness = Harness::start().await;
    let address = harness.addr.to_string();
    let other = lived(args(&address, 7, &[])).await.unwrap_err().to_string();
    assert!(other.contains("--set clock.source=events"), "{other}");
    harness.stop().await.unwrap();

    let gone = lived(args(&address, 7, &[])).await.unwrap_err().to_string();
    assert!(gone.contains(&address), "{gone}");
}
