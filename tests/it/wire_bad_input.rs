//! Bad input over the wire: each gives its documented code and reason, before anything is stored.

use nextbest::proto::v1;
use nextbest::proto::v1::catalog_service_client::CatalogServiceClient;
use nextbest::proto::v1::customer_service_client::CustomerServiceClient;
use nextbest::proto::v1::event_service_client::EventServiceClient;
use nextbest::proto::v1::model_service_client::ModelServiceClient;
use nextbest::proto::v1::recommendation_service_client::RecommendationServiceClient;
use prost_types::Timestamp;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Response, Status};

use crate::harness::{Harness, code_and_reason, violations};

/// The first day that is taken, at noon.
const FIRST_DAY: i64 = 631_195_200;
const YEAR_1900: i64 = -2_208_988_800;
const YEAR_9999: i64 = 253_370_764_800;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

/// An event that can be true, on the first day that is taken.
fn event() -> v1::Event {
    v1::Event {
        event_type: "purchase".to_owned(),
        event_time: at(FIRST_DAY),
        customer_id: "c1".to_owned(),
        product_id: "p1".to_owned(),
        ..v1::Event::default()
    }
}

fn product() -> v1::Product {
    v1::Product {
        product_id: "p1".to_owned(),
        ..v1::Product::default()
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>, code: Code, reason: &str) {
    let status = answer.unwrap_err();
    assert_eq!(code_and_reason(&status), (code, reason.to_owned()));
}

fn faulty<T: std::fmt::Debug>(answer: Result<Response<T>, Status>, expected: &[&str]) {
    let status = answer.unwrap_err();
    let invalid = (Code::InvalidArgument, "INVALID_FIELDS".to_owned());
    assert_eq!(code_and_reason(&status), invalid);
    let expected = expected.iter().map(ToString::to_string).collect();
    assert_eq!(violations(&status), expected);
}

/// Makes an event that can be true into one that cannot.
type Spoil = fn(&mut v1::Event);

/// Each with the violations it gives.
const SPOILT: &[(Spoil, &[&str])] = &[
    (
        |e| e.event_type = "bought".into(),
        &["event_type: UNKNOWN_NAME"],
    ),
    (|e| e.event_type.clear(), &["event_type: REQUIRED"]),
    (|e| e.event_time = None, &["event_time: REQUIRED"]),
    (
        |e| e.event_time = at(YEAR_9999),
        &["event_time: IN_THE_FUTURE"],
    ),
    (|e| e.event_time = at(YEAR_1900), &["event_time: TOO_OLD"]),
    (
        |e| e.event_time = at(i64::MAX),
        &["event_time: IN_THE_FUTURE"],
    ),
    (|e| e.event_time = at(i64::MIN), &["event_time: TOO_OLD"]),
    (
        |e| e.event_time = at(FIRST_DAY).map(|time| Timestamp { nanos: -1, ..time }),
        &["event_time: BAD_TIME"],
    ),
    (
        |e| e.unit_price = Some(f64::NAN),
        &["unit_price: NOT_A_NUMBER"],
    ),
    (
        |e| e.unit_price = Some(f64::INFINITY),
        &["unit_price: NOT_A_NUMBER"],
    ),
    (|e| e.unit_price = Some(-1.0), &["unit_price: OUT_OF_RANGE"]),
    (
        |e| e.currency_code = "euro".into(),
        &["currency_code: BAD_CURRENCY"],
    ),
    (|e| e.quantity = Some(-1.0), &["quantity: OUT_OF_RANGE"]),
    (|e| e.quantity = Some(0.0), &["quantity: OUT_OF_RANGE"]),
    (|e| e.quantity = Some(f64::NAN), &["quantity: NOT_A_NUMBER"]),
    (|e| e.customer_id.clear(), &["customer_id: REQUIRED"]),
    (
        |e| e.customer_id = "x".repeat(1_000_000),
        &["customer_id: TOO_LONG"],
    ),
    (|e| e.event_id = "a\0b".into(), &["event_id: BAD_CHARACTER"]),
    (|e| e.product_id.clear(), &["product_id: REQUIRED"]),
    (
        |e| e.event_type = "offer_sent".into(),
        &["offer_id: REQUIRED"],
    ),
    (|e| e.rating = Some(5.0), &["rating: NOT_ALLOWED"]),
    (|e| e.event_type = "review".into(), &["rating: REQUIRED"]),
    // all at once
    (
        |e| {
            e.event_type = "bought".into();
            e.quantity = Some(-1.0);
            e.event_time = None;
        },
        &[
            "event_type: UNKNOWN_NAME",
            "quantity: OUT_OF_RANGE",
            "event_time: REQUIRED",
        ],
    ),
];

#[tokio::test]
async fn events_that_cannot_be_true_are_refused_field_by_field() {
    let harness = Harness::start().await;
    let mut client = EventServiceClient::new(harness.channel().await);
    for (spoil, violations) in SPOILT {
        let mut spoilt = event();
        spoil(&mut spoilt);
        let request = v1::WriteEventsRequest {
            events: vec![event(), spoilt],
            validate_only: false,
        };
        let expected: Vec<String> = violations
            .iter()
            .map(|violation| format!("events[1].{violation}"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        faulty(client.write_events(request).await, &expected);
    }
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn batches_have_bounds() {
    let harness = Harness::start().await;
    let mut client = EventServiceClient::new(harness.channel().await);
    let mut write = async |count: usize| {
        let request = v1::WriteEventsRequest {
            events: vec![event(); count],
            validate_only: true,
        };
        client.write_events(request).await
    };
    refused(write(0).await, Code::InvalidArgument, "BATCH_EMPTY");
    refused(
        write(10_001).await,
        Code::InvalidArgument,
        "BATCH_TOO_LARGE",
    );
    assert_eq!(write(10_000).await.unwrap().into_inner().written_count, 0);

    let mut client = CatalogServiceClient::new(harness.channel().await);
    let mut upsert = async |products: Vec<v1::Product>| {
        let request = v1::BatchUpsertProductsRequest {
            products,
            validate_only: true,
        };
        client.batch_upsert_products(request).await
    };
    refused(upsert(vec![]).await, Code::InvalidArgument, "BATCH_EMPTY");
    let many = vec![product(); 1_001];
    refused(upsert(many).await, Code::InvalidArgument, "BATCH_TOO_LARGE");
    let twice = vec![product(), product()];
    faulty(upsert(twice).await, &["products[1].product_id: DUPLICATE"]);

    let mut client = RecommendationServiceClient::new(harness.channel().await);
    let mut ask = async |requests: Vec<v1::RecommendRequest>| {
        client
            .batch_recommend(v1::BatchRecommendRequest { requests })
            .await
    };
    refused(ask(vec![]).await, Code::InvalidArgument, "BATCH_EMPTY");
    let many = vec![v1::RecommendRequest::default(); 1_001];
    refused(ask(many).await, Code::InvalidArgument, "BATCH_TOO_LARGE");
    let bad = v1::RecommendRequest {
        page_size: -1,
        ..v1::RecommendRequest::default()
    };
    let answer = ask(vec![bad]).await.unwrap().into_inner();
    let Some(v1::batch_recommend_result::Result::Error(error)) = &answer.results[0].result else {
        panic!("{answer:?}");
    };
    assert_eq!((error.code, error.reason.as_str()), (3, "INVALID_FIELDS"));
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn oversized_messages_are_refused_packed_and_unpacked() {
    let harness = Harness::start().await;
    let channel = harness.channel().await;
    let large = v1::WriteEventsRequest {
        events: vec![v1::Event {
            search_query: "x".repeat(10_000_000),
            ..event()
        }],
        validate_only: false,
    };
    let plain = EventServiceClient::new(channel.clone());
    let packed = EventServiceClient::new(channel.clone())
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    for mut client in [plain, packed] {
        let answer = client.write_events(large.clone()).await;
        refused(answer, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    }
    // a question is smaller than a batch of questions
    let mut client = RecommendationServiceClient::new(channel);
    let question = v1::RecommendRequest {
        customer_id: "x".repeat(1_000_000),
        ..v1::RecommendRequest::default()
    };
    let answer = client.recommend(question.clone()).await;
    refused(answer, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let answer = client.explain_recommendation(question).await;
    refused(answer, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn products_and_inventory_that_cannot_be_true_are_refused() {
    let harness = Harness::start().await;
    let mut client = CatalogServiceClient::new(harness.channel().await);
    let create = |product| v1::CreateProductRequest {
        product,
        validate_only: false,
    };
    let answer = client.create_product(create(None)).await;
    faulty(answer, &["product: REQUIRED"]);
    let bad = v1::Product {
        product_id: "a\0b".to_owned(),
        price: Some(f64::NEG_INFINITY),
        category_path: vec!["x".to_owned(); 9],
        ..v1::Product::default()
    };
    let answer = client.create_product(create(Some(bad.clone()))).await;
    let expected = [
        "product.product_id: BAD_CHARACTER",
        "product.price: NOT_A_NUMBER",
        "product.category_path: TOO_LONG",
    ];
    faulty(answer, &expected);
    let update = v1::UpdateProductRequest {
        product: Some(product()),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["colour".to_owned()],
        }),
        ..v1::UpdateProductRequest::default()
    };
    let answer = client.update_product(update).await;
    faulty(answer, &["update_mask: UNKNOWN_NAME"]);
    let request = v1::GetProductRequest {
        product_id: "x".repeat(1_000_000),
    };
    faulty(client.get_product(request).await, &["product_id: TOO_LONG"]);
    let request = v1::DeleteProductRequest::default();
    faulty(
        client.delete_product(request).await,
        &["product_id: REQUIRED"],
    );
    let request = v1::SetInventoryRequest {
        product_id: "p1".to_owned(),
        set_time: at(YEAR_9999),
        available: None,
        price: Some(f64::NAN),
    };
    let answer = client.set_inventory(request).await;
    faulty(answer, &["price: NOT_A_NUMBER", "set_time: IN_THE_FUTURE"]);
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn pages_and_their_tokens_are_checked() {
    let harness = Harness::start().await;
    let channel = harness.channel().await;
    let mut catalog = CatalogServiceClient::new(channel.clone());
    let mut list = async |page_size, page_token: &str, filter: &str| {
        let request = v1::ListProductsRequest {
            page_size,
            page_token: page_token.to_owned(),
            filter: filter.to_owned(),
        };
        catalog.list_products(request).await
    };
    let token = nextbest::transport::grpc::page_token::Binding {
        method: "ListProducts",
        fields: &["product.price < 5.0"],
    }
    .token(Some(7));
    faulty(list(-1, "", "").await, &["page_size: OUT_OF_RANGE"]);
    let long = "x".repeat(2_049);
    faulty(list(0, "", &long).await, &["filter: TOO_LONG"]);
    for (token, filter) in [("nonsense", ""), (token.as_str(), "product.price < 6.0")] {
        let answer = list(0, token, filter).await;
        refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    }
    let mut customers = CustomerServiceClient::new(channel.clone());
    let request = v1::ListCustomersRequest {
        page_token: token.clone(),
        filter: "product.price < 5.0".to_owned(),
        ..v1::ListCustomersRequest::default()
    };
    let answer = customers.list_customers(request).await;
    refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let mut events = EventServiceClient::new(channel.clone());
    let mut request = v1::ListEventsRequest {
        page_size: -5,
        ..v1::ListEventsRequest::default()
    };
    let answer = events.list_events(request.clone()).await;
    faulty(
        answer,
        &["customer_id: REQUIRED", "page_size: OUT_OF_RANGE"],
    );
    request.page_size = 0;
    let subject = v1::list_events_request::Subject::CustomerId("c1".to_owned());
    request.subject = Some(subject);
    request.page_token.clone_from(&token);
    let answer = events.list_events(request).await;
    refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let mut models = ModelServiceClient::new(channel.clone());
    let request = v1::ListTrainingRunsRequest {
        page_token: token.clone(),
        page_size: 0,
    };
    let answer = models.list_training_runs(request).await;
    refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let mut recommendations = RecommendationServiceClient::new(channel);
    let request = v1::StreamRecommendationsRequest {
        resume_token: token,
        ..v1::StreamRecommendationsRequest::default()
    };
    let answer = recommendations.stream_recommendations(request).await;
    refused(
        answer.map(drop_stream),
        Code::InvalidArgument,
        "INVALID_PAGE_TOKEN",
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn questions_customers_and_runs_are_checked() {
    let harness = Harness::start().await;
    let channel = harness.channel().await;
    let mut recommendations = RecommendationServiceClient::new(channel.clone());
    let question = v1::RecommendRequest {
        customer_id: "c1".to_owned(),
        visitor_id: "v1".to_owned(),
        context_events: vec![v1::Event::default(); 51],
        exclude_product_ids: vec!["p".to_owned(); 1_001],
        ..v1::RecommendRequest::default()
    };
    let answer = recommendations.recommend(question.clone()).await;
    let expected = [
        "visitor_id: NOT_ALLOWED",
        "context_events: TOO_LONG",
        "exclude_product_ids: TOO_LONG",
    ];
    faulty(answer, &expected);
    let request = v1::StreamRecommendationsRequest {
        customer_stage: "a\nb".to_owned(),
        template: Some(v1::RecommendRequest {
            customer_id: "c1".to_owned(),
            validate_only: true,
            page_size: -1,
            ..v1::RecommendRequest::default()
        }),
        ..v1::StreamRecommendationsRequest::default()
    };
    let answer = recommendations.stream_recommendations(request).await;
    let expected = [
        "customer_stage: BAD_CHARACTER",
        "template.customer_id: NOT_ALLOWED",
        "template.validate_only: NOT_ALLOWED",
        "template.page_size: OUT_OF_RANGE",
    ];
    faulty(answer.map(drop_stream), &expected);

    let mut customers = CustomerServiceClient::new(channel.clone());
    let answer = customers.get_customer(v1::GetCustomerRequest::default());
    faulty(answer.await, &["customer_id: REQUIRED"]);
    let request = v1::IdentifyVisitorRequest {
        visitor_id: "a\0b".to_owned(),
        customer_id: String::new(),
    };
    let answer = customers.identify_visitor(request).await;
    faulty(
        answer,
        &["visitor_id: BAD_CHARACTER", "customer_id: REQUIRED"],
    );
    let request = v1::UpsertCustomerRequest {
        customer_id: "c1".to_owned(),
        traits: [("country".to_owned(), "x".repeat(513))].into(),
        validate_only: true,
    };
    let answer = customers.upsert_customer(request).await;
    faulty(answer, &["traits.country: TOO_LONG"]);
    let answer = customers.erase_customer(v1::EraseCustomerRequest::default());
    faulty(answer.await, &["customer_id: REQUIRED"]);
    let answer = customers.export_customer(v1::ExportCustomerRequest::default());
    faulty(answer.await.map(drop_stream), &["customer_id: REQUIRED"]);

    let mut models = ModelServiceClient::new(channel);
    let request = v1::GetTrainingRunRequest::default();
    let answer = models.get_training_run(request).await;
    faulty(answer, &["training_run_id: REQUIRED"]);
    let request = v1::WatchTrainingRunRequest {
        training_run_id: "no-such-run".to_owned(),
    };
    let answer = models.watch_training_run(request).await.map(drop_stream);
    refused(answer, Code::NotFound, "TRAINING_RUN_NOT_FOUND");
    let request = v1::ActivateModelRevisionRequest {
        model_revision_id: "no-such-revision".to_owned(),
        force: false,
    };
    let answer = models.activate_model_revision(request).await;
    refused(answer, Code::NotFound, "MODEL_REVISION_NOT_FOUND");
    harness.stop().await.unwrap();
}

fn drop_stream<T>(_answer: Response<tonic::Streaming<T>>) -> Response<()> {
    Response::new(())
}

#[tokio::test]
async fn a_faulty_batch_ends_a_bulk_import_and_says_how_far_it_came() {
    let harness = Harness::start().await;
    let mut client = EventServiceClient::new(harness.channel().await);
    let batches = vec![
        v1::StreamEventsRequest {
            events: vec![v1::Event {
                quantity: Some(-1.0),
                ..event()
            }],
        },
        v1::StreamEventsRequest {
            events: vec![event()],
        },
    ];
    let answer = client.stream_events(tokio_stream::iter(batches)).await;
    let status = answer.unwrap_err();
    let invalid = (Code::InvalidArgument, "INVALID_FIELDS".to_owned());
    assert_eq!(code_and_reason(&status), invalid);
    let details = tonic_types::StatusExt::get_error_details(&status);
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!(metadata["batches_written"], "0");
    harness.stop().await.unwrap();
}
