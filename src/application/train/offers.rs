//! What offers do, learned from the decisions that came back: each exposure of the history becomes a row when it is
//! replayed, with what was known of the customer at that moment and what they did afterwards; so does each offer that
//! was mailed without a token (`mailings.rs`). A fitted model must not
//! be surely worse than what chooses now, by the doubly robust estimate on the last part of the exposures.

mod decisions;
mod judging;
mod mailings;
mod trial;

use std::collections::HashSet;

pub use decisions::{DecisionLog, JudgedPolicy, judge_decisions};
use judging::{MIN_JUDGED, judge};
use mailings::{Mailed, Mailings};
use serde::{Deserialize, Serialize};
pub use trial::{HoldoutTrial, holdout_trial};

use super::{Lesson, TrainError};
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::offer_response::{
    FitQuality, FittedOfferResponse, OfferArm, OfferRow, agreement,
};
use crate::application::history::Ahead;
use crate::application::model::{Made, Model};
use crate::application::offer_effects::{OfferEffects, modifiers};
use crate::application::personas::Personas;
use crate::application::recommend::offers::{OfferKnown, arm_of, cost_of, expected_best};
use crate::domain::attribution::short_hash;
use crate::domain::time::DAY_MS;
use crate::domain::{
    Credit, EventKind, Fingerprint, OfferEffect, Recipe, Record, RecordBody, StageIndex,
    Subject as Who, Timestamp,
};
use crate::state::State;
use crate::state::exposures::{HORIZON_DAYS, teaches};
use crate::state::offers::Listing;
use crate::state::people::Person;
use crate::state::sales::{Sale, USUAL_MARGIN};
use crate::state::shopper;
use crate::state::view::View;

/// Fewer rows than these teach nothing: in all, …
const MIN_ROWS: usize = 1_000;
/// … without an offer, and with one, …
const MIN_ROWS_OF_SIDE: usize = 200;
/// … and those of each side who bought.
const MIN_BOUGHT_OF_SIDE: usize = 20;
/// So many of the last exposures are learned from.
const MAX_ROWS: usize = 100_000;
/// The last part of the exposures judges: one in so many.
const JUDGED_PART: usize = 4;

/// What a way to choose offers is worth on the exposures that judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferPolicyValue {
    /// `learned`, `live`, `expected_value` or `no_offer`.
    pub policy: String,
    /// Money a decision, by the doubly robust estimate.
    pub value: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How learning what offers do went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfferFigures {
    /// Exposures whose horizon has ended.
    pub rows: u64,
    /// Those of no offer.
    pub rows_without: u64,
    /// Those that judged.
    pub judged_rows: u64,
    /// Mean log-loss on held-back rows, and that of the share that buys.
    pub log_loss: f64,
    /// The log-loss of the share that buys.
    pub base_log_loss: f64,
    /// Expected calibration error on held-back rows.
    pub calibration_error: f64,
    /// How far a T-learner agrees, −1 to 1; absent: it tells nobody apart.
    pub agreement: Option<f64>,
    /// What the ways to choose are worth.
    pub values: Vec<OfferPolicyValue>,
    /// True if the model chooses with the revision.
    pub chooses: bool,
    /// What became of it, in words.
    pub verdict: String,
}

impl OfferFigures {
    fn tell(&mut self, policy: &str, value: Interval) {
        self.values.push(OfferPolicyValue {
            policy: policy.to_owned(),
            value: value.mean,
            low: value.low,
            high: value.high,
        });
    }
}

/// One offer that could have been.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Choosable {
    arm: OfferArm,
    /// What it costs with the customer's usual basket.
    cost: f64,
}

/// One decision that reached somebody.
#[derive(Debug, Clone, PartialEq)]
struct Exposure {
    /// The place of its event in the history.
    place: usize,
    time: Timestamp,
    x: Vec<f64>,
    /// What effects differ by: by the personas that are learned with, and by those of the live model.
    modifiers: Vec<f64>,
    live_modifiers: Vec<f64>,
    /// The usual margin of the customer's baskets, in micros.
    margin: f64,
    arms: Vec<Choosable>,
    /// Which of them was answered; absent: none.
    chosen: Option<usize>,
    /// With which probability; absent: of a mailing without tokens, which teaches and does not judge.
    propensity: Option<f64>,
    is_held_out: bool,
    /// Another offer reached them before the horizon ended.
    is_spoiled: bool,
    /// What the plain order would have answered.
    plain: Option<usize>,
    bought: bool,
    redeemed: bool,
    /// Margin less what was redeemed, in micros.
    earned: f64,
}

impl Exposure {
    fn row(&self) -> OfferRow {
        OfferRow {
            x: self.x.clone(),
            modifiers: self.modifiers.clone(),
            arm: self.chosen.map(|place| self.arms[place].arm),
            bought: self.bought,
        }
    }
}

