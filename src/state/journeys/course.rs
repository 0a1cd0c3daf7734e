//! The course of one person through the stages, and what will become of it if nothing follows.

use serde::{Deserialize, Serialize};

use crate::domain::journey::Step;
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Journey, Places, StageIndex, Timestamp};
use crate::state::journeys::histogram::bucket;
use crate::state::journeys::key::{Arm, Ending, Key, Measure, NO_PLACE, Origin};
use crate::state::journeys::table::{Day, Table, day_from, day_of, midnight};

/// A cart in which nothing happens for so long is abandoned.
pub const CART_MS: i64 = 3 * DAY_MS;
/// The last steps that are remembered for examples.
pub const MAX_PATH: usize = 6;
/// The most steps that are remembered for the rules.
const MAX_STEPS: usize = 64;
/// With more steps than this those are forgotten that no rule asks for.
const FORGET_FROM: usize = 12;
/// The last orders that are known again.
pub const MAX_ORDERS: usize = 16;

/// Additions to counters that are made together; those that cancel each other are not made at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes(Vec<(Day, Key, i64)>);

impl Changes {
    pub(super) fn add(&mut self, day: Day, key: Key, by: i64) {
        let known = self.0.iter_mut().find(|c| c.0 == day && c.1 == key);
        match known {
            Some(change) => change.2 += by,
            None => self.0.push((day, key, by)),
        }
    }

    pub(super) fn write(&mut self, table: &mut Table) {
        for (day, key, by) in self.0.drain(..) {
            table.add(day, key, by);
        }
    }
}

/// Where something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Spot {
    pub(super) group: u16,
    pub(super) stage: u8,
    pub(super) place: u16,
}

impl Spot {
    pub(super) fn key(self, measure: Measure, detail: u16) -> Key {
        Key {
            measure,
            group: self.group,
            stage: self.stage,
            place: self.place,
            detail,
        }
    }
}

/// A stay in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stay {
    pub(super) group: u16,
    pub(super) stage: u8,
    pub(super) since: Timestamp,
    /// [`Origin`].
    origin: u16,
    /// The touchpoints it came to, in order of their numbers.
    passed: Vec<u16>,
    /// Those of the stay before, if that ended with the move to this one.
    before: Vec<u16>,
}

impl Stay {
    fn spot(&self, place: u16) -> Spot {
        Spot {
            group: self.group,
            stage: self.stage,
            place,
        }
    }

    /// Counts its begin, and the touchpoints it came to so far.
    fn write_begin(&self, day: Day, sign: i64, changes: &mut Changes) {
        let first = self.passed.first().copied().unwrap_or(NO_PLACE);
        changes.add(day, self.spot(first).key(Measure::Began, self.origin), sign);
        for &place in &self.passed {
            self.write_reached(place, day, sign, changes);
        }
    }

    fn write_reached(&self, place: u16, day: Day, sign: i64, changes: &mut Changes) {
        let spot = self.spot(place);
        changes.add(day, spot.key(Measure::Reached, self.origin), sign);
        if self.before.binary_search(&place).is_ok() {
            changes.add(day, spot.key(Measure::Again, self.origin), sign);
        }
    }

    /// Comes to a touchpoint, if it has not yet.
    fn reach(&mut self, place: u16, day: Day, changes: &mut Changes) {
        if let Err(at) = self.passed.binary_search(&place) {
            self.passed.insert(at, place);
            self.write_reached(place, day, 1, changes);
        }
    }

    fn write_end(&self, day: Day, last: u16, ending: Ending, sign: i64, changes: &mut Changes) {
        let code = ending.code();
        changes.add(day, self.spot(last).key(Measure::Ended, code), sign);
        for &place in &self.passed {
            changes.add(day, self.spot(place).key(Measure::Passed, code), sign);
        }
    }

