//! What is known of a customer when it is decided which offer they get, in numbers: the same code for training and for
//! serving.

use crate::algorithms::features::due_within;
use crate::domain::journey::Step;
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Outcome, StageIndex};
use crate::state::candidates;
use crate::state::exposures::HORIZON_DAYS;
use crate::state::sales::Sale;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// The names of the features, in the order of [`features`]; a mark for each stage follows them.
pub const NAMES: [&str; 17] = [
    "bought",
    "days_since_purchase",
    "orders",
    "orders_per_month",
    "lateness",
    "basket_margin",
    "days_since_visit",
    "steps_last_week",
    "steps_now",
    "cart_value",
    "redeemed_offers",
    "share_redeemed",
    "offers_last_month",
    "tenure_days",
    "visits_per_month",
    "goods_due",
    "log_goods_due",
];

/// Whoever has never come or bought is as somebody who last did so long ago.
const NEVER_DAYS: f64 = 1_000.0;
/// A purchase counts as late up to so many usual gaps.
const MOST_LATE: f64 = 4.0;
/// Within so many days it counts what is due by its own rhythm: as long as an offer works.
const DUE_DAYS: f64 = HORIZON_DAYS as f64;
/// Who is due for nothing is as if this much was.
const NOTHING_DUE: f64 = 0.01;

/// What is known of who asks, at the moment of the question, in the stage of the answer. `basket` is what theirs
/// brings, see [`crate::state::sales::Sales::basket_of`]. Every number is finite.
#[must_use]
pub fn features(view: &View<'_>, stage: Option<StageIndex>, basket: Option<Sale>) -> Vec<f64> {
    let (state, now) = (view.state, view.now);
    let subject = view.subject;
    let usual = state.sales.basket().unwrap_or_default();
    let baskets = subject.map_or(&[][..], |subject| &subject.baskets);
    let baskets = &baskets[..baskets.partition_point(|basket| basket.time <= now)];
    let orders = baskets.len() as f64;
    let since = baskets
        .last()
        .map_or(NEVER_DAYS, |last| now.days_since(last.time));
    let first_seen = subject
        .and_then(|subject| subject.seen)
        .map(|(first, _)| first);
    let tenure = first_seen.map_or(0.0, |first| now.days_since(first).max(0.0));
    let lateness = match baskets {
        [first, .., last] => {
            let gap = last.time.days_since(first.time) / (orders - 1.0);
            (since / gap.max(1.0)).min(MOST_LATE)
        }
        _ => 0.0,
    };
    let outcomes = subject.map_or(&[][..], |subject| &subject.outcomes);
    let outcomes = &outcomes[..outcomes.partition_point(|outcome| outcome.time <= now)];
    let of = |wanted: fn(Outcome) -> bool, days: i64| {
        let oldest = now.plus_ms(-days * DAY_MS);
        let lately = outcomes.iter().rev().take_while(|past| past.time >= oldest);
        lately.filter(|past| wanted(past.outcome)).count() as f64
    };
    let redeemed = of(|outcome| outcome == Outcome::Redeemed, 10 * 365);
    let shown = of(
        |outcome| matches!(outcome, Outcome::Sent | Outcome::Viewed),
        28,
    );
    let own = |step: &&Step| !is_from_shop(step.kind);
    let last_visit = view.steps.iter().rev().find(own);
    let since_visit = last_visit.map_or(NEVER_DAYS, |step| now.days_since(step.time));
    let steps_within = |days: i64| {
        let oldest = now.plus_ms(-days * DAY_MS);
        let lately = view
            .steps
            .iter()
            .rev()
            .take_while(|step| step.time >= oldest);
        lately.filter(own).count() as f64
    };
    let stepped = view.stepped();
    let in_cart = stepped.iter().filter(|(_, steps)| steps.in_cart);
    let cart = in_cart.filter_map(|&(product, _)| {
        let listing = state.products.item(product).listing.as_deref();
        Sale::of(1.0, None, listing)
    });
    let own = view.own(&Tuning::default());
    let asker = view.asker(&own, &stepped);
    let due = own
        .iter()
        .map(|(product, own)| due_within(own, &candidates::item(view, *product), &asker, DUE_DAYS));
    let due: f64 = due.sum();
    let visits = subject.map_or(0.0, |subject| f64::from(subject.habits.visits()));
    let relative = |money: f64, to: f64| if to > 0.0 { (money / to).max(0.0) } else { 0.0 };
    let cart: f64 = cart.map(|sale| relative(sale.price, usual.price)).sum();
    let margin = basket.map_or(1.0, |basket| relative(basket.margin, usual.margin));
    let numbers: [f64; NAMES.len()] = [
        f64::from(orders > 0.0),
        since.max(0.0).ln_1p(),
        orders.ln_1p(),
        (30.0 * orders / tenure.max(30.0)).ln_1p(),
        lateness,
        margin.ln_1p(),
        since_visit.max(0.0).ln_1p(),
        steps_within(7).ln_1p(),
        steps_within(1).ln_1p(),
        cart.ln_1p(),
        redeemed.ln_1p(),
        redeemed / (orders + 1.0),
        shown.ln_1p(),
        tenure.ln_1p(),
        (30.0 * visits / tenure.max(30.0)).ln_1p(),
        due.ln_1p(),
        (due + NOTHING_DUE).ln(),
    ];
    let stages = (0..state.journey().stages.len() as u8).map(|place| {
        let is_it = stage == Some(StageIndex(place));
        f64::from(is_it)
    });
    numbers.into_iter().chain(stages).collect()
}

/// What the shop does is no visit.
fn is_from_shop(kind: EventKind) -> bool {
    matches!(kind, EventKind::OfferSent | EventKind::OrderDelivered)
}
