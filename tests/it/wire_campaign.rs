//! Campaigns over the wire: an offer that is not there for everybody goes to those with whom it is worth most, also if
//! the stream breaks in between.

use std::collections::BTreeMap;

use nextbest::proto::v1;
use tokio_stream::StreamExt as _;

use crate::harness::Clients;
use crate::wire_offers::{plain, usage};
use crate::wire_story::{CUSTOMERS, about, ask, event, shop, write};
use crate::wire_story_offers::{create, owned, upsert};

/// A question in which an offer is worth what the one product of the answer brings.
fn template() -> v1::RecommendRequest {
    v1::RecommendRequest {
        page_size: 1,
        max_offers: Some(1),
        ..v1::RecommendRequest::default()
    }
}

/// One euro off one's own kind of product.
fn offer(budget: Option<i64>) -> v1::Offer {
    v1::Offer {
        categories: vec![v1::CategoryPath {
            levels: owned(&["Shop"]),
        }],
        budget_units: budget,
        ..plain("scarce")
    }
}

/// Streams from a place on, at most so many answers. Returns who got an offer, and the place to go on.
async fn campaign(
    clients: &mut Clients,
    resume_token: &str,
    most: usize,
) -> (Vec<(String, bool)>, String) {
    let request = v1::StreamRecommendationsRequest {
        template: Some(template()),
        resume_token: resume_token.to_owned(),
        ..v1::StreamRecommendationsRequest::default()
    };
    let stream = clients
        .recommendations
        .stream_recommendations(request)
        .await;
    let mut stream = stream.unwrap().into_inner();
    let (mut got, mut token) = (Vec::new(), String::new());
    while got.len() < most
        && let Some(answer) = stream.next().await
    {
        let answer = answer.unwrap();
        let offers = answer.response.unwrap().offers;
        assert!(offers.iter().all(|offer| !offer.reservation_id.is_empty()));
        got.push((answer.customer_id, !offers.is_empty()));
        token = answer.resume_token;
    }
    (got, token)
}

#[tokio::test]
async fn a_scarce_offer_goes_to_those_with_whom_it_is_worth_most_and_not_to_who_comes_first() {
    let (harness, mut clients) = shop().await;
    // the later somebody became known, the dearer is what they buy again and again
    let bought = (0..CUSTOMERS).flat_map(|n| {
        let product = format!("garden-{}", n * 6 / CUSTOMERS);
        (0..6).map(move |again| event("purchase", &format!("c{n}"), &product, 24 * (9 + 7 * again)))
    });
    write(&mut clients, bought.collect()).await;
    create(&mut clients, offer(None)).await.unwrap();
    let mut worth: BTreeMap<String, f64> = BTreeMap::new();
    for n in 0..CUSTOMERS {
        let customer = format!("c{n}");
        let question = v1::RecommendRequest {
            customer_id: customer.clone(),
            ..template()
        };
        let answer = ask(&mut clients, question).await;
        worth.insert(customer, answer.offers[0].score);
    }
    upsert(&mut clients, vec![offer(Some(6))]).await.unwrap();

    let (all, _) = campaign(&mut clients, "", usize::MAX).await;
    assert_eq!(all.len(), CUSTOMERS);
    let of = |has: bool| {
        let those = all.iter().filter(move |(_, got)| *got == has);
        those.map(|(customer, _)| worth[customer])
    };
    let least = of(true).fold(f64::INFINITY, f64::min);
    let most = of(false).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(of(true).count(), 6);
    assert!(least >= most, "{all:?} {worth:?}");
    // in the order of the answers it would have been others
    let first: Vec<bool> = all.iter().take(6).map(|(_, got)| *got).collect();
    assert!(first.contains(&false), "{all:?}");
    assert!(of(true).fold(f64::NEG_INFINITY, f64::max) > of(false).fold(f64::INFINITY, f64::min));

    // once more it is the same ones, and nothing more is taken
    let (again, _) = campaign(&mut clients, "", usize::MAX).await;
    assert_eq!(again, all);
    let used = usage(&mut clients, "scarce").await;
    assert_eq!((used.reserved_units, used.free_units), (6, Some(0)));
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_campaign_that_breaks_gives_the_same_ones_what_it_would_have_given() {
    let mut ways = Vec::new();
    for breaks in [usize::MAX, 3] {
        let (harness, mut clients) = shop().await;
        let bought = (0..CUSTOMERS).map(|n| {
            let product = format!("garden-{}", n * 7 % 6);
            event("purchase", &format!("c{n}"), &product, 24 * 9)
        });
        write(&mut clients, bought.collect()).await;
        create(&mut clients, offer(Some(5))).await.unwrap();
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let (some, next) = campaign(&mut clients, &token, breaks).await;
            if some.is_empty() {
                break;
            }
            all.extend(some);
            token = next;
        }
        assert_eq!(all.len(), CUSTOMERS);
        let used = usage(&mut clients, "scarce").await;
        assert_eq!((used.reserved_units, used.free_units), (5, Some(0)));
        // whoever asks alone has what was allotted
        let (lucky, _) = all.iter().find(|(_, got)| *got).unwrap();
        let answer = ask(&mut clients, about(lucky)).await;
        assert!(answer.offers.iter().any(|offer| offer.offer_id == "scarce"));
        ways.push(all);
        harness.stop().await.unwrap();
    }
    assert_eq!(ways[0], ways[1]);
}
