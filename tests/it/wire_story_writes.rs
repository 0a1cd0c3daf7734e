//! What is stored, what is stored once, and what is not stored at all.

use nextbest::proto::v1;
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Response, Status};

use crate::harness::{Clients, Harness, fresh_fold, violations};
use crate::wire_story::{
    about, ago, ask, customer, event, ids, kept, product, refused, shop, write,
};

/// A change that makes an event impossible.
type Spoil = fn(&mut v1::Event);

const SPOILT: &[Spoil] = &[
    |e| e.event_type = "bought".into(),
    |e| e.event_time = None,
    |e| e.event_time = seconds(253_370_764_800),
    |e| e.event_time = seconds(-2_208_988_800),
    |e| e.unit_price = Some(f64::NAN),
    |e| e.unit_price = Some(f64::INFINITY),
    |e| e.unit_price = Some(1.0),
    |e| e.quantity = Some(-1.0),
    |e| e.customer_id = "x".repeat(1_000_000),
    |e| e.product_id = "a\0b".into(),
    |e| e.event_id = "\0".into(),
    |e| e.rating = Some(3.0),
    |e| e.search_query = "lamp".into(),
];

fn seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

#[tokio::test]
async fn the_same_event_is_stored_once() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let named = v1::Event {
        event_id: "e1".to_owned(),
        ..event("purchase", "c1", "p1", 2)
    };
    let other = v1::Event {
        product_id: "p2".to_owned(),
        ..named.clone()
    };
    assert_eq!(
        write(&mut clients, vec![named.clone(), other.clone()]).await,
        (1, 1)
    );
    assert_eq!(write(&mut clients, vec![named.clone()]).await, (0, 1));
    // without an id: equal events of one request are several, the request sent again is not
    let twice = vec![event("page_view", "c1", "", 1); 2];
    assert_eq!(write(&mut clients, twice.clone()).await, (2, 0));
    assert_eq!(write(&mut clients, twice.clone()).await, (0, 2));
    assert_eq!(write(&mut clients, vec![twice[0].clone(); 3]).await, (1, 2));
    let events = kept(&mut clients, "c1").await;
    assert_eq!(events.len(), 4);
    let quantity = Some(1.0);
    assert_eq!(events[0], v1::Event { quantity, ..named });
    assert_eq!(customer(&mut clients, "c1").await.unwrap().event_count, 4);

    let batch = |events| v1::StreamEventsRequest { events };
    let batches = vec![
        batch(twice.clone()),
        batch(vec![event("search", "c2", "", 1)]),
        batch(vec![]),
        batch(vec![event("search", "c3", "", 1)]),
    ];
    let answer = clients
        .events
        .stream_events(tokio_stream::iter(batches))
        .await;
    let status = refused(answer, Code::InvalidArgument, "BATCH_EMPTY");
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(
        details.error_info().unwrap().metadata["batches_written"],
        "2"
    );
    assert_eq!(kept(&mut clients, "c2").await.len(), 1);
    assert!(kept(&mut clients, "c3").await.is_empty());
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn one_bad_event_and_nothing_of_its_batch_is_stored() {
    let (harness, mut clients) = shop().await;
    let end = harness.service.shop.journal.end();
    let good = event("purchase", "atomic", "audio-0", 1);
    for spoil in SPOILT {
        let mut bad = good.clone();
        spoil(&mut bad);
        let request = v1::WriteEventsRequest {
            events: vec![good.clone(), bad, good.clone()],
            validate_only: false,
        };
        let answer = clients.events.write_events(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    }
    let too_many = v1::WriteEventsRequest {
        events: vec![good.clone(); 10_001],
        validate_only: false,
    };
    let answer = clients.events.write_events(too_many).await;
    refused(answer, Code::InvalidArgument, "BATCH_TOO_LARGE");
    let too_large = v1::WriteEventsRequest {
        events: vec![
            good.clone(),
            v1::Event {
                search_query: "x".repeat(10_000_000),
                ..event("search", "atomic", "", 1)
            },
        ],
        validate_only: false,
    };
    let answer = clients.events.write_events(too_large).await;
    refused(answer, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let only_checked = v1::WriteEventsRequest {
        events: vec![good.clone()],
        validate_only: true,
    };
    let answer = clients.events.write_events(only_checked).await.unwrap();
    assert_eq!(answer.into_inner(), v1::WriteEventsResponse::default());

    assert!(kept(&mut clients, "atomic").await.is_empty());
    let unknown = customer(&mut clients, "atomic").await.map(Response::new);
    refused(unknown, Code::NotFound, "CUSTOMER_NOT_FOUND");
    assert_eq!(harness.service.shop.journal.end(), end);
    // and the same events without the bad one are new
    assert_eq!(write(&mut clients, vec![good.clone(), good]).await, (2, 0));
    harness.stop().await.unwrap();
}

async fn products(clients: &mut Clients, filter: &str) -> Vec<String> {
    let mut request = v1::ListProductsRequest {
        page_size: 5,
        filter: filter.to_owned(),
        page_token: String::new(),
    };
    let mut found = Vec::new();
    loop {
        let page = clients
            .catalog
            .list_products(request.clone())
            .await
            .unwrap();
        let page = page.into_inner();
        found.extend(page.products.into_iter().map(|p| p.product_id));
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn bad_products_pages_and_customers_change_nothing() {
    let (harness, mut clients) = shop().await;
    let end = harness.service.shop.journal.end();
    let before = products(&mut clients, "").await;
    assert_eq!(before.len(), 16);
    let spoilt: [fn(&mut v1::Product); 6] = [
        |p| p.price = Some(f64::NAN),
        |p| p.price = Some(-1.0),
        |p| p.currency_code.clear(),
        |p| p.product_id = "x".repeat(1_000_000),
        |p| p.product_id = "a\0b".into(),
        |p| p.attributes = (0..65).map(|i| (format!("k{i}"), "v".to_owned())).collect(),
    ];
    for spoil in spoilt {
        let mut bad = product("bad", 1);
        spoil(&mut bad);
        let request = v1::CreateProductRequest {
            product: Some(bad.clone()),
            validate_only: false,
        };
        let answer = clients.catalog.create_product(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
        let request = v1::BatchUpsertProductsRequest {
            products: vec![product("bad", 0), bad],
            validate_only: false,
        };
        let answer = clients.catalog.batch_upsert_products(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    }
    let request = v1::UpsertCustomerRequest {
        customer_id: "x\0".to_owned(),
        ..v1::UpsertCustomerRequest::default()
    };
    let answer = clients.customers.upsert_customer(request).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    // a page token of another request
    let page = v1::ListProductsRequest {
        page_size: 3,
        ..v1::ListProductsRequest::default()
    };
    let first = clients.catalog.list_products(page.clone()).await.unwrap();
    let other = v1::ListProductsRequest {
        page_token: first.into_inner().next_page_token,
        filter: "true".to_owned(),
        ..page
    };
    let answer = clients.catalog.list_products(other).await;
    refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    assert_eq!(products(&mut clients, "").await, before);
    assert_eq!(harness.service.shop.journal.end(), end);
    harness.stop().await.unwrap();
}

async fn get(clients: &mut Clients, id: &str) -> Result<Response<v1::Product>, Status> {
    let request = v1::GetProductRequest {
        product_id: id.to_owned(),
    };
    clients.catalog.get_product(request).await
}

async fn update(
    clients: &mut Clients,
    product: v1::Product,
    paths: Option<&[&str]>,
) -> Result<v1::Product, Status> {
    let mask = paths.map(|paths| FieldMask {
        paths: paths.iter().map(ToString::to_string).collect(),
    });
    let request = v1::UpdateProductRequest {
        product: Some(product),
        update_mask: mask,
        ..v1::UpdateProductRequest::default()
    };
    let answer = clients.catalog.update_product(request).await;
    answer.map(Response::into_inner)
}

#[tokio::test]
async fn a_product_from_creation_to_deletion() {
    let (harness, mut clients) = shop().await;
    let lamp = v1::Product {
        attributes: [("colour".to_owned(), "red".to_owned())].into(),
        available: Some(true),
        ..product("lamp", 0)
    };
    let create = |validate_only| v1::CreateProductRequest {
        product: Some(lamp.clone()),
        validate_only,
    };
    clients.catalog.create_product(create(true)).await.unwrap();
    refused(
        get(&mut clients, "lamp-0").await,
        Code::NotFound,
        "PRODUCT_NOT_FOUND",
    );
    let made = clients.catalog.create_product(create(false)).await.unwrap();
    assert_eq!(made.into_inner(), lamp);
    let answer = clients.catalog.create_product(create(false)).await;
    refused(answer, Code::AlreadyExists, "PRODUCT_EXISTS");
    assert_eq!(
        get(&mut clients, "lamp-0").await.unwrap().into_inner(),
        lamp
    );
    assert_eq!(
        products(&mut clients, "product.attributes.colour == 'red'").await,
        ["lamp-0"]
    );

    let named = |name: &str| v1::Product {
        product_id: "lamp-0".to_owned(),
        name: name.to_owned(),
        ..v1::Product::default()
    };
    // without a mask, what is set changes; with one, what it names; named and empty is cleared
    let changed = update(&mut clients, named("Desk lamp"), None)
        .await
        .unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.price),
        ("Desk lamp", lamp.price)
    );
    let changed = update(&mut clients, named(""), Some(&["brand", "attributes"]))
        .await
        .unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.brand.as_str()),
        ("Desk lamp", "")
    );
    assert!(changed.attributes.is_empty());
    // a price without its currency is refused, also if the currency is what goes
    let answer = update(&mut clients, named(""), Some(&["currency_code"])).await;
    refused(
        answer.map(Response::new),
        Code::InvalidArgument,
        "INVALID_FIELDS",
    );
    let replaced = update(&mut clients, named("Lamp"), Some(&["*"]))
        .await
        .unwrap();
    assert_eq!((replaced.name.as_str(), replaced.price), ("Lamp", None));
    let missing = v1::Product {
        product_id: "none".to_owned(),
        ..named("x")
    };
    let answer = update(&mut clients, missing.clone(), None)
        .await
        .map(Response::new);
    refused(answer, Code::NotFound, "PRODUCT_NOT_FOUND");
    let request = v1::UpdateProductRequest {
        product: Some(missing),
        allow_missing: true,
        ..v1::UpdateProductRequest::default()
    };
    clients.catalog.update_product(request).await.unwrap();
    assert!(get(&mut clients, "none").await.is_ok());

    let delete = v1::DeleteProductRequest {
        product_id: "lamp-0".to_owned(),
    };
    clients
        .catalog
        .delete_product(delete.clone())
        .await
        .unwrap();
    let answer = clients.catalog.delete_product(delete).await;
    refused(answer, Code::NotFound, "PRODUCT_NOT_FOUND");
    let question = v1::RecommendRequest {
        page_size: 100,
        ..about("c0")
    };
    let answer = ask(&mut clients, question).await;
    assert!(!ids(&answer).contains(&"lamp-0") && ids(&answer).contains(&"none"));
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn the_newest_news_of_stock_wins_whatever_arrives_last() {
    let (harness, mut clients) = shop().await;
    let set = |hours_ago, available, price| v1::SetInventoryRequest {
        product_id: "audio-0".to_owned(),
        set_time: ago(hours_ago),
        available,
        price,
    };
    let mut say = async |request| {
        let answer = clients.catalog.set_inventory(request).await;
        let product = answer.unwrap().into_inner();
        (product.available, product.price)
    };
    assert_eq!(say(set(5, None, Some(8.0))).await, (Some(true), Some(8.0)));
    assert_eq!(
        say(set(2, Some(false), None)).await,
        (Some(false), Some(8.0))
    );
    assert_eq!(
        say(set(3, Some(true), Some(1.0))).await,
        (Some(false), Some(8.0))
    );
    let question = v1::RecommendRequest {
        page_size: 100,
        ..about("c0")
    };
    assert!(!ids(&ask(&mut clients, question.clone()).await).contains(&"audio-0"));
    let back = clients
        .catalog
        .set_inventory(set(1, Some(true), None))
        .await;
    assert_eq!(back.unwrap().into_inner().available, Some(true));
    assert!(ids(&ask(&mut clients, question).await).contains(&"audio-0"));
    let nothing = clients.catalog.set_inventory(set(1, None, None)).await;
    refused(nothing, Code::InvalidArgument, "INVALID_FIELDS");
    // a price without a currency says nothing
    let plain = v1::Product {
        product_id: "plain".to_owned(),
        ..v1::Product::default()
    };
    let request = v1::CreateProductRequest {
        product: Some(plain),
        validate_only: false,
    };
    clients.catalog.create_product(request).await.unwrap();
    let of_plain = |available, price| v1::SetInventoryRequest {
        product_id: "plain".to_owned(),
        ..set(1, available, price)
    };
    let answer = clients
        .catalog
        .set_inventory(of_plain(None, Some(8.0)))
        .await;
    let status = refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(
        violations(&status),
        ["price: NOT_ALLOWED".to_owned()].into()
    );
    let answer = clients
        .catalog
        .set_inventory(of_plain(Some(false), None))
        .await;
    let stored = answer.unwrap().into_inner();
    assert_eq!((stored.available, stored.price), (Some(false), None));
    let unknown = v1::SetInventoryRequest {
        product_id: "nothing".to_owned(),
        ..set(1, Some(true), None)
    };
    let answer = clients.catalog.set_inventory(unknown).await;
    refused(answer, Code::NotFound, "PRODUCT_NOT_FOUND");
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}
