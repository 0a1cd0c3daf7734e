//! How one of several is chosen whose worth is not known for sure: the probability of each to be the best (Thompson
//! 1933, probability matching), a share for exploration, and the draw.

use crate::algorithms::draw::mix;

/// Points of the quadrature for each arm.
const POINTS: usize = 33;
/// So many standard deviations about the mean are looked at.
const REACH: f64 = 4.5;

/// What is believed of an arm: a normal distribution of what it brings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

/// How often something came in a number of trials.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// The trials.
    pub trials: f64,
    /// How often it came.
    pub came: f64,
}

/// A chance, by a beta distribution: Beta(chance · weight, (1 − chance) · weight).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Its mean.
    pub mean: f64,
    /// The trials it rests on, those of the prior among them.
    pub weight: f64,
}

impl Chance {
    /// The chance at the narrowest of `levels` (the broadest first): each level's mean is the prior of the next one,
    /// with the weight of `strength` trials; so a new arm begins where its kind stands. What was seen at the narrowest
    /// level alone makes it surer.
    #[must_use]
    pub fn narrowed(prior: f64, strength: f64, levels: &[Rate]) -> Self {
        let mut mean = prior;
        for level in levels {
            mean = (level.came + strength * mean) / (level.trials + strength);
        }
        let seen = levels.last().map_or(0.0, |level| level.trials);
        Self {
            mean,
            weight: strength + seen,
        }
    }

    /// The standard deviation: √(p (1 − p) / (weight + 1)).
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let variance = self.mean * (1.0 - self.mean) / (self.weight + 1.0);
        variance.max(0.0).sqrt()
    }
}

/// The probability of each arm to be the best: ∫ φᵢ(v) ∏ⱼ Φⱼ(v) dv for independent normal beliefs, by the trapezoid
/// rule over 4.5 standard deviations, made to sum to 1. Whoever draws by these numbers knows the propensity exactly,
/// however close the quadrature is.
#[must_use]
pub fn best_probabilities(arms: &[Belief]) -> Vec<f64> {
    let widest = arms.iter().map(|arm| arm.deviation).fold(0.0, f64::max);
    let least = (widest * 1e-6).max(1e-9);
    let deviation = |arm: &Belief| arm.deviation.max(least);
    let step = 2.0 * REACH / (POINTS - 1) as f64;
    let mut probabilities: Vec<f64> = Vec::with_capacity(arms.len());
    for (place, arm) in arms.iter().enumerate() {
        let others = || arms.iter().enumerate().filter(|&(other, _)| other != place);
        let at = |point: usize| {
            let z = point as f64 * step - REACH;
            let value = arm.mean + z * deviation(arm);
            let below =
                others().map(|(_, other)| normal_below((value - other.mean) / deviation(other)));
            (-0.5 * z * z).exp() * below.product::<f64>()
        };
        probabilities.push((0..POINTS).map(at).sum());
    }
    let sum: f64 = probabilities.iter().sum();
    let even = 1.0 / arms.len().max(1) as f64;
    let share = |probability: f64| if sum > 0.0 { probability / sum } else { even };
    probabilities.into_iter().map(share).collect()
}

/// Spreads a share of `explore` evenly over all arms: (1 − ε)·p + ε/n.
#[must_use]
pub fn explored(probabilities: &[f64], explore: f64) -> Vec<f64> {
    let even = explore / probabilities.len().max(1) as f64;
    let share = |&probability: &f64| (1.0 - explore) * probability + even;
    probabilities.iter().map(share).collect()
}

/// The arm that a number from 0 to below 1 falls on, where each has its probability, in order.
#[must_use]
pub fn drawn(probabilities: &[f64], number: f64) -> usize {
    let mut below = 0.0;
    for (place, probability) in probabilities.iter().enumerate() {
        below += probability;
        if number < below {
            return place;
        }
    }
    // rounding may leave a little behind the last one
    let last = probabilities
        .iter()
        .rposition(|&probability| probability > 0.0);
    last.unwrap_or(0)
}

/// A number from 0 to below 1 that a seed decides.
#[must_use]
pub fn number(seed: u64) -> f64 {
    (mix(seed, 0) >> 11) as f64 / (1u64 << 53) as f64
}

