//! The naive model: keeps every record in a vector and works everything out from the start, as simply as possible.

use std::collections::{BTreeMap, BTreeSet};

use nextbest::domain::journey::{Journey, Rule};
use nextbest::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use nextbest::domain::{
    Event, EventKind, Fingerprint, Offer, Outcome, Product, RecordBody, StageIndex, Subject,
    Timestamp, Traits,
};

use super::history::Act;

/// A basket, by the order's id or by its moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Order(String),
    Moment(Timestamp),
}

/// A basket of somebody.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Basket {
    pub(crate) key: Key,
    pub(crate) time: Timestamp,
    /// In the order in which they came.
    pub(crate) lines: Vec<(String, f32)>,
    /// Which event of its person made it as early as it is.
    moved_by: usize,
}

/// One thing somebody did, as the rules see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) time: Timestamp,
    pub(crate) kind: EventKind,
    pub(crate) product: Option<String>,
    pub(crate) rating: Option<f32>,
}

/// The events of one person, in the order in which they became theirs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) traits: Traits,
    pub(crate) visitors: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) visit: Option<Visit>,
    /// When and where visits began, and the newest event of any.
    pub(crate) began: Vec<(Timestamp, Option<String>)>,
    pub(crate) came: Option<Timestamp>,
}

/// The visit that somebody's last step of interest belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visit {
    /// Its place in [`World::sessions`].
    pub(crate) session: usize,
    /// What the caller calls it.
    pub(crate) name: Option<String>,
    /// Its newest step.
    pub(crate) last: Timestamp,
    /// The product of the step that came last.
    pub(crate) product: String,
}

/// The stage, since when, and the places of the steps that made it so.
pub(crate) type Standing = (StageIndex, Option<Timestamp>, Vec<usize>);

fn product(event: &Event) -> Option<String> {
    event.product.as_ref().map(ToString::to_string)
}

fn key(event: &Event) -> Key {
    match &event.order {
        Some(order) => Key::Order(order.to_string()),
        None => Key::Moment(event.time),
    }
}

impl Person {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    /// Somebody in the shop begins a visit unless they did something there within half an hour of their newest event.
    fn come(&mut self, event: &Event) {
        use EventKind as Kind;
        let elsewhere = [
            Kind::OfferSent,
            Kind::OfferRedeemed,
            Kind::OfferDeclined,
            Kind::OrderDelivered,
            Kind::EmailOpen,
            Kind::Refund,
            Kind::Share,
            Kind::SupportContact,
            Kind::Review,
            Kind::CsatResponse,
            Kind::NpsResponse,
        ];
        if elsewhere.contains(&event.kind) {
            return;
        }
        let near = |came: Timestamp| (event.time.ms() - came.ms()).abs() <= 30 * MINUTE_MS;
        if !self.came.is_some_and(near) {
            let place = event.touchpoint.as_ref().map(ToString::to_string);
            self.began.push((event.time, place));
        }
        self.came = self.came.max(Some(event.time));
    }

    /// Visits on working days and weekends, by two hours of the day.
    pub(crate) fn times(&self) -> [[u16; 12]; 2] {
        let mut times = [[0; 12]; 2];
        for (time, _) in &self.began {
            let moment = jiff::Timestamp::from_millisecond(time.ms()).unwrap();
            let moment = moment.to_zoned(jiff::tz::TimeZone::UTC);
            let is_weekend = moment.weekday().to_monday_zero_offset() >= 5;
            times[usize::from(is_weekend)][moment.hour() as usize / 2] += 1;
        }
        times
    }

    /// How many visits began at each touchpoint.
    pub(crate) fn ways(&self) -> BTreeMap<String, u16> {
        let mut ways = BTreeMap::new();
        for place in self.began.iter().filter_map(|(_, place)| place.clone()) {
            *ways.entry(place).or_default() += 1;
        }
        ways
    }

    /// How often they did one of these.
    pub(crate) fn count(&self, kinds: &[EventKind]) -> u32 {
        let all = self.events.iter();
        all.filter(|event| kinds.contains(&event.kind)).count() as u32
    }

    /// The newest rating: its moment and how it was rated.
    pub(crate) fn rated(&self) -> Option<(Timestamp, f32)> {
        let all = self.events.iter();
        let all = all.filter_map(|event| Some((event.time, event.rating? as f32)));
        all.max_by_key(|&(time, _)| time)
    }

