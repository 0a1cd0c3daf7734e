//! State is a deterministic fold: random histories against a naive model, checkpoint and tail against
//! the full fold, and the service itself, with erasures, against a fresh fold of its journal.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attributed;
mod bounds;
mod decisions;
mod hands;
pub(crate) mod history;
pub(crate) mod model;
mod offers;
mod service;

use nextbest::algorithms::covisitation::Covisitation;
use nextbest::algorithms::repurchase::Gaps;
use nextbest::algorithms::top::TopList;
use nextbest::domain::{CustomerId, Record, Timestamp, VisitorId};
use nextbest::state::people::Person;
use nextbest::state::products::{FAST_DAYS, RECENT_DAYS, SLOW_DAYS};
use nextbest::state::subjects::Subject;
use nextbest::state::taste::Shelf;
use nextbest::state::{FoldSettings, State};
use proptest::prelude::*;

use history::{PEOPLE, customer, histories, journal_of, settings, slot, spelt_out, visitor};
use model::{Sum, World};

/// The fold of all records.
pub(crate) fn fold(settings: &FoldSettings, records: &[Record]) -> State {
    let mut state = State::new(settings.clone());
    for record in records {
        state.apply(record);
    }
    state
}

/// The visitors of a customer as State knows them.
fn visitors_of(settings: &FoldSettings, records: &[Record], id: &CustomerId) -> Vec<VisitorId> {
    let state = fold(settings, records);
    let person = state.people.customer(id);
    let subject = person.and_then(|person| state.subject(person));
    subject.map_or_else(Vec::new, |subject| {
        let ids = subject.visitors.iter();
        ids.map(|id| VisitorId::trusted(id.to_string())).collect()
    })
}

pub(crate) fn near(found: f64, expected: f64, what: &str) {
    let tolerance = 1e-4 * (1.0 + expected.abs());
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, not {expected}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn state_is_what_the_naive_model_says(history in histories()) {
        let settings = settings();
        let acts = spelt_out(&history);
        let records = journal_of(&acts);
        let state = fold(&settings, &records);
        let standing = model::standing_records(&settings.journey, &acts);
        let world = World::of(&settings.journey, &standing);
        assert_eq!(state.end().0, records.len() as u64);
        assert_eq!(state.newest(), world.newest);
        let activations: Vec<&str> = world.activations.iter().rev().map(String::as_str).collect();
        assert_eq!(state.activations().collect::<Vec<_>>(), activations);
        compare_products(&state, &world);
        compare_people(&state, &world);
        offers::compare(&state, &world, &records);
        attributed::compare(&state, &standing);
        decisions::compare(&state, &records);
        compare_gaps("anything", &state.products.gaps, world.gaps(None));
        compare_gaps("second orders", &state.second_orders, world.second_orders());
        compare_sessions(&state, &world);
        compare_pairs(&state, &state.browsed_together, &world.browsed_together);
        compare_pairs(&state, &state.next_viewed, &world.next_viewed);
    }

    #[test]
    fn checkpoint_and_tail_are_the_full_fold_byte_for_byte(history in histories()) {
        let settings = settings();
        let acts = spelt_out(&history);
        let records = journal_of(&acts);
        let full = fold(&settings, &records).encode();
        let mut prefix = State::new(settings);
        for split in 0..=records.len() {
            let checkpoint = prefix.encode();
            let mut restored = State::decode(&checkpoint).unwrap();
            assert_eq!(restored.encode(), checkpoint, "after {split} records");
            assert!(restored.offers == prefix.offers, "after {split} records");
            for record in &records[split..] {
                restored.apply(record);
            }
            assert_eq!(restored.encode(), full, "split after {split} records");
            if let Some(record) = records.get(split) {
                prefix.apply(record);
            }
        }
    }

    #[test]
    fn a_checkpoint_of_a_state_that_has_forgotten_somebody_is_whole(
        history in histories(),
        who in 0..PEOPLE,
        split in 0..60usize,
    ) {
        let settings = settings();
        let acts = spelt_out(&history);
        let records = journal_of(&acts);
        let (head, tail) = records.split_at(split.min(records.len()));
        let mut state = fold(&settings, head);
        let visitors = visitors_of(&settings, head, &customer(who));
        state.forget(&customer(who));
        assert_eq!(state.people.customer(&customer(who)), None);
        for id in &visitors {
            assert_eq!(state.people.visitor(id), None);
        }
        let mut restored = State::decode(&state.encode()).unwrap();
        for record in tail {
            state.apply(record);
            restored.apply(record);
        }
        assert_eq!(restored.encode(), state.encode());
    }
}

