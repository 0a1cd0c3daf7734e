//! Training: the history is folded through the same State that serves; at past moments the questions are asked that
//! serving would have been asked, and what really came next is the lesson.

mod gate;
mod judge;
mod learner;
mod next_stage;
mod offers;
mod questions;
mod rival;
mod tuning;

pub use gate::{GateComparison, MIN_QUESTIONS, Verdict};
pub use judge::{FigureTable, Judge, Judged, LIVE, Scope, Standings};
pub use next_stage::{JourneyFigures, PropensityFigures, StageComparison};
pub use offers::{
    DecisionLog, HoldoutTrial, JudgedPolicy, OfferFigures, OfferPolicyValue, holdout_trial,
    judge_decisions,
};
pub use questions::{Moment, QuestionSettings, choose, choose_since};
pub use rival::Rival;
pub use tuning::{Trial, Tuned};

use learner::{Asked, FitSettings, Learner};
use next_stage::LearnedJourney;
use offers::LearnedOffers;
use serde::{Deserialize, Serialize};

use crate::algorithms::boosting::BoostingParams;
use crate::algorithms::metrics::Truth;
use crate::algorithms::personas::PersonaParams;
use crate::algorithms::ranker::{FitError, RankerParams};
use crate::application::history::{Ahead, History};
use crate::application::model::{
    Aim, Assembly, FeatureMask, FittedRanking, Made, Model, PartName, PartReport, PartState,
    Ranking,
};
use crate::application::personas::{self, LearnedPersonas, PersonaFigures};
use crate::application::shop::Live;
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Recipe, Record, RecordBody, Subject as Who, Timestamp};
use crate::state::candidates::Gathered;
use crate::state::people::Person;
use crate::state::persona_popularity::Teller;
use crate::state::relations::Relations;
use crate::state::scratch::Scratch;
use crate::state::view::View;
use crate::state::{FoldSettings, State};

/// The most rows of one question.
const MAX_ROWS_PER_QUESTION: usize = 44;
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
    /// How many seconds the sources may be tuned; 0: they are not.
    pub tuning_seconds: u32,
    /// The most past moments at which it is asked where people went next; 0: that is not learned.
    pub max_moments: usize,
    /// Of the ranker.
    pub ranker: RankerParams,
    /// Whether personas are learned, too.
    pub with_personas: bool,
    /// Whether trees may correct it.
    pub with_trees: bool,
    /// Of these trees.
    pub boosting: BoostingParams,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            seed: 7,
            max_questions: 30_000,
            min_questions: 200,
            max_rows: 1_000_000,
            tuning_seconds: 20,
            max_moments: 30_000,
            ranker: RankerParams::default(),
            with_personas: true,
            with_trees: true,
            boosting: BoostingParams {
                trees: 60,
                feature_share: 0.5,
                learning_rate: 0.08,
                ..BoostingParams::default()
            },
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
    /// The model: of the parts that passed, fitted on everything, and of those of the live revision; or, if none
    /// passed, of what the run made.
    pub model: Model,
    /// What became of each part.
    pub parts: Vec<PartReport>,
    /// What the sources were tuned by, and what was tried.
    pub tuned: Tuned,
    /// Records of the history.
    pub records: u64,
    /// Questions it learned from before it was judged.
    pub training_questions: u64,
    /// Questions held back to judge it.
    pub held_back_questions: u64,
    /// The figures on the held-back end.
    pub figures: FigureTable,
    /// What the gate compared on it.
    pub gate: Vec<GateComparison>,
    /// Expected calibration error on the questions the calibration was fitted on.
    pub calibration_error: f64,
    /// How learning what offers do went.
    pub offers: OfferFigures,
    /// How learning where people go next went.
    pub journey: JourneyFigures,
    /// How learning personas went; absent: none were found.
    pub personas: Option<PersonaFigures>,
    /// Why it must not go live: no part passed; empty: it may.
    pub refusal: String,
}

impl Trained {
    /// Why the run's own part is not in use; empty: it is.
    #[must_use]
    pub fn refusal_of(&self, part: PartName) -> &str {
        let mut others = self.parts.iter();
        let found = others.find(|other| other.part == part && other.state != PartState::New);
        found.map_or("", |other| &other.reason)
    }
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
    /// After how long without anything somebody has left a stage, in milliseconds, by stage.
    pub horizons_ms: &'a [i64],
}

