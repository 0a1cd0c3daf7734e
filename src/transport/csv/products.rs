//! `products.csv`: what can be bought.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::FileError;
use super::table::{Found, Table, number, time, truth_value};
use crate::application::import::{Row, RowResult};
use crate::domain::catalog::CATEGORY_SEPARATOR;
use crate::domain::{FaultCode, Faults, Product, ProductDraft};

const COLUMNS: [&str; 10] = [
    "product_id",
    "name",
    "category",
    "brand",
    "price",
    "currency",
    "unit_cost",
    "available",
    "created_at",
    "attributes",
];

/// Reads products.
pub struct Products {
    table: Table,
    found: Found<10>,
}

impl fmt::Debug for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Products").field(&self.table).finish()
    }
}

impl Products {
    /// Opens a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let table = Table::open(path, &COLUMNS[..1])?;
        let found = table.find(COLUMNS, &[&COLUMNS[..1]])?;
        Ok(Self { table, found })
    }

    /// The file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The columns nobody reads.
    #[must_use]
    pub fn ignored(&self) -> Vec<String> {
        self.table.unknown(&COLUMNS)
    }

    fn parse(&self, line: u64) -> RowResult<Product> {
        let cell = |place: usize| self.table.cell(self.found.0[place]);
        let mut unread = Faults::new();
        let attributes = read_attributes(cell(9), &mut unread);
        let category = Some(cell(2)).filter(|path| !path.is_empty());
        let draft = ProductDraft {
            product_id: cell(0),
            name: cell(1),
            category: category.map_or_else(Vec::new, |p| p.split(CATEGORY_SEPARATOR).collect()),
            category_field: "category",
            brand: cell(3),
            price: number(cell(4)),
            currency: cell(5).trim(),
            currency_field: "currency",
            unit_cost: number(cell(6)),
            available: truth_value(cell(7)),
            created_at: time(cell(8)),
            created_field: "created_at",
            attributes: attributes
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        };
        let faults = match draft.check() {
            Ok(value) if unread.is_empty() => return Ok(Row { line, value }),
            Ok(_) => unread,
            Err(mut faults) => {
                for fault in unread.as_slice() {
                    faults.add(fault.field.clone(), fault.code, fault.reason.clone());
                }
                faults
            }
        };
        Err(self.table.refuse(line, &faults))
    }
}

impl Iterator for Products {
    type Item = RowResult<Product>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|line| self.parse(line)))
    }
}

/// A JSON object's pairs as they stand there, so that a key given twice is seen.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

fn read_attributes(cell: &str, faults: &mut Faults) -> Vec<(String, String)> {
    if cell.is_empty() {
        return Vec::new();
    }
    let pairs = match serde_json::from_str::<Pairs>(cell) {
        Ok(Pairs(pairs)) => pairs,
        Err(error) => {
            let at = error.column();
            let reason = format!("not a JSON object (see character {at} of the cell)");
            faults.add("attributes", FaultCode::Malformed, reason);
            return Vec::new();
        }
    };
    let mut texts = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                let reason = "must be a text, a number, true or false";
                faults.add(format!("attributes.{key}"), FaultCode::Malformed, reason);
                continue;
            }
        };
        texts.push((key, text));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_scalars_as_text() {
        let read = |cell: &str| {
            let mut faults = Faults::new();
            let pairs = read_attributes(cell, &mut faults);
            (pairs, faults.to_string())
        };
        let (pairs, faults) = read(r#"{"b":"x","a":1.50,"c":true,"d":null}"#);
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs, [text("b", "x"), text("a", "1.5"), text("c", "true")]);
        assert_eq!(faults, "");
        let reason = "attributes.a: must be a text, a number, true or false";
        assert_eq!(read(r#"{"a":[1]}"#).1, reason);
        assert!(read("[1]").1.contains("not a JSON object"));
        assert!(read("{\"a\":").1.contains("not a JSON object"));
        assert_eq!(read(r#"{"a":1,"a":2}"#).0.len(), 2);
    }
}
