//! Which products may be answered: exclusions, the catalog, stock, what was bought, the caller's filter.

use std::collections::HashMap;

use super::Prepared;
use crate::application::error::AppError;
use crate::application::expression::{Scope, product_value};
use crate::domain::ProductId;
use crate::state::State;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// Says which products may be answered, and notes why others may not.
pub(super) struct Admission<'a> {
    prepared: &'a Prepared<'a>,
    state: &'a State,
    scope: Option<&'a Scope>,
    excluded: Vec<u32>,
    bought: Vec<u32>,
    /// What was asked already; several sources propose the same.
    decided: HashMap<u32, Option<&'static str>, foldhash::fast::RandomState>,
    asked: usize,
    fault: Option<String>,
    failed: usize,
}

impl<'a> Admission<'a> {
    pub(super) fn new(
        prepared: &'a Prepared<'a>,
        state: &'a State,
        view: &View<'_>,
        scope: Option<&'a Scope>,
    ) -> Self {
        let question = prepared.question;
        let number = |id: &ProductId| state.products.number(id.as_str());
        let mut excluded: Vec<u32> = question.exclude.iter().filter_map(number).collect();
        excluded.sort_unstable();
        let bought = if question.exclude_bought {
            view.own(&Tuning::default())
                .into_iter()
                .map(|(product, _)| product)
                .collect()
        } else {
            Vec::new()
        };
        Self {
            prepared,
            state,
            scope,
            excluded,
            bought,
            decided: HashMap::default(),
            asked: 0,
            fault: None,
            failed: 0,
        }
    }

    pub(super) fn admits(&mut self, product: u32) -> bool {
        if let Some(code) = self.decided.get(&product) {
            return code.is_none();
        }
        let code = self.drop_code(product);
        // what is admitted without asking an expression is decided again as quickly as it is looked up
        if code.is_some() || self.prepared.filter.is_some() {
            self.decided.insert(product, code);
        }
        code.is_none()
    }

    /// What was dropped, and why, in the order in which products became known.
    pub(super) fn dropped(&self) -> Vec<(u32, &'static str)> {
        let mut dropped: Vec<(u32, &'static str)> = self
            .decided
            .iter()
            .filter_map(|(&product, code)| Some((product, (*code)?)))
            .collect();
        dropped.sort_unstable();
        dropped
    }

    fn drop_code(&mut self, product: u32) -> Option<&'static str> {
        if self.excluded.binary_search(&product).is_ok() {
            return Some("EXCLUDED");
        }
        let item = self.state.products.item(product);
        match &item.listing {
            None if self.state.products.listed > 0 => return Some("NOT_IN_CATALOG"),
            Some(listing) if !listing.available => return Some("NOT_AVAILABLE"),
            _ => {}
        }
        if self.bought.binary_search(&product).is_ok() {
            return Some("BOUGHT_BEFORE");
        }
        let (Some(filter), Some(scope)) = (&self.prepared.filter, self.scope) else {
            return None;
        };
        self.asked += 1;
        match filter.holds(scope, Some(product_value(item, self.prepared.now))) {
            Ok(true) => None,
            Ok(false) => Some("FILTERED"),
            Err(reason) => {
                // a product without the key is not one of those that were asked for
                if !reason.contains("No such key") {
                    self.failed += 1;
                    self.fault.get_or_insert(reason);
                }
                Some("FILTER_ERROR")
            }
        }
    }

    /// A filter that can be computed for no product at all is the caller's fault, not the products'.
    pub(super) fn check(&self) -> Result<(), AppError> {
        match (&self.prepared.filter, &self.fault) {
            (Some(filter), Some(reason)) if self.failed == self.asked || filter.is_late() => {
                Err(filter.fault(reason.clone()))
            }
            _ => Ok(()),
        }
    }
}
