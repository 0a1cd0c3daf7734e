//! Uplift: whom a treatment changes, and by how much, from the log of a randomised trial.
//!
//! The average effect is the difference of the means of treated and control. The effect on one customer cannot be seen,
//! but customers can be ordered by what a model expects of it, and the order can be judged (Radcliffe 2007): among the
//! first share x of the order, with Yt, Yc the outcomes and Nt, Nc the customers of treated and control,
//!
//! ```text
//! gain(x) = (Yt(x) − Yc(x)·Nt(x)/Nc(x)) / Nt(1)
//! Qini    = ∫ gain(x) − x·gain(1) dx,  x from 0 to 1
//! ```

use super::bootstrap::{Interval, draw};
use super::folds::{folds, shuffled};
use super::response::{Kind, ResponseParams};

pub mod features;
pub mod learner;
pub mod qini;
pub mod warning;

pub use features::{Encoded, FeatureColumn, FeatureValues};
pub use learner::{FittedSLearner, FittedTLearner};
pub use qini::{CurvePoint, Ranking};
pub use warning::Warning;

/// The most arms, control among them.
pub const MAX_ARMS: usize = 20;
/// An arm needs so many rows for an order to be learned.
pub const MIN_ARM_ROWS: usize = 50;
/// Larger arms are drawn as so many groups of rows.
const MAX_GROUPS: usize = 50_000;

/// A log of a trial: everything by row.
#[derive(Debug, Clone, Copy)]
pub struct UpliftLog<'a> {
    /// The names of the arms; the first is control.
    pub arms: &'a [String],
    /// The arm of each row, by its place.
    pub arm: &'a [u32],
    /// What came of it: 0 or 1, or an amount.
    pub outcome: &'a [f64],
    /// What it was worth.
    pub value: Option<&'a [f64]>,
    /// What was known before.
    pub features: &'a [FeatureColumn],
}

/// How to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct UpliftParams {
    /// How often rows are drawn for the intervals.
    pub resamples: usize,
    /// How many folds the learners are cross-fitted over.
    pub folds: usize,
    /// Decides folds and draws.
    pub seed: u64,
    /// How responses are fitted.
    pub response: ResponseParams,
}

impl Default for UpliftParams {
    fn default() -> Self {
        Self {
            resamples: 1_000,
            folds: 5,
            seed: 7,
            response: ResponseParams::default(),
        }
    }
}

/// Why a log cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpliftError {
    /// There is nothing in it.
    #[error("the log has no row that can be judged")]
    Empty,
    /// Nobody went without.
    #[error(
        "every row was treated: without a control group (treatment 0 or none) there is no effect to be seen"
    )]
    NoControl,
    /// Nobody was treated.
    #[error("no row was treated: there is no effect to be seen")]
    NoTreated,
    /// Too many arms.
    #[error("{0} arms; at most {MAX_ARMS} are taken, control among them")]
    TooManyArms(usize),
    /// Columns of different length, an arm without a name, a number that is none.
    #[error("{0}")]
    Malformed(&'static str),
    /// A parameter outside its range.
    #[error("{0}")]
    Params(&'static str),
}

/// The average effect of a treatment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// The mean of the treated.
    pub treated: f64,
    /// The mean of control.
    pub control: f64,
    /// Treated minus control, with its 95 % interval over rows.
    pub difference: Interval,
}

/// How well one learner orders.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// By the outcome.
    pub outcome: Ranking,
    /// By the value, where there is one; the order is the same.
    pub value: Option<Ranking>,
}

/// One arm against control, or all treated together.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The name of the arm; nothing for all treated together.
    pub arm: Option<String>,
    /// Treated rows.
    pub rows: usize,
    /// Treated rows with an outcome other than 0.
    pub responses: usize,
    /// Both sides have [`MIN_ARM_ROWS`]: with fewer, intervals tell nothing.
    pub enough_rows: bool,
    /// The effect on the outcome.
    pub effect: Effect,
    /// The effect on the value.
    pub value_effect: Option<Effect>,
    /// The order of the S-learner, which is the one that is used; nothing where none could be learned.
    pub s_learner: Option<Learned>,
    /// The order of the T-learner, as a cross-check.
    pub t_learner: Option<Learned>,
}

impl Comparison {
    /// True if there are enough rows and the interval of the average effect leaves 0 out.
    #[must_use]
    pub fn effect_is_told(&self) -> bool {
        self.enough_rows && !self.effect.difference.covers(0.0)
    }