/// Whom an offer, or none, reached, and when.
struct Moment {
    person: Option<Person>,
    /// The stage the offer was for.
    stage: Option<StageIndex>,
    time: Timestamp,
    /// The place of an event of theirs: of the one that reached them, or one before it.
    place: usize,
}

impl Moment {
    /// What was known of them when the offer of the hash `answered`, or none, reached them, where the `others` could
    /// have; nothing if nobody knows any more what that was.
    fn exposure(
        &self,
        state: &State,
        recipes: &[Recipe],
        personas: &KnownPersonas,
        answered: Option<u32>,
        others: impl Iterator<Item = u32>,
    ) -> Option<Exposure> {
        let &Self { stage, time, .. } = self;
        let subject = self.person.and_then(|person| state.subject(person));
        let view = View::new(state, subject, &[], time);
        let basket = state.sales.basket_of(subject, &state.products, time);
        let x = shopper::features(&view, stage, basket);
        let recipe = &recipes[stage.map_or(0, |stage| stage.0 as usize)];
        let gain = recipe.offers.assumed_gain;
        let basket = basket.unwrap_or(Sale {
            price: gain.0 as f64 / USUAL_MARGIN,
            margin: gain.0 as f64,
        });
        let known = OfferKnown {
            state,
            basket,
            assumed_gain: gain,
        };
        let all = answered.into_iter().chain(others);
        let numbers = all.filter_map(|hash| state.offers.of_hash(hash));
        let mut arms = Vec::new();
        let mut listed = Vec::new();
        for number in numbers {
            let item = state.offers.item(number);
            if let Some(listing) = item.listing.as_deref() {
                arms.push(Choosable {
                    arm: arm_of(item, listing),
                    cost: cost_of(&known, listing),
                });
                listed.push(number);
            }
        }
        let chosen = answered.map(|hash| arms.iter().position(|a| a.arm.offer == hash));
        (chosen != Some(None)).then(|| Exposure {
            place: self.place,
            time,
            x,
            modifiers: modifiers(&view, personas.own.as_ref()),
            live_modifiers: modifiers(&view, personas.live.as_ref()),
            margin: basket.margin,
            plain: expected_best(&known, &listed),
            arms,
            chosen: chosen.flatten(),
            propensity: None,
            is_held_out: false,
            is_spoiled: false,
            bought: false,
            redeemed: false,
            earned: 0.0,
        })
    }
}

/// The personas by which effects may differ: what somebody was is asked at the moment of the exposure, by what was live
/// when the run began; those that the run itself learns come too late.
#[derive(Debug, Default)]
struct KnownPersonas {
    /// Those that are live.
    own: Option<Personas>,
    /// Those that the live model of offers goes by.
    live: Option<Personas>,
}

/// Learns what offers do.
#[derive(Debug, Default)]
pub(super) struct OfferLearner {
    personas: KnownPersonas,
    exposures: Vec<Exposure>,
    decided: HashSet<Fingerprint>,
    mailings: Mailings,
}

/// What a run learned of offers.
#[derive(Debug)]
pub(super) struct LearnedOffers {
    pub(super) made: Made<OfferEffects>,
    pub(super) figures: OfferFigures,
}

/// True if a record says that a decision reached somebody.
fn is_exposure(record: &Record) -> bool {
    let RecordBody::Event(event) = &record.body else {
        return false;
    };
    let has_decision =
        matches!(&event.credit, Some(Credit::Proven(proven)) if proven.offers.is_some());
    has_decision && OfferEffect::of(event.kind) == Some(OfferEffect::Exposure)
}

impl OfferLearner {
    /// With what is live.
    pub(super) fn new(live: Option<&Model>) -> Self {
        let own = live.and_then(|live| live.personas.as_ref());
        let effects = live.and_then(|live| live.offers.as_ref());
        Self {
            personas: KnownPersonas {
                own: own.map(|part| part.fitted.clone()),
                live: effects.and_then(|part| part.fitted.personas.clone()),
            },
            ..Self::default()
        }
    }

    /// Has seen a whole history and what came of each exposure; with State as it is then.
    fn replayed(lesson: Lesson<'_>, live: Option<&Model>) -> (Self, State) {
        let history = lesson.history;
        let mut state = State::new(lesson.fold.clone());
        history.known.iter().for_each(|record| state.apply(record));
        let mut learner = Self::new(live);
        for (place, record) in history.moments.iter().enumerate() {
            learner.observe(&state, lesson.recipes, record, place);
            state.apply(record);
        }
        let until = history.span().map_or(Timestamp::MIN, |(_, last)| last);
        learner.settle(&state, &Ahead::of(&history.moments), until);
        (learner, state)
    }

