//! Stories over a real socket: a small shop, and what it answers to whom.

use std::time::{SystemTime, UNIX_EPOCH};

use nextbest::proto::v1;
use prost_types::Timestamp;
use tonic::{Code, Response, Status};

use crate::harness::{Clients, Harness, code_and_reason, violations};

/// How many customers the shop has; the even ones buy audio, the odd ones garden.
pub(crate) const CUSTOMERS: usize = 20;
/// How many orders each of them made, the last one eight days ago.
pub(crate) const ORDERS: usize = 5;
const HOUR_S: i64 = 3_600;

/// So many hours ago.
pub(crate) fn ago(hours: i64) -> Option<Timestamp> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(Timestamp {
        seconds: i64::try_from(now.as_secs()).unwrap() - hours * HOUR_S,
        nanos: 0,
    })
}

/// A product of a kind, by its number.
pub(crate) fn product(kind: &str, number: usize) -> v1::Product {
    v1::Product {
        product_id: format!("{kind}-{number}"),
        name: format!("{kind} {number}"),
        category_path: vec!["Shop".to_owned(), kind.to_owned()],
        brand: if number.is_multiple_of(2) {
            "Acme"
        } else {
            "Other"
        }
        .to_owned(),
        price: Some(10.0 * (number + 1) as f64),
        currency_code: "EUR".to_owned(),
        ..v1::Product::default()
    }
}

/// Something a customer did with a product.
pub(crate) fn event(kind: &str, customer: &str, product: &str, hours_ago: i64) -> v1::Event {
    v1::Event {
        event_type: kind.to_owned(),
        event_time: ago(hours_ago),
        customer_id: customer.to_owned(),
        product_id: product.to_owned(),
        ..v1::Event::default()
    }
}

/// What the customers of the shop did.
pub(crate) fn history() -> Vec<v1::Event> {
    let mut events = Vec::new();
    for order in 0..ORDERS {
        let hours_ago = 24 * 8 * (ORDERS - order) as i64 + 1;
        for customer in 0..CUSTOMERS {
            let kind = ["audio", "garden"][customer % 2];
            let id = format!("c{customer}");
            // the last two are not recommendable: out of stock, and not in the catalog
            let bought = [
                format!("{kind}-{}", (customer / 2 + order) % 4),
                "audio-off".to_owned(),
                "ghost".to_owned(),
            ];
            for product in &bought {
                for (step, before) in [("view_item", 1), ("purchase", 0)] {
                    events.push(v1::Event {
                        event_id: format!("{step}-{customer}-{order}-{product}"),
                        ..event(step, &id, product, hours_ago + before)
                    });
                }
            }
        }
    }
    events
}

/// Writes events and says how many were new and how many were known.
pub(crate) async fn write(clients: &mut Clients, events: Vec<v1::Event>) -> (i32, i32) {
    let request = v1::WriteEventsRequest {
        events,
        validate_only: false,
    };
    let answer = clients.events.write_events(request).await.unwrap();
    let answer = answer.into_inner();
    (answer.written_count, answer.duplicate_count)
}

/// A service with a small shop in it.
pub(crate) async fn shop() -> (Harness, Clients) {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let mut products: Vec<v1::Product> = ["audio", "garden"]
        .into_iter()
        .flat_map(|kind| (0..6).map(move |number| product(kind, number)))
        .collect();
    products.extend((0..3).map(|number| product("new", number)));
    products.push(v1::Product {
        product_id: "audio-off".to_owned(),
        available: Some(false),
        ..product("audio", 9)
    });
    let request = v1::BatchUpsertProductsRequest {
        products,
        validate_only: false,
    };
    let answer = clients.catalog.batch_upsert_products(request).await;
    assert_eq!(answer.unwrap().into_inner().written_count, 16);
    let events = history();
    let count = i32::try_from(events.len()).unwrap();
    assert_eq!(write(&mut clients, events).await, (count, 0));
    (harness, clients)
}

/// A question about a customer.
pub(crate) fn about(customer: &str) -> v1::RecommendRequest {
    v1::RecommendRequest {
        customer_id: customer.to_owned(),
        ..v1::RecommendRequest::default()
    }
}

/// The answer to a question that can be answered.
pub(crate) async fn ask(
    clients: &mut Clients,
    question: v1::RecommendRequest,
) -> v1::RecommendResponse {
    let answer = clients.recommendations.recommend(question).await;
    let answer = answer.unwrap().into_inner();
    assert!(answer.products.iter().all(|p| p.score.is_finite()));
    let ranks = answer.products.iter().map(|p| p.rank);
    assert!(ranks.eq(1..=i32::try_from(answer.products.len()).unwrap()));
    answer
}

