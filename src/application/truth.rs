//! Questions with known answers, against which answers are judged.

use crate::application::recommend::Who;
use crate::domain::{ProductId, Timestamp};

/// One question, and what truly came next.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name in the file.
    pub id: String,
    /// About whom; never `Nobody`.
    pub who: Who,
    /// The moment of the question.
    pub at: Timestamp,
    /// The products that truly came next, each once, in the order of the file.
    pub truth: Vec<ProductId>,
}
