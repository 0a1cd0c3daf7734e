//! Customers: what is known of them, who they turned out to be, export and erasure.

mod places;
mod timeline;
mod trails;

pub use places::{MAX_READERS, MAX_WAITING, Place};
pub use timeline::Told;
pub use trails::Theirs;

use std::sync::Arc;

use self::places::Places;
use self::trails::Trails;
use crate::application::catalog::Page;
use crate::application::error::AppError;
use crate::application::expression::{Expression, Scope, customer_value};
use crate::application::ingest::Ingest;
use crate::application::model::Model;
use crate::application::next_stage::{Journeyer, Propensities};
use crate::application::outlook::Outlook;
use crate::application::personas::LivePersonas;
use crate::application::recommend::{StageAnswer, Who, person, stage_of};
use crate::application::shop::Shop;
use crate::domain::{
    AnswerKept, Customer, CustomerId, Event, EventKind, Health, Position, ProductId, RecordBody,
    Timestamp, Traits, VisitorId,
};
use crate::state::State;
use crate::state::journeyer;
use crate::state::people::Person;
use crate::state::subjects::Subject;
use crate::state::view::View;

/// How many customers one page looks at, at most, to find those of its selection.
const MAX_SCAN: usize = 20_000;
/// How many of them under one hold of the lock, so that writing never waits long.
const SCAN_AT_ONCE: usize = 256;

/// What is known of a customer or visitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Who; never `Nobody`.
    pub who: Who,
    /// The position of the record by which the customer became known; absent for visitors and for what is not stored.
    pub position: Option<Position>,
    /// Country, segment, …
    pub traits: Traits,
    /// Where they stand now.
    pub stage: StageAnswer,
    /// The first event.
    pub first_event: Option<Timestamp>,
    /// The last event.
    pub last_event: Option<Timestamp>,
    /// Events of all kinds.
    pub events: u64,
    /// Baskets bought.
    pub orders: u64,
    /// Different products bought.
    pub products: u64,
    /// The rating that is to be made good.
    pub low_rating: Option<LowRating>,
    /// What is to be expected of them, by the model that is live.
    pub propensities: Propensities,
    /// The id of their persona, by the model that is live; empty: it cannot be told, or no personas are live.
    pub persona: String,
    /// How they stand against their usual gap between orders; absent for who never bought.
    pub health: Option<Health>,
}

/// A rating that is to be made good.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRating {
    /// What was rated how.
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// On the scale of its kind.
    pub rating: f64,
    /// The product it is about.
    pub product: Option<ProductId>,
}

/// Which customers to list.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only those in this stage; empty: of every stage.
    pub stage: String,
    /// Only those for whom this CEL expression is true; empty: all.
    pub filter: String,
}

/// The use cases of customers.
#[derive(Debug, Clone)]
pub struct Customers {
    shop: Arc<Shop>,
    ingest: Ingest,
    trails: Arc<Trails>,
    places: Places,
}

impl Customers {
    /// Over a shop.
    #[must_use]
    pub fn new(shop: Arc<Shop>, ingest: Ingest) -> Self {
        let idle_days = shop.settings.fold.visitor_idle_days;
        Self {
            shop,
            ingest,
            trails: Arc::new(Trails::new(idle_days)),
            places: Places::new(),
        }
    }

    /// What is known of somebody.
    ///
    /// # Errors
    /// `CustomerNotFound`.
    pub fn get(&self, who: &Who) -> Result<Profile, AppError> {
        let known = self.shop.known();
        let person = person(&known.state, who).ok_or(AppError::CustomerNotFound)?;
        let subject = known
            .state
            .subject(person)
            .ok_or(AppError::CustomerNotFound)?;
        let live = self.shop.live();
        let moment = Moment {
            state: &known.state,
            now: self.shop.clock.now(),
            model: live.as_ref().map(|live| &live.model),
            personas: &self.shop.personas,
        };
        Ok(match person {
            Person::Customer(number) => moment.customer(number as usize, subject),
            Person::Visitor(_) => {
                let who = Who::Visitor(VisitorId::trusted(subject.id.to_string()));
                moment.profile(who, subject)
            }
        })
    }

