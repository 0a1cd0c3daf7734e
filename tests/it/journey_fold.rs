//! The journey counters, and what the map and the key figures say by them, against a recount by hand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod hands;
mod history;

use std::collections::{BTreeMap, BTreeSet};

use nextbest::domain::{EventDraft, Record, Timestamp};
use nextbest::state::journeys::key::{
    Arm, Ending, Key, Measure, NO_PLACE, Origin, RETURNING, Rating,
};
use nextbest::state::journeys::table::{Day, day_of};
use nextbest::state::journeys::{Groups, JourneySettings, Journeys};

use hands::{Counts, World, ending_text, origin_text, recount};
use history::{Act, Known, catalog, history, products, record, settings};

/// Everything that the recount knows: all that answers are made of, and carts last.
const RECOUNTED: [Measure; 39] = [
    Measure::Began,
    Measure::Ended,
    Measure::Reached,
    Measure::Passed,
    Measure::Known,
    Measure::Stayed,
    Measure::Events,
    Measure::Steps,
    Measure::Flow,
    Measure::Orders,
    Measure::Revenue,
    Measure::CostedRevenue,
    Measure::Margin,
    Measure::OrderSquares,
    Measure::Ratings,
    Measure::RatingSum,
    Measure::RatingSquares,
    Measure::RatingsHigh,
    Measure::RatingsLow,
    Measure::Visits,
    Measure::VisitsWithOrder,
    Measure::Looked,
    Measure::LookedLast,
    Measure::FirstOrders,
    Measure::SecondOrders,
    Measure::ArmOrders,
    Measure::ArmRevenue,
    Measure::ArmSquares,
    Measure::CreditedOrders,
    Measure::CreditedRevenue,
    Measure::OfferRevenue,
    Measure::CreditedSquares,
    Measure::CreditedProducts,
    Measure::OfferSquares,
    Measure::OfferProducts,
    Measure::Again,
    Measure::CartsBought,
    Measure::CartsAbandoned,
    Measure::CartsUsed,
];

fn fold_of(records: &[Record], settings: JourneySettings, groups: &dyn Groups) -> Journeys {
    let mut journeys = Journeys::new(settings);
    for record in records {
        journeys.apply(record, groups);
    }
    journeys
}

fn records(acts: &[Act]) -> Vec<Record> {
    let acts = acts.iter().map(record);
    catalog().into_iter().chain(acts).collect()
}

fn fold(acts: &[Act]) -> Journeys {
    fold_of(&records(acts), settings(), &Known)
}

/// What a detail says, in the words of the recount.
fn detail(journeys: &Journeys, key: Key) -> String {
    let rating = |number: u16| {
        let all = [Rating::Review, Rating::Csat, Rating::Nps];
        format!("{:?}", all[usize::from(number)])
    };
    let currency = |number: u16| journeys.currencies.name(number);
    match key.measure {
        Measure::Began | Measure::Reached | Measure::Again => {
            origin_text(Origin::of_code(key.detail))
        }
        Measure::Ended | Measure::Passed => ending_text(Ending::of_code(key.detail)),
        Measure::Known => format!("{:?}", Arm::split(key.detail).0),
        Measure::Stayed | Measure::SecondOrders => key.detail.to_string(),
        Measure::Flow => journeys.touchpoints.name(key.detail).to_owned(),
        Measure::Looked | Measure::LookedLast => journeys.categories.name(key.detail).to_owned(),
        Measure::Orders => {
            let again = if key.detail & RETURNING == 0 {
                ""
            } else {
                " again"
            };
            format!("{}{again}", currency(key.detail & !RETURNING))
        }
        Measure::Revenue
        | Measure::CostedRevenue
        | Measure::Margin
        | Measure::OrderSquares
        | Measure::CreditedOrders
        | Measure::CreditedRevenue
        | Measure::CreditedSquares
        | Measure::CreditedProducts
        | Measure::OfferRevenue
        | Measure::OfferSquares
        | Measure::OfferProducts => currency(key.detail).to_owned(),
        Measure::Ratings
        | Measure::RatingSum
        | Measure::RatingSquares
        | Measure::RatingsHigh
        | Measure::RatingsLow => rating(key.detail),
        Measure::ArmOrders | Measure::ArmRevenue | Measure::ArmSquares => {
            let (arm, number) = Arm::split(key.detail);
            format!("{arm:?} {}", currency(number))
        }
        _ => String::new(),
    }
}

