//! The personas that are found, against those that the simulated shop has.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use nextbest::algorithms::personas::adjusted_rand_index;
use nextbest::application::customers::{Customers, Selection};
use nextbest::application::ingest::Ingest;
use nextbest::application::personas::{LearnedPersonas, Revision, learn, report};
use nextbest::application::recipes::Recipes;
use nextbest::application::recommend::Who;
use nextbest::application::shop::{Clock, OfferPolicy, Shop, ShopSettings};
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{Record, RecordBody, Timestamp};
use nextbest::simulation::Simulation;
use nextbest::state::view::View;
use nextbest::state::{FoldSettings, State};
use nextbest::store::{Journal, MemoryJournal, SigningKey};

use crate::simulated_shop::{records, year};

/// The records of a simulated year, and the persona of each customer, in the order of their ids.
fn simulated(seed: u64, customers: u32) -> (Vec<Record>, Vec<usize>) {
    let home = tempfile::tempdir().unwrap();
    let settings = year(seed, customers, 400);
    let records = records(&settings, home.path());
    let simulation = Simulation::new(&settings);
    let truth = simulation.customers().iter();
    (
        records,
        truth.map(|person| person.persona.place()).collect(),
    )
}

fn fold_settings() -> FoldSettings {
    FoldSettings {
        journey: Recipes::embedded().unwrap().journey,
        visitor_idle_days: 180,
    }
}

fn folded<'a>(records: impl IntoIterator<Item = &'a Record>) -> State {
    let mut state = State::new(fold_settings());
    for record in records {
        state.apply(record);
    }
    state
}

/// By customer who has done anything: the persona that is found, if any, and the true one.
fn told(state: &State, learned: &LearnedPersonas, truth: &[usize]) -> Vec<(Option<usize>, usize)> {
    let customers = state.people.customers().iter();
    let told = customers.map(|subject| {
        let view = View::new(state, Some(subject), &[], state.newest());
        let number: usize = subject.id.trim_start_matches('c').parse().unwrap();
        let found = learned.personas.of(&view).map(|membership| membership.best);
        (found, truth[number - 1])
    });
    told.collect()
}

/// How personas compare with the true ones.
struct Judged {
    /// The adjusted Rand index of those who can be told.
    index: f64,
    /// Their share.
    share: f64,
    /// How many personas there are.
    k: usize,
    /// Why they may not go live.
    faults: Vec<String>,
}

fn judged(seed: u64, customers: u32) -> Judged {
    let (records, truth) = simulated(seed, customers);
    let state = folded(&records);
    let learned = learn(&state, state.newest(), None, 7).unwrap();
    let all = told(&state, &learned, &truth);
    let index = |pairs: &[(Option<usize>, usize)]| {
        let (found, truth): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        adjusted_rand_index(&found, &truth)
    };
    let sure: Vec<_> = all
        .iter()
        .copied()
        .filter(|(found, _)| found.is_some())
        .collect();
    let share = sure.len() as f64 / truth.len() as f64;
    let (own, everybody) = (index(&sure), index(&all));
    // those who cannot be told are a part of their own among everybody
    println!("seed {seed}: index {own:.3}, told {share:.3}, everybody {everybody:.3}");
    let figures = &learned.figures;
    println!("  {figures:?}");
    for persona in learned.personas.fitted().personas() {
        println!(
            "  {} {}: {}",
            persona.size, persona.name, persona.description
        );
    }
    Judged {
        index: own,
        share,
        k: figures.k,
        faults: figures.faults(),
    }
}

/// As [`judged`]; there are as many as in truth, and they may go live.
fn checked(seed: u64, customers: u32) -> (f64, f64) {
    let judged = judged(seed, customers);
    assert_eq!(judged.faults, Vec::<String>::new());
    assert_eq!(judged.k, 3);
    (judged.index, judged.share)
}

#[test]
fn the_personas_of_the_simulated_shop_are_found() {
    for seed in [7, 11] {
        let (index, share) = checked(seed, 1_200);
        assert!(index >= 0.8, "seed {seed}: {index}");
        assert!(share >= 0.7, "seed {seed}: {share}");
    }
}

#[test]
#[ignore = "takes minutes; the figures of docs/personas.md"]
fn the_personas_of_larger_shops_are_found() {
    for seed in [7, 11, 12, 13, 14] {
        let (index, share) = checked(seed, 2_000);
        assert!(
            index >= 0.8 && share >= 0.7,
            "seed {seed}: {index}, {share}"
        );
    }
}

/// Seeds that nothing was chosen with.
#[test]
#[ignore = "takes minutes; the figures of docs/personas.md"]
fn the_personas_of_shops_never_looked_at_are_found() {
    let all: Vec<Judged> = (700..710).map(|seed| judged(seed, 2_000)).collect();
    for one in &all {
        println!(
            "index {:.3}, {} personas, {:?}",
            one.index, one.k, one.faults
        );
    }
    assert!(all.iter().all(|one| one.index >= 0.8));
}

