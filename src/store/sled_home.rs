//! The journal in the data folder: blocks in sled and in the mirror file, durable before they are acknowledged.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::domain::{Position, Record};
use crate::store::block::{Block, Header, Place, Unpacked};
use crate::store::codec::damaged;
use crate::store::faults::Faults;
use crate::store::journal::{Appended, Journal, JournalError, Records};
use crate::store::keys::{DEFAULT_KEY_BUFFER, KeySet};
use crate::store::mirror::Mirror;

mod engine;
mod erasure;
mod flusher;
mod folder;
mod recovery;
mod room;

pub use recovery::{Recovery, Repair};

use engine::Engine;
use flusher::Flusher;
use folder::Folder;
use recovery::{Recovered, covered_by};
use room::Room;

/// When what was written is made to survive a loss of power. `kill -9` it survives in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Before it is acknowledged.
    #[default]
    Always,
    /// At most this long after it was acknowledged, in the background: a loss of power may take what was acknowledged
    /// within the last interval (and while one sync takes).
    Interval(Duration),
}

/// How the journal is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// When it is durable; [`Durability::Always`] unless told otherwise.
    pub durability: Durability,
    /// Whether the mirror file is kept; it is unless told otherwise. Turned off, a mirror from before is removed once
    /// everything in it is in sled.
    pub mirror: bool,
    /// sled's cache, in bytes; 64 MiB unless told otherwise.
    pub cache_bytes: u64,
    /// How many event keys wait in memory before they go to a file (about 20 bytes each).
    pub key_buffer: usize,
    /// Failures planned by a test; none unless told otherwise.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Always,
            mirror: true,
            cache_bytes: 64 << 20,
            key_buffer: DEFAULT_KEY_BUFFER,
            faults: Faults::default(),
        }
    }
}

/// The journal in a data folder.
pub struct SledJournal {
    // before the rest, because it works on it
    _flusher: Option<Flusher>,
    shared: Arc<Shared>,
}

struct Shared {
    // the engine is closed before the folder is let go
    engine: RwLock<Option<Engine>>,
    writer: Mutex<Writer>,
    /// Where the next block will stand: what readers may read ends there.
    tip: Mutex<Place>,
    epoch: AtomicU64,
    cache_bytes: u64,
    durability: Durability,
    folder: Folder,
}

struct Writer {
    mirror: Option<Mirror>,
    keys: KeySet,
    place: Place,
    room: Room,
    /// True if the last block may not be on the disk yet.
    unsynced: bool,
    poisoned: Option<String>,
}

impl SledJournal {
    /// Opens the journal in the data folder `dir`, or makes it; verifies both copies and mends each from the other.
    ///
    /// # Errors
    /// `InUse`; `Format`; `Damaged` if a block is whole in neither copy (then nothing was changed); `Io`.
    pub fn open(dir: &Path, options: &Options) -> Result<(Self, Recovery), JournalError> {
        std::fs::create_dir_all(dir)?;
        let folder = Folder::open(dir, &options.faults)?;
        let Recovered {
            engine,
            mirror,
            keys,
            place,
            mut recovery,
        } = recovery::recover(&folder, options)?;
        let shared = Arc::new(Shared {
            engine: RwLock::new(Some(engine)),
            writer: Mutex::new(Writer {
                mirror,
                keys,
                place,
                room: Room::new(&folder.journal()),
                unsynced: false,
                poisoned: None,
            }),
            tip: Mutex::new(place),
            epoch: AtomicU64::new(folder.epoch()?),
            cache_bytes: options.cache_bytes,
            durability: options.durability,
            folder,
        });
        if shared.folder.read_marker()?.is_some() {
            let mut writer = shared.lock()?;
            recovery.erasure_finished = Some(erasure::erase(&shared, &mut writer, &[])?);
        }
        let flusher = match options.durability {
            Durability::Always => None,
            Durability::Interval(interval) => Some(Flusher::start(&shared, interval)?),
        };
        Ok((
            Self {
                _flusher: flusher,
                shared,
            },
            recovery,
        ))
    }

    /// Makes everything that was acknowledged durable now; with [`Durability::Always`] it is already.
    ///
    /// # Errors
    /// `Poisoned`.
    pub fn sync(&self) -> Result<(), JournalError> {
        self.shared.sync()
    }

