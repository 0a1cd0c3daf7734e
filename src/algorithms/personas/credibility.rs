//! How much a mean of few observations can be relied on: Bühlmann and Straub 1970 ("Glaubwürdigkeit für Schadensätze").
//!
//! With w_i observations of customer i, their mean x_i, the variance σ² of one observation and the variance τ² of what
//! is truly so between customers, the best guess of the true mean that is linear in x_i is
//!
//! ```text
//! z_i·x_i + (1 − z_i)·m      with the credibility z_i = w_i / (w_i + σ²/τ²), m the mean of all
//! ```
//!
//! σ² and τ² are estimated as in Bühlmann and Gisler 2005, section 4.8.

use serde::{Deserialize, Serialize};

/// Observations of one customer: their sum, the sum of their squares, and how many there were.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measure {
    /// The sum.
    pub sum: f64,
    /// The sum of the squares.
    pub squares: f64,
    /// How many: a count, or a length of time.
    pub weight: f64,
}

impl Measure {
    /// So often in a length of time, or on so many occasions: the variance in one unit of it is the mean (Poisson).
    #[must_use]
    pub fn rate(count: f64, length: f64) -> Self {
        Self {
            sum: count,
            squares: count + count * count / length.max(1e-9),
            weight: length,
        }
    }

    /// So many of `all` were so: each is an observation of 0 or 1.
    #[must_use]
    pub fn share(count: f64, all: f64) -> Self {
        Self {
            sum: count,
            squares: count,
            weight: all,
        }
    }

    /// One more observation.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.squares += value * value;
        self.weight += 1.0;
    }
}

/// How to draw means of one column to the mean of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Credibility {
    /// The mean of all observations.
    pub mean: f64,
    /// σ²/τ²: so many observations count as much as what is known of all; infinite: customers do not differ.
    strength: f64,
    /// The mean credibility of the customers, from 0 to 1.
    pub reliability: f64,
}

impl Credibility {
    /// Estimates it from all customers. `noise` is σ² where theory says it.
    #[must_use]
    pub fn of(measures: impl Iterator<Item = Measure> + Clone, noise: Option<f64>) -> Self {
        let seen = || measures.clone().filter(|measure| measure.weight > 0.0);
        let count = seen().count() as f64;
        let whole: f64 = seen().map(|measure| measure.weight).sum();
        let mean = seen().map(|measure| measure.sum).sum::<f64>() / whole.max(1e-12);
        let own = |measure: Measure| measure.sum / measure.weight;
        let within = noise.unwrap_or_else(|| {
            let repeated = || seen().filter(|measure| measure.weight > 1.0);
            let squares = repeated().map(|m| (m.squares - m.sum * m.sum / m.weight).max(0.0));
            let freedom: f64 = repeated().map(|m| m.weight - 1.0).sum();
            squares.sum::<f64>() / freedom.max(1e-12)
        });
        let between = {
            let spread: f64 = seen().map(|m| m.weight * (own(m) - mean).powi(2)).sum();
            let squares: f64 = seen().map(|m| m.weight * m.weight).sum();
            let scale = whole - squares / whole.max(1e-12);
            (spread - (count - 1.0) * within) / scale.max(1e-12)
        };
        let strength = if between > 1e-12 {
            within / between
        } else {
            f64::MAX
        };
        let trust = measures.clone().map(|m| m.weight / (m.weight + strength));
        let all = measures.count().max(1) as f64;
        Self {
            mean,
            strength,
            reliability: trust.sum::<f64>() / all,
        }
    }

    /// What is to be believed of a customer; of whom nothing was observed: the mean of all.
    #[must_use]
    pub fn value(&self, measure: Measure) -> f64 {
        if measure.weight <= 0.0 {
            return self.mean;
        }
        let trust = measure.weight / (measure.weight + self.strength);
        trust * measure.sum / measure.weight + (1.0 - trust) * self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_computed_by_hand() {
        // two observations each: 1 and 3, 5 and 7; means 2 and 6, of all 4; within: (2 + 2) / 2 = 2;
        // between: (2·4 + 2·4 − 1·2) / (4 − 8/4) = 7
        let of = |values: [f64; 2]| {
            let mut measure = Measure::default();
            values.into_iter().for_each(|value| measure.add(value));
            measure
        };
        let rows = [of([1.0, 3.0]), of([5.0, 7.0])];
        let credibility = Credibility::of(rows.into_iter(), None);
        assert!((credibility.mean - 4.0).abs() < 1e-12);
        let trust = 2.0 / (2.0 + 2.0 / 7.0);
        assert!((credibility.reliability - trust).abs() < 1e-12);
        assert!((credibility.value(rows[0]) - (4.0 - 2.0 * trust)).abs() < 1e-12);
        assert!((credibility.value(Measure::default()) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_the_same_for_all_tells_nobody_apart() {
        let rows = [Measure::share(5.0, 10.0), Measure::share(50.0, 100.0)];
        let credibility = Credibility::of(rows.into_iter(), None);
        assert!(credibility.reliability < 1e-9);
        let other = credibility.value(Measure::share(9.0, 10.0));
        assert!((other - 0.5).abs() < 1e-9);
        // nobody was measured at all
        let nothing = Credibility::of([Measure::default(); 3].into_iter(), None);
        assert!(nothing.value(Measure::default()).abs() < 1e-12 && nothing.reliability < 1e-9);
    }

    #[test]
    fn a_rate_varies_as_its_mean() {
        // 30 customers with 8, 30 with 16 in 4 months: 3 a month on average
        let rows = (0..60).map(|n| Measure::rate(if n < 30 { 8.0 } else { 16.0 }, 4.0));
        let credibility = Credibility::of(rows, None);
        assert!((credibility.mean - 3.0).abs() < 1e-12);
        // within: 12·60 / (3·60) = 4; between: (4·60 − 59·4) / (240 − 960/240)
        let between: f64 = (240.0 - 236.0) / (240.0 - 4.0);
        let trust = 4.0 / (4.0 + 4.0 / between);
        assert!((credibility.reliability - trust).abs() < 1e-9);
    }
}
