//! What somebody is about: the categories, brands and prices of what they bought and looked at.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::algorithms::features::{Affinity, Own, Steps};
use crate::domain::Product;
use crate::state::State;
use crate::state::products::Products;

/// At most so many own products, those bought last, say what somebody is about.
const MOST_OWN: usize = 100;
/// What a step weighs against a purchase that has just happened.
const STEP_WEIGHT: f32 = 0.5;
/// Somebody's usual price level is drawn to the middle as if so many middling products had just been bought besides.
const SURE_OF_LEVEL: f64 = 1.0;

/// Where a product stands in the shop, as far as it can be compared: hashes of names, 0 where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Shelf {
    /// The whole path of its category.
    category: u32,
    /// The broadest level of it.
    department: u32,
    /// Who makes it.
    brand: u32,
    /// ln of the price; below any price where there is none.
    log_price: Option<f32>,
}

impl Shelf {
    /// Of a product.
    #[must_use]
    pub fn of(product: &Product) -> Self {
        let hash = |text: &str| match text {
            "" => 0,
            text => (super::hash(text) as u32).max(1),
        };
        let price = product
            .price
            .map(crate::domain::Micros::units)
            .filter(|&price| price > 0.0);
        Self {
            category: hash(&product.category_text()),
            department: hash(product.category.first().map_or("", |level| level)),
            brand: hash(&product.brand),
            log_price: price.map(|price| price.ln() as f32),
        }
    }

    /// A hash of the whole path of its category, if it has one.
    #[must_use]
    pub fn category(&self) -> Option<u32> {
        (self.category > 0).then_some(self.category)
    }

    /// The logarithm of its price, if it has one.
    #[must_use]
    pub fn log_price(&self) -> Option<f64> {
        self.log_price.map(f64::from)
    }
}

/// Weights of names, and how much they weigh together.
#[derive(Debug, Clone, Default)]
struct Shares {
    weights: HashMap<u32, f32, FixedState>,
    total: f32,
}

impl Shares {
    fn add(&mut self, name: u32, weight: f32) {
        if name > 0 {
            *self.weights.entry(name).or_default() += weight;
        }
        self.total += weight;
    }

    fn share(&self, name: u32) -> f64 {
        match self.weights.get(&name) {
            Some(weight) if self.total > 0.0 => f64::from(weight / self.total),
            _ => 0.0,
        }
    }
}

/// What somebody is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Taste {
    categories: Shares,
    departments: Shares,
    brands: Shares,
    /// Σ weight, Σ weight · ln price, Σ weight · ln price² of what has a price.
    prices: (f32, f32, f32),
    /// Σ weight, Σ weight · level of what is known to be dear or cheap in its category.
    levels: (f64, f64),
}

impl Taste {
    /// Of what somebody bought, ordered by product, and looked at.
    pub(super) fn of(state: &State, own: &[(u32, Own)], stepped: &[(u32, Steps)]) -> Self {
        let mut taste = Self::default();
        for (product, bought) in super::scratch::newest(own, MOST_OWN) {
            taste.add(&state.products, product, bought.slow as f32);
        }
        for &(product, steps) in stepped {
            let by = STEP_WEIGHT * (1.0 + steps.weight as f32).ln()
                / (1.0 + steps.products_ago as f32).sqrt();
            taste.add(&state.products, product, by);
        }
        taste
    }

    fn add(&mut self, products: &Products, product: u32, weight: f32) {
        let shelf = products.item(product).shelf;
        self.categories.add(shelf.category, weight);
        self.departments.add(shelf.department, weight);
        self.brands.add(shelf.brand, weight);
        if let Some(price) = shelf.log_price {
            self.prices.0 += weight;
            self.prices.1 += weight * price;
            self.prices.2 += weight * price * price;
        }
        if let Some(level) = products.price_level(product) {
            self.levels.0 += f64::from(weight);
            self.levels.1 += f64::from(weight) * level;
        }
    }

    /// How a product agrees with it.
    pub(super) fn affinity(&self, products: &Products, product: u32) -> Affinity {
        let shelf = products.item(product).shelf;
        let (n, sum, squares) = self.prices;
        let dearer = match shelf.log_price {
            Some(price) if n > 0.0 => {
                let mean = sum / n;
                let deviation = (squares / n - mean * mean).max(0.04).sqrt();
                f64::from(((price - mean) / deviation).clamp(-4.0, 4.0))
            }
            _ => 0.0,
        };
        Affinity {
            category: self.categories.share(shelf.category),
            department: self.departments.share(shelf.department),
            brand: self.brands.share(shelf.brand),
            dearer,
            level: products.price_level(product),
            own_level: self.levels.1 / (self.levels.0 + SURE_OF_LEVEL),
        }
    }
}
