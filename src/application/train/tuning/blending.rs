//! How much each source has to say in the choice of candidates, and how many it may propose: chosen by how much of what
//! truly came next is among the candidates.

use super::{LEAST, Trial};
use crate::algorithms::metrics::Truth;
use crate::domain::{Recipe, Source};
use crate::state::candidates::{Gathered, fused};
use crate::state::tuning::Shares;

/// The budgets that are tried, times what the recipe says; the largest decides how much of each list is kept.
const BUDGETS: [f64; 3] = [2.0, 0.5, 0.25];
/// The weights that are tried, times what the recipe says.
const WEIGHTS: [f64; 4] = [0.5, 2.0, 0.0, 4.0];
/// By so many standard errors more must be found before a source counts for more or less, or costs more. Some seventy
/// things are tried: at one error chance would choose a few of them.
const SURE: f64 = 2.0;

/// The lists of the sources for past questions, with what truly came next.
#[derive(Debug, Default)]
pub(super) struct Blending {
    questions: Vec<Question>,
}

/// A question: products by their place among those that are proposed.
#[derive(Debug)]
struct Question {
    stage: usize,
    /// By source of the recipe.
    lists: Vec<Vec<u16>>,
    /// How many products are proposed.
    products: usize,
    /// Those that truly came next.
    next: Vec<u16>,
    /// What truly came next, proposed or not.
    wanted: usize,
}

impl Blending {
    /// Adds a question with what each source has for it.
    pub(super) fn add(
        &mut self,
        gathered: &mut Gathered<'_>,
        recipe: &Recipe,
        truth: &[Truth],
        allowed: impl FnMut(u32) -> bool,
    ) {
        if truth.is_empty() {
            return;
        }
        let stage = gathered.view().stage.0 as usize;
        let lists = gathered.lists(recipe, BUDGETS[0], allowed);
        // in the order of their numbers, as ties of the blend are
        let mut products: Vec<u32> = lists.iter().flatten().copied().collect();
        products.sort_unstable();
        products.dedup();
        let place = |product: &u32| products.binary_search(product).ok().map(|p| p as u16);
        let places = |list: &Vec<u32>| list.iter().filter_map(place).collect();
        let next = truth.iter().filter_map(|truth| place(&truth.product?));
        self.questions.push(Question {
            stage,
            lists: lists.iter().map(places).collect(),
            next: next.collect(),
            products: products.len(),
            wanted: truth.len(),
        });
    }

    /// The shares that find most, and what was tried. Where too little is known nothing is changed.
    pub(super) fn choose(&self, recipes: &[Recipe]) -> (Shares, Vec<Trial>) {
        let mut best = Shares::default();
        let mut trials = Vec::new();
        if self.questions.len() < LEAST {
            return (best, trials);
        }
        let mut found = self.found(recipes, &best);
        for &source in Source::ALL {
            // of a source that was silent nothing is known: a shop may begin to tell what it speaks of
            if !self.has_spoken(recipes, source) {
                continue;
            }
            for (what, values) in [("weight", &WEIGHTS[..]), ("budget", &BUDGETS[..])] {
                let start = trials.len();
                let name = format!("{}.{what}", source.as_str());
                trials.push(trial(&name, 1.0, &found));
                let mut chosen = start;
                for &value in values {
                    let mut shares = best;
                    let share = &mut shares.0[source as usize];
                    let is_cheaper = what == "budget" && value < share.budget;
                    match what {
                        "weight" => share.weight = value,
                        _ => share.budget = value,
                    }
                    let tried = self.found(recipes, &shares);
                    let (gain, error) = difference(&tried, &found);
                    trials.push(trial(&name, value, &tried));
                    // fewer candidates that find as much are a gain, too
                    if gain > SURE * error || (is_cheaper && gain >= 0.0) {
                        (best, found, chosen) = (shares, tried, trials.len() - 1);
                    }
                }
                trials[chosen].chosen = true;
            }
        }
        (best, trials)
    }

    /// True if a source proposed anything.
    fn has_spoken(&self, recipes: &[Recipe], source: Source) -> bool {
        self.questions.iter().any(|question| {
            let sources = &recipes[question.stage].sources;
            let mut lists = sources.iter().zip(&question.lists);
            lists.any(|(&(of, _), list)| of == source && !list.is_empty())
        })
    }

    /// Of each question the share of what truly came next that is among the candidates.
    fn found(&self, recipes: &[Recipe], shares: &Shares) -> Vec<f64> {
        let mut scores = Vec::new();
        let questions = self.questions.iter();
        questions
            .map(|question| question.found(&recipes[question.stage], shares, &mut scores))
            .collect()
    }
}

