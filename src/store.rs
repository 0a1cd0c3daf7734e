//! Keeping: the journal and its homes, checkpoints of State, artefacts of models. The only layer that touches disks.

pub mod artefacts;
mod block;
pub mod checkpoint;
mod codec;
mod durable;
pub mod faults;
pub mod journal;
pub mod keys;
pub mod memory;
mod mirror;
mod offer_decision;
mod sealed;
pub mod signature;
pub mod sled_home;
pub mod token;

pub use artefacts::{ArtefactError, Artefacts};
pub use block::{MAX_BLOCK_BYTES, MAX_BLOCK_RECORDS};
pub use checkpoint::{Checkpoint, CheckpointWriter, Checkpoints, Ignored, IgnoredReason, Loaded};
pub use faults::{Failure, Faults, Step};
pub use journal::{Appended, Journal, JournalError, Records};
pub use keys::RepetitionCounter;
pub use memory::MemoryJournal;
pub use signature::{KeyError, SigningKey};
pub use sled_home::{Durability, Options, Recovery, Repair, SledJournal};
