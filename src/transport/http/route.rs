//! From a request to its answer: the path, the deadline, and what is safe where there is no other answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Code, Status};

use super::answer::{Body, FALLBACK, JSON, cached, is_get, no_such, plain, reason_of, refusal};
use super::dashboard::{Board, Dashboard, Services, unshown};
use super::json::{self, Kind};
use super::limits::{
    DEFAULT_TIMEOUT, EVENTS_TIMEOUT, HttpLimits, MAX_DISCARDED, MAX_EVENTS_BODY, MAX_FORM_BODY,
    MAX_QUESTION_BODY, MAX_TIMEOUT, PAGE_TIMEOUT,
};
use super::{export, query};
use crate::application::AppError;
use crate::application::recommend::Question;
use crate::domain::{FaultCode, Faults};
use crate::proto::v1;
use crate::proto::v1::event_service_server::EventService as _;
use crate::transport::grpc::UseCases;
use crate::transport::grpc::catalog::CatalogApi;
use crate::transport::grpc::customer::CustomerApi;
use crate::transport::grpc::event::EventApi;
use crate::transport::grpc::model::ModelApi;
use crate::transport::grpc::offer::OfferApi;
use crate::transport::grpc::question;
use crate::transport::grpc::recommendation::{RecommendationApi, check_size, render};
use crate::transport::grpc::rescue::{caught, panicked};
use crate::transport::grpc::status::{reason, transport_status};
use crate::transport::grpc::work::Streams;

/// How long the caller waits, in milliseconds.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";
/// How much earlier than the caller's own clock an answer goes out: a twentieth, at most this.
const MAX_MARGIN: Duration = Duration::from_millis(20);
const MARGIN_SHARE: u32 = 20;

/// What answers requests.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) recommendations: RecommendationApi,
    events: EventApi,
    board: Board,
    calls: Arc<Semaphore>,
    pub(super) limits: HttpLimits,
    ready: watch::Receiver<bool>,
}

impl Face {
    pub(super) fn new(
        use_cases: UseCases,
        (dashboard, listens): (Dashboard, Option<SocketAddr>),
        limits: &HttpLimits,
        ready: watch::Receiver<bool>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let streams = Streams::new(limits.exports, stopping);
        let recommendations = RecommendationApi {
            recommender: use_cases.recommender,
            customers: use_cases.customers.clone(),
            ingest: use_cases.ingest.clone(),
            streams: streams.clone(),
        };
        let events = EventApi {
            ingest: use_cases.ingest.clone(),
            customers: use_cases.customers.clone(),
        };
        let services = Services {
            recommendations: recommendations.clone(),
            events: events.clone(),
            customers: CustomerApi {
                customers: use_cases.customers,
                streams: streams.clone(),
            },
            models: ModelApi {
                models: use_cases.models,
                streams,
            },
            offers: OfferApi {
                offers: use_cases.offers,
            },
            catalog: CatalogApi {
                catalog: use_cases.catalog,
                ingest: use_cases.ingest,
            },
        };
        Self {
            recommendations,
            events,
            board: Board::new(services, dashboard, listens),
            calls: Arc::new(Semaphore::new(limits.calls)),
            limits: limits.clone(),
            ready,
        }
    }

