//! A fitted model as it is kept, and how it ranks.

mod parts;

pub use parts::{
    Assembly, FittedRanking, Made, Model, ModelError, Part, PartName, PartReport, PartState,
};

use serde::{Deserialize, Serialize};

use crate::algorithms::boosting::FittedBoosting;
use crate::algorithms::calibration::Calibration;
use crate::algorithms::features::{self, Asker, COUNT, Candidate, NAMES};
use crate::algorithms::ranker::FittedRanker;
use crate::algorithms::rows::{self, COLUMNS};
use crate::domain::{Ranker, Recipe, StageIndex};
use crate::state::candidates::Gathered;

/// How many of the best candidates are corrected by the trees: beyond them hardly anything moves up.
pub const CORRECTED: usize = 80;

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// What comes next, known to the customer or not.
    Next,
    /// What is new to the customer.
    Discover,
}

/// How candidates are scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    /// Scores every candidate.
    pub ranker: FittedRanker,
    /// Corrects the scores of the best; absent where that was no better.
    pub boosting: Option<FittedBoosting>,
    /// By stage; absent where too little is known.
    pub calibrations: Vec<Option<Calibration>>,
}

/// A candidate with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored<'a> {
    /// What it is made of.
    pub candidate: &'a Candidate,
    /// How it stands.
    pub mark: Mark,
}

/// How a candidate stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// What orders: `base`, as the boost and the trees make it.
    pub key: f64,
    /// Log-odds of the ranker, or the score of the blend. The trees order the candidates of one question, so their word
    /// says nothing of how probable a product is from question to question; this does.
    pub base: f64,
    /// A calibrated probability, or a score from 0 to 1 that only orders.
    pub score: f64,
    /// Which of the two.
    pub calibrated: bool,
    /// The factor of the request's boost.
    pub boost: f64,
    /// What outcomes of earlier answers add to the log-odds, or to the logarithm of a blend's score; in `key`, not in
    /// `base`.
    pub online: f64,
    /// `base`, where it is the ranker's.
    pub log_odds: Option<f64>,
}

/// The candidates of a question, ranked.
#[derive(Debug, Clone)]
pub struct Ranked<'a> {
    candidates: Vec<Candidate>,
    /// Of each candidate: what [`Mark`] says.
    keys: Vec<f64>,
    bases: Vec<f64>,
    boosts: Vec<f64>,
    /// Of each candidate, if there are any.
    corrections: Vec<f64>,
    /// Places of the candidates, best first.
    order: Vec<u32>,
    asker: Asker,
    stage: StageIndex,
    /// The best score the blend could give.
    best_blend: f64,
    ranking: Ranking<'a>,
}

impl Ranked<'_> {
    /// Best first.
    pub fn iter(&self) -> impl Iterator<Item = Scored<'_>> {
        (0..self.order.len()).map(|rank| self.at(rank))
    }

    /// The one at a place of the ranking, 0 is best.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn at(&self, rank: usize) -> Scored<'_> {
        let place = self.order[rank] as usize;
        let (key, base) = (self.keys[place], self.bases[place]);
        Scored {
            candidate: &self.candidates[place],
            mark: Mark {
                online: self.corrections.get(place).copied().unwrap_or_default(),
                ..self.ranking.mark(self, key, base, self.boosts[place])
            },
        }
    }

    /// The products, best first.
    pub fn products(&self) -> impl Iterator<Item = u32> + '_ {
        let product = |&place: &u32| self.candidates[place as usize].product;
        self.order.iter().map(product)
    }

    /// What the ranker saw of a candidate.
    #[must_use]
    pub fn features(&self, candidate: &Candidate) -> [f32; COUNT] {
        self.ranking.mask.features(candidate, &self.asker)
    }
}

/// Which features a recipe lets the ranker use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureMask {
    used: [bool; COUNT],
    is_whole: bool,
}

impl FeatureMask {
    /// Of the names in a recipe.
    #[must_use]
    pub fn of(recipe: &Recipe) -> Self {
        let used = std::array::from_fn(|i| recipe.features.iter().any(|name| name == NAMES[i]));
        Self {
            used,
            is_whole: used.iter().all(|&used| used),
        }
    }

    /// The features of a candidate, 0 where the recipe does not name them.
    #[must_use]
    pub fn features(&self, candidate: &Candidate, asker: &Asker) -> [f32; COUNT] {
        let mut row = features::features(candidate, asker);
        if !self.is_whole {
            for (value, used) in row.iter_mut().zip(self.used) {
                *value = if used { *value } else { 0.0 };
            }
        }
        row
    }
}

/// How to rank for one stage.
#[derive(Debug, Clone, Copy)]
pub struct Ranking<'a> {
    /// The recipe of the stage.
    pub recipe: &'a Recipe,
    /// Its features.
    pub mask: &'a FeatureMask,
    /// What scores; absent: the blend of the sources.
    pub scorer: Option<&'a Scorer>,
    /// Whether its trees count, if it has any.
    pub with_trees: bool,
}

