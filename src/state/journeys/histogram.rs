//! Durations in buckets that grow by a tenth: any quantile is known to within 5 %.

/// How much wider each bucket is than the one before.
const GROWTH: f64 = 1.1;
/// The last bucket: about fifty years.
const LAST: u16 = 255;

/// The bucket of a duration in milliseconds.
#[must_use]
pub fn bucket(ms: i64) -> u16 {
    let seconds = ms as f64 / 1_000.0;
    if seconds < 1.0 {
        return 0;
    }
    1 + ((seconds.ln() / GROWTH.ln()) as u16).min(LAST - 1)
}

/// What durations of a bucket are taken for, in seconds.
#[must_use]
pub fn seconds(bucket: u16) -> f64 {
    match bucket {
        0 => 0.5,
        // the geometric middle
        bucket => GROWTH.powf(f64::from(bucket) - 0.5),
    }
}

/// The median, in seconds, of durations counted by bucket in ascending order; absent: there are none.
#[must_use]
pub fn median(counts: &std::collections::BTreeMap<u16, i64>) -> Option<f64> {
    quantile(counts, 0.5)
}

/// A quantile, in seconds; absent: there are none.
#[must_use]
pub fn quantile(counts: &std::collections::BTreeMap<u16, i64>, share: f64) -> Option<f64> {
    let all: i64 = counts.values().sum();
    if all <= 0 {
        return None;
    }
    let wanted = share.clamp(0.0, 1.0) * all as f64;
    let mut passed = 0;
    for (&bucket, count) in counts {
        passed += count;
        if passed as f64 >= wanted && *count > 0 {
            return Some(seconds(bucket));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_duration_is_known_to_within_five_percent() {
        let mut ms = 1_000_i64;
        while ms < 40 * 365 * 86_400_000 {
            let told = seconds(bucket(ms)) * 1_000.0;
            let off = (told / ms as f64).ln().abs();
            assert!(off < 0.05, "{ms} ms are told as {told}");
            ms += ms / 7;
        }
        assert_eq!(bucket(-5), 0);
        assert_eq!(bucket(i64::MAX), 255);
        let counts = BTreeMap::from([(bucket(60_000), 3), (bucket(3_600_000), 4)]);
        let median = median(&counts).unwrap();
        assert!((median / 3_600.0 - 1.0).abs() < 0.05, "{median}");
        assert_eq!(super::median(&BTreeMap::new()), None);
    }
}
