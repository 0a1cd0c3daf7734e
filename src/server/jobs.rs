//! Background jobs: idempotent, without input, never twice at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::application::AppError;
use crate::application::journey::JourneyReports;
use crate::application::models::Models;
use crate::application::shop::Shop;
use crate::config::Training;
use crate::domain::time::DAY_MS;
use crate::transport::grpc::UseCases;

/// How often it is looked whether what goes with what has changed.
const RELATIONS_EVERY: Duration = Duration::from_secs(2);
/// How often the journey counters catch up while nobody asks.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked who is in which persona and segment.
const REGROUP_MS: i64 = DAY_MS;
/// How long after a start the first scheduled training is due, so that a start stays quick.
const FIRST_TRAINING: Duration = Duration::from_secs(60);

/// The jobs at work.
pub(super) struct Jobs(Vec<JoinHandle<()>>);

impl Jobs {
    /// Starts them.
    pub(super) fn start(shop: &Arc<Shop>, use_cases: &UseCases, training: &Training) -> Self {
        let models = &use_cases.models;
        let mut jobs = vec![
            tokio::spawn(refresh_relations(shop.clone())),
            tokio::spawn(follow(use_cases.journey.clone())),
        ];
        if training.every_hours > 0 {
            let every = Duration::from_secs(u64::from(training.every_hours) * 3600);
            jobs.push(tokio::spawn(train(shop.clone(), models.clone(), every)));
        }
        Self(jobs)
    }

    /// Stops them.
    pub(super) fn stop(self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Works out anew what goes with what, where enough has changed.
async fn refresh_relations(shop: Arc<Shop>) {
    loop {
        tokio::time::sleep(RELATIONS_EVERY).await;
        let shop = shop.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || shop.refresh_relations()).await {
            tracing::error!(%error, "what goes with what could not be worked out anew");
        }
    }
}

/// Counts the journey, and looks daily, and when other personas went live, at who is in which persona and segment.
async fn follow(journey: JourneyReports) {
    // the groups of the last run are kept with the counters, if they are kept
    let mut is_first = true;
    loop {
        let journey = journey.clone();
        let followed = tokio::task::spawn_blocking(move || {
            if is_first || journey.is_outdated(REGROUP_MS) {
                journey.regroup()?;
            }
            journey.follow()
        });
        match followed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the journey could not be counted"),
            Err(error) => tracing::error!(%error, "the journey could not be counted"),
        }
        is_first = false;
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

/// Trains regularly, if anything was written since the last time.
async fn train(shop: Arc<Shop>, models: Models, every: Duration) {
    // a model that is live already was trained at its time: a restart is no reason to train again
    let is_live = shop.live().is_some();
    let mut trained_at = is_live.then(|| shop.journal.end());
    tokio::time::sleep(if is_live {
        every
    } else {
        FIRST_TRAINING.min(every)
    })
    .await;
    loop {
        let end = shop.journal.end();
        if trained_at != Some(end) {
            match models.train(None) {
                Ok(run) => tracing::info!(run = run.id, "scheduled training"),
                Err(AppError::TrainingRunning { .. }) => {}
                Err(error) => tracing::warn!(%error, "no scheduled training"),
            }
            trained_at = Some(end);
        }
        tokio::time::sleep(every).await;
    }
}
