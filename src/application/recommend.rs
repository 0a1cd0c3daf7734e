//! The question nextbest exists for: what is the next best product for this customer, at this stage?

mod admission;
mod fallback;
pub mod offers;
mod reasons;
mod standing;

use std::cell::RefCell;
use std::sync::Arc;

use self::admission::Admission;
use self::offers::{Allotment, Bidding, ChosenOffers, Proposal, RankedOffer, Seal};
use self::standing::stage_answer;
pub use self::standing::{Evidence, StageAnswer, stage_of};
use crate::algorithms::features::Candidate;
use crate::algorithms::online::Setting;
use crate::application::attribution::{self, Outcomes};
use crate::application::error::AppError;
use crate::application::expression::{Expression, Scope, customer_value, product_value};
use crate::application::model::{Aim, Ranked, Ranking};
use crate::application::next_stage::Journeyer;
use crate::application::outlook::Outlook;
use crate::application::shop::{Known, Shop};
use crate::domain::attribution::short_hash;
use crate::domain::journey::Step;
use crate::domain::time::DAY_MS;
use crate::domain::{
    CustomerId, Event, Fingerprint, OfferDecision, Origin, ProductId, Source, StageIndex,
    Timestamp, VisitorId,
};
use crate::state::State;
use crate::state::candidates::{Gathered, filler};
use crate::state::people::Person;
use crate::state::scratch::Scratch;
use crate::state::slate::{self, Place};
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// How many products are answered where the caller does not say.
pub const DEFAULT_PRODUCTS: usize = 10;
/// The most products of one answer.
pub const MAX_PRODUCTS: usize = 100;
/// The most context events of one question.
pub const MAX_CONTEXT_EVENTS: usize = 50;
/// The most products to exclude in one question.
pub const MAX_EXCLUDED: usize = 1_000;
/// The most questions of one batch.
pub const MAX_BATCH: usize = 1_000;

/// Whom a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A known customer.
    Customer(CustomerId),
    /// An anonymous visitor.
    Visitor(VisitorId),
    /// Somebody of whom nothing is said.
    Nobody,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// About whom.
    pub who: Who,
    /// The stage to answer for; absent: it follows from the events.
    pub stage: Option<String>,
    /// Where the answer will be shown; may be empty.
    pub placement: String,
    /// What is happening right now; counts for this answer and is not stored.
    pub context: Vec<Event>,
    /// How many products, 1 to [`MAX_PRODUCTS`].
    pub count: usize,
    /// How many offers at most; absent: as many as the stage's recipe says.
    pub offers: Option<usize>,
    /// By what the answer reaches the customer; may be empty.
    pub channel: String,
    /// A CEL expression; empty: none.
    pub filter: String,
    /// A CEL expression; empty: none.
    pub boost: String,
    /// Products not to recommend.
    pub exclude: Vec<ProductId>,
    /// Leave out what was bought before.
    pub exclude_bought: bool,
    /// No filler.
    pub strict: bool,
    /// The moment of the question; absent: now.
    pub at: Option<Timestamp>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The stage it is for.
    pub stage: StageAnswer,
    /// Best first.
    pub products: Vec<RankedProduct>,
    /// The revision that ranked, if one is live.
    pub revision: Option<String>,
    /// True if nothing is known of the customer, or no model is live.
    pub fallback: bool,
    /// Leads from events back to this answer, see [`attribution`].
    pub attribution_token: String,
    /// Best first.
    pub offers: Vec<RankedOffer>,
    /// What was decided about offers; absent: nothing was.
    pub offer_decision: Option<OfferDecision>,
    /// The probability with which there was no offer.
    pub no_offer_probability: f64,
    /// They never get an offer.
    pub offer_holdout: bool,
    /// An offer was left out because nothing could be reserved.
    pub offers_incomplete: bool,
    /// Until when the same key gives this answer; absent: it was given under none, or does not stay.
    pub decision_until: Option<Timestamp>,
    /// It was given under a key, and does not stay.
    pub decision_not_kept: bool,
}

