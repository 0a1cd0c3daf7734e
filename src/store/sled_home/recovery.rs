//! Opening: both copies are verified block by block, and each is mended from the other.

use std::path::PathBuf;

use crate::store::block::{Block, Place};
use crate::store::durable;
use crate::store::journal::JournalError;
use crate::store::keys::{Covered, KeyFiles, KeySet};
use crate::store::mirror::{self, Mirror};
use crate::store::sled_home::Options;
use crate::store::sled_home::engine::{Engine, EngineError};
use crate::store::sled_home::folder::Folder;

mod sides;

use sides::{EngineSide, Found, MirrorSide, Trouble, choose, damage_in_both, later_block};

/// What opening found and did; for the log and the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there are.
    pub records: u64,
    /// How many blocks they are in.
    pub blocks: u64,
    /// What was done to the engine's copy.
    pub engine: Repair,
    /// What was done to the mirror.
    pub mirror: Repair,
    /// Why the event keys were gathered anew from the blocks, if they were.
    pub keys_rebuilt: Option<String>,
    /// True if blocks were lost that were written within the last interval before a loss of power; never with
    /// [`super::Durability::Always`].
    pub lost_unsynced: bool,
    /// True if the file that says the format of the folder was damaged; every block has its format, too.
    pub format_rewritten: bool,
    /// How many records the finishing of an interrupted erasure redacted, if there was one.
    pub erasure_finished: Option<u64>,
}

/// What was done to a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing; it was whole.
    None,
    /// It was not there and nothing should have been in it.
    Created,
    /// It lacked the last blocks, or had part of one at its end, and got them from the other copy.
    Mended {
        /// How many blocks it got.
        blocks_added: u64,
        /// How many bytes were cut off its end.
        bytes_cut: u64,
    },
    /// It was written anew from the other copy.
    Rebuilt {
        /// Why.
        reason: String,
        /// Where the damaged one lies now; an erasure removes it.
        moved_to: Option<PathBuf>,
    },
    /// It is turned off.
    Off,
}

impl Recovery {
    /// True if nothing had to be mended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let fine = |repair: &Repair| matches!(repair, Repair::None | Repair::Created | Repair::Off);
        fine(&self.engine)
            && fine(&self.mirror)
            && self.keys_rebuilt.is_none()
            && !self.lost_unsynced
            && !self.format_rewritten
            && self.erasure_finished.is_none()
    }
}

/// The journal, whole again.
pub(crate) struct Recovered {
    pub(crate) engine: Engine,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) keys: KeySet,
    pub(crate) place: Place,
    pub(crate) recovery: Recovery,
}

/// Opens and mends both copies and the keys.
///
/// # Errors
/// [`JournalError`]; nothing was changed if it is `Damaged`.
pub(crate) fn recover(folder: &Folder, options: &Options) -> Result<Recovered, JournalError> {
    let sides = Sides::open(folder, options)?;
    let (mut keys, files) = KeySet::open(&folder.keys(), options.key_buffer, &folder.faults)?;
    let mut feed = KeyFeed::new(&keys);
    let merged = sides.merge(|block| feed.take(&mut keys, block))?;
    sides.check_not_all_lost(&merged)?;
    let mut keys_rebuilt = match files {
        KeyFiles::Sound => None,
        KeyFiles::Damaged(reason) => Some(reason.to_owned()),
    };
    if !feed.is_right() {
        keys_rebuilt = Some("they belong to other records".to_owned());
        keys.clear()?;
        let mut feed = KeyFeed::new(&keys);
        sides.merge(|block| feed.take(&mut keys, block))?;
    }
    let lost_unsynced = merged.lost_unsynced;
    let blocks = merged.place.sequence;
    let (engine, engine_repair) = sides.mend_engine(&merged, folder)?;
    let (mirror, mirror_repair) = mend_mirror(&engine, &merged, folder, options)?;
    Ok(Recovered {
        engine,
        mirror,
        keys,
        recovery: Recovery {
            records: merged.place.first.0,
            blocks,
            engine: engine_repair,
            mirror: mirror_repair,
            keys_rebuilt,
            lost_unsynced,
            format_rewritten: folder.format_rewritten,
            erasure_finished: None,
        },
        place: merged.place,
    })
}

/// Puts the keys of blocks that the key files do not cover into the set.
struct KeyFeed {
    covered: Covered,
    right: bool,
}

impl KeyFeed {
    fn new(keys: &KeySet) -> Self {
        let covered = keys.covered();
        Self {
            covered,
            right: covered.end.0 == 0,
        }
    }

    fn take(&mut self, keys: &mut KeySet, block: &Block) -> Result<(), JournalError> {
        let header = block.header();
        if header.end() <= self.covered.end {
            if header.end() == self.covered.end {
                self.right = header.original == self.covered.checksum;
            }
            return Ok(());
        }
        for (_, key) in block.keys() {
            keys.insert(key);
        }
        keys.at_block_end(covered_by(block))?;
        Ok(())
    }

