//! How a buyer's silence stands against their usual gap between orders.

use serde::{Deserialize, Serialize};

use crate::domain::time::DAY_MS;

/// The health of somebody who has bought, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// The last order is not long ago.
    Active,
    /// The next order is to be expected about now.
    Due,
    /// It is overdue: the time to win them back.
    AtRisk,
    /// It is so long overdue that they are as good as gone.
    Lapsed,
}

impl Health {
    /// Its name, as in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Due => "due",
            Self::AtRisk => "at_risk",
            Self::Lapsed => "lapsed",
        }
    }
}

/// From which multiple of the usual gap on somebody is due, at risk, lapsed: each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HealthBounds {
    /// From here on they are due.
    pub due: f64,
    /// From here on they are at risk.
    pub at_risk: f64,
    /// From here on they have lapsed.
    pub lapsed: f64,
    /// The gap that is assumed of those who ordered once, while few came again, in milliseconds.
    pub usual_gap_ms: i64,
}

impl Default for HealthBounds {
    /// From 0.8, 1.5 and 3 usual gaps on; 60 days are assumed.
    fn default() -> Self {
        Self {
            due: 0.8,
            at_risk: 1.5,
            lapsed: 3.0,
            usual_gap_ms: 60 * DAY_MS,
        }
    }
}

impl HealthBounds {
    /// The health of who last ordered `gaps` of their usual gaps ago.
    #[must_use]
    pub fn health(&self, gaps: f64) -> Health {
        match gaps {
            _ if gaps >= self.lapsed => Health::Lapsed,
            _ if gaps >= self.at_risk => Health::AtRisk,
            _ if gaps >= self.due => Health::Due,
            _ => Health::Active,
        }
    }

    /// The gap that is assumed while nothing is known, in days.
    #[must_use]
    pub fn usual_gap_days(&self) -> f64 {
        self.usual_gap_ms as f64 / DAY_MS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_belongs_to_what_is_worse() {
        let bounds = HealthBounds::default();
        for (gaps, name) in [
            (0.0, "active"),
            (0.8 - 1e-9, "active"),
            (0.8, "due"),
            (1.5 - 1e-9, "due"),
            (1.5, "at_risk"),
            (3.0 - 1e-9, "at_risk"),
            (3.0, "lapsed"),
            (1e9, "lapsed"),
        ] {
            assert_eq!(bounds.health(gaps).as_str(), name, "{gaps}");
        }
        assert!((bounds.usual_gap_days() - 60.0).abs() < 1e-12);
    }
}
