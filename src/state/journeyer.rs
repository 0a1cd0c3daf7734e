//! What is known of somebody on their journey, in numbers: the same code for training and for serving.

use crate::domain::journey::{KindSet, Standing, Step};
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::domain::{EventKind, Health};
use crate::state::view::View;

/// A feature: its name, and in words what it says if it is higher than usual, and lower.
pub struct Feature {
    /// The name.
    pub name: &'static str,
    /// If it is higher than usual.
    pub high: &'static str,
    /// If it is lower.
    pub low: &'static str,
    /// True if it may weigh differently from stage to stage.
    pub crossed: bool,
}

const fn feature(
    name: &'static str,
    crossed: bool,
    high: &'static str,
    low: &'static str,
) -> Feature {
    Feature {
        name,
        high,
        low,
        crossed,
    }
}

/// How many features there are.
pub const COUNT: usize = 21;

/// The features, in the order of [`features`].
pub const FEATURES: [Feature; COUNT] = [
    feature(
        "looked_hour",
        true,
        "looks around right now",
        "has not looked around in the last hour",
    ),
    feature(
        "looked_day",
        false,
        "looked around today",
        "has not looked around today",
    ),
    feature(
        "looked_week",
        true,
        "looked around much this week",
        "hardly looked around this week",
    ),
    feature(
        "carted_hour",
        false,
        "works on a cart right now",
        "has not touched the cart in the last hour",
    ),
    feature(
        "carted_day",
        false,
        "worked on a cart today",
        "has not touched the cart today",
    ),
    feature(
        "carted_week",
        false,
        "worked on carts this week",
        "has not touched a cart this week",
    ),
    feature(
        "other_day",
        false,
        "did something else today",
        "did nothing else today",
    ),
    feature(
        "other_week",
        false,
        "did much else this week",
        "did little else this week",
    ),
    feature(
        "since_step",
        true,
        "has not been here for long",
        "was here just now",
    ),
    feature(
        "has_cart",
        true,
        "has a cart that was not bought",
        "has no open cart",
    ),
    feature(
        "since_cart",
        false,
        "the last cart is long ago",
        "filled a cart just now",
    ),
    feature(
        "visit_steps",
        true,
        "has come far in this visit",
        "has hardly begun this visit",
    ),
    feature("bought", false, "has bought before", "has never bought"),
    feature("orders", true, "has bought often", "has bought seldom"),
    feature(
        "since_order",
        true,
        "has not bought for long",
        "bought not long ago",
    ),
    feature(
        "lateness",
        true,
        "the next order is overdue by their usual gap",
        "it is early for their usual gap",
    ),
    feature(
        "orders_per_month",
        false,
        "buys often a month",
        "buys seldom a month",
    ),
    feature(
        "tenure",
        false,
        "has been known for long",
        "has not been known for long",
    ),
    feature(
        "in_stage",
        true,
        "has stood in this stage for long",
        "has entered this stage just now",
    ),
    feature(
        "offers_month",
        false,
        "was shown many offers lately",
        "was shown few offers lately",
    ),
    feature("rating", false, "rated well", "rated badly, or not at all"),
];

/// Whoever never did something is as somebody who last did so long ago.
const NEVER_DAYS: f64 = 1_000.0;
/// An order counts as late up to so many usual gaps.
const MOST_LATE: f64 = 4.0;
/// How many second orders the assumed gap between orders is worth.
const GAP_WEIGHT: f64 = 10.0;
/// A visit ends after so long a pause.
const PAUSE_MS: i64 = 30 * MINUTE_MS;
/// Looking around.
const LOOKED: &[EventKind] = &[
    EventKind::PageView,
    EventKind::Search,
    EventKind::ViewItemList,
    EventKind::SelectItem,
    EventKind::ViewItem,
    EventKind::AddToWishlist,
];
/// What works on a cart.
const CARTED: &[EventKind] = &[
    EventKind::AddToCart,
    EventKind::ViewCart,
    EventKind::BeginCheckout,
    EventKind::AddPaymentInfo,
];
/// What the shop does.
const FROM_SHOP: &[EventKind] = &[EventKind::OfferSent, EventKind::OrderDelivered];