fn compare_products(state: &State, world: &World) {
    let products = &state.products;
    let ids: Vec<&str> = products.items().iter().map(|item| &*item.id).collect();
    assert_eq!(ids, world.products);
    assert_eq!(products.listed as usize, world.catalog.len());
    let (mut buyers, mut repeat_buyers) = (0, 0);
    for (number, item) in products.items().iter().enumerate() {
        let id = &*item.id;
        assert_eq!(products.number(id), Some(number as u32));
        let listing = item.listing.as_ref();
        let listed = products.product(number as u32).zip(listing);
        let listed = listed.map(|(product, listing)| (product, listing.inventory_at));
        assert_eq!(
            listed.as_ref(),
            world.catalog.get(id),
            "{id} in the catalog"
        );
        if let Some((product, _)) = &listed {
            assert_eq!(item.shelf, Shelf::of(product), "shelf of {id}");
        }
        let recommendable = match &listed {
            Some((product, _)) => product.available,
            None => world.catalog.is_empty() && world.first.contains_key(id),
        };
        assert_eq!(products.recommendable(number as u32), recommendable);
        let counts = [item.baskets, item.buyers, item.repeat_buyers].map(|n| n as usize);
        let expected = [
            world.baskets_with(id),
            world.buyers(id, 1),
            world.buyers(id, 2),
        ];
        assert_eq!(counts, expected, "baskets, buyers, repeat buyers of {id}");
        buyers += expected[1];
        repeat_buyers += expected[2];
        let last_buyers: Vec<&str> = item
            .last_buyers()
            .map(|person| &*state.subject(person).unwrap().id)
            .collect();
        assert_eq!(last_buyers, world.last_buyers(id), "last buyers of {id}");
        compare_gaps(id, &item.gaps, world.gaps(Some(id)));
        let steps = world
            .sums
            .iter()
            .filter(|a| a.0 == Sum::Browsed && a.1 == id);
        assert_eq!(item.steps as usize, steps.count(), "steps with {id}");
        assert_eq!(
            item.first,
            world.first.get(id).copied(),
            "first event of {id}"
        );
        for now in [slot(-20), slot(20), slot(60)] {
            let sum = |kind, half_life| world.sum(kind, id, now, half_life);
            let at = |sum: nextbest::algorithms::decay::Fading, days| sum.at(now, days);
            near(
                at(item.bought_fast, FAST_DAYS),
                sum(Sum::Bought, FAST_DAYS),
                "fast",
            );
            near(
                at(item.bought_recent, RECENT_DAYS),
                sum(Sum::Bought, RECENT_DAYS),
                "recent",
            );
            near(
                at(item.bought_slow, SLOW_DAYS),
                sum(Sum::Bought, SLOW_DAYS),
                "slow",
            );
            near(
                at(item.browsed, FAST_DAYS),
                sum(Sum::Browsed, FAST_DAYS),
                "browsed",
            );
            for (stage, &fading) in item.by_stage.iter().enumerate() {
                let expected = sum(Sum::Stage(stage as u8), RECENT_DAYS);
                near(at(fading, RECENT_DAYS), expected, "stage");
            }
        }
    }
    let rate = (repeat_buyers as f64 + 10.0) / (buyers as f64 + 100.0);
    near(products.mean_repeat_rate(), rate, "mean repeat rate");

    let mut popular: Vec<(std::cmp::Reverse<usize>, u32)> = world
        .popular
        .iter()
        .map(|(id, &baskets)| (std::cmp::Reverse(baskets), products.number(id).unwrap()))
        .collect();
    popular.sort_unstable();
    let popular: Vec<u32> = popular.into_iter().map(|(_, number)| number).collect();
    assert_eq!(products.popular.iter().collect::<Vec<_>>(), popular);
    compare_top(state, world, &products.recent, Sum::Bought, RECENT_DAYS);
    compare_top(state, world, &products.trending, Sum::Bought, FAST_DAYS);
    compare_top(state, world, &products.browsed, Sum::Browsed, FAST_DAYS);
    for (stage, top) in products.by_stage.iter().enumerate() {
        compare_top(state, world, top, Sum::Stage(stage as u8), RECENT_DAYS);
    }
}

