//! Attribution over the wire: answers carry a token, events bring it back, and what became of the answer is counted.

use std::collections::HashMap;

use nextbest::application::attribution::token;
use nextbest::application::recommend::{Question, Who};
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{
    Credit, CustomerId, Event, EventDraft, EventKind, Origin, RecordBody, Timestamp, VisitorId,
};
use nextbest::proto::v1;
use nextbest::transport::csv;
use tonic::Code;

use crate::harness::{Clients, Harness, code_and_reason, fresh_fold, violations};
use crate::wire_story::{about, event, shop};

async fn ask(clients: &mut Clients, request: v1::RecommendRequest) -> v1::RecommendResponse {
    let answer = clients.recommendations.recommend(request).await;
    answer.unwrap().into_inner()
}

/// Something that became of an answer, with an id of its own.
fn became(kind: &str, customer: &str, product: &str, token: &str, id: &str) -> v1::Event {
    v1::Event {
        event_id: id.to_owned(),
        attribution_token: token.to_owned(),
        ..event(kind, customer, product, 0)
    }
}

/// Writes events that are all new; what of them attributes nothing.
async fn send(clients: &mut Clients, events: Vec<v1::Event>) -> HashMap<String, i32> {
    let count = i32::try_from(events.len()).unwrap();
    let request = v1::WriteEventsRequest {
        events,
        validate_only: false,
    };
    let answer = clients.events.write_events(request).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!((answer.written_count, answer.duplicate_count), (count, 0));
    answer.unattributed
}

async fn outcomes(clients: &mut Clients) -> v1::GetRecommendationOutcomesResponse {
    let request = v1::GetRecommendationOutcomesRequest {};
    let answer = clients.recommendations.get_recommendation_outcomes(request);
    answer.await.unwrap().into_inner()
}

/// Impressions, clicks, carts and purchases of the only stage.
async fn counts(clients: &mut Clients) -> [i64; 4] {
    let by_stage = outcomes(clients).await.by_stage;
    assert!(by_stage.len() < 2, "{by_stage:?}");
    let counts = by_stage.into_values().next().unwrap_or_default();
    [
        counts.impression_count,
        counts.click_count,
        counts.cart_count,
        counts.purchase_count,
    ]
}

fn none() -> HashMap<String, i32> {
    HashMap::new()
}

fn reasons<const N: usize>(reasons: [(&str, i32); N]) -> HashMap<String, i32> {
    reasons
        .map(|(reason, count)| (reason.to_owned(), count))
        .into()
}