    /// How many event keys are known.
    pub fn known_keys(&self) -> u64 {
        self.shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys
            .len()
    }
}

impl Journal for SledJournal {
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError> {
        let mut writer = self.shared.lock()?;
        let mut is_new = Vec::with_capacity(records.len());
        let mut fresh = HashSet::new();
        for record in records {
            is_new.push(match record.key() {
                None => true,
                Some(key) => !writer.keys.contains(key)? && fresh.insert(key),
            });
        }
        let first = writer.place.first;
        let chosen: Vec<_> = records
            .iter()
            .zip(&is_new)
            .filter_map(|(record, new)| new.then_some(record))
            .collect();
        if chosen.is_empty() {
            return Ok(Appended { first, is_new });
        }
        let block =
            Block::pack(writer.place, &chosen, writer.unsynced).ok_or(JournalError::TooLarge {
                records: chosen.len(),
            })?;
        self.shared.commit(&mut writer, &block)?;
        for key in fresh {
            writer.keys.insert(key);
        }
        if let Err(error) = writer.keys.at_block_end(covered_by(&block)) {
            tracing::warn!(%error, "event keys stay in memory because they cannot be written");
        }
        Ok(Appended { first, is_new })
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        let tip = self.shared.tip();
        if position >= tip.first {
            return Box::new(std::iter::empty());
        }
        Box::new(Reader {
            shared: &self.shared,
            from: position,
            sequence: None,
            end: tip.sequence,
            unpacked: None,
        })
    }

    fn read_at<'a>(&'a self, positions: &'a [Position]) -> Records<'a> {
        let tip = self.shared.tip();
        let mut reader = Reader {
            shared: &self.shared,
            from: Position(0),
            sequence: None,
            end: tip.sequence,
            unpacked: None,
        };
        let known = positions
            .iter()
            .take_while(move |position| **position < tip.first);
        Box::new(known.filter_map(move |position| reader.read_one(*position).transpose()))
    }

    fn end(&self) -> Position {
        self.shared.tip().first
    }

    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
        let mut writer = self.shared.lock()?;
        erasure::erase(&self.shared, &mut writer, positions)
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch()
    }
}

