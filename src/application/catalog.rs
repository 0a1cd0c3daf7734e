//! The catalog: products as callers create, change and list them.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::application::error::AppError;
use crate::application::expression::{Expression, Scope, product_value};
use crate::application::ingest::{Ingest, Written};
use crate::application::shop::Shop;
use crate::domain::{FaultCode, Faults, InventorySet, Product, ProductId, RecordBody, Timestamp};
use crate::state::State;

/// The most products of one batch.
pub const MAX_PRODUCTS_IN_BATCH: usize = 1_000;
/// How many products one page looks at, at most, to find those of its filter.
const MAX_SCAN: usize = 20_000;

/// A product as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredProduct {
    /// The product.
    pub product: Product,
    /// The newest news of stock and price.
    pub inventory_at: Option<Timestamp>,
}

/// One page, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where to go on; absent: this was the last page.
    pub next: Option<u64>,
}

/// The use cases of the catalog.
#[derive(Debug, Clone)]
pub struct Catalog {
    shop: Arc<Shop>,
    ingest: Ingest,
    /// One change at a time: each looks at what is there before it writes.
    gate: Arc<Mutex<()>>,
}

impl Catalog {
    /// Over a shop.
    #[must_use]
    pub fn new(shop: Arc<Shop>, ingest: Ingest) -> Self {
        Self {
            shop,
            ingest,
            gate: Arc::default(),
        }
    }

    /// Creates a product.
    ///
    /// # Errors
    /// `ProductExists`; those of writing.
    pub async fn create(
        &self,
        product: Product,
        validate_only: bool,
    ) -> Result<StoredProduct, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        let id = product.id.clone();
        if self.get(&id).is_ok() {
            return Err(AppError::ProductExists { id: id.to_string() });
        }
        self.put(product, validate_only).await
    }

    /// Returns a product.
    ///
    /// # Errors
    /// `ProductNotFound`.
    pub fn get(&self, id: &ProductId) -> Result<StoredProduct, AppError> {
        let known = self.shop.known();
        let number = known.state.products.number(id.as_str());
        number
            .and_then(|number| stored(&known.state, number))
            .ok_or_else(|| AppError::ProductNotFound { id: id.to_string() })
    }

    /// Lists products from journal position `from` on, in the order in which they came into the catalog; looks at no
    /// more than a bounded number, so a page may be short although more follow.
    ///
    /// # Errors
    /// `InvalidExpression`.
    pub fn list(
        &self,
        from: u64,
        limit: usize,
        filter: &str,
    ) -> Result<Page<StoredProduct>, AppError> {
        let filter = Expression::filter(filter, &["product"])?;
        let now = self.shop.clock.now();
        let known = self.shop.known();
        let state = &known.state;
        let catalog = state.products.catalog();
        let first = catalog.partition_point(|(position, _)| position.0 < from);
        let end = catalog.len().min(first + MAX_SCAN);
        let mut items = Vec::new();
        let mut next = first;
        let is_late = || filter.as_ref().is_some_and(Expression::is_late);
        while next < end && items.len() < limit && !is_late() {
            let (_, number) = catalog[next];
            let wanted = filter.as_ref().is_none_or(|filter| {
                let value = product_value(state.products.item(number), now);
                // a product without the field is not one of those that were asked for
                filter
                    .holds(&Scope::default(), Some(value))
                    .unwrap_or(false)
            });
            if wanted {
                items.extend(stored(state, number));
            } else if is_late() {
                // whether this one is wanted was not found out
                break;
            }
            next += 1;
        }
        Ok(Page {
            items,
            next: catalog.get(next).map(|(position, _)| position.0),
        })
    }

    /// Changes a product: `change` gets it as it is (or nothing) and returns it as it shall be.
    ///
    /// # Errors
    /// `ProductNotFound` if there is none and not `allow_missing`; those of `change` and of writing.
    pub async fn update(
        &self,
        id: &ProductId,
        allow_missing: bool,
        validate_only: bool,
        change: impl FnOnce(Option<&Product>) -> Result<Product, AppError> + Send,
    ) -> Result<StoredProduct, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        let before = match self.get(id) {
            Ok(stored) => Some(stored.product),
            Err(AppError::ProductNotFound { .. }) if allow_missing => None,
            Err(error) => return Err(error),
        };
        self.put(change(before.as_ref())?, validate_only).await
    }

    /// Removes a product.
    ///
    /// # Errors
    /// `ProductNotFound`; those of writing.
    pub async fn delete(&self, id: &ProductId) -> Result<(), AppError> {
        let _one_at_a_time = self.gate.lock().await;
        self.get(id)?;
        self.ingest
            .write(vec![RecordBody::ProductDeleted(id.clone())])
            .await?;
        Ok(())
    }

    /// Creates or replaces products; `duplicate` counts those that were the same already.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn upsert(
        &self,
        products: Vec<Product>,
        validate_only: bool,
    ) -> Result<Written, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        if validate_only {
            return Ok(Written::default());
        }
        let bodies = products
            .into_iter()
            .map(|p| RecordBody::ProductUpserted(Box::new(p)));
        self.ingest.write(bodies.collect()).await
    }

    /// Says what is in stock and what it costs, in the product's currency; older news than what is known changes
    /// nothing.
    ///
    /// # Errors
    /// `ProductNotFound`; `Invalid` for a price if the product has no currency; those of writing.
    pub async fn set_inventory(
        &self,
        id: &ProductId,
        news: InventorySet,
    ) -> Result<StoredProduct, AppError> {
        let _one_at_a_time = self.gate.lock().await;
        let before = self.get(id)?;
        if news.price.is_some() && before.product.currency.is_none() {
            let mut faults = Faults::new();
            let reason =
                "the product has no currency; set price and currency_code with UpdateProduct";
            faults.add("price", FaultCode::NotAllowed, reason);
            return Err(faults.into());
        }
        if before.inventory_at.is_none_or(|known| known < news.set_at) {
            self.ingest
                .write(vec![RecordBody::InventorySet(id.clone(), news)])
                .await?;
        }
        self.get(id)
    }

    async fn put(&self, product: Product, validate_only: bool) -> Result<StoredProduct, AppError> {
        let id = product.id.clone();
        if validate_only {
            return Ok(StoredProduct {
                product,
                inventory_at: None,
            });
        }
        self.ingest
            .write(vec![RecordBody::ProductUpserted(Box::new(product))])
            .await?;
        self.get(&id)
    }
}

fn stored(state: &State, number: u32) -> Option<StoredProduct> {
    let product = state.products.product(number)?;
    let listing = state.products.item(number).listing.as_ref()?;
    Some(StoredProduct {
        product,
        inventory_at: listing.inventory_at,
    })
}
