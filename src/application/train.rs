//! Training: the history is folded through the same State that serves; at past moments the questions are asked that
//! serving would have been asked, and what really came next is the lesson.

mod judge;
mod questions;

pub use judge::{FigureTable, Judge, Standings};
pub use questions::{Moment, QuestionSettings, choose};

use serde::{Deserialize, Serialize};

use crate::algorithms::calibration::{Calibration, expected_error};
use crate::algorithms::metrics::Truth;
use crate::algorithms::ranker::{self, FitError, RankerParams, Row};
use crate::application::history::{Ahead, History};
use crate::application::model::{FeatureMask, Model, Ranked, Ranking, Scored};
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Recipe, Record, RecordBody, Subject as Who, Timestamp};
use crate::state::candidates::Gathered;
use crate::state::people::Person;
use crate::state::relations::Relations;
use crate::state::scratch::Scratch;
use crate::state::view::View;
use crate::state::{FoldSettings, State};

/// At most so many positive rows of one question: a large basket must not outweigh many small ones.
const POSITIVES: usize = 12;
/// So many negative rows of one question.
const NEGATIVES: usize = 24;
/// Lists are judged at this length.
pub const GATE_K: usize = 10;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Decides what is sampled.
    pub seed: u64,
    /// The most questions that are asked of the past.
    pub max_questions: usize,
    /// Below so many there is nothing to learn.
    pub min_questions: usize,
    /// The most rows that are fitted.
    pub max_rows: usize,
    /// Of the ranker.
    pub ranker: RankerParams,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            seed: 7,
            max_questions: 10_000,
            min_questions: 200,
            max_rows: 200_000,
            ranker: RankerParams::default(),
        }
    }
}

/// Hears how far a run is, and may stop it.
pub trait Progress {
    /// The run is in `phase`, at `share` (0 to 1) of the whole.
    fn at(&mut self, phase: &'static str, share: f64);
    /// True if the run shall stop.
    fn is_cancelled(&self) -> bool;
}

/// Hears nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn at(&mut self, _phase: &'static str, _share: f64) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// What a run made.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model, fitted on everything.
    pub model: Model,
    /// Records of the history.
    pub records: u64,
    /// Questions it learned from before it was judged.
    pub training_questions: u64,
    /// Questions held back to judge it.
    pub held_back_questions: u64,
    /// The figures on the held-back end.
    pub figures: FigureTable,
    /// Expected calibration error on the questions the calibration was fitted on.
    pub calibration_error: f64,
    /// Why it must not go live; empty: it may.
    pub refusal: String,
}

/// Why a run made nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Too little happened.
    #[error("{found} questions can be asked of this history; {needed} are needed to learn from")]
    TooLittle {
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The ranker cannot be fitted.
    #[error(transparent)]
    Fit(#[from] FitError),
}

/// What a history is folded and asked with.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The history.
    pub history: &'a History,
    /// How to fold.
    pub fold: &'a FoldSettings,
    /// The recipes, by stage.
    pub recipes: &'a [Recipe],
}

/// A past question with its candidates and what was truly next.
struct Asked {
    stage: u8,
    ranked: Ranked,
    truth: Vec<u32>,
}

/// Trains a model on a history and judges it on the held-back end, against the baselines and the `live` model.
///
/// # Errors
/// [`TrainError`]; a model that is no better is not an error but a refusal.
pub fn train(
    lesson: Lesson<'_>,
    settings: &TrainSettings,
    live: Option<&Model>,
    progress: &mut dyn Progress,
) -> Result<Trained, TrainError> {
    progress.at("reading", 0.0);
    let ahead = Ahead::of(&lesson.history.moments);
    let wanted = QuestionSettings {
        seed: settings.seed,
        most: settings.max_questions,
    };
    let plan = choose(lesson.history, &ahead, &wanted);
    let too_little = |found| TrainError::TooLittle {
        found,
        needed: settings.min_questions,
    };
    if plan.questions.len() < settings.min_questions {
        return Err(too_little(plan.questions.len()));
    }
    let mut run = Run {
        settings,
        live,
        masks: lesson.recipes.iter().map(FeatureMask::of).collect(),
        sample: sample(plan.questions.len(), settings.max_rows),
        rows: Vec::new(),
        questions: [0; 3],
        fitted: None,
        scores: vec![(Vec::new(), Vec::new()); lesson.recipes.len()],
        checked: (Vec::new(), Vec::new()),
        judge: Judge::new(&[GATE_K]),
        salt: settings.seed,
        lesson,
    };
    run.replay(&ahead, &plan, progress)?;
    if run.questions.iter().sum::<u64>() < settings.min_questions as u64 || run.fitted.is_none() {
        return Err(too_little(run.questions.iter().sum::<u64>() as usize));
    }
    progress.at("fitting", 0.8);
    if progress.is_cancelled() {
        return Err(TrainError::Cancelled);
    }
    run.finish(progress)
}

