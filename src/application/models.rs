//! Models: training runs that can be watched and cancelled, and the registry of revisions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::application::catalog::Page;
use crate::application::error::AppError;
use crate::application::history::History;
use crate::application::ingest::Ingest;
use crate::application::model::{Model, ModelError, PartReport, PartState};
use crate::application::personas::PersonaFigures;
use crate::application::shop::{Live, Shop};
use crate::application::train::{
    FigureTable, GateComparison, JourneyFigures, Lesson, OfferFigures, Progress, TrainError,
    TrainSettings, Trained, train,
};
use crate::domain::{RecordBody, Timestamp};
use crate::store::{ArtefactError, Artefacts};

/// How many runs are remembered.
const MAX_RUNS: usize = 100;
/// How many revisions are kept; the live one and the one before it always are.
const MAX_REVISIONS: usize = 50;
/// What follows the id of a revision in the name of its figures.
const INFO: &str = "-info";

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// At work.
    Running,
    /// Ended with a revision.
    Succeeded,
    /// Ended without one.
    Failed,
    /// Stopped.
    Cancelled,
}

/// A training run as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRun {
    /// Which.
    pub id: String,
    /// Where it stands.
    pub state: RunState,
    /// What it is doing.
    pub phase: &'static str,
    /// From 0 to 1.
    pub progress: f64,
    /// In words.
    pub message: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it made.
    pub revision: Option<String>,
}

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionState {
    /// Answers are ranked by it.
    Live,
    /// Good enough, not live.
    Ready,
    /// Did not beat the live one and the baselines.
    Refused,
    /// What is kept of it cannot be read.
    Damaged,
}

/// A revision, without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionInfo {
    /// Which: a digest of the content.
    pub id: String,
    /// What became of it.
    pub state: RevisionState,
    /// When it was made; absent if that cannot be read.
    pub created: Option<Timestamp>,
    /// Records it learned from.
    pub records: u64,
    /// Questions it learned from.
    pub training_questions: u64,
    /// Questions held back to judge it.
    pub held_back_questions: u64,
    /// Figures by method and name.
    pub figures: Vec<(String, Vec<(String, f64)>)>,
    /// What the gate compared, over all stages first; empty for revisions from before it was kept.
    pub gate: Vec<GateComparison>,
    /// Expected calibration error on the questions it was calibrated with.
    pub calibration_error: f64,
    /// How learning what offers do went.
    pub offers: OfferFigures,
    /// How learning where people go next went.
    pub journey: JourneyFigures,
    /// How learning personas went; absent: none were found.
    pub personas: Option<PersonaFigures>,
    /// What became of each part; empty for revisions from before it was kept.
    pub parts: Vec<PartReport>,
    /// Why it was refused: no part passed; empty otherwise.
    pub refusal: String,
    /// Seed of its run.
    pub seed: u64,
}

/// What is kept of a revision beside its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    created: Timestamp,
    records: u64,
    training_questions: u64,
    held_back_questions: u64,
    figures: FigureTable,
    #[serde(default)]
    gate: Vec<GateComparison>,
    calibration_error: f64,
    #[serde(default)]
    offers: OfferFigures,
    #[serde(default)]
    journey: JourneyFigures,
    #[serde(default)]
    personas: Option<PersonaFigures>,
    #[serde(default)]
    parts: Vec<PartReport>,
    refusal: String,
    seed: u64,
}

/// The use cases of models.
#[derive(Debug, Clone)]
pub struct Models {
    shop: Arc<Shop>,
    ingest: Ingest,
    artefacts: Arc<Artefacts>,
    settings: Arc<ModelSettings>,
    runs: Arc<Mutex<VecDeque<Run>>>,
}

/// How models are made.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// How to train.
    pub train: TrainSettings,
    /// At most so many records of the journal's end are learned from; 0: all.
    pub max_records: u64,
}

#[derive(Debug)]
struct Run {
    id: String,
    status: watch::Sender<TrainingRun>,
    cancel: Arc<AtomicBool>,
}

