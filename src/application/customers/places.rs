//! How many read the journal for one person at a time, and how many wait for it: a burst of questions may cost time,
//! but no memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::application::error::AppError;

/// So many read at a time.
pub const MAX_READERS: usize = 2;
/// So many wait; more hear `Overloaded`.
pub const MAX_WAITING: usize = 64;

/// A place of a reader; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _reads: OwnedSemaphorePermit,
    _is_there: OwnedSemaphorePermit,
}

/// The places there are. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    readers: Arc<Semaphore>,
    /// Who reads and who waits.
    all: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            all: Arc::new(Semaphore::new(MAX_READERS + MAX_WAITING)),
        }
    }

    /// Waits for a place, in turn.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) async fn take(&self) -> Result<Place, AppError> {
        let all = Arc::clone(&self.all);
        let is_there = all.try_acquire_owned().map_err(|_| AppError::Overloaded)?;
        let reads = Arc::clone(&self.readers).acquire_owned().await;
        Ok(Place {
            _reads: reads.map_err(|_| AppError::Stopping)?,
            _is_there: is_there,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_read_and_so_many_wait_and_more_are_refused() {
        let places = Places::new();
        let mut reading = Vec::new();
        for _ in 0..MAX_READERS {
            reading.push(places.take().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move { places.take().await })
            })
            .collect();
        while places.all.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(waiting.iter().all(|one| !one.is_finished()));
        assert!(matches!(places.take().await, Err(AppError::Overloaded)));
        // who does not wait any more makes room
        waiting.pop().unwrap().abort();
        while places.all.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        reading.pop();
        let first = waiting.remove(0).await.unwrap().unwrap();
        drop(first);
    }
}
