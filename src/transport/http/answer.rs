//! What goes out: bodies, headers that caches heed, and errors as `google.rpc` JSON.

use std::convert::Infallible;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    RETRY_AFTER, VARY,
};
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt as _};
use tower::BoxError;

use crate::transport::grpc::status::reason;

/// The body of an answer; one that fails is cut off, so that its reader sees that it is not whole.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// JSON.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Lines of JSON.
pub(super) const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// CSV.
pub(super) const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");
/// Nobody keeps it.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Says why an answer is only what is safe.
pub(super) const FALLBACK: HeaderName = HeaderName::from_static("nextbest-fallback");

/// A body of these bytes.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    let never = |never: Infallible| match never {};
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

/// An answer that nobody keeps.
pub(super) fn plain(code: StatusCode, kind: HeaderValue, body: Vec<u8>) -> Response<Body> {
    let mut answer = Response::new(full(body));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// JSON that may be kept for so many seconds, if any; 304 if the caller has it.
pub(super) fn cached(asked: &HeaderMap, body: Vec<u8>, max_age_s: Option<i64>) -> Response<Body> {
    let tag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..32]);
    let has_it = asked.get_all(IF_NONE_MATCH).iter().any(|value| {
        let tags = value.to_str().unwrap_or_default().split(',');
        // compared weakly, as the header is to be
        tags.map(|other| other.trim().trim_start_matches("W/"))
            .any(|other| other == tag || other == "*")
    });
    let mut answer = match has_it {
        true => plain(StatusCode::NOT_MODIFIED, JSON, Vec::new()),
        false => plain(StatusCode::OK, JSON, body),
    };
    let headers = answer.headers_mut();
    if has_it {
        headers.remove(CONTENT_TYPE);
    }
    let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes");
    headers.insert(ETAG, tag);
    // what stands before the service may pack answers
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(seconds) = max_age_s {
        let text = format!("private, max-age={}", seconds.max(0));
        let value = HeaderValue::from_str(&text).expect("letters and digits");
        headers.insert(CACHE_CONTROL, value);
    }
    answer
}

/// A path that is not, or not with this method.
pub(super) fn no_such(path: &str, allowed: Option<&'static str>) -> Response<Body> {
    let (code, text) = match allowed {
        Some(_) => (StatusCode::METHOD_NOT_ALLOWED, "another method is needed"),
        None => (StatusCode::NOT_FOUND, "there is no such path"),
    };
    tracing::debug!(path, "a request for what there is not");
    let status = crate::transport::grpc::status::transport_status(
        Code::Unimplemented,
        reason::METHOD_NOT_FOUND,
        text,
    );
    let mut answer = refusal_with(code, &status);
    if let Some(allowed) = allowed {
        let value = HeaderValue::from_static(allowed);
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}

/// An error.
pub(super) fn refusal(status: &Status) -> Response<Body> {
    refusal_with(http_code(status), status)
}

fn refusal_with(code: StatusCode, status: &Status) -> Response<Body> {
    let details: Vec<Value> = status
        .get_error_details_vec()
        .iter()
        .filter_map(detail)
        .collect();
    let body = json!({"error": {
        "code": code.as_u16(),
        "status": code_name(status.code()),
        "message": status.message(),
        "details": details,
    }});
    let mut answer = plain(code, JSON, body.to_string().into_bytes());
    say_when_to_retry(&mut answer, status);
    answer
}

/// Says after how many seconds to ask again, if the error passes.
pub(super) fn say_when_to_retry(answer: &mut Response<Body>, status: &Status) {
    if let Some(delay) = status.get_error_details().retry_info() {
        let seconds = delay.retry_delay.unwrap_or_default().as_secs().max(1);
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
}

/// The reason of an error.
pub(super) fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info();
    info.map_or_else(|| reason::INTERNAL.to_owned(), |info| info.reason.clone())
}

fn detail(detail: &ErrorDetail) -> Option<Value> {
    let url = |name: &str| format!("type.googleapis.com/google.rpc.{name}");
    Some(match detail {
        ErrorDetail::ErrorInfo(info) => json!({
            "@type": url("ErrorInfo"),
            "reason": info.reason,
            "domain": info.domain,
            "metadata": info.metadata,
        }),
        ErrorDetail::BadRequest(bad) => {
            let violations = bad.field_violations.iter().map(|violation| {
                json!({
                    "field": violation.field,
                    "description": violation.description,
                    "reason": violation.reason,
                })
            });
            json!({
                "@type": url("BadRequest"),
                "fieldViolations": violations.collect::<Vec<_>>(),
            })
        }
        ErrorDetail::RetryInfo(retry) => json!({
            "@type": url("RetryInfo"),
            "retryDelay": format!("{}s", retry.retry_delay.unwrap_or_default().as_secs_f64()),
        }),
        // what else there may be names things of calls that this face does not have
        _ => return None,
    })
}

/// The code of HTTP that `google.rpc.Code` stands for.
pub(super) fn http_code(status: &Status) -> StatusCode {
    let number = match status.code() {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::Aborted | Code::AlreadyExists => 409,
        Code::ResourceExhausted if reason_of(status) == reason::MESSAGE_TOO_LARGE => 413,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Internal | Code::Unknown | Code::DataLoss => 500,
    };
    StatusCode::from_u16(number).expect("from 100 to 999")
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// GET, and HEAD, which is GET without a body.
pub(super) fn is_get(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