    fn purchases(&self) -> impl Iterator<Item = (usize, &Event, String)> {
        let events = self.events.iter().enumerate();
        events
            .filter(|(_, event)| event.kind == EventKind::Purchase)
            .filter_map(|(i, event)| Some((i, event, product(event)?)))
    }

    /// The baskets, oldest first.
    pub(crate) fn baskets(&self) -> Vec<Basket> {
        let mut baskets: Vec<Basket> = Vec::new();
        for (i, event, product) in self.purchases() {
            let key = key(event);
            if !baskets.iter().any(|basket| basket.key == key) {
                baskets.push(Basket {
                    key: key.clone(),
                    time: event.time,
                    lines: Vec::new(),
                    moved_by: i,
                });
            }
            let basket = baskets.iter_mut().find(|basket| basket.key == key).unwrap();
            if event.time < basket.time {
                (basket.time, basket.moved_by) = (event.time, i);
            }
            let quantity = event.quantity as f32;
            match basket.lines.iter_mut().find(|line| line.0 == product) {
                Some(line) => line.1 += quantity,
                None => basket.lines.push((product, quantity)),
            }
        }
        baskets.sort_by_key(|basket| basket.time);
        baskets
    }

    /// The steps, oldest first: every event but purchases, and each basket once.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<(Timestamp, usize, Step)> = Vec::new();
        for (i, event) in self.events.iter().enumerate() {
            if event.kind != EventKind::Purchase {
                let step = Step {
                    time: event.time,
                    kind: event.kind,
                    product: product(event),
                    rating: event.rating.map(|rating| rating as f32),
                };
                steps.push((event.time, i, step));
            }
        }
        for basket in self.baskets() {
            let step = Step {
                time: basket.time,
                kind: EventKind::Purchase,
                product: Some(basket.lines[0].0.clone()),
                rating: None,
            };
            steps.push((basket.time, basket.moved_by, step));
        }
        steps.sort_by_key(|&(time, i, _)| (time, i));
        steps.into_iter().map(|(_, _, step)| step).collect()
    }

    /// Refunds, oldest first.
    pub(crate) fn refunds(&self) -> Vec<(Timestamp, String)> {
        let refunds = self.events.iter().filter(|e| e.kind == EventKind::Refund);
        let mut refunds: Vec<_> = refunds
            .filter_map(|event| Some((event.time, product(event)?)))
            .collect();
        refunds.sort();
        refunds
    }

    /// What became of offers, oldest first.
    pub(crate) fn outcomes(&self) -> Vec<(Timestamp, String, Outcome)> {
        let outcome = |event: &Event| {
            let offer = event.offer.as_ref()?.to_string();
            Some((event.time, offer, Outcome::of(event.kind)?))
        };
        let mut outcomes: Vec<_> = self.events.iter().filter_map(outcome).collect();
        outcomes.sort_by_key(|&(time, ..)| time);
        outcomes
    }

    /// First and last event.
    pub(crate) fn seen(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || self.events.iter().map(|event| event.time);
        Some((times().min()?, times().max()?))
    }

    fn baskets_with(&self, product: &str) -> usize {
        let with = |basket: &&Basket| basket.holds(product);
        self.baskets().iter().filter(with).count()
    }

    /// The different products in the baskets.
    pub(crate) fn bought(&self) -> BTreeSet<String> {
        self.purchases().map(|(_, _, product)| product).collect()
    }
}

impl Basket {
    pub(crate) fn holds(&self, product: &str) -> bool {
        self.lines.iter().any(|line| line.0 == product)
    }
}

/// Where somebody stands who took `steps`: the rules in plain words.
pub(crate) fn standing(journey: &Journey, steps: &[Step], now: Timestamp) -> Standing {
    let past: Vec<&Step> = steps.iter().filter(|step| step.time <= now).collect();
    for rule in &journey.rules {
        if let Some((since, evidence)) = rule_holds(rule, &past, now) {
            return (rule.stage, Some(since), evidence);
        }
    }
    (journey.otherwise, None, Vec::new())
}

