//! State: the fold of the journal. Everything that serving knows, in memory, deterministic, without a clock.
//!
//! `State::apply` is the only way in; the same code folds for serving, for training and for evaluation, so a feature
//! has one definition and nothing leaks from the future.

pub mod appeal;
pub mod attributed;
pub mod book;
pub mod candidates;
pub mod decisions;
pub mod exposures;
pub mod habits;
pub mod journeyer;
pub mod journeys;
pub mod neighbours;
pub mod offers;
pub mod people;
pub mod persona_popularity;
pub mod price_levels;
pub mod products;
pub mod profile;
pub mod relations;
mod remembered;
pub mod reservations;
pub mod sales;
pub mod scratch;
pub mod shopper;
pub mod slate;
pub mod subjects;
pub mod taste;
pub mod tuning;
pub mod view;

use serde::{Deserialize, Serialize};

use crate::algorithms::covisitation::Covisitation;
use crate::algorithms::repurchase::Gaps;
use crate::algorithms::sessions::{SILENCE_MS, Sessions};
use crate::domain::journey::{Journey, Step};
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::domain::{
    Attribution, Credit, CustomerId, Effect, Event, EventKind, Fingerprint, OfferEffect, Outcome,
    Position, Record, RecordBody, Subject as Who, Timestamp, VisitorId,
};
use crate::state::attributed::Attributed;
use crate::state::decisions::Decisions;
use crate::state::exposures::Exposures;
use crate::state::offers::Offers;
use crate::state::people::{People, Person};
use crate::state::products::Products;
use crate::state::reservations::Reservations;
use crate::state::sales::{Sale, Sales};
use crate::state::subjects::{OfferOutcome, Subject, Visit};

/// Grows with every change of what the fold computes: an older checkpoint is folded anew.
const FORMAT: u32 = 17;
/// How many steps before a new one go together with it.
const STEP_PARTNERS: usize = 10;
/// How long ago those steps may be.
const TOGETHER_MS: i64 = 24 * HOUR_MS;
/// Every so many records, visitors who never came back are forgotten.
const SWEEP_EVERY: u64 = 65_536;

/// What the fold depends on besides the records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldSettings {
    /// The stages and their rules.
    pub journey: Journey,
    /// After how many days without an event a visitor is forgotten who is nobody's.
    pub visitor_idle_days: u32,
}

impl FoldSettings {
    /// What a checkpoint depends on: the format of State and these settings.
    #[must_use]
    pub fn schema(&self) -> Fingerprint {
        let settings = serde_json::to_vec(self).unwrap_or_default();
        Fingerprint::of("state", &[&FORMAT.to_le_bytes(), &settings])
    }
}

/// Everything that serving knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    settings: FoldSettings,
    end: Position,
    newest: Timestamp,
    /// The newest moment a record was taken in.
    recorded: Timestamp,
    /// The products.
    pub products: Products,
    /// The offers.
    pub offers: Offers,
    /// What became of recommendations.
    pub attributed: Attributed,
    /// What became of decisions about offers.
    pub exposures: Exposures,
    /// What was sold, in money.
    pub sales: Sales,
    /// The reservations of offers.
    pub reservations: Reservations,
    /// The answers that stay.
    pub decisions: Decisions,
    /// The customers and visitors.
    pub people: People,
    /// How long they took to order a second time, as of the moment they did.
    pub second_orders: Gaps,
    /// By customer: the position of the record by which they became known.
    customer_positions: Vec<Position>,
    /// What is viewed, carted and bought within a day.
    pub browsed_together: Covisitation,
    /// What was looked at next in the same visit.
    pub next_viewed: Covisitation,
    /// What was looked at in the same visit.
    pub sessions: Sessions,
    /// The revisions that went live, newest last.
    activations: Vec<Box<str>>,
    /// The touchpoints that visits began at, by number, in the order in which they became known.
    ways: Vec<Box<str>>,
}

