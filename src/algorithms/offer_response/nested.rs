//! Logistic regression over nested arms, exact and quick: Newton's method on the penalised likelihood.
//!
//! A row has few of the columns: the features, and once more those of its offer, of its kind and of all offers. All
//! rows of an arm have the same ones, so of each arm only Σ p(1−p)·u·uᵀ and Σ (y−p)·u over its rows are needed, with
//! u = (1, features); the system of all columns is put together from these. linfa's logistic regression takes dense
//! matrices alone, 420 columns wide: in the memory of 100,000 rows here it holds a few thousand. It fits the same (a
//! test compares both).

use crate::algorithms::ease::{factor, solve};
use crate::algorithms::response::FittedResponse;

/// Newton's method ends where no weight moves more, …
const TOLERANCE: f64 = 1e-6;
/// … or after so many steps.
const MAX_STEPS: usize = 40;
/// A step that leads upwards is halved at most so often.
const MAX_HALVINGS: usize = 20;
/// The bias has no penalty but this, so that there is one solution.
const LEAST_PENALTY: f64 = 1e-9;

/// A part of the columns: a mark and all features, each times `weight`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// Where its mark stands; absent: it is the bias, and the features stand at 0.
    pub(super) start: Option<usize>,
    /// By how much the part counts.
    pub(super) weight: f64,
}

/// Rows to fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct NestedRows<'a> {
    /// The features of each row; as many in every one.
    pub(super) z: &'a [Vec<f64>],
    /// The arm of each row.
    pub(super) arm: &'a [usize],
    /// What came of each.
    pub(super) came: &'a [bool],
    /// The parts of each arm.
    pub(super) blocks: &'a [Vec<Block>],
    /// Columns in all, without the bias.
    pub(super) columns: usize,
}