/// The ids of an answer.
pub(crate) fn ids(answer: &v1::RecommendResponse) -> Vec<&str> {
    let products = answer.products.iter();
    products.map(|p| p.product_id.as_str()).collect()
}

/// Every event that is kept of a customer, page by page.
pub(crate) async fn kept(clients: &mut Clients, customer: &str) -> Vec<v1::Event> {
    let subject = v1::list_events_request::Subject::CustomerId(customer.to_owned());
    let mut request = v1::ListEventsRequest {
        subject: Some(subject),
        page_size: 7,
        ..v1::ListEventsRequest::default()
    };
    let mut events = Vec::new();
    loop {
        let page = clients.events.list_events(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert!(page.events.len() <= 7);
        events.extend(page.events);
        if page.next_page_token.is_empty() {
            return events;
        }
        request.page_token = page.next_page_token;
    }
}

/// What is known of a customer.
pub(crate) async fn customer(clients: &mut Clients, id: &str) -> Result<v1::Customer, Status> {
    let subject = v1::get_customer_request::Subject::CustomerId(id.to_owned());
    let request = v1::GetCustomerRequest {
        subject: Some(subject),
    };
    let answer = clients.customers.get_customer(request).await;
    answer.map(Response::into_inner)
}

/// A call that must be refused, and how.
pub(crate) fn refused<T: std::fmt::Debug>(
    answer: Result<Response<T>, Status>,
    code: Code,
    reason: &str,
) -> Status {
    let status = answer.unwrap_err();
    assert_eq!(code_and_reason(&status), (code, reason.to_owned()));
    status
}

#[tokio::test]
async fn nobody_is_an_error_not_even_in_an_empty_shop() {
    let questions = [
        v1::RecommendRequest::default(),
        about("stranger"),
        v1::RecommendRequest {
            visitor_id: "stranger".to_owned(),
            ..v1::RecommendRequest::default()
        },
    ];
    let empty = Harness::start().await;
    let mut clients = empty.clients().await;
    for question in questions.clone() {
        let answer = ask(&mut clients, question).await;
        assert!(answer.products.is_empty() && answer.fallback);
        assert_eq!(answer.stage.unwrap().stage, "awareness");
    }
    // a product that nobody has ever looked at is better than nothing
    let request = v1::CreateProductRequest {
        product: Some(product("audio", 0)),
        validate_only: false,
    };
    clients.catalog.create_product(request).await.unwrap();
    let answer = ask(&mut clients, questions[0].clone()).await;
    assert_eq!(ids(&answer), ["audio-0"]);
    assert!(answer.fallback && answer.products[0].fallback);
    empty.stop().await.unwrap();

    let (harness, mut clients) = shop().await;
    for question in questions {
        let answer = ask(&mut clients, question).await;
        assert_eq!(answer.products.len(), 10);
        assert!(answer.fallback && answer.products.iter().all(|p| p.fallback));
        assert!(answer.products.iter().all(|p| !p.reasons.is_empty()));
        assert!(!ids(&answer).contains(&"audio-off") && !ids(&answer).contains(&"ghost"));
    }
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_known_customer_gets_their_own_with_reasons_and_a_stage() {
    let (harness, mut clients) = shop().await;
    for (who, kind) in [("c0", "audio"), ("c1", "garden")] {
        let answer = ask(&mut clients, about(who)).await;
        let first = &answer.products[0];
        assert!(first.product_id.starts_with(kind), "{first:?}");
        assert!(!first.fallback && first.reasons.len() <= 3);
        let codes: Vec<&str> = first.reasons.iter().map(|r| r.code.as_str()).collect();
        assert!(codes.contains(&"BOUGHT_BEFORE"), "{codes:?}");
        assert!(first.reasons.iter().all(|reason| !reason.text.is_empty()));
        let stage = answer.stage.unwrap();
        assert_eq!(
            (stage.stage.as_str(), stage.named_by_caller),
            ("retention", false)
        );
        assert!(stage.since.is_some());
        assert!((1..=5).contains(&stage.evidence.len()));
        let bought = |e: &v1::StageEvidence| e.event_type == "purchase" && !e.from_request;
        assert!(stage.evidence.iter().all(bought));
        // the same question, the same answer
        assert_eq!(
            ask(&mut clients, about(who)).await.products,
            answer.products
        );
    }
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_named_stage_is_answered_for_and_an_unknown_one_refused() {
    let (harness, mut clients) = shop().await;
    let mut question = about("c0");
    for name in [
        "awareness",
        "consideration",
        "decision",
        "purchase",
        "retention",
        "advocacy",
    ] {
        question.stage = name.to_owned();
        let stage = ask(&mut clients, question.clone()).await.stage.unwrap();
        assert_eq!((stage.stage.as_str(), stage.named_by_caller), (name, true));
        assert!(stage.since.is_none() && stage.evidence.is_empty());
    }
    question.stage = "no-such-stage".to_owned();
    let answer = clients.recommendations.recommend(question).await;
    let status = refused(answer, Code::InvalidArgument, "UNKNOWN_STAGE");
    assert_eq!(
        violations(&status),
        ["stage: UNKNOWN_NAME".to_owned()].into()
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_place_of_awareness_explores_what_is_new() {
    let (harness, mut clients) = shop().await;
    for number in 0..5 {
        let request = v1::CreateProductRequest {
            product: Some(product("unseen", number)),
            validate_only: false,
        };
        clients.catalog.create_product(request).await.unwrap();
    }
    let mut explored = 0;
    // each placement draws anew; that none of them explores has a probability of 10⁻¹⁸
    for number in 0..400 {
        let question = v1::RecommendRequest {
            stage: "awareness".to_owned(),
            placement: format!("place-{number}"),
            page_size: 4,
            ..about("c0")
        };
        let answer = ask(&mut clients, question).await;
        let (last, others) = answer.products.split_last().unwrap();
        assert!(others.len() == 3 && others.iter().all(|p| p.probability >= 1.0));
        if last.source == "exploration" {
            explored += 1;
            assert!(last.probability > 0.0 && last.probability <= 0.1 / 5.0 + 1e-9);
            assert_eq!(last.reasons[0].code, "NEW_IN_SHOP");
        } else {
            assert!((last.probability - 0.9).abs() < 1e-9, "{last:?}");
        }
    }
    assert!((1..200).contains(&explored), "{explored} of 400");
    let calm = v1::RecommendRequest {
        stage: "retention".to_owned(),
        ..about("c0")
    };
    let answer = ask(&mut clients, calm).await;
    assert!(answer.products.iter().all(|p| p.probability >= 1.0));
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn context_changes_answer_and_stage_and_is_not_stored() {
    let (harness, mut clients) = shop().await;
    let plain = ask(&mut clients, about("c0")).await;
    let before = (
        kept(&mut clients, "c0").await,
        customer(&mut clients, "c0").await.unwrap(),
    );
    let context = |kind: &str, time| v1::Event {
        event_type: kind.to_owned(),
        event_time: time,
        product_id: "garden-5".to_owned(),
        ..v1::Event::default()
    };
    for (kind, stage) in [("view_item", "consideration"), ("add_to_cart", "decision")] {
        // it counts as if it had just happened, whatever time it names
        for time in [None, ago(24 * 300), ago(-23)] {
            let question = v1::RecommendRequest {
                context_events: vec![context(kind, time)],
                ..about("c0")
            };
            let live = ask(&mut clients, question).await;
            assert_ne!(ids(&live), ids(&plain));
            let found = live.stage.unwrap();
            assert_eq!(found.stage, stage);
            assert!(found.since.is_some());
            assert_eq!(found.evidence.len(), 1, "{found:?}");
            let evidence = &found.evidence[0];
            assert!(evidence.from_request && evidence.event_type == kind);
            assert_eq!(evidence.product_id, "garden-5");
        }
    }
    // of somebody unknown, too
    let question = v1::RecommendRequest {
        context_events: vec![context("view_item", None)],
        ..v1::RecommendRequest::default()
    };
    let live = ask(&mut clients, question).await;
    assert_eq!(live.stage.unwrap().stage, "consideration");
    let after = (
        kept(&mut clients, "c0").await,
        customer(&mut clients, "c0").await.unwrap(),
    );
    assert_eq!(before, after);
    assert_eq!(ids(&ask(&mut clients, about("c0")).await), ids(&plain));
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn the_caller_says_what_may_be_shown() {
    let (harness, mut clients) = shop().await;
    let all = v1::RecommendRequest {
        page_size: 100,
        ..about("c0")
    };
    let whole = ask(&mut clients, all.clone()).await;
    assert_eq!(whole.products.len(), 15);
    assert!(!ids(&whole).contains(&"audio-off") && !ids(&whole).contains(&"ghost"));
    let best = whole.products[0].product_id.clone();

    let mut question = all.clone();
    question.filter = "product.price <= 20.0 && customer.order_count > 0".to_owned();
    let cheap = ask(&mut clients, question.clone()).await;
    assert_eq!(cheap.products.len(), 6, "{cheap:?}");
    assert!(
        ids(&cheap)
            .iter()
            .all(|id| id.ends_with("-0") || id.ends_with("-1"))
    );
    question.filter = "request.placement == 'cart'".to_owned();
    assert!(
        ask(&mut clients, question.clone())
            .await
            .products
            .is_empty()
    );
    question.placement = "cart".to_owned();
    assert_eq!(ask(&mut clients, question).await.products.len(), 15);

    let mut question = all.clone();
    question.boost = "product.brand == 'Other' ? 100.0 : 0.01".to_owned();
    let boosted = ask(&mut clients, question).await;
    let first = boosted.products[0].product_id.as_bytes();
    assert_eq!((first[first.len() - 1] - b'0') % 2, 1, "{boosted:?}");

    let mut question = all.clone();
    question.exclude_product_ids = vec![best.clone(), "never-heard-of".to_owned()];
    question.filter = format!("product.id == '{best}'");
    assert!(
        ask(&mut clients, question.clone())
            .await
            .products
            .is_empty()
    );
    question.filter.clear();
    let rest = ask(&mut clients, question).await;
    assert_eq!(rest.products.len(), 14);
    assert!(!ids(&rest).contains(&best.as_str()));

    let mut question = all.clone();
    question.exclude_bought = true;
    let unknown = ask(&mut clients, question).await;
    // c0 bought audio-0 to audio-3
    assert_eq!(unknown.products.len(), 11);
    assert!(
        ids(&unknown)
            .iter()
            .all(|id| !["audio-0", "audio-3"].contains(id))
    );

    let mut question = all.clone();
    question.strict = true;
    let strict = ask(&mut clients, question).await;
    assert!(strict.products.len() < 15 && strict.products.iter().all(|p| !p.fallback));
    let fillers = whole.products.iter().filter(|p| p.fallback);
    assert_eq!(strict.products.len() + fillers.count(), 15);

    for (size, expected) in [(0, 10), (1, 1), (7, 7), (i32::MAX, 15)] {
        let mut question = all.clone();
        question.page_size = size;
        assert_eq!(ask(&mut clients, question).await.products.len(), expected);
    }
    let mut question = all;
    question.validate_only = true;
    assert!(ask(&mut clients, question).await.products.is_empty());
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn expressions_that_cannot_be_used_are_refused_and_harm_nobody() {
    let (harness, mut clients) = shop().await;
    let faulty = [
        "1 +".to_owned(),
        "product.price".to_owned(),
        "'yes'".to_owned(),
        "product.prize < 5.0".to_owned(),
        "shop.open".to_owned(),
        "product.price < '5'".to_owned(),
        "nonsense(product)".to_owned(),
        "[1, 2].all(a, [1, 2].all(b, a < b))".to_owned(),
        "1 / 0 == 1".to_owned(),
        "(-9223372036854775807 - 1) / -1 == 1".to_owned(),
        "9223372036854775807 + 1 == 0".to_owned(),
        format!("{}true{}", "(".repeat(1_000), ")".repeat(1_000)),
        format!("{}1", "[".repeat(2_000)),
        format!("{}true", "!".repeat(2_044)),
        format!("{}1", "-".repeat(2_047)),
        format!("1{}", "+1".repeat(1_000)),
        format!("product{}", ".id".repeat(680)),
        "true ? ".repeat(290),
        "\u{0}".to_owned(),
    ];
    for expression in faulty {
        let question = v1::RecommendRequest {
            filter: expression.clone(),
            ..about("c0")
        };
        let answer = clients.recommendations.recommend(question).await;
        let start: String = expression.chars().take(40).collect();
        match answer {
            // an even number of negations is an expression
            Ok(_) => assert!(expression.starts_with('!'), "{start}"),
            Err(status) => {
                let expected = (Code::InvalidArgument, "INVALID_EXPRESSION".to_owned());
                assert_eq!(code_and_reason(&status), expected, "{start}: {status:?}");
                assert_eq!(violations(&status), ["filter: MALFORMED".to_owned()].into());
            }
        }
    }
    for boost in ["'a'", "0.0", "1e9", "0.0 / 0.0", "true", "1 +"] {
        let question = v1::RecommendRequest {
            boost: boost.to_owned(),
            ..about("c0")
        };
        let answer = clients.recommendations.recommend(question).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_EXPRESSION");
        assert_eq!(violations(&status), ["boost: MALFORMED".to_owned()].into());
    }
    assert_eq!(ask(&mut clients, about("c0")).await.products.len(), 10);
    harness.stop().await.unwrap();
}
