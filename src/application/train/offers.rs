//! What offers do, learned from the decisions that came back: each exposure of the history becomes a row when it is
//! replayed, with what was known of the customer at that moment and what they did afterwards. A fitted model must not
//! be surely worse than what chooses now, by the doubly robust estimate on the last part of the exposures.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::offer_response::{
    FitQuality, FittedOfferResponse, OfferArm, OfferRow, agreement,
};
use crate::algorithms::policy::{
    LoggedDecision, MAX_REWARD, Method, PolicyParams, Target, Trust, evaluate,
};
use crate::application::history::Ahead;
use crate::application::model::{Made, Model};
use crate::application::recommend::offers::{OfferKnown, arm_of, cost_of, expected_best};
use crate::domain::attribution::short_hash;
use crate::domain::time::DAY_MS;
use crate::domain::{
    Credit, EventKind, Fingerprint, OfferEffect, Recipe, Record, RecordBody, Subject as Who,
    Timestamp,
};
use crate::state::State;
use crate::state::exposures::{HORIZON_DAYS, teaches};
use crate::state::offers::Listing;
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
/// With fewer exposures to judge by a model does not go live.
const MIN_JUDGED: usize = 200;
/// The most exposures that judge, and the most arms of all of them.
const MAX_JUDGED: usize = 20_000;
const MAX_JUDGED_ARMS: usize = 100;
/// How often the judging exposures are drawn for an interval.
const RESAMPLES: usize = 500;

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
    /// The usual margin of the customer's baskets, in micros.
    margin: f64,
    arms: Vec<Choosable>,
    /// Which of them was answered; absent: none.
    chosen: Option<usize>,
    propensity: f64,
    is_held_out: bool,
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
            arm: self.chosen.map(|place| self.arms[place].arm),
            bought: self.bought,
        }
    }
}

/// Learns what offers do.
#[derive(Debug, Default)]
pub(super) struct OfferLearner {
    exposures: Vec<Exposure>,
    decided: HashSet<Fingerprint>,
}

/// What a run learned of offers.
#[derive(Debug)]
pub(super) struct LearnedOffers {
    pub(super) made: Made<FittedOfferResponse>,
    pub(super) figures: OfferFigures,
}

/// True if a record says that a decision reached somebody.
pub(super) fn is_exposure(record: &Record) -> bool {
    let RecordBody::Event(event) = &record.body else {
        return false;
    };
    let has_decision =
        matches!(&event.credit, Some(Credit::Proven(proven)) if proven.offers.is_some());
    has_decision && OfferEffect::of(event.kind) == Some(OfferEffect::Exposure)
}

impl OfferLearner {
    /// Sees a record of the history, at its place, before `state` takes it in.
    pub(super) fn observe(
        &mut self,
        state: &State,
        recipes: &[Recipe],
        record: &Record,
        place: usize,
    ) {
        if !is_exposure(record) {
            return;
        }
        let RecordBody::Event(event) = &record.body else {
            return;
        };
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
        let subject = person.and_then(|person| state.subject(person));
        let view = View::new(state, subject, &[], event.time);
        let stage = state.journey().stage(&proven.stage);
        let basket = state.sales.basket_of(subject, &state.products, event.time);
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
        let all = answered.into_iter().chain(decision.others.iter().copied());
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
        // an offer of which nothing is known any more
        let chosen = answered.map(|hash| arms.iter().position(|a| a.arm.offer == hash));
        if chosen == Some(None) {
            return;
        }
        if self.exposures.len() >= 2 * MAX_ROWS {
            self.exposures.drain(..MAX_ROWS);
        }
        self.exposures.push(Exposure {
            place,
            time: event.time,
            x,
            margin: basket.margin,
            plain: expected_best(&known, &listed),
            arms,
            chosen: chosen.flatten(),
            propensity,
            is_held_out: decision.is_held_out,
            bought: false,
            redeemed: false,
            earned: 0.0,
        });
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
            for event in ahead.events_from(exposure.place) {
                if event.time > end {
                    break;
                }
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
        let judged = all.len() / JUDGED_PART;
        let (taught, judging) = all.split_at(all.len() - judged);
        if let Some(reason) = too_few(all).or_else(|| too_few(taught)) {
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
            ..
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
                fitted: Some(response),
                refusal: refusal.unwrap_or_default(),
            },
            figures,
        })
    }
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

/// The share of buyers that redeemed, by offer and of all: (redeemed + 1) / (bought + 2).
struct Redeemed {
    by_offer: BTreeMap<u32, [f64; 2]>,
}

impl Redeemed {
    fn of(exposures: &[Exposure]) -> Self {
        let mut by_offer: BTreeMap<u32, [f64; 2]> = BTreeMap::new();
        for exposure in exposures.iter().filter(|exposure| exposure.bought) {
            if let Some(place) = exposure.chosen {
                let counts = by_offer.entry(exposure.arms[place].arm.offer).or_default();
                counts[0] += 1.0;
                counts[1] += f64::from(exposure.redeemed);
            }
        }
        Self { by_offer }
    }

    fn share(&self, offer: u32) -> f64 {
        let [bought, redeemed] = self.by_offer.get(&offer).copied().unwrap_or_default();
        (redeemed + 1.0) / (bought + 2.0)
    }
}

