//! Everything a use case can answer instead of what was asked for: a closed set.

use crate::domain::Faults;
use crate::state::reservations::NoRoom;
use crate::store::JournalError;

/// Why a use case did not do what it was asked. Nothing was stored, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Fields that cannot be true, all of them.
    #[error("invalid: {0}")]
    Invalid(Faults),
    /// An expression that cannot be compiled, or does not give what it must.
    #[error("{field}: {reason}")]
    InvalidExpression {
        /// The field of the request: `filter`, `boost`, `customer_filter`, …
        field: &'static str,
        /// What is wrong, with the place.
        reason: String,
    },
    /// A batch without entries.
    #[error("the batch is empty")]
    BatchEmpty,
    /// A batch with more entries than are taken.
    #[error("{count} entries in a batch; at most {limit} are taken")]
    BatchTooLarge {
        /// How many there were.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// A page or resume token that is damaged or belongs to another request.
    #[error("{field}: the token is not one of this request")]
    InvalidPageToken {
        /// The field of the request: `page_token`, `resume_token`.
        field: &'static str,
    },
    /// There is no such product.
    #[error("there is no product {id}")]
    ProductNotFound {
        /// Which was asked for.
        id: String,
    },
    /// There is one of that id already.
    #[error("there is a product {id} already")]
    ProductExists {
        /// Which.
        id: String,
    },
    /// There is no such offer.
    #[error("there is no offer {id}")]
    OfferNotFound {
        /// Which was asked for.
        id: String,
    },
    /// There is one of that id already, deleted or not.
    #[error("there is an offer {id} already")]
    OfferExists {
        /// Which.
        id: String,
    },
    /// There is one, but it is deleted.
    #[error("the offer {id} is deleted")]
    OfferDeleted {
        /// Which.
        id: String,
    },
    /// The offer cannot be redeemed now.
    #[error("the offer {id} cannot be redeemed: {}", .why.as_str())]
    OfferRefused {
        /// Which.
        id: String,
        /// Why.
        why: NoRoom,
    },
    /// There is no such reservation, or what became of it is forgotten.
    #[error("there is no reservation {id}")]
    ReservationNotFound {
        /// Which was asked for.
        id: String,
    },
    /// The time of the reservation is over.
    #[error("the time of reservation {id} is over")]
    ReservationExpired {
        /// Which.
        id: String,
    },
    /// The reservation was given back.
    #[error("the reservation {id} was released")]
    ReservationReleased {
        /// Which.
        id: String,
    },
    /// The reservation was redeemed.
    #[error("the reservation {id} was redeemed")]
    ReservationRedeemed {
        /// Which.
        id: String,
    },
    /// The key stands for the answer to another question.
    #[error(
        "the decision_key {key} stands for the answer to another question of this customer or visitor"
    )]
    DecisionKeyReused {
        /// Which.
        key: String,
    },
    /// Nothing is known of that customer or visitor.
    #[error("nothing is known of this customer or visitor")]
    CustomerNotFound,
    /// The stage is not one of the journey's.
    #[error("{field}: there is no stage {stage}; the journey has {known}")]
    UnknownStage {
        /// The field of the request: `stage`, `customer_stage`, …
        field: &'static str,
        /// What was asked for.
        stage: String,
        /// The names there are.
        known: String,
    },
    /// There is no such training run.
    #[error("there is no training run {id}")]
    TrainingRunNotFound {
        /// Which was asked for.
        id: String,
    },
    /// Another run is at work.
    #[error("training run {id} is at work")]
    TrainingRunning {
        /// Which.
        id: String,
    },
    /// There is no such revision.
    #[error("there is no model revision {id}")]
    ModelRevisionNotFound {
        /// Which was asked for.
        id: String,
    },
    /// There is such a revision, but what is kept of it is damaged.
    #[error("what is kept of model revision {id} cannot be read: {reason}")]
    ModelRevisionDamaged {
        /// Which.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The revision was refused, and it was not forced.
    #[error("model revision {id} was refused: {refusal}")]
    ModelRevisionRefused {
        /// Which.
        id: String,
        /// Why.
        refusal: String,
    },
    /// No revision was live before the present one.
    #[error("no model revision was live before")]
    NoPreviousRevision,
    /// More callers wait for the journal than may.
    #[error("too many wait to read the journal")]
    Overloaded,
    /// State is still being folded.
    #[error("the service is starting: the journal is being folded")]
    NotReady,
    /// The service ends.
    #[error("the service is stopping")]
    Stopping,
    /// The journal does not take writes now.
    #[error("the journal takes no writes now: {0}")]
    JournalUnavailable(String),
    /// What is kept cannot be read.
    #[error("what is kept cannot be read: {0}")]
    DataLoss(String),
    /// A fault of the service itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl AppError {
    /// The same error, with the field that is at fault as the caller named it.
    #[must_use]
    pub fn in_field(mut self, name: impl FnOnce(&'static str) -> &'static str) -> Self {
        if let Self::InvalidExpression { field, .. }
        | Self::UnknownStage { field, .. }
        | Self::InvalidPageToken { field } = &mut self
        {
            *field = name(field);
        }
        self
    }
}

impl From<JournalError> for AppError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Damaged { .. } | JournalError::Format { .. } => {
                Self::DataLoss(error.to_string())
            }
            JournalError::Io(_)
            | JournalError::Poisoned(_)
            | JournalError::InUse { .. }
            | JournalError::TooLarge { .. }
            | JournalError::Engine(_) => Self::JournalUnavailable(error.to_string()),
        }
    }
}

impl From<Faults> for AppError {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}
