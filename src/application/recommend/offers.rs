//! Which offers an answer has: one check after the other, the cheap ones first; then what each is worth; then which
//! of the best have room.

mod admission;
mod allotment;
mod choice;
mod promise;
mod scorer;

pub use self::allotment::{Allotment, Bidding};
pub use self::choice::{OfferKnown, arm_of, cost_of, expected_best};
pub(super) use self::promise::Seal;
pub use self::promise::{Proposal, promise, promise_all};

use self::admission::OfferAdmission;
use self::choice::{Chooser, Draw, MAX_ARMS, Prospect, micros, place};
use self::scorer::{ExpectedValue, OfferCandidate, OfferQuestion, OfferScore, OfferScorer};
use super::reasons::name;
use super::{Prepared, RankedProduct, Reason, Who, product_id};
use crate::application::model::Model;
use crate::application::reserve::{self, Choice, Granted, Pick, Wish};
use crate::application::shop::Shop;
use crate::domain::attribution::{MAX_DECIDED, short_hash};
use crate::domain::{
    Benefit, CampaignId, Currency, Micros, OfferDecision, OfferId, OfferRules, Offered, Shown,
    StageIndex, Subject as Owner,
};
use crate::state::State;
use crate::state::offers::{Item, Listing};
use crate::state::people::Person;
use crate::state::reservations::Pending;
use crate::state::subjects::Subject;
use crate::state::view::View;

/// The trait by which somebody says that they want no offers.
pub const CONSENT_TRAIT: &str = "marketing_consent";
/// What it says then.
const REFUSALS: [&str; 3] = ["false", "no", "0"];
/// The trait that names a segment somebody is in.
pub const SEGMENT_TRAIT: &str = "segment";
/// So many offers behind those that are answered stand in for those that are gone when they are to be reserved.
const SPARE: usize = 8;
/// At most so many reasons.
const MOST_REASONS: usize = 3;
/// An offer that was shown so often is said to be taken often if it is.
const SHOWN_ENOUGH: u64 = 20;

/// An offer of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedOffer {
    /// Which.
    pub offer: OfferId,
    /// What people call it; may be empty.
    pub name: String,
    /// What the customer gets.
    pub benefit: Benefit,
    /// The campaign it belongs to.
    pub campaign: Option<CampaignId>,
    /// The money it is expected to bring, less what it costs.
    pub score: Micros,
    /// Of which currency, if the offer says so.
    pub currency: Option<Currency>,
    /// The strongest first.
    pub reasons: Vec<Reason>,
    /// Its reservation, where it has a budget or a cap.
    pub reservation: Option<Granted>,
    /// The probability with which it came to stand there; 0: not known, for it stands in for one that was gone.
    pub probability: f64,
    /// The probabilities to buy with it and without any, where they were learned.
    pub bought: Option<[f64; 2]>,
    /// The log-odds to buy with it by the fitted model, and what the online model adds; absent: none is live.
    pub odds: Option<[f64; 2]>,
    /// Shown only because no other offer can be.
    pub fallback: bool,
}

/// An offer that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedOffer {
    /// Which.
    pub offer: OfferId,
    /// Why.
    pub code: &'static str,
}

/// What was found of offers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChosenOffers {
    /// What is answered, as far as State knows.
    pub answered: Vec<RankedOffer>,
    /// Those that could be answered, best first; if they are not explained, no more than may be needed.
    pub kept: Vec<RankedOffer>,
    /// Those that could not, if they are explained.
    pub dropped: Vec<DroppedOffer>,
    /// What must be reserved before it is answered.
    pub(super) wish: Option<Wish>,
    /// What was decided; absent: there was nothing to decide.
    pub decision: Option<OfferDecision>,
    /// The probability with which there was no offer.
    pub none: f64,
    /// They never get an offer.
    pub is_held_out: bool,
}

/// What an answer's offers are chosen from.
pub(super) struct Asked<'a> {
    pub(super) shop: &'a Shop,
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) state: &'a State,
    pub(super) person: Option<Person>,
    pub(super) subject: Option<&'a Subject>,
    pub(super) stage: StageIndex,
    pub(super) view: &'a View<'a>,
    /// The model that is live.
    pub(super) live: Option<&'a Model>,
    /// The products of the answer.
    pub(super) products: &'a [RankedProduct],
    pub(super) explain: bool,
}

