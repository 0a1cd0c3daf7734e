//! How well would the offers of a campaign have been ranked for a customer? One fold in time: when a campaign begins,
//! what is known of those who will take one of its offers is noted; each question learns from what had been taken
//! until then.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use indexmap::IndexMap;

use super::Difference;
use super::report::percentiles;
use crate::algorithms::acceptance::Features;
use crate::algorithms::bootstrap;
use crate::algorithms::metrics::{self, OF_A_CASE, Tally, Truth};
use crate::algorithms::ranker::FitError;
use crate::application::acceptance::{Acceptance, PastCase, PastCases};
use crate::application::history::{History, time};
use crate::application::train::FigureTable;
use crate::application::truth::OfferCase;
use crate::domain::{
    CampaignId, CustomerId, EventKind, OfferId, Record, RecordBody, Subject, Timestamp,
};
use crate::state::appeal::{Appeal, Habits};
use crate::state::view::View;
use crate::state::{FoldSettings, State};

/// The figures of a method, before `@k`; those that ask whether a product was bought before say nothing of offers.
const FIGURES: [&str; 5] = ["recall", "ndcg", "hit_rate", "mrr", "coverage"];
/// The methods, ours first.
const METHODS: [&str; 5] = [
    "nextbest",
    "popularity",
    "breadth",
    "own_purchases",
    "redeemed_before",
];

/// How to evaluate offers.
#[derive(Debug, Clone, Copy)]
pub struct OfferSettings<'a> {
    /// How to fold.
    pub fold: &'a FoldSettings,
    /// Lists are cut at each of these.
    pub ks: &'a [usize],
    /// Of the intervals.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct OfferReport {
    /// Questions that were judged.
    pub cases: u64,
    /// When the first and the last of them was asked.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Questions that were answered by what had been learned; the others came too early.
    pub learned: u64,
    /// Questions of campaigns without any offer: misses.
    pub without_offers: u64,
    /// Offers of the truth that are none of their campaign: misses.
    pub strangers: u64,
    /// Seconds to learn, all moments together.
    pub fit_seconds: f64,
    /// Milliseconds of one answer: median and 99th percentile.
    pub answer_ms: (f64, f64),
    /// The figures of every method.
    pub figures: FigureTable,
    /// By how much nextbest is better than each baseline.
    pub differences: Vec<Difference>,
}

/// Folds through a history and ranks the offers of each question's campaign at its moment.
///
/// # Errors
/// If a regression cannot be fitted.
pub fn evaluate_offers(
    history: &History,
    cases: &[OfferCase],
    settings: &OfferSettings<'_>,
) -> Result<OfferReport, FitError> {
    let mut state = State::new(settings.fold.clone());
    history.known.iter().for_each(|record| state.apply(record));
    let campaigns = campaigns(&state, &history.moments);
    let mut stops: BTreeMap<Timestamp, Stop<'_>> = BTreeMap::new();
    for case in cases {
        stops.entry(case.at).or_default().cases.push(case);
    }
    let last = stops.last_key_value().map(|(&at, _)| at);
    for campaign in campaigns.values().filter(|past| !past.taken.is_empty()) {
        // what begins at a moment is not known yet just before it
        let before = campaign.begin.plus_ms(-1);
        if last.is_some_and(|last| before < last) {
            stops.entry(before).or_default().campaigns.push(campaign);
        }
    }
    let mut examination = Examination::new(&state, settings);
    let mut folded = 0;
    for (now, stop) in stops {
        let place = folded + history.moments[folded..].partition_point(|r| time(r) <= now);
        let passed = &history.moments[folded..place];
        passed.iter().for_each(|record| state.apply(record));
        folded = place;
        let moment = AtMoment {
            appeal: Appeal::of(&state),
            state: &state,
            now,
        };
        for campaign in stop.campaigns {
            examination.note(&moment, campaign);
        }
        if !stop.cases.is_empty() {
            examination.learn(now)?;
        }
        for case in stop.cases {
            let offers = campaigns.get(&case.campaign);
            let offers = offers.map_or(&[][..], |campaign| &campaign.offers);
            examination.ask(&moment, case, offers);
        }
    }
    Ok(examination.report())
}

/// What is done at one moment of the fold.
#[derive(Default)]
struct Stop<'a> {
    /// That begin next.
    campaigns: Vec<&'a Campaign<'a>>,
    cases: Vec<&'a OfferCase>,
}

/// A campaign of the history.
struct Campaign<'a> {
    begin: Timestamp,
    /// The numbers of its offers, in the order of the file.
    offers: Vec<u32>,
    /// By customer, in the order in which they first took something: the offers, and when each was taken first.
    taken: IndexMap<&'a CustomerId, HashMap<u32, Timestamp>>,
}

