//! Reservations of offers: a promise to somebody that the budget has room, until it is redeemed, released or over.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::customer::Subject;
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::id::OfferId;
use crate::domain::money::Micros;
use crate::domain::time::Timestamp;

/// How many hexadecimal digits the id of a reservation has.
const ID_DIGITS: usize = 32;

/// Which reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReservationId(pub Fingerprint);

impl ReservationId {
    /// Parses what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// `Required` if it is blank; `Malformed` for anything but 32 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, (FaultCode, String)> {
        if text.trim().is_empty() {
            return Err((FaultCode::Required, "must not be blank".to_owned()));
        }
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(number) if is_hex && text.len() == ID_DIGITS => {
                Ok(Self(Fingerprint(number.to_be_bytes())))
            }
            _ => {
                let reason = format!("must be the {ID_DIGITS} digits of a reservation_id");
                Err((FaultCode::Malformed, reason))
            }
        }
    }
}

/// What the id of the event of a redemption begins with.
const EVENT_PREFIX: &str = "redemption-";

impl ReservationId {
    /// The id of the event by which it is redeemed.
    #[must_use]
    pub fn event_id(self) -> String {
        format!("{EVENT_PREFIX}{self}")
    }

    /// The reservation that the event of that id redeems, if it is one of [`ReservationId::event_id`].
    #[must_use]
    pub fn of_event(event_id: &str) -> Option<Self> {
        Self::parse(event_id.strip_prefix(EVENT_PREFIX)?).ok()
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One unit of an offer is kept for somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferReserved {
    /// Which reservation.
    pub id: ReservationId,
    /// Of which offer.
    pub offer: OfferId,
    /// For whom.
    pub subject: Subject,
    /// The first moment it does not hold any more.
    pub expires_at: Timestamp,
    /// The money it keeps: [`crate::domain::OfferTerms::unit_amount`] at that moment.
    pub amount: Micros,
}

/// A reservation is given back.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferReleased {
    /// Which reservation.
    pub id: ReservationId,
    /// Whose it was.
    pub subject: Subject,
}

/// What somebody who is erased had redeemed of an offer: the budget stays spent. Names nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferSpent {
    /// The identity: a second record of the same erasure changes nothing.
    pub key: Fingerprint,
    /// Of which offer.
    pub offer: OfferId,
    /// How often.
    pub units: u64,
    /// For how much money, all together.
    pub amount: Micros,
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReservationStatus {
    /// It holds.
    Open,
    /// It was redeemed.
    Redeemed,
    /// It was given back.
    Released,
    /// Its time was over.
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_was_written() {
        for number in [0, 1, 255 << 64, u128::MAX] {
            let id = ReservationId(Fingerprint(number.to_be_bytes()));
            assert_eq!(ReservationId::parse(&id.to_string()), Ok(id));
            assert_eq!(ReservationId::of_event(&id.event_id()), Some(id));
            assert_eq!(ReservationId::of_event(&id.to_string()), None);
        }
        let code = |text: &str| ReservationId::parse(text).unwrap_err().0;
        assert_eq!(code(" "), FaultCode::Required);
        let long = "0".repeat(33);
        for text in ["abc", &long, "+000000000000000000000000000000f", "é"] {
            assert_eq!(code(text), FaultCode::Malformed, "{text}");
        }
    }
}
