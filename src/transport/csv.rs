//! The CSV edge: files of the file contract, plain or gzip, row by row with memory that stays flat.
//!
//! Every reader is an iterator over rows: a value with its line, or the refusal of that row. A row
//! that cannot be read never stops the others; only a header that lacks a needed column, a disk
//! that cannot be read, or a packed file that is damaged or cut short, ends a file.

use std::io;
use std::path::PathBuf;

mod cases;
mod customers;
mod events;
mod framing;
mod needs;
mod offer_truth;
mod offers;
mod policy_log;
mod products;
mod refusals;
mod source;
mod table;
mod targets;
mod truth;
mod uplift_log;

pub use cases::{CaseRow, Cases, Cells, MAX_TRUTH_ROWS};
pub use customers::Customers;
pub use events::{Events, Repetitions};
pub use framing::{MAX_ROW_BYTES, MAX_ROW_LINES};
pub use needs::Needs;
pub use offer_truth::OfferTruth;
pub use offers::Offers;
pub use policy_log::{MAX_LOG_ROWS, PolicyLog, Refused, Shown, TargetColumns};
pub use products::Products;
pub use refusals::{Refusals, RefusalsError};
pub use source::Progress;
pub use table::Table;
pub use targets::Targets;
pub use truth::Truth;
pub use uplift_log::{MAX_UPLIFT_CELLS, UpliftFile};

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not give it.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: is {found}; a UTF-8 CSV file, plain or gzip, is needed", path.display())]
    NotCsv {
        /// Which file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// There is no header.
    #[error("{}: is empty; a header is needed: {needed}", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
        /// The columns that are needed.
        needed: String,
    },
    /// The header is wrong.
    #[error("{}:1: {}", path.display(), faults.join("; "))]
    Header {
        /// Which file.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<String>,
    },
    /// More of something than is taken.
    #[error("{}: more than {limit} {what}", path.display())]
    TooMany {
        /// Which file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
    /// More rows than are taken.
    #[error("{}: more than {limit} rows", path.display())]
    TooManyRows {
        /// Which file.
        path: PathBuf,
        /// How many are taken.
        limit: usize,
    },
}
