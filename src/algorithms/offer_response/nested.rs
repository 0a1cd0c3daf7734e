//! Logistic regression over nested arms, exact and quick: Newton's method on the penalised likelihood; and how much
//! each group of weights is to be drawn to 0, by the evidence of the rows themselves.
//!
//! A row has few of the columns: the features, and once more some of them for all offers, for its kind and for its
//! offer. All rows of an arm have the same ones, so of each arm only Σ p(1−p)·u·uᵀ and Σ (y−p)·u over its rows are
//! needed, with u = (1, features); the system of all columns is put together from these. linfa's logistic regression
//! takes dense matrices alone, and one penalty for all: it fits the same where that is what is asked (a test compares
//! both).

use crate::algorithms::ease::{factor, solve};

/// Newton's method ends where no weight moves more, …
const TOLERANCE: f64 = 1e-6;
/// … or after so many steps.
const MAX_STEPS: usize = 40;
/// A step that leads upwards is halved at most so often.
const MAX_HALVINGS: usize = 20;
/// The bias has no penalty but this, so that there is one solution.
const LEAST_PENALTY: f64 = 1e-9;
/// Penalties that are learned stay within these.
const PENALTIES: (f64, f64) = (0.01, 1e5);
/// They are learned in at most so many rounds, …
const MAX_ROUNDS: usize = 12;
/// … until none changes by a larger share.
const SETTLED: f64 = 0.1;

/// Rows to fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct NestedRows<'a> {
    /// The features of each row; as many in every one.
    pub(super) z: &'a [Vec<f64>],
    /// So many of the last ones stand in the parts, too.
    pub(super) modifiers: usize,
    /// The arm of each row.
    pub(super) arm: &'a [usize],
    /// What came of each.
    pub(super) came: &'a [bool],
    /// Of each arm, where its parts begin: a mark, and behind it the modifiers.
    pub(super) parts: &'a [Vec<usize>],
    /// Columns in all, without the bias: the features first, then the parts.
    pub(super) columns: usize,
}

/// Weights with the penalties that the rows themselves ask for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// The weights, the bias last.
    pub(super) weights: Vec<f64>,
    /// The penalty of each group of columns.
    pub(super) penalties: Vec<f64>,
    /// What the weights may be off by: the inverse of the second derivatives (the Laplace approximation), all columns
    /// by all columns, the bias last.
    pub(super) covariance: Vec<f64>,
}

