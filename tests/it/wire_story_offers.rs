//! Offers over the wire: from creation to deletion and back, page by page, and everything that is refused.

use nextbest::proto::v1;
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Response, Status};

use crate::harness::{Clients, Harness, code_and_reason, fresh_fold, violations};
use crate::wire_story::{event, refused, write};

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A fifth off, from 2020 until 2100.
fn offer(id: &str) -> v1::Offer {
    v1::Offer {
        offer_id: id.to_owned(),
        name: "A fifth off".to_owned(),
        kind: v1::OfferKind::Percentage.into(),
        value: Some(20.0),
        campaign_id: "spring".to_owned(),
        product_ids: owned(&["p1", "p2"]),
        stages: owned(&["decision"]),
        eligibility: "customer.order_count > 2 && request.placement == 'cart'".to_owned(),
        start_time: seconds(1_577_836_800),
        end_time: seconds(4_102_444_800),
        cap_per_customer: Some(1),
        ..v1::Offer::default()
    }
}

/// As the service answers it where nothing has happened to it.
fn answered(offer: v1::Offer) -> v1::Offer {
    v1::Offer {
        state: v1::OfferState::Live.into(),
        outcomes: Some(v1::OfferOutcomes::default()),
        ..offer
    }
}

async fn create(clients: &mut Clients, offer: v1::Offer) -> Result<v1::Offer, Status> {
    let request = v1::CreateOfferRequest {
        offer: Some(offer),
        validate_only: false,
    };
    let answer = clients.offers.create_offer(request).await;
    answer.map(Response::into_inner)
}

async fn get(clients: &mut Clients, id: &str) -> Result<v1::Offer, Status> {
    let request = v1::GetOfferRequest {
        offer_id: id.to_owned(),
    };
    let answer = clients.offers.get_offer(request).await;
    answer.map(Response::into_inner)
}

async fn update(
    clients: &mut Clients,
    offer: v1::Offer,
    paths: Option<&[&str]>,
) -> Result<v1::Offer, Status> {
    let request = v1::UpdateOfferRequest {
        offer: Some(offer),
        update_mask: paths.map(|paths| FieldMask {
            paths: owned(paths),
        }),
        ..v1::UpdateOfferRequest::default()
    };
    let answer = clients.offers.update_offer(request).await;
    answer.map(Response::into_inner)
}

async fn delete(clients: &mut Clients, id: &str) -> Result<v1::Offer, Status> {
    let request = v1::DeleteOfferRequest {
        offer_id: id.to_owned(),
    };
    let answer = clients.offers.delete_offer(request).await;
    answer.map(Response::into_inner)
}

async fn undelete(clients: &mut Clients, id: &str) -> Result<v1::Offer, Status> {
    let request = v1::UndeleteOfferRequest {
        offer_id: id.to_owned(),
    };
    let answer = clients.offers.undelete_offer(request).await;
    answer.map(Response::into_inner)
}

async fn pause(clients: &mut Clients, id: &str, paused: bool) -> Result<v1::Offer, Status> {
    let offer_id = id.to_owned();
    let answer = if paused {
        let request = v1::PauseOfferRequest { offer_id };
        clients.offers.pause_offer(request).await
    } else {
        let request = v1::ResumeOfferRequest { offer_id };
        clients.offers.resume_offer(request).await
    };
    answer.map(Response::into_inner)
}

async fn upsert(clients: &mut Clients, offers: Vec<v1::Offer>) -> Result<(i32, i32), Status> {
    let request = v1::BatchUpsertOffersRequest {
        offers,
        validate_only: false,
    };
    let answer = clients.offers.batch_upsert_offers(request).await?;
    let answer = answer.into_inner();
    Ok((answer.written_count, answer.unchanged_count))
}

