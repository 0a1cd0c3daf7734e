//! What can be bought.

use serde::{Deserialize, Serialize};

use crate::domain::customer::{Traits, check_traits};
use crate::domain::event::optional;
use crate::domain::fault::{FaultCode, Faults};
use crate::domain::id::{ProductId, check};
use crate::domain::money::{Currency, Micros};
use crate::domain::time::Timestamp;

/// The longest product name, in bytes.
pub const MAX_PRODUCT_NAME_BYTES: usize = 512;
/// The most levels of a category path.
pub const MAX_CATEGORY_LEVELS: usize = 8;
/// The longest name of a brand or of one category level, in bytes.
pub const MAX_LABEL_BYTES: usize = 128;
/// What stands between the levels of a category path in files and filters.
pub const CATEGORY_SEPARATOR: &str = " > ";

/// The levels of a category, the broadest first: `[Audio, Headphones]`.
pub type CategoryPath = Vec<Box<str>>;

/// Something that can be bought.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Which.
    pub id: ProductId,
    /// What people call it; may be empty.
    pub name: Box<str>,
    /// The path in the shop's tree, the broadest first.
    pub category: CategoryPath,
    /// Who makes it; may be empty.
    pub brand: Box<str>,
    /// The price of one unit.
    pub price: Option<Micros>,
    /// The currency of `price` and `unit_cost`.
    pub currency: Option<Currency>,
    /// What one unit costs the shop.
    pub unit_cost: Option<Micros>,
    /// False: never recommended.
    pub available: bool,
    /// Since when the shop sells it.
    pub created_at: Option<Timestamp>,
    /// Anything else a filter may ask for.
    pub attributes: Traits,
}

impl Product {
    /// The category path as one text: `Audio > Headphones`.
    #[must_use]
    pub fn category_text(&self) -> String {
        self.category.join(CATEGORY_SEPARATOR)
    }
}

/// A product as somebody wrote it: text and numbers that may be anything. Empty text is "absent".
#[derive(Debug, Clone, Default)]
pub struct ProductDraft<'a> {
    /// Which.
    pub product_id: &'a str,
    /// See [`Product::name`].
    pub name: &'a str,
    /// The levels of the category path.
    pub category: Vec<&'a str>,
    /// The field the category stands in: `category` in files, `category_path` on the wire.
    pub category_field: &'static str,
    /// See [`Product::brand`].
    pub brand: &'a str,
    /// The price, if there is one, as parsed by the edge.
    pub price: Option<Result<f64, (FaultCode, String)>>,
    /// The currency.
    pub currency: &'a str,
    /// The field the currency stands in: `currency` in files, `currency_code` on the wire.
    pub currency_field: &'static str,
    /// The cost of a unit, if there is one, as parsed by the edge.
    pub unit_cost: Option<Result<f64, (FaultCode, String)>>,
    /// Whether it is available, if that is said, as parsed by the edge; absent: true.
    pub available: Option<Result<bool, (FaultCode, String)>>,
    /// Since when the shop sells it, as parsed by the edge.
    pub created_at: Option<Result<Timestamp, (FaultCode, String)>>,
    /// The field the time stands in: `created_at` in files, `create_time` on the wire.
    pub created_field: &'static str,
    /// Keys and values, as parsed by the edge.
    pub attributes: Vec<(&'a str, &'a str)>,
}

impl ProductDraft<'_> {
    /// Checks everything.
    ///
    /// # Errors
    /// Every fault, with the field it is in.
    pub fn check(&self) -> Result<Product, Faults> {
        let mut faults = Faults::new();
        let id = faults.take("product_id", ProductId::parse(self.product_id));
        let name = label(&mut faults, "name", self.name, MAX_PRODUCT_NAME_BYTES);
        let brand = label(&mut faults, "brand", self.brand, MAX_LABEL_BYTES);
        let category = check_category(&mut faults, self.category_field, &self.category);
        let price = amount(&mut faults, "price", self.price.as_ref());
        let unit_cost = amount(&mut faults, "unit_cost", self.unit_cost.as_ref());
        let currency = optional(
            &mut faults,
            self.currency_field,
            self.currency,
            Currency::parse,
        );
        let available = match &self.available {
            None => Some(true),
            Some(parsed) => faults.take("available", parsed.clone()),
        };
        let created_at = match &self.created_at {
            None => None,
            Some(parsed) => faults.take(self.created_field, parsed.clone()),
        };
        let attributes = check_traits("attributes", &self.attributes, &mut faults);
        match (id, available) {
            (Some(id), Some(available)) if faults.is_empty() => Ok(Product {
                id,
                name,
                category,
                brand,
                price,
                currency,
                unit_cost,
                available,
                created_at,
                attributes,
            }),
            _ => Err(faults),
        }
    }
}

/// Checks the levels of a category.
pub(super) fn check_category(faults: &mut Faults, field: &str, levels: &[&str]) -> CategoryPath {
    if levels.len() > MAX_CATEGORY_LEVELS {
        let count = levels.len();
        let reason = format!("{count} levels; at most {MAX_CATEGORY_LEVELS} are allowed");
        faults.add(field, FaultCode::TooLong, reason);
    }
    let mut path = CategoryPath::new();
    for level in levels {
        match check(level, MAX_LABEL_BYTES) {
            Ok(()) => path.push(Box::from(level.trim())),
            Err((code, reason)) => faults.add(field, code, reason),
        }
    }
    path
}

/// Checks a name; blank means there is none.
pub(super) fn label(faults: &mut Faults, field: &str, text: &str, max: usize) -> Box<str> {
    let text = text.trim();
    optional(faults, field, text, |text| check(text, max))
        .map_or_else(Box::default, |()| text.into())
}

/// Checks an amount of money.
pub(super) fn amount(
    faults: &mut Faults,
    field: &str,
    parsed: Option<&Result<f64, (FaultCode, String)>>,
) -> Option<Micros> {
    let parsed = parsed?.clone().and_then(Micros::from_units);
    faults.take(field, parsed)
}

/// News of a product's stock and price, as of a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InventorySet {
    /// Since when this holds.
    pub set_at: Timestamp,
    /// In stock or not; absent: as it was.
    pub available: Option<bool>,
    /// The price; absent: as it was.
    pub price: Option<Micros>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_checked() {
        let draft = ProductDraft {
            product_id: "p1",
            name: " INFLATABLE POLITICAL GLOBE ",
            category: vec!["Toys", " Globes"],
            price: Some(Ok(0.85)),
            currency: "GBP",
            ..ProductDraft::default()
        };
        let product = draft.check().unwrap();
        assert_eq!(&*product.name, "INFLATABLE POLITICAL GLOBE");
        assert_eq!(product.category_text(), "Toys > Globes");
        assert_eq!(product.price, Some(Micros(850_000)));
        assert!(product.available);

        let faulty = ProductDraft {
            product_id: "",
            category_field: "category",
            category: vec![""],
            price: Some(Ok(f64::INFINITY)),
            ..ProductDraft::default()
        };
        let faults = faulty.check().unwrap_err();
        let fields: Vec<&str> = faults.as_slice().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["product_id", "category", "price"]);
    }
}
