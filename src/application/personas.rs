//! Personas: learning them from what is known, telling whose somebody is, and counting them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::algorithms::personas::choice::{MIN_SHARE, Tried};
use crate::algorithms::personas::{
    Choice, FittedPersonas, Matched, Membership, PersonaError, PersonaParams, adjusted_rand_index,
};
use crate::application::shop::Shop;
use crate::domain::{Position, Timestamp};
use crate::state::State;
use crate::state::persona_popularity::Teller;
use crate::state::profile::{Assortment, measures};
use crate::state::subjects::Subject;
use crate::state::view::View;

/// Personas are learned from at most so many customers, evenly drawn from all who can be told.
pub const MAX_LEARNED: usize = 50_000;
/// Personas go live only if they are found again at least so well, see [`crate::algorithms::personas::choice`].
pub const MIN_LIVE_STRENGTH: f64 = 0.8;
/// Counting that takes no longer than this is done whenever something was written; …
const CHEAP: Duration = Duration::from_millis(50);
/// … longer one so that it takes at most one part in so many of the time.
const MOST_OF_TIME: u32 = 20;
/// So many customers are looked at under one hold of the lock, so that writing never waits long.
const COUNT_AT_ONCE: usize = 256;

/// What tells the persona of a customer: a part of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Personas {
    /// What tells it.
    pub teller: Teller,
    /// The mean silhouette of those they were learned from.
    pub silhouette: f64,
}

/// Personas that were learned, and how good they are.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedPersonas {
    /// The personas.
    pub personas: Personas,
    /// How good they are.
    pub figures: PersonaFigures,
}

/// How good personas are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonaFigures {
    /// How many there are.
    pub k: usize,
    /// Every number that was tried.
    pub tried: Vec<Tried>,
    /// The mean silhouette.
    pub silhouette: f64,
    /// The same where every column is shuffled by itself.
    pub shuffled_silhouette: f64,
    /// The share of the smallest.
    pub smallest_share: f64,
    /// How well they are found again: the prediction strength.
    pub strength: f64,
    /// Customers they were learned from.
    pub customers: u64,
    /// Customers with too little history.
    pub unassigned: u64,
    /// The adjusted Rand index between the personas of the same customers before and now; absent: there were none.
    pub agreement: Option<f64>,
    /// What became of those before.
    pub matched: Matched,
}

impl PersonaFigures {
    /// Why they must not go live; nothing: they may.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.silhouette <= self.shuffled_silhouette {
            let (own, shuffled) = (self.silhouette, self.shuffled_silhouette);
            faults.push(format!(
                "the silhouette ({own:.3}) is not above that of shuffled columns ({shuffled:.3})"
            ));
        }
        if self.smallest_share < MIN_SHARE {
            let (share, least) = (100.0 * self.smallest_share, 100.0 * MIN_SHARE);
            faults.push(format!(
                "the smallest persona has {share:.1} % of the customers; at least {least} % are needed"
            ));
        }
        if self.strength < MIN_LIVE_STRENGTH {
            let strength = self.strength;
            faults.push(format!(
                "other customers have other personas: prediction strength {strength:.2}, at least {MIN_LIVE_STRENGTH} \
                 is needed"
            ));
        }
        faults
    }
}

/// Learns the personas of everybody of whom enough is known at `now`. Ids and names of `previous` stay with those that
/// are the same. Deterministic by `seed`. Takes seconds: not under the lock of State.
///
/// # Errors
/// [`PersonaError`]: with too few customers there are none.
pub fn learn(
    state: &State,
    now: Timestamp,
    previous: Option<&Personas>,
    seed: u64,
) -> Result<LearnedPersonas, PersonaError> {
    let params = PersonaParams {
        seed,
        ..PersonaParams::default()
    };
    learn_with(state, now, previous, params)
}

/// As [`learn`], with parameters: a number of personas that is known need not be looked for.
///
/// # Errors
/// [`PersonaError`], also for parameters outside their range.
pub fn learn_with(
    state: &State,
    now: Timestamp,
    previous: Option<&Personas>,
    params: PersonaParams,
) -> Result<LearnedPersonas, PersonaError> {
    let assortment = Assortment::of(state);
    let customers = state.people.customers().iter();
    let customers: Vec<&Subject> = customers.filter(|subject| !subject.id.is_empty()).collect();
    let view = |subject| View::new(state, Some(subject), &[], now);
    let told = customers
        .iter()
        .filter(|subject| measures(&view(subject), &assortment).is_some());
    let told: Vec<&Subject> = told.copied().collect();
    let unassigned = customers.len() - told.len();
    let step = told.len().div_ceil(MAX_LEARNED).max(1);
    let sample: Vec<&Subject> = told.into_iter().step_by(step).collect();
    let rows: Vec<_> = sample
        .iter()
        .filter_map(|subject| measures(&view(subject), &assortment))
        .collect();
    let (mut fitted, choice) = params.check()?.fit(assortment.columns(), &rows)?;
    let matched = match previous {
        Some(previous) => fitted.follow(previous.fitted()),
        None => Matched {
            new: fitted
                .personas()
                .iter()
                .map(|persona| persona.id.clone())
                .collect(),
            ..Matched::default()
        },
    };
    let agreement = previous.map(|previous| {
        let both = sample.iter().zip(&rows).filter_map(|(subject, row)| {
            let before = previous.of(&view(subject))?.best;
            Some((before, fitted.membership(row)?.best))
        });
        let (before, after): (Vec<usize>, Vec<usize>) = both.unzip();
        adjusted_rand_index(&before, &after)
    });
    let Choice {
        k,
        tried,
        silhouette,
        shuffled_silhouette,
        smallest_share,
    } = choice;
    let strength = tried
        .iter()
        .find(|tried| tried.k == k)
        .map_or(0.0, |tried| tried.strength);
    Ok(LearnedPersonas {
        personas: Personas {
            teller: Teller { assortment, fitted },
            silhouette,
        },
        figures: PersonaFigures {
            k,
            tried,
            silhouette,
            shuffled_silhouette,
            smallest_share,
            strength,
            customers: rows.len() as u64,
            unassigned: unassigned as u64,
            agreement,
            matched,
        },
    })
}

