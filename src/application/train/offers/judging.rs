//! What ways to choose offers are worth, by the exposures that judge: off-policy estimates over what was decided with
//! known probabilities.

use std::collections::BTreeMap;

use super::{Exposure, JudgedBy, OfferFigures, Trial};
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::offer_response::FittedOfferResponse;
use crate::algorithms::policy::{
    LoggedDecision, MAX_REWARD, Method, PolicyError, PolicyParams, PolicyReport, Target, Trust,
    evaluate,
};
use crate::algorithms::treatment::FittedTreatment;
use crate::application::model::Model;
use crate::application::train::TrainError;

/// With fewer exposures to judge by a model does not go live.
pub(super) const MIN_JUDGED: usize = 200;
/// The most exposures that judge, and the most arms of all of them.
const MAX_JUDGED: usize = 20_000;
const MAX_JUDGED_ARMS: usize = 100;
/// How often the judging exposures are drawn for an interval.
const RESAMPLES: usize = 500;

/// The share of buyers that redeemed, by offer and of all: (redeemed + 1) / (bought + 2).
pub(super) struct Redeemed {
    by_offer: BTreeMap<u32, [f64; 2]>,
}

impl Redeemed {
    pub(super) fn of(exposures: &[Exposure]) -> Self {
        let mut by_offer: BTreeMap<u32, [f64; 2]> = BTreeMap::new();
        for exposure in exposures
            .iter()
            .filter(|exposure| exposure.outcome.bought())
        {
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

/// Which arm a model would have chosen, by these effect modifiers: the one that brings most more than none.
pub(super) fn choose(
    response: &FittedOfferResponse,
    modifiers: &[f64],
    redeemed: &Redeemed,
    of: &Exposure,
) -> Option<usize> {
    let standing = response.standing(&of.x, modifiers)?;
    let nothing = response.expect(&standing, None) * of.margin;
    let values = of.arms.iter().map(|choosable| {
        let earned = of.margin - redeemed.share(choosable.arm.offer) * choosable.cost;
        response.expect(&standing, Some(choosable.arm)) * earned - nothing
    });
    let best = values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, value)| *value > 0.0)
        .map(|(place, _)| place)
}

/// Judges a model fitted on what taught by the others; why it must not choose, if it must not.
pub(super) fn judge(
    first: &FittedOfferResponse,
    trial: &Trial<'_>,
    live: Option<&Model>,
    seed: u64,
    keep_on: &mut dyn FnMut() -> bool,
    figures: &mut OfferFigures,
) -> Result<Option<String>, TrainError> {
    let &Trial { taught, by, .. } = trial;
    let redeemed = Redeemed::of(taught);
    let estimated: Vec<Exposure>;
    let judging = match by {
        JudgedBy::Decisions => trial.judging,
        JudgedBy::Mailings => {
            estimated = with_propensities(taught, trial.judging);
            &estimated
        }
    };
    let chosen = judging
        .iter()
        .filter(|e| e.propensity.is_some() && !e.is_held_out && !e.arms.is_empty());
    let judging: Vec<&Exposure> = chosen.rev().take(MAX_JUDGED).collect();
    figures.judged_rows = judging.len() as u64;
    let mut value = |of: &[&Exposure], policy: &dyn Fn(&Exposure) -> Option<usize>| {
        if !keep_on() {
            return Err(TrainError::Cancelled);
        }
        Ok(estimate(of, taught, policy, seed))
    };
    let learned = |e: &Exposure| choose(first, &e.modifiers, &redeemed, e);
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
            let theirs = &live.fitted.response;
            let theirs = value(&later, &|e| choose(theirs, &e.live_modifiers, &redeemed, e))?;
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

/// The mailings among the judging ones, each with the probability that somebody like that was sent it, or not, as it
/// was; those of whom that is nearly sure are left out. By logistic regression on the mailings that taught.
fn with_propensities(taught: &[Exposure], judging: &[Exposure]) -> Vec<Exposure> {
    let is_mailing = |e: &&Exposure| e.propensity.is_none();
    let taught: Vec<&Exposure> = taught.iter().filter(is_mailing).collect();
    let rows: Vec<&[f64]> = taught.iter().map(|e| &e.x[..]).collect();
    let sent: Vec<bool> = taught.iter().map(|e| e.chosen.is_some()).collect();
    let fitted = FittedTreatment::fit(&rows, &sent);
    let judged = judging.iter().filter(is_mailing).filter_map(|exposure| {
        let propensity = fitted.propensity(&exposure.x, exposure.chosen.is_some())?;
        Some(Exposure {
            propensity: Some(propensity),
            ..exposure.clone()
        })
    });
    judged.collect()
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
    let params = PolicyParams {
        resamples: RESAMPLES,
        seed,
        ..PolicyParams::default()
    };
    let log = OfferLog::of(judging, &quartiles(taught));
    let report = log.evaluate(policy, &params).ok()?;
    let estimate = report.estimate(Method::Dr)?;
    (estimate.trust != Trust::No).then_some(estimate.value)
}

/// Exposures as a log by which ways to choose are judged. Action 0 is no offer.
pub(super) struct OfferLog<'a> {
    exposures: Vec<&'a Exposure>,
    decisions: Vec<LoggedDecision>,
    /// The hashes of the offers that are told apart: of the actions 1, 2, …
    pub(super) offers: Vec<u32>,
}

impl<'a> OfferLog<'a> {
    /// Of decisions; a feature is told by between which of its `bounds` it lies.
    pub(super) fn of(exposures: &[&'a Exposure], bounds: &[[f64; 3]]) -> Self {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for arm in exposures.iter().flat_map(|exposure| &exposure.arms) {
            *counts.entry(arm.arm.offer).or_default() += 1;
        }
        let mut frequent: Vec<(usize, u32)> = counts.into_iter().map(|(o, c)| (c, o)).collect();
        frequent.sort_by(|a, b| b.cmp(a));
        frequent.truncate(MAX_JUDGED_ARMS);
        let mut log = Self {
            exposures: Vec::new(),
            decisions: Vec::new(),
            offers: frequent.into_iter().map(|(_, offer)| offer).collect(),
        };
        for &exposure in exposures {
            let shown = log.action(exposure, exposure.chosen);
            let Some((shown, propensity)) = shown.zip(exposure.propensity) else {
                continue;
            };
            let columns = exposure.x.iter().zip(bounds);
            let context =
                columns.map(|(x, bounds)| bounds.iter().filter(|bound| x > bound).count() as u32);
            log.decisions.push(LoggedDecision {
                context: context.collect(),
                action: shown as u32,
                position: 0,
                propensity,
                reward: (exposure.earned / 1e6).clamp(-MAX_REWARD, MAX_REWARD),
            });
            log.exposures.push(exposure);
        }
        log
    }

