//! The journal in memory: for tests, which can make it fail, and for evaluation.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::{Fingerprint, Position, Record, RecordBody};
use crate::store::block::{MAX_BLOCK_BYTES, MAX_BLOCK_RECORDS};
use crate::store::codec;
use crate::store::faults::{Failure, Faults, Step};
use crate::store::journal::{Appended, Journal, JournalError, Records};

/// Records that are read out under one lock.
const READ_AT_ONCE: usize = 1_024;

/// The journal in memory. It forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    faults: Faults,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Record>,
    keys: HashSet<Fingerprint, foldhash::fast::RandomState>,
    epoch: u64,
    poisoned: bool,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty journal whose appends and erasures fail as planned ([`Step::MemoryWrite`]).
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self {
            faults,
            kept: RwLock::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Kept>, JournalError> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if !kept.poisoned {
            match self.faults.strike(Step::MemoryWrite) {
                None => return Ok(kept),
                Some(Failure::Full) => {
                    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                    return Err(JournalError::Io(full));
                }
                Some(Failure::Poison) => kept.poisoned = true,
            }
        }
        Err(JournalError::Poisoned("planned".to_owned()))
    }
}

impl Journal for MemoryJournal {
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError> {
        check_size(records)?;
        let mut kept = self.write()?;
        let first = Position(kept.records.len() as u64);
        let mut is_new = Vec::with_capacity(records.len());
        for record in records {
            let new = record.key().is_none_or(|key| kept.keys.insert(key));
            if new {
                kept.records.push(record.clone());
            }
            is_new.push(new);
        }
        Ok(Appended { first, is_new })
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        let end = self.end().0;
        let mut next = position.0;
        let mut batch = Vec::new().into_iter();
        Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(read) = batch.next() {
                    return Some(Ok(read));
                }
                if next >= end {
                    return None;
                }
                let to = end.min(next + READ_AT_ONCE as u64);
                let records = self.read().records[next as usize..to as usize].to_vec();
                batch = (next..)
                    .map(Position)
                    .zip(records)
                    .collect::<Vec<_>>()
                    .into_iter();
                next = to;
            }
        }))
    }

    fn read_at<'a>(&'a self, positions: &'a [Position]) -> Records<'a> {
        Box::new(positions.iter().filter_map(|position| {
            let record = self.read().records.get(position.0 as usize).cloned();
            record.map(|record| Ok((*position, record)))
        }))
    }

    fn end(&self) -> Position {
        Position(self.read().records.len() as u64)
    }

    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
        let mut kept = self.write()?;
        let mut redacted = 0;
        for position in positions {
            if let Some(record) = kept.records.get_mut(position.0 as usize)
                && record.body != RecordBody::Redacted
            {
                record.body = RecordBody::Redacted;
                redacted += 1;
            }
        }
        if redacted > 0 {
            kept.epoch += 1;
        }
        Ok(redacted)
    }

    fn epoch(&self) -> u64 {
        self.read().epoch
    }
}

/// The bounds of one append, the same in every home.
fn check_size(records: &[Record]) -> Result<(), JournalError> {
    let mut bytes = Vec::new();
    let mut total = 0;
    for record in records {
        bytes.clear();
        codec::encode(record, &mut bytes);
        total += bytes.len();
    }
    if records.len() > MAX_BLOCK_RECORDS || total > MAX_BLOCK_BYTES {
        return Err(JournalError::TooLarge {
            records: records.len(),
        });
    }
    Ok(())
}
