//! Which product a person chooses: a softmax over hidden utilities.

use super::World;
use super::catalog::{Role, Shelf};
use super::families::{COUNT, FAMILIES, Use};
use super::person::Person;

/// Weights of the parts of the utility.
const BRAND: f64 = 0.8;
const STYLE: f64 = 0.4;
const PRICE: f64 = 1.2;
const REDUCTION: f64 = 16.0;
const FITS_OWN: f64 = 1.0;
const FITS_OTHER: f64 = -2.0;
/// Products of a family that a person considers at most.
pub(crate) const CONSIDERED: usize = 64;
/// Days over which the need for another durable product comes back.
const DURABLE_DAYS: f64 = 150.0;

/// Space that is used again and again.
pub(crate) type Choices = Vec<(u32, f64)>;

/// The utility of a product for a person; `None` if it cannot be had.
pub(crate) fn utility(world: &World, shelf: &Shelf, person: &Person, product: u32) -> Option<f64> {
    let item = shelf.item(product);
    let appeal = item.appeal?;
    let about = world.catalog.product(product);
    let style: f64 = about
        .style
        .iter()
        .zip(&person.style)
        .map(|(a, b)| a * b)
        .sum();
    let away = about.price_position - person.price_level;
    Some(
        appeal + BRAND * person.brands[about.brand] + STYLE * style - PRICE * away * away
            + REDUCTION * person.sensitivity * person.sensitivity * item.reduction
            + person.novelty * item.novelty,
    )
}

/// Draws the family that a person looks at: taste × season × need.
pub(crate) fn choose_family(shelf: &Shelf, person: &mut Person) -> usize {
    let saturation = person.persona.habits().saturation;
    let weights: [f64; COUNT] = std::array::from_fn(|family| {
        let need = match (FAMILIES[family].used_as, person.bought_family[family]) {
            (Use::Main, Some(day)) => {
                let age = f64::from(shelf.day.saturating_sub(day));
                1.0 - saturation * (-age / DURABLE_DAYS).exp()
            }
            _ => 1.0,
        };
        person.taste[family] * shelf.families[family] * need
    });
    person.dice.pick(weights.iter().copied()).unwrap_or(0)
}

/// Fills `choices` with what the person considers of a family, each with exp(utility). Goods that
/// are bought in a rhythm are left out: they come when they are due.
pub(crate) fn consider(
    world: &World,
    shelf: &Shelf,
    person: &mut Person,
    family: usize,
    choices: &mut Choices,
) {
    choices.clear();
    let products = world.catalog.family(family);
    let weigh = |person: &Person, number: u32| {
        utility(world, shelf, person, number)
            .filter(|_| !person.uses(number))
            .map(|utility| (number, (utility + fit(world, person, number)).exp()))
    };
    if products.len() <= CONSIDERED {
        choices.extend(products.iter().filter_map(|&number| weigh(person, number)));
    } else {
        for _ in 0..CONSIDERED {
            let number = products[person.dice.below(products.len())];
            if choices.iter().all(|choice| choice.0 != number) {
                choices.extend(weigh(person, number));
            }
        }
    }
}

/// Accessories of one model are for those who own it.
fn fit(world: &World, person: &Person, product: u32) -> f64 {
    match world.catalog.product(product).role {
        Role::Accessory { fits: Some(main) } if person.owned.contains(&main) => FITS_OWN,
        Role::Accessory { fits: Some(_) } => FITS_OTHER,
        _ => 0.0,
    }
}

/// Draws one of the choices and takes it out.
pub(crate) fn draw(person: &mut Person, choices: &mut Choices) -> Option<u32> {
    let place = person.dice.pick(choices.iter().map(|choice| choice.1))?;
    Some(choices.swap_remove(place).0)
}
