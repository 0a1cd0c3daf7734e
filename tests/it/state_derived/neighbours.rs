//! What customers like this one buy: against the definition, one customer at a time.

use std::collections::{BTreeMap, BTreeSet};

use nextbest::domain::Timestamp;
use nextbest::domain::time::DAY_MS;
use nextbest::state::State;
use nextbest::state::neighbours::{Liked, MOST, NeighbourParams, NeighbourScratch, SEEDS};
use nextbest::state::people::Person;
use nextbest::state::subjects::Subject;
use nextbest::state::view::View;
use proptest::prelude::*;

use super::{PEOPLE, PRODUCTS, known, liked, purchase, purchases};
use crate::state_fold::history::{customer, slot, visitor};
use crate::state_fold::model::{self, World};
use crate::state_fold::near;

const _: () = assert!(PRODUCTS <= SEEDS && PRODUCTS <= MOST, "nothing is capped");

/// What the neighbours of somebody say.
fn asked(
    state: &State,
    subject: Option<&Subject>,
    now: Timestamp,
    params: &NeighbourParams,
    scratch: &mut NeighbourScratch,
) -> Vec<Liked> {
    liked(&View::new(state, subject, &[], now), params, scratch)
}

/// As [`asked`], by the usual parameters, with a room of its own to work in.
fn asked_alone(state: &State, subject: Option<&Subject>, now: Timestamp) -> Vec<Liked> {
    asked(
        state,
        subject,
        now,
        &NeighbourParams::default(),
        &mut NeighbourScratch::default(),
    )
}

/// Enough neighbours for everybody, tuned in every way.
fn params() -> impl Strategy<Value = NeighbourParams> {
    let similarity = (0.0..=1.0f32, 1.0..6.0f32, 1.0..300.0f64, 0.0..1.5f32);
    let answers = (1..8usize, 1.0..90.0f64);
    (similarity, answers).prop_map(|(similarity, (baskets, now_days))| {
        let (asymmetry, power, seed_half_life_days, rarity) = similarity;
        NeighbourParams {
            count: PEOPLE,
            asymmetry,
            power,
            seed_half_life_days,
            rarity,
            baskets,
            now_days,
        }
    })
}

/// By product: the share of the neighbours' last baskets with it, and that share as it fades.
fn brute_force(
    world: &World,
    asker: &model::Person,
    now: Timestamp,
    params: &NeighbourParams,
) -> BTreeMap<String, (f64, f64)> {
    let mine = asker.bought();
    let days_since = |then: Timestamp| (now.ms() - then.ms()) as f64 / DAY_MS as f64;
    // what was bought lately and by few looks for others
    let seed = |product: &String| {
        let with = asker
            .baskets()
            .into_iter()
            .filter(|basket| basket.holds(product));
        let last = with.map(|basket| basket.time).max().unwrap();
        let fresh = (-days_since(last) / params.seed_half_life_days).exp2();
        let (customers, buyers) = (
            world.customers.len() as f64,
            world.buyers(product, 1) as f64,
        );
        fresh
            * (1.0 + customers / buyers)
                .ln()
                .powf(f64::from(params.rarity))
    };
    let mut total = 0.0;
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for other in world.customers.iter().filter(|other| other.id != asker.id) {
        let theirs = other.bought();
        let shared: f64 = mine.intersection(&theirs).map(seed).sum();
        if shared <= 0.0 {
            continue;
        }
        let a = f64::from(params.asymmetry);
        let size = (mine.len() as f64).powf(a) * (theirs.len() as f64).powf(1.0 - a);
        let weight = (shared / size).powf(f64::from(params.power));
        total += weight;
        let baskets = other.baskets();
        let last = &baskets[baskets.len().saturating_sub(params.baskets)..];
        for basket in last {
            let days = days_since(basket.time);
            let products: BTreeSet<&String> = basket.lines.iter().map(|line| &line.0).collect();
            for product in products {
                let sum = sums.entry(product.clone()).or_default();
                sum.0 += weight / last.len() as f64;
                sum.1 += weight * (-days / params.now_days).exp2();
            }
        }
    }
    sums.values_mut()
        .for_each(|sum| *sum = (sum.0 / total, sum.1 / total));
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn neighbours_say_what_the_definition_says(records in purchases(), params in params()) {
        let (state, world) = known(&records);
        let now = slot(50);
        // one room to work in for all: nothing of one question is left for the next
        let mut scratch = NeighbourScratch::default();
        for asker in world.people() {
            let of = |person: Person| state.subject(person).filter(|subject| *subject.id == *asker.id);
            let mut people = (0..PEOPLE).flat_map(|n| {
                [state.people.customer(&customer(n)), state.people.visitor(&visitor(n))]
            });
            let subject = people.find_map(|person| of(person?)).unwrap();
            let found = asked(&state, Some(subject), now, &params, &mut scratch);
            assert!(found.is_sorted_by_key(|liked| liked.product));
            let expected = brute_force(&world, asker, now, &params);
            let id = |liked: &Liked| state.products.item(liked.product).id.to_string();
            let mut ids: Vec<String> = found.iter().map(id).collect();
            ids.sort();
            assert!(ids.iter().eq(expected.keys()), "{ids:?}, not {expected:?}");
            for liked in &found {
                let (ever, now) = expected[&id(liked)];
                near(f64::from(liked.ever), ever, &format!("{} ever for {}", id(liked), asker.id));
                near(f64::from(liked.now), now, &format!("{} now for {}", id(liked), asker.id));
            }
            let alone = asked(&state, Some(subject), now, &params, &mut NeighbourScratch::default());
            assert_eq!(found, alone);
        }
    }

    #[test]
    fn who_has_bought_nothing_hears_nothing(records in purchases()) {
        let (state, _) = known(&records);
        let newcomer = Subject::new("newcomer");
        for subject in [None, Some(&newcomer)] {
            assert_eq!(asked_alone(&state, subject, slot(50)), []);
        }
        // nor has anybody bought anything before the first purchase
        for subject in state.people.customers() {
            assert_eq!(asked_alone(&state, Some(subject), slot(-1)), []);
        }
    }
}

