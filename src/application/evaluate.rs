//! Evaluation: how well would the service have answered? The same fold, the same ranking, the same metric code.

use std::time::Instant;

use crate::algorithms::metrics::Truth;
use crate::application::history::{History, time};
use crate::application::model::{Aim, FeatureMask, Model, Ranked, Ranking, Scored};
use crate::application::recommend::Who;
use crate::application::train::{
    FigureTable, Judge, Lesson, Progress, Standings, TrainError, TrainSettings, Tuned, train,
};
use crate::application::truth::Case;
use crate::domain::{Ranker, Recipe, Record, Source, Timestamp};
use crate::state::candidates::{Gathered, filler};
use crate::state::relations::Relations;
use crate::state::scratch::Scratch;
use crate::state::tuning::Tuning;
use crate::state::view::View;
use crate::state::{FoldSettings, State};

/// How to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluateSettings<'a> {
    /// How to fold.
    pub fold: &'a FoldSettings,
    /// The recipes, by stage.
    pub recipes: &'a [Recipe],
    /// How to train.
    pub train: &'a TrainSettings,
    /// Lists are cut at each of these.
    pub ks: &'a [usize],
    /// Take what somebody had before out of answers and truth.
    pub discover: bool,
    /// Judge each source alone, and the union of them.
    pub sources: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Questions that were judged.
    pub cases: u64,
    /// Seconds to train.
    pub fit_seconds: f64,
    /// Milliseconds of one answer: median and 99th percentile.
    pub answer_ms: (f64, f64),
    /// The figures of every method.
    pub figures: FigureTable,
    /// What the training run said of its model: empty if it went live, otherwise why the blend answered.
    pub refusal: String,
    /// What the sources were tuned by, and what was tried.
    pub tuned: Tuned,
    /// The model that answered, if one did.
    pub model: Option<Model>,
}

/// Trains on what happened until the first question, then folds on and answers every question at its moment.
///
/// # Errors
/// `Cancelled`, or a fit that failed; too little to learn from is none: the blend answers then.
pub fn evaluate(
    mut history: History,
    mut cases: Vec<Case>,
    settings: &EvaluateSettings<'_>,
    progress: &mut dyn Progress,
) -> Result<Report, TrainError> {
    cases.sort_by_key(|case| case.at);
    let first = cases.first().map_or(Timestamp::MAX, |case| case.at);
    let later = history.split_after(first);
    let started = Instant::now();
    let lesson = Lesson {
        history: &history,
        fold: settings.fold,
        recipes: settings.recipes,
    };
    let (model, refusal, tuned) = match train(lesson, settings.train, None, progress) {
        Ok(trained) if trained.refusal.is_empty() => {
            (Some(trained.model), String::new(), trained.tuned)
        }
        Ok(trained) => (None, trained.refusal, trained.tuned),
        Err(error @ (TrainError::TooLittle { .. } | TrainError::Fit(_))) => {
            (None, error.to_string(), Tuned::default())
        }
        Err(TrainError::Cancelled) => return Err(TrainError::Cancelled),
    };
    let fit_seconds = started.elapsed().as_secs_f64();
    let mut examination = Examination::new(settings, model.as_ref(), &history.known);
    for record in &history.moments {
        examination.judge.fold(&mut examination.state, record);
    }
    let mut folded = 0;
    for (number, case) in cases.iter().enumerate() {
        if number.is_multiple_of(64) {
            progress.at("answering", number as f64 / cases.len() as f64);
            if progress.is_cancelled() {
                return Err(TrainError::Cancelled);
            }
        }
        while folded < later.len() && time(&later[folded]) <= case.at {
            examination
                .judge
                .fold(&mut examination.state, &later[folded]);
            folded += 1;
        }
        examination.ask(case);
    }
    let mut times = examination.answer_ms;
    times.sort_by(f64::total_cmp);
    let percentile = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times
            .get(place.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    };
    Ok(Report {
        cases: examination.judge.cases("nextbest"),
        fit_seconds,
        answer_ms: (percentile(0.5), percentile(0.99)),
        figures: examination.judge.table(),
        refusal,
        tuned,
        model,
    })
}

/// The questions are put to a State of their own.
struct Examination<'a> {
    settings: &'a EvaluateSettings<'a>,
    model: Option<&'a Model>,
    masks: Vec<FeatureMask>,
    state: State,
    relations: Relations,
    tuning: Tuning,
    scratch: Scratch,
    judge: Judge,
    answer_ms: Vec<f64>,
}

