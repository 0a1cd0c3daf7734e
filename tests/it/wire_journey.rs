//! The journey map and the key figures over a real socket: a small story, bad input, a restart, an erasure.

use std::sync::Arc;

use nextbest::application::journey::groups::Grouping;
use nextbest::application::recipes::{Recipes, embedded_files};
use nextbest::application::shop::Clock;
use nextbest::domain::time::{DAY_MS, HOUR_MS};
use nextbest::domain::{EventKind, Timestamp};
use nextbest::proto::v1;
use nextbest::server::Service;
use nextbest::state::journeys::Journeys;
use nextbest::state::journeys::places::Place;
use nextbest::state::journeys::table::day_of;
use nextbest::store::{Artefacts, Checkpoints, Journal, MemoryJournal};
use nextbest::transport::grpc::limits::Limits;
use tonic::{Code, Status};

use crate::harness::{Clients, Harness, code_and_reason, settings, violations};

/// The first midnight of the story: 2024-03-01.
const START_MS: i64 = 1_709_251_200_000;

fn time(hours: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: (START_MS + hours * HOUR_MS) / 1_000,
        nanos: 0,
    }
}

fn event(who: &str, kind: &str, hours: i64) -> v1::Event {
    let is_visitor = who.starts_with("phone");
    v1::Event {
        event_id: format!("{who}-{kind}-{hours}"),
        event_type: kind.to_owned(),
        customer_id: if is_visitor { "" } else { who }.to_owned(),
        visitor_id: if is_visitor { who } else { "" }.to_owned(),
        product_id: if matches!(kind, "view_item" | "add_to_cart" | "purchase") {
            "lamp".to_owned()
        } else {
            String::new()
        },
        event_time: Some(time(hours)),
        touchpoint: "site".to_owned(),
        ..v1::Event::default()
    }
}

fn purchase(who: &str, hours: i64, price: f64) -> v1::Event {
    v1::Event {
        unit_price: Some(price),
        currency_code: "EUR".to_owned(),
        ..event(who, "purchase", hours)
    }
}

/// Anna looks, fills a cart and buys within a day, twice; Ben abandons his cart; Cleo only looks, on a phone first.
fn story() -> Vec<v1::Event> {
    let mut answer = event("anna", "nps_response", 60);
    answer.rating = Some(10.0);
    vec![
        event("anna", "page_view", 1),
        event("anna", "view_item", 2),
        event("anna", "add_to_cart", 3),
        event("anna", "begin_checkout", 4),
        purchase("anna", 5, 40.0),
        answer,
        purchase("anna", 24 * 6, 60.0),
        event("ben", "view_item", 10),
        event("ben", "add_to_cart", 11),
        event("phone", "view_item", 12),
        event("cleo", "view_item", 20),
        event("cleo", "page_view", 24 * 9),
    ]
}

async fn harness_on(journal: Arc<dyn Journal>) -> Harness {
    harness_at(journal, 10 * 24).await
}

async fn harness_at(journal: Arc<dyn Journal>, hours: i64) -> Harness {
    let clock = Clock::fixed(Timestamp::from_ms(START_MS + hours * HOUR_MS));
    let recipes = recipes();
    let settings = settings();
    let harness = Harness::start_at(clock, journal, Limits::default(), &recipes, &settings).await;
    harness.set_ready(true);
    harness
}

/// With a segment: those who bought.
fn recipes() -> Recipes {
    let mut files = embedded_files();
    let journey = files.iter_mut().find(|f| f.name == "journey.toml").unwrap();
    journey
        .text
        .push_str("\n[[segment]]\nname = \"buyers\"\nexpression = \"customer.order_count > 0\"\n");
    Recipes::parse(&files).unwrap()
}

async fn write(clients: &mut Clients, events: Vec<v1::Event>) {
    let request = v1::WriteEventsRequest {
        events,
        validate_only: false,
    };
    clients.events.write_events(request).await.unwrap();
}