impl Models {
    /// Over a shop; makes the newest revision live that was activated and can be used.
    #[must_use]
    pub fn new(
        shop: Arc<Shop>,
        ingest: Ingest,
        artefacts: Artefacts,
        settings: ModelSettings,
    ) -> Self {
        let artefacts = Arc::new(artefacts);
        let settings = Arc::new(settings);
        let models = Self {
            shop,
            ingest,
            artefacts,
            settings,
            runs: Arc::default(),
        };
        let activations: Vec<String> = models
            .shop
            .known()
            .state
            .activations()
            .map(str::to_owned)
            .collect();
        let newest_first = activations.iter().map(String::as_str);
        let live = last_live(&models.artefacts, newest_first, &models.shop.stages());
        if live.is_some() {
            models.shop.set_live(live);
        }
        models
    }

    /// Starts a run.
    ///
    /// # Errors
    /// `TrainingRunning`, `NotReady`.
    pub fn train(&self, seed: Option<u64>) -> Result<TrainingRun, AppError> {
        self.shop.check_ready()?;
        let mut runs = self.queue();
        let running = runs
            .iter()
            .find(|run| run.status.borrow().state == RunState::Running);
        if let Some(run) = running {
            return Err(AppError::TrainingRunning { id: run.id.clone() });
        }
        let started = self.shop.clock.now();
        let id = format!("t-{}-{}", started.ms(), runs.len());
        let run = TrainingRun {
            id: id.clone(),
            state: RunState::Running,
            phase: "reading",
            progress: 0.0,
            message: String::new(),
            started,
            ended: None,
            revision: None,
        };
        let status = watch::Sender::new(run.clone());
        let cancel = Arc::new(AtomicBool::new(false));
        let work = Work {
            models: self.clone(),
            status: status.clone(),
            cancel: cancel.clone(),
            seed: seed.unwrap_or(self.settings.train.seed),
        };
        std::thread::Builder::new()
            .name("training".to_owned())
            .spawn(move || work.run())
            .map_err(|error| AppError::Internal(error.to_string()))?;
        runs.push_front(Run { id, status, cancel });
        runs.truncate(MAX_RUNS);
        Ok(run)
    }

    /// A run as it stands.
    ///
    /// # Errors
    /// `TrainingRunNotFound`.
    pub fn run(&self, id: &str) -> Result<TrainingRun, AppError> {
        self.watch(id).map(|status| status.borrow().clone())
    }

    /// A run as it changes.
    ///
    /// # Errors
    /// `TrainingRunNotFound`.
    pub fn watch(&self, id: &str) -> Result<watch::Receiver<TrainingRun>, AppError> {
        let runs = self.queue();
        let found = runs.iter().find(|run| run.id == id);
        found
            .map(|run| run.status.subscribe())
            .ok_or_else(|| AppError::TrainingRunNotFound { id: id.to_owned() })
    }

    /// Asks a run to stop.
    ///
    /// # Errors
    /// `TrainingRunNotFound`.
    pub fn cancel(&self, id: &str) -> Result<TrainingRun, AppError> {
        let runs = self.queue();
        let found = runs.iter().find(|run| run.id == id);
        let run = found.ok_or_else(|| AppError::TrainingRunNotFound { id: id.to_owned() })?;
        run.cancel.store(true, Ordering::Relaxed);
        Ok(run.status.borrow().clone())
    }

    /// Asks whatever runs to stop.
    pub fn cancel_all(&self) {
        self.queue()
            .iter()
            .for_each(|run| run.cancel.store(true, Ordering::Relaxed));
    }

    /// Runs, newest first, from the `from`th on.
    #[must_use]
    pub fn runs(&self, from: u64, limit: usize) -> Page<TrainingRun> {
        let runs = self.queue();
        let all = runs.iter().map(|run| run.status.borrow().clone());
        page(all.collect(), from, limit)
    }