#[tokio::test]
async fn what_becomes_of_an_answer_is_counted_once() {
    let (harness, mut clients) = shop().await;
    assert_eq!(counts(&mut clients).await, [0; 4]);
    let answer = ask(&mut clients, about("c0")).await;
    let (token, shown) = (&answer.attribution_token, answer.products.len());
    assert!(shown > 3 && (80..=250).contains(&token.len()), "{token}");
    let product = |place: usize| answer.products[place].product_id.as_str();
    let story = [
        became("view_item_list", "c0", "", token, "1"),
        became("select_item", "c0", product(0), token, "2"),
        became("view_item", "c0", product(0), token, "3"),
        became("add_to_cart", "c0", product(0), token, "4"),
        became("purchase", "c0", product(0), token, "5"),
        became("select_item", "c0", product(1), token, "6"),
    ];
    assert_eq!(send(&mut clients, story.to_vec()).await, none());
    let expected = [shown as i64, 2, 1, 1];
    assert_eq!(counts(&mut clients).await, expected);
    // the same again under other ids, and one of the list alone
    let again = story.iter().map(|event| v1::Event {
        event_id: format!("again-{}", event.event_id),
        ..event.clone()
    });
    assert_eq!(send(&mut clients, again.collect()).await, none());
    let seen = became("view_item_list", "c0", product(2), token, "7");
    assert_eq!(send(&mut clients, vec![seen]).await, none());
    assert_eq!(counts(&mut clients).await, expected);
    // another answer is another decision
    let elsewhere = v1::RecommendRequest {
        placement: "cart".to_owned(),
        ..about("c0")
    };
    let other = ask(&mut clients, elsewhere).await.attribution_token;
    assert_ne!(&other, token);
    let seen = became("view_item_list", "c0", "", &other, "8");
    assert_eq!(send(&mut clients, vec![seen]).await, none());
    let found = outcomes(&mut clients).await;
    assert!(found.by_stage.contains_key(&answer.stage.unwrap().stage));
    let of = |count: fn(&v1::RecommendationOutcomes) -> i64| found.by_source.values().map(count);
    assert!(of(|counts| counts.impression_count).sum::<i64>() > shown as i64);
    assert_eq!(of(|counts| counts.click_count).sum::<i64>(), 2);
    let online = found.online.unwrap();
    assert_eq!((online.outcome_count, online.active), (2, false));
    // tokens are not kept
    let request = v1::ListEventsRequest {
        subject: Some(v1::list_events_request::Subject::CustomerId(
            "c0".to_owned(),
        )),
        page_size: 1_000,
        ..v1::ListEventsRequest::default()
    };
    let events = clients
        .events
        .list_events(request)
        .await
        .unwrap()
        .into_inner()
        .events;
    assert!(
        events
            .iter()
            .all(|event| event.attribution_token.is_empty())
    );
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn a_token_that_attributes_nothing_costs_no_event() {
    let (harness, mut clients) = shop().await;
    let (_other_harness, mut other_clients) = shop().await;
    let answer = ask(&mut clients, about("c0")).await;
    let token = &answer.attribution_token;
    let product = &answer.products[0].product_id;
    let foreign = ask(&mut other_clients, about("c0")).await.attribution_token;
    let mut tampered = token.clone().into_bytes();
    tampered[30] = if tampered[30] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    let mut early = became("select_item", "c0", product, token, "early");
    early.event_time = crate::wire_story::ago(2);
    let at = Timestamp::from_ms(harness.service.shop.clock.now().ms() - 31 * DAY_MS);
    let old = harness
        .service
        .use_cases
        .recommender
        .recommend(&question("c0", Some(at)));
    let old = old.unwrap();
    let late = old.products[0].product.as_str();
    let events = vec![
        became("select_item", "c0", product, &foreign, "foreign"),
        became("select_item", "c0", product, &tampered, "tampered"),
        became("select_item", "c0", product, "no token", "malformed"),
        became("select_item", "c0", "audio-off", token, "not shown"),
        became("email_click", "c0", "", token, "names none"),
        became("add_to_wishlist", "c0", product, token, "no outcome"),
        became("select_item", "c1", product, token, "somebody else"),
        became("select_item", "c0", late, &old.attribution_token, "late"),
        early,
    ];
    let expected = reasons([
        ("BAD_SIGNATURE", 2),
        ("MALFORMED", 1),
        ("NOT_SHOWN", 2),
        ("NO_OUTCOME", 1),
        ("OTHER_SUBJECT", 1),
        ("OUT_OF_TIME", 2),
    ]);
    assert_eq!(send(&mut clients, events).await, expected);
    assert_eq!(counts(&mut clients).await, [0; 4]);
    assert_eq!(outcomes(&mut clients).await.other_subject_count, 1);

    // as long as may be, and one byte more
    let of_length = |bytes: usize| v1::WriteEventsRequest {
        events: vec![became(
            "select_item",
            "c0",
            product,
            &"A".repeat(bytes),
            "long",
        )],
        validate_only: false,
    };
    let error = clients
        .events
        .write_events(of_length(2_049))
        .await
        .unwrap_err();
    let reason = (Code::InvalidArgument, "INVALID_FIELDS".to_owned());
    assert_eq!(code_and_reason(&error), reason);
    let faults = violations(&error);
    assert!(
        faults.contains("events[0].attribution_token: TOO_LONG"),
        "{faults:?}"
    );
    let answer = clients.events.write_events(of_length(2_048)).await.unwrap();
    assert_eq!(answer.into_inner().written_count, 1);
}

fn question(customer: &str, at: Option<Timestamp>) -> Question {
    Question {
        who: Who::Customer(CustomerId::parse(customer).unwrap()),
        stage: None,
        placement: "mail".to_owned(),
        context: Vec::new(),
        count: 5,
        offers: Some(0),
        channel: String::new(),
        filter: String::new(),
        boost: String::new(),
        exclude: Vec::new(),
        exclude_bought: false,
        strict: false,
        at,
    }
}

#[tokio::test]
async fn somebody_who_logs_in_stays_the_one_who_was_answered() {
    let (_harness, mut clients) = shop().await;
    let of_visitor = v1::RecommendRequest {
        customer_id: String::new(),
        visitor_id: "v1".to_owned(),
        ..about("")
    };
    let answer = ask(&mut clients, of_visitor).await;
    let (token, product) = (&answer.attribution_token, &answer.products[0].product_id);
    // not known to be the visitor yet
    let early = became("select_item", "c0", product, token, "1");
    assert_eq!(
        send(&mut clients, vec![early]).await,
        reasons([("OTHER_SUBJECT", 1)])
    );
    let login = v1::Event {
        visitor_id: "v1".to_owned(),
        ..event("login", "c0", "", 0)
    };
    assert_eq!(send(&mut clients, vec![login]).await, none());
    let bought = became("purchase", "c0", product, token, "2");
    assert_eq!(send(&mut clients, vec![bought]).await, none());
    // and a mail to the customer that is clicked on the device
    let answer = ask(&mut clients, about("c0")).await;
    let product = &answer.products[0].product_id;
    let clicked = v1::Event {
        visitor_id: "v1".to_owned(),
        ..became("email_click", "", product, &answer.attribution_token, "3")
    };
    assert_eq!(send(&mut clients, vec![clicked]).await, none());
    // an answer for nobody is anybody's
    let answer = ask(&mut clients, about("")).await;
    let product = &answer.products[0].product_id;
    let clicked = became("view_item", "c3", product, &answer.attribution_token, "4");
    assert_eq!(send(&mut clients, vec![clicked]).await, none());
    assert_eq!(outcomes(&mut clients).await.other_subject_count, 1);
}

#[tokio::test]
async fn answers_in_bulk_carry_tokens_and_what_was_erased_counts_no_more() {
    let (harness, mut clients) = shop().await;
    let request = v1::BatchRecommendRequest {
        requests: vec![about("c0"), about("c1")],
    };
    let batch = clients
        .recommendations
        .batch_recommend(request)
        .await
        .unwrap();
    let mut events = Vec::new();
    for (customer, result) in ["c0", "c1"].into_iter().zip(batch.into_inner().results) {
        let Some(v1::batch_recommend_result::Result::Response(answer)) = result.result else {
            panic!("no answer");
        };
        events.push(became(
            "email_open",
            customer,
            "",
            &answer.attribution_token,
            customer,
        ));
    }
    assert_eq!(send(&mut clients, events).await, none());
    let request = v1::StreamRecommendationsRequest {
        // within one millisecond the same answer would be the same decision
        template: Some(v1::RecommendRequest {
            placement: "mail".to_owned(),
            ..v1::RecommendRequest::default()
        }),
        ..v1::StreamRecommendationsRequest::default()
    };
    let stream = clients
        .recommendations
        .stream_recommendations(request)
        .await;
    let first = stream
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let (customer, answer) = (first.customer_id, first.response.unwrap());
    let token = &answer.attribution_token;
    let opened = became("email_open", &customer, "", token, "stream");
    assert_eq!(send(&mut clients, vec![opened]).await, none());
    let impressions = |found: v1::GetRecommendationOutcomesResponse| -> i64 {
        let counts = found.by_source.into_values();
        counts.map(|counts| counts.impression_count).sum()
    };
    let before = impressions(outcomes(&mut clients).await);
    assert!(before > 20, "{before}");
    let request = v1::EraseCustomerRequest {
        customer_id: "c0".to_owned(),
    };
    clients.customers.erase_customer(request).await.unwrap();
    harness.folded_anew().await;
    let after = impressions(outcomes(&mut clients).await);
    assert!(after > 0 && after <= before - 10, "{after} of {before}");
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn a_column_of_a_file_brings_tokens_back() {
    let (harness, mut clients) = shop().await;
    let answer = ask(&mut clients, about("c0")).await;
    let (token, product) = (&answer.attribution_token, &answer.products[0].product_id);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    let now = harness.service.shop.clock.now();
    let long = "x".repeat(2_049);
    let rows = [token.as_str(), "", "nonsense", &long]
        .map(|token| format!("purchase,{now},c0,{product},{token}\n"));
    let header = "event_type,timestamp,customer_id,product_id,attribution_token\n";
    std::fs::write(&path, format!("{header}{}", rows.concat())).unwrap();
    let mut number = 0;
    let repetitions = Box::new(move |_| {
        number += 1;
        Ok(number)
    });
    let rows = csv::Events::open(&path, now, repetitions).unwrap();
    let (read, refused): (Vec<_>, Vec<_>) = rows.partition(Result::is_ok);
    assert_eq!(refused.len(), 1);
    let batch = read
        .into_iter()
        .map(|row| RecordBody::Event(Box::new(row.unwrap().value)));
    let written = harness
        .service
        .use_cases
        .ingest
        .write(batch.collect())
        .await
        .unwrap();
    assert_eq!(written.new, 3);
    let unattributed: Vec<_> = written
        .unattributed
        .into_iter()
        .map(|(r, n)| (r.as_str(), n))
        .collect();
    assert_eq!(unattributed, [("MALFORMED", 1)]);
    assert_eq!(counts(&mut clients).await, [0, 0, 0, 1]);
}

/// An event of a question's customer with the token of its answer.
fn outcome(
    kind: EventKind,
    customer: &str,
    product: &str,
    token: &str,
    now: Timestamp,
    id: &str,
) -> RecordBody {
    let draft = EventDraft {
        event_id: id,
        event_type: kind.as_str(),
        time: Some(Ok(now)),
        customer_id: customer,
        product_id: product,
        ..EventDraft::default()
    };
    let event = draft.check(now, |_| 0).unwrap();
    RecordBody::Event(Box::new(Event {
        credit: Some(Credit::Claimed(token.into())),
        ..event
    }))
}

/// How the candidates of an origin stand: their mean place among all, and the mean of what outcomes add.
fn standing(harness: &Harness, origin: Option<Origin>) -> (f64, f64) {
    let (mut places, mut added, mut count) = (0.0, 0.0, 0.0);
    for customer in 0..10 {
        let mut question = question(&format!("c{customer}"), None);
        question.count = 100;
        let explained = harness
            .service
            .use_cases
            .recommender
            .explain(&question)
            .unwrap();
        let products = &explained.answer.products;
        for (place, kept) in explained.kept.iter().enumerate() {
            let answered = products
                .iter()
                .find(|product| product.product == kept.product);
            if origin.is_none_or(|origin| answered.is_some_and(|product| product.origin == origin))
            {
                places += place as f64;
                added += kept.online;
                count += 1.0;
            }
        }
    }
    (places / count, added / count)
}

#[tokio::test]
async fn what_outcomes_favour_rises_in_the_answers_once_it_is_proved() {
    let (harness, mut clients) = shop().await;
    let ingest = &harness.service.use_cases.ingest;
    let recommender = &harness.service.use_cases.recommender;
    let first = recommender.recommend(&question("c0", None)).unwrap();
    // what stands last: it has far to rise
    let favourite = first.products.last().unwrap().origin;
    assert_ne!(favourite, first.products[0].origin);
    let (place_before, added) = standing(&harness, Some(favourite));
    assert!(added.abs() <= 0.0, "{added}");
    for round in 0..60 {
        let now = harness.service.shop.clock.now();
        let mut batch = Vec::new();
        for customer in 0..5 {
            let id = format!("c{customer}");
            let answer = recommender.recommend(&question(&id, None)).unwrap();
            let token = &answer.attribution_token;
            let seen = format!("seen-{round}-{customer}");
            batch.push(outcome(EventKind::EmailOpen, &id, "", token, now, &seen));
            for (place, product) in answer.products.iter().enumerate() {
                if product.origin == favourite {
                    let clicked = format!("clicked-{round}-{customer}-{place}");
                    let product = product.product.as_str();
                    batch.push(outcome(
                        EventKind::EmailClick,
                        &id,
                        product,
                        token,
                        now,
                        &clicked,
                    ));
                }
            }
        }
        assert!(ingest.write(batch).await.unwrap().unattributed.is_empty());
        let online = outcomes(&mut clients).await.online.unwrap();
        if online.impression_count < 500 {
            assert!(!online.active);
            assert!(standing(&harness, None).1.abs() <= 0.0);
        }
    }
    let online = outcomes(&mut clients).await.online.unwrap();
    assert!(online.active && online.gain > 0.0, "{online:?}");
    let (place_after, added) = standing(&harness, Some(favourite));
    let (_, added_to_all) = standing(&harness, None);
    assert!(added > added_to_all + 0.1, "{added} against {added_to_all}");
    assert!(
        place_after < place_before,
        "{place_after} from {place_before}"
    );
    let visitor = Question {
        who: Who::Visitor(VisitorId::parse("somebody").unwrap()),
        ..question("c0", None)
    };
    assert!(!recommender.recommend(&visitor).unwrap().products.is_empty());
}

/// `cargo test --release --test it token_is_a_small -- --ignored --nocapture` prints the ratio.
#[tokio::test]
#[ignore = "measures time; for a quiet machine and a release build"]
async fn making_a_token_is_a_small_part_of_an_answer() {
    const ROUNDS: u32 = 20_000;
    let (harness, _) = shop().await;
    let mut question = question("c0", None);
    question.count = 10;
    let now = harness.service.shop.clock.now();
    let recommender = &harness.service.use_cases.recommender;
    let answer = recommender.recommend(&question).unwrap();
    let key = &harness.service.shop.settings.key;
    let time = |what: &dyn Fn() -> usize| {
        let started = std::time::Instant::now();
        let total: usize = (0..ROUNDS).map(|_| what()).sum();
        assert!(total > 0);
        started.elapsed() / ROUNDS
    };
    let answering = time(&|| recommender.recommend(&question).unwrap().products.len());
    let making = time(&|| token(key, &question, &answer, now).len());
    let checking = time(&|| key.verify(&answer.attribution_token).unwrap().1.shown.len());
    let length = answer.attribution_token.len();
    println!(
        "{} products, {length} characters: made in {making:?}, checked in {checking:?}, answered in {answering:?}",
        answer.products.len()
    );
    assert!(making * 10 < answering, "{making:?} of {answering:?}");
}
