//! Off-policy evaluation: what another policy would have earned, from the log of one that chose by known chances.
//!
//! Horvitz, Thompson 1952 (IPS); Swaminathan, Joachims 2015 (SNIPS); Dudík, Langford, Li 2011 (DM, DR); Kish 1965
//! (effective sample size). With the weight w = π_target(a) / π_log(a) of each row, its reward r, and the reward q that
//! a model fitted on other rows expects:
//!
//! ```text
//! IPS   = mean(w·r)                  SNIPS = Σ w·r / Σ w
//! DM    = mean(Σ_a π_target(a)·q(a))  DR    = DM + mean(w·(r − q))
//! ESS   = (Σ w)² / Σ w²
//! ```
//!
//! The clipped ones take min(w, clip) for w.

use super::bootstrap::{Interval, draw, totals};
use super::folds::{folds, shuffled};

pub mod model;
pub mod target;
pub mod warning;

pub use model::RewardModel;
pub use target::{Distribution, Shares, Target};
pub use warning::{Trust, Warning};

/// The smallest propensity that is taken: a weight above a thousand million is no weight.
pub const MIN_PROPENSITY: f64 = 1e-9;
/// The largest reward, above and below 0, that is taken.
pub const MAX_REWARD: f64 = 1e9;
/// The most actions.
pub const MAX_ACTIONS: usize = 2_000;
/// The most positions.
pub const MAX_POSITIONS: usize = 200;
/// Larger logs are drawn as so many groups of rows: the interval is the same, the time is not.
const MAX_GROUPS: usize = 50_000;
/// What a decision may miss of a sum of 1.
pub const TOLERANCE: f64 = 1e-3;

/// One decision of the logging policy, and what came of it. Contexts, actions and positions are numbers from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedDecision {
    /// The value of each column of the context; as many in every decision.
    pub context: Box<[u32]>,
    /// What was shown.
    pub action: u32,
    /// Where.
    pub position: u32,
    /// The chance with which the logging policy showed it there: above 0, at most 1.
    pub propensity: f64,
    /// What it earned.
    pub reward: f64,
}

/// How to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyParams {
    /// The largest weight of the clipped estimates.
    pub clip: f64,
    /// How often rows are drawn for the intervals.
    pub resamples: usize,
    /// How many folds the reward model is cross-fitted over.
    pub folds: usize,
    /// Decides folds and draws.
    pub seed: u64,
}

impl Default for PolicyParams {
    fn default() -> Self {
        Self {
            clip: 10.0,
            resamples: 2_000,
            folds: 5,
            seed: 7,
        }
    }
}

/// Why a log cannot be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// There is nothing in it.
    #[error("the log has no decision that can be judged")]
    Empty,
    /// A decision, by its place from 0, that cannot be.
    #[error("decision {row}: {fault}")]
    Decision {
        /// Its place.
        row: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// The target does not go with the log.
    #[error("the target policy: {0}")]
    Target(&'static str),
    /// A parameter outside its range.
    #[error("{0}")]
    Params(&'static str),
}

/// A way to estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Inverse propensity scoring.
    Ips,
    /// The same, weights clipped.
    IpsClipped,
    /// Self-normalised inverse propensity scoring.
    Snips,
    /// The direct method: the reward model alone.
    Dm,
    /// Doubly robust.
    Dr,
    /// The same, weights clipped.
    DrClipped,
    /// The mean of the log: what the logging policy earned.
    Naive,
}

impl Method {
    /// All, in the order in which they are reported.
    pub const ALL: [Self; 7] = [
        Self::Ips,
        Self::IpsClipped,
        Self::Snips,
        Self::Dm,
        Self::Dr,
        Self::DrClipped,
        Self::Naive,
    ];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ips => "ips",
            Self::IpsClipped => "ips_clipped",
            Self::Snips => "snips",
            Self::Dm => "dm",
            Self::Dr => "dr",
            Self::DrClipped => "dr_clipped",
            Self::Naive => "naive",
        }
    }

    /// True if it takes the clipped weights.
    #[must_use]
    pub fn is_clipped(self) -> bool {
        matches!(self, Self::IpsClipped | Self::DrClipped)
    }

    /// True if it needs the reward model.
    #[must_use]
    pub fn needs_model(self) -> bool {
        matches!(self, Self::Dm | Self::Dr | Self::DrClipped)
    }

    /// The value from the sums of [`terms`].
    fn value(self, sums: &[f64]) -> f64 {
        let [
            count,
            reward,
            weighted,
            weights,
            clipped,
            direct,
            corrected,
            corrected_clipped,
        ] = *sums
        else {
            return f64::NAN;
        };
        match self {
            Self::Ips => weighted / count,
            Self::IpsClipped => clipped / count,
            Self::Snips if weights > 0.0 => weighted / weights,
            Self::Snips => 0.0,
            Self::Dm => direct / count,
            Self::Dr => (direct + corrected) / count,
            Self::DrClipped => (direct + corrected_clipped) / count,
            Self::Naive => reward / count,
        }
    }
}

