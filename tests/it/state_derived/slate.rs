//! From a ranking to the list that is answered: caps of categories, and the place that explores.

use nextbest::algorithms::draw::mix;
use nextbest::domain::recipe::AnswerRules;
use nextbest::domain::{ProductDraft, Record, RecordBody};
use nextbest::state::State;
use nextbest::state::slate::{HARDLY_KNOWN, MIN_EXPLORING, Place, choose};

use super::purchase;
use crate::state_fold::fold;
use crate::state_fold::history::{record, settings, slot};

const PRODUCTS: u32 = 12;

/// Products 0 to 5 are audio, 6 to 8 garden, the rest of no category; the last four are hardly known.
fn shop() -> State {
    let mut records: Vec<Record> = (0..PRODUCTS)
        .map(|number| {
            let draft = ProductDraft {
                product_id: &format!("p{number}"),
                category: match number {
                    0..6 => vec!["Shop", "audio"],
                    6..9 => vec!["Shop", "garden"],
                    _ => vec![],
                },
                ..ProductDraft::default()
            };
            record(RecordBody::ProductUpserted(Box::new(
                draft.check().unwrap(),
            )))
        })
        .collect();
    let mut number = 0;
    for product in 0..PRODUCTS - 4 {
        for _ in 0..HARDLY_KNOWN {
            let who = format!("c{number}");
            let (at, product) = (slot(number as i64 % 20), format!("p{product}"));
            records.push(purchase(number, at, (&who, ""), &product, ""));
            number += 1;
        }
    }
    fold(&settings(), &records)
}

fn list(state: &State, count: usize, rules: AnswerRules, draw: u64) -> Vec<Place> {
    choose(state, 0..8, count, &rules, || draw, |product| product != 9)
}

fn products(list: &[Place]) -> Vec<u32> {
    list.iter().map(|place| place.product).collect()
}

fn capped(most_of_category: f64) -> AnswerRules {
    AnswerRules {
        most_of_category,
        ..AnswerRules::default()
    }
}

fn exploring(explore: f64) -> AnswerRules {
    AnswerRules {
        explore,
        ..AnswerRules::default()
    }
}

#[test]
fn a_category_has_its_share_while_there_is_anything_else() {
    let state = shop();
    let of = |count, most| products(&list(&state, count, capped(most), 0));
    assert_eq!(of(4, 1.0), [0, 1, 2, 3]);
    assert_eq!(of(4, 0.5), [0, 1, 6, 7]);
    // half of three is one and a half: two
    assert_eq!(of(3, 0.5), [0, 1, 6]);
    assert_eq!(of(4, 0.05), [0, 6, 1, 2], "nothing else is left");
    assert_eq!(of(20, 0.05), [0, 6, 1, 2, 3, 4, 5, 7]);
    let places = list(&state, 4, capped(0.5), 0);
    let ranks: Vec<Option<usize>> = places.iter().map(|place| place.ranked).collect();
    assert_eq!(ranks, [Some(0), Some(1), Some(6), Some(7)]);
    assert!(places.iter().all(|place| place.probability >= 1.0));
}

#[test]
fn what_has_no_category_is_not_capped() {
    let state = shop();
    let ranking = [9, 10, 11, 0, 1];
    let rules = capped(0.25);
    let list = choose(&state, ranking.into_iter(), 4, &rules, || 0, |_| true);
    assert_eq!(products(&list), [9, 10, 11, 0]);
}

#[test]
fn the_last_place_explores_with_the_probability_it_tells() {
    let state = shop();
    let rounds = 30_000u32;
    let mut shown = [0u32; PRODUCTS as usize];
    for round in 0..rounds {
        let list = list(&state, 5, exploring(0.3), mix(1, u64::from(round)));
        assert_eq!(products(&list)[..4], [0, 1, 2, 3]);
        assert!(list[..4].iter().all(|place| place.probability >= 1.0));
        let last = list[4];
        // 9 is not allowed
        let told = match last.ranked {
            Some(rank) => {
                assert_eq!((rank, last.product), (4, 4));
                0.7
            }
            None => {
                assert!([8, 10, 11].contains(&last.product));
                0.1
            }
        };
        assert!((last.probability - told).abs() < 1e-12);
        shown[last.product as usize] += 1;
    }
    for (product, share) in [(4, 0.7), (8, 0.1), (10, 0.1), (11, 0.1)] {
        let came = f64::from(shown[product]) / f64::from(rounds);
        assert!((came - share).abs() < 0.01, "{product}: {came}");
    }
}

#[test]
fn nothing_is_explored_where_it_would_cost_too_much_or_nothing_is_new() {
    let state = shop();
    for count in 1..MIN_EXPLORING {
        let list = list(&state, count, exploring(1.0), 0);
        assert!(list.iter().all(|place| place.ranked.is_some()));
    }
    // a list that is not full is filled up instead
    assert!(
        list(&state, 9, exploring(1.0), 0)
            .iter()
            .all(|place| place.ranked.is_some())
    );
    let known = choose(
        &state,
        0..8,
        5,
        &exploring(1.0),
        || 0,
        |product| product < 8,
    );
    assert_eq!(known[4].ranked, Some(4));
    assert!(known[4].probability >= 1.0);
    let always = list(&state, 5, exploring(1.0), u64::MAX);
    assert_eq!((always[4].ranked, always[4].product), (None, 8));
}
