//! Starts the service on a port of its own and says how to reach it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use nextbest::application::catalog::Catalog;
use nextbest::application::customers::Customers;
use nextbest::application::ingest::Ingest;
use nextbest::application::models::Models;
use nextbest::application::recommend::Recommender;
use nextbest::transport::grpc::limits::Limits;
use nextbest::transport::grpc::{ServeError, UseCases, serve};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Longer than anything takes, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running service.
pub(crate) struct Harness {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    ready: watch::Sender<bool>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (ready, is_ready) = watch::channel(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            serve(listener, use_cases(), &limits, is_ready, async {
                stopped.await.ok();
            })
            .await
        });
        Self {
            addr,
            ready,
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

    /// What the readiness of the service is from now on.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// Ends the service; returns when it has drained.
    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        self.stop.send(()).ok();
        tokio::time::timeout(PATIENCE, self.served)
            .await
            .expect("the service ends")
            .unwrap()
    }
}

/// Not connected yet: every use case answers NOT_READY.
fn use_cases() -> UseCases {
    UseCases {
        recommender: Recommender {},
        ingest: Ingest {},
        catalog: Catalog {},
        customers: Customers {},
        models: Models {},
    }
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