async fn map(clients: &mut Clients, selection: v1::JourneySelection) -> v1::JourneyMap {
    let request = v1::GetJourneyMapRequest {
        selection: Some(selection),
    };
    clients
        .journey
        .get_journey_map(request)
        .await
        .unwrap()
        .into_inner()
}

async fn kpis(clients: &mut Clients, breakdown: v1::get_kpis_request::Breakdown) -> Vec<v1::Kpi> {
    let request = v1::GetKpisRequest {
        selection: None,
        breakdown: breakdown.into(),
    };
    let answer = clients.journey.get_kpis(request).await.unwrap();
    answer.into_inner().kpis
}

fn stage<'a>(map: &'a v1::JourneyMap, name: &str) -> &'a v1::JourneyStage {
    map.stages.iter().find(|stage| stage.stage == name).unwrap()
}

fn kpi<'a>(kpis: &'a [v1::Kpi], name: &str) -> &'a v1::KpiValue {
    let found = kpis.iter().find(|kpi| kpi.name == name).unwrap();
    found.total.as_ref().unwrap()
}

fn near(value: Option<f64>, wanted: f64) {
    let value = value.unwrap();
    assert!(
        (value - wanted).abs() <= 0.05 * wanted.abs(),
        "{value}, not {wanted}"
    );
}

/// entered, new, returned, moved on, moved back, left, joined, here
fn figures(stage: &v1::JourneyStage) -> [i64; 8] {
    [
        stage.entered_count,
        stage.new_count,
        stage.returned_count,
        stage.moved_on_count,
        stage.moved_back_count,
        stage.left_count,
        stage.joined_count,
        stage.here_count,
    ]
}

fn look_at_places(journeys: &Journeys, _: &Grouping) {
    let first = day_of(Timestamp::from_ms(START_MS));
    let (decision, cart) = (2, journeys.touchpoints.number("cart").unwrap());
    let places = journeys.places(first, first + 20);
    let is_it = |place: &&Place| place.stage == decision && place.touchpoint == cart;
    let found: Vec<&Place> = places.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].passed, found[0].left_here), (2, 1));
    // nothing lies ahead: ben left at the midnight that began the fifth day
    let days = (first, first + 3);
    assert_eq!(journeys.lost_paths((decision, cart), days, |_| true, 5), []);
    let days = (first, first + 20);
    let lost = journeys.lost_paths((decision, cart), days, |_| true, 5);
    assert_eq!(lost.len(), 1);
    let kinds: Vec<EventKind> = lost[0].steps.iter().map(|step| step.0).collect();
    assert_eq!(kinds, [EventKind::ViewItem, EventKind::AddToCart]);
    let worth = journeys.worth(decision, days, |_| true);
    assert_eq!(
        (worth.ended, worth.orders, worth.revenue),
        (2, 1, 40_000_000)
    );
}