    /// The number of the action that answers an arm of an exposure, or none.
    fn action(&self, exposure: &Exposure, chosen: Option<usize>) -> Option<usize> {
        let Some(place) = chosen else {
            return Some(0);
        };
        let offer = exposure.arms[place].arm.offer;
        let found = self.offers.iter().position(|&other| other == offer);
        found.map(|place| place + 1)
    }

    /// What a policy would have earned.
    pub(super) fn evaluate(
        &self,
        policy: &dyn Fn(&Exposure) -> Option<usize>,
        params: &PolicyParams,
    ) -> Result<PolicyReport, PolicyError> {
        let actions = self.offers.len() + 1;
        let mut probabilities = Vec::with_capacity(actions * self.exposures.len());
        for exposure in &self.exposures {
            let wanted = self.action(exposure, policy(exposure)).unwrap_or(0);
            probabilities.extend((0..actions).map(|other| f64::from(other == wanted)));
        }
        let target = Target::ByRow {
            probabilities: &probabilities,
            actions,
        };
        evaluate(&self.decisions, &target, params)
    }
}

/// The quartiles of each feature.
pub(super) fn quartiles(exposures: &[Exposure]) -> Vec<[f64; 3]> {
    let columns = exposures.first().map_or(0, |exposure| exposure.x.len());
    let of_column = |column: usize| {
        let mut all: Vec<f64> = exposures.iter().map(|e| e.x[column]).collect();
        all.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| all[quarter * (all.len() - 1) / 4])
    };
    (0..columns).map(of_column).collect()
}
