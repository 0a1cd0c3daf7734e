//! From a proposal to an answer: what must be reserved is, and the token says what came of it.

use super::{Bidding, ChosenOffers, RankedOffer, offered, picked};
use crate::application::error::AppError;
use crate::application::ingest::Ingest;
use crate::application::recommend::Answer;
use crate::application::reserve::{Pick, Wish};
use crate::domain::CustomerId;
use crate::domain::attribution::{MAX_DECIDED, short_hash};
use crate::store::SigningKey;
use crate::store::token::Statement;

/// An answer whose offers may still have to be reserved.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The answer; with a wish, its offers are not promised yet.
    answer: Answer,
    /// What must be reserved first.
    wish: Option<Wish>,
    kept: Vec<RankedOffer>,
    /// What signs the token again, where there is a wish.
    seal: Option<Seal>,
}

/// What signs the token of an answer again whose offers turned out to be others.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::application) struct Seal {
    pub(in crate::application::recommend) key: SigningKey,
    pub(in crate::application::recommend) statement: Statement,
}

impl Proposal {
    pub(in crate::application) fn new(
        answer: Answer,
        offers: ChosenOffers,
        seal: Option<Seal>,
    ) -> Self {
        Self {
            answer,
            wish: offers.wish,
            kept: offers.kept,
            seal,
        }
    }

    /// What must be reserved first.
    pub(in crate::application) fn wish(&self) -> Option<&Wish> {
        self.wish.as_ref()
    }

    /// Says in the bidding of a campaign what the customer asks for.
    pub fn bid(&self, customer: &CustomerId, bidding: &mut Bidding) {
        if let Some(wish) = &self.wish {
            bidding.ask(customer.as_str(), wish.most, &self.kept);
        }
    }

    pub(in crate::application) fn product_count(&self) -> usize {
        self.answer.products.len()
    }

    /// The answer with what was reserved, if anything had to be.
    pub(in crate::application) fn promised(self, picks: Option<&[Pick]>) -> Answer {
        match picks {
            Some(picks) => self.with(picks),
            None => self.answer,
        }
    }

    /// The answer where nothing can be reserved.
    pub(in crate::application) fn unpromised(mut self) -> Answer {
        match self.wish.take() {
            Some(wish) => self.without(&wish),
            None => self.answer,
        }
    }

    /// The answer with what was reserved.
    fn with(mut self, picks: &[Pick]) -> Answer {
        self.answer.offers = picked(&self.kept, picks);
        self.sealed()
    }

    /// The answer with what its offers have become. An offer that stands in for another one came to stand there by
    /// chance, and nobody knows with which.
    fn sealed(mut self) -> Answer {
        let Some((decision, seal)) = self.answer.offer_decision.as_mut().zip(self.seal) else {
            return self.answer;
        };
        let before = decision.clone();
        let offers = self.answer.offers.iter_mut().enumerate();
        decision.offers = offers
            .map(|(place, offer)| {
                let hash = short_hash(offer.offer.as_str());
                let same = before.offers.get(place).filter(|same| same.offer == hash);
                if same.is_none() {
                    offer.probability = 0.0;
                }
                offered(offer)
            })
            .collect();
        if *decision != before {
            let gone = before.offers.iter().map(|offered| offered.offer);
            decision.others.extend(gone);
            let taken = &decision.offers;
            decision
                .others
                .retain(|&other| !taken.iter().any(|offered| offered.offer == other));
            decision.others.truncate(MAX_DECIDED);
            let statement = Statement {
                offers: Some(decision.clone()),
                ..seal.statement
            };
            self.answer.attribution_token = seal.key.sign(&statement);
        }
        self.answer
    }

    /// The answer where nothing can be reserved: with the offers that need no reservation.
    fn without(mut self, wish: &Wish) -> Answer {
        let limited = |offer: &RankedOffer| {
            let mut choices = wish.choices.iter();
            choices.any(|choice| choice.offer == offer.offer && choice.is_limited)
        };
        let offers = &mut self.answer.offers;
        let before = offers.len();
        offers.retain(|offer| offer.reservation.is_some() || !limited(offer));
        self.answer.offers_incomplete = offers.len() < before;
        self.sealed()
    }
}

/// The answer of a proposal, once what must be reserved is.
///
/// # Errors
/// `Stopping`. Where the journal takes no writes the answer is without the offers that must be reserved.
pub async fn promise(ingest: &Ingest, mut proposal: Proposal) -> Result<Answer, AppError> {
    let Some(wish) = proposal.wish.take() else {
        return Ok(proposal.answer);
    };
    match ingest.reserve(vec![wish.clone()]).await {
        Ok(picks) => Ok(proposal.with(picks.first().map_or(&[], Vec::as_slice))),
        Err(AppError::JournalUnavailable(_)) => Ok(proposal.without(&wish)),
        Err(error) => Err(error),
    }
}

/// As [`promise`], for many at once and for threads that may block.
///
/// # Errors
/// As [`promise`].
pub fn promise_all(ingest: &Ingest, proposals: Vec<Proposal>) -> Result<Vec<Answer>, AppError> {
    let wishes = proposals
        .iter()
        .filter_map(|proposal| proposal.wish.clone());
    let wishes: Vec<Wish> = wishes.collect();
    let picks = match wishes.is_empty() {
        true => Some(Vec::new()),
        false => match ingest.reserve_blocking(wishes) {
            Ok(picks) => Some(picks),
            Err(AppError::JournalUnavailable(_)) => None,
            Err(error) => return Err(error),
        },
    };
    let mut picks = picks.map(Vec::into_iter);
    let answers = proposals.into_iter().map(|mut proposal| {
        let Some(wish) = proposal.wish.take() else {
            return proposal.answer;
        };
        match &mut picks {
            Some(picks) => proposal.with(&picks.next().unwrap_or_default()),
            None => proposal.without(&wish),
        }
    });
    Ok(answers.collect())
}