impl<'a> Examination<'a> {
    fn new(settings: &'a EvaluateSettings<'a>, model: Option<&'a Model>, known: &[Record]) -> Self {
        let mut state = State::new(settings.fold.clone());
        known.iter().for_each(|record| state.apply(record));
        let tuning = model.map_or_else(Tuning::default, |model| model.tuning);
        Self {
            masks: settings.recipes.iter().map(FeatureMask::of).collect(),
            settings,
            model,
            state,
            relations: Relations::new(&tuning),
            tuning,
            scratch: Scratch::default(),
            judge: Judge::new(settings.ks),
            answer_ms: Vec::new(),
        }
    }

    fn ask(&mut self, case: &Case) {
        let state = &self.state;
        let person = match &case.who {
            Who::Customer(id) => state.people.customer(id),
            Who::Visitor(id) => state.people.visitor(id),
            Who::Nobody => None,
        };
        self.relations.keep_current(state);
        let started = Instant::now();
        let subject = person.and_then(|person| state.subject(person));
        let view = View::new(state, subject, &[], case.at);
        let stage = view.stage.0 as usize;
        let aim = if self.settings.discover {
            Aim::Discover
        } else {
            Aim::Next
        };
        let ranking = Ranking {
            recipe: &self.settings.recipes[stage],
            mask: &self.masks[stage],
            scorer: self.model.map(|model| model.scorer(aim)),
            with_trees: true,
        };
        let had = if self.settings.discover {
            self.judge.had(&view)
        } else {
            Vec::new()
        };
        let allowed = |product: u32| {
            state.products.recommendable(product) && !had.iter().any(|&(known, _)| known == product)
        };
        let most = self.settings.ks.iter().copied().max().unwrap_or(10);
        let mut gathered = Gathered::of(&view, &self.relations, &self.tuning, &mut self.scratch);
        let ranked = ranking.rank(&mut gathered, allowed, |_| 1.0);
        let mut ours: Vec<u32> = ranked.products().take(most).collect();
        if ours.len() < most {
            let missing = most - ours.len();
            let more = filler(state, missing, |p| !ours.contains(&p) && allowed(p));
            ours.extend(more);
        }
        self.answer_ms.push(started.elapsed().as_secs_f64() * 1e3);
        let truth: Vec<Truth> = case
            .truth
            .iter()
            .map(|id| Truth {
                product: state.products.number(id.as_str()),
                is_repeat: false,
            })
            .collect();
        let sources = if self.settings.sources {
            sources(&mut gathered, &ranking, &ranked, &truth, allowed)
        } else {
            Vec::new()
        };
        let lists = Standings {
            ours,
            live: None,
            sources,
        };
        self.judge.add(&view, lists, &truth, self.settings.discover);
    }
}

/// How many products a source may propose when it is judged alone.
const ALONE: usize = 100;

/// The list of each source alone; of what is true among all candidates, the most any ranker could reach; and of what
/// would be left of that without each source.
fn sources(
    gathered: &mut Gathered<'_>,
    ranking: &Ranking<'_>,
    ranked: &Ranked,
    truth: &[Truth],
    allowed: impl Fn(u32) -> bool,
) -> Vec<(String, Vec<u32>)> {
    let is_true = |product: u32| truth.iter().any(|t| t.product == Some(product));
    let perfect = |keep: &dyn Fn(&Scored<'_>) -> bool| -> Vec<u32> {
        let found = ranked
            .iter()
            .filter(|scored| is_true(scored.candidate.product) && keep(scored));
        found.map(|scored| scored.candidate.product).collect()
    };
    let mut lists = Vec::new();
    for &source in Source::ALL {
        let alone = Recipe {
            sources: vec![(source, ALONE)],
            blend: vec![(source, 1.0)],
            ranker: Ranker::Blend,
            ..ranking.recipe.clone()
        };
        let ranking = Ranking {
            recipe: &alone,
            ..*ranking
        };
        let list = ranking.rank(gathered, &allowed, |_| 1.0);
        lists.push((
            format!("source:{}", source.as_str()),
            list.products().collect(),
        ));
    }
    lists.push(("candidates:all".to_owned(), perfect(&|_| true)));
    for &source in Source::ALL {
        let others = |scored: &Scored<'_>| {
            let ranks = scored.candidate.ranks.iter().enumerate();
            ranks
                .filter(|&(other, _)| other != source as usize)
                .any(|(_, &rank)| rank > 0)
        };
        lists.push((
            format!("candidates:without {}", source.as_str()),
            perfect(&others),
        ));
    }
    lists
}