    /// Revisions, newest first, from the `from`th on; those that are damaged are the last.
    ///
    /// # Errors
    /// `DataLoss` if the folder cannot be read.
    pub fn revisions(&self, from: u64, limit: usize) -> Result<Page<RevisionInfo>, AppError> {
        let mut all = Vec::new();
        for id in self.ids()? {
            match self.revision(&id) {
                Ok(info) => all.push(info),
                // one damaged file must not hide the others
                Err(AppError::ModelRevisionDamaged { id, reason }) => {
                    tracing::warn!(revision = id, reason, "a model revision cannot be read");
                    all.push(RevisionInfo::damaged(id));
                }
                // forgotten meanwhile
                Err(AppError::ModelRevisionNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        Ok(page(all, from, limit))
    }

    /// A revision.
    ///
    /// # Errors
    /// `ModelRevisionNotFound`, `ModelRevisionDamaged`; `DataLoss` if the disk cannot be read.
    pub fn revision(&self, id: &str) -> Result<RevisionInfo, AppError> {
        let bytes = self.read(id, &format!("{id}{INFO}"))?;
        let kept: Kept =
            serde_json::from_slice(&bytes).map_err(|error| damaged(id, error.to_string()))?;
        let is_live = self.shop.live().is_some_and(|live| live.id == id);
        let state = match (is_live, kept.refusal.is_empty()) {
            (true, _) => RevisionState::Live,
            (false, true) => RevisionState::Ready,
            (false, false) => RevisionState::Refused,
        };
        Ok(RevisionInfo {
            id: id.to_owned(),
            state,
            created: Some(kept.created),
            records: kept.records,
            training_questions: kept.training_questions,
            held_back_questions: kept.held_back_questions,
            figures: kept.figures.0,
            gate: kept.gate,
            calibration_error: kept.calibration_error,
            offers: kept.offers,
            journey: kept.journey,
            personas: kept.personas,
            parts: kept.parts,
            refusal: kept.refusal,
            seed: kept.seed,
        })
    }

    /// Makes a revision live.
    ///
    /// # Errors
    /// `ModelRevisionNotFound`, `ModelRevisionDamaged`, `ModelRevisionRefused`; those of writing.
    pub async fn activate(&self, id: &str, force: bool) -> Result<RevisionInfo, AppError> {
        let info = self.revision(id)?;
        if !info.refusal.is_empty() && !force {
            let (id, refusal) = (info.id, info.refusal);
            return Err(AppError::ModelRevisionRefused { id, refusal });
        }
        let model = self.load(id)?;
        self.ingest
            .write(vec![RecordBody::ModelActivated(id.into())])
            .await?;
        self.shop.set_live(Some(Live {
            id: id.to_owned(),
            model,
        }));
        self.revision(id)
    }

    /// Makes the revision live that was live before.
    ///
    /// # Errors
    /// `NoPreviousRevision`; those of writing.
    pub async fn roll_back(&self) -> Result<RevisionInfo, AppError> {
        let live = self.shop.live().map(|live| live.id.clone());
        let before: Option<String> = {
            let known = self.shop.known();
            let mut activations = known.state.activations();
            activations
                .find(|id| Some(*id) != live.as_deref())
                .map(str::to_owned)
        };
        let before = before.ok_or(AppError::NoPreviousRevision)?;
        self.activate(&before, true).await
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ids(&self) -> Result<Vec<String>, AppError> {
        let names = self.artefacts.list().map_err(|error| data_loss(&error))?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_suffix(INFO))
            .map(str::to_owned)
            .collect())
    }

    fn load(&self, id: &str) -> Result<Model, AppError> {
        load(&self.artefacts, id, &self.shop.stages())
    }

    /// What is kept of a revision under a name.
    fn read(&self, id: &str, name: &str) -> Result<Vec<u8>, AppError> {
        read(&self.artefacts, id, name)
    }

    /// Keeps a revision, and goes live with it if it may. Returns its id and what became of it in words.
    fn publish(&self, trained: Trained, seed: u64) -> Result<(String, String), AppError> {
        let bytes = trained.model.encode();
        let id = Model::id(&bytes);
        let kept = Kept {
            created: self.shop.clock.now(),
            records: trained.records,
            training_questions: trained.training_questions,
            held_back_questions: trained.held_back_questions,
            figures: trained.figures,
            gate: trained.gate,
            calibration_error: trained.calibration_error,
            offers: trained.offers,
            journey: trained.journey,
            personas: trained.personas,
            parts: trained.parts.clone(),
            refusal: trained.refusal.clone(),
            seed,
        };
        // the same journal, settings and seed make the same revision again: what is known of it stays, unless it is
        // damaged
        if self.revision(&id).is_err() || self.load(&id).is_err() {
            let info = serde_json::to_vec(&kept).map_err(|e| AppError::Internal(e.to_string()))?;
            self.artefacts
                .put(&id, &bytes)
                .map_err(|error| data_loss(&error))?;
            let name = format!("{id}{INFO}");
            self.artefacts
                .put(&name, &info)
                .map_err(|error| data_loss(&error))?;
        }
        if self.shop.live().is_some_and(|live| live.id == id) {
            return Ok((id, "live already: nothing new was learned".to_owned()));
        }
        self.forget_old();
        if !trained.refusal.is_empty() {
            return Ok((id, format!("refused: {}", trained.refusal)));
        }
        self.ingest
            .write_blocking(vec![RecordBody::ModelActivated(id.as_str().into())])?;
        self.shop.set_live(Some(Live {
            id: id.clone(),
            model: trained.model,
        }));
        Ok((id, went_live(&trained.parts)))
    }

    fn forget_old(&self) {
        let keep: Vec<String> = self
            .shop
            .known()
            .state
            .activations()
            .take(2)
            .map(str::to_owned)
            .collect();
        let old = match self.revisions(MAX_REVISIONS as u64, usize::MAX) {
            Ok(page) => page.items,
            Err(error) => {
                tracing::warn!(%error, "old revisions stay");
                return;
            }
        };
        for old in old {
            if !keep.contains(&old.id) {
                for name in [old.id.clone(), format!("{}{INFO}", old.id)] {
                    if let Err(error) = self.artefacts.delete(&name) {
                        tracing::warn!(revision = old.id, %error, "an old revision stays");
                    }
                }
            }
        }
    }
}

impl RevisionInfo {
    /// Of a revision of which nothing can be read.
    fn damaged(id: String) -> Self {
        Self {
            id,
            state: RevisionState::Damaged,
            created: None,
            records: 0,
            training_questions: 0,
            held_back_questions: 0,
            figures: Vec::new(),
            gate: Vec::new(),
            calibration_error: 0.0,
            offers: OfferFigures::default(),
            journey: JourneyFigures::default(),
            personas: None,
            parts: Vec::new(),
            refusal: String::new(),
            seed: 0,
        }
    }
}

/// The first of these revisions that can be used for a journey of `stages`: of those that went live, the newest first.
pub fn last_live<'a>(
    artefacts: &Artefacts,
    newest_first: impl Iterator<Item = &'a str>,
    stages: &[String],
) -> Option<Live> {
    for id in newest_first {
        match load(artefacts, id, stages) {
            Ok(model) => {
                let id = id.to_owned();
                return Some(Live { id, model });
            }
            Err(error) => tracing::warn!(revision = id, %error, "a model cannot be used"),
        }
    }
    None
}

fn load(artefacts: &Artefacts, id: &str, stages: &[String]) -> Result<Model, AppError> {
    let bytes = read(artefacts, id, id)?;
    Model::decode(&bytes, stages).map_err(|error| match error {
        ModelError::Bytes(_) => damaged(id, error.to_string()),
        ModelError::Other(_) => AppError::DataLoss(error.to_string()),
    })
}

fn read(artefacts: &Artefacts, id: &str, name: &str) -> Result<Vec<u8>, AppError> {
    match artefacts.get(name) {
        Ok(Some(bytes)) => Ok(bytes),
        // what cannot be an id is none
        Ok(None) | Err(ArtefactError::Id(_)) => {
            Err(AppError::ModelRevisionNotFound { id: id.to_owned() })
        }
        Err(error @ ArtefactError::Damaged { .. }) => Err(damaged(id, error.to_string())),
        Err(error) => Err(data_loss(&error)),
    }
}

/// What became of a run whose revision went live, in words.
fn went_live(parts: &[PartReport]) -> String {
    let others = parts
        .iter()
        .filter(|part| matches!(part.state, PartState::CarriedOver | PartState::Refused));
    let others: Vec<String> = others
        .map(|part| {
            let (name, state) = (part.part.as_str(), part.state.as_str());
            format!("{name} {state}: {}", part.reason)
        })
        .collect();
    if others.is_empty() {
        "live".to_owned()
    } else {
        format!("live; {}", others.join("; "))
    }
}

fn damaged(id: &str, reason: String) -> AppError {
    let id = id.to_owned();
    AppError::ModelRevisionDamaged { id, reason }
}

fn data_loss(error: &ArtefactError) -> AppError {
    AppError::DataLoss(error.to_string())
}

fn page<T>(items: Vec<T>, from: u64, limit: usize) -> Page<T> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let total = items.len();
    let items: Vec<T> = items.into_iter().skip(from).take(limit).collect();
    let end = from.saturating_add(items.len());
    Page {
        items,
        next: (end < total).then_some(end as u64),
    }
}