impl NestedRows<'_> {
    /// Fits the rows at `places`: the weights that minimise −log-likelihood + `l2`/2 · Σ w², the bias free. The mean
    /// where nothing can be told apart.
    pub(super) fn fit(&self, places: &[usize], l2: f64) -> FittedResponse {
        let came = places.iter().filter(|&&place| self.came[place]).count();
        let mean = came as f64 / places.len().max(1) as f64;
        let weights = match came {
            0 => None,
            _ if came == places.len() => None,
            _ => self.newton(places, l2, mean),
        };
        weights.map_or_else(
            || FittedResponse::mean(mean, self.columns),
            |mut weights| {
                let bias = weights.pop().unwrap_or_default();
                FittedResponse::logistic(weights, bias)
            },
        )
    }

    /// The weights, the bias last.
    fn newton(&self, places: &[usize], l2: f64, mean: f64) -> Option<Vec<f64>> {
        let size = self.columns + 1;
        let mut weights = vec![0.0; size];
        weights[self.columns] = (mean / (1.0 - mean)).ln();
        let mut loss = self.loss(places, &weights, l2);
        for _ in 0..MAX_STEPS {
            let (mut system, mut step) = self.system(places, &weights);
            for (column, weight) in weights.iter().enumerate() {
                let penalty = if column < self.columns { l2 } else { 0.0 };
                system[column * size + column] += penalty.max(LEAST_PENALTY);
                step[column] -= penalty * weight;
            }
            factor(&mut system, size)?;
            solve(&system, size, &mut step);
            let mut share = 1.0;
            let mut better = None;
            for _ in 0..MAX_HALVINGS {
                let moved = weights.iter().zip(&step).map(|(w, s)| w + share * s);
                let moved: Vec<f64> = moved.collect();
                let next = self.loss(places, &moved, l2);
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

    /// The column of a block's mark (0) and features (1, 2, …).
    fn column(&self, block: Block, place: usize) -> usize {
        match (block.start, place) {
            (Some(start), _) => start + place,
            (None, 0) => self.columns,
            (None, _) => place - 1,
        }
    }

    fn width(&self) -> usize {
        1 + self.z.first().map_or(0, Vec::len)
    }

    /// Of each arm, the weights of its mark and features, all parts together.
    fn by_arm(&self, weights: &[f64]) -> Vec<Vec<f64>> {
        let of = |blocks: &Vec<Block>| {
            let sum = |place: usize| {
                let parts = blocks
                    .iter()
                    .map(|block| block.weight * weights[self.column(*block, place)]);
                parts.sum()
            };
            (0..self.width()).map(sum).collect()
        };
        self.blocks.iter().map(of).collect()
    }

    fn loss(&self, places: &[usize], weights: &[f64], l2: f64) -> f64 {
        let arms = self.by_arm(weights);
        let rows = places.iter().map(|&place| {
            let sum = sum_of(&arms[self.arm[place]], &self.z[place]);
            // ln(1 + e^∓s), without overflow
            let against = if self.came[place] { -sum } else { sum };
            against.max(0.0) + (-against.abs()).exp().ln_1p()
        });
        let squares = weights[..self.columns].iter().map(|w| w * w);
        rows.sum::<f64>() + l2 / 2.0 * squares.sum::<f64>()
    }

    /// The matrix of second derivatives of the loss, without penalties, and the way down.
    fn system(&self, places: &[usize], weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
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
        for ((blocks, curve), slope) in self.blocks.iter().zip(&curves).zip(&slopes) {
            for a in blocks {
                for (row, slope) in slope.iter().enumerate() {
                    let at = self.column(*a, row);
                    step[at] += a.weight * slope;
                    for b in blocks {
                        for column in 0..width {
                            let (low, high) = (row.min(column), row.max(column));
                            let to = self.column(*b, column);
                            system[at * size + to] +=
                                a.weight * b.weight * curve[high * width + low];
                        }
                    }
                }
            }
        }
        (system, step)
    }
}

fn sum_of(weights: &[f64], z: &[f64]) -> f64 {
    let features = z.iter().zip(&weights[1..]).map(|(z, w)| z * w);
    weights[0] + features.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::algorithms::choice::number;
    use crate::algorithms::response::{Kind, ResponseParams};

    #[test]
    fn it_fits_what_linfa_fits_on_the_dense_matrix() {
        let (features, count) = (3, 3_000);
        let draw = |row: usize, which: u64| number(row as u64 * 10 + which);
        let z: Vec<Vec<f64>> = (0..count)
            .map(|row| (0..features).map(|f| 2.0 * draw(row, f) - 1.0).collect())
            .collect();
        let arm: Vec<usize> = (0..count).map(|row| row % 3).collect();
        let came: Vec<bool> = (0..count)
            .map(|row| {
                let works = [0.0, 0.8, -0.5][arm[row]] * z[row][0] - 0.7 + z[row][1];
                draw(row, 5) < 1.0 / (1.0 + (-works).exp())
            })
            .collect();
        let base = Block {
            start: None,
            weight: 1.0,
        };
        let block = |start: usize, weight: f64| Block {
            start: Some(start),
            weight,
        };
        let blocks = vec![
            vec![base],
            vec![base, block(3, 1.0), block(7, 0.7)],
            vec![base, block(3, 1.0), block(11, 0.7)],
        ];
        let rows = NestedRows {
            z: &z,
            arm: &arm,
            came: &came,
            blocks: &blocks,
            columns: 15,
        };
        let mut dense = Array2::<f64>::zeros((count, 15));
        for row in 0..count {
            for block in &blocks[arm[row]] {
                for (place, of) in std::iter::once(1.0)
                    .chain(z[row].iter().copied())
                    .enumerate()
                {
                    let column = rows.column(*block, place);
                    if column < 15 {
                        dense[[row, column]] = block.weight * of;
                    }
                }
            }
        }
        let places: Vec<usize> = (0..count).collect();
        for l2 in [1.0, 30.0] {
            let own = rows.fit(&places, l2);
            let outcomes: Vec<f64> = came.iter().map(|&came| f64::from(came)).collect();
            let params = ResponseParams {
                l2,
                max_iterations: 1_000,
            };
            let other = FittedResponse::fit(dense.clone(), &outcomes, Kind::Chance, &params);
            for row in 0..count {
                let x = dense.row(row).to_vec();
                let (own, other) = (own.expect(&x), other.expect(&x));
                assert!((own - other).abs() < 2e-3, "{row} {l2}: {own} {other}");
            }
        }
    }

    #[test]
    fn where_nothing_can_be_told_apart_it_is_the_mean() {
        let z = vec![vec![1.0]; 4];
        let rows = |came: &'static [bool]| {
            let blocks = vec![vec![Block {
                start: None,
                weight: 1.0,
            }]];
            let rows = NestedRows {
                z: &z,
                arm: &[0; 4],
                came,
                blocks: &blocks,
                columns: 1,
            };
            rows.fit(&[0, 1, 2, 3], 1.0)
        };
        assert!(rows(&[true; 4]).is_mean() && rows(&[false; 4]).is_mean());
        let half = rows(&[true, true, false, false]);
        assert!((half.expect(&[1.0]) - 0.5).abs() < 1e-6);
    }
}
