//! Offers in answers, over the wire: every code of those that are dropped, and the life of a reservation.

use nextbest::application::recipes::{Recipes, embedded_files};
use nextbest::application::recommend::{Question, Who};
use nextbest::domain::{Customer, CustomerId, RecordBody};
use nextbest::proto::v1;
use nextbest::server::Service;
use nextbest::store::{Artefacts, MemoryJournal};
use nextbest::transport::grpc::limits::Limits;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use crate::harness::{Clients, Harness, fresh_fold, violations};
use crate::wire_story::{about, ask, event, refused, write};
use crate::wire_story_offers::{create, delete, owned, seconds, upsert};

/// One euro off, for everybody, without end.
pub(crate) fn plain(id: &str) -> v1::Offer {
    v1::Offer {
        offer_id: id.to_owned(),
        kind: v1::OfferKind::Amount.into(),
        value: Some(1.0),
        currency_code: "EUR".to_owned(),
        ..v1::Offer::default()
    }
}

fn told(kind: &str, customer: &str, offer: &str) -> v1::Event {
    v1::Event {
        offer_id: offer.to_owned(),
        ..event(kind, customer, "", 0)
    }
}

/// A service whose journey has a segment.
async fn segmented() -> (Harness, Clients) {
    let mut files = embedded_files();
    let journey = files.iter_mut().find(|f| f.name == "journey.toml").unwrap();
    journey.text.push_str(
        "\n[[segment]]\nname = \"regulars\"\nexpression = \"customer.order_count >= 2\"\n",
    );
    let recipes = Recipes::parse(&files).unwrap();
    let harness = Harness::start_by(Limits::default(), &recipes).await;
    harness.set_ready(true);
    let clients = harness.clients().await;
    (harness, clients)
}

async fn traits(harness: &Harness, customer: &str, traits: &[(&str, &str)]) {
    let traits = traits
        .iter()
        .map(|&(key, value)| (key.into(), value.into()));
    let body = RecordBody::CustomerUpserted(Box::new(Customer {
        id: CustomerId::parse(customer).unwrap(),
        traits: traits.collect(),
    }));
    let written = harness.service.use_cases.ingest.write(vec![body]).await;
    written.unwrap();
}

async fn explain(
    clients: &mut Clients,
    question: v1::RecommendRequest,
) -> v1::ExplainRecommendationResponse {
    let answer = clients
        .recommendations
        .explain_recommendation(question)
        .await;
    answer.unwrap().into_inner()
}

/// Why an offer was dropped; empty: it was not.
async fn code(clients: &mut Clients, question: v1::RecommendRequest, offer: &str) -> String {
    let answer = explain(clients, question).await;
    let is_kept = answer.kept_offers.iter().any(|o| o.offer_id == offer);
    let dropped = answer.dropped_offers.iter().find(|o| o.offer_id == offer);
    assert_ne!(is_kept, dropped.is_some(), "{offer} is kept or dropped");
    dropped.map_or_else(String::new, |dropped| dropped.code.clone())
}

pub(crate) async fn usage(clients: &mut Clients, offer: &str) -> v1::OfferUsage {
    let request = v1::GetOfferUsageRequest {
        offer_id: offer.to_owned(),
    };
    clients
        .offers
        .get_offer_usage(request)
        .await
        .unwrap()
        .into_inner()
}

/// Makes the plain offer into another one.
type Change = fn(&mut v1::Offer);

