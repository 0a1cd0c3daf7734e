//! The same shops through the service: its journal, the personas it learns itself, its counters and its comparison.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use nextbest::algorithms::pain_points::{Finding, Whom};
use nextbest::algorithms::personas::adjusted_rand_index;
use nextbest::application::journey::Selection;
use nextbest::application::personas::{LearnedPersonas, Revision, learn};
use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::server::Service;
use nextbest::simulation::{PainPoint, Settings, Simulation};
use nextbest::state::view::View;
use nextbest::store::{Artefacts, Journal as _, MemoryJournal};

use super::{CUSTOMERS, DAYS};
use crate::simulated_shop::{end, records};

/// Records that are appended at a time.
const AT_ONCE: usize = 4_096;

/// What the service says of a shop, persons by the names of the true personas that they mostly are.
pub(super) fn findings(seed: u64, pains: &[PainPoint], last: Date) -> Vec<Finding> {
    let settings = Settings::new(seed, CUSTOMERS, 400, DAYS, last).unwrap();
    let settings = settings.with_pain_points(pains).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = MemoryJournal::new();
    for some in records(&settings, folder.path()).chunks(AT_ONCE) {
        journal.append(some).unwrap();
    }
    let service = Service::with(
        Arc::new(journal),
        None,
        Artefacts::open(folder.path()).unwrap(),
        Clock::fixed(end()),
        &crate::harness::settings(),
        &Recipes::embedded().unwrap(),
    );
    let service = service.unwrap();
    let names = live_personas(&service, seed, &settings);
    let journey = &service.use_cases.journey;
    journey.follow().unwrap();
    journey.regroup().unwrap();
    let found = journey.pain_points(&Selection::default(), 0.05, 100);
    let found = found.unwrap();
    assert!(found.state.complete);
    service.close().unwrap();
    let findings = found.points.into_iter().map(|point| {
        let mut finding = point.finding;
        if let Whom::Persona(id) = &finding.whom {
            finding.whom = Whom::Persona(names[id].clone());
        }
        finding
    });
    findings.collect()
}

/// Learns personas as a training run does and makes them live if they may. The true persona that most of each are.
fn live_personas(service: &Service, seed: u64, settings: &Settings) -> BTreeMap<String, String> {
    let known = service.shop.known();
    let learned = learn(&known.state, end(), None, 7).unwrap();
    let faults = learned.figures.faults();
    let simulation = Simulation::new(settings);
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for subject in known.state.people.customers() {
        let view = View::new(&known.state, Some(subject), &[], end());
        if let Some(membership) = learned.personas.of(&view) {
            let number: usize = subject.id.trim_start_matches('c').parse().unwrap();
            let truth = simulation.customers()[number - 1].persona;
            pairs.push((membership.best, truth.place()));
        }
    }
    let names = names(&learned, &pairs, &simulation);
    let (found, truth): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    println!(
        "seed {seed}: {} personas, adjusted Rand index {:.3} of {} customers {faults:?}",
        learned.figures.k,
        adjusted_rand_index(&found, &truth),
        pairs.len()
    );
    drop(known);
    if faults.is_empty() {
        service.shop.personas.put(Some(Revision {
            id: "learned".to_owned(),
            personas: learned.personas,
        }));
    }
    names
}

fn names(
    learned: &LearnedPersonas,
    pairs: &[(usize, usize)],
    simulation: &Simulation,
) -> BTreeMap<String, String> {
    let name_of = |place: usize| {
        let mut customers = simulation.customers().iter();
        let one = customers.find(|person| person.persona.place() == place);
        one.unwrap().persona.name().to_owned()
    };
    let personas = learned.personas.fitted().personas().iter().enumerate();
    let names = personas.map(|(best, persona)| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, truth) in pairs.iter().filter(|(found, _)| *found == best) {
            *counts.entry(*truth).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let name = most.map_or_else(String::new, |(place, _)| name_of(place));
        (persona.id.clone(), name)
    });
    names.collect()
}
