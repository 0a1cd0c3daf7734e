//! Personas: kinds of customers that differ in what was measured of them, found by k-means (linfa-clustering).
//!
//! What is measured of a customer is a mean of few observations, and much of it is chance. So each measure is drawn to
//! the shop's mean by its credibility (Bühlmann and Straub 1970), and weighs in distances as much as it can be relied
//! on; and the measures of one group (categories, times, …) together weigh as much as those of any other. With z the
//! standardised measures, persona j of a customer is the centroid with the smallest distance d_j, and
//!
//! ```text
//! share of persona j = d_j^-2 / Σ_l d_l^-2        (fuzzy c-means with m = 2, Bezdek 1981)
//! ```

use linfa::DatasetBase;
use linfa::traits::Fit as _;
use linfa_clustering::KMeans;
use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

use super::folds::shuffled;

pub mod agreement;
pub mod choice;
pub mod credibility;
pub mod matching;
pub mod traits;

pub use self::agreement::adjusted_rand_index;
pub use self::choice::{Choice, silhouette};
pub use self::credibility::{Credibility, Measure};
pub use self::matching::Matched;
pub use self::traits::{Trait, named};

/// The most columns.
pub const MAX_COLUMNS: usize = 128;
/// Standardised measures are kept within so many deviations: nobody is a persona of their own.
const MAX_DEVIATIONS: f64 = 3.0;
/// So much of the shop's mean is added to a rate, so that it has a logarithm.
pub const RATE_FLOOR: f64 = 0.1;
/// How often each k-means begins anew; the best is taken.
const RUNS: usize = 4;
/// A run ends after so many steps, or when the centroids move by less than this.
const ITERATIONS: u64 = 100;
const TOLERANCE: f64 = 1e-4;

/// How a measure is made even before distances are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// As it is.
    Plain,
    /// ln(x + [`RATE_FLOOR`]·mean): a rate, which is skewed.
    Rate,
    /// √x: a share.
    Share,
    /// √x of one part of a whole whose parts are a group (Hellinger distance): parts keep their sizes to each other.
    Part,
}

/// One measure of a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name: `orders_per_month`, `share:Phones`, ….
    pub name: String,
    /// The group it weighs with.
    pub group: String,
    /// How it is made even.
    pub scale: Scale,
    /// The variance of one observation where theory says it; absent: it is estimated.
    pub noise: Option<f64>,
    /// Values for people are e to the power of the mean: it is a mean of logarithms.
    pub is_log: bool,
    /// Who those are who have much of it, as the name of a persona; and those who have little.
    pub who: [String; 2],
    /// What sets those apart who have much of it, and those who have little.
    pub words: [String; 2],
}

/// How to find personas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PersonaParams {
    /// The fewest personas that are tried.
    pub min_k: usize,
    /// The most that are tried.
    pub max_k: usize,
    /// Decides everything that is drawn.
    pub seed: u64,
}

impl Default for PersonaParams {
    fn default() -> Self {
        Self {
            min_k: 2,
            max_k: 8,
            seed: 7,
        }
    }
}

/// Parameters that can be true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidPersonaParams(PersonaParams);

/// Why there are no personas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonaError {
    /// A parameter outside its range.
    #[error("{0}")]
    Params(&'static str),
    /// Too few customers, or too many columns, or rows of another length.
    #[error("{0}")]
    Rows(String),
    /// linfa could not.
    #[error("k-means: {0}")]
    Solver(String),
}

impl PersonaParams {
    /// Checks.
    ///
    /// # Errors
    /// [`PersonaError::Params`].
    pub fn check(self) -> Result<ValidPersonaParams, PersonaError> {
        if self.min_k < 2 {
            return Err(PersonaError::Params("min_k must be at least 2"));
        }
        if self.max_k < self.min_k || self.max_k > 32 {
            return Err(PersonaError::Params("max_k must be from min_k to 32"));
        }
        Ok(ValidPersonaParams(self))
    }
}

/// What makes measures comparable: learned from all rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Space {
    columns: Vec<Column>,
    credibility: Vec<Credibility>,
    /// Mean and deviation of what is made even, by column.
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// What a deviation weighs, by column.
    weights: Vec<f64>,
}

/// A persona.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Persona {
    /// Stays with it over trainings.
    pub id: String,
    /// Of what set it apart when it was found.
    pub name: String,
    /// In a sentence.
    pub description: String,
    /// What sets it apart, the most telling first.
    pub traits: Vec<Trait>,
    /// Its centre, evened and standardised, without weights.
    pub centre: Vec<f64>,
    /// Customers it was made of.
    pub size: u64,
}

