//! What is said to be due, against what the simulated shop knows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nextbest::application::evaluate::{DueReport, judge_due};
use nextbest::application::history::History;
use nextbest::application::recipes::Recipes;
use nextbest::domain::time::DAY_MS;
use nextbest::state::FoldSettings;
use nextbest::transport::csv::Needs;

use crate::simulated_shop::{end, records, year};

/// The end of a simulated shop of `customers`: the last 60 days of a year.
fn judged(seed: u64, customers: u32) -> DueReport {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let records = records(&year(seed, customers, 200), folder);
    let history = History::of(records);
    let needs = Needs::read(&folder.join("truth_replenishment.csv")).unwrap();
    assert!(needs.refused.is_empty());
    let since = end().plus_ms(-60 * DAY_MS);
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
