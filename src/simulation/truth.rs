//! What only the simulation knows at the end: personas, stages, rhythms, responses to offers.

use super::World;
use super::aftermath::ACCESSORY_DAYS;
use super::calendar::DAY;
use super::families::FAMILIES;
use super::friction::{completion, visit_purchase};
use super::offer::{EFFECT_DAYS, OfferKind};
use super::person::Person;
use super::replenishment::Supply;
use super::visit::ACCESSORY_CART;

/// The stage in which a customer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Stage {
    Awareness,
    Consideration,
    Decision,
    Purchase,
    Retention,
    Advocacy,
}

impl Stage {
    /// The name in the truth files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Awareness => "awareness",
            Stage::Consideration => "consideration",
            Stage::Decision => "decision",
            Stage::Purchase => "purchase",
            Stage::Retention => "retention",
            Stage::Advocacy => "advocacy",
        }
    }
}

/// The stage at a moment: the strongest of what happened lately.
#[must_use]
pub fn stage(person: &Person, time: i64) -> Stage {
    let memory = &person.memory;
    let since =
        |at: Option<i64>, days: i64| at.is_some_and(|at| at <= time && time - at <= days * DAY);
    if memory.delivery_until.is_some_and(|at| at > time) {
        Stage::Purchase
    } else if since(memory.cart_left_at, 7) {
        Stage::Decision
    } else if since(memory.recommended_at, 60) && person.satisfaction > 0.2 {
        Stage::Advocacy
    } else if since(memory.looked_at, 7) {
        Stage::Consideration
    } else if person.orders > 0 {
        Stage::Retention
    } else {
        Stage::Awareness
    }
}

/// The family a customer likes most.
#[must_use]
pub fn favourite_category(person: &Person) -> &'static str {
    let best = (0..FAMILIES.len()).max_by(|&a, &b| person.taste[a].total_cmp(&person.taste[b]));
    best.map_or("", |family| FAMILIES[family].path)
}

/// Probability of at least one purchase in the seven days from `first_day` on, with an offer sent
/// the day before, or with none:
/// `1 − Π_d (1 − (1 − e^{−λ_d·e^θ})·p) · Π_supplies (1 − P(due)) · Π_errands (1 − P(bought))`.
#[must_use]
pub fn week_purchase(
    world: &World,
    person: &Person,
    first_day: u32,
    offer: Option<OfferKind>,
) -> f64 {
    let time = world.calendar.midnight(first_day);
    if person.left_at(time).is_some() {
        return 0.0;
    }
    let factor = offer.map_or(1.0, |kind| person.response(kind).exp());
    let buys = visit_purchase(world, person, first_day);
    let mut nothing = 1.0;
    for day in first_day..first_day + EFFECT_DAYS {
        let rate = person.plain_visit_rate(world, day) * factor;
        nothing *= 1.0 - (1.0 - (-rate).exp()) * buys;
    }
    for supply in &person.supplies {
        nothing *= 1.0 - supply.due_within(time, world.calendar.start(), f64::from(EFFECT_DAYS));
    }
    let found = 1.0 - (-f64::from(EFFECT_DAYS) / ACCESSORY_DAYS).exp();
    let bought = found * ACCESSORY_CART * completion(world, person, first_day);
    for _ in &person.errands {
        nothing *= 1.0 - bought;
    }
    1.0 - nothing
}

/// Probability that a supply is bought in the seven days from `first_day` on; none for those who
/// have left.
#[must_use]
pub fn week_due(world: &World, person: &Person, supply: &Supply, first_day: u32) -> f64 {
    let time = world.calendar.midnight(first_day);
    if person.left_at(time).is_some() {
        0.0
    } else {
        supply.due_within(time, world.calendar.start(), f64::from(EFFECT_DAYS))
    }
}
