//! The gRPC face: one file per service, and what stands before and around them.

mod campaign;
pub mod catalog;
pub mod client;
pub mod customer;
pub mod deadline;
pub mod event;
mod field;
mod health;
pub mod journey;
pub mod limits;
mod mask;
pub mod model;
pub mod offer;
pub mod page_token;
pub(in crate::transport) mod question;
pub mod recommendation;
pub mod rescue;
pub mod status;
pub(in crate::transport) mod work;

use std::future::Future;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::{LayerExt as _, Routes};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;

use crate::application::catalog::Catalog;
use crate::application::customers::Customers;
use crate::application::ingest::Ingest;
use crate::application::journey::JourneyReports;
use crate::application::models::Models;
use crate::application::offers::Offers;
use crate::application::recommend::Recommender;
use crate::proto::DESCRIPTORS;
use crate::proto::v1::catalog_service_server::CatalogServiceServer;
use crate::proto::v1::customer_service_server::CustomerServiceServer;
use crate::proto::v1::event_service_server::EventServiceServer;
use crate::proto::v1::journey_service_server::JourneyServiceServer;
use crate::proto::v1::model_service_server::ModelServiceServer;
use crate::proto::v1::offer_service_server::OfferServiceServer;
use crate::proto::v1::recommendation_service_server::RecommendationServiceServer;
use crate::transport::grpc::catalog::CatalogApi;
use crate::transport::grpc::customer::CustomerApi;
use crate::transport::grpc::event::EventApi;
use crate::transport::grpc::health::Health;
use crate::transport::grpc::journey::JourneyApi;
use crate::transport::grpc::limits::{
    Guard, Limits, MAX_CATALOG_BYTES, MAX_CUSTOMER_BYTES, MAX_EVENT_BYTES, MAX_HEADER_BYTES,
    MAX_JOURNEY_BYTES, MAX_MODEL_BYTES, MAX_OFFER_BYTES, MAX_RECOMMENDATION_BYTES, deadlines,
};
use crate::transport::grpc::model::ModelApi;
use crate::transport::grpc::offer::OfferApi;
use crate::transport::grpc::recommendation::RecommendationApi;
use crate::transport::grpc::rescue::RescueLayer;
use crate::transport::grpc::work::Streams;

/// What the services call.
#[derive(Debug, Clone)]
pub struct UseCases {
    /// Answers questions.
    pub recommender: Recommender,
    /// Takes in.
    pub ingest: Ingest,
    /// Products.
    pub catalog: Catalog,
    /// Offers.
    pub offers: Offers,
    /// Customers.
    pub customers: Customers,
    /// Models.
    pub models: Models,
    /// The journey map and the key figures.
    pub journey: JourneyReports,
}

/// Why the service could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The connections cannot be taken.
    #[error("cannot serve gRPC: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors for reflection are damaged.
    #[error("cannot describe the API: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown`, then says NOT_SERVING, lets running calls end for at most
/// `limits.drain`, and returns. Connections that are open even then end with the runtime.
///
/// `ready` says when questions can be answered; until then health says NOT_SERVING.
///
/// # Errors
/// If the listener fails or the API cannot be described.
pub async fn serve(
    listener: TcpListener,
    use_cases: UseCases,
    limits: &Limits,
    ready: watch::Receiver<bool>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (stop, mut stopping) = watch::channel(false);
    let health = Health::not_serving().await;
    let routes = routes(use_cases, limits, &health, stopping.clone())?;
    let incoming = TcpIncoming::from(listener)
        // tonic's own setting does not reach an incoming stream; without it every call waits 40 ms
        .with_nodelay(Some(true))
        .with_keepalive(Some(limits.keep_alive));
    let served = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_keepalive_interval(Some(limits.keep_alive))
        .http2_keepalive_timeout(Some(limits.keep_alive_timeout))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .layer(RescueLayer)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move {
            // an error means that `serve` is being dropped
            let _ = stopping.wait_for(|stopping| *stopping).await;
        });
    let ended = async {
        tokio::select! {
            () = shutdown => {}
            () = health.follow(ready) => {}
        }
        health.stop().await;
        stop.send_replace(true);
        health.clone().end_watches().await;
        tokio::time::sleep(limits.drain).await;
    };
    tokio::select! {
        served = served => served?,
        () = ended => {
            let drain_ms = limits.drain.as_millis() as u64;
            tracing::warn!(drain_ms, "calls were still running when the time to drain was over");
        }
    }
    Ok(())
}

/// Every service behind its guard; health and reflection are never refused.
fn routes(
    use_cases: UseCases,
    limits: &Limits,
    health: &Health,
    stopping: watch::Receiver<bool>,
) -> Result<Routes, ServeError> {
    let UseCases {
        recommender,
        ingest,
        catalog,
        offers,
        customers,
        models,
        journey,
    } = use_cases;
    let streams = Streams::new(limits.bulk_streams, stopping);
    let questions = Guard::new(limits.recommendation_calls, deadlines);
    let others = Guard::new(limits.other_calls, deadlines);

    macro_rules! guarded {
        ($guard:expr, $server:ident, $api:expr, $bytes:expr) => {
            $guard.named_layer(
                $server::new($api)
                    .max_decoding_message_size($bytes)
                    .accept_compressed(Gzip)
                    .send_compressed(Gzip),
            )
        };
    }

    let recommendation = RecommendationApi {
        recommender,
        customers: customers.clone(),
        ingest: ingest.clone(),
        streams: streams.clone(),
    };
    let events = EventApi {
        ingest: ingest.clone(),
        customers: customers.clone(),
    };
    let catalog = CatalogApi { catalog, ingest };
    let offers = OfferApi { offers };
    let customers = CustomerApi {
        customers,
        streams: streams.clone(),
    };
    let models = ModelApi { models, streams };
    let journey = JourneyApi::new(journey);
    Ok(Routes::default()
        .add_service(guarded!(
            questions,
            RecommendationServiceServer,
            recommendation,
            MAX_RECOMMENDATION_BYTES
        ))
        .add_service(guarded!(
            others,
            EventServiceServer,
            events,
            MAX_EVENT_BYTES
        ))
        .add_service(guarded!(
            others,
            CatalogServiceServer,
            catalog,
            MAX_CATALOG_BYTES
        ))
        .add_service(guarded!(
            others,
            OfferServiceServer,
            offers,
            MAX_OFFER_BYTES
        ))
        .add_service(guarded!(
            others,
            CustomerServiceServer,
            customers,
            MAX_CUSTOMER_BYTES
        ))
        .add_service(guarded!(
            others,
            ModelServiceServer,
            models,
            MAX_MODEL_BYTES
        ))
        .add_service(guarded!(
            others,
            JourneyServiceServer,
            journey,
            MAX_JOURNEY_BYTES
        ))
        .add_service(HealthServer::new(health.service()))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// Both versions: clients in use ask for either.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
