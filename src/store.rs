//! Keeping: the journal and its homes, checkpoints of State, artefacts of models. The only layer that touches disks.

pub mod journal;

pub use journal::{Appended, Journal, JournalError};
