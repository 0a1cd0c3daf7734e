//! Local EASE: which products of a basket of interests make another one likely, in closed form.
//!
//! Steck 2019, "Embarrassingly shallow autoencoders for sparse data", and 2019, "Markov random fields for collaborative
//! filtering" (the sparse approximation with r = 0): for a target j the matrix of common buyers G is cut down to j and
//! the products that correlate most with it, and B_ij = −P_ij / P_jj with P = (G + λI)⁻¹.

/// The weights of `matrix`'s products 1, 2, … for its product 0: solves `(G + λI) p = e₀` by Cholesky and returns
/// −p_i / p_0. `matrix` is G, symmetric, row by row, `size` × `size`; `penalty` is λ, greater than zero. Returns
/// nothing if the matrix is not positive definite (counts from bounded memory need not fit together) or not finite.
#[must_use]
pub fn column(matrix: &mut [f64], size: usize, penalty: f64) -> Option<Vec<f64>> {
    debug_assert_eq!(matrix.len(), size * size, "a square matrix");
    for place in 0..size {
        matrix[place * size + place] += penalty;
    }
    // the target goes last: then forward substitution of e_last touches one row alone
    for k in 0..size {
        matrix.swap(k * size, k * size + size - 1);
    }
    for k in 0..size {
        matrix.swap(k, (size - 1) * size + k);
    }
    factor(matrix, size)?;
    let mut solution = vec![0.0; size];
    let last = size - 1;
    solution[last] = 1.0 / (matrix[last * size + last] * matrix[last * size + last]);
    for row in (0..last).rev() {
        let mut sum = 0.0;
        for below in row + 1..size {
            sum += matrix[below * size + row] * solution[below];
        }
        solution[row] = -sum / matrix[row * size + row];
    }
    let own = solution[last];
    if !(own > 0.0 && own.is_finite()) {
        return None;
    }
    // what stood in place 0 of the matrix now stands last, and the other way round
    solution.swap(0, last);
    let weights: Vec<f64> = solution[1..].iter().map(|p| -p / own).collect();
    weights
        .iter()
        .all(|weight| weight.is_finite())
        .then_some(weights)
}

/// Cholesky in place: the lower triangle becomes L with L·Lᵀ = matrix.
pub(super) fn factor(matrix: &mut [f64], size: usize) -> Option<()> {
    for row in 0..size {
        let (above, this) = matrix.split_at_mut(row * size);
        let this = &mut this[..size];
        for column in 0..row {
            let other = &above[column * size..column * size + column + 1];
            let dot = dot(&this[..column], &other[..column]);
            this[column] = (this[column] - dot) / other[column];
        }
        let rest = this[row] - dot(&this[..row], &this[..row]);
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        this[row] = rest.sqrt();
    }
    Some(())
}

/// Solves L·Lᵀ x = b for what [`factor`] made, in place of b.
pub(super) fn solve(factor: &[f64], size: usize, b: &mut [f64]) {
    for row in 0..size {
        let own = &factor[row * size..=row * size + row];
        let sum = dot(&own[..row], &b[..row]);
        b[row] = (b[row] - sum) / own[row];
    }
    for row in (0..size).rev() {
        let known = b[row] / factor[row * size + row];
        b[row] = known;
        for (above, weight) in b[..row].iter_mut().zip(&factor[row * size..]) {
            *above -= weight * known;
        }
    }
}

/// Four sums at a time: one alone would wait for itself.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gauss–Jordan, as it stands in every textbook.
    fn inverse(matrix: &[f64], n: usize) -> Vec<f64> {
        let mut a = matrix.to_vec();
        let mut inverse: Vec<f64> = (0..n * n)
            .map(|i| f64::from(u8::from(i / n == i % n)))
            .collect();
        for k in 0..n {
            let pivot = a[k * n + k];
            for c in 0..n {
                a[k * n + c] /= pivot;
                inverse[k * n + c] /= pivot;
            }
            for r in (0..n).filter(|&r| r != k) {
                let by = a[r * n + k];
                for c in 0..n {
                    a[r * n + c] -= by * a[k * n + c];
                    inverse[r * n + c] -= by * inverse[k * n + c];
                }
            }
        }
        inverse
    }

    #[test]
    fn weights_are_those_of_the_inverse() {
        // common buyers of 11 products by 40 made-up customers
        let n = 11;
        let owns = |customer: usize, product: usize| (customer * 7 + product * product * 3) % 5 < 2;
        let mut gram = vec![0.0; n * n];
        for customer in 0..40 {
            for a in (0..n).filter(|&a| owns(customer, a)) {
                for b in (0..n).filter(|&b| owns(customer, b)) {
                    gram[a * n + b] += 1.0;
                }
            }
        }
        let mut ridge = gram.clone();
        for i in 0..n {
            ridge[i * n + i] += 3.0;
        }
        let p = inverse(&ridge, n);
        let weights = column(&mut gram, n, 3.0).unwrap();
        assert_eq!(weights.len(), n - 1);
        for i in 1..n {
            let expected = -p[i * n] / p[0];
            assert!(
                (weights[i - 1] - expected).abs() < 1e-9,
                "{i}: {} {expected}",
                weights[i - 1]
            );
        }
    }

    #[test]
    fn what_is_no_matrix_of_counts_gives_nothing() {
        assert_eq!(column(&mut [0.0, 10.0, 10.0, 0.0], 2, 1.0), None);
        assert_eq!(column(&mut [f64::NAN], 1, 1.0), None);
        assert_eq!(column(&mut [5.0], 1, 1.0), Some(vec![]));
    }
}