/// The list holds every product that has a sum, the largest first.
fn compare_top(state: &State, world: &World, top: &TopList, sum: Sum, half_life: f64) {
    let listed: Vec<&str> = top.iter().map(|n| &*state.products.item(n).id).collect();
    let value = |id: &str| world.sum(sum, id, slot(40), half_life);
    for pair in listed.windows(2) {
        let (first, second) = (value(pair[0]), value(pair[1]));
        assert!(first >= second * (1.0 - 1e-9), "{sum:?}: {pair:?}");
    }
    let mut expected: Vec<&str> = world.products.iter().map(String::as_str).collect();
    expected.retain(|id| value(id) > 0.0);
    expected.sort_unstable();
    let mut listed = listed;
    listed.sort_unstable();
    assert_eq!(listed, expected, "{sum:?}");
}

fn compare_people(state: &State, world: &World) {
    let ids: Vec<&str> = state.people.customers().iter().map(|c| &*c.id).collect();
    let expected: Vec<&str> = world.customers.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, expected);
    for (found, expected) in state.people.customers().iter().zip(&world.customers) {
        let id = CustomerId::trusted(expected.id.clone());
        let person = state.people.customer(&id).unwrap();
        assert_eq!(state.subject(person), Some(found));
        compare_person(state, found, expected);
        for visitor in &expected.visitors {
            let id = VisitorId::trusted(visitor.clone());
            assert_eq!(state.people.visitor(&id), Some(person));
        }
    }
    assert_eq!(state.people.visitor_count(), world.visitors.len());
    for expected in &world.visitors {
        let id = VisitorId::trusted(expected.id.clone());
        let person = state.people.visitor(&id).unwrap();
        assert!(matches!(person, Person::Visitor(_)));
        compare_person(state, state.subject(person).unwrap(), expected);
    }
    for number in 0..PEOPLE {
        let id = visitor(number);
        let is_anybodys = world
            .customers
            .iter()
            .any(|c| c.visitors.iter().any(|v| v == id.as_str()));
        let is_known = is_anybodys || world.visitors.iter().any(|v| v.id == id.as_str());
        assert_eq!(state.people.visitor(&id).is_some(), is_known, "{id}");
    }
}

fn compare_person(state: &State, found: &Subject, expected: &model::Person) {
    let id = &expected.id;
    let name = |product: u32| state.products.item(product).id.to_string();
    assert_eq!(&*found.id, id);
    assert_eq!(found.traits, expected.traits, "traits of {id}");
    let visitors: Vec<&str> = found.visitors.iter().map(|v| &**v).collect();
    assert_eq!(visitors, expected.visitors, "visitors of {id}");

    let lines = |place: usize| -> Vec<(String, f32)> {
        let lines = found.lines_of(place).iter();
        lines
            .map(|line| (name(line.product), line.quantity))
            .collect()
    };
    // which of two baskets of the same moment comes first is not told
    type Baskets = Vec<(Timestamp, Vec<(String, f32)>)>;
    let sorted = |mut baskets: Baskets| {
        baskets.sort_by(|a, b| a.partial_cmp(b).unwrap());
        baskets
    };
    let baskets = (0..found.baskets.len()).map(|i| (found.baskets[i].time, lines(i)));
    let expected_baskets = expected.baskets();
    let moments = |baskets: &[Timestamp]| baskets.is_sorted();
    assert!(moments(
        &found.baskets.iter().map(|b| b.time).collect::<Vec<_>>()
    ));
    assert_eq!(
        sorted(baskets.collect()),
        sorted(
            expected_baskets
                .iter()
                .map(|b| (b.time, b.lines.clone()))
                .collect()
        ),
        "baskets of {id}"
    );
    assert_eq!(
        found.orders as usize,
        expected_baskets.len(),
        "orders of {id}"
    );
    let last = expected_baskets.iter().map(|basket| basket.time).max();
    assert_eq!(found.last_basket(), last);
    assert_eq!(found.distinct as usize, expected.bought().len());
    let visit = |v: &model::Visit| {
        (
            v.session as u64,
            v.name.is_some(),
            v.last,
            v.product.clone(),
        )
    };
    let found_visit = found
        .visit
        .map(|v| (v.session, v.name.is_some(), v.last, name(v.product)));
    let expected_visit = expected.visit.as_ref().map(visit);
    assert_eq!(found_visit, expected_visit, "visit of {id}");

    compare_habits(state, found, expected);
    let mut refunds: Vec<_> = found.refunds.iter().map(|&(t, p)| (t, name(p))).collect();
    assert!(found.refunds.is_sorted());
    refunds.sort();
    assert_eq!(refunds, expected.refunds(), "refunds of {id}");
    let outcomes = found.outcomes.iter().map(|outcome| {
        let offer = state.offers.item(outcome.offer).id.to_string();
        (outcome.time, offer, outcome.outcome)
    });
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(outcomes, expected.outcomes(), "outcomes of {id}");
    assert_eq!(found.seen, expected.seen(), "first and last event of {id}");
    assert_eq!(
        found.events as usize,
        expected.events.len(),
        "events of {id}"
    );

    let step = |step: &nextbest::domain::journey::Step| model::Step {
        time: step.time,
        kind: step.kind,
        product: step.product.map(name),
        rating: step.rating,
    };
    let steps = expected.steps();
    let found_steps: Vec<_> = found.steps.iter().map(step).collect();
    assert_eq!(found_steps, steps, "steps of {id}");
    for now in [10, 20, 30, 40, 60, 90].map(slot) {
        let journey = state.journey();
        let standing = journey.standing(&found.steps, now);
        let all = (standing.stage, standing.since, standing.evidence);
        assert_eq!(all, model::standing(journey, &steps, now), "{id} at {now}");
        assert_eq!(journey.stage_at(&found.steps, now), all.0);
    }
}