    /// Sees a record of the history, at its place, before `state` takes it in.
    pub(super) fn observe(
        &mut self,
        state: &State,
        recipes: &[Recipe],
        record: &Record,
        place: usize,
    ) {
        let RecordBody::Event(event) = &record.body else {
            return;
        };
        for mailed in self.mailings.observe(state, event, place) {
            self.observe_mailed(state, recipes, mailed, event.time);
        }
        if !is_exposure(record) {
            return;
        }
        let Some(Credit::Proven(proven)) = &event.credit else {
            return;
        };
        let Some(decision) = proven.offers.as_ref().filter(|d| teaches(d)) else {
            return;
        };
        let (answered, Some(propensity)) = decision.arm() else {
            return;
        };
        if !proven.is_theirs || !self.decided.insert(proven.decision) {
            return;
        }
        let person = match &event.subject {
            Who::Customer { customer, .. } => state.people.customer(customer),
            Who::Visitor(visitor) => state.people.visitor(visitor),
        };
        let others = decision.others.iter().copied();
        let moment = Moment {
            person,
            stage: state.journey().stage(&proven.stage),
            time: event.time,
            place,
        };
        let Some(exposure) = moment.exposure(state, recipes, &self.personas, answered, others)
        else {
            return;
        };
        self.add(Exposure {
            propensity: Some(propensity),
            is_held_out: decision.is_held_out,
            ..exposure
        });
    }

    /// Somebody who was mailed by another tool, or stands beside one who was.
    fn observe_mailed(
        &mut self,
        state: &State,
        recipes: &[Recipe],
        mailed: Mailed,
        time: Timestamp,
    ) {
        let person = Person::Customer(mailed.customer);
        let stage = View::new(state, state.subject(person), &[], time).stage;
        let moment = Moment {
            person: Some(person),
            stage: Some(stage),
            time,
            place: mailed.place,
        };
        let offer = mailed
            .offer
            .map(|number| short_hash(&state.offers.item(number).id));
        let exposure = moment.exposure(state, recipes, &self.personas, offer, std::iter::empty());
        exposure.into_iter().for_each(|exposure| self.add(exposure));
    }

    fn add(&mut self, exposure: Exposure) {
        if self.exposures.len() >= 2 * MAX_ROWS {
            self.exposures.drain(..MAX_ROWS);
        }
        self.exposures.push(exposure);
    }

    /// Looks up what came of each exposure; those whose horizon ends after `until` are let go.
    pub(super) fn settle(&mut self, state: &State, ahead: &Ahead<'_>, until: Timestamp) {
        let horizon = HORIZON_DAYS * DAY_MS;
        self.exposures
            .retain(|exposure| exposure.time.plus_ms(horizon) <= until);
        let old = self.exposures.len().saturating_sub(MAX_ROWS);
        self.exposures.drain(..old);
        for exposure in &mut self.exposures {
            let end = exposure.time.plus_ms(horizon);
            let offer = exposure.chosen.map(|place| exposure.arms[place].arm.offer);
            let mut sold = Sale::default();
            // every price is what was paid, as events say it, after the offer
            let mut is_paid = true;
            let is_mailed = exposure.propensity.is_none();
            for event in ahead.events_from(exposure.place) {
                if event.time > end {
                    break;
                }
                if is_mailed && event.time <= exposure.time {
                    // what stood beside a mailing is told by an event before it
                    let is_later = event.kind == EventKind::OfferSent && exposure.chosen.is_none();
                    exposure.is_spoiled |= is_later && event.time == exposure.time;
                    continue;
                }
                exposure.is_spoiled |= is_mailed && event.kind == EventKind::OfferSent;
                let named = event.offer.as_ref().map(|id| short_hash(id.as_str()));
                match (event.kind, &event.product) {
                    (EventKind::Purchase, Some(product)) => {
                        exposure.bought = true;
                        let number = state.products.number(product.as_str());
                        let listing =
                            number.and_then(|n| state.products.item(n).listing.as_deref());
                        let sale = Sale::of(event.quantity, event.unit_price, listing);
                        let sale = sale.unwrap_or_default();
                        sold.price += sale.price;
                        sold.margin += sale.margin;
                        is_paid &= event.unit_price.is_some();
                    }
                    (EventKind::OfferRedeemed, _) if offer.is_some() && named == offer => {
                        exposure.redeemed = true;
                    }
                    _ => {}
                }
            }
            let listing = offer.and_then(|hash| state.offers.of_hash(hash));
            let listing = listing.and_then(|number| state.offers.item(number).listing.as_deref());
            let shows_in_price =
                |listing: &Listing| is_paid && listing.terms.benefit.kind().lowers_price();
            let cost = listing
                .filter(|listing| exposure.redeemed && !shows_in_price(listing))
                .map_or(0.0, |listing| {
                    let known = OfferKnown {
                        state,
                        basket: sold,
                        assumed_gain: crate::domain::Micros::default(),
                    };
                    cost_of(&known, listing)
                });
            exposure.earned = sold.margin - cost;
        }
        // of these nobody can say which offer did it
        self.exposures.retain(|exposure| !exposure.is_spoiled);
    }

