//! Offers that cannot be true, over the wire: each gives its documented faults, and nothing is stored.

use nextbest::proto::v1;
use tonic::{Code, Response, Status};

use crate::harness::{Harness, code_and_reason, violations};
use crate::wire_story::refused;
use crate::wire_story_offers::{
    answered, create, delete, get, offer, owned, pause, seconds, undelete, update, upsert,
};

/// Makes an offer that can be true into one that cannot.
type Spoil = fn(&mut v1::Offer);

/// Each with the violations it gives.
const SPOILT: &[(Spoil, &[&str])] = &[
    (|o| o.offer_id.clear(), &["offer_id: REQUIRED"]),
    (
        |o| o.offer_id = "x".repeat(1_000_000),
        &["offer_id: TOO_LONG"],
    ),
    (|o| o.offer_id = "a\0b".into(), &["offer_id: BAD_CHARACTER"]),
    (|o| o.name = "x".repeat(513), &["name: TOO_LONG"]),
    (|o| o.name = "a\0".into(), &["name: BAD_CHARACTER"]),
    (|o| o.kind = 0, &["kind: REQUIRED"]),
    (|o| o.kind = 99, &["kind: UNKNOWN_NAME"]),
    (|o| o.value = None, &["value: REQUIRED"]),
    (|o| o.value = Some(f64::NAN), &["value: NOT_A_NUMBER"]),
    (
        |o| o.value = Some(f64::NEG_INFINITY),
        &["value: NOT_A_NUMBER"],
    ),
    (|o| o.value = Some(-1.0), &["value: OUT_OF_RANGE"]),
    (|o| o.value = Some(100.5), &["value: OUT_OF_RANGE"]),
    (
        |o| o.set_kind(v1::OfferKind::Coupon),
        &["value: NOT_ALLOWED"],
    ),
    (
        |o| o.set_kind(v1::OfferKind::Amount),
        &["currency_code: REQUIRED"],
    ),
    (
        |o| o.campaign_id = "x".repeat(129),
        &["campaign_id: TOO_LONG"],
    ),
    (
        |o| o.product_ids.push("\0".into()),
        &["product_ids: BAD_CHARACTER"],
    ),
    (
        |o| o.product_ids = vec!["p".into(); 20_001],
        &["product_ids: TOO_LONG"],
    ),
    (
        |o| o.categories = vec![v1::CategoryPath::default()],
        &["categories: REQUIRED"],
    ),
    (
        |o| {
            o.categories = vec![v1::CategoryPath {
                levels: vec!["x".into(); 9],
            }];
        },
        &["categories: TOO_LONG"],
    ),
    (|o| o.stages.push("sleep".into()), &["stages: UNKNOWN_NAME"]),
    (
        |o| o.segments = vec!["s".into(); 101],
        &["segments: TOO_LONG"],
    ),
    (
        |o| o.segments = vec!["x".repeat(65)],
        &["segments: TOO_LONG"],
    ),
    (
        |o| o.channels = vec![String::new()],
        &["channels: REQUIRED"],
    ),
    (
        |o| o.eligibility = "1 +".into(),
        &["eligibility: MALFORMED"],
    ),
    (
        |o| o.eligibility = "customer.order_count".into(),
        &["eligibility: MALFORMED"],
    ),
    (
        |o| o.eligibility = "product.price > 1.0".into(),
        &["eligibility: MALFORMED"],
    ),
    (
        |o| o.eligibility = "true ".repeat(500),
        &["eligibility: TOO_LONG"],
    ),
    (
        |o| o.start_time = seconds(253_370_764_800),
        &["start_time: IN_THE_FUTURE"],
    ),
    (|o| o.end_time = seconds(i64::MIN), &["end_time: TOO_OLD"]),
    (|o| o.end_time = o.start_time, &["end_time: OUT_OF_RANGE"]),
    (
        |o| o.unit_cost = Some(f64::INFINITY),
        &["unit_cost: NOT_A_NUMBER"],
    ),
    (|o| o.unit_cost = Some(1.0), &["currency_code: REQUIRED"]),
    (
        |o| o.budget_units = Some(0),
        &["budget_units: OUT_OF_RANGE"],
    ),
    (
        |o| o.budget_units = Some(i64::MAX),
        &["budget_units: OUT_OF_RANGE"],
    ),
    (
        |o| {
            o.budget_amount = Some(5.0);
            o.currency_code = "EUR".into();
        },
        &["unit_cost: REQUIRED"],
    ),
    (
        |o| o.budget_amount = Some(-1.0),
        &["budget_amount: OUT_OF_RANGE"],
    ),
    (
        |o| o.currency_code = "euro".into(),
        &["currency_code: BAD_CURRENCY"],
    ),
    (
        |o| o.cap_per_customer = Some(0),
        &["cap_per_customer: OUT_OF_RANGE"],
    ),
    (
        |o| o.cap_shown_per_customer = Some(i32::MIN),
        &["cap_shown_per_customer: OUT_OF_RANGE"],
    ),
    (
        |o| o.cap_window_days = Some(3_651),
        &["cap_window_days: OUT_OF_RANGE"],
    ),
    (
        |o| {
            o.cap_window_days = Some(7);
            o.cap_per_customer = None;
        },
        &["cap_window_days: NOT_ALLOWED"],
    ),
    (
        |o| o.exclusivity_group = "x".repeat(65),
        &["exclusivity_group: TOO_LONG"],
    ),
    (|o| o.priority = i32::MAX, &["priority: OUT_OF_RANGE"]),
    // all at once
    (
        |o| {
            o.offer_id.clear();
            o.value = Some(0.0);
            o.stages = owned(&["sleep"]);
            o.eligibility = "shop.open".into();
            o.priority = -1_000_001;
        },
        &[
            "offer_id: REQUIRED",
            "value: OUT_OF_RANGE",
            "stages: UNKNOWN_NAME",
            "eligibility: MALFORMED",
            "priority: OUT_OF_RANGE",
        ],
    ),
];