impl Question {
    /// By what the answer reaches the customer: where nothing is said, it is the placement.
    fn channel(&self) -> &str {
        match self.channel.is_empty() {
            true => &self.placement,
            false => &self.channel,
        }
    }
}

/// A product, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedProduct {
    /// Which.
    pub product: ProductId,
    /// A calibrated probability, or a score from 0 to 1 that only orders.
    pub score: f64,
    /// Which of the two.
    pub calibrated: bool,
    /// What speaks most for it.
    pub origin: Origin,
    /// Log-odds by the live model's word; absent: it did not rank this product.
    pub base: Option<f64>,
    /// The strongest first.
    pub reasons: Vec<Reason>,
    /// True if it only fills the list up.
    pub fallback: bool,
    /// The probability with which this product came to stand at its place.
    pub probability: f64,
}

/// Why a product is recommended.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Stable.
    pub code: &'static str,
    /// In English.
    pub text: String,
    /// The product it follows from.
    pub because: Option<ProductId>,
}

/// An answer with everything that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The answer.
    pub answer: Answer,
    /// Every candidate that was ranked, best first.
    pub kept: Vec<ExplainedCandidate>,
    /// Every candidate that was dropped.
    pub dropped: Vec<DroppedCandidate>,
    /// The offers.
    pub offers: ChosenOffers,
}

/// One candidate with everything that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedCandidate {
    /// Which.
    pub product: ProductId,
    /// As in [`RankedProduct`].
    pub score: f64,
    /// Rank in each source that proposed it, 1 is best.
    pub source_ranks: Vec<(&'static str, u32)>,
    /// The features as the ranker saw them.
    pub features: Vec<(&'static str, f32)>,
    /// The factor of the request's boost.
    pub boost: f64,
    /// What outcomes of earlier answers add, see [`Mark::online`](crate::application::model::Mark::online).
    pub online: f64,
}

/// One candidate that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedCandidate {
    /// Which.
    pub product: ProductId,
    /// Why.
    pub code: &'static str,
}

/// What an expression may speak of.
const VARIABLES: &[&str] = &["product", "customer", "request"];

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Answers questions.
#[derive(Debug, Clone)]
pub struct Recommender {
    shop: Arc<Shop>,
}

/// A question that can be answered: its expressions are compiled and its stage is known.
struct Prepared<'q> {
    question: &'q Question,
    filter: Option<Expression>,
    boost: Option<Expression>,
    stage: Option<StageIndex>,
    now: Timestamp,
    /// Who gets what is not there for everybody; absent: who asks first.
    allotment: Option<&'q Allotment>,
}

impl Recommender {
    /// Over a shop.
    #[must_use]
    pub fn new(shop: Arc<Shop>) -> Self {
        Self { shop }
    }

    pub(super) fn shop(&self) -> &Shop {
        &self.shop
    }

    /// Answers one question. Takes well under a millisecond; no IO: of the offers that must be reserved, only those
    /// that are reserved for the customer already are promised.
    ///
    /// # Errors
    /// `InvalidExpression`, `UnknownStage`, `NotReady`.
    pub fn recommend(&self, question: &Question) -> Result<Answer, AppError> {
        let prepared = self.prepare(question)?;
        let known = self.shop.known();
        Ok(self.find(&prepared, &known, false)?.answer)
    }

