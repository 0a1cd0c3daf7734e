//! Money as integers: millionths of the currency's unit, so that fractional cents per unit are exact.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;

/// The highest price, in units of the currency.
pub const MAX_PRICE: f64 = 1e9;

/// Millionths of a currency's unit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Micros(pub i64);

impl Micros {
    /// From a price in units, zero or more, rounded to a millionth.
    ///
    /// # Errors
    /// `NotANumber` for NaN and infinities; `OutOfRange` below zero or above [`MAX_PRICE`].
    pub fn from_units(units: f64) -> Result<Self, (FaultCode, String)> {
        if !units.is_finite() {
            Err((FaultCode::NotANumber, "must be a finite number".to_owned()))
        } else if !(0.0..=MAX_PRICE).contains(&units) {
            Err((
                FaultCode::OutOfRange,
                format!("must be from 0 to {MAX_PRICE}"),
            ))
        } else {
            Ok(Self((units * 1e6).round() as i64))
        }
    }

    /// In units of the currency.
    #[must_use]
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// An ISO 4217 code: three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Parses a code.
    ///
    /// # Errors
    /// `BadCurrency` if it is not three capital letters.
    pub fn parse(text: &str) -> Result<Self, (FaultCode, String)> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err((
                FaultCode::BadCurrency,
                "must be three capital letters".to_owned(),
            )),
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A price: an amount and, where it is known, its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The amount.
    pub amount: Micros,
    /// The currency; absent in files that do not name one.
    pub currency: Option<Currency>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_finite_and_exact() {
        let code = |units: f64| {
            Micros::from_units(units)
                .map(|m| m.0)
                .map_err(|(code, _)| code)
        };
        assert_eq!(code(4.8525), Ok(4_852_500));
        assert_eq!(code(0.0), Ok(0));
        assert_eq!(code(-0.01), Err(FaultCode::OutOfRange));
        assert_eq!(code(f64::NAN), Err(FaultCode::NotANumber));
        assert_eq!(code(f64::INFINITY), Err(FaultCode::NotANumber));
        assert_eq!(code(1e10), Err(FaultCode::OutOfRange));
        assert!(Currency::parse("EUR").is_ok());
        assert!(Currency::parse("eur").is_err());
    }
}
