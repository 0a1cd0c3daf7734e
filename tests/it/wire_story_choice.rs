//! Decisions about offers over the wire: a token says which offer was answered, or that none was, and what became of it
//! counts once.

use nextbest::proto::v1;

use crate::harness::{Clients, fresh_fold};
use crate::wire_offers::plain;
use crate::wire_story::{about, event, shop};
use crate::wire_story_offers::upsert;

async fn ask(clients: &mut Clients, request: v1::RecommendRequest) -> v1::RecommendResponse {
    let answer = clients.recommendations.recommend(request).await;
    answer.unwrap().into_inner()
}

/// Something that became of an answer, with an id of its own.
fn became(kind: &str, offer: &str, token: &str, id: &str) -> v1::Event {
    v1::Event {
        event_id: id.to_owned(),
        attribution_token: token.to_owned(),
        offer_id: offer.to_owned(),
        ..event(kind, "c0", "", 0)
    }
}

/// Writes events; how many of them attribute nothing, and why.
async fn send(clients: &mut Clients, events: Vec<v1::Event>) -> Vec<(String, i32)> {
    let request = v1::WriteEventsRequest {
        events,
        validate_only: false,
    };
    let answer = clients.events.write_events(request).await.unwrap();
    let mut unattributed: Vec<(String, i32)> =
        answer.into_inner().unattributed.into_iter().collect();
    unattributed.sort();
    unattributed
}

async fn outcomes(clients: &mut Clients) -> v1::GetRecommendationOutcomesResponse {
    let request = v1::GetRecommendationOutcomesRequest {};
    let answer = clients.recommendations.get_recommendation_outcomes(request);
    answer.await.unwrap().into_inner()
}

/// Exposures, clicks, redemptions, refusals and purchases.
fn counts(of: Option<&v1::AnsweredOfferOutcomes>) -> [i64; 5] {
    of.map_or([0; 5], |of| {
        [
            of.exposure_count,
            of.click_count,
            of.redeemed_count,
            of.declined_count,
            of.purchase_count,
        ]
    })
}

#[tokio::test]
async fn what_becomes_of_an_offer_of_an_answer_counts_once() {
    let (harness, mut clients) = shop().await;
    upsert(&mut clients, vec![plain("o1"), plain("o2")])
        .await
        .unwrap();
    let mail = v1::RecommendRequest {
        max_offers: Some(1),
        ..about("c0")
    };
    let answer = ask(&mut clients, mail).await;
    let token = &answer.attribution_token;
    assert_eq!(answer.offers.len(), 1);
    let (chosen, other) = match answer.offers[0].offer_id.as_str() {
        "o1" => ("o1", "o2"),
        _ => ("o2", "o1"),
    };
    let bought = v1::Event {
        product_id: "somewhere-else".to_owned(),
        ..became("purchase", "", token, "7")
    };
    let story = vec![
        // without an offer: the token says which
        became("offer_sent", "", token, "1"),
        became("email_open", "", token, "2"),
        became("view_promotion", chosen, token, "3"),
        became("select_promotion", chosen, token, "4"),
        became("offer_declined", chosen, token, "5"),
        became("offer_redeemed", chosen, token, "6"),
        bought,
        became("select_promotion", other, token, "8"),
        became("offer_sent", other, token, "9"),
    ];
    let again = story.iter().map(|event| v1::Event {
        event_id: format!("again-{}", event.event_id),
        ..event.clone()
    });
    let again: Vec<v1::Event> = again.collect();
    let not_shown = vec![("NOT_SHOWN".to_owned(), 2)];
    assert_eq!(send(&mut clients, story).await, not_shown);
    assert_eq!(send(&mut clients, again).await, not_shown);
    let found = outcomes(&mut clients).await;
    assert_eq!(counts(found.by_offer.get(chosen)), [1, 1, 1, 1, 1]);
    assert_eq!(found.by_offer.get(other), None);
    assert_eq!(counts(found.no_offer.as_ref()), [0; 5]);
    let shop = harness.stop_and_keep().await.unwrap();
    let known = shop.known();
    assert_eq!(known.state.exposures.count(), 1);
    // the event holds the offer that its token named: it counts as sent
    let number = known.state.offers.number(chosen).unwrap();
    assert_eq!(known.state.offers.item(number).outcomes.sent, 2);
    assert!(known.state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn no_offer_is_a_decision_too() {
    let (_harness, mut clients) = shop().await;
    // an offer that costs more than anything earns
    let dear = v1::Offer {
        value: Some(100_000.0),
        ..plain("dear")
    };
    upsert(&mut clients, vec![dear]).await.unwrap();
    let answer = ask(&mut clients, about("c0")).await;
    assert_eq!(answer.offers, []);
    let token = &answer.attribution_token;
    let sent = vec![
        became("offer_sent", "", token, "1"),
        became("offer_sent", "", token, "2"),
        // another offer than the answer held
        became("offer_sent", "dear", token, "3"),
    ];
    let not_shown = vec![("NOT_SHOWN".to_owned(), 1)];
    assert_eq!(send(&mut clients, sent).await, not_shown);
    let found = outcomes(&mut clients).await;
    assert_eq!(counts(found.no_offer.as_ref()), [1, 0, 0, 0, 0]);
    assert!(found.by_offer.is_empty());
    // without a token the offer must be named; with one that proves nothing the event is kept all the same
    let request = v1::WriteEventsRequest {
        events: vec![became("offer_sent", "", "", "4")],
        validate_only: false,
    };
    assert!(clients.events.write_events(request).await.is_err());
    let malformed = vec![("MALFORMED".to_owned(), 1)];
    let broken = vec![became("offer_sent", "", "broken", "5")];
    assert_eq!(send(&mut clients, broken).await, malformed);
}
