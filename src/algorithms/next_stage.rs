//! Which stage of the journey somebody enters next: multinomial logistic regression (linfa-logistic) on standardised
//! features, with a part of its own for each stage they may stand in; calibrated one against the rest. And what else
//! follows from the same features: the chance of a yes.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2, ShapeBuilder as _};
use serde::{Deserialize, Serialize};

use super::calibration::{Calibration, grouped};
use super::draw::mix;
use super::response::{FittedResponse, Kind, ResponseParams};
use super::standard::Standard;

/// A fit takes at most so many rows; of more the last ones.
pub const MAX_ROWS: usize = 40_000;
/// With fewer rows of a stage nothing is said of it.
pub const MIN_STAGE_ROWS: usize = 50;
/// The L2 penalty on the standardised weights.
const PENALTY: f64 = 10.0;
/// The most steps of L-BFGS.
const MAX_ITERATIONS: u64 = 60;
/// L-BFGS ends where the gradient of the summed loss is this small.
const GRADIENT_TOLERANCE: f64 = 1e-2;
/// Held-back folds, of persons.
const FOLDS: u64 = 3;
/// No probability is said to be smaller: nothing is impossible.
const LEAST: f64 = 1e-3;

/// What one moment of the past taught.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRow {
    /// The features; as many in every row, all finite.
    pub x: Vec<f64>,
    /// The stage they stood in.
    pub stage: u8,
    /// The stage they entered next; the same: they stayed, or left.
    pub next: u8,
    /// Who: the rows of one person hang together.
    pub person: u32,
}

/// How features become columns: standardised, then a mark for the stage and some of the features again for each stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Design {
    standard: Standard,
    stages: usize,
    crossed: Vec<u16>,
}

impl Design {
    fn of(rows: &[&StageRow], stages: usize, crossed: &[u16]) -> Self {
        Self {
            standard: Standard::of(&rows.iter().map(|row| &row.x[..]).collect::<Vec<_>>()),
            stages,
            crossed: crossed.to_vec(),
        }
    }

    fn columns(&self) -> usize {
        self.standard.features() + self.stages * (1 + self.crossed.len())
    }

    /// The columns of a row that are not 0, each with the feature it is of; none for the mark of the stage.
    fn cells(&self, x: &[f64], stage: u8) -> Vec<(usize, f64, Option<usize>)> {
        let standard = |feature: usize| self.standard.at(x, feature);
        let own = (0..self.standard.features())
            .map(|feature| (feature, standard(feature), Some(feature)));
        let start = self.standard.features() + usize::from(stage) * (1 + self.crossed.len());
        let crossed = self.crossed.iter().enumerate().map(|(place, &feature)| {
            let feature = usize::from(feature);
            (start + 1 + place, standard(feature), Some(feature))
        });
        own.chain([(start, 1.0, None)]).chain(crossed).collect()
    }

    fn matrix(&self, rows: &[&StageRow]) -> Array2<f64> {
        let mut x = Array2::zeros((rows.len(), self.columns()).f());
        for (row, mut out) in rows.iter().zip(x.rows_mut()) {
            for (column, value, _) in self.cells(&row.x, row.stage) {
                out[column] = value;
            }
        }
        x
    }
}

/// The fitted regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedNextStage {
    design: Design,
    /// Of each stage somebody may enter: the weight of each column; absent where nobody ever did.
    weights: Vec<Option<StageWeights>>,
    calibrations: Vec<Option<Calibration>>,
    /// The stages of which something is said.
    known: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StageWeights {
    columns: Vec<f64>,
    bias: f64,
}

