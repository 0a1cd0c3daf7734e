//! Answers that stay: the same customer and key get the same bytes until they expire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::domain::time::HOUR_MS;
use nextbest::domain::{RecordBody, Timestamp};
use nextbest::proto::v1;
use nextbest::proto::v1::batch_recommend_result::Result as ItemResult;
use nextbest::store::{Failure, Faults, MemoryJournal, Step};
use nextbest::transport::grpc::limits::Limits;
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::harness::{Clients, Harness, code_and_reason, fresh_fold, settings, violations};
use crate::service_kill::Process;
use crate::state_fold::history::read;
use crate::wire_offers::{plain, usage};
use crate::wire_story::{about, ask, product};
use crate::wire_story_offers::create;

fn keyed(customer: &str, key: &str) -> v1::RecommendRequest {
    v1::RecommendRequest {
        decision_key: key.to_owned(),
        placement: "email".to_owned(),
        ..about(customer)
    }
}

pub(crate) fn limited(units: i64) -> v1::Offer {
    v1::Offer {
        budget_units: Some(units),
        ..plain("limited")
    }
}

pub(crate) async fn catalog(clients: &mut Clients) {
    let request = v1::BatchUpsertProductsRequest {
        products: (0..6).map(|number| product("audio", number)).collect(),
        validate_only: false,
    };
    clients
        .catalog
        .batch_upsert_products(request)
        .await
        .unwrap();
}

async fn refusal(clients: &mut Clients, question: v1::RecommendRequest) -> tonic::Status {
    clients
        .recommendations
        .recommend(question)
        .await
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_questions_at_the_same_time_get_the_same_bytes() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    catalog(&mut clients).await;
    create(&mut clients, limited(100)).await.unwrap();
    let mut asking = Vec::new();
    for _ in 0..32 {
        let mut clients = harness.clients().await;
        asking.push(tokio::spawn(async move {
            ask(&mut clients, keyed("anna", "spring-1"))
                .await
                .encode_to_vec()
        }));
    }
    let mut answers = BTreeSet::new();
    for one in asking {
        answers.insert(one.await.unwrap());
    }
    assert_eq!(answers.len(), 1, "one answer, whoever asked first");
    let answer = ask(&mut clients, keyed("anna", "spring-1")).await;
    assert!(answers.contains(&answer.encode_to_vec()));
    assert!(answer.decision_expire_time.is_some() && !answer.decision_not_kept);
    assert_eq!(answer.products.len(), 6);
    assert_eq!(answer.offers.len(), 1);
    assert!(!answer.offers[0].reservation_id.is_empty());
    assert_eq!(usage(&mut clients, "limited").await.reserved_units, 1);

    // the shop changes, the answer does not
    let gone = v1::DeleteProductRequest {
        product_id: answer.products[0].product_id.clone(),
    };
    clients.catalog.delete_product(gone).await.unwrap();
    let redeem = v1::RedeemOfferRequest {
        reservation_id: answer.offers[0].reservation_id.clone(),
        ..v1::RedeemOfferRequest::default()
    };
    clients.offers.redeem_offer(redeem).await.unwrap();
    let now = v1::Event {
        event_type: "view_item".to_owned(),
        product_id: "audio-1".to_owned(),
        ..v1::Event::default()
    };
    let again = v1::RecommendRequest {
        context_events: vec![now],
        ..keyed("anna", "spring-1")
    };
    assert_eq!(ask(&mut clients, again).await, answer);
    let other = ask(&mut clients, keyed("anna", "spring-2")).await;
    assert_ne!(other.attribution_token, answer.attribution_token);
    assert_eq!(other.products.len(), 5);
    let other = ask(&mut clients, keyed("berta", "spring-1")).await;
    assert_ne!(other.attribution_token, answer.attribution_token);
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_and_one_that_stands_for_another_question() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    catalog(&mut clients).await;
    let first = ask(&mut clients, keyed("anna", "k")).await;
    let three = v1::RecommendRequest {
        page_size: 3,
        ..keyed("anna", "k")
    };
    let status = refusal(&mut clients, three.clone()).await;
    let reused = (Code::AlreadyExists, "DECISION_KEY_REUSED".to_owned());
    assert_eq!(code_and_reason(&status), reused);
    // the default, spelt out, is the same question; and what is only checked keeps nothing
    let ten = v1::RecommendRequest {
        page_size: 10,
        ..keyed("anna", "k")
    };
    assert_eq!(ask(&mut clients, ten).await, first);
    let checked = v1::RecommendRequest {
        validate_only: true,
        ..keyed("anna", "checked")
    };
    assert_eq!(
        ask(&mut clients, checked).await,
        v1::RecommendResponse::default()
    );
    let kept = harness.service.shop.known().state.decisions.len();
    assert_eq!(kept, 1);
    for (key, reason) in [
        ("k".repeat(129), "TOO_LONG"),
        ("a\0b".into(), "BAD_CHARACTER"),
    ] {
        let status = refusal(&mut clients, keyed("anna", &key)).await;
        assert!(violations(&status).contains(&format!("decision_key: {reason}")));
    }
    let nobody = v1::RecommendRequest {
        decision_key: "k".to_owned(),
        ..v1::RecommendRequest::default()
    };
    let status = refusal(&mut clients, nobody).await;
    assert!(violations(&status).contains("decision_key: NOT_ALLOWED"));
    let template = v1::StreamRecommendationsRequest {
        template: Some(v1::RecommendRequest {
            decision_key: "k".to_owned(),
            ..v1::RecommendRequest::default()
        }),
        ..v1::StreamRecommendationsRequest::default()
    };
    let status = clients
        .recommendations
        .stream_recommendations(template)
        .await;
    let found = violations(&status.unwrap_err());
    assert!(
        found.contains("template.decision_key: NOT_ALLOWED"),
        "{found:?}"
    );

    // a batch knows of keys, also of one that comes twice
    let request = v1::BatchRecommendRequest {
        requests: vec![
            keyed("anna", "k"),
            three,
            keyed("berta", "k"),
            about("berta"),
            keyed("berta", "k"),
        ],
    };
    let answer = clients.recommendations.batch_recommend(request).await;
    let mut results = answer.unwrap().into_inner().results.into_iter();
    let mut next = || match results.next().unwrap().result.unwrap() {
        ItemResult::Response(response) => Ok(response),
        ItemResult::Error(error) => Err(error.reason),
    };
    assert_eq!(next(), Ok(first));
    assert_eq!(next(), Err("DECISION_KEY_REUSED".to_owned()));
    let berta = next().unwrap();
    assert_eq!(next().unwrap().decision_expire_time, None);
    assert_eq!(next().unwrap(), berta);
    harness.stop().await.unwrap();
}