    /// False if the files cover records that this journal does not have.
    fn is_right(&self) -> bool {
        self.right
    }
}

/// What key files cover that know the keys up to and including `block`.
pub(crate) fn covered_by(block: &Block) -> Covered {
    Covered {
        end: block.header().end(),
        checksum: block.header().original,
    }
}

/// How the two copies stand, and the end they lead to together.
#[derive(Debug)]
struct Merged {
    place: Place,
    lost_unsynced: bool,
    engine: Trouble,
    engine_blocks: u64,
    mirror: Trouble,
    mirror_blocks: u64,
    /// The bytes of the mirror's first `mirror_blocks` blocks.
    mirror_len: u64,
    /// The bytes after them that are no block.
    mirror_torn: u64,
}

/// The two copies as they are found.
struct Sides {
    engine: Found,
    mirror: Option<PathBuf>,
    cache_bytes: u64,
}

impl Sides {
    fn open(folder: &Folder, options: &Options) -> Result<Self, JournalError> {
        let path = folder.engine();
        if options.mirror && !path.exists() && !folder.mirror().exists() {
            // an empty mirror says that there is nothing yet, should the engine die while it is made
            Mirror::open(&folder.mirror(), 0, &folder.faults)?;
        }
        let engine = if path.exists() {
            match Engine::open(&path, options.cache_bytes, &folder.faults) {
                Ok(engine) => Found::There(engine),
                Err(EngineError::Damaged(reason)) => Found::Broken(reason),
                Err(EngineError::Io(error)) => return Err(error.into()),
                Err(EngineError::Locked) => {
                    return Err(JournalError::InUse {
                        folder: path.display().to_string(),
                    });
                }
            }
        } else {
            Found::Absent
        };
        let mirror = Some(folder.mirror()).filter(|path| path.exists());
        Ok(Self {
            engine,
            mirror,
            cache_bytes: options.cache_bytes,
        })
    }

    /// Walks both copies and hands over every block that one of them has, in order.
    fn merge(
        &self,
        mut take: impl FnMut(&Block) -> Result<(), JournalError>,
    ) -> Result<Merged, JournalError> {
        let mut engine = EngineSide::new(&self.engine)?;
        let mut mirror = MirrorSide::new(self.mirror.as_deref())?;
        let mut place = Place::default();
        let mut lost_unsynced = false;
        loop {
            let block = match (engine.take(place)?, mirror.take(place)?) {
                (Some(ours), Some(theirs)) if ours == theirs => ours,
                (Some(ours), Some(theirs)) => {
                    choose(ours, theirs, &mut engine.trouble, &mut mirror.trouble)?
                }
                (Some(block), None) | (None, Some(block)) => block,
                (None, None) => {
                    let later = later_block(&mut engine, &mirror, place.sequence)?;
                    let hidden = engine.may_hide(place.sequence) && !mirror.ends_at(place.sequence);
                    match later {
                        None if !hidden => break,
                        Some(later) if later.header().follows_unsynced() => {
                            lost_unsynced = true;
                            let reason = "it has blocks after one that was lost with the power";
                            engine.refuse_after(place.sequence, reason);
                            mirror.refuse_rest(reason);
                            break;
                        }
                        _ => {
                            return Err(JournalError::Damaged {
                                position: place.first.0,
                                reason: damage_in_both(&engine.trouble, &mirror),
                            });
                        }
                    }
                }
            };
            take(&block)?;
            place = block.header().next_place();
        }
        Ok(Merged {
            place,
            lost_unsynced,
            engine: engine.trouble,
            engine_blocks: engine.blocks,
            mirror_blocks: mirror.blocks,
            mirror_len: mirror.len,
            mirror_torn: mirror.torn,
            mirror: mirror.trouble,
        })
    }

    /// An error if there is no block but something that must have been one.
    fn check_not_all_lost(&self, merged: &Merged) -> Result<(), JournalError> {
        if merged.place.sequence > 0 {
            return Ok(());
        }
        let mirror_is_empty = self.mirror.is_some() && merged.mirror_torn == 0;
        let reason = match &self.engine {
            // an engine that died before there was anything
            Found::Broken(_) if mirror_is_empty => return Ok(()),
            Found::Broken(reason) => reason,
            // a first block that was half written when the process was killed
            Found::There(_) if merged.engine.reason.is_none() => return Ok(()),
            Found::There(_) => merged.engine.reason.as_ref().expect("matched above"),
            Found::Absent if merged.mirror_torn == 0 => return Ok(()),
            Found::Absent => "the mirror has no whole block and the engine's folder is not there",
        };
        Err(JournalError::Damaged {
            position: 0,
            reason: reason.to_owned(),
        })
    }