impl FittedNextStage {
    /// Fits rows of a journey of `stages` stages; the features at the places `crossed` may weigh differently in each.
    /// Asks `keep_on` before each of its fits; nothing if it shall not, or if everybody goes to the same stage.
    /// Deterministic by `seed`.
    #[must_use]
    pub fn fit(
        rows: &[&StageRow],
        stages: usize,
        crossed: &[u16],
        seed: u64,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let rows = &rows[rows.len().saturating_sub(MAX_ROWS)..];
        let design = Design::of(rows, stages, crossed);
        let mut said = vec![Vec::new(); rows.len()];
        for fold in 0..FOLDS {
            let is_in = |row: &StageRow| mix(seed, u64::from(row.person)) % FOLDS == fold;
            if !keep_on() {
                return None;
            }
            let others: Vec<&StageRow> = rows.iter().copied().filter(|row| !is_in(row)).collect();
            let fitted = Self::uncalibrated(&design, &others)?;
            for (said, row) in said.iter_mut().zip(rows).filter(|(_, row)| is_in(row)) {
                *said = fitted.raw(&row.x, row.stage);
            }
        }
        if !keep_on() {
            return None;
        }
        let mut fitted = Self::uncalibrated(&design, rows)?;
        for stage in 0..stages {
            let scores: Vec<f64> = said.iter().map(|said| said[stage]).collect();
            let came: Vec<bool> = rows
                .iter()
                .map(|row| usize::from(row.next) == stage)
                .collect();
            fitted.calibrations[stage] = Calibration::fit(&grouped(&scores), &came);
        }
        Some(fitted)
    }

    fn uncalibrated(design: &Design, rows: &[&StageRow]) -> Option<Self> {
        let next: Array1<usize> = rows.iter().map(|row| usize::from(row.next)).collect();
        if rows.iter().all(|row| row.next == rows[0].next) {
            return None;
        }
        let model = MultiLogisticRegression::default()
            .alpha(PENALTY)
            .max_iterations(MAX_ITERATIONS)
            .gradient_tolerance(GRADIENT_TOLERANCE)
            .fit(&Dataset::new(design.matrix(rows), next))
            .ok()?;
        let mut weights = vec![None; design.stages];
        for (class, &stage) in model.classes().iter().enumerate() {
            let columns: Vec<f64> = model.params().column(class).to_vec();
            let bias = model.intercept()[class];
            if !columns
                .iter()
                .chain([&bias])
                .all(|weight| weight.is_finite())
            {
                return None;
            }
            weights[stage] = Some(StageWeights { columns, bias });
        }
        let of_stage = |stage: usize| rows.iter().filter(move |r| usize::from(r.stage) == stage);
        Some(Self {
            design: design.clone(),
            weights,
            calibrations: vec![None; design.stages],
            known: (0..design.stages)
                .map(|stage| of_stage(stage).count() >= MIN_STAGE_ROWS)
                .collect(),
        })
    }

    /// True if it takes as many features, of a journey of as many stages.
    #[must_use]
    pub fn fits(&self, features: usize, stages: usize) -> bool {
        self.design.standard.features() == features && self.design.stages == stages
    }

    /// By stage, the probability that it is the one somebody enters next who stands in `stage`; that of `stage` itself,
    /// that they enter none. They sum to 1. Nothing where too little is known of the stage.
    #[must_use]
    pub fn probabilities(&self, x: &[f64], stage: u8) -> Option<Vec<f64>> {
        if !self.known.get(usize::from(stage)).copied()? {
            return None;
        }
        let mut said = self.raw(x, stage);
        for (said, calibration) in said.iter_mut().zip(&self.calibrations) {
            let calibrated = calibration.as_ref().map(|c| c.probability(*said));
            *said = calibrated.unwrap_or(*said).max(LEAST);
        }
        let sum: f64 = said.iter().sum();
        said.iter_mut().for_each(|said| *said /= sum);
        Some(said)
    }

    /// How far each feature pushes towards `next`, in log-odds against what else may come; above 0: towards it.
    #[must_use]
    pub fn pushes(&self, x: &[f64], stage: u8, next: u8) -> Vec<f64> {
        let mut pushes = vec![0.0; self.design.standard.features()];
        let said = self.raw(x, stage);
        let Some(Some(wanted)) = self.weights.get(usize::from(next)) else {
            return pushes;
        };
        // d log(p / (1 − p)) = Σ z (w − Σ p w) / (1 − p)
        let others = (1.0 - said[usize::from(next)]).max(LEAST);
        for (column, value, feature) in self.design.cells(x, stage) {
            let Some(feature) = feature else { continue };
            let mean: f64 = self
                .weights
                .iter()
                .zip(&said)
                .filter_map(|(weights, said)| Some(said * weights.as_ref()?.columns[column]))
                .sum();
            pushes[feature] += value * (wanted.columns[column] - mean) / others;
        }
        pushes
    }