impl NestedRows<'_> {
    /// The weights, the bias last, that minimise −log-likelihood + Σ `penalties`/2 · w² over the rows at `places`; the
    /// bias is free. Starts from `from`. Nothing where nothing can be told apart.
    pub(super) fn fit(
        &self,
        places: &[usize],
        penalties: &[f64],
        from: Option<&[f64]>,
    ) -> Option<Vec<f64>> {
        let size = self.columns + 1;
        let came = places.iter().filter(|&&place| self.came[place]).count();
        if came == 0 || came == places.len() {
            return None;
        }
        let mean = came as f64 / places.len() as f64;
        let mut weights = from.map_or_else(|| vec![0.0; size], <[f64]>::to_vec);
        if from.is_none() {
            weights[self.columns] = (mean / (1.0 - mean)).ln();
        }
        let mut loss = self.loss(places, &weights, penalties);
        for _ in 0..MAX_STEPS {
            let (mut system, mut step) = self.system(places, &weights, penalties);
            factor(&mut system, size)?;
            solve(&system, size, &mut step);
            let mut share = 1.0;
            let mut better = None;
            for _ in 0..MAX_HALVINGS {
                let moved = weights.iter().zip(&step).map(|(w, s)| w + share * s);
                let moved: Vec<f64> = moved.collect();
                let next = self.loss(places, &moved, penalties);
                if next <= loss {
                    better = Some((next, moved));
                    break;
                }
                share /= 2.0;
            }
            // nowhere lower: rounding is all that is left
            let Some((next, moved)) = better else {
                break;
            };
            (loss, weights) = (next, moved);
            let largest = step.iter().map(|s| (share * s).abs()).fold(0.0, f64::max);
            if largest < TOLERANCE {
                break;
            }
        }
        weights.iter().all(|w| w.is_finite()).then_some(weights)
    }

    /// Fits, and learns the penalty of each group of columns from the rows themselves, by the evidence for them
    /// (`MacKay` 1992, The evidence framework applied to classification networks): the weights of a group are taken for
    /// draws about 0 with the variance 1/penalty, which is γ/Σw², with γ the number of its weights that the rows
    /// determine. `groups` says which group each column is in, `penalties` what to begin with and, by `true`, which to
    /// learn. Nothing where nothing can be told apart, or when `keep_on` says so, which is asked before each round.
    pub(super) fn fit_by_evidence(
        &self,
        groups: &[usize],
        penalties: &[(f64, bool)],
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Option<Evidence> {
        let size = self.columns + 1;
        let places: Vec<usize> = (0..self.z.len()).collect();
        let mut found: Vec<f64> = penalties.iter().map(|&(penalty, _)| penalty).collect();
        let mut weights: Option<Vec<f64>> = None;
        let mut covariance = Vec::new();
        for _ in 0..MAX_ROUNDS {
            if !keep_on() {
                return None;
            }
            let columns: Vec<f64> = groups.iter().map(|&group| found[group]).collect();
            let fitted = self.fit(&places, &columns, weights.as_deref())?;
            let (mut system, _) = self.system(&places, &fitted, &columns);
            covariance = inverse(&mut system, size)?;
            let mut sums = vec![[0.0; 3]; found.len()];
            for (column, &group) in groups.iter().enumerate() {
                sums[group][0] += 1.0;
                sums[group][1] += covariance[column * size + column];
                sums[group][2] += fitted[column].powi(2);
            }
            weights = Some(fitted);
            let mut moved = 0.0_f64;
            for (group, &[count, spread, squares]) in sums.iter().enumerate() {
                if count > 0.0 && penalties[group].1 {
                    let before = found[group];
                    let determined = (count - before * spread).max(1e-3);
                    found[group] =
                        (determined / squares.max(1e-12)).clamp(PENALTIES.0, PENALTIES.1);
                    moved = moved.max((found[group] / before).ln().abs());
                }
            }
            if moved < SETTLED {
                break;
            }
        }
        Some(Evidence {
            weights: weights?,
            penalties: found,
            covariance,
        })
    }

    /// Where a feature of a row (its mark: 0) stands among the columns: of a part, or, without one, of everybody.
    fn column(&self, part: Option<usize>, place: usize) -> Option<usize> {
        let features = self.width() - 1;
        match (part, place) {
            (None, 0) => Some(self.columns),
            (None, _) => Some(place - 1),
            (Some(start), 0) => Some(start),
            (Some(start), _) => place
                .checked_sub(features - self.modifiers)
                .filter(|&behind| behind > 0)
                .map(|behind| start + behind),
        }
    }

    fn width(&self) -> usize {
        1 + self.z.first().map_or(0, Vec::len)
    }

    /// What the rows of an arm are made of: what everybody has, and its parts.
    fn made_of(&self, arm: usize) -> impl Iterator<Item = Option<usize>> + Clone {
        std::iter::once(None).chain(self.parts[arm].iter().copied().map(Some))
    }

    /// Of each arm, the weights of its mark and features, all parts together.
    fn by_arm(&self, weights: &[f64]) -> Vec<Vec<f64>> {
        let of = |arm: usize| {
            let sum = |place: usize| {
                let columns = self.made_of(arm);
                let columns = columns.filter_map(|part| self.column(part, place));
                columns.map(|column| weights[column]).sum()
            };
            (0..self.width()).map(sum).collect()
        };
        (0..self.parts.len()).map(of).collect()
    }

    fn loss(&self, places: &[usize], weights: &[f64], penalties: &[f64]) -> f64 {
        let arms = self.by_arm(weights);
        let rows = places.iter().map(|&place| {
            let sum = sum_of(&arms[self.arm[place]], &self.z[place]);
            // ln(1 + e^∓s), without overflow
            let against = if self.came[place] { -sum } else { sum };
            against.max(0.0) + (-against.abs()).exp().ln_1p()
        });
        let squares = weights.iter().zip(penalties).map(|(w, p)| p * w * w);
        rows.sum::<f64>() + squares.sum::<f64>() / 2.0
    }

    /// The matrix of second derivatives of the loss, and the way down.
    fn system(&self, places: &[usize], weights: &[f64], penalties: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (size, width) = (self.columns + 1, self.width());
        let arms = self.by_arm(weights);
        let mut curves = vec![vec![0.0; width * width]; arms.len()];
        let mut slopes = vec![vec![0.0; width]; arms.len()];
        let mut u = vec![1.0; width];
        for &place in places {
            let arm = self.arm[place];
            u[1..].copy_from_slice(&self.z[place]);
            let said = 1.0 / (1.0 + (-sum_of(&arms[arm], &self.z[place])).exp());
            let rest = f64::from(self.came[place]) - said;
            let spread = said * (1.0 - said);
            for (row, &of_row) in u.iter().enumerate() {
                slopes[arm][row] += rest * of_row;
                let line = &mut curves[arm][row * width..=row * width + row];
                for (sum, of_column) in line.iter_mut().zip(&u) {
                    *sum += spread * of_row * of_column;
                }
            }
        }
        let mut system = vec![0.0; size * size];
        let mut step = vec![0.0; size];
        for (arm, (curve, slope)) in curves.iter().zip(&slopes).enumerate() {
            for a in self.made_of(arm) {
                for (row, slope) in slope.iter().enumerate() {
                    let Some(at) = self.column(a, row) else {
                        continue;
                    };
                    step[at] += slope;
                    for b in self.made_of(arm) {
                        for column in 0..width {
                            if let Some(to) = self.column(b, column) {
                                let (low, high) = (row.min(column), row.max(column));
                                system[at * size + to] += curve[high * width + low];
                            }
                        }
                    }
                }
            }
        }
        for (column, weight) in weights.iter().enumerate() {
            let penalty = penalties.get(column).copied().unwrap_or(0.0);
            system[column * size + column] += penalty.max(LEAST_PENALTY);
            step[column] -= penalty * weight;
        }
        (system, step)
    }
}

