//! Expressions of offers that were compiled once, by their text.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Expression;
use crate::application::error::AppError;

/// The most texts that are kept compiled; then all are compiled anew as they are asked for.
const MAX_COMPILED: usize = 4_096;

/// An expression of a text, or why it is none; nothing for a blank text.
type Found = Result<Option<Arc<Expression>>, String>;

/// What says who may have an offer, by its text. The same text means the same, whichever offer and version it is of.
#[derive(Debug, Default)]
pub struct Compiled {
    by_text: RwLock<HashMap<Box<str>, Found>>,
}

impl Compiled {
    /// The expression of a text, to be asked by [`Expression::holds_in`]; nothing for a blank one.
    ///
    /// # Errors
    /// Why it cannot be compiled.
    pub fn eligibility(&self, text: &str) -> Result<Option<Arc<Expression>>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        {
            // a map of values that are whole: a panic elsewhere leaves none half made
            let known = self.by_text.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = known.get(text) {
                return found.clone();
            }
        }
        let found: Found = match Expression::eligibility(text) {
            Ok(expression) => Ok(expression.map(Arc::new)),
            Err(AppError::InvalidExpression { reason, .. }) => Err(reason),
            Err(other) => Err(other.to_string()),
        };
        let mut known = self.by_text.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_COMPILED {
            known.clear();
        }
        known.insert(text.into(), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let compiled = Compiled::default();
        for number in 0..MAX_COMPILED + 10 {
            let text = format!("customer.order_count > {number}");
            assert!(compiled.eligibility(&text).unwrap().is_some());
        }
        assert_eq!(compiled.by_text.read().unwrap().len(), 10);
        assert!(compiled.eligibility("").unwrap().is_none());
        for _ in 0..2 {
            assert!(compiled.eligibility("customer.").is_err());
        }
    }
}