/// How many sums the estimates are made of.
const TERMS: usize = 8;

/// What one decision adds to each sum: 1, r, w·r, w, w'·r, Σ π·q, w·(r − q), w'·(r − q), with w' the clipped weight.
fn terms(
    row: &LoggedDecision,
    weight: f64,
    clip: f64,
    expected: Option<(f64, f64)>,
) -> [f64; TERMS] {
    let clipped = weight.min(clip);
    let (own, direct) = expected.unwrap_or((0.0, 0.0));
    let rest = row.reward - own;
    [
        1.0,
        row.reward,
        weight * row.reward,
        weight,
        clipped * row.reward,
        direct,
        weight * rest,
        clipped * rest,
    ]
}

/// One estimate of the value of the target policy: mean reward a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// How.
    pub method: Method,
    /// The value with its 95 % interval over rows. That of [`Method::Dm`] leaves out the error of the model.
    pub value: Interval,
    /// The value minus that of the logging policy, on the same draws.
    pub gain: Interval,
    /// How many rows of equal weight would tell as much.
    pub effective_rows: f64,
    /// What it may be used for.
    pub trust: Trust,
}

/// What the weights of the rows look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Their mean: 1, but for chance, if propensities and target are right and the log has shown all the target shows.
    pub mean: f64,
    /// The largest.
    pub largest: f64,
    /// What the largest has of them all.
    pub largest_share: f64,
    /// Rows of equal weight that would tell as much.
    pub effective_rows: f64,
    /// The same of the clipped weights.
    pub effective_rows_clipped: f64,
    /// Rows whose weight is clipped.
    pub clipped_rows: usize,
    /// The mean of the clipped weights; what it lacks of 1 is what clipped estimates do not see of the target.
    pub mean_clipped: f64,
    /// Rewarded rows of equal weight that would tell as much: (Σ w·r)² / Σ (w·r)².
    pub effective_rewards: f64,
    /// The smallest propensity of a row.
    pub smallest_propensity: f64,
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyReport {
    /// Decisions.
    pub rows: usize,
    /// Different actions in the log.
    pub actions: usize,
    /// Different positions in the log.
    pub positions: usize,
    /// Decisions with a reward other than 0.
    pub rewarded: usize,
    /// The estimates that could be made.
    pub estimates: Vec<Estimate>,
    /// The weights.
    pub weights: Weights,
    /// The reward model of DM and DR; nothing where the target's chances of other actions are not known.
    pub model: Option<RewardModel>,
    /// What to know before believing it.
    pub warnings: Vec<Warning>,
    /// What the whole may be used for: that of the estimate in [`PolicyReport::answer`].
    pub trust: Trust,
}

impl PolicyReport {
    /// The estimate of a method, if it could be made.
    #[must_use]
    pub fn estimate(&self, method: Method) -> Option<&Estimate> {
        self.estimates
            .iter()
            .find(|estimate| estimate.method == method)
    }