/// The offers of an answer.
pub(super) fn choose(asked: &Asked<'_>) -> ChosenOffers {
    let question = asked.prepared.question;
    let rules = asked.shop.settings.recipes[asked.stage.0 as usize].offers;
    let most = question.offers.unwrap_or(rules.max);
    let offers = &asked.state.offers;
    if !asked.explain && (most == 0 || offers.is_over(asked.prepared.now)) {
        return ChosenOffers {
            none: if most > 0 { 1.0 } else { 0.0 },
            ..ChosenOffers::default()
        };
    }
    let is_held_out = is_held_out(asked);
    if is_held_out && !asked.explain {
        return ChosenOffers {
            is_held_out,
            none: 1.0,
            decision: (most > 0).then(|| OfferDecision {
                none: 1.0,
                is_held_out,
                ..OfferDecision::default()
            }),
            ..ChosenOffers::default()
        };
    }
    let mut admission = OfferAdmission::new(asked, is_held_out);
    let mut dropped = Vec::new();
    let products = asked.products.iter();
    let products = products.filter_map(|ranked| {
        let id = ranked.product.as_str();
        asked.state.products.number(id)
    });
    let products: Vec<u32> = products.collect();
    let scoring = Scoring::new(asked, &products, rules);
    let scored = scored(asked, &mut admission, &scoring, &mut dropped);
    let mut chosen = chosen(asked, &mut admission, &scoring, &scored, most, &mut dropped);
    chosen.is_held_out = is_held_out;
    if asked.explain {
        let offers = &asked.state.offers;
        let dropped = dropped.into_iter().map(|(number, code)| DroppedOffer {
            offer: OfferId::trusted(offers.item(number).id.to_string()),
            code,
        });
        chosen.dropped = dropped.collect();
    }
    chosen
}

/// True if they never get an offer: it follows from who they are alone, of a visitor who is a customer from who that
/// is.
fn is_held_out(asked: &Asked<'_>) -> bool {
    let policy = &asked.shop.settings.offers;
    if policy.holdout_per_mille == 0 {
        return false;
    }
    let (kind, id) = match (asked.person, asked.subject, &asked.prepared.question.who) {
        (Some(Person::Customer(_)), Some(subject), _) => ("customer", &*subject.id),
        (_, _, Who::Customer(id)) => ("customer", id.as_str()),
        (_, _, Who::Visitor(id)) => ("visitor", id.as_str()),
        (_, _, Who::Nobody) => return false,
    };
    policy.holds_out(kind, id)
}

/// An offer that passed the checks so far.
struct Scored<'a> {
    number: u32,
    item: &'a Item,
    listing: &'a Listing,
    score: OfferScore,
    /// What it is expected to do, where that was learned.
    prospect: Option<Prospect>,
}

/// What was dropped: the offer's number, and why.
type Dropped = Vec<(u32, &'static str)>;

/// What offers are scored by.
struct Scoring<'a> {
    question: OfferQuestion<'a>,
    /// Where decisions have come back.
    chooser: Option<Chooser<'a>>,
}

impl<'a> Scoring<'a> {
    fn new(asked: &Asked<'a>, products: &'a [u32], rules: OfferRules) -> Self {
        let state = asked.state;
        let question = OfferQuestion {
            state,
            products,
            assumed_gain: rules.assumed_gain,
        };
        let stage = state.journey().name(asked.stage);
        let place = place(state, stage, &asked.prepared.question.placement);
        let effects = asked.live.and_then(|model| model.offers.as_ref());
        let effects = effects.map(|part| &part.fitted);
        // while no decision has come back there is nothing to learn from
        if effects.is_none() && state.exposures.count() == 0 {
            return Self {
                question,
                chooser: None,
            };
        }
        let now = asked.prepared.now;
        let basket = state.sales.basket_of(asked.subject, &state.products, now);
        let learned = effects.and_then(|effects| {
            let standing = effects.standing(asked.view, Some(asked.stage), basket)?;
            Some((&effects.response, standing))
        });
        Self {
            question,
            chooser: Some(Chooser::new(question, place, basket, rules, learned)),
        }
    }
}

