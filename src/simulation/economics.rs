//! What orders earn and what offers cost, in cents: the one place that says so.

use super::World;
use super::event::{Event, EventKind};
use super::offer::OfferKind;
use super::visit::Line;

/// The price offer that takes the most from an average order.
pub const DEEPEST: OfferKind = OfferKind::Percentage;

impl OfferKind {
    /// What a redemption costs the shop besides the price that is paid and the goods that leave, in cents: delivery,
    /// the gift, points, the reward. They are those of `offers.csv`. What lowers the price, or gives a unit more,
    /// shows in the margin of the order.
    #[must_use]
    pub fn extra_cost_cents(self) -> i64 {
        match self {
            OfferKind::FreeShipping => 490,
            OfferKind::Gift => 600,
            OfferKind::LoyaltyPoints => 200,
            OfferKind::Referral => 1_000,
            OfferKind::Percentage
            | OfferKind::Amount
            | OfferKind::BuyXGetY
            | OfferKind::EarlyAccess
            | OfferKind::Content => 0,
        }
    }
}

/// What an event earns, in cents: of a line that is bought, the price paid less the cost of its units; of an offer that
/// is redeemed, what that costs besides. Returns are not counted: they are as frequent whatever was sent.
#[must_use]
pub fn profit_cents(world: &World, event: &Event) -> i64 {
    match (event.kind, event.product, event.price_cents, event.offer) {
        (EventKind::Purchase, Some(product), Some(price), _) => margin(
            world,
            &Line {
                product,
                quantity: event.quantity,
                price_cents: price,
            },
        ),
        (EventKind::OfferRedeemed, _, _, Some(kind)) => -kind.extra_cost_cents(),
        _ => 0,
    }
}

/// Price paid less cost, over the units of a line.
pub(crate) fn margin(world: &World, line: &Line) -> i64 {
    let cost = world.catalog.product(line.product).cost_cents;
    (i64::from(line.price_cents) - i64::from(cost)) * i64::from(line.quantity)
}
