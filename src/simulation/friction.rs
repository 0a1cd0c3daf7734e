//! Where carts are lost, and visits to product pages: the one place to change when something is to be broken for
//! somebody.

use super::World;
use super::families::FAMILIES;
use super::pain::{PainKind, top_level};
use super::person::Person;

/// The steps between a cart and a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The cart is full.
    Cart,
    /// Shipping cost becomes known.
    Checkout,
    /// Payment is asked for.
    Payment,
}

impl Step {
    pub(crate) const ALL: [Step; 3] = [Step::Cart, Step::Checkout, Step::Payment];
}

/// Of those who would go on, so many fail at a broken checkout.
const BROKEN: f64 = 0.5;
/// Of those who would go on, so many leave for the shipping cost, and so many more of the most price-sensitive.
const SHIPPING: (f64, f64) = (0.15, 0.35);
/// So many give up at each thin product page.
const THIN: f64 = 0.3;
/// Product pages of a visit, about: what the truth reckons with.
const PAGES: i32 = 2;

/// How somebody leaves a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// In peace: some put everything back.
    Calm,
    /// Driven away by a pain point: at once.
    Driven,
}

/// Probability that this person leaves at this step.
fn leaving(person: &Person, step: Step) -> f64 {
    let sensitivity = person.sensitivity;
    match step {
        Step::Cart => person.persona.habits().leaves_cart + 0.10 * sensitivity,
        Step::Checkout => 0.08 + 0.20 * sensitivity,
        Step::Payment => 0.05,
    }
}

/// Of those who would not leave at this step anyway, the share that each pain point drives away on a day, by its place.
fn driven_away<'a>(
    world: &'a World,
    person: &'a Person,
    step: Step,
    day: u32,
) -> impl Iterator<Item = (usize, f64)> + 'a {
    let pains = world.pains.iter().enumerate();
    let hurting = pains.filter(move |(_, pain)| pain.first_day <= day);
    hurting.filter_map(move |(place, pain)| match (pain.kind, step) {
        (PainKind::BrokenCheckout(persona), Step::Checkout) if persona == person.persona => {
            Some((place, BROKEN))
        }
        (PainKind::ShippingCost, Step::Checkout) => {
            Some((place, SHIPPING.0 + SHIPPING.1 * person.sensitivity))
        }
        _ => None,
    })
}

/// Whether and how this person leaves at this step. Whoever a pain point drives away remembers it.
pub(crate) fn leaves(world: &World, person: &mut Person, step: Step, day: u32) -> Option<Leaving> {
    let drawn = person.dice.share();
    let mut left = leaving(person, step);
    if drawn < left {
        return Some(Leaving::Calm);
    }
    let driver = driven_away(world, person, step, day).find_map(|(place, share)| {
        left += (1.0 - left) * share;
        (drawn < left).then_some(place)
    });
    person.lost_to.extend(driver);
    driver.map(|_| Leaving::Driven)
}

/// Whether this person gives up at the page of a product. Nothing is drawn where nothing hurts.
pub(crate) fn gives_up(world: &World, person: &mut Person, product: u32, day: u32) -> bool {
    let category = top_level(world.catalog.product(product).category());
    for (place, pain) in world.pains.iter().enumerate() {
        let is_here = pain.first_day <= day && pain.kind.category() == Some(category);
        if is_here && person.dice.chance(THIN) {
            person.lost_to.push(place);
            return true;
        }
    }
    false
}

/// Probability that a filled cart becomes an order on a day.
pub(crate) fn completion(world: &World, person: &Person, day: u32) -> f64 {
    let stays = |step: Step| {
        let pains = driven_away(world, person, step, day);
        let stays: f64 = pains.map(|(_, share)| 1.0 - share).product();
        (1.0 - leaving(person, step)) * stays
    };
    Step::ALL.into_iter().map(stays).product()
}

/// Probability that a spontaneous online visit fills a cart.
pub(crate) fn cart_probability(person: &Person, known: bool) -> f64 {
    let guest = if known { 1.0 } else { 0.6 };
    let habit = person.persona.habits().cart;
    (habit * (0.3 * person.satisfaction).exp() * guest).clamp(0.01, 0.9)
}

/// Probability, about, that nobody gives up at the product pages of a visit: they are of a category as often as it is
/// liked.
fn stays_on_pages(world: &World, person: &Person, day: u32) -> f64 {
    let hurting = world.pains.iter().filter(|pain| pain.first_day <= day);
    let stays = hurting.filter_map(|pain| pain.kind.category()).map(|thin| {
        let families = FAMILIES.iter().zip(&person.taste);
        let liked = families.filter(|(family, _)| top_level(family.path) == thin);
        let share: f64 = liked.map(|(_, share)| share).sum();
        1.0 - share * (1.0 - (1.0 - THIN).powi(PAGES))
    });
    stays.product()
}

/// Probability that a spontaneous visit, online or in the store, ends with a purchase on a day.
pub(crate) fn visit_purchase(world: &World, person: &Person, day: u32) -> f64 {
    let store = person.store_share();
    let cart = cart_probability(person, true) * stays_on_pages(world, person, day);
    let online = cart * completion(world, person, day);
    store * person.persona.habits().store_purchase + (1.0 - store) * online
}