fn rule_holds(rule: &Rule, past: &[&Step], now: Timestamp) -> Option<(Timestamp, Vec<usize>)> {
    let has_bought = past.iter().any(|step| step.kind == EventKind::Purchase);
    if rule.has_bought.is_some_and(|wanted| wanted != has_bought) {
        return None;
    }
    let reset = (0..past.len()).rfind(|&i| rule.after_last.contains(past[i].kind));
    let good = |step: &Step| match (rule.min_rating, step.rating) {
        (Some(least), Some(rating)) => rating >= least,
        _ => true,
    };
    // newest first
    let counted: Vec<usize> = (0..past.len())
        .rev()
        .filter(|&i| reset.is_none_or(|reset| i > reset))
        .filter(|&i| rule.kinds.contains(past[i].kind) && good(past[i]))
        .collect();
    let age = |i: usize| now.ms() - past[i].time.ms();
    let young = counted.iter().filter(|&&i| age(i) <= rule.within_ms);
    if young.count() < rule.at_least || age(counted[0]) < rule.from_ms {
        return None;
    }
    let mut alive = vec![counted[0]];
    for &i in &counted[1..] {
        if past[alive[alive.len() - 1]].time.ms() - past[i].time.ms() > rule.within_ms {
            break;
        }
        alive.push(i);
    }
    alive.reverse();
    let since = if rule.from_ms > 0 {
        past[counted[0]].time.plus_ms(rule.from_ms)
    } else {
        past[alive[rule.at_least - 1]].time
    };
    let evidence = alive[alive.len().saturating_sub(5)..].to_vec();
    Some((since, evidence))
}

/// What is added to a sum that fades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sum {
    Bought,
    Browsed,
    Stage(u8),
}

/// A product in the catalog, and the newest news of it.
pub(crate) type Listed = (Product, Option<Timestamp>);

/// Everything, worked out from the records.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// In the order in which they became known.
    pub(crate) customers: Vec<Person>,
    /// Nobody's.
    pub(crate) visitors: Vec<Person>,
    /// In the order in which they became known.
    pub(crate) products: Vec<String>,
    pub(crate) catalog: BTreeMap<String, Listed>,
    /// In the order in which they became known.
    pub(crate) offers: Vec<String>,
    /// In the order in which they were first created: as they were written last, and when they were deleted.
    pub(crate) offered: Vec<(Offer, Option<Timestamp>)>,
    pub(crate) sums: Vec<(Sum, String, Timestamp, f64)>,
    /// How many baskets held a product when it was bought last.
    pub(crate) popular: BTreeMap<String, usize>,
    /// The ids of purchases, in the order in which they came.
    purchases: Vec<(Fingerprint, String)>,
    /// Product and days: how long after the basket before it one of the same person with it was folded. At that moment:
    /// a basket that comes late between two others counts from the one before it, and the one after it, which was
    /// counted from there as well, is not counted again; neither is anything when two people turn out to be one.
    pub(crate) gaps: Vec<(String, f64)>,
    /// The days from the first to the second order of everybody who came to have two by ordering.
    pub(crate) second_orders: Vec<f64>,
    /// What was looked at in the same visit, in the order of the last step with it. A step of interest goes on with the
    /// visit of the person's step before (the last that came, not the newest) if it names the same session, or names
    /// none and is within 30 minutes of that visit's newest step, to either side; else another visit begins.
    pub(crate) sessions: Vec<Vec<String>>,
    /// How often a visit went from one product (the first) to another, in the order in which its steps came.
    pub(crate) next_viewed: BTreeMap<(String, String), f64>,
    pub(crate) browsed_together: BTreeMap<(String, String), f64>,
    pub(crate) activations: Vec<String>,
    pub(crate) newest: Timestamp,
    pub(crate) first: BTreeMap<String, Timestamp>,
}

/// The records that stand after a history: new by their ids, and not erased.
pub(crate) fn standing_records(journey: &Journey, acts: &[Act]) -> Vec<RecordBody> {
    let mut known: BTreeSet<Fingerprint> = BTreeSet::new();
    let mut records: Vec<RecordBody> = Vec::new();
    for act in acts {
        match act {
            Act::Write(RecordBody::Event(event)) if !known.insert(event.key) => {}
            Act::Write(body) => records.push(body.clone()),
            Act::Erase(id) => {
                let world = World::of(journey, &records);
                let person = world.customers.iter().find(|c| c.id == id.as_str());
                let events = person.map_or(&[][..], |person| &person.events);
                let theirs: BTreeSet<Fingerprint> = events.iter().map(|e| e.key).collect();
                records.retain(|body| match body {
                    RecordBody::Event(event) => !theirs.contains(&event.key),
                    RecordBody::CustomerUpserted(customer) => customer.id != *id,
                    RecordBody::VisitorIdentified { customer, .. } => customer != id,
                    _ => true,
                });
            }
            Act::Again(_) => unreachable!("spelt out"),
        }
    }
    records
}

