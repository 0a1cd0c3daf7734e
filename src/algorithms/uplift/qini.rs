//! How well an order of customers finds those a treatment changes: the Qini curve and what is among the first.

use super::super::bootstrap::Interval;

/// The shares of the order for which the uplift is told.
pub const SHARES: [f64; 3] = [0.1, 0.3, 0.5];
/// A curve has so many steps.
const STEPS: usize = 100;

/// Outcomes and rows of treated and control.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    treated: f64,
    treated_rows: f64,
    control: f64,
    control_rows: f64,
}

impl Sums {
    pub(super) fn add(&mut self, is_treated: bool, outcome: f64, count: f64) {
        if is_treated {
            self.treated += count * outcome;
            self.treated_rows += count;
        } else {
            self.control += count * outcome;
            self.control_rows += count;
        }
    }

    pub(super) fn treated_mean(&self) -> f64 {
        self.treated / self.treated_rows.max(1.0)
    }

    pub(super) fn control_mean(&self) -> f64 {
        self.control / self.control_rows.max(1.0)
    }

    /// The mean of treated minus that of control; nothing where one of them is empty.
    pub(super) fn difference(&self) -> Option<f64> {
        let both = self.treated_rows > 0.0 && self.control_rows > 0.0;
        both.then(|| self.treated / self.treated_rows - self.control / self.control_rows)
    }

    /// Yt − Yc·Nt/Nc; without control yet, Yt.
    fn gain(&self) -> f64 {
        if self.control_rows > 0.0 {
            self.treated - self.control * self.treated_rows / self.control_rows
        } else {
            self.treated
        }
    }

    fn rows(&self) -> f64 {
        self.treated_rows + self.control_rows
    }

    /// The sums at a place between this one and `next`, from 0 to 1.
    fn towards(&self, next: &Self, share: f64) -> Self {
        let between = |from: f64, to: f64| from + share * (to - from);
        Self {
            treated: between(self.treated, next.treated),
            treated_rows: between(self.treated_rows, next.treated_rows),
            control: between(self.control, next.control),
            control_rows: between(self.control_rows, next.control_rows),
        }
    }
}

/// Rows by falling score.
pub(super) struct Order {
    rows: Vec<u32>,
    /// True for the last row of each score: what comes between cannot be ordered.
    is_last: Vec<bool>,
}

/// What one walk along an order finds.
pub(super) struct Walk {
    qini: f64,
    /// The uplift among the first of each of [`SHARES`]; NaN where there is no treated or no control.
    at: [f64; SHARES.len()],
}

impl Order {
    /// Of `rows`, by the score of each row.
    pub(super) fn of(rows: &[usize], scores: &[f64]) -> Self {
        let mut order: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let score = |row: u32| scores[row as usize];
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        let last = |place: usize| {
            order
                .get(place + 1)
                .is_none_or(|&next| score(next) < score(order[place]))
        };
        let is_last = (0..order.len()).map(last).collect();
        Self {
            rows: order,
            is_last,
        }
    }

    /// Walks along it. `count` says how often each row counts.
    pub(super) fn walk(&self, arm: &[u32], y: &[f64], count: &impl Fn(usize) -> f64) -> Walk {
        let all: f64 = self.rows.iter().map(|&row| count(row as usize)).sum();
        let (mut at, mut next) = ([f64::NAN; SHARES.len()], 0);
        let mut area = 0.0;
        let last = self.steps(arm, y, count, |before, now| {
            area += (now.rows() - before.rows()) * (before.gain() + now.gain()) / 2.0;
            while next < SHARES.len() && SHARES[next] * all <= now.rows() {
                let share = (SHARES[next] * all - before.rows()) / (now.rows() - before.rows());
                let sums = before.towards(now, share);
                at[next] = sums.difference().unwrap_or(f64::NAN);
                next += 1;
            }
        });
        let qini = if all > 0.0 && last.treated_rows > 0.0 {
            (area / all - last.gain() / 2.0) / last.treated_rows
        } else {
            0.0
        };
        Walk { qini, at }
    }

    /// Tells of every step from one score to the next: the sums before and after. Returns those of all.
    fn steps(
        &self,
        arm: &[u32],
        y: &[f64],
        count: &impl Fn(usize) -> f64,
        mut step: impl FnMut(&Sums, &Sums),
    ) -> Sums {
        let (mut before, mut now) = (Sums::default(), Sums::default());
        for (&row, &is_last) in self.rows.iter().zip(&self.is_last) {
            let row = row as usize;
            now.add(arm[row] != 0, y[row], count(row));
            if is_last && now.rows() > before.rows() {
                step(&before, &now);
                before = now;
            }
        }
        now
    }

    /// The curve, at even steps.
    fn curve(&self, arm: &[u32], y: &[f64]) -> Vec<CurvePoint> {
        let all = self.rows.len() as f64;
        let mut gains = vec![0.0];
        let last = self.steps(arm, y, &|_| 1.0, |before, now| {
            while gains.len() <= STEPS
                && gains.len() as f64 / STEPS as f64 * all <= now.rows() + 1e-9
            {
                let place = gains.len() as f64 / STEPS as f64 * all;
                let share = (place - before.rows()) / (now.rows() - before.rows());
                gains.push(before.gain() + share * (now.gain() - before.gain()));
            }
        });
        let treated = last.treated_rows.max(1.0);
        let point = |(step, gain): (usize, f64)| {
            let share = step as f64 / STEPS as f64;
            CurvePoint {
                share,
                gain: gain / treated,
                random: share * last.gain() / treated,
            }
        };
        gains.into_iter().enumerate().map(point).collect()
    }
}