/// Every offer of a campaign (empty: of all), page by page.
async fn listed(clients: &mut Clients, campaign: &str, deleted: bool) -> Vec<String> {
    let mut request = v1::ListOffersRequest {
        page_size: 2,
        page_token: String::new(),
        campaign_id: campaign.to_owned(),
        show_deleted: deleted,
    };
    let mut found = Vec::new();
    loop {
        let page = clients.offers.list_offers(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert!(page.offers.len() <= 2);
        found.extend(page.offers.into_iter().map(|offer| offer.offer_id));
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

fn state(offer: &v1::Offer) -> v1::OfferState {
    offer.state()
}

#[tokio::test]
async fn an_offer_from_creation_to_deletion_and_back() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let sent = offer("o1");
    let only_checked = v1::CreateOfferRequest {
        offer: Some(sent.clone()),
        validate_only: true,
    };
    let answer = clients.offers.create_offer(only_checked).await.unwrap();
    assert_eq!(answer.into_inner(), answered(sent.clone()));
    let answer = get(&mut clients, "o1").await.map(Response::new);
    refused(answer, Code::NotFound, "OFFER_NOT_FOUND");

    let made = create(&mut clients, sent.clone()).await.unwrap();
    assert_eq!(made, answered(sent.clone()));
    assert_eq!(get(&mut clients, "o1").await.unwrap(), made);
    let answer = create(&mut clients, sent.clone()).await.map(Response::new);
    let status = refused(answer, Code::AlreadyExists, "OFFER_EXISTS");
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(details.error_info().unwrap().metadata["offer_id"], "o1");
    let resource = details.resource_info().unwrap();
    assert_eq!(resource.resource_type, "nextbest.v1.Offer");

    // lists are sets
    let unsorted = v1::Offer {
        product_ids: owned(&["p2", "p1", "p2"]),
        ..sent.clone()
    };
    assert_eq!(upsert(&mut clients, vec![unsorted]).await.unwrap(), (0, 1));

    let named = |name: &str| v1::Offer {
        offer_id: "o1".to_owned(),
        name: name.to_owned(),
        ..v1::Offer::default()
    };
    // without a mask, what is set changes; with one, what it names; named and empty is cleared
    let changed = update(&mut clients, named("20 %"), None).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.value), ("20 %", Some(20.0)));
    let paths = ["product_ids", "stages", "end_time"];
    let changed = update(&mut clients, named(""), Some(&paths)).await.unwrap();
    assert_eq!(changed.name, "20 %");
    assert!(changed.product_ids.is_empty() && changed.stages.is_empty());
    assert_eq!(changed.end_time, None);
    let money = v1::Offer {
        kind: v1::OfferKind::Amount.into(),
        ..named("")
    };
    // what is left must go together
    let answer = update(&mut clients, money, Some(&["kind"])).await;
    let status = refused(
        answer.map(Response::new),
        Code::InvalidArgument,
        "INVALID_FIELDS",
    );
    assert_eq!(
        violations(&status),
        ["offer.currency_code: REQUIRED".to_owned()].into()
    );
    let content = v1::Offer {
        kind: v1::OfferKind::Content.into(),
        ..named("Read this")
    };
    let replaced = update(&mut clients, content, Some(&["*"])).await.unwrap();
    assert_eq!((replaced.value, replaced.cap_per_customer), (None, None));
    assert_eq!(replaced.eligibility, "");

    let missing = v1::Offer {
        offer_id: "o2".to_owned(),
        ..sent.clone()
    };
    let answer = update(&mut clients, missing.clone(), None).await;
    refused(answer.map(Response::new), Code::NotFound, "OFFER_NOT_FOUND");
    let request = v1::UpdateOfferRequest {
        offer: Some(missing),
        allow_missing: true,
        ..v1::UpdateOfferRequest::default()
    };
    clients.offers.update_offer(request).await.unwrap();

    for _ in 0..2 {
        let paused = pause(&mut clients, "o1", true).await.unwrap();
        assert_eq!(state(&paused), v1::OfferState::Paused);
        assert!(paused.paused);
    }
    let resumed = pause(&mut clients, "o1", false).await.unwrap();
    assert_eq!(
        (resumed.paused, state(&resumed)),
        (false, v1::OfferState::Live)
    );
    assert_eq!(resumed, replaced);

    let gone = delete(&mut clients, "o1").await.unwrap();
    assert!(gone.delete_time.is_some());
    assert_eq!(state(&gone), v1::OfferState::Deleted);
    assert_eq!(get(&mut clients, "o1").await.unwrap(), gone);
    assert_eq!(listed(&mut clients, "", false).await, ["o2"]);
    assert_eq!(listed(&mut clients, "", true).await, ["o1", "o2"]);
    let answer = delete(&mut clients, "o1").await.map(Response::new);
    refused(answer, Code::NotFound, "OFFER_NOT_FOUND");
    for paused in [true, false] {
        let answer = pause(&mut clients, "o1", paused).await.map(Response::new);
        refused(answer, Code::FailedPrecondition, "OFFER_DELETED");
    }
    let answer = update(&mut clients, named("x"), None).await;
    refused(
        answer.map(Response::new),
        Code::FailedPrecondition,
        "OFFER_DELETED",
    );
    let answer = create(&mut clients, sent.clone()).await.map(Response::new);
    refused(answer, Code::AlreadyExists, "OFFER_EXISTS");
    assert_eq!(undelete(&mut clients, "o1").await.unwrap(), replaced);
    for (id, code, reason) in [
        ("o1", Code::AlreadyExists, "OFFER_EXISTS"),
        ("none", Code::NotFound, "OFFER_NOT_FOUND"),
    ] {
        let answer = undelete(&mut clients, id).await.map(Response::new);
        refused(answer, code, reason);
    }
    // a batch brings back what was deleted
    delete(&mut clients, "o1").await.unwrap();
    assert_eq!(
        upsert(&mut clients, vec![sent.clone()]).await.unwrap(),
        (1, 0)
    );
    assert_eq!(get(&mut clients, "o1").await.unwrap(), answered(sent));
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn offers_are_listed_by_campaign_page_by_page_and_in_pages_of_few_bytes() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let of = |number: usize| v1::Offer {
        campaign_id: ["spring", "summer", ""][number % 3].to_owned(),
        ..offer(&format!("o{number}"))
    };
    let all = (0..9).map(of).collect();
    assert_eq!(upsert(&mut clients, all).await.unwrap(), (9, 0));
    let ids = |numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|number| format!("o{number}")).collect()
    };
    let every: Vec<usize> = (0..9).collect();
    assert_eq!(listed(&mut clients, "", false).await, ids(&every));
    assert_eq!(listed(&mut clients, "spring", false).await, ids(&[0, 3, 6]));
    assert_eq!(listed(&mut clients, "winter", true).await, ids(&[]));
    // an offer keeps its place in another campaign
    let moved = v1::Offer {
        campaign_id: "summer".to_owned(),
        ..of(3)
    };
    update(&mut clients, moved, Some(&["campaign_id"]))
        .await
        .unwrap();
    delete(&mut clients, "o4").await.unwrap();
    assert_eq!(listed(&mut clients, "spring", false).await, ids(&[0, 6]));
    assert_eq!(listed(&mut clients, "summer", false).await, ids(&[1, 3, 7]));
    let with_deleted = ids(&[1, 3, 4, 7]);
    assert_eq!(listed(&mut clients, "summer", true).await, with_deleted);

    let request = |token: &str, campaign: &str, show_deleted| v1::ListOffersRequest {
        page_size: 2,
        page_token: token.to_owned(),
        campaign_id: campaign.to_owned(),
        show_deleted,
    };
    let page = clients.offers.list_offers(request("", "", false)).await;
    let token = page.unwrap().into_inner().next_page_token;
    for other in [
        request(&token, "spring", false),
        request(&token, "", true),
        request("nonsense", "", false),
    ] {
        let answer = clients.offers.list_offers(other).await;
        refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    }

    // the largest offers there may be: each fits into a message, a page of them would not
    for number in 0..2 {
        let ids = (0..20_000).map(|id| format!("{number}{id:0>127}"));
        let large = v1::Offer {
            campaign_id: "large".to_owned(),
            product_ids: ids.collect(),
            ..offer(&format!("large-{number}"))
        };
        let made = create(&mut clients, large.clone()).await.unwrap();
        assert_eq!(made, answered(large));
    }
    let page = clients.offers.list_offers(v1::ListOffersRequest {
        page_size: 1_000,
        ..request("", "large", false)
    });
    let page = page.await.unwrap().into_inner();
    assert_eq!(page.offers.len(), 1);
    assert!(!page.next_page_token.is_empty());
    assert_eq!(
        listed(&mut clients, "large", false).await,
        ["large-0", "large-1"]
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn events_say_what_became_of_an_offer() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    create(&mut clients, offer("o1")).await.unwrap();
    let of = |kind: &str, offer_id: &str, id: &str| v1::Event {
        event_id: id.to_owned(),
        offer_id: offer_id.to_owned(),
        ..event(kind, "c1", "", 1)
    };
    let events = vec![
        of("offer_sent", "o1", "e1"),
        of("view_promotion", "o1", "e2"),
        of("select_promotion", "o1", "e3"),
        of("offer_redeemed", "o1", "e4"),
        of("offer_declined", "o1", "e5"),
        of("view_promotion", "o1", "e6"),
        // these say nothing of it
        of("view_promotion", "", "e7"),
        of("email_open", "o1", "e8"),
        // nobody has created this one yet
        of("offer_sent", "o2", "e9"),
        // known
        of("offer_sent", "o1", "e1"),
    ];
    assert_eq!(write(&mut clients, events).await, (9, 1));
    let outcomes = |[sent, viewed, selected, redeemed, declined]: [i64; 5]| {
        Some(v1::OfferOutcomes {
            sent_count: sent,
            viewed_count: viewed,
            selected_count: selected,
            redeemed_count: redeemed,
            declined_count: declined,
        })
    };
    let found = get(&mut clients, "o1").await.unwrap();
    assert_eq!(found.outcomes, outcomes([1, 2, 1, 1, 1]));
    let answer = get(&mut clients, "o2").await.map(Response::new);
    refused(answer, Code::NotFound, "OFFER_NOT_FOUND");
    assert_eq!(listed(&mut clients, "", true).await, ["o1"]);
    let made = create(&mut clients, offer("o2")).await.unwrap();
    assert_eq!(made.outcomes, outcomes([1, 0, 0, 0, 0]));

    // whoever is erased is counted no more
    let request = v1::EraseCustomerRequest {
        customer_id: "c1".to_owned(),
    };
    clients.customers.erase_customer(request).await.unwrap();
    harness.folded_anew().await;
    let found = get(&mut clients, "o1").await.unwrap();
    assert_eq!(found, answered(offer("o1")));
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

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

fn seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

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