/// The campaigns of all offers in the catalog. A campaign begins when its first offer does, or else with the first
/// event that names one of its offers. Only what known customers took teaches: a question is asked of one.
fn campaigns<'a>(state: &State, moments: &'a [Record]) -> BTreeMap<CampaignId, Campaign<'a>> {
    let offers = &state.offers;
    let terms_of = |number: u32| {
        let listing = offers.item(number).listing.as_deref();
        listing.map(|listing| &listing.terms)
    };
    let mut campaigns: BTreeMap<CampaignId, Campaign<'a>> = BTreeMap::new();
    for &(_, number) in offers.listed() {
        let Some(terms) = terms_of(number) else {
            continue;
        };
        if let Some(id) = &terms.campaign_id {
            let campaign = campaigns.entry(id.clone()).or_insert_with(|| Campaign {
                begin: Timestamp::MAX,
                offers: Vec::new(),
                taken: IndexMap::new(),
            });
            let begin = terms.starts_at.unwrap_or(Timestamp::MAX);
            campaign.begin = campaign.begin.min(begin);
            campaign.offers.push(number);
        }
    }
    for record in moments {
        let RecordBody::Event(event) = &record.body else {
            continue;
        };
        let number = event
            .offer
            .as_ref()
            .and_then(|id| offers.number(id.as_str()));
        let id = number.and_then(|number| terms_of(number)?.campaign_id.as_ref());
        let campaign = id.and_then(|id| campaigns.get_mut(id));
        let (Some(number), Some(campaign)) = (number, campaign) else {
            continue;
        };
        if campaign.begin == Timestamp::MAX {
            campaign.begin = event.time;
        }
        if let Subject::Customer { customer, .. } = &event.subject
            && event.kind == EventKind::OfferRedeemed
            && event.time >= campaign.begin
        {
            let taken = campaign.taken.entry(customer).or_default();
            taken.entry(number).or_insert(event.time);
        }
    }
    campaigns
}

/// What is known at one moment of the fold.
struct AtMoment<'a> {
    appeal: Appeal,
    state: &'a State,
    now: Timestamp,
}

impl AtMoment<'_> {
    /// What is known of a customer and each of some offers.
    fn features(&self, customer: &CustomerId, offers: &[u32]) -> Vec<Features> {
        let person = self.state.people.customer(customer);
        let subject = person.and_then(|person| self.state.subject(person));
        let view = View::new(self.state, subject, &[], self.now);
        let habits = Habits::of(&view, &self.appeal);
        let known = offers.iter().map(|&offer| {
            let known = self.appeal.features(offer, &habits);
            known.expect("candidates are offers of the catalog")
        });
        known.collect()
    }
}

/// A question and the lists of all methods.
struct Examination<'a> {
    settings: &'a OfferSettings<'a>,
    past: PastCases,
    acceptance: Acceptance,
    /// By method, by length.
    tallies: Vec<Vec<Tally>>,
    /// Offers of the catalog.
    listed: usize,
    /// Whose each question was, by number.
    persons: Vec<u32>,
    numbers: HashMap<CustomerId, u32>,
    /// By baseline, by length, by figure: how much better each question was answered.
    better: Vec<Vec<f64>>,
    span: Option<(Timestamp, Timestamp)>,
    learned: u64,
    without_offers: u64,
    strangers: u64,
    fit_seconds: f64,
    answer_ms: Vec<f64>,
}

impl<'a> Examination<'a> {
    fn new(state: &State, settings: &'a OfferSettings<'a>) -> Self {
        let tallies = || settings.ks.iter().map(|&k| Tally::new(k)).collect();
        let series = (METHODS.len() - 1) * settings.ks.len() * OF_A_CASE;
        Self {
            settings,
            past: PastCases::default(),
            acceptance: Acceptance::Unlearned,
            tallies: METHODS.iter().map(|_| tallies()).collect(),
            listed: state.offers.listed().len(),
            persons: Vec::new(),
            numbers: HashMap::new(),
            better: vec![Vec::new(); series],
            span: None,
            learned: 0,
            without_offers: 0,
            strangers: 0,
            fit_seconds: 0.0,
            answer_ms: Vec::new(),
        }
    }

    /// Notes what is known of those who will take something of a campaign. Labels are read only as of their moment.
    fn note(&mut self, moment: &AtMoment<'_>, campaign: &Campaign<'_>) {
        for (customer, taken) in &campaign.taken {
            let known = moment.features(customer, &campaign.offers);
            let taken = campaign
                .offers
                .iter()
                .map(|offer| taken.get(offer).copied());
            self.past.add(PastCase {
                offers: known.into_iter().zip(taken).collect(),
            });
        }
    }