/// The probability that a standard normal number is below `z`: by erfc of Press et al. (Numerical Recipes, 1992), off
/// by less than 1.2e-7.
#[must_use]
pub fn normal_below(z: f64) -> f64 {
    const TERMS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let x = (z / std::f64::consts::SQRT_2).abs();
    let t = 1.0 / (1.0 + 0.5 * x);
    let sum = TERMS.iter().rev().fold(0.0, |sum, term| sum * t + term);
    let beyond = 0.5 * t * (sum - x * x).exp();
    if z < 0.0 { beyond } else { 1.0 - beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, tolerance: f64) {
        let is_near = (found - expected).abs() <= tolerance;
        assert!(is_near, "{found}, not {expected}");
    }

    fn belief(mean: f64, deviation: f64) -> Belief {
        Belief { mean, deviation }
    }

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_7),
            (-1.96, 0.024_997_9),
            (3.0, 0.998_650_1),
        ] {
            near(normal_below(z), expected, 2e-7);
        }
        near(normal_below(-40.0), 0.0, 1e-12);
        near(normal_below(40.0), 1.0, 1e-12);
    }

    #[test]
    fn the_probability_of_being_best_is_that_computed_by_hand() {
        // of two: Φ((μ₁ − μ₂) / √(σ₁² + σ₂²)) = Φ(1 / √2) = 0.76025
        let two = best_probabilities(&[belief(1.0, 1.0), belief(0.0, 1.0)]);
        near(two[0], 0.760_25, 1e-4);
        // Φ(1 / √5) = 0.67264
        let two = best_probabilities(&[belief(1.0, 2.0), belief(0.0, 1.0)]);
        near(two[0], 0.672_64, 1e-3);
        let even = best_probabilities(&[belief(3.0, 0.5); 4]);
        even.iter().for_each(|&p| near(p, 0.25, 1e-12));
        assert!((best_probabilities(&[belief(3.0, 0.5)])[0] - 1.0).abs() < 1e-12);
        assert_eq!(best_probabilities(&[]), Vec::<f64>::new());
    }

    #[test]
    fn probabilities_sum_to_one_and_are_numbers_whatever_is_believed() {
        let strange = [
            vec![belief(0.0, 0.0); 3],
            vec![belief(1e12, 0.0), belief(-1e12, 0.0)],
            vec![belief(1e9, 1.0), belief(0.0, 1e9), belief(5.0, 1e-30)],
            vec![belief(-5.0, 1e-9), belief(5.0, 1e-9)],
        ];
        for arms in strange {
            for explore in [0.0, 0.05, 1.0] {
                let found = explored(&best_probabilities(&arms), explore);
                near(found.iter().sum(), 1.0, 1e-9);
                assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{found:?}");
            }
        }
        near(
            best_probabilities(&[belief(1.0, 0.0), belief(0.0, 0.0)])[0],
            1.0,
            1e-9,
        );
    }

    #[test]
    fn exploration_takes_a_share_of_all_and_gives_it_to_each() {
        let found = explored(&[0.0, 0.75, 0.25, 0.0], 0.2);
        let expected = [0.05, 0.65, 0.25, 0.05];
        for (found, expected) in found.iter().zip(expected) {
            near(*found, expected, 1e-12);
        }
        assert_eq!(explored(&[], 0.2), Vec::<f64>::new());
    }

    #[test]
    fn what_is_drawn_comes_as_often_as_is_told() {
        let probabilities = [0.5, 0.0, 0.3, 0.2];
        let mut counts = [0.0; 4];
        for seed in 0..100_000 {
            counts[drawn(&probabilities, number(seed))] += 1.0;
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            // three standard errors
            let error = 3.0 * (probability * (1.0 - probability) * 1e5_f64).sqrt();
            near(*count, probability * 1e5, error);
        }
        assert_eq!(drawn(&[0.3, 0.3, 0.0], 0.999_999), 1);
        assert_eq!(drawn(&[], 0.5), 0);
    }

    #[test]
    fn a_new_arm_begins_where_its_kind_stands() {
        let rate = |trials, came| Rate { trials, came };
        // kind: (30 + 20 · 0.1) / (80 + 20) = 0.32; the offer has been shown to nobody
        let new = Chance::narrowed(0.1, 20.0, &[rate(80.0, 30.0), rate(0.0, 0.0)]);
        near(new.mean, 0.32, 1e-12);
        near(new.weight, 20.0, 1e-12);
        near(new.deviation(), (0.32 * 0.68 / 21.0_f64).sqrt(), 1e-12);
        // shown 180 times, bought 18 times: (18 + 20 · 0.32) / 200
        let known = Chance::narrowed(0.1, 20.0, &[rate(80.0, 30.0), rate(180.0, 18.0)]);
        near(known.mean, 0.122, 1e-12);
        assert!(known.deviation() < new.deviation());
        near(Chance::narrowed(0.1, 20.0, &[]).mean, 0.1, 1e-12);
        // all bought, all of very many
        let all = Chance::narrowed(1.0, 20.0, &[rate(1e9, 1e9)]);
        near(all.mean, 1.0, 1e-12);
        near(all.deviation(), 0.0, 1e-12);
    }
}
