//! Which group somebody belongs to who asked: by the value of one trait of the customers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::Customer;

/// The most values of a trait that are told apart; the rarer ones are one group.
pub const MAX_GROUPS: usize = 20;
/// The group of everybody with a rarer value.
const OTHER: &str = "(other)";
/// The group of visitors, and of customers whose value is not known.
const NONE: &str = "(none)";

/// The customers by the value of a trait.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// The trait.
    pub column: String,
    /// The names of the groups: values, the most frequent first, then those of rarer values and of none.
    pub names: Vec<String>,
    groups: HashMap<String, u16>,
}

/// No customer has the trait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no customer has {column:?}; known of them: {}", known.join(", "))]
pub struct NoSuchTrait {
    /// The trait.
    pub column: String,
    /// The traits there are.
    pub known: Vec<String>,
}

impl Grouping {
    /// By the trait `column` of `customers`; of a customer who comes twice, the last counts.
    ///
    /// # Errors
    /// If none of them has it.
    pub fn of<'a>(
        column: &str,
        customers: impl IntoIterator<Item = &'a Customer>,
    ) -> Result<Self, NoSuchTrait> {
        let mut values: HashMap<&str, &str> = HashMap::new();
        let mut known = BTreeSet::new();
        for customer in customers {
            known.extend(customer.traits.iter().map(|(name, _)| name.to_string()));
            let value = customer.traits.iter().find(|(name, _)| &**name == column);
            match value {
                Some((_, value)) => values.insert(customer.id.as_str(), value),
                None => values.remove(customer.id.as_str()),
            };
        }
        if values.is_empty() {
            return Err(NoSuchTrait {
                column: column.to_owned(),
                known: known.into_iter().collect(),
            });
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        values
            .values()
            .for_each(|value| *counts.entry(value).or_default() += 1);
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        // equal ones stay in the order of their names
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts.truncate(MAX_GROUPS);
        let names: Vec<&str> = counts.into_iter().map(|(value, _)| value).collect();
        let group = |value: &str| names.iter().position(|own| *own == value);
        let groups = values.iter().map(|(id, value)| {
            let group = group(value).unwrap_or(names.len());
            ((*id).to_owned(), group as u16)
        });
        Ok(Self {
            column: column.to_owned(),
            groups: groups.collect(),
            names: names
                .iter()
                .copied()
                .chain([OTHER, NONE])
                .map(str::to_owned)
                .collect(),
        })
    }

    /// The group of a customer, as a place in [`Grouping::names`]; absent: a visitor.
    #[must_use]
    pub fn group(&self, customer: Option<&str>) -> u16 {
        let known = customer.and_then(|id| self.groups.get(id));
        known.copied().unwrap_or(self.names.len() as u16 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CustomerDraft;

    fn customer(id: &str, name: &str, value: &str) -> Customer {
        let traits = vec![(name, value)];
        CustomerDraft {
            customer_id: id,
            traits,
        }
        .check()
        .unwrap()
    }

    #[test]
    fn groups_are_bounded_and_the_frequent_ones_stay() {
        let mut customers: Vec<Customer> = (0..40)
            .map(|number| customer(&format!("c{number}"), "city", &format!("v{number:02}")))
            .collect();
        customers.extend((40..43).map(|number| customer(&format!("c{number}"), "city", "large")));
        // whoever moves is counted once
        customers.push(customer("c0", "city", "v01"));
        let grouping = Grouping::of("city", &customers).unwrap();
        assert_eq!(grouping.names.len(), MAX_GROUPS + 2);
        assert_eq!(grouping.names[..3], ["large", "v01", "v02"]);
        assert_eq!(grouping.group(Some("c0")), grouping.group(Some("c1")));
        assert_eq!(grouping.group(Some("c41")), 0);
        assert_eq!(
            grouping.names[usize::from(grouping.group(Some("c39")))],
            "(other)"
        );
        for nobody in [None, Some("c99")] {
            assert_eq!(
                grouping.names[usize::from(grouping.group(nobody))],
                "(none)"
            );
        }
        let error = Grouping::of("persona", &customers).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no customer has \"persona\"; known of them: city"
        );
    }
}
