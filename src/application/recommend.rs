//! The question nextbest exists for: what is the next best product for this customer, at this stage?

use crate::application::error::AppError;
use crate::domain::{CustomerId, Event, EventKind, ProductId, Timestamp, VisitorId};

/// How many products are answered where the caller does not say.
pub const DEFAULT_PRODUCTS: usize = 10;
/// The most products of one answer.
pub const MAX_PRODUCTS: usize = 100;
/// The most context events of one question.
pub const MAX_CONTEXT_EVENTS: usize = 50;
/// The most products to exclude in one question.
pub const MAX_EXCLUDED: usize = 1_000;
/// The most questions of one batch.
pub const MAX_BATCH: usize = 1_000;

/// Whom a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A known customer.
    Customer(CustomerId),
    /// An anonymous visitor.
    Visitor(VisitorId),
    /// Somebody of whom nothing is said.
    Nobody,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// About whom.
    pub who: Who,
    /// The stage to answer for; absent: it follows from the events.
    pub stage: Option<String>,
    /// Where the answer will be shown; may be empty.
    pub placement: String,
    /// What is happening right now; counts for this answer and is not stored.
    pub context: Vec<Event>,
    /// How many products, 1 to [`MAX_PRODUCTS`].
    pub count: usize,
    /// A CEL expression; empty: none.
    pub filter: String,
    /// A CEL expression; empty: none.
    pub boost: String,
    /// Products not to recommend.
    pub exclude: Vec<ProductId>,
    /// Leave out what was bought before.
    pub exclude_bought: bool,
    /// No filler.
    pub strict: bool,
}

/// The stage of an answer, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct StageAnswer {
    /// Its name.
    pub stage: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The events that made it so, oldest first.
    pub evidence: Vec<Evidence>,
    /// True if the caller named it.
    pub named_by_caller: bool,
}

/// One event that put the customer where they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What.
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// With which product.
    pub product: Option<ProductId>,
    /// True if it came with the question.
    pub from_request: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The stage it is for.
    pub stage: StageAnswer,
    /// Best first.
    pub products: Vec<RankedProduct>,
    /// The revision that ranked, if one is live.
    pub revision: Option<String>,
    /// True if nothing is known of the customer, or no model is live.
    pub fallback: bool,
}

/// A product, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedProduct {
    /// Which.
    pub product: ProductId,
    /// A calibrated probability, or a score from 0 to 1 that only orders.
    pub score: f64,
    /// Which of the two.
    pub calibrated: bool,
    /// The source that speaks most for it.
    pub source: &'static str,
    /// The strongest first.
    pub reasons: Vec<Reason>,
    /// True if it only fills the list up.
    pub fallback: bool,
}

/// Why a product is recommended.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Stable.
    pub code: &'static str,
    /// In English.
    pub text: String,
    /// The product it follows from.
    pub because: Option<ProductId>,
}

/// An answer with everything that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The answer.
    pub answer: Answer,
    /// Every candidate that was ranked, best first.
    pub kept: Vec<ExplainedCandidate>,
    /// Every candidate that was dropped.
    pub dropped: Vec<DroppedCandidate>,
}

/// One candidate with everything that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedCandidate {
    /// Which.
    pub product: ProductId,
    /// As in [`RankedProduct`].
    pub score: f64,
    /// Rank in each source that proposed it, 1 is best.
    pub source_ranks: Vec<(&'static str, u32)>,
    /// The features as the ranker saw them.
    pub features: Vec<(&'static str, f64)>,
    /// The factor of the request's boost.
    pub boost: f64,
}

/// One candidate that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedCandidate {
    /// Which.
    pub product: ProductId,
    /// Why.
    pub code: &'static str,
}

/// Answers questions.
#[derive(Debug, Clone)]
pub struct Recommender {}

impl Recommender {
    /// Answers one question. Takes well under a millisecond; no IO.
    ///
    /// # Errors
    /// `InvalidExpression`, `UnknownStage`, `NotReady`.
    pub fn recommend(&self, _question: &Question) -> Result<Answer, AppError> {
        Err(AppError::NotReady)
    }

    /// Checks a question without answering it.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn check(&self, _question: &Question) -> Result<(), AppError> {
        Err(AppError::NotReady)
    }

    /// Answers with every candidate.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn explain(&self, _question: &Question) -> Result<Explanation, AppError> {
        Err(AppError::NotReady)
    }
}