/// The state of one run.
struct Run<'a> {
    lesson: Lesson<'a>,
    settings: &'a TrainSettings,
    live: Option<&'a Model>,
    masks: Vec<FeatureMask>,
    /// How many positive and negative rows of one question.
    sample: (usize, usize),
    rows: Vec<Row>,
    /// Questions to learn from, to calibrate with and to judge by.
    questions: [u64; 3],
    /// Fitted on the questions to learn from alone.
    fitted: Option<Model>,
    /// By stage: scores and outcomes of questions the fit has not seen.
    scores: Vec<(Vec<f64>, Vec<bool>)>,
    /// What was said and what came, on the held-back end.
    checked: (Vec<f64>, Vec<bool>),
    judge: Judge,
    salt: u64,
}

impl Run<'_> {
    fn replay(
        &mut self,
        ahead: &Ahead<'_>,
        plan: &questions::Plan,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let Lesson {
            history,
            fold,
            recipes,
        } = self.lesson;
        let mut state = State::new(fold.clone());
        history.known.iter().for_each(|record| state.apply(record));
        let mut relations = Relations::default();
        let mut scratch = Scratch::default();
        let mut folded = 0;
        for (number, moment) in plan.questions.iter().enumerate() {
            if number.is_multiple_of(64) {
                progress.at(
                    "replaying",
                    0.05 + 0.75 * number as f64 / plan.questions.len() as f64,
                );
                if progress.is_cancelled() {
                    return Err(TrainError::Cancelled);
                }
            }
            for record in &history.moments[folded..moment.place] {
                self.judge.fold(&mut state, record);
            }
            folded = moment.place;
            let part = plan.part(moment.time);
            if part > 0 && self.fitted.is_none() {
                self.fit_first()?;
            }
            let Some(person) = person(&state, ahead, moment) else {
                continue;
            };
            relations.keep_current(&state);
            let view = View::new(&state, state.subject(person), &[], moment.time);
            let recipe = &recipes[view.stage.0 as usize];
            let truth = truth(&state, ahead, moment, recipe, history);
            if truth.is_empty() {
                continue;
            }
            let ranking = Ranking {
                recipe,
                mask: &self.masks[view.stage.0 as usize],
                model: self.fitted.as_ref(),
            };
            let allowed = |product| state.products.recommendable(product);
            let mut gathered = Gathered::of(&view, &relations, &mut scratch);
            let ranked = ranking.rank(&mut gathered, allowed, |_| 1.0);
            if part == 2 {
                let lists = Standings::of(&mut gathered, &ranking, self.live, &ranked);
                self.judge.add(&view, lists, &truth, false);
            }
            let truth: Vec<u32> = truth.iter().filter_map(|truth| truth.product).collect();
            self.learn(
                part,
                &Asked {
                    stage: view.stage.0,
                    ranked,
                    truth,
                },
            );
        }
        if self.fitted.is_none() {
            self.fit_first()?;
        }
        Ok(())
    }

    /// Fits the questions to learn from, to have scores of questions the fit has not seen.
    fn fit_first(&mut self) -> Result<(), TrainError> {
        let ranker = self.fit(&self.rows)?;
        self.fitted = Some(self.model(ranker, Vec::new()));
        Ok(())
    }

    fn fit(&self, rows: &[Row]) -> Result<ranker::FittedRanker, FitError> {
        ranker::fit(rows, self.lesson.recipes.len(), &self.settings.ranker)
    }

    fn model(&self, ranker: ranker::FittedRanker, calibrations: Vec<Option<Calibration>>) -> Model {
        let stages = self
            .lesson
            .recipes
            .iter()
            .map(|recipe| recipe.stage.clone())
            .collect();
        let learned_until = self
            .lesson
            .history
            .span()
            .map_or(Timestamp::MIN, |(_, last)| last);
        Model::new(
            stages,
            ranker,
            calibrations,
            self.settings.seed,
            learned_until,
        )
    }

    /// Keeps a sample of the candidates as rows, and all scores of questions the fit has not seen.
    fn learn(&mut self, part: usize, asked: &Asked) {
        self.questions[part] += 1;
        let is_true = |scored: &Scored<'_>| asked.truth.contains(&scored.candidate.product);
        if part > 0 {
            let (scores, outcomes) = &mut self.scores[asked.stage as usize];
            for scored in asked.ranked.iter() {
                scores.push(scored.mark.key);
                outcomes.push(is_true(&scored));
            }
        }
        let (mut positives, mut negatives): (Vec<Scored<'_>>, Vec<Scored<'_>>) =
            asked.ranked.iter().partition(is_true);
        if positives.is_empty() {
            return;
        }
        for (rows, most, label) in [
            (&mut positives, self.sample.0, true),
            (&mut negatives, self.sample.1, false),
        ] {
            self.salt = self.salt.wrapping_add(1);
            let salt = self.salt;
            rows.sort_by_key(|scored| questions::mix(salt, u64::from(scored.candidate.product)));
            let sample = rows.iter().take(most);
            self.rows.extend(sample.map(|scored| Row {
                stage: asked.stage,
                features: asked.ranked.features(scored.candidate),
                label,
            }));
        }
    }

    /// Fits everything, calibrates, and says whether the model may go live.
    fn finish(mut self, progress: &mut dyn Progress) -> Result<Trained, TrainError> {
        let ranker = self.fit(&self.rows)?;
        progress.at("calibrating", 0.92);
        let calibrations: Vec<Option<Calibration>> = self
            .scores
            .iter()
            .map(|(scores, outcomes)| Calibration::fit(scores, outcomes))
            .collect();
        for ((scores, outcomes), calibration) in self.scores.iter().zip(&calibrations) {
            if let Some(calibration) = calibration {
                let said = scores.iter().map(|&score| calibration.probability(score));
                self.checked.0.extend(said);
                self.checked.1.extend(outcomes);
            }
        }
        progress.at("judging", 0.97);
        let figures = self.judge.table();
        let refusal = self.refusal(&figures);
        Ok(Trained {
            model: self.model(ranker, calibrations),
            records: (self.lesson.history.known.len() + self.lesson.history.moments.len()) as u64,
            training_questions: self.questions[0] + self.questions[1],
            held_back_questions: self.questions[2],
            calibration_error: expected_error(&self.checked.0, &self.checked.1),
            figures,
            refusal,
        })
    }

    /// What the recipes ask to be beaten, and was not.
    fn refusal(&self, figures: &FigureTable) -> String {
        const MIN_HELD_BACK: u64 = 30;
        if self.questions[2] < MIN_HELD_BACK {
            return format!(
                "only {} questions could be held back to judge it; {MIN_HELD_BACK} are needed",
                self.questions[2]
            );
        }
        let mut unbeaten: Vec<String> = Vec::new();
        let mut compare = |metric: &str, ours: &str, theirs: &str, may_equal: bool| {
            let (our, their) = (figures.figure(ours, metric), figures.figure(theirs, metric));
            if !(our > their || may_equal && our >= their) {
                unbeaten.push(format!(
                    "{metric} {our:.4} does not beat {theirs} {their:.4}"
                ));
            }
        };
        for recipe in self.lesson.recipes {
            for baseline in &recipe.baselines {
                compare(&recipe.metric, judge::OURS, baseline.as_str(), false);
            }
            // with few questions it has not learned from, the live model cannot be judged: the newer one replaces it
            if self.judge.cases(judge::LIVE) >= MIN_HELD_BACK {
                compare(&recipe.metric, judge::OURS_AGAINST_LIVE, judge::LIVE, true);
            }
        }
        unbeaten.sort();
        unbeaten.dedup();
        unbeaten.join("; ")
    }
}

