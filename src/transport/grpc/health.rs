//! The health service: SERVING only while questions can be answered.

use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

use crate::proto::v1::catalog_service_server::CatalogServiceServer;
use crate::proto::v1::customer_service_server::CustomerServiceServer;
use crate::proto::v1::event_service_server::EventServiceServer;
use crate::proto::v1::model_service_server::ModelServiceServer;
use crate::proto::v1::offer_service_server::OfferServiceServer;
use crate::proto::v1::recommendation_service_server::RecommendationServiceServer;
use crate::transport::grpc::catalog::CatalogApi;
use crate::transport::grpc::customer::CustomerApi;
use crate::transport::grpc::event::EventApi;
use crate::transport::grpc::model::ModelApi;
use crate::transport::grpc::offer::OfferApi;
use crate::transport::grpc::recommendation::RecommendationApi;

/// The service as a whole, then each one.
const NAMES: [&str; 7] = [
    "",
    RecommendationServiceServer::<RecommendationApi>::NAME,
    EventServiceServer::<EventApi>::NAME,
    CatalogServiceServer::<CatalogApi>::NAME,
    OfferServiceServer::<OfferApi>::NAME,
    CustomerServiceServer::<CustomerApi>::NAME,
    ModelServiceServer::<ModelApi>::NAME,
];

/// Says how the service is.
#[derive(Debug, Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// Not serving yet. tonic's own begins with SERVING.
    pub(super) async fn not_serving() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// What answers for it.
    pub(super) fn service(&self) -> HealthService {
        HealthService::from_health_reporter(self.reporter.clone())
    }

    /// Says what `ready` says, for ever; if nobody can say it any more, what it said last.
    pub(super) async fn follow(&self, mut ready: watch::Receiver<bool>) {
        loop {
            let status = if *ready.borrow_and_update() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            self.set(status).await;
            if ready.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Not serving any more.
    pub(super) async fn stop(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    /// Ends the open Watch streams: they would keep the connections, and so the whole service, from
    /// ending.
    pub(super) async fn end_watches(mut self) {
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn set(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
