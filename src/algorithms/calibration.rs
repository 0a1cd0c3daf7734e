//! From a score to a probability: isotonic regression by pooling adjacent violators (Ayer et al. 1955), kept as a
//! short table. linfa-linear 0.8.1 has one, but it pools far more than violators: where chances rise from 0.10 to 0.55
//! over the upper half of the scores, it said 0.08 for all of them.

use serde::{Deserialize, Serialize};

/// How many points the table has at most, or one more.
const POINTS: usize = 1_000;
/// Below so many examples of either kind nothing is calibrated.
const MIN_EXAMPLES: usize = 20;

/// A function from score to probability that never falls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Scores, rising, and the probability at each.
    points: Vec<(f64, f64)>,
}

/// Neighbouring examples of one probability.
#[derive(Debug, Clone, Copy)]
struct Block {
    count: f64,
    scores: f64,
    outcomes: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.outcomes / self.count
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.scores += other.scores;
        self.outcomes += other.outcomes;
    }
}

impl Calibration {
    /// Fits scores and outcomes; nothing if there are too few of either outcome.
    #[must_use]
    pub fn fit(scores: &[f64], outcomes: &[bool]) -> Option<Self> {
        let positives = outcomes.iter().filter(|&&outcome| outcome).count();
        if positives < MIN_EXAMPLES || outcomes.len() - positives < MIN_EXAMPLES {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        // on means of neighbours, weighted: the same answer at a fraction of the size; equal scores stay together
        let bin = (scores.len() / POINTS).max(1);
        let mut blocks: Vec<Block> = Vec::new();
        let mut start = 0;
        while start < order.len() {
            let mut end = (start + bin).min(order.len());
            while end < order.len() && scores[order[end]] <= scores[order[end - 1]] {
                end += 1;
            }
            let chunk = &order[start..end];
            let mut block = Block {
                count: chunk.len() as f64,
                scores: chunk.iter().map(|&i| scores[i]).sum(),
                outcomes: chunk.iter().filter(|&&i| outcomes[i]).count() as f64,
            };
            while let Some(before) = blocks.pop_if(|before| before.mean() >= block.mean()) {
                block.add(before);
            }
            blocks.push(block);
            start = end;
        }
        let points: Vec<(f64, f64)> = blocks
            .iter()
            .map(|block| (block.scores / block.count, block.mean()))
            .collect();
        let finite = points.iter().all(|&(x, y)| x.is_finite() && y.is_finite());
        finite.then_some(Self { points })
    }

    /// The probability of a score, between those of the nearest points.
    #[must_use]
    pub fn probability(&self, score: f64) -> f64 {
        let above = self.points.partition_point(|&(x, _)| x < score);
        match (
            above.checked_sub(1).map(|i| self.points[i]),
            self.points.get(above),
        ) {
            (Some((x0, y0)), Some(&(x1, y1))) => {
                let share = if x1 > x0 {
                    (score - x0) / (x1 - x0)
                } else {
                    1.0
                };
                (y0 + share * (y1 - y0)).clamp(0.0, 1.0)
            }
            (Some((_, y)), None) | (None, Some(&(_, y))) => y,
            (None, None) => 0.0,
        }
    }
}

/// Few rows are calibrated by so many groups of rows of like probability.
const GROUPS: usize = 50;

/// The mean of each of 50 groups of like numbers, in the place of each number: finer steps are chance.
#[must_use]
pub fn grouped(said: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..said.len()).collect();
    order.sort_by(|&a, &b| said[a].total_cmp(&said[b]));
    let mut means = vec![0.0; said.len()];
    for group in order.chunks(said.len().div_ceil(GROUPS).max(1)) {
        let mean = group.iter().map(|&place| said[place]).sum::<f64>() / group.len() as f64;
        group.iter().for_each(|&place| means[place] = mean);
    }
    means
}

/// How many bins an error is measured over.
const BINS: usize = 10;

/// What was said of some products, the least likely first, and what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The mean of the probabilities that were said.
    pub said: f64,
    /// The share that came.
    pub came: f64,
    /// How many there are.
    pub count: usize,
}

/// Ten bins of equal size, by rising probability; fewer where there is too little.
#[must_use]
pub fn bins(probabilities: &[f64], outcomes: &[bool]) -> Vec<Bin> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let size = order.len().div_ceil(BINS).max(1);
    let bin = |chunk: &[usize]| {
        let said: f64 = chunk.iter().map(|&i| probabilities[i]).sum();
        let came = chunk.iter().filter(|&&i| outcomes[i]).count() as f64;
        Bin {
            said: said / chunk.len() as f64,
            came: came / chunk.len() as f64,
            count: chunk.len(),
        }
    };
    order.chunks(size).map(bin).collect()
}