/// Trains the parts of a model on a history and judges each on the held-back end, against what it must beat and the
/// `live` revision.
///
/// # Errors
/// [`TrainError`]; a part that is no better is not an error but a refusal.
pub fn train(
    lesson: Lesson<'_>,
    settings: &TrainSettings,
    live: Option<&Live>,
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
    let tuned = tuning::tune(lesson, &ahead, &plan, settings.tuning_seconds, progress)?;
    let fit = FitSettings {
        ranker: &settings.ranker,
        boosting: settings.with_trees.then_some(&settings.boosting),
        stages: lesson.recipes.len(),
        rows_per_question: (settings.max_rows / plan.questions.len())
            .clamp(3, MAX_ROWS_PER_QUESTION),
    };
    let mut run = Run {
        settings,
        live,
        masks: lesson.recipes.iter().map(FeatureMask::of).collect(),
        questions: [0; 3],
        rival: live
            .and_then(|live| Some((live, live.model.ranking.as_ref()?)))
            .map(|(live, part)| {
                let other = (&tuned.tuning, settings.with_personas);
                Rival::new(part, live.model.personas(), other)
            }),
        learners: [Aim::Next, Aim::Discover].map(|aim| Learner::new(aim, fit, settings.seed)),
        judge: Judge::new(&[GATE_K], lesson.recipes.len()),
        persona_count: None,
        personas: Err("not learned".to_owned()),
        lesson,
        part: 0,
        tuned,
    };
    run.replay(&ahead, &plan, progress)?;
    let known = live.and_then(|live| live.model.next_stage.as_ref());
    progress.at("replaying", 0.7);
    let journey = next_stage::learn(lesson, &ahead, settings, known, progress)?;
    if run.questions.iter().sum::<u64>() < settings.min_questions as u64 {
        return Err(too_little(run.questions.iter().sum::<u64>() as usize));
    }
    run.finish(journey, progress)
}

/// The state of one run.
struct Run<'a> {
    lesson: Lesson<'a>,
    settings: &'a TrainSettings,
    live: Option<&'a Live>,
    masks: Vec<FeatureMask>,
    /// Questions to learn from, to calibrate with and to judge by.
    questions: [u64; 3],
    /// Which of them are being asked.
    part: usize,
    learners: [Learner<'a>; 2],
    judge: Judge,
    /// The live revision's ranking.
    rival: Option<Rival<'a>>,
    /// How many personas there were at an earlier moment, if any were found.
    persona_count: Option<usize>,
    /// Or why there are none.
    personas: Result<LearnedPersonas, String>,
    tuned: Tuned,
}

