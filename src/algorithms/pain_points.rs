//! Pain points: places where more people are lost than chance explains, against the same place before and against the
//! same place elsewhere, with the false discovery rate under control. `docs/pain-points.md` has the formulas and says
//! why.
//!
//! A *place* is a touchpoint in a stage, as people of one persona use it; of product pages also one category. Several
//! levels may show one cause (one persona or everybody, one category or all product pages): it is reported once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;

mod chance;
mod elsewhere;
mod levels;
mod wording;

use crate::domain::Fingerprint;

/// A loss matters if its odds are at least this many times those before: in a large shop smaller rises are as clear,
/// and seldom worth the search for a cause.
pub const MIN_ODDS_RATIO: f64 = 1.5;
/// The odds of being lost move by so much without anything being broken; chance has to explain what is beyond (a
/// minimum-effect test: Murphy, Myors 1999). With 1, three of 28 findings in twenty simulated shops were false.
const USUAL_ODDS_RATIO: f64 = 1.2;
/// A loss matters if its odds are at least this many times those elsewhere: nobody knows then whether it was ever
/// otherwise, and personas and categories differ by nature. Only places of which nothing is known from before are
/// compared so: an excess that was there in the same measure cannot be told from nature.
pub const MIN_ODDS_RATIO_ELSEWHERE: f64 = 3.0;
/// A loss matters if at least so many more were lost than expected.
pub const MIN_EXTRA_LOST: f64 = 10.0;
/// Places that fewer passed are not compared.
pub const MIN_PASSED: u64 = 30;
/// From so many periods on it can be told how much they differ.
const MIN_PERIODS: usize = 4;
/// So many other places of a stage are needed to tell what changed in all of it.
const MIN_OTHERS: usize = 3;
/// Two groups are told apart at this level when it is decided whom a finding is about; it decides no finding.
const TOLD_APART: f64 = 0.05;
/// z of a 95 % interval.
const Z: f64 = 1.959_964;

/// How many came through a place, and how many of these were lost there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Stays (of product pages by category: visits) that ended and passed here.
    pub passed: u64,
    /// Of these, those that were lost here.
    pub lost: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            lost: self.lost + other.lost,
        }
    }
}

impl Counts {
    /// The share that was lost, 0 if nobody passed.
    #[must_use]
    pub fn share(self) -> f64 {
        self.lost as f64 / self.passed.max(1) as f64
    }

    /// The 95 % interval of the share (Wilson 1927).
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        if self.passed == 0 {
            return (0.0, 1.0);
        }
        let (n, p) = (self.passed as f64, self.share());
        let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}

/// A place, in the window and before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The stage in which people were.
    pub stage: String,
    /// Where.
    pub touchpoint: String,
    /// The persona, by its id; empty: people of whom none is known.
    pub persona: String,
    /// The top-level category, of product pages that are told apart by it; empty: all products.
    pub category: String,
    /// In the window. `lost` above `passed` counts as `passed`.
    pub window: Counts,
    /// In periods of equal length right before the window, oldest first; empty: nothing is known. Every place must
    /// have as many, of the same days. Weeks are right: they hold all weekdays.
    pub before: Vec<Counts>,
}

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PainParams {
    /// The share of false findings that is put up with, above 0 and below 1.
    pub false_discovery_rate: f64,
}

impl Default for PainParams {
    fn default() -> Self {
        Self {
            false_discovery_rate: 0.05,
        }
    }
}

/// Whom a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// Everybody.
    Everybody,
    /// A persona, by its id.
    Persona(String),
    /// Those of whom no persona is known.
    Unassigned,
}

/// What a finding is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same place before the window.
    Before,
    /// The same place with other people or products.
    Elsewhere,
}

