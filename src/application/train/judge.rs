//! Judging: the same questions for every method, one metric code for the gate and for `evaluate`.

use serde::{Deserialize, Serialize};

use crate::algorithms::baselines::Baselines;
use crate::algorithms::metrics::{self, Tally, Truth};
use crate::application::model::{Model, Ranked, Ranking};
use crate::domain::{Baseline, EventKind, Record, RecordBody};
use crate::state::State;
use crate::state::candidates::Gathered;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// The method that is ours.
pub(super) const OURS: &str = "nextbest";
/// The model that is live, on questions it has not learned from.
pub(super) const LIVE: &str = "live";
/// Ours, on the questions of [`LIVE`].
pub(super) const OURS_AGAINST_LIVE: &str = "nextbest_against_live";

/// Figures by method and name, for example `nextbest`, `ndcg@10`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FigureTable(pub Vec<(String, Vec<(String, f64)>)>);

impl FigureTable {
    /// One figure; 0 if there is none of that name.
    #[must_use]
    pub fn figure(&self, method: &str, name: &str) -> f64 {
        let figures = self
            .0
            .iter()
            .find(|(m, _)| m == method)
            .map(|(_, figures)| figures);
        figures
            .and_then(|figures| figures.iter().find(|(n, _)| n == name))
            .map_or(0.0, |&(_, figure)| figure)
    }
}

/// The lists of one question that come from models.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    /// Ours, best first.
    pub ours: Vec<u32>,
    /// The live model's, if one is live.
    pub live: Option<Vec<u32>>,
    /// Of each source alone, and of their union, by name.
    pub sources: Vec<(String, Vec<u32>)>,
}

impl Standings {
    /// Our list and that of the live model.
    #[must_use]
    pub fn of(
        gathered: &mut Gathered<'_>,
        ranking: &Ranking<'_>,
        live: Option<&Model>,
        ranked: &Ranked<'_>,
    ) -> Self {
        let view = gathered.view();
        // what it learned from it knows by heart
        let live = live
            .filter(|model| model.learned_until < view.now)
            .map(|model| {
                let ranking = Ranking {
                    scorer: Some(&model.next),
                    ..*ranking
                };
                let allowed = |product| view.state.products.recommendable(product);
                ranking
                    .rank(gathered, allowed, |_| 1.0)
                    .products()
                    .collect()
            });
        Self {
            ours: ranked.products().collect(),
            live,
            sources: Vec::new(),
        }
    }
}

/// A question that is judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Who asked, when, and from which stage.
    pub view: &'a View<'a>,
    /// Whose question it is: the questions of one person hang together.
    pub person: u32,
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
    /// By question, length and the first of [`metrics::NAMES`]; empty where it was not asked.
    scores: Vec<Vec<f64>>,
}

/// Counts for every method on the same questions.
#[derive(Debug, Clone)]
pub struct Judge {
    ks: Vec<usize>,
    stages: usize,
    /// By question: its stage and whose it is.
    asked: Vec<(u8, u32)>,
    baselines: Baselines,
    /// By kind of shop: what the baselines count.
    has_purchases: bool,
    views: Baselines,
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
                    if baskets > before {
                        self.baselines.count(event.time, product);
                    }
                }
                EventKind::ViewItem => self.views.count(event.time, product),
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
        if self.has_purchases {
            return view
                .own(&Tuning::default())
                .into_iter()
                .map(|(product, own)| (product, own.baskets))
                .collect();
        }
        let mut had: Vec<(u32, f64)> = Vec::new();
        let viewed = view
            .steps
            .iter()
            .filter(|step| step.kind == EventKind::ViewItem);
        for product in viewed.filter_map(|step| step.product) {
            match had.iter_mut().find(|(known, _)| *known == product) {
                Some((_, count)) => *count += 1.0,
                None => had.push((product, 1.0)),
            }
        }
        had
    }

    /// Adds a question; returns false if nothing of the truth is left.
    pub fn add(&mut self, asked: Judged<'_>, lists: Standings, truth: &[Truth]) -> bool {
        let Judged {
            view,
            person,
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
        self.record(view.stage.0, person, answers, &truth);
        let count = (0..products.items().len() as u32).filter(|&p| products.recommendable(p));
        if self.recommendable == 0 {
            self.recommendable = count.count();
        }
        true
    }

    /// Adds a question with the list of each method.
    pub(super) fn record(
        &mut self,
        stage: u8,
        person: u32,
        answers: Vec<(String, Vec<u32>)>,
        truth: &[Truth],
    ) {
        let question = self.asked.len();
        self.asked.push((stage, person));
        for (name, list) in answers {
            let method = self.method(name);
            let tallies = method
                .all
                .iter_mut()
                .zip(&mut method.stages[stage as usize]);
            let scores = tallies.flat_map(|(all, stage)| {
                stage.add(&list, truth);
                all.add(&list, truth)
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
                all: tallies,
                scores: Vec::new(),
            });
            self.methods.len() - 1
        });
        &mut self.methods[place]
    }

    /// How many questions were judged, of one stage or of all.
    #[must_use]
    pub fn cases(&self, stage: Option<u8>) -> u64 {
        let of_stage = |&&(own, _): &&(u8, u32)| stage.is_none_or(|stage| stage == own);
        self.asked.iter().filter(of_stage).count() as u64
    }

    /// By how much we are better than a method, question by question, on the questions of one stage or of all that both
    /// answered: whose each is, and the difference of each figure. `figures` says for a stage which: see
    /// [`Judge::figure`].
    #[must_use]
    pub fn differences<'a>(
        &self,
        method: &str,
        stage: Option<u8>,
        figures: impl Fn(u8) -> &'a [usize],
    ) -> (Vec<u32>, Vec<Vec<f64>>) {
        let scores = |name: &str| {
            let found = self.methods.iter().find(|known| known.name == name);
            found.map_or(&[][..], |method| &method.scores)
        };
        let (ours, theirs) = (scores(OURS), scores(method));
        let mut persons = Vec::new();
        let mut series: Vec<Vec<f64>> = Vec::new();
        for (&(own, person), (ours, theirs)) in self.asked.iter().zip(ours.iter().zip(theirs)) {
            if stage.is_none_or(|stage| stage == own) && !theirs.is_empty() {
                persons.push(person);
                let figures = figures(own);
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

    /// The figures of every method, over one stage or over all.
    #[must_use]
    pub fn table(&self, stage: Option<u8>) -> FigureTable {
        let figures = |tallies: &[Tally]| {
            tallies
                .iter()
                .flat_map(|tally| {
                    let name = |name: &str| format!("{name}@{}", tally.k());
                    metrics::NAMES
                        .iter()
                        .zip(tally.figures(self.recommendable))
                        .map(move |(n, figure)| (name(n), figure))
                })
                .collect()
        };
        let methods = self.methods.iter();
        FigureTable(
            methods
                .map(|method| {
                    let of_stage = |stage: u8| &method.stages[stage as usize];
                    let tallies = stage.map_or(&method.all, of_stage);
                    (method.name.clone(), figures(tallies))
                })
                .collect(),
        )
    }
}