    /// The estimate to go by: DR, or SNIPS where there is no DR; nothing if the log cannot judge the target.
    #[must_use]
    pub fn answer(&self) -> Option<&Estimate> {
        let best = self
            .estimate(Method::Dr)
            .or_else(|| self.estimate(Method::Snips));
        best.filter(|estimate| estimate.trust != Trust::No)
    }
}

/// Evaluates a target policy on the log of another one. Deterministic by [`PolicyParams::seed`].
///
/// # Errors
/// [`PolicyError`].
pub fn evaluate(
    log: &[LoggedDecision],
    target: &Target<'_>,
    params: &PolicyParams,
) -> Result<PolicyReport, PolicyError> {
    check(log, params)?;
    let probabilities = target.of_rows(log)?;
    let weights: Vec<f64> = log
        .iter()
        .zip(&probabilities)
        .map(|(row, p)| p / row.propensity)
        .collect();
    let distribution = target.distribution(log, &probabilities);
    let model = distribution.as_ref().map(|distribution| {
        let rewarded: Vec<u32> = log.iter().map(|row| u32::from(row.reward != 0.0)).collect();
        let fold_of = folds(&rewarded, params.folds, params.seed);
        model::cross_fit(log, distribution, &fold_of, params)
    });
    let expected = model.as_ref().map(|(_, expected)| expected);
    let table: Vec<f64> = (0..log.len())
        .flat_map(|row| {
            terms(
                &log[row],
                weights[row],
                params.clip,
                expected.map(|expected| expected[row]),
            )
        })
        .collect();
    let methods: Vec<Method> = Method::ALL
        .into_iter()
        .filter(|method| model.is_some() || !method.needs_model())
        .collect();
    let (values, gains) = intervals(&table, &methods, params);
    let weights = describe(log, &weights, params.clip);
    let rewarded = log.iter().filter(|row| row.reward != 0.0).count();
    let mut report = PolicyReport {
        rows: log.len(),
        actions: distinct(log.iter().map(|row| row.action)),
        positions: distinct(log.iter().map(|row| row.position)),
        rewarded,
        estimates: Vec::new(),
        weights,
        model: model.map(|(model, _)| model),
        warnings: Vec::new(),
        trust: Trust::No,
    };
    report.warnings = warning::all(log, &report, distribution.as_ref());
    report.estimates = methods
        .into_iter()
        .zip(values.into_iter().zip(gains))
        .map(|(method, (value, gain))| Estimate {
            method,
            value,
            gain,
            effective_rows: match method {
                Method::Naive | Method::Dm => log.len() as f64,
                _ if method.is_clipped() => weights.effective_rows_clipped,
                _ => weights.effective_rows,
            },
            trust: warning::trust(method, &report.warnings),
        })
        .collect();
    report.trust = report.answer().map_or(Trust::No, |estimate| estimate.trust);
    Ok(report)
}

/// The mean of some rewards with its interval over rows: what a policy earned in its own log.
#[must_use]
pub fn earned(rewards: &[f64], params: &PolicyParams) -> Option<Interval> {
    let table: Vec<f64> = rewards.iter().flat_map(|&reward| [1.0, reward]).collect();
    let (sums, drawn) = resample(&table, 2, params)?;
    let mean = |sums: &[f64]| sums[1] / sums[0];
    Some(Interval::of(
        mean(&sums),
        drawn.chunks_exact(2).map(mean).collect(),
    ))
}

