//! What a customer gets by an offer: a kind, and a value in the unit of that kind.

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;
use crate::domain::money::MAX_PRICE;

/// The most units for free.
const MAX_UNITS: f64 = 1e6;
/// The most points.
const MAX_POINTS: f64 = 1e9;
/// The most days ahead of everybody else.
const MAX_DAYS: f64 = 3_650.0;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of thing is offered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum OfferKind {
            $($(#[$doc])* $variant,)*
        }

        impl OfferKind {
            /// Every kind.
            pub const ALL: &'static [OfferKind] = &[$(OfferKind::$variant,)*];

            /// The name in files and in the journal.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// True if what it gives shows in the price that is paid, or in how many units it is paid for.
            #[must_use]
            pub fn lowers_price(self) -> bool {
                matches!(self, Self::Percentage | Self::Amount | Self::BuyXGetY)
            }

            /// The kind of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// So many per cent off.
    Percentage = "percentage",
    /// So much money off.
    Amount = "amount",
    /// Units for free to whoever buys some; the value is how many are free.
    BuyXGetY = "buy_x_get_y",
    /// Delivery for nothing; the value is the money that saves.
    FreeShipping = "free_shipping",
    /// Something on top; the value is the money it is worth.
    Gift = "gift",
    /// So many points.
    LoyaltyPoints = "loyalty_points",
    /// Before everybody else; the value is how many days.
    EarlyAccess = "early_access",
    /// For who brings somebody; the value is the money they get.
    Referral = "referral",
    /// Something to read or to watch; it has no value.
    Content = "content",
    /// A coupon, and nothing says what it is worth; it has no value.
    Coupon = "coupon",
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueUnit {
    /// Per cent, above 0 and at most 100.
    Percent,
    /// Money, in the offer's currency.
    Money,
    /// Whole units of a product.
    Units,
    /// Whole points.
    Points,
    /// Whole days.
    Days,
}

impl ValueUnit {
    fn max(self) -> f64 {
        match self {
            Self::Percent => 100.0,
            Self::Money => MAX_PRICE,
            Self::Units => MAX_UNITS,
            Self::Points => MAX_POINTS,
            Self::Days => MAX_DAYS,
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Units | Self::Points | Self::Days)
    }
}

impl OfferKind {
    /// What its value counts; none: it has no value.
    #[must_use]
    pub fn unit(self) -> Option<ValueUnit> {
        match self {
            Self::Percentage => Some(ValueUnit::Percent),
            Self::Amount | Self::FreeShipping | Self::Gift | Self::Referral => {
                Some(ValueUnit::Money)
            }
            Self::BuyXGetY => Some(ValueUnit::Units),
            Self::LoyaltyPoints => Some(ValueUnit::Points),
            Self::EarlyAccess => Some(ValueUnit::Days),
            Self::Content | Self::Coupon => None,
        }
    }

    /// True if it says nothing without a value.
    #[must_use]
    pub fn needs_value(self) -> bool {
        matches!(self, Self::Percentage | Self::Amount | Self::LoyaltyPoints)
    }
}

/// A kind, and a value that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Benefit {
    kind: OfferKind,
    micros: Option<i64>,
}

impl Benefit {
    /// A value in the unit of its kind ([`OfferKind::unit`]), above 0, rounded to a millionth.
    ///
    /// # Errors
    /// `Required` or `NotAllowed`, as the kind has it; `NotANumber` for NaN, infinities and parts of what is whole;
    /// `OutOfRange`.
    pub fn new(kind: OfferKind, value: Option<f64>) -> Result<Self, (FaultCode, String)> {
        let name = kind.as_str();
        let (unit, value) = match (kind.unit(), value) {
            (_, None) if kind.needs_value() => {
                return Err((FaultCode::Required, format!("{name} needs a value")));
            }
            (_, None) => return Ok(Self { kind, micros: None }),
            (None, Some(_)) => {
                return Err((FaultCode::NotAllowed, format!("{name} has no value")));
            }
            (Some(unit), Some(value)) => (unit, value),
        };
        if !value.is_finite() {
            return Err((FaultCode::NotANumber, "must be a finite number".to_owned()));
        }
        let (micros, max) = ((value * 1e6).round() as i64, unit.max());
        if micros < 1 || value > max {
            let reason = format!("of {name} must be greater than 0 and at most {max}");
            return Err((FaultCode::OutOfRange, reason));
        }
        if unit.is_whole() && micros % 1_000_000 != 0 {
            let reason = format!("of {name} must be a whole number");
            return Err((FaultCode::NotANumber, reason));
        }
        let micros = Some(micros);
        Ok(Self { kind, micros })
    }

    /// A benefit that was checked when it was written to the journal.
    #[must_use]
    pub fn trusted(kind: OfferKind, micros: Option<i64>) -> Self {
        Self { kind, micros }
    }

    /// The kind.
    #[must_use]
    pub fn kind(self) -> OfferKind {
        self.kind
    }

    /// The value in millionths of its unit.
    #[must_use]
    pub fn micros(self) -> Option<i64> {
        self.micros
    }

    /// The value in its unit.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        self.micros.map(|micros| micros as f64 / 1e6)
    }

    /// True if its value is money.
    #[must_use]
    pub fn is_money(self) -> bool {
        self.micros.is_some() && self.kind.unit() == Some(ValueUnit::Money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_with_its_kind() {
        use FaultCode::{NotANumber, NotAllowed, OutOfRange, Required};
        use OfferKind::{
            Amount, BuyXGetY, Content, Coupon, EarlyAccess, FreeShipping, LoyaltyPoints, Percentage,
        };
        let micros = |kind, value| {
            Benefit::new(kind, value)
                .map(Benefit::micros)
                .map_err(|(code, _)| code)
        };
        let cases = [
            (Percentage, Some(100.0), Ok(Some(100_000_000))),
            (Percentage, Some(12.5), Ok(Some(12_500_000))),
            (Percentage, Some(100.1), Err(OutOfRange)),
            (Percentage, Some(100.000_000_1), Err(OutOfRange)),
            (Percentage, Some(0.0), Err(OutOfRange)),
            (Percentage, Some(1e-9), Err(OutOfRange)),
            (Percentage, Some(-5.0), Err(OutOfRange)),
            (Percentage, None, Err(Required)),
            (Amount, Some(4.99), Ok(Some(4_990_000))),
            (Amount, Some(1e9), Ok(Some(1_000_000_000_000_000))),
            (Amount, Some(1.1e9), Err(OutOfRange)),
            (Amount, Some(f64::NAN), Err(NotANumber)),
            (Amount, Some(f64::INFINITY), Err(NotANumber)),
            (Amount, None, Err(Required)),
            (FreeShipping, None, Ok(None)),
            (FreeShipping, Some(4.5), Ok(Some(4_500_000))),
            (BuyXGetY, Some(1.0), Ok(Some(1_000_000))),
            (BuyXGetY, Some(1.5), Err(NotANumber)),
            (BuyXGetY, Some(1e7), Err(OutOfRange)),
            (LoyaltyPoints, Some(500.0), Ok(Some(500_000_000))),
            (LoyaltyPoints, None, Err(Required)),
            (EarlyAccess, Some(4_000.0), Err(OutOfRange)),
            (Content, Some(1.0), Err(NotAllowed)),
            (Coupon, None, Ok(None)),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(micros(kind, value), expected, "{kind:?} {value:?}");
        }
        for &kind in OfferKind::ALL {
            assert_eq!(OfferKind::from_name(kind.as_str()), Some(kind));
            assert!(kind.unit().is_some() || !kind.needs_value());
        }
    }
}
