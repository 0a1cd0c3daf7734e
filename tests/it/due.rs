//! What is said to be due, against what the simulated shop knows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nextbest::application::evaluate::{DueReport, judge_due};
use nextbest::application::history::History;
use nextbest::application::recipes::Recipes;
use nextbest::cli::simulate::write_shop;
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{Record, RecordBody, Timestamp};
use nextbest::server::repetition_counter;
use nextbest::simulation::Settings;
use nextbest::state::FoldSettings;
use nextbest::transport::csv::{Events, Needs, Products};

/// The end of a simulated shop of `customers`: the last 60 days of a year.
fn judged(seed: u64, customers: u32) -> DueReport {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let settings = Settings::new(seed, customers, 200, 365, "2026-06-30".parse().unwrap()).unwrap();
    write_shop(&settings, folder, false, false, || {}).unwrap();
    let recorded_at = Timestamp::parse("2026-06-30T00:00:00Z").unwrap();
    let record = |body| Record { recorded_at, body };
    let products = Products::open(&folder.join("products.csv")).unwrap();
    let mut records: Vec<Record> = products
        .map(|row| record(RecordBody::ProductUpserted(Box::new(row.unwrap().value))))
        .collect();
    let repetitions = repetition_counter(folder);
    let events = Events::open(&folder.join("events.csv"), recorded_at, repetitions).unwrap();
    records.extend(events.map(|row| record(RecordBody::Event(Box::new(row.unwrap().value)))));
    let history = History::of(records);
    let needs = Needs::read(&folder.join("truth_replenishment.csv")).unwrap();
    assert!(needs.refused.is_empty());
    let since = recorded_at.plus_ms(-60 * DAY_MS);
    let recipes = Recipes::embedded().unwrap();
    let fold = FoldSettings {
        journey: recipes.journey,
        visitor_idle_days: 180,
    };
    judge_due(&history, &fold, &needs.needs, since)
}

#[test]
fn what_is_due_is_found() {
    for seed in [7, 8, 9] {
        let report = judged(seed, 600);
        assert!(report.all.due > 1_000 && report.all.pairs > 5 * report.all.due);
        assert!(report.all.auc.unwrap() >= 0.85, "seed {seed}: {report:?}");
    }
}
