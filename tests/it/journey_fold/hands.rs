//! The recount by hand: each person's list, midnight by midnight, nothing in advance.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nextbest::domain::journey::Step;
use nextbest::domain::time::{DAY_MS, MINUTE_MS};
use nextbest::domain::{Credit, Event, EventKind, Product, StageIndex, Timestamp, Touchpoint};
use nextbest::state::journeys::JourneySettings;
use nextbest::state::journeys::histogram::bucket;
use nextbest::state::journeys::key::{Arm, Ending, Measure, NO_STAGE, Origin, Rating};
use nextbest::state::journeys::table::{Day, day_of, midnight};

use super::history::Act;

/// Where something counts: group, stage, touchpoint.
pub(super) type Spot = (u16, u8, String);
/// What is counted: day, measure, where, and what the measure says it is, in words.
pub(super) type Key = (Day, u8, Spot, String);
/// By what is counted.
pub(super) type Counts = BTreeMap<Key, i64>;

/// Beside the measures: moves between stages by a touchpoint that one of the two stays came to, in words "from to".
pub(super) const THROUGH: u8 = u8::MAX;

/// What somebody does outside the shop.
const NOT_IN_A_VISIT: [EventKind; 6] = [
    EventKind::NpsResponse,
    EventKind::CsatResponse,
    EventKind::Review,
    EventKind::SupportContact,
    EventKind::OfferSent,
    EventKind::OrderDelivered,
];

/// What the recount needs besides the history.
pub(super) struct World<'a> {
    pub(super) settings: &'a JourneySettings,
    pub(super) products: &'a [Product],
    pub(super) group: &'a dyn Fn(&str) -> u16,
    pub(super) arm: &'a dyn Fn(&str) -> Arm,
}

/// A step of a visit.
struct Seen {
    ms: i64,
    session: Option<String>,
    kind: EventKind,
    spot: Spot,
    category: Option<String>,
}

struct Order {
    id: String,
    time: i64,
    spot: Spot,
    /// In micros.
    revenue: i64,
    credited: Option<i64>,
    with_offer: i64,
}

#[derive(Default)]
struct Walk {
    customer: Option<String>,
    is_known: bool,
    stage: Option<u8>,
    group: u16,
    is_open: bool,
    since: i64,
    quiet_since: i64,
    last: Option<i64>,
    origin: String,
    place: String,
    passed: BTreeSet<String>,
    /// What the stay before had passed, if it ended with the move to this one.
    passed_before: BTreeSet<String>,
    steps: Vec<Step>,
    waiting: Vec<Step>,
    visits: Vec<Vec<Seen>>,
    /// Every use of an open cart, the last one last.
    cart: Vec<(i64, Spot)>,
    orders: Vec<Order>,
}

/// How a stay began, in words.
pub(super) fn origin_text(origin: Origin) -> String {
    format!("{origin:?}")
}

/// How a stay ended, in words.
pub(super) fn ending_text(ending: Ending) -> String {
    format!("{ending:?}")
}