/// A point of the Qini curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The share of customers that is treated, the best first.
    pub share: f64,
    /// What that gains, per treated customer of the log.
    pub gain: f64,
    /// What the same share gains in any order.
    pub random: f64,
}

/// How well an order does.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The Qini coefficient; 0 is what chance does.
    pub qini: Interval,
    /// The uplift among the first of each of [`SHARES`]; nothing where there is no treated or no control.
    pub at: Vec<(f64, Option<Interval>)>,
    /// The Qini curve.
    pub curve: Vec<CurvePoint>,
}

/// What was drawn of a ranking.
#[derive(Default)]
pub(super) struct Drawn {
    qini: Vec<f64>,
    at: [Vec<f64>; SHARES.len()],
}

impl Drawn {
    pub(super) fn take(&mut self, walk: &Walk) {
        self.qini.push(walk.qini);
        for (drawn, &at) in self.at.iter_mut().zip(&walk.at) {
            drawn.extend(Some(at).filter(|at| at.is_finite()));
        }
    }

    pub(super) fn ranking(self, order: &Order, arm: &[u32], y: &[f64]) -> Ranking {
        let walk = order.walk(arm, y, &|_| 1.0);
        let at = SHARES.into_iter().zip(walk.at).zip(self.at);
        Ranking {
            qini: Interval::of(walk.qini, self.qini),
            at: at
                .map(|((share, at), drawn)| {
                    (share, at.is_finite().then(|| Interval::of(at, drawn)))
                })
                .collect(),
            curve: order.curve(arm, y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Treated with outcome 1, control with 0, treated with 0, control with 1: two of each, in this order the best
    /// comes first.
    const ARM: [u32; 4] = [1, 0, 1, 0];
    const OUTCOME: [f64; 4] = [1.0, 0.0, 0.0, 1.0];

    fn walk(scores: [f64; 4]) -> Walk {
        Order::of(&[0, 1, 2, 3], &scores).walk(&ARM, &OUTCOME, &|_| 1.0)
    }

    fn check_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn qini_is_as_computed_by_hand() {
        // gains after each row: 1, 1 − 0·1/1 = 1, 1 − 0·2/1 = 1, 1 − 1·2/2 = 0; half the steps' ends: 0.5, 1, 1, 0.5;
        // area 3/4, line 0, two treated
        check_close(walk([4.0, 3.0, 2.0, 1.0]).qini, 3.0 / 8.0);
        // the other way: 0 (no treated yet), 0 − 1·1/1 = −1, 0 − 1·1/2 = −1/2, 1 − 1·2/2 = 0
        check_close(
            walk([1.0, 2.0, 3.0, 4.0]).qini,
            -(0.5 + 0.75 + 0.25) / 4.0 / 2.0,
        );
        // no order: the straight line
        check_close(walk([5.0; 4]).qini, 0.0);
        // two scores: 1 after the first two, 0 at the end
        check_close(
            walk([2.0, 2.0, 1.0, 1.0]).qini,
            (0.5 + 0.5) * 2.0 / 2.0 / 4.0,
        );
    }

    #[test]
    fn uplift_among_the_first_is_as_counted_by_hand() {
        let [tenth, third, half] = walk([4.0, 3.0, 2.0, 1.0]).at;
        assert!(tenth.is_nan(), "the first 10 % are treated only");
        // 1.2 rows: one treated with 1, a fifth of a control with 0
        check_close(third, 1.0);
        check_close(half, 1.0);
        check_close(walk([5.0; 4]).at[0], 0.0);
        check_close(walk([1.0, 1.0, 2.0, 2.0]).at[2], -1.0);
    }

    #[test]
    fn curves_end_at_the_average_effect() {
        let arm = [1, 0, 1, 0, 1, 1];
        let outcome = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
        let order = Order::of(&[0, 1, 2, 3, 4, 5], &[0.5, 0.4, 0.6, 0.1, 0.1, 0.2]);
        let curve = order.curve(&arm, &outcome);
        assert_eq!(curve.len(), STEPS + 1);
        let (first, last) = (curve[0], curve[STEPS]);
        check_close(first.gain, 0.0);
        check_close(last.gain, 3.0 / 4.0 - 1.0 / 2.0);
        check_close(last.random, last.gain);
        // the area between the points is the coefficient, up to the steps
        let area: f64 = curve
            .windows(2)
            .map(|pair| {
                (pair[0].gain + pair[1].gain) / 2.0 - (pair[0].random + pair[1].random) / 2.0
            })
            .sum();
        let qini = order.walk(&arm, &outcome, &|_| 1.0).qini;
        assert!((area / STEPS as f64 - qini).abs() < 2e-3, "{area}, {qini}");
    }

    #[test]
    fn a_row_that_counts_twice_is_two_rows() {
        let twice = Order::of(&[0, 1, 2, 3], &[4.0, 3.0, 2.0, 1.0]);
        let count = |row: usize| if row == 1 { 2.0 } else { 1.0 };
        let found = twice.walk(&ARM, &OUTCOME, &count).qini;
        let arm = [1, 0, 0, 1, 0];
        let outcome = [1.0, 0.0, 0.0, 0.0, 1.0];
        let written = Order::of(&[0, 1, 2, 3, 4], &[4.0, 3.0, 3.0, 2.0, 1.0]);
        check_close(found, written.walk(&arm, &outcome, &|_| 1.0).qini);
        let none = |_: usize| 0.0;
        check_close(twice.walk(&ARM, &OUTCOME, &none).qini, 0.0);
    }
}