fn counted(journeys: &Journeys, measures: &[Measure]) -> Counts {
    let mut counts = Counts::new();
    let last = day_of(journeys.newest().unwrap());
    journeys.table.each(Day::MIN, last, |day, key, value| {
        if measures.contains(&key.measure) {
            let name = match key.place {
                NO_PLACE => String::new(),
                place => journeys.touchpoints.name(place).to_owned(),
            };
            let spot = (key.group, key.stage, name);
            let key = (day, key.measure as u8, spot, detail(journeys, key));
            *counts.entry(key).or_default() += value;
        }
    });
    counts.retain(|_, value| *value != 0);
    counts
}

fn compare(seed: u64, identifies: bool, measures: &[Measure]) {
    let acts = history(seed, identifies);
    let journeys = fold(&acts);
    let world = World {
        settings: &settings(),
        products: &products(),
        group: &Known::group,
        arm: &Known::arm,
    };
    let (mut expected, here) = recount(&acts, &world);
    let last = day_of(journeys.newest().unwrap());
    expected.retain(|key, _| key.0 <= last && measures.iter().any(|m| *m as u8 == key.1));
    let found = counted(&journeys, measures);
    let differs = |(key, value): (&hands::Key, &i64)| {
        let other = (found.get(key), expected.get(key));
        (other.0 != other.1).then(|| format!("{key:?}: {value}, {other:?}"))
    };
    let faults: Vec<String> = found.iter().chain(&expected).filter_map(differs).collect();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    // entered = moved on + moved back + left + joined + still here
    let mut open: BTreeMap<u8, i64> = BTreeMap::new();
    journeys
        .table
        .each(Day::MIN, last, |_, key, value| match key.measure {
            Measure::Began => *open.entry(key.stage).or_default() += value,
            Measure::Ended => *open.entry(key.stage).or_default() -= value,
            _ => {}
        });
    open.retain(|_, value| *value != 0);
    assert_eq!(open, here, "seed {seed}");
}

#[test]
fn the_counters_are_those_of_a_recount() {
    for seed in 0..200 {
        compare(seed, false, &RECOUNTED);
    }
}

#[test]
fn the_histories_know_every_way_to_begin_and_to_end() {
    let mut seen: BTreeSet<(u8, String)> = BTreeSet::new();
    for seed in 1_000..1_040 {
        let counts = counted(&fold(&history(seed, true)), &RECOUNTED);
        seen.extend(counts.into_keys().map(|key| (key.1, key.3)));
    }
    let has = |measure: Measure, detail: String| {
        let key = (measure as u8, detail);
        assert!(seen.contains(&key), "{measure:?} {}", key.1);
    };
    for ending in [Ending::Left, Ending::Joined, Ending::To(4), Ending::To(0)] {
        has(Measure::Ended, ending_text(ending));
        has(Measure::Passed, ending_text(ending));
    }
    for origin in [Origin::New, Origin::Returned, Origin::From(3)] {
        has(Measure::Began, origin_text(origin));
    }
    for currency in ["EUR", "USD", "", "EUR again"] {
        has(Measure::Orders, currency.to_owned());
    }
    has(Measure::ArmRevenue, "HeldOut EUR".to_owned());
    has(Measure::ArmRevenue, "Treated USD".to_owned());
    assert!(
        RECOUNTED
            .iter()
            .all(|m| seen.iter().any(|key| key.0 == *m as u8))
    );
}