    /// True if the S-learner orders customers better than chance: the interval of its Qini coefficient is above 0.
    #[must_use]
    pub fn order_is_told(&self) -> bool {
        self.s_learner
            .as_ref()
            .is_some_and(|learned| learned.outcome.qini.low > 0.0)
    }
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct UpliftReport {
    /// Rows.
    pub rows: usize,
    /// Rows of control.
    pub control_rows: usize,
    /// Rows of control with an outcome other than 0.
    pub control_responses: usize,
    /// All treated against control.
    pub all: Comparison,
    /// Each arm against control, where there are several.
    pub arms: Vec<Comparison>,
    /// The correlation of what the two learners expect; nothing where nothing was learned.
    pub agreement: Option<f64>,
    /// Whether outcomes are 0 and 1, or amounts.
    pub kind: Kind,
    /// Columns the features became.
    pub columns: usize,
    /// Features that tell nothing: constant, or with a value of its own for nearly every row.
    pub unused_features: Vec<String>,
    /// What to know before believing it.
    pub warnings: Vec<Warning>,
}

/// Evaluates a trial. Learners are cross-fitted: no row is scored by a model that was fitted on it. Deterministic by
/// [`UpliftParams::seed`].
///
/// # Errors
/// [`UpliftError`].
pub fn evaluate(log: &UpliftLog<'_>, params: &UpliftParams) -> Result<UpliftReport, UpliftError> {
    check(log, params)?;
    let encoded = Encoded::of(log.features, log.arm.len(), log.arms.len());
    let kind = Kind::of(log.outcome);
    let counts = rows_by_arm(log);
    let smallest = counts
        .iter()
        .copied()
        .filter(|&rows| rows > 0)
        .min()
        .unwrap_or(0);
    let varies = log
        .outcome
        .iter()
        .any(|&y| (y - log.outcome[0]).abs() > 0.0);
    let learns = smallest >= MIN_ARM_ROWS && encoded.columns() > 0 && varies;
    let scores = learns.then(|| cross_fit(log, &encoded, kind, params));
    let scopes = scopes(&counts);
    let mut asked: Vec<Asked> = scopes
        .iter()
        .map(|scope| Asked::new(log, *scope, scores.as_ref(), &counts))
        .collect();
    resample(log, &counts, params, &mut asked);
    let comparisons = scopes
        .iter()
        .zip(asked)
        .map(|(scope, asked)| asked.compared(log, *scope));
    let mut comparisons: Vec<Comparison> = comparisons.collect();
    let arms = comparisons.split_off(1);
    let all = comparisons.remove(0);
    let agreement = scores.as_ref().and_then(|scores| {
        let of = |learner: &[Vec<f64>]| combined(learner, &counts);
        correlation(&of(&scores.s_learner), &of(&scores.t_learner))
    });
    let mut report = UpliftReport {
        rows: log.arm.len(),
        control_rows: counts[0],
        control_responses: responses(log, &|arm| arm == 0),
        all,
        arms,
        agreement,
        kind,
        columns: encoded.columns(),
        unused_features: encoded.unused.clone(),
        warnings: Vec::new(),
    };
    report.warnings = warning::all(log, &encoded, &report, varies, scores.as_ref());
    Ok(report)
}

fn check(log: &UpliftLog<'_>, params: &UpliftParams) -> Result<(), UpliftError> {
    let rows = log.arm.len();
    if rows == 0 {
        return Err(UpliftError::Empty);
    }
    if log.arms.len() > MAX_ARMS {
        return Err(UpliftError::TooManyArms(log.arms.len()));
    }
    if params.folds < 2 || params.resamples == 0 {
        return Err(UpliftError::Params(
            "at least two folds and one resample are needed",
        ));
    }
    let numbers = log.outcome.iter().chain(log.value.unwrap_or_default());
    let fault = if log.outcome.len() != rows
        || log.value.is_some_and(|value| value.len() != rows)
        || log
            .features
            .iter()
            .any(|feature| feature.values.len() != rows)
    {
        "columns of different length"
    } else if log.arm.iter().any(|&arm| arm as usize >= log.arms.len()) {
        "an arm without a name"
    } else if !numbers.clone().all(|number| number.is_finite()) {
        "an outcome or a value is no number"
    } else if log.arm.iter().all(|&arm| arm != 0) {
        return Err(UpliftError::NoControl);
    } else if log.arm.iter().all(|&arm| arm == 0) {
        return Err(UpliftError::NoTreated);
    } else {
        return Ok(());
    };
    Err(UpliftError::Malformed(fault))
}

fn rows_by_arm(log: &UpliftLog<'_>) -> Vec<usize> {
    let mut counts = vec![0; log.arms.len()];
    log.arm.iter().for_each(|&arm| counts[arm as usize] += 1);
    counts
}

fn responses(log: &UpliftLog<'_>, is_in: &dyn Fn(u32) -> bool) -> usize {
    let rows = log.arm.iter().zip(log.outcome);
    rows.filter(|&(&arm, &outcome)| is_in(arm) && outcome != 0.0)
        .count()
}

/// Which treated rows a comparison is of: all, or those of one arm.
fn scopes(counts: &[usize]) -> Vec<Option<u32>> {
    let arms: Vec<u32> = (1..)
        .zip(&counts[1..])
        .filter(|(_, rows)| **rows > 0)
        .map(|(arm, _)| arm)
        .collect();
    let each = if arms.len() > 1 { arms } else { Vec::new() };
    std::iter::once(None)
        .chain(each.into_iter().map(Some))
        .collect()
}

/// What each learner expects each arm to change: by arm from 1, by row.
struct Scores {
    s_learner: Vec<Vec<f64>>,
    t_learner: Vec<Vec<f64>>,
    /// Folds in which the S-learner had nothing to tell apart.
    mean_folds: usize,
    /// The most rows one fit was made of, where that is not all of them.
    sampled: Option<usize>,
}

fn cross_fit(log: &UpliftLog<'_>, encoded: &Encoded, kind: Kind, params: &UpliftParams) -> Scores {
    let (rows, arms) = (log.arm.len(), log.arms.len());
    let strata: Vec<u32> = log
        .arm
        .iter()
        .zip(log.outcome)
        .map(|(arm, &y)| 2 * arm + u32::from(y > 0.0))
        .collect();
    let fold_of = folds(&strata, params.folds, params.seed);
    let order = shuffled(rows, params.seed ^ 2);
    let most_rows = learner::MAX_CELLS / learner::columns(encoded.columns(), arms);
    let mut scores = Scores {
        s_learner: vec![vec![0.0; rows]; arms - 1],
        t_learner: vec![vec![0.0; rows]; arms - 1],
        mean_folds: 0,
        sampled: None,
    };
    for fold in 0..params.folds.min(super::folds::MAX_FOLDS) {
        let is_own = |row: usize| usize::from(fold_of[row]) == fold;
        let mut others: Vec<usize> = order.iter().copied().filter(|&row| !is_own(row)).collect();
        if others.len() > most_rows {
            others.truncate(most_rows);
            scores.sampled = Some(most_rows);
        }
        let data = learner::Data {
            encoded,
            rows: &others,
            arm: log.arm,
            arms,
            outcome: log.outcome,
            kind,
        };
        let s_learner = FittedSLearner::fit(&data, &params.response);
        let t_learner = FittedTLearner::fit(&data, &params.response);
        scores.mean_folds += usize::from(s_learner.is_mean());
        for row in (0..rows).filter(|&row| is_own(row)) {
            let x = encoded.row(row);
            for arm in 1..arms {
                scores.s_learner[arm - 1][row] = s_learner.uplift(x, arm);
                scores.t_learner[arm - 1][row] = t_learner.uplift(x, arm);
            }
        }
    }
    scores
}

/// What the mix of arms, as they were drawn, is expected to change, by row.
fn combined(by_arm: &[Vec<f64>], counts: &[usize]) -> Vec<f64> {
    let treated: usize = counts[1..].iter().sum();
    let mut combined = vec![0.0; by_arm.first().map_or(0, Vec::len)];
    for (scores, &rows) in by_arm.iter().zip(&counts[1..]) {
        let share = rows as f64 / treated.max(1) as f64;
        for (sum, score) in combined.iter_mut().zip(scores) {
            *sum += share * score;
        }
    }
    combined
}

/// Pearson's; nothing if one of them is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (aa, bb, ab) = (aa + a * a, bb + b * b, ab + a * b);
    }
    let product = (aa * bb).sqrt();
    (product > 1e-300).then(|| ab / product)
}

