//! Taking in: one committer thread writes for everybody, folds what is durable, then answers.

use crate::application::error::AppError;
use crate::domain::{RecordBody, Timestamp};

/// The most events of one batch.
pub const MAX_EVENTS: usize = 10_000;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Records that are new and now durable.
    pub new: usize,
    /// Records that were known already.
    pub duplicate: usize,
}

/// The way into the journal.
#[derive(Debug, Clone)]
pub struct Ingest {}

impl Ingest {
    /// Writes one atomic batch. When it returns, the new records are durable and count for the next answer.
    ///
    /// # Errors
    /// `JournalUnavailable`, `Stopping`, `NotReady`; nothing is stored then.
    pub async fn write(&self, _batch: Vec<RecordBody>) -> Result<Written, AppError> {
        Err(AppError::NotReady)
    }

    /// As [`Ingest::write`], for threads that may block.
    ///
    /// # Errors
    /// As [`Ingest::write`].
    pub fn write_blocking(&self, _batch: Vec<RecordBody>) -> Result<Written, AppError> {
        Err(AppError::NotReady)
    }

    /// The service's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::MIN
    }
}
