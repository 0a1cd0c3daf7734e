//! When something is bought again: a log-normal distribution of the days between purchases, of the customer's own gaps
//! backed off to those of the product and of the shop (the pooled gaps of Amazon's "buy it again", KDD 2018, as a
//! conjugate posterior); and whether it is bought again at all.

use serde::{Deserialize, Serialize};

/// How many gaps the shop's distribution is worth for a product.
const SHOP_WEIGHT: f64 = 10.0;
/// How many gaps the product's distribution is worth for a customer.
const PRODUCT_WEIGHT: f64 = 3.0;
/// How many purchases the share of buyers who came again is worth for a customer.
const RATE_WEIGHT: f64 = 2.0;
/// What is assumed while nothing was bought again: about a month, within a factor of e.
const ASSUMED: (f64, f64) = (3.4, 1.0);
/// The least standard deviation of the logarithms: nobody is a clock.
const MIN_DEVIATION: f64 = 0.15;

/// Gaps between purchases of the same product, as sums of logarithms of days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// How many there were.
    pub count: f64,
    /// Σ ln(days + 1).
    pub sum: f64,
    /// Σ ln(days + 1)².
    pub squares: f64,
}

/// A distribution of ln(days + 1): mean and variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rhythm {
    /// The mean.
    pub mean: f64,
    /// The variance.
    pub variance: f64,
}

impl Gaps {
    /// Adds a gap; below 0 counts as 0.
    pub fn add(&mut self, days: f64) {
        let log = days.max(0.0).ln_1p();
        self.count += 1.0;
        self.sum += log;
        self.squares += log * log;
    }

    /// The typical gap in days (the geometric mean of days + 1, less 1), where `assumed` days count as `weight` gaps.
    #[must_use]
    pub fn typical_days(&self, assumed: f64, weight: f64) -> f64 {
        ((self.sum + weight * assumed.max(0.0).ln_1p()) / (self.count + weight)).exp_m1()
    }

    /// The distribution of these gaps, where `prior` counts as `weight` gaps.
    fn posterior(&self, prior: Rhythm, weight: f64) -> Rhythm {
        let n = self.count + weight;
        let mean = (self.sum + weight * prior.mean) / n;
        let squares = self.squares + weight * (prior.variance + prior.mean * prior.mean);
        Rhythm {
            mean,
            variance: (squares / n - mean * mean).max(MIN_DEVIATION * MIN_DEVIATION),
        }
    }
}

impl Rhythm {
    /// The distribution of a customer's gaps with a product, given those of everybody with it and of the whole shop.
    #[must_use]
    pub fn of(own: &Gaps, product: &Gaps, shop: &Gaps) -> Self {
        let assumed = Self {
            mean: ASSUMED.0,
            variance: ASSUMED.1,
        };
        let shop = shop.posterior(assumed, 1.0);
        own.posterior(product.posterior(shop, SHOP_WEIGHT), PRODUCT_WEIGHT)
    }

    /// How far along a gap of `days` is, in standard deviations: 0 is when it is due, below is early.
    #[must_use]
    pub fn lateness(&self, days: f64) -> f64 {
        (days.max(0.0).ln_1p() - self.mean) / self.variance.sqrt()
    }

    /// The probability that a gap that has lasted `days` ends within the `within` days after, where `again` is the
    /// probability that it ends at all, as it was on the day it began. With S, the share of gaps that last longer,
    ///
    /// again · (S(days) − S(days + within)) / (again · S(days) + 1 − again):
    ///
    /// the longer nothing comes, the more it speaks for nobody coming (the mixture cure model: Boag 1949, Berkson and
    /// Gage 1952).
    #[must_use]
    pub fn due(&self, again: f64, days: f64, within: f64) -> f64 {
        let open = again * (1.0 - normal(self.lateness(days)));
        let later = again * (1.0 - normal(self.lateness(days + within)));
        let still = open + 1.0 - again;
        if still < 1e-9 {
            return 0.0;
        }
        ((open - later) / still).clamp(0.0, 1.0)
    }
}

