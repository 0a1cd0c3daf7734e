//! Candidates: one question leaves nothing behind for the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nextbest::algorithms::features::Candidate;
use nextbest::application::recipes::Recipes;
use nextbest::domain::journey::Step;
use nextbest::domain::{EventKind, Recipe, Record, Source};
use nextbest::state::State;
use nextbest::state::relations::Relations;
use nextbest::state::scratch::Scratch;
use nextbest::state::view::View;
use proptest::prelude::*;

use super::{gathered, known, purchases, relations_of};
use crate::state_fold::history::{histories, journal_of, slot, spelt_out};

/// The recipes as they come, one that asks every source, and one that keeps few.
fn recipes() -> Vec<Recipe> {
    let mut recipes = Recipes::embedded().unwrap().stages;
    let mut all = recipes[0].clone();
    all.sources = Source::ALL.iter().map(|&source| (source, 50)).collect();
    all.blend = Source::ALL.iter().map(|&source| (source, 1.0)).collect();
    let mut few = all.clone();
    few.limit = 2;
    few.sources.iter_mut().for_each(|(_, quota)| *quota = 2);
    recipes.extend([all, few]);
    recipes
}

/// Questions of everybody, and of nobody, at several moments and in the middle of something.
fn questions(state: &State) -> Vec<View<'_>> {
    let step = |product: usize, kind| Step {
        time: slot(25),
        kind,
        product: (product < state.products.items().len()).then_some(product as u32),
        rating: None,
    };
    let contexts = [
        vec![],
        vec![step(0, EventKind::ViewItem)],
        vec![step(2, EventKind::AddToCart), step(1, EventKind::ViewItem)],
    ];
    let mut askers = vec![None];
    askers.extend(state.people.customers().iter().map(Some));
    askers.extend(state.people.visitors().map(Some));
    let mut questions = Vec::new();
    for (number, &asker) in askers.iter().enumerate() {
        for now in [25, 60] {
            let context = &contexts[number % contexts.len()];
            questions.push(View::new(state, asker, context, slot(now)));
        }
    }
    questions
}

fn candidates(
    view: &View<'_>,
    relations: &Relations,
    recipe: &Recipe,
    scratch: &mut Scratch,
) -> Vec<Candidate> {
    // every fifth product is not allowed
    gathered(view, relations, scratch).propose(recipe, |product| product % 5 != 3)
}

/// Asks everything that can be asked with one room to work in, and each question with one of its own.
fn assert_clean(records: &[Record], scratch: &mut Scratch) -> usize {
    let (state, _) = known(records);
    let relations = relations_of(&state);
    let recipes = recipes();
    let mut found = 0;
    for view in questions(&state) {
        let alone = recipes
            .iter()
            .map(|recipe| candidates(&view, &relations, recipe, &mut Scratch::default()));
        let alone: Vec<Vec<Candidate>> = alone.collect();
        for (recipe, alone) in recipes.iter().zip(&alone) {
            assert_eq!(&candidates(&view, &relations, recipe, scratch), alone);
            assert!(alone.len() <= recipe.limit);
            found += alone.len();
        }
        // several rankings may choose from what was gathered once
        let mut all = gathered(&view, &relations, scratch);
        for (recipe, alone) in recipes.iter().zip(&alone) {
            assert_eq!(&all.propose(recipe, |product| product % 5 != 3), alone);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_question_leaves_nothing_behind(shop in purchases(), history in histories()) {
        let mut scratch = Scratch::default();
        let history = journal_of(&spelt_out(&history));
        // the second shop may be smaller than the first, or larger
        let found = assert_clean(&shop, &mut scratch);
        assert!(found > 0 || shop.is_empty());
        assert_clean(&history, &mut scratch);
        assert_clean(&shop, &mut scratch);
    }
}

#[test]
fn a_question_that_panics_leaves_nothing_behind() {
    let of = |number: usize, who: (&str, &str), product: &str| {
        super::purchase(number, slot(number as i64), who, product, "")
    };
    let records = [
        of(0, ("customer-0", ""), "a"),
        of(1, ("customer-0", ""), "b"),
        of(2, ("customer-1", ""), "a"),
        of(3, ("customer-1", ""), "c"),
    ];
    let (state, _) = known(&records);
    let relations = relations_of(&state);
    let view = View::new(&state, state.people.customers().first(), &[], slot(60));
    let recipe = &recipes()[0];
    let mut scratch = Scratch::default();
    let asked =
        |scratch: &mut Scratch| gathered(&view, &relations, scratch).propose(recipe, |_| true);
    let expected = asked(&mut scratch);
    assert_eq!(expected.len(), 3);
    let mut admitted = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        gathered(&view, &relations, &mut scratch).propose(recipe, |_| {
            admitted += 1;
            assert!(admitted < 3, "as a filter might");
            true
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(asked(&mut scratch), expected);
}