    /// True if a feature is above its mean.
    #[must_use]
    pub fn is_high(&self, feature: usize, x: &[f64]) -> bool {
        self.design.standard.is_high(x, feature)
    }

    /// The softmax of the weighted sums; 0 for stages nobody ever entered.
    fn raw(&self, x: &[f64], stage: u8) -> Vec<f64> {
        let cells = self.design.cells(x, stage);
        let sums: Vec<f64> = self
            .weights
            .iter()
            .map(|weights| match weights {
                None => f64::NEG_INFINITY,
                Some(weights) => {
                    let products = cells
                        .iter()
                        .map(|&(column, x, _)| x * weights.columns[column]);
                    weights.bias + products.sum::<f64>()
                }
            })
            .collect();
        let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = sums.iter().map(|sum| (sum - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }
}

/// The chance of a yes, from the same features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedPropensity {
    design: Design,
    response: FittedResponse,
    calibration: Option<Calibration>,
}

impl FittedPropensity {
    /// Fits rows and whether it came, as [`FittedNextStage::fit`]; nothing also if the rows cannot be told apart.
    #[must_use]
    pub fn fit(
        rows: &[(&StageRow, bool)],
        stages: usize,
        crossed: &[u16],
        seed: u64,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let rows = &rows[rows.len().saturating_sub(MAX_ROWS)..];
        let all: Vec<&StageRow> = rows.iter().map(|(row, _)| *row).collect();
        let design = Design::of(&all, stages, crossed);
        let params = ResponseParams {
            l2: PENALTY,
            max_iterations: MAX_ITERATIONS,
        };
        let fit = |rows: &[(&StageRow, bool)]| {
            let of: Vec<&StageRow> = rows.iter().map(|(row, _)| *row).collect();
            let came: Vec<f64> = rows.iter().map(|(_, came)| f64::from(*came)).collect();
            let response = FittedResponse::fit(design.matrix(&of), &came, Kind::Chance, &params);
            Self {
                design: design.clone(),
                response,
                calibration: None,
            }
        };
        let mut said = vec![0.0; rows.len()];
        for fold in 0..FOLDS {
            let is_in = |row: &StageRow| mix(seed, u64::from(row.person)) % FOLDS == fold;
            if !keep_on() {
                return None;
            }
            let others = rows.iter().copied().filter(|(row, _)| !is_in(row));
            let fitted = fit(&others.collect::<Vec<_>>());
            for (said, (row, _)) in said.iter_mut().zip(rows).filter(|(_, (row, _))| is_in(row)) {
                *said = fitted.raw(&row.x, row.stage);
            }
        }
        if !keep_on() {
            return None;
        }
        let mut fitted = fit(rows);
        let came: Vec<bool> = rows.iter().map(|(_, came)| *came).collect();
        fitted.calibration = Calibration::fit(&grouped(&said), &came);
        (!fitted.response.is_mean()).then_some(fitted)
    }

    /// The calibrated probability for somebody who stands in `stage`.
    #[must_use]
    pub fn probability(&self, x: &[f64], stage: u8) -> f64 {
        let raw = self.raw(x, stage);
        let calibrated = self.calibration.as_ref().map(|c| c.probability(raw));
        calibrated.unwrap_or(raw).clamp(LEAST, 1.0 - LEAST)
    }

    fn raw(&self, x: &[f64], stage: u8) -> f64 {
        let weights = self.response.weights();
        let cells = self.design.cells(x, stage);
        let sum: f64 = cells
            .iter()
            .map(|&(column, x, _)| x * weights[column])
            .sum();
        self.response.of_sum(self.response.bias() + sum)
    }
}

/// A Markov chain: where people go who stand in a stage, whoever they are; (count + 1) / (all + stages).
#[derive(Debug, Clone, PartialEq)]
pub struct Markov {
    /// By stage they stood in, by stage they entered.
    counts: Vec<Vec<f64>>,
}

impl Markov {
    /// Counts.
    #[must_use]
    pub fn of(rows: &[&StageRow], stages: usize) -> Self {
        let mut counts = vec![vec![1.0; stages]; stages];
        for row in rows {
            counts[usize::from(row.stage)][usize::from(row.next)] += 1.0;
        }
        Self { counts }
    }

