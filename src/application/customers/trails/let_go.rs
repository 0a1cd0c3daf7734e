//! A filter of fixed size that tells who may have been let go.

use crate::domain::Position;

/// The bits of the filter of those who were let go: of a million, one in fifty who was not is taken for one.
const FILTER_BITS: u64 = 1 << 23;
/// The bits of one visitor in it.
const FILTER_HASHES: u32 = 4;

/// Visitors whose positions are not kept: a filter that forgets none, and takes few others for one of them
/// (Bloom 1970).
#[derive(Debug, Default)]
pub(super) struct LetGo {
    /// Empty: nobody was.
    bits: Vec<u64>,
    /// All that they did stands before.
    pub(super) before: Position,
}

impl LetGo {
    fn places(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        // two halves make as many hashes as are wanted (Kirsch, Mitzenmacher 2006)
        let step = hash.rotate_left(32) | 1;
        (0..FILTER_HASHES).map(move |number| {
            let bit = hash.wrapping_add(step.wrapping_mul(number.into())) % FILTER_BITS;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    /// Lets one go, by the hash of the id: all that they did stands before `before`.
    pub(super) fn add(&mut self, hash: u64, before: Position) {
        if self.bits.is_empty() {
            self.bits = vec![0; (FILTER_BITS / 64) as usize];
        }
        for (word, bit) in Self::places(hash) {
            self.bits[word] |= bit;
        }
        self.before = self.before.max(before);
    }

    /// False of whom surely was never let go.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        !self.bits.is_empty() && Self::places(hash).all(|(word, bit)| self.bits[word] & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn it_forgets_none_and_takes_few_others_for_one() {
        let hash = |number: u64| foldhash::quality::FixedState::default().hash_one(number);
        let mut let_go = LetGo::default();
        assert!(!let_go.may_have(hash(1)));
        let many = 1_000_000;
        (0..many).for_each(|number| let_go.add(hash(number), Position(number)));
        assert!((0..many).all(|number| let_go.may_have(hash(number))));
        let others = (many..2 * many).filter(|&number| let_go.may_have(hash(number)));
        let share = others.count() as f64 / many as f64;
        assert!(share < 0.03, "{share}");
        assert_eq!(let_go.before, Position(many - 1));
    }
}
