//! Expressions of offers that were compiled once, by their text.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Expression;
use crate::application::error::AppError;

/// The most texts that are kept compiled; then all are compiled anew as they are asked for.
const MAX_COMPILED: usize = 4_096;

type Found = Result<Option<Arc<Expression>>, String>;

/// What says who may have an offer, by its text. The same text means the same, whichever offer and version it is of.
#[derive(Debug, Default)]
pub struct Compiled {
    by_text: RwLock<HashMap<Box<str>, Found>>,
}

impl Compiled {
    /// The expression of a text, with its time before it; nothing for a blank one.
    ///
    /// # Errors
    /// Why it cannot be compiled.
    pub fn eligibility(&self, text: &str) -> Result<Option<Expression>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let anew = |found: &Found| -> Result<Option<Expression>, String> {
            let found = found.as_ref().map_err(Clone::clone)?;
            Ok(found.as_ref().map(|expression| expression.anew()))
        };
        {
            // a map of values that are whole: a panic elsewhere leaves none half made
            let known = self.by_text.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = known.get(text) {
                return anew(found);
            }
        }
        let found: Found = match Expression::eligibility(text) {
            Ok(expression) => Ok(expression.map(Arc::new)),
            Err(AppError::InvalidExpression { reason, .. }) => Err(reason),
            Err(other) => Err(other.to_string()),
        };
        let answer = anew(&found);
        let mut known = self.by_text.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_COMPILED {
            known.clear();
        }
        known.insert(text.into(), found);
        answer
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
