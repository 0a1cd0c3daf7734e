//! What an offer is to a customer, computed by hand.

use nextbest::algorithms::acceptance::Features;
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{
    EventDraft, OfferDraft, OfferKind, ProductDraft, Record, RecordBody, Timestamp,
};
use nextbest::state::State;
use nextbest::state::appeal::{Appeal, Habits};
use nextbest::state::people::Person;
use nextbest::state::view::View;

use super::purchase;
use crate::state_fold::fold;
use crate::state_fold::history::{event, record, settings};

/// A hundred days after the beginning, when the question is asked.
const NOW_DAY: i64 = 100;

fn day(day: i64) -> Timestamp {
    Timestamp::from_ms(day * DAY_MS)
}

fn product(id: &str, category: &[&str], name: &str) -> Record {
    let draft = ProductDraft {
        product_id: id,
        category: category.to_vec(),
        name,
        ..ProductDraft::default()
    };
    record(RecordBody::ProductUpserted(Box::new(
        draft.check().unwrap(),
    )))
}

fn offer(id: &str, products: &[&str], category: &[&str]) -> Record {
    let draft = OfferDraft {
        offer_id: id,
        kind: Some(Ok(OfferKind::Coupon)),
        product_ids: products.to_vec(),
        categories: if category.is_empty() {
            Vec::new()
        } else {
            vec![category.to_vec()]
        },
        ..OfferDraft::default()
    };
    let offer = draft.check(&settings().journey, &|_| Ok(())).unwrap();
    record(RecordBody::OfferUpserted(Box::new(offer)))
}

fn redeemed(at: i64, who: &str, offer: &str) -> Record {
    let draft = EventDraft {
        event_type: "offer_redeemed",
        event_id: &format!("{who}-{offer}-{at}"),
        customer_id: who,
        offer_id: offer,
        ..EventDraft::default()
    };
    record(RecordBody::Event(Box::new(event(day(at), 0, draft))))
}

/// Coffee and tea are food. a bought coffee twice and something that is in no catalog; b other coffee and tea.
fn shop() -> State {
    let food = ["Food", "Drinks"];
    let mut records = vec![
        product("c1", &food, "coffee"),
        product("c2", &food, "coffee"),
        product("t", &food, "tea"),
        product("s", &["Home"], "soap"),
        offer("coffee", &["c2"], &[]),
        offer("food", &[], &["Food"]),
        offer("other", &["s", "t"], &[]),
        offer("same", &["t", "s"], &[]),
        offer("all", &[], &[]),
        offer("wide", &["c1", "c2", "t", "s", "n1", "n2"], &[]),
    ];
    let bought = [
        (40, "a", "c1"),
        (100, "a", "c1"),
        (70, "a", "x"),
        (10, "b", "c2"),
        (20, "b", "t"),
    ];
    for (number, (at, who, product)) in bought.into_iter().enumerate() {
        let order = format!("o{number}");
        records.push(purchase(number, day(at), (who, ""), product, &order));
    }
    records.push(redeemed(50, "a", "other"));
    records.push(redeemed(60, "b", "same"));
    records.push(redeemed(60, "b", "unheard of"));
    // later than the question
    records.push(redeemed(101, "a", "coffee"));
    fold(&settings(), &records)
}

fn features(state: &State, appeal: &Appeal, who: Option<&str>, offer: &str) -> Option<Features> {
    let person = who.map(|who| Person::Customer(customer(state, who)));
    let subject = person.and_then(|person| state.subject(person));
    let view = View::new(state, subject, &[], day(NOW_DAY));
    let habits = Habits::of(&view, appeal);
    appeal.features(state.offers.number(offer).unwrap(), &habits)
}

fn customer(state: &State, id: &str) -> u32 {
    let customers = state.people.customers().iter();
    customers
        .map(|subject| &*subject.id)
        .position(|own| own == id)
        .unwrap() as u32
}

#[test]
fn features_are_as_computed_by_hand() {
    let state = shop();
    let appeal = Appeal::of(&state);
    let is = |who: Option<&str>, offer: &str, expected: [f64; 7]| {
        let found = features(&state, &appeal, who, offer).unwrap();
        let numbers = [
            found.own,
            found.own_faded,
            found.by_type,
            found.by_category,
            found.popularity,
            found.breadth,
            found.redeemed_alike,
        ];
        for (number, expected) in numbers.into_iter().zip(expected) {
            assert!(
                (number - expected).abs() < 1e-9,
                "{who:?} {offer}: {numbers:?}"
            );
        }
    };
    // coffee was bought three times, once c2; food four times
    is(
        Some("a"),
        "coffee",
        [0.0, 0.0, 2.0 / 3.0, 2.0 / 4.0, 1.0, 1.0, 0.0],
    );
    // bought today and 60 days ago; a redeemed what is half tea, a third of the food
    is(Some("a"), "food", [2.0, 1.5, 2.0, 2.0, 4.0, 3.0, 0.5 / 3.0]);
    is(
        Some("a"),
        "other",
        [0.0, 0.0, 0.0, 2.0 / 4.0, 1.0, 2.0, 0.5],
    );
    // x, 30 days ago, is of no kind, as is nothing else that was bought; n1 and n2 are of the same, and were not
    let faded = 1.5 + 0.5f64.sqrt();
    let alike = 0.5 / 7.0 + 0.5 / 7.0;
    is(Some("a"), "all", [3.0, faded, 3.0, 3.0, 5.0, 7.0, alike]);
    is(
        Some("a"),
        "wide",
        [2.0, 1.5, 2.0, 2.0, 4.0, 6.0, 0.5 / 6.0 + 0.5 / 6.0],
    );
    // nobody
    is(None, "food", [0.0, 0.0, 0.0, 0.0, 4.0, 3.0, 0.0]);
    // offers of the same products are one to the shop
    let redemptions = |offer: &str| appeal.redemptions(state.offers.number(offer).unwrap());
    assert_eq!(
        ["other", "same", "food", "unheard of"].map(redemptions),
        [2, 2, 0, 0]
    );
    // of an offer that only events speak of nothing is known
    assert_eq!(features(&state, &appeal, Some("a"), "unheard of"), None);
}

#[test]
fn what_becomes_known_later_has_no_kind() {
    let mut state = shop();
    let appeal = Appeal::of(&state);
    state.apply(&purchase(99, day(99), ("a", ""), "new", "o99"));
    state.apply(&offer("new", &["new"], &[]));
    // it counts among own purchases, and for offers of everything
    let found = features(&state, &appeal, Some("a"), "all").unwrap();
    assert!((found.own - 4.0).abs() < 1e-9, "{found:?}");
    assert_eq!(features(&state, &appeal, Some("a"), "new"), None);
    assert_eq!(appeal.redemptions(state.offers.number("new").unwrap()), 0);
}