/// What one comparison collects, draw by draw.
struct Asked {
    /// Orders by learner; none where nothing was learned.
    orders: Vec<qini::Order>,
    /// By outcome and value: what was drawn.
    effects: [Vec<f64>; 2],
    /// By learner, by outcome and value.
    rankings: Vec<[qini::Drawn; 2]>,
}

/// The sums of treated and control.
fn sums(
    log: &UpliftLog<'_>,
    scope: Option<u32>,
    y: &[f64],
    count: &impl Fn(usize) -> f64,
) -> qini::Sums {
    let mut sums = qini::Sums::default();
    for (row, &arm) in log.arm.iter().enumerate() {
        match (arm, scope) {
            (0, _) => sums.add(false, y[row], count(row)),
            (arm, scope) if scope.is_none_or(|own| own == arm) => {
                sums.add(true, y[row], count(row));
            }
            _ => {}
        }
    }
    sums
}

impl Asked {
    fn new(
        log: &UpliftLog<'_>,
        scope: Option<u32>,
        scores: Option<&Scores>,
        counts: &[usize],
    ) -> Self {
        let of = |by_arm: &[Vec<f64>]| match scope {
            None => combined(by_arm, counts),
            Some(arm) => by_arm[arm as usize - 1].clone(),
        };
        let rows: Vec<usize> = (0..log.arm.len())
            .filter(|&row| log.arm[row] == 0 || scope.is_none_or(|own| own == log.arm[row]))
            .collect();
        let orders: Vec<qini::Order> = scores
            .iter()
            .flat_map(|scores| [of(&scores.s_learner), of(&scores.t_learner)])
            .map(|scores| qini::Order::of(&rows, &scores))
            .collect();
        Self {
            rankings: orders
                .iter()
                .map(|_| [qini::Drawn::default(), qini::Drawn::default()])
                .collect(),
            orders,
            effects: [Vec::new(), Vec::new()],
        }
    }

