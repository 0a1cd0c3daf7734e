//! What goes with what: exact counts, EASE in closed form, a bit at a time, and without whoever is forgotten.

use std::collections::BTreeMap;

use nextbest::domain::{CustomerId, Product, ProductDraft, Record, RecordBody};
use nextbest::state::State;
use nextbest::state::products::MAX_BUYERS;
use nextbest::state::relations::{
    COMMON, DAMPING, EASE_BLOCK, MIN_COMMON, MIN_WEIGHT, PARTNERS, Relations, STALE_SHARE,
};
use nextbest::state::tuning::Tuning;
use proptest::prelude::*;

use super::{PRODUCTS, baskets, is_stale, known, purchase, purchases, relations_of};
use crate::state_fold::history::{customer, record, slot};
use crate::state_fold::model::{self, Basket, World};
use crate::state_fold::near;

const _: () = assert!(
    PRODUCTS < PARTNERS && PRODUCTS < COMMON && PRODUCTS < EASE_BLOCK,
    "nothing is capped"
);

/// The products by id, with what is said of each.
fn by_id(state: &State, entries: &[(u32, f32)]) -> BTreeMap<String, f64> {
    let id = |number: u32| state.products.item(number).id.to_string();
    let found: BTreeMap<String, f64> = entries
        .iter()
        .map(|&(n, value)| (id(n), f64::from(value)))
        .collect();
    assert_eq!(found.len(), entries.len(), "a product twice");
    found
}

fn assert_near(found: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>, what: &str) {
    assert!(
        found.keys().eq(expected.keys()),
        "{what}: {found:?}, not {expected:?}"
    );
    for (id, &value) in expected {
        near(found[id], value, &format!("{what}: {id}"));
    }
}

/// How many of `all` hold.
fn count<T>(all: &[T], holds: impl Fn(&T) -> bool) -> f64 {
    all.iter().filter(|one| holds(one)).count() as f64
}

fn bought(person: &[Basket], product: &str) -> bool {
    person.iter().any(|basket| basket.holds(product))
}

