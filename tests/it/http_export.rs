//! Everybody's answers over HTTP: as CSV and as lines of JSON, whole, broken off and taken up again.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use nextbest::application::recipes::{Recipes, embedded_files};
use nextbest::proto::v1;
use nextbest::transport::grpc::limits::Limits;
use nextbest::transport::http::limits::HttpLimits;
use serde_json::Value;

use crate::harness::Harness;
use crate::http_client::{HttpFace, connect, get};
use crate::wire_decisions::limited;
use crate::wire_offers::usage;
use crate::wire_story::{CUSTOMERS, about, ask, event, shop, write};
use crate::wire_story_offers::create;

fn table(body: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(body);
    let row = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    let head = row(reader.headers().unwrap().clone());
    (
        head,
        reader
            .records()
            .map(|record| row(record.unwrap()))
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_exported_once_in_both_formats() {
    let (harness, mut clients) = shop().await;
    // an id that must be quoted
    write(
        &mut clients,
        vec![event("view_item", "a \"b\", c", "audio-1", 1)],
    )
    .await;
    create(&mut clients, limited(5)).await.unwrap();
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let path = "/v1/recommendations:export?max_products=2&max_offers=1&placement=email";
    let csv = get(face.addr, &format!("{path}&format=csv")).await;
    assert_eq!(
        (csv.code, csv.header("content-type")),
        (200, "text/csv; charset=utf-8")
    );
    assert_eq!(csv.header("cache-control"), "no-store");
    let (head, rows) = table(&csv.body);
    let expected = "customer_id,stage,product_1,product_2,offer_1,reservation_1,attribution_token,resume_token";
    assert_eq!(head.join(","), expected);
    assert_eq!(rows.len(), CUSTOMERS + 1);
    assert_eq!(rows[CUSTOMERS][0], "a \"b\", c");
    // the budget is for five, and the same five have it when they are asked again
    let with_offer: Vec<&String> = rows
        .iter()
        .filter(|r| r[4] == "limited")
        .map(|r| &r[0])
        .collect();
    assert_eq!(with_offer.len(), 5);
    assert_eq!(usage(&mut clients, "limited").await.reserved_units, 5);
    let lines = get(face.addr, path).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = lines
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(&rows) {
        assert_eq!(line["customerId"], row[0]);
        let answer = &line["response"];
        assert_eq!(answer["stage"]["stage"], row[1]);
        assert_eq!(answer["products"][0]["productId"], row[2]);
        let reservation = &answer["offers"][0]["reservationId"];
        assert_eq!(reservation.as_str().unwrap_or_default(), row[5]);
    }
    let question = v1::RecommendRequest {
        page_size: 2,
        placement: "email".to_owned(),
        ..about("c3")
    };
    let one = ask(&mut clients, question).await;
    let row = rows.iter().find(|row| row[0] == "c3").unwrap();
    assert_eq!(
        [&one.products[0].product_id, &one.products[1].product_id],
        [&row[2], &row[3]]
    );

    // from the last row that came
    let token = &rows[7][7];
    let more = get(
        face.addr,
        &format!("{path}&format=csv&resume_token={token}"),
    )
    .await;
    let (_, more) = table(&more.body);
    let ids = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&more), ids(&rows[8..]));
    let other = get(
        face.addr,
        &format!("{path}&strict=true&resume_token={token}"),
    )
    .await;
    assert_eq!((other.code, &*other.reason()), (400, "INVALID_PAGE_TOKEN"));
    let some =
        "/v1/recommendations:export?format=csv&customer_filter=customer.order_count+%3D%3D+0";
    assert_eq!(table(&get(face.addr, some).await.body).1.len(), 1);
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_of_the_journey_is_exported() {
    let mut files = embedded_files();
    let journey = files.iter_mut().find(|f| f.name == "journey.toml").unwrap();
    journey.text.push_str(
        "\n[[segment]]\nname = \"regulars\"\nexpression = \"customer.order_count >= 2\"\n",
    );
    let recipes = Recipes::parse(&files).unwrap();
    let harness = Harness::start_by(Limits::default(), &recipes).await;
    harness.set_ready(true);
    let mut clients = harness.clients().await;
    let mut events = Vec::new();
    for (customer, orders) in [("once", 1), ("twice", 2), ("often", 5)] {
        events.extend((0..orders).map(|n| event("purchase", customer, "p", 24 * (n + 1))));
    }
    write(&mut clients, events).await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let path = "/v1/recommendations:export?format=csv&segment=regulars";
    let ids = |body: &[u8]| {
        let rows = table(body).1.into_iter();
        rows.map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&get(face.addr, path).await.body), ["twice", "often"]);
    let both = format!("{path}&customer_filter=customer.order_count+%3C+3");
    assert_eq!(ids(&get(face.addr, &both).await.body), ["twice"]);
    let refused = get(face.addr, "/v1/recommendations:export?segment=regular").await;
    assert_eq!(refused.violations(), ["segment: UNKNOWN_NAME"]);
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_gives_its_place_back_and_sees_that_it_is_not_whole() {
    let (harness, mut clients) = shop().await;
    let events = (0..3_000).map(|n| event("view_item", &format!("many-{n}"), "audio-1", 1));
    write(&mut clients, events.collect()).await;
    let limits = HttpLimits {
        exports: 1,
        stalled: Duration::from_millis(400),
        ..HttpLimits::default()
    };
    let face = HttpFace::start(&harness, limits).await;
    let path = "/v1/recommendations:export?max_products=20";
    let mut client = connect(face.addr).await;
    let request = Request::get(path).header("host", "x");
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let mut stalled = client.send_request(request).await.unwrap();
    let first = stalled.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!first.is_empty());
    let refused = get(face.addr, path).await;
    assert_eq!((refused.code, &*refused.reason()), (429, "OVERLOADED"));
    // nothing is read for so long that the place is given up
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let whole = get(face.addr, path).await;
    assert_eq!(whole.code, 200);
    assert_eq!(
        whole.body.iter().filter(|b| **b == b'\n').count(),
        CUSTOMERS + 3_000
    );
    let mut read = first.len();
    let end = loop {
        match stalled.frame().await {
            Some(Ok(frame)) => read += frame.into_data().map_or(0, |data| data.len()),
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(read < whole.body.len());
    assert!(
        end.is_some(),
        "what was cut off does not end like what is whole"
    );
    face.stop().await;
    harness.stop().await.unwrap();
}