    fn write_length(&self, end: Timestamp, sign: i64, changes: &mut Changes) {
        let length = bucket(end.ms() - self.since.ms());
        let key = self.spot(NO_PLACE).key(Measure::Stayed, length);
        changes.add(day_of(end), key, sign);
    }
}

/// What time alone will do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// At the midnight that begins this day.
    day: Day,
    /// A move to this stage; absent: they leave.
    to: Option<u8>,
}

/// An open cart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cart {
    begun: (Day, Spot),
    last: Timestamp,
    /// Where it was used last.
    spot: Spot,
    /// By touchpoint where it was used: when last, and where that counts.
    used: Vec<(Timestamp, Spot)>,
}

impl Cart {
    fn day(&self) -> Day {
        day_from(self.last.plus_ms(CART_MS))
    }

    /// Counts that it is abandoned if nothing follows, or takes that back.
    fn write_end(&self, sign: i64, changes: &mut Changes) {
        let key = self.spot.key(Measure::CartsAbandoned, 0);
        changes.add(self.day(), key, sign);
        self.write_used(self.day(), sign, changes);
    }

    fn write_used(&self, day: Day, sign: i64, changes: &mut Changes) {
        for (_, spot) in &self.used {
            changes.add(day, spot.key(Measure::CartsUsed, 0), sign);
        }
    }

    fn note(&mut self, time: Timestamp, spot: Spot) {
        match self.used.iter_mut().find(|used| used.1.place == spot.place) {
            Some(used) if used.0 <= time => *used = (time, spot),
            Some(_) => {}
            None => self.used.push((time, spot)),
        }
    }
}

/// A visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Visit {
    pub(super) name: Option<u64>,
    /// Where it counts.
    pub(super) begun: (Day, Spot),
    pub(super) last: Timestamp,
    pub(super) has_order: bool,
    /// The categories that were looked at.
    pub(super) looked: Vec<u16>,
    /// Where the last step counts, if it looked at a product of a category.
    pub(super) last_looked: Option<(Day, Spot, u16)>,
}

/// An order that is known again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) key: u64,
    /// Where its first line was placed: there all of it counts.
    pub(super) spot: Spot,
    pub(super) revenue: i64,
    /// Revenue of lines that were recommended; absent: there were none.
    pub(super) credited: Option<i64>,
    /// Revenue of lines whose answer held an offer.
    pub(super) with_offer: i64,
}

/// One of the first two orders.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct FirstOrder {
    pub(super) time: Timestamp,
    pub(super) stage: u8,
    pub(super) place: u16,
}

/// The course of one person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Course {
    /// The hash of the customer's id; absent: a visitor who is nobody's.
    pub(super) customer: Option<u64>,
    /// 1 + [`Arm`]; 0: none, as visitors.
    pub(super) arm: u8,
    pub(super) stay: Option<Stay>,
    /// The stay has ended: nothing happened for the horizon of its stage.
    pub(super) has_left: bool,
    pub(super) last: Option<Timestamp>,
    pub(super) place: u16,
    pub(super) steps: Vec<Step>,
    /// The last steps, oldest first: kind and touchpoint.
    pub(super) path: Vec<(EventKind, u16)>,
    pub(super) pending: Vec<Pending>,
    pub(super) cart: Option<Cart>,
    pub(super) visit: Option<Visit>,
    pub(super) order_count: u32,
    pub(super) orders: Vec<Order>,
    /// The first two orders, with where they count.
    pub(super) first_orders: Vec<FirstOrder>,
}

/// What happened to the stay with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A new stay, of somebody new or returned.
    Came,
    /// It goes on.
    Stayed,
    /// A move.
    Moved,
}

/// What is known of the event besides its moment.
pub(super) struct Happened {
    pub(super) kind: EventKind,
    pub(super) time: Timestamp,
    pub(super) rating: Option<f32>,
    pub(super) place: u16,
    /// The group of a stay that begins now.
    pub(super) group: u16,
    /// False: a further line of an order whose step is there.
    pub(super) is_step: bool,
}

