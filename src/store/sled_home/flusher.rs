//! The thread that makes writes durable at an interval, where the operator asked for that.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::journal::JournalError;
use crate::store::sled_home::Shared;

/// Syncs the journal every interval until it is dropped, and once more then.
pub(crate) struct Flusher {
    stop: Arc<(Mutex<bool>, Condvar)>,
    worker: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread.
    pub(crate) fn start(shared: &Arc<Shared>, interval: Duration) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (shared, signal) = (Arc::clone(shared), Arc::clone(&stop));
        let work = move || {
            let (stopped, changed) = &*signal;
            loop {
                let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
                let (guard, _) = changed
                    .wait_timeout_while(guard, interval, |stopped| !*stopped)
                    .unwrap_or_else(PoisonError::into_inner);
                let last = *guard;
                drop(guard);
                match shared.sync() {
                    Ok(()) => {}
                    // whoever writes next is told so
                    Err(JournalError::Poisoned(_)) => return,
                    Err(error) => tracing::error!(%error, "the journal could not be synced"),
                }
                if last {
                    return;
                }
            }
        };
        let worker = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(work)?;
        Ok(Self {
            stop,
            worker: Some(worker),
        })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        let (stopped, changed) = &*self.stop;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        if let Some(worker) = self.worker.take() {
            // a panic in it has poisoned the writer already, which tells everybody
            let _ = worker.join();
        }
    }
}
