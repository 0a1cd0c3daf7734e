//! What came of an evaluation: figures by method and stage, differences with their intervals, calibration.

use super::{EvaluateSettings, Lessons};
use crate::algorithms::bootstrap::{self, Interval};
use crate::algorithms::calibration::{self, Bin, expected_error};
use crate::algorithms::metrics;
use crate::application::model::Model;
use crate::application::train::{
    FigureTable, GateComparison, JourneyFigures, Judge, LIVE, Scope, Tuned,
};
use crate::domain::{Baseline, Timestamp};

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Questions that were judged.
    pub cases: u64,
    /// When the first and the last of them was asked.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Seconds to train.
    pub fit_seconds: f64,
    /// Milliseconds of one answer: median and 99th percentile.
    pub answer_ms: (f64, f64),
    /// The figures of every method.
    pub figures: FigureTable,
    /// By method, the recall of lists that are cut at 1, 2, … up to the greatest length.
    pub recall_by_k: Vec<(String, Vec<f64>)>,
    /// By how much nextbest is better than each baseline and than the live revision.
    pub differences: Vec<Difference>,
    /// The same by stage, of the stages in which somebody asked.
    pub stages: Vec<PartReport>,
    /// The same by group of customers, of the groups of which somebody asked; empty unless they are told apart.
    pub groups: Vec<PartReport>,
    /// What was said of the products that were answered, and what came; absent where nothing calibrated answered.
    pub calibration: Option<Calibrated>,
    /// The live revision of the data folder, if one ranks there and was asked.
    pub live: Option<LiveReport>,
    /// What the training run said of its model; absent: it made none.
    pub training: Option<Training>,
    /// What the sources were tuned by, and what was tried.
    pub tuned: Tuned,
    /// Why the blend answered; empty: a model did.
    pub refusal: String,
    /// The model that answered, if one did.
    pub model: Option<Model>,
}

/// The live revision of a data folder; its figures are those of the method `live`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveReport {
    /// Which.
    pub id: String,
    /// The last moment its ranking learned from.
    pub learned_until: Timestamp,
    /// How many questions were asked after that: only these it answers.
    pub cases: u64,
}

/// By how much nextbest is better than a baseline, or than the live revision, on average over the questions that both
/// answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The baseline, or `live`.
    pub baseline: String,
    /// The figure: `recall@10`.
    pub figure: String,
    /// The difference with its interval.
    pub interval: Interval,
}

/// What came of some of the questions: of a stage, or of a group of customers.
#[derive(Debug, Clone)]
pub struct PartReport {
    /// Its name.
    pub name: String,
    /// Its questions.
    pub cases: u64,
    /// The figures of every method.
    pub figures: FigureTable,
    /// By how much nextbest is better than each baseline.
    pub differences: Vec<Difference>,
    /// The expected calibration error of a stage; absent where nothing calibrated answered.
    pub calibration_error: Option<f64>,
}

/// How far what is said is from what comes, of the products that were answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The expected calibration error.
    pub error: f64,
    /// Ten bins of equal size, by rising probability.
    pub bins: Vec<Bin>,
}

/// What a training run said of its model.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Questions it learned from.
    pub questions: u64,
    /// Questions it held back.
    pub held_back: u64,
    /// Expected calibration error over all candidates of the questions it was calibrated with.
    pub calibration_error: f64,
    /// What the gate compared on the held-back questions.
    pub gate: Vec<GateComparison>,
    /// How learning where people go next went.
    pub journey: JourneyFigures,
}

/// By stage: what was said of products, and whether they came.
pub(super) struct Said(Vec<(Vec<f64>, Vec<bool>)>);

impl Said {
    pub(super) fn new(stages: usize) -> Self {
        Self(vec![(Vec::new(), Vec::new()); stages])
    }

    pub(super) fn add(&mut self, stage: usize, probability: f64, came: bool) {
        self.0[stage].0.push(probability);
        self.0[stage].1.push(came);
    }

