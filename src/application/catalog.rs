//! The catalog: products as callers create, change and list them.

use crate::application::error::AppError;
use crate::application::ingest::Written;
use crate::domain::{InventorySet, Product, ProductId, Timestamp};

/// The most products of one batch.
pub const MAX_PRODUCTS_IN_BATCH: usize = 1_000;

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
pub struct Catalog {}

impl Catalog {
    /// Creates a product.
    ///
    /// # Errors
    /// `ProductExists`; those of writing.
    pub async fn create(
        &self,
        _product: Product,
        _validate_only: bool,
    ) -> Result<StoredProduct, AppError> {
        Err(AppError::NotReady)
    }

    /// Returns a product.
    ///
    /// # Errors
    /// `ProductNotFound`.
    pub fn get(&self, _id: &ProductId) -> Result<StoredProduct, AppError> {
        Err(AppError::NotReady)
    }

    /// Lists products from `from` on, in the order in which they became known.
    ///
    /// # Errors
    /// `InvalidExpression`.
    pub fn list(
        &self,
        _from: u64,
        _limit: usize,
        _filter: &str,
    ) -> Result<Page<StoredProduct>, AppError> {
        Err(AppError::NotReady)
    }

    /// Changes a product: `change` gets it as it is (or nothing) and returns it as it shall be.
    ///
    /// # Errors
    /// `ProductNotFound` if there is none and not `allow_missing`; those of `change` and of writing.
    pub async fn update(
        &self,
        _id: &ProductId,
        _allow_missing: bool,
        _validate_only: bool,
        _change: impl FnOnce(Option<&Product>) -> Result<Product, AppError> + Send,
    ) -> Result<StoredProduct, AppError> {
        Err(AppError::NotReady)
    }

    /// Removes a product.
    ///
    /// # Errors
    /// `ProductNotFound`; those of writing.
    pub async fn delete(&self, _id: &ProductId) -> Result<(), AppError> {
        Err(AppError::NotReady)
    }

    /// Creates or replaces products; `duplicate` counts those that were the same already.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn upsert(
        &self,
        _products: Vec<Product>,
        _validate_only: bool,
    ) -> Result<Written, AppError> {
        Err(AppError::NotReady)
    }

    /// Says what is in stock and what it costs; older news than what is known changes nothing.
    ///
    /// # Errors
    /// `ProductNotFound`; those of writing.
    pub async fn set_inventory(
        &self,
        _id: &ProductId,
        _news: InventorySet,
    ) -> Result<StoredProduct, AppError> {
        Err(AppError::NotReady)
    }
}
