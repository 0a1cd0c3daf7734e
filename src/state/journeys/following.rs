//! What one event changes: the course of its person, and the counters.

use crate::algorithms::sessions::SILENCE_MS;
use crate::domain::{Attribution, Credit, Event, EventKind, Touchpoint};
use crate::state::journeys::course::{
    Changes, Course, FirstOrder, Happened, MAX_ORDERS, Order, Spot, Turn, Visit,
};
use crate::state::journeys::key::{Measure, NO_STAGE, RETURNING, Rating};
use crate::state::journeys::table::{Day, day_of};
use crate::state::journeys::{Groups, Journeys, known_key};
use crate::state::{basket_key, hash};

/// The most categories of one visit.
const MAX_LOOKED: usize = 16;

/// What somebody does in a visit.
const IN_A_VISIT: &[EventKind] = &[
    EventKind::PageView,
    EventKind::AdClick,
    EventKind::Referral,
    EventKind::Search,
    EventKind::ViewItemList,
    EventKind::SelectItem,
    EventKind::ViewItem,
    EventKind::ViewPromotion,
    EventKind::SelectPromotion,
    EventKind::AddToWishlist,
    EventKind::AddToCart,
    EventKind::RemoveFromCart,
    EventKind::ViewCart,
    EventKind::BeginCheckout,
    EventKind::AddPaymentInfo,
    EventKind::Purchase,
    EventKind::Share,
    EventKind::SignUp,
    EventKind::Login,
    EventKind::EmailClick,
    EventKind::StoreVisit,
];

impl Journeys {
    /// Counts an event of somebody.
    pub(super) fn follow(
        &mut self,
        event: &Event,
        course: &mut Course,
        groups: &dyn Groups,
        changes: &mut Changes,
    ) {
        let named = event.touchpoint.as_ref().map(Touchpoint::as_str);
        let name = self.settings.places.touchpoint(event.kind, named);
        let place = self.touchpoints.intern(name);
        let group = course.customer.map_or(0, |key| groups.group_of(key));
        let order_key = basket_key(event);
        let is_sale = event.kind == EventKind::Purchase;
        let is_new_order = is_sale && !course.orders.iter().any(|order| order.key == order_key);
        // what the shop does is no step of theirs
        let is_theirs = event.kind != EventKind::OfferSent;
        let is_late = course.last.is_some_and(|last| event.time < last);
        let day = day_of(event.time);
        let (mut stage_before, mut turn) = (None, None);
        if is_theirs && !is_late {
            course.settle(event.time);
            course.write_pending(-1, changes);
            let before = course.open().map(|stay| (stay.group, stay.stage));
            let (was_at, last) = (course.place, course.last);
            let happened = Happened {
                kind: event.kind,
                time: event.time,
                rating: event.rating.map(|rating| rating as f32),
                place,
                group,
                is_step: !is_sale || is_new_order,
            };
            if let (None, Some(arm)) = (last, course.arm()) {
                changes.add(day, known_key(group, arm), 1);
            }
            let happening = course.step(&happened, &self.settings.journey, changes);
            course.schedule(&self.settings.journey, &self.settings.places);
            course.write_pending(1, changes);
            stage_before = before;
            turn = Some((happening, was_at));
        }
        let stay = course.stay.as_ref().map(|stay| (stay.group, stay.stage));
        let (group, stage) = stay.unwrap_or((group, NO_STAGE));
        let spot = Spot {
            group,
            stage,
            place,
        };
        changes.add(day, spot.key(Measure::Events, 0), 1);
        if let Some((turn, was_at)) = turn {
            if turn == Turn::Stayed {
                changes.add(day, spot.key(Measure::Steps, 0), 1);
            }
            let is_same_visit = self.visit(event, course, spot, changes);
            let goes_on = turn == Turn::Stayed || turn == Turn::Moved && is_same_visit;
            if goes_on && was_at != place {
                let from = Spot {
                    place: was_at,
                    ..spot
                };
                changes.add(day, from.key(Measure::Flow, place), 1);
            }
            if is_cart(event.kind) || course.cart.is_some() && touches_cart(event.kind) {
                course.use_cart(spot, event.time, changes);
            } else if is_sale {
                course.buy_cart(day, changes);
            }
        }
        if let Some(rating) = event.rating {
            rate(event.kind, rating, spot, day, changes);
        }
        if is_sale {
            let (group, stage) = stage_before.unwrap_or((group, stage));
            let known = course.orders.iter().find(|order| order.key == order_key);
            let spot = known.map_or(
                Spot {
                    group,
                    stage,
                    place,
                },
                |order| order.spot,
            );
            self.sell(event, course, (spot, order_key), changes);
            if is_new_order {
                let group = course.customer.map_or(0, |key| groups.group_of(key));
                let order = FirstOrder {
                    time: event.time,
                    stage,
                    place,
                };
                course.add_order(order, group, changes);
            }
        }
    }

