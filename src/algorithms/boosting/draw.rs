//! Which groups and columns a tree gets: drawn from the seed, the same every time.

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The groups a tree is grown on.
    Groups = 1,
    /// The columns a tree may split on.
    Columns = 2,
    /// The rows the edges of the bins are taken from.
    Edges = 3,
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit.
pub(in crate::algorithms) fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number that depends on everything given, and on nothing else.
pub(super) fn key(seed: u64, purpose: Purpose, tree: usize, item: u64) -> u64 {
    let mixed = scramble(scramble(seed) ^ (purpose as u64));
    scramble(scramble(mixed ^ tree as u64).wrapping_add(item))
}

/// A share of `items` (rounded up, at least one if there is any), in their order.
pub(super) fn draw(
    items: &[u32],
    share: f64,
    seed: u64,
    purpose: Purpose,
    tree: usize,
) -> Vec<u32> {
    let wanted = (share * items.len() as f64).ceil() as usize;
    if wanted >= items.len() {
        return items.to_vec();
    }
    let mut keyed: Vec<(u64, u32)> = items
        .iter()
        .map(|&item| (key(seed, purpose, tree, u64::from(item)), item))
        .collect();
    keyed.select_nth_unstable(wanted);
    let mut drawn: Vec<u32> = keyed[..wanted].iter().map(|&(_, item)| item).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_the_same_every_time() {
        let items: Vec<u32> = (0..1_000).collect();
        let drawn = draw(&items, 0.3, 7, Purpose::Groups, 2);
        assert_eq!(drawn.len(), 300);
        assert!(drawn.is_sorted());
        assert_eq!(drawn, draw(&items, 0.3, 7, Purpose::Groups, 2));
        assert_ne!(drawn, draw(&items, 0.3, 7, Purpose::Groups, 3));
        assert_ne!(drawn, draw(&items, 0.3, 8, Purpose::Groups, 2));
        assert_ne!(drawn, draw(&items, 0.3, 7, Purpose::Columns, 2));
        assert_eq!(draw(&items, 1.0, 7, Purpose::Groups, 2), items);
        assert_eq!(draw(&items[..3], 0.01, 7, Purpose::Groups, 2).len(), 1);
        assert!(draw(&[], 0.5, 7, Purpose::Groups, 2).is_empty());
    }
}
