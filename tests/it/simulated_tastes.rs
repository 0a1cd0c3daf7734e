//! What the ranking knows of price levels and personas, against what the simulated shop has in truth.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::Path;

use nextbest::application::personas::learn;
use nextbest::application::recipes::Recipes;
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{Record, RecordBody, Source, Timestamp};
use nextbest::state::candidates::{Gathered, alone};
use nextbest::state::people::Person;
use nextbest::state::persona_popularity::{ASKED_BUYERS, Teller};
use nextbest::state::products::TOP;
use nextbest::state::relations::Relations;
use nextbest::state::scratch::Scratch;
use nextbest::state::tuning::Tuning;
use nextbest::state::view::View;
use nextbest::state::{FoldSettings, State};

use crate::simulated_shop::{end, records, year};

fn folded<'a>(records: impl IntoIterator<Item = &'a Record>) -> State {
    let mut state = State::new(FoldSettings {
        journey: Recipes::embedded().unwrap().journey,
        visitor_idle_days: 180,
    });
    for record in records {
        state.apply(record);
    }
    state
}

/// A truth file: by the id in its first column, the numbers of these columns.
fn truth(folder: &Path, file: &str, columns: [&str; 2]) -> HashMap<String, [f64; 2]> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let places = columns.map(|column| names.iter().position(|name| *name == column).unwrap());
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        (
            cells[0].to_owned(),
            places.map(|place| cells[place].parse().unwrap()),
        )
    });
    rows.collect()
}

/// The coefficient of correlation.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (a, b) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        pairs.iter().map(|&(x, y)| of(x - a, y - b)).sum()
    };
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

#[test]
fn the_price_level_of_a_customer_is_told_from_what_they_buy() {
    let home = tempfile::tempdir().unwrap();
    let records = records(&year(7, 800, 300), home.path());
    let state = folded(&records);
    let truth = truth(
        home.path(),
        "truth_customers.csv",
        ["price_level", "price_sensitivity"],
    );
    let relations = Relations::of(&state, &Tuning::default());
    let recipe = &Recipes::embedded().unwrap().stages[0];
    let mut scratch = Scratch::default();
    let mut levels = Vec::new();
    let known = state.people.customers().iter();
    for subject in known.filter(|subject| subject.orders >= 5) {
        let view = View::new(&state, Some(subject), &[], state.newest());
        let mut gathered = Gathered::of(&view, &relations, &Tuning::default(), &mut scratch);
        let candidates = gathered.propose(recipe, |_| true);
        let own = candidates[0].affinity.own_level;
        assert!(
            candidates
                .iter()
                .all(|c| (c.affinity.own_level - own).abs() < 1e-12)
        );
        assert!(candidates.iter().any(|c| c.affinity.level.is_some()));
        levels.push((own, truth[&*subject.id]));
    }
    assert!(levels.len() > 200, "{}", levels.len());
    let of = |place: usize| -> Vec<(f64, f64)> {
        levels
            .iter()
            .map(|&(own, truth)| (own, truth[place]))
            .collect()
    };
    let (level, sensitivity) = (correlation(&of(0)), correlation(&of(1)));
    println!("price level {level:.3}, price sensitivity {sensitivity:.3}");
    assert!(level > 0.4, "{level}");
    // whoever minds prices buys what is cheap in its category
    assert!(sensitivity < -0.15, "{sensitivity}");
}

fn is_before(record: &Record, now: Timestamp) -> bool {
    match &record.body {
        RecordBody::Event(event) => event.time < now,
        _ => true,
    }
}

/// What sells among customers of each persona, counted from nothing.
fn lifts(state: &State, teller: &Teller, product: u32) -> Vec<f64> {
    let personas = teller.fitted.personas().len();
    let mut all = vec![0.0; personas];
    let mut own = vec![0.0; personas];
    for (number, item) in state.products.items().iter().enumerate() {
        for person in item.last_buyers().rev().take(ASKED_BUYERS) {
            // visitors have no persona, and some are gone
            let subject = state.subject(person);
            let subject = subject.filter(|_| matches!(person, Person::Customer(_)));
            let view = View::new(state, subject, &[], state.newest());
            if let Some(membership) = teller.of(&view) {
                all[membership.best] += 1.0;
                own[membership.best] += f64::from(u8::from(number as u32 == product));
            }
        }
    }
    let (sum, whole): (f64, f64) = (all.iter().sum(), own.iter().sum());
    let lift = |(own, all): (&f64, &f64)| {
        let usual = all / sum;
        (own + 10.0 * usual) / (whole + 10.0) / usual
    };
    own.iter().zip(&all).map(lift).collect()
}

