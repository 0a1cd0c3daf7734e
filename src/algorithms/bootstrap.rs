//! How sure a mean of differences is: the paired bootstrap with percentiles (Efron 1979), which draws persons, not
//! questions: the questions of one person hang together (cluster bootstrap: Field, Welsh 2007).

use std::collections::HashMap;

use super::boosting::scramble;

/// How often the persons are drawn.
pub const RESAMPLES: usize = 1_000;

/// A mean, or another figure, with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interval {
    /// The mean over the questions; the figure.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The mean of each series of differences, with its interval. `persons` says whose each question was; every series has
/// one difference for each question. Without questions everything is 0. The same input and seed give the same ends.
#[must_use]
pub fn intervals(persons: &[u32], series: &[Vec<f64>], seed: u64) -> Vec<Interval> {
    if persons.is_empty() {
        return vec![Interval::default(); series.len()];
    }
    // of each person: the sum of each series, and how many questions
    let width = series.len() + 1;
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut sums: Vec<f64> = Vec::new();
    for (question, &person) in persons.iter().enumerate() {
        let next = places.len();
        let place = *places.entry(person).or_insert(next);
        sums.resize(places.len() * width, 0.0);
        let row = &mut sums[place * width..][..width];
        for (sum, differences) in row.iter_mut().zip(series) {
            *sum += differences[question];
        }
        row[series.len()] += 1.0;
    }
    let means = |counts: &[u32]| {
        let mut total = totals(&sums, width, counts);
        let questions = total.pop().unwrap_or(1.0);
        total.into_iter().map(move |sum| sum / questions)
    };
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); series.len()];
    let mut counts = vec![0; places.len()];
    for resample in 0..RESAMPLES {
        draw(&mut counts, resample, seed);
        for (drawn, mean) in drawn.iter_mut().zip(means(&counts)) {
            drawn.push(mean);
        }
    }
    means(&vec![1; places.len()])
        .zip(drawn)
        .map(|(mean, drawn)| Interval::of(mean, drawn))
        .collect()
}

impl Interval {
    /// A figure with the ends of the 95 % percentile interval of its resamples, which come in any order. Without
    /// resamples the ends are the figure.
    #[must_use]
    pub fn of(figure: f64, mut resampled: Vec<f64>) -> Self {
        let count = resampled.len();
        if count == 0 {
            return Self {
                mean: figure,
                low: figure,
                high: figure,
            };
        }
        resampled.sort_by(f64::total_cmp);
        let tail = (count / 40).max(1);
        Self {
            mean: figure,
            low: resampled[tail - 1],
            high: resampled[count - tail],
        }
    }

    /// True if the value lies within, ends included.
    #[must_use]
    pub fn covers(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Draws as many of `counts.len()` things as there are, with replacement, and notes how often each came. The numbers
/// of the resample and the seed decide.
pub(super) fn draw(counts: &mut [u32], resample: usize, seed: u64) {
    counts.fill(0);
    let count = counts.len();
    let before = (resample * count) as u64;
    for number in 1..=count as u64 {
        let bits = scramble(seed ^ scramble(before + number));
        counts[below(bits, count)] += 1;
    }
}

/// The sum of each column of a table, row by row `width` wide, whose rows count so often.
pub(super) fn totals(table: &[f64], width: usize, counts: &[u32]) -> Vec<f64> {
    let mut totals = vec![0.0; width];
    for (row, &count) in table.chunks_exact(width).zip(counts) {
        if count > 0 {
            let count = f64::from(count);
            for (total, cell) in totals.iter_mut().zip(row) {
                *total += count * cell;
            }
        }
    }
    totals
}

/// A number below `count`, from 64 random bits (Lemire 2019, without the correction: the bias is `count` in 2^64).
fn below(bits: u64, count: usize) -> usize {
    ((u128::from(bits) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(persons: &[u32], differences: &[f64]) -> Interval {
        intervals(persons, &[differences.to_vec()], 7)[0]
    }

    fn close(interval: Interval, mean: f64, low: f64, high: f64) {
        let found = [interval.mean, interval.low, interval.high];
        for (found, expected) in found.into_iter().zip([mean, low, high]) {
            assert!((found - expected).abs() < 1e-12, "{interval:?}");
        }
    }

    #[test]
    fn intervals_are_as_computed_by_hand() {
        close(interval(&[1, 2, 3], &[0.25; 3]), 0.25, 0.25, 0.25);
        // two persons: the mean is 0, 1/2 or 1 with probabilities 1/4, 1/2 and 1/4
        close(interval(&[1, 2], &[0.0, 1.0]), 0.5, 0.0, 1.0);
        // one of eight: the hits are binomial (8, 1/8), at most 2 with 93.3 %, at most 3 with 98.9 %
        let mut one_of_eight = [0.0; 8];
        one_of_eight[3] = 1.0;
        let persons: Vec<u32> = (0..8).collect();
        close(interval(&persons, &one_of_eight), 0.125, 0.0, 0.375);
        close(interval(&[], &[]), 0.0, 0.0, 0.0);
    }

    #[test]
    fn persons_are_drawn_with_all_their_questions() {
        // the means are those of A, of B, or of both: 1, 0 or 2/3
        close(interval(&[5, 9, 5], &[1.0, 0.0, 1.0]), 2.0 / 3.0, 0.0, 1.0);
        // one person tells nothing of others
        close(interval(&[5, 5], &[1.0, 0.0]), 0.5, 0.5, 0.5);
    }

    #[test]
    fn ends_leave_out_a_fortieth_at_each_side() {
        let interval = Interval::of(0.5, (0..2_000).rev().map(f64::from).collect());
        let [low, high] = [interval.low, interval.high];
        assert!((low - 49.0).abs() < 1e-12 && (high - 1_950.0).abs() < 1e-12);
        assert!(interval.covers(49.0) && !interval.covers(48.0) && !interval.covers(1_951.0));
        close(Interval::of(0.5, Vec::new()), 0.5, 0.5, 0.5);
        close(Interval::of(0.5, vec![0.25]), 0.5, 0.25, 0.25);
    }

    #[test]
    fn the_width_is_that_of_the_normal_law() {
        let persons: Vec<u32> = (0..2_000).collect();
        let differences: Vec<f64> = persons.iter().map(|p| f64::from(p % 2)).collect();
        let found = interval(&persons, &differences);
        let half = 1.96 * 0.5 / 2_000f64.sqrt();
        assert!((found.low - (0.5 - half)).abs() < 0.1 * half, "{found:?}");
        assert!((found.high - (0.5 + half)).abs() < 0.1 * half, "{found:?}");
    }

    #[test]
    fn the_seed_decides_and_every_series_is_drawn_alike() {
        let persons: Vec<u32> = (0..100).collect();
        let series: Vec<f64> = persons.iter().map(|p| f64::from(p * p % 17)).collect();
        let twice = intervals(&persons, &[series.clone(), series.clone()], 7);
        assert_eq!(twice[0], twice[1]);
        assert_eq!(
            twice,
            intervals(&persons, &[series.clone(), series.clone()], 7)
        );
        assert_ne!(twice[0], intervals(&persons, &[series], 8)[0]);
    }
}
