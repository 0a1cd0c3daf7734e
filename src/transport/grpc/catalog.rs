//! CatalogService: products.

use tonic::{Request, Response, Status};

use crate::application::AppError;
use crate::application::catalog::{Catalog, MAX_PRODUCTS_IN_BATCH, StoredProduct};
use crate::application::ingest::Ingest;
use crate::domain::{
    FaultCode, Faults, InventorySet, Micros, Product, ProductDraft, ProductId, Timestamp,
};
use crate::proto::v1;
use crate::proto::v1::catalog_service_server::CatalogService;
use crate::transport::grpc::field::{
    self, DEFAULT_PAGE, MAX_PAGE, count32, parse_id, render_time, under,
};
use crate::transport::grpc::mask::{Field, Mask, Masked, fields};
use crate::transport::grpc::page_token::Binding;
use crate::transport::grpc::work::blocking;

/// Answers CatalogService.
#[derive(Debug, Clone)]
pub struct CatalogApi {
    /// The use cases.
    pub(in crate::transport) catalog: Catalog,
    /// The clock.
    pub(in crate::transport) ingest: Ingest,
}

impl Masked for v1::Product {
    const FIELDS: &'static [Field<Self>] = fields![v1::Product:
        name, category_path, brand, price, currency_code, unit_cost, available, create_time,
        attributes,
    ];
    const FIXED: &'static [&'static str] = &["product_id", "inventory_time"];
}

#[tonic::async_trait]
impl CatalogService for CatalogApi {
    async fn create_product(
        &self,
        request: Request<v1::CreateProductRequest>,
    ) -> Result<Response<v1::Product>, Status> {
        let request = request.into_inner();
        let product = field::required("product", request.product)?;
        let product = whole(&product).map_err(|faults| under("product", faults))?;
        let stored = self.catalog.create(product, request.validate_only).await?;
        Ok(Response::new(render(&stored)))
    }

    async fn get_product(
        &self,
        request: Request<v1::GetProductRequest>,
    ) -> Result<Response<v1::Product>, Status> {
        let id = product_id(&request.into_inner().product_id)?;
        Ok(Response::new(render(&self.catalog.get(&id)?)))
    }

    async fn list_products(
        &self,
        request: Request<v1::ListProductsRequest>,
    ) -> Result<Response<v1::ListProductsResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let limit = field::page_size(&mut faults, request.page_size, DEFAULT_PAGE, MAX_PAGE);
        field::expression(&mut faults, "filter", &request.filter);
        faults.into_result(|| ()).map_err(AppError::from)?;
        let fields = [request.filter.as_str()];
        let binding = Binding {
            method: "ListProducts",
            fields: &fields,
        };
        let from = binding.cursor(&request.page_token)?;
        let catalog = self.catalog.clone();
        let filter = request.filter.clone();
        let page = blocking(move |_| catalog.list(from, limit, &filter)).await?;
        Ok(Response::new(v1::ListProductsResponse {
            products: page.items.iter().map(render).collect(),
            next_page_token: binding.token(page.next),
        }))
    }

    async fn update_product(
        &self,
        request: Request<v1::UpdateProductRequest>,
    ) -> Result<Response<v1::Product>, Status> {
        let request = request.into_inner();
        let given = field::required("product", request.product)?;
        let mut faults = Faults::new();
        let mask = Mask::parse(&mut faults, request.update_mask.as_ref(), &given);
        let id = match draft(&given).check() {
            Ok(product) if faults.is_empty() => product.id,
            Ok(_) => return Err(AppError::Invalid(faults).into()),
            Err(found) => {
                faults.nest("product", found);
                return Err(AppError::Invalid(faults).into());
            }
        };
        let change = move |old: Option<&Product>| {
            let merged = match old {
                Some(old) => mask.merge(render_product(old), &given),
                None => given,
            };
            whole(&merged).map_err(|faults| under("product", faults))
        };
        let stored = self
            .catalog
            .update(&id, request.allow_missing, request.validate_only, change)
            .await?;
        Ok(Response::new(render(&stored)))
    }

    async fn delete_product(
        &self,
        request: Request<v1::DeleteProductRequest>,
    ) -> Result<Response<v1::DeleteProductResponse>, Status> {
        let id = product_id(&request.into_inner().product_id)?;
        self.catalog.delete(&id).await?;
        Ok(Response::new(v1::DeleteProductResponse {}))
    }

    async fn batch_upsert_products(
        &self,
        request: Request<v1::BatchUpsertProductsRequest>,
    ) -> Result<Response<v1::BatchUpsertProductsResponse>, Status> {
        let request = request.into_inner();
        let products = parse_batch(&request.products)?;
        let written = self.catalog.upsert(products, request.validate_only).await?;
        Ok(Response::new(v1::BatchUpsertProductsResponse {
            written_count: count32(written.new),
            unchanged_count: count32(written.duplicate),
        }))
    }

    async fn set_inventory(
        &self,
        request: Request<v1::SetInventoryRequest>,
    ) -> Result<Response<v1::Product>, Status> {
        let (id, news) = parse_inventory(&request.into_inner(), self.ingest.latest())?;
        let stored = self.catalog.set_inventory(&id, news).await?;
        Ok(Response::new(render(&stored)))
    }
}

