//! What the sources are tuned by, chosen inside the history: before anything is learned, each source alone answers
//! questions of an earlier period under a few settings, and the best stays.
//!
//! The questions are older than those that calibrate and judge, so neither sees what was chosen for it.

mod blending;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::blending::Blending;
use super::judge::had;
use super::questions::{Moment, Plan};
use super::{Lesson, Progress, TrainError, person, truth};
use crate::algorithms::metrics::{Tally, Truth};
use crate::application::history::Ahead;
use crate::domain::{EventKind, Source};
use crate::state::State;
use crate::state::candidates::{Gathered, alone};
use crate::state::relations::Relations;
use crate::state::scratch::Scratch;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// The most questions under which a setting is tried.
const MOST: usize = 400;
/// With fewer questions than this nothing can be told apart.
const LEAST: usize = 100;
/// Lists are judged at this length: long enough to tell, short enough to be about the top.
const K: usize = 20;
/// A larger catalog is not solved several times.
const MAX_SOLVED: usize = 10_000;

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was set, for example `customers.power`.
    pub setting: String,
    /// To what.
    pub value: f64,
    /// What was measured: the ndcg@20 of the source alone, or the recall of the candidates.
    pub metric: String,
    /// Its mean over the questions.
    pub figure: f64,
    /// True if it stayed.
    pub chosen: bool,
}

/// What was tried, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The settings that stayed.
    pub tuning: Tuning,
    /// Everything that was tried, in order.
    pub trials: Vec<Trial>,
    /// Why not everything was tried; empty: it was.
    pub skipped: String,
}

/// A setting with the values it may have.
struct Knob {
    name: &'static str,
    source: Source,
    values: &'static [f64],
    set: fn(&mut Tuning, f64),
}

macro_rules! knobs {
    ($($name:literal: $source:ident, [$($value:literal),*], $($field:ident).+ as $kind:ty;)*) => {
        &[$(Knob {
            name: $name,
            source: Source::$source,
            values: &[$($value),*],
            set: |tuning, value| tuning.$($field).+ = value as $kind,
        },)*]
    };
}

/// Of sources that speak of what somebody bought. The first value of each is where the search starts.
const OF_BUYERS: &[Knob] = knobs![
    "personal.slow_half_life_days": Personal, [120.0, 60.0, 240.0], own_slow_days as f64;
    "personal.fast_half_life_days": Personal, [14.0, 7.0, 30.0], own_fast_days as f64;
    "ease.penalty": Ease, [200.0, 50.0, 800.0], ease_penalty as f64;
    "ease.half_life_days": Ease, [180.0, 60.0, 100_000.0], ease_half_life_days as f64;
    "customers.half_life_days": Customers, [30.0, 10.0, 90.0], neighbours.now_days as f64;
    "customers.power": Customers, [2.0, 1.0, 4.0], neighbours.power as f32;
    "customers.asymmetry": Customers, [0.5, 0.25, 0.75], neighbours.asymmetry as f32;
    "customers.neighbours": Customers, [120.0, 60.0, 300.0], neighbours.count as usize;
    "customers.seed_half_life_days": Customers, [180.0, 60.0, 100_000.0], neighbours.seed_half_life_days as f64;
    "customers.rarity": Customers, [0.5, 0.0, 1.0], neighbours.rarity as f32;
    "customers.baskets": Customers, [10.0, 3.0, 25.0], neighbours.baskets as usize;
];

/// Of sources that speak of a visit.
const OF_VISITORS: &[Knob] = knobs![
    "sessions.seed_fade": Sessions, [4.0, 1.5, 8.0], sessions.seed_fade as f32;
    "sessions.distance_fade": Sessions, [4.0, 1.5, 8.0], sessions.distance_fade as f32;
    "sessions.age_fade_days": Sessions, [30.0, 10.0, 90.0], sessions.age_fade_days as f64;
    "sessions.neighbours": Sessions, [300.0, 100.0, 600.0], sessions.count as usize;
];

/// A question with its answer.
struct Asked<'a> {
    moment: &'a Moment,
    truth: Vec<Truth>,
}

