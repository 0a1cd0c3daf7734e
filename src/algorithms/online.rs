//! The online ranker: what outcomes of answers say of the sources beyond what the batch model believes (linfa-ftrl).
//!
//! FTRL-proximal (McMahan et al. 2013), one step an example, in two parts that learn from the same examples:
//!
//! * the **plain** part calibrates the batch model: a constant, its log-odds, the place in the answer, the stage, the
//!   placement. Nothing of it differs between the candidates of one question but what the model knows already;
//! * the **order** part learns what the plain part leaves over, from what may order candidates anew: the source, the
//!   source in this stage, the source at this placement.
//!
//! The order part serves only while its predictions, made before each example was learned, have been better than those
//! of the plain part alone (prequential log-loss with fading: Gama, Sebastião and Rodrigues 2013).
//!
//! An impression is a negative example at once; when something becomes of it, a positive one follows (fake negatives,
//! Ktena et al. 2019, section 3). So nothing waits for outcomes, and the model predicts b = p / (1 + p) for a true
//! probability p: p = b / (1 − b), and the log-odds of b are the logarithm of p.

pub mod offers;

use linfa::Dataset;
use linfa::dataset::Pr;
use linfa_ftrl::Ftrl;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::algorithms::draw::mix;
use crate::domain::Origin;
use crate::domain::attribution::Shown;

/// The order part has no influence before so many impressions.
pub const MIN_IMPRESSIONS: u64 = 500;
/// The order part moves a candidate by no more than this, in log-odds, up or down.
pub const MOST: f64 = 1.0;
/// The gain must be so many of its standard errors,
const MIN_ERRORS: f64 = 2.0;
/// and this share of the plain part's loss.
const MIN_GAIN: f64 = 0.001;
/// How much of the past counts after one more example: the last 5,000 examples or so.
const FADING: f64 = 1.0 - 1.0 / 5_000.0;

const RANKS: usize = 8;
const STAGES: usize = 8;
const PLACEMENTS: usize = 8;
const CROSSED: usize = 16;

// columns of the plain part
const CONSTANT: usize = 0;
const BASE: usize = 1;
const NO_BASE: usize = 2;
const RANK: usize = 3;
const STAGE: usize = RANK + RANKS;
const PLACEMENT: usize = STAGE + STAGES;
const PLAIN: usize = PLACEMENT + PLACEMENTS;
// columns of the order part
const ORIGIN_IN_STAGE: usize = Origin::COUNT;
const ORIGIN_AT_PLACEMENT: usize = ORIGIN_IN_STAGE + CROSSED;
const ORDER: usize = ORIGIN_AT_PLACEMENT + CROSSED;

/// Log-odds of the batch model are cut here, and divided by this where they are a feature.
const BASE_LIMIT: f64 = 8.0;

/// Where an answer was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Hash of the stage's name.
    pub stage: u32,
    /// Hash of the placement's name.
    pub placement: u32,
}

/// One part: linfa's FTRL-proximal, one example at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    model: Ftrl<f64>,
}

/// [`Ftrl`] as its serde form has it. Its own constructor draws `z` at random.
#[derive(Serialize)]
struct Blank {
    alpha: f64,
    beta: f64,
    l1_ratio: f64,
    l2_ratio: f64,
    z: Array1<f64>,
    n: Array1<f64>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.model.z() == other.model.z() && self.model.n() == other.model.n()
    }
}

impl Part {
    /// All weights 0. `alpha` is the rate of learning, `l1` how much evidence a weight needs to be another than 0.
    fn new(columns: usize, alpha: f64, l1: f64) -> Self {
        let blank = Blank {
            alpha,
            beta: 1.0,
            l1_ratio: l1,
            l2_ratio: 1.0,
            z: Array1::zeros(columns),
            n: Array1::zeros(columns),
        };
        let bytes = postcard::to_stdvec(&blank).expect("postcard writes numbers");
        let model = postcard::from_bytes(&bytes).expect("the same fields in the same order");
        Self { model }
    }

    /// The weight of one column, as [`Ftrl::get_weights`] works out all of them.
    fn weight(&self, column: usize) -> f64 {
        let (z, n, model) = (self.model.z()[column], self.model.n()[column], &self.model);
        if z.abs() <= model.l1_ratio() {
            return 0.0;
        }
        let rate = (n.sqrt() + model.beta()) / model.alpha() + model.l2_ratio();
        (z.signum() * model.l1_ratio() - z) / rate
    }

    fn score(&self, row: &[(usize, f64)]) -> f64 {
        row.iter()
            .map(|&(column, value)| self.weight(column) * value)
            .sum()
    }

    /// One step, for an example that was predicted with `probability`.
    fn learn(&mut self, row: &[(usize, f64)], probability: f64, label: bool) {
        let mut x = Array2::zeros((1, self.model.z().len()));
        for &(column, value) in row {
            x[(0, column)] = value;
        }
        let dataset = Dataset::new(x, Array1::from_elem(1, label));
        let probabilities = Array1::from_elem(1, Pr::new(probability as f32));
        self.model.update(&dataset, probabilities.view());
    }
}

