//! The vocabulary: types that cannot hold bad values. Pure: no clock, no randomness, no IO.

pub mod attribution;
pub mod catalog;
pub mod customer;
pub mod decision;
pub mod event;
pub mod fault;
pub mod fingerprint;
pub mod health;
pub mod id;
pub mod journey;
pub mod money;
pub mod offer;
pub mod places;
pub mod recipe;
pub mod record;
pub mod reservation;
pub mod time;

pub use attribution::{
    Attribution, Credit, Effect, OfferDecision, OfferEffect, Offered, Origin, Shown, Unattributed,
};
pub use catalog::{CategoryPath, InventorySet, Product, ProductDraft};
pub use customer::{Customer, CustomerDraft, Subject, Traits};
pub use decision::AnswerKept;
pub use event::{Event, EventDraft, EventKind};
pub use fault::{Fault, FaultCode, Faults};
pub use fingerprint::Fingerprint;
pub use health::{Health, HealthBounds};
pub use id::{
    CampaignId, CustomerId, DecisionKey, EventId, OfferId, OrderId, ProductId, SessionId,
    Touchpoint, VisitorId,
};
pub use journey::{Journey, StageIndex};
pub use money::{Currency, Micros, Price};
pub use offer::{Benefit, Offer, OfferDraft, OfferKind, OfferState, OfferTerms, Outcome};
pub use places::Places;
pub use recipe::{Baseline, OfferObjective, OfferRules, Ranker, Recipe, Source};
pub use record::{Position, Record, RecordBody};
pub use reservation::{OfferReleased, OfferReserved, OfferSpent, ReservationId, ReservationStatus};
pub use time::Timestamp;
