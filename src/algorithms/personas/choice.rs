//! How many personas there are: as many as are found again in other customers (prediction strength, Tibshirani and
//! Walther 2005).
//!
//! The customers are divided in two at random. Both halves are clustered into k. Of each cluster of the second half it
//! is asked how many of its pairs are also together by the centroids of the first; the worst cluster counts, and the
//! mean over several divisions is the prediction strength of k. The largest k whose strength reaches [`MIN_STRENGTH`],
//! with its standard error over the divisions added as in the paper, is taken; if none does, the one with the highest.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

use ndarray::{Array2, ArrayView1, Axis};

use super::{PersonaError, assign, cluster, squared};
use crate::algorithms::folds::shuffled as order;

/// What "found again" means: the strict end of what the paper recommends (0.8 to 0.9), because personas have names and
/// are to be the same after the next training.
pub const MIN_STRENGTH: f64 = 0.9;
/// The fewest customers.
pub const MIN_ROWS: usize = 60;
/// The smallest persona, as a share of the customers.
pub const MIN_SHARE: f64 = 0.03;
/// So many random divisions.
const DIVISIONS: u64 = 10;
/// At most so many customers are asked for a choice; which ones is drawn.
const SAMPLE: usize = 4_000;
/// At most so many customers are asked for a silhouette.
const SILHOUETTE_SAMPLE: usize = 1_500;

/// How many personas, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// How many.
    pub k: usize,
    /// By k: how many, the prediction strength, the mean silhouette, and the share of the smallest persona.
    pub tried: Vec<Tried>,
    /// The mean silhouette of this k.
    pub silhouette: f64,
    /// The same where each column is shuffled by itself: what k-means finds where there is nothing.
    pub shuffled_silhouette: f64,
    /// The share of the smallest persona.
    pub smallest_share: f64,
}

/// One number of personas that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// How many.
    pub k: usize,
    /// The prediction strength, from 0 to 1.
    pub strength: f64,
    /// Its standard error over the divisions.
    pub error: f64,
    /// The mean silhouette.
    pub silhouette: f64,
    /// The share of the smallest.
    pub smallest_share: f64,
}

pub(super) fn choose(
    x: &Array2<f64>,
    ks: RangeInclusive<usize>,
    seed: u64,
) -> Result<Choice, PersonaError> {
    let x = sample(x, SAMPLE, seed);
    let mut tried = Vec::new();
    for k in ks {
        let centroids = cluster(&x, k, seed)?;
        let assigned = assign(&x, &centroids);
        let (strength, error) = strength(&x, k, seed)?;
        tried.push(Tried {
            k,
            strength,
            error,
            silhouette: silhouette(&x, &assigned, k, seed),
            smallest_share: smallest(&assigned, k),
        });
    }
    let is_fit = |tried: &&Tried| {
        tried.strength + tried.error >= MIN_STRENGTH && tried.smallest_share >= MIN_SHARE
    };
    let best = tried.iter().rev().find(is_fit).or_else(|| {
        let by_strength = |a: &&Tried, b: &&Tried| a.strength.total_cmp(&b.strength);
        tried.iter().max_by(by_strength)
    });
    let Some(&Tried {
        k,
        silhouette: own,
        smallest_share,
        ..
    }) = best
    else {
        return Err(PersonaError::Params("no number of personas to try"));
    };
    let shuffled = columns_shuffled(&x, seed);
    let centroids = cluster(&shuffled, k, seed)?;
    let assigned = assign(&shuffled, &centroids);
    Ok(Choice {
        k,
        silhouette: own,
        shuffled_silhouette: silhouette(&shuffled, &assigned, k, seed),
        smallest_share,
        tried,
    })
}

/// The prediction strength and its standard error.
fn strength(x: &Array2<f64>, k: usize, seed: u64) -> Result<(f64, f64), PersonaError> {
    let (mut sum, mut squares) = (0.0, 0.0);
    for division in 0..DIVISIONS {
        let order = order(
            x.nrows(),
            seed ^ (division + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        let (first, second) = order.split_at(order.len() / 2);
        let (first, second) = (x.select(Axis(0), first), x.select(Axis(0), second));
        let own = assign(&second, &cluster(&second, k, seed)?);
        let others = assign(&second, &cluster(&first, k, seed)?);
        let mut table = vec![vec![0.0f64; k]; k];
        for (&a, &b) in own.iter().zip(&others) {
            table[a][b] += 1.0;
        }
        let pairs = |count: f64| count * (count - 1.0);
        let found = table.iter().filter_map(|row| {
            let all: f64 = row.iter().sum();
            let together: f64 = row.iter().map(|&count| pairs(count)).sum();
            (all > 1.0).then(|| together / pairs(all))
        });
        let worst = found.fold(1.0, f64::min);
        sum += worst;
        squares += worst * worst;
    }
    let count = DIVISIONS as f64;
    let mean = sum / count;
    let variance = (squares / count - mean * mean).max(0.0) * count / (count - 1.0);
    Ok((mean, (variance / count).sqrt()))
}

/// The mean silhouette (Rousseeuw 1987) of the rows, or of a sample: (b − a) / max(a, b), with a the mean distance to
/// those of the own cluster and b that to the nearest other; 0 for somebody alone.
#[must_use]
pub fn silhouette(x: &Array2<f64>, assigned: &[usize], k: usize, seed: u64) -> f64 {
    let mut places = order(x.nrows(), seed);
    places.truncate(SILHOUETTE_SAMPLE);
    let mut sum = 0.0;
    for &place in &places {
        let mut far = vec![(0.0f64, 0.0f64); k];
        for &other in places.iter().filter(|&&other| other != place) {
            let to = &mut far[assigned[other]];
            to.0 += squared(x.row(place), x.row(other)).sqrt();
            to.1 += 1.0;
        }
        let mean = |&(sum, count): &(f64, f64)| (count > 0.0).then(|| sum / count);
        let own = mean(&far[assigned[place]]);
        let others = far
            .iter()
            .enumerate()
            .filter(|&(to, _)| to != assigned[place]);
        let nearest = others
            .filter_map(|(_, far)| mean(far))
            .fold(f64::INFINITY, f64::min);
        if let Some(own) = own.filter(|_| nearest.is_finite()) {
            sum += (nearest - own) / own.max(nearest).max(1e-12);
        }
    }
    sum / places.len().max(1) as f64
}

fn smallest(assigned: &[usize], k: usize) -> f64 {
    let mut sizes = vec![0usize; k];
    assigned.iter().for_each(|&to| sizes[to] += 1);
    sizes.into_iter().min().unwrap_or(0) as f64 / assigned.len().max(1) as f64
}

/// Each column in an order of its own.
fn columns_shuffled(x: &Array2<f64>, seed: u64) -> Array2<f64> {
    let mut out = x.clone();
    for (number, mut column) in out.axis_iter_mut(Axis(1)).enumerate() {
        let order = order(x.nrows(), seed.wrapping_add(number as u64 + 1));
        let from: ArrayView1<'_, f64> = x.column(number);
        for (to, place) in column.iter_mut().zip(order) {
            *to = from[place];
        }
    }
    out
}

fn sample(x: &Array2<f64>, most: usize, seed: u64) -> Array2<f64> {
    if x.nrows() <= most {
        return x.clone();
    }
    let mut places = order(x.nrows(), seed);
    places.truncate(most);
    places.sort_unstable();
    x.select(Axis(0), &places)
}
