//! Starts the service on a port of its own and says how to reach it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nextbest::application::recipes::Recipes;
use nextbest::application::shop::{Clock, Shop};
use nextbest::config::{Layers, Settings};
use nextbest::domain::Position;
use nextbest::proto::v1::catalog_service_client::CatalogServiceClient;
use nextbest::proto::v1::customer_service_client::CustomerServiceClient;
use nextbest::proto::v1::event_service_client::EventServiceClient;
use nextbest::proto::v1::journey_service_client::JourneyServiceClient;
use nextbest::proto::v1::model_service_client::ModelServiceClient;
use nextbest::proto::v1::offer_service_client::OfferServiceClient;
use nextbest::proto::v1::recommendation_service_client::RecommendationServiceClient;
use nextbest::server::Service;
use nextbest::state::State;
use nextbest::store::{Artefacts, Journal, MemoryJournal};
use nextbest::transport::grpc::limits::Limits;
use nextbest::transport::grpc::{ServeError, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Longer than anything takes, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The settings as they come, save that a training run asks fewer questions: it takes seconds, not minutes, here.
pub(crate) fn settings() -> Settings {
    let mut settings = Layers::default().load().unwrap().settings;
    settings.training.max_questions = 600;
    settings.training.max_rows = 10_000;
    // a test says so where it wants to know where people go next
    settings.training.max_moments = 0;
    settings.training.personas = false;
    // who is held out gets no offer: a test says so where it wants it
    settings.offers.holdout_per_mille = 0;
    settings
}

/// A running service.
pub(crate) struct Harness {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// The service behind it.
    pub(crate) service: Service,
    models: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Harness {
    /// Ready, with the usual limits.
    pub(crate) async fn start() -> Self {
        let harness = Self::start_with(Limits::default()).await;
        harness.set_ready(true);
        harness
    }

    /// Not ready yet.
    pub(crate) async fn start_with(limits: Limits) -> Self {
        Self::start_by(limits, &Recipes::embedded().unwrap()).await
    }

    /// Not ready yet, by other recipes.
    pub(crate) async fn start_by(limits: Limits, recipes: &Recipes) -> Self {
        Self::start_on(Arc::new(MemoryJournal::new()), limits, recipes).await
    }

    /// Not ready yet, on a journal of one's own.
    pub(crate) async fn start_on(
        journal: Arc<dyn Journal>,
        limits: Limits,
        recipes: &Recipes,
    ) -> Self {
        let settings = settings();
        Self::start_at(Clock::system(), journal, limits, recipes, &settings).await
    }

    /// Not ready yet, on a journal of one's own, at any time and by other settings.
    pub(crate) async fn start_at(
        clock: Clock,
        journal: Arc<dyn Journal>,
        limits: Limits,
        recipes: &Recipes,
        settings: &Settings,
    ) -> Self {
        let models = tempfile::tempdir().unwrap();
        let service = Service::with(
            journal,
            None,
            Artefacts::open(models.path()).unwrap(),
            clock,
            settings,
            recipes,
        )
        .unwrap();
        service.shop.set_ready(false);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (use_cases, ready) = (service.use_cases.clone(), service.shop.ready());
        let served = tokio::spawn(async move {
            serve(listener, use_cases, &limits, ready, async {
                stopped.await.ok();
            })
            .await
        });
        Self {
            addr,
            service,
            models,
            stop,
            served,
        }
    }

    /// A new connection.
    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.addr))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// Clients of every service over one connection.
    pub(crate) async fn clients(&self) -> Clients {
        Clients::over(&self.channel().await)
    }

    /// The folder of model revisions.
    pub(crate) fn models(&self) -> &Path {
        self.models.path()
    }

    /// Waits until State is folded anew after an erasure.
    pub(crate) async fn folded_anew(&self) {
        let has_gap = || {
            let known = self.service.shop.known();
            let customers = known.state.people.customers();
            customers.iter().any(|customer| customer.id.is_empty())
        };
        let folded = async {
            while has_gap() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, folded)
            .await
            .expect("State is folded anew");
    }

    /// What the readiness of the service is from now on.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.service.shop.set_ready(ready);
    }

    /// Ends the service; returns when it has drained and closed.
    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        self.stop_and_keep().await.map(|_| ())
    }

    /// As [`Harness::stop`]; returns the shop as it was left, after every background job.
    pub(crate) async fn stop_and_keep(self) -> Result<Arc<Shop>, ServeError> {
        self.stop.send(()).ok();
        let served = tokio::time::timeout(PATIENCE, self.served)
            .await
            .expect("the service ends")
            .unwrap();
        let shop = self.service.shop.clone();
        tokio::task::spawn_blocking(|| self.service.close())
            .await
            .unwrap()
            .unwrap();
        drop(self.models);
        served.map(|()| shop)
    }
}

/// A client of every service.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) recommendations: RecommendationServiceClient<Channel>,
    pub(crate) events: EventServiceClient<Channel>,
    pub(crate) catalog: CatalogServiceClient<Channel>,
    pub(crate) offers: OfferServiceClient<Channel>,
    pub(crate) customers: CustomerServiceClient<Channel>,
    pub(crate) models: ModelServiceClient<Channel>,
    pub(crate) journey: JourneyServiceClient<Channel>,
}

impl Clients {
    /// Over one connection.
    pub(crate) fn over(channel: &Channel) -> Self {
        Self {
            recommendations: RecommendationServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            catalog: CatalogServiceClient::new(channel.clone()),
            offers: OfferServiceClient::new(channel.clone()),
            customers: CustomerServiceClient::new(channel.clone()),
            models: ModelServiceClient::new(channel.clone()),
            journey: JourneyServiceClient::new(channel.clone()),
        }
    }
}

/// State as a fresh fold of the journal gives it.
pub(crate) fn fresh_fold(shop: &Shop) -> State {
    let mut state = State::new(shop.settings.fold.clone());
    for record in shop.journal.read_from(Position(0)) {
        state.apply(&record.unwrap().1);
    }
    state
}

/// The code and the one reason of an error.
pub(crate) fn code_and_reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details_vec();
    let infos: Vec<_> = details
        .into_iter()
        .filter_map(|detail| match detail {
            tonic_types::ErrorDetail::ErrorInfo(info) => Some(info),
            _ => None,
        })
        .collect();
    assert_eq!(infos.len(), 1, "exactly one ErrorInfo: {status:?}");
    assert_eq!(infos[0].domain, "nextbest.dev");
    (status.code(), infos[0].reason.clone())
}

/// The field violations of an error: `field: REASON`.
pub(crate) fn violations(status: &Status) -> BTreeSet<String> {
    let details = status.get_error_details();
    details.bad_request().map_or_else(BTreeSet::new, |bad| {
        bad.field_violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.reason))
            .collect()
    })
}
