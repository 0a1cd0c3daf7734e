//! The chances that make up that to buy.

use super::chance;

/// A number of each: log-odds, or what these may be off by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sums {
    /// To come back, if that is known apart, …
    pub(super) comes: Option<f64>,
    /// … to buy then, …
    pub(super) buys: f64,
    /// … and to buy again what was bought before, if that is known apart.
    pub(super) again: Option<f64>,
}

impl Sums {
    /// To buy, by these log-odds: 1 − (1 − P(come) · P(buy | come)) · (1 − P(again)).
    pub(super) fn chance(&self) -> f64 {
        let (first, again) = self.both();
        1.0 - (1.0 - first) * (1.0 - again)
    }

    /// What that may be off by, squared, if these log-odds are by `variances`, to first order: with f = c·b,
    /// ((1 − a)·f)²·((1 − c)²·σ²(c) + (1 − b)²·σ²(b)) + ((1 − f)·a·(1 − a))²·σ²(a).
    pub(super) fn variance(&self, variances: &Self) -> f64 {
        let (first, again) = self.both();
        let off = |sum: f64, variance: f64| (1.0 - chance(sum)).powi(2) * variance;
        let mut of_first = off(self.buys, variances.buys);
        if let (Some(sum), Some(variance)) = (self.comes, variances.comes) {
            of_first += off(sum, variance);
        }
        let of_again = variances.again.unwrap_or(0.0);
        ((1.0 - again) * first).powi(2) * of_first
            + ((1.0 - first) * again * (1.0 - again)).powi(2) * of_again
    }

    /// The chance to come and buy, and that to buy again.
    fn both(&self) -> (f64, f64) {
        let first = self.comes.map_or(1.0, chance) * chance(self.buys);
        (first, self.again.map_or(0.0, chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chance_is_off_by_what_its_parts_are() {
        let sums = Sums {
            comes: Some(-0.5),
            buys: 0.3,
            again: Some(-1.2),
        };
        let (comes, buys, again) = (chance(-0.5), chance(0.3), chance(-1.2));
        let expected = 1.0 - (1.0 - comes * buys) * (1.0 - again);
        assert!((sums.chance() - expected).abs() < 1e-12);
        // by how much it moves with each, by small steps
        let step = 1e-5;
        let by = |moved: Sums| (moved.chance() - sums.chance()) / step;
        let slopes = [
            by(Sums {
                comes: Some(-0.5 + step),
                ..sums
            }),
            by(Sums {
                buys: 0.3 + step,
                ..sums
            }),
            by(Sums {
                again: Some(-1.2 + step),
                ..sums
            }),
        ];
        let variances = Sums {
            comes: Some(0.4),
            buys: 0.1,
            again: Some(0.2),
        };
        let expected: f64 = slopes
            .iter()
            .zip([0.4, 0.1, 0.2])
            .map(|(s, v)| s * s * v)
            .sum();
        let told = sums.variance(&variances);
        assert!(
            (told - expected).abs() < 1e-4 * expected,
            "{told} {expected}"
        );
        let alone = Sums {
            comes: None,
            buys: 0.3,
            again: None,
        };
        assert!((alone.chance() - buys).abs() < 1e-12);
        let variances = Sums {
            comes: None,
            buys: 0.1,
            again: None,
        };
        let expected = (buys * (1.0 - buys)).powi(2) * 0.1;
        assert!((alone.variance(&variances) - expected).abs() < 1e-12);
    }
}
