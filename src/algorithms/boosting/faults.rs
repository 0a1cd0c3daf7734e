//! All that is wrong with an input, as one error.

use std::fmt;

/// At least one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults<F>(pub Vec<F>);

impl<F: fmt::Display> fmt::Display for Faults<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            let comma = if place > 0 { "; " } else { "" };
            write!(f, "{comma}{fault}")?;
        }
        Ok(())
    }
}

impl<F: fmt::Display + fmt::Debug> std::error::Error for Faults<F> {}