    /// Answers one question with offers that may have to be reserved before the answer is given out. No IO.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn propose(&self, question: &Question) -> Result<Proposal, AppError> {
        self.propose_within(question, None)
    }

    /// As [`Recommender::propose`], of a campaign: of offers that are not there for everybody only what was allotted.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn propose_within(
        &self,
        question: &Question,
        allotment: Option<&Allotment>,
    ) -> Result<Proposal, AppError> {
        let prepared = Prepared {
            allotment,
            ..self.prepare(question)?
        };
        let known = self.shop.known();
        let found = self.find(&prepared, &known, false)?;
        // what is reserved decides what is answered, so its token is signed after that
        let key = &self.shop.settings.key;
        let sealed = found.offers.wish.is_some().then(|| Seal {
            key: key.clone(),
            statement: attribution::statement(key, question, &found.answer, prepared.now),
        });
        Ok(Proposal::new(found.answer, found.offers, sealed))
    }

    /// Collects who asks for what, before a campaign is answered; absent if every live offer is there for everybody.
    ///
    /// # Errors
    /// `NotReady`.
    pub fn bidding(&self) -> Result<Option<Bidding>, AppError> {
        self.shop.check_ready()?;
        let known = self.shop.known();
        let customers = known.state.people.customers().len();
        Ok(Bidding::over(
            &known.state,
            self.shop.clock.now(),
            customers,
        ))
    }

    /// Checks a question without answering it.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn check(&self, question: &Question) -> Result<(), AppError> {
        self.prepare(question).map(|_| ())
    }

    /// Answers with every candidate.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn explain(&self, question: &Question) -> Result<Explanation, AppError> {
        let prepared = self.prepare(question)?;
        let known = self.shop.known();
        self.find(&prepared, &known, true)
    }

    /// What became of recommendations so far.
    ///
    /// # Errors
    /// `NotReady`.
    pub fn outcomes(&self) -> Result<Outcomes, AppError> {
        self.shop.check_ready()?;
        Ok(Outcomes::of(&self.shop.known().state))
    }

    fn prepare<'q>(&self, question: &'q Question) -> Result<Prepared<'q>, AppError> {
        self.shop.check_ready()?;
        let journey = &self.shop.settings.fold.journey;
        let stage = match &question.stage {
            None => None,
            Some(name) => Some(journey.stage(name).ok_or_else(|| {
                let names: Vec<&str> = journey.stages.iter().map(|s| s.name.as_str()).collect();
                AppError::UnknownStage {
                    field: "stage",
                    stage: name.clone(),
                    known: names.join(", "),
                }
            })?),
        };
        Ok(Prepared {
            question,
            filter: Expression::filter(&question.filter, VARIABLES)?,
            boost: Expression::boost(&question.boost, VARIABLES)?,
            stage,
            now: question.at.unwrap_or_else(|| self.shop.clock.now()),
            allotment: None,
        })
    }

    /// The answer, with every candidate if they are wanted.
    fn find(
        &self,
        prepared: &Prepared<'_>,
        known: &Known,
        explain: bool,
    ) -> Result<Explanation, AppError> {
        let Prepared { question, now, .. } = *prepared;
        let state = &known.state;
        let person = person(state, &question.who);
        let subject = person.and_then(|person| state.subject(person));
        let context = context_steps(state, question, now);
        let mut view = View::new(state, subject, &context, now);
        let standing = self.shop.settings.fold.journey.standing(&view.steps, now);
        view.stage = prepared.stage.unwrap_or(standing.stage);

        let recipe = &self.shop.settings.recipes[view.stage.0 as usize];
        let live = self.shop.live();
        let aim = if question.exclude_bought {
            Aim::Discover
        } else {
            Aim::Next
        };
        let ranking = Ranking {
            recipe,
            mask: &self.shop.masks[view.stage.0 as usize],
            scorer: live.as_ref().and_then(|live| live.model.scorer(aim)),
            with_trees: true,
        };
        let tuning = live
            .as_ref()
            .map_or_else(Tuning::default, |live| live.model.tuning());
        let scope = prepared.scope(state, subject, view.stage, &self.shop);
        let corrections = state.attributed.online.corrections(Setting {
            stage: short_hash(&recipe.stage),
            placement: short_hash(&question.placement),
        });
        let mut admission = Admission::new(prepared, state, &view, scope.as_ref());
        let ranked = SCRATCH.with_borrow_mut(|scratch| {
            let mut faults = Vec::new();
            let similar = &self.shop.similar;
            let mut gathered = Gathered::with(&view, &known.relations, &tuning, scratch, |find| {
                match (person, subject) {
                    (Some(Person::Customer(number)), Some(subject)) => {
                        similar.of(number, subject, now, &tuning.neighbours, find)
                    }
                    _ => find().into(),
                }
            });
            let ranked = ranking.rank_corrected(
                &mut gathered,
                corrections.as_ref().map(|corrections| {
                    move |candidate: &Candidate| {
                        let source = reasons::strongest(candidate, recipe);
                        corrections[Origin::Source(source).index()]
                    }
                }),
                |product| admission.admits(product),
                |product| prepared.boost(scope.as_ref(), state, product, &mut faults),
            );
            match faults.into_iter().next() {
                Some(fault) => Err(fault),
                None => Ok(ranked),
            }
        })?;
        admission.check()?;
        let list = slate::choose(
            state,
            ranked.products(),
            question.count,
            &recipe.answer,
            || prepared.draw(),
            |product| admission.admits(product),
        );
        let answered = |place: &Place| match place.ranked {
            Some(rank) => reasons::ranked(&view, ranked.at(rank), recipe, place.probability),
            None => reasons::explored(state, place.product, place.probability),
        };
        let mut products: Vec<RankedProduct> = list.iter().map(answered).collect();
        let missing = question.count - products.len();
        if missing > 0 && !question.strict {
            let taken: Vec<u32> = ranked.products().collect();
            let more = filler(state, missing, |product| {
                !taken.contains(&product) && admission.admits(product)
            });
            products.extend(
                more.into_iter()
                    .map(|product| reasons::filling(state, product)),
            );
        }
        let unknown = view.is_unknown();
        products
            .iter_mut()
            .for_each(|product| product.fallback |= unknown);
        let offers = offers::choose(&offers::Asked {
            shop: &self.shop,
            prepared,
            state,
            person,
            subject,
            stage: view.stage,
            view: &view,
            live: live.as_ref().map(|live| &live.model),
            products: &products,
            explain,
        });
        let mut stage = stage_answer(state, prepared, &view, &standing, context.len());
        if !stage.named_by_caller {
            let model = live.as_ref().map(|live| &live.model);
            let journeyer = model.and_then(|model| Journeyer::of(model, &view));
            stage.next = journeyer.map_or_else(Vec::new, |journeyer| journeyer.next_stages(1));
        }
        let mut answer = Answer {
            attribution_token: String::new(),
            offers: offers.answered.clone(),
            offer_decision: offers.decision.clone(),
            no_offer_probability: offers.none,
            offer_holdout: offers.is_held_out,
            offers_incomplete: false,
            decision_until: None,
            decision_not_kept: false,
            stage,
            products,
            fallback: unknown || ranking.scorer.is_none(),
            revision: live.as_ref().map(|live| live.id.clone()),
        };
        answer.attribution_token =
            attribution::token(&self.shop.settings.key, question, &answer, now);
        let (kept, dropped) = if explain {
            explained(state, &ranked, &admission.dropped())
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Explanation {
            answer,
            kept,
            dropped,
            offers,
        })
    }
}