impl World {
    pub(crate) fn of(journey: &Journey, records: &[RecordBody]) -> Self {
        let mut world = Self::default();
        for record in records {
            world.take(journey, record);
        }
        world
    }

    fn take(&mut self, journey: &Journey, record: &RecordBody) {
        match record {
            RecordBody::Event(event) => self.happen(journey, event),
            RecordBody::ProductUpserted(product) => {
                let id = product.id.to_string();
                self.know(&id);
                let news = self.catalog.get(&id).and_then(|listed| listed.1);
                self.catalog.insert(id, ((**product).clone(), news));
            }
            RecordBody::ProductDeleted(id) => {
                self.catalog.remove(id.as_str());
            }
            RecordBody::InventorySet(id, news) => {
                if let Some((product, known)) = self.catalog.get_mut(id.as_str())
                    && known.is_none_or(|known| known < news.set_at)
                {
                    *known = Some(news.set_at);
                    product.available = news.available.unwrap_or(product.available);
                    product.price = news.price.or(product.price);
                }
            }
            RecordBody::OfferUpserted(offer) => {
                self.know_offer(offer.id.as_str());
                for product in &offer.product_ids {
                    self.know(product.as_str());
                }
                let entry = ((**offer).clone(), None);
                match self.offered.iter_mut().find(|other| other.0.id == offer.id) {
                    Some(before) => *before = entry,
                    None => self.offered.push(entry),
                }
            }
            RecordBody::OfferDeleted(id) => {
                let found = self.offered.iter_mut().find(|offered| offered.0.id == *id);
                if let Some((_, deleted_at)) = found {
                    *deleted_at = Some(super::history::slot(0));
                }
            }
            RecordBody::CustomerUpserted(customer) => {
                let traits = customer.traits.clone();
                self.customer(customer.id.as_str()).traits = traits;
            }
            RecordBody::VisitorIdentified { visitor, customer } => {
                self.identify(visitor.as_str(), customer.as_str());
            }
            RecordBody::ModelActivated(id) => {
                self.activations.retain(|other| **other != **id);
                self.activations.push(id.to_string());
            }
            RecordBody::OfferReserved(_)
            | RecordBody::OfferReleased(_)
            | RecordBody::OfferSpent(_) => unreachable!("offer_ledger has histories of these"),
            // what it gives is told by `decisions`
            RecordBody::AnswerKept(_) => {}
            RecordBody::CustomerErased(_) | RecordBody::Redacted => {}
        }
    }

    fn know(&mut self, product: &str) {
        if !self.products.iter().any(|known| known == product) {
            self.products.push(product.to_owned());
        }
    }

    fn know_offer(&mut self, offer: &str) {
        if !self.offers.iter().any(|known| known == offer) {
            self.offers.push(offer.to_owned());
        }
    }

    fn customer(&mut self, id: &str) -> &mut Person {
        if !self.customers.iter().any(|customer| customer.id == id) {
            self.customers.push(Person::new(id));
        }
        let mut all = self.customers.iter_mut();
        all.find(|customer| customer.id == id).unwrap()
    }

    fn visitors_of(&self, customer: &str) -> Vec<String> {
        let found = self.customers.iter().find(|person| person.id == customer);
        found.map_or_else(Vec::new, |person| person.visitors.clone())
    }

    fn identify(&mut self, visitor: &str, customer: &str) {
        self.customer(customer);
        if self.visitors_of(customer).iter().any(|v| v == visitor) {
            return;
        }
        for other in &mut self.customers {
            other.visitors.retain(|v| v != visitor);
        }
        let before = self.visitors.iter().position(|v| v.id == visitor);
        let before = before.map(|place| self.visitors.remove(place));
        let person = self.customer(customer);
        person.visitors.push(visitor.to_owned());
        let before = before.unwrap_or_default();
        person.events.extend(before.events);
        person.began.extend(before.began);
        person.came = person.came.max(before.came);
        // they go on with the visit that has the newer step; the customer's if both are as new
        let last = |visit: &Option<Visit>| visit.as_ref().map(|visit| visit.last);
        if last(&person.visit) < last(&before.visit) {
            person.visit = before.visit;
        }
    }

