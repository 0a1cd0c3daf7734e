//! The composition root: opens the data folder, wires the use cases, runs the jobs, serves, and closes in order.

mod jobs;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::application::catalog::Catalog;
use crate::application::customers::Customers;
use crate::application::ingest::{Committer, Ingest};
use crate::application::journey::JourneyReports;
use crate::application::models::{ModelSettings, Models};
use crate::application::offers::Offers;
use crate::application::recipes::{RecipeFile, Recipes};
use crate::application::recommend::Recommender;
use crate::application::shop::{Clock, OfferPolicy, Shop, ShopSettings};
use crate::application::train::TrainSettings;
use crate::config::{self, Settings};
use crate::domain::Places;
use crate::domain::time::HOUR_MS;
use crate::state::FoldSettings;
use crate::store::{
    ArtefactError, Artefacts, Checkpoints, Durability, Journal, JournalError, KeyError, Options,
    Recovery, Repair, RepetitionCounter, SigningKey, SledJournal,
};
use crate::transport::csv::Repetitions;
use crate::transport::grpc::journey::JourneyApi;
use crate::transport::grpc::limits::Limits;
use crate::transport::grpc::{self, ServeError, UseCases};
use crate::transport::http::dashboard::Dashboard;
use crate::transport::http::{self, limits::HttpLimits};

/// How many different contents of a file are counted in memory, about 40 bytes each; more go to the disk.
const REPETITIONS_IN_MEMORY: usize = 1 << 20;

/// Why the service cannot open or serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder of models.
    #[error(transparent)]
    Artefacts(#[from] ArtefactError),
    /// The key of attribution tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk or the machine.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The wire.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Io { what, source }
}

/// An open shop with all its use cases.
pub struct Service {
    /// What every use case shares.
    pub shop: Arc<Shop>,
    /// The use cases.
    pub use_cases: UseCases,
    committer: Committer,
    settings: Settings,
    recipe_files: Vec<RecipeFile>,
    places: Places,
}

/// How to fold, by recipes and settings.
#[must_use]
pub fn fold_settings(recipes: &Recipes, settings: &Settings) -> FoldSettings {
    FoldSettings {
        journey: recipes.journey.clone(),
        visitor_idle_days: settings.state.visitor_idle_days,
    }
}

/// The clock, by settings.
fn clock(settings: &Settings) -> Clock {
    match settings.clock.source {
        config::ClockSource::System => Clock::system(),
        config::ClockSource::Events => {
            tracing::warn!(
                "clock.source = \"events\": the time is that of the newest event, as for a simulation"
            );
            Clock::events()
        }
    }
}

/// How offers are reserved, and who gets none, by settings.
#[must_use]
pub fn offer_policy(settings: &Settings) -> OfferPolicy {
    let offers = &settings.offers;
    OfferPolicy {
        holdout_per_mille: offers.holdout_per_mille,
        holdout_seed: offers.holdout_seed,
        reservation_ms: i64::from(offers.reservation_hours) * HOUR_MS,
    }
}

/// How to train, by settings.
#[must_use]
pub fn train_settings(settings: &Settings) -> TrainSettings {
    TrainSettings {
        seed: settings.training.seed,
        max_questions: settings.training.max_questions,
        min_questions: settings.training.min_questions,
        max_rows: settings.training.max_rows,
        tuning_seconds: settings.training.tuning_seconds,
        max_moments: settings.training.max_moments,
        with_personas: settings.training.personas,
        ..TrainSettings::default()
    }
}

/// Opens the journal in the data folder, and says what had to be mended. One process may have it open at a time.
///
/// # Errors
/// Those of the journal.
pub fn open_journal(settings: &Settings) -> Result<SledJournal, JournalError> {
    let durability = match settings.journal.durability {
        config::Durability::Always => Durability::Always,
        config::Durability::Interval => {
            Durability::Interval(Duration::from_millis(settings.journal.interval_ms))
        }
    };
    let options = Options {
        durability,
        mirror: settings.journal.mirror,
        cache_bytes: settings.journal.cache_mb << 20,
        ..Options::default()
    };
    let (journal, recovery) = SledJournal::open(&settings.data.folder, &options)?;
    log_recovery(&recovery);
    Ok(journal)
}

