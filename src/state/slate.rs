//! From a ranking to the list that is answered: no more of one category than the recipe wants, and now and then, in the
//! last place, a product that is hardly known yet.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::domain::recipe::AnswerRules;
use crate::state::State;

/// A product with fewer baskets and steps is hardly known yet.
pub const HARDLY_KNOWN: u32 = 20;
/// So many of the products that became known last may be explored.
pub const MAX_EXPLORED: usize = 500;
/// Shorter answers do not explore: it would cost too much of them.
pub const MIN_EXPLORING: usize = 4;

/// One place of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// What stands there.
    pub product: u32,
    /// Its place in the ranking, 0 is best; absent: it is explored.
    pub ranked: Option<usize>,
    /// The probability with which this product came to stand there.
    pub probability: f64,
}

/// The list of at most `count` places from the products of a ranking, best first. `draw` decides whether and what is
/// explored; `allowed` says what may be.
///
/// The last place explores with probability p = `rules.explore`: then it shows one of the n products that are hardly
/// known yet and not in the list anyway, each with probability p/n; else what is ranked there, with probability 1 − p.
pub fn choose(
    state: &State,
    ranking: impl Iterator<Item = u32>,
    count: usize,
    rules: &AnswerRules,
    draw: impl FnOnce() -> u64,
    allowed: impl FnMut(u32) -> bool,
) -> Vec<Place> {
    let mut list = capped(state, ranking, count, rules.most_of_category);
    if rules.explore > 0.0 && count >= MIN_EXPLORING && list.len() == count {
        explore(state, &mut list, rules.explore, draw, allowed);
    }
    list
}

/// The best of a ranking, no more than a share of them of one category while there is anything else.
fn capped(
    state: &State,
    ranking: impl Iterator<Item = u32>,
    count: usize,
    most: f64,
) -> Vec<Place> {
    let mut places = ranking.enumerate().map(|(rank, product)| Place {
        product,
        ranked: Some(rank),
        probability: 1.0,
    });
    if most >= 1.0 {
        return places.take(count).collect();
    }
    let cap = ((most * count as f64).ceil() as usize).max(1);
    let mut of_category: HashMap<u32, usize, FixedState> = HashMap::default();
    let (mut list, mut rest) = (Vec::with_capacity(count), Vec::new());
    while list.len() < count
        && let Some(place) = places.next()
    {
        let category = state.products.item(place.product).shelf.category();
        let held = category.map(|category| of_category.entry(category).or_default());
        match held {
            Some(held) if *held >= cap => rest.push(place),
            Some(held) => {
                *held += 1;
                list.push(place);
            }
            None => list.push(place),
        }
    }
    let missing = count - list.len();
    list.extend(rest.into_iter().take(missing));
    list
}

fn explore(
    state: &State,
    list: &mut [Place],
    share: f64,
    draw: impl FnOnce() -> u64,
    mut allowed: impl FnMut(u32) -> bool,
) {
    let products = state.products.items();
    let newest = (0..products.len() as u32).rev().take(MAX_EXPLORED);
    let is_new = |product: &u32| {
        let item = &products[*product as usize];
        item.baskets + item.steps < HARDLY_KNOWN
            && list.iter().all(|place| place.product != *product)
            && allowed(*product)
    };
    let pool: Vec<u32> = newest.filter(is_new).collect();
    let (Some(last), false) = (list.last_mut(), pool.is_empty()) else {
        return;
    };
    let draw = draw();
    // two independent numbers of one draw: its upper and its lower half
    let chance = (draw >> 32) as f64 / (1u64 << 32) as f64;
    if chance < share {
        let place = ((draw & 0xFFFF_FFFF) * pool.len() as u64) >> 32;
        *last = Place {
            product: pool[place as usize],
            ranked: None,
            probability: share / pool.len() as f64,
        };
    } else {
        last.probability = 1.0 - share;
    }
}