    /// Notes a step of interest in the visit it belongs to.
    fn visit(&mut self, event: &Event, product: &str) {
        let name = event.session.as_ref().map(ToString::to_string);
        let began = self.sessions.len();
        let visit = &mut self.owner(&event.subject).visit;
        let goes_on = visit.as_ref().is_some_and(|visit| match &name {
            Some(_) => visit.name == name,
            None => (event.time.ms() - visit.last.ms()).abs() <= 30 * MINUTE_MS,
        });
        if !goes_on {
            *visit = Some(Visit {
                session: began,
                name,
                last: event.time,
                product: product.to_owned(),
            });
        }
        let visit = visit.as_mut().unwrap();
        visit.last = visit.last.max(event.time);
        let before = std::mem::replace(&mut visit.product, product.to_owned());
        let session = visit.session;
        if before != product {
            *self
                .next_viewed
                .entry((before, product.to_owned()))
                .or_default() += 1.0;
        }
        if session == began {
            self.sessions.push(Vec::new());
        }
        let products = &mut self.sessions[session];
        products.retain(|other| other != product);
        products.push(product.to_owned());
    }

    /// Whose the events of this subject are.
    fn owner(&mut self, subject: &Subject) -> &mut Person {
        match subject {
            Subject::Customer { customer, visitor } => {
                if let Some(visitor) = visitor {
                    self.identify(visitor.as_str(), customer.as_str());
                }
                self.customer(customer.as_str())
            }
            Subject::Visitor(visitor) => {
                let id = visitor.to_string();
                let owner = self.customers.iter().position(|c| c.visitors.contains(&id));
                if let Some(owner) = owner {
                    return &mut self.customers[owner];
                }
                if !self.visitors.iter().any(|v| v.id == id) {
                    self.visitors.push(Person::new(&id));
                }
                self.visitors.iter_mut().find(|v| v.id == id).unwrap()
            }
        }
    }

    fn happen(&mut self, journey: &Journey, event: &Event) {
        self.newest = self.newest.max(event.time);
        let person = self.owner(&event.subject);
        let before = person.clone();
        person.come(event);
        person.events.push(event.clone());
        let after = person.clone();
        if let Some(offer) = event
            .offer
            .as_ref()
            .filter(|_| Outcome::of(event.kind).is_some())
        {
            self.know_offer(offer.as_str());
        }
        let Some(product) = product(event) else {
            return;
        };
        self.know(&product);
        let first = self.first.entry(product.clone()).or_insert(event.time);
        *first = event.time.min(*first);

        let stage = Sum::Stage(standing(journey, &before.steps(), event.time).0.0);
        let weight = match event.kind {
            EventKind::ViewItem | EventKind::SelectItem => 1.0,
            EventKind::AddToWishlist => 2.0,
            EventKind::AddToCart => 3.0,
            EventKind::Purchase => 6.0,
            _ => return,
        };
        if event.kind != EventKind::Purchase {
            self.add(Sum::Browsed, &product, event.time, weight);
            self.add(stage, &product, event.time, weight);
            self.browse(&before.steps(), event.time, &product, weight);
            self.visit(event, &product);
            return;
        }
        self.purchases.push((event.key, product.clone()));
        let known = before.baskets().into_iter().find(|b| b.key == key(event));
        let lines = known.as_ref().map_or(&[][..], |basket| &basket.lines);
        if lines.iter().any(|line| line.0 == product) {
            return;
        }
        let all = after.baskets();
        if let ([first, second], None) = (&*all, &known) {
            let ms = second.time.ms() - first.time.ms();
            self.second_orders.push(ms as f64 / DAY_MS as f64);
        }
        let this = all.iter().find(|b| b.key == key(event)).unwrap();
        let earlier = all
            .iter()
            .filter(|b| b.time < this.time && b.holds(&product));
        if let Some(last) = earlier.map(|b| b.time).max() {
            let days = (event.time.ms() - last.ms()) as f64 / DAY_MS as f64;
            self.gaps.push((product.clone(), days));
        }
        self.add(Sum::Bought, &product, event.time, 1.0);
        self.add(stage, &product, event.time, weight);
        let baskets = self.baskets_with(&product);
        self.popular.insert(product.clone(), baskets);
        // an earlier line has moved the step of its basket
        let around = if known.is_some() { after } else { before };
        self.browse(&around.steps(), event.time, &product, weight);
    }