#[test]
fn visitors_who_turn_out_to_be_somebody_are_counted_once() {
    // two carts that turn out to be one are told by a test of their own
    let measures: Vec<Measure> = RECOUNTED[..36].to_vec();
    for seed in 1_000..1_300 {
        compare(seed, true, &measures);
    }
}

/// An event of the first customer.
fn own(kind: &str, minutes: i64, order: &str) -> Act {
    let time = Timestamp::from_ms(1_300_000_000_000 + minutes * 60_000);
    let is_about = matches!(kind, "add_to_cart" | "purchase");
    let draft = EventDraft {
        event_id: &format!("{kind}-{minutes}"),
        event_type: kind,
        time: Some(Ok(time)),
        customer_id: "c0",
        product_id: if is_about { "p0" } else { "" },
        order_id: order,
        ..EventDraft::default()
    };
    Act::Event(Box::new(draft.check(time, |_| 0).unwrap()))
}

fn sum(journeys: &Journeys, measure: Measure, is_it: impl Fn(&Key) -> bool) -> i64 {
    let last = day_of(journeys.newest().unwrap());
    let mut sum = 0;
    journeys.table.each(Day::MIN, last, |_, key, value| {
        if key.measure == measure && is_it(&key) {
            sum += value;
        }
    });
    sum
}

#[test]
fn every_line_of_an_order_counts_in_the_stage_before_the_order() {
    let lines = [
        own("add_to_cart", 0, ""),
        own("purchase", 10, "o1"),
        own("purchase", 11, "o1"),
    ];
    let journeys = fold(&lines);
    let of_stage = |stage: u8| sum(&journeys, Measure::Revenue, |key| key.stage == stage);
    // two of 8 euros, while the cart was filled; none in the stage that the order leads to
    assert_eq!([2, 3].map(of_stage), [16_000_000, 0]);
    assert_eq!(sum(&journeys, Measure::Orders, |key| key.stage == 2), 1);
}

#[test]
fn who_is_identified_before_their_first_event_has_an_arm() {
    let at = Timestamp::from_ms(1_300_000_000_000);
    let journeys = fold(&[Act::Identify(0, 0, at), own("page_view", 5, "")]);
    let wanted = format!("{:?}", Known::arm("c0"));
    let is_theirs = |key: &Key| detail(&journeys, *key) == wanted;
    assert_eq!(sum(&journeys, Measure::Known, is_theirs), 1);
}

#[test]
fn the_order_of_persons_does_not_matter() {
    let all: Vec<Measure> = RECOUNTED.to_vec();
    for seed in 0..40 {
        let acts = history(seed, false);
        let by_person = |act: &Act| match act {
            Act::Event(event) => format!("{:?}", event.subject),
            Act::Identify(..) => unreachable!(),
        };
        let mut sorted = acts.clone();
        sorted.sort_by_key(by_person);
        let mut reversed = acts.clone();
        reversed.sort_by_key(|act| std::cmp::Reverse(by_person(act)));
        let counts = counted(&fold(&acts), &all);
        assert!(!counts.is_empty());
        assert_eq!(counted(&fold(&sorted), &all), counts);
        assert_eq!(counted(&fold(&reversed), &all), counts);
    }
}

#[test]
fn a_checkpoint_goes_on_where_it_ended() {
    for seed in 1_000..1_020 {
        let acts = history(seed, true);
        let whole = fold(&acts);
        let mut part = fold(&acts[..acts.len() / 2]);
        let mut part = Journeys::decode(&part.encode()).unwrap();
        for act in &acts[acts.len() / 2..] {
            part.apply(&record(act), &Known);
        }
        assert_eq!(part.end(), whole.end());
        let all: Vec<Measure> = RECOUNTED.to_vec();
        assert_eq!(counted(&part, &all), counted(&whole, &all));
    }
}