/// Expected calibration error: the mean distance between what was said and what came, over ten bins of equal size.
#[must_use]
pub fn expected_error(probabilities: &[f64], outcomes: &[bool]) -> f64 {
    let bins = bins(probabilities, outcomes);
    let distance = |bin: &Bin| (bin.said - bin.came).abs() * bin.count as f64;
    bins.iter().map(distance).sum::<f64>() / probabilities.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_rise_and_are_right() {
        // the truth: probability = score, drawn evenly
        let scores: Vec<f64> = (0..10_000).map(|i| f64::from(i % 100) / 100.0).collect();
        let outcomes: Vec<bool> = (0..10_000).map(|i| (i / 100) < (i % 100)).collect();
        let calibration = Calibration::fit(&scores, &outcomes).unwrap();
        for score in [0.1, 0.5, 0.9] {
            assert!((calibration.probability(score) - score).abs() < 0.03);
        }
        assert!(calibration.probability(-5.0) <= calibration.probability(5.0));
        let said: Vec<f64> = scores
            .iter()
            .map(|&score| calibration.probability(score))
            .collect();
        assert!(expected_error(&said, &outcomes) < 0.02);
        assert!(expected_error(&vec![0.9; 10_000], &outcomes) > 0.3);
    }

    #[test]
    fn bins_are_as_counted_by_hand() {
        // 20 products, two a bin; the least likely one of each pair comes
        let said: Vec<f64> = (0..20).map(|i| f64::from(i) / 20.0).collect();
        let outcomes: Vec<bool> = (0..20).map(|i| i % 2 == 0).collect();
        let bins = bins(&said, &outcomes);
        assert_eq!(bins.len(), 10);
        assert!(bins.iter().all(|bin| bin.count == 2));
        assert!(bins.iter().all(|bin| (bin.came - 0.5).abs() < 1e-12));
        assert!((bins[0].said - 0.025).abs() < 1e-12 && (bins[9].said - 0.925).abs() < 1e-12);
        // distances 0.475, 0.375, … 0.075, 0.025, 0.125, … 0.425
        assert!((expected_error(&said, &outcomes) - 0.25).abs() < 1e-12);
        assert!(expected_error(&[], &[]).abs() < 1e-12);
    }

    #[test]
    fn rare_outcomes_are_told_apart_at_the_top() {
        // as candidates are: most will not be bought, a few may well be; the chance is the logistic of the score − 4
        let draw =
            |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64;
        let scores: Vec<f64> = (0..150_000).map(|i| 8.0 * draw(i).powi(3) - 2.0).collect();
        let chance = |score: f64| 1.0 / (1.0 + (4.0 - score).exp());
        let outcomes: Vec<bool> = scores
            .iter()
            .enumerate()
            .map(|(i, &score)| draw(1_000_003 * i as u64 + 17) < chance(score))
            .collect();
        let calibration = Calibration::fit(&scores, &outcomes).unwrap();
        for score in [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.5] {
            let (said, is) = (calibration.probability(score), chance(score));
            assert!(
                (said - is).abs() < 0.02 + 0.1 * is,
                "at {score}: {said}, not {is}"
            );
        }
    }

    #[test]
    fn violators_are_pooled_and_nothing_else() {
        // chances by score, one of a hundred examples each: 0.1, 0.4, 0.2, 0.3, 0.8; the middle three become 0.3
        let chances = [10, 40, 20, 30, 80];
        let examples =
            || (0..5).flat_map(|score| (0..100).map(move |i| (score, i < chances[score])));
        let scores: Vec<f64> = examples().map(|(score, _)| score as f64).collect();
        let outcomes: Vec<bool> = examples().map(|(_, outcome)| outcome).collect();
        let calibration = Calibration::fit(&scores, &outcomes).unwrap();
        for (score, expected) in [
            (0.0, 0.1),
            (2.0, 0.3),
            (4.0, 0.8),
            (-1.0, 0.1),
            (9.0, 0.8),
            (3.0, 0.55),
        ] {
            let said = calibration.probability(score);
            assert!(
                (said - expected).abs() < 1e-9,
                "at {score}: {said}, not {expected}"
            );
        }
        let falling: Vec<f64> = scores.iter().map(|score| -score).collect();
        let flat = Calibration::fit(&falling, &outcomes).unwrap();
        assert!((flat.probability(-4.0) - flat.probability(0.0)).abs() < 0.2);
    }

    #[test]
    fn too_little_is_not_calibrated() {
        assert_eq!(Calibration::fit(&[0.1, 0.9], &[false, true]), None);
        assert_eq!(Calibration::fit(&[0.5; 100], &[true; 100]), None);
    }
}
