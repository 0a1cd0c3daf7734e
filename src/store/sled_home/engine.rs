//! sled, with what it needs around it: it may panic on damaged files, and its own flush is no `fsync`.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::store::block::Block;
use crate::store::durable;
use crate::store::faults::{Faults, Step};
use crate::store::journal::JournalError;

/// sled's background flusher is its only caller of `fsync`, and keeps its memory low.
const FLUSH_EVERY_MS: u64 = 500;
/// A block is kept in parts of this size: sled puts up to 16 values on a page, and does not count the memory of pages
/// over 128 KiB against its cache, so that they would stay in memory for ever.
const PART_BYTES: usize = 4 << 10;
/// Threads of a sled that was just closed may hold its lock for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What the engine does not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Somebody else has it open.
    #[error("sled is locked")]
    Locked,
    /// Its files are not what it wrote, or it gave up on them.
    #[error("sled: {0}")]
    Damaged(String),
    /// The disk refused.
    #[error("sled: {0}")]
    Io(#[from] io::Error),
}

impl From<EngineError> for JournalError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Io(error) => Self::Io(error),
            other => Self::Engine(other.to_string()),
        }
    }
}

impl From<sled::Error> for EngineError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
                Self::Locked
            }
            // what the system itself refused is no damage, except a file that should be there
            sled::Error::Io(error)
                if error.raw_os_error().is_some() && error.kind() != io::ErrorKind::NotFound =>
            {
                Self::Io(error)
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Blocks under their big-endian sequence numbers, in one tree.
pub(crate) struct Engine {
    /// Taken only when it is dropped.
    handles: Option<(sled::Tree, sled::Db)>,
    /// True once sled failed to write: from then on it may wait for itself for ever.
    failed: AtomicBool,
    file: File,
    blobs: PathBuf,
    faults: Faults,
}

impl Engine {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// [`EngineError`]; never a panic.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: u64,
        faults: &Faults,
    ) -> Result<Self, EngineError> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match Self::open_now(path, cache_bytes, faults) {
                Err(EngineError::Locked) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                done => return done,
            }
        }
    }

    fn open_now(path: &Path, cache_bytes: u64, faults: &Faults) -> Result<Self, EngineError> {
        fs::create_dir_all(path)?;
        remove_half_snapshots(path)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .mode(sled::Mode::HighThroughput);
        let (db, tree) = guarded(|| {
            let db = config.open()?;
            let tree = db.open_tree("blocks")?;
            Ok((db, tree))
        })?;
        // writable, because some systems sync only what may be written
        let file = File::options()
            .read(true)
            .write(true)
            .open(path.join("db"))?;
        let engine = Self {
            handles: Some((tree, db)),
            failed: AtomicBool::new(false),
            file,
            blobs: path.join("blobs"),
            faults: faults.clone(),
        };
        durable::sync_dir(path)?;
        if let Some(parent) = path.parent() {
            durable::sync_dir(parent)?;
        }
        Ok(engine)
    }

    /// Does a write, and remembers it if it fails.
    fn watched<T>(&self, write: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
        let written = guarded(write);
        if written.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn tree(&self) -> &sled::Tree {
        let (tree, _) = self.handles.as_ref().expect("taken only by drop");
        tree
    }

    fn db(&self) -> &sled::Db {
        let (_, db) = self.handles.as_ref().expect("taken only by drop");
        db
    }

    /// The block of this number as it is kept, if there is one.
    pub(crate) fn get(&self, sequence: u64) -> Result<Option<Vec<u8>>, EngineError> {
        guarded(|| {
            let mut block = Vec::new();
            for part in self.tree().scan_prefix(sequence.to_be_bytes()) {
                block.extend_from_slice(&part?.1);
            }
            Ok((!block.is_empty()).then_some(block))
        })
    }

    /// The highest number there is.
    pub(crate) fn last(&self) -> Result<Option<u64>, EngineError> {
        let last = guarded(|| Ok(self.tree().last()?))?;
        match last {
            None => Ok(None),
            Some((key, _)) => match key.first_chunk::<8>() {
                Some(key) => Ok(Some(u64::from_be_bytes(*key))),
                None => Err(EngineError::Damaged("a key is no number".to_owned())),
            },
        }
    }

    /// Puts in a block; durable only after [`Engine::sync`].
    pub(crate) fn insert(&self, block: &Block) -> Result<(), EngineError> {
        self.faults.check(Step::EngineWrite)?;
        let sequence = block.header().place.sequence.to_be_bytes();
        let mut batch = sled::Batch::default();
        for (number, part) in block.bytes().chunks(PART_BYTES).enumerate() {
            let number = u32::try_from(number).expect("a block has no more parts than bytes");
            batch.insert([&sequence[..], &number.to_be_bytes()].concat(), part);
        }
        self.watched(|| Ok(self.tree().apply_batch(batch)?))?;
        Ok(())
    }

    /// Makes everything put in durable: sled's flush writes it to its file, `fdatasync` makes the file durable, and
    /// the folder of large values is synced because sled does not.
    pub(crate) fn sync(&self) -> Result<(), EngineError> {
        self.faults.check(Step::EngineSync)?;
        self.watched(|| Ok(self.db().flush()?))?;
        self.file.sync_data()?;
        if self.blobs.exists() {
            durable::sync_dir(&self.blobs)?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(handles) = self.handles.take() else {
            return;
        };
        // after an error sled's flusher is dead, and dropping sled would wait for it for ever; a leak keeps the lock on
        // sled's file until the process ends, which has to be started anew then anyway
        let failed = self.failed.load(Ordering::Relaxed);
        if failed || guarded(|| Ok(handles.1.flush()?)).is_err() {
            std::mem::forget(handles);
            return;
        }
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handles)));
    }
}

/// sled takes a snapshot that it did not finish writing for a finished one, and refuses to open.
fn remove_half_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Turns a panic of sled into an error.
fn guarded<T>(act: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(EngineError::Damaged(format!(
            "panicked: {}",
            words.unwrap_or("without words")
        )))
    })
}