    /// Counts visits. True if the event belongs to the visit of the one before.
    fn visit(
        &mut self,
        event: &Event,
        course: &mut Course,
        spot: Spot,
        changes: &mut Changes,
    ) -> bool {
        if !IN_A_VISIT.contains(&event.kind) {
            return false;
        }
        let day = day_of(event.time);
        let name = event.session.as_ref().map(|id| hash(id.as_str()));
        let same = course.visit.take().filter(|visit| match name {
            Some(_) => visit.name == name,
            None => event.time.ms() - visit.last.ms() <= SILENCE_MS,
        });
        let is_same = same.is_some();
        let mut visit = same.unwrap_or_else(|| {
            changes.add(day, spot.key(Measure::Visits, 0), 1);
            Visit {
                name,
                begun: (day, spot),
                last: event.time,
                has_order: false,
                looked: Vec::new(),
                last_looked: None,
            }
        });
        visit.last = event.time;
        if let Some((day, spot, category)) = visit.last_looked.take() {
            changes.add(day, spot.key(Measure::LookedLast, category), -1);
        }
        let item = event
            .product
            .as_ref()
            .filter(|_| event.kind == EventKind::ViewItem);
        let item = item.and_then(|id| self.items.get(&hash(id.as_str())));
        if let Some(category) = item.and_then(|item| item.category) {
            if !visit.looked.contains(&category) && visit.looked.len() < MAX_LOOKED {
                visit.looked.push(category);
                changes.add(day, spot.key(Measure::Looked, category), 1);
            }
            if visit.looked.contains(&category) {
                visit.last_looked = Some((day, spot, category));
                changes.add(day, spot.key(Measure::LookedLast, category), 1);
            }
        }
        if event.kind == EventKind::Purchase && !visit.has_order {
            visit.has_order = true;
            let (day, spot) = visit.begun;
            changes.add(day, spot.key(Measure::VisitsWithOrder, 0), 1);
        }
        course.visit = Some(visit);
        is_same
    }