fn check(log: &[LoggedDecision], params: &PolicyParams) -> Result<(), PolicyError> {
    if !(params.clip > 0.0 && params.clip.is_finite()) {
        return Err(PolicyError::Params("the clip must be a number above 0"));
    }
    if params.folds < 2 || params.resamples == 0 {
        return Err(PolicyError::Params(
            "at least two folds and one resample are needed",
        ));
    }
    let columns = log.first().ok_or(PolicyError::Empty)?.context.len();
    for (row, decision) in log.iter().enumerate() {
        let fault = if !(MIN_PROPENSITY..=1.0).contains(&decision.propensity) {
            "the propensity is not above 0 and at most 1"
        } else if !(-MAX_REWARD..=MAX_REWARD).contains(&decision.reward) {
            "the reward is no number in range"
        } else if decision.context.len() != columns {
            "the context has another number of columns"
        } else if decision.action as usize >= MAX_ACTIONS
            || decision.position as usize >= MAX_POSITIONS
        {
            "too many actions or positions"
        } else {
            continue;
        };
        return Err(PolicyError::Decision { row, fault });
    }
    Ok(())
}

fn distinct(of: impl Iterator<Item = u32>) -> usize {
    let mut all: Vec<u32> = of.collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

/// The values and the gains over the log's own mean, with their intervals.
fn intervals(
    table: &[f64],
    methods: &[Method],
    params: &PolicyParams,
) -> (Vec<Interval>, Vec<Interval>) {
    let Some((sums, drawn)) = resample(table, TERMS, params) else {
        return (Vec::new(), Vec::new());
    };
    let interval = |figure: &dyn Fn(&[f64]) -> f64| {
        Interval::of(
            figure(&sums),
            drawn.chunks_exact(TERMS).map(figure).collect(),
        )
    };
    let value = |method: &Method| interval(&|sums| method.value(sums));
    let gain = |method: &Method| interval(&|sums| method.value(sums) - Method::Naive.value(sums));
    (
        methods.iter().map(value).collect(),
        methods.iter().map(gain).collect(),
    )
}

/// The sums of the columns, and those of each resample, one after the other; nothing of nothing.
fn resample(table: &[f64], width: usize, params: &PolicyParams) -> Option<(Vec<f64>, Vec<f64>)> {
    let rows = table.len() / width;
    if rows == 0 {
        return None;
    }
    let sums = totals(table, width, &vec![1; rows]);
    let mut grouped = vec![0.0; rows.min(MAX_GROUPS) * width];
    let groups = rows.min(MAX_GROUPS);
    for (place, row) in shuffled(rows, params.seed ^ 1).into_iter().enumerate() {
        let group = &mut grouped[place % groups * width..][..width];
        for (sum, cell) in group.iter_mut().zip(&table[row * width..][..width]) {
            *sum += cell;
        }
    }
    let mut counts = vec![0; groups];
    let mut drawn = Vec::with_capacity(params.resamples * width);
    for number in 0..params.resamples {
        draw(&mut counts, number, params.seed);
        drawn.extend(totals(&grouped, width, &counts));
    }
    Some((sums, drawn))
}

/// (Σ x)² / Σ x²; 0 if all are 0.
fn effective(of: impl Iterator<Item = f64> + Clone) -> f64 {
    let (sum, squares) = (of.clone().sum::<f64>(), of.map(|x| x * x).sum::<f64>());
    if squares > 0.0 {
        sum * sum / squares
    } else {
        0.0
    }
}

fn describe(log: &[LoggedDecision], weights: &[f64], clip: f64) -> Weights {
    let n = log.len() as f64;
    let sum: f64 = weights.iter().sum();
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let clipped = weights.iter().map(|weight| weight.min(clip));
    Weights {
        mean: sum / n,
        largest,
        largest_share: if sum > 0.0 { largest / sum } else { 0.0 },
        effective_rows: effective(weights.iter().copied()),
        effective_rows_clipped: effective(clipped.clone()),
        clipped_rows: weights.iter().filter(|&&weight| weight > clip).count(),
        mean_clipped: clipped.sum::<f64>() / n,
        effective_rewards: effective(
            log.iter()
                .zip(weights)
                .map(|(row, weight)| (row.reward * weight).abs()),
        ),
        smallest_propensity: log.iter().map(|row| row.propensity).fold(1.0, f64::min),
    }
}

#[cfg(test)]
mod tests;
