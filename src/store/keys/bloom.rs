//! A blocked Bloom filter: one cache line a lookup, about 12 bits a key, roughly 1 in 100 false alarms.

use crate::domain::Fingerprint;

const BITS_PER_KEY: u64 = 12;
const BLOCK_WORDS: usize = 8;
const PROBES: u32 = 6;

/// Says "certainly not" or "perhaps".
#[derive(Debug)]
pub(crate) struct Bloom {
    blocks: Vec<[u64; BLOCK_WORDS]>,
}

impl Bloom {
    /// For about `keys` keys.
    pub(crate) fn new(keys: u64) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(512).max(1);
        let blocks = usize::try_from(blocks).expect("a run fits into memory many times over");
        Self {
            blocks: vec![[0; BLOCK_WORDS]; blocks],
        }
    }

    /// Adds a key.
    pub(crate) fn insert(&mut self, key: Fingerprint) {
        let (block, mut bits) = self.place(key);
        for _ in 0..PROBES {
            self.blocks[block][(bits & 7) as usize] |= 1 << ((bits >> 3) & 63);
            bits >>= 9;
        }
    }

    /// False: the key was never added.
    pub(crate) fn may_contain(&self, key: Fingerprint) -> bool {
        let (block, mut bits) = self.place(key);
        (0..PROBES).all(|_| {
            let hit = self.blocks[block][(bits & 7) as usize] >> ((bits >> 3) & 63) & 1 == 1;
            bits >>= 9;
            hit
        })
    }

    /// The block, and nine bits for each probe.
    fn place(&self, key: Fingerprint) -> (usize, u64) {
        let key = key.as_u128();
        // keys are hashes already; the mixing is for keys that tests make up
        let low = (key as u64 ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let high = ((key >> 64) as u64 ^ low.rotate_left(31)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bits = (high ^ (high >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let block = (u128::from(high) * self.blocks.len() as u128) >> 64;
        (block as usize, bits ^ (bits >> 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_nothing_and_seldom_imagines() {
        let key = |n: u64| Fingerprint::of("test", &[&n.to_le_bytes()]);
        let mut bloom = Bloom::new(20_000);
        for n in 0..20_000 {
            bloom.insert(key(n));
        }
        assert!((0..20_000).all(|n| bloom.may_contain(key(n))));
        let imagined = (20_000..120_000)
            .filter(|n| bloom.may_contain(key(*n)))
            .count();
        assert!(imagined < 2_000, "{imagined} of 100,000");
    }
}
