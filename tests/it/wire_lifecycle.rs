//! From not ready to drained: health tells the truth, and nothing holds up the end.

use std::time::Duration;

use nextbest::proto::v1;
use nextbest::proto::v1::event_service_client::EventServiceClient;
use nextbest::transport::grpc::limits::Limits;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::harness::{Harness, PATIENCE, code_and_reason};

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// What a watch says next; fails the test rather than wait for ever.
async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let next = tokio::time::timeout(PATIENCE, watch.message()).await;
    let next = next.expect("the watch goes on or ends").unwrap();
    next.map(|answer| answer.status())
}

#[tokio::test]
async fn health_follows_readiness_for_every_service() {
    let harness = Harness::start_with(Limits::default()).await;
    let mut client = HealthClient::new(harness.channel().await);
    let names = [
        "",
        "nextbest.v1.RecommendationService",
        "nextbest.v1.EventService",
        "nextbest.v1.CatalogService",
        "nextbest.v1.OfferService",
        "nextbest.v1.CustomerService",
        "nextbest.v1.ModelService",
    ];
    for name in names {
        let answer = client.check(of(name)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{name}");
        let mut watch = client.watch(of(name)).await.unwrap().into_inner();
        for (ready, expected) in [
            (true, ServingStatus::Serving),
            (false, ServingStatus::NotServing),
        ] {
            harness.set_ready(ready);
            while next(&mut watch).await != Some(expected) {}
            let answer = client.check(of(name)).await.unwrap().into_inner();
            assert_eq!(answer.status(), expected, "{name}");
        }
    }
    let unknown = client.check(of("no.such.Service")).await.unwrap_err();
    let expected = (Code::NotFound, "HEALTH_SERVICE_NOT_FOUND".to_owned());
    assert_eq!(code_and_reason(&unknown), expected);
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn an_open_watch_hears_of_the_end_and_does_not_hold_it_up() {
    let limits = Limits {
        drain: 10 * PATIENCE,
        ..Limits::default()
    };
    let harness = Harness::start_with(limits).await;
    harness.set_ready(true);
    let mut client = HealthClient::new(harness.channel().await);
    let mut watch = client.watch(of("")).await.unwrap().into_inner();
    while next(&mut watch).await != Some(ServingStatus::Serving) {}
    // `stop` fails the test if it takes longer than PATIENCE
    let stopped = tokio::spawn(harness.stop());
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut watch).await, None);
    drop(watch);
    stopped.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_never_ends_is_left_behind_when_the_time_to_drain_is_over() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let harness = Harness::start_with(limits).await;
    let channel = harness.channel().await;
    let mut client = EventServiceClient::new(channel.clone());
    let (batches, stream) = mpsc::channel::<v1::StreamEventsRequest>(1);
    let call = tokio::spawn(async move { client.stream_events(ReceiverStream::new(stream)).await });
    // on one connection the server sees calls in order: when it answers this one, it has the other
    for _ in 0..2 {
        let empty = HealthClient::new(channel.clone()).check(of("")).await;
        empty.unwrap();
        tokio::task::yield_now().await;
    }
    harness.stop().await.unwrap();
    assert!(!batches.is_closed());
    call.abort();
}
