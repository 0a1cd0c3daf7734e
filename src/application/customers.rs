//! Customers: what is known of them, who they turned out to be, export and erasure.

use crate::application::catalog::Page;
use crate::application::error::AppError;
use crate::application::recommend::{StageAnswer, Who};
use crate::domain::{Customer, CustomerId, Event, Timestamp, Traits, VisitorId};

/// What is known of a customer or visitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Who; never `Nobody`.
    pub who: Who,
    /// Country, segment, …
    pub traits: Traits,
    /// Where they stand now.
    pub stage: StageAnswer,
    /// The first event.
    pub first_event: Option<Timestamp>,
    /// The last event.
    pub last_event: Option<Timestamp>,
    /// Events of all kinds.
    pub events: u64,
    /// Baskets bought.
    pub orders: u64,
    /// Different products bought.
    pub products: u64,
}

/// Which customers to list.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only those in this stage; empty: of every stage.
    pub stage: String,
    /// Only those for whom this CEL expression is true; empty: all.
    pub filter: String,
}

/// The use cases of customers.
#[derive(Debug, Clone)]
pub struct Customers {}

impl Customers {
    /// What is known of somebody.
    ///
    /// # Errors
    /// `CustomerNotFound`.
    pub fn get(&self, _who: &Who) -> Result<Profile, AppError> {
        Err(AppError::NotReady)
    }

    /// Lists customers from `from` on, in the order in which they became known; looks at no more than a bounded number
    /// of them, so a page may be short although more follow.
    ///
    /// # Errors
    /// `InvalidExpression`, `UnknownStage`.
    pub fn list(
        &self,
        _from: u64,
        _limit: usize,
        _selection: &Selection,
    ) -> Result<Page<Profile>, AppError> {
        Err(AppError::NotReady)
    }

    /// Sets the traits of a customer.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn upsert(
        &self,
        _customer: Customer,
        _validate_only: bool,
    ) -> Result<Profile, AppError> {
        Err(AppError::NotReady)
    }

    /// Says that a visitor is this customer. False if that was known.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn identify(
        &self,
        _visitor: VisitorId,
        _customer: CustomerId,
    ) -> Result<bool, AppError> {
        Err(AppError::NotReady)
    }

    /// The visitors identified as this customer.
    #[must_use]
    pub fn visitors(&self, _customer: &CustomerId) -> Vec<VisitorId> {
        Vec::new()
    }

    /// The events of somebody from journal position `from` on, at most `limit`. Reads the journal: blocking.
    ///
    /// # Errors
    /// `DataLoss`.
    pub fn events(&self, _who: &Who, _from: u64, _limit: usize) -> Result<Page<Event>, AppError> {
        Err(AppError::NotReady)
    }

    /// Removes a customer and their visitors from the journal and from memory. Returns how many records are gone.
    ///
    /// # Errors
    /// Those of writing; calling again finishes what was begun.
    pub async fn erase(&self, _customer: &CustomerId) -> Result<u64, AppError> {
        Err(AppError::NotReady)
    }
}