/// A service whose clock is set by hand.
pub(crate) async fn timed(journal: MemoryJournal) -> (Harness, Clients, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
    let told = clock.clone();
    let clock_of_shop = Clock::telling(move || Timestamp::from_ms(told.load(Ordering::SeqCst)));
    let recipes = Recipes::embedded().unwrap();
    let limits = Limits::default();
    let harness = Harness::start_at(
        clock_of_shop,
        Arc::new(journal),
        limits,
        &recipes,
        &settings(),
    )
    .await;
    harness.set_ready(true);
    let clients = harness.clients().await;
    (harness, clients, clock)
}

fn expiry_ms(answer: &v1::RecommendResponse) -> i64 {
    let time = answer.decision_expire_time.unwrap();
    time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
}

#[tokio::test]
async fn an_answer_expires_and_does_not_outlive_what_it_promises() {
    let (harness, mut clients, clock) = timed(MemoryJournal::new()).await;
    catalog(&mut clients).await;
    let start = clock.load(Ordering::SeqCst);
    let week = 168 * HOUR_MS;
    let plain_answer = ask(&mut clients, keyed("anna", "plain")).await;
    assert_eq!(expiry_ms(&plain_answer), start + week);
    create(&mut clients, limited(10)).await.unwrap();
    // the reservation is made now; an answer of tomorrow shows it again, and ends with it
    let promised = ask(&mut clients, keyed("anna", "promised")).await;
    assert_eq!(expiry_ms(&promised), start + week);
    clock.fetch_add(24 * HOUR_MS, Ordering::SeqCst);
    let later = ask(&mut clients, keyed("anna", "later")).await;
    assert_eq!(
        later.offers[0].reservation_id,
        promised.offers[0].reservation_id
    );
    assert_eq!(expiry_ms(&later), start + week);
    clock.store(start + week - 1, Ordering::SeqCst);
    assert_eq!(
        ask(&mut clients, keyed("anna", "plain")).await,
        plain_answer
    );
    assert_eq!(ask(&mut clients, keyed("anna", "later")).await, later);
    clock.store(start + week, Ordering::SeqCst);
    let anew = ask(&mut clients, keyed("anna", "plain")).await;
    assert_ne!(anew.attribution_token, plain_answer.attribution_token);
    assert_eq!(expiry_ms(&anew), start + 2 * week);
    // and a key is free for another question then
    let three = v1::RecommendRequest {
        page_size: 3,
        ..keyed("anna", "later")
    };
    assert_eq!(ask(&mut clients, three).await.products.len(), 3);
    // a clock that was set back does not bring back what was over
    clock.store(start, Ordering::SeqCst);
    assert_eq!(ask(&mut clients, keyed("anna", "plain")).await, anew);
    // an offer that ends before ends the answer
    let ending = v1::Offer {
        end_time: Some(prost_types::Timestamp {
            seconds: (start + week) / 1_000 + 3_600,
            nanos: 0,
        }),
        priority: 9,
        value: Some(0.5),
        ..plain("ending")
    };
    create(&mut clients, ending).await.unwrap();
    let all = v1::RecommendRequest {
        max_offers: Some(10),
        ..keyed("berta", "ending")
    };
    let answer = ask(&mut clients, all).await;
    assert_eq!(answer.offers.len(), 2);
    assert_eq!(expiry_ms(&answer), start + week + HOUR_MS);
    let shop = harness.stop_and_keep().await.unwrap();
    assert_eq!(shop.known().state.encode(), fresh_fold(&shop).encode());
}

