//! How sure a mean of differences is: the paired bootstrap with percentiles (Efron 1979), which draws persons, not
//! questions: the questions of one person hang together (cluster bootstrap: Field, Welsh 2007).

use std::collections::HashMap;

use super::boosting::scramble;

/// How often the persons are drawn.
pub const RESAMPLES: usize = 1_000;
/// How many of the means lie beyond each end of the interval: 2.5 %.
const TAIL: usize = RESAMPLES / 40;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interval {
    /// The mean over the questions.
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
    let total = |rows: &mut dyn Iterator<Item = usize>| {
        let mut total = vec![0.0; width];
        for place in rows {
            for (sum, part) in total.iter_mut().zip(&sums[place * width..][..width]) {
                *sum += part;
            }
        }
        let questions = total.pop().unwrap_or(1.0);
        total
            .into_iter()
            .map(move |sum| sum / questions)
            .collect::<Vec<f64>>()
    };
    let count = places.len();
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); series.len()];
    let mut draws = 0;
    for _ in 0..RESAMPLES {
        let mut draw = (0..count).map(|_| {
            draws += 1;
            below(scramble(seed ^ scramble(draws)), count)
        });
        for (means, mean) in drawn.iter_mut().zip(total(&mut draw)) {
            means.push(mean);
        }
    }
    let means = total(&mut (0..count));
    let ends = |mut drawn: Vec<f64>| {
        drawn.sort_by(f64::total_cmp);
        (drawn[TAIL - 1], drawn[RESAMPLES - TAIL])
    };
    means
        .into_iter()
        .zip(drawn.into_iter().map(ends))
        .map(|(mean, (low, high))| Interval { mean, low, high })
        .collect()
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