fn units(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn count(counts: &mut Counts, ms: i64, measure: Measure, spot: &Spot, detail: &str, by: i64) {
    let day = day_of(Timestamp::from_ms(ms));
    let key = (day, measure as u8, spot.clone(), detail.to_owned());
    *counts.entry(key).or_default() += by;
}

impl Walk {
    fn own_group(&self, world: &World<'_>) -> u16 {
        self.customer.as_deref().map_or(0, world.group)
    }

    fn at(&self, place: &str) -> Spot {
        let stage = self.stage.unwrap_or(NO_STAGE);
        (self.group, stage, place.to_owned())
    }

    fn begin(&mut self, ms: i64, stage: u8, origin: Origin, place: &str, counts: &mut Counts) {
        self.origin = origin_text(origin);
        (self.stage, self.is_open, self.since) = (Some(stage), true, ms);
        let passed = std::mem::take(&mut self.passed);
        self.passed_before = match origin {
            Origin::From(_) => passed,
            Origin::New | Origin::Returned => BTreeSet::new(),
        };
        self.place = place.to_owned();
        let spot = self.at(place);
        count(counts, ms, Measure::Began, &spot, &self.origin, 1);
        self.reach(ms, place, counts);
    }

    /// Comes to a touchpoint, maybe for the first time in this stay.
    fn reach(&mut self, ms: i64, place: &str, counts: &mut Counts) {
        if !self.passed.insert(place.to_owned()) {
            return;
        }
        let spot = self.at(place);
        count(counts, ms, Measure::Reached, &spot, &self.origin, 1);
        if self.passed_before.contains(place) {
            count(counts, ms, Measure::Again, &spot, &self.origin, 1);
        } else if let Some(from) = self.origin.strip_prefix("From(") {
            let from = from.trim_end_matches(')');
            self.through(ms, place, &format!("{from} {}", spot.1), counts);
        }
    }

    fn through(&self, ms: i64, place: &str, moves: &str, counts: &mut Counts) {
        let day = day_of(Timestamp::from_ms(ms));
        let key = (day, THROUGH, self.at(place), moves.to_owned());
        *counts.entry(key).or_default() += 1;
    }

    fn end(&mut self, ms: i64, ending: Ending, counts: &mut Counts) {
        let text = ending_text(ending);
        count(counts, ms, Measure::Ended, &self.at(&self.place), &text, 1);
        for place in &self.passed {
            let spot = self.at(place);
            count(counts, ms, Measure::Passed, &spot, &text, 1);
            if let Ending::To(to) = ending {
                self.through(ms, place, &format!("{} {to}", spot.1), counts);
            }
        }
        if matches!(ending, Ending::To(_)) {
            let length = bucket(ms - self.since).to_string();
            count(counts, ms, Measure::Stayed, &self.at(""), &length, 1);
        }
        self.is_open = false;
    }

    /// Lets the midnights pass until `now`.
    fn pass(&mut self, now: i64, settings: &JourneySettings, counts: &mut Counts) {
        let Some(last) = self.last else { return };
        let first = day_of(Timestamp::from_ms(last)) + 1;
        for day in first..=day_of(Timestamp::from_ms(now)) {
            let at = midnight(day);
            if at.ms() <= self.quiet_since && at.ms() <= last {
                continue;
            }
            if self
                .cart
                .last()
                .is_some_and(|use_of| at.ms() >= use_of.0 + 3 * DAY_MS)
            {
                self.end_cart(at.ms(), Measure::CartsAbandoned, counts);
            }
            let Some(stage) = self.stage.filter(|_| self.is_open) else {
                continue;
            };
            if at.ms() <= self.quiet_since {
                continue;
            }
            let horizon = settings.places.horizon_ms(StageIndex(stage));
            let there = settings.journey.stage_at(&self.steps, at).0;
            if at.ms() >= self.quiet_since + horizon {
                self.end(at.ms(), Ending::Left, counts);
            } else if there > stage {
                self.end(at.ms(), Ending::To(there), counts);
                let place = self.place.clone();
                self.begin(at.ms(), there, Origin::From(stage), &place, counts);
                self.quiet_since = at.ms();
            }
        }
    }

    fn add_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            let at = self.steps.partition_point(|other| other.time <= step.time);
            self.steps.insert(at, step);
        }
    }

    fn take(&mut self, event: &Event, world: &World<'_>, counts: &mut Counts) {
        let named = event.touchpoint.as_ref().map(Touchpoint::as_str);
        let place = world
            .settings
            .places
            .touchpoint(event.kind, named)
            .to_owned();
        let ms = event.time.ms();
        let is_sale = event.kind == EventKind::Purchase;
        let is_move = event.kind != EventKind::OfferSent && self.last.is_none_or(|l| l <= ms);
        let mut before = None;
        if is_move {
            before = self.step(event, &place, world, counts);
        }
        if self.stage.is_none() {
            self.group = self.own_group(world);
        }
        let here = self.at(&place);
        count(counts, ms, Measure::Events, &here, "", 1);
        if let Some(rating) = event.rating {
            rate(event.kind, rating, ms, &here, counts);
        }
        if is_sale {
            let spot = before.map_or(here, |(group, stage)| (group, stage, place));
            // all lines of an order count where its first one was placed
            let known = self
                .order_of(event)
                .map(|number| self.orders[number].spot.clone());
            self.sell(event, &known.unwrap_or(spot), world, counts);
        }
    }

    /// A step that is not late; where they were before, if they were anywhere.
    fn step(
        &mut self,
        event: &Event,
        place: &str,
        world: &World<'_>,
        counts: &mut Counts,
    ) -> Option<(u16, u8)> {
        let (settings, ms) = (world.settings, event.time.ms());
        self.pass(ms, settings, counts);
        let stage_before = self.stage.filter(|_| self.is_open);
        let before = stage_before.map(|stage| (self.group, stage));
        let was_at = self.place.clone();
        let waiting = std::mem::take(&mut self.waiting);
        self.add_steps(waiting);
        if event.kind != EventKind::Purchase || self.order_of(event).is_none() {
            self.add_steps(vec![Step {
                time: event.time,
                kind: event.kind,
                product: None,
                rating: event.rating.map(|rating| rating as f32),
            }]);
        }
        self.become_known(ms, world, counts);
        let stage = settings.journey.stage_at(&self.steps, event.time).0;
        let group = self.own_group(world);
        let (mut is_step, mut is_move) = (false, false);
        match (self.stage, self.is_open) {
            (Some(before), true) if before == stage => {
                is_step = true;
                self.reach(ms, place, counts);
            }
            (Some(before), true) => {
                is_move = true;
                self.end(ms, Ending::To(stage), counts);
                self.group = group;
                self.begin(ms, stage, Origin::From(before), place, counts);
            }
            (known, _) => {
                let origin = known.map_or(Origin::New, |_| Origin::Returned);
                self.group = group;
                self.begin(ms, stage, origin, place, counts);
            }
        }
        (self.last, self.quiet_since) = (Some(ms), ms);
        self.place = place.to_owned();
        let here = self.at(place);
        if is_step {
            count(counts, ms, Measure::Steps, &here, "", 1);
        }
        let is_same_visit = self.visit(event, &here, world.products);
        if was_at != place && (is_step || is_move && is_same_visit) {
            count(counts, ms, Measure::Flow, &self.at(&was_at), place, 1);
        }
        self.use_cart(event.kind, ms, here, counts);
        before
    }

    fn use_cart(&mut self, kind: EventKind, ms: i64, here: Spot, counts: &mut Counts) {
        match kind {
            EventKind::AddToCart => self.cart.push((ms, here)),
            EventKind::ViewCart if !self.cart.is_empty() => self.cart.push((ms, here)),
            EventKind::Purchase if !self.cart.is_empty() => {
                self.end_cart(ms, Measure::CartsBought, counts);
            }
            _ => {}
        }
    }

    /// Counts an open cart where it was used last, and at every touchpoint where that was used last there.
    fn end_cart(&mut self, ms: i64, measure: Measure, counts: &mut Counts) {
        let uses = std::mem::take(&mut self.cart);
        let (_, last) = &uses[uses.len() - 1];
        count(counts, ms, measure, last, "", 1);
        let places: BTreeSet<&String> = uses.iter().map(|(_, spot)| &spot.2).collect();
        for place in places {
            let last = uses.iter().rfind(|(_, spot)| spot.2 == *place).unwrap();
            count(counts, ms, Measure::CartsUsed, &last.1, "", 1);
        }
    }

    /// Notes a step of a visit. True if it goes on with the last one.
    fn visit(&mut self, event: &Event, here: &Spot, products: &[Product]) -> bool {
        if NOT_IN_A_VISIT.contains(&event.kind) {
            return false;
        }
        let product = event.product.as_ref();
        let product = product.filter(|_| event.kind == EventKind::ViewItem);
        let product = product.and_then(|id| products.iter().find(|known| known.id == *id));
        let step = Seen {
            ms: event.time.ms(),
            session: event.session.as_ref().map(|id| id.as_str().to_owned()),
            kind: event.kind,
            spot: here.clone(),
            category: product.map(|product| product.category[0].to_string()),
        };
        let last = self.visits.last_mut().filter(|visit| {
            // the session of a visit is that of its first step
            let (first, last) = (&visit[0], &visit[visit.len() - 1]);
            match &step.session {
                Some(_) => first.session == step.session,
                None => step.ms - last.ms <= 30 * MINUTE_MS,
            }
        });
        match last {
            Some(visit) => {
                visit.push(step);
                true
            }
            None => {
                self.visits.push(vec![step]);
                false
            }
        }
    }

    fn order_of(&self, event: &Event) -> Option<usize> {
        let id = event.order.as_ref()?.as_str();
        self.orders.iter().position(|order| order.id == id)
    }

    fn sell(&mut self, event: &Event, spot: &Spot, world: &World<'_>, counts: &mut Counts) {
        let product = world.products.iter();
        let product = product
            .clone()
            .find(|known| Some(&known.id) == event.product.as_ref());
        let listed = product.and_then(|product| product.currency);
        let currency = match event.unit_price {
            Some(price) if price.currency.is_some() => price.currency,
            _ => listed,
        };
        let code = currency.map_or(String::new(), |code| code.as_str().to_owned());
        let price = event.unit_price.map(|price| price.amount);
        let price = price.or(product.and_then(|product| product.price));
        let paid = |unit: i64| (event.quantity * unit as f64).round() as i64;
        let revenue = price.map_or(0, |price| paid(price.0));
        let mut add = |measure, detail: &str, by| {
            count(counts, event.time.ms(), measure, spot, detail, by);
        };
        add(Measure::Revenue, &code, revenue);
        let cost = product.filter(|product| product.currency == currency);
        let cost = cost.and_then(|product| product.unit_cost).zip(price);
        if let Some((cost, price)) = cost {
            add(Measure::CostedRevenue, &code, revenue);
            add(Measure::Margin, &code, paid(price.0 - cost.0));
        }
        let (mut is_credited, mut has_offer) = (false, false);
        if let Some(Credit::Proven(proven)) = &event.credit
            && proven.is_theirs
        {
            is_credited = !proven.shown.is_empty();
            let offers = proven.offers.as_ref();
            has_offer = offers.is_some_and(|decision| !decision.offers.is_empty());
        }
        let known = self.order_of(event);
        let is_again = !self.orders.is_empty();
        let number = known.unwrap_or_else(|| {
            let id = event.order.as_ref().unwrap().as_str();
            self.orders.push(Order {
                id: id.to_owned(),
                time: event.time.ms(),
                spot: spot.clone(),
                revenue: 0,
                credited: None,
                with_offer: 0,
            });
            self.orders.len() - 1
        });
        let arm = self.customer.as_deref().map(world.arm);
        let arm = arm.map(|arm| format!("{arm:?} {code}"));
        if known.is_none() {
            let again = if is_again { " again" } else { "" };
            add(Measure::Orders, &format!("{code}{again}"), 1);
            if let Some(arm) = &arm {
                add(Measure::ArmOrders, arm, 1);
            }
        }
        let order = &mut self.orders[number];
        let products = |order: &Order| {
            let [all, own, offered] =
                [order.revenue, order.credited.unwrap_or(0), order.with_offer].map(units);
            [
                all * all,
                own * own,
                own * all,
                offered * offered,
                offered * all,
            ]
            .map(|product| product.round() as i64)
        };
        let before = products(order);
        order.revenue += revenue;
        if is_credited {
            add(Measure::CreditedRevenue, &code, revenue);
            if order.credited.is_none() {
                add(Measure::CreditedOrders, &code, 1);
            }
            order.credited = Some(order.credited.unwrap_or(0) + revenue);
        }
        if has_offer {
            add(Measure::OfferRevenue, &code, revenue);
            order.with_offer += revenue;
        }
        let after = products(order);
        let measures = [
            Measure::OrderSquares,
            Measure::CreditedSquares,
            Measure::CreditedProducts,
            Measure::OfferSquares,
            Measure::OfferProducts,
        ];
        for (place, measure) in measures.into_iter().enumerate() {
            add(measure, &code, after[place] - before[place]);
        }
        if let Some(arm) = &arm {
            add(Measure::ArmRevenue, arm, revenue);
            add(Measure::ArmSquares, arm, after[0] - before[0]);
        }
    }

    /// Counts a customer on the day on which they first did something.
    fn become_known(&mut self, ms: i64, world: &World<'_>, counts: &mut Counts) {
        let Some(customer) = self.customer.as_deref().filter(|_| !self.is_known) else {
            return;
        };
        let spot = ((world.group)(customer), NO_STAGE, String::new());
        let arm = format!("{:?}", (world.arm)(customer));
        count(counts, ms, Measure::Known, &spot, &arm, 1);
        self.is_known = true;
    }

    /// Takes over what a visitor did who turned out to be this customer.
    fn join(&mut self, mut gone: Walk, now: i64, world: &World<'_>, counts: &mut Counts) {
        gone.pass(now, world.settings, counts);
        if gone.is_open {
            gone.end(gone.last.unwrap(), Ending::Joined, counts);
        }
        if gone.last > self.last {
            let last = gone.last.unwrap();
            self.pass(last, world.settings, counts);
            if self.is_open {
                self.reach(last, &gone.place, counts);
            }
            (self.last, self.place) = (gone.last, gone.place.clone());
            self.quiet_since = last.max(self.since);
            let waiting = std::mem::take(&mut self.waiting);
            self.add_steps(waiting);
            self.add_steps(gone.steps);
            self.add_steps(gone.waiting);
        } else {
            self.waiting.extend(gone.steps);
            self.waiting.extend(gone.waiting);
        }
        let last = |walk: &[Vec<Seen>]| walk.last().and_then(|visit| Some(visit.last()?.ms));
        match last(&gone.visits) > last(&self.visits) {
            true => self.visits.append(&mut gone.visits),
            false => drop(self.visits.splice(0..0, gone.visits)),
        }
        // two carts that turn out to be one
        self.cart.append(&mut gone.cart);
        self.cart.sort_by_key(|use_of| use_of.0);
        self.orders.append(&mut gone.orders);
    }

    /// Counts what is known in the end alone: visits, and first orders.
    fn finish(&mut self, world: &World<'_>, counts: &mut Counts) {
        for visit in &self.visits {
            let first = &visit[0];
            count(counts, first.ms, Measure::Visits, &first.spot, "", 1);
            if visit.iter().any(|step| step.kind == EventKind::Purchase) {
                count(
                    counts,
                    first.ms,
                    Measure::VisitsWithOrder,
                    &first.spot,
                    "",
                    1,
                );
            }
            let mut looked = BTreeSet::new();
            for step in visit {
                if let Some(category) = &step.category
                    && looked.insert(category)
                {
                    count(counts, step.ms, Measure::Looked, &step.spot, category, 1);
                }
            }
            let last = &visit[visit.len() - 1];
            if let Some(category) = &last.category {
                count(
                    counts,
                    last.ms,
                    Measure::LookedLast,
                    &last.spot,
                    category,
                    1,
                );
            }
        }
        let group = self.own_group(world);
        self.orders.sort_by_key(|order| order.time);
        if let [first, rest @ ..] = self.orders.as_slice() {
            let spot = (group, first.spot.1, first.spot.2.clone());
            count(counts, first.time, Measure::FirstOrders, &spot, "", 1);
            if let Some(second) = rest.first() {
                let between = bucket(second.time - first.time).to_string();
                count(
                    counts,
                    first.time,
                    Measure::SecondOrders,
                    &spot,
                    &between,
                    1,
                );
            }
        }
    }
}

