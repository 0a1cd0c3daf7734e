//! What the HTTP face does under load, late, with bad clients, and when it ends.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use http::Request;
use nextbest::application::recipes::Recipes;
use nextbest::domain::{Position, Record};
use nextbest::store::{Appended, Journal, JournalError, MemoryJournal, Records};
use nextbest::transport::grpc::limits::Limits;
use nextbest::transport::http::limits::{HttpLimits, MAX_HEADER_BYTES};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::Harness;
use crate::http_client::{HttpFace, connect, get, post, send};
use crate::wire_decisions::{catalog, limited};
use crate::wire_story::shop;
use crate::wire_story_offers::create;

/// A journal that takes no writes while its gate is closed.
#[derive(Default)]
struct Gated {
    inner: MemoryJournal,
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gated {
    fn set_closed(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }
}

impl Journal for Gated {
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError> {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
        self.inner.append(records)
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        self.inner.read_from(position)
    }

    fn end(&self) -> Position {
        self.inner.end()
    }

    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
        self.inner.erase(positions)
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_wait_gets_what_is_safe_in_time() {
    let journal = Arc::new(Gated::default());
    let recipes = Recipes::embedded().unwrap();
    let harness = Harness::start_on(journal.clone(), Limits::default(), &recipes).await;
    harness.set_ready(true);
    let mut clients = harness.clients().await;
    catalog(&mut clients).await;
    create(&mut clients, limited(10)).await.unwrap();
    let limits = HttpLimits {
        calls: 2,
        ..HttpLimits::default()
    };
    let face = HttpFace::start(&harness, limits).await;
    journal.set_closed(true);
    let path = "/v1/recommendations?customer_id=anna&decision_key=k&max_products=4";
    let begun = Instant::now();
    let safe = get(
        face.addr,
        &format!("{path}&exclude_product_id=audio-0&timeout_ms=300"),
    )
    .await;
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(250),
        "{took:?}: it was asked in earnest"
    );
    // generous: the machine may be busy with other tests
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        (safe.code, safe.header("nextbest-fallback")),
        (200, "DEADLINE_EXCEEDED")
    );
    assert_eq!(safe.header("cache-control"), "no-store");
    let json = safe.json();
    assert_eq!(
        (&json["fallback"], &json["offers"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(json["products"].as_array().unwrap().len(), 4);
    assert!(!safe.body.windows(7).any(|part| part == b"audio-0"));
    assert_eq!(json["attributionToken"], "");
    // the header says it as well as the parameter
    let mut client = connect(face.addr).await;
    let request = Request::get("/v1/recommendations?customer_id=berta&decision_key=k")
        .header("x-request-timeout-ms", "50");
    let safe = send(&mut client, request, "").await.unwrap();
    assert_eq!(safe.header("nextbest-fallback"), "DEADLINE_EXCEEDED");
    // both places are taken by work that goes on: there is no room for more
    let safe = get(face.addr, "/v1/recommendations?customer_id=carla").await;
    assert_eq!(
        (safe.code, safe.header("nextbest-fallback")),
        (200, "OVERLOADED")
    );
    assert_eq!(safe.json()["products"].as_array().unwrap().len(), 6);
    // where only some products may be answered, the safe answer has none
    let filtered = "/v1/recommendations?filter=product.brand+%3D%3D+%27Acme%27";
    assert_eq!(get(face.addr, filtered).await.json()["products"], json!([]));
    let refused = post(face.addr, "/v1/events", "{\"events\": []}").await;
    assert_eq!((refused.code, &*refused.reason()), (429, "OVERLOADED"));
    assert_eq!(refused.header("retry-after"), "1");
    // a fault of the question is told even then
    let faulty = get(face.addr, "/v1/recommendations?max_products=0").await;
    assert_eq!(faulty.code, 400);
    journal.set_closed(false);
    let question = "/v1/recommendations?customer_id=berta&decision_key=k&timeout_ms=10000";
    let mut kept = get(face.addr, question).await;
    while kept.header("nextbest-fallback") == "OVERLOADED" {
        tokio::time::sleep(Duration::from_millis(5)).await;
        kept = get(face.addr, question).await;
    }
    assert_eq!((kept.code, kept.header("nextbest-fallback")), (200, ""));
    assert_eq!(kept.json()["offers"].as_array().unwrap().len(), 1);

    harness.set_ready(false);
    let safe = get(face.addr, "/v1/recommendations?customer_id=anna").await;
    assert_eq!(
        (safe.code, safe.header("nextbest-fallback")),
        (200, "NOT_READY")
    );
    assert_eq!(safe.json()["products"], json!([]));
    let ready = get(face.addr, "/readyz").await;
    assert_eq!((ready.code, &*ready.reason()), (503, "NOT_READY"));
    assert_eq!(get(face.addr, "/livez").await.code, 200);
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_refused() {
    let (harness, _) = shop().await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let large = format!(
        "{{\"events\": [{{\"searchQuery\": \"{}\"}}]}}",
        "x".repeat(10_000_000)
    );
    let refused = post(face.addr, "/v1/events", large.clone()).await;
    assert_eq!(
        (refused.code, &*refused.reason()),
        (413, "MESSAGE_TOO_LARGE")
    );
    let refused = post(face.addr, "/v1/recommendations", large).await;
    assert_eq!(
        (refused.code, &*refused.reason()),
        (413, "MESSAGE_TOO_LARGE")
    );
    // a body that may be, of a message that may not
    let large = format!("{{\"filter\": \"{}\"}}", "x".repeat(300_000));
    let refused = post(face.addr, "/v1/recommendations", large).await;
    assert_eq!(
        (refused.code, &*refused.reason()),
        (413, "MESSAGE_TOO_LARGE")
    );
    let none = post(face.addr, "/v1/events", "{}").await;
    assert_eq!((none.code, &*none.reason()), (400, "BATCH_EMPTY"));
    let long = "x".repeat(MAX_HEADER_BYTES);
    let refused = get(face.addr, &format!("/v1/recommendations?stage={long}")).await;
    assert!([414, 431].contains(&refused.code), "{}", refused.code);
    let mut client = connect(face.addr).await;
    let mut request = Request::get("/livez");
    for number in 0..200 {
        request = request.header(format!("x-{number}"), "1");
    }
    assert_eq!(send(&mut client, request, "").await.unwrap().code, 431);
    assert_eq!(get(face.addr, "/livez").await.code, 200);
    face.stop().await;
    harness.stop().await.unwrap();
}

async fn raw(face: &HttpFace, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(face.addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes until the other side closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut text));
    // a reset is an end, too
    let _ = read.await.expect("the connection is closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_broken_and_vanishing_clients_cost_nobody_else_anything() {
    let (harness, _) = shop().await;
    let limits = HttpLimits {
        connections: 4,
        header_read: Duration::from_millis(300),
        body_read: Duration::from_millis(300),
        ..HttpLimits::default()
    };
    let face = HttpFace::start(&harness, limits).await;
    let ask = "GET /livez HTTP/1.1\r\nhost: x\r\n";
    // who never ends the headers; who never ends the body; who says nothing
    assert!(!rest(raw(&face, ask).await).await.contains("200 OK"));
    let body = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    let slow = rest(raw(&face, body).await).await;
    assert!(
        slow.contains("504") && slow.contains("DEADLINE_EXCEEDED"),
        "{slow}"
    );
    assert_eq!(rest(raw(&face, "").await).await, "");
    // what is no HTTP
    for nonsense in [
        "\u{0}\u{0}\u{0}\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = rest(raw(&face, nonsense).await).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    // who vanishes in the middle, many times more often than there are places
    for _ in 0..50 {
        drop(raw(&face, body).await);
        let question = "GET /v1/recommendations HTTP/1.1\r\nhost: x\r\n\r\n";
        drop(raw(&face, question).await);
    }
    // all places are taken by who is silent: a further client waits until one is free again
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(raw(&face, "").await);
    }
    assert_eq!(get(face.addr, "/livez").await.code, 200);
    drop(silent);
    // one connection, several questions
    let mut client = connect(face.addr).await;
    for _ in 0..3 {
        let got = send(&mut client, Request::get("/v1/recommendations"), "")
            .await
            .unwrap();
        assert_eq!(got.code, 200);
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_answered_when_the_service_ends() {
    let journal = Arc::new(Gated::default());
    let recipes = Recipes::embedded().unwrap();
    let harness = Harness::start_on(journal.clone(), Limits::default(), &recipes).await;
    harness.set_ready(true);
    let mut clients = harness.clients().await;
    catalog(&mut clients).await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    let mut idle = connect(face.addr).await;
    assert_eq!(
        send(&mut idle, Request::get("/livez"), "")
            .await
            .unwrap()
            .code,
        200
    );
    journal.set_closed(true);
    let addr = face.addr;
    let path = "/v1/recommendations?customer_id=anna&decision_key=k&timeout_ms=10000";
    let asked = tokio::spawn(get(addr, path));
    // until the question waits for the journal
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped = tokio::spawn(face.stop());
    while TcpStream::connect(addr).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!stopped.is_finished());
    journal.set_closed(false);
    let answer = asked.await.unwrap();
    assert_eq!((answer.code, answer.header("nextbest-fallback")), (200, ""));
    stopped.await.unwrap();
    assert!(send(&mut idle, Request::get("/livez"), "").await.is_err());
    harness.stop().await.unwrap();
}
