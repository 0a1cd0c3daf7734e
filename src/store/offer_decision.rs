//! What an answer decided about offers, as tokens and records hold it.

use crate::domain::attribution::MAX_DECIDED;
use crate::domain::{OfferDecision, Offered};
use crate::proto::journal as wire;

/// As tokens and records hold it.
pub(super) fn to_wire(decision: &OfferDecision) -> wire::OfferDecision {
    let offers = decision.offers.iter();
    wire::OfferDecision {
        offers: offers.flat_map(|o| o.offer.to_le_bytes()).collect(),
        probabilities: decision.offers.iter().map(|o| o.probability).collect(),
        none: decision.none,
        others: decision
            .others
            .iter()
            .flat_map(|o| o.to_le_bytes())
            .collect(),
        held_out: decision.is_held_out,
        base: decision.base.map(i32::from),
    }
}

/// From a token or a record; nothing if its lists do not fit together or are too long.
pub(super) fn from_wire(decision: &wire::OfferDecision) -> Option<OfferDecision> {
    let (offers, others) = (hashes(&decision.offers)?, hashes(&decision.others)?);
    let probabilities = &decision.probabilities;
    if offers.len() != probabilities.len() {
        return None;
    }
    let offers = offers.into_iter().zip(probabilities);
    Some(OfferDecision {
        offers: offers
            .map(|(offer, &probability)| Offered { offer, probability })
            .collect(),
        none: decision.none,
        others,
        is_held_out: decision.held_out,
        base: decision.base.map(i16::try_from).transpose().ok()?,
    })
}

fn hashes(bytes: &[u8]) -> Option<Vec<u32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    let fits = rest.is_empty() && chunks.len() <= MAX_DECIDED;
    fits.then(|| {
        chunks
            .iter()
            .map(|&hash| u32::from_le_bytes(hash))
            .collect()
    })
}