    /// Lists customers from journal position `from` on, in the order in which they became known; looks at no more than
    /// a bounded number of them, so a page may be short although more follow. Who reads page by page meets everybody
    /// once, also if somebody is erased meanwhile.
    ///
    /// # Errors
    /// `InvalidExpression`, `UnknownStage`.
    pub fn list(
        &self,
        from: u64,
        limit: usize,
        selection: &Selection,
    ) -> Result<Page<Profile>, AppError> {
        let now = self.shop.clock.now();
        let filter = Expression::filter(&selection.filter, &["customer"])?;
        let journey = &self.shop.settings.fold.journey;
        if !selection.stage.is_empty() && journey.stage(&selection.stage).is_none() {
            let names: Vec<&str> = journey.stages.iter().map(|s| s.name.as_str()).collect();
            let stage = selection.stage.clone();
            return Err(AppError::UnknownStage {
                field: "stage",
                stage,
                known: names.join(", "),
            });
        }
        let (mut items, mut from, mut seen) = (Vec::new(), from, 0);
        let live = self.shop.live();
        let is_late = || filter.as_ref().is_some_and(Expression::is_late);
        loop {
            let known = self.shop.known();
            let customers = known.state.people.customers();
            // numbers may have changed since the lock was held before, positions have not
            let positions = known.state.customer_positions();
            let first = positions.partition_point(|position| position.0 < from);
            let end = customers.len().min(first + SCAN_AT_ONCE);
            let mut next = first;
            while next < end && items.len() < limit {
                let subject = &customers[next];
                let within = (&known.state, &*self.shop);
                if selected(subject, within, selection, filter.as_ref(), now) {
                    let moment = Moment {
                        state: &known.state,
                        now,
                        model: live.as_ref().map(|live| &live.model),
                        personas: &self.shop.personas,
                    };
                    items.push(moment.customer(next, subject));
                } else if is_late() {
                    // whether this one is selected was not found out
                    break;
                }
                next += 1;
            }
            seen += next - first;
            match positions.get(next) {
                Some(position) if items.len() < limit && seen < MAX_SCAN && !is_late() => {
                    from = position.0;
                }
                position => {
                    let next = position.map(|position| position.0);
                    return Ok(Page { items, next });
                }
            }
        }
    }

    /// The expression of a segment of the journey, or the names there are.
    ///
    /// # Errors
    /// The names, if there is no such segment.
    pub fn segment(&self, name: &str) -> Result<String, Vec<&str>> {
        let segments = &self.shop.settings.segments;
        let found = segments.iter().find(|segment| segment.name == name);
        let names = || segments.iter().map(|segment| &*segment.name).collect();
        found.map(|segment| segment.text.clone()).ok_or_else(names)
    }

    /// Sets the traits of a customer.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn upsert(
        &self,
        customer: Customer,
        validate_only: bool,
    ) -> Result<Profile, AppError> {
        let who = Who::Customer(customer.id.clone());
        if validate_only {
            let subject = Subject {
                traits: customer.traits,
                ..Subject::new(customer.id.as_str())
            };
            let known = self.shop.known();
            let moment = Moment {
                state: &known.state,
                now: self.shop.clock.now(),
                model: None,
                personas: &self.shop.personas,
            };
            return Ok(moment.profile(who, &subject));
        }
        self.ingest
            .write(vec![RecordBody::CustomerUpserted(Box::new(customer))])
            .await?;
        self.get(&who)
    }

    /// Says that a visitor is this customer. False if that was known.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn identify(
        &self,
        visitor: VisitorId,
        customer: CustomerId,
    ) -> Result<bool, AppError> {
        let body = RecordBody::VisitorIdentified { visitor, customer };
        Ok(self.ingest.write(vec![body]).await?.new > 0)
    }

    /// A place to read the journal for one person. Whoever reads holds it until they are done.
    ///
    /// # Errors
    /// `Overloaded`: too many wait for one already.
    pub async fn place(&self) -> Result<Place, AppError> {
        self.places.take().await
    }

    /// What is somebody's in the journal: for a customer, the events, kept answers and visitors that
    /// [`Customers::erase`] would remove. Reads of the journal what is new since the last time: blocking.
    ///
    /// # Errors
    /// `DataLoss`.
    pub fn ownership(&self, who: &Who, gone: &dyn Fn() -> bool) -> Result<Theirs, AppError> {
        self.trails.of(who, &*self.shop.journal, gone)
    }

    /// The events of somebody from journal position `from` on, at most `limit`. Reads the journal:
    /// blocking.
    ///
    /// # Errors
    /// `DataLoss`.
    pub fn events(
        &self,
        theirs: &Theirs,
        from: u64,
        limit: usize,
        gone: &dyn Fn() -> bool,
    ) -> Result<Page<Event>, AppError> {
        self.page(theirs, from, limit, gone, |body| match body {
            RecordBody::Event(event) => Some(*event),
            _ => None,
        })
    }

    /// As [`Customers::events`], of the answers that were kept for somebody.
    ///
    /// # Errors
    /// `DataLoss`.
    pub fn decisions(
        &self,
        theirs: &Theirs,
        from: u64,
        limit: usize,
        gone: &dyn Fn() -> bool,
    ) -> Result<Page<AnswerKept>, AppError> {
        self.page(theirs, from, limit, gone, |body| match body {
            RecordBody::AnswerKept(kept) => Some(*kept),
            _ => None,
        })
    }

    fn page<T>(
        &self,
        theirs: &Theirs,
        from: u64,
        limit: usize,
        gone: &dyn Fn() -> bool,
        pick: impl Fn(RecordBody) -> Option<T>,
    ) -> Result<Page<T>, AppError> {
        let mut items = Vec::new();
        for record in self.shop.journal.read_at(theirs.positions_from(from)) {
            if gone() {
                return Err(AppError::Stopping);
            }
            let (position, record) = record?;
            if !theirs.holds(position, &record) {
                continue;
            }
            let Some(item) = pick(record.body) else {
                continue;
            };
            if items.len() == limit {
                return Ok(Page {
                    items,
                    next: Some(position.0),
                });
            }
            items.push(item);
        }
        Ok(Page { items, next: None })
    }

    /// Removes what is a customer's from the journal and from memory. Returns how many records are
    /// gone.
    ///
    /// # Errors
    /// Those of writing; calling again finishes what was begun.
    pub async fn erase(&self, customer: &CustomerId) -> Result<u64, AppError> {
        let erased = self.ingest.erase(customer.clone()).await;
        // it would name them until then; whoever reads the journal for it lets us wait
        let (trails, journal) = (self.trails.clone(), self.shop.journal.clone());
        let (customer, is_changed) = (customer.clone(), matches!(erased, Ok(gone) if gone > 0));
        let forgets = tokio::task::spawn_blocking(move || {
            trails.forget(&customer, is_changed, &*journal);
        });
        forgets.await.map_err(|_| AppError::Stopping)?;
        erased
    }
}

