//! What is remembered of the offers: what they say, and what became of them so far.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::domain::attribution::short_hash;
use crate::domain::{
    CampaignId, Offer, OfferId, OfferState, OfferTerms, Outcome, Position, ProductId, Timestamp,
};
use crate::state::exposures::{ArmTrials, OfferCounts};
use crate::state::products::Products;
use crate::state::reservations::Usage;

/// An offer as its last record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Everything but the products.
    pub terms: OfferTerms,
    /// The numbers of the products it names, sorted; see [`Offer::product_ids`].
    pub products: Box<[u32]>,
    /// The position of the record by which it was first created.
    pub position: Position,
    /// When it was deleted, if it is.
    pub deleted_at: Option<Timestamp>,
}

impl Listing {
    /// Whether it can be had at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> OfferState {
        match self.deleted_at {
            Some(_) => OfferState::Deleted,
            None => self.terms.state(now),
        }
    }
}

/// How often each outcome came, over everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// It was sent.
    pub sent: u64,
    /// It was seen.
    pub viewed: u64,
    /// It was clicked.
    pub selected: u64,
    /// It was taken.
    pub redeemed: u64,
    /// It was turned down.
    pub declined: u64,
}

impl OutcomeCounts {
    fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Sent => &mut self.sent,
            Outcome::Viewed => &mut self.viewed,
            Outcome::Selected => &mut self.selected,
            Outcome::Redeemed => &mut self.redeemed,
            Outcome::Declined => &mut self.declined,
        } += 1;
    }
}

/// An offer as State knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The id.
    pub id: Box<str>,
    /// What it says, also after it was deleted; absent: only events speak of it.
    pub listing: Option<Box<Listing>>,
    /// What became of it.
    pub outcomes: OutcomeCounts,
    /// What became of it by events with the tokens of answers.
    pub attributed: OfferCounts,
    /// What people did whom an answer with it reached.
    pub trials: ArmTrials,
    /// What of it is reserved and redeemed, as the last record left it.
    pub usage: Usage,
}

/// All offers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Offers {
    items: Vec<Item>,
    #[serde(skip)]
    numbers: HashMap<Box<str>, u32, FixedState>,
    /// By [`short_hash`] of the id; of two with the same one, the first.
    #[serde(skip)]
    hashes: HashMap<u32, u32, FixedState>,
    /// By position of the record by which they were first created: the numbers of those with a listing.
    listed: Vec<(Position, u32)>,
    /// The same by campaign.
    #[serde(skip)]
    campaigns: HashMap<CampaignId, Vec<(Position, u32)>, FixedState>,
    /// Those that are neither deleted nor paused, by their end.
    #[serde(skip)]
    standing: BTreeSet<(Timestamp, u32)>,
}

impl Offers {
    /// Makes the maps anew, after decoding.
    pub(super) fn index(&mut self) {
        let items = self.items.iter().enumerate();
        self.numbers = items
            .map(|(number, item)| (item.id.clone(), number as u32))
            .collect();
        self.hashes.clear();
        for (number, item) in self.items.iter().enumerate() {
            let hash = short_hash(&item.id);
            self.hashes.entry(hash).or_insert(number as u32);
        }
        self.campaigns.clear();
        let standing = self.listed.iter().map(|&(_, number)| number);
        let standing = standing.filter_map(|number| Some((self.end(number)?, number)));
        self.standing = standing.collect();
        for &(position, number) in &self.listed {
            let listing = self.items[number as usize].listing.as_ref();
            if let Some(campaign) = listing.and_then(|listing| listing.terms.campaign_id.clone()) {
                let places = self.campaigns.entry(campaign).or_default();
                places.push((position, number));
            }
        }
    }

    /// The number of an offer, if it is known.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// The number of an offer by the hash of its id, as tokens hold it.
    #[must_use]
    pub fn of_hash(&self, hash: u32) -> Option<u32> {
        self.hashes.get(&hash).copied()
    }

    /// An offer by its number.
    #[must_use]
    pub fn item(&self, number: u32) -> &Item {
        &self.items[number as usize]
    }

    /// All offers, in the order in which they became known.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The offers in the order in which they were first created, deleted ones too: the position of that record, and
    /// the offer's number. The positions stay the same when State is folded anew after an erasure.
    #[must_use]
    pub fn listed(&self) -> &[(Position, u32)] {
        &self.listed
    }

    /// As [`Offers::listed`], of one campaign.
    #[must_use]
    pub fn of_campaign(&self, campaign: &CampaignId) -> &[(Position, u32)] {
        self.campaigns.get(campaign).map_or(&[], Vec::as_slice)
    }

