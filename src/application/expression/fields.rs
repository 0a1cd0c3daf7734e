//! The fields expressions may ask for, with what they hold; and samples of them, to see what an expression gives.

use cel::Value;

use super::{Scope, object};

/// What a field holds. It may be absent all the same, save where [`super::product_value`] and
/// [`super::customer_value`] always set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    /// Texts by key; which keys there are is not known.
    Map,
    Number,
    Count,
    Truth,
}

type Fields = &'static [(&'static str, Kind)];

pub(super) const PRODUCT: Fields = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("category", Kind::Text),
    ("category_path", Kind::Texts),
    ("brand", Kind::Text),
    ("price", Kind::Number),
    ("currency", Kind::Text),
    ("unit_cost", Kind::Number),
    ("available", Kind::Truth),
    ("attributes", Kind::Map),
    ("basket_count", Kind::Count),
    ("created_days_ago", Kind::Number),
];
pub(super) const CUSTOMER: Fields = &[
    ("id", Kind::Text),
    ("known", Kind::Truth),
    ("traits", Kind::Map),
    ("stage", Kind::Text),
    ("persona", Kind::Text),
    ("propensity", Kind::Map),
    ("needs_recovery", Kind::Truth),
    ("health", Kind::Text),
    ("campaigns", Kind::Texts),
    ("order_count", Kind::Count),
    ("event_count", Kind::Count),
    ("product_count", Kind::Count),
    ("days_since_last_order", Kind::Number),
    ("days_since_last_event", Kind::Number),
];
const REQUEST: Fields = &[
    ("placement", Kind::Text),
    ("stage", Kind::Text),
    ("channel", Kind::Text),
];

/// The fields of a variable; none if it is no variable.
fn of(variable: &str) -> Option<Fields> {
    match variable {
        "product" => Some(PRODUCT),
        "customer" => Some(CUSTOMER),
        "request" => Some(REQUEST),
        _ => None,
    }
}

/// Finds a field that a variable does not have.
pub(super) fn check(variable: &str, field: &str) -> Result<(), String> {
    let Some(fields) = of(variable) else {
        return Ok(());
    };
    if fields.iter().any(|(name, _)| *name == field) {
        return Ok(());
    }
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    Err(format!("{variable} has no {field}; it has {names}"))
}

/// Somebody with something of everything, and somebody with nothing: what an expression gives for both, it gives for
/// any, as far as types go.
pub(super) fn samples() -> [(Scope, Value); 2] {
    [true, false].map(|is_full| {
        let sample = |fields: Fields| {
            object(
                fields
                    .iter()
                    .map(|(name, kind)| (*name, kind.sample(is_full))),
            )
        };
        let scope = Scope {
            customer: Some(sample(CUSTOMER)),
            request: Some(sample(REQUEST)),
        };
        (scope, sample(PRODUCT))
    })
}

impl Kind {
    fn sample(self, is_full: bool) -> Value {
        match (self, is_full) {
            (Self::Text, true) => "sample".into(),
            (Self::Text, false) => "".into(),
            (Self::Texts, true) => vec![Value::from("sample"), Value::from("of two")].into(),
            (Self::Texts, false) => Vec::<Value>::new().into(),
            // with keys it would say of a key that is not there that it never is
            (Self::Map, _) => object([]),
            (Self::Number, true) => 20.0.into(),
            (Self::Number, false) => 0.0.into(),
            (Self::Count, true) => Value::Int(3),
            (Self::Count, false) => Value::Int(0),
            (Self::Truth, is_full) => is_full.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cel::objects::Key;

    use super::super::{customer_value, product_value};
    use super::*;
    use crate::application::outlook::Outlook;
    use crate::application::recipes::Recipes;
    use crate::domain::{
        Customer, CustomerId, EventDraft, ProductDraft, Record, RecordBody, Timestamp,
    };
    use crate::state::people::Person;
    use crate::state::{FoldSettings, State};

    /// The kinds of the fields of a value.
    fn kinds(value: &Value) -> Vec<(String, String)> {
        let Value::Map(map) = value else {
            panic!("{value:?}");
        };
        let mut kinds: Vec<(String, String)> = map
            .map
            .iter()
            .map(|(key, value)| {
                let Key::String(key) = key else {
                    panic!("{key:?}");
                };
                (key.to_string(), value.type_of().to_string())
            })
            .collect();
        kinds.sort();
        kinds
    }

    #[test]
    fn samples_have_the_fields_and_types_of_what_they_stand_for() {
        let journey = Recipes::embedded().unwrap().journey;
        let mut state = State::new(FoldSettings {
            journey,
            visitor_idle_days: 30,
        });
        let now = Timestamp::from_ms(1_700_000_000_000);
        let product = ProductDraft {
            product_id: "p1",
            category: vec!["Audio"],
            price: Some(Ok(20.0)),
            unit_cost: Some(Ok(10.0)),
            currency: "EUR",
            created_at: Some(Ok(now)),
            ..ProductDraft::default()
        };
        let customer = Customer {
            id: CustomerId::trusted("c1".to_owned()),
            traits: Vec::new(),
        };
        let bought = EventDraft {
            event_type: "purchase",
            time: Some(Ok(now)),
            customer_id: "c1",
            product_id: "p1",
            ..EventDraft::default()
        };
        for body in [
            RecordBody::ProductUpserted(Box::new(product.check().unwrap())),
            RecordBody::CustomerUpserted(Box::new(customer)),
            RecordBody::Event(Box::new(bought.check(now, |_| 0).unwrap())),
        ] {
            let recorded_at = now;
            state.apply(&Record { recorded_at, body });
        }
        let product = product_value(state.products.item(0), now);
        let subject = state.subject(Person::Customer(0));
        let customer = customer_value(subject, state.journey(), &Outlook::default(), now);
        let request = Scope::new(object([]), "home", "decision", "email")
            .request
            .unwrap();
        for (scope, sample) in samples() {
            assert_eq!(kinds(&sample), kinds(&product));
            assert_eq!(kinds(&scope.customer.unwrap()), kinds(&customer));
            assert_eq!(kinds(&scope.request.unwrap()), kinds(&request));
        }
    }
}
