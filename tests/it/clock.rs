//! The clock that follows the events: offers, reservations and times run by the history, not by the machine.

use std::sync::Arc;

use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::domain::Timestamp;
use nextbest::proto::v1;
use nextbest::store::MemoryJournal;
use nextbest::transport::grpc::limits::Limits;

use crate::harness::{Clients, Harness, settings, violations};
use crate::wire_offers::{plain, usage};
use crate::wire_story::{about, ask, customer, write};
use crate::wire_story_offers::{create, get, seconds};

/// 2100-01-01, in seconds: no machine's clock stands there.
const START: i64 = 4_102_444_800;
const DAY: i64 = 86_400;

async fn start(journal: &Arc<MemoryJournal>, clock: Clock) -> (Harness, Clients) {
    let recipes = Recipes::embedded().unwrap();
    let limits = Limits::default();
    let harness = Harness::start_at(clock, journal.clone(), limits, &recipes, &settings()).await;
    harness.set_ready(true);
    let clients = harness.clients().await;
    (harness, clients)
}

fn view(customer: &str, time: i64) -> v1::Event {
    v1::Event {
        event_type: "view_item".to_owned(),
        customer_id: customer.to_owned(),
        product_id: "p1".to_owned(),
        event_time: seconds(time),
        ..v1::Event::default()
    }
}

fn stands(harness: &Harness, time: i64) {
    let now = harness.service.shop.clock.now();
    assert_eq!(now, Timestamp::from_ms(time * 1_000));
}

#[tokio::test]
async fn now_is_the_newest_moment_of_any_event() {
    let journal = Arc::new(MemoryJournal::new());
    let (harness, mut clients) = start(&journal, Clock::events()).await;
    assert_eq!(harness.service.shop.clock.now(), Timestamp::MIN);
    write(&mut clients, vec![view("c1", START)]).await;
    stands(&harness, START);
    // any later time is taken in, and moves it; an earlier one does not move it back
    write(&mut clients, vec![view("c1", START + 400 * DAY)]).await;
    write(&mut clients, vec![view("c1", START + DAY)]).await;
    stands(&harness, START + 400 * DAY);
    let known = customer(&mut clients, "c1").await.unwrap();
    assert_eq!(known.event_count, 3);
    assert_eq!(known.last_event_time, seconds(START + 400 * DAY));
    // what is written down carries this time, so a new start goes on from it
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.recorded() <= Timestamp::from_ms((START + 400 * DAY) * 1_000));
    let (harness, _) = start(&journal, Clock::events()).await;
    stands(&harness, START + 400 * DAY);
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn the_clock_of_the_machine_refuses_what_the_clock_of_the_events_takes() {
    let journal = Arc::new(MemoryJournal::new());
    let (harness, mut clients) = start(&journal, Clock::system()).await;
    let request = v1::WriteEventsRequest {
        events: vec![view("c1", START)],
        validate_only: false,
    };
    let status = clients.events.write_events(request).await.unwrap_err();
    let faults = violations(&status);
    assert!(
        faults.contains("events[0].event_time: IN_THE_FUTURE"),
        "{faults:?}"
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn offers_and_reservations_end_by_the_time_of_the_events() {
    let journal = Arc::new(MemoryJournal::new());
    let (harness, mut clients) = start(&journal, Clock::events()).await;
    write(&mut clients, vec![view("c1", START)]).await;
    let limited = v1::Offer {
        budget_units: Some(1),
        start_time: seconds(START + DAY),
        end_time: seconds(START + 30 * DAY),
        ..plain("f1")
    };
    let made = create(&mut clients, limited).await.unwrap();
    assert_eq!(made.state(), v1::OfferState::Scheduled);
    assert!(ask(&mut clients, about("c1")).await.offers.is_empty());

    write(&mut clients, vec![view("c1", START + 2 * DAY)]).await;
    let state = get(&mut clients, "f1").await.unwrap().state();
    assert_eq!(state, v1::OfferState::Live);
    let answer = ask(&mut clients, about("c1")).await;
    assert_eq!(answer.offers.len(), 1);
    assert_eq!(answer.offers[0].expire_time, seconds(START + 9 * DAY));
    // the only one is reserved: until a week of events has passed
    assert!(ask(&mut clients, about("c2")).await.offers.is_empty());
    write(&mut clients, vec![view("c9", START + 9 * DAY - 1)]).await;
    assert_eq!(usage(&mut clients, "f1").await.reserved_units, 1);
    write(&mut clients, vec![view("c9", START + 9 * DAY)]).await;
    assert_eq!(usage(&mut clients, "f1").await.reserved_units, 0);
    assert_eq!(ask(&mut clients, about("c2")).await.offers.len(), 1);

    write(&mut clients, vec![view("c9", START + 30 * DAY)]).await;
    let state = get(&mut clients, "f1").await.unwrap().state();
    assert_eq!(state, v1::OfferState::Ended);
    harness.stop().await.unwrap();
}

/// A token is good by the time of the events, too: 30 days of them.
#[tokio::test]
async fn tokens_age_by_the_time_of_the_events() {
    let journal = Arc::new(MemoryJournal::new());
    let (harness, mut clients) = start(&journal, Clock::events()).await;
    write(&mut clients, vec![view("c1", START), view("c2", START)]).await;
    let token = ask(&mut clients, about("c2")).await.attribution_token;
    let mut reasons = Vec::new();
    for days in [29, 31] {
        let request = v1::WriteEventsRequest {
            events: vec![v1::Event {
                attribution_token: token.clone(),
                ..view("c2", START + days * DAY)
            }],
            validate_only: false,
        };
        let answer = clients.events.write_events(request).await.unwrap();
        reasons.push(answer.into_inner().unattributed);
    }
    assert_eq!(reasons[0].len(), 0, "{reasons:?}");
    assert_eq!(reasons[1].get("OUT_OF_TIME"), Some(&1), "{reasons:?}");
    harness.stop().await.unwrap();
}