    fn add(&mut self, sum: Sum, product: &str, time: Timestamp, weight: f64) {
        self.sums.push((sum, product.to_owned(), time, weight));
    }

    /// Counts the product with those of the ten steps before, of the last day.
    fn browse(&mut self, steps: &[Step], now: Timestamp, product: &str, weight: f64) {
        let past: Vec<&Step> = steps.iter().filter(|step| step.time <= now).collect();
        let last = past.iter().rev().take(10);
        let day = last.filter(|step| now.ms() - step.time.ms() <= 24 * HOUR_MS);
        let with_product = day.filter_map(|step| Some((step.kind, step.product.clone()?)));
        for (i, (kind, other)) in with_product.enumerate() {
            if other != product && nextbest::state::weight(kind) > 0.0 {
                let by = weight / (i + 1) as f64;
                pair(&mut self.browsed_together, product, &other, by);
            }
        }
    }

    pub(crate) fn people(&self) -> impl Iterator<Item = &Person> {
        self.customers.iter().chain(&self.visitors)
    }

    /// Baskets of everybody that hold the product.
    pub(crate) fn baskets_with(&self, product: &str) -> usize {
        self.people().map(|p| p.baskets_with(product)).sum()
    }

    /// Those who bought the product in `least` baskets or more.
    pub(crate) fn buyers(&self, product: &str, least: usize) -> usize {
        let people = self.people();
        people.filter(|p| p.baskets_with(product) >= least).count()
    }

    /// The ids of those who bought the product, each once, in the order in which their first purchase of it came,
    /// whoever they were taken for at that moment.
    pub(crate) fn last_buyers(&self, product: &str) -> Vec<&str> {
        let mut buyers: Vec<&str> = Vec::new();
        let purchases = self.purchases.iter();
        for (key, _) in purchases.filter(|(_, other)| other == product) {
            let mut people = self.people();
            let theirs = |person: &&Person| person.events.iter().any(|event| event.key == *key);
            let buyer = people.find(theirs).unwrap().id.as_str();
            if !buyers.contains(&buyer) {
                buyers.push(buyer);
            }
        }
        buyers
    }

    /// How long people took to buy a product again, or anything: how often, Σ ln(days + 1), Σ ln(days + 1)².
    pub(crate) fn gaps(&self, product: Option<&str>) -> [f64; 3] {
        let gaps = self.gaps.iter();
        let gaps = gaps.filter(|gap| product.is_none_or(|product| gap.0 == product));
        logarithms(gaps.map(|gap| gap.1))
    }

    /// The same of second orders.
    pub(crate) fn second_orders(&self) -> [f64; 3] {
        logarithms(self.second_orders.iter().copied())
    }

    /// A sum that fades, by the formula.
    pub(crate) fn sum(&self, sum: Sum, product: &str, now: Timestamp, half_life: f64) -> f64 {
        let added = self.sums.iter().filter(|a| a.0 == sum && a.1 == product);
        added
            .map(|&(_, _, time, weight)| {
                let days = (now.ms() - time.ms()) as f64 / DAY_MS as f64;
                weight * (-days / half_life).exp2()
            })
            .sum()
    }
}

fn pair(table: &mut BTreeMap<(String, String), f64>, a: &str, b: &str, by: f64) {
    *table.entry((a.to_owned(), b.to_owned())).or_default() += by;
    *table.entry((b.to_owned(), a.to_owned())).or_default() += by;
}

/// How many, Σ ln(days + 1), Σ ln(days + 1)².
fn logarithms(days: impl Iterator<Item = f64>) -> [f64; 3] {
    let logs: Vec<f64> = days.map(|days| (days + 1.0).ln()).collect();
    let squares = logs.iter().map(|log| log * log).sum();
    [logs.len() as f64, logs.iter().sum(), squares]
}