/// Personas that were found; the largest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedPersonas {
    space: Space,
    personas: Vec<Persona>,
    /// The number of the next id that is new.
    next_id: u32,
}

/// Which persona a customer is, and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Membership {
    /// The nearest, by its place in [`FittedPersonas::personas`].
    pub best: usize,
    /// How much of each they are; they add up to 1.
    pub shares: Vec<f64>,
}

impl Space {
    /// Learns it. Each row has a measure for each column.
    fn fit(columns: Vec<Column>, rows: &[Vec<Measure>]) -> Self {
        let column = |place: usize| rows.iter().map(move |row| row[place]);
        let credibility: Vec<Credibility> = columns
            .iter()
            .enumerate()
            .map(|(place, about)| Credibility::of(column(place), about.noise))
            .collect();
        let mut space = Self {
            means: vec![0.0; columns.len()],
            deviations: vec![1.0; columns.len()],
            weights: vec![0.0; columns.len()],
            credibility,
            columns,
        };
        let count = rows.len() as f64;
        for place in 0..space.columns.len() {
            let even = || column(place).map(|measure| space.even(place, measure));
            let mean = even().sum::<f64>() / count;
            let variance = even().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            space.means[place] = mean;
            space.deviations[place] = variance.sqrt();
        }
        space.weigh();
        space
    }

    /// What a deviation of each column weighs. Parts of a whole keep their sizes to each other: what hardly anybody
    /// buys
    /// is not blown up.
    fn weigh(&mut self) {
        let importance = |place: usize| {
            let varies = self.deviations[place] > 1e-9;
            let spread = match self.columns[place].scale {
                Scale::Part => self.deviations[place],
                _ => 1.0,
            };
            let reliability = self.credibility[place].reliability;
            if varies {
                (spread.powi(2), reliability)
            } else {
                (0.0, 0.0)
            }
        };
        let all: Vec<(f64, f64)> = (0..self.columns.len()).map(importance).collect();
        self.weights = (0..self.columns.len())
            .map(|place| {
                let group = &self.columns[place].group;
                let own = (0..all.len()).filter(|&other| self.columns[other].group == *group);
                let whole: f64 = own.map(|other| all[other].0).sum();
                let (spread, reliability) = all[place];
                if whole > 0.0 {
                    (reliability * spread / whole).sqrt()
                } else {
                    0.0
                }
            })
            .collect();
    }

    fn even(&self, place: usize, measure: Measure) -> f64 {
        let credibility = &self.credibility[place];
        let value = credibility.value(measure);
        match self.columns[place].scale {
            Scale::Plain => value,
            Scale::Rate => (value.max(0.0) + self.rate_floor(place)).ln(),
            Scale::Share | Scale::Part => value.max(0.0).sqrt(),
        }
    }

    /// What is added to a rate, so that it has a logarithm.
    fn rate_floor(&self, place: usize) -> f64 {
        RATE_FLOOR * self.credibility[place].mean.max(1e-9)
    }

    /// Evened and standardised, without weights.
    fn standardised(&self, row: &[Measure]) -> Vec<f64> {
        let all = row.iter().enumerate().map(|(place, &measure)| {
            let deviation = self.deviations[place];
            if deviation > 1e-9 {
                let z = (self.even(place, measure) - self.means[place]) / deviation;
                z.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
            } else {
                0.0
            }
        });
        all.collect()
    }

    fn weighted(&self, z: &[f64]) -> Vec<f64> {
        z.iter().zip(&self.weights).map(|(z, w)| z * w).collect()
    }
}

