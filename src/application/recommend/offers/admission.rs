//! Which offers may be answered to somebody, and why others may not.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::{Asked, CONSENT_TRAIT, REFUSALS, SEGMENT_TRAIT, owner};
use crate::application::expression::{Prepared, Scope, customer_value};
use crate::application::outlook::Outlook;
use crate::domain::{OfferState, Touchpoint};
use crate::state::offers::Listing;
use crate::state::reservations::{Ledger, NoRoom, Party, Pending};
use crate::state::subjects::Subject;

/// Says of one offer after the other whether it may be answered.
pub(super) struct OfferAdmission<'a> {
    asked: &'a Asked<'a>,
    ledger: Ledger<'a>,
    party: Option<Party>,
    channel: &'a str,
    /// Nothing is being decided while a question is answered.
    pending: Pending,
    /// Why they get no offer at all.
    refusal: Option<&'static str>,
    /// What eligibility is asked about.
    scope: OnceCell<Prepared>,
    /// Which of the shop's segments they are in, as far as it was asked.
    segments: HashMap<usize, bool>,
}

fn trait_of<'s>(subject: Option<&'s Subject>, key: &str) -> Option<&'s str> {
    let mut traits = subject?.traits.iter();
    let found = traits.find(|(name, _)| **name == *key);
    found.map(|(_, value)| &**value)
}

impl<'a> OfferAdmission<'a> {
    pub(super) fn new(asked: &'a Asked<'a>, is_held_out: bool) -> Self {
        let ledger = Ledger::new(asked.state, asked.prepared.now);
        let question = asked.prepared.question;
        let consent = trait_of(asked.subject, CONSENT_TRAIT);
        let has_refused = consent.is_some_and(|consent| REFUSALS.contains(&consent));
        let refusal = match is_held_out {
            true => Some("OFFER_HOLDOUT"),
            false => has_refused.then_some("OFFER_CONSENT"),
        };
        Self {
            party: owner(&question.who).map(|owner| ledger.party(&owner)),
            ledger,
            channel: question.channel(),
            asked,
            pending: Pending::default(),
            refusal,
            scope: OnceCell::new(),
            segments: HashMap::new(),
        }
    }

    pub(super) fn ledger(&self) -> &Ledger<'a> {
        &self.ledger
    }

    /// Whose room it is; nobody's if nothing is said of who asks.
    pub(super) fn party(&self) -> Option<&Party> {
        self.party.as_ref()
    }

    /// Why an offer may not be answered, but for eligibility; the quickest checks first.
    pub(super) fn refusal(&mut self, number: u32, listing: &Listing) -> Option<&'static str> {
        let terms = &listing.terms;
        match listing.state(self.asked.prepared.now) {
            OfferState::Live => {}
            OfferState::Scheduled => return Some("OFFER_NOT_STARTED"),
            OfferState::Ended => return Some("OFFER_ENDED"),
            OfferState::Paused => return Some("OFFER_PAUSED"),
            OfferState::Deleted => return Some("OFFER_DELETED"),
        }
        if self.refusal.is_some() {
            return self.refusal;
        }
        let stage = self.asked.state.journey().name(self.asked.stage);
        if !terms.stages.is_empty() && !terms.stages.iter().any(|name| **name == *stage) {
            return Some("OFFER_STAGE_MISMATCH");
        }
        let is_here = |name: &Touchpoint| name.as_str() == self.channel;
        if !terms.channels.is_empty() && !terms.channels.iter().any(is_here) {
            return Some("OFFER_CHANNEL_MISMATCH");
        }
        if let Some(code) = self.full(number, terms.is_limited()) {
            return Some(code);
        }
        let products = &self.asked.state.products;
        let named = &listing.products;
        if !named.is_empty() && !named.iter().any(|&p| products.recommendable(p)) {
            return Some("OFFER_PRODUCT_UNAVAILABLE");
        }
        if !terms.segments.is_empty() && self.segment(&terms.segments).is_none() {
            return Some("OFFER_SEGMENT_MISMATCH");
        }
        None
    }

    /// True if an offer is reserved for the customer.
    pub(super) fn holds(&self, number: u32) -> bool {
        let party = self.party.as_ref();
        let room = party.map(|party| self.ledger.room(number, party, &self.pending));
        matches!(room, Some(Ok(Some(_))))
    }

    /// Why there is no room for one more.
    fn full(&self, number: u32, is_limited: bool) -> Option<&'static str> {
        let Some(party) = &self.party else {
            // a page view of nobody must not take from a budget: it could not be known again
            return is_limited.then_some("OFFER_NEEDS_CUSTOMER");
        };
        match self.ledger.room(number, party, &self.pending) {
            Ok(_) => None,
            Err(NoRoom::NotLive) => Some("OFFER_ENDED"),
            Err(why) => Some(why.as_str()),
        }
    }

    /// The first of these segments that the customer is in.
    pub(super) fn segment<'l>(&mut self, names: &'l [Box<str>]) -> Option<&'l str> {
        let own = trait_of(self.asked.subject, SEGMENT_TRAIT);
        let mut names = names.iter().map(|name| &**name);
        names.find(|name| own == Some(*name) || self.is_in(name))
    }

    fn is_in(&mut self, name: &str) -> bool {
        let segments = &self.asked.shop.settings.segments;
        let Some(place) = segments.iter().position(|segment| segment.name == name) else {
            return false;
        };
        if let Some(&known) = self.segments.get(&place) {
            return known;
        }
        let expression = &segments[place].expression;
        // what cannot be computed for somebody is not true of them
        let holds = expression.holds_in(self.scope()).unwrap_or(false);
        self.segments.insert(place, holds);
        holds
    }

    /// Why the customer is not eligible by an expression.
    pub(super) fn ineligible(&self, text: &str) -> Option<&'static str> {
        let expression = match self.asked.shop.eligibility.eligibility(text) {
            Ok(None) => return None,
            Ok(Some(expression)) => expression,
            Err(_) => return Some("OFFER_ELIGIBILITY_ERROR"),
        };
        match expression.holds_in(self.scope()) {
            Ok(true) => None,
            Ok(false) => Some("OFFER_NOT_ELIGIBLE"),
            Err(_) => Some("OFFER_ELIGIBILITY_ERROR"),
        }
    }

    fn scope(&self) -> &Prepared {
        self.scope.get_or_init(|| {
            let (asked, state) = (self.asked, self.asked.state);
            let now = asked.prepared.now;
            let outlook = Outlook::of(asked.shop, state, asked.subject, now);
            let customer = customer_value(asked.subject, state.journey(), &outlook, now);
            let stage = state.journey().name(asked.stage);
            let placement = &asked.prepared.question.placement;
            Scope::new(customer, placement, stage, self.channel).prepare()
        })
    }
}
