//! Pain points that are planted: places at which more people leave than the model says, from a day on.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use thiserror::Error;

use super::families::FAMILIES;
use super::persona::Persona;

/// The most pain points of one shop.
pub const MAX_PAIN_POINTS: usize = 16;
/// A pain point without a day has been there for so many days at the end.
pub const PAIN_DAYS: u32 = 28;
/// Between a kind, whom or what it is about, and the day.
const ABOUT: char = ':';
const SINCE: char = '@';

/// What hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PainKind {
    /// People of one persona fail at the checkout.
    BrokenCheckout(Persona),
    /// Shipping costs more than people expect, and they see it at the checkout.
    ShippingCost,
    /// The product pages of a top-level category say too little.
    ThinPages(&'static str),
}

/// A pain point that is asked for: `broken_checkout:business_client`, `shipping_cost@2026-05-01`, `thin_pages:Home`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PainPoint {
    /// What hurts.
    pub kind: PainKind,
    /// The first day; absent: [`PAIN_DAYS`] before the end of the history, or its first day.
    pub since: Option<Date>,
}

/// Why a text names no pain point.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PainPointError {
    /// No such kind.
    #[error(
        "there is no pain point {0:?}: broken_checkout:PERSONA, shipping_cost, thin_pages:CATEGORY"
    )]
    Kind(String),
    /// No such persona.
    #[error("there is no persona {0:?}: tech_enthusiast, everyday_consumer, business_client")]
    Persona(String),
    /// No such category.
    #[error("there is no top-level category {given:?}: {all}")]
    Category {
        /// What was asked for.
        given: String,
        /// What there is.
        all: String,
    },
    /// No date.
    #[error("{0:?} is no day like 2026-05-01")]
    Day(String),
}

/// The top-level category of a path.
pub(crate) fn top_level(path: &str) -> &str {
    path.split(" > ").next().unwrap_or(path)
}

/// The top-level categories of the shop, in the order of the catalogue.
#[must_use]
pub fn top_level_categories() -> Vec<&'static str> {
    let mut all: Vec<&'static str> = Vec::new();
    for family in &FAMILIES {
        let category = top_level(family.path);
        if !all.contains(&category) {
            all.push(category);
        }
    }
    all
}

impl PainKind {
    /// The name in the truth file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BrokenCheckout(_) => "broken_checkout",
            Self::ShippingCost => "shipping_cost",
            Self::ThinPages(_) => "thin_pages",
        }
    }

    /// The stage in which people are lost, by the default `journey.toml`.
    #[must_use]
    pub fn stage(self) -> &'static str {
        match self {
            Self::BrokenCheckout(_) | Self::ShippingCost => "decision",
            Self::ThinPages(_) => "consideration",
        }
    }

    /// Where they are lost, by the default `journey.toml`.
    #[must_use]
    pub fn touchpoint(self) -> &'static str {
        match self {
            Self::BrokenCheckout(_) | Self::ShippingCost => "checkout",
            Self::ThinPages(_) => "product_page",
        }
    }

    /// The persona it is about; absent: everybody.
    #[must_use]
    pub fn persona(self) -> Option<Persona> {
        match self {
            Self::BrokenCheckout(persona) => Some(persona),
            Self::ShippingCost | Self::ThinPages(_) => None,
        }
    }

    /// The top-level category it is about; absent: all.
    #[must_use]
    pub fn category(self) -> Option<&'static str> {
        match self {
            Self::ThinPages(category) => Some(category),
            Self::BrokenCheckout(_) | Self::ShippingCost => None,
        }
    }

    fn parse(text: &str) -> Result<Self, PainPointError> {
        match text.split_once(ABOUT) {
            None if text == "shipping_cost" => Ok(Self::ShippingCost),
            Some(("broken_checkout", name)) => {
                let persona = Persona::ALL.into_iter().find(|p| p.name() == name);
                let persona = persona.ok_or_else(|| PainPointError::Persona(name.to_owned()))?;
                Ok(Self::BrokenCheckout(persona))
            }
            Some(("thin_pages", name)) => {
                let all = top_level_categories();
                let found = all.iter().find(|&&category| category == name);
                let category = found.ok_or_else(|| PainPointError::Category {
                    given: name.to_owned(),
                    all: all.join(", "),
                })?;
                Ok(Self::ThinPages(category))
            }
            _ => Err(PainPointError::Kind(text.to_owned())),
        }
    }
}

impl FromStr for PainPoint {
    type Err = PainPointError;

    fn from_str(text: &str) -> Result<Self, PainPointError> {
        let Some((kind, day)) = text.rsplit_once(SINCE) else {
            let kind = PainKind::parse(text)?;
            return Ok(Self { kind, since: None });
        };
        let since = day
            .parse::<Date>()
            .map_err(|_| PainPointError::Day(day.to_owned()))?;
        Ok(Self {
            kind: PainKind::parse(kind)?,
            since: Some(since),
        })
    }
}

impl fmt::Display for PainPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        let persona = self.kind.persona().map(Persona::name);
        if let Some(about) = persona.or(self.kind.category()) {
            write!(f, "{ABOUT}{about}")?;
        }
        match self.since {
            Some(since) => write!(f, "{SINCE}{since}"),
            None => Ok(()),
        }
    }
}

/// A pain point in a shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planted {
    pub(crate) kind: PainKind,
    /// The first day on which it hurts, counted from the start.
    pub(crate) first_day: u32,
}

impl Planted {
    /// In the shop that lasts `days` days until `end`; a day before the start counts as the first one.
    pub(crate) fn new(pain: PainPoint, days: u32, end: Date) -> Self {
        let first_day = match pain.since {
            None => days.saturating_sub(PAIN_DAYS),
            Some(since) => {
                let start = end.saturating_sub(i64::from(days).days());
                let after = since.duration_since(start).as_hours() / 24;
                u32::try_from(after).unwrap_or(0)
            }
        };
        let kind = pain.kind;
        Self { kind, first_day }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for text in [
            "broken_checkout:business_client",
            "shipping_cost",
            "thin_pages:Personal Care@2026-05-01",
        ] {
            assert_eq!(text.parse::<PainPoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn faults_say_what_there_is() {
        let fault = |text: &str| text.parse::<PainPoint>().unwrap_err().to_string();
        assert!(fault("broken").contains("broken_checkout:PERSONA"));
        assert!(fault("shipping_cost:Home").contains("no pain point"));
        assert!(fault("broken_checkout").contains("no pain point"));
        assert!(fault("broken_checkout:students").contains("everyday_consumer"));
        assert!(fault("thin_pages:Garden").contains("Personal Care"));
        assert!(fault("shipping_cost@soon").contains("2026-05-01"));
    }

    #[test]
    fn the_first_day_is_counted_from_the_start() {
        let end = jiff::civil::date(2026, 6, 30);
        let first = |text: &str| Planted::new(text.parse().unwrap(), 60, end).first_day;
        assert_eq!(first("shipping_cost"), 32);
        assert_eq!(first("shipping_cost@2026-05-03"), 2);
        assert_eq!(first("shipping_cost@2026-06-29"), 59);
        assert_eq!(
            Planted::new("shipping_cost".parse().unwrap(), 9, end).first_day,
            0
        );
    }
}
