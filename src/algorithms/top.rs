//! The best few of many: a short list in order, kept current one change at a time.

use serde::{Deserialize, Serialize};

/// The products with the highest keys, best first; equal keys in the order of the products' numbers.
/// Keys may only grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopList {
    capacity: usize,
    entries: Vec<(u32, f64)>,
}

impl TopList {
    /// An empty list of at most `capacity` products.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Vec::new(),
        }
    }

    /// Takes note that the key of `product` is now `key`, which is at least what it was.
    pub fn raise(&mut self, product: u32, key: f64) {
        if self.entries.len() == self.capacity {
            match self.entries.last() {
                Some(&last) if !before((product, key), last) && last.0 != product => return,
                _ => {}
            }
        }
        // it can only move up, so it is looked for from below
        if let Some(place) = self.entries.iter().rposition(|&(p, _)| p == product) {
            self.entries.remove(place);
        }
        let place = self
            .entries
            .partition_point(|&entry| before(entry, (product, key)));
        self.entries.insert(place, (product, key));
        self.entries.truncate(self.capacity);
    }

    /// The products, best first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().map(|&(product, _)| product)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn before(a: (u32, f64), b: (u32, f64)) -> bool {
    a.1 > b.1 || (a.1 >= b.1 && a.0 < b.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_sorting_everything_gives(
            raises in prop::collection::vec((0u32..12, 1u32..5), 0..60),
        ) {
            let mut keys = [0u32; 12];
            let mut top = TopList::new(4);
            for (product, by) in raises {
                keys[product as usize] += by;
                top.raise(product, f64::from(keys[product as usize]));
            }
            let mut all: Vec<u32> = (0..12).filter(|&p| keys[p as usize] > 0).collect();
            all.sort_by_key(|&p| (std::cmp::Reverse(keys[p as usize]), p));
            all.truncate(4);
            prop_assert_eq!(top.iter().collect::<Vec<_>>(), all);
        }
    }
}
