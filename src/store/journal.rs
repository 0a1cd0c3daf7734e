//! The journal: what happened, numbered, durable. Everything else is a function of it.

use crate::domain::{Position, Record};

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The position of the first record that is new; those that are new follow each other without a gap.
    pub first: Position,
    /// For each record of the batch: true if it is new, false if one of its key was known already (also from earlier
    /// in the same batch).
    pub is_new: Vec<bool>,
}

/// Why the journal cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk refused; nothing of the batch is kept, and trying again may work.
    #[error("the journal cannot write now: {0}")]
    Io(#[from] std::io::Error),
    /// This or an earlier write failed in a way that leaves unknown what is on the disk. Writing goes on after a
    /// restart, which finds out; what was being written may turn out to be there.
    #[error("the journal takes no more writes until it is opened again: {0}")]
    Poisoned(String),
    /// What is kept does not match its checksums and no copy does.
    #[error("the journal is damaged at record {position}: {reason}")]
    Damaged {
        /// The first record that cannot be read.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// Another process has the data folder open.
    #[error("the data folder {folder} is in use by another nextbest")]
    InUse {
        /// The folder.
        folder: String,
    },
    /// More in one append than a block holds: [`super::MAX_BLOCK_RECORDS`], [`super::MAX_BLOCK_BYTES`].
    #[error("{records} records are more than one block holds")]
    TooLarge {
        /// How many records there were.
        records: usize,
    },
    /// The engine below failed.
    #[error("the storage engine failed: {0}")]
    Engine(String),
    /// The folder was written by a newer nextbest.
    #[error("the data folder has format {found}; this nextbest reads up to {known}")]
    Format {
        /// The format found.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
}

/// Records with their positions, as an iterator; blocking.
pub type Records<'a> =
    Box<dyn Iterator<Item = Result<(Position, Record), JournalError>> + Send + 'a>;

/// A home of the journal. Every method blocks: call from a thread that may.
///
/// One writer appends at a time (the committer); readers read while it does.
pub trait Journal: Send + Sync {
    /// Appends the records whose keys are new, as one block: all of them or none. When it returns, they survive
    /// `kill -9` and a loss of power.
    ///
    /// # Errors
    /// [`JournalError`]; nothing of the batch is kept then, except perhaps after [`JournalError::Poisoned`]. Appending
    /// the same again is safe for records with a key.
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError>;

    /// Reads from `position` on, up to the end at the time of the call.
    fn read_from(&self, position: Position) -> Records<'_>;

    /// Reads the records at `positions`, which ascend; those behind the end are left out.
    fn read_at<'a>(&'a self, positions: &'a [Position]) -> Records<'a> {
        Box::new(
            positions
                .iter()
                .filter_map(|position| self.read_from(*position).next()),
        )
    }

    /// The position the next record will have.
    fn end(&self) -> Position;

    /// Replaces the records at `positions`, in any order, by
    /// [`crate::domain::RecordBody::Redacted`] in every copy; their event keys stay known. Returns
    /// how many; those that are redacted already and positions behind the end do not count. Ends
    /// with a new [`Journal::epoch`] if there was one. Who begins to read sees all of it or
    /// nothing.
    ///
    /// # Errors
    /// [`JournalError`]; calling it again finishes what was begun.
    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError>;

    /// Grows with every erasure that changed records: what was folded in an earlier epoch must be folded anew.
    fn epoch(&self) -> u64;
}