    /// By stage, the probability that it is the next.
    #[must_use]
    pub fn probabilities(&self, stage: u8) -> Vec<f64> {
        let counts = &self.counts[usize::from(stage)];
        let sum: f64 = counts.iter().sum();
        counts.iter().map(|count| count / sum).collect()
    }

    /// What says of everybody that they stay, with the share of those who did, whatever their stage; the rest is spread
    /// evenly.
    #[must_use]
    pub fn stays(&self, stage: u8) -> Vec<f64> {
        let stages = self.counts.len();
        let all: f64 = self.counts.iter().flatten().sum();
        let stayed: f64 = (0..stages).map(|stage| self.counts[stage][stage]).sum();
        let share = stayed / all;
        let other = (1.0 - share) / (stages.max(2) - 1) as f64;
        let of = |place: usize| {
            if place == usize::from(stage) {
                share
            } else {
                other
            }
        };
        (0..stages).map(of).collect()
    }
}

/// The log-loss of what was said, and whether the likeliest stage (the first of equals) came.
#[must_use]
pub fn judged(said: &[f64], next: u8) -> (f64, bool) {
    let mut best = 0;
    for (stage, probability) in said.iter().enumerate() {
        if *probability > said[best] {
            best = stage;
        }
    }
    let came = said[usize::from(next)].max(1e-9);
    (-came.ln(), best == usize::from(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::choice::number;

    /// Three stages. In stage 0 a high first feature leads to stage 1 in 9 of 10 cases, a low one to stage 2 in 8 of
    /// 10; in stage 1 it is the other way round. Nobody ever stands in stage 2.
    fn rows(count: u64) -> Vec<StageRow> {
        let row = |i: u64| {
            let (high, stage) = (i.is_multiple_of(2), (i / 2 % 2) as u8);
            let leads_to_one = high == (stage == 0);
            let draw = number(i);
            let next = if leads_to_one {
                if draw < 0.9 { 1 } else { stage }
            } else if draw < 0.8 {
                2
            } else {
                stage
            };
            StageRow {
                x: vec![if high { 3.0 } else { 1.0 }, 5.0, number(i ^ 99)],
                stage,
                next,
                person: (i / 3) as u32,
            }
        };
        (0..count).map(row).collect()
    }

    fn fit(rows: &[StageRow]) -> Option<FittedNextStage> {
        let rows: Vec<&StageRow> = rows.iter().collect();
        FittedNextStage::fit(&rows, 3, &[0], 7, &mut || true)
    }

    #[test]
    fn chances_are_found_by_stage_and_sum_to_one() {
        let fitted = fit(&rows(4_000)).unwrap();
        for (x, stage, expected) in [
            (3.0, 0, [0.1, 0.9, 0.0]),
            (1.0, 0, [0.2, 0.0, 0.8]),
            (3.0, 1, [0.0, 0.2, 0.8]),
        ] {
            let said = fitted.probabilities(&[x, 5.0, 0.5], stage).unwrap();
            assert!((said.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (said, expected) in said.iter().zip(expected) {
                assert!((said - expected).abs() < 0.05, "{x} {stage}: {said}");
            }
        }
        // of a stage in which nobody stood nothing is said
        assert_eq!(fitted.probabilities(&[3.0, 5.0, 0.5], 2), None);
        let pushes = fitted.pushes(&[3.0, 5.0, 0.5], 0, 1);
        assert!(pushes[0] > 1.0 && pushes[1].abs() < 1e-9 && pushes[2].abs() < 0.3);
        assert!(fitted.pushes(&[1.0, 5.0, 0.5], 0, 1)[0] < 0.0);
        assert!(fitted.is_high(0, &[3.0, 5.0, 0.5]) && !fitted.is_high(0, &[1.0, 5.0, 0.5]));
        assert_eq!(fit(&rows(4_000)).unwrap(), fitted);
        let kept = postcard::to_allocvec(&fitted).unwrap();
        assert_eq!(
            postcard::from_bytes::<FittedNextStage>(&kept).unwrap(),
            fitted
        );
        assert!(fitted.fits(3, 3) && !fitted.fits(3, 4) && !fitted.fits(2, 3));
    }

    #[test]
    fn it_beats_the_chain_of_the_same_data() {
        let (all, other) = (rows(3_000), rows(6_000).split_off(3_000));
        let fitted = fit(&all).unwrap();
        let markov = Markov::of(&all.iter().collect::<Vec<_>>(), 3);
        let mean = |said: &dyn Fn(&StageRow) -> Vec<f64>| {
            let judged = other.iter().map(|row| judged(&said(row), row.next));
            let (loss, right) = judged.fold((0.0, 0), |(loss, right), (own, is_right)| {
                (loss + own, right + usize::from(is_right))
            });
            (loss / other.len() as f64, right as f64 / other.len() as f64)
        };
        let ours = mean(&|row| fitted.probabilities(&row.x, row.stage).unwrap());
        let chain = mean(&|row| markov.probabilities(row.stage));
        let stays = mean(&|row| markov.stays(row.stage));
        assert!(
            ours.0 < chain.0 - 0.2 && ours.1 > chain.1 + 0.2,
            "{ours:?} {chain:?}"
        );
        assert!(chain.0 < stays.0, "{chain:?} {stays:?}");
    }

    #[test]
    fn the_chain_is_as_counted_by_hand() {
        let row = |stage, next| StageRow {
            x: Vec::new(),
            stage,
            next,
            person: 0,
        };
        let rows = [row(0, 0), row(0, 1), row(0, 1), row(1, 1)];
        let markov = Markov::of(&rows.iter().collect::<Vec<_>>(), 2);
        // (1 + 1) / (3 + 2) and (2 + 1) / (3 + 2)
        assert_eq!(markov.probabilities(0), [0.4, 0.6]);
        // of eight counts, four of them added, 2 + 2 stay
        assert_eq!(markov.stays(0), [0.5, 0.5]);
        assert_eq!(judged(&[0.5, 0.5], 0), (-(0.5f64.ln()), true));
        assert!(!judged(&[0.4, 0.6], 0).1);
    }

    #[test]
    fn a_chance_is_found_and_calibrated() {
        let rows = rows(4_000);
        let came: Vec<(&StageRow, bool)> = rows.iter().map(|row| (row, row.next == 2)).collect();
        let fitted = FittedPropensity::fit(&came, 3, &[0], 7, &mut || true).unwrap();
        for (x, stage, expected) in [(1.0, 0, 0.8), (3.0, 0, 0.0), (3.0, 1, 0.8)] {
            let said = fitted.probability(&[x, 5.0, 0.5], stage);
            assert!((said - expected).abs() < 0.05, "{x} {stage}: {said}");
        }
        let all: Vec<(&StageRow, bool)> = rows.iter().map(|row| (row, true)).collect();
        assert_eq!(FittedPropensity::fit(&all, 3, &[0], 7, &mut || true), None);
        assert_eq!(
            FittedPropensity::fit(&came, 3, &[0], 7, &mut || false),
            None
        );
    }

    #[test]
    fn where_nothing_can_be_told_apart_there_is_no_fit() {
        assert_eq!(fit(&[]), None);
        let mut same = rows(200);
        same.iter_mut().for_each(|row| row.next = 1);
        assert_eq!(fit(&same), None);
        let rows = rows(600);
        let rows: Vec<&StageRow> = rows.iter().collect();
        for steps in [0, 2, 3] {
            let mut left = steps;
            let mut keep_on = || {
                let keeps_on = left > 0;
                left -= u64::from(keeps_on);
                keeps_on
            };
            assert_eq!(FittedNextStage::fit(&rows, 3, &[0], 7, &mut keep_on), None);
        }
    }
}
