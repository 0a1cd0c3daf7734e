//! From an answer to its attribution token, and from an event that carries one back to what it proves.

use std::collections::BTreeMap;

use crate::application::recommend::{Answer, Question, Who, person};
use crate::domain::attribution::{CLOCKS_DIFFER_MS, HORIZON_MS, short_hash};
use crate::domain::{
    Attribution, Credit, CustomerId, Effect, Event, EventKind, OfferDecision, OfferEffect, OfferId,
    Origin, RecordBody, Shown, Timestamp, Unattributed, VisitorId,
};
use crate::state::State;
use crate::state::exposures::OfferCounts;
use crate::state::people::Person;
use crate::store::SigningKey;
use crate::store::token::Statement;

/// How many events carry a token that attributes nothing, by reason.
pub type UnattributedCounts = BTreeMap<Unattributed, usize>;

/// The token of an answer that was given at `now`.
#[must_use]
pub fn token(key: &SigningKey, question: &Question, answer: &Answer, now: Timestamp) -> String {
    key.sign(&statement(key, question, answer, now))
}

/// What the token of an answer says that was given at `now`.
pub(super) fn statement(
    key: &SigningKey,
    question: &Question,
    answer: &Answer,
    now: Timestamp,
) -> Statement {
    let shown = answer.products.iter().zip(1u8..=u8::MAX);
    let shown = shown.map(|(product, rank)| Shown {
        product: short_hash(product.product.as_str()),
        origin: product.origin,
        rank,
        base: product.base.map(Shown::quantised),
        probability: product.probability as f32,
    });
    Statement {
        moment: now,
        subject: match &question.who {
            Who::Customer(id) => of_customer(key, id.as_str()),
            Who::Visitor(id) => of_visitor(key, id.as_str()),
            Who::Nobody => 0,
        },
        stage: short_hash(&answer.stage.stage),
        placement: short_hash(&question.placement),
        revision: answer.revision.as_deref().map_or(0, short_hash),
        shown: shown.collect(),
        offers: answer.offer_decision.clone(),
    }
}

/// Puts what their tokens prove in the place of every claim of `batch`; returns what could not be attributed. No event
/// is lost by it.
pub fn check(key: &SigningKey, state: &State, batch: &mut [RecordBody]) -> UnattributedCounts {
    let mut counts = UnattributedCounts::new();
    for body in batch {
        let RecordBody::Event(event) = body else {
            continue;
        };
        let Some(Credit::Claimed(token)) = event.credit.take() else {
            continue;
        };
        match prove(key, state, event, &token) {
            Ok(attribution) => {
                if !attribution.is_theirs {
                    *counts.entry(Unattributed::OtherSubject).or_default() += 1;
                } else if event.kind == EventKind::OfferSent && event.offer.is_none() {
                    event.offer = sent(state, &attribution);
                }
                event.credit = Some(Credit::Proven(Box::new(attribution)));
            }
            Err(reason) => *counts.entry(reason).or_default() += 1,
        }
    }
    counts
}

fn prove(
    key: &SigningKey,
    state: &State,
    event: &Event,
    token: &str,
) -> Result<Attribution, Unattributed> {
    let (decision, statement) = key.verify(token)?;
    let (effect, on_offers) = (Effect::of(event.kind), OfferEffect::of(event.kind));
    if effect.is_none() && on_offers.is_none() {
        return Err(Unattributed::NoOutcome);
    }
    let age = event.time.ms() - statement.moment.ms();
    if !(-CLOCKS_DIFFER_MS..=HORIZON_MS).contains(&age) {
        return Err(Unattributed::OutOfTime);
    }
    let stages = &state.journey().stages;
    let stage = stages
        .iter()
        .find(|stage| short_hash(&stage.name) == statement.stage);
    let stage = stage.ok_or(Unattributed::UnknownStage)?;
    let mut shown = statement.shown;
    match &event.product {
        Some(product) => {
            let product = short_hash(product.as_str());
            shown.retain(|shown| shown.product == product);
        }
        None if effect == Some(Effect::Impression) => {}
        None => shown.clear(),
    }
    if effect.is_none() {
        shown.clear();
    }
    let decided = statement.offers.zip(on_offers);
    let offers = decided.and_then(|(decision, effect)| concerned(event, decision, effect));
    if shown.is_empty() && offers.is_none() {
        return Err(Unattributed::NotShown);
    }
    Ok(Attribution {
        decision,
        moment: statement.moment,
        stage: stage.name.as_str().into(),
        placement: statement.placement,
        revision: statement.revision,
        is_theirs: is_theirs(key, state, event, statement.subject),
        shown,
        offers,
    })
}