impl Course {
    pub(super) fn arm(&self) -> Option<Arm> {
        match self.arm {
            1 => Some(Arm::Treated),
            2 => Some(Arm::HeldOut),
            _ => None,
        }
    }

    /// The stay they are in, as far as it is known to go on.
    pub(super) fn open(&self) -> Option<&Stay> {
        self.stay.as_ref().filter(|_| !self.has_left)
    }

    /// Lets happen what time alone has done until `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.cart.take_if(|cart| midnight(cart.day()) <= now);
        let due = |pending: &&Pending| midnight(pending.day) <= now;
        let due = self.pending.iter().take_while(due).count();
        for Pending { day, to } in self.pending.drain(..due) {
            match (to, &mut self.stay) {
                (Some(stage), Some(stay)) => *stay = stay.moved(stage, day, self.place),
                _ => self.has_left = true,
            }
        }
    }

    /// Counts what time alone will do, or takes it back.
    pub(super) fn write_pending(&self, sign: i64, changes: &mut Changes) {
        let Some(stay) = self.open() else {
            return;
        };
        let mut moved: Option<Stay> = None;
        for &Pending { day, to } in &self.pending {
            let stay = moved.as_ref().unwrap_or(stay);
            match to {
                None => stay.write_end(day, self.place, Ending::Left, sign, changes),
                Some(stage) => {
                    let next = stay.moved(stage, day, self.place);
                    stay.write_end(day, self.place, Ending::To(stage), sign, changes);
                    stay.write_length(midnight(day), sign, changes);
                    next.write_begin(day, sign, changes);
                    moved = Some(next);
                }
            }
        }
    }

    /// Works out what time alone will do.
    pub(super) fn schedule(&mut self, journey: &Journey, places: &Places) {
        self.pending.clear();
        let (Some(stay), Some(last), false) = (&self.stay, self.last, self.has_left) else {
            return;
        };
        let mut turns: Vec<Day> = journey
            .turns(&self.steps)
            .into_iter()
            .map(day_from)
            .collect();
        let (mut stage, mut quiet_since) = (stay.stage, last.max(stay.since));
        // steps of a visitor who joined may tell another stage without a turn to come
        turns.insert(0, day_from(quiet_since.plus_ms(1)));
        turns.dedup();
        loop {
            let horizon = places.horizon_ms(StageIndex(stage));
            let leave = day_from(quiet_since.plus_ms(horizon));
            let later = |day: &&Day| midnight(**day) > quiet_since && **day < leave;
            let mut moves = turns.iter().filter(later).map(|&day| {
                let there = journey.stage_at(&self.steps, midnight(day)).0;
                (day, there)
            });
            match moves.find(|&(_, there)| there > stage) {
                Some((day, there)) => {
                    let to = Some(there);
                    self.pending.push(Pending { day, to });
                    (stage, quiet_since) = (there, midnight(day));
                }
                None => {
                    self.pending.push(Pending {
                        day: leave,
                        to: None,
                    });
                    return;
                }
            }
        }
    }

    /// Takes a step that is not older than the one before; what time alone was to do must have been taken back.
    pub(super) fn step(
        &mut self,
        happened: &Happened,
        journey: &Journey,
        changes: &mut Changes,
    ) -> Turn {
        let &Happened { time, place, .. } = happened;
        if happened.is_step {
            self.remember(happened.step(), journey);
        }
        let stage = journey.stage_at(&self.steps, time).0;
        let day = day_of(time);
        let turn = match (&mut self.stay, self.has_left) {
            (Some(stay), false) if stay.stage == stage => {
                stay.reach(place, day, changes);
                Turn::Stayed
            }
            (stay, has_left) => {
                let (origin, turn, before) = match (&stay, has_left) {
                    (None, _) => (Origin::New, Turn::Came, Vec::new()),
                    (Some(_), true) => (Origin::Returned, Turn::Came, Vec::new()),
                    (Some(before), false) => {
                        before.write_end(day, self.place, Ending::To(stage), 1, changes);
                        before.write_length(time, 1, changes);
                        let origin = Origin::From(before.stage);
                        (origin, Turn::Moved, before.passed.clone())
                    }
                };
                let begun = Stay {
                    group: happened.group,
                    stage,
                    since: time,
                    origin: origin.code(),
                    passed: vec![place],
                    before,
                };
                begun.write_begin(day, 1, changes);
                *stay = Some(begun);
                turn
            }
        };
        self.has_left = false;
        self.last = Some(time);
        self.place = place;
        self.path.push((happened.kind, place));
        if self.path.len() > MAX_PATH {
            self.path.remove(0);
        }
        turn
    }

    fn remember(&mut self, step: Step, journey: &Journey) {
        let place = self.steps.partition_point(|other| other.time <= step.time);
        self.steps.insert(place, step);
        if self.steps.len() > FORGET_FROM {
            journey.forget(&mut self.steps);
        }
        if self.steps.len() > MAX_STEPS {
            let is_let_go = |step: &Step| step.kind != EventKind::Purchase;
            let oldest = self.steps.iter().position(is_let_go).unwrap_or(0);
            self.steps.remove(oldest);
        }
    }

    /// Something happened in the cart: it is begun, or goes on.
    pub(super) fn use_cart(&mut self, spot: Spot, time: Timestamp, changes: &mut Changes) {
        let mut cart = match self.cart.take() {
            Some(cart) => {
                cart.write_end(-1, changes);
                cart
            }
            None => {
                changes.add(day_of(time), spot.key(Measure::CartsBegun, 0), 1);
                Cart {
                    begun: (day_of(time), spot),
                    last: time,
                    spot,
                    used: Vec::new(),
                }
            }
        };
        (cart.last, cart.spot) = (time, spot);
        cart.note(time, spot);
        cart.write_end(1, changes);
        self.cart = Some(cart);
    }

    /// An order ends the cart, if there is one.
    pub(super) fn buy_cart(&mut self, day: Day, changes: &mut Changes) {
        if let Some(cart) = self.cart.take() {
            cart.write_end(-1, changes);
            changes.add(day, cart.spot.key(Measure::CartsBought, 0), 1);
            cart.write_used(day, 1, changes);
        }
    }

    /// Notes an order among the first two.
    pub(super) fn add_order(&mut self, order: FirstOrder, group: u16, changes: &mut Changes) {
        self.write_orders(group, -1, changes);
        let is_before = |other: &FirstOrder| other.time <= order.time;
        let at = self.first_orders.partition_point(is_before);
        self.first_orders.insert(at, order);
        self.first_orders.truncate(2);
        self.write_orders(group, 1, changes);
    }

    fn write_orders(&self, group: u16, sign: i64, changes: &mut Changes) {
        let Some(first) = self.first_orders.first() else {
            return;
        };
        let spot = Spot {
            group,
            stage: first.stage,
            place: first.place,
        };
        let day = day_of(first.time);
        changes.add(day, spot.key(Measure::FirstOrders, 0), sign);
        if let Some(second) = self.first_orders.get(1) {
            let between = bucket(second.time.ms() - first.time.ms());
            changes.add(day, spot.key(Measure::SecondOrders, between), sign);
        }
    }

    /// Takes over the course of a visitor who turned out to be this customer, at `now`.
    pub(super) fn join(
        &mut self,
        mut visitor: Course,
        now: Timestamp,
        (own_group, journey, places): (u16, &Journey, &Places),
        changes: &mut Changes,
    ) {
        visitor.settle(now);
        visitor.write_pending(-1, changes);
        if let (Some(stay), Some(last)) = (visitor.open(), visitor.last) {
            let day = day_of(last);
            stay.write_end(day, visitor.place, Ending::Joined, 1, changes);
        }
        let is_later = visitor.last > self.last;
        if let (true, Some(last)) = (is_later, visitor.last) {
            self.settle(last);
            self.write_pending(-1, changes);
            if let (Some(stay), false) = (&mut self.stay, self.has_left) {
                stay.reach(visitor.place, day_of(last), changes);
            }
            self.last = Some(last);
            self.place = visitor.place;
            self.path = std::mem::take(&mut visitor.path);
        }
        for step in visitor.steps.drain(..) {
            self.remember(step, journey);
        }
        if is_later {
            self.schedule(journey, places);
            self.write_pending(1, changes);
        }
        self.join_cart(visitor.cart.take(), changes);
        let visited = |course: &Self| course.visit.as_ref().map(|visit| visit.last);
        if visited(&visitor) > visited(self) {
            self.visit = visitor.visit.take();
        }
        visitor.write_orders(0, -1, changes);
        self.write_orders(own_group, -1, changes);
        self.first_orders.append(&mut visitor.first_orders);
        self.first_orders.sort_by_key(|order| order.time);
        self.first_orders.truncate(2);
        self.write_orders(own_group, 1, changes);
        self.order_count += visitor.order_count;
        self.orders.append(&mut visitor.orders);
        let many = self.orders.len().saturating_sub(MAX_ORDERS);
        self.orders.drain(..many);
    }

    /// Makes the course of a visitor that of a customer who had none.
    pub(super) fn become_customer(&mut self, customer: u64, group: u16, changes: &mut Changes) {
        self.write_orders(0, -1, changes);
        self.customer = Some(customer);
        self.write_orders(group, 1, changes);
    }

    fn join_cart(&mut self, theirs: Option<Cart>, changes: &mut Changes) {
        match (&mut self.cart, theirs) {
            (Some(own), Some(theirs)) => {
                // two carts that turn out to be one: the later one's end, the earlier one's begin
                theirs.write_end(-1, changes);
                own.write_end(-1, changes);
                let (day, spot) = theirs.begun.max_by_day(own.begun);
                changes.add(day, spot.key(Measure::CartsBegun, 0), -1);
                own.begun = theirs.begun.min_by_day(own.begun);
                if theirs.last > own.last {
                    (own.last, own.spot) = (theirs.last, theirs.spot);
                }
                for (time, spot) in theirs.used {
                    own.note(time, spot);
                }
                own.write_end(1, changes);
            }
            (own @ None, Some(theirs)) => *own = Some(theirs),
            (_, None) => {}
        }
    }

    /// The day on which they leave if nothing follows.
    pub(super) fn leaves(&self) -> Option<Day> {
        self.pending.last().map(|pending| pending.day)
    }

    /// The stage in which they leave if nothing follows.
    pub(super) fn leaves_from(&self) -> Option<u8> {
        let moved = self.pending.iter().rev().find_map(|pending| pending.to);
        moved.or(self.stay.as_ref().map(|stay| stay.stage))
    }
}

trait ByDay: Sized {
    fn max_by_day(self, other: Self) -> Self;
    fn min_by_day(self, other: Self) -> Self;
}

impl ByDay for (Day, Spot) {
    fn max_by_day(self, other: Self) -> Self {
        if self.0 > other.0 { self } else { other }
    }

    fn min_by_day(self, other: Self) -> Self {
        if self.0 > other.0 { other } else { self }
    }
}

impl Stay {
    /// The stay that follows by time alone: at the touchpoint they used last.
    fn moved(&self, stage: u8, day: Day, place: u16) -> Self {
        Self {
            group: self.group,
            stage,
            since: midnight(day),
            origin: Origin::From(self.stage).code(),
            passed: vec![place],
            before: self.passed.clone(),
        }
    }
}

impl Happened {
    fn step(&self) -> Step {
        Step {
            time: self.time,
            kind: self.kind,
            product: None,
            rating: self.rating,
        }
    }
}