impl Shared {
    /// The writer, unless it is poisoned.
    fn lock(&self) -> Result<MutexGuard<'_, Writer>, JournalError> {
        // a writer that panicked may have left anything half done
        let writer = self.writer.lock().map_err(|_| {
            JournalError::Poisoned("a thread panicked while it was writing".to_owned())
        })?;
        match &writer.poisoned {
            None => Ok(writer),
            Some(reason) => Err(JournalError::Poisoned(reason.clone())),
        }
    }

    fn tip(&self) -> Place {
        *self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// The mirror first, then the engine: what fails in the mirror can be taken back cleanly.
    fn commit(&self, writer: &mut Writer, block: &Block) -> Result<(), JournalError> {
        let now = self.durability == Durability::Always;
        writer.room.take(block.bytes().len() as u64)?;
        if let Some(mirror) = &mut writer.mirror {
            let before = mirror.len();
            let written = mirror
                .append(block)
                .and_then(|()| if now { mirror.sync() } else { Ok(()) });
            if let Err(error) = written {
                return match mirror.rewind(before) {
                    Ok(()) => Err(JournalError::Io(error)),
                    Err(again) => Err(writer.poison(format!(
                        "the mirror could not be written ({error}) nor cut back ({again})"
                    ))),
                };
            }
        }
        let written = self.with_engine(|engine| {
            engine.insert(block)?;
            if now { Ok(engine.sync()?) } else { Ok(()) }
        });
        if let Err(error) = written {
            return Err(writer.poison(format!("sled could not be written: {error}")));
        }
        writer.unsynced = !now;
        writer.place = block.header().next_place();
        *self.tip.lock().unwrap_or_else(PoisonError::into_inner) = writer.place;
        Ok(())
    }

    fn sync(&self) -> Result<(), JournalError> {
        let mut writer = self.lock()?;
        if !writer.unsynced {
            return Ok(());
        }
        let mirrored = writer.mirror.as_ref().map_or(Ok(()), Mirror::sync);
        let synced = mirrored
            .map_err(JournalError::from)
            .and_then(|()| self.with_engine(|engine| Ok(engine.sync()?)));
        match synced {
            Ok(()) => {
                writer.unsynced = false;
                Ok(())
            }
            // what was acknowledged may or may not be on the disk, and trying again would not tell
            Err(error) => Err(writer.poison(format!("a sync in the background failed: {error}"))),
        }
    }

    fn with_engine<T>(
        &self,
        act: impl FnOnce(&Engine) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        match engine.as_ref() {
            Some(engine) => act(engine),
            None => Err(JournalError::Poisoned("sled is closed".to_owned())),
        }
    }

    /// Closes the engine, lets `replace` move its folder, and opens what lies there then. Readers wait meanwhile.
    ///
    /// # Errors
    /// `Io` from `replace`, if the engine is open again; anything else: it is not.
    fn swap_engine(
        &self,
        replace: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<(), JournalError> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = engine.take() {
            drop(old);
        }
        let replaced = replace();
        if replaced.is_err() {
            let settled = self.folder.settle_replacement();
            settled.map_err(|error| JournalError::Engine(error.to_string()))?;
        }
        let opened = Engine::open(&self.folder.engine(), self.cache_bytes, &self.folder.faults)
            .map_err(|error| JournalError::Engine(error.to_string()))?;
        *engine = Some(opened);
        Ok(replaced?)
    }

    /// The first position of a block.
    fn first_of(&self, sequence: u64) -> Result<Position, JournalError> {
        let bytes = self.with_engine(|engine| Ok(engine.get(sequence)?))?;
        let header = bytes.map(|bytes| Header::parse(&bytes));
        match header {
            Some(Ok(header)) => Ok(header.place.first),
            Some(Err(error)) => Err(JournalError::Engine(format!("block {sequence}: {error}"))),
            None => Err(JournalError::Engine(format!("block {sequence} is missing"))),
        }
    }

    /// The last of the first `end` blocks that begins at or before `position`.
    fn block_of(&self, position: Position, end: u64) -> Result<u64, JournalError> {
        let (mut low, mut high) = (0, end);
        while high - low > 1 {
            let middle = u64::midpoint(low, high);
            if self.first_of(middle)? <= position {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

impl Writer {
    fn poison(&mut self, reason: String) -> JournalError {
        self.poisoned = Some(reason.clone());
        JournalError::Poisoned(reason)
    }
}

/// Reads block by block, so that an erasure may replace the engine between two of them.
struct Reader<'a> {
    shared: &'a Shared,
    from: Position,
    /// The next block; nothing before the first was looked for.
    sequence: Option<u64>,
    /// The block to stop before.
    end: u64,
    unpacked: Option<Unpacked>,
}

impl Reader<'_> {
    /// The record at a position that is not before the last one.
    fn read_one(&mut self, position: Position) -> Result<Option<(Position, Record)>, JournalError> {
        self.from = position;
        if let Some(unpacked) = &mut self.unpacked {
            let is_here = unpacked.skip_to(position);
            if !is_here.map_err(|error| damaged(position, error))? {
                (self.unpacked, self.sequence) = (None, None);
            }
        }
        self.read()
    }

    fn read(&mut self) -> Result<Option<(Position, Record)>, JournalError> {
        loop {
            if let Some(unpacked) = &mut self.unpacked {
                let skipped = unpacked.skip_to(self.from);
                skipped.map_err(|error| damaged(self.from, error))?;
                match unpacked.next() {
                    Some(Ok(read)) => {
                        self.from = read.0.plus(1);
                        return Ok(Some(read));
                    }
                    Some(Err(error)) => return Err(damaged(self.from, error)),
                    None => self.unpacked = None,
                }
            }
            let sequence = match self.sequence {
                Some(sequence) => sequence,
                None => self.shared.block_of(self.from, self.end)?,
            };
            if sequence >= self.end {
                return Ok(None);
            }
            let bytes = self
                .shared
                .with_engine(|engine| Ok(engine.get(sequence)?))?;
            let bytes = bytes.ok_or_else(|| damaged(self.from, "its block is missing in sled"))?;
            let block = Block::parse(bytes.to_vec()).map_err(|error| damaged(self.from, error))?;
            self.unpacked = Some(block.open().map_err(|error| damaged(self.from, error))?);
            self.sequence = Some(sequence + 1);
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<(Position, Record), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            // an error ends it
            self.unpacked = None;
            self.sequence = Some(self.end);
        }
        read.transpose()
    }
}
