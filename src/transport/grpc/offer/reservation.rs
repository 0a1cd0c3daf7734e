//! Redemptions, releases and usage of offers on the wire.

use crate::application::AppError;
use crate::application::offers::StoredUsage;
use crate::application::reserve::{RedeemWhat, Redeemed, Redemption};
use crate::domain::event::optional;
use crate::domain::id::{MAX_ID_BYTES, check};
use crate::domain::{
    CustomerId, FaultCode, Faults, Micros, OfferId, OrderId, ReservationId, ReservationStatus,
    Subject, VisitorId,
};
use crate::proto::v1;
use crate::transport::grpc::field::{count64, text};

/// What is to be redeemed.
///
/// # Errors
/// `Invalid` with every fault.
pub(super) fn redemption(request: &v1::RedeemOfferRequest) -> Result<Redemption, AppError> {
    let mut faults = Faults::new();
    let reservation = optional(
        &mut faults,
        "reservation_id",
        &request.reservation_id,
        ReservationId::parse,
    );
    let offer = optional(&mut faults, "offer_id", &request.offer_id, OfferId::parse);
    let customer = optional(
        &mut faults,
        "customer_id",
        &request.customer_id,
        CustomerId::parse,
    );
    let visitor = optional(
        &mut faults,
        "visitor_id",
        &request.visitor_id,
        VisitorId::parse,
    );
    let order = optional(&mut faults, "order_id", &request.order_id, OrderId::parse);
    optional(&mut faults, "request_id", &request.request_id, |id| {
        check(id, MAX_ID_BYTES)
    });
    if request.reservation_id.is_empty() {
        require(&mut faults, request);
    } else {
        let rest = [
            ("offer_id", &request.offer_id),
            ("customer_id", &request.customer_id),
            ("visitor_id", &request.visitor_id),
        ];
        for (name, _) in rest.iter().filter(|(_, text)| !text.is_empty()) {
            let reason = "does not go with reservation_id, which says it";
            faults.add(*name, FaultCode::NotAllowed, reason);
        }
    }
    let subject = match (customer, visitor) {
        (Some(customer), _) => Some(Subject::Customer {
            customer,
            visitor: None,
        }),
        (None, visitor) => visitor.map(Subject::Visitor),
    };
    let of_offer = offer.zip(subject).map(|(o, who)| RedeemWhat::Offer(o, who));
    match reservation.map(RedeemWhat::Reservation).or(of_offer) {
        Some(what) if faults.is_empty() => Ok(Redemption {
            what,
            order,
            request: request.request_id.clone(),
        }),
        _ => Err(faults.into()),
    }
}

/// What must be there without a reservation.
fn require(faults: &mut Faults, request: &v1::RedeemOfferRequest) {
    if request.offer_id.is_empty() {
        let reason = "must be given, or a reservation_id";
        faults.add("offer_id", FaultCode::Required, reason);
    }
    match (
        request.customer_id.is_empty(),
        request.visitor_id.is_empty(),
    ) {
        (true, true) => {
            let reason = "must be given, or visitor_id, or a reservation_id";
            faults.add("customer_id", FaultCode::Required, reason);
        }
        (false, false) => {
            let reason = "at most one of customer_id and visitor_id may be given";
            faults.add("visitor_id", FaultCode::NotAllowed, reason);
        }
        _ => {}
    }
    if request.order_id.is_empty() && request.request_id.is_empty() {
        let reason =
            "must be given, or an order_id: else the same request sent again would redeem twice";
        faults.add("request_id", FaultCode::Required, reason);
    }
}

pub(super) fn render_redeemed(redeemed: &Redeemed) -> v1::RedeemOfferResponse {
    let reservation = redeemed.reservation;
    v1::RedeemOfferResponse {
        offer_id: redeemed.offer.as_str().to_owned(),
        reservation_id: reservation.map_or_else(String::new, |id| id.to_string()),
        already_redeemed: redeemed.already,
    }
}

pub(super) fn render_status(status: ReservationStatus) -> v1::ReservationState {
    match status {
        ReservationStatus::Open => v1::ReservationState::Open,
        ReservationStatus::Redeemed => v1::ReservationState::Redeemed,
        ReservationStatus::Released => v1::ReservationState::Released,
        ReservationStatus::Expired => v1::ReservationState::Expired,
    }
}

pub(super) fn render_usage(id: &OfferId, stored: &StoredUsage) -> v1::OfferUsage {
    let (reserved, redeemed) = (stored.usage.reserved, stored.usage.redeemed);
    v1::OfferUsage {
        offer_id: id.as_str().to_owned(),
        reserved_units: count64(reserved.units),
        redeemed_units: count64(redeemed.units),
        reserved_amount: reserved.amount.units(),
        redeemed_amount: redeemed.amount.units(),
        free_units: stored.free_units.map(count64),
        free_amount: stored.free_amount.map(Micros::units),
        currency_code: text(stored.currency.as_ref(), |currency| currency.as_str()),
    }
}