#[tokio::test]
async fn a_story_is_drawn_and_measured() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let harness = harness_on(journal.clone()).await;
    let mut clients = harness.clients().await;
    let empty = map(&mut clients, v1::JourneySelection::default()).await;
    assert!(empty.count_state.as_ref().unwrap().complete);
    assert!(empty.stages.iter().all(|stage| figures(stage) == [0; 8]));
    write(&mut clients, story()).await;
    let identify = v1::IdentifyVisitorRequest {
        visitor_id: "phone".to_owned(),
        customer_id: "cleo".to_owned(),
    };
    clients.customers.identify_visitor(identify).await.unwrap();
    let drawn = map(&mut clients, v1::JourneySelection::default()).await;
    let state = drawn.count_state.unwrap();
    assert!(state.complete && state.progress >= 1.0);
    assert_eq!(state.newest_event_time, Some(time(24 * 9)));
    // anna by a page; a phone, who is cleo, and ben by a product
    assert_eq!(
        figures(stage(&drawn, "awareness")),
        [1, 1, 0, 1, 0, 0, 0, 0]
    );
    // identified ten days after, the phone has not left: its horizon is 14 days
    assert_eq!(
        figures(stage(&drawn, "consideration")),
        [4, 3, 0, 2, 0, 0, 1, 1]
    );
    // ben left his cart three days later, at midnight
    assert_eq!(figures(stage(&drawn, "decision")), [2, 0, 0, 1, 0, 1, 0, 0]);
    // anna bought, would recommend the shop, and bought again within a week
    assert_eq!(figures(stage(&drawn, "purchase")), [1, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(figures(stage(&drawn, "retention")), [0; 8]);
    for stage in &drawn.stages {
        let [entered, _, _, on, back, left, joined, here] = figures(stage);
        assert_eq!(entered, on + back + left + joined + here, "{}", stage.stage);
    }
    let emotion = stage(&drawn, "purchase").emotion.unwrap();
    assert_eq!((emotion.value, emotion.response_count), (1.0, 1));
    let cart = |stage: &v1::JourneyStage| {
        let cart = stage.touchpoints.iter().find(|t| t.touchpoint == "cart");
        let cart = cart.unwrap().clone();
        (
            cart.event_count,
            cart.stay_count,
            cart.moved_on_count,
            cart.left_here_count,
        )
    };
    assert_eq!(cart(stage(&drawn, "decision")), (2, 2, 1, 1));
    let sales = stage(&drawn, "decision").sales.unwrap();
    assert_eq!((sales.order_count, sales.revenue), (1, 40.0));
    assert_eq!(drawn.currency_code, "EUR");
    assert!(drawn.touchpoints.contains(&"product_page".to_owned()));
    assert_eq!(drawn.segments, ["buyers"]);
    let left = drawn
        .stage_flows
        .iter()
        .find(|f| f.from == "decision" && f.to.is_empty());
    assert_eq!(left.unwrap().count, 1);

    let measured = kpis(&mut clients, v1::get_kpis_request::Breakdown::Stage).await;
    for kpi in &measured {
        assert!(!kpi.definition.is_empty() && !kpi.place_definition.is_empty());
        assert!(
            kpi.days.len() == 28 && !kpi.groups.is_empty(),
            "{}",
            kpi.name
        );
    }
    assert_eq!(kpi(&measured, "orders").value, Some(2.0));
    assert_eq!(kpi(&measured, "revenue").value, Some(100.0));
    near(kpi(&measured, "average_order_value").value, 50.0);
    let abandoned = kpi(&measured, "cart_abandonment_rate");
    assert_eq!((abandoned.value, abandoned.sample_count), (Some(0.5), 2));
    assert!(abandoned.low.unwrap() < 0.5 && abandoned.high.unwrap() > 0.5);
    // nobody has had 60 days to order again
    let again = kpi(&measured, "repeat_purchase_rate");
    assert_eq!((again.value, again.sample_count), (None, 0));
    assert_eq!(kpi(&measured, "time_to_second_purchase").value, None);
    assert_eq!(kpi(&measured, "nps").value, Some(100.0));
    assert_eq!(kpi(&measured, "csat").value, None);
    let groups = &measured
        .iter()
        .find(|k| k.name == "revenue")
        .unwrap()
        .groups;
    let keys: Vec<&str> = groups.iter().map(|group| group.key.as_str()).collect();
    assert!(keys.contains(&"decision"), "{keys:?}");

    // what pain points compare: ben was lost at the cart
    let journey = harness.service.use_cases.journey.clone();
    tokio::task::spawn_blocking(move || journey.with_counters(look_at_places).unwrap())
        .await
        .unwrap();

    // who bought is known when the groups are looked at
    let journey = harness.service.use_cases.journey.clone();
    tokio::task::spawn_blocking(move || journey.regroup().unwrap())
        .await
        .unwrap();
    let selection = v1::JourneySelection {
        segment: "buyers".to_owned(),
        ..v1::JourneySelection::default()
    };
    let buyers = map(&mut clients, selection).await;
    assert_eq!(
        figures(stage(&buyers, "decision")),
        [1, 0, 0, 1, 0, 0, 0, 0]
    );
    let everybody = map(&mut clients, v1::JourneySelection::default()).await;
    let plain = |map: &v1::JourneyMap| (map.stages.clone(), map.stage_flows.clone());
    assert_eq!(plain(&everybody), plain(&drawn));
    // of those who came to the checkout
    let selection = v1::JourneySelection {
        touchpoint: "checkout".to_owned(),
        ..v1::JourneySelection::default()
    };
    let checkout = map(&mut clients, selection).await;
    assert_eq!(
        figures(stage(&checkout, "decision")),
        [1, 0, 0, 1, 0, 0, 0, 0]
    );
    // where they came from, and where they went
    let flows = checkout.stage_flows.iter();
    let flows = flows.map(|flow| (flow.from.as_str(), flow.to.as_str(), flow.count));
    assert_eq!(
        flows.collect::<Vec<_>>(),
        [
            ("consideration", "decision", 1),
            ("decision", "purchase", 1)
        ]
    );
    // of those who came to the product page ben was last seen elsewhere
    let selection = v1::JourneySelection {
        touchpoint: "product_page".to_owned(),
        ..v1::JourneySelection::default()
    };
    let page = map(&mut clients, selection).await;
    let lost = |name: &str| {
        let stage = stage(&page, name);
        (stage.left_count, stage.left_elsewhere_count)
    };
    assert_eq!([lost("consideration"), lost("decision")], [(0, 0), (0, 0)]);
    newest_first(&mut clients).await;
    harness.stop().await.unwrap();

    // the journal is there, the counters are counted anew
    let harness = harness_on(journal).await;
    let mut clients = harness.clients().await;
    let again = map(&mut clients, v1::JourneySelection::default()).await;
    assert_eq!(plain(&again), plain(&drawn));
    // without anna there are no sales
    let erase = v1::EraseCustomerRequest {
        customer_id: "anna".to_owned(),
    };
    clients.customers.erase_customer(erase).await.unwrap();
    let without = map(&mut clients, v1::JourneySelection::default()).await;
    assert!(without.count_state.as_ref().unwrap().complete);
    assert_eq!(figures(stage(&without, "awareness")), [0; 8]);
    assert_eq!(figures(stage(&without, "purchase")), [0; 8]);
    assert_eq!(
        figures(stage(&without, "decision")),
        [1, 0, 0, 0, 0, 1, 0, 0]
    );
    harness.stop().await.unwrap();
}

async fn measured(clients: &mut Clients, selection: v1::JourneySelection) -> v1::GetKpisResponse {
    let request = v1::GetKpisRequest {
        selection: Some(selection),
        breakdown: 0,
    };
    let measured = clients.journey.get_kpis(request).await.unwrap();
    measured.into_inner()
}

#[tokio::test]
async fn only_whole_days_count_and_only_times_that_were_seen_are_compared() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    // noon of the day of the newest event
    let harness = harness_at(journal.clone(), 24 * 9 + 12).await;
    let mut clients = harness.clients().await;
    // the first day is all there is
    write(&mut clients, vec![event("dora", "page_view", 1)]).await;
    let first = map(&mut clients, v1::JourneySelection::default()).await;
    let state = first.count_state.unwrap();
    assert_eq!(state.earliest_time, Some(time(0)));
    assert_eq!(state.end_time, Some(time(24)));
    write(&mut clients, story()).await;
    let drawn = map(&mut clients, v1::JourneySelection::default()).await;
    let state = drawn.count_state.unwrap();
    assert_eq!(state.newest_event_time, Some(time(24 * 9)));
    assert_eq!(state.end_time, Some(time(24 * 9)));
    let today = v1::JourneySelection {
        end_time: Some(time(24 * 9 + 3)),
        ..v1::JourneySelection::default()
    };
    let steps = |map: &v1::JourneyMap| map.stages.iter().map(|s| s.step_count).sum::<i64>();
    let with_today = map(&mut clients, today).await;
    assert_eq!(steps(&with_today), steps(&drawn) + 1);
    let until = |map: &v1::JourneyMap| map.count_state.unwrap().end_time;
    assert_eq!(until(&with_today), Some(time(24 * 9)));
    // of what lies ahead nothing is counted, and it does not end before it begins
    let ahead = v1::JourneySelection {
        start_time: Some(time(24 * 40)),
        ..v1::JourneySelection::default()
    };
    let ahead = map(&mut clients, ahead).await;
    assert_eq!((steps(&ahead), until(&ahead)), (0, Some(time(24 * 41))));

    // three days before the window are known, but of the first one only a part
    let days = |first: i64, last: i64| v1::JourneySelection {
        start_time: Some(time(24 * first)),
        end_time: Some(time(24 * last)),
        ..v1::JourneySelection::default()
    };
    let before = |all: &v1::GetKpisResponse, name: &str| {
        let found = all.kpis.iter().find(|kpi| kpi.name == name).unwrap();
        found.before.and_then(|before| before.value)
    };
    let unknown = measured(&mut clients, days(3, 5)).await;
    assert!(
        unknown
            .kpis
            .iter()
            .all(|kpi| before(&unknown, &kpi.name).is_none())
    );
    let known = measured(&mut clients, days(3, 4)).await;
    assert_eq!(before(&known, "orders"), Some(0.0));
    assert_eq!(before(&known, "repeat_purchase_rate"), None);
    harness.stop().await.unwrap();

    // sixty days after her first order it is decided whether anna ordered again
    let harness = harness_at(journal, 24 * 71).await;
    let mut clients = harness.clients().await;
    write(&mut clients, vec![event("dora", "page_view", 24 * 70)]).await;
    let later = measured(&mut clients, v1::JourneySelection::default()).await;
    let again = kpi(&later.kpis, "repeat_purchase_rate");
    assert_eq!((again.value, again.sample_count), (Some(1.0), 1));
    near(
        kpi(&later.kpis, "time_to_second_purchase").value,
        139.0 / 24.0,
    );
    // three years are kept, and who asks for more hears so
    let first_kept = |answer: &v1::GetKpisResponse| answer.count_state.unwrap().first_kept_time;
    assert_eq!(first_kept(&later), None);
    let long = measured(&mut clients, days(-1_500, 70)).await;
    let first = Some(time(24 * (70 - 1_098)));
    assert_eq!(first_kept(&long), first);
    assert_eq!(long.count_state.unwrap().start_time, first);
    let just = measured(&mut clients, days(70 - 1_098, 70)).await;
    assert_eq!(first_kept(&just), None);
    let decided = measured(&mut clients, days(61, 70)).await;
    let again = kpi(&decided.kpis, "repeat_purchase_rate");
    assert_eq!((again.value, again.sample_count), (None, 0));
    harness.stop().await.unwrap();
}