#[tokio::test]
async fn where_nothing_can_be_written_an_answer_says_that_it_does_not_stay() {
    let faults = Faults::planned();
    let (harness, mut clients, _) = timed(MemoryJournal::with_faults(faults.clone())).await;
    catalog(&mut clients).await;
    create(&mut clients, limited(10)).await.unwrap();
    let stands = ask(&mut clients, keyed("anna", "stands")).await;
    faults.fail_once(Step::MemoryWrite, 0, Failure::Full);
    let lost = ask(&mut clients, keyed("berta", "k")).await;
    assert!(lost.decision_not_kept && lost.offers_incomplete);
    assert_eq!((lost.decision_expire_time, lost.offers.len()), (None, 0));
    assert_eq!(lost.products.len(), stands.products.len());
    let kept = ask(&mut clients, keyed("berta", "k")).await;
    assert!(!kept.decision_not_kept && kept.offers.len() == 1);
    assert_eq!(ask(&mut clients, keyed("berta", "k")).await, kept);
    // what stands needs no writing
    faults.fail_once(Step::MemoryWrite, 0, Failure::Poison);
    assert!(
        ask(&mut clients, keyed("carla", "k"))
            .await
            .decision_not_kept
    );
    assert_eq!(ask(&mut clients, keyed("anna", "stands")).await, stands);
    assert!(
        ask(&mut clients, keyed("carla", "k"))
            .await
            .decision_not_kept
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn kept_answers_are_exported_and_erased_with_their_customer() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    catalog(&mut clients).await;
    let visitor = v1::RecommendRequest {
        visitor_id: "phone".to_owned(),
        decision_key: "k".to_owned(),
        ..v1::RecommendRequest::default()
    };
    let before = ask(&mut clients, visitor.clone()).await;
    let mine = ask(&mut clients, keyed("anna", "k")).await;
    let other = ask(&mut clients, keyed("berta", "k")).await;
    // a fetch makes nobody known
    let get = v1::GetCustomerRequest {
        subject: Some(v1::get_customer_request::Subject::CustomerId(
            "berta".to_owned(),
        )),
    };
    let known = clients.customers.get_customer(get).await;
    assert_eq!(known.unwrap_err().code(), Code::NotFound);
    let identify = v1::IdentifyVisitorRequest {
        visitor_id: "phone".to_owned(),
        customer_id: "anna".to_owned(),
    };
    clients.customers.identify_visitor(identify).await.unwrap();
    assert_eq!(ask(&mut clients, visitor.clone()).await, before);
    let export = v1::ExportCustomerRequest {
        customer_id: "anna".to_owned(),
    };
    let mut parts = clients
        .customers
        .export_customer(export)
        .await
        .unwrap()
        .into_inner();
    let mut exported = Vec::new();
    while let Some(part) = parts.next().await {
        if let Some(v1::export_customer_response::Part::Decision(kept)) = part.unwrap().part {
            assert_eq!(kept.decision_key, "k");
            exported.push(v1::RecommendResponse::decode(&*kept.response).unwrap());
        }
    }
    assert_eq!(exported, [before.clone(), mine.clone()]);
    let erase = v1::EraseCustomerRequest {
        customer_id: "anna".to_owned(),
    };
    let erased = clients.customers.erase_customer(erase).await.unwrap();
    assert_eq!(erased.into_inner().erased_record_count, 3);
    let kept = |shop: &nextbest::application::shop::Shop| {
        let records = read(&*shop.journal);
        let kept = records.iter();
        kept.filter(|record| matches!(record.body, RecordBody::AnswerKept(_)))
            .count()
    };
    assert_eq!(kept(&harness.service.shop), 1);
    for (question, gone) in [(visitor, before), (keyed("anna", "k"), mine)] {
        let anew = ask(&mut clients, question.clone()).await;
        assert_ne!(anew.attribution_token, gone.attribution_token);
        assert_eq!(ask(&mut clients, question).await, anew);
    }
    assert_eq!(ask(&mut clients, keyed("berta", "k")).await, other);
    let shop = harness.stop_and_keep().await.unwrap();
    assert_eq!(shop.known().state.encode(), fresh_fold(&shop).encode());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_survives_kill_9_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--set", "offers.holdout_per_mille=0"];
    let mut process = Process::start(folder.path(), &flags);
    let mut clients = process.clients().await;
    catalog(&mut clients).await;
    create(&mut clients, limited(1_000)).await.unwrap();
    let mut answers = Vec::new();
    for number in 0..40 {
        let question = keyed(&format!("c{number}"), "spring");
        answers.push((question.clone(), ask(&mut clients, question).await));
    }
    process.kill();
    let mut process = Process::start(folder.path(), &flags);
    let mut clients = process.clients().await;
    for (question, answer) in answers {
        assert_eq!(answer.offers.len(), 1);
        let again = ask(&mut clients, question).await;
        assert_eq!(again.encode_to_vec(), answer.encode_to_vec());
    }
    assert_eq!(usage(&mut clients, "limited").await.reserved_units, 40);
    process.kill();
}
