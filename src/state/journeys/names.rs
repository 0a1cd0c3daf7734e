//! Names by number, bounded: touchpoints, categories, currencies.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

/// The name of everything that came when the table was full.
pub const OTHER: &str = "(other)";

/// Names, the first come first; the last place is [`OTHER`]'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Names {
    names: Vec<Box<str>>,
    most: u16,
    #[serde(skip)]
    numbers: HashMap<Box<str>, u16, FixedState>,
}

impl Names {
    pub(super) fn new(most: u16) -> Self {
        Self {
            names: Vec::new(),
            most,
            numbers: HashMap::default(),
        }
    }

    /// Makes the map anew, after decoding.
    pub(super) fn index(&mut self) {
        let numbered = self.names.iter().zip(0..);
        self.numbers = numbered.map(|(name, i)| (name.clone(), i)).collect();
    }

    pub(super) fn intern(&mut self, name: &str) -> u16 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u16;
        if number >= self.most {
            return self.most;
        }
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    /// The name of a number.
    #[must_use]
    pub fn name(&self, number: u16) -> &str {
        match self.names.get(usize::from(number)) {
            Some(name) => name,
            None => OTHER,
        }
    }

    /// The number of a name, if it was met.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u16> {
        match name {
            OTHER if self.names.len() >= usize::from(self.most) => Some(self.most),
            _ => self.numbers.get(name).copied(),
        }
    }

    /// Every name that was met, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &str)> {
        (0..).zip(self.names.iter().map(|name| &**name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_when_the_table_is_full_is_other() {
        let mut names = Names::new(2);
        let numbers = ["a", "b", "a", "c", "d"].map(|name| names.intern(name));
        assert_eq!(numbers, [0, 1, 0, 2, 2]);
        assert_eq!(
            [0, 1, 2, 9].map(|n| names.name(n)),
            ["a", "b", OTHER, OTHER]
        );
        assert_eq!(names.number("b"), Some(1));
        assert_eq!(names.number("c"), None);
        assert_eq!(names.number(OTHER), Some(2));
        names.numbers.clear();
        names.index();
        assert_eq!(names.intern("b"), 1);
    }
}
