//! The two copies as opening walks them: each hands over its sound blocks in order and remembers what is wrong with it.

use std::path::Path;

use crate::domain::RecordBody;
use crate::store::block::{Block, BlockError, FORMAT, Place};
use crate::store::codec;
use crate::store::journal::JournalError;
use crate::store::mirror::{Scan, Scanned};
use crate::store::sled_home::engine::{Engine, EngineError};

/// The engine's copy as its folder is found.
pub(crate) enum Found {
    /// There is no folder.
    Absent,
    /// sled cannot open it; the words are its own.
    Broken(String),
    /// It can be opened; its blocks are not verified yet.
    There(Engine),
}

/// What is wrong with a copy.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Why it must be written anew.
    pub(crate) reason: Option<String>,
    /// True if it is sound but holds what was erased: then it must not be kept.
    pub(crate) stale: bool,
}

impl Trouble {
    pub(crate) fn add(&mut self, reason: impl Into<String>) {
        self.reason.get_or_insert_with(|| reason.into());
    }
}

/// Of two sound blocks in the same place: the one with more redacted; the mirror's if they are not one block at all.
pub(crate) fn choose(
    ours: Block,
    theirs: Block,
    engine: &mut Trouble,
    mirror: &mut Trouble,
) -> Result<Block, JournalError> {
    if ours.header().original != theirs.header().original {
        engine.add("it holds another block than the mirror");
        return Ok(theirs);
    }
    let redacted = |block: &Block| -> Result<usize, BlockError> {
        let mut redacted = 0;
        for read in block.open()? {
            redacted += usize::from(read?.1.body == RecordBody::Redacted);
        }
        Ok(redacted)
    };
    let position = ours.header().place.first;
    let count = |block| redacted(block).map_err(|error| codec::damaged(position, error));
    let (older, newer) = if count(&ours)? > count(&theirs)? {
        (mirror, ours)
    } else {
        (engine, theirs)
    };
    older.add("an erasure had not reached it");
    older.stale = true;
    Ok(newer)
}

pub(crate) fn damage_in_both(engine: &Trouble, mirror: &MirrorSide) -> String {
    let engine = engine.reason.as_deref().unwrap_or("not there");
    let mirror = mirror
        .trouble
        .reason
        .as_deref()
        .or(mirror.torn_reason.as_deref());
    format!("sled: {engine}; mirror: {}", mirror.unwrap_or("not there"))
}

