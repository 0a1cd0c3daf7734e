//! What may be asked of the simulation: seed, size and period, checked once.

use jiff::ToSpan;
use jiff::civil::Date;
use thiserror::Error;

use super::pain::{MAX_PAIN_POINTS, PainPoint, Planted};

/// Most customers of one shop.
pub const MAX_CUSTOMERS: u32 = 1_000_000;
/// Most products of one shop.
pub const MAX_PRODUCTS: u32 = 50_000;
/// Longest simulated period, in days.
pub const MAX_DAYS: u32 = 3_650;
/// Most customers × days: about 165 million events, some 16 GB of CSV (0.41 events a customer and
/// day, 99 bytes each, as measured on ten million).
pub const MAX_CUSTOMER_DAYS: u64 = 400_000_000;
/// The earliest year in which a simulation may end.
pub(super) const MIN_END_YEAR: i16 = 1990;
/// The latest year in which a simulation may end.
pub(super) const MAX_END_YEAR: i16 = 2200;

/// Why a simulation cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A number is outside its bounds.
    #[error("{name} must be from {least} to {most}, not {given}")]
    OutOfBounds {
        /// Which setting.
        name: &'static str,
        /// The smallest value.
        least: i64,
        /// The largest value.
        most: i64,
        /// What was asked for.
        given: i64,
    },
    /// Each number is in bounds, but together they are too much.
    #[error("customers × days must be at most {MAX_CUSTOMER_DAYS}, not {given}")]
    TooMuch {
        /// The product that was asked for.
        given: u64,
    },
    /// Too many pain points.
    #[error("at most {MAX_PAIN_POINTS} pain points can be planted, not {0}")]
    TooManyPains(usize),
    /// The same pain point twice.
    #[error("the pain point {0} is there twice")]
    PainTwice(PainPoint),
    /// A pain point outside the history.
    #[error("{pain} must begin from {first} to {last}, within the history")]
    PainOutside {
        /// The pain point.
        pain: PainPoint,
        /// The first day of the history.
        first: Date,
        /// The last day of it.
        last: Date,
    },
}

/// A checked request for a shop. Same settings, same shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    seed: u64,
    customers: u32,
    products: u32,
    days: u32,
    end: Date,
    pains: Vec<PainPoint>,
}

impl Settings {
    /// Checks the bounds. `end` is the first day that is *not* simulated: the last event is before
    /// its midnight (UTC).
    ///
    /// # Errors
    /// When a number is outside its bounds.
    pub fn new(
        seed: u64,
        customers: u32,
        products: u32,
        days: u32,
        end: Date,
    ) -> Result<Settings, SettingsError> {
        within(
            "customers",
            i64::from(customers),
            1,
            i64::from(MAX_CUSTOMERS),
        )?;
        within("products", i64::from(products), 1, i64::from(MAX_PRODUCTS))?;
        within("days", i64::from(days), 1, i64::from(MAX_DAYS))?;
        let (least, most) = (i64::from(MIN_END_YEAR), i64::from(MAX_END_YEAR));
        within("the year of the end", i64::from(end.year()), least, most)?;
        let given = u64::from(customers) * u64::from(days);
        if given > MAX_CUSTOMER_DAYS {
            return Err(SettingsError::TooMuch { given });
        }
        Ok(Settings {
            seed,
            customers,
            products,
            days,
            end,
            pains: Vec::new(),
        })
    }

    /// The same shop with pain points.
    ///
    /// # Errors
    /// Too many, the same one twice, or one that begins outside the history.
    pub fn with_pain_points(mut self, pains: &[PainPoint]) -> Result<Settings, SettingsError> {
        if pains.len() > MAX_PAIN_POINTS {
            return Err(SettingsError::TooManyPains(pains.len()));
        }
        let first = self.end.saturating_sub(i64::from(self.days).days());
        let last = self.end.saturating_sub(1.day());
        for (place, &pain) in pains.iter().enumerate() {
            if pains[..place].iter().any(|other| other.kind == pain.kind) {
                return Err(SettingsError::PainTwice(pain));
            }
            if pain.since.is_some_and(|day| day < first || day > last) {
                return Err(SettingsError::PainOutside { pain, first, last });
            }
        }
        self.pains = pains.to_vec();
        Ok(self)
    }

    /// The pain points, each with its first day.
    pub(super) fn planted(&self) -> Vec<Planted> {
        let pains = self.pains.iter();
        pains
            .map(|&pain| Planted::new(pain, self.days, self.end))
            .collect()
    }

    /// The number everything random is derived from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// People who have an account before the end.
    #[must_use]
    pub fn customers(&self) -> u32 {
        self.customers
    }

    /// Products of the catalogue, launched or to be launched before the end.
    #[must_use]
    pub fn products(&self) -> u32 {
        self.products
    }

    /// Length of the simulated period in days.
    #[must_use]
    pub fn days(&self) -> u32 {
        self.days
    }

    /// The first day after the simulated period.
    #[must_use]
    pub fn end(&self) -> Date {
        self.end
    }

    /// Anonymous visitors who never become customers: three for every two customers.
    #[must_use]
    pub fn visitors(&self) -> u32 {
        self.customers + self.customers / 2
    }
}

fn within(name: &'static str, given: i64, least: i64, most: i64) -> Result<(), SettingsError> {
    if (least..=most).contains(&given) {
        Ok(())
    } else {
        Err(SettingsError::OutOfBounds {
            name,
            least,
            most,
            given,
        })
    }
}