#[test]
fn who_comes_back_after_decades_hears_the_same_people() {
    let of = |number, who, product| purchase(number, slot(number as i64), who, product, "");
    let records = [
        of(0, ("customer-0", ""), "a"),
        of(1, ("customer-1", ""), "a"),
        of(2, ("customer-1", ""), "b"),
        of(3, ("customer-2", ""), "a"),
    ];
    let (state, _) = known(&records);
    let me = state.people.customers().first();
    let soon = asked_alone(&state, me, slot(4));
    let late = asked_alone(&state, me, slot(4).plus_ms(150 * 365 * DAY_MS));
    assert_eq!((soon.len(), late.len()), (2, 2));
    for (soon, late) in soon.iter().zip(&late) {
        assert_eq!(soon.product, late.product);
        near(f64::from(late.ever), f64::from(soon.ever), "ever");
        assert!((0.0..1e-6).contains(&late.now), "{late:?}");
    }
    // nor is anything lost for a seed that has faded altogether beside one that has not
    let far = slot(4).plus_ms(100 * 365 * DAY_MS);
    let mut state = state;
    state.apply(&purchase(9, far, ("customer-0", ""), "c", ""));
    let answer = asked_alone(&state, state.people.customers().first(), far);
    assert!(
        answer
            .iter()
            .all(|liked| liked.ever.is_finite() && liked.now.is_finite())
    );
}

#[test]
fn the_own_history_and_visitors_say_nothing() {
    let of = |number, who, product| purchase(number, slot(number as i64), who, product, "");
    let records = [
        of(0, ("customer-0", ""), "a"),
        of(1, ("customer-0", ""), "b"),
        of(2, ("", "visitor-0"), "a"),
        of(3, ("", "visitor-0"), "c"),
    ];
    let (state, _) = known(&records);
    let asker = |person: Option<Person>| state.subject(person.unwrap());
    let me = asker(state.people.customer(&customer(0)));
    assert_eq!(asked_alone(&state, me, slot(9)), []);
    // but the customer answers the visitor
    let visitor = asker(state.people.visitor(&visitor(0)));
    let answer = asked_alone(&state, visitor, slot(9));
    let products: Vec<u32> = answer.iter().map(|liked| liked.product).collect();
    let expected = ["a", "b"].map(|id| state.products.number(id).unwrap());
    assert_eq!(products, expected);
}

#[test]
fn only_those_most_like_the_asker_answer() {
    let count = NeighbourParams::default().count;
    let mut records = Vec::new();
    let mut buys = |who: usize, products: &[&str]| {
        for product in products {
            let id = customer(who);
            let number = records.len();
            records.push(purchase(
                number,
                slot(who as i64),
                (id.as_str(), ""),
                product,
                "",
            ));
        }
    };
    buys(0, &["a"]);
    buys(1, &["a", "x", "y", "z"]);
    for who in 2..2 + count {
        buys(who, &["a", "b"]);
    }
    buys(2 + count, &["a", "x", "y", "z"]);
    let (state, _) = known(&records);
    let me = state.people.customers().first();
    let answer = asked_alone(&state, me, slot(1_000));
    let products: Vec<u32> = answer.iter().map(|liked| liked.product).collect();
    let expected = ["a", "b"].map(|id| state.products.number(id).unwrap());
    assert_eq!(products, expected);
    for liked in answer {
        near(f64::from(liked.ever), 1.0, "every neighbour bought both");
    }
}

#[test]
fn what_was_bought_long_ago_no_longer_counts() {
    let mut records = Vec::new();
    let mut buys = |who: usize, moment: i64, product: &str| {
        let id = customer(who);
        let number = records.len();
        records.push(purchase(
            number,
            slot(moment),
            (id.as_str(), ""),
            product,
            "",
        ));
    };
    buys(0, 0, "a");
    buys(1, 0, "old");
    for moment in 1..=NeighbourParams::default().baskets as i64 {
        buys(1, moment, "a");
    }
    let (state, _) = known(&records);
    let me = state.people.customers().first();
    let answer = asked_alone(&state, me, slot(1_000));
    let products: Vec<u32> = answer.iter().map(|liked| liked.product).collect();
    assert_eq!(products, [state.products.number("a").unwrap()]);
}
