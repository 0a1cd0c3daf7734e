//! Where carts are lost: the one place to change when a checkout is to be broken for somebody.

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

/// Probability that this person leaves at this step.
pub(crate) fn leaving(person: &Person, step: Step) -> f64 {
    let sensitivity = person.sensitivity;
    match step {
        Step::Cart => person.persona.habits().leaves_cart + 0.10 * sensitivity,
        Step::Checkout => 0.08 + 0.20 * sensitivity,
        Step::Payment => 0.05,
    }
}

/// Probability that a filled cart becomes an order.
pub(crate) fn completion(person: &Person) -> f64 {
    Step::ALL
        .iter()
        .map(|&step| 1.0 - leaving(person, step))
        .product()
}

/// Probability that a spontaneous online visit fills a cart.
pub(crate) fn cart_probability(person: &Person, known: bool) -> f64 {
    let guest = if known { 1.0 } else { 0.6 };
    let habit = person.persona.habits().cart;
    (habit * (0.3 * person.satisfaction).exp() * guest).clamp(0.01, 0.9)
}

/// Probability that a spontaneous visit, online or in the store, ends with a purchase.
pub(crate) fn visit_purchase(person: &Person) -> f64 {
    let store = person.store_share();
    let online = cart_probability(person, true) * completion(person);
    store * person.persona.habits().store_purchase + (1.0 - store) * online
}