/// Those that pass everything but eligibility, best first.
fn scored<'a>(
    asked: &Asked<'a>,
    admission: &mut OfferAdmission<'_>,
    scoring: &Scoring<'_>,
    dropped: &mut Dropped,
) -> Vec<Scored<'a>> {
    let offers = &asked.state.offers;
    let mut scored: Vec<Scored<'a>> = Vec::new();
    let mut ask = |number: u32| {
        let item = offers.item(number);
        let Some(listing) = item.listing.as_deref() else {
            return;
        };
        if let Some(code) = admission.refusal(number, listing) {
            dropped.push((number, code));
            return;
        }
        let candidate = OfferCandidate {
            listing,
            outcomes: &item.outcomes,
        };
        let mut score = ExpectedValue.score(&scoring.question, &candidate);
        // no offer is worth nothing, and costs nothing; what costs more than it earns needs not be tried
        if score.value.0 <= 0 {
            dropped.push((number, "OFFER_WITHOUT_VALUE"));
            return;
        }
        let allotment = asked.prepared.allotment;
        let is_kept = |them: &Allotment| them.keeps_from(&asked.prepared.question.who, &item.id);
        if allotment.is_some_and(is_kept) && !admission.holds(number) {
            // what is left is allotted to others
            dropped.push((number, "OFFER_BUDGET_EXHAUSTED"));
            return;
        }
        let chooser = scoring.chooser.as_ref();
        let prospect = chooser.map(|chooser| chooser.prospect(item, listing));
        if let Some(prospect) = &prospect {
            score.value = micros(prospect.value);
        }
        scored.push(Scored {
            number,
            item,
            listing,
            score,
            prospect,
        });
    };
    if asked.explain {
        let listed = offers.listed().iter();
        listed.for_each(|&(_, number)| ask(number));
    } else {
        offers.standing(asked.prepared.now).for_each(&mut ask);
    }
    scored.sort_by(|a, b| {
        let key = |offer: &Scored<'a>| {
            let terms = &offer.listing.terms;
            let (value, priority) = (-offer.score.value.0, -i64::from(terms.priority));
            (terms.fallback, value, priority, &*offer.item.id)
        };
        key(a).cmp(&key(b))
    });
    scored
}

/// An offer that the customer is eligible for.
struct Kept<'s, 'a> {
    offer: &'s Scored<'a>,
    choice: Choice,
}

