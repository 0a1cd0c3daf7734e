//! Expressions over the wire: what `validate_only` finds, and what lists are told.

use std::collections::BTreeSet;

use nextbest::proto::v1;
use tonic::Code;

use crate::harness::{Clients, Harness, code_and_reason, violations};
use crate::wire_story::{about, refused, shop};

/// What a question with these expressions is told if it is only checked.
async fn checked(clients: &mut Clients, filter: &str, boost: &str) -> Result<(), BTreeSet<String>> {
    let question = v1::RecommendRequest {
        filter: filter.to_owned(),
        boost: boost.to_owned(),
        validate_only: true,
        ..about("c0")
    };
    let recommended = clients.recommendations.recommend(question.clone()).await;
    let explained = clients.recommendations.explain_recommendation(question);
    match (recommended, explained.await) {
        (Ok(answer), Ok(explained)) => {
            assert_eq!(answer.into_inner(), v1::RecommendResponse::default());
            let nothing = v1::ExplainRecommendationResponse::default();
            assert_eq!(explained.into_inner(), nothing);
            Ok(())
        }
        (Err(one), Err(other)) => {
            assert_eq!(violations(&one), violations(&other));
            let reason = (Code::InvalidArgument, "INVALID_EXPRESSION".to_owned());
            assert_eq!(code_and_reason(&one), reason, "{one:?}");
            Err(violations(&one))
        }
        (one, other) => panic!("{filter} {boost}: {one:?}, {other:?}"),
    }
}

#[tokio::test]
async fn validate_only_finds_what_a_call_would_find_and_no_more() {
    let (harness, mut clients) = shop().await;
    let empty = Harness::start().await;
    let mut empty_clients = empty.clients().await;
    let fault = |field: &str| Err([format!("{field}: MALFORMED")].into());
    // what no product is needed for is found in an empty shop as well
    for clients in [&mut clients, &mut empty_clients] {
        for filter in ["product.price >", "product.price", "product.name < 5"] {
            assert_eq!(
                checked(clients, filter, "").await,
                fault("filter"),
                "{filter}"
            );
        }
        for boost in ["1 +", "1000.0", "0", "product.name", "product.available"] {
            assert_eq!(checked(clients, "", boost).await, fault("boost"), "{boost}");
        }
        for filter in [
            "product.attributes.size == 'L'",
            "product.unit_cost > 1.0",
            "customer.traits.country == 'NL'",
            "customer.days_since_last_order < 3.0",
            "false",
        ] {
            assert_eq!(checked(clients, filter, "").await, Ok(()), "{filter}");
        }
        for boost in ["2", "product.unit_cost > 1.0 ? 2.0 : 1.0"] {
            assert_eq!(checked(clients, "", boost).await, Ok(()), "{boost}");
        }
    }
    // this depends on what there is
    let dear = "product.price * 1000.0";
    assert_eq!(checked(&mut clients, "", dear).await, fault("boost"));
    assert_eq!(checked(&mut empty_clients, "", dear).await, Ok(()));
    harness.stop().await.unwrap();
    empty.stop().await.unwrap();
}

#[tokio::test]
async fn a_filter_that_never_gives_true_or_false_selects_nobody_by_mistake() {
    let (harness, mut clients) = shop().await;
    let request = v1::ListProductsRequest {
        filter: "product.name".to_owned(),
        ..v1::ListProductsRequest::default()
    };
    let answer = clients.catalog.list_products(request).await;
    refused(answer, Code::InvalidArgument, "INVALID_EXPRESSION");
    let request = v1::ListCustomersRequest {
        filter: "customer.order_count + 1".to_owned(),
        ..v1::ListCustomersRequest::default()
    };
    let answer = clients.customers.list_customers(request).await;
    refused(answer, Code::InvalidArgument, "INVALID_EXPRESSION");
    let template = v1::RecommendRequest {
        boost: "customer.id".to_owned(),
        ..v1::RecommendRequest::default()
    };
    let request = v1::StreamRecommendationsRequest {
        template: Some(template),
        ..v1::StreamRecommendationsRequest::default()
    };
    let answer = clients.recommendations.stream_recommendations(request);
    let answer = answer.await.map(|_| tonic::Response::new(()));
    let status = refused(answer, Code::InvalidArgument, "INVALID_EXPRESSION");
    let expected = ["template.boost: MALFORMED".to_owned()];
    assert_eq!(violations(&status), expected.into());
    harness.stop().await.unwrap();
}
