//! Many answers at once: batches, streams that break and go on, and answers with every candidate.

use std::collections::BTreeSet;

use nextbest::proto::v1;
use nextbest::proto::v1::batch_recommend_result::Result as Item;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::harness::{Clients, Harness, PATIENCE, violations};
use crate::wire_story::{CUSTOMERS, about, ask, event, ids, refused, shop, write};

fn everybody() -> v1::StreamRecommendationsRequest {
    v1::StreamRecommendationsRequest {
        template: Some(v1::RecommendRequest {
            page_size: 2,
            ..v1::RecommendRequest::default()
        }),
        ..v1::StreamRecommendationsRequest::default()
    }
}

async fn stream(
    clients: &mut Clients,
    request: v1::StreamRecommendationsRequest,
) -> Vec<v1::StreamRecommendationsResponse> {
    let answers = clients
        .recommendations
        .stream_recommendations(request)
        .await;
    let answers = answers.unwrap().into_inner();
    answers.collect::<Result<Vec<_>, _>>().await.unwrap()
}

fn customers(answers: &[v1::StreamRecommendationsResponse]) -> Vec<&str> {
    answers.iter().map(|a| a.customer_id.as_str()).collect()
}

#[tokio::test]
async fn a_batch_answers_each_question_in_order_whatever_the_others_are() {
    let (harness, mut clients) = shop().await;
    let requests = vec![
        about("c0"),
        v1::RecommendRequest {
            page_size: -1,
            ..about("c0")
        },
        about("stranger"),
        v1::RecommendRequest {
            filter: "product.price >".to_owned(),
            ..about("c1")
        },
        v1::RecommendRequest {
            stage: "no-such-stage".to_owned(),
            ..about("c1")
        },
        about("c1"),
    ];
    let request = v1::BatchRecommendRequest { requests };
    let answer = clients.recommendations.batch_recommend(request).await;
    let results = answer.unwrap().into_inner().results;
    let told: Vec<String> = results
        .iter()
        .map(|result| match result.result.as_ref().unwrap() {
            Item::Response(answer) => ids(answer)[0].split('-').next().unwrap().to_owned(),
            Item::Error(error) => format!("{} {}", error.code, error.reason),
        })
        .collect();
    assert_eq!(told[0], "audio");
    assert_eq!(told[1], "3 INVALID_FIELDS");
    assert!(!told[2].starts_with('3'));
    assert_eq!(told[3], "3 INVALID_EXPRESSION");
    assert_eq!(told[4], "3 UNKNOWN_STAGE");
    assert_eq!(told[5], "garden");
    let alone = ask(&mut clients, about("c0")).await;
    let Some(Item::Response(first)) = &results[0].result else {
        panic!("{results:?}");
    };
    assert_eq!(ids(first), ids(&alone));
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke() {
    let (harness, mut clients) = shop().await;
    let whole = stream(&mut clients, everybody()).await;
    let expected: Vec<String> = (0..CUSTOMERS).map(|i| format!("c{i}")).collect();
    assert_eq!(customers(&whole), expected);
    for answer in &whole {
        let response = answer.response.as_ref().unwrap();
        assert_eq!(response.products.len(), 2);
        let question = v1::RecommendRequest {
            page_size: 2,
            ..about(&answer.customer_id)
        };
        assert_eq!(ids(response), ids(&ask(&mut clients, question).await));
    }
    // after every message
    for (i, answer) in whole.iter().enumerate() {
        let request = v1::StreamRecommendationsRequest {
            resume_token: answer.resume_token.clone(),
            ..everybody()
        };
        let rest = stream(&mut clients, request).await;
        assert_eq!(customers(&rest), customers(&whole[i + 1..]));
    }
    // those who became known since follow the last one
    write(&mut clients, vec![event("page_view", "late", "", 1)]).await;
    let request = v1::StreamRecommendationsRequest {
        resume_token: whole[CUSTOMERS - 1].resume_token.clone(),
        ..everybody()
    };
    assert_eq!(
        customers(&stream(&mut clients, request.clone()).await),
        ["late"]
    );
    let other = v1::StreamRecommendationsRequest {
        customer_filter: "true".to_owned(),
        ..request
    };
    let answer = clients.recommendations.stream_recommendations(other).await;
    let answer = answer.map(|_| tonic::Response::new(()));
    let status = refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    assert_eq!(
        violations(&status),
        ["resume_token: MALFORMED".to_owned()].into()
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_goes_over_those_who_were_asked_for() {
    let (harness, mut clients) = shop().await;
    write(
        &mut clients,
        vec![event("add_to_cart", "c3", "garden-0", 1)],
    )
    .await;
    let mut request = everybody();
    request.customer_stage = "decision".to_owned();
    assert_eq!(
        customers(&stream(&mut clients, request.clone()).await),
        ["c3"]
    );
    request.customer_stage.clear();
    request.customer_filter = "customer.id in ['c7', 'c2', 'nobody']".to_owned();
    let some = stream(&mut clients, request.clone()).await;
    assert_eq!(customers(&some), ["c2", "c7"]);
    request.resume_token.clone_from(&some[0].resume_token);
    assert_eq!(customers(&stream(&mut clients, request).await), ["c7"]);

    let template = |template| v1::StreamRecommendationsRequest {
        template: Some(template),
        ..v1::StreamRecommendationsRequest::default()
    };
    let faulty = [
        (
            v1::StreamRecommendationsRequest {
                customer_filter: "customer.".to_owned(),
                ..everybody()
            },
            "INVALID_EXPRESSION",
            "customer_filter: MALFORMED",
        ),
        (
            v1::StreamRecommendationsRequest {
                customer_stage: "nowhere".to_owned(),
                ..everybody()
            },
            "UNKNOWN_STAGE",
            "customer_stage: UNKNOWN_NAME",
        ),
        (
            template(v1::RecommendRequest {
                filter: "product.".to_owned(),
                ..v1::RecommendRequest::default()
            }),
            "INVALID_EXPRESSION",
            "template.filter: MALFORMED",
        ),
        (
            template(v1::RecommendRequest {
                stage: "nowhere".to_owned(),
                ..v1::RecommendRequest::default()
            }),
            "UNKNOWN_STAGE",
            "template.stage: UNKNOWN_NAME",
        ),
    ];
    for (request, reason, violation) in faulty {
        let answer = clients
            .recommendations
            .stream_recommendations(request)
            .await;
        let answer = answer.map(|_| tonic::Response::new(()));
        let status = refused(answer, Code::InvalidArgument, reason);
        assert_eq!(violations(&status), [violation.to_owned()].into());
    }
    harness.stop().await.unwrap();
}

/// More customers than pages and buffers hold, so that the work is under way when the client goes.
#[tokio::test]
async fn a_client_that_vanishes_ends_the_stream_and_makes_room() {
    let limits = nextbest::transport::grpc::limits::Limits {
        bulk_streams: 1,
        ..Default::default()
    };
    let harness = Harness::start_with(limits).await;
    harness.set_ready(true);
    let mut clients = harness.clients().await;
    let events = (0..5_000).map(|i| event("page_view", &format!("c{i}"), "", 1));
    write(&mut clients, events.collect()).await;
    let whole = stream(&mut clients, everybody()).await;
    assert_eq!(whole.len(), 5_000);
    let distinct: BTreeSet<&str> = customers(&whole).into_iter().collect();
    assert_eq!(distinct.len(), 5_000);
    for _ in 0..3 {
        let mut gone = harness.clients().await;
        let asked = gone
            .recommendations
            .stream_recommendations(everybody())
            .await;
        let mut answers = asked.unwrap().into_inner();
        assert!(answers.next().await.unwrap().is_ok());
        let second = clients
            .recommendations
            .stream_recommendations(everybody())
            .await;
        let second = second.map(|_| tonic::Response::new(()));
        refused(second, Code::ResourceExhausted, "OVERLOADED");
        drop((answers, gone));
        let room = async {
            loop {
                let asked = clients
                    .recommendations
                    .stream_recommendations(everybody())
                    .await;
                match asked {
                    // read to its end, so that the place is free again
                    Ok(answers) => break answers.into_inner().collect::<Vec<_>>().await.len(),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, room)
            .await
            .expect("the place is given back");
    }
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn an_explanation_names_what_was_kept_and_what_was_dropped() {
    let (harness, mut clients) = shop().await;
    let question = v1::RecommendRequest {
        exclude_product_ids: vec!["audio-1".to_owned()],
        exclude_bought: true,
        filter: "product.brand != 'Other' || product.unit_cost > 0.0".to_owned(),
        boost: "2.0".to_owned(),
        strict: true,
        ..about("c0")
    };
    let answer = clients
        .recommendations
        .explain_recommendation(question.clone())
        .await;
    let explained = answer.unwrap().into_inner();
    let codes: BTreeSet<(&str, &str)> = explained
        .dropped
        .iter()
        .map(|dropped| (dropped.product_id.as_str(), dropped.code.as_str()))
        .collect();
    for expected in [
        ("audio-1", "EXCLUDED"),
        ("audio-0", "BOUGHT_BEFORE"),
        ("audio-off", "NOT_AVAILABLE"),
        ("ghost", "NOT_IN_CATALOG"),
        ("garden-1", "FILTER_ERROR"),
    ] {
        assert!(codes.contains(&expected), "{expected:?}: {codes:?}");
    }
    assert_eq!(codes.len(), explained.dropped.len(), "each once");
    assert!(!explained.kept.is_empty());
    for kept in &explained.kept {
        assert!(kept.score.is_finite() && kept.features.values().all(|v| v.is_finite()));
        assert!((kept.boost - 2.0).abs() < 1e-12 && !kept.source_ranks.is_empty());
        let known = |(id, _): &(&str, &str)| *id == kept.product_id;
        assert!(!codes.iter().any(known), "kept and dropped: {kept:?}");
    }
    let plain = ask(&mut clients, question.clone()).await;
    assert_eq!(explained.response.unwrap().products, plain.products);
    let filtered = v1::RecommendRequest {
        filter: "product.id == 'garden-0'".to_owned(),
        ..about("c0")
    };
    let answer = clients
        .recommendations
        .explain_recommendation(filtered)
        .await;
    let dropped = answer.unwrap().into_inner().dropped;
    assert!(
        dropped
            .iter()
            .any(|d| d.product_id == "audio-0" && d.code == "FILTERED")
    );
    harness.stop().await.unwrap();
}
