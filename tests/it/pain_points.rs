//! Planted pain points are found in the simulated shop, and nothing else is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counter;

use std::collections::BTreeMap;

use jiff::civil::date;
use nextbest::algorithms::pain_points::{Finding, PainParams, Whom, find};
use nextbest::simulation::{PainKind, PainPoint, Settings, Simulation};

use counter::Counter;

/// Days of a window, of a week of the past, and the weeks of the past.
const WINDOW: u32 = 28;
const WEEKS: u32 = 16;

/// The history: the longest horizon that matters here lies before the past that is compared with.
const DAYS: u32 = 280;
const CUSTOMERS: u32 = 2_000;

/// What is planted, seed by seed: each kind alone, mixtures, and nothing.
const PLANTS: [&[&str]; 10] = [
    &["broken_checkout:business_client"],
    &["shipping_cost"],
    &["thin_pages:Gaming"],
    &[],
    &["broken_checkout:tech_enthusiast", "thin_pages:Computers"],
    &["broken_checkout:everyday_consumer"],
    &["shipping_cost", "thin_pages:Home"],
    &[],
    &["thin_pages:Audio", "thin_pages:Office"],
    &[
        "broken_checkout:business_client",
        "broken_checkout:tech_enthusiast",
        "thin_pages:Phones",
    ],
];

/// How the findings of one shop compare with what was planted.
#[derive(Debug, Default)]
struct Score {
    planted: usize,
    found: usize,
    right: usize,
}

/// Lives a shop, counts it and looks for pain points.
fn findings(seed: u64, pains: &[PainPoint]) -> Vec<Finding> {
    let settings = Settings::new(seed, CUSTOMERS, 400, DAYS, date(2026, 6, 30)).unwrap();
    let settings = settings.with_pain_points(pains).unwrap();
    let mut simulation = Simulation::new(&settings);
    let mut counter = Counter::default();
    while !simulation.is_over() {
        for event in simulation.next_day().unwrap() {
            counter.see(event);
        }
    }
    let (places, worth) = counter.places(&simulation, WINDOW, WEEKS);
    find(&places, &worth, &PainParams::default()).findings
}

fn is_about(finding: &Finding, kind: PainKind) -> bool {
    let whom = match kind.persona() {
        Some(persona) => Whom::Persona(persona.name().to_owned()),
        None => Whom::Everybody,
    };
    finding.touchpoint == kind.touchpoint()
        && finding.stage == kind.stage()
        && finding.whom == whom
        && finding.category == kind.category().unwrap_or("")
}

fn score(seed: u64) -> Score {
    let planted = PLANTS[(seed % PLANTS.len() as u64) as usize];
    let pains: Vec<PainPoint> = planted.iter().map(|text| text.parse().unwrap()).collect();
    let found = findings(seed, &pains);
    let mut score = Score {
        planted: pains.len(),
        found: found.len(),
        right: 0,
    };
    for finding in &found {
        let is_right = pains.iter().any(|pain| is_about(finding, pain.kind));
        score.right += usize::from(is_right);
        let mark = if is_right { "found" } else { "WRONG" };
        println!("seed {seed} {mark}: {}. {}", finding.title("them"), finding.evidence());
        assert!(finding.lost_value > 0.0, "{finding:?}");
    }
    for pain in &pains {
        if !found.iter().any(|finding| is_about(finding, pain.kind)) {
            println!("seed {seed} MISSED: {pain}");
        }
    }
    score
}

/// Precision and recall over seeds.
fn check(seeds: std::ops::Range<u64>) {
    let mut all = Score::default();
    for seed in seeds {
        let score = score(seed);
        all.planted += score.planted;
        all.found += score.found;
        all.right += score.right;
    }
    let precision = all.right as f64 / all.found as f64;
    let recall = all.right as f64 / all.planted as f64;
    println!("{all:?}: precision {precision:.3}, recall {recall:.3}");
    assert!(precision >= 0.9 && recall >= 0.8, "{all:?}");
}

#[test]
fn planted_pain_points_are_found_and_nothing_else_is() {
    check(0..5);
}

/// The figures of `docs/pain-points.md`.
#[test]
#[ignore = "twenty shops take minutes: cargo test --release --test it pain_points -- --ignored --nocapture"]
fn planted_pain_points_are_found_over_twenty_seeds() {
    check(0..20);
}

/// Without the flag nothing is written, and with it what was counted is what happened.
#[test]
fn the_truth_counts_what_was_lost() {
    let settings = Settings::new(3, 300, 90, 90, date(2026, 6, 30)).unwrap();
    let pains: Vec<PainPoint> = ["shipping_cost@2026-06-01", "thin_pages:Home"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let purchases = |settings: &Settings| {
        let mut simulation = Simulation::new(settings);
        let mut orders: BTreeMap<bool, usize> = BTreeMap::new();
        while !simulation.is_over() {
            let hurts = simulation.today() >= 61;
            let events = simulation.next_day().unwrap();
            let bought = events.iter().filter(|event| event.kind.name() == "purchase");
            *orders.entry(hurts).or_default() += bought.count();
        }
        let lost: Vec<u64> = simulation.pain_points().map(|(_, _, lost)| lost).collect();
        (orders, lost)
    };
    let (plain, none) = purchases(&settings);
    let (hurt, lost) = purchases(&settings.clone().with_pain_points(&pains).unwrap());
    assert!(none.is_empty());
    assert!(lost.len() == 2 && lost.iter().all(|&lost| lost > 5), "{lost:?}");
    assert_eq!(plain[&false], hurt[&false]);
    assert!(hurt[&true] < plain[&true]);
}
