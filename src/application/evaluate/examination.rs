//! The questions of an evaluation are put to a State of their own.

use std::time::Instant;

use super::report::{LiveReport, Report, Said, percentiles};
use super::{EvaluateSettings, Lessons};
use crate::algorithms::draw::mix;
use crate::algorithms::metrics::Truth;
use crate::application::model::{Aim, FeatureMask, Model, Ranked, Ranking, Scored};
use crate::application::shop::Live;
use crate::application::train::{Judge, Judged, Rival, Standings};
use crate::domain::{Ranker, Recipe, Record, Source, Timestamp};
use crate::state::State;
use crate::state::candidates::{Gathered, filler};
use crate::state::people::Person;
use crate::state::relations::Relations;
use crate::state::scratch::Scratch;
use crate::state::slate;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// One after the other, in the order of time.
pub(super) struct Examination<'a> {
    settings: &'a EvaluateSettings<'a>,
    model: Option<Model>,
    masks: Vec<FeatureMask>,
    pub(super) state: State,
    relations: Relations,
    tuning: Tuning,
    scratch: Scratch,
    judge: Judge,
    live: Option<&'a Live>,
    /// Its ranking, if it has one.
    rival: Option<Rival<'a>>,
    /// What was said of products that were answered, and whether they came.
    said: Said,
    answer_ms: Vec<f64>,
    /// When the first and the last question was asked.
    span: Option<(Timestamp, Timestamp)>,
}

impl<'a> Examination<'a> {
    pub(super) fn new(
        settings: &'a EvaluateSettings<'a>,
        lessons: &Lessons,
        live: Option<&'a Live>,
        known: &[Record],
    ) -> Self {
        let mut state = State::new(settings.fold.clone());
        known.iter().for_each(|record| state.apply(record));
        let model = lessons.model().cloned();
        let tuning = model.as_ref().map_or_else(Tuning::default, Model::tuning);
        let mut relations = Relations::new(&tuning);
        let personas = model.as_ref().and_then(|model| model.personas.as_ref());
        relations.tell_by(personas.map(|part| &part.fitted.teller));
        let has_personas = personas.is_some();
        Self {
            masks: settings.recipes.iter().map(FeatureMask::of).collect(),
            settings,
            model,
            state,
            relations,
            tuning,
            scratch: Scratch::default(),
            judge: Judge::new(settings.ks, settings.recipes.len()),
            rival: live
                .and_then(|live| Some((live, live.model.ranking.as_ref()?)))
                .map(|(live, part)| {
                    let other = (&tuning, has_personas);
                    Rival::new(part, live.model.personas(), other)
                }),
            live,
            said: Said::new(settings.recipes.len()),
            answer_ms: Vec::new(),
            span: None,
        }
    }

    /// Takes in what happened until the next question.
    pub(super) fn fold(&mut self, records: &[Record]) {
        for record in records {
            self.judge.fold(&mut self.state, record);
        }
    }

    /// Asks about `person`, whose questions have the number `number`, at `now`; `truth` says what was truly next,
    /// by the recipe of the stage they are in: a product that is not known is none. Without truth it is no question.
    pub(super) fn ask(
        &mut self,
        person: Option<Person>,
        number: u32,
        now: Timestamp,
        truth: impl FnOnce(&State, &Recipe) -> Vec<Option<u32>>,
    ) {
        let state = &self.state;
        self.relations.keep_current(state);
        let started = Instant::now();
        let subject = person.and_then(|person| state.subject(person));
        let view = View::new(state, subject, &[], now);
        let stage = view.stage.0 as usize;
        let aim = if self.settings.discover {
            Aim::Discover
        } else {
            Aim::Next
        };
        let ranking = Ranking {
            recipe: &self.settings.recipes[stage],
            mask: &self.masks[stage],
            scorer: self.model.as_ref().and_then(|model| model.scorer(aim)),
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
        let rules = &ranking.recipe.answer;
        let draw = || mix(u64::from(number), now.ms() as u64);
        let answered = |products: &mut dyn Iterator<Item = u32>| {
            let list = slate::choose(state, products, most, rules, draw, allowed);
            let mut list: Vec<u32> = list.iter().map(|place| place.product).collect();
            if list.len() < most {
                let missing = most - list.len();
                let more = filler(state, missing, |p| !list.contains(&p) && allowed(p));
                list.extend(more);
            }
            list
        };
        let ours = answered(&mut ranked.products());
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        let live = self.rival.as_mut();
        let live = live.and_then(|rival| rival.products(&mut gathered, &ranking, aim, allowed));
        let live = live.map(|products| answered(&mut products.into_iter()));
        let truth: Vec<Truth> = truth(state, ranking.recipe)
            .into_iter()
            .map(|product| Truth {
                product,
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
            live,
            sources,
        };
        let customer = subject.filter(|_| matches!(person, Some(Person::Customer(_))));
        let customer = customer.map(|subject| &*subject.id);
        let judged = Judged {
            view: &view,
            person: number,
            group: self.settings.by.map_or(0, |by| by.group(customer)),
            discover: self.settings.discover,
        };
        if !self.judge.add(judged, lists, &truth) {
            return;
        }
        self.answer_ms.push(took_ms);
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
        for scored in ranked.iter().take(most) {
            if scored.mark.calibrated {
                let came = is_true(&truth, scored.candidate.product);
                self.said.add(stage, scored.mark.score, came);
            }
        }
    }

    /// What came of it.
    pub(super) fn report(self, lessons: Lessons) -> Report {
        let answer_ms = percentiles(self.answer_ms);
        let ranking = self
            .live
            .and_then(|live| Some((live, live.model.ranking.as_ref()?)));
        let live = ranking.map(|(live, ranking)| LiveReport {
            id: live.id.clone(),
            learned_until: ranking.learned_until,
            cases: self.judge.answered_by_live(),
        });
        Report::of(
            self.settings,
            &self.judge,
            &self.said,
            lessons,
            live,
            answer_ms,
            self.span,
        )
    }
}

fn is_true(truth: &[Truth], product: u32) -> bool {
    truth.iter().any(|truth| truth.product == Some(product))
}

/// How many products a source may propose when it is judged alone.
const ALONE: usize = 100;

/// The list of each source alone; of what is true among all candidates, the most any ranker could reach; and of what
/// would be left of that without each source.
fn sources(
    gathered: &mut Gathered<'_>,
    ranking: &Ranking<'_>,
    ranked: &Ranked<'_>,
    truth: &[Truth],
    allowed: impl Fn(u32) -> bool,
) -> Vec<(String, Vec<u32>)> {
    let perfect = |keep: &dyn Fn(&Scored<'_>) -> bool| -> Vec<u32> {
        let found = ranked
            .iter()
            .filter(|scored| is_true(truth, scored.candidate.product) && keep(scored));
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