fn faulty<T: std::fmt::Debug>(answer: Result<T, Status>, path: &str, expected: &[&str]) {
    let status = answer.unwrap_err();
    let invalid = (Code::InvalidArgument, "INVALID_FIELDS".to_owned());
    assert_eq!(code_and_reason(&status), invalid);
    let expected = expected
        .iter()
        .map(|violation| format!("{path}{violation}"));
    assert_eq!(violations(&status), expected.collect());
}

#[tokio::test]
async fn offers_that_cannot_be_true_are_refused_field_by_field_and_change_nothing() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    create(&mut clients, offer("o1")).await.unwrap();
    let end = harness.service.shop.journal.end();
    for (spoil, expected) in SPOILT {
        let mut spoilt = offer("o2");
        spoil(&mut spoilt);
        let answer = create(&mut clients, spoilt.clone()).await;
        faulty(answer, "offer.", expected);
        let answer = upsert(&mut clients, vec![offer("o3"), spoilt.clone()]).await;
        faulty(answer, "offers[1].", expected);
        if !expected[0].starts_with("offer_id") {
            spoilt.offer_id = "o1".to_owned();
            let answer = update(&mut clients, spoilt, Some(&["*"])).await;
            faulty(answer, "offer.", expected);
        }
    }
    assert_eq!(harness.service.shop.journal.end(), end);

    let answer = upsert(&mut clients, vec![offer("o2"), offer("o2")]).await;
    faulty(answer, "", &["offers[1].offer_id: DUPLICATE"]);
    for (count, reason) in [(0, "BATCH_EMPTY"), (1_001, "BATCH_TOO_LARGE")] {
        let answer = upsert(&mut clients, vec![offer("o2"); count]).await;
        refused(answer.map(Response::new), Code::InvalidArgument, reason);
    }
    let request = v1::CreateOfferRequest::default();
    let answer = clients.offers.create_offer(request).await;
    faulty(answer, "", &["offer: REQUIRED"]);
    let answer = update(&mut clients, v1::Offer::default(), Some(&["colour"])).await;
    let expected = ["offer.offer_id: REQUIRED", "update_mask: UNKNOWN_NAME"];
    faulty(answer, "", &expected);
    let nul = "a\0b";
    faulty(
        get(&mut clients, nul).await,
        "",
        &["offer_id: BAD_CHARACTER"],
    );
    faulty(delete(&mut clients, "").await, "", &["offer_id: REQUIRED"]);
    faulty(
        undelete(&mut clients, "").await,
        "",
        &["offer_id: REQUIRED"],
    );
    for paused in [true, false] {
        let answer = pause(&mut clients, "", paused).await;
        faulty(answer, "", &["offer_id: REQUIRED"]);
        let answer = pause(&mut clients, "none", paused).await;
        refused(answer.map(Response::new), Code::NotFound, "OFFER_NOT_FOUND");
    }
    let request = v1::ListOffersRequest {
        page_size: -1,
        campaign_id: "x".repeat(129),
        ..v1::ListOffersRequest::default()
    };
    let answer = clients.offers.list_offers(request).await;
    let expected = ["page_size: OUT_OF_RANGE", "campaign_id: TOO_LONG"];
    faulty(answer, "", &expected);
    let large = v1::Offer {
        name: "x".repeat(5_000_000),
        ..offer("o2")
    };
    let answer = create(&mut clients, large).await.map(Response::new);
    refused(answer, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_eq!(harness.service.shop.journal.end(), end);
    assert_eq!(
        get(&mut clients, "o1").await.unwrap(),
        answered(offer("o1"))
    );
    harness.stop().await.unwrap();
}
