//! Questions with known answers, against which answers are judged.

use crate::application::recommend::Who;
use crate::domain::{CampaignId, CustomerId, OfferId, ProductId, Timestamp};

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

/// What a purchase of something that is used up leads to: what only a simulation knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// Who bought it.
    pub customer: CustomerId,
    /// What.
    pub product: ProductId,
    /// When.
    pub bought_at: Timestamp,
    /// When it is needed again; absent: never.
    pub due_at: Option<Timestamp>,
}

/// A question of which offers of a campaign somebody takes, and which they took.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferCase {
    /// Its name in the file.
    pub id: String,
    /// About whom.
    pub customer: CustomerId,
    /// The campaign; its offers are the candidates.
    pub campaign: CampaignId,
    /// The moment of the question.
    pub at: Timestamp,
    /// The offers that were taken, each once, in the order of the file.
    pub truth: Vec<OfferId>,
}
