//! Which fields of a product an update changes.

use crate::domain::{FaultCode, Faults, Product};
use crate::proto::v1;

/// A field that can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    CategoryPath,
    Brand,
    Price,
    CurrencyCode,
    UnitCost,
    Available,
    CreateTime,
    Attributes,
}

impl Field {
    const ALL: [(&'static str, Self); 9] = [
        ("name", Self::Name),
        ("category_path", Self::CategoryPath),
        ("brand", Self::Brand),
        ("price", Self::Price),
        ("currency_code", Self::CurrencyCode),
        ("unit_cost", Self::UnitCost),
        ("available", Self::Available),
        ("create_time", Self::CreateTime),
        ("attributes", Self::Attributes),
    ];

    /// True if the caller said something of it.
    fn is_set(self, product: &v1::Product) -> bool {
        match self {
            Self::Name => !product.name.is_empty(),
            Self::CategoryPath => !product.category_path.is_empty(),
            Self::Brand => !product.brand.is_empty(),
            Self::Price => product.price.is_some(),
            Self::CurrencyCode => !product.currency_code.is_empty(),
            Self::UnitCost => product.unit_cost.is_some(),
            Self::Available => product.available.is_some(),
            Self::CreateTime => product.create_time.is_some(),
            Self::Attributes => !product.attributes.is_empty(),
        }
    }
}

/// The fields to change.
#[derive(Debug)]
pub(super) struct Mask(Vec<Field>);

impl Mask {
    /// Absent: the fields that are set. `*`: all. Fields the service sets itself are passed over.
    pub(super) fn parse(
        faults: &mut Faults,
        mask: Option<&prost_types::FieldMask>,
        given: &v1::Product,
    ) -> Self {
        let all = Field::ALL.into_iter().map(|(_, field)| field);
        let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
            return Self(all.filter(|field| field.is_set(given)).collect());
        };
        let mut fields = Vec::new();
        for path in &mask.paths {
            match path.as_str() {
                "*" => fields.extend(all.clone()),
                // says which product, or is the service's own
                "product_id" | "inventory_time" => {}
                path => match Field::ALL.iter().find(|(name, _)| *name == path) {
                    Some((_, field)) => fields.push(*field),
                    None => {
                        let names = Field::ALL.map(|(name, _)| name).join(", ");
                        let reason = format!("paths are * and {names}");
                        faults.add("update_mask", FaultCode::UnknownName, reason);
                        break;
                    }
                },
            }
        }
        Self(fields)
    }

    /// `old` with the fields of the mask as they are in `news`.
    pub(super) fn merge(&self, old: &Product, news: &Product) -> Product {
        let mut merged = old.clone();
        for field in &self.0 {
            match field {
                Field::Name => merged.name.clone_from(&news.name),
                Field::CategoryPath => merged.category.clone_from(&news.category),
                Field::Brand => merged.brand.clone_from(&news.brand),
                Field::Price => merged.price = news.price,
                Field::CurrencyCode => merged.currency = news.currency,
                Field::UnitCost => merged.unit_cost = news.unit_cost,
                Field::Available => merged.available = news.available,
                Field::CreateTime => merged.created_at = news.created_at,
                Field::Attributes => merged.attributes.clone_from(&news.attributes),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Micros, ProductDraft};

    fn old() -> Product {
        ProductDraft {
            product_id: "p1",
            name: "Old",
            brand: "Acme",
            price: Some(Ok(5.0)),
            currency: "EUR",
            ..ProductDraft::default()
        }
        .check()
        .unwrap()
    }

    fn merged(paths: Option<&[&str]>) -> Result<Product, Faults> {
        let given = v1::Product {
            product_id: "p1".to_owned(),
            name: "New".to_owned(),
            ..v1::Product::default()
        };
        let news = ProductDraft {
            product_id: "p1",
            name: "New",
            ..ProductDraft::default()
        };
        let mask = paths.map(|paths| prost_types::FieldMask {
            paths: paths.iter().map(ToString::to_string).collect(),
        });
        let mut faults = Faults::new();
        let mask = Mask::parse(&mut faults, mask.as_ref(), &given);
        faults.into_result(|| mask.merge(&old(), &news.check().unwrap()))
    }

    #[test]
    fn only_the_fields_of_the_mask_change() {
        let product = merged(None).unwrap();
        assert_eq!((&*product.name, &*product.brand), ("New", "Acme"));
        let product = merged(Some(&["price", "product_id"])).unwrap();
        assert_eq!((&*product.name, product.price), ("Old", None));
        assert_eq!(product.currency, Some(Currency::parse("EUR").unwrap()));
        let product = merged(Some(&["*"])).unwrap();
        assert_eq!((&*product.name, &*product.brand), ("New", ""));
        assert_eq!(product.price, None::<Micros>);
        let faults = merged(Some(&["colour"])).unwrap_err();
        assert_eq!(faults.as_slice()[0].code, FaultCode::UnknownName);
    }
}