impl Run<'_> {
    fn replay(
        &mut self,
        ahead: &Ahead<'_>,
        plan: &questions::Plan,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let Lesson { history, fold, .. } = self.lesson;
        let mut state = State::new(fold.clone());
        history.known.iter().for_each(|record| state.apply(record));
        let tuning = self.tuned.tuning;
        let mut relations = Relations::new(&tuning);
        let mut scratch = Scratch::default();
        let mut folded = 0;
        // personas are those of the part's beginning: later ones would know what was to come
        let mut told_for = None;
        for (number, moment) in plan.questions.iter().enumerate() {
            if number.is_multiple_of(64) {
                let share = number as f64 / plan.questions.len() as f64;
                progress.at("replaying", 0.1 + 0.6 * share);
                if progress.is_cancelled() {
                    return Err(TrainError::Cancelled);
                }
            }
            for place in folded..moment.place {
                self.judge.fold(&mut state, &history.moments[place]);
            }
            folded = moment.place;
            self.enter(plan.part(moment.time), progress)?;
            let Some(person) = person(&state, ahead, moment) else {
                continue;
            };
            if told_for != Some(self.part) {
                told_for = Some(self.part);
                relations.tell_by(self.personas_at(&state, moment.time).as_ref());
                relations.refresh(&state);
            }
            relations.keep_current(&state);
            let view = View::new(&state, state.subject(person), &[], moment.time);
            let recipe = &self.lesson.recipes[view.stage.0 as usize];
            let truth = truth(&state, ahead, moment, recipe, history);
            if truth.is_empty() {
                continue;
            }
            self.questions[self.part] += 1;
            let mut gathered = Gathered::of(&view, &relations, &tuning, &mut scratch);
            for learner in 0..self.learners.len() {
                self.ask(learner, &mut gathered, &truth, moment.person);
            }
        }
        self.enter(2, progress)?;
        if self.settings.with_personas {
            progress.at("fitting", 0.72);
            // what customers are like at the end
            let later = history.moments.iter().skip(folded);
            later.for_each(|record| state.apply(record));
            let until = history.span().map_or(Timestamp::MIN, |(_, last)| last);
            let live = self.live.and_then(|live| live.model.personas.as_ref());
            let previous = live.map(|part| &part.fitted);
            self.personas = personas::learn(&state, until, previous, self.settings.seed)
                .map_err(|error| error.to_string());
        }
        Ok(())
    }

    /// What tells the personas of a moment by what was known then; nothing where none were good enough to go live. How
    /// many there are is looked for until some are.
    fn personas_at(&mut self, state: &State, now: Timestamp) -> Option<Teller> {
        if !self.settings.with_personas {
            return None;
        }
        let mut params = PersonaParams {
            seed: self.settings.seed,
            ..PersonaParams::default()
        };
        if let Some(k) = self.persona_count {
            (params.min_k, params.max_k) = (k, k);
        }
        let learned = personas::learn_with(state, now, None, params).ok()?;
        let is_good = learned.figures.faults().is_empty();
        if is_good {
            self.persona_count = Some(learned.figures.k);
        }
        is_good.then_some(learned.personas.teller)
    }

    /// Enters a part of the questions: before any is asked that must not be learned from, what is learned is fitted.
    fn enter(&mut self, part: usize, progress: &mut dyn Progress) -> Result<(), TrainError> {
        while self.part < part {
            self.part += 1;
            for learner in &mut self.learners {
                if self.part == 1 {
                    learner.fit_first(&mut || !progress.is_cancelled())?;
                } else {
                    learner.decide();
                }
            }
        }
        Ok(())
    }

    /// Puts a question to one of the rankings.
    fn ask(&mut self, learner: usize, gathered: &mut Gathered<'_>, truth: &[Truth], person: u32) {
        let aim = self.learners[learner].aim;
        let view = gathered.view();
        let had = match aim {
            Aim::Next => Vec::new(),
            Aim::Discover => self.judge.had(view),
        };
        let is_had = |product: u32| had.iter().any(|&(known, _)| known == product);
        let products = &view.state.products;
        let allowed = |product: u32| products.recommendable(product) && !is_had(product);
        let wanted: Vec<Truth> = truth
            .iter()
            .copied()
            .filter(|t| !t.product.is_some_and(is_had))
            .collect();
        let known: Vec<u32> = wanted.iter().filter_map(|truth| truth.product).collect();
        if known.is_empty() {
            return;
        }
        let stage = view.stage.0;
        let fitted = self.learners[learner].fitted.clone();
        let ranking = Ranking {
            recipe: &self.lesson.recipes[stage as usize],
            mask: &self.masks[stage as usize],
            scorer: fitted.as_deref(),
            with_trees: true,
        };
        let ranked = ranking.rank(gathered, allowed, |_| 1.0);
        if self.part == 2 && aim == Aim::Next {
            let live = self.rival.as_mut();
            let live = live.and_then(|rival| rival.products(gathered, &ranking, aim, allowed));
            let lists = Standings {
                ours: ranked.products().collect(),
                live,
                sources: Vec::new(),
            };
            let asked = Judged {
                view,
                person,
                group: 0,
                discover: false,
            };
            self.judge.add(asked, lists, truth);
        }
        let has_trees = fitted
            .as_ref()
            .is_some_and(|fitted| fitted.boosting.is_some());
        if self.part == 1 && has_trees {
            let ranking = Ranking {
                with_trees: false,
                ..ranking
            };
            let without = ranking.rank(gathered, allowed, |_| 1.0);
            let lists = [&without, &ranked].map(|ranked| ranked.products().collect::<Vec<u32>>());
            self.learners[learner].compare([&lists[0], &lists[1]], &wanted);
        }
        let asked = Asked {
            stage,
            ranked: &ranked,
            truth: &known,
        };
        let learner = &mut self.learners[learner];
        if self.part > 0 {
            learner.calibrate(&asked);
        }
        learner.learn(&asked);
    }

    /// Fits everything, calibrates, and says whether the model may go live.
    fn finish(
        mut self,
        journey: LearnedJourney,
        progress: &mut dyn Progress,
    ) -> Result<Trained, TrainError> {
        let mut scorers = Vec::new();
        for (learner, share) in self.learners.iter_mut().zip([0.75, 0.87]) {
            progress.at("fitting", share);
            scorers.push(learner.finish(&mut || !progress.is_cancelled())?);
        }
        progress.at("judging", 0.95);
        let live = self.live.map(|live| &live.model);
        let own = self.personas.as_ref().ok();
        let own = own.filter(|learned| learned.figures.faults().is_empty());
        let own = own.map(|learned| &learned.personas);
        let LearnedOffers {
            made: offers,
            mut figures,
        } = offers::learn(
            self.lesson,
            own.or_else(|| live.and_then(Model::personas)),
            live,
            self.settings.seed,
            &mut || !progress.is_cancelled(),
        )?;
        progress.at("judging", 0.98);
        let discovery = scorers.pop().flatten();
        let Some(next) = scorers.pop().flatten() else {
            return Err(TrainError::Fit(FitError::OneClass {
                positives: 0,
                rows: 0,
            }));
        };
        let gate::Gate {
            comparisons,
            refusal,
        } = gate::decide(&self.judge, self.lesson.recipes, self.settings.seed);
        let ranking = Made {
            fitted: Some(FittedRanking::new(self.tuned.tuning, next, discovery)),
            refusal,
        };
        let Lesson {
            history, recipes, ..
        } = self.lesson;
        let live = self.live.map(|live| (live.id.as_str(), &live.model));
        let learned_until = history.span().map_or(Timestamp::MIN, |(_, last)| last);
        let LearnedJourney {
            made: next_stage,
            figures: journey,
        } = journey;
        let (personas, persona_figures) = match self.personas {
            Ok(LearnedPersonas { personas, figures }) => {
                let made = Made {
                    fitted: Some(personas),
                    refusal: figures.faults().join(", "),
                };
                (made, Some(figures))
            }
            Err(reason) => {
                let made = Made {
                    fitted: None,
                    refusal: reason,
                };
                (made, None)
            }
        };
        let passes =
            ranking.passes() || offers.passes() || next_stage.passes() || personas.passes();
        let mut assembly = Assembly::new(live, self.settings.seed, learned_until, passes);
        let mut model = Model::new(recipes.iter().map(|recipe| recipe.stage.clone()).collect());
        model.ranking = assembly.take(PartName::Ranking, ranking, |live| live.ranking.as_ref());
        model.offers = assembly.take(PartName::Offers, offers, |live| live.offers.as_ref());
        model.next_stage = assembly.take(PartName::NextStage, next_stage, |live| {
            live.next_stage.as_ref()
        });
        model.personas = assembly.take(PartName::Personas, personas, |live| live.personas.as_ref());
        figures.chooses = model.offers.is_some();
        Ok(Trained {
            model,
            offers: figures,
            journey,
            personas: persona_figures,
            tuned: self.tuned,
            records: (history.known.len() + history.moments.len()) as u64,
            training_questions: self.questions[0] + self.questions[1],
            held_back_questions: self.questions[2],
            calibration_error: self.learners[0].calibration_error(),
            figures: self.judge.table(Scope::All),
            gate: comparisons,
            refusal: assembly.refusal(),
            parts: assembly.reports,
        })
    }
}

/// The person a past question was about, as State knew them then.
pub(super) fn person(state: &State, ahead: &Ahead<'_>, moment: &Moment) -> Option<Person> {
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
pub(super) fn truth(
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