/// Chooses the settings; `seconds` is how long it may take, 0: nothing is tried.
pub(super) fn tune(
    lesson: Lesson<'_>,
    ahead: &Ahead<'_>,
    plan: &Plan,
    seconds: u32,
    progress: &mut dyn Progress,
) -> Result<Tuned, TrainError> {
    let mut search = Search {
        lesson,
        ahead,
        tuned: Tuned::default(),
        end: Instant::now() + Duration::from_secs(seconds.into()),
        scratch: Scratch::default(),
    };
    if seconds == 0 {
        search.tuned.skipped = "the settings say that nothing is tried".to_owned();
        return Ok(search.tuned);
    }
    let (regular, visits) = plan.tuning(MOST);
    if regular.len() < LEAST && visits.len() < LEAST {
        search.tuned.skipped = format!(
            "{} questions are too few to tell settings apart; {LEAST} are needed",
            regular.len().max(visits.len())
        );
        return Ok(search.tuned);
    }
    progress.at("tuning", 0.02);
    let start = regular
        .first()
        .or(visits.first())
        .map_or(0, |moment| moment.place);
    let mut state = State::new(lesson.fold.clone());
    lesson
        .history
        .known
        .iter()
        .for_each(|record| state.apply(record));
    lesson.history.moments[..start]
        .iter()
        .for_each(|record| state.apply(record));
    if regular.len() >= LEAST && lesson.history.has(EventKind::Purchase) {
        search.of_buyers(&state, &regular, progress)?;
    }
    if visits.len() >= LEAST {
        search.of_visitors(state.clone(), &visits, progress)?;
    }
    search.of_blend(state, &regular, &visits, progress)?;
    Ok(search.tuned)
}

struct Search<'a> {
    lesson: Lesson<'a>,
    ahead: &'a Ahead<'a>,
    tuned: Tuned,
    end: Instant,
    scratch: Scratch,
}

