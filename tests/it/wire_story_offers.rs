//! Offers over the wire: from creation to deletion and back, page by page, and what became of them.

use nextbest::proto::v1;
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Response, Status};

use crate::harness::{Clients, Harness, fresh_fold, violations};
use crate::wire_story::{event, refused, write};

pub(crate) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

pub(crate) fn seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

/// A fifth off, from 2020 until 2100.
pub(crate) fn offer(id: &str) -> v1::Offer {
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
pub(crate) fn answered(offer: v1::Offer) -> v1::Offer {
    v1::Offer {
        state: v1::OfferState::Live.into(),
        outcomes: Some(v1::OfferOutcomes::default()),
        ..offer
    }
}

pub(crate) async fn create(clients: &mut Clients, offer: v1::Offer) -> Result<v1::Offer, Status> {
    let request = v1::CreateOfferRequest {
        offer: Some(offer),
        validate_only: false,
    };
    let answer = clients.offers.create_offer(request).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn get(clients: &mut Clients, id: &str) -> Result<v1::Offer, Status> {
    let request = v1::GetOfferRequest {
        offer_id: id.to_owned(),
    };
    let answer = clients.offers.get_offer(request).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn update(
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

pub(crate) async fn delete(clients: &mut Clients, id: &str) -> Result<v1::Offer, Status> {
    let request = v1::DeleteOfferRequest {
        offer_id: id.to_owned(),
    };
    let answer = clients.offers.delete_offer(request).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn undelete(clients: &mut Clients, id: &str) -> Result<v1::Offer, Status> {
    let request = v1::UndeleteOfferRequest {
        offer_id: id.to_owned(),
    };
    let answer = clients.offers.undelete_offer(request).await;
    answer.map(Response::into_inner)
}

pub(crate) async fn pause(
    clients: &mut Clients,
    id: &str,
    paused: bool,
) -> Result<v1::Offer, Status> {
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

pub(crate) async fn upsert(
    clients: &mut Clients,
    offers: Vec<v1::Offer>,
) -> Result<(i32, i32), Status> {
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