impl<'a> Ranking<'a> {
    /// The candidates of a question, best first; ties go to the more popular, then to the one that was known first.
    /// `boost` gives the factor for a product.
    #[must_use]
    pub fn rank(
        &self,
        gathered: &mut Gathered<'_>,
        allowed: impl FnMut(u32) -> bool,
        boost: impl FnMut(u32) -> f64,
    ) -> Ranked<'a> {
        self.rank_corrected(gathered, None::<fn(&Candidate) -> f64>, allowed, boost)
    }

    /// As [`Ranking::rank`], with what outcomes of earlier answers add to the log-odds of a candidate.
    #[must_use]
    pub fn rank_corrected(
        &self,
        gathered: &mut Gathered<'_>,
        correction: Option<impl Fn(&Candidate) -> f64>,
        allowed: impl FnMut(u32) -> bool,
        mut boost: impl FnMut(u32) -> f64,
    ) -> Ranked<'a> {
        let candidates = gathered.propose(self.recipe, allowed);
        let (view, asker) = (gathered.view(), gathered.asker);
        let boosts: Vec<f64> = candidates
            .iter()
            .map(|candidate| boost(candidate.product))
            .collect();
        let scorer = self.learned();
        let mut numbers = gathered.take_room();
        if scorer.is_some() {
            numbers.reserve(candidates.len() * COLUMNS);
            for candidate in &candidates {
                let features = self.mask.features(candidate, &asker);
                rows::append(&mut numbers, view.stage.0, &features);
            }
        }
        let bases: Vec<f64> = match scorer {
            Some(scorer) => numbers
                .chunks_exact(COLUMNS)
                .map(|row| scorer.ranker.score_row(row))
                .collect(),
            None => candidates
                .iter()
                .map(|candidate| gathered.blend(&candidate.ranks, self.recipe))
                .collect(),
        };
        // a boost multiplies the odds
        let boosted = bases.iter().zip(&boosts);
        let mut keys: Vec<f64> = match scorer {
            Some(_) => boosted.map(|(base, boost)| base + boost.ln()).collect(),
            None => boosted.map(|(base, boost)| base * boost).collect(),
        };
        let all = |correction| candidates.iter().map(correction).collect();
        let corrections: Vec<f64> = correction.map_or_else(Vec::new, all);
        for (key, correction) in keys.iter_mut().zip(&corrections) {
            match scorer {
                Some(_) => *key += correction,
                None => *key *= correction.exp(),
            }
        }
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        let by_key = |keys: &[f64], a: u32, b: u32| {
            let (a, b) = (a as usize, b as usize);
            let popular =
                |place: usize| candidates[place].item.baskets + candidates[place].item.browsed;
            let by_key = keys[b].total_cmp(&keys[a]);
            by_key
                .then_with(|| popular(b).total_cmp(&popular(a)))
                .then_with(|| candidates[a].product.cmp(&candidates[b].product))
        };
        order.sort_unstable_by(|&a, &b| by_key(&keys, a, b));
        let boosting = scorer.and_then(|scorer| scorer.boosting.as_ref());
        if let Some(boosting) = boosting.filter(|_| self.with_trees) {
            let corrected = order.len().min(CORRECTED);
            let best = &mut order[..corrected];
            correct(boosting, &numbers, best, &mut keys);
            best.sort_unstable_by(|&a, &b| by_key(&keys, a, b));
        }
        gathered.give_room(numbers);
        Ranked {
            candidates,
            keys,
            bases,
            boosts,
            corrections,
            order,
            asker,
            stage: view.stage,
            best_blend: gathered.best_blend(self.recipe),
            ranking: *self,
        }
    }

    /// What scores, unless the recipe wants the blend.
    fn learned(&self) -> Option<&'a Scorer> {
        self.scorer
            .filter(|_| self.recipe.ranker == Ranker::Logistic)
    }

    fn mark(&self, ranked: &Ranked<'_>, key: f64, base: f64, boost: f64) -> Mark {
        match self.learned() {
            Some(scorer) => {
                let calibration = scorer
                    .calibrations
                    .get(ranked.stage.0 as usize)
                    .and_then(Option::as_ref);
                let (score, calibrated) = match calibration {
                    Some(calibration) => (calibration.probability(base), true),
                    None => (1.0 / (1.0 + (-base).exp()), false),
                };
                Mark {
                    key,
                    base,
                    score,
                    calibrated,
                    boost,
                    online: 0.0,
                    log_odds: Some(base),
                }
            }
            None => {
                let score = if ranked.best_blend > 0.0 {
                    (key / ranked.best_blend).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                Mark {
                    key,
                    base,
                    score,
                    calibrated: false,
                    boost,
                    online: 0.0,
                    log_odds: None,
                }
            }
        }
    }
}

/// Adds to the keys of the best candidates what the trees say of their `numbers`; the others stay behind them, in their
/// order.
fn correct(boosting: &FittedBoosting, numbers: &[f32], best: &[u32], keys: &mut [f64]) {
    let mut corrections = Vec::new();
    boosting.score_rows(numbers, COLUMNS, best, &mut corrections);
    let last = best
        .last()
        .map_or(f64::INFINITY, |&place| keys[place as usize]);
    let mut lowest = f64::INFINITY;
    let mut is_best = vec![false; keys.len()];
    for (&place, correction) in best.iter().zip(corrections) {
        keys[place as usize] += f64::from(correction);
        lowest = lowest.min(keys[place as usize]);
        is_best[place as usize] = true;
    }
    let down = (last - lowest).max(0.0);
    for (key, _) in keys.iter_mut().zip(is_best).filter(|(_, is_best)| !is_best) {
        *key -= down;
    }
}