/// What is known of who asks, at the moment of the question, who stands there. Every number is finite.
#[must_use]
pub fn features(view: &View<'_>, standing: &Standing) -> [f64; COUNT] {
    let now = view.now;
    let [looked, carted, from_shop] = [LOOKED, CARTED, FROM_SHOP].map(KindSet::of);
    let is_own = |step: &&Step| !from_shop.contains(step.kind);
    let within = |span_ms: i64, wanted: &dyn Fn(EventKind) -> bool| {
        let oldest = now.plus_ms(-span_ms);
        let lately = view
            .steps
            .iter()
            .rev()
            .take_while(|step| step.time >= oldest);
        let found = lately.filter(is_own).filter(|step| wanted(step.kind));
        (found.count() as f64).ln_1p()
    };
    let is_looked = |kind: EventKind| looked.contains(kind);
    let is_carted = |kind: EventKind| carted.contains(kind);
    let is_other = |kind: EventKind| !looked.contains(kind) && !carted.contains(kind);
    let hours = |ms: i64| (ms.max(0) as f64 / HOUR_MS as f64).ln_1p();
    let never = (NEVER_DAYS * 24.0).ln_1p();
    let since = |step: Option<&Step>| step.map_or(never, |step| hours(now.ms() - step.time.ms()));
    let last_own = view.steps.iter().rev().find(is_own);
    // what was in the cart before a purchase is no longer
    let open = view.steps.iter().rev();
    let open = open.take_while(|step| step.kind != EventKind::Purchase);
    let last_cart = open.clone().find(|step| is_carted(step.kind));
    let mut visit_steps = 0.0;
    let mut before = now;
    for step in view.steps.iter().rev().filter(is_own) {
        if before.ms() - step.time.ms() > PAUSE_MS {
            break;
        }
        visit_steps += 1.0;
        before = step.time;
    }
    let subject = view.subject;
    let baskets = subject.map_or(&[][..], |subject| &subject.baskets);
    let baskets = &baskets[..baskets.partition_point(|basket| basket.time <= now)];
    let orders = baskets.len() as f64;
    let since_order = baskets
        .last()
        .map(|last| now.days_since(last.time).max(0.0));
    let lateness = match (usual_gap_days(view), since_order) {
        (Some(gap), Some(since)) => (since / gap.max(1.0)).min(MOST_LATE),
        _ => 0.0,
    };
    let first_seen = subject.and_then(|subject| subject.seen);
    let tenure = first_seen.map_or(0.0, |(first, _)| now.days_since(first).max(0.0));
    let outcomes = subject.map_or(&[][..], |subject| &subject.outcomes);
    let month = now.plus_ms(-28 * DAY_MS);
    let offers = outcomes.iter().rev().take_while(|past| past.time >= month);
    let offers = offers.filter(|past| past.time <= now).count() as f64;
    let rating = view.steps.iter().rev().find_map(|step| {
        let rating = f64::from(step.rating?);
        // from the worst to the best: −1 to 1
        Some(match step.kind {
            EventKind::NpsResponse => rating / 5.0 - 1.0,
            _ => (rating - 3.0) / 2.0,
        })
    });
    [
        within(HOUR_MS, &is_looked),
        within(DAY_MS, &is_looked),
        within(7 * DAY_MS, &is_looked),
        within(HOUR_MS, &is_carted),
        within(DAY_MS, &is_carted),
        within(7 * DAY_MS, &is_carted),
        within(DAY_MS, &is_other),
        within(7 * DAY_MS, &is_other),
        since(last_own),
        f64::from(last_cart.is_some()),
        since(last_cart),
        f64::ln_1p(visit_steps),
        f64::from(orders > 0.0),
        orders.ln_1p(),
        since_order.unwrap_or(NEVER_DAYS).ln_1p(),
        lateness,
        (30.0 * orders / tenure.max(30.0)).ln_1p(),
        tenure.ln_1p(),
        standing
            .since
            .map_or(never, |since| hours(now.ms() - since.ms())),
        offers.ln_1p(),
        rating.map_or(0.0, |rating| rating.clamp(-1.0, 1.0)),
    ]
}

/// True if somebody has a cart they have not bought, with something happening to it in the last `span_ms`.
#[must_use]
pub fn has_cart(view: &View<'_>, span_ms: i64) -> bool {
    let carted = KindSet::of(CARTED);
    let oldest = view.now.plus_ms(-span_ms);
    let open = view.steps.iter().rev();
    let mut open = open.take_while(|s| s.kind != EventKind::Purchase && s.time >= oldest);
    open.any(|step| carted.contains(step.kind))
}

/// How long somebody's last order is ago, against their usual gap between orders; of who ordered once, against what it
/// takes others to order again. Nothing before the first order.
#[must_use]
pub fn health(view: &View<'_>) -> Option<Health> {
    let baskets = &view.subject?.baskets;
    let before = baskets.partition_point(|basket| basket.time <= view.now);
    let last = baskets[..before].last()?;
    let bounds = &view.state.journey().health;
    let gap = usual_gap_days(view).unwrap_or_else(|| {
        let others = &view.state.second_orders;
        others.typical_days(bounds.usual_gap_days(), GAP_WEIGHT)
    });
    // orders within a day are one errand, as far as rhythm goes
    Some(bounds.health(view.now.days_since(last.time) / gap.max(1.0)))
}

/// The mean of the days between somebody's orders; nothing before the second.
#[must_use]
pub fn usual_gap_days(view: &View<'_>) -> Option<f64> {
    let baskets = &view.subject?.baskets;
    let baskets = &baskets[..baskets.partition_point(|basket| basket.time <= view.now)];
    match baskets {
        [first, .., last] => Some(last.time.days_since(first.time) / (baskets.len() as f64 - 1.0)),
        _ => None,
    }
}