/// Sums that fade with every example.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Prequential {
    weight: f64,
    squared_weight: f64,
    plain_loss: f64,
    gain: f64,
    squared_gain: f64,
}

impl Prequential {
    fn add(&mut self, plain_loss: f64, loss: f64) {
        let gain = plain_loss - loss;
        self.weight = self.weight * FADING + 1.0;
        self.squared_weight = self.squared_weight * FADING * FADING + 1.0;
        self.plain_loss = self.plain_loss * FADING + plain_loss;
        self.gain = self.gain * FADING + gain;
        self.squared_gain = self.squared_gain * FADING + gain * gain;
    }

    /// The mean gain; 0 before there is one.
    fn mean(&self) -> f64 {
        match self.weight > 0.0 {
            true => self.gain / self.weight,
            false => 0.0,
        }
    }

    /// Whether the gain is one, by [`MIN_ERRORS`] and [`MIN_GAIN`].
    fn is_gain(&self) -> bool {
        if self.weight <= 0.0 {
            return false;
        }
        let mean = self.gain / self.weight;
        let variance = (self.squared_gain / self.weight - mean * mean).max(0.0);
        let error = (variance * self.squared_weight).sqrt() / self.weight;
        mean > MIN_ERRORS * error && mean > MIN_GAIN * self.plain_loss / self.weight
    }
}

/// The online ranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Online {
    plain: Part,
    order: Part,
    impressions: u64,
    outcomes: u64,
    prequential: Prequential,
}

impl Default for Online {
    fn default() -> Self {
        Self {
            plain: Part::new(PLAIN, 0.1, 0.0),
            order: Part::new(ORDER, 0.05, 1.0),
            impressions: 0,
            outcomes: 0,
            prequential: Prequential::default(),
        }
    }
}

impl Online {
    /// Learns that a product was seen, or that something became of it (once for each that was seen).
    pub fn learn(&mut self, setting: Setting, shown: &Shown, label: bool) {
        let (offset, plain) = plain_row(setting, shown);
        let order = order_row(setting, shown.origin);
        let plain_score = offset + self.plain.score(&plain);
        let score = plain_score + self.order.score(&order);
        self.prequential
            .add(loss(plain_score, label), loss(score, label));
        self.plain.learn(&plain, probability(plain_score), label);
        self.order.learn(&order, probability(score), label);
        *match label {
            true => &mut self.outcomes,
            false => &mut self.impressions,
        } += 1;
    }

    /// What is added to the log-odds of a candidate by its origin ([`Origin::index`]), at most [`MOST`] up or down.
    /// None while it has not proved itself.
    #[must_use]
    pub fn corrections(&self, setting: Setting) -> Option<[f64; Origin::COUNT]> {
        if !self.is_active() {
            return None;
        }
        let of = |origin| {
            self.order
                .score(&order_row(setting, origin))
                .clamp(-MOST, MOST)
        };
        Some(Origin::ALL.map(of))
    }

    /// Whether it has proved itself.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.impressions >= MIN_IMPRESSIONS && self.prequential.is_gain()
    }

    /// How many impressions it learned from, and of how many something became.
    #[must_use]
    pub fn examples(&self) -> (u64, u64) {
        (self.impressions, self.outcomes)
    }

    /// The mean gain of the order part in log-loss, over about the last 5,000 examples; 0 before there are any.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.prequential.mean()
    }
}

fn bucket(hash: u32, with: usize, buckets: usize) -> usize {
    (mix(u64::from(hash), with as u64) % buckets as u64) as usize
}

/// The batch model's word, which is taken as it is, and the columns that calibrate it.
fn plain_row(setting: Setting, shown: &Shown) -> (f64, [(usize, f64); 5]) {
    let base = shown
        .log_odds()
        .map(|base| base.clamp(-BASE_LIMIT, BASE_LIMIT));
    let rank = match shown.rank {
        0..=3 => usize::from(shown.rank.saturating_sub(1)),
        4..=5 => 3,
        6..=10 => 4,
        11..=20 => 5,
        21..=50 => 6,
        _ => 7,
    };
    let row = [
        (CONSTANT, 1.0),
        match base {
            Some(base) => (BASE, base / BASE_LIMIT),
            None => (NO_BASE, 1.0),
        },
        (RANK + rank, 1.0),
        (STAGE + bucket(setting.stage, 0, STAGES), 1.0),
        (PLACEMENT + bucket(setting.placement, 0, PLACEMENTS), 1.0),
    ];
    (base.unwrap_or(0.0), row)
}

fn order_row(setting: Setting, origin: Origin) -> [(usize, f64); 3] {
    let index = origin.index();
    let crossed = |hash| bucket(hash, 1 + index, CROSSED);
    [
        (index, 1.0),
        (ORIGIN_IN_STAGE + crossed(setting.stage), 1.0),
        (ORIGIN_AT_PLACEMENT + crossed(setting.placement), 1.0),
    ]
}

fn probability(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// Log-loss of a label that was given the log-odds `score`.
fn loss(score: f64, label: bool) -> f64 {
    let wrong = if label { -score } else { score };
    wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests;