fn compare_habits(state: &State, found: &Subject, expected: &model::Person) {
    use nextbest::domain::EventKind as Kind;
    use nextbest::state::habits::Act;
    let (id, habits) = (&expected.id, &found.habits);
    assert_eq!(habits.last, expected.came, "newest visit of {id}");
    assert_eq!(habits.times, expected.times(), "times of {id}");
    let name = |way: u8| state.ways()[usize::from(way)].to_string();
    let ways = habits.ways.iter().map(|&(way, count)| (name(way), count));
    assert_eq!(
        ways.collect::<std::collections::BTreeMap<_, _>>(),
        expected.ways(),
        "ways of {id}"
    );
    let speaks: &[Kind] = &[
        Kind::Review,
        Kind::CsatResponse,
        Kind::NpsResponse,
        Kind::Share,
        Kind::Referral,
    ];
    for (act, kinds) in [
        (Act::Look, &[Kind::ViewItem][..]),
        (Act::Search, &[Kind::Search, Kind::ViewItemList]),
        (Act::Cart, &[Kind::AddToCart]),
        (Act::Speak, speaks),
        (Act::Mail, &[Kind::EmailOpen, Kind::EmailClick]),
    ] {
        assert_eq!(habits.acts(act), expected.count(kinds), "{act:?} of {id}");
    }
    let rated = habits.rated.map(|step| (step.time, step.rating.unwrap()));
    assert_eq!(rated, expected.rated(), "rating of {id}");
}

fn compare_gaps(what: &str, found: &Gaps, expected: [f64; 3]) {
    near(found.count, expected[0], &format!("gaps of {what}"));
    near(found.sum, expected[1], &format!("gaps of {what}, sum"));
    near(
        found.squares,
        expected[2],
        &format!("gaps of {what}, squares"),
    );
}

fn compare_sessions(state: &State, world: &World) {
    let sessions = &state.sessions;
    assert_eq!(sessions.begun() as usize, world.sessions.len());
    let name = |&number: &u32| state.products.item(number).id.to_string();
    for (number, expected) in world.sessions.iter().enumerate() {
        let products = sessions.products(number as u64).iter().map(name);
        assert_eq!(&products.collect::<Vec<_>>(), expected, "session {number}");
    }
    for (number, item) in state.products.items().iter().enumerate() {
        let mut found = sessions.recent(number as u32).to_vec();
        found.sort_unstable();
        let all = world.sessions.iter().enumerate();
        let with = all
            .filter(|(_, products)| products.len() > 1 && products.iter().any(|p| **p == *item.id));
        let expected: Vec<u64> = with.map(|(number, _)| number as u64).collect();
        assert_eq!(found, expected, "sessions with {}", item.id);
        assert_eq!(sessions.of(number as u32), expected.len());
    }
}

fn compare_pairs(
    state: &State,
    table: &Covisitation,
    expected: &std::collections::BTreeMap<(String, String), f64>,
) {
    let mut count = 0;
    for (number, item) in state.products.items().iter().enumerate() {
        for (other, weight) in table.neighbours(number as u32) {
            let pair = (
                item.id.to_string(),
                state.products.item(other).id.to_string(),
            );
            let expected = expected.get(&pair).copied().unwrap_or_default();
            near(f64::from(weight), expected, &format!("{pair:?}"));
            count += 1;
        }
    }
    assert_eq!(count, expected.len());
}