/// Which arm a model would have chosen: the one that brings most more than none.
fn choose(response: &FittedOfferResponse, redeemed: &Redeemed, of: &Exposure) -> Option<usize> {
    if !response.fits(of.x.len()) {
        return None;
    }
    let standing = response.standing(&of.x);
    let nothing = response.expect(&standing, None) * of.margin;
    let values = of.arms.iter().map(|choosable| {
        let earned = of.margin - redeemed.share(choosable.arm.offer) * choosable.cost;
        response.expect(&standing, Some(choosable.arm)) * earned - nothing
    });
    let best = values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, value)| *value > 0.0)
        .map(|(place, _)| place)
}

/// Judges a model fitted on `taught` by the others; why it must not choose, if it must not.
fn judge(
    first: &FittedOfferResponse,
    taught: &[Exposure],
    judging: &[Exposure],
    live: Option<&Model>,
    seed: u64,
    keep_on: &mut dyn FnMut() -> bool,
    figures: &mut OfferFigures,
) -> Result<Option<String>, TrainError> {
    let redeemed = Redeemed::of(taught);
    let chosen = judging
        .iter()
        .filter(|e| !e.is_held_out && !e.arms.is_empty());
    let judging: Vec<&Exposure> = chosen.rev().take(MAX_JUDGED).collect();
    figures.judged_rows = judging.len() as u64;
    let mut value = |of: &[&Exposure], policy: &dyn Fn(&Exposure) -> Option<usize>| {
        if !keep_on() {
            return Err(TrainError::Cancelled);
        }
        Ok(estimate(of, taught, policy, seed))
    };
    let learned = |e: &Exposure| choose(first, &redeemed, e);
    let Some(own) = value(&judging, &learned)? else {
        return Ok(Some(format!(
            "{} exposures cannot judge it; {MIN_JUDGED} with enough of each arm are needed",
            judging.len()
        )));
    };
    figures.tell("learned", own);
    let mut others = vec![
        ("no_offer", own, value(&judging, &|_| None)?),
        ("expected_value", own, value(&judging, &|e| e.plain)?),
    ];
    if let Some(live) = live.and_then(|live| live.offers.as_ref()) {
        // what it learned from must not judge it
        let later = judging.iter().copied();
        let later: Vec<&Exposure> = later.filter(|e| e.time > live.learned_until).collect();
        if let Some(own) = value(&later, &learned)? {
            let theirs = value(&later, &|e| choose(&live.fitted, &redeemed, e))?;
            others.push(("live", own, theirs));
        }
    }
    let mut refusals = Vec::new();
    for (policy, own, other) in others {
        let Some(other) = other else { continue };
        figures.tell(policy, other);
        if own.high < other.low {
            refusals.push(format!("it is surely worse than {policy}"));
        }
    }
    Ok((!refusals.is_empty()).then(|| refusals.join(", ")))
}

/// What a policy is worth, in money a decision; nothing where the exposures cannot tell.
fn estimate(
    judging: &[&Exposure],
    taught: &[Exposure],
    policy: &dyn Fn(&Exposure) -> Option<usize>,
    seed: u64,
) -> Option<Interval> {
    if judging.len() < MIN_JUDGED {
        return None;
    }
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for arm in judging.iter().flat_map(|exposure| &exposure.arms) {
        *counts.entry(arm.arm.offer).or_default() += 1;
    }
    let mut frequent: Vec<(usize, u32)> = counts.into_iter().map(|(o, c)| (c, o)).collect();
    frequent.sort_by(|a, b| b.cmp(a));
    frequent.truncate(MAX_JUDGED_ARMS);
    let action = |exposure: &Exposure, chosen: Option<usize>| match chosen {
        None => Some(0),
        Some(place) => {
            let offer = exposure.arms[place].arm.offer;
            frequent
                .iter()
                .position(|&(_, other)| other == offer)
                .map(|place| place + 1)
        }
    };
    let actions = frequent.len() + 1;
    let bounds = quartiles(taught);
    let (mut log, mut probabilities) = (Vec::new(), Vec::new());
    for exposure in judging {
        let Some(shown) = action(exposure, exposure.chosen) else {
            continue;
        };
        let wanted = action(exposure, policy(exposure)).unwrap_or(0);
        let columns = exposure.x.iter().zip(&bounds);
        log.push(LoggedDecision {
            context: columns
                .map(|(x, bounds)| bounds.iter().filter(|bound| x > bound).count() as u32)
                .collect(),
            action: shown as u32,
            position: 0,
            propensity: exposure.propensity,
            reward: (exposure.earned / 1e6).clamp(-MAX_REWARD, MAX_REWARD),
        });
        probabilities.extend((0..actions).map(|other| f64::from(other == wanted)));
    }
    let target = Target::ByRow {
        probabilities: &probabilities,
        actions,
    };
    let params = PolicyParams {
        resamples: RESAMPLES,
        seed,
        ..PolicyParams::default()
    };
    let report = evaluate(&log, &target, &params).ok()?;
    let estimate = report.estimate(Method::Dr)?;
    (estimate.trust != Trust::No).then_some(estimate.value)
}

/// The quartiles of each feature.
fn quartiles(exposures: &[Exposure]) -> Vec<[f64; 3]> {
    let columns = exposures.first().map_or(0, |exposure| exposure.x.len());
    let of_column = |column: usize| {
        let mut all: Vec<f64> = exposures.iter().map(|e| e.x[column]).collect();
        all.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| all[quarter * (all.len() - 1) / 4])
    };
    (0..columns).map(of_column).collect()
}
