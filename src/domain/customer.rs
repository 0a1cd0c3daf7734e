//! Who: customers, visitors, and what is known of them.

use crate::domain::fault::{FaultCode, Faults};
use crate::domain::id::{CustomerId, VisitorId, check};

/// The most traits of a customer, and attributes of a product.
pub const MAX_TRAITS: usize = 64;
/// The longest key of a trait or attribute, in bytes.
pub const MAX_TRAIT_KEY_BYTES: usize = 64;
/// The longest value of a trait or attribute, in bytes.
pub const MAX_TRAIT_VALUE_BYTES: usize = 512;

/// Keys and values, sorted by key.
pub type Traits = Vec<(Box<str>, Box<str>)>;

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A known customer; with the visitor, the visitor is identified as the customer.
    Customer {
        /// The customer.
        customer: CustomerId,
        /// The browser or device.
        visitor: Option<VisitorId>,
    },
    /// Somebody anonymous.
    Visitor(VisitorId),
}

impl Subject {
    /// The customer, if known.
    #[must_use]
    pub fn customer(&self) -> Option<&CustomerId> {
        match self {
            Self::Customer { customer, .. } => Some(customer),
            Self::Visitor(_) => None,
        }
    }

    /// The visitor, if there is one.
    #[must_use]
    pub fn visitor(&self) -> Option<&VisitorId> {
        match self {
            Self::Customer { visitor, .. } => visitor.as_ref(),
            Self::Visitor(visitor) => Some(visitor),
        }
    }
}

/// A customer's traits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Who.
    pub id: CustomerId,
    /// Country, segment, …
    pub traits: Traits,
}

/// A customer as somebody wrote it.
#[derive(Debug, Clone, Default)]
pub struct CustomerDraft<'a> {
    /// Who.
    pub customer_id: &'a str,
    /// Keys and values; those with an empty value are absent.
    pub traits: Vec<(&'a str, &'a str)>,
}

impl CustomerDraft<'_> {
    /// Checks everything.
    ///
    /// # Errors
    /// Every fault, with the field it is in; traits as `traits.<key>`.
    pub fn check(&self) -> Result<Customer, Faults> {
        let mut faults = Faults::new();
        let id = faults.take("customer_id", CustomerId::parse(self.customer_id));
        let traits = check_traits("traits", &self.traits, &mut faults);
        match id {
            Some(id) if faults.is_empty() => Ok(Customer { id, traits }),
            _ => Err(faults),
        }
    }
}

/// Checks and sorts keys and values; an empty value is "absent".
pub(crate) fn check_traits(field: &str, pairs: &[(&str, &str)], faults: &mut Faults) -> Traits {
    let mut traits = Traits::new();
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        if let Err((code, reason)) = check(key, MAX_TRAIT_KEY_BYTES) {
            faults.add(field, code, format!("key: {reason}"));
        } else if value.len() > MAX_TRAIT_VALUE_BYTES {
            let reason = format!(
                "{} bytes; at most {MAX_TRAIT_VALUE_BYTES} are allowed",
                value.len()
            );
            faults.add(format!("{field}.{key}"), FaultCode::TooLong, reason);
        } else if value.contains('\0') {
            faults.add(
                format!("{field}.{key}"),
                FaultCode::BadCharacter,
                "contains NUL",
            );
        } else {
            traits.push((Box::from(*key), Box::from(*value)));
        }
    }
    traits.sort();
    if let Some(twice) = traits.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        faults.add(
            format!("{field}.{}", twice[0].0),
            FaultCode::Duplicate,
            "given twice",
        );
    }
    if traits.len() > MAX_TRAITS {
        let reason = format!("{} entries; at most {MAX_TRAITS} are allowed", traits.len());
        faults.add(field, FaultCode::TooLong, reason);
    }
    traits
}
