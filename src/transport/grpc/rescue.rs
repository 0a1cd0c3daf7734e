//! The last thing every answer passes: panics become INTERNAL, refused calls OVERLOADED, and errors
//! that tonic made itself get the code and the reason of our contract.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::load_shed::error::Overloaded;
use tower::{BoxError, Layer, Service, ServiceExt as _};

use crate::transport::grpc::status::{DOMAIN, reason, transport_status};

/// Makes every answer one of the contract.
#[derive(Debug, Clone, Copy)]
pub struct RescueLayer;

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner }
    }
}

/// See [`RescueLayer`].
#[derive(Debug, Clone)]
pub struct Rescue<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Rescue<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // the inner service is asked in `call`, so that its refusal can be answered
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.inner.clone().oneshot(request);
        Box::pin(async move {
            Ok(match caught(answer).await {
                Ok(Ok(answer)) => explained(answer),
                Ok(Err(error)) => failed(error.into().as_ref()).into_http(),
                Err(Panicked) => panicked().into_http(),
            })
        })
    }
}

/// A handler panicked; the panic hook has told the log.
pub(in crate::transport) struct Panicked;

/// What a caller hears of a panic.
pub(in crate::transport) fn panicked() -> Status {
    tracing::error!("a call panicked; the process goes on");
    let text = "internal error; the service's log says more";
    transport_status(Code::Internal, reason::INTERNAL, text)
}

pub(in crate::transport) async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = std::pin::pin!(future);
    // after a panic the future is never polled again, only dropped
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        },
    )
    .await
}

/// What a caller hears of a call that no handler answered.
fn failed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Status {
    if error.is::<Overloaded>() {
        let text = "more calls are running than the service takes";
        transport_status(Code::ResourceExhausted, reason::OVERLOADED, text)
    } else {
        tracing::error!(%error, "a call failed before its handler");
        let text = "internal error; the service's log says more";
        transport_status(Code::Internal, reason::INTERNAL, text)
    }
}

/// Gives an answer that is an error without details the details it lacks. Only answers that are
/// nothing but an error can be seen here; errors at the end of a stream are made by our own code,
/// with details.
fn explained(mut answer: Response<Body>) -> Response<Body> {
    let bare = answer.headers().contains_key(Status::GRPC_STATUS)
        && !answer.headers().contains_key(Status::GRPC_STATUS_DETAILS);
    if !bare {
        return answer;
    }
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.code() != Code::Ok => {
            let explained = explain(&status, HashMap::new());
            // cannot fail: the text is percent-encoded, the details are base64
            let _ = explained.add_header(answer.headers_mut());
            answer
        }
        _ => answer,
    }
}

/// The status of our contract for one that tonic made: it has no details, so code and text are all
/// there is.
pub(super) fn explain(status: &Status, metadata: HashMap<String, String>) -> Status {
    let (code, reason) = contract(status.code(), status.message());
    let text = match status.message() {
        "" => reason.to_lowercase().replace('_', " "),
        text => text.to_owned(),
    };
    let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    Status::with_error_details(code, text, details)
}

fn contract(code: Code, text: &str) -> (Code, &'static str) {
    match code {
        Code::OutOfRange | Code::ResourceExhausted => {
            (Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE)
        }
        Code::Unimplemented if text.contains("compress") => {
            (Code::Unimplemented, reason::UNSUPPORTED_ENCODING)
        }
        Code::Unimplemented => (Code::Unimplemented, reason::METHOD_NOT_FOUND),
        // our own internal errors carry details, so these are tonic's: bytes it cannot decode
        Code::Internal | Code::InvalidArgument => {
            (Code::InvalidArgument, reason::MALFORMED_MESSAGE)
        }
        Code::NotFound => (Code::NotFound, reason::HEALTH_SERVICE_NOT_FOUND),
        Code::DeadlineExceeded => (Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED),
        Code::Cancelled | Code::Unknown => (Code::Cancelled, reason::CANCELLED),
        _ => (code, reason::INTERNAL),
    }
}