impl Search<'_> {
    /// All questions are asked of the same State, so one setting after the other is tried, each beside the best so far.
    fn of_buyers(
        &mut self,
        state: &State,
        questions: &[Moment],
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let asked: Vec<Asked<'_>> = questions
            .iter()
            .filter_map(|moment| self.asked(state, moment))
            .collect();
        let mut relations = Relations::of(state, &self.tuned.tuning);
        for knob in OF_BUYERS {
            if knob.source == Source::Ease && state.products.items().len() > MAX_SOLVED {
                continue;
            }
            let mut figures = Vec::new();
            for &value in knob.values {
                self.check(progress)?;
                if Instant::now() > self.end {
                    self.tuned.skipped = format!("no time was left for {}", knob.name);
                    break;
                }
                let mut tuning = self.tuned.tuning;
                (knob.set)(&mut tuning, value);
                relations.tune(&tuning);
                relations.refresh(state);
                let mut tally = Tally::new(K);
                for asked in &asked {
                    self.answer(state, asked, knob.source, &relations, &tuning, &mut tally);
                }
                figures.push((value, tally));
            }
            self.choose(knob, &figures);
            relations.tune(&self.tuned.tuning);
            relations.refresh(state);
        }
        Ok(())
    }

    /// Each question is asked of the State of its moment, so all settings are tried on the way, each alone.
    fn of_visitors(
        &mut self,
        mut state: State,
        questions: &[Moment],
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let tallies = |knob: &Knob| {
            knob.values
                .iter()
                .map(|&value| (value, Tally::new(K)))
                .collect()
        };
        let mut figures: Vec<Vec<(f64, Tally)>> = OF_VISITORS.iter().map(tallies).collect();
        let relations = Relations::default();
        let mut folded = questions.first().map_or(0, |moment| moment.place);
        let start = state.end().0 as usize - self.lesson.history.known.len();
        for record in &self.lesson.history.moments[start..folded] {
            state.apply(record);
        }
        for moment in questions {
            self.check(progress)?;
            for record in &self.lesson.history.moments[folded..moment.place] {
                state.apply(record);
            }
            folded = moment.place;
            if Instant::now() > self.end {
                self.tuned.skipped = "no time was left for all questions in visits".to_owned();
                break;
            }
            let Some(asked) = self.asked(&state, moment) else {
                continue;
            };
            for (knob, figures) in OF_VISITORS.iter().zip(&mut figures) {
                for (value, tally) in figures {
                    let mut tuning = self.tuned.tuning;
                    (knob.set)(&mut tuning, *value);
                    self.answer(&state, &asked, knob.source, &relations, &tuning, tally);
                }
            }
        }
        for (knob, figures) in OF_VISITORS.iter().zip(&figures) {
            self.choose(knob, figures);
        }
        Ok(())
    }

    /// Each question is asked of the State of its moment, of everything and of what is new, as the ranker is.
    fn of_blend(
        &mut self,
        mut state: State,
        regular: &[Moment],
        visits: &[Moment],
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let Lesson {
            history, recipes, ..
        } = self.lesson;
        let tuning = self.tuned.tuning;
        let has_purchases = history.has(EventKind::Purchase);
        let mut relations = Relations::new(&tuning);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut blending = Blending::default();
        let mut folded = state.end().0 as usize - history.known.len();
        for moment in regular.iter().chain(visits) {
            self.check(progress)?;
            if Instant::now() > self.end {
                self.tuned.skipped = "no time was left for the blend".to_owned();
                return Ok(());
            }
            for record in &history.moments[folded..moment.place] {
                state.apply(record);
            }
            folded = moment.place;
            let Some(asked) = self.asked(&state, moment) else {
                continue;
            };
            let Some(person) = person(&state, self.ahead, moment) else {
                continue;
            };
            relations.keep_current(&state);
            let view = View::new(&state, state.subject(person), &[], moment.time);
            let recipe = &recipes[view.stage.0 as usize];
            let had = had(&view, has_purchases);
            let is_had = |product: u32| had.iter().any(|&(known, _)| known == product);
            let is_sold = |product: u32| state.products.recommendable(product);
            let truth = asked.truth.iter().copied();
            let new = truth.filter(|truth| !truth.product.is_some_and(is_had));
            let new: Vec<Truth> = new.collect();
            let mut gathered = Gathered::of(&view, &relations, &tuning, &mut scratch);
            blending.add(&mut gathered, recipe, &asked.truth, is_sold);
            let is_new = |product| is_sold(product) && !is_had(product);
            blending.add(&mut gathered, recipe, &new, is_new);
        }
        let (shares, trials) = blending.choose(recipes);
        self.tuned.tuning.shares = shares;
        self.tuned.trials.extend(trials);
        Ok(())
    }

    fn check(&self, progress: &dyn Progress) -> Result<(), TrainError> {
        if progress.is_cancelled() {
            return Err(TrainError::Cancelled);
        }
        Ok(())
    }

    fn asked<'m>(&self, state: &State, moment: &'m Moment) -> Option<Asked<'m>> {
        let person = person(state, self.ahead, moment)?;
        let view = View::new(state, state.subject(person), &[], moment.time);
        let recipe = &self.lesson.recipes[view.stage.0 as usize];
        let truth = truth(state, self.ahead, moment, recipe, self.lesson.history);
        (!truth.is_empty()).then_some(Asked { moment, truth })
    }

    /// Adds the list of a source alone to the figures. Sources that are there to discover are judged by what is new.
    fn answer(
        &mut self,
        state: &State,
        asked: &Asked<'_>,
        source: Source,
        relations: &Relations,
        tuning: &Tuning,
        tally: &mut Tally,
    ) {
        let Some(person) = person(state, self.ahead, asked.moment) else {
            return;
        };
        let view = View::new(state, state.subject(person), &[], asked.moment.time);
        let own: Vec<u32> = match source {
            Source::Ease | Source::Customers => view
                .own(tuning)
                .into_iter()
                .map(|(product, _)| product)
                .collect(),
            _ => Vec::new(),
        };
        let truth: Vec<Truth> = asked
            .truth
            .iter()
            .copied()
            .filter(|truth| {
                truth
                    .product
                    .is_none_or(|product| own.binary_search(&product).is_err())
            })
            .collect();
        let allowed =
            |product| state.products.recommendable(product) && own.binary_search(&product).is_err();
        let list = alone(
            source,
            &view,
            relations,
            tuning,
            &mut self.scratch,
            K,
            allowed,
        );
        tally.add(&list, &truth);
    }

    /// Keeps the best value; the first one unless another is better.
    fn choose(&mut self, knob: &Knob, figures: &[(f64, Tally)]) {
        let ndcg = |tally: &Tally| tally.figures(1)[1];
        let mut best: Option<(f64, f64)> = None;
        for (value, tally) in figures {
            let figure = ndcg(tally);
            if tally.cases() >= LEAST as u64 && best.is_none_or(|(_, known)| figure > known) {
                best = Some((*value, figure));
            }
        }
        for (value, tally) in figures {
            self.tuned.trials.push(Trial {
                setting: knob.name.to_owned(),
                value: *value,
                metric: format!("ndcg@{K}"),
                figure: ndcg(tally),
                chosen: best.is_some_and(|(chosen, _)| (chosen - value).abs() < f64::EPSILON),
            });
        }
        if let Some((value, _)) = best {
            (knob.set)(&mut self.tuned.tuning, value);
        }
    }
}
