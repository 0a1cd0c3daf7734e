//! What stands before a service: deadlines, refusal of more calls than are taken, rescue from
//! panics; and no delay.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use nextbest::proto::v1;
use nextbest::proto::v1::recommendation_service_client::RecommendationServiceClient;
use nextbest::transport::grpc::limits::{Deadlines, Guard};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::harness::{Harness, PATIENCE, code_and_reason};

fn request(timeout: Option<&str>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    if let Some(timeout) = timeout {
        let timeout = timeout.parse().unwrap();
        request.headers_mut().insert("grpc-timeout", timeout);
    }
    request
}

fn deadlines(_path: &str) -> Deadlines {
    Deadlines {
        default: Duration::from_millis(40),
        most: Duration::from_millis(80),
    }
}

fn patient(_path: &str) -> Deadlines {
    Deadlines {
        default: PATIENCE,
        most: PATIENCE,
    }
}

fn reason_of(answer: &Response<Body>) -> (Code, String) {
    code_and_reason(&Status::from_header_map(answer.headers()).unwrap())
}

#[tokio::test]
async fn a_slow_handler_meets_its_deadline() {
    let slow = service_fn(|_: Request<Body>| async {
        std::future::pending::<Result<Response<Body>, Infallible>>().await
    });
    let guarded = Guard::new(10, deadlines).layer(slow);
    // by default, as the caller asks, and however much the caller asks
    for timeout in [None, Some("20m"), Some("1H")] {
        let answer = guarded.clone().oneshot(request(timeout));
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap();
        let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
        assert_eq!(reason_of(&answer.unwrap()), expected);
    }
}

#[tokio::test]
async fn more_calls_than_are_taken_are_refused_at_once() {
    let (began, mut begun) = mpsc::channel(1);
    let slow = service_fn(move |_: Request<Body>| {
        let began = began.clone();
        async move {
            began.send(()).await.unwrap();
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        }
    });
    let guarded = Guard::new(1, patient).layer(slow);
    let running = tokio::spawn(guarded.clone().oneshot(request(None)));
    begun.recv().await.unwrap();
    let answer = guarded.clone().oneshot(request(None)).await.unwrap();
    let expected = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    assert_eq!(reason_of(&answer), expected);
    // a caller who is gone makes room
    running.abort();
    assert!(running.await.is_err());
    let next = tokio::spawn(guarded.oneshot(request(None)));
    begun.recv().await.unwrap();
    next.abort();
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_makes_room() {
    let broken = service_fn(|_: Request<Body>| async {
        if true {
            panic!("a fault of the test");
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let guarded = Guard::new(1, patient).layer(broken);
    for _ in 0..3 {
        let answer = guarded.clone().oneshot(request(None)).await.unwrap();
        assert_eq!(reason_of(&answer), (Code::Internal, "INTERNAL".to_owned()));
    }
}

/// Without `TCP_NODELAY` an answer that takes several writes waits about 40 ms for a delayed
/// acknowledgement. Small answers and errors are one write, so it takes a large one to show.
#[tokio::test]
async fn sequential_calls_do_not_wait_for_the_network() {
    let harness = Harness::start().await;
    let mut client = RecommendationServiceClient::new(harness.channel().await);
    // faulty questions make a large answer and no work, so only the network is timed
    let faulty = v1::RecommendRequest {
        page_size: -1,
        ..v1::RecommendRequest::default()
    };
    let request = v1::BatchRecommendRequest {
        requests: vec![faulty; 50],
    };
    let began = Instant::now();
    for _ in 0..50 {
        client.batch_recommend(request.clone()).await.unwrap();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(50 * 20), "{took:?}");
    harness.stop().await.unwrap();
}
