//! What an offer is worth to the shop: the seam where a learned choice takes its place.

use super::choice::micros;
use crate::domain::{CategoryPath, Micros, OfferKind};
use crate::state::State;
use crate::state::offers::{Listing, OutcomeCounts};
use crate::state::products;
use crate::state::sales::{Sale, USUAL_MARGIN};

/// Of so many people who were shown an offer before anybody was, …
const PRIOR_SHOWN: f64 = 20.0;
/// … so many took it.
const PRIOR_TAKEN: f64 = 1.0;

/// Of whom and of what it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfferQuestion<'a> {
    /// Everything known.
    pub(super) state: &'a State,
    /// The numbers of the products of the answer, best first.
    pub(super) products: &'a [u32],
    /// See [`crate::domain::OfferRules::assumed_gain`].
    pub(super) assumed_gain: Micros,
}

/// An offer that is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfferCandidate<'a> {
    /// What it says.
    pub(super) listing: &'a Listing,
    /// What became of it so far.
    pub(super) outcomes: &'a OutcomeCounts,
}

/// What an offer is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OfferScore {
    /// The probability that it is taken.
    pub(super) taken: f64,
    /// The money it is expected to bring, less what it costs.
    pub(super) value: Micros,
    /// The product of the answer it is about.
    pub(super) product: Option<u32>,
}

/// Says what offers are worth to somebody. No offer is worth 0.
pub(super) trait OfferScorer {
    /// What one is worth.
    fn score(&self, question: &OfferQuestion<'_>, offer: &OfferCandidate<'_>) -> OfferScore;
}

/// The expected value: how often it was taken (a beta-binomial with a prior of 1 in 20), times what is earned less what
/// it costs. It knows nothing of what the customer would have done without the offer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ExpectedValue;

impl OfferScorer for ExpectedValue {
    fn score(&self, question: &OfferQuestion<'_>, offer: &OfferCandidate<'_>) -> OfferScore {
        let taken = taken(offer.outcomes);
        let (product, deal) = deal(question, offer.listing);
        let value = taken * (deal.margin - cost(offer.listing, &deal));
        OfferScore {
            taken,
            value: micros(value),
            product,
        }
    }
}

/// The probability that an offer is taken by who is shown it.
fn taken(outcomes: &OutcomeCounts) -> f64 {
    let shown = outcomes.viewed.max(outcomes.sent).max(outcomes.redeemed);
    (outcomes.redeemed as f64 + PRIOR_TAKEN) / (shown as f64 + PRIOR_SHOWN)
}

/// What is bought with an offer: the best product of the answer that it is about, or else the first it names; with an
/// offer for everything at least what the recipe assumes, for it may be a whole cart.
pub(super) fn deal(question: &OfferQuestion<'_>, listing: &Listing) -> (Option<u32>, Sale) {
    let state = question.state;
    let terms = &listing.terms;
    let is_for_all = listing.products.is_empty() && terms.categories.is_empty();
    let about = |product: &u32| is_about(state, listing, *product);
    let answered = match is_for_all {
        true => None,
        false => question.products.iter().copied().find(about),
    };
    let named = || listing.products.first().copied();
    let first = || question.products.first().copied().filter(|_| is_for_all);
    let product = answered.or_else(named).or_else(first);
    let gain = question.assumed_gain.0 as f64;
    let assumed = Sale {
        price: gain / USUAL_MARGIN,
        margin: gain,
    };
    let priced = product.and_then(|product| {
        let item = state.products.item(product).listing.as_ref()?;
        // money of another currency says nothing
        let is_same = terms.currency.is_none() || item.currency.is_none();
        let is_same = is_same || terms.currency == item.currency;
        let price = item.price.filter(|_| is_same)?.0 as f64;
        let cost = item.unit_cost.map(|cost| cost.0 as f64);
        let margin = cost.map_or(price * USUAL_MARGIN, |cost| price - cost);
        Some(Sale { price, margin })
    });
    let deal = match priced {
        Some(deal) if is_for_all && deal.margin < assumed.margin => assumed,
        Some(deal) => deal,
        None => assumed,
    };
    (answered, deal)
}

/// What an offer costs the shop when it is taken, in micros.
pub(super) fn cost(listing: &Listing, deal: &Sale) -> f64 {
    let benefit = listing.terms.benefit;
    if let Some(cost) = listing.terms.unit_cost {
        return cost.0 as f64;
    }
    let value = benefit.value().unwrap_or(0.0);
    match benefit.kind() {
        OfferKind::Percentage => deal.price * value / 100.0,
        OfferKind::BuyXGetY => value * (deal.price - deal.margin),
        _ => listing.terms.unit_amount().0 as f64,
    }
}

/// True if an offer is about a product.
fn is_about(state: &State, listing: &Listing, product: u32) -> bool {
    if listing.products.binary_search(&product).is_ok() {
        return true;
    }
    let Some(item) = &state.products.item(product).listing else {
        return false;
    };
    let within = |path: &CategoryPath| starts_with(item, path);
    listing.terms.categories.iter().any(within)
}

fn starts_with(item: &products::Listing, path: &CategoryPath) -> bool {
    item.category.starts_with(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_more_often_is_more_probable_and_nothing_is_sure() {
        let of = |viewed, redeemed| {
            taken(&OutcomeCounts {
                viewed,
                redeemed,
                ..OutcomeCounts::default()
            })
        };
        assert!((of(0, 0) - 0.05).abs() < 1e-12);
        assert!(of(1_000, 100) > of(1_000, 50) && of(1_000, 50) > of(1_000, 0));
        assert!(of(1_000, 0) > 0.0);
        // redemptions without showings: it was handed out elsewhere
        assert!(of(0, 1_000) < 1.0);
    }
}