    /// Answers one request, whatever happens.
    pub(super) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let answered = caught(self.route(request)).await;
        answered.unwrap_or_else(|_| refusal(&panicked()))
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let get = is_get(&head.method);
        let post = head.method == Method::POST;
        let query = head.uri.query().unwrap_or_default();
        match head.uri.path() {
            "/livez" if get => plain(StatusCode::OK, JSON, b"{\"live\":true}".to_vec()),
            "/readyz" if get => self.readiness(),
            "/v1/recommendations" if get => self.fetch(&head.headers, query).await,
            "/v1/recommendations" if post => self.ask(&head.headers, body).await,
            "/v1/recommendations:export" if get => export::answer(self, query).await,
            "/v1/events" if post => self.write(&head.headers, body).await,
            path if get && Board::has(path) && !Board::takes_posts(path) => {
                self.page(&head.headers, path, query).await
            }
            path if post && Board::takes_posts(path) => self.form(&head.headers, path, body).await,
            path => {
                let allowed = match path {
                    "/livez" | "/readyz" | "/v1/recommendations:export" => Some("GET, HEAD"),
                    "/v1/recommendations" => Some("GET, HEAD, POST"),
                    "/v1/events" => Some("POST"),
                    _ if Board::takes_posts(path) => Some("POST"),
                    _ if Board::has(path) => Some("GET, HEAD"),
                    _ => None,
                };
                no_such(path, allowed)
            }
        }
    }

    fn readiness(&self) -> Response<Body> {
        match *self.ready.borrow() {
            true => plain(StatusCode::OK, JSON, b"{\"ready\":true}".to_vec()),
            false => refusal(&AppError::NotReady.into()),
        }
    }

    /// The question of a URL.
    async fn fetch(&self, headers: &HeaderMap, query: &str) -> Response<Body> {
        let (asked, mut faults) = query::one(query);
        let waits = waits(headers, asked.timeout_ms, &mut faults);
        self.answer(headers, asked.request, waits, faults).await
    }

    /// The question of a body.
    async fn ask(&self, headers: &HeaderMap, body: Incoming) -> Response<Body> {
        let mut faults = Faults::new();
        let waits = waits(headers, None, &mut faults);
        let read = self.read(headers, body, MAX_QUESTION_BODY, Kind::RecommendRequest);
        match read.await {
            Ok(request) => self.answer(headers, request, waits, faults).await,
            Err(status) => refusal(&status),
        }
    }

    async fn answer(
        &self,
        headers: &HeaderMap,
        request: v1::RecommendRequest,
        waits: Duration,
        faults: Faults,
    ) -> Response<Body> {
        let begun = tokio::time::Instant::now();
        let question = match self.parse(&request, faults) {
            Ok(question) => question,
            Err(status) => return refusal(&status),
        };
        let answered = match self.calls.clone().try_acquire_owned() {
            Ok(place) => {
                let work = self.work(request, place);
                tokio::time::timeout_at(begun + waits, work)
                    .await
                    .unwrap_or_else(|_| Err(late(waits)))
            }
            Err(_) => Err(overloaded()),
        };
        match answered {
            Ok(answer) => self.rendered(headers, &answer),
            Err(status) if is_passing(&status) => self.safe(&question, &status),
            Err(status) => refusal(&status),
        }
    }

    /// Faults of the parameters and of the question, all at once.
    fn parse(&self, request: &v1::RecommendRequest, faults: Faults) -> Result<Question, Status> {
        check_size(request)?;
        let parsed = question::parse(request, self.recommendations.ingest.now());
        match parsed {
            Err(AppError::Invalid(found)) => {
                let mut faults = faults;
                for fault in found.as_slice() {
                    faults.add(fault.field.clone(), fault.code, fault.reason.clone());
                }
                Err(AppError::Invalid(faults).into())
            }
            Err(other) => Err(other.into()),
            Ok(question) => faults
                .into_result(|| question)
                .map_err(|faults| AppError::Invalid(faults).into()),
        }
    }

    /// Answers on a thread that may block, so that the deadline is kept whatever it waits for. Goes on if nobody waits
    /// any more: what is decided then is there for who asks again.
    async fn work(
        &self,
        request: v1::RecommendRequest,
        place: OwnedSemaphorePermit,
    ) -> Result<v1::RecommendResponse, Status> {
        let (api, runtime) = (self.recommendations.clone(), Handle::current());
        let work = tokio::task::spawn_blocking(move || {
            let answer = runtime.block_on(api.answer(request));
            drop(place);
            answer
        });
        work.await.unwrap_or_else(|_| Err(panicked()))
    }

    fn rendered(&self, headers: &HeaderMap, answer: &v1::RecommendResponse) -> Response<Body> {
        match json::write(Kind::RecommendResponse, answer) {
            Ok(body) => {
                let until = answer.decision_expire_time.as_ref();
                let now_s = self.recommendations.ingest.now().ms().div_euclid(1_000);
                cached(headers, body, until.map(|until| until.seconds - now_s))
            }
            Err(error) => refusal(&error.into()),
        }
    }

    /// What is always safe, and why it is no more than that.
    fn safe(&self, question: &Question, status: &Status) -> Response<Body> {
        let reason = reason_of(status);
        tracing::warn!(reason, "a question got the safe answer");
        let answer = render(&self.recommendations.recommender.safe(question));
        match json::write(Kind::RecommendResponse, &answer) {
            Ok(body) => {
                let mut answer = plain(StatusCode::OK, JSON, body);
                let reason = HeaderValue::from_str(&reason).expect("reasons are capital letters");
                answer.headers_mut().insert(FALLBACK, reason);
                answer
            }
            Err(error) => refusal(&error.into()),
        }
    }

    async fn write(&self, headers: &HeaderMap, body: Incoming) -> Response<Body> {
        let Ok(_place) = self.calls.clone().try_acquire_owned() else {
            return refusal(&overloaded());
        };
        let read = self.read(headers, body, MAX_EVENTS_BODY, Kind::WriteEventsRequest);
        let request: v1::WriteEventsRequest = match read.await {
            Ok(request) => request,
            Err(status) => return refusal(&status),
        };
        let written = self.events.write_events(tonic::Request::new(request));
        let written = tokio::time::timeout(EVENTS_TIMEOUT, written).await;
        match written.unwrap_or_else(|_| Err(late(EVENTS_TIMEOUT))) {
            Ok(written) => match json::write(Kind::WriteEventsResponse, written.get_ref()) {
                Ok(body) => plain(StatusCode::OK, JSON, body),
                Err(error) => refusal(&error.into()),
            },
            Err(status) => refusal(&status),
        }
    }

    /// A page of the dashboard.
    async fn page(&self, headers: &HeaderMap, path: &str, query: &str) -> Response<Body> {
        let Ok(_place) = self.calls.clone().try_acquire_owned() else {
            return unshown(&overloaded());
        };
        let shown = tokio::time::timeout(PAGE_TIMEOUT, self.board.show(headers, path, query));
        let shown = shown.await;
        shown.unwrap_or_else(|_| unshown(&late(PAGE_TIMEOUT)))
    }

    /// A form of the dashboard.
    async fn form(&self, headers: &HeaderMap, path: &str, body: Incoming) -> Response<Body> {
        let Ok(_place) = self.calls.clone().try_acquire_owned() else {
            return unshown(&overloaded());
        };
        let read = tokio::time::timeout(self.limits.body_read, whole(body, MAX_FORM_BODY)).await;
        let read = read.unwrap_or_else(|_| Err(late(self.limits.body_read)));
        match read {
            // what is no text has no token either
            Ok(bytes) => {
                let form = String::from_utf8_lossy(&bytes);
                self.board.act(headers, path, &form).await
            }
            Err(status) => unshown(&status),
        }
    }

    /// The message of a body.
    async fn read<M: prost::Message + Default>(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        most: usize,
        kind: Kind,
    ) -> Result<M, Status> {
        // a page of another site could send anything else without asking
        let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
            let kind = value.to_str().unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("application/json")
        });
        let malformed =
            |text: &str| transport_status(Code::InvalidArgument, reason::MALFORMED_MESSAGE, text);
        if !is_json {
            return Err(malformed("Content-Type must be application/json"));
        }
        let read = tokio::time::timeout(self.limits.body_read, whole(body, most)).await;
        let bytes = read.unwrap_or_else(|_| Err(late(self.limits.body_read)))?;
        json::read(kind, &bytes).map_err(|error| malformed(&error))
    }
}