/// How many positive and negative rows of one question are kept, so that all questions stay under `max_rows`.
fn sample(questions: usize, max_rows: usize) -> (usize, usize) {
    let room = (max_rows / questions.max(1)).clamp(2, POSITIVES + NEGATIVES);
    let positives = (room * POSITIVES / (POSITIVES + NEGATIVES)).max(1);
    (positives, room - positives)
}

/// The person a past question was about, as State knew them then.
fn person(state: &State, ahead: &Ahead<'_>, moment: &Moment) -> Option<Person> {
    let record: &Record = ahead.last_before(moment.person, moment.place)?;
    let RecordBody::Event(event) = &record.body else {
        return None;
    };
    match &event.subject {
        Who::Customer { customer, .. } => state.people.customer(customer),
        Who::Visitor(visitor) => state.people.visitor(visitor),
    }
}

/// What was truly next, by the outcome of the recipe; where the history never has that outcome, by the next
/// purchase, or the next view.
fn truth(
    state: &State,
    ahead: &Ahead<'_>,
    moment: &Moment,
    recipe: &Recipe,
    history: &History,
) -> Vec<Truth> {
    let wanted = [recipe.outcome, EventKind::Purchase, EventKind::ViewItem];
    let outcome = wanted
        .into_iter()
        .find(|&kind| history.has(kind))
        .unwrap_or(recipe.outcome);
    let end = moment
        .time
        .plus_ms((recipe.within_days * DAY_MS as f64) as i64);
    ahead
        .next(moment.person, moment.place, end, outcome)
        .into_iter()
        .map(|id| Truth {
            product: state.products.number(id.as_str()),
            is_repeat: false,
        })
        .collect()
}