#[test]
fn personas_keep_their_ids_and_names_and_are_counted() {
    let (records, truth) = simulated(5, 700);
    let end = Timestamp::parse("2026-05-31T00:00:00Z").unwrap();
    let is_before = |record: &&Record| match &record.body {
        RecordBody::Event(event) => event.time < end,
        _ => true,
    };
    let earlier = folded(records.iter().filter(is_before));
    let first = learn(&earlier, end, None, 7).unwrap();
    let again = learn(&earlier, end, None, 7).unwrap();
    assert_eq!(first, again, "the same seed, the same personas");
    let bytes = postcard::to_stdvec(&first.personas).unwrap();
    assert_eq!(postcard::from_bytes(&bytes), Ok(first.personas.clone()));

    let state = folded(&records);
    let now = state.newest();
    let later = learn(&state, now, Some(&first.personas), 99).unwrap();
    let names = |learned: &LearnedPersonas| {
        let personas = learned.personas.fitted().personas().iter();
        let mut names: Vec<_> = personas.map(|p| (p.id.clone(), p.name.clone())).collect();
        names.sort();
        names
    };
    assert_eq!(names(&first), names(&later));
    let matched = &later.figures.matched;
    assert!(
        matched.new.is_empty() && matched.gone.is_empty(),
        "{matched:?}"
    );
    assert!(
        later.figures.agreement.unwrap() >= 0.8,
        "{:?}",
        later.figures
    );

    // in a service: nobody has a persona until there are some
    let journal = MemoryJournal::new();
    for some in records.chunks(4_096) {
        journal.append(some).unwrap();
    }
    let settings = ShopSettings {
        fold: fold_settings(),
        recipes: Vec::new(),
        horizons_ms: Vec::new(),
        segments: Vec::new(),
        offers: OfferPolicy::default(),
        decision_ms: DAY_MS,
        checkpoint_every: 1_000_000,
        write_queue: 4,
        key: SigningKey::random().unwrap(),
    };
    let (shop, _) = Shop::open(Arc::new(journal), None, Clock::fixed(now), settings).unwrap();
    let (ingest, committer) = Ingest::start(shop.clone()).unwrap();
    let customers = Customers::new(shop.clone(), ingest);
    let listed = |filter: &str| {
        let selection = Selection {
            filter: filter.to_owned(),
            ..Selection::default()
        };
        let page = customers.list(0, 1_000, &selection).unwrap();
        assert_eq!(page.next, None);
        page.items.len()
    };
    assert_eq!(report(&shop), None);
    assert_eq!(listed("customer.persona != ''"), 0);
    let popular = |persona: usize| shop.known().relations.by_persona().best(persona).len();
    assert!(!shop.refresh_relations(), "nothing has changed");
    assert_eq!(popular(0), 0);
    shop.personas.put(Some(Revision {
        id: "revision".to_owned(),
        personas: later.personas.clone(),
    }));
    // what each goes for is counted in the background
    assert!(shop.refresh_relations() && !shop.refresh_relations());
    let k = later.figures.k;
    assert!((0..k).all(|persona| popular(persona) > 100) && popular(k) == 0);
    shop.fold_anew().unwrap();
    assert!((0..k).all(|persona| popular(persona) > 100));
    let counted = report(&shop).unwrap();
    let all = told(&state, &later, &truth);
    assert_eq!(
        counted.unassigned as usize,
        all.iter().filter(|one| one.0.is_none()).count()
    );
    for count in &counted.personas {
        let persona = &later.personas.fitted().personas()[count.place];
        let naive = all.iter().filter(|one| one.0 == Some(count.place)).count();
        assert_eq!(count.customers as usize, naive);
        assert_eq!(count.by_stage.values().sum::<u64>(), count.customers);
        assert_eq!(
            listed(&format!("customer.persona == '{}'", persona.id)),
            naive
        );
        let everybody = customers.list(0, 1_000, &Selection::default()).unwrap();
        let theirs = everybody.items.iter().filter(|p| p.persona == persona.id);
        assert_eq!(theirs.count(), naive);
    }
    assert!(
        counted
            .personas
            .is_sorted_by_key(|count| std::cmp::Reverse(count.customers))
    );
    assert!(
        Arc::ptr_eq(&counted, &report(&shop).unwrap()),
        "kept until something is written"
    );
    shop.personas.put(None);
    assert_eq!(report(&shop), None);
    assert!(shop.refresh_relations() && popular(0) == 0);
    assert!(customers.get(&Who::Nobody).is_err());
    drop((customers, committer));
}
