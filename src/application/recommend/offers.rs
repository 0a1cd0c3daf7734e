//! Which offers an answer has: one check after the other, the cheap ones first; then what each is worth; then which
//! of the best have room.

mod admission;
mod scorer;

use self::admission::OfferAdmission;
use self::scorer::{ExpectedValue, OfferCandidate, OfferQuestion, OfferScore, OfferScorer};
use super::reasons::name;
use super::{Answer, Prepared, RankedProduct, Reason, Who, product_id};
use crate::application::error::AppError;
use crate::application::ingest::Ingest;
use crate::application::reserve::{self, Choice, Granted, Pick, Wish};
use crate::application::shop::Shop;
use crate::domain::attribution::{MAX_DECIDED, short_hash};
use crate::domain::{
    Benefit, CampaignId, Currency, Fingerprint, Micros, OfferDecision, OfferId, OfferRules,
    Offered, StageIndex, Subject as Owner,
};
use crate::state::State;
use crate::state::offers::{Item, Listing};
use crate::state::people::Person;
use crate::state::reservations::Pending;
use crate::state::subjects::Subject;
use crate::store::SigningKey;
use crate::store::token::Statement;

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
    /// The probability with which it came to stand there.
    pub probability: f64,
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
    /// They never get an offer.
    pub is_held_out: bool,
}

/// An answer whose offers may still have to be reserved.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The answer; with a wish, its offers are not promised yet.
    answer: Answer,
    /// What must be reserved first.
    wish: Option<Wish>,
    kept: Vec<RankedOffer>,
    /// What signs the token again, where there is a wish.
    seal: Option<Seal>,
}

/// What signs the token of an answer again whose offers turned out to be others.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::application) struct Seal {
    pub(super) key: SigningKey,
    pub(super) statement: Statement,
}

impl Proposal {
    pub(in crate::application) fn new(
        answer: Answer,
        offers: ChosenOffers,
        seal: Option<Seal>,
    ) -> Self {
        Self {
            answer,
            wish: offers.wish,
            kept: offers.kept,
            seal,
        }
    }

    /// What must be reserved first.
    pub(in crate::application) fn wish(&self) -> Option<&Wish> {
        self.wish.as_ref()
    }

    pub(in crate::application) fn product_count(&self) -> usize {
        self.answer.products.len()
    }

    /// The answer with what was reserved, if anything had to be.
    pub(in crate::application) fn promised(self, picks: Option<&[Pick]>) -> Answer {
        match picks {
            Some(picks) => self.with(picks),
            None => self.answer,
        }
    }

    /// The answer where nothing can be reserved.
    pub(in crate::application) fn unpromised(mut self) -> Answer {
        match self.wish.take() {
            Some(wish) => self.without(&wish),
            None => self.answer,
        }
    }

    /// The answer with what was reserved.
    fn with(mut self, picks: &[Pick]) -> Answer {
        self.answer.offers = picked(&self.kept, picks);
        self.sealed()
    }

    /// The answer with what its offers have become. An offer that stands in for another one came to stand there by
    /// chance, and nobody knows with which.
    fn sealed(mut self) -> Answer {
        let Some((decision, seal)) = self.answer.offer_decision.as_mut().zip(self.seal) else {
            return self.answer;
        };
        let before = decision.clone();
        let offers = self.answer.offers.iter_mut().enumerate();
        decision.offers = offers
            .map(|(place, offer)| {
                let hash = short_hash(offer.offer.as_str());
                let same = before.offers.get(place).filter(|same| same.offer == hash);
                if same.is_none() {
                    offer.probability = 0.0;
                }
                offered(offer)
            })
            .collect();
        if *decision != before {
            let gone = before.offers.iter().map(|offered| offered.offer);
            decision.others.extend(gone);
            let taken = &decision.offers;
            decision
                .others
                .retain(|&other| !taken.iter().any(|offered| offered.offer == other));
            decision.others.truncate(MAX_DECIDED);
            let statement = Statement {
                offers: Some(decision.clone()),
                ..seal.statement
            };
            self.answer.attribution_token = seal.key.sign(&statement);
        }
        self.answer
    }

    /// The answer where nothing can be reserved: with the offers that need no reservation.
    fn without(mut self, wish: &Wish) -> Answer {
        let limited = |offer: &RankedOffer| {
            let mut choices = wish.choices.iter();
            choices.any(|choice| choice.offer == offer.offer && choice.is_limited)
        };
        let offers = &mut self.answer.offers;
        let before = offers.len();
        offers.retain(|offer| offer.reservation.is_some() || !limited(offer));
        self.answer.offers_incomplete = offers.len() < before;
        self.sealed()
    }
}

/// The answer of a proposal, once what must be reserved is.
///
/// # Errors
/// `Stopping`. Where the journal takes no writes the answer is without the offers that must be reserved.
pub async fn promise(ingest: &Ingest, mut proposal: Proposal) -> Result<Answer, AppError> {
    let Some(wish) = proposal.wish.take() else {
        return Ok(proposal.answer);
    };
    match ingest.reserve(vec![wish.clone()]).await {
        Ok(picks) => Ok(proposal.with(picks.first().map_or(&[], Vec::as_slice))),
        Err(AppError::JournalUnavailable(_)) => Ok(proposal.without(&wish)),
        Err(error) => Err(error),
    }
}