fn product_id(text: &str) -> Result<ProductId, AppError> {
    parse_id("product_id", ProductId::parse(text))
}

/// 1 to [`MAX_PRODUCTS_IN_BATCH`] products, each id once.
fn parse_batch(products: &[v1::Product]) -> Result<Vec<Product>, AppError> {
    let names = ["products", "product_id"];
    field::upserts(
        names,
        products,
        MAX_PRODUCTS_IN_BATCH,
        |p| &p.product_id,
        whole,
    )
}

fn parse_inventory(
    request: &v1::SetInventoryRequest,
    now: Timestamp,
) -> Result<(ProductId, InventorySet), AppError> {
    let mut faults = Faults::new();
    let id = faults.take("product_id", ProductId::parse(&request.product_id));
    let set_at = match &request.set_time {
        Some(time) => {
            let time = field::time(time).and_then(|time| time.not_after(now));
            faults.take("set_time", time)
        }
        None => {
            faults.add("set_time", FaultCode::Required, "must be given");
            None
        }
    };
    let price = request
        .price
        .and_then(|price| faults.take("price", Micros::from_units(price)));
    if request.available.is_none() && request.price.is_none() {
        let reason = "one of available and price must be given";
        faults.add("available", FaultCode::Required, reason);
    }
    match (id, set_at) {
        (Some(id), Some(set_at)) if faults.is_empty() => {
            let news = InventorySet {
                set_at,
                available: request.available,
                price,
            };
            Ok((id, news))
        }
        _ => Err(faults.into()),
    }
}

/// A product that is complete as it stands.
fn whole(product: &v1::Product) -> Result<Product, Faults> {
    let product = draft(product).check()?;
    priced(&product)?;
    Ok(product)
}

/// A price without a currency cannot be compared with anything.
fn priced(product: &Product) -> Result<(), Faults> {
    let mut faults = Faults::new();
    let amount = product.price.is_some() || product.unit_cost.is_some();
    if amount && product.currency.is_none() {
        let reason = "must be given with a price or a unit cost";
        faults.add("currency_code", FaultCode::Required, reason);
    }
    faults.into_result(|| ())
}

fn draft(product: &v1::Product) -> ProductDraft<'_> {
    ProductDraft {
        product_id: &product.product_id,
        name: &product.name,
        category: product.category_path.iter().map(String::as_str).collect(),
        category_field: "category_path",
        brand: &product.brand,
        price: product.price.map(Ok),
        currency: &product.currency_code,
        currency_field: "currency_code",
        unit_cost: product.unit_cost.map(Ok),
        available: product.available.map(Ok),
        created_at: product.create_time.as_ref().map(field::time),
        created_field: "create_time",
        attributes: field::pairs(&product.attributes),
    }
}

fn render(stored: &StoredProduct) -> v1::Product {
    v1::Product {
        inventory_time: stored.inventory_at.map(render_time),
        ..render_product(&stored.product)
    }
}

/// A product as it was written.
fn render_product(product: &Product) -> v1::Product {
    v1::Product {
        product_id: product.id.as_str().to_owned(),
        name: product.name.to_string(),
        category_path: product.category.iter().map(ToString::to_string).collect(),
        brand: product.brand.to_string(),
        price: product.price.map(Micros::units),
        currency_code: product
            .currency
            .map_or_else(String::new, |currency| currency.as_str().to_owned()),
        unit_cost: product.unit_cost.map(Micros::units),
        available: Some(product.available),
        create_time: product.created_at.map(render_time),
        attributes: field::render_pairs(&product.attributes),
        inventory_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_comes_back_as_it_was_written() {
        let sent = v1::Product {
            product_id: "p1".to_owned(),
            name: "Headphones".to_owned(),
            category_path: vec!["Audio".to_owned(), "Headphones".to_owned()],
            brand: "Acme".to_owned(),
            price: Some(49.99),
            currency_code: "EUR".to_owned(),
            unit_cost: Some(20.5),
            available: Some(false),
            create_time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            attributes: [("colour".to_owned(), "black".to_owned())].into(),
            inventory_time: None,
        };
        let stored = StoredProduct {
            product: whole(&sent).unwrap(),
            inventory_at: None,
        };
        assert_eq!(render(&stored), sent);
    }

    #[test]
    fn a_price_needs_a_currency_and_a_batch_each_id_once() {
        let product = |id: &str| v1::Product {
            product_id: id.to_owned(),
            price: Some(1.0),
            ..v1::Product::default()
        };
        let error = parse_batch(&[product("p1"), product("p1"), product("")]).unwrap_err();
        let AppError::Invalid(faults) = error else {
            panic!("{error}");
        };
        let found: Vec<&str> = faults.as_slice().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            found,
            [
                "products[0].currency_code",
                "products[1].product_id",
                "products[1].currency_code",
                "products[2].product_id",
            ]
        );
    }
}