/// What an event is about of the offers that were answered: an event that names an offer is about this one, and about
/// nothing if the answer did not hold it.
fn concerned(event: &Event, decision: OfferDecision, effect: OfferEffect) -> Option<OfferDecision> {
    let named = event.offer.as_ref().map(|id| short_hash(id.as_str()));
    if named.is_some_and(|named| !decision.holds(named)) {
        return None;
    }
    if effect == OfferEffect::Exposure {
        return Some(decision);
    }
    let mut offers = decision.offers;
    match named {
        Some(named) => offers.retain(|offered| offered.offer == named),
        None if effect.is_of_all() => {}
        None => offers.clear(),
    }
    let is_of_none = offers.is_empty() && !effect.is_of_all();
    (!is_of_none).then(|| OfferDecision {
        offers,
        others: Vec::new(),
        ..decision
    })
}

/// The offer that was sent with the decision of an answer.
fn sent(state: &State, attribution: &Attribution) -> Option<OfferId> {
    let (arm, _) = attribution.offers.as_ref()?.arm();
    let number = state.offers.of_hash(arm?)?;
    let id = state.offers.item(number).id.to_string();
    Some(OfferId::trusted(id))
}

/// Whether an answer was for the one who did this: by the ids of the event, and by what State knows of who they are.
fn is_theirs(key: &SigningKey, state: &State, event: &Event, subject: u64) -> bool {
    let (customer, visitor) = (event.subject.customer(), event.subject.visitor());
    let is_customer = |id: &str| of_customer(key, id) == subject;
    let is_visitor = |id: &str| of_visitor(key, id) == subject;
    if subject == 0
        || customer.is_some_and(|id| is_customer(id.as_str()))
        || visitor.is_some_and(|id| is_visitor(id.as_str()))
    {
        return true;
    }
    // somebody who logged in, or out, since they were answered
    let who = match (customer, visitor) {
        (Some(id), _) => Who::Customer(CustomerId::clone(id)),
        (None, Some(id)) => Who::Visitor(VisitorId::clone(id)),
        (None, None) => return false,
    };
    let Some(known @ Person::Customer(_)) = person(state, &who) else {
        return false;
    };
    state.subject(known).is_some_and(|known| {
        is_customer(&known.id) || known.visitors.iter().any(|visitor| is_visitor(visitor))
    })
}

fn of_customer(key: &SigningKey, id: &str) -> u64 {
    key.subject("customer", id)
}

fn of_visitor(key: &SigningKey, id: &str) -> u64 {
    key.subject("visitor", id)
}

/// The most offers of which it is told what became of them.
pub const MAX_OFFERS_TOLD: usize = 1_000;

/// What became of recommendations so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    /// By stage: how often each of [`Effect::ALL`] came.
    pub stages: Vec<(String, [u64; Effect::ALL.len()])>,
    /// By source of the product; only those of which something is known.
    pub origins: Vec<(&'static str, [u64; Effect::ALL.len()])>,
    /// By offer that was answered: how often each of [`OfferEffect::ALL`] came; at most [`MAX_OFFERS_TOLD`], those that
    /// reached people most often.
    pub offers: Vec<(String, OfferCounts)>,
    /// The same of answers without an offer.
    pub no_offer: OfferCounts,
    /// Events with the token of an answer for somebody else.
    pub other_subjects: u64,
    /// How the online ranker stands: its examples are impressions, and those of which something became.
    pub ranker: OnlineStanding,
    /// How the online model of offers stands: its examples are decisions, and those after which something was bought.
    pub online_offers: OnlineStanding,
}

/// How an online model stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnlineStanding {
    /// What it learned from: all, and those of which something came.
    pub examples: (u64, u64),
    /// Its gain in log-loss.
    pub gain: f64,
    /// Whether it corrects answers.
    pub is_active: bool,
}

impl Outcomes {
    /// Of a State.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let attributed = &state.attributed;
        let offers_online = &state.exposures.online;
        let all = |counts: &crate::state::attributed::EffectCounts| {
            Effect::ALL.map(|effect| counts.of(effect))
        };
        let stages = attributed.stages().iter();
        let origins = Origin::ALL.iter();
        let origins = origins.map(|&origin| (origin.as_str(), all(attributed.of_origin(origin))));
        let items = state.offers.items().iter();
        let offers = items.map(|item| (item.id.to_string(), item.attributed));
        let mut offers: Vec<(String, OfferCounts)> = offers
            .filter(|(_, counts)| *counts != OfferCounts::default())
            .collect();
        offers.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.of(OfferEffect::Exposure)));
        offers.truncate(MAX_OFFERS_TOLD);
        Self {
            offers,
            no_offer: state.exposures.no_offer,
            stages: stages
                .map(|(name, counts)| (name.to_string(), all(counts)))
                .collect(),
            origins: origins.filter(|(_, counts)| *counts != [0; 4]).collect(),
            other_subjects: attributed.other_subjects(),
            ranker: OnlineStanding {
                examples: attributed.online.examples(),
                gain: attributed.online.gain(),
                is_active: attributed.online.is_active(),
            },
            online_offers: OnlineStanding {
                examples: offers_online.examples(),
                gain: offers_online.gain(),
                is_active: offers_online.is_active(),
            },
        }
    }
}