    /// Fits, judges, and says what came of it; asks `keep_on` between its steps.
    pub(super) fn finish(
        self,
        live: Option<&Model>,
        seed: u64,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Result<LearnedOffers, TrainError> {
        let all = &self.exposures;
        let mut figures = OfferFigures {
            rows: all.len() as u64,
            rows_without: all.iter().filter(|e| e.chosen.is_none()).count() as u64,
            ..OfferFigures::default()
        };
        let nothing = |reason: String, figures| LearnedOffers {
            made: Made {
                fitted: None,
                refusal: reason,
            },
            figures,
        };
        if all.is_empty() {
            // a shop that has no offers, or hands no tokens back, need not hear of it
            return Ok(nothing("no decision came back".to_owned(), figures));
        }
        let stays = match live.and_then(|live| live.offers.as_ref()) {
            Some(_) => "the live model of offers stays",
            None => "offers are drawn by Thompson sampling",
        };
        let (taught, judging) = split(all);
        let can_judge = || {
            let decisions = judging.iter().filter(|e| e.propensity.is_some()).count();
            (decisions < MIN_JUDGED).then(|| {
                format!("{decisions} decisions with tokens to judge by; {MIN_JUDGED} are needed")
            })
        };
        let too_little = too_few(all).or_else(|| too_few(taught));
        if let Some(reason) = too_little.or_else(can_judge) {
            figures.verdict = format!("{reason}: {stays}");
            return Ok(nothing(reason, figures));
        }
        let mut fit = |exposures: &[Exposure]| {
            let rows: Vec<OfferRow> = exposures.iter().map(Exposure::row).collect();
            let fitted = FittedOfferResponse::fit(&rows, seed, keep_on);
            fitted.ok_or(TrainError::Cancelled)
        };
        let (first, _) = fit(taught)?;
        let (response, quality) = fit(all)?;
        let refusal = judge(&first, taught, judging, live, seed, keep_on, &mut figures)?;
        let FitQuality {
            log_loss,
            base_log_loss,
            calibration_error,
        } = quality;
        figures.log_loss = log_loss;
        figures.base_log_loss = base_log_loss;
        figures.calibration_error = calibration_error;
        if !keep_on() {
            return Err(TrainError::Cancelled);
        }
        let rows: Vec<OfferRow> = all.iter().map(Exposure::row).collect();
        figures.agreement = agreement(&response, &rows);
        figures.verdict = match &refusal {
            None => "chooses".to_owned(),
            Some(reason) => format!("{reason}: {stays}"),
        };
        Ok(LearnedOffers {
            made: Made {
                fitted: Some(OfferEffects {
                    response,
                    personas: self.personas.own,
                }),
                refusal: refusal.unwrap_or_default(),
            },
            figures,
        })
    }
}

/// Those that teach, and the last part of the decisions with tokens, with all that came after its first one, which
/// judges.
fn split(all: &[Exposure]) -> (&[Exposure], &[Exposure]) {
    let decisions = all.iter().enumerate();
    let decisions = decisions.filter(|(_, exposure)| exposure.propensity.is_some());
    let places: Vec<usize> = decisions.map(|(place, _)| place).collect();
    let judged = places.len() / JUDGED_PART;
    let first = places.get(places.len() - judged);
    all.split_at(first.copied().unwrap_or(all.len()))
}

/// Why nothing is learned of these, if it is not.
fn too_few(exposures: &[Exposure]) -> Option<String> {
    let rows = exposures.len();
    // three quarters of the floor must be left to learn from when the last part judges
    let [least, least_of_side] = [MIN_ROWS, MIN_ROWS_OF_SIDE].map(|least| least * 3 / 4);
    if rows < least {
        return Some(format!("{rows} exposures; {MIN_ROWS} are needed"));
    }
    for (side, has_offer) in [("without an offer", false), ("with an offer", true)] {
        let of_side = || exposures.iter().filter(|e| e.chosen.is_some() == has_offer);
        let (rows, bought) = (of_side().count(), of_side().filter(|e| e.bought).count());
        if rows < least_of_side || bought < MIN_BOUGHT_OF_SIDE {
            return Some(format!(
                "{rows} exposures {side}, {bought} who bought; {MIN_ROWS_OF_SIDE} and {MIN_BOUGHT_OF_SIDE} are needed"
            ));
        }
    }
    None
}