impl ValidPersonaParams {
    /// Finds personas among customers: a row of measures each. Deterministic by the seed.
    ///
    /// # Errors
    /// [`PersonaError::Rows`], [`PersonaError::Solver`].
    pub fn fit(
        &self,
        columns: Vec<Column>,
        rows: &[Vec<Measure>],
    ) -> Result<(FittedPersonas, Choice), PersonaError> {
        let PersonaParams { min_k, max_k, seed } = self.0;
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            let count = columns.len();
            let reason = format!("{count} columns; there must be from 1 to {MAX_COLUMNS}");
            return Err(PersonaError::Rows(reason));
        }
        if rows.len() < choice::MIN_ROWS {
            let (count, least) = (rows.len(), choice::MIN_ROWS);
            let reason = format!("{count} customers; at least {least} are needed");
            return Err(PersonaError::Rows(reason));
        }
        if rows.iter().any(|row| row.len() != columns.len()) {
            let reason = "a row has another number of measures than there are columns";
            return Err(PersonaError::Rows(reason.to_owned()));
        }
        let space = Space::fit(columns, rows);
        let z: Vec<Vec<f64>> = rows.iter().map(|row| space.standardised(row)).collect();
        let x = matrix(&z, &space);
        let choice = choice::choose(&x, min_k..=max_k, seed)?;
        let centroids = cluster(&x, choice.k, seed)?;
        let assigned = assign(&x, &centroids);
        let mut personas: Vec<Persona> = (0..choice.k)
            .map(|place| {
                let own = || assigned.iter().zip(&z).filter(|&(&to, _)| to == place);
                let size = own().count();
                let centre = (0..space.columns.len())
                    .map(|column| own().map(|(_, z)| z[column]).sum::<f64>() / size.max(1) as f64);
                Persona {
                    id: String::new(),
                    name: String::new(),
                    description: String::new(),
                    traits: Vec::new(),
                    centre: centre.collect(),
                    size: size as u64,
                }
            })
            .collect();
        personas.retain(|persona| persona.size > 0);
        personas.sort_by_key(|persona| std::cmp::Reverse(persona.size));
        for persona in &mut personas {
            persona.traits = traits::of(&space, persona);
        }
        let mut fitted = FittedPersonas {
            space,
            personas,
            next_id: 1,
        };
        fitted.name();
        Ok((fitted, choice))
    }
}

impl FittedPersonas {
    /// The personas, the largest of its training first.
    #[must_use]
    pub fn personas(&self) -> &[Persona] {
        &self.personas
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.space.columns
    }

    /// Which persona somebody is of whom this was measured; nothing if these are measures of other columns.
    #[must_use]
    pub fn membership(&self, row: &[Measure]) -> Option<Membership> {
        if row.len() != self.space.columns.len() || self.personas.is_empty() {
            return None;
        }
        let z = self.space.standardised(row);
        let far = |persona: &Persona| -> f64 {
            let both = z.iter().zip(&persona.centre).zip(&self.space.weights);
            both.map(|((a, b), w)| (w * (a - b)).powi(2)).sum()
        };
        let distances: Vec<f64> = self.personas.iter().map(far).collect();
        let best = (0..distances.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b]))?;
        // somebody right at a centre is that persona alone
        let near = distances.iter().map(|d| 1.0 / d.max(1e-12));
        let near: Vec<f64> = near.collect();
        let all: f64 = near.iter().sum();
        let shares = near.iter().map(|near| near / all).collect();
        Some(Membership { best, shares })
    }
}

fn matrix(z: &[Vec<f64>], space: &Space) -> Array2<f64> {
    let columns = space.columns.len();
    let mut x = Array2::zeros((z.len(), columns));
    for (row, mut out) in z.iter().zip(x.rows_mut()) {
        for (to, number) in out.iter_mut().zip(space.weighted(row)) {
            *to = number;
        }
    }
    x
}

/// The centroids of `k` clusters.
fn cluster(x: &Array2<f64>, k: usize, seed: u64) -> Result<Array2<f64>, PersonaError> {
    // linfa draws the same places every time: the order of the rows decides who stands there
    let x = x.select(Axis(0), &shuffled(x.nrows(), seed));
    let fitted = KMeans::params(k)
        .n_runs(RUNS)
        .max_n_iterations(ITERATIONS)
        .tolerance(TOLERANCE)
        .fit(&DatasetBase::from(x.view()))
        .map_err(|error| PersonaError::Solver(error.to_string()))?;
    Ok(fitted.centroids().clone())
}

/// The nearest centroid of each row.
fn assign(x: &Array2<f64>, centroids: &Array2<f64>) -> Vec<usize> {
    let nearest = |row: ArrayView1<'_, f64>| {
        let mut best = (0, f64::INFINITY);
        for (place, centroid) in centroids.axis_iter(Axis(0)).enumerate() {
            let distance = squared(row, centroid);
            if distance < best.1 {
                best = (place, distance);
            }
        }
        best.0
    };
    x.axis_iter(Axis(0)).map(nearest).collect()
}

fn squared(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests;
