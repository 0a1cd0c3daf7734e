//! What can be offered to a customer: a reduction, a gift, points, early access, …

mod benefit;
mod draft;

use serde::{Deserialize, Serialize};

pub use benefit::{Benefit, OfferKind, ValueUnit};
pub use draft::{OfferDraft, OfferFields};

use crate::domain::catalog::CategoryPath;
use crate::domain::event::EventKind;
use crate::domain::id::{CampaignId, OfferId, ProductId, Touchpoint};
use crate::domain::money::{Currency, Micros};
use crate::domain::time::Timestamp;

/// The longest name of an offer, in bytes.
pub const MAX_OFFER_NAME_BYTES: usize = 512;
/// The most products one offer names.
pub const MAX_OFFER_PRODUCTS: usize = 20_000;
/// The most categories one offer names.
pub const MAX_OFFER_CATEGORIES: usize = 1_000;
/// The most segments, and the most channels, one offer names.
pub const MAX_OFFER_NAMES: usize = 100;
/// The most units a budget holds.
pub const MAX_BUDGET_UNITS: i64 = 1_000_000_000_000;
/// The highest cap of one customer.
pub const MAX_CAP: i64 = 1_000_000;
/// The longest window of the caps, in days.
pub const MAX_CAP_WINDOW_DAYS: i64 = 3_650;
/// The highest priority; the lowest is its negative.
pub const MAX_PRIORITY: i64 = 1_000_000;

/// Something that can be offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Which.
    pub id: OfferId,
    /// The products it is about, by id, each once. None, and no categories: every product.
    pub product_ids: Vec<ProductId>,
    /// Everything else it says.
    pub terms: OfferTerms,
}

/// What an offer says, save which products it names. Lists are sets: sorted, each entry once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferTerms {
    /// What people call it; may be empty.
    pub name: Box<str>,
    /// What the customer gets.
    pub benefit: Benefit,
    /// The campaign it belongs to.
    pub campaign_id: Option<CampaignId>,
    /// The categories it is about, with everything below them.
    pub categories: Vec<CategoryPath>,
    /// The names of the stages of the journey it is for; none: every stage.
    pub stages: Vec<Box<str>>,
    /// The names of the segments it is for; none: everybody.
    pub segments: Vec<Box<str>>,
    /// A CEL expression over `customer` and `request` that says who may have it; empty: everybody.
    pub eligibility: Box<str>,
    /// From when on it holds.
    pub starts_at: Option<Timestamp>,
    /// The first moment it does not hold any more.
    pub ends_at: Option<Timestamp>,
    /// What one redemption costs the shop.
    pub unit_cost: Option<Micros>,
    /// How often it may be redeemed, by all customers together.
    pub budget_units: Option<u64>,
    /// How much money all redemptions together may cost.
    pub budget_amount: Option<Micros>,
    /// The currency of `unit_cost`, `budget_amount` and of a benefit in money.
    pub currency: Option<Currency>,
    /// How often one customer may redeem it within the window.
    pub cap_per_customer: Option<u32>,
    /// How often it may be shown to one customer within the window.
    pub cap_shown_per_customer: Option<u32>,
    /// The window of the caps, in days; absent: all time.
    pub cap_window_days: Option<u32>,
    /// Of the offers of one group, a customer gets one at a time.
    pub exclusivity_group: Option<Box<str>>,
    /// Where it may be shown: `email`, `store`, …; none: everywhere.
    pub channels: Vec<Touchpoint>,
    /// Which goes first where several are as good: the higher one.
    pub priority: i32,
    /// Shown only where no other offer can be.
    pub fallback: bool,
    /// Not shown until it is resumed.
    pub paused: bool,
}

impl Offer {
    /// About how many bytes it takes, in the journal and on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // what is no text: numbers, times, tags and lengths
        const REST: usize = 200;
        const LENGTH: usize = 4;
        let ids = self.product_ids.iter().map(|id| id.as_str().len());
        let terms = &self.terms;
        let levels = terms.categories.iter().flatten().map(|level| level.len());
        let names = terms.stages.iter().chain(&terms.segments).map(|n| n.len());
        let channels = terms.channels.iter().map(|name| name.as_str().len());
        let lists = ids.chain(levels).chain(names).chain(channels);
        REST + self.id.as_str().len()
            + terms.name.len()
            + terms.eligibility.len()
            + lists.map(|bytes| bytes + LENGTH).sum::<usize>()
    }
}

/// Whether an offer can be had at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferState {
    /// It can.
    Live,
    /// Its time has not come.
    Scheduled,
    /// Its time is over.
    Ended,
    /// Somebody paused it.
    Paused,
    /// Somebody deleted it.
    Deleted,
}

impl OfferTerms {
    /// The money one redemption takes from [`OfferTerms::budget_amount`]: what it costs the shop, or else the value if
    /// that is money, or else nothing.
    #[must_use]
    pub fn unit_amount(&self) -> Micros {
        let value = self.benefit.micros().filter(|_| self.benefit.is_money());
        self.unit_cost.or(value.map(Micros)).unwrap_or_default()
    }

    /// True if it must be reserved before it is answered: it has a budget, or a cap of redemptions.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.budget_units.is_some()
            || self.budget_amount.is_some()
            || self.cap_per_customer.is_some()
    }

    /// What it is at `now`, if it is not deleted.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> OfferState {
        if self.ends_at.is_some_and(|end| now >= end) {
            OfferState::Ended
        } else if self.paused {
            OfferState::Paused
        } else if self.starts_at.is_some_and(|start| now < start) {
            OfferState::Scheduled
        } else {
            OfferState::Live
        }
    }
}

/// What became of an offer with somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// It was sent to them.
    Sent,
    /// They saw it.
    Viewed,
    /// They clicked it.
    Selected,
    /// They took it.
    Redeemed,
    /// They turned it down.
    Declined,
}

impl Outcome {
    /// What an event of this kind says of the offer it names; nothing for kinds that say nothing of it.
    #[must_use]
    pub fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::OfferSent => Some(Self::Sent),
            EventKind::ViewPromotion => Some(Self::Viewed),
            EventKind::SelectPromotion => Some(Self::Selected),
            EventKind::OfferRedeemed => Some(Self::Redeemed),
            EventKind::OfferDeclined => Some(Self::Declined),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_has_one_state_at_a_moment() {
        let at = Timestamp::from_ms;
        let state = |now, paused| {
            let draft = OfferDraft {
                offer_id: "o1",
                kind: Some(Ok(OfferKind::Content)),
                starts_at: Some(Ok(at(10))),
                ends_at: Some(Ok(at(20))),
                paused: Some(Ok(paused)),
                ..OfferDraft::default()
            };
            let stages = crate::domain::Journey {
                stages: Vec::new(),
                rules: Vec::new(),
                otherwise: crate::domain::StageIndex(0),
                recovery: crate::domain::journey::Recovery::default(),
                health: crate::domain::HealthBounds::default(),
            };
            let offer = draft.check(&stages, &|_| Ok(())).unwrap();
            offer.terms.state(at(now))
        };
        let states = [9, 10, 19, 20].map(|now| state(now, false));
        use OfferState::{Ended, Live, Paused, Scheduled};
        assert_eq!(states, [Scheduled, Live, Live, Ended]);
        let states = [9, 10, 20].map(|now| state(now, true));
        assert_eq!(states, [Paused, Paused, Ended]);
    }
}
