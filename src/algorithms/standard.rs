//! Features as standardised numbers: of mean 0 and deviation 1 where they were learned, and kept within bounds
//! elsewhere.

use serde::{Deserialize, Serialize};

/// Features are kept within so many standard deviations.
pub const MAX_DEVIATIONS: f64 = 4.0;

/// The mean and the deviation of each feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    means: Vec<f64>,
    scales: Vec<f64>,
}

impl Standard {
    /// Of rows, each with as many features as the first.
    #[must_use]
    pub fn of(rows: &[&[f64]]) -> Self {
        let features = rows.first().map_or(0, |row| row.len());
        let count = rows.len().max(1) as f64;
        let column = |feature: usize| rows.iter().map(move |row| row[feature]);
        let means: Vec<f64> = (0..features)
            .map(|f| column(f).sum::<f64>() / count)
            .collect();
        let scales = (0..features).map(|feature| {
            let squares = column(feature).map(|number| (number - means[feature]).powi(2));
            let deviation = (squares.sum::<f64>() / count).sqrt();
            // what is the same for everybody tells nothing, also if it is not so later
            if deviation > 1e-9 {
                deviation
            } else {
                f64::INFINITY
            }
        });
        let scales = scales.collect();
        Self { means, scales }
    }

    /// How many features there are.
    #[must_use]
    pub fn features(&self) -> usize {
        self.means.len()
    }

    /// One feature of a row.
    #[must_use]
    pub fn at(&self, x: &[f64], feature: usize) -> f64 {
        let deviations = (x[feature] - self.means[feature]) / self.scales[feature];
        deviations.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
    }

    /// All features of a row.
    #[must_use]
    pub fn all(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len().min(self.features()))
            .map(|feature| self.at(x, feature))
            .collect()
    }

    /// True if a feature of a row is above its mean.
    #[must_use]
    pub fn is_high(&self, x: &[f64], feature: usize) -> bool {
        x[feature] > self.means[feature]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_mean_0_and_deviation_1_and_what_never_differs_says_nothing() {
        let rows: [&[f64]; 4] = [&[1.0, 7.0], &[3.0, 7.0], &[1.0, 7.0], &[3.0, 7.0]];
        let standard = Standard::of(&rows);
        assert_eq!(standard.features(), 2);
        assert_eq!(standard.all(rows[0]), [-1.0, 0.0]);
        assert_eq!(standard.all(&[1e9, 1e9]), [MAX_DEVIATIONS, 0.0]);
        assert!(standard.is_high(rows[1], 0) && !standard.is_high(rows[0], 0));
        assert_eq!(Standard::of(&[]).features(), 0);
    }
}
