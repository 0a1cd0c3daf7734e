//! Goods that are used up and bought again, each customer in a rhythm of their own.

use super::World;
use super::calendar::DAY;
use super::catalog::Role;
use super::person::Person;

/// Spread of the customer's factor on a product's rhythm (log-normal).
const OWN_SPREAD: f64 = 0.25;
/// Spread of single gaps around the customer's mean (log-normal).
pub(crate) const GAP_SPREAD: f64 = 0.2;
/// Probability that a product bought for the first time becomes a habit.
const ADOPTED: f64 = 0.45;
/// Probability, after each purchase, that the habit ends.
const LAPSES: f64 = 0.07;

/// What a purchase of a replenishable product led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refill {
    /// The product.
    pub product: u32,
    /// When it was bought.
    pub time: i64,
    /// Units.
    pub quantity: u32,
    /// When it is needed again, as drawn then; `None`: it is no habit, or no longer.
    pub next: Option<i64>,
}

/// A replenishable product that a person has bought.
#[derive(Debug, Clone)]
pub struct Supply {
    /// The product.
    pub product: u32,
    /// The person's true mean days between purchases.
    pub mean_days: f64,
    /// Usual units.
    pub(crate) quantity: u32,
    /// Purchases so far.
    pub purchases: u32,
    /// The last of them.
    pub last: Option<i64>,
    /// When the next one is due, as drawn; `None` if the habit has ended.
    pub next: Option<i64>,
}

impl Supply {
    /// One that has been in use since before the start.
    pub(crate) fn in_use(
        person: &mut Person,
        world: &World,
        product: u32,
        rhythm_days: f64,
        quantity: u32,
    ) -> Supply {
        let mean_days = own_rhythm(person, rhythm_days);
        let day = person.dice.between(0.0, mean_days) as u32;
        let next = Some(person.time_on(world, day));
        Supply {
            product,
            mean_days,
            quantity,
            purchases: 0,
            last: None,
            next,
        }
    }

    /// Probability that it is bought within `days` after `time`, given that it was not before.
    #[must_use]
    pub fn due_within(&self, time: i64, start: i64, days: f64) -> f64 {
        if self.next.is_none() {
            return 0.0;
        }
        let Some(last) = self.last else {
            // In use since before the start: due at any time within one mean rhythm.
            let left = self.mean_days - (time - start) as f64 / DAY as f64;
            return if left <= days { 1.0 } else { days / left };
        };
        let elapsed = (time - last) as f64 / DAY as f64;
        let before = gap_distribution(elapsed, self.mean_days);
        let after = gap_distribution(elapsed + days, self.mean_days);
        if before >= 1.0 - 1e-9 {
            1.0
        } else {
            (after - before) / (1.0 - before)
        }
    }
}

fn own_rhythm(person: &mut Person, rhythm_days: f64) -> f64 {
    let own = person.dice.log_normal(OWN_SPREAD);
    (rhythm_days * person.persona.habits().rhythm * own).max(5.0)
}

/// Notes a purchase of a replenishable product: a habit begins, goes on, or ends.
pub(crate) fn bought(person: &mut Person, world: &World, product: u32, quantity: u32, time: i64) {
    let Role::Replenishable { rhythm_days } = world.catalog.product(product).role else {
        return;
    };
    let place = person
        .supplies
        .iter()
        .position(|supply| supply.product == product);
    let place = place.unwrap_or_else(|| {
        let mean_days = own_rhythm(person, rhythm_days);
        let supply = Supply {
            product,
            mean_days,
            quantity,
            purchases: 0,
            last: None,
            next: None,
        };
        person.supplies.push(supply);
        person.supplies.len() - 1
    });
    let habit = person.supplies[place].next.is_some();
    let goes_on = person
        .dice
        .chance(if habit { 1.0 - LAPSES } else { ADOPTED });
    let mean_days = person.supplies[place].mean_days;
    let next = goes_on.then(|| next_due(person, world, mean_days, time));
    let supply = &mut person.supplies[place];
    supply.purchases += 1;
    supply.last = Some(time);
    supply.next = next;
    person.refills.push(Refill {
        product,
        time,
        quantity,
        next,
    });
}

/// The next purchase: mean · exp(σN − σ²/2) days later, at one of the person's hours.
fn next_due(person: &mut Person, world: &World, mean_days: f64, time: i64) -> i64 {
    let spread = GAP_SPREAD * person.dice.normal() - GAP_SPREAD * GAP_SPREAD / 2.0;
    let due = time + (mean_days * spread.exp() * DAY as f64) as i64;
    let today = world.calendar.day_of(time);
    let day = world.calendar.day_of(due).max(today + 1);
    person.time_on(world, u32::try_from(day).unwrap_or(0))
}

/// Distribution function of the gap between two purchases.
fn gap_distribution(days: f64, mean_days: f64) -> f64 {
    if days <= 0.0 {
        return 0.0;
    }
    normal_distribution(((days / mean_days).ln() + GAP_SPREAD * GAP_SPREAD / 2.0) / GAP_SPREAD)
}

/// Standard normal distribution function (Abramowitz and Stegun 26.2.17, error below 7.5e-8).
fn normal_distribution(x: f64) -> f64 {
    const FACTORS: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = FACTORS
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * series;
    if x < 0.0 { tail } else { 1.0 - tail }
}