/// A place where more people are lost than chance explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it is about: the same finding has the same id tomorrow.
    pub id: String,
    /// The stage.
    pub stage: String,
    /// The touchpoint.
    pub touchpoint: String,
    /// Whom it is about.
    pub whom: Whom,
    /// The category it is about; empty: all products.
    pub category: String,
    /// What it is compared with.
    pub comparison: Comparison,
    /// What was counted in the window.
    pub window: Counts,
    /// What was counted before; nothing where the comparison is with elsewhere.
    pub before: Counts,
    /// The share that would have been lost as before, or as elsewhere.
    pub expected_share: f64,
    /// How many more were lost than that.
    pub extra_lost: f64,
    /// The odds of being lost over those expected.
    pub odds_ratio: f64,
    /// What those would have brought, in the unit of what one is worth.
    pub lost_value: f64,
    /// The smallest false discovery rate at which it is found.
    pub q_value: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PainReport {
    /// The costliest first.
    pub findings: Vec<Finding>,
    /// How many comparisons were made.
    pub compared: usize,
}

/// Finds pain points. `worth` says what one of those that were lost would have brought on average: of a touchpoint what
/// a stay in the stage brings, of a category what a visit brings. Deterministic; the order of places does not matter.
#[must_use]
pub fn find(places: &[Place], worth: &dyn Fn(&Finding) -> f64, params: &PainParams) -> PainReport {
    let spots = spots(places);
    let mut tests = Tests::default();
    let rises = levels::compare(&spots, &mut tests);
    let oddities = elsewhere::compare(&spots, &rises, &mut tests);
    let q = chance::q_values(&tests.p);
    let told = Told {
        q: &q,
        apart: &chance::q_values(&tests.apart),
        rate: params.false_discovery_rate,
    };
    let mut findings = levels::explain(&spots, &rises, told);
    for oddity in elsewhere::explain(&spots, &oddities, told) {
        let is_known = |finding: &Finding| finding.is_at(&oddity) && finding.covers(&oddity);
        if !findings.iter().any(is_known) {
            findings.push(oddity);
        }
    }
    let mut findings = levels::pages_or_categories(findings, &spots);
    for finding in &mut findings {
        finding.lost_value = finding.extra_lost * worth(finding);
    }
    findings.sort_by(|a, b| {
        let by = |finding: &Finding| (finding.lost_value, finding.extra_lost);
        let ((a_value, a_extra), (b_value, b_extra)) = (by(a), by(b));
        let costlier = b_value
            .total_cmp(&a_value)
            .then(b_extra.total_cmp(&a_extra));
        costlier.then_with(|| a.id.cmp(&b.id))
    });
    PainReport {
        findings,
        compared: q.len(),
    }
}

/// The p-values of all comparisons.
#[derive(Debug, Default)]
struct Tests {
    p: Vec<f64>,
    /// Of the question whether a persona stands out from the others: asked only of what was found, and a family of its
    /// own (Yekutieli 2008).
    apart: Vec<f64>,
}

impl Tests {
    /// Takes a p-value; gives its place.
    fn push(&mut self, p: f64) -> usize {
        self.p.push(p);
        self.p.len() - 1
    }

    /// As [`Tests::push`], of a persona against the others.
    fn push_apart(&mut self, p: f64) -> usize {
        self.apart.push(p);
        self.apart.len() - 1
    }
}

/// What is significant among all comparisons.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    q: &'a [f64],
    apart: &'a [f64],
    rate: f64,
}

impl Told<'_> {
    fn is(self, test: usize) -> bool {
        self.q[test] <= self.rate
    }
}

/// A place with all personas.
#[derive(Debug)]
struct Spot {
    stage: String,
    touchpoint: String,
    category: String,
    cells: Vec<Cell>,
}

/// The people of one persona at a spot.
#[derive(Debug)]
struct Cell {
    persona: String,
    window: Counts,
    before: Vec<Counts>,
}

impl Cell {
    fn past(&self) -> Counts {
        self.before
            .iter()
            .fold(Counts::default(), |sum, &one| sum + one)
    }
}

