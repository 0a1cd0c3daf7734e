//! How far two divisions of the same things agree.

use std::collections::BTreeMap;

/// The adjusted Rand index (Hubert and Arabie 1985): of all pairs, how many more are together in both divisions than
/// chance lets expect, where 1 is the same division and 0 is chance. `a` and `b` name the part of each thing; they are
/// of one length. Two divisions that say nothing, everything in one part or everything alone in both, are the same: 1.
#[must_use]
pub fn adjusted_rand_index<A: Ord + Copy, B: Ord + Copy>(a: &[A], b: &[B]) -> f64 {
    let pairs = |count: u64| (count * count.saturating_sub(1)) as f64 / 2.0;
    let (mut both, mut of_a, mut of_b) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (&a, &b) in a.iter().zip(b) {
        *both.entry((a, b)).or_insert(0u64) += 1;
        *of_a.entry(a).or_insert(0u64) += 1;
        *of_b.entry(b).or_insert(0u64) += 1;
    }
    let together: f64 = both.values().map(|&count| pairs(count)).sum();
    let in_a: f64 = of_a.values().map(|&count| pairs(count)).sum();
    let in_b: f64 = of_b.values().map(|&count| pairs(count)).sum();
    let all = pairs(a.len().min(b.len()) as u64);
    let expected = if all > 0.0 { in_a * in_b / all } else { 0.0 };
    let most = f64::midpoint(in_a, in_b);
    if (most - expected).abs() < 1e-12 {
        1.0
    } else {
        (together - expected) / (most - expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_computed_by_hand() {
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        };
        // names do not matter
        near(
            adjusted_rand_index(&[0, 0, 1, 1, 2], &["b", "b", "c", "c", "a"]),
            1.0,
        );
        // pairs together: 1 in both, 2 in the first, 2 in the second, of 6; (1 − 4/6) / (2 − 4/6) … with the table
        // 1 1 / 0 2: together 1, a has parts of 2 and 2 (2 pairs), b has parts of 1 and 3 (3 pairs), expected 1
        near(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 1, 1]), 0.0);
        // the table 2 1 / 0 3: together 1 + 3 = 4, a 3 + 3 = 6, b 1 + 6 = 7, expected 42/15, most 6.5
        let found = adjusted_rand_index(&[0, 0, 0, 1, 1, 1], &[0, 0, 1, 1, 1, 1]);
        near(found, (4.0 - 2.8) / (6.5 - 2.8));
        // worse than chance
        near(
            adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]),
            (0.0 - 2.0 / 3.0) / (2.0 - 2.0 / 3.0),
        );
        near(adjusted_rand_index(&[0, 0], &[1, 1]), 1.0);
        near(adjusted_rand_index::<u8, u8>(&[], &[]), 1.0);
    }
}