/// A body of at most so many bytes.
async fn whole(mut body: Incoming, most: usize) -> Result<Vec<u8>, Status> {
    let (mut bytes, mut seen) = (Vec::new(), 0);
    let said = body.size_hint().lower();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let text = format!("the body ended early: {error}");
            transport_status(Code::Cancelled, reason::CANCELLED, &text)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > MAX_DISCARDED {
            break;
        }
        if seen <= most {
            bytes.extend_from_slice(&data);
        }
    }
    if seen > most {
        let said = said.max(seen as u64);
        let text = format!("{said} bytes in a body; at most {most} are taken");
        let (code, reason) = (Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE);
        return Err(transport_status(code, reason, &text));
    }
    Ok(bytes)
}

/// How long the caller waits for an answer, with a margin for the way back.
fn waits(headers: &HeaderMap, parameter: Option<u64>, faults: &mut Faults) -> Duration {
    let header = headers.get(TIMEOUT_HEADER).map(|value| {
        let text = value.to_str().unwrap_or_default().trim();
        text.parse::<u64>().ok().filter(|ms| *ms > 0)
    });
    if header == Some(None) {
        let reason = "must be a whole number of milliseconds, 1 or more";
        faults.add(TIMEOUT_HEADER, FaultCode::Malformed, reason);
    }
    let said = parameter.into_iter().chain(header.flatten()).min();
    let asked = said.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    let asked = asked.min(MAX_TIMEOUT);
    asked - (asked / MARGIN_SHARE).min(MAX_MARGIN)
}

/// True if the service is at fault, and not the question.
fn is_passing(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
    )
}

fn late(waited: Duration) -> Status {
    let text = format!("no answer within {} ms", waited.as_millis());
    transport_status(Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED, &text)
}

fn overloaded() -> Status {
    let text = "more calls are running than the service takes";
    transport_status(Code::ResourceExhausted, reason::OVERLOADED, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_wait_that_is_said_holds_and_leaves_a_margin() {
        let ms = |header: Option<&str>, parameter| {
            let mut headers = HeaderMap::new();
            if let Some(text) = header {
                headers.insert(TIMEOUT_HEADER, text.parse().unwrap());
            }
            let mut faults = Faults::new();
            let waits = waits(&headers, parameter, &mut faults);
            (waits.as_millis(), faults.as_slice().len())
        };
        assert_eq!(ms(None, None), (980, 0));
        assert_eq!(ms(None, Some(200)), (190, 0));
        assert_eq!(ms(Some("100"), Some(200)), (95, 0));
        assert_eq!(ms(Some("60000"), None), (9_980, 0));
        assert_eq!(ms(None, Some(1)).0, 0);
        for bad in ["soon", "0", "-1", "1.5", ""] {
            assert_eq!(ms(Some(bad), None), (980, 1), "{bad}");
        }
    }
}