/// One run at work, on a thread of its own.
struct Work {
    models: Models,
    status: watch::Sender<TrainingRun>,
    cancel: Arc<AtomicBool>,
    seed: u64,
}

impl Work {
    fn run(mut self) {
        // a run that panics must not stay "running" for ever
        let models = self.models.clone();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.work()));
        let outcome = outcome.unwrap_or_else(|_| {
            Err((RunState::Failed, "the run panicked; see the log".to_owned()))
        });
        self.status.send_modify(|run| {
            run.ended = Some(models.shop.clock.now());
            match outcome {
                Ok((revision, message)) => {
                    run.state = RunState::Succeeded;
                    run.progress = 1.0;
                    run.message = message;
                    run.revision = Some(revision);
                }
                Err((state, message)) => {
                    run.state = state;
                    run.message = message;
                }
            }
        });
        let run = self.status.borrow().clone();
        tracing::info!(run = run.id, state = ?run.state, message = run.message, "training ended");
    }

    fn work(&mut self) -> Result<(String, String), (RunState, String)> {
        let failed = |error: String| (RunState::Failed, error);
        let shop = self.models.shop.clone();
        let most = self.models.settings.max_records;
        let history = History::of_journal(&*shop.journal, most)
            .map_err(|error| failed(AppError::from(error).to_string()))?;
        let lesson = Lesson {
            history: &history,
            fold: &shop.settings.fold,
            recipes: &shop.settings.recipes,
            horizons_ms: &shop.settings.horizons_ms,
        };
        let settings = TrainSettings {
            seed: self.seed,
            ..self.models.settings.train.clone()
        };
        let live = shop.live();
        let trained = match train(lesson, &settings, live.as_deref(), self) {
            Ok(trained) => trained,
            Err(TrainError::Cancelled) => {
                return Err((RunState::Cancelled, "cancelled".to_owned()));
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        if self.is_cancelled() {
            return Err((RunState::Cancelled, "cancelled".to_owned()));
        }
        self.at("publishing", 0.99);
        self.models
            .publish(trained, self.seed)
            .map_err(|error| failed(error.to_string()))
    }
}

impl Progress for Work {
    fn at(&mut self, phase: &'static str, share: f64) {
        self.status.send_modify(|run| {
            run.phase = phase;
            // a phase that begins before the one before it is done does not take anything back
            run.progress = run.progress.max(share);
        });
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}
