//! Numbers that look drawn and are the same every time: SplitMix64 (Steele, Lea and Flood 2014).

/// The number that `number` draws under `seed`: any two of either give numbers that have nothing to do with each other.
#[must_use]
pub fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed
        .wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(1);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
