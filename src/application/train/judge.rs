//! Judging: the same questions for every method, one metric code for the gate and for `evaluate`.

use serde::{Deserialize, Serialize};

use crate::algorithms::baselines::Baselines;
use crate::algorithms::metrics::{self, Shown, Tally, Truth};
use crate::domain::{Baseline, EventKind, Record, RecordBody};
use crate::state::State;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// The method that is ours.
pub(super) const OURS: &str = "nextbest";
/// The model that is live, on questions it has not learned from.
pub const LIVE: &str = "live";
/// Ours, on the questions of [`LIVE`].
pub(super) const OURS_AGAINST_LIVE: &str = "nextbest_against_live";

/// Figures by method and name, for example `nextbest`, `ndcg@10`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FigureTable(pub Vec<(String, Vec<(String, f64)>)>);

impl FigureTable {
    /// One figure; 0 if there is none of that name.
    #[must_use]
    pub fn figure(&self, method: &str, name: &str) -> f64 {
        self.find(method, name).unwrap_or(0.0)
    }

    /// One figure, if the method answered.
    #[must_use]
    pub fn find(&self, method: &str, name: &str) -> Option<f64> {
        let (_, figures) = self.0.iter().find(|(other, _)| other == method)?;
        let (_, figure) = figures.iter().find(|(other, _)| other == name)?;
        Some(*figure)
    }
}

/// The lists of one question that come from models.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    /// Ours, best first.
    pub ours: Vec<u32>,
    /// The live revision's, on questions it has not learned from.
    pub live: Option<Vec<u32>>,
    /// Of each source alone, and of their union, by name.
    pub sources: Vec<(String, Vec<u32>)>,
}

/// Which questions a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those asked in a stage.
    Stage(u8),
    /// Those of a group of askers: see [`Judged::group`].
    Group(u16),
}

/// Where a question belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) stage: u8,
    pub(super) person: u32,
    pub(super) group: u16,
}

impl Asked {
    fn is_in(self, scope: Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Stage(stage) => stage == self.stage,
            Scope::Group(group) => group == self.group,
        }
    }
}

/// What a method answered to a question.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) method: String,
    /// Products, best first.
    pub(super) list: Vec<u32>,
    /// What the first of them are.
    pub(super) shown: Vec<Shown>,
}

/// A question that is judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Who asked, when, and from which stage.
    pub view: &'a View<'a>,
    /// Whose question it is: the questions of one person hang together.
    pub person: u32,
    /// The group of who asked, from 0 on without gaps; 0 if nothing is told apart.
    pub group: u16,
    /// Take what somebody had before out of the truth and of the baselines' lists; ours must come without it.
    pub discover: bool,
}

/// What one method did.
#[derive(Debug, Clone)]
struct Method {
    name: String,
    /// Over all stages, by length of the lists.
    all: Vec<Tally>,
    /// By stage and length of the lists.
    stages: Vec<Vec<Tally>>,
    /// By group and length of the lists, as far as somebody asked.
    groups: Vec<Vec<Tally>>,
    /// By question, length and the first of [`metrics::NAMES`]; empty where it was not asked.
    scores: Vec<Vec<f64>>,
}

impl Method {
    /// The tallies of the stage and of the group of a question.
    fn parts(&mut self, asked: Asked) -> impl Iterator<Item = &mut Tally> {
        let group = usize::from(asked.group);
        while self.groups.len() <= group {
            let empty = self.all.iter().map(|tally| Tally::new(tally.k()));
            self.groups.push(empty.collect());
        }
        let stage = &mut self.stages[usize::from(asked.stage)];
        stage.iter_mut().chain(&mut self.groups[group])
    }
}

/// Counts for every method on the same questions.
#[derive(Debug, Clone)]
pub struct Judge {
    ks: Vec<usize>,
    stages: usize,
    /// By question.
    asked: Vec<Asked>,
    baselines: Baselines,
    /// By kind of shop: what the baselines count.
    has_purchases: bool,
    views: Baselines,
    /// How many views there were.
    viewed: u64,
    /// How many purchases there were, and how many people had bought when there were so many.
    purchases: u64,
    buyers: (u64, u64),
    methods: Vec<Method>,
    recommendable: usize,
}

impl Judge {
    /// No questions yet, of so many stages; lists are cut at each of `ks`.
    #[must_use]
    pub fn new(ks: &[usize], stages: usize) -> Self {
        Self {
            ks: ks.to_vec(),
            stages,
            asked: Vec::new(),
            baselines: Baselines::default(),
            has_purchases: false,
            views: Baselines::default(),
            viewed: 0,
            purchases: 0,
            buyers: (0, 0),
            methods: Vec::new(),
            recommendable: 0,
        }
    }

