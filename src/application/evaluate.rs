//! Evaluation: how well would the service have answered? The same fold, the same ranking, the same metric code.

mod ablation;
mod due;
mod examination;
mod grouping;
mod offers;
mod report;

pub use ablation::{Ablation, NoSuchPart};
pub use due::{DueFigures, DueReport, judge_due};
pub use grouping::{Grouping, MAX_GROUPS, NoSuchTrait};
pub use offers::{OfferReport, OfferSettings, evaluate_offers};
pub use report::{Calibrated, Difference, LiveReport, PartReport, Report, Training};

use std::collections::HashMap;
use std::time::Instant;

use examination::Examination;

use crate::application::history::{Ahead, History, time};
use crate::application::model::{Model, PartName};
use crate::application::recommend::Who;
use crate::application::shop::Live;
use crate::application::train::{
    Lesson, Progress, QuestionSettings, TrainError, TrainSettings, Trained, choose_since, person,
    train, truth,
};
use crate::application::truth::Case;
use crate::domain::time::DAY_MS;
use crate::domain::{Recipe, Timestamp};
use crate::state::FoldSettings;

/// How to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluateSettings<'a> {
    /// How to fold.
    pub fold: &'a FoldSettings,
    /// The recipes, by stage.
    pub recipes: &'a [Recipe],
    /// See [`Lesson::horizons_ms`].
    pub horizons_ms: &'a [i64],
    /// How to train.
    pub train: &'a TrainSettings,
    /// Lists are cut at each of these.
    pub ks: &'a [usize],
    /// Take what somebody had before out of answers and truth.
    pub discover: bool,
    /// Judge each source alone, and the union of them.
    pub sources: bool,
    /// Judge the questions of groups of customers apart.
    pub by: Option<&'a Grouping>,
}

/// What a training run before the questions came to.
struct Lessons {
    /// Why no model ranks; empty: one does.
    refusal: String,
    /// What it made, if it could be made, whether or not it was refused.
    trained: Option<Trained>,
    seconds: f64,
}

impl Lessons {
    /// The model that answers.
    fn model(&self) -> Option<&Model> {
        let trained = self.trained.as_ref().filter(|_| self.refusal.is_empty());
        trained.map(|trained| &trained.model)
    }

    /// Trains on a history that ends before the questions.
    fn learn(
        history: &History,
        settings: &EvaluateSettings<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Self, TrainError> {
        let started = Instant::now();
        let lesson = Lesson {
            history,
            fold: settings.fold,
            recipes: settings.recipes,
            horizons_ms: settings.horizons_ms,
        };
        let (refusal, trained) = match train(lesson, settings.train, None, progress) {
            Ok(trained) => {
                let refusal = trained.refusal_of(PartName::Ranking).to_owned();
                (refusal, Some(trained))
            }
            Err(error @ (TrainError::TooLittle { .. } | TrainError::Fit(_))) => {
                (error.to_string(), None)
            }
            Err(TrainError::Cancelled) => return Err(TrainError::Cancelled),
        };
        Ok(Self {
            refusal,
            trained,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Trains on what happened until the first question, then folds on and answers every question at its moment.
///
/// # Errors
/// `Cancelled`; too little to learn from is none: the blend answers then.
pub fn evaluate(
    mut history: History,
    mut cases: Vec<Case>,
    settings: &EvaluateSettings<'_>,
    progress: &mut dyn Progress,
) -> Result<Report, TrainError> {
    cases.sort_by_key(|case| case.at);
    let first = cases.first().map_or(Timestamp::MAX, |case| case.at);
    let later = history.split_after(first);
    let lessons = Lessons::learn(&history, settings, progress)?;
    history.rejoin(later);
    let mut examination = Examination::new(settings, &lessons, None, &history.known);
    let mut persons: HashMap<(bool, &str), u32> = HashMap::new();
    let mut folded = 0;
    for (number, case) in cases.iter().enumerate() {
        tell(progress, number, cases.len())?;
        let place = folded + history.moments[folded..].partition_point(|r| time(r) <= case.at);
        examination.fold(&history.moments[folded..place]);
        folded = place;
        let (name, person) = match &case.who {
            Who::Customer(id) => ((true, id.as_str()), examination.state.people.customer(id)),
            Who::Visitor(id) => ((false, id.as_str()), examination.state.people.visitor(id)),
            Who::Nobody => ((false, ""), None),
        };
        let next = persons.len() as u32;
        let number = *persons.entry(name).or_insert(next);
        examination.ask(person, number, case.at, |state, _| {
            let ids = case.truth.iter();
            ids.map(|id| state.products.number(id.as_str())).collect()
        });
    }
    Ok(examination.report(lessons))
}

/// Trains on what happened until `days` before the end of a history, then asks of the rest what a training run would
/// have asked: at regular dates and in the middle of visits. The `live` revision is asked as well what it has not
/// learned from.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_window(
    mut history: History,
    days: f64,
    live: Option<&Live>,
    settings: &EvaluateSettings<'_>,
    progress: &mut dyn Progress,
) -> Result<Report, TrainError> {
    let last = history.span().map_or(Timestamp::MIN, |(_, last)| last);
    let since = last.plus_ms(-((days * DAY_MS as f64) as i64));
    let later = history.split_after(since);
    let lessons = Lessons::learn(&history, settings, progress)?;
    history.rejoin(later);
    let ahead = Ahead::of(&history.moments);
    let wanted = QuestionSettings {
        seed: settings.train.seed,
        most: settings.train.max_questions,
    };
    let questions = choose_since(&history, &ahead, since, &wanted);
    let mut examination = Examination::new(settings, &lessons, live, &history.known);
    let mut folded = 0;
    for (number, moment) in questions.iter().enumerate() {
        tell(progress, number, questions.len())?;
        examination.fold(&history.moments[folded..moment.place]);
        folded = moment.place;
        let Some(person) = person(&examination.state, &ahead, moment) else {
            continue;
        };
        examination.ask(Some(person), moment.person, moment.time, |state, recipe| {
            let truth = truth(state, &ahead, moment, recipe, &history);
            truth.into_iter().map(|truth| truth.product).collect()
        });
    }
    Ok(examination.report(lessons))
}

fn tell(progress: &mut dyn Progress, number: usize, of: usize) -> Result<(), TrainError> {
    if number.is_multiple_of(64) {
        progress.at("answering", number as f64 / of as f64);
        if progress.is_cancelled() {
            return Err(TrainError::Cancelled);
        }
    }
    Ok(())
}