/// The probability that what was bought in so many baskets is bought again, where `rate` is the share of its buyers who
/// ever bought it again: each purchase is the last one with a probability of the customer's own, Beta-distributed, of
/// which every purchase but the newest has told (the beta-geometric part of BG/NBD: Fader, Hardie and Lee 2005).
#[must_use]
pub fn again(baskets: f64, rate: f64) -> f64 {
    let repeats = (baskets - 1.0).max(0.0);
    (RATE_WEIGHT * rate + repeats) / (RATE_WEIGHT + repeats)
}

/// The distribution function of the standard normal (Abramowitz and Stegun 1964, 7.1.26; error below 1e-7).
fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let sum = series.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let tail = 0.5 * sum * (-x * x).exp();
    if z > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_right() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_7),
            (-1.96, 0.024_997_9),
            (3.0, 0.998_650_1),
        ] {
            assert!((normal(z) - expected).abs() < 1e-6, "{z}: {}", normal(z));
        }
    }

    #[test]
    fn the_typical_gap_goes_from_what_is_assumed_to_what_is_seen() {
        let mut gaps = Gaps::default();
        assert!((gaps.typical_days(60.0, 10.0) - 60.0).abs() < 1e-9);
        (0..10).for_each(|_| gaps.add(14.0));
        // as many as the weight: halfway between, by the logarithms
        assert!((gaps.typical_days(60.0, 10.0) - ((61.0 * 15.0_f64).sqrt() - 1.0)).abs() < 1e-9);
        (0..1_000_000).for_each(|_| gaps.add(14.0));
        assert!((gaps.typical_days(60.0, 10.0) - 14.0).abs() < 0.01);
    }

    #[test]
    fn what_is_bought_every_month_is_due_after_a_month() {
        let mut own = Gaps::default();
        (0..12).for_each(|_| own.add(30.0));
        let rhythm = Rhythm::of(&own, &own, &own);
        let due = |days| rhythm.due(again(13.0, 0.5), days, 7.0);
        assert!(due(30.0) > 3.0 * due(5.0), "{} {}", due(30.0), due(5.0));
        assert!(rhythm.lateness(5.0) < -1.0 && rhythm.lateness(30.0).abs() < 0.5);
    }

    #[test]
    fn what_is_long_overdue_is_no_longer_due() {
        let mut own = Gaps::default();
        (0..5).for_each(|_| own.add(30.0));
        let rhythm = Rhythm::of(&own, &own, &own);
        let due = |days| rhythm.due(again(6.0, 0.3), days, 28.0);
        assert!(
            due(20.0) > 0.7 && due(200.0) < 0.1,
            "{} {}",
            due(20.0),
            due(200.0)
        );
        // of what was bought once and seldom again, little is due
        assert!(rhythm.due(again(1.0, 0.1), 20.0, 28.0) < 0.15);
        assert!(again(1.0, 0.3) - 0.3 < 1e-12 && again(10.0, 0.3) > 0.85);
        assert!(rhythm.due(1.0, f64::MAX, 1.0) <= 1.0 && rhythm.due(0.0, 0.0, 28.0) <= 0.0);
    }

    #[test]
    fn little_is_known_of_what_was_bought_once() {
        let (mut product, mut shop) = (Gaps::default(), Gaps::default());
        (0..100).for_each(|_| product.add(7.0));
        (0..1_000).for_each(|_| shop.add(90.0));
        let none = Gaps::default();
        let of_product = Rhythm::of(&none, &product, &shop);
        let of_shop = Rhythm::of(&none, &none, &shop);
        assert!(of_product.mean < 3.0 && of_shop.mean > 4.0);
        let nothing = Rhythm::of(&none, &none, &none);
        assert!(nothing.due(1.0, 1e9, 1.0) >= 0.0 && nothing.due(1.0, 0.0, 1e9) > 0.99);
    }
}
