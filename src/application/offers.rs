//! Offers as callers create, change, pause, delete and list them.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::application::catalog::Page;
use crate::application::error::AppError;
use crate::application::expression::{Expression, MAX_EXPRESSION_BYTES};
use crate::application::ingest::{Ingest, Written};
use crate::application::reserve::{Redeemed, Redemption};
use crate::application::shop::Shop;
use crate::domain::journey::Journey;
use crate::domain::{
    CampaignId, Currency, FaultCode, Faults, Micros, Offer, OfferDraft, OfferId, OfferState,
    OfferTerms, RecordBody, ReservationId, ReservationStatus, Timestamp,
};
use crate::state::State;
use crate::state::offers::OutcomeCounts;
use crate::state::reservations::{Ledger, Usage};

/// The most offers of one batch.
pub const MAX_OFFERS_IN_BATCH: usize = 1_000;
/// How many offers one page looks at, at most.
const MAX_SCAN: usize = 20_000;
/// About how many bytes one page holds, unless a single offer is larger: clients take messages of 4 MiB.
const MAX_PAGE_BYTES: usize = 2 << 20;

/// An offer as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOffer {
    /// The offer.
    pub offer: Offer,
    /// Whether it can be had now.
    pub state: OfferState,
    /// When it was deleted, if it is.
    pub deleted_at: Option<Timestamp>,
    /// What became of it so far.
    pub outcomes: OutcomeCounts,
}

/// What of an offer is spent and free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredUsage {
    /// What is spent.
    pub usage: Usage,
    /// How many units can still be reserved; absent: without end.
    pub free_units: Option<u64>,
    /// How much money can still be reserved; absent: without end.
    pub free_amount: Option<Micros>,
    /// The currency of the money.
    pub currency: Option<Currency>,
}

/// Which offers to list.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only those of this campaign; absent: of every one.
    pub campaign: Option<CampaignId>,
    /// Deleted ones, too.
    pub deleted: bool,
}

/// Checks an offer as somebody wrote it, wherever it comes from.
///
/// # Errors
/// Every fault, with the field it is in.
pub fn check(draft: &OfferDraft<'_>, journey: &Journey) -> Result<Offer, Faults> {
    draft.check(journey, &eligible)
}

/// What is wrong with an expression of eligibility.
fn eligible(text: &str) -> Result<(), (FaultCode, String)> {
    let code = if text.len() > MAX_EXPRESSION_BYTES {
        FaultCode::TooLong
    } else {
        FaultCode::Malformed
    };
    match Expression::eligibility(text) {
        Ok(_) => Ok(()),
        Err(AppError::InvalidExpression { reason, .. }) => Err((code, reason)),
        Err(other) => Err((code, other.to_string())),
    }
}

/// The use cases of offers.
#[derive(Debug, Clone)]
pub struct Offers {
    shop: Arc<Shop>,
    ingest: Ingest,
    /// One change at a time: each looks at what is there before it writes.
    gate: Arc<Mutex<()>>,
}

impl Offers {
    /// Over a shop.
    #[must_use]
    pub fn new(shop: Arc<Shop>, ingest: Ingest) -> Self {
        Self {
            shop,
            ingest,
            gate: Arc::default(),
        }
    }

    /// Checks an offer as somebody wrote it, against the shop's journey.
    ///
    /// # Errors
    /// Every fault, with the field it is in.
    pub fn check(&self, draft: &OfferDraft<'_>) -> Result<Offer, Faults> {
        check(draft, &self.shop.settings.fold.journey)
    }

