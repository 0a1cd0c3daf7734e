//! Deadlines: the caller's `grpc-timeout` or the method's default, never more than its most.
//! tonic's own reports an expired deadline as CANCELLED; this one fires a little earlier and says
//! DEADLINE_EXCEEDED.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::transport::grpc::limits::Deadlines;
use crate::transport::grpc::status::{reason, transport_status};

/// How much earlier than the caller's own clock: a twentieth, at most this.
const MAX_MARGIN: Duration = Duration::from_millis(20);
const MARGIN_SHARE: u32 = 20;

/// Puts a deadline on every call of a service. For streams it bounds the time until the stream is
/// accepted; how long it then lasts is the caller's affair.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer {
    /// The deadlines of a method, by its path.
    pub of: fn(&str) -> Deadlines,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, of: self.of }
    }
}

/// See [`DeadlineLayer`].
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    of: fn(&str) -> Deadlines,
}

impl<S, B> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let budget = budget(request.headers(), (self.of)(request.uri().path()));
        let answer = self.inner.call(request);
        Box::pin(async move {
            match tokio::time::timeout(budget, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    let text = format!("no answer within {} ms", budget.as_millis());
                    let status =
                        transport_status(Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED, &text);
                    Ok(status.into_http())
                }
            }
        })
    }
}

/// How long a call may take.
fn budget(headers: &HeaderMap, deadlines: Deadlines) -> Duration {
    match grpc_timeout(headers) {
        None => deadlines.default,
        Some(asked) if asked > deadlines.most => deadlines.most,
        Some(asked) => asked.saturating_sub((asked / MARGIN_SHARE).min(MAX_MARGIN)),
    }
}

/// The caller's `grpc-timeout`: up to eight digits and a unit. Anything else counts as absent, as
/// in other servers.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let unit = text.chars().next_back()?;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(number * 3_600)),
        'M' => Some(Duration::from_secs(number * 60)),
        'S' => Some(Duration::from_secs(number)),
        'm' => Some(Duration::from_millis(number)),
        'u' => Some(Duration::from_micros(number)),
        'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_of_asked_and_most_holds() {
        let deadlines = Deadlines {
            default: Duration::from_secs(1),
            most: Duration::from_secs(10),
        };
        let ms = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            budget(&headers, deadlines).as_millis()
        };
        assert_eq!(ms("200m"), 190);
        assert_eq!(ms("2S"), 1_980);
        assert_eq!(ms("1H"), 10_000);
        assert_eq!(ms("99999999H"), 10_000);
        assert_eq!(ms("0n"), 0);
        for malformed in ["", "5", "m", "-1S", "123456789S", "1x", "1 S"] {
            assert_eq!(ms(malformed), 1_000, "{malformed}");
        }
    }
}
