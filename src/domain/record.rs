//! One thing that happened, as the journal keeps it.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::{InventorySet, Product};
use crate::domain::customer::Customer;
use crate::domain::decision::AnswerKept;
use crate::domain::event::Event;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::id::{CustomerId, OfferId, ProductId, VisitorId};
use crate::domain::offer::Offer;
use crate::domain::reservation::{OfferReleased, OfferReserved, OfferSpent};
use crate::domain::time::Timestamp;

/// The number of a record in the journal; the first is 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Position(pub u64);

impl Position {
    /// The position `count` records further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

/// One thing that happened. Never changes, unless its customer is erased: then it is [`RecordBody::Redacted`].
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When the service took it in.
    pub recorded_at: Timestamp,
    /// What happened.
    pub body: RecordBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordBody {
    /// Somebody did something.
    Event(Box<Event>),
    /// A product is new or changed.
    ProductUpserted(Box<Product>),
    /// A product is gone.
    ProductDeleted(ProductId),
    /// News of stock and price.
    InventorySet(ProductId, InventorySet),
    /// An offer is new or changed, paused or resumed, or back after it was deleted.
    OfferUpserted(Box<Offer>),
    /// An offer is gone; what it said stays known.
    OfferDeleted(OfferId),
    /// One unit of an offer is kept for somebody.
    OfferReserved(Box<OfferReserved>),
    /// A reservation is given back.
    OfferReleased(Box<OfferReleased>),
    /// What somebody who is erased had redeemed stays spent.
    OfferSpent(Box<OfferSpent>),
    /// An answer stays until it expires.
    AnswerKept(Box<AnswerKept>),
    /// A customer's traits are set.
    CustomerUpserted(Box<Customer>),
    /// A visitor turned out to be a customer.
    VisitorIdentified {
        /// The visitor.
        visitor: VisitorId,
        /// The customer.
        customer: CustomerId,
    },
    /// Somebody was erased: the fingerprint of the customer's id; older records hold those of their
    /// visitors, too.
    CustomerErased(Vec<Fingerprint>),
    /// A model revision went live.
    ModelActivated(Box<str>),
    /// What was here belonged to somebody who was erased.
    Redacted,
}

impl Record {
    /// The identity that makes a second record of the same change nothing; events have one, and what stays spent.
    #[must_use]
    pub fn key(&self) -> Option<Fingerprint> {
        match &self.body {
            RecordBody::Event(event) => Some(event.key),
            RecordBody::OfferSpent(spent) => Some(spent.key),
            _ => None,
        }
    }
}

/// What the journal keeps of an erased customer's id.
#[must_use]
pub fn customer_fingerprint(id: &CustomerId) -> Fingerprint {
    Fingerprint::of("customer", &[id.as_str().as_bytes()])
}