/// Who asks, if State knows them.
#[must_use]
pub fn person(state: &State, who: &Who) -> Option<Person> {
    match who {
        Who::Customer(id) => state.people.customer(id),
        Who::Visitor(id) => state.people.visitor(id),
        Who::Nobody => None,
    }
}

fn product_id(state: &State, product: u32) -> ProductId {
    ProductId::trusted(state.products.item(product).id.to_string())
}

/// The events of the question as steps that are taken right now, whatever time they name: else known steps could stand
/// behind them. Products nobody has heard of say nothing.
fn context_steps(state: &State, question: &Question, now: Timestamp) -> Vec<Step> {
    question
        .context
        .iter()
        .map(|event| Step {
            time: now,
            kind: event.kind,
            product: event
                .product
                .as_ref()
                .and_then(|id| state.products.number(id.as_str())),
            rating: event.rating.map(|rating| rating as f32),
        })
        .collect()
}

impl Prepared<'_> {
    /// A number that is drawn anew for every moment, person and placement, and again the same for the same ones.
    fn draw(&self) -> u64 {
        let (kind, id) = match &self.question.who {
            Who::Customer(id) => ("customer", id.as_str()),
            Who::Visitor(id) => ("visitor", id.as_str()),
            Who::Nobody => ("nobody", ""),
        };
        let moment = self.now.ms().to_le_bytes();
        let placement = self.question.placement.as_bytes();
        let parts = [kind.as_bytes(), id.as_bytes(), &moment, placement];
        Fingerprint::of("exploration", &parts).as_u128() as u64
    }

    /// A number that is the same for a person and a placement all day (in UTC): whoever loads a page again is not drawn
    /// anew. Of somebody unknown every moment is drawn anew.
    fn draw_of_day(&self) -> u64 {
        let (kind, id) = match &self.question.who {
            Who::Customer(id) => ("customer", id.as_str()),
            Who::Visitor(id) => ("visitor", id.as_str()),
            Who::Nobody => return self.draw(),
        };
        let day = self.now.ms().div_euclid(DAY_MS).to_le_bytes();
        let placement = self.question.placement.as_bytes();
        let parts = [kind.as_bytes(), id.as_bytes(), &day, placement];
        Fingerprint::of("offer of the day", &parts).as_u128() as u64
    }

    /// What the expressions are about, if there are any.
    fn scope(
        &self,
        state: &State,
        subject: Option<&crate::state::subjects::Subject>,
        stage: StageIndex,
        shop: &Shop,
    ) -> Option<Scope> {
        (self.filter.is_some() || self.boost.is_some()).then(|| {
            let outlook = Outlook::of(shop, state, subject, self.now);
            let customer = customer_value(subject, state.journey(), &outlook, self.now);
            Scope::new(
                customer,
                &self.question.placement,
                state.journey().name(stage),
                self.question.channel(),
            )
        })
    }

    fn boost(
        &self,
        scope: Option<&Scope>,
        state: &State,
        product: u32,
        faults: &mut Vec<AppError>,
    ) -> f64 {
        let (Some(expression), Some(scope)) = (&self.boost, scope) else {
            return 1.0;
        };
        match expression.factor(scope, product_value(state.products.item(product), self.now)) {
            Ok(factor) => factor,
            // an absent field says nothing about this product; a wrong result is the expression's fault
            Err(reason) if reason.contains("must give") => {
                faults.push(expression.fault(reason));
                1.0
            }
            Err(_) => 1.0,
        }
    }
}

/// Every candidate, kept or dropped, as it is explained.
fn explained(
    state: &State,
    ranked: &Ranked<'_>,
    dropped: &[(u32, &'static str)],
) -> (Vec<ExplainedCandidate>, Vec<DroppedCandidate>) {
    let names = crate::algorithms::features::NAMES;
    let kept = ranked.iter().map(|scored| ExplainedCandidate {
        product: product_id(state, scored.candidate.product),
        score: scored.mark.score,
        source_ranks: Source::ALL
            .iter()
            .map(|&source| {
                (
                    source.as_str(),
                    scored.candidate.ranks[source as usize].into(),
                )
            })
            .filter(|&(_, rank)| rank > 0)
            .collect(),
        features: names
            .iter()
            .copied()
            .zip(ranked.features(scored.candidate))
            .collect(),
        boost: scored.mark.boost,
        online: scored.mark.online,
    });
    let dropped = dropped.iter().map(|&(product, code)| DroppedCandidate {
        product: product_id(state, product),
        code,
    });
    (kept.collect(), dropped.collect())
}