/// As [`promise`], for many at once and for threads that may block.
///
/// # Errors
/// As [`promise`].
pub fn promise_all(ingest: &Ingest, proposals: Vec<Proposal>) -> Result<Vec<Answer>, AppError> {
    let wishes = proposals
        .iter()
        .filter_map(|proposal| proposal.wish.clone());
    let wishes: Vec<Wish> = wishes.collect();
    let picks = match wishes.is_empty() {
        true => Some(Vec::new()),
        false => match ingest.reserve_blocking(wishes) {
            Ok(picks) => Some(picks),
            Err(AppError::JournalUnavailable(_)) => None,
            Err(error) => return Err(error),
        },
    };
    let mut picks = picks.map(Vec::into_iter);
    let answers = proposals.into_iter().map(|mut proposal| {
        let Some(wish) = proposal.wish.take() else {
            return proposal.answer;
        };
        match &mut picks {
            Some(picks) => proposal.with(&picks.next().unwrap_or_default()),
            None => proposal.without(&wish),
        }
    });
    Ok(answers.collect())
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

/// What an answer's offers are chosen from.
pub(super) struct Asked<'a> {
    pub(super) shop: &'a Shop,
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) state: &'a State,
    pub(super) person: Option<Person>,
    pub(super) subject: Option<&'a Subject>,
    pub(super) stage: StageIndex,
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
        return ChosenOffers::default();
    }
    let is_held_out = is_held_out(asked);
    if is_held_out && !asked.explain {
        return ChosenOffers {
            is_held_out,
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
    let scored = scored(asked, &mut admission, rules, &mut dropped);
    let mut chosen = chosen(asked, &mut admission, &scored, most, &mut dropped);
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
    let seed = policy.holdout_seed.to_le_bytes();
    let parts = [&seed[..], kind.as_bytes(), id.as_bytes()];
    let drawn = Fingerprint::of("offer holdout", &parts).as_u128() % 1_000;
    drawn < u128::from(policy.holdout_per_mille)
}

/// An offer that passed the checks so far.
struct Scored<'a> {
    number: u32,
    item: &'a Item,
    listing: &'a Listing,
    score: OfferScore,
}

/// What was dropped: the offer's number, and why.
type Dropped = Vec<(u32, &'static str)>;

/// Those that pass everything but eligibility, best first.
fn scored<'a>(
    asked: &Asked<'a>,
    admission: &mut OfferAdmission<'_>,
    rules: OfferRules,
    dropped: &mut Dropped,
) -> Vec<Scored<'a>> {
    let offers = &asked.state.offers;
    let products = asked.products.iter();
    let products = products.filter_map(|ranked| {
        let id = ranked.product.as_str();
        asked.state.products.number(id)
    });
    let products: Vec<u32> = products.collect();
    let question = OfferQuestion {
        state: asked.state,
        products: &products,
        assumed_gain: rules.assumed_gain,
    };
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
        let score = ExpectedValue.score(&question, &candidate);
        // no offer is worth nothing, and costs nothing
        if score.value.0 <= 0 {
            dropped.push((number, "OFFER_WITHOUT_VALUE"));
            return;
        }
        scored.push(Scored {
            number,
            item,
            listing,
            score,
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

/// Asks the best whether the customer is eligible, until there are enough; then takes those that have room.
fn chosen(
    asked: &Asked<'_>,
    admission: &mut OfferAdmission<'_>,
    scored: &[Scored<'_>],
    most: usize,
    dropped: &mut Dropped,
) -> ChosenOffers {
    let mut kept: Vec<RankedOffer> = Vec::new();
    let mut choices = Vec::new();
    let mut groups = Vec::new();
    for offer in scored {
        if !asked.explain && kept.len() >= most + SPARE {
            break;
        }
        let terms = &offer.listing.terms;
        if let Some(code) = admission.ineligible(&terms.eligibility) {
            dropped.push((offer.number, code));
            continue;
        }
        let ranked = ranked(asked, admission, offer);
        choices.push(Choice {
            offer: ranked.offer.clone(),
            fallback: ranked.fallback,
            is_limited: terms.is_limited(),
        });
        groups.push((offer.number, terms.exclusivity_group.as_deref()));
        kept.push(ranked);
    }
    let (state, party) = (asked.state, admission.party());
    let ledger = admission.ledger();
    let drafts = reserve::choose(state, ledger, party, &Pending::default(), &choices, most);
    let picks: Vec<Pick> = drafts.iter().map(reserve::Draft::pick).collect();
    let answered = picked(&kept, &picks);
    let decision = (most > 0).then(|| decision(&answered, &kept));
    let owner = owner(&asked.prepared.question.who);
    let must_reserve = drafts.iter().any(|draft| draft.is_new);
    let wish = owner.filter(|_| must_reserve).map(|subject| Wish {
        subject,
        most,
        choices,
    });
    if asked.explain {
        let taken: Vec<&str> = picks.iter().filter_map(|p| groups[p.choice].1).collect();
        let is_answered = |place: usize| picks.iter().any(|pick| pick.choice == place);
        for place in (0..kept.len()).rev() {
            let (number, group) = groups[place];
            if !is_answered(place) && group.is_some_and(|group| taken.contains(&group)) {
                kept.remove(place);
                dropped.push((number, "OFFER_EXCLUSIVE"));
            }
        }
    }
    ChosenOffers {
        answered,
        kept,
        dropped: Vec::new(),
        wish,
        decision,
        is_held_out: false,
    }
}

/// What was decided, with the others that could have been.
fn decision(answered: &[RankedOffer], kept: &[RankedOffer]) -> OfferDecision {
    let offers: Vec<Offered> = answered.iter().take(MAX_DECIDED).map(offered).collect();
    let others = kept.iter().map(|offer| short_hash(offer.offer.as_str()));
    let others = others.filter(|&other| !offers.iter().any(|offered| offered.offer == other));
    OfferDecision {
        none: if offers.is_empty() { 1.0 } else { 0.0 },
        others: others.take(MAX_DECIDED).collect(),
        offers,
        is_held_out: false,
    }
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
        probability: 1.0,
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
