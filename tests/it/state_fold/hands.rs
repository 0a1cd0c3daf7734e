//! Devices that change hands: an erasure takes what was one customer's and leaves the next one's as
//! if the first had never been, and the other way round.

use std::sync::Arc;

use nextbest::application::AppError;
use nextbest::application::recommend::Who;
use nextbest::domain::{Customer, Event, EventDraft, Record, RecordBody};
use nextbest::state::State;
use nextbest::store::{Journal, MemoryJournal, Options, SledJournal};

use super::fold;
use super::history::{customer, event, read, record, settings, slot, visitor};
use super::service::Service;
use crate::journal_stories::stands_in_any_file;

/// Whose a record is: the number of a customer; none: nobody's.
type Story = Vec<(Option<usize>, RecordBody)>;

/// Two customers; the first visitor goes from the first to the second, the second visitor the other
/// way.
fn story() -> Story {
    let mut moment = 0;
    let mut did = |what: &str, customer: &str, visitor: &str, product: &str| {
        moment += 1;
        let draft = EventDraft {
            event_type: what,
            event_id: &format!("event-{moment}"),
            customer_id: customer,
            visitor_id: visitor,
            product_id: product,
            ..EventDraft::default()
        };
        RecordBody::Event(Box::new(event(slot(moment / 3), 0, draft)))
    };
    let identified = |number, to| RecordBody::VisitorIdentified {
        visitor: visitor(number),
        customer: customer(to),
    };
    let traits = |number| {
        RecordBody::CustomerUpserted(Box::new(Customer {
            id: customer(number),
            traits: vec![("country".into(), "DE".into())],
        }))
    };
    let (first, second) = (Some(0), Some(1));
    vec![
        (first, did("view_item", "", "visitor-0", "p0")),
        (second, did("view_item", "", "visitor-1", "p3")),
        (first, did("purchase", "customer-0", "", "p1")),
        (first, identified(0, 0)),
        (first, did("purchase", "", "visitor-0", "p2")),
        (first, traits(0)),
        (first, did("add_to_cart", "customer-0", "visitor-0", "p1")),
        (second, identified(0, 1)),
        (second, did("purchase", "", "visitor-0", "p1")),
        (second, did("purchase", "", "visitor-0", "p0")),
        (second, did("purchase", "customer-1", "", "p2")),
        (second, did("add_to_cart", "customer-1", "visitor-1", "p0")),
        (second, did("view_item", "", "visitor-1", "p2")),
        (second, did("purchase", "customer-1", "visitor-0", "p1")),
        (second, traits(1)),
        (None, did("purchase", "", "visitor-2", "p0")),
        (first, did("view_item", "customer-0", "visitor-1", "p3")),
        (first, did("purchase", "", "visitor-1", "p1")),
    ]
}

/// What a journal without the records of `erased` folds to.
fn without(story: &Story, erased: usize) -> State {
    let others = story.iter().filter(|(owner, _)| *owner != Some(erased));
    let records: Vec<Record> = others.map(|(_, body)| record(body.clone())).collect();
    fold(&settings(), &records)
}

/// Everything but how many records there were.
fn assert_same(found: &State, expected: &State) {
    assert_eq!(found.people, expected.people);
    assert_eq!(found.products, expected.products);
    assert_eq!(found.next_viewed, expected.next_viewed);
    assert_eq!(found.sessions, expected.sessions);
    assert_eq!(found.browsed_together, expected.browsed_together);
    assert_eq!(found.newest(), expected.newest());
}

fn events(service: &Service, who: &Who) -> Vec<Event> {
    let theirs = service.customers.ownership(who, &|| false).unwrap();
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(position) = from {
        let page = service
            .customers
            .events(&theirs, position, 3, &|| false)
            .unwrap();
        all.extend(page.items);
        from = page.next;
    }
    all
}

fn erase_one(journal: Arc<dyn Journal>, erased: usize) {
    let story = story();
    let service = Service::open(journal, None);
    for batch in story.chunks(4) {
        service.write(batch.iter().map(|(_, body)| body.clone()).collect());
    }
    let owned = |number: usize| {
        let theirs = story
            .iter()
            .filter(move |(owner, _)| *owner == Some(number));
        let events = theirs.filter_map(|(_, body)| match body {
            RecordBody::Event(event) => Some((**event).clone()),
            _ => None,
        });
        events.collect::<Vec<_>>()
    };
    let who = |number| Who::Customer(customer(number));
    for number in [0, 1] {
        assert_eq!(events(&service, &who(number)), owned(number));
    }
    let count = story
        .iter()
        .filter(|(owner, _)| *owner == Some(erased))
        .count();
    assert_eq!(service.erase(&customer(erased)).unwrap(), count as u64);
    service.assert_gone(&customer(erased), &[visitor(0), visitor(1)]);
    assert_eq!(events(&service, &who(1 - erased)), owned(1 - erased));
    service.shop.fold_anew().unwrap();
    service.assert_gone(&customer(erased), &[visitor(0), visitor(1)]);
    let expected = without(&story, erased);
    assert_same(&service.shop.known().state, &expected);
    assert_same(&fold(&settings(), &read(&*service.shop.journal)), &expected);
    // the other one can go as well, and then only what is nobody's is left
    service.erase(&customer(1 - erased)).unwrap();
    service.shop.fold_anew().unwrap();
    let found = service.customers.get(&who(1 - erased));
    assert!(matches!(found, Err(AppError::CustomerNotFound)));
    assert_eq!(events(&service, &Who::Visitor(visitor(0))), []);
    assert_eq!(events(&service, &Who::Visitor(visitor(2))).len(), 1);
    service.stop();
}

#[test]
fn one_of_two_who_had_the_same_device_goes_from_memory() {
    for erased in [0, 1] {
        erase_one(Arc::new(MemoryJournal::new()), erased);
    }
}

#[test]
fn one_of_two_who_had_the_same_device_goes_from_the_disk() {
    for erased in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let open = || SledJournal::open(folder.path(), &Options::default()).unwrap();
        erase_one(Arc::new(open().0), erased);
        for number in [0, 1] {
            let id = customer(number);
            assert!(!stands_in_any_file(folder.path(), id.as_str()), "{id}");
        }
        let (journal, recovery) = open();
        assert!(recovery.is_clean(), "{recovery:?}");
        let left = read(&journal);
        let events = left
            .iter()
            .filter(|r| matches!(r.body, RecordBody::Event(_)));
        assert_eq!((journal.epoch(), events.count()), (2, 1));
    }
}