/// Anna's steps from the newest on, page by page, each with the stage after it.
async fn newest_first(clients: &mut Clients) {
    let subject = v1::list_events_request::Subject::CustomerId("anna".to_owned());
    let mut request = v1::ListEventsRequest {
        subject: Some(subject),
        page_size: 3,
        newest_first: true,
        ..v1::ListEventsRequest::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = clients.events.list_events(request.clone()).await.unwrap();
        let page = page.into_inner();
        let events = page.events.into_iter();
        let told: Vec<_> = events.map(|e| (e.event_type, e.stage)).collect();
        pages.push(told);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let told = |steps: &[(&str, &str)]| -> Vec<(String, String)> {
        let steps = steps.iter();
        steps
            .map(|(kind, stage)| ((*kind).to_owned(), (*stage).to_owned()))
            .collect()
    };
    let wanted = [
        told(&[
            ("purchase", "purchase"),
            ("nps_response", "purchase"),
            ("purchase", "purchase"),
        ]),
        told(&[
            ("begin_checkout", "decision"),
            ("add_to_cart", "decision"),
            ("view_item", "consideration"),
        ]),
        told(&[("page_view", "awareness")]),
    ];
    assert_eq!(pages, wanted);
    // a token goes on in its own order alone
    request.newest_first = false;
    let status = clients.events.list_events(request).await.unwrap_err();
    assert_eq!(code_and_reason(&status).0, Code::InvalidArgument);
}

#[tokio::test]
async fn bad_questions_hear_of_every_fault() {
    let harness = harness_on(Arc::new(MemoryJournal::new())).await;
    let mut clients = harness.clients().await;
    write(&mut clients, story()).await;
    let bad = || v1::JourneySelection {
        start_time: Some(time(48)),
        end_time: Some(time(0)),
        persona_id: "nobody".to_owned(),
        segment: "buyer".to_owned(),
        touchpoint: "chekout".to_owned(),
    };
    let check = |status: Status, wanted: &[&str]| {
        let (code, reason) = code_and_reason(&status);
        assert_eq!(
            (code, reason.as_str()),
            (Code::InvalidArgument, "INVALID_FIELDS")
        );
        let found = violations(&status);
        let wanted = wanted.iter().map(|&fault| fault.to_owned()).collect();
        assert_eq!(found, wanted);
    };
    let names = [
        "selection.end_time: OUT_OF_RANGE",
        "selection.persona_id: UNKNOWN_NAME",
        "selection.segment: UNKNOWN_NAME",
        "selection.touchpoint: UNKNOWN_NAME",
    ];
    let request = v1::GetJourneyMapRequest {
        selection: Some(bad()),
    };
    check(
        clients.journey.get_journey_map(request).await.unwrap_err(),
        &names,
    );
    let request = v1::GetKpisRequest {
        selection: Some(bad()),
        breakdown: 99,
    };
    let mut more = vec!["breakdown: UNKNOWN_NAME"];
    more.extend(names);
    check(clients.journey.get_kpis(request).await.unwrap_err(), &more);
    let request = v1::ListPainPointsRequest {
        selection: Some(bad()),
        false_discovery_rate: f64::NAN,
        page_size: -1,
    };
    let mut more = vec![
        "false_discovery_rate: OUT_OF_RANGE",
        "page_size: OUT_OF_RANGE",
    ];
    more.extend(names);
    check(
        clients.journey.list_pain_points(request).await.unwrap_err(),
        &more,
    );
    harness.stop().await.unwrap();
}

#[test]
fn the_counters_are_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let open = || {
        let checkpoints = Checkpoints::open(folder.path().join("checkpoints")).unwrap();
        Service::with(
            journal.clone(),
            Some(checkpoints),
            Artefacts::open(folder.path().join("models")).unwrap(),
            Clock::fixed(Timestamp::from_ms(START_MS + 10 * DAY_MS)),
            &settings(),
            &recipes(),
        )
        .unwrap()
    };
    let ask = |service: &Service| {
        let journey = &service.use_cases.journey;
        journey
            .map(&nextbest::application::journey::Selection::default())
            .unwrap()
    };
    let kept = || {
        let folder = folder.path().join("checkpoints").join("journeys");
        std::fs::read_dir(folder).unwrap().count()
    };
    let service = open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let drafts = story();
        let records = drafts.iter().map(|event| {
            let time = event.event_time.unwrap();
            let draft = nextbest::domain::EventDraft {
                event_id: &event.event_id,
                event_type: &event.event_type,
                time: Some(Timestamp::from_parts(time.seconds, time.nanos)),
                customer_id: &event.customer_id,
                visitor_id: &event.visitor_id,
                product_id: &event.product_id,
                rating: event.rating.map(Ok),
                ..nextbest::domain::EventDraft::default()
            };
            let event = draft.check(Timestamp::MAX, |_| 0).unwrap();
            nextbest::domain::RecordBody::Event(Box::new(event))
        });
        service
            .use_cases
            .ingest
            .write(records.collect())
            .await
            .unwrap();
    });
    let drawn = ask(&service);
    assert_eq!(drawn.stages[0].entered, 1);
    service.close().unwrap();
    assert_eq!(kept(), 1);
    let service = open();
    let again = ask(&service);
    assert_eq!(
        (&again.stages, &again.touchpoint_flows),
        (&drawn.stages, &drawn.touchpoint_flows)
    );
    service.close().unwrap();
}
