//! Moments in milliseconds since 1970, UTC.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;

/// One second.
pub const SECOND_MS: i64 = 1_000;
/// One minute.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// How far ahead of the clock an event may be: clocks of tills and phones are wrong.
pub const MAX_AHEAD_MS: i64 = DAY_MS;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment an event may have: 1990-01-01T00:00:00Z.
    pub const MIN: Self = Self(631_152_000_000);
    /// The latest moment that is ever accepted: 2200-01-01T00:00:00Z.
    pub const MAX: Self = Self(7_258_118_400_000);

    /// From milliseconds since 1970.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From seconds and nanoseconds since 1970, or nothing if that is outside [`Timestamp::MIN`] to
    /// [`Timestamp::MAX`] or the nanoseconds are not 0 to 999,999,999.
    ///
    /// # Errors
    /// `BadTime`, `TooOld` or `InTheFuture`.
    pub fn from_parts(seconds: i64, nanos: i32) -> Result<Self, (FaultCode, String)> {
        if !(0..1_000_000_000).contains(&nanos) {
            return Err((
                FaultCode::BadTime,
                "nanos must be from 0 to 999999999".to_owned(),
            ));
        }
        let ms = seconds
            .saturating_mul(1_000)
            .saturating_add(i64::from(nanos / 1_000_000));
        Self(ms).checked_range()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 (`2011-09-30T12:00:00Z`); a bare date means midnight UTC.
    ///
    /// # Errors
    /// `BadTime`; `TooOld` before 1990; `InTheFuture` from 2200 on.
    pub fn parse(text: &str) -> Result<Self, (FaultCode, String)> {
        let bad = || {
            (
                FaultCode::BadTime,
                "not a time in RFC 3339 nor a date".to_owned(),
            )
        };
        let ms = if text.len() == 10 {
            let date: jiff::civil::Date = text.parse().map_err(|_| bad())?;
            date.at(0, 0, 0, 0)
                .to_zoned(jiff::tz::TimeZone::UTC)
                .map_err(|_| bad())?
                .timestamp()
                .as_millisecond()
        } else {
            text.parse::<jiff::Timestamp>()
                .map_err(|_| bad())?
                .as_millisecond()
        };
        Self(ms).checked_range()
    }

    fn checked_range(self) -> Result<Self, (FaultCode, String)> {
        if self < Self::MIN {
            Err((FaultCode::TooOld, "before 1990-01-01".to_owned()))
        } else if self >= Self::MAX {
            Err((FaultCode::InTheFuture, "from 2200-01-01 on".to_owned()))
        } else {
            Ok(self)
        }
    }

    /// Refuses what is more than a day ahead of `now`.
    ///
    /// # Errors
    /// `InTheFuture`.
    pub fn not_after(self, now: Timestamp) -> Result<Self, (FaultCode, String)> {
        if self.0 > now.0.saturating_add(MAX_AHEAD_MS) {
            Err((
                FaultCode::InTheFuture,
                "more than a day ahead of the clock".to_owned(),
            ))
        } else {
            Ok(self)
        }
    }

    /// Days from `earlier` until this moment; negative if it is later.
    #[must_use]
    pub fn days_since(self, earlier: Timestamp) -> f64 {
        (self.0 - earlier.0) as f64 / DAY_MS as f64
    }

    /// This moment moved by `ms` milliseconds (saturating).
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_and_bounded() {
        let ms = |text: &str| {
            Timestamp::parse(text)
                .map(Timestamp::ms)
                .map_err(|(code, _)| code)
        };
        assert_eq!(ms("2011-09-30T12:00:00Z"), Ok(1_317_384_000_000));
        assert_eq!(ms("2011-09-30"), Ok(1_317_340_800_000));
        assert_eq!(ms("2022-07-31T22:00:00.025Z"), Ok(1_659_304_800_025));
        assert_eq!(ms("2011-09-30T12:00:00+02:00"), Ok(1_317_376_800_000));
        assert_eq!(ms("yesterday"), Err(FaultCode::BadTime));
        assert_eq!(ms("2011-13-30"), Err(FaultCode::BadTime));
        assert_eq!(ms("1900-01-01"), Err(FaultCode::TooOld));
        assert_eq!(ms("9999-01-01"), Err(FaultCode::InTheFuture));
        let now = Timestamp::from_ms(1_317_384_000_000);
        assert!(now.plus_ms(DAY_MS).not_after(now).is_ok());
        assert!(now.plus_ms(DAY_MS + 1).not_after(now).is_err());
        assert_eq!(now.to_string(), "2011-09-30T12:00:00Z");
    }
}