#[test]
fn what_a_persona_goes_for_is_counted_from_the_pasts_of_its_customers() {
    let home = tempfile::tempdir().unwrap();
    let records = records(&year(7, 1_000, 200), home.path());
    let state = folded(&records);
    let learned = learn(&state, state.newest(), None, 7).unwrap();
    let teller = &learned.personas.teller;
    let personas = teller.fitted.personas().len();
    let mut relations = Relations::new(&Tuning::default());
    relations.refresh(&state);
    let list = |relations: &Relations, view: &View<'_>| {
        let mut scratch = Scratch::default();
        let tuning = Tuning::default();
        let allowed = |product: u32| product % 7 != 3;
        alone(
            Source::Persona,
            view,
            relations,
            &tuning,
            &mut scratch,
            20,
            allowed,
        )
    };
    // while no personas are live nothing is known
    let subject = state
        .people
        .customers()
        .iter()
        .find(|subject| subject.orders > 5);
    let view = View::new(&state, subject, &[], state.newest());
    assert!(!relations.is_stale(&state, &Tuning::default()));
    assert_eq!(list(&relations, &view), Vec::<u32>::new());

    relations.tell_by(Some(teller));
    assert!(relations.is_stale(&state, &Tuning::default()));
    // a few products at a time come to the same as all at once
    let mut at_once = relations.clone();
    at_once.refresh(&state);
    while relations.refresh_some(&state, 7) > 0 {}
    assert!(!relations.is_stale(&state, &Tuning::default()));
    assert_eq!(relations.by_persona(), at_once.by_persona());
    let by_persona = relations.by_persona();
    for product in (0..200).step_by(20) {
        for (persona, expected) in lifts(&state, teller, product).into_iter().enumerate() {
            let lift = by_persona.lift(product, persona);
            assert!(
                (lift - expected).abs() < 1e-4,
                "{product}: {lift} {expected}"
            );
        }
    }
    for persona in 0..personas {
        let best = by_persona.best(persona);
        assert!(best.len() <= TOP && best.len() > 100, "{}", best.len());
    }
    let found = list(&relations, &view);
    let persona = by_persona.persona_of(&view).unwrap();
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|product| product % 7 != 3));
    let sold = |&product: &u32| by_persona.popularity(&view, product, persona);
    assert!(found.is_sorted_by(|a, b| sold(a) >= sold(b)));
    // of a visitor nobody knows it
    let visitor = state.people.visitors().next();
    let view = View::new(&state, visitor, &[], state.newest());
    assert_eq!(by_persona.persona_of(&view), None);
    assert_eq!(list(&relations, &view), Vec::<u32>::new());

    relations.tell_by(None);
    assert!(!relations.is_stale(&state, &Tuning::default()));
    assert_eq!(relations.by_persona().best(0), &[] as &[u32]);
}

#[test]
fn what_a_persona_goes_for_follows_what_is_sold() {
    let home = tempfile::tempdir().unwrap();
    let records = records(&year(11, 600, 100), home.path());
    let half = end().plus_ms(-120 * DAY_MS);
    let (before, after): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| is_before(record, half));
    let mut state = folded(before);
    let learned = learn(&state, half, None, 7).unwrap();
    let teller = &learned.personas.teller;
    let mut relations = Relations::new(&Tuning::default());
    relations.tell_by(Some(teller));
    relations.refresh(&state);
    let old = relations.by_persona().clone();
    after.iter().for_each(|record| state.apply(record));
    relations.refresh(&state);
    assert_ne!(*relations.by_persona(), old);
    let mut anew = Relations::new(&Tuning::default());
    anew.tell_by(Some(teller));
    anew.refresh(&state);
    // a little of what was told and counted is older in one of them
    let (kept, fresh) = (relations.by_persona(), anew.by_persona());
    let personas = teller.fitted.personas().len();
    let pairs = (0..100).flat_map(|product| (0..personas).map(move |persona| (product, persona)));
    let far = pairs.map(|(product, persona)| {
        (kept.lift(product, persona) - fresh.lift(product, persona)).abs()
    });
    let far: Vec<f64> = far.collect();
    let mean = far.iter().sum::<f64>() / far.len() as f64;
    assert!(mean < 0.2, "{mean}");
}