fn rate(kind: EventKind, rating: f64, ms: i64, spot: &Spot, counts: &mut Counts) {
    let (what, scaled, is_high, is_low) = match kind {
        EventKind::Review => (
            Rating::Review,
            rating / 2.0 - 1.5,
            rating > 3.5,
            rating < 2.5,
        ),
        EventKind::CsatResponse => (Rating::Csat, rating / 2.0 - 1.5, rating > 3.5, rating < 2.5),
        _ => (Rating::Nps, rating / 5.0 - 1.0, rating > 8.5, rating < 6.5),
    };
    let detail = format!("{what:?}");
    let mut add = |measure, by: f64| count(counts, ms, measure, spot, &detail, by.round() as i64);
    add(Measure::Ratings, 1.0);
    add(Measure::RatingSum, scaled * 1e3);
    add(Measure::RatingSquares, scaled * scaled * 1e6);
    add(Measure::RatingsHigh, if is_high { 1.0 } else { 0.0 });
    add(Measure::RatingsLow, if is_low { 1.0 } else { 0.0 });
}

/// Everybody, with whose each visitor is.
#[derive(Default)]
struct People {
    walks: Vec<Walk>,
    customers: HashMap<String, usize>,
    /// The walk of a visitor who is nobody's, or the customer.
    visitors: HashMap<String, Result<usize, String>>,
    joined: BTreeSet<usize>,
}