impl Service {
    /// Opens the data folder: the journal is verified, State is folded, the live model is loaded.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left half open.
    pub fn open(settings: &Settings, recipes: &Recipes) -> Result<Self, ServerError> {
        let folder: PathBuf = settings.data.folder.clone();
        std::fs::create_dir_all(&folder).map_err(io_error(folder.display().to_string()))?;
        let journal = open_journal(settings)?;
        let checkpoints = Checkpoints::open(folder.join("checkpoints"))
            .map_err(io_error("the folder of checkpoints"))?;
        let artefacts = Artefacts::open(folder.join("models"))?;
        let key = match &settings.attribution.key_file {
            Some(path) => SigningKey::read(path)?,
            None => SigningKey::in_folder(&folder)?,
        };
        Self::with_key(
            key,
            Arc::new(journal),
            Some(checkpoints),
            artefacts,
            clock(settings),
            settings,
            recipes,
        )
    }

    /// Wires the use cases over any home of the journal, at any time, with a key of its own that ends with it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn with(
        journal: Arc<dyn Journal>,
        checkpoints: Option<Checkpoints>,
        artefacts: Artefacts,
        clock: Clock,
        settings: &Settings,
        recipes: &Recipes,
    ) -> Result<Self, ServerError> {
        let key = SigningKey::random()?;
        Self::with_key(
            key,
            journal,
            checkpoints,
            artefacts,
            clock,
            settings,
            recipes,
        )
    }

    /// As [`Service::with`], with a key for attribution tokens.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn with_key(
        key: SigningKey,
        journal: Arc<dyn Journal>,
        checkpoints: Option<Checkpoints>,
        artefacts: Artefacts,
        clock: Clock,
        settings: &Settings,
        recipes: &Recipes,
    ) -> Result<Self, ServerError> {
        let shop_settings = ShopSettings {
            fold: fold_settings(recipes, settings),
            recipes: recipes.stages.clone(),
            horizons_ms: recipes.places.horizons_ms.clone(),
            segments: recipes.segments.clone(),
            offers: offer_policy(settings),
            decision_ms: i64::from(settings.decisions.hours) * HOUR_MS,
            checkpoint_every: settings.journal.checkpoint_every_records,
            write_queue: settings.server.write_queue_batches,
            key,
        };
        let (shop, opened) = Shop::open(journal, checkpoints, clock, shop_settings)?;
        tracing::info!(
            checkpoint = opened.checkpoint.map(|position| position.0),
            folded_records = opened.folded,
            end = shop.journal.end().0,
            "the journal is folded"
        );
        let (ingest, committer) =
            Ingest::start(shop.clone()).map_err(io_error("the committer thread"))?;
        let model_settings = ModelSettings {
            train: train_settings(settings),
            max_records: settings.training.max_records,
        };
        let models = Models::new(shop.clone(), ingest.clone(), artefacts, model_settings);
        let use_cases = UseCases {
            recommender: Recommender::new(shop.clone()),
            catalog: Catalog::new(shop.clone(), ingest.clone()),
            offers: Offers::new(shop.clone(), ingest.clone()),
            customers: Customers::new(shop.clone(), ingest.clone()),
            ingest,
            models,
            journey: JourneyReports::new(shop.clone(), recipes),
        };
        shop.set_ready(true);
        Ok(Self {
            shop,
            use_cases,
            committer,
            settings: settings.clone(),
            recipe_files: recipes.files.clone(),
            places: recipes.places.clone(),
        })
    }

    /// What the dashboard shows beside the use cases, and to whom.
    #[must_use]
    pub fn dashboard(&self) -> Dashboard {
        let is_recipe = |file: &&RecipeFile| file.name.ends_with(".toml");
        Dashboard {
            journey: Arc::new(JourneyApi::new(self.use_cases.journey.clone())),
            personal_data: self.settings.dashboard.personal_data,
            hosts: self.settings.dashboard.hosts.clone(),
            shop_name: self.settings.dashboard.shop_name.clone(),
            places: self.places.clone(),
            stages: {
                let stages = &self.shop.settings.fold.journey.stages;
                stages.iter().map(|stage| stage.name.clone()).collect()
            },
            recipes: self
                .recipe_files
                .iter()
                .filter(is_recipe)
                .cloned()
                .collect(),
        }
    }

    /// Serves gRPC, and HTTP if it is to be, until `shutdown`, then drains.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        http: Option<TcpListener>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let limits = Limits {
            recommendation_calls: self.settings.server.max_concurrent_calls,
            other_calls: self.settings.server.max_concurrent_calls,
            drain: Duration::from_secs(self.settings.server.drain_seconds),
            ..Limits::default()
        };
        let jobs = jobs::Jobs::start(&self.shop, &self.use_cases, &self.settings.training);
        let ready = self.shop.ready();
        let (stop, stopping) = watch::channel(false);
        let ends = |mut stopping: watch::Receiver<bool>| async move {
            // an error means that `serve` is being dropped
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        let over_grpc = async {
            let (use_cases, ends) = (self.use_cases.clone(), ends(stopping.clone()));
            let served = grpc::serve(listener, use_cases, &limits, ready.clone(), ends).await;
            served.map_err(ServerError::from)
        };
        let over_http = async {
            let Some(listener) = http else {
                return Ok(());
            };
            let limits = HttpLimits {
                calls: limits.recommendation_calls,
                drain: limits.drain,
                ..HttpLimits::default()
            };
            let (use_cases, ends) = (self.use_cases.clone(), ends(stopping.clone()));
            let dashboard = self.dashboard();
            let served =
                http::serve(listener, use_cases, dashboard, &limits, ready.clone(), ends).await;
            served.map_err(io_error("HTTP"))
        };
        let told = async {
            shutdown.await;
            stop.send_replace(true);
            Ok(())
        };
        let served = tokio::try_join!(over_grpc, over_http, told);
        jobs.stop();
        served.map(|_| ())
    }

    /// Ends in order: runs are cancelled, what is queued is written, State is checkpointed. Blocks.
    ///
    /// # Errors
    /// If the checkpoint cannot be written; nothing is lost then, the next start is slower.
    pub fn close(self) -> Result<(), ServerError> {
        self.shop.set_ready(false);
        self.use_cases.models.cancel_all();
        self.use_cases.journey.stop();
        self.committer.stop();
        if let Err(error) = self.use_cases.journey.checkpoint() {
            // nothing is lost: the next start counts more
            tracing::warn!(%error, "the journey counters could not be kept");
        }
        self.shop
            .checkpoint_now()
            .map_err(io_error("the checkpoint"))
    }
}

