//! Cross-fitting: which rows a model is fitted on, so that it never scores one of them.

use super::boosting::scramble;

/// The most folds.
pub const MAX_FOLDS: usize = 20;

/// The fold of each row, from 0 to `folds` − 1. Each stratum (rare outcomes, arms) is spread evenly over the folds; the
/// seed decides the rest. With fewer rows than folds there are as many folds as rows.
#[must_use]
pub fn folds(strata: &[u32], folds: usize, seed: u64) -> Vec<u8> {
    let folds = folds.clamp(1, MAX_FOLDS);
    let mut order = shuffled(strata.len(), seed);
    // stable: within a stratum the order stays that of the shuffle
    order.sort_by_key(|&row| strata[row]);
    let mut of_row = vec![0; strata.len()];
    for (place, row) in order.into_iter().enumerate() {
        of_row[row] = (place % folds) as u8;
    }
    of_row
}

/// The numbers below `count` in an order that the seed decides.
pub(super) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|&row| scramble(scramble(seed).wrapping_add(row as u64)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stratum_is_spread_evenly() {
        let strata: Vec<u32> = (0..1_003).map(|row| u32::from(row % 50 == 0)).collect();
        let found = folds(&strata, 5, 7);
        for fold in 0..5u8 {
            let rows = found.iter().zip(&strata).filter(|&(&f, _)| f == fold);
            let (all, rare) = (rows.clone().count(), rows.filter(|&(_, &s)| s == 1).count());
            assert!(
                (200..=201).contains(&all) && (4..=5).contains(&rare),
                "{all}, {rare}"
            );
        }
        assert_eq!(found, folds(&strata, 5, 7));
        assert_ne!(found, folds(&strata, 5, 8));
        assert_eq!(folds(&[0, 0], 5, 7).iter().max(), Some(&1));
        assert_eq!(folds(&[], 5, 7), Vec::<u8>::new());
    }
}