    /// True if no offer can be had at `now` or later, as offers are now.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.standing.last().is_none_or(|&(end, _)| end <= now)
    }

    /// The numbers of those that are neither deleted nor paused nor ended at `now`, by their end.
    pub fn standing(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let rest = self.standing.range((now.plus_ms(1), 0)..);
        rest.map(|&(_, number)| number)
    }

    /// The numbers of those that can be had at `now`, in the order in which they were first created.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let numbers = self.listed.iter().map(|&(_, number)| number);
        numbers.filter(move |&number| {
            let listing = self.item(number).listing.as_ref();
            listing.is_some_and(|listing| listing.state(now) == OfferState::Live)
        })
    }

    /// An offer as it was written last, deleted or not.
    #[must_use]
    pub fn offer(&self, number: u32, products: &Products) -> Option<Offer> {
        let item = self.item(number);
        let listing = item.listing.as_ref()?;
        let ids = listing.products.iter();
        let mut product_ids: Vec<ProductId> = ids
            .map(|&product| ProductId::trusted(products.item(product).id.to_string()))
            .collect();
        product_ids.sort();
        Some(Offer {
            id: OfferId::trusted(item.id.to_string()),
            product_ids,
            terms: listing.terms.clone(),
        })
    }

    /// Takes in what an offer says; one that was deleted is back. The products it names become known.
    pub(super) fn upsert(&mut self, offer: &Offer, products: &mut Products, position: Position) {
        let number = self.intern(offer.id.as_str());
        let ids = offer.product_ids.iter();
        let mut numbers: Vec<u32> = ids.map(|id| products.intern(id.as_str())).collect();
        numbers.sort_unstable();
        self.rest(number);
        let before = self.items[number as usize].listing.take();
        let position = match &before {
            Some(before) => before.position,
            None => {
                self.listed.push((position, number));
                position
            }
        };
        let place = (position, number);
        let left = before.and_then(|before| before.terms.campaign_id);
        let joined = offer.terms.campaign_id.clone();
        if left != joined {
            self.leave(left, place);
            self.join(joined, place);
        }
        self.items[number as usize].listing = Some(Box::new(Listing {
            terms: offer.terms.clone(),
            products: numbers.into(),
            position,
            deleted_at: None,
        }));
        self.stand(number);
    }

    pub(super) fn delete(&mut self, id: &OfferId, now: Timestamp) {
        let Some(number) = self.number(id.as_str()) else {
            return;
        };
        self.rest(number);
        if let Some(listing) = &mut self.items[number as usize].listing {
            listing.deleted_at.get_or_insert(now);
        }
    }

    /// Counts what became of an offer with somebody; returns the offer's number.
    pub(super) fn count(&mut self, id: &OfferId, outcome: Outcome) -> u32 {
        let number = self.intern(id.as_str());
        self.items[number as usize].outcomes.add(outcome);
        number
    }

    pub(super) fn attributed_mut(&mut self, number: u32) -> &mut OfferCounts {
        &mut self.items[number as usize].attributed
    }

    pub(super) fn trials_mut(&mut self, number: u32) -> &mut ArmTrials {
        &mut self.items[number as usize].trials
    }

    pub(super) fn usage_mut(&mut self, number: u32) -> &mut Usage {
        &mut self.items[number as usize].usage
    }

    /// The number of an offer, which becomes known if need be.
    pub(super) fn intern(&mut self, id: &str) -> u32 {
        if let Some(number) = self.number(id) {
            return number;
        }
        let number = self.items.len() as u32;
        self.numbers.insert(id.into(), number);
        self.hashes.entry(short_hash(id)).or_insert(number);
        self.items.push(Item {
            id: id.into(),
            listing: None,
            outcomes: OutcomeCounts::default(),
            attributed: OfferCounts::default(),
            trials: ArmTrials::default(),
            usage: Usage::default(),
        });
        number
    }

    /// When an offer ends, if it is neither deleted nor paused.
    fn end(&self, number: u32) -> Option<Timestamp> {
        let listing = self.item(number).listing.as_ref()?;
        let stands = listing.deleted_at.is_none() && !listing.terms.paused;
        stands.then(|| listing.terms.ends_at.unwrap_or(Timestamp::MAX))
    }

    fn stand(&mut self, number: u32) {
        if let Some(end) = self.end(number) {
            self.standing.insert((end, number));
        }
    }

    fn rest(&mut self, number: u32) {
        if let Some(end) = self.end(number) {
            self.standing.remove(&(end, number));
        }
    }

    fn leave(&mut self, campaign: Option<CampaignId>, place: (Position, u32)) {
        let Some(campaign) = campaign else {
            return;
        };
        if let Some(places) = self.campaigns.get_mut(&campaign) {
            places.retain(|&other| other != place);
            if places.is_empty() {
                self.campaigns.remove(&campaign);
            }
        }
    }

    fn join(&mut self, campaign: Option<CampaignId>, place: (Position, u32)) {
        if let Some(campaign) = campaign {
            let places = self.campaigns.entry(campaign).or_default();
            let at = places.partition_point(|&other| other < place);
            places.insert(at, place);
        }
    }
}