impl Question {
    fn found(&self, recipe: &Recipe, shares: &Shares, scores: &mut Vec<Option<f64>>) -> f64 {
        scores.clear();
        scores.resize(self.products, None);
        for (&(source, quota), list) in recipe.sources.iter().zip(&self.lists) {
            let share = shares.of(source);
            let mut weights = recipe.blend.iter();
            let weight = weights.find(|&&(of, _)| of == source);
            let weight = weight.map_or(0.0, |&(_, weight)| weight);
            let proposed = list.iter().take(share.quota(quota)).zip(1..);
            for (&product, rank) in proposed {
                *scores[product as usize].get_or_insert(0.0) += fused(weight, rank, share);
            }
        }
        let is_kept = |&&product: &&u16| {
            let Some(own) = scores[product as usize] else {
                return false;
            };
            let before = scores.iter().zip(0..).filter(|&(score, place)| {
                score.is_some_and(|score| score > own || (score >= own && place < product))
            });
            before.count() < recipe.limit
        };
        self.next.iter().filter(is_kept).count() as f64 / self.wanted as f64
    }
}

fn trial(setting: &str, value: f64, found: &[f64]) -> Trial {
    Trial {
        setting: setting.to_owned(),
        value,
        metric: "recall of the candidates".to_owned(),
        figure: mean(found.iter().copied()),
        chosen: false,
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// The mean of what one finds more than the other, question by question, and its standard error.
fn difference(one: &[f64], other: &[f64]) -> (f64, f64) {
    let gains = || one.iter().zip(other).map(|(one, other)| one - other);
    let gain = mean(gains());
    let squares = mean(gains().map(|own| (own - gain).powi(2)));
    (gain, (squares / one.len().max(1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::recipes::Recipes;
    use crate::state::tuning::Share;

    /// Two sources: one with what comes next at the end of a long list, one with noise.
    fn blending(count: u16) -> (Blending, Vec<Recipe>) {
        let mut recipe = Recipes::embedded().unwrap().stages[0].clone();
        recipe.limit = 10;
        recipe.sources = vec![(Source::Personal, 10), (Source::Popular, 10)];
        recipe.blend = vec![(Source::Personal, 1.0), (Source::Popular, 1.0)];
        let question = |number: u16| Question {
            stage: 0,
            lists: vec![(0..20).collect(), (20..40).collect()],
            products: 40,
            next: vec![number % 20],
            wanted: 1,
        };
        let questions = (0..count).map(question).collect();
        (Blending { questions }, vec![recipe])
    }

    #[test]
    fn what_is_found_is_what_the_blend_keeps() {
        let (blending, recipes) = blending(20);
        // ranks 1 to 5 of each list are the ten best
        let found = blending.found(&recipes, &Shares::default());
        assert_eq!(found[4..6], [1.0, 0.0]);
        assert!((mean(found.into_iter()) - 0.25).abs() < 1e-12);
        let mut shares = Shares::default();
        shares.0[Source::Popular as usize].weight = 0.0;
        let found = blending.found(&recipes, &shares);
        assert!((mean(found.into_iter()) - 0.5).abs() < 1e-12);
        // twenty are proposed then, and ten kept
        shares.0[Source::Personal as usize].budget = 2.0;
        let found = blending.found(&recipes, &shares);
        assert!((mean(found.into_iter()) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_source_of_noise_loses_its_say_and_its_budget() {
        let (blending, recipes) = blending(400);
        let (shares, trials) = blending.choose(&recipes);
        let (personal, popular) = (shares.of(Source::Personal), shares.of(Source::Popular));
        assert!(personal.weight > popular.weight, "{shares:?}");
        assert!((popular.budget - 0.25).abs() < 1e-12, "{shares:?}");
        // a shorter list of the good one finds less
        assert!((personal.budget - 1.0).abs() < 1e-12, "{shares:?}");
        assert_eq!(trials.len(), 2 * (1 + WEIGHTS.len() + 1 + BUDGETS.len()));
        assert_eq!(trials.iter().filter(|trial| trial.chosen).count(), 4);
    }

    #[test]
    fn a_silent_source_keeps_its_share() {
        let (mut blending, mut recipes) = blending(400);
        recipes[0].sources.push((Source::Sessions, 10));
        for question in &mut blending.questions {
            question.lists.push(Vec::new());
        }
        let (shares, trials) = blending.choose(&recipes);
        assert_eq!(shares.of(Source::Sessions), Share::default());
        assert!(
            trials
                .iter()
                .all(|trial| !trial.setting.starts_with("sessions"))
        );
    }

    #[test]
    fn too_few_questions_change_nothing() {
        let (blending, recipes) = blending(LEAST as u16 - 1);
        assert_eq!(blending.choose(&recipes), (Shares::default(), Vec::new()));
    }

    #[test]
    fn a_difference_has_its_error() {
        // by hand: gains 1, 0, 0, 1; mean 0.5, variance 0.25, error √(0.25/4)
        let (gain, error) = difference(&[1.0, 0.0, 0.0, 1.0], &[0.0; 4]);
        assert!((gain - 0.5).abs() < 1e-12 && (error - 0.25).abs() < 1e-12);
    }
}