    fn error(&self, stage: usize) -> Option<f64> {
        let (said, came) = &self.0[stage];
        (!said.is_empty()).then(|| expected_error(said, came))
    }

    fn over_all(&self) -> Option<Calibrated> {
        let (mut said, mut came) = (Vec::new(), Vec::new());
        for (probabilities, outcomes) in &self.0 {
            said.extend(probabilities);
            came.extend(outcomes);
        }
        (!said.is_empty()).then(|| Calibrated {
            error: expected_error(&said, &came),
            bins: calibration::bins(&said, &came),
        })
    }
}

impl Report {
    pub(super) fn of(
        settings: &EvaluateSettings<'_>,
        judge: &Judge,
        said: &Said,
        lessons: Lessons,
        live: Option<LiveReport>,
        answer_ms: (f64, f64),
        span: Option<(Timestamp, Timestamp)>,
    ) -> Self {
        let part = |name: &str, scope: Scope| {
            let cases = judge.cases(scope);
            (cases > 0).then(|| PartReport {
                name: name.to_owned(),
                cases,
                figures: judge.table(scope),
                differences: differences(judge, settings, scope),
                calibration_error: match scope {
                    Scope::Stage(stage) => said.error(stage as usize),
                    _ => None,
                },
            })
        };
        let stages = (0u8..).zip(settings.recipes);
        let stages = stages.filter_map(|(stage, recipe)| part(&recipe.stage, Scope::Stage(stage)));
        let groups = settings.by.map_or(&[][..], |by| &by.names);
        let groups = (0u16..).zip(groups);
        let groups = groups.filter_map(|(group, name)| part(name, Scope::Group(group)));
        let model = lessons.model().cloned();
        let tuned = lessons
            .trained
            .as_ref()
            .map(|trained| trained.tuned.clone());
        let training = lessons.trained.map(|trained| Training {
            questions: trained.training_questions,
            held_back: trained.held_back_questions,
            calibration_error: trained.calibration_error,
            gate: trained.gate,
            journey: trained.journey,
        });
        Self {
            cases: judge.cases(Scope::All),
            span,
            fit_seconds: lessons.seconds,
            answer_ms,
            figures: judge.table(Scope::All),
            recall_by_k: judge.recall_by_k(),
            differences: differences(judge, settings, Scope::All),
            stages: stages.collect(),
            groups: groups.collect(),
            calibration: said.over_all(),
            live,
            training,
            tuned: tuned.unwrap_or_default(),
            refusal: lessons.refusal,
            model,
        }
    }
}

/// The median and the 99th percentile; 0 of nothing.
pub(super) fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let percentile = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        let place = place.min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or(0.0)
    };
    (percentile(0.5), percentile(0.99))
}

/// Against each baseline and the live revision, in each figure that every question has.
fn differences(judge: &Judge, settings: &EvaluateSettings<'_>, scope: Scope) -> Vec<Difference> {
    let names: Vec<String> = settings
        .ks
        .iter()
        .flat_map(|k| {
            metrics::NAMES[..metrics::OF_A_CASE]
                .iter()
                .map(move |name| (name, k))
        })
        .map(|(name, k)| format!("{name}@{k}"))
        .collect();
    let places: Vec<usize> = names.iter().filter_map(|name| judge.figure(name)).collect();
    let mut differences = Vec::new();
    let others = Baseline::ALL.iter().map(|baseline| baseline.as_str());
    for other in others.chain([LIVE]) {
        let (persons, series) = judge.differences(other, scope, |_| &places);
        if persons.is_empty() {
            continue;
        }
        let intervals = bootstrap::intervals(&persons, &series, settings.train.seed);
        for (figure, interval) in names.iter().zip(intervals) {
            differences.push(Difference {
                baseline: other.to_owned(),
                figure: figure.clone(),
                interval,
            });
        }
    }
    differences
}
