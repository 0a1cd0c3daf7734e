//! What came already, so that it counts once: a ring of hashes with marks, of bounded size.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

/// So many are remembered with what became of them; what comes again later counts again.
pub(super) const MAX_REMEMBERED: usize = 1 << 18;
/// The lowest bits of a remembered number are marks.
const MARKS: u32 = 5;

/// Which marks were set already: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u64);

impl Marks {
    const ALL: u64 = (1 << MARKS) - 1;

    /// True if the mark of that number was set.
    pub(super) fn has(self, mark: u8) -> bool {
        self.0 & bit(mark) != 0
    }
}

fn bit(mark: u8) -> u64 {
    (1 << mark) & Marks::ALL
}

/// The last things of which something became: a ring of hashes, with marks in the lowest bits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Remembered {
    ring: Vec<u64>,
    /// Where the oldest stands once the ring is full.
    oldest: u32,
    #[serde(skip)]
    places: HashMap<u64, u32, FixedState>,
}

impl Remembered {
    /// Makes the map anew, after decoding.
    pub(super) fn index(&mut self) {
        let ring = self.ring.iter().zip(0u32..);
        self.places = ring
            .map(|(&entry, place)| (entry & !Marks::ALL, place))
            .collect();
    }

    /// Sets the mark of that number, below [`MARKS`]; returns the marks from before, or none if this one stood among
    /// them.
    pub(super) fn mark(&mut self, key: u64, mark: u8) -> Option<Marks> {
        let key = key & !Marks::ALL;
        if let Some(&place) = self.places.get(&key) {
            let entry = &mut self.ring[place as usize];
            let before = Marks(*entry & Marks::ALL);
            *entry |= bit(mark);
            return (!before.has(mark)).then_some(before);
        }
        let entry = key | bit(mark);
        let place = if self.ring.len() < MAX_REMEMBERED {
            self.ring.push(entry);
            self.ring.len() as u32 - 1
        } else {
            let place = self.oldest;
            let gone = std::mem::replace(&mut self.ring[place as usize], entry);
            self.places.remove(&(gone & !Marks::ALL));
            self.oldest = (place + 1) % MAX_REMEMBERED as u32;
            place
        };
        self.places.insert(key, place);
        Some(Marks(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_at_the_bound() {
        let mut remembered = Remembered::default();
        let key = |number: u64| (number + 1) << MARKS;
        for number in 0..MAX_REMEMBERED as u64 {
            assert_eq!(remembered.mark(key(number), 1), Some(Marks(0)));
        }
        assert_eq!(remembered.mark(key(0), 1), None);
        let newest = key(MAX_REMEMBERED as u64);
        assert_eq!(remembered.mark(newest, 1), Some(Marks(0)));
        assert_eq!(remembered.mark(key(1), 1), None);
        assert_eq!(remembered.mark(newest, 1), None);
        assert_eq!(remembered.mark(newest, 4), Some(Marks(2)));
        assert_eq!(remembered.mark(newest, 4), None);
        assert_eq!(remembered.mark(key(0), 1), Some(Marks(0)));
        assert_eq!(remembered.ring.len(), MAX_REMEMBERED);
        assert_eq!(remembered.places.len(), MAX_REMEMBERED);
        let mut restored: Remembered =
            postcard::from_bytes(&postcard::to_stdvec(&remembered).unwrap()).unwrap();
        restored.index();
        assert!(restored == remembered);
    }
}