    fn sell(
        &mut self,
        event: &Event,
        course: &mut Course,
        (spot, order_key): (Spot, u64),
        changes: &mut Changes,
    ) {
        let day = day_of(event.time);
        let item = event.product.as_ref();
        let item = item.and_then(|id| self.items.get(&hash(id.as_str())));
        let paid = event.unit_price.map(|price| price.amount.0);
        let unit = paid.or(item.and_then(|item| item.price));
        let said = event.unit_price.and_then(|price| price.currency);
        let listed = item.map(|item| item.currency);
        let currency = match said {
            Some(currency) => self.currencies.intern(currency.as_str()),
            None => listed.unwrap_or_else(|| self.currencies.intern("")),
        };
        let money = |units: i64| (event.quantity * units as f64).round() as i64;
        let revenue = unit.map_or(0, money);
        let cost = item.filter(|item| item.currency == currency);
        let cost = cost.and_then(|item| item.cost).zip(unit);
        let proven = event.credit.as_ref().and_then(Credit::proven);
        let is_credited = proven.is_some_and(Attribution::is_recommended);
        let has_offer = proven.is_some_and(Attribution::has_offer);
        let known = course
            .orders
            .iter_mut()
            .find(|order| order.key == order_key);
        let is_new = known.is_none();
        let before = known.as_deref().copied().unwrap_or(Order {
            key: order_key,
            spot,
            revenue: 0,
            credited: None,
            with_offer: 0,
        });
        let after = before.plus(revenue, is_credited, has_offer);
        match known {
            Some(order) => *order = after,
            None => {
                course.orders.push(after);
                if course.orders.len() > MAX_ORDERS {
                    course.orders.remove(0);
                }
            }
        }
        let mut add = |measure, detail, by| changes.add(day, spot.key(measure, detail), by);
        if is_new {
            let least = usize::from(currency) + 1;
            if self.orders_by_currency.len() < least {
                self.orders_by_currency.resize(least, 0);
            }
            self.orders_by_currency[usize::from(currency)] += 1;
            let returning = if course.order_count > 0 { RETURNING } else { 0 };
            add(Measure::Orders, currency | returning, 1);
            course.order_count += 1;
        }
        let squares = after.squares() - before.squares();
        add(Measure::Revenue, currency, revenue);
        add(Measure::OrderSquares, currency, squares);
        if let Some((cost, unit)) = cost {
            add(Measure::CostedRevenue, currency, revenue);
            add(Measure::Margin, currency, money(unit - cost));
        }
        if is_credited {
            add(Measure::CreditedRevenue, currency, revenue);
            if before.credited.is_none() {
                add(Measure::CreditedOrders, currency, 1);
            }
        }
        if has_offer {
            add(Measure::OfferRevenue, currency, revenue);
        }
        // a further line changes the products of an order also where it is not of the part itself
        let part = |order: Order| order.credited.unwrap_or(0);
        let [own, with_all] = products(after, part(after), before, part(before));
        add(Measure::CreditedSquares, currency, own);
        add(Measure::CreditedProducts, currency, with_all);
        let [own, with_all] = products(after, after.with_offer, before, before.with_offer);
        add(Measure::OfferSquares, currency, own);
        add(Measure::OfferProducts, currency, with_all);
        if let Some(arm) = course.arm() {
            if is_new {
                add(Measure::ArmOrders, arm.with(currency), 1);
            }
            add(Measure::ArmRevenue, arm.with(currency), revenue);
            add(Measure::ArmSquares, arm.with(currency), squares);
        }
    }
}

/// Begins or fills a cart.
fn is_cart(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::AddToCart | EventKind::BeginCheckout | EventKind::AddPaymentInfo
    )
}

fn touches_cart(kind: EventKind) -> bool {
    matches!(kind, EventKind::ViewCart | EventKind::RemoveFromCart)
}

impl Order {
    /// With a further line.
    fn plus(mut self, revenue: i64, is_credited: bool, has_offer: bool) -> Self {
        self.revenue = self.revenue.saturating_add(revenue);
        if is_credited {
            self.credited = Some(self.credited.unwrap_or(0).saturating_add(revenue));
        }
        if has_offer {
            self.with_offer = self.with_offer.saturating_add(revenue);
        }
        self
    }

    /// The square of its revenue, in units².
    fn squares(self) -> i64 {
        product(self.revenue, self.revenue)
    }
}

/// The product of two amounts, in units².
fn product(micros: i64, other: i64) -> i64 {
    // a float that is out of range is cut by the cast
    (micros as f64 / 1e6 * (other as f64 / 1e6)).round() as i64
}

/// What a line adds to the square of a part of its order, and to the part's product with the whole.
fn products(after: Order, part_after: i64, before: Order, part_before: i64) -> [i64; 2] {
    [
        product(part_after, part_after) - product(part_before, part_before),
        product(part_after, after.revenue) - product(part_before, before.revenue),
    ]
}

/// Counts an answer, on one scale from -1 to 1.
fn rate(kind: EventKind, rating: f64, spot: Spot, day: Day, changes: &mut Changes) {
    let (what, value, high, low) = match kind {
        EventKind::Review => (
            Rating::Review,
            (rating - 3.0) / 2.0,
            rating >= 4.0,
            rating <= 2.0,
        ),
        EventKind::CsatResponse => (
            Rating::Csat,
            (rating - 3.0) / 2.0,
            rating >= 4.0,
            rating <= 2.0,
        ),
        EventKind::NpsResponse => (
            Rating::Nps,
            (rating - 5.0) / 5.0,
            rating >= 9.0,
            rating < 7.0,
        ),
        _ => return,
    };
    let mut add = |measure, by| changes.add(day, spot.key(measure, what as u16), by);
    add(Measure::Ratings, 1);
    add(Measure::RatingSum, (value * 1e3).round() as i64);
    add(Measure::RatingSquares, (value * value * 1e6).round() as i64);
    add(Measure::RatingsHigh, i64::from(high));
    add(Measure::RatingsLow, i64::from(low));
}
