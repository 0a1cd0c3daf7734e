//! Shares and means with their 95 % intervals.

/// The normal quantile of a 95 % interval.
const Z: f64 = 1.959_964;

/// A value of a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figure {
    /// The value; absent: there was nothing to measure.
    pub value: Option<f64>,
    /// The 95 % interval; absent: the value is a count, or cannot be told.
    pub interval: Option<(f64, f64)>,
    /// Of how many things it was measured.
    pub samples: i64,
}

impl Figure {
    /// A number of things.
    #[must_use]
    pub fn count(count: i64) -> Self {
        Self::exact(count as f64, count)
    }

    /// A value that has no interval.
    #[must_use]
    pub fn exact(value: f64, samples: i64) -> Self {
        Self {
            value: Some(value),
            interval: None,
            samples,
        }
    }

    /// `part` of `all`, with Wilson's interval (Wilson 1927).
    #[must_use]
    pub fn share(part: i64, all: i64) -> Self {
        if all <= 0 {
            return Self::default();
        }
        let (n, share) = (all as f64, (part as f64 / all as f64).clamp(0.0, 1.0));
        let z2 = Z * Z / n;
        let middle = (share + z2 / 2.0) / (1.0 + z2);
        let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n)).sqrt() / (1.0 + z2);
        Self {
            value: Some(share),
            interval: Some(((middle - half).max(0.0), (middle + half).min(1.0))),
            samples: all,
        }
    }

    /// A mean by the sums of values and of their squares, with the normal interval, cut to `range`; of one value alone
    /// the interval is the range.
    #[must_use]
    pub fn mean(count: i64, sum: f64, squares: f64, range: (f64, f64)) -> Self {
        if count <= 0 {
            return Self::default();
        }
        let n = count as f64;
        let mean = sum / n;
        let interval = match count {
            1 => range,
            _ => {
                let variance = ((squares - n * mean * mean) / (n - 1.0)).max(0.0);
                let half = Z * (variance / n).sqrt();
                ((mean - half).max(range.0), (mean + half).min(range.1))
            }
        };
        let is_bounded = interval.0.is_finite() && interval.1.is_finite();
        Self {
            value: Some(mean),
            interval: is_bounded.then_some(interval),
            samples: count,
        }
    }

    /// The share of a part in a whole that are sums over `count` things, by the sums, the sums of squares and that of
    /// the products: the ratio estimator (Cochran 1977, 2.11) with the normal interval; of one thing alone the
    /// interval is all there is.
    #[must_use]
    pub fn ratio(
        count: i64,
        (part, part_squares): (f64, f64),
        (whole, whole_squares): (f64, f64),
        products: f64,
    ) -> Self {
        if count <= 0 || whole <= 0.0 {
            return Self::default();
        }
        let (n, share) = (count as f64, part / whole);
        let interval = match count {
            1 => (0.0, 1.0),
            _ => {
                let residuals =
                    part_squares - 2.0 * share * products + share * share * whole_squares;
                let variance = residuals.max(0.0) * n / (n - 1.0) / (whole * whole);
                let half = Z * variance.sqrt();
                ((share - half).max(0.0), (share + half).min(1.0))
            }
        };
        Self {
            value: Some(share),
            interval: Some(interval),
            samples: count,
        }
    }

    /// The difference of two means of sums over people: what each brings counts as a compound Poisson sum, whose
    /// variance is the sum of the squares of the orders.
    #[must_use]
    pub fn difference(treated: (i64, f64, f64), control: (i64, f64, f64)) -> Self {
        if treated.0 <= 0 || control.0 <= 0 {
            return Self::default();
        }
        let mean = |(people, sum, _): (i64, f64, f64)| sum / people as f64;
        let variance = |(people, _, squares): (i64, f64, f64)| squares / (people as f64).powi(2);
        let value = mean(treated) - mean(control);
        let half = Z * (variance(treated) + variance(control)).sqrt();
        Self {
            value: Some(value),
            interval: Some((value - half, value + half)),
            samples: treated.0 + control.0,
        }
    }

    /// The same on another scale.
    #[must_use]
    pub fn scaled(self, by: f64, plus: f64) -> Self {
        let scale = |value: f64| value * by + plus;
        Self {
            value: self.value.map(scale),
            interval: self.interval.map(|(low, high)| (scale(low), scale(high))),
            samples: self.samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(figure: Figure, value: f64, low: f64, high: f64) {
        let interval = figure.interval.unwrap();
        let all = [figure.value.unwrap(), interval.0, interval.1];
        for (found, wanted) in all.into_iter().zip([value, low, high]) {
            assert!((found - wanted).abs() < 1e-4, "{figure:?}");
        }
    }

    #[test]
    fn intervals_are_those_of_the_books() {
        // Wilson for 10 of 20 and 0 of 10
        near(Figure::share(10, 20), 0.5, 0.299_298, 0.700_702);
        near(Figure::share(0, 10), 0.0, 0.0, 0.277_533);
        assert_eq!(Figure::share(0, 0), Figure::default());
        // 1, 2, 3, 4: mean 2.5, variance 5/3
        let range = (f64::NEG_INFINITY, f64::INFINITY);
        near(Figure::mean(4, 10.0, 30.0, range), 2.5, 1.234_86, 3.765_14);
        near(Figure::mean(1, 0.5, 0.25, (-1.0, 1.0)), 0.5, -1.0, 1.0);
        assert_eq!(Figure::mean(1, 2.0, 4.0, range).interval, None);
        // parts 0, 4, 3 of 10, 4, 6: 7/20; residuals -3.5, 2.6, 0.9 have squares 19.82
        let ratio = Figure::ratio(3, (7.0, 25.0), (20.0, 152.0), 34.0);
        let half = 1.959_964 * (19.82_f64 * 1.5).sqrt() / 20.0;
        near(ratio, 0.35, 0.0, 0.35 + half);
        near(
            Figure::ratio(1, (2.0, 4.0), (4.0, 16.0), 8.0),
            0.5,
            0.0,
            1.0,
        );
        assert_eq!(
            Figure::ratio(0, (0.0, 0.0), (0.0, 0.0), 0.0),
            Figure::default()
        );
        let lift = Figure::difference((100, 500.0, 5_000.0), (50, 200.0, 1_000.0));
        near(lift, 1.0, 1.0 - 1.859_39, 1.0 + 1.859_39);
        near(
            Figure::share(10, 20).scaled(100.0, -50.0),
            0.0,
            -20.0702,
            20.0702,
        );
    }
}