    /// Takes one draw.
    fn take(&mut self, log: &UpliftLog<'_>, scope: Option<u32>, count: &impl Fn(usize) -> f64) {
        for (which, y) in series(log).into_iter().enumerate() {
            let difference = sums(log, scope, y, count).difference();
            self.effects[which].extend(difference.filter(|difference| difference.is_finite()));
            for (order, drawn) in self.orders.iter().zip(&mut self.rankings) {
                drawn[which].take(&order.walk(log.arm, y, count));
            }
        }
    }

    fn compared(self, log: &UpliftLog<'_>, scope: Option<u32>) -> Comparison {
        let [outcomes, values] = self.effects;
        let effect = |y: &[f64], drawn: Vec<f64>| {
            let sums = sums(log, scope, y, &|_| 1.0);
            let difference = sums.difference().unwrap_or(0.0);
            Effect {
                treated: sums.treated_mean(),
                control: sums.control_mean(),
                difference: Interval::of(difference, drawn),
            }
        };
        let mut learned = self
            .orders
            .iter()
            .zip(self.rankings)
            .map(|(order, [outcome, value])| Learned {
                outcome: outcome.ranking(order, log.arm, log.outcome),
                value: log.value.map(|y| value.ranking(order, log.arm, y)),
            });
        let is_in = |arm: u32| arm != 0 && scope.is_none_or(|own| own == arm);
        let count = |is_in: &dyn Fn(u32) -> bool| log.arm.iter().filter(|&&arm| is_in(arm)).count();
        let (rows, control_rows) = (count(&is_in), count(&|arm| arm == 0));
        Comparison {
            arm: scope.map(|arm| log.arms[arm as usize].clone()),
            rows,
            responses: responses(log, &is_in),
            enough_rows: rows.min(control_rows) >= MIN_ARM_ROWS,
            effect: effect(log.outcome, outcomes),
            value_effect: log.value.map(|y| effect(y, values)),
            s_learner: learned.next(),
            t_learner: learned.next(),
        }
    }
}

/// The outcome, and the value where there is one.
fn series<'a>(log: &UpliftLog<'a>) -> Vec<&'a [f64]> {
    std::iter::once(log.outcome).chain(log.value).collect()
}

/// Draws rows within each arm, and lets every comparison take each draw.
fn resample(log: &UpliftLog<'_>, counts: &[usize], params: &UpliftParams, asked: &mut [Asked]) {
    let scopes = scopes(counts);
    // rows of large arms are drawn in groups
    let mut group_of = vec![0u32; log.arm.len()];
    let sizes: Vec<usize> = counts.iter().map(|&rows| rows.min(MAX_GROUPS)).collect();
    let mut starts = vec![0usize; sizes.len()];
    for arm in 1..sizes.len() {
        starts[arm] = starts[arm - 1] + sizes[arm - 1];
    }
    let mut dealt = vec![0usize; sizes.len()];
    for row in shuffled(log.arm.len(), params.seed ^ 1) {
        let arm = log.arm[row] as usize;
        group_of[row] = (starts[arm] + dealt[arm] % sizes[arm]) as u32;
        dealt[arm] += 1;
    }
    let mut drawn = vec![0u32; sizes.iter().sum()];
    let mut counts_of_rows = vec![0.0; log.arm.len()];
    for number in 0..params.resamples {
        for (arm, (&start, &size)) in starts.iter().zip(&sizes).enumerate() {
            let seed =
                super::boosting::scramble(params.seed ^ super::boosting::scramble(arm as u64));
            draw(&mut drawn[start..start + size], number, seed);
        }
        for (count, &group) in counts_of_rows.iter_mut().zip(&group_of) {
            *count = f64::from(drawn[group as usize]);
        }
        let count = |row: usize| counts_of_rows[row];
        for (scope, asked) in scopes.iter().zip(asked.iter_mut()) {
            asked.take(log, *scope, &count);
        }
    }
}

#[cfg(test)]
mod tests;