impl People {
    fn new_walk(&mut self, customer: Option<&str>) -> usize {
        self.walks.push(Walk {
            customer: customer.map(str::to_owned),
            ..Walk::default()
        });
        self.walks.len() - 1
    }

    fn walk_of_customer(&mut self, customer: &str) -> usize {
        if let Some(&walk) = self.customers.get(customer) {
            return walk;
        }
        let walk = self.new_walk(Some(customer));
        self.customers.insert(customer.to_owned(), walk);
        walk
    }

    fn walk_of(&mut self, event: &Event) -> usize {
        if let Some(customer) = event.subject.customer() {
            return self.walk_of_customer(customer.as_str());
        }
        let visitor = event.subject.visitor().unwrap().as_str();
        match self.visitors.get(visitor).cloned() {
            Some(Ok(walk)) => walk,
            Some(Err(customer)) => self.walk_of_customer(&customer),
            None => {
                let walk = self.new_walk(None);
                self.visitors.insert(visitor.to_owned(), Ok(walk));
                walk
            }
        }
    }

    fn identify(
        &mut self,
        (visitor, customer): (&str, &str),
        now: i64,
        world: &World<'_>,
        counts: &mut Counts,
    ) {
        let owner = Err(customer.to_owned());
        let before = self.visitors.insert(visitor.to_owned(), owner);
        let Some(Ok(theirs)) = before else { return };
        let own = self.customers.get(customer).copied();
        let Some(own) = own.filter(|own| self.walks[*own].last.is_some()) else {
            self.customers.insert(customer.to_owned(), theirs);
            let walk = &mut self.walks[theirs];
            walk.customer = Some(customer.to_owned());
            if let Some(last) = walk.last {
                walk.become_known(last, world, counts);
            }
            return;
        };
        self.joined.insert(theirs);
        let gone = std::mem::take(&mut self.walks[theirs]);
        self.walks[own].join(gone, now, world, counts);
    }
}