/// Asks the best whether the customer is eligible, until there are enough; draws one of them or none, and takes those
/// that have room.
fn chosen(
    asked: &Asked<'_>,
    admission: &mut OfferAdmission<'_>,
    scoring: &Scoring<'_>,
    scored: &[Scored<'_>],
    most: usize,
    dropped: &mut Dropped,
) -> ChosenOffers {
    let mut kept: Vec<Kept<'_, '_>> = Vec::new();
    for offer in scored {
        if !asked.explain && kept.len() >= most + SPARE {
            break;
        }
        let terms = &offer.listing.terms;
        if let Some(code) = admission.ineligible(&terms.eligibility) {
            dropped.push((offer.number, code));
            continue;
        }
        let choice = Choice {
            offer: OfferId::trusted(offer.item.id.to_string()),
            fallback: terms.fallback,
            is_limited: terms.is_limited(),
        };
        kept.push(Kept { offer, choice });
    }
    let draw = draw(asked, admission, scoring, &kept);
    let room = Room {
        state: asked.state,
        admission,
        most,
    };
    let answer = room.list(&kept, draw.first);
    let probabilities = room.probabilities(&kept, &draw, &answer.picks);
    let chances: Vec<f64> = (0..kept.len())
        .map(|place| draw.arms.get(place).copied().unwrap_or(0.0))
        .collect();
    let mut all: Vec<RankedOffer> = Vec::with_capacity(kept.len());
    for (kept, &probability) in kept.iter().zip(&chances) {
        all.push(ranked(asked, admission, kept.offer, probability));
    }
    let mut answered = picked(&all, &answer.picks);
    for (offer, probability) in answered.iter_mut().zip(probabilities) {
        offer.probability = probability;
    }
    let without = scoring.chooser.as_ref().and_then(Chooser::without_odds);
    let decision = (most > 0).then(|| OfferDecision {
        base: base_of(&answered, without),
        ..decision(&answered, &all[..draw.arms.len()], draw.none)
    });
    let owner = owner(&asked.prepared.question.who);
    let wish = owner.filter(|_| answer.must_reserve).map(|subject| Wish {
        subject,
        most,
        choices: answer
            .order
            .iter()
            .map(|&place| kept[place].choice.clone())
            .collect(),
    });
    let all = if asked.explain {
        let group = |place: usize| kept[place].offer.listing.terms.exclusivity_group.as_deref();
        let taken = answer.picks.iter().filter_map(|pick| group(pick.choice));
        let taken: Vec<&str> = taken.collect();
        let is_answered = |place: usize| answer.picks.iter().any(|pick| pick.choice == place);
        for place in (0..kept.len()).rev() {
            if !is_answered(place) && group(place).is_some_and(|group| taken.contains(&group)) {
                all.remove(place);
                dropped.push((kept[place].offer.number, "OFFER_EXCLUSIVE"));
            }
        }
        all
    } else {
        // as the choices of the wish, with the probabilities of their places
        for (pick, offer) in answer.picks.iter().zip(&answered) {
            all[pick.choice].probability = offer.probability;
        }
        answer
            .order
            .iter()
            .map(|&place| all[place].clone())
            .collect()
    };
    ChosenOffers {
        answered,
        kept: all,
        dropped: Vec::new(),
        wish,
        decision,
        none: draw.none,
        is_held_out: false,
    }
}

/// Which of the kept stands first, or that there is none.
fn draw(
    asked: &Asked<'_>,
    admission: &OfferAdmission<'_>,
    scoring: &Scoring<'_>,
    kept: &[Kept<'_, '_>],
) -> Draw {
    // those that only stand in are none while there is another
    let is_fallback = kept.first().is_some_and(|first| first.choice.fallback);
    let arms = kept
        .iter()
        .take_while(|kept| kept.choice.fallback == is_fallback);
    let arms: Vec<&Kept<'_, '_>> = arms.take(MAX_ARMS).collect();
    let Some(chooser) = scoring.chooser.as_ref().filter(|_| !arms.is_empty()) else {
        let best = (!arms.is_empty()).then_some(0);
        return Draw::sure(arms.len(), best);
    };
    // what is reserved for them they get again
    if let Some(held) = arms
        .iter()
        .position(|arm| admission.holds(arm.offer.number))
    {
        return Draw::sure(arms.len(), Some(held));
    }
    let prospects: Vec<Prospect> = arms.iter().filter_map(|arm| arm.offer.prospect).collect();
    let ids: Vec<&str> = arms.iter().map(|arm| &*arm.offer.item.id).collect();
    Draw::by(
        &chooser.probabilities(&prospects),
        &ids,
        asked.prepared.draw_of_day(),
    )
}

/// A list of offers, as State has room.
struct Listed {
    /// Places of all that may stand in it, best first.
    order: Vec<usize>,
    /// Those that do; each by its place among the kept.
    picks: Vec<Pick>,
    must_reserve: bool,
}

/// What makes a list of the kept and the one that stands first.
struct Room<'r, 'a> {
    state: &'r State,
    admission: &'r OfferAdmission<'a>,
    most: usize,
}

impl Room<'_, '_> {
    /// The list with `first` at its head; behind it, and in its place if it is gone, those that are worth something.
    /// Without a first one there is no offer.
    fn list(&self, kept: &[Kept<'_, '_>], first: Option<usize>) -> Listed {
        let Some(first) = first else {
            return Listed {
                order: Vec::new(),
                picks: Vec::new(),
                must_reserve: false,
            };
        };
        let rest = (0..kept.len()).filter(|&place| place != first);
        let rest = rest.filter(|&place| kept[place].offer.score.value.0 > 0);
        let order: Vec<usize> = std::iter::once(first).chain(rest).collect();
        let choices: Vec<Choice> = order
            .iter()
            .map(|&place| kept[place].choice.clone())
            .collect();
        let (party, ledger) = (self.admission.party(), self.admission.ledger());
        let pending = Pending::default();
        let drafts = reserve::choose(self.state, ledger, party, &pending, &choices, self.most);
        let picks = drafts.iter().map(|draft| {
            let pick = draft.pick();
            Pick {
                choice: order[pick.choice],
                ..pick
            }
        });
        Listed {
            picks: picks.collect(),
            must_reserve: drafts.iter().any(|draft| draft.is_new),
            order,
        }
    }

    /// The probability of each of the `picks` to stand at its place: the sum of those of the arms that bring it there.
    fn probabilities(&self, kept: &[Kept<'_, '_>], draw: &Draw, picks: &[Pick]) -> Vec<f64> {
        let mut probabilities = vec![0.0; picks.len()];
        for (arm, &probability) in draw.arms.iter().enumerate() {
            if probability <= 0.0 || picks.is_empty() {
                continue;
            }
            // of one place it is known without asking
            let at: Vec<usize> = if self.most == 1 {
                vec![arm]
            } else {
                let listed = self.list(kept, Some(arm));
                listed.picks.iter().map(|pick| pick.choice).collect()
            };
            for ((sum, pick), other) in probabilities.iter_mut().zip(picks).zip(at) {
                if pick.choice == other {
                    *sum += probability;
                }
            }
        }
        probabilities
    }
}

fn offered(offer: &RankedOffer) -> Offered {
    Offered {
        offer: short_hash(offer.offer.as_str()),
        probability: offer.probability as f32,
    }
}

fn picked(kept: &[RankedOffer], picks: &[Pick]) -> Vec<RankedOffer> {
    let picks = picks.iter();
    let offers = picks.map(|pick| RankedOffer {
        reservation: pick.reservation,
        ..kept[pick.choice].clone()
    });
    offers.collect()
}

/// What was decided, with the others that could have been.
fn decision(answered: &[RankedOffer], arms: &[RankedOffer], none: f64) -> OfferDecision {
    let offers: Vec<Offered> = answered.iter().take(MAX_DECIDED).map(offered).collect();
    let others = arms.iter().map(|offer| short_hash(offer.offer.as_str()));
    let others = others.filter(|&other| !offers.iter().any(|offered| offered.offer == other));
    OfferDecision {
        none: if offers.is_empty() { none as f32 } else { 0.0 },
        others: others.take(MAX_DECIDED).collect(),
        offers,
        is_held_out: false,
        base: None,
    }
}

/// The log-odds to buy that a fitted model gave them as they are answered, as tokens keep it: with the first offer, or
/// without any.
fn base_of(answered: &[RankedOffer], without: Option<f64>) -> Option<i16> {
    let odds = match answered.first() {
        Some(first) => first.odds.map(|[base, _]| base),
        None => without,
    };
    odds.map(Shown::quantised)
}

/// Whose a reservation would be.
fn owner(who: &Who) -> Option<Owner> {
    match who {
        Who::Customer(id) => Some(Owner::Customer {
            customer: id.clone(),
            visitor: None,
        }),
        Who::Visitor(id) => Some(Owner::Visitor(id.clone())),
        Who::Nobody => None,
    }
}

fn ranked(
    asked: &Asked<'_>,
    admission: &mut OfferAdmission<'_>,
    offer: &Scored<'_>,
    probability: f64,
) -> RankedOffer {
    let terms = &offer.listing.terms;
    RankedOffer {
        offer: OfferId::trusted(offer.item.id.to_string()),
        name: terms.name.to_string(),
        benefit: terms.benefit,
        campaign: terms.campaign_id.clone(),
        score: offer.score.value,
        currency: terms.currency,
        reasons: reasons(asked, admission, offer),
        reservation: None,
        probability,
        bought: offer.prospect.map(|found| [found.bought, found.without]),
        odds: offer.prospect.and_then(|found| found.odds),
        fallback: terms.fallback,
    }
}

/// Why an offer is answered, the strongest first.
fn reasons(
    asked: &Asked<'_>,
    admission: &mut OfferAdmission<'_>,
    offer: &Scored<'_>,
) -> Vec<Reason> {
    let (state, terms) = (asked.state, &offer.listing.terms);
    let plain = |code, text| Reason {
        code,
        text,
        because: None,
    };
    let mut reasons = Vec::new();
    if terms.fallback {
        reasons.push(plain("FALLBACK_OFFER", "no other offer can be".to_owned()));
    }
    if let Some(product) = offer.score.product {
        reasons.push(Reason {
            code: "FOR_PRODUCT",
            text: format!("goes with {}", name(state, product)),
            because: Some(product_id(state, product)),
        });
    }
    if let Some(segment) = admission.segment(&terms.segments) {
        reasons.push(plain("FOR_SEGMENT", format!("for the segment {segment}")));
    }
    let outcomes = offer.item.outcomes;
    let shown = outcomes.viewed.max(outcomes.sent);
    if shown >= SHOWN_ENOUGH && outcomes.redeemed > 0 {
        let text = format!("taken {} of {shown} times", outcomes.redeemed.min(shown));
        reasons.push(plain("TAKEN_OFTEN", text));
    }
    if !terms.stages.is_empty() {
        let stage = state.journey().name(asked.stage);
        reasons.push(plain("FOR_STAGE", format!("for customers in {stage}")));
    }
    if reasons.is_empty() {
        reasons.push(plain("FOR_EVERYBODY", "for everybody".to_owned()));
    }
    reasons.truncate(MOST_REASONS);
    reasons
}
