//! How fast the journey is told over five million events, and what the counters take: a measurement, run by hand.
//!
//! `cargo test --locked --test it journey_speed -- --ignored --nocapture`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nextbest::application::journey::Selection;
use nextbest::application::journey::groups::Grouping;
use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{EventDraft, Position, Record, RecordBody, Timestamp};
use nextbest::server::Service;
use nextbest::state::journeys::Journeys;
use nextbest::store::{Appended, Artefacts, Journal, JournalError, Records};

use crate::harness::settings;

const START_MS: i64 = 1_640_995_200_000;
const DAYS: u64 = 730;
const EVENTS: u64 = 5_000_000;
const PEOPLE: u64 = 200_000;

/// A journal that makes up its records when they are read.
struct MadeUp {
    end: AtomicU64,
}

fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 31)
}

fn record(number: u64) -> Record {
    const STEPS: [(&str, &str); 12] = [
        ("page_view", "search_ad"),
        ("page_view", "site"),
        ("view_item", "site"),
        ("view_item", "app"),
        ("view_item", "site"),
        ("search", "site"),
        ("add_to_cart", "site"),
        ("begin_checkout", "site"),
        ("add_payment_info", "site"),
        ("purchase", "site"),
        ("email_click", "email"),
        ("nps_response", "survey"),
    ];
    // visits of five steps
    let (visit, step) = (number / 5, number % 5);
    let ms = START_MS + (visit * DAYS * DAY_MS as u64 / (EVENTS / 5)) as i64;
    let begin = mixed(visit) % 8;
    let (kind, touchpoint) = STEPS[((begin + step) % 12) as usize];
    let needs = ["view_item", "add_to_cart", "purchase"].contains(&kind);
    let id = number.to_string();
    let customer = format!("c{}", mixed(visit ^ 77) % PEOPLE);
    let draft = EventDraft {
        event_id: &id,
        event_type: kind,
        time: Some(Ok(Timestamp::from_ms(ms + step as i64 * 60_000))),
        customer_id: &customer,
        product_id: if needs { "p1" } else { "" },
        unit_price: (kind == "purchase").then_some(Ok(20.0)),
        rating: (kind == "nps_response").then_some(Ok((number % 11) as f64)),
        touchpoint,
        ..EventDraft::default()
    };
    let event = draft.check(Timestamp::MAX, |_| 0).unwrap();
    Record {
        recorded_at: event.time,
        body: RecordBody::Event(Box::new(event)),
    }
}

impl Journal for MadeUp {
    fn append(&self, _: &[Record]) -> Result<Appended, JournalError> {
        unreachable!("nothing is written")
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        let numbers = position.0..self.end.load(Ordering::Acquire);
        Box::new(numbers.map(|number| Ok((Position(number), record(number)))))
    }

    fn end(&self) -> Position {
        Position(self.end.load(Ordering::Acquire))
    }

    fn erase(&self, _: &[Position]) -> Result<u64, JournalError> {
        Ok(0)
    }

    fn epoch(&self) -> u64 {
        0
    }
}

#[test]
#[ignore = "measures: cargo test --release --test it journey_speed -- --ignored --nocapture"]
fn five_million_events_are_told_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(MadeUp {
        end: AtomicU64::new(0),
    });
    let service = Service::with(
        journal.clone(),
        None,
        Artefacts::open(folder.path()).unwrap(),
        Clock::fixed(Timestamp::from_ms(START_MS + 730 * DAY_MS)),
        &settings(),
        &Recipes::embedded().unwrap(),
    )
    .unwrap();
    // State stays empty: the counters alone are measured
    journal.end.store(EVENTS, Ordering::Release);
    let journey = service.use_cases.journey.clone();
    let begun = Instant::now();
    journey.follow().unwrap();
    println!("{EVENTS} events are folded in {:?}", begun.elapsed());
    let size = |journeys: &Journeys, _: &Grouping| (journeys.table.bytes(), journeys.people());
    let (bytes, people) = journey.with_counters(size).unwrap();
    println!("counters take {bytes} bytes, {people} people");
    for days in [28, 730] {
        let selection = Selection {
            start: Some(Timestamp::from_ms(START_MS + (730 - days) * DAY_MS)),
            ..Selection::default()
        };
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            let map = journey.map(&selection).unwrap();
            let drawn = begun.elapsed();
            assert!(map.stages[3].entered > 0);
            let begun = Instant::now();
            let kpis = journey.kpis(&selection, None).unwrap();
            assert!(!kpis.kpis.is_empty());
            times.push((drawn, begun.elapsed()));
        }
        println!("{days} days: map and KPIs in {times:?}");
    }
}