/// Everything counted one basket and one person at a time.
fn assert_counts(state: &State, relations: &Relations, world: &World) {
    let people = baskets(world);
    let all = people.concat();
    for (number, item) in state.products.items().iter().enumerate() {
        let a = &*item.id;
        let (mut cosines, mut buyers) = (BTreeMap::new(), BTreeMap::new());
        for b in world.products.iter().filter(|b| *b != a) {
            let together = count(&all, |basket| basket.holds(a) && basket.holds(b));
            let often = |id: &str| count(&all, |basket| basket.holds(id)) + f64::from(DAMPING);
            if together > 0.0 {
                cosines.insert(b.clone(), together / (often(a) * often(b)).sqrt());
            }
            let common = count(&people, |person| bought(person, a) && bought(person, b));
            if common >= f64::from(MIN_COMMON) {
                buyers.insert(b.clone(), common);
            }
        }
        let found = relations.bought_with(number as u32);
        assert!(
            found.is_sorted_by(|x, y| x.1 >= y.1),
            "the largest first: {found:?}"
        );
        assert_near(&by_id(state, found), &cosines, &format!("baskets with {a}"));
        let found = relations.bought_by_buyers(number as u32);
        assert!(found.is_sorted_by_key(|entry| entry.0));
        assert_near(&by_id(state, found), &buyers, &format!("buyers of {a}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn counts_are_exact(records in purchases()) {
        let (state, world) = known(&records);
        assert_counts(&state, &relations_of(&state), &world);
    }

    #[test]
    fn a_refresh_in_parts_is_a_refresh_at_once(records in purchases(), most in 1..10usize) {
        let (state, _) = known(&records);
        let whole = relations_of(&state);
        let mut parts = Relations::new(&Tuning::default());
        let (version, texts) = parts.changed_texts(&state).unwrap();
        parts.read(version, &texts);
        // each product is counted once and solved once
        let mut work = 2 * state.products.items().len();
        while parts.refresh_some(&state, most) > 0 {
            work = work.checked_sub(most).unwrap();
        }
        assert_eq!(parts, whole);
        assert!(!is_stale(&parts, &state));
        assert_eq!(parts.refresh_some(&state, 1), 0);
        assert_eq!(parts, whole, "there was nothing left to do");
    }

    #[test]
    fn what_has_changed_enough_is_counted_anew(records in purchases(), split in 0..120usize) {
        let (head, tail) = records.split_at(split.min(records.len()));
        let (mut state, _) = known(head);
        let mut relations = relations_of(&state);
        let before: Vec<u32> = state.products.items().iter().map(|item| item.baskets).collect();
        for record in tail {
            state.apply(record);
        }
        let fresh = relations_of(&state);
        let is_old = is_stale(&relations, &state);
        relations.refresh(&state);
        let mut any = false;
        for (number, item) in state.products.items().iter().enumerate() {
            let known = before.get(number).copied().unwrap_or_default();
            if f64::from(item.baskets.abs_diff(known)) > STALE_SHARE * f64::from(known) {
                any = true;
                let number = number as u32;
                assert_eq!(relations.bought_with(number), fresh.bought_with(number));
                assert_eq!(relations.bought_by_buyers(number), fresh.bought_by_buyers(number));
            }
        }
        assert_eq!(is_old, any);
        assert!(!is_stale(&relations, &state));
    }

    #[test]
    fn nothing_goes_with_anything_because_of_somebody_forgotten(records in purchases(), who in 0..8usize) {
        let id = customer(who);
        let (mut state, world) = known(&records);
        let theirs = |body: &RecordBody| match body {
            RecordBody::Event(event) => {
                let gone = world.customers.iter().find(|customer| customer.id == id.as_str());
                gone.is_some_and(|gone| gone.events.iter().any(|known| known.key == event.key))
            }
            _ => false,
        };
        // at once: no pair is left that only they have bought
        state.forget(&id);
        let relations = relations_of(&state);
        let left: Vec<Vec<Basket>> = world
            .people()
            .filter(|person| person.id != id.as_str())
            .map(model::Person::baskets)
            .collect();
        for (number, item) in state.products.items().iter().enumerate() {
            let is_left = |b: &str| left.iter().flatten().any(|basket| basket.holds(&item.id) && basket.holds(b));
            let with = by_id(&state, relations.bought_with(number as u32));
            assert!(with.keys().all(|b| is_left(b)), "{} with {with:?}", item.id);
            let common = |b: &str| count(&left, |person| bought(person, &item.id) && bought(person, b));
            let with = by_id(&state, relations.bought_by_buyers(number as u32));
            assert!(with.keys().all(|b| common(b) >= f64::from(MIN_COMMON)), "{} with {with:?}", item.id);
        }
        // folded anew: as if they had never been
        let others: Vec<Record> = records.iter().filter(|record| !theirs(&record.body)).cloned().collect();
        let (state, world) = known(&others);
        assert_counts(&state, &relations_of(&state), &world);
    }
}

/// Customers of a tiny shop: each buys the products it `owns` in one basket.
fn shop(customers: usize, products: usize, owns: impl Fn(usize, usize) -> bool) -> Vec<Record> {
    let mut records = Vec::new();
    for who in 0..customers {
        let id = customer(who);
        for product in (0..products).filter(|&product| owns(who, product)) {
            let (number, product) = (records.len(), format!("p{product}"));
            records.push(purchase(
                number,
                slot(who as i64),
                (id.as_str(), ""),
                &product,
                "",
            ));
        }
    }
    records
}

/// Gauss–Jordan, as it stands in every textbook.
fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = a.len();
    for (row, numbers) in a.iter_mut().enumerate() {
        numbers.extend((0..n).map(|column| f64::from(u8::from(row == column))));
    }
    for k in 0..n {
        let pivot = a[k][k];
        a[k].iter_mut().for_each(|number| *number /= pivot);
        let pivot_row = a[k].clone();
        for r in (0..n).filter(|&r| r != k) {
            let by = a[r][k];
            a[r].iter_mut()
                .zip(&pivot_row)
                .for_each(|(number, other)| *number -= by * other);
        }
    }
    a.into_iter().map(|row| row[n..].to_vec()).collect()
}

#[test]
fn the_weights_of_a_tiny_catalog_are_those_of_dense_ease() {
    let customers = 60;
    let (state, _) = known(&shop(customers, TINY, owns));
    let mut relations = relations_of(&state);
    assert_dense(
        &state,
        &relations,
        customers,
        Tuning::default().ease_penalty,
    );
    for ease_penalty in [3.0, 50.0, 1_000.0] {
        let tuning = Tuning {
            ease_penalty,
            ..Tuning::default()
        };
        assert!(relations.is_stale(&state, &tuning));
        relations.tune(&tuning);
        assert!(
            relations.is_stale(&state, &tuning),
            "not before it is solved"
        );
        relations.refresh(&state);
        assert!(!relations.is_stale(&state, &tuning));
        assert_eq!(relations, Relations::of(&state, &tuning));
        assert_dense(&state, &relations, customers, ease_penalty);
        // nothing new to tune by
        relations.tune(&tuning);
        assert!(!relations.is_stale(&state, &tuning));
    }
}

const TINY: usize = 6;

fn owns(who: usize, product: usize) -> bool {
    who < 3 || (who * 7 + product * product * 3 + who * product) % 5 < 2
}

fn assert_dense(state: &State, relations: &Relations, customers: usize, penalty: f64) {
    let number = |product: usize| {
        let id = format!("p{product}");
        state.products.number(&id).unwrap()
    };
    let both = |a: usize, b: usize| {
        let buyers = (0..customers).filter(|&who| owns(who, a) && owns(who, b));
        buyers.count() as f64
    };
    let ridge = |a: usize, b: usize| both(a, b) + if a == b { penalty } else { 0.0 };
    let row = |a| (0..TINY).map(|b| ridge(a, b)).collect();
    let p = inverse((0..TINY).map(row).collect());
    let mut weights = 0;
    for cause in 0..TINY {
        let mut others = (0..TINY).map(|other| both(cause, other));
        assert!(
            others.all(|common| common >= f64::from(MIN_COMMON)),
            "no pair is left out"
        );
        let effects = relations.effects(number(cause));
        for target in (0..TINY).filter(|&target| target != cause) {
            let expected = -p[cause][target] / p[target][target];
            let found = effects.iter().find(|effect| effect.0 == number(target));
            let found = found.map_or(0.0, |&(_, weight)| f64::from(weight));
            // the smallest ones are left out
            let least = if expected.abs() > 1.01 * MIN_WEIGHT {
                1e-6
            } else {
                1.02 * MIN_WEIGHT
            };
            assert!(
                (found - expected).abs() < least,
                "{cause} to {target}: {found}, not {expected}"
            );
            weights += usize::from(found.abs() > 0.0);
        }
        assert!(
            effects.iter().all(|effect| effect.0 != number(cause)),
            "nothing leads to itself"
        );
        assert!(effects.len() < TINY);
    }
    assert!(weights > TINY, "{weights} weights");
}

#[test]
fn the_pairs_that_go_best_together_are_kept() {
    let (rare, often) = (20, PARTNERS);
    let mut records = Vec::new();
    let mut basket = |product: usize| {
        for id in ["hub".to_owned(), format!("p{product}")] {
            let (number, order) = (records.len(), format!("o{}", records.len() / 2));
            records.push(purchase(
                number,
                slot(number as i64),
                ("customer-0", ""),
                &id,
                &order,
            ));
        }
    };
    for product in 0..rare + often {
        basket(product);
        if product >= rare {
            basket(product);
        }
    }
    let (state, _) = known(&records);
    let relations = relations_of(&state);
    let hub = relations.bought_with(state.products.number("hub").unwrap());
    let expected: Vec<u32> = (rare..rare + often)
        .map(|product| state.products.number(&format!("p{product}")).unwrap())
        .collect();
    assert_eq!(
        hub.iter().map(|entry| entry.0).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn the_last_buyers_stand_for_all() {
    let customers = MAX_BUYERS + MAX_BUYERS / 2;
    let (state, _) = known(&shop(customers, 2, |_, _| true));
    let relations = relations_of(&state);
    let [a, b] = ["p0", "p1"].map(|id| state.products.number(id).unwrap());
    let n = customers as f64;
    for (from, to) in [(a, b), (b, a)] {
        let &[(other, cosine)] = relations.bought_with(from) else {
            panic!("one partner");
        };
        assert_eq!(other, to);
        near(f64::from(cosine), n / (n + f64::from(DAMPING)), "cosine");
        let &[(other, common)] = relations.bought_by_buyers(from) else {
            panic!("one partner");
        };
        assert_eq!(other, to);
        near(f64::from(common), n, "common buyers");
    }
}

#[test]
fn who_has_the_place_of_somebody_else_counts_once() {
    // the place of visitor-0 is free when visitor-1 comes
    let both = |number: usize, who: (&str, &str)| {
        let line = |i: usize, product| purchase(number + i, slot(number as i64), who, product, "");
        [line(0, "a"), line(1, "b")]
    };
    let identified = |visitor: usize, to| RecordBody::VisitorIdentified {
        visitor: crate::state_fold::history::visitor(visitor),
        customer: customer(to),
    };
    let mut records = both(0, ("", "visitor-0")).to_vec();
    records.push(record(identified(0, 0)));
    records.extend(both(2, ("", "visitor-1")));
    let (state, world) = known(&records);
    assert_counts(&state, &relations_of(&state), &world);
    let a = state.products.number("a").unwrap();
    assert_eq!(state.products.item(a).last_buyers().len(), 2);
    let common = relations_of(&state).bought_by_buyers(a).to_vec();
    let twice = (MIN_COMMON <= 2.0).then_some((state.products.number("b").unwrap(), 2.0));
    assert_eq!(common, twice.into_iter().collect::<Vec<_>>());
}

#[test]
fn texts_are_read_when_the_catalog_changes() {
    let listed = |id: &str, name: &str| {
        let draft = ProductDraft {
            product_id: id,
            name,
            ..ProductDraft::default()
        };
        let product: Product = draft.check().unwrap();
        record(RecordBody::ProductUpserted(Box::new(product)))
    };
    let ids: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
    let mut records: Vec<Record> = ids
        .iter()
        .map(|id| listed(id, &format!("thing {id}")))
        .collect();
    records.push(listed("p0", "green lantern"));
    let (mut state, _) = known(&records);
    let mut relations = relations_of(&state);
    let alike = |relations: &Relations| {
        let mut alike = Vec::new();
        relations
            .content()
            .parts(0, |product, _| alike.push(product));
        alike
    };
    assert!(!is_stale(&relations, &state));
    assert!(!alike(&relations).contains(&1));
    state.apply(&listed("p1", "green lantern"));
    assert!(is_stale(&relations, &state));
    relations.refresh(&state);
    assert!(alike(&relations).contains(&1));
    assert!(!is_stale(&relations, &state));
    // somebody of whom nothing is known changes nothing
    state.forget(&CustomerId::trusted("nobody".to_owned()));
    assert!(!is_stale(&relations, &state));
}