    /// Folds a record into State and counts it for the baselines.
    pub fn fold(&mut self, state: &mut State, record: &Record) {
        let RecordBody::Event(event) = &record.body else {
            return state.apply(record);
        };
        let counted = |state: &State| {
            let number = event
                .product
                .as_ref()
                .and_then(|id| state.products.number(id.as_str()));
            number.map(|number| (number, state.products.item(number).baskets))
        };
        let before = counted(state).map_or(0, |(_, baskets)| baskets);
        state.apply(record);
        if let Some((product, baskets)) = counted(state) {
            match event.kind {
                EventKind::Purchase => {
                    self.has_purchases = true;
                    self.purchases += 1;
                    if baskets > before {
                        self.baselines.count(event.time, product);
                    }
                }
                EventKind::ViewItem => {
                    self.viewed += 1;
                    self.views.count(event.time, product);
                }
                _ => {}
            }
        }
    }

    /// True if the history has purchases so far; otherwise views are what counts.
    #[must_use]
    pub fn has_purchases(&self) -> bool {
        self.has_purchases
    }

    /// What somebody bought before (or viewed, in histories without purchases), and how often.
    #[must_use]
    pub fn had(&self, view: &View<'_>) -> Vec<(u32, f64)> {
        had(view, self.has_purchases)
    }

    /// Adds a question; returns false if nothing of the truth is left.
    pub fn add(&mut self, asked: Judged<'_>, lists: Standings, truth: &[Truth]) -> bool {
        let Judged {
            view,
            person,
            group,
            discover,
        } = asked;
        let had = self.had(view);
        let is_had = |product: u32| had.iter().any(|&(known, _)| known == product);
        let truth: Vec<Truth> = truth
            .iter()
            .map(|t| Truth {
                is_repeat: t.product.is_some_and(is_had),
                ..*t
            })
            .filter(|t| !(discover && t.is_repeat))
            .collect();
        if truth.is_empty() {
            return false;
        }
        let k = self.ks.iter().copied().max().unwrap_or(10);
        let products = &view.state.products;
        let allowed =
            |product: u32| products.recommendable(product) && !(discover && is_had(product));
        let counts = if self.has_purchases {
            &mut self.baselines
        } else {
            &mut self.views
        };
        let recent = counts.recent(view.now, k, allowed);
        let mut answers = vec![(OURS.to_owned(), lists.ours.clone())];
        if let Some(live) = lists.live {
            answers.extend([
                (LIVE.to_owned(), live),
                (OURS_AGAINST_LIVE.to_owned(), lists.ours),
            ]);
        }
        answers.extend(lists.sources);
        for &baseline in Baseline::ALL {
            let list = match baseline {
                Baseline::Popularity => counts.popularity(k, allowed),
                Baseline::RecentPopularity => recent.clone(),
                Baseline::PersonalFrequency => counts.personal(&had, k, allowed),
            };
            answers.push((baseline.as_str().to_owned(), list));
        }
        let asked = Asked {
            stage: view.stage.0,
            person,
            group,
        };
        self.count_buyers(view.state);
        let answers = answers.into_iter().map(|(method, list)| Answer {
            shown: list
                .iter()
                .take(k)
                .map(|&product| self.shown(view.state, product))
                .collect(),
            method,
            list,
        });
        let answers: Vec<Answer> = answers.collect();
        self.record(asked, answers, &truth);
        let count = (0..products.items().len() as u32).filter(|&p| products.recommendable(p));
        if self.recommendable == 0 {
            self.recommendable = count.count();
        }
        true
    }

    /// Counts everybody who has bought, if there were purchases since they were counted.
    fn count_buyers(&mut self, state: &State) {
        if self.buyers.0 != self.purchases {
            let everybody = state
                .people
                .customers()
                .iter()
                .chain(state.people.visitors());
            let count = everybody.filter(|subject| subject.orders > 0).count();
            self.buyers = (self.purchases, count as u64);
        }
    }

    /// What a product is that somebody is shown: what counts is its share of buyers, or of views in histories without
    /// purchases.
    fn shown(&self, state: &State, product: u32) -> Shown {
        let item = state.products.item(product);
        let information = if self.has_purchases {
            metrics::information(u64::from(item.buyers), self.buyers.1)
        } else {
            metrics::information(u64::from(self.views.counted(product)), self.viewed)
        };
        Shown {
            information,
            category: item.shelf.category(),
        }
    }

    /// Adds a question with the answer of each method.
    pub(super) fn record(&mut self, asked: Asked, answers: Vec<Answer>, truth: &[Truth]) {
        let question = self.asked.len();
        self.asked.push(asked);
        for answer in answers {
            let method = self.method(answer.method);
            for tally in method.parts(asked) {
                tally.add(&answer.list, truth);
                tally.describe(&answer.shown);
            }
            let scores = method.all.iter_mut().flat_map(|tally| {
                tally.describe(&answer.shown);
                tally.add(&answer.list, truth)
            });
            let scores: Vec<f64> = scores.collect();
            method.scores.resize(question, Vec::new());
            method.scores.push(scores);
        }
    }

