//! How likely chance alone is to lose so many: exact where counts are small, with room for days that differ.

use super::Counts;

/// Shares are kept away from 0 and 1 by half a person on each side (Haldane 1956, Anscombe 1956).
const HALF: f64 = 0.5;
/// With more that were lost the normal law of the log odds is as good, and quick.
const EXACT_LOST: u64 = 2_000;
/// The smallest probability that is told apart from none.
const TINY: f64 = 1e-300;

/// The logarithm of the gamma function for positive arguments (Lanczos 1964, g = 7, nine terms), to about 1e-13.
pub(super) fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let start = 0.999_999_999_999_809_9;
    let series = TERMS.iter().enumerate().fold(start, |sum, (place, term)| {
        sum + term / (x + place as f64 + 1.0)
    });
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + series.ln()
}

fn ln_choose(n: u64, k: u64) -> f64 {
    let ln_factorial = |n: u64| ln_gamma(n as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// P(Z > z) of the standard normal law, by the complementary error function (Press et al. 1992, 6.2, `erfcc`): its
/// relative error is below 1.2e-7 everywhere, also far out.
pub(super) fn normal_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    const TERMS: [f64; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let series = TERMS.iter().fold(0.0, |sum, term| sum * t + term);
    let upper = 0.5 * t * (-x * x + series).exp();
    if z >= 0.0 { upper } else { 1.0 - upper }
}

/// The z with P(Z > z) = p, by halving: good to 1e-9, and for every p.
fn normal_tail_inverse(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_tail(middle) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// A probability with more spread than independent people have: its z-score over √`dispersion` (McCullagh, Nelder
/// 1989, 4.5).
pub(super) fn widened(p: f64, dispersion: f64) -> f64 {
    if dispersion <= 1.0 {
        return p;
    }
    normal_tail(normal_tail_inverse(p.clamp(TINY, 1.0 - 1e-16)) / dispersion.sqrt())
}

/// The probability, given all that were lost on both sides, of `window` losing as many or more, where the odds of being
/// lost are `odds` times those of `other`: Fisher's exact test, one-sided (non-central hypergeometric; Fisher 1935),
/// and the observed count by half (mid-p: Lancaster 1961), which is right on average instead of cautious. Beyond
/// [`EXACT_LOST`] by the normal law of the difference of log odds.
pub(super) fn mid_p(window: Counts, other: Counts, odds: f64) -> f64 {
    let lost = window.lost + other.lost;
    if lost > EXACT_LOST {
        let apart = logit(window) - logit(other) - odds.ln();
        return normal_tail(apart / (logit_variance(window) + logit_variance(other)).sqrt());
    }
    let (least, most) = (lost.saturating_sub(other.passed), lost.min(window.passed));
    let weight = |k: u64| {
        ln_choose(window.passed, k) + ln_choose(other.passed, lost - k) + k as f64 * odds.ln()
    };
    let weights: Vec<f64> = (least..=most).map(weight).collect();
    let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut all, mut tail) = (0.0, 0.0);
    for (k, weight) in (least..=most).zip(weights) {
        let weight = (weight - largest).exp();
        all += weight;
        match k.cmp(&window.lost) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => tail += HALF * weight,
            std::cmp::Ordering::Greater => tail += weight,
        }
    }
    tail / all
}

/// The logarithm of the odds of being lost.
pub(super) fn logit(counts: Counts) -> f64 {
    let stayed = counts.passed - counts.lost;
    ((counts.lost as f64 + HALF) / (stayed as f64 + HALF)).ln()
}

/// The variance of [`logit`] (Gart, Zweifel 1967).
pub(super) fn logit_variance(counts: Counts) -> f64 {
    let stayed = counts.passed - counts.lost;
    1.0 / (counts.lost as f64 + HALF) + 1.0 / (stayed as f64 + HALF)
}

/// The share with these log odds.
pub(super) fn share(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// How much more the shares of equal periods differ than those of independent people would: Pearson's χ² over its
/// degrees of freedom (McCullagh, Nelder 1989, 4.5.2), at least 1. Too few periods to tell: 1.
pub(super) fn dispersion(periods: &[Counts]) -> f64 {
    let seen: Vec<&Counts> = periods.iter().filter(|period| period.passed > 0).collect();
    let total = seen.iter().fold(Counts::default(), |sum, &&one| sum + one);
    if seen.len() < super::MIN_PERIODS || total.lost == 0 || total.lost == total.passed {
        return 1.0;
    }
    let share = total.lost as f64 / total.passed as f64;
    let chi_squared: f64 = seen
        .iter()
        .map(|period| {
            let passed = period.passed as f64;
            let off = period.lost as f64 - passed * share;
            off * off / (passed * share * (1.0 - share))
        })
        .sum();
    (chi_squared / (seen.len() - 1) as f64).max(1.0)
}

/// The smallest false discovery rate at which each would be found (Benjamini, Hochberg 1995), in the order of `p`.
pub(super) fn q_values(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let mut q = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    for (rank, place) in (1..=p.len()).rev().zip(order) {
        least = least.min(p[place] * p.len() as f64 / rank as f64);
        q[place] = least;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, lost: u64) -> Counts {
        Counts { passed, lost }
    }

    fn close(found: f64, expected: f64, within: f64) {
        assert!(
            (found - expected).abs() <= within,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn functions_are_as_in_tables() {
        close(ln_gamma(1.0), 0.0, 1e-12);
        close(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln(), 1e-12);
        close(ln_gamma(101.0), 363.739_375_555_563_5, 1e-9);
        close(normal_tail(0.0), 0.5, 1e-7);
        close(normal_tail(1.959_963_985), 0.025, 1e-8);
        close(normal_tail(-1.644_853_627), 0.95, 1e-7);
        close(normal_tail(6.0) / 9.865_876_45e-10, 1.0, 1e-6);
        close(normal_tail_inverse(0.025), 1.959_964, 1e-5);
        close(widened(0.025, 4.0), normal_tail(0.979_982), 1e-6);
        close(widened(0.3, 1.0), 0.3, 0.0);
    }

    #[test]
    fn mid_p_is_fishers_without_half_of_the_observed() {
        // the lady tasting tea: P(4) = 1/70, P(3) = 16/70
        close(mid_p(counts(4, 4), counts(4, 0), 1.0), 0.5 / 70.0, 1e-12);
        close(
            mid_p(counts(4, 3), counts(4, 1), 1.0),
            (1.0 + 8.0) / 70.0,
            1e-12,
        );
        // nobody lost, or everybody: nothing is told
        close(mid_p(counts(4, 0), counts(9, 0), 1.0), 0.5, 1e-12);
        close(mid_p(counts(4, 4), counts(9, 9), 1.0), 0.5, 1e-12);
        // with odds of 2: weights C(4,k)·C(4,4-k)·2^k
        let all = 1.0 + 16.0 * 2.0 + 36.0 * 4.0 + 16.0 * 8.0 + 16.0;
        close(mid_p(counts(4, 4), counts(4, 0), 2.0), 8.0 / all, 1e-12);
        // large counts: as the normal law says
        let p = mid_p(counts(10_000, 2_150), counts(40_000, 8_000), 1.0);
        let pooled = 0.203_f64;
        let z = 0.015 / (pooled * (1.0 - pooled) * (1.0 / 10_000.0 + 1.0 / 40_000.0)).sqrt();
        close(p / normal_tail(z), 1.0, 0.05);
    }

    #[test]
    fn periods_that_differ_widen() {
        close(dispersion(&[counts(100, 20); 8]), 1.0, 0.0);
        let swings: Vec<Counts> = (0..8).map(|i| counts(100, 10 + 20 * (i % 2))).collect();
        // (10² / 16) · 8 / 7
        close(dispersion(&swings), 100.0 / 16.0 * 8.0 / 7.0, 1e-9);
        close(dispersion(&swings[..2]), 1.0, 0.0);
        close(dispersion(&[]), 1.0, 0.0);
    }

    #[test]
    fn q_values_are_benjamini_hochbergs() {
        let q = q_values(&[0.01, 0.04, 0.03, 0.5]);
        for (found, expected) in q.iter().zip([0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5]) {
            close(*found, expected, 1e-12);
        }
        assert!(q_values(&[]).is_empty());
    }
}