fn sum_of(weights: &[f64], z: &[f64]) -> f64 {
    let features = z.iter().zip(&weights[1..]).map(|(z, w)| z * w);
    weights[0] + features.sum::<f64>()
}

/// The inverse of a symmetric matrix, which is overwritten; nothing if it is not positive definite.
fn inverse(matrix: &mut [f64], size: usize) -> Option<Vec<f64>> {
    factor(matrix, size)?;
    let mut inverse = vec![0.0; size * size];
    for (place, line) in inverse.chunks_exact_mut(size).enumerate() {
        line[place] = 1.0;
        solve(matrix, size, line);
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::algorithms::choice::number;
    use crate::algorithms::response::{FittedResponse, Kind, ResponseParams};

    const FEATURES: usize = 3;

    /// Rows of three arms, whose effect differs by the last `modifiers` features.
    struct Made {
        z: Vec<Vec<f64>>,
        arm: Vec<usize>,
        came: Vec<bool>,
        parts: Vec<Vec<usize>>,
    }

    impl Made {
        fn of(count: usize, modifiers: usize) -> Self {
            let draw = |row: usize, which: u64| number(row as u64 * 10 + which);
            let z: Vec<Vec<f64>> = (0..count)
                .map(|row| (0..3).map(|f| 2.0 * draw(row, f) - 1.0).collect())
                .collect();
            let arm: Vec<usize> = (0..count).map(|row| row % 3).collect();
            let came = (0..count)
                .map(|row| {
                    let works = [0.0, 0.8, -0.5][arm[row]] * z[row][2] - 0.7 + z[row][1];
                    draw(row, 5) < 1.0 / (1.0 + (-works).exp())
                })
                .collect();
            let part = |number: usize| FEATURES + number * (1 + modifiers);
            Self {
                z,
                arm,
                came,
                parts: vec![vec![], vec![part(0), part(1)], vec![part(0), part(2)]],
            }
        }

        fn rows(&self, modifiers: usize) -> NestedRows<'_> {
            NestedRows {
                z: &self.z,
                modifiers,
                arm: &self.arm,
                came: &self.came,
                parts: &self.parts,
                columns: FEATURES + 3 * (1 + modifiers),
            }
        }
    }

    #[test]
    fn it_fits_what_linfa_fits_on_the_dense_matrix() {
        let count = 3_000;
        for modifiers in [3, 1] {
            let made = Made::of(count, modifiers);
            let rows = made.rows(modifiers);
            let mut dense = Array2::<f64>::zeros((count, rows.columns));
            for row in 0..count {
                for part in rows.made_of(made.arm[row]) {
                    let marked = std::iter::once(1.0).chain(made.z[row].iter().copied());
                    for (place, of) in marked.enumerate() {
                        let column = rows.column(part, place).filter(|&c| c < rows.columns);
                        if let Some(column) = column {
                            dense[[row, column]] = of;
                        }
                    }
                }
            }
            let places: Vec<usize> = (0..count).collect();
            for l2 in [1.0, 30.0] {
                let own = rows.fit(&places, &vec![l2; rows.columns], None).unwrap();
                let outcomes: Vec<f64> = made.came.iter().map(|&came| f64::from(came)).collect();
                let params = ResponseParams {
                    l2,
                    max_iterations: 1_000,
                };
                let other = FittedResponse::fit(dense.clone(), &outcomes, Kind::Chance, &params);
                for row in 0..count {
                    let x = dense.row(row).to_vec();
                    let sum: f64 = x.iter().zip(&own).map(|(x, w)| x * w).sum();
                    let own = 1.0 / (1.0 + (-(sum + own[rows.columns])).exp());
                    let other = other.expect(&x);
                    assert!((own - other).abs() < 2e-3, "{row} {l2}: {own} {other}");
                }
            }
        }
    }

    #[test]
    fn what_the_rows_do_not_show_is_drawn_to_nothing_and_what_they_show_is_not() {
        let made = Made::of(6_000, 3);
        let rows = made.rows(3);
        // the features of everybody, those of all offers, and those of each offer
        let group = |column: usize| match column {
            0..FEATURES => 0,
            3..7 => 1,
            _ => 2,
        };
        let groups: Vec<usize> = (0..rows.columns).map(group).collect();
        let begin = [(10.0, true), (30.0, true), (30.0, true)];
        let found = rows.fit_by_evidence(&groups, &begin, &mut || true).unwrap();
        let [everybody, all, each] = found.penalties[..] else {
            panic!("three groups: {:?}", found.penalties);
        };
        assert!(
            each < 40.0 && all > 2.0 * each && everybody < 10.0,
            "{found:?}"
        );
        // the weight of an effect lies within what it may be off by: 0.8 for the first offer, about half of which all
        // offers have
        let size = rows.columns + 1;
        let (shared, own) = (FEATURES + 3, FEATURES + 4 + 3);
        let effect = found.weights[shared] + found.weights[own];
        let at = |a: usize, b: usize| found.covariance[a * size + b];
        let spread = (at(shared, shared) + at(own, own) + 2.0 * at(shared, own)).sqrt();
        assert!((effect - 0.8).abs() < 3.0 * spread, "{effect} ± {spread}");
        assert!((0.03..0.2).contains(&spread), "{spread}");
        assert_eq!(rows.fit_by_evidence(&groups, &begin, &mut || false), None);
        // what is not to be learned stays
        let kept = [(10.0, true), (30.0, true), (7.0, false)];
        let kept = rows.fit_by_evidence(&groups, &kept, &mut || true).unwrap();
        assert!((kept.penalties[2] - 7.0).abs() < 1e-12);
    }

    #[test]
    fn where_nothing_can_be_told_apart_there_is_nothing() {
        let z = vec![vec![1.0]; 4];
        let fit = |came: &[bool]| {
            let rows = NestedRows {
                z: &z,
                modifiers: 1,
                arm: &[0; 4],
                came,
                parts: &[vec![]],
                columns: 1,
            };
            rows.fit(&[0, 1, 2, 3], &[1.0], None)
        };
        assert_eq!((fit(&[true; 4]), fit(&[false; 4])), (None, None));
        let half = fit(&[true, true, false, false]).unwrap();
        assert!(half.iter().sum::<f64>().abs() < 1e-6, "{half:?}");
    }
}