/// Why bytes are not a State.
#[derive(Debug, thiserror::Error)]
#[error("not a State of this format: {0}")]
pub struct DecodeError(#[from] postcard::Error);

impl State {
    /// The fold of nothing.
    #[must_use]
    pub fn new(settings: FoldSettings) -> Self {
        let stages = settings.journey.stages.len();
        Self {
            settings,
            end: Position(0),
            newest: Timestamp::default(),
            recorded: Timestamp::default(),
            products: Products::new(stages),
            offers: Offers::default(),
            attributed: Attributed::default(),
            exposures: Exposures::default(),
            sales: Sales::default(),
            reservations: Reservations::default(),
            decisions: Decisions::default(),
            people: People::default(),
            second_orders: Gaps::default(),
            customer_positions: Vec::new(),
            browsed_together: Covisitation::default(),
            next_viewed: Covisitation::default(),
            sessions: Sessions::default(),
            activations: Vec::new(),
            ways: Vec::new(),
        }
    }

    /// The bytes of a checkpoint: the same State, the same bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("State holds nothing postcard cannot write")
    }

    /// From the bytes of a checkpoint of the same [`FoldSettings::schema`].
    ///
    /// # Errors
    /// If they are not.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut state: Self = postcard::from_bytes(bytes)?;
        state.products.index();
        state.offers.index();
        state.attributed.index();
        state.exposures.index();
        state.people.index();
        state.reservations.index();
        state.decisions.index();
        Ok(state)
    }

    /// The position of the first record that is not folded in yet.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// The newest moment of any event.
    #[must_use]
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// The newest moment a record was taken in.
    #[must_use]
    pub fn recorded(&self) -> Timestamp {
        self.recorded
    }

    /// The journey.
    #[must_use]
    pub fn journey(&self) -> &Journey {
        &self.settings.journey
    }

    /// What the fold depends on.
    #[must_use]
    pub fn settings(&self) -> &FoldSettings {
        &self.settings
    }

    /// The revision that is live, and those before it, newest first.
    pub fn activations(&self) -> impl Iterator<Item = &str> {
        self.activations.iter().rev().map(|id| &**id)
    }

    /// The positions of the records by which the customers became known, in the order of
    /// [`People::customers`]. Numbers change when State is folded anew after an erasure; these positions do not: the
    /// record that makes a customer known is their own, and those of others stay where they are.
    #[must_use]
    pub fn customer_positions(&self) -> &[Position] {
        &self.customer_positions
    }

    /// What is remembered of somebody.
    #[must_use]
    pub fn subject(&self, person: Person) -> Option<&Subject> {
        self.people.subject(person)
    }

    /// Folds one record in. Records must come in the order of their positions. Cannot fail: what a record can say was
    /// checked before it was written.
    pub fn apply(&mut self, record: &Record) {
        self.pass_time(record.recorded_at);
        self.settle_trials();
        match &record.body {
            RecordBody::Event(event) => self.apply_event(event),
            RecordBody::ProductUpserted(product) => self.products.upsert(product, self.end),
            RecordBody::ProductDeleted(id) => self.products.delete(id),
            RecordBody::InventorySet(id, news) => self.products.set_inventory(id, news),
            RecordBody::OfferUpserted(offer) => {
                self.offers.upsert(offer, &mut self.products, self.end);
            }
            RecordBody::OfferDeleted(id) => self.offers.delete(id, record.recorded_at),
            RecordBody::OfferReserved(reserved) => {
                self.apply_reserved(reserved, record.recorded_at);
            }
            RecordBody::OfferReleased(released) => self.apply_released(released),
            RecordBody::OfferSpent(spent) => self.apply_spent(spent),
            // a fetch makes nobody known
            RecordBody::AnswerKept(kept) => self.decisions.keep(kept, self.end),
            RecordBody::CustomerUpserted(customer) => {
                let person = self.people.intern_customer(&customer.id);
                if let Some(subject) = self.people.subject_mut(person) {
                    subject.traits.clone_from(&customer.traits);
                }
            }
            RecordBody::VisitorIdentified { visitor, customer } => {
                let person = self.people.intern_customer(customer);
                self.identify(visitor, person);
            }
            RecordBody::ModelActivated(id) => {
                self.activations.retain(|other| other != id);
                self.activations.push(id.clone());
            }
            RecordBody::CustomerErased(_) | RecordBody::Redacted => {}
        }
        // a record makes one customer known at most
        let customers = self.people.customers().len();
        self.customer_positions.resize(customers, self.end);
        self.end = self.end.plus(1);
        if self.end.0.is_multiple_of(SWEEP_EVERY) {
            let idle = i64::from(self.settings.visitor_idle_days) * DAY_MS;
            self.people.forget_idle_visitors(self.newest.plus_ms(-idle));
        }
    }

    /// Forgets what a customer did, at once, until the erased journal is folded anew: shop-wide counts still hold it.
    pub fn forget(&mut self, customer: &CustomerId) {
        let gone = self.people.forget(customer);
        let visitors = gone.iter().flat_map(|gone| gone.visitors.iter());
        let visitors = visitors.map(|visitor| &**visitor);
        self.decisions.forget(customer.as_str(), visitors);
        if let Some(book) = gone.and_then(|gone| gone.book) {
            self.forget_book(&book);
        }
    }

    fn apply_event(&mut self, event: &Event) {
        self.newest = self.newest.max(event.time);
        if let Some(Credit::Proven(proven)) = &event.credit {
            self.apply_credit(event, proven);
        }
        let person = match &event.subject {
            Who::Customer { customer, visitor } => {
                let person = self.people.intern_customer(customer);
                if let Some(visitor) = visitor {
                    self.identify(visitor, person);
                }
                person
            }
            Who::Visitor(visitor) => self.people.intern_visitor(visitor),
        };
        let product = event
            .product
            .as_ref()
            .map(|id| self.products.intern(id.as_str()));
        if let Some(number) = product {
            let item = self.products.item_mut(number);
            item.first = Some(item.first.map_or(event.time, |first| first.min(event.time)));
        }
        let way = event.touchpoint.as_ref();
        let way = way.filter(|_| habits::is_of_visit(event.kind));
        let way = way.map(|at| self.way(at.as_str()));
        let Some(subject) = self.people.subject_mut(person) else {
            return;
        };
        subject.touch(event.time, 1);
        let step = Step {
            time: event.time,
            kind: event.kind,
            product,
            rating: event.rating.map(|rating| rating as f32),
        };
        subject.habits.count(step, way);
        if let Some(campaign) = &event.campaign {
            subject.book_mut().add_campaign(campaign, event.time);
        }
        if let Some((offer, outcome)) = event.offer.as_ref().zip(Outcome::of(event.kind)) {
            let offer = self.offers.count(offer, outcome);
            subject.add_outcome(OfferOutcome {
                time: event.time,
                offer,
                outcome,
            });
            self.apply_outcome(event, person, offer, outcome);
        }
        match (event.kind, product) {
            (EventKind::Purchase, Some(product)) => self.apply_purchase(event, person, product),
            (EventKind::Refund, Some(product)) => {
                if let Some(subject) = self.people.subject_mut(person) {
                    subject.add_refund(event.time, product);
                }
                self.add_step(event, person, Some(product));
            }
            (_, product) => {
                if let Some(product) = product {
                    self.apply_interest(event, person, product);
                }
                self.add_step(event, person, product);
            }
        }
        self.people.note_baskets(person);
    }

    /// The names of the touchpoints by the numbers that [`habits::Habits::ways`] names them by.
    #[must_use]
    pub fn ways(&self) -> &[Box<str>] {
        &self.ways
    }

    /// The number of a touchpoint.
    fn way(&mut self, name: &str) -> u8 {
        let known = self.ways.iter().position(|way| **way == *name);
        let place = known.unwrap_or_else(|| {
            if self.ways.len() < habits::MAX_WAYS {
                self.ways.push(name.into());
                self.ways.len() - 1
            } else {
                self.ways.len()
            }
        });
        u8::try_from(place).unwrap_or(habits::OTHER_WAY)
    }

    fn apply_credit(&mut self, event: &Event, proven: &Attribution) {
        let (effect, on_offers) = (Effect::of(event.kind), OfferEffect::of(event.kind));
        if !proven.is_theirs {
            self.attributed.take_other();
            return;
        }
        if let Some(effect) = effect {
            self.attributed.take(proven, effect);
        }
        if let Some(effect) = on_offers {
            self.apply_to_offers(event, proven, effect);
        }
    }

    fn apply_purchase(&mut self, event: &Event, person: Person, product: u32) {
        let Some(subject) = self.people.subject_mut(person) else {
            return;
        };
        let stage = self.settings.journey.stage_at(&subject.steps, event.time);
        let key = basket_key(event);
        let added = subject.add_line(event.time, key, product, event.quantity as f32);
        if let ([first, second], 2, true) = (&*subject.baskets, subject.orders, added.new_basket) {
            self.second_orders.add(second.time.days_since(first.time));
        }
        let listing = self.products.item(product).listing.as_deref();
        if let Some(sale) = Sale::of(event.quantity, event.unit_price, listing) {
            self.sales.add(sale, added.new_basket);
        }
        if added.new_line {
            subject.trim();
            self.products
                .count_basket(product, person, event.time, added.other_baskets);
            if let Some(last) = added.before {
                self.products
                    .count_gap(product, event.time.days_since(last));
            }
            self.products
                .count_stage(product, stage, event.time, weight(event.kind));
            self.go_together(event, person, product);
        }
        // one step for the whole basket, or a large one would push all others out
        if added.new_basket {
            self.add_step(event, person, Some(product));
        }
    }

    /// A step with a product that is not a purchase.
    fn apply_interest(&mut self, event: &Event, person: Person, product: u32) {
        let weight = weight(event.kind);
        if weight <= 0.0 {
            return;
        }
        let Some(subject) = self.people.subject(person) else {
            return;
        };
        let stage = self.settings.journey.stage_at(&subject.steps, event.time);
        self.products.count_step(product, event.time, weight);
        self.products
            .count_stage(product, stage, event.time, weight);
        self.go_together(event, person, product);
        self.visit(event, person, product);
    }

    /// Notes the step in the session it belongs to.
    fn visit(&mut self, event: &Event, person: Person, product: u32) {
        let Some(subject) = self.people.subject_mut(person) else {
            return;
        };
        let name = event.session.as_ref().map(|id| hash(id.as_str()));
        let same = subject.visit.filter(|visit| match name {
            Some(_) => visit.name == name,
            None => (event.time.ms() - visit.last.ms()).abs() <= SILENCE_MS,
        });
        let visit = match same {
            Some(before) => {
                self.next_viewed.add_after(before.product, product, 1.0);
                Visit {
                    last: before.last.max(event.time),
                    product,
                    ..before
                }
            }
            None => Visit {
                session: self.sessions.begin(),
                name,
                last: event.time,
                product,
            },
        };
        subject.visit = Some(visit);
        self.sessions.step(visit.session, product, event.time);
    }

    /// Counts the product together with those of the steps of the day before, the nearer the more.
    fn go_together(&mut self, event: &Event, person: Person, product: u32) {
        let Some(subject) = self.people.subject(person) else {
            return;
        };
        let past = &subject.steps[..subject.steps.partition_point(|s| s.time <= event.time)];
        let oldest = event.time.plus_ms(-TOGETHER_MS);
        let mut lag = 0u8;
        for step in past
            .iter()
            .rev()
            .take(STEP_PARTNERS)
            .take_while(|s| s.time >= oldest)
        {
            let Some(partner) = step.product else {
                continue;
            };
            lag += 1;
            if partner != product && weight(step.kind) > 0.0 {
                let by = weight(event.kind) as f32 / f32::from(lag);
                self.browsed_together.add(partner, product, by);
            }
        }
    }

    fn add_step(&mut self, event: &Event, person: Person, product: Option<u32>) {
        if let Some(subject) = self.people.subject_mut(person) {
            let rating = event.rating.map(|rating| rating as f32);
            subject.add_step(Step {
                time: event.time,
                kind: event.kind,
                product,
                rating,
            });
        }
    }

    fn identify(&mut self, visitor: &VisitorId, customer: Person) {
        let before = self.people.visitor(visitor);
        let history = self.people.identify(visitor, customer);
        if let Some((before, mut history)) = before.zip(history) {
            self.merge(before, customer, &mut history);
        }
    }

    /// Makes a visitor's history the customer's.
    fn merge(&mut self, visitor: Person, customer: Person, history: &mut Subject) {
        let Some(subject) = self.people.subject_mut(customer) else {
            return;
        };
        if let Some((first, last)) = history.seen {
            subject.touch(first, 0);
            subject.touch(last, history.events);
        }
        subject.habits.merge(&history.habits);
        let mut products: Vec<u32> = history.lines.iter().map(|line| line.product).collect();
        products.sort_unstable();
        products.dedup();
        let before: Vec<(u32, u32)> = products
            .iter()
            .map(|&product| (subject.baskets_with(product), history.baskets_with(product)))
            .collect();
        let forgotten_orders = history.orders - history.baskets.len() as u64;
        for place in 0..history.baskets.len() {
            let basket = history.baskets[place];
            if subject.knows_basket(basket.key) {
                // it has its step already
                history.remove_step_of(place);
            }
            for line in history.lines_of(place) {
                subject.add_line(basket.time, basket.key, line.product, line.quantity);
            }
        }
        subject.orders += forgotten_orders;
        let newer = |visit: &Visit| subject.visit.is_none_or(|mine| mine.last < visit.last);
        if let Some(visit) = history.visit.filter(newer) {
            subject.visit = Some(visit);
        }
        for (&product, (mine, theirs)) in products.iter().zip(before) {
            let together = subject.baskets_with(product);
            let counts = [mine, theirs, together];
            self.products
                .count_merge(product, visitor, customer, counts);
        }
        subject.trim();
        for &(time, product) in &history.refunds {
            subject.add_refund(time, product);
        }
        for &step in &history.steps {
            subject.add_step(step);
        }
        for &outcome in &history.outcomes {
            subject.add_outcome(outcome);
        }
        if let Some(book) = history.book.take() {
            self.merge_book(customer, *book);
        }
        self.people.note_baskets(customer);
    }
}

/// The identity of the basket of a purchase: its order's id, or its moment.
fn basket_key(event: &Event) -> u64 {
    match &event.order {
        Some(order) => hash(order.as_str()),
        None => hash(event.time.ms()),
    }
}

fn hash(what: impl std::hash::Hash) -> u64 {
    use std::hash::BuildHasher as _;
    foldhash::quality::FixedState::with_seed(1).hash_one(what)
}

/// How much an event says about the interest in its product.
#[must_use]
pub fn weight(kind: EventKind) -> f64 {
    match kind {
        EventKind::ViewItem | EventKind::SelectItem => 1.0,
        EventKind::AddToWishlist => 2.0,
        EventKind::AddToCart => 3.0,
        EventKind::Purchase => 6.0,
        _ => 0.0,
    }
}
