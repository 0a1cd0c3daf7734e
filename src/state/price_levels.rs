//! How dear a product is within its category: what a customer pays says something only beside what else there is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::taste::Shelf;

/// Below so many products with a price nothing is dear or cheap in a category.
pub const LEAST_PRICED: u32 = 3;
/// Levels are kept within so many deviations.
pub const MOST_LEVEL: f64 = 3.0;
/// Prices with less variance of their logarithm are all the same.
const LEAST_VARIANCE: f64 = 1e-4;
/// Logarithms of prices are added up in so many parts of one, so that what is taken back leaves nothing behind.
const PARTS_OF_ONE: f64 = 1e6;

/// The prices of the categories that the catalog has now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PriceLevels {
    /// By the hash of the category's path.
    categories: BTreeMap<u32, Prices>,
}

/// The prices of one category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Prices {
    /// How many products have one.
    count: u32,
    /// Σ ln price and Σ ln² price of them, in parts of one.
    sum: i64,
    squares: i64,
}

impl PriceLevels {
    /// A product of the catalog stands on this shelf from now on.
    pub(super) fn put(&mut self, shelf: &Shelf) {
        let Some((category, [price, square])) = parts(shelf) else {
            return;
        };
        let prices = self.categories.entry(category).or_default();
        prices.count += 1;
        prices.sum += price;
        prices.squares += square;
    }

    /// A product that was [put](Self::put) there does no more.
    pub(super) fn take(&mut self, shelf: &Shelf) {
        let Some((category, [price, square])) = parts(shelf) else {
            return;
        };
        if let Some(prices) = self.categories.get_mut(&category) {
            prices.count -= 1;
            prices.sum -= price;
            prices.squares -= square;
            if prices.count == 0 {
                self.categories.remove(&category);
            }
        }
    }

    /// How dear a product is within its category, in deviations of the logarithms of the prices there, at most
    /// [`MOST_LEVEL`]; nothing if nobody knows: it has no category or no price, there are fewer than [`LEAST_PRICED`],
    /// or all cost the same.
    #[must_use]
    pub fn of(&self, shelf: &Shelf) -> Option<f64> {
        let prices = self.categories.get(&shelf.category()?)?;
        let price = shelf.log_price()?;
        let count = f64::from(prices.count);
        let mean = prices.sum as f64 / PARTS_OF_ONE / count;
        let variance = prices.squares as f64 / PARTS_OF_ONE / count - mean * mean;
        let varies = prices.count >= LEAST_PRICED && variance > LEAST_VARIANCE;
        varies.then(|| ((price - mean) / variance.sqrt()).clamp(-MOST_LEVEL, MOST_LEVEL))
    }
}

/// The category, ln price and ln² price; nothing where any is not known.
fn parts(shelf: &Shelf) -> Option<(u32, [i64; 2])> {
    let price = shelf.log_price()?;
    let parts = |number: f64| (number * PARTS_OF_ONE).round() as i64;
    Some((shelf.category()?, [parts(price), parts(price * price)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Micros, Product, ProductId};

    fn shelf(category: &str, price: f64) -> Shelf {
        Shelf::of(&Product {
            id: ProductId::trusted("p".to_owned()),
            name: "".into(),
            category: vec![category.into()],
            brand: "".into(),
            price: Some(Micros((price * 1e6) as i64)),
            currency: None,
            unit_cost: None,
            available: true,
            created_at: None,
            attributes: Vec::new(),
        })
    }

    #[test]
    fn levels_are_of_the_category() {
        let mut levels = PriceLevels::default();
        let (cheap, dear) = (shelf("Fans", 10.0), shelf("Fans", 1_000.0));
        assert_eq!(levels.of(&cheap), None);
        for price in [10.0, 100.0] {
            levels.put(&shelf("Fans", price));
            levels.put(&shelf("Paper", 5.0));
        }
        assert_eq!(levels.of(&cheap), None, "two are too few");
        levels.put(&dear);
        levels.put(&shelf("Paper", 5.0));
        // by hand: ln 10, 2 ln 10, 3 ln 10 have the deviation √(2/3)·ln 10
        let level = levels.of(&dear).unwrap();
        assert!((level - 1.5f64.sqrt()).abs() < 1e-4, "{level}");
        assert!((levels.of(&cheap).unwrap() + level).abs() < 1e-4);
        assert_eq!(levels.of(&shelf("Paper", 5.0)), None, "all cost the same");
        assert_eq!(levels.of(&shelf("Other", 5.0)), None);
        assert_eq!(levels.of(&shelf("", 5.0)), None);
        let extreme = levels.of(&shelf("Fans", 1e9)).unwrap();
        assert!((extreme - MOST_LEVEL).abs() < 1e-12);
    }

    #[test]
    fn what_is_taken_back_leaves_nothing_behind() {
        let mut levels = PriceLevels::default();
        let prices = [3.3, 7.1, 19.99, 0.01].map(|price| shelf("Fans", price));
        prices.iter().for_each(|shelf| levels.put(shelf));
        let before = levels.clone();
        let others = [shelf("Fans", 123.45), shelf("Paper", 2.0)];
        others.iter().for_each(|shelf| levels.put(shelf));
        assert_ne!(levels, before);
        others.iter().for_each(|shelf| levels.take(shelf));
        assert_eq!(levels, before);
        prices.iter().for_each(|shelf| levels.take(shelf));
        assert_eq!(levels, PriceLevels::default());
    }
}