    fn method(&mut self, name: String) -> &mut Method {
        let place = self.methods.iter().position(|known| known.name == name);
        let place = place.unwrap_or_else(|| {
            let tallies: Vec<Tally> = self.ks.iter().map(|&k| Tally::new(k)).collect();
            self.methods.push(Method {
                name,
                stages: vec![tallies.clone(); self.stages],
                groups: Vec::new(),
                all: tallies,
                scores: Vec::new(),
            });
            self.methods.len() - 1
        });
        &mut self.methods[place]
    }

    /// How many questions the live revision answered: those that it has not learned from.
    #[must_use]
    pub fn answered_by_live(&self) -> u64 {
        let live = self.methods.iter().find(|method| method.name == LIVE);
        let tally = live.and_then(|live| live.all.first());
        tally.map_or(0, Tally::cases)
    }

    /// How many questions were judged.
    #[must_use]
    pub fn cases(&self, scope: Scope) -> u64 {
        self.asked.iter().filter(|asked| asked.is_in(scope)).count() as u64
    }

    /// By how much we are better than a method, question by question, on the questions that both answered: whose each
    /// is, and the difference of each figure. `figures` says for a stage which: see [`Judge::figure`].
    #[must_use]
    pub fn differences<'a>(
        &self,
        method: &str,
        scope: Scope,
        figures: impl Fn(u8) -> &'a [usize],
    ) -> (Vec<u32>, Vec<Vec<f64>>) {
        let scores = |name: &str| {
            let found = self.methods.iter().find(|known| known.name == name);
            found.map_or(&[][..], |method| &method.scores)
        };
        let (ours, theirs) = (scores(OURS), scores(method));
        let mut persons = Vec::new();
        let mut series: Vec<Vec<f64>> = Vec::new();
        for (asked, (ours, theirs)) in self.asked.iter().zip(ours.iter().zip(theirs)) {
            if asked.is_in(scope) && !theirs.is_empty() {
                persons.push(asked.person);
                let figures = figures(asked.stage);
                series.resize_with(figures.len(), Vec::new);
                for (series, &figure) in series.iter_mut().zip(figures) {
                    series.push(ours[figure] - theirs[figure]);
                }
            }
        }
        (persons, series)
    }

    /// The place of a figure like `ndcg@10` in [`Judge::differences`]; none if it is no figure of a question.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<usize> {
        let (metric, k) = name.split_once('@')?;
        let k = self.ks.iter().position(|own| own.to_string() == k)?;
        let names = &metrics::NAMES[..metrics::OF_A_CASE];
        let metric = names.iter().position(|own| *own == metric)?;
        Some(k * metrics::OF_A_CASE + metric)
    }

    /// By method, the recall of lists that are cut at 1, 2, … up to the greatest length.
    #[must_use]
    pub fn recall_by_k(&self) -> Vec<(String, Vec<f64>)> {
        let longest = |method: &Method| {
            let tally = method.all.iter().max_by_key(|tally| tally.k());
            tally.map(Tally::recall_by_k).unwrap_or_default()
        };
        let methods = self.methods.iter();
        methods
            .map(|method| (method.name.clone(), longest(method)))
            .collect()
    }

    /// The figures of every method that answered; that of categories only where products have some.
    #[must_use]
    pub fn table(&self, scope: Scope) -> FigureTable {
        let methods = self.methods.iter().filter_map(|method| {
            let tallies = match scope {
                Scope::All => Some(&method.all),
                Scope::Stage(stage) => method.stages.get(usize::from(stage)),
                Scope::Group(group) => method.groups.get(usize::from(group)),
            };
            let tallies = tallies.filter(|tallies| tallies.iter().any(|tally| tally.cases() > 0));
            let figures = tallies?.iter().flat_map(|tally| self.figures(tally));
            Some((method.name.clone(), figures.collect()))
        });
        FigureTable(methods.collect())
    }

    fn figures(&self, tally: &Tally) -> Vec<(String, f64)> {
        let name = |name: &str| format!("{name}@{}", tally.k());
        let figures = tally.figures(self.recommendable);
        let figures = metrics::NAMES.iter().zip(figures);
        let mut figures: Vec<(String, f64)> =
            figures.map(|(own, figure)| (name(own), figure)).collect();
        let categories = tally.categories();
        figures.extend(categories.map(|figure| (name(metrics::CATEGORIES), figure)));
        figures
    }
}
/// What somebody bought before (or viewed, in histories without purchases), and how often.
pub(super) fn had(view: &View<'_>, has_purchases: bool) -> Vec<(u32, f64)> {
    if has_purchases {
        let own = view.own(&Tuning::default()).into_iter();
        return own.map(|(product, own)| (product, own.baskets)).collect();
    }
    let mut had: Vec<(u32, f64)> = Vec::new();
    let steps = view.steps.iter();
    let viewed = steps.filter(|step| step.kind == EventKind::ViewItem);
    for product in viewed.filter_map(|step| step.product) {
        match had.iter_mut().find(|(known, _)| *known == product) {
            Some((_, count)) => *count += 1.0,
            None => had.push((product, 1.0)),
        }
    }
    had
}