    /// Creates an offer.
    ///
    /// # Errors
    /// `OfferExists`, also if it is deleted; those of writing.
    pub async fn create(&self, offer: Offer, validate_only: bool) -> Result<StoredOffer, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        if self.get(&offer.id).is_ok() {
            let id = offer.id.to_string();
            return Err(AppError::OfferExists { id });
        }
        self.put(offer, validate_only).await
    }

    /// Returns an offer, deleted or not.
    ///
    /// # Errors
    /// `OfferNotFound`.
    pub fn get(&self, id: &OfferId) -> Result<StoredOffer, AppError> {
        let known = self.shop.known();
        let now = self.shop.clock.now();
        let number = known.state.offers.number(id.as_str());
        number
            .and_then(|number| stored(&known.state, number, now))
            .ok_or_else(|| AppError::OfferNotFound { id: id.to_string() })
    }

    /// Lists offers from journal position `from` on, in the order in which they were first created; looks at no more
    /// than a bounded number, and a page is bounded in bytes, so it may be short although more follow.
    #[must_use]
    pub fn list(&self, from: u64, limit: usize, selection: &Selection) -> Page<StoredOffer> {
        let now = self.shop.clock.now();
        let known = self.shop.known();
        let offers = &known.state.offers;
        let all = match &selection.campaign {
            Some(campaign) => offers.of_campaign(campaign),
            None => offers.listed(),
        };
        let first = all.partition_point(|(position, _)| position.0 < from);
        let end = all.len().min(first + MAX_SCAN);
        let (mut items, mut bytes, mut next) = (Vec::new(), 0, first);
        while next < end && items.len() < limit {
            let offer = stored(&known.state, all[next].1, now);
            let wanted = |offer: &StoredOffer| selection.deleted || offer.deleted_at.is_none();
            if let Some(offer) = offer.filter(wanted) {
                bytes += offer.offer.bytes();
                if bytes > MAX_PAGE_BYTES && !items.is_empty() {
                    break;
                }
                items.push(offer);
            }
            next += 1;
        }
        Page {
            items,
            next: all.get(next).map(|(position, _)| position.0),
        }
    }

    /// Changes an offer: `change` gets it as it is (or nothing) and returns it as it shall be.
    ///
    /// # Errors
    /// `OfferNotFound` if there is none and not `allow_missing`; `OfferDeleted`; those of `change` and of writing.
    pub async fn update(
        &self,
        id: &OfferId,
        allow_missing: bool,
        validate_only: bool,
        change: impl FnOnce(Option<&Offer>) -> Result<Offer, AppError> + Send,
    ) -> Result<StoredOffer, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        let before = match self.standing(id) {
            Ok(stored) => Some(stored.offer),
            Err(AppError::OfferNotFound { .. }) if allow_missing => None,
            Err(error) => return Err(error),
        };
        self.put(change(before.as_ref())?, validate_only).await
    }

    /// Pauses an offer, or resumes it; what it was already changes nothing.
    ///
    /// # Errors
    /// `OfferNotFound`; `OfferDeleted`; those of writing.
    pub async fn set_paused(&self, id: &OfferId, paused: bool) -> Result<StoredOffer, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        let offer = self.standing(id)?.offer;
        let terms = OfferTerms {
            paused,
            ..offer.terms
        };
        self.put(Offer { terms, ..offer }, false).await
    }

    /// Deletes an offer; it can be brought back.
    ///
    /// # Errors
    /// `OfferNotFound`, also if it is deleted already; those of writing.
    pub async fn delete(&self, id: &OfferId) -> Result<StoredOffer, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        if self.get(id)?.deleted_at.is_some() {
            return Err(AppError::OfferNotFound { id: id.to_string() });
        }
        self.ingest
            .write(vec![RecordBody::OfferDeleted(id.clone())])
            .await?;
        self.get(id)
    }

    /// Brings a deleted offer back as it was.
    ///
    /// # Errors
    /// `OfferNotFound`; `OfferExists` if it is not deleted; those of writing.
    pub async fn undelete(&self, id: &OfferId) -> Result<StoredOffer, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        let before = self.get(id)?;
        if before.deleted_at.is_none() {
            return Err(AppError::OfferExists { id: id.to_string() });
        }
        self.put(before.offer, false).await
    }

    /// Creates or replaces offers, and brings deleted ones back; `duplicate` counts those that were the same already.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn upsert(
        &self,
        offers: Vec<Offer>,
        validate_only: bool,
    ) -> Result<Written, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        if validate_only {
            return Ok(Written::default());
        }
        let bodies = offers
            .into_iter()
            .map(|offer| RecordBody::OfferUpserted(Box::new(offer)));
        self.ingest.write(bodies.collect()).await
    }

    /// Redeems an offer; asked again, it says so and changes nothing.
    ///
    /// # Errors
    /// Those of [`Ingest::redeem`].
    pub async fn redeem(&self, redemption: Redemption) -> Result<Redeemed, AppError> {
        self.ingest.redeem(redemption).await
    }

    /// Gives a reservation back; returns what it is now.
    ///
    /// # Errors
    /// Those of [`Ingest::release`].
    pub async fn release(&self, id: ReservationId) -> Result<ReservationStatus, AppError> {
        self.ingest.release(id).await
    }

    /// What of an offer is spent and free.
    ///
    /// # Errors
    /// `OfferNotFound`.
    pub fn usage(&self, id: &OfferId) -> Result<StoredUsage, AppError> {
        let known = self.shop.known();
        let offers = &known.state.offers;
        let found = offers.number(id.as_str()).and_then(|number| {
            let listing = offers.item(number).listing.as_ref()?;
            Some((number, &listing.terms))
        });
        let missing = || AppError::OfferNotFound { id: id.to_string() };
        let (number, terms) = found.ok_or_else(missing)?;
        let usage = Ledger::new(&known.state, self.shop.clock.now()).usage(number);
        let mut spent = usage.reserved;
        spent.add(usage.redeemed);
        let units = terms.budget_units;
        let amount = terms.budget_amount;
        Ok(StoredUsage {
            usage,
            free_units: units.map(|budget| budget.saturating_sub(spent.units)),
            free_amount: amount.map(|budget| Micros((budget.0 - spent.amount.0).max(0))),
            currency: terms.currency,
        })
    }

    /// An offer that is not deleted.
    fn standing(&self, id: &OfferId) -> Result<StoredOffer, AppError> {
        let stored = self.get(id)?;
        if stored.deleted_at.is_some() {
            return Err(AppError::OfferDeleted { id: id.to_string() });
        }
        Ok(stored)
    }

    async fn put(&self, offer: Offer, validate_only: bool) -> Result<StoredOffer, AppError> {
        let id = offer.id.clone();
        if validate_only {
            let before = self.get(&id).ok();
            return Ok(StoredOffer {
                state: offer.terms.state(self.shop.clock.now()),
                offer,
                deleted_at: None,
                outcomes: before.map_or_else(OutcomeCounts::default, |before| before.outcomes),
            });
        }
        self.ingest
            .write(vec![RecordBody::OfferUpserted(Box::new(offer))])
            .await?;
        self.get(&id)
    }
}

fn stored(state: &State, number: u32, now: Timestamp) -> Option<StoredOffer> {
    let item = state.offers.item(number);
    let listing = item.listing.as_ref()?;
    Some(StoredOffer {
        offer: state.offers.offer(number, &state.products)?,
        state: listing.state(now),
        deleted_at: listing.deleted_at,
        outcomes: item.outcomes,
    })
}