/// Says what opening the journal had to mend.
fn log_recovery(recovery: &Recovery) {
    let Recovery {
        records, blocks, ..
    } = recovery;
    tracing::info!(records, blocks, "the journal is open");
    for (copy, repair) in [("sled", &recovery.engine), ("mirror", &recovery.mirror)] {
        if !matches!(repair, Repair::None | Repair::Created | Repair::Off) {
            tracing::warn!(
                copy,
                ?repair,
                "a copy of the journal was mended from the other"
            );
        }
    }
    if recovery.format_rewritten {
        let path = "FORMAT";
        tracing::warn!(
            path,
            "the format of the data folder was unreadable and is written anew"
        );
    }
    if let Some(reason) = &recovery.keys_rebuilt {
        tracing::warn!(reason, "the event keys were gathered anew");
    }
    if recovery.lost_unsynced {
        tracing::error!("a loss of power took writes of the last interval");
    }
    if let Some(redacted) = recovery.erasure_finished {
        tracing::warn!(redacted, "an interrupted erasure was finished");
    }
}

/// Counts equal events of one file in flat memory, with room on the disk in `folder`.
#[must_use]
pub fn repetition_counter(folder: &Path) -> Repetitions<'static> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // each counter needs a folder of its own, also beside another process
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("repetitions-{}-{number}", std::process::id());
    let mut counter = RepetitionCounter::new(folder.join(name), REPETITIONS_IN_MEMORY);
    Box::new(move |content| counter.next(content))
}