#[tokio::test]
async fn an_offer_that_is_not_answered_has_a_code() {
    let (harness, mut clients) = segmented().await;
    traits(&harness, "c1", &[("segment", "vip")]).await;
    let cases: &[(&str, Change)] = &[
        ("", |_| {}),
        ("OFFER_PAUSED", |o| o.paused = true),
        ("OFFER_NOT_STARTED", |o| {
            o.start_time = seconds(4_102_444_800);
        }),
        ("OFFER_ENDED", |o| o.end_time = seconds(1_577_836_800)),
        ("OFFER_STAGE_MISMATCH", |o| o.stages = owned(&["advocacy"])),
        ("", |o| o.stages = owned(&["decision"])),
        ("OFFER_CHANNEL_MISMATCH", |o| o.channels = owned(&["store"])),
        ("", |o| o.channels = owned(&["store", "email"])),
        ("OFFER_SEGMENT_MISMATCH", |o| {
            o.segments = owned(&["unheard_of"]);
        }),
        ("", |o| o.segments = owned(&["unheard_of", "vip"])),
        ("", |o| o.segments = owned(&["regulars"])),
        ("OFFER_NOT_ELIGIBLE", |o| {
            o.eligibility = "customer.order_count > 9".into();
        }),
        ("", |o| {
            o.eligibility = "request.channel == 'email' && request.stage == 'decision'".into();
        }),
        ("OFFER_ELIGIBILITY_ERROR", |o| {
            o.eligibility = "customer.traits.tier == 'gold'".into();
        }),
        ("OFFER_PRODUCT_UNAVAILABLE", |o| {
            o.product_ids = owned(&["out", "nowhere"]);
        }),
        ("", |o| o.product_ids = owned(&["out", "p1"])),
        ("OFFER_WITHOUT_VALUE", |o| o.value = Some(1_000.0)),
        ("OFFER_BUDGET_EXHAUSTED", |o| {
            // one costs more than all together may
            o.budget_amount = Some(0.5);
        }),
        ("", |o| o.budget_amount = Some(1.0)),
        // the last order is half a usual gap ago
        ("OFFER_NOT_ELIGIBLE", |o| {
            o.eligibility = "customer.health == 'at_risk'".into();
        }),
        ("", |o| o.eligibility = "customer.health == 'active'".into()),
    ];
    let products = ["p1", "out"].map(|id| v1::Product {
        product_id: id.to_owned(),
        available: Some(id == "p1"),
        ..v1::Product::default()
    });
    let request = v1::BatchUpsertProductsRequest {
        products: products.to_vec(),
        validate_only: false,
    };
    clients
        .catalog
        .batch_upsert_products(request)
        .await
        .unwrap();
    let orders = [("o1", 30), ("o2", 90)].map(|(order, hours)| v1::Event {
        order_id: order.to_owned(),
        ..event("purchase", "c1", "p1", hours)
    });
    write(&mut clients, orders.to_vec()).await;
    let offers = cases.iter().enumerate().map(|(number, (_, change))| {
        let mut offer = plain(&format!("o{number}"));
        change(&mut offer);
        offer
    });
    upsert(&mut clients, offers.collect()).await.unwrap();
    let question = v1::RecommendRequest {
        stage: "decision".to_owned(),
        placement: "email".to_owned(),
        ..about("c1")
    };
    for (number, (expected, _)) in cases.iter().enumerate() {
        let found = code(&mut clients, question.clone(), &format!("o{number}")).await;
        assert_eq!(found, *expected, "o{number}");
    }
    delete(&mut clients, "o0").await.unwrap();
    assert_eq!(
        code(&mut clients, question.clone(), "o0").await,
        "OFFER_DELETED"
    );
    // nothing that is dropped is answered, and the best of the rest is
    let asked = v1::RecommendRequest {
        max_offers: Some(100),
        ..question.clone()
    };
    let answer = ask(&mut clients, asked).await;
    let ids: Vec<&str> = answer.offers.iter().map(|o| o.offer_id.as_str()).collect();
    assert_eq!(ids.len(), 8);
    for (number, (code, _)) in cases.iter().enumerate().skip(1) {
        assert_eq!(
            ids.contains(&format!("o{number}").as_str()),
            code.is_empty()
        );
    }
    let offer = answer.offers.iter().find(|o| o.offer_id == "o15").unwrap();
    assert!(offer.score > 0.0 && (offer.probability - 1.0).abs() < 1e-9 && !offer.fallback);
    assert_eq!(
        (offer.value, offer.currency_code.as_str()),
        (Some(1.0), "EUR")
    );
    assert_eq!(offer.reasons[0].because_product_id, "p1");
    let none = v1::RecommendRequest {
        max_offers: Some(0),
        ..question.clone()
    };
    assert_eq!(ask(&mut clients, none).await.offers, []);
    // the channel, where it is given, is not the placement
    let elsewhere = v1::RecommendRequest {
        channel: "store".to_owned(),
        ..question.clone()
    };
    assert_eq!(code(&mut clients, elsewhere, "o6").await, "");
    traits(&harness, "c1", &[("marketing_consent", "false")]).await;
    assert_eq!(
        code(&mut clients, question.clone(), "o1").await,
        "OFFER_PAUSED"
    );
    assert_eq!(
        code(&mut clients, question.clone(), "o5").await,
        "OFFER_CONSENT"
    );
    assert_eq!(ask(&mut clients, question).await.offers, []);
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn caps_groups_and_budgets_have_codes() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let offers = [
        v1::Offer {
            cap_per_customer: Some(1),
            ..plain("capped")
        },
        v1::Offer {
            cap_shown_per_customer: Some(2),
            ..plain("shown")
        },
        v1::Offer {
            budget_units: Some(1),
            ..plain("last")
        },
        v1::Offer {
            exclusivity_group: "group".to_owned(),
            priority: 1,
            budget_units: Some(10),
            ..plain("one")
        },
        v1::Offer {
            exclusivity_group: "group".to_owned(),
            ..plain("other")
        },
    ];
    upsert(&mut clients, offers.to_vec()).await.unwrap();
    for offer in ["capped", "shown", "last"] {
        assert_eq!(code(&mut clients, about("c1"), offer).await, "");
    }
    let nobody = v1::RecommendRequest::default();
    assert_eq!(
        code(&mut clients, nobody.clone(), "last").await,
        "OFFER_NEEDS_CUSTOMER"
    );
    assert_eq!(code(&mut clients, nobody, "shown").await, "");
    let facts = vec![
        told("offer_redeemed", "c1", "capped"),
        told("view_promotion", "c1", "shown"),
        told("offer_sent", "c1", "shown"),
        told("offer_redeemed", "c2", "last"),
    ];
    write(&mut clients, facts).await;
    let expected = [
        ("capped", "OFFER_CAP_REACHED"),
        ("shown", "OFFER_CAP_REACHED"),
        ("last", "OFFER_BUDGET_EXHAUSTED"),
    ];
    for (offer, expected) in expected {
        assert_eq!(
            code(&mut clients, about("c1"), offer).await,
            expected,
            "{offer}"
        );
    }
    assert_eq!(code(&mut clients, about("c2"), "capped").await, "");
    // of a group one is answered, and who holds it gets no other until it is over
    let five = v1::RecommendRequest {
        max_offers: Some(5),
        ..about("c9")
    };
    let answer = ask(&mut clients, five.clone()).await;
    let of_group = answer
        .offers
        .iter()
        .filter(|o| ["one", "other"].contains(&&*o.offer_id));
    let of_group: Vec<_> = of_group.collect();
    assert_eq!(of_group.len(), 1);
    assert_eq!(of_group[0].offer_id, "one");
    assert_eq!(
        code(&mut clients, five.clone(), "other").await,
        "OFFER_EXCLUSIVE"
    );
    let mut paused = offers[3].clone();
    paused.paused = true;
    upsert(&mut clients, vec![paused]).await.unwrap();
    assert_eq!(
        code(&mut clients, five.clone(), "other").await,
        "OFFER_EXCLUSIVE"
    );
    write(&mut clients, vec![told("offer_declined", "c9", "one")]).await;
    assert_eq!(code(&mut clients, five, "other").await, "");
    harness.stop().await.unwrap();
}

