//! Stories over HTTP: questions of templates, caches, and what a fetch is not.

use std::collections::BTreeSet;

use http::Request;
use nextbest::proto::v1;
use nextbest::store::{Failure, Faults, MemoryJournal, Step};
use nextbest::transport::http::limits::HttpLimits;
use serde_json::json;

use crate::http_client::{HttpFace, connect, get, post, send};
use crate::service_kill::Process;
use crate::wire_decisions::{catalog, limited, timed};
use crate::wire_offers::usage;
use crate::wire_story::{about, ask, shop};
use crate::wire_story_offers::create;

#[tokio::test]
async fn a_url_and_a_body_ask_what_grpc_asks() {
    let (harness, mut clients) = shop().await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let question = v1::RecommendRequest {
        placement: "email".to_owned(),
        page_size: 3,
        exclude_product_ids: vec!["audio-1".to_owned()],
        ..about("c0")
    };
    let expected = ask(&mut clients, question).await;
    let path = "/v1/recommendations?customer_id=c0&placement=email&max_products=3\
                &exclude_product_id=audio-1";
    let by_url = get(face.addr, path).await;
    assert_eq!(by_url.code, 200);
    assert_eq!(by_url.header("content-type"), "application/json");
    assert_eq!(by_url.header("cache-control"), "no-store");
    let body = json!({"customer_id": "c0", "placement": "email", "pageSize": 3,
                      "excludeProductIds": ["audio-1"]});
    let by_body = post(face.addr, "/v1/recommendations", body.to_string()).await;
    assert_eq!(by_body.code, 200);
    for answer in [by_url.json(), by_body.json()] {
        let ids = answer["products"].as_array().unwrap().iter();
        let ids: Vec<&str> = ids.map(|p| p["productId"].as_str().unwrap()).collect();
        let expected_ids = expected.products.iter().map(|p| p.product_id.as_str());
        assert!(expected_ids.eq(ids.iter().copied()), "{ids:?}");
        assert_eq!(
            answer["stage"]["stage"],
            expected.stage.as_ref().unwrap().stage
        );
        // a template may ask for a field that has its default
        assert_eq!(
            (&answer["offers"], &answer["strict"]),
            (&json!([]), &json!(null))
        );
        assert_eq!(answer["decisionNotKept"], json!(false));
    }
    // what is looked at right now counts
    let path = "/v1/recommendations?visitor_id=new&context_product_id=garden-1&max_products=1";
    let seen = get(face.addr, path).await.json();
    assert!(
        seen["products"][0]["productId"]
            .as_str()
            .unwrap()
            .starts_with("garden"),
        "{seen}"
    );
    // somebody unknown, and nobody
    for query in ["?customer_id=stranger", ""] {
        let answer = get(face.addr, &format!("/v1/recommendations{query}")).await;
        assert_eq!(
            (answer.code, &answer.json()["fallback"]),
            (200, &json!(true))
        );
        assert_eq!(answer.header("nextbest-fallback"), "");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(face.addr, path).await.code, 200);
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_at_once() {
    let (harness, _) = shop().await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let long = "x".repeat(129);
    let query = format!(
        "custmer_id=a&customer_id=a%00b&decision_key={long}&max_products=0&stage={long}&timeout_ms=x"
    );
    let refused = get(face.addr, &format!("/v1/recommendations?{query}")).await;
    assert_eq!(
        (refused.code, refused.reason()),
        (400, "INVALID_FIELDS".to_owned())
    );
    assert_eq!(refused.json()["error"]["status"], "INVALID_ARGUMENT");
    assert_eq!(
        refused.violations(),
        [
            "custmer_id: UNKNOWN_NAME",
            "customer_id: BAD_CHARACTER",
            "decision_key: TOO_LONG",
            "max_products: OUT_OF_RANGE",
            "stage: TOO_LONG",
            "timeout_ms: MALFORMED",
        ]
    );
    let cases = [
        ("/v1/recommendations?stage=sleep", 400, "UNKNOWN_STAGE"),
        (
            "/v1/recommendations?filter=1+%2B",
            400,
            "INVALID_EXPRESSION",
        ),
        ("/v1/recommendations?decision_key=k", 400, "INVALID_FIELDS"),
        (
            "/v1/recommendations:export?format=xml",
            400,
            "INVALID_FIELDS",
        ),
        (
            "/v1/recommendations:export?segment=none",
            400,
            "INVALID_FIELDS",
        ),
        (
            "/v1/recommendations:export?resume_token=x",
            400,
            "INVALID_PAGE_TOKEN",
        ),
        (
            "/v1/recommendations:export?customer_filter=1+%2B",
            400,
            "INVALID_EXPRESSION",
        ),
        ("/v2/recommendations", 404, "METHOD_NOT_FOUND"),
        ("/dashboard.html", 404, "METHOD_NOT_FOUND"),
        ("/v1/events", 405, "METHOD_NOT_FOUND"),
    ];
    for (path, code, reason) in cases {
        let refused = get(face.addr, path).await;
        assert_eq!((refused.code, &*refused.reason()), (code, reason), "{path}");
        assert_eq!(refused.header("cache-control"), "no-store");
        assert_eq!(
            refused.header("nextbest-fallback"),
            "",
            "no fault of the service"
        );
    }
    let keyed = "/v1/recommendations?customer_id=c1&decision_key=k";
    assert_eq!(get(face.addr, keyed).await.code, 200);
    let other = get(face.addr, &format!("{keyed}&max_products=2")).await;
    assert_eq!((other.code, &*other.reason()), (409, "DECISION_KEY_REUSED"));
    for (path, body) in [
        ("/v1/recommendations", "{"),
        ("/v1/recommendations", "{\"custmer_id\": \"a\"}"),
        ("/v1/events", "[]"),
        ("/v1/events", "\u{0}"),
    ] {
        let refused = post(face.addr, path, body).await;
        assert_eq!(
            (refused.code, &*refused.reason()),
            (400, "MALFORMED_MESSAGE"),
            "{body}"
        );
    }
    let mut client = connect(face.addr).await;
    let request = Request::post("/v1/events").header("content-type", "text/plain");
    let refused = send(&mut client, request, "{}").await.unwrap();
    assert_eq!(
        (refused.code, &*refused.reason()),
        (400, "MALFORMED_MESSAGE")
    );
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn an_answer_under_a_key_may_be_kept_by_who_asks_until_it_expires() {
    let (harness, mut clients, clock) = timed(MemoryJournal::new()).await;
    catalog(&mut clients).await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let path = "/v1/recommendations?customer_id=anna&decision_key=spring";
    let first = get(face.addr, path).await;
    assert_eq!(first.header("cache-control"), "private, max-age=604800");
    assert_eq!(first.header("vary"), "Accept-Encoding");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
    clock.fetch_add(60_000, std::sync::atomic::Ordering::SeqCst);
    let mut client = connect(face.addr).await;
    for (tags, code) in [
        (tag.clone(), 304),
        (format!("\"x\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let request = Request::get(path).header("if-none-match", tags);
        let again = send(&mut client, request, "").await.unwrap();
        assert_eq!(again.code, code);
        assert_eq!(again.header("etag"), tag);
        assert_eq!(again.header("cache-control"), "private, max-age=604740");
        assert_eq!(again.body.is_empty(), code == 304);
    }
    let head = send(&mut client, Request::head(path), "").await.unwrap();
    assert_eq!(
        (head.code, head.header("etag"), head.body.len()),
        (200, &*tag, 0)
    );
    assert_eq!(head.header("content-length"), first.body.len().to_string());
    clock.fetch_add(604_800_000, std::sync::atomic::Ordering::SeqCst);
    let request = Request::get(path).header("if-none-match", tag.clone());
    let anew = send(&mut client, request, "").await.unwrap();
    assert_eq!(anew.code, 200);
    assert_ne!(anew.header("etag"), tag);
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_fetch_is_never_an_impression() {
    let (harness, mut clients) = shop().await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let end = harness.service.shop.journal.end();
    for _ in 0..3 {
        get(face.addr, "/v1/recommendations?customer_id=c0").await;
    }
    assert_eq!(
        harness.service.shop.journal.end(),
        end,
        "nothing is written"
    );
    let path = "/v1/recommendations?customer_id=c0&decision_key=k";
    let token = get(face.addr, path).await.json()["attributionToken"].clone();
    get(face.addr, path).await;
    let outcomes = v1::GetRecommendationOutcomesRequest {};
    let all = clients
        .recommendations
        .get_recommendation_outcomes(outcomes);
    assert!(all.await.unwrap().into_inner().by_stage.is_empty());
    let events = v1::ListEventsRequest {
        subject: Some(v1::list_events_request::Subject::CustomerId(
            "c0".to_owned(),
        )),
        page_size: 1_000,
        ..v1::ListEventsRequest::default()
    };
    let before = clients
        .events
        .list_events(events.clone())
        .await
        .unwrap()
        .into_inner();
    // the opening is, when the email tool tells of it
    let opened = json!({"events": [{"eventType": "email_open", "customerId": "c0",
        "eventTime": "2026-01-05T10:00:00Z", "eventId": "open-1", "attributionToken": token}]});
    let written = post(face.addr, "/v1/events", opened.to_string())
        .await
        .json();
    assert_eq!(written["writtenCount"], 1);
    let again = post(face.addr, "/v1/events", opened.to_string())
        .await
        .json();
    assert_eq!(
        (&again["writtenCount"], &again["duplicateCount"]),
        (&json!(0), &json!(1))
    );
    let after = clients
        .events
        .list_events(events)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(after.events.len(), before.events.len() + 1);
    let faulty = json!({"events": [{"eventType": "bought", "customerId": "c0"}]});
    let refused = post(face.addr, "/v1/events", faulty.to_string()).await;
    assert_eq!(refused.code, 400);
    assert_eq!(
        refused.violations(),
        [
            "events[0].event_time: REQUIRED",
            "events[0].event_type: UNKNOWN_NAME"
        ]
    );
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_could_not_be_kept_is_not_kept_by_a_cache_either() {
    let faults = Faults::planned();
    let (harness, mut clients, _) = timed(MemoryJournal::with_faults(faults.clone())).await;
    catalog(&mut clients).await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    faults.fail_once(Step::MemoryWrite, 0, Failure::Full);
    let path = "/v1/recommendations?customer_id=anna&decision_key=spring";
    let lost = get(face.addr, path).await;
    assert_eq!((lost.code, lost.header("cache-control")), (200, "no-store"));
    assert_eq!(lost.json()["decisionNotKept"], json!(true));
    let kept = get(face.addr, path).await;
    assert_eq!(kept.json()["decisionNotKept"], json!(false));
    assert_eq!(get(face.addr, path).await.body, kept.body);
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_gives_the_same_bytes_to_all_and_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--set", "offers.holdout_per_mille=0"];
    let mut process = Process::start(folder.path(), &flags);
    let mut clients = process.clients().await;
    catalog(&mut clients).await;
    create(&mut clients, limited(10)).await.unwrap();
    let path = "/v1/recommendations?customer_id=anna&decision_key=spring&placement=email";
    let addr = process.http.parse().unwrap();
    let asking: Vec<_> = (0..32).map(|_| tokio::spawn(get(addr, path))).collect();
    let mut bodies = BTreeSet::new();
    for one in asking {
        let got = one.await.unwrap();
        assert_eq!(got.code, 200);
        bodies.insert(got.body);
    }
    assert_eq!(bodies.len(), 1);
    assert_eq!(usage(&mut clients, "limited").await.reserved_units, 1);
    process.kill();
    let mut process = Process::start(folder.path(), &flags);
    let again = get(process.http.parse().unwrap(), path).await;
    assert!(bodies.contains(&again.body));
    assert!(
        !again.json()["offers"][0]["reservationId"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    process.kill();
}
