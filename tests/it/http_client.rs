//! The HTTP face on a port of its own, and a client for it.

use std::net::SocketAddr;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nextbest::transport::http::dashboard::Dashboard;
use nextbest::transport::http::limits::HttpLimits;
use nextbest::transport::http::serve;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::{Harness, PATIENCE};

/// A running HTTP face of a harness.
pub(crate) struct HttpFace {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl HttpFace {
    pub(crate) async fn start(harness: &Harness, limits: HttpLimits) -> Self {
        Self::start_with(harness, limits, harness.service.dashboard()).await
    }

    /// With a dashboard of one's own.
    pub(crate) async fn start_with(
        harness: &Harness,
        limits: HttpLimits,
        dashboard: Dashboard,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (use_cases, ready) = (
            harness.service.use_cases.clone(),
            harness.service.shop.ready(),
        );
        let served = tokio::spawn(async move {
            serve(listener, use_cases, dashboard, &limits, ready, async {
                stopped.await.ok();
            })
            .await
        });
        Self { addr, stop, served }
    }

    /// Ends it; returns when it has drained.
    pub(crate) async fn stop(self) {
        self.stop.send(()).ok();
        let served = tokio::time::timeout(PATIENCE, self.served).await;
        served.expect("it ends").unwrap().unwrap();
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The stable reason of an error.
    pub(crate) fn reason(&self) -> String {
        let json = self.json();
        let details = json["error"]["details"].as_array().unwrap().clone();
        let infos: Vec<&Value> = details
            .iter()
            .filter(|d| d["@type"] == "type.googleapis.com/google.rpc.ErrorInfo")
            .collect();
        assert_eq!(infos.len(), 1, "{json}");
        assert_eq!(infos[0]["domain"], "nextbest.dev");
        assert_eq!(json["error"]["code"], self.code);
        infos[0]["reason"].as_str().unwrap().to_owned()
    }

    /// The violations of an error: `field: REASON`, sorted.
    pub(crate) fn violations(&self) -> Vec<String> {
        let json = self.json();
        let details = json["error"]["details"].as_array().unwrap().clone();
        let bad = details
            .iter()
            .find(|d| d["@type"].as_str().unwrap().ends_with("BadRequest"));
        let violations = bad.unwrap()["fieldViolations"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut found: Vec<String> = violations
            .iter()
            .map(|v| format!("{}: {}", text(&v["field"]), text(&v["reason"])))
            .collect();
        found.sort();
        found
    }
}

/// A connection that stays open.
pub(crate) async fn connect(addr: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    // how it ends is the test's affair
    tokio::spawn(connection);
    client
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(
    client: &mut SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    body: impl Into<Bytes>,
) -> hyper::Result<Got> {
    let has_host = request
        .headers_ref()
        .is_some_and(|headers| headers.contains_key("host"));
    let request = match has_host {
        true => request,
        false => request.header("host", "localhost"),
    };
    let request = request.body(Full::new(body.into())).unwrap();
    client.ready().await?;
    let answer = client.send_request(request).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Got {
        code: StatusCode::as_u16(&head.status),
        headers: head.headers,
        body,
    })
}

/// GET over a connection of its own.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Got {
    let mut client = connect(addr).await;
    send(&mut client, Request::get(path), "").await.unwrap()
}

/// POST of JSON over a connection of its own.
pub(crate) async fn post(addr: SocketAddr, path: &str, body: impl Into<Bytes>) -> Got {
    let mut client = connect(addr).await;
    let request = Request::post(path).header("content-type", "application/json");
    send(&mut client, request, body).await.unwrap()
}
