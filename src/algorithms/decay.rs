//! Counts that fade: exponentially decayed sums, kept as logarithms so that they need no clock and no order.

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;

/// A decayed sum Σ w·2^(−(T−t)/h) over past events, kept as log₂ Σ w·2^(t/h) (forward decay: Cormode et al. 2009,
/// "Forward decay: a practical time decay model for streaming systems"). Sums of one half-life order the same at every
/// moment, and an event that comes late counts as it should.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fading(f64);

impl Default for Fading {
    fn default() -> Self {
        Self(f64::NEG_INFINITY)
    }
}

impl Fading {
    /// Adds `weight` (greater than zero) at `time`; `half_life_days` must be the same in every call.
    pub fn add(&mut self, time: Timestamp, weight: f64, half_life_days: f64) {
        let added = exponent(time, half_life_days) + weight.log2();
        let (high, low) = if self.0 > added {
            (self.0, added)
        } else {
            (added, self.0)
        };
        self.0 = high + (1.0 + (low - high).exp2()).log2();
    }

    /// The sum as it stands at `now`: 0 if nothing was added.
    #[must_use]
    pub fn at(self, now: Timestamp, half_life_days: f64) -> f64 {
        (self.0 - exponent(now, half_life_days)).exp2()
    }

    /// What orders sums of one half-life, without a clock; −∞ if nothing was added.
    #[must_use]
    pub fn key(self) -> f64 {
        self.0
    }
}

fn exponent(time: Timestamp, half_life_days: f64) -> f64 {
    time.ms() as f64 / (DAY_MS as f64 * half_life_days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_fade_by_half_and_do_not_mind_order() {
        let day = |days: i64| Timestamp::from_ms(1_300_000_000_000 + days * DAY_MS);
        let mut sum = Fading::default();
        assert!(sum.at(day(0), 7.0) <= 0.0);
        sum.add(day(7), 2.0, 7.0);
        sum.add(day(0), 4.0, 7.0);
        assert!((sum.at(day(7), 7.0) - 4.0).abs() < 1e-9);
        assert!((sum.at(day(14), 7.0) - 2.0).abs() < 1e-9);
        let mut other = Fading::default();
        other.add(day(0), 4.0, 7.0);
        other.add(day(7), 2.0, 7.0);
        assert!((sum.key() - other.key()).abs() < 1e-9);
    }
}