/// Recounts everything; also who is in which stage in the end.
pub(super) fn recount(acts: &[Act], world: &World<'_>) -> (Counts, BTreeMap<u8, i64>) {
    let mut counts = Counts::new();
    let mut people = People::default();
    let mut newest = i64::MIN;
    for act in acts {
        match act {
            Act::Identify(visitor, customer, now) => {
                let (visitor, customer) = (format!("v{visitor}"), format!("c{customer}"));
                people.identify((&visitor, &customer), now.ms(), world, &mut counts);
            }
            Act::Event(event) => {
                let ms = event.time.ms();
                newest = newest.max(ms);
                let (c, v) = (event.subject.customer(), event.subject.visitor());
                if let (Some(c), Some(v)) = (c, v) {
                    people.identify((v.as_str(), c.as_str()), ms, world, &mut counts);
                }
                let walk = people.walk_of(event);
                people.walks[walk].take(event, world, &mut counts);
            }
        }
    }
    let mut here = BTreeMap::new();
    for (number, walk) in people.walks.iter_mut().enumerate() {
        if people.joined.contains(&number) {
            continue;
        }
        walk.pass(newest, world.settings, &mut counts);
        walk.finish(world, &mut counts);
        if let Some(stage) = walk.stage.filter(|_| walk.is_open) {
            *here.entry(stage).or_default() += 1;
        }
    }
    counts.retain(|_, value| *value != 0);
    (counts, here)
}