/// Places put together by persona, in order. What is counted by category is counted by visit: in which stage people
/// were then does not matter, and the stage is the one in which most passed.
fn spots(places: &[Place]) -> Vec<Spot> {
    let mut home: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
    for place in places.iter().filter(|place| !place.category.is_empty()) {
        let of = home
            .entry((&place.touchpoint, &place.category))
            .or_default();
        *of.entry(&place.stage).or_default() += place.window.passed;
    }
    let home = |place: &Place| {
        let stages = home.get(&(place.touchpoint.as_str(), place.category.as_str()));
        let most = stages.and_then(|stages| {
            let by_most = |a: &(&&str, &u64), b: &(&&str, &u64)| a.1.cmp(b.1).then(b.0.cmp(a.0));
            stages.iter().max_by(by_most)
        });
        most.map_or_else(|| place.stage.clone(), |(&stage, _)| stage.to_owned())
    };
    let mut by_key: BTreeMap<(String, String, String), BTreeMap<String, Cell>> = BTreeMap::new();
    for place in places {
        let key = (
            home(place),
            place.touchpoint.clone(),
            place.category.clone(),
        );
        let cells = by_key.entry(key).or_default();
        let cell = cells.entry(place.persona.clone()).or_insert_with(|| Cell {
            persona: place.persona.clone(),
            window: Counts::default(),
            before: Vec::new(),
        });
        cell.window = cell.window + sane(place.window);
        let periods = cell.before.len().max(place.before.len());
        cell.before.resize(periods, Counts::default());
        for (sum, &one) in cell.before.iter_mut().zip(&place.before) {
            *sum = *sum + sane(one);
        }
    }
    let spot = |((stage, touchpoint, category), cells): (_, BTreeMap<String, Cell>)| Spot {
        stage,
        touchpoint,
        category,
        cells: cells.into_values().collect(),
    };
    by_key.into_iter().map(spot).collect()
}

fn sane(counts: Counts) -> Counts {
    let lost = counts.lost.min(counts.passed);
    Counts { lost, ..counts }
}

impl Whom {
    fn of(cell: &Cell) -> Self {
        if cell.persona.is_empty() {
            Self::Unassigned
        } else {
            Self::Persona(cell.persona.clone())
        }
    }

    /// As part of an id: no persona's id is one of the others'.
    fn key(&self) -> String {
        match self {
            Self::Everybody => "everybody".to_owned(),
            Self::Persona(id) => format!("persona:{id}"),
            Self::Unassigned => "unassigned".to_owned(),
        }
    }
}

impl Finding {
    fn new(spot: &Spot, whom: Whom, comparison: Comparison) -> Self {
        let parts = [&spot.stage, &spot.touchpoint, &spot.category, &whom.key()];
        let parts = parts.map(String::as_bytes);
        let print = Fingerprint::of("pain point", &parts).to_string();
        Self {
            id: format!("pain-{}", &print[..12]),
            stage: spot.stage.clone(),
            touchpoint: spot.touchpoint.clone(),
            whom,
            category: spot.category.clone(),
            comparison,
            window: Counts::default(),
            before: Counts::default(),
            expected_share: 0.0,
            extra_lost: 0.0,
            odds_ratio: 1.0,
            lost_value: 0.0,
            q_value: 1.0,
        }
    }

    fn is_at(&self, other: &Self) -> bool {
        (&self.stage, &self.touchpoint, &self.category)
            == (&other.stage, &other.touchpoint, &other.category)
    }

    fn covers(&self, other: &Self) -> bool {
        self.whom == Whom::Everybody || self.whom == other.whom
    }

    /// True if it is large enough to matter.
    fn matters(&self) -> bool {
        let least = match self.comparison {
            Comparison::Before => MIN_ODDS_RATIO,
            Comparison::Elsewhere => MIN_ODDS_RATIO_ELSEWHERE,
        };
        self.odds_ratio >= least && self.extra_lost >= MIN_EXTRA_LOST
    }
}

/// The categories that are told apart at a touchpoint.
fn categories<'a>(spots: &'a [Spot], touchpoint: &str) -> BTreeSet<&'a str> {
    let here = spots.iter().filter(|spot| spot.touchpoint == touchpoint);
    here.map(|spot| spot.category.as_str())
        .filter(|category| !category.is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