    /// Makes the engine's copy whole.
    fn mend_engine(
        mut self,
        merged: &Merged,
        folder: &Folder,
    ) -> Result<(Engine, Repair), JournalError> {
        let broken = match &self.engine {
            Found::Broken(reason) => Some(reason.clone()),
            _ => merged.engine.reason.clone(),
        };
        if let Some(reason) = broken {
            return self.rebuild_engine(reason, merged, folder);
        }
        let blocks_added = merged.place.sequence - merged.engine_blocks;
        let repair = match (&self.engine, blocks_added) {
            (Found::There(_), 0) => Repair::None,
            (Found::There(_), _) => Repair::Mended {
                blocks_added,
                bytes_cut: 0,
            },
            (_, 0) => Repair::Created,
            (_, _) => Repair::Rebuilt {
                reason: "it was gone".to_owned(),
                moved_to: None,
            },
        };
        if let Found::Absent = self.engine {
            let path = folder.engine();
            self.engine = Found::There(Engine::open(&path, self.cache_bytes, &folder.faults)?);
        }
        if blocks_added > 0 {
            self.merge(|block| {
                if block.header().place.sequence >= merged.engine_blocks
                    && let Found::There(engine) = &self.engine
                {
                    engine.insert(block)?;
                }
                Ok(())
            })?;
        }
        match self.engine {
            Found::There(engine) => {
                engine.sync()?;
                Ok((engine, repair))
            }
            Found::Absent | Found::Broken(_) => {
                Err(JournalError::Engine("sled is not open".to_owned()))
            }
        }
    }

    /// Builds the engine's copy anew beside the one that is there, and swaps them.
    fn rebuild_engine(
        self,
        reason: String,
        merged: &Merged,
        folder: &Folder,
    ) -> Result<(Engine, Repair), JournalError> {
        let (path, new_path) = (folder.engine(), folder.new_engine());
        durable::remove(&new_path, &folder.faults)?;
        let fresh = Engine::open(&new_path, self.cache_bytes, &folder.faults)?;
        self.merge(|block| Ok(fresh.insert(block)?))?;
        fresh.sync()?;
        drop(fresh);
        if let Found::There(old) = self.engine {
            drop(old);
        }
        let moved_to = if merged.engine.stale {
            durable::rename(&path, &folder.old_engine(), &folder.faults)?;
            None
        } else {
            Some(durable::move_aside(&path, &folder.faults)?)
        };
        durable::rename(&new_path, &path, &folder.faults)?;
        durable::remove(&folder.old_engine(), &folder.faults)?;
        let engine = Engine::open(&path, self.cache_bytes, &folder.faults)?;
        Ok((engine, Repair::Rebuilt { reason, moved_to }))
    }
}

/// Makes the mirror whole, from an engine that is.
fn mend_mirror(
    engine: &Engine,
    merged: &Merged,
    folder: &Folder,
    options: &Options,
) -> Result<(Option<Mirror>, Repair), JournalError> {
    let path = folder.mirror();
    if !options.mirror {
        // it would only grow old; what only it had is in the engine now
        durable::remove(&path, &folder.faults)?;
        return Ok((None, Repair::Off));
    }
    let blocks =
        |from: u64| (from..merged.place.sequence).map(|sequence| engine_block(engine, sequence));
    let gone = !path.exists();
    let reason = match &merged.mirror.reason {
        Some(reason) => Some(reason.clone()),
        None if gone && merged.place.sequence > 0 => Some("it was gone".to_owned()),
        None => None,
    };
    if let Some(reason) = reason {
        let moved_to = if gone || merged.mirror.stale {
            None
        } else {
            Some(durable::move_aside(&path, &folder.faults)?)
        };
        let len = mirror::rewrite(&path, blocks(0), &folder.faults)?;
        let mirror = Mirror::open(&path, len, &folder.faults)?;
        return Ok((Some(mirror), Repair::Rebuilt { reason, moved_to }));
    }
    let mut mirror = Mirror::open(&path, merged.mirror_len, &folder.faults)?;
    let blocks_added = merged.place.sequence - merged.mirror_blocks;
    for block in blocks(merged.mirror_blocks) {
        mirror.append(&block?)?;
    }
    mirror.sync()?;
    let repair = match (blocks_added, merged.mirror_torn) {
        (0, 0) if gone => Repair::Created,
        (0, 0) => Repair::None,
        (blocks_added, bytes_cut) => Repair::Mended {
            blocks_added,
            bytes_cut,
        },
    };
    Ok((Some(mirror), repair))
}

/// A block that the engine must have.
pub(crate) fn engine_block(engine: &Engine, sequence: u64) -> Result<Block, JournalError> {
    let bytes = engine.get(sequence)?.ok_or_else(|| {
        JournalError::Engine(format!(
            "block {sequence} is gone from sled since it was opened"
        ))
    })?;
    Block::parse(bytes.to_vec())
        .map_err(|error| JournalError::Engine(format!("block {sequence} in sled: {error}")))
}
