//! The decisions about offers that came back to a journal, as a log by which ways to choose are judged.

use super::exposure::{Exposure, KnownPersonas};
use super::judging::{OfferLog, Redeemed, choose, quartiles};
use super::replay::exposures;
use crate::algorithms::policy::{PolicyError, PolicyParams, PolicyReport};
use crate::application::model::Model;
use crate::application::train::Lesson;
use crate::domain::Timestamp;
use crate::state::shopper;

/// At most so many offers are judged alone, those that could be answered most often.
const MAX_ALONE: usize = 20;

/// A way to choose offers, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedPolicy {
    /// `live`, `expected_value`, `no_offer`, or `only:` and the id of an offer.
    pub name: String,
    /// In words.
    pub text: String,
    /// What it would have earned, in money a decision.
    pub report: PolicyReport,
}

/// The decisions of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionLog {
    /// Those of customers who may get offers, whose horizon has ended.
    pub decisions: usize,
    /// Of them, those with an offer.
    pub with_offer: usize,
    /// Those of customers who never get one: they judge nobody.
    pub held_out: usize,
    /// What is known of a customer, by name.
    pub contexts: Vec<String>,
    /// The policies.
    pub policies: Vec<JudgedPolicy>,
}

/// Judges policies by the decisions that reached somebody from `since` on: what is live, what was before anything was
/// learned, no offer at all, and each offer for everybody who could have had it. What the live model has learned from
/// does not judge it.
///
/// # Errors
/// [`PolicyError::Empty`]: no decision came back.
pub fn judge_decisions(
    lesson: Lesson<'_>,
    live: Option<&Model>,
    since: Timestamp,
    params: &PolicyParams,
) -> Result<DecisionLog, PolicyError> {
    let effects = live.and_then(|live| live.offers.as_ref());
    let known = KnownPersonas {
        own: None,
        live: effects.and_then(|part| part.fitted.personas.as_ref()),
    };
    let (all, state) = exposures(lesson, known, &mut || true).expect("it is not told to stop");
    let all = &all;
    let wanted = |e: &&Exposure| e.propensity.is_some() && e.time > since;
    let judging: Vec<&Exposure> = all.iter().filter(wanted).collect();
    let held_out = judging.iter().filter(|e| e.is_held_out).count();
    let judging: Vec<&Exposure> = judging.into_iter().filter(|e| !e.is_held_out).collect();
    let bounds = quartiles(all);
    let log = OfferLog::of(&judging, &bounds);
    let mut policies = Vec::new();
    let mut add = |name: &str, text: &str, report: PolicyReport| {
        policies.push(JudgedPolicy {
            name: name.to_owned(),
            text: text.to_owned(),
            report,
        });
    };
    if let Some(live) = live.and_then(|live| live.offers.as_ref()) {
        let later: Vec<&Exposure> = judging
            .iter()
            .copied()
            .filter(|e| e.time > live.learned_until)
            .collect();
        if !later.is_empty() {
            let redeemed = Redeemed::of(all);
            let response = &live.fitted.response;
            let policy = |e: &Exposure| choose(response, &e.live_modifiers, &redeemed, e);
            let text = match later.len() == judging.len() {
                true => "what the live model of offers thinks best",
                false => {
                    "what the live model of offers thinks best, by decisions later than what it learned from"
                }
            };
            let report = OfferLog::of(&later, &bounds).evaluate(&policy, params)?;
            add("live", text, report);
        }
    }
    let text = "what is taken most for what it costs, as before anything was learned";
    add("expected_value", text, log.evaluate(&|e| e.plain, params)?);
    add(
        "no_offer",
        "nobody gets an offer",
        log.evaluate(&|_| None, params)?,
    );
    for &hash in log.offers.iter().take(MAX_ALONE) {
        let only = |e: &Exposure| e.arms.iter().position(|arm| arm.arm.offer == hash);
        let Some(number) = state.offers.of_hash(hash) else {
            continue;
        };
        let id = &state.offers.item(number).id;
        let text = format!("{id} for everybody who could have had it");
        add(&format!("only:{id}"), &text, log.evaluate(&only, params)?);
    }
    let names = shopper::NAMES.iter().map(|&name| name.to_owned());
    let stages = state
        .journey()
        .stages
        .iter()
        .map(|stage| format!("stage:{}", stage.name));
    Ok(DecisionLog {
        decisions: judging.len(),
        with_offer: judging.iter().filter(|e| e.chosen.is_some()).count(),
        held_out,
        contexts: names.chain(stages).collect(),
        policies,
    })
}
