//! Places in long lists: who reads page by page, or a stream that broke, meets everybody once, also if somebody is
//! erased meanwhile and numbers change.

use nextbest::proto::v1;
use tokio_stream::StreamExt as _;

use crate::harness::{Clients, Harness};
use crate::wire_story::{CUSTOMERS, event, product, shop, write};

async fn erase(harness: &Harness, clients: &mut Clients, ids: &[&str]) {
    for id in ids {
        let request = v1::EraseCustomerRequest {
            customer_id: (*id).to_owned(),
        };
        let erased = clients.customers.erase_customer(request).await.unwrap();
        assert!(erased.into_inner().erased_record_count > 0);
    }
    harness.folded_anew().await;
}

/// The customers but these.
fn all_but(gone: &[&str]) -> Vec<String> {
    let all = (0..CUSTOMERS).map(|number| format!("c{number}"));
    all.filter(|id| !gone.contains(&id.as_str())).collect()
}

/// The ids of a page of customers, and the token of the next one.
async fn customers(clients: &mut Clients, size: i32, token: &str) -> (Vec<String>, String) {
    let request = v1::ListCustomersRequest {
        page_size: size,
        page_token: token.to_owned(),
        ..v1::ListCustomersRequest::default()
    };
    let page = clients.customers.list_customers(request).await.unwrap();
    let page = page.into_inner();
    let ids = page.customers.into_iter().map(|c| c.customer_id).collect();
    (ids, page.next_page_token)
}

#[tokio::test]
async fn a_list_of_customers_keeps_its_place_when_somebody_is_erased() {
    let (harness, mut clients) = shop().await;
    let (mut found, token) = customers(&mut clients, 5, "").await;
    // somebody who was read, the last one who was read, the next one, and a later one
    let gone = ["c1", "c4", "c5", "c9"];
    erase(&harness, &mut clients, &gone).await;
    let (more, token) = customers(&mut clients, 5, &token).await;
    assert_eq!(more, ["c6", "c7", "c8", "c10", "c11"]);
    found.extend(more);
    erase(&harness, &mut clients, &["c0"]).await;
    found.extend(customers(&mut clients, 100, &token).await.0);
    assert_eq!(found, all_but(&["c5", "c9"]), "each once");
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_broke_keeps_its_place_when_somebody_is_erased() {
    let (harness, mut clients) = shop().await;
    let template = v1::RecommendRequest {
        page_size: 1,
        ..v1::RecommendRequest::default()
    };
    let mut request = v1::StreamRecommendationsRequest {
        template: Some(template),
        ..v1::StreamRecommendationsRequest::default()
    };
    let mut found = Vec::new();
    for (read, gone) in [
        (8, &["c2", "c7", "c8"][..]),
        (2, &["c0", "c10"]),
        (100, &[]),
    ] {
        let answers = clients
            .recommendations
            .stream_recommendations(request.clone())
            .await;
        let mut answers = answers.unwrap().into_inner().take(read);
        while let Some(answer) = answers.next().await {
            let answer = answer.unwrap();
            found.push(answer.customer_id);
            request.resume_token = answer.resume_token;
        }
        erase(&harness, &mut clients, gone).await;
    }
    assert_eq!(found, all_but(&["c8"]), "each once");
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_list_of_products_keeps_its_place_when_somebody_is_erased() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    // products that events spoke of before they came into the catalog
    for (who, number) in [("early", 9), ("early", 8), ("other", 7)] {
        let id = format!("lamp-{number}");
        write(&mut clients, vec![event("view_item", who, &id, 1)]).await;
    }
    let request = v1::BatchUpsertProductsRequest {
        products: (0..10).map(|number| product("lamp", number)).collect(),
        validate_only: false,
    };
    clients
        .catalog
        .batch_upsert_products(request)
        .await
        .unwrap();
    let mut page = async |size: i32, token: &str| {
        let request = v1::ListProductsRequest {
            page_size: size,
            page_token: token.to_owned(),
            ..v1::ListProductsRequest::default()
        };
        let page = clients.catalog.list_products(request).await.unwrap();
        let page = page.into_inner();
        let ids = page.products.into_iter().map(|p| p.product_id);
        (ids.collect::<Vec<_>>(), page.next_page_token)
    };
    let (mut found, token) = page(4, "").await;
    let mut other = harness.clients().await;
    erase(&harness, &mut other, &["early"]).await;
    let request = v1::DeleteProductRequest {
        product_id: "lamp-2".to_owned(),
    };
    other.catalog.delete_product(request).await.unwrap();
    found.extend(page(100, &token).await.0);
    let all: Vec<String> = (0..10).map(|number| format!("lamp-{number}")).collect();
    assert_eq!(found, all, "each once");
    // out of the catalog and into it again: the last one
    let request = v1::CreateProductRequest {
        product: Some(product("lamp", 2)),
        validate_only: false,
    };
    other.catalog.create_product(request).await.unwrap();
    let (all, token) = page(100, "").await;
    assert_eq!(
        (all.len(), all[9].as_str(), token.as_str()),
        (10, "lamp-2", "")
    );
    harness.stop().await.unwrap();
}