    fn learn(&mut self, now: Timestamp) -> Result<(), FitError> {
        let started = Instant::now();
        self.acceptance = self.past.learn(now)?;
        self.fit_seconds += started.elapsed().as_secs_f64();
        Ok(())
    }

    fn ask(&mut self, moment: &AtMoment<'_>, case: &OfferCase, offers: &[u32]) {
        let started = Instant::now();
        let known = moment.features(&case.customer, offers);
        let ours = ranked(offers, &known, |place| self.acceptance.score(&known[place]));
        self.answer_ms.push(started.elapsed().as_secs_f64() * 1e3);
        let redemptions = |place: usize| moment.appeal.redemptions(offers[place]) as f64;
        let lists = [
            ours,
            ranked(offers, &known, |place| known[place].popularity),
            ranked(offers, &known, |place| known[place].breadth),
            ranked(offers, &known, |place| known[place].own),
            ranked(offers, &known, redemptions),
        ];
        let numbers = case.truth.iter().map(|id: &OfferId| {
            let number = moment.state.offers.number(id.as_str());
            number.filter(|number| offers.contains(number))
        });
        let truth = numbers.map(|product| Truth {
            product,
            is_repeat: false,
        });
        let truth: Vec<Truth> = truth.collect();
        let mut figures = Vec::with_capacity(METHODS.len());
        for (list, tallies) in lists.iter().zip(&mut self.tallies) {
            let of_list = tallies.iter_mut().map(|tally| tally.add(list, &truth));
            figures.push(of_list.collect::<Vec<_>>().concat());
        }
        let (ours, baselines) = figures.split_first().expect("there are methods");
        let differences = baselines.iter().flat_map(|baseline| {
            let pairs = ours.iter().zip(baseline);
            pairs.map(|(ours, baseline)| ours - baseline)
        });
        for (series, difference) in self.better.iter_mut().zip(differences) {
            series.push(difference);
        }
        let next = self.numbers.len() as u32;
        let person = self.numbers.entry(case.customer.clone()).or_insert(next);
        self.persons.push(*person);
        let first = self.span.map_or(case.at, |(first, _)| first);
        self.span = Some((first, case.at));
        self.learned += u64::from(matches!(self.acceptance, Acceptance::Learned(_)));
        self.without_offers += u64::from(offers.is_empty());
        self.strangers += truth.iter().filter(|truth| truth.product.is_none()).count() as u64;
    }

    fn report(self) -> OfferReport {
        let name = |figure: &str, k: usize| format!("{figure}@{k}");
        let figures = METHODS.iter().zip(&self.tallies).map(|(method, tallies)| {
            let figures = tallies.iter().flat_map(|tally| {
                let figures = metrics::NAMES.iter().zip(tally.figures(self.listed));
                let wanted = figures.filter(|(own, _)| FIGURES.contains(own));
                wanted.map(|(own, figure)| (name(own, tally.k()), figure))
            });
            ((*method).to_owned(), figures.collect())
        });
        let figures = FigureTable(figures.collect());
        let intervals = bootstrap::intervals(&self.persons, &self.better, self.settings.seed);
        let names = METHODS[1..].iter().flat_map(|baseline| {
            let names = self.settings.ks.iter().flat_map(|&k| {
                let figures = metrics::NAMES[..OF_A_CASE].iter();
                figures.map(move |figure| name(figure, k))
            });
            names.map(move |figure| ((*baseline).to_owned(), figure))
        });
        let differences = names.zip(intervals);
        let differences = differences.map(|((baseline, figure), interval)| Difference {
            baseline,
            figure,
            interval,
        });
        OfferReport {
            cases: self.persons.len() as u64,
            span: self.span,
            learned: self.learned,
            without_offers: self.without_offers,
            strangers: self.strangers,
            fit_seconds: self.fit_seconds,
            answer_ms: percentiles(self.answer_ms),
            differences: differences.collect(),
            figures,
        }
    }
}

/// The offers by falling score; equal ones by falling popularity, then in the order of the file.
fn ranked(offers: &[u32], known: &[Features], score: impl Fn(usize) -> f64) -> Vec<u32> {
    let mut places: Vec<(f64, usize)> = (0..offers.len())
        .map(|place| (score(place), place))
        .collect();
    places.sort_by(|&(a, first), &(b, second)| {
        let popularity = |place: usize| known[place].popularity;
        b.total_cmp(&a)
            .then_with(|| popularity(second).total_cmp(&popularity(first)))
    });
    places.into_iter().map(|(_, place)| offers[place]).collect()
}
