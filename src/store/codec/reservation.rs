//! Records of reservations and decisions as bytes.

use super::{CodecError, fingerprint, present, unknown};
use crate::domain::{
    AnswerKept, CustomerId, DecisionKey, Micros, OfferId, OfferReleased, OfferReserved, OfferSpent,
    ReservationId, Subject, Timestamp, VisitorId,
};
use crate::proto::journal as wire;

pub(super) fn reserved_to_wire(reserved: &OfferReserved) -> wire::OfferReserved {
    let (customer_id, visitor_id) = subject_to_wire(&reserved.subject);
    wire::OfferReserved {
        reservation_id: reserved.id.0.0.to_vec(),
        offer_id: reserved.offer.as_str().to_owned(),
        customer_id,
        visitor_id,
        expires_at_ms: reserved.expires_at.ms(),
        amount_micros: reserved.amount.0,
    }
}

pub(super) fn reserved_from_wire(kept: wire::OfferReserved) -> Result<OfferReserved, CodecError> {
    Ok(OfferReserved {
        id: ReservationId(fingerprint(&kept.reservation_id)?),
        offer: OfferId::trusted(kept.offer_id),
        subject: subject_from_wire(kept.customer_id, kept.visitor_id)?,
        expires_at: Timestamp::from_ms(kept.expires_at_ms),
        amount: Micros(kept.amount_micros),
    })
}

pub(super) fn released_to_wire(released: &OfferReleased) -> wire::OfferReleased {
    let (customer_id, visitor_id) = subject_to_wire(&released.subject);
    wire::OfferReleased {
        reservation_id: released.id.0.0.to_vec(),
        customer_id,
        visitor_id,
    }
}

pub(super) fn released_from_wire(kept: wire::OfferReleased) -> Result<OfferReleased, CodecError> {
    Ok(OfferReleased {
        id: ReservationId(fingerprint(&kept.reservation_id)?),
        subject: subject_from_wire(kept.customer_id, kept.visitor_id)?,
    })
}

pub(super) fn spent_to_wire(spent: &OfferSpent) -> wire::OfferSpent {
    wire::OfferSpent {
        key: spent.key.0.to_vec(),
        offer_id: spent.offer.as_str().to_owned(),
        units: spent.units,
        amount_micros: spent.amount.0,
    }
}

pub(super) fn spent_from_wire(kept: wire::OfferSpent) -> Result<OfferSpent, CodecError> {
    Ok(OfferSpent {
        key: fingerprint(&kept.key)?,
        offer: OfferId::trusted(kept.offer_id),
        units: kept.units,
        amount: Micros(kept.amount_micros),
    })
}

pub(super) fn kept_to_wire(kept: &AnswerKept) -> wire::AnswerKept {
    let (customer_id, visitor_id) = subject_to_wire(&kept.subject);
    wire::AnswerKept {
        decision_key: kept.key.as_str().to_owned(),
        customer_id,
        visitor_id,
        question: kept.question.0.to_vec(),
        expires_at_ms: kept.expires_at.ms(),
        answer: kept.answer.to_vec(),
    }
}

pub(super) fn kept_from_wire(kept: wire::AnswerKept) -> Result<AnswerKept, CodecError> {
    Ok(AnswerKept {
        key: DecisionKey::trusted(kept.decision_key),
        subject: subject_from_wire(kept.customer_id, kept.visitor_id)?,
        question: fingerprint(&kept.question)?,
        expires_at: Timestamp::from_ms(kept.expires_at_ms),
        answer: kept.answer.into_boxed_slice(),
    })
}

/// The ids of the customer and the visitor; empty: absent.
fn subject_to_wire(subject: &Subject) -> (String, String) {
    let customer = subject.customer().map(CustomerId::as_str);
    let visitor = subject.visitor().map(VisitorId::as_str);
    let owned = |id: Option<&str>| id.unwrap_or_default().to_owned();
    (owned(customer), owned(visitor))
}

fn subject_from_wire(customer: String, visitor: String) -> Result<Subject, CodecError> {
    let visitor = present(visitor, VisitorId::trusted);
    match (present(customer, CustomerId::trusted), visitor) {
        (Some(customer), visitor) => Ok(Subject::Customer { customer, visitor }),
        (None, Some(visitor)) => Ok(Subject::Visitor(visitor)),
        (None, None) => Err(unknown("a subject", "")),
    }
}
