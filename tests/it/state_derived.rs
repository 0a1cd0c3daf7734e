//! What is worked out from State when a question is asked: relations, neighbours and candidates, against brute force
//! over small random histories.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appeal;
mod gathered;
mod neighbours;
mod relations;
mod slate;

use nextbest::domain::{EventDraft, Record, RecordBody, Timestamp};
use nextbest::state::State;
use nextbest::state::candidates::Gathered;
use nextbest::state::neighbours::{Liked, NeighbourParams, NeighbourScratch, like};
use nextbest::state::relations::Relations;
use nextbest::state::scratch::Scratch;
use nextbest::state::tuning::Tuning;
use nextbest::state::view::View;
use proptest::prelude::*;

use crate::state_fold::fold;
use crate::state_fold::history::{customer, event, record, settings, slot, visitor};
use crate::state_fold::model::{self, Basket, World};

/// Customers, and half as many visitors.
const PEOPLE: usize = 8;
const PRODUCTS: usize = 7;

/// A purchase by a customer, a visitor or both; its key is that of no other.
fn purchase(number: usize, at: Timestamp, who: (&str, &str), product: &str, order: &str) -> Record {
    let draft = EventDraft {
        event_type: "purchase",
        event_id: &format!("purchase-{number}"),
        customer_id: who.0,
        visitor_id: who.1,
        product_id: product,
        order_id: order,
        ..EventDraft::default()
    };
    record(RecordBody::Event(Box::new(event(at, 0, draft))))
}

/// Purchases in any order, some of them by visitors who turn out to be customers.
fn purchases() -> impl Strategy<Value = Vec<Record>> {
    let who = prop_oneof![
        8 => (0..PEOPLE).prop_map(|c| (Some(c), None)),
        3 => (0..PEOPLE / 2).prop_map(|v| (None, Some(v))),
        1 => (0..PEOPLE, 0..PEOPLE / 2).prop_map(|(c, v)| (Some(c), Some(v))),
    ];
    let act = (who, 0..PRODUCTS, 0..40i64, prop::option::of(0..3usize));
    prop::collection::vec(act, 0..120).prop_map(|acts| {
        let records = acts.into_iter().enumerate();
        let records = records.map(|(number, (who, product, moment, order))| {
            let customer = who.0.map_or_else(String::new, |c| customer(c).to_string());
            let visitor = who.1.map_or_else(String::new, |v| visitor(v).to_string());
            // which of two baskets of one moment comes first is not told
            let at = slot(moment).plus_ms(order.map_or(0, |order| 1 + order as i64));
            let order = order.map_or_else(String::new, |order| format!("order-{order}"));
            let product = format!("product-{product}");
            purchase(number, at, (&customer, &visitor), &product, &order)
        });
        records.collect()
    })
}

/// The fold of the records, and the naive model of them.
fn known(records: &[Record]) -> (State, World) {
    let settings = settings();
    let bodies: Vec<RecordBody> = records.iter().map(|record| record.body.clone()).collect();
    (
        fold(&settings, records),
        World::of(&settings.journey, &bodies),
    )
}

/// Everything worked out.
fn relations_of(state: &State) -> Relations {
    Relations::of(state, &Tuning::default())
}

/// True if anything must be worked out anew.
fn is_stale(relations: &Relations, state: &State) -> bool {
    relations.is_stale(state, &Tuning::default())
}

/// What is known for a question.
fn gathered<'v>(
    view: &'v View<'v>,
    relations: &Relations,
    scratch: &'v mut Scratch,
) -> Gathered<'v> {
    Gathered::of(view, relations, &Tuning::default(), scratch)
}

/// What customers like the asker buy.
fn liked(view: &View<'_>, params: &NeighbourParams, scratch: &mut NeighbourScratch) -> Vec<Liked> {
    let own = view.own(&Tuning::default());
    like(view, &own, params, scratch)
}

/// The baskets of everybody, person by person.
fn baskets(world: &World) -> Vec<Vec<Basket>> {
    world.people().map(model::Person::baskets).collect()
}
