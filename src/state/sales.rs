//! What was sold in money: what a basket of this shop, and of one customer, brings.

use serde::{Deserialize, Serialize};

use crate::domain::{Micros, Price, Timestamp};
use crate::state::products::{Listing, Products};
use crate::state::subjects::Subject;

/// What is earned of a price where no cost of the product says it.
pub const USUAL_MARGIN: f64 = 0.3;
/// So many baskets of the shop's mean count beside those of one customer.
const SHRINK_BASKETS: f64 = 3.0;
/// The last baskets of a customer that say what theirs are like.
const LAST_BASKETS: usize = 20;

/// Money that came in, and what is left of it, in micros.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sale {
    /// What was paid.
    pub price: f64,
    /// That, less what the goods cost.
    pub margin: f64,
}

impl Sale {
    /// Units of a product: at the price that was paid, or else that of the catalog; without the product's cost
    /// [`USUAL_MARGIN`] is earned. Nothing where no price is known.
    #[must_use]
    pub fn of(quantity: f64, paid: Option<Price>, listing: Option<&Listing>) -> Option<Self> {
        let listed = listing.and_then(|listing| listing.price);
        let unit = paid.map(|paid| paid.amount).or(listed)?.0 as f64;
        let cost = listing.and_then(|listing| listing.unit_cost);
        let margin = cost.map_or(unit * USUAL_MARGIN, |Micros(cost)| unit - cost as f64);
        Some(Self {
            price: quantity * unit,
            margin: quantity * margin,
        })
    }
}

/// Everything that was sold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sales {
    baskets: u64,
    lines: u64,
    all: Sale,
}

impl Sales {
    pub(super) fn add(&mut self, sale: Sale, new_basket: bool) {
        self.baskets += u64::from(new_basket);
        self.lines += 1;
        self.all.price += sale.price;
        self.all.margin += sale.margin;
    }

    /// The mean basket; nothing before any was sold whose price is known.
    #[must_use]
    pub fn basket(&self) -> Option<Sale> {
        let baskets = self.baskets as f64;
        (self.baskets > 0).then(|| Sale {
            price: self.all.price / baskets,
            margin: self.all.margin / baskets,
        })
    }

    /// What a basket of somebody brings at `now`: the mean of their last 20, by today's catalog, drawn to that of the
    /// shop as if they had bought three of those. Nothing where nothing was sold yet.
    #[must_use]
    pub fn basket_of(
        &self,
        subject: Option<&Subject>,
        products: &Products,
        now: Timestamp,
    ) -> Option<Sale> {
        let usual = self.basket()?;
        let mut sum = Sale {
            price: SHRINK_BASKETS * usual.price,
            margin: SHRINK_BASKETS * usual.margin,
        };
        let mut count = SHRINK_BASKETS;
        if let Some(subject) = subject {
            let past = subject.baskets.partition_point(|basket| basket.time <= now);
            for place in past.saturating_sub(LAST_BASKETS)..past {
                let lines = subject.lines_of(place).iter();
                let sold = lines.filter_map(|line| {
                    let listing = products.item(line.product).listing.as_deref();
                    Sale::of(f64::from(line.quantity), None, listing)
                });
                let (mut own, mut is_priced) = (Sale::default(), false);
                for sale in sold {
                    own.price += sale.price;
                    own.margin += sale.margin;
                    is_priced = true;
                }
                if is_priced {
                    sum.price += own.price;
                    sum.margin += own.margin;
                    count += 1.0;
                }
            }
        }
        Some(Sale {
            price: sum.price / count,
            margin: sum.margin / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basket_is_drawn_to_that_of_the_shop() {
        let paid = |amount| {
            Some(Price {
                amount: Micros(amount),
                currency: None,
            })
        };
        let sale = Sale::of(2.0, paid(10), None).unwrap();
        assert!((sale.price - 20.0).abs() < 1e-12 && (sale.margin - 6.0).abs() < 1e-12);
        assert_eq!(Sale::of(1.0, None, None), None);
        let mut sales = Sales::default();
        assert_eq!(sales.basket(), None);
        sales.add(sale, true);
        sales.add(sale, false);
        let basket = sales.basket().unwrap();
        assert!((basket.margin - 12.0).abs() < 1e-12);
        let products = Products::new(1);
        let nobody = sales.basket_of(None, &products, Timestamp::MAX).unwrap();
        assert_eq!(nobody, basket);
    }
}