/// A sound block after a gap in both copies.
pub(crate) fn later_block(
    engine: &mut EngineSide<'_>,
    mirror: &MirrorSide,
    sequence: u64,
) -> Result<Option<Block>, JournalError> {
    if let Some((block, _)) = &mirror.head {
        return Ok(Some(block.clone()));
    }
    let last = engine.last.unwrap_or_default();
    for later in sequence + 1..=last {
        if let Some(block) = engine.read(later)? {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// The engine's copy, walked by number.
pub(crate) struct EngineSide<'a> {
    pub(crate) engine: Option<&'a Engine>,
    pub(crate) last: Option<u64>,
    pub(crate) blocks: u64,
    pub(crate) trouble: Trouble,
    /// The number of the last block that is there, or may be, but cannot be read.
    unreadable: Option<u64>,
    last_is_unknown: bool,
}

impl<'a> EngineSide<'a> {
    pub(crate) fn new(found: &'a Found) -> Result<Self, JournalError> {
        let mut side = Self {
            engine: None,
            last: None,
            blocks: 0,
            trouble: Trouble::default(),
            unreadable: None,
            last_is_unknown: false,
        };
        if let Found::There(engine) = found {
            side.engine = Some(engine);
            match engine.last() {
                Ok(last) => side.last = last,
                Err(EngineError::Io(error)) => return Err(error.into()),
                Err(error) => {
                    // the last key cannot be read, but others may be
                    side.trouble.add(error.to_string());
                    side.last_is_unknown = true;
                }
            }
        }
        Ok(side)
    }

    /// The block of this number if it is sound.
    fn read(&mut self, sequence: u64) -> Result<Option<Block>, JournalError> {
        let Some(engine) = self.engine else {
            return Ok(None);
        };
        let bytes = match engine.get(sequence) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(EngineError::Io(error)) => return Err(error.into()),
            Err(error) => {
                self.trouble.add(format!("block {sequence}: {error}"));
                self.unreadable = Some(sequence);
                return Ok(None);
            }
        };
        match Block::parse(bytes.to_vec()) {
            Ok(block) => Ok(Some(block)),
            Err(error) => {
                refuse_newer(&error)?;
                self.trouble.add(format!("block {sequence}: {error}"));
                self.unreadable = Some(sequence);
                Ok(None)
            }
        }
    }

    /// The block that belongs into this place, if there is a sound one.
    pub(crate) fn take(&mut self, place: Place) -> Result<Option<Block>, JournalError> {
        let sequence = place.sequence;
        let Some(block) = self.read(sequence)? else {
            if self.last.is_some_and(|last| last > sequence) {
                self.trouble.add(format!("block {sequence} is missing"));
            }
            return Ok(None);
        };
        if block.header().place == place {
            self.blocks = sequence + 1;
            Ok(Some(block))
        } else {
            self.trouble
                .add(format!("block {sequence} does not follow the one before"));
            Ok(None)
        }
    }

    /// True if there may be a block of this number, or a later one, that cannot be read.
    pub(crate) fn may_hide(&self, sequence: u64) -> bool {
        self.last_is_unknown || self.unreadable == Some(sequence)
    }

    pub(crate) fn refuse_after(&mut self, sequence: u64, reason: &str) {
        if self.last.is_some_and(|last| last > sequence) {
            self.trouble.add(reason);
        }
    }
}

/// The mirror, walked from the front.
pub(crate) struct MirrorSide {
    pub(crate) scan: Option<Scan>,
    pub(crate) head: Option<(Block, u64)>,
    pub(crate) blocks: u64,
    pub(crate) len: u64,
    pub(crate) torn: u64,
    pub(crate) torn_reason: Option<String>,
    pub(crate) trouble: Trouble,
}

impl MirrorSide {
    pub(crate) fn new(path: Option<&Path>) -> Result<Self, JournalError> {
        let mut side = Self {
            scan: path.map(Scan::open).transpose()?,
            head: None,
            blocks: 0,
            len: 0,
            torn: 0,
            torn_reason: None,
            trouble: Trouble::default(),
        };
        side.advance()?;
        Ok(side)
    }

    fn advance(&mut self) -> Result<(), JournalError> {
        self.head = None;
        let Some(scan) = &mut self.scan else {
            return Ok(());
        };
        for scanned in scan {
            match scanned? {
                Scanned::Block(block, end) => {
                    if let Some(reason) = &self.torn_reason {
                        self.trouble.add(reason.clone());
                    }
                    self.head = Some((block, end));
                    return Ok(());
                }
                Scanned::Damage {
                    offset,
                    bytes,
                    reason,
                } => {
                    refuse_newer(&reason)?;
                    self.torn += bytes;
                    self.torn_reason
                        .get_or_insert_with(|| format!("at byte {offset}: {reason}"));
                }
            }
        }
        Ok(())
    }

    /// The block that belongs into this place, if there is a sound one.
    pub(crate) fn take(&mut self, place: Place) -> Result<Option<Block>, JournalError> {
        while let Some((head, end)) = &self.head {
            let sequence = head.header().place.sequence;
            if sequence > place.sequence {
                self.trouble
                    .add(format!("block {} is missing", place.sequence));
                return Ok(None);
            }
            if head.header().place == place {
                let block = head.clone();
                if self.trouble.reason.is_none() {
                    (self.blocks, self.len) = (sequence + 1, *end);
                }
                self.advance()?;
                return Ok(Some(block));
            }
            self.trouble
                .add(format!("block {sequence} does not follow the one before"));
            self.advance()?;
        }
        Ok(None)
    }

    /// True if everything that was acknowledged is before this block: the mirror is written first.
    pub(crate) fn ends_at(&self, sequence: u64) -> bool {
        self.scan.is_some() && self.trouble.reason.is_none() && self.blocks == sequence
    }

    pub(crate) fn refuse_rest(&mut self, reason: &str) {
        if self.head.is_some() {
            self.trouble.add(reason);
        }
    }
}

/// A newer program's block is not damage: it must not be mended away.
pub(crate) fn refuse_newer(error: &BlockError) -> Result<(), JournalError> {
    match error {
        BlockError::Newer(found) => Err(JournalError::Format {
            found: u32::from(*found),
            known: u32::from(FORMAT),
        }),
        _ => Ok(()),
    }
}