impl Personas {
    /// The personas themselves: ids, names, what sets them apart.
    #[must_use]
    pub fn fitted(&self) -> &FittedPersonas {
        &self.teller.fitted
    }

    /// Which persona somebody is, and how much; nothing if their history is too short to tell.
    #[must_use]
    pub fn of(&self, view: &View<'_>) -> Option<Membership> {
        self.teller.of(view)
    }

    /// As [`Personas::of`], the id alone.
    #[must_use]
    pub fn id_of(&self, view: &View<'_>) -> Option<&str> {
        let best = self.of(view)?.best;
        self.fitted()
            .personas()
            .get(best)
            .map(|persona| &*persona.id)
    }
}

/// The personas of the live model, and how many customers each has.
#[derive(Debug, Default)]
pub struct LivePersonas {
    now: ArcSwapOption<Revision>,
    counted: Mutex<Option<Counted>>,
}

/// Personas, and the revision they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The revision of the model they were learned for.
    pub id: String,
    /// Its personas.
    pub personas: Personas,
}

#[derive(Debug)]
struct Counted {
    revision: String,
    end: Position,
    report: Arc<PersonaReport>,
    /// When it was counted, and how long that took.
    at: Instant,
    took: Duration,
}

impl Counted {
    /// True if it is not worth counting anew: nothing was written since, or counting would take more of the time than
    /// [`MOST_OF_TIME`] allows.
    fn is_good(&self, revision: &str, end: Position) -> bool {
        let is_dear = self.took > CHEAP && self.at.elapsed() < self.took * MOST_OF_TIME;
        self.revision == revision && (self.end == end || is_dear)
    }
}

/// How many customers each persona has.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonaReport {
    /// The personas, and the revision they come from.
    pub revision: Arc<Revision>,
    /// The personas, by their place in the revision, with their customers; those with most customers first.
    pub personas: Vec<PersonaCount>,
    /// Customers with too little history to say.
    pub unassigned: u64,
}

/// How many customers a persona has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaCount {
    /// Its place in [`FittedPersonas::personas`].
    pub place: usize,
    /// Customers who are it more than any other.
    pub customers: u64,
    /// The same by the name of the stage they are in.
    pub by_stage: BTreeMap<String, u64>,
}

impl LivePersonas {
    /// Puts the personas of the live model in place; nothing: it has none.
    pub fn put(&self, revision: Option<Revision>) {
        self.now.store(revision.map(Arc::new));
    }

    /// The personas that are live.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Revision>> {
        self.now.load_full()
    }

    /// The id of somebody's persona; empty if it cannot be told, or no personas are live.
    #[must_use]
    pub fn id_of(&self, view: &View<'_>) -> String {
        let live = self.now.load();
        let id = live.as_deref().and_then(|live| live.personas.id_of(view));
        id.unwrap_or_default().to_owned()
    }
}

/// Counts the customers of each persona, where any are live. Looks at every customer, in small steps under the lock;
/// the answer is kept until something is written, of many customers for a while longer.
#[must_use]
pub fn report(shop: &Shop) -> Option<Arc<PersonaReport>> {
    let revision = shop.personas.get()?;
    // callers wait for one count instead of counting at the same time
    let mut counted = shop
        .personas
        .counted
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let end = shop.known().state.end();
    let kept = counted
        .as_ref()
        .filter(|kept| kept.is_good(&revision.id, end));
    if let Some(kept) = kept {
        return Some(kept.report.clone());
    }
    let at = Instant::now();
    let report = Arc::new(count(shop, revision));
    *counted = Some(Counted {
        at,
        took: at.elapsed(),
        revision: report.revision.id.clone(),
        end,
        report: report.clone(),
    });
    Some(report)
}

fn count(shop: &Shop, revision: Arc<Revision>) -> PersonaReport {
    let now = shop.clock.now();
    let all = revision.personas.fitted().personas().len();
    let mut personas: Vec<PersonaCount> = (0..all)
        .map(|place| PersonaCount {
            place,
            customers: 0,
            by_stage: BTreeMap::new(),
        })
        .collect();
    let (mut unassigned, mut from) = (0, Position(0));
    loop {
        let known = shop.known();
        let state = &known.state;
        // numbers may have changed since the lock was held before, positions have not
        let positions = state.customer_positions();
        let first = positions.partition_point(|&position| position < from);
        let end = positions.len().min(first + COUNT_AT_ONCE);
        for subject in &state.people.customers()[first..end] {
            if subject.id.is_empty() {
                continue;
            }
            let view = View::new(state, Some(subject), &[], now);
            match revision.personas.of(&view) {
                Some(membership) => {
                    let counts = &mut personas[membership.best];
                    counts.customers += 1;
                    let stage = state.journey().name(view.stage);
                    *counts.by_stage.entry(stage.to_owned()).or_default() += 1;
                }
                None => unassigned += 1,
            }
        }
        match positions.get(end) {
            Some(&next) => from = next,
            None => break,
        }
    }
    personas.sort_by(|a, b| b.customers.cmp(&a.customers).then(a.place.cmp(&b.place)));
    PersonaReport {
        revision,
        personas,
        unassigned,
    }
}
