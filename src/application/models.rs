//! Models: training runs that can be watched and cancelled, and the registry of revisions.

use tokio::sync::watch;

use crate::application::catalog::Page;
use crate::application::error::AppError;
use crate::domain::Timestamp;

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
}

/// A revision, without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionInfo {
    /// Which: a digest of the content.
    pub id: String,
    /// What became of it.
    pub state: RevisionState,
    /// When it was made.
    pub created: Timestamp,
    /// Records it learned from.
    pub records: u64,
    /// Questions it learned from.
    pub training_questions: u64,
    /// Questions held back to judge it.
    pub held_back_questions: u64,
    /// Figures by method and name.
    pub figures: Vec<(String, Vec<(String, f64)>)>,
    /// Why it was refused; empty otherwise.
    pub refusal: String,
    /// Seed of its run.
    pub seed: u64,
}

/// The use cases of models.
#[derive(Debug, Clone)]
pub struct Models {}

impl Models {
    /// Starts a run.
    ///
    /// # Errors
    /// `TrainingRunning`, `NotReady`.
    pub fn train(&self, _seed: Option<u64>) -> Result<TrainingRun, AppError> {
        Err(AppError::NotReady)
    }

    /// A run as it stands.
    ///
    /// # Errors
    /// `TrainingRunNotFound`.
    pub fn run(&self, id: &str) -> Result<TrainingRun, AppError> {
        Err(AppError::TrainingRunNotFound { id: id.to_owned() })
    }

    /// A run as it changes.
    ///
    /// # Errors
    /// `TrainingRunNotFound`.
    pub fn watch(&self, id: &str) -> Result<watch::Receiver<TrainingRun>, AppError> {
        Err(AppError::TrainingRunNotFound { id: id.to_owned() })
    }

    /// Asks a run to stop.
    ///
    /// # Errors
    /// `TrainingRunNotFound`.
    pub fn cancel(&self, id: &str) -> Result<TrainingRun, AppError> {
        Err(AppError::TrainingRunNotFound { id: id.to_owned() })
    }

    /// Runs, newest first, from the `from`th on.
    #[must_use]
    pub fn runs(&self, _from: u64, _limit: usize) -> Page<TrainingRun> {
        Page {
            items: Vec::new(),
            next: None,
        }
    }

    /// Revisions, newest first, from the `from`th on.
    #[must_use]
    pub fn revisions(&self, _from: u64, _limit: usize) -> Page<RevisionInfo> {
        Page {
            items: Vec::new(),
            next: None,
        }
    }

    /// A revision.
    ///
    /// # Errors
    /// `ModelRevisionNotFound`.
    pub fn revision(&self, id: &str) -> Result<RevisionInfo, AppError> {
        Err(AppError::ModelRevisionNotFound { id: id.to_owned() })
    }

    /// Makes a revision live.
    ///
    /// # Errors
    /// `ModelRevisionNotFound`, `ModelRevisionRefused`; those of writing.
    pub async fn activate(&self, id: &str, _force: bool) -> Result<RevisionInfo, AppError> {
        Err(AppError::ModelRevisionNotFound { id: id.to_owned() })
    }

    /// Makes the revision live that was live before.
    ///
    /// # Errors
    /// `NoPreviousRevision`; those of writing.
    pub async fn roll_back(&self) -> Result<RevisionInfo, AppError> {
        Err(AppError::NoPreviousRevision)
    }
}
