//! Erasing: every block with a record that goes is written anew, in both copies, and nothing of the
//! old ones stays.
//!
//! The order makes it survive a kill anywhere: the marker says what is being erased; the mirror is
//! replaced by a rename; the engine's copy is built anew beside the old one (sled keeps old values
//! in its files) and swapped in; what was moved aside earlier is removed; the epoch grows; the
//! marker goes. Opening finishes what the marker says.

use std::collections::{BTreeSet, HashMap};

use crate::domain::Position;
use crate::store::block::Block;
use crate::store::codec;
use crate::store::durable;
use crate::store::journal::JournalError;
use crate::store::mirror::{self, Mirror};
use crate::store::sled_home::engine::Engine;
use crate::store::sled_home::folder::Marker;
use crate::store::sled_home::recovery::engine_block;
use crate::store::sled_home::{Shared, Writer};

/// The blocks that change: how many records of each are redacted.
type Affected = HashMap<u64, u64>;

/// Erases; see [`crate::store::Journal::erase`].
pub(crate) fn erase(
    shared: &Shared,
    writer: &mut Writer,
    positions: &[Position],
) -> Result<u64, JournalError> {
    let begun = shared.folder.read_marker()?;
    let resumed = begun.is_some();
    let mut marker = begun.unwrap_or_else(|| Marker {
        epoch: shared.epoch() + 1,
        positions: BTreeSet::new(),
    });
    marker.positions.extend(positions);
    let affected = find(shared, writer.place.sequence, &marker.positions)?;
    if affected.is_empty() && !resumed {
        return Ok(0);
    }
    shared.folder.write_marker(&marker)?;
    if !affected.is_empty() {
        rewrite_mirror(shared, writer, &marker.positions, &affected)?;
        replace_engine(shared, writer, &marker.positions, &affected)?;
    }
    shared.folder.remove_damaged()?;
    shared.folder.set_epoch(marker.epoch)?;
    shared.set_epoch(marker.epoch);
    shared.folder.remove_marker()?;
    Ok(affected.values().sum())
}

/// The blocks with records at `positions` that stand in the engine's copy; the mirror's is the
/// same.
fn find(
    shared: &Shared,
    blocks: u64,
    positions: &BTreeSet<Position>,
) -> Result<Affected, JournalError> {
    let mut affected = Affected::new();
    for sequence in 0..blocks {
        let block = shared.with_engine(|engine| engine_block(engine, sequence))?;
        let damaged = |error| codec::damaged(block.header().place.first, error);
        let count = block.redactable(positions).map_err(damaged)?;
        if count > 0 {
            affected.insert(sequence, count);
        }
    }
    Ok(affected)
}

/// Every block in order, those that are affected redacted.
fn redacted<'a>(
    engine: &'a Engine,
    blocks: u64,
    positions: &'a BTreeSet<Position>,
    affected: &'a Affected,
) -> impl Iterator<Item = Result<Block, JournalError>> + 'a {
    (0..blocks).map(move |sequence| {
        let block = engine_block(engine, sequence)?;
        if !affected.contains_key(&sequence) {
            return Ok(block);
        }
        let redacted = block
            .redact(positions)
            .map_err(|error| codec::damaged(block.header().place.first, error))?;
        Ok(redacted.map_or(block, |(redacted, _)| redacted))
    })
}

fn rewrite_mirror(
    shared: &Shared,
    writer: &mut Writer,
    positions: &BTreeSet<Position>,
    affected: &Affected,
) -> Result<(), JournalError> {
    if writer.mirror.is_none() {
        return Ok(());
    }
    let (path, faults) = (shared.folder.mirror(), &shared.folder.faults);
    let blocks = writer.place.sequence;
    let len = shared.with_engine(|engine| {
        mirror::rewrite(&path, redacted(engine, blocks, positions, affected), faults)
    })?;
    // the old file is only reachable through the old handle now: appending to it would be lost
    match Mirror::open(&path, len, faults) {
        Ok(mirror) => {
            writer.mirror = Some(mirror);
            Ok(())
        }
        Err(error) => Err(writer.poison(format!("the rewritten mirror cannot be opened: {error}"))),
    }
}

fn replace_engine(
    shared: &Shared,
    writer: &mut Writer,
    positions: &BTreeSet<Position>,
    affected: &Affected,
) -> Result<(), JournalError> {
    let folder = &shared.folder;
    let blocks = writer.place.sequence;
    durable::remove(&folder.new_engine(), &folder.faults)?;
    let fresh = Engine::open(&folder.new_engine(), shared.cache_bytes, &folder.faults)?;
    shared.with_engine(|engine| {
        for block in redacted(engine, blocks, positions, affected) {
            fresh.insert(&block?)?;
        }
        Ok(fresh.sync()?)
    })?;
    drop(fresh);
    let swapped = shared.swap_engine(|| {
        durable::rename(&folder.engine(), &folder.old_engine(), &folder.faults)?;
        durable::rename(&folder.new_engine(), &folder.engine(), &folder.faults)?;
        durable::remove(&folder.old_engine(), &folder.faults)
    });
    swapped.map_err(|error| match error {
        // sled is open again, with the old or the new content: erasing again goes on from there
        JournalError::Io(error) => JournalError::Io(error),
        lost => writer.poison(format!("sled cannot be opened after an erasure: {lost}")),
    })
}