/// Whether a customer is one of those that were asked for.
fn selected(
    subject: &Subject,
    (state, shop): (&State, &Shop),
    selection: &Selection,
    filter: Option<&Expression>,
    now: Timestamp,
) -> bool {
    // the place of somebody who was erased
    if subject.id.is_empty() {
        return false;
    }
    let journey = state.journey();
    let stage = journey.name(journey.stage_at(&subject.steps, now));
    if !selection.stage.is_empty() && selection.stage != stage {
        return false;
    }
    filter.is_none_or(|filter| {
        let outlook = Outlook::of(shop, state, Some(subject), now);
        let customer = customer_value(Some(subject), journey, &outlook, now);
        let scope = Scope::of_customer(customer);
        // somebody without the field is not one of those that were asked for
        filter.holds(&scope, None).unwrap_or(false)
    })
}

/// What is known at a moment.
struct Moment<'a> {
    state: &'a State,
    now: Timestamp,
    /// The model that is live.
    model: Option<&'a Model>,
    /// The personas that are live.
    personas: &'a LivePersonas,
}

impl Moment<'_> {
    fn customer(&self, number: usize, subject: &Subject) -> Profile {
        let who = Who::Customer(CustomerId::trusted(subject.id.to_string()));
        Profile {
            position: self.state.customer_positions().get(number).copied(),
            ..self.profile(who, subject)
        }
    }

    fn profile(&self, who: Who, subject: &Subject) -> Profile {
        let view = View::new(self.state, Some(subject), &[], self.now);
        let journeyer = self.model.and_then(|model| Journeyer::of(model, &view));
        let mut stage = stage_of(self.state, &subject.steps, self.now);
        let mut propensities = Propensities::default();
        if let Some(journeyer) = journeyer {
            stage.next = journeyer.next_stages(usize::MAX);
            propensities = journeyer.propensities();
        }
        Profile {
            who,
            position: None,
            traits: subject.traits.clone(),
            stage,
            first_event: subject.seen.map(|(first, _)| first),
            last_event: subject.seen.map(|(_, last)| last),
            events: subject.events,
            orders: subject.orders,
            products: subject.distinct.into(),
            propensities,
            persona: self.personas.id_of(&view),
            health: journeyer::health(&view),
            low_rating: low_rating(self.state, subject, self.now),
        }
    }
}

fn low_rating(state: &State, subject: &Subject, now: Timestamp) -> Option<LowRating> {
    let step = state.journey().recovery.due(subject.habits.rated, now)?;
    let id = |number| ProductId::trusted(state.products.item(number).id.to_string());
    Some(LowRating {
        kind: step.kind,
        time: step.time,
        rating: f64::from(step.rating?),
        product: step.product.map(id),
    })
}