async fn redeem(
    clients: &mut Clients,
    request: v1::RedeemOfferRequest,
) -> Result<v1::RedeemOfferResponse, Status> {
    let answer = clients.offers.redeem_offer(request).await;
    answer.map(tonic::Response::into_inner)
}

fn by_reservation(id: &str, order: &str) -> v1::RedeemOfferRequest {
    v1::RedeemOfferRequest {
        reservation_id: id.to_owned(),
        order_id: order.to_owned(),
        ..v1::RedeemOfferRequest::default()
    }
}

async fn release(
    clients: &mut Clients,
    id: &str,
) -> Result<tonic::Response<v1::ReleaseOfferResponse>, Status> {
    let request = v1::ReleaseOfferRequest {
        reservation_id: id.to_owned(),
    };
    clients.offers.release_offer(request).await
}

fn sums(usage: &v1::OfferUsage) -> (i64, i64, Option<i64>) {
    (usage.reserved_units, usage.redeemed_units, usage.free_units)
}

#[tokio::test]
async fn a_reservation_is_made_kept_released_and_redeemed() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let limited = v1::Offer {
        budget_units: Some(2),
        ..plain("limited")
    };
    create(&mut clients, limited).await.unwrap();
    let fallback = v1::Offer {
        fallback: true,
        value: Some(0.5),
        ..plain("instead")
    };
    create(&mut clients, fallback).await.unwrap();
    // to check or to explain a question reserves nothing
    let checked = v1::RecommendRequest {
        validate_only: true,
        ..about("c9")
    };
    let answer = clients.recommendations.recommend(checked).await.unwrap();
    assert_eq!(answer.into_inner(), v1::RecommendResponse::default());
    let explained = explain(&mut clients, about("c9")).await;
    assert_eq!(explained.response.unwrap().offers[0].reservation_id, "");
    assert_eq!(sums(&usage(&mut clients, "limited").await), (0, 0, Some(2)));

    let mut first = ask(&mut clients, about("c1")).await.offers.remove(0);
    assert_eq!(first.offer_id, "limited");
    assert_eq!(first.reservation_id.len(), 32);
    assert!(first.expire_time.is_some());
    let end = harness.service.shop.journal.end();
    let again = ask(&mut clients, about("c1")).await.offers.remove(0);
    assert_eq!(again, first);
    assert_eq!(
        harness.service.shop.journal.end(),
        end,
        "a page view writes nothing"
    );
    let second = ask(&mut clients, about("c2")).await.offers.remove(0);
    assert_eq!(sums(&usage(&mut clients, "limited").await), (2, 0, Some(0)));
    let third = ask(&mut clients, about("c3")).await.offers.remove(0);
    assert_eq!((third.offer_id.as_str(), third.fallback), ("instead", true));
    assert_eq!(third.reasons[0].code, "FALLBACK_OFFER");

    for _ in 0..2 {
        let released = release(&mut clients, &second.reservation_id).await.unwrap();
        assert_eq!(
            released.into_inner().state(),
            v1::ReservationState::Released
        );
    }
    let third = ask(&mut clients, about("c3")).await.offers.remove(0);
    assert_eq!(third.offer_id, "limited");
    for already in [false, true] {
        let redeemed = redeem(
            &mut clients,
            by_reservation(&first.reservation_id, "order-1"),
        );
        let redeemed = redeemed.await.unwrap();
        assert_eq!(redeemed.already_redeemed, already);
        assert_eq!(redeemed.reservation_id, first.reservation_id);
    }
    // the till tells of the same order
    let told_again = v1::Event {
        order_id: "order-1".to_owned(),
        ..told("offer_redeemed", "c1", "limited")
    };
    write(&mut clients, vec![told_again]).await;
    assert_eq!(sums(&usage(&mut clients, "limited").await), (1, 1, Some(0)));

    let precondition = Code::FailedPrecondition;
    let gone = clients
        .offers
        .redeem_offer(by_reservation(&second.reservation_id, ""));
    refused(gone.await, precondition, "RESERVATION_RELEASED");
    let spent = release(&mut clients, &first.reservation_id).await;
    refused(spent, precondition, "RESERVATION_REDEEMED");
    let unknown = "0".repeat(32);
    let missing = release(&mut clients, &unknown).await;
    refused(missing, Code::NotFound, "RESERVATION_NOT_FOUND");
    first.reservation_id.clone_from(&unknown);
    let missing = clients.offers.redeem_offer(by_reservation(&unknown, ""));
    refused(missing.await, Code::NotFound, "RESERVATION_NOT_FOUND");
    let free = |customer: &str, offer: &str| v1::RedeemOfferRequest {
        offer_id: offer.to_owned(),
        customer_id: customer.to_owned(),
        request_id: format!("request of {customer}"),
        ..v1::RedeemOfferRequest::default()
    };
    let none = clients.offers.redeem_offer(free("c4", "limited"));
    refused(none.await, precondition, "OFFER_BUDGET_EXHAUSTED");
    let none = clients.offers.redeem_offer(free("c4", "nothing"));
    refused(none.await, Code::NotFound, "OFFER_NOT_FOUND");
    // without a reservation, by the request's name; who holds one takes it
    for already in [false, true] {
        let redeemed = redeem(&mut clients, free("c3", "limited")).await.unwrap();
        assert_eq!(redeemed.already_redeemed, already);
        if !already {
            assert_eq!(redeemed.reservation_id, third.reservation_id);
        }
    }
    // a redemption elsewhere is a fact
    write(&mut clients, vec![told("offer_redeemed", "c5", "limited")]).await;
    assert_eq!(sums(&usage(&mut clients, "limited").await), (0, 3, Some(0)));
    let request = v1::EraseCustomerRequest {
        customer_id: "c1".to_owned(),
    };
    clients.customers.erase_customer(request).await.unwrap();
    assert_eq!(sums(&usage(&mut clients, "limited").await), (0, 3, Some(0)));
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn batches_and_streams_share_the_budget() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let limited = v1::Offer {
        budget_units: Some(7),
        ..plain("limited")
    };
    create(&mut clients, limited).await.unwrap();
    let views = (0..12).map(|n| event("page_view", &format!("c{n}"), "", 1));
    write(&mut clients, views.collect()).await;
    // twice the same customer in one batch
    let asked = ["c0", "c1", "c0", "c2"].map(about);
    let request = v1::BatchRecommendRequest {
        requests: asked.to_vec(),
    };
    let answer = clients
        .recommendations
        .batch_recommend(request)
        .await
        .unwrap();
    let held = answer.into_inner().results.into_iter().map(|item| {
        let Some(v1::batch_recommend_result::Result::Response(response)) = item.result else {
            panic!("an answer");
        };
        response.offers[0].reservation_id.clone()
    });
    let held: Vec<String> = held.collect();
    assert_eq!(held[0], held[2]);
    assert_eq!(sums(&usage(&mut clients, "limited").await), (3, 0, Some(4)));
    for _ in 0..2 {
        let request = v1::StreamRecommendationsRequest::default();
        let stream = clients
            .recommendations
            .stream_recommendations(request)
            .await;
        let answers: Vec<_> = stream.unwrap().into_inner().collect().await;
        let offers = answers
            .into_iter()
            .map(|answer| answer.unwrap().response.unwrap().offers);
        let all: usize = offers.map(|offers| offers.len()).sum();
        assert_eq!(all, 7);
    }
    assert_eq!(sums(&usage(&mut clients, "limited").await), (7, 0, Some(0)));
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_redemption_that_cannot_be_true_hears_of_every_fault() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let request = v1::RedeemOfferRequest::default();
    let cases = [
        (
            request.clone(),
            vec![
                "offer_id: REQUIRED",
                "customer_id: REQUIRED",
                "request_id: REQUIRED",
            ],
        ),
        (
            v1::RedeemOfferRequest {
                reservation_id: "no".to_owned(),
                offer_id: "o".to_owned(),
                visitor_id: "a\0".to_owned(),
                ..request.clone()
            },
            vec![
                "reservation_id: MALFORMED",
                "offer_id: NOT_ALLOWED",
                "visitor_id: BAD_CHARACTER",
                "visitor_id: NOT_ALLOWED",
            ],
        ),
        (
            v1::RedeemOfferRequest {
                offer_id: "x".repeat(129),
                customer_id: "c".to_owned(),
                visitor_id: "v".to_owned(),
                order_id: "x".repeat(129),
                request_id: "x".repeat(129),
                ..request
            },
            vec![
                "offer_id: TOO_LONG",
                "order_id: TOO_LONG",
                "request_id: TOO_LONG",
                "visitor_id: NOT_ALLOWED",
            ],
        ),
    ];
    for (request, expected) in cases {
        let answer = clients.offers.redeem_offer(request).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(violations(&status), expected);
    }
    let answer = release(&mut clients, "").await;
    let status = refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(
        violations(&status),
        ["reservation_id: REQUIRED".to_owned()].into()
    );
    let request = v1::GetOfferUsageRequest {
        offer_id: "nothing".to_owned(),
    };
    let answer = clients.offers.get_offer_usage(request).await;
    refused(answer, Code::NotFound, "OFFER_NOT_FOUND");
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_held_out_never_gets_an_offer() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::harness::settings();
    settings.offers.holdout_per_mille = 100;
    let service = Service::with(
        std::sync::Arc::new(MemoryJournal::new()),
        None,
        Artefacts::open(folder.path()).unwrap(),
        nextbest::application::shop::Clock::system(),
        &settings,
        &Recipes::embedded().unwrap(),
    )
    .unwrap();
    let question = |who| Question {
        who,
        stage: None,
        placement: String::new(),
        context: Vec::new(),
        count: 1,
        offers: None,
        channel: String::new(),
        filter: String::new(),
        boost: String::new(),
        exclude: Vec::new(),
        exclude_bought: false,
        strict: false,
        at: None,
    };
    let recommender = service.use_cases.recommender.clone();
    let held = |who: Who| {
        let answer = recommender.recommend(&question(who)).unwrap();
        assert_eq!(answer.offers.is_empty(), answer.offer_holdout);
        answer.offer_holdout
    };
    let customer = |n: usize| Who::Customer(CustomerId::trusted(format!("c{n}")));
    let visitor = |n: usize| nextbest::domain::VisitorId::trusted(format!("v{n}"));
    // without an offer nobody misses one
    let answer = recommender.recommend(&question(customer(0))).unwrap();
    assert!(!answer.offer_holdout);
    let ingest = service.use_cases.ingest.clone();
    let write = |body| ingest.write(vec![body]);
    write(crate::offer_ledger::offer(0, |_| {})).await.unwrap();
    let sides: Vec<bool> = (0..2_000).map(|n| held(customer(n))).collect();
    let share = sides.iter().filter(|held| **held).count();
    assert!((150..250).contains(&share), "{share} of 2,000");
    assert!((0..2_000).all(|n| held(customer(n)) == sides[n]));
    assert!(!held(Who::Nobody));
    // a visitor takes the customer's side once they are one
    let out = sides.iter().position(|held| *held).unwrap();
    let free = (0..100).find(|n| !held(Who::Visitor(visitor(*n)))).unwrap();
    write(RecordBody::VisitorIdentified {
        visitor: visitor(free),
        customer: CustomerId::trusted(format!("c{out}")),
    })
    .await
    .unwrap();
    assert!(held(Who::Visitor(visitor(free))));
    let explained = recommender.explain(&question(customer(out))).unwrap();
    assert_eq!(explained.offers.dropped[0].code, "OFFER_HOLDOUT");
    assert!(explained.answer.offers.is_empty() && explained.answer.offer_holdout);
    tokio::task::spawn_blocking(|| service.close())
        .await
        .unwrap()
        .unwrap();
}
