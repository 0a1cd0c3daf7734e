//! Random numbers: one independent stream for every purpose and index, so that adding customers
//! changes nobody else.

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1, Gamma, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The products of a family.
    Family = 1,
    /// The ranks of popularity.
    Popularity = 2,
    /// The life of a customer or visitor.
    Life = 3,
    /// The day on which a visitor arrives.
    Arrival = 4,
    /// Browser and device ids.
    Device = 5,
    /// Session ids.
    Session = 6,
    /// Order ids.
    Order = 7,
    /// Weekly price promotions of a product.
    Promotion = 8,
    /// A day of somebody's life after the history.
    Day = 9,
    /// Whether an unwelcome offer is declined.
    Decline = 10,
    /// The randomised trial after the history.
    Trial = 11,
    /// The baskets that somebody would fill.
    Prospect = 12,
    /// Whether somebody visits on a day after the history, and when.
    Visit = 13,
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit.
fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number that depends on everything given, and on nothing else.
pub(crate) fn key(seed: u64, purpose: Purpose, index: u64, part: u64) -> u64 {
    let mixed = scramble(scramble(seed) ^ (purpose as u64));
    scramble(scramble(mixed ^ index).wrapping_add(part))
}

/// The index of what somebody does on a day.
pub(crate) fn on_day(person: u32, day: u32) -> u64 {
    u64::from(day) << 32 | u64::from(person)
}

/// A share in [0, 1) from a key.
pub(crate) fn share(key: u64) -> f64 {
    // 53 bits: the precision of an f64.
    (key >> 11) as f64 / (1u64 << 53) as f64
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64) -> Dice {
        Dice(Xoshiro256PlusPlus::seed_from_u64(key(
            seed, purpose, index, 0,
        )))
    }

    /// Uniform in [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        self.0.gen_range(0.0..1.0)
    }

    /// True with this probability (0 or less: never; 1 or more: always).
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// Uniform between two numbers.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// A whole number below `bound` (0 for a bound of 0).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            self.0.gen_range(0..bound)
        }
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// exp(spread · N(0,1)): median one.
    pub(crate) fn log_normal(&mut self, spread: f64) -> f64 {
        (spread * self.normal()).exp()
    }

    /// Exponential with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        let unit: f64 = Exp1.sample(&mut self.0);
        unit * mean
    }

    /// Gamma with scale one; shapes that are not positive give zero.
    pub(crate) fn gamma(&mut self, shape: f64) -> f64 {
        Gamma::new(shape, 1.0).map_or(0.0, |gamma| gamma.sample(&mut self.0))
    }

    /// Beta(a, b), as a ratio of two gammas.
    pub(crate) fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        if x + y > 0.0 { x / (x + y) } else { 0.5 }
    }

    /// Poisson by Knuth's product of uniforms: meant for small means.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let mut product = self.share();
        let mut count = 0;
        while product > limit && count < 1_000 {
            product *= self.share();
            count += 1;
        }
        count
    }

    /// The place of one weight, chosen in proportion; `None` if nothing weighs anything.
    pub(crate) fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        let total: f64 = weights.clone().sum();
        if total.is_nan() || total <= 0.0 {
            return None;
        }
        let mut left = self.share() * total;
        let mut last = None;
        for (place, weight) in weights.enumerate() {
            if weight > 0.0 {
                last = Some(place);
                left -= weight;
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// Brings a list into random order (Fisher–Yates).
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.below(place + 1));
        }
    }
}
