//! How a key figure changed against the window before, and whether that is good, bad, or within chance.

use super::format::{number, share};
use crate::proto::v1;
use crate::proto::v1::kpi::Unit;

/// A change in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) text: String,
    /// `better`, `worse` or `same`.
    pub(super) quality: &'static str,
}

/// The change of a key figure against `before`: "the 28 days before"; absent: there is no earlier window.
pub(super) fn change(kpi: &v1::Kpi, before: Option<&str>) -> Change {
    let same = |text: String| Change {
        text,
        quality: "same",
    };
    let Some(before) = before else {
        return same("no earlier window to compare with".to_owned());
    };
    let (Some(now), Some(then)) = (kpi.total, kpi.before) else {
        return same(format!("no figure for {before}"));
    };
    let (Some(value), Some(old)) = (now.value, then.value) else {
        return same(format!("no figure for {before}"));
    };
    let difference = value - old;
    if !difference.is_finite() {
        return same(format!("no figure for {before}"));
    }
    if difference == 0.0 {
        return same(format!("as in {before}"));
    }
    let sign = if difference > 0.0 { "+" } else { "−" };
    let size = match kpi.unit() {
        Unit::Share => format!("{} points", share(difference.abs()).trim_end_matches(" %")),
        Unit::Score | Unit::Days | Unit::Unspecified => number(difference.abs()),
        // shares of what is nothing, or may be less than nothing, say nothing
        Unit::Money | Unit::Count if old < 1e-9 || value < 0.0 => number(difference.abs()),
        Unit::Money | Unit::Count => share((difference / old).abs()),
    };
    // less than is told
    if !size.contains(|digit: char| ('1'..='9').contains(&digit)) {
        return same(format!("as in {before}"));
    }
    let is_chance = match (now.low, now.high, then.low, then.high) {
        (Some(low), Some(high), Some(old_low), Some(old_high)) => {
            low <= old_high && old_low <= high
        }
        // counts are exact, and would still not be the same twice: as a Poisson's, at 95 %
        _ => kpi.unit() == Unit::Count && difference.abs() < 1.96 * (value + old).max(0.0).sqrt(),
    };
    if kpi.unit() == Unit::Money && now.low.is_none() {
        return same(format!("{sign}{size} against {before}"));
    }
    if is_chance {
        return same(format!("{sign}{size} against {before}, within chance"));
    }
    let (quality, word) = match (difference > 0.0) == kpi.more_is_better {
        true => ("better", "better"),
        false => ("worse", "worse"),
    };
    Change {
        text: format!("{sign}{size}, {word} than {before}"),
        quality,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kpi(now: [f64; 3], then: [f64; 3], more_is_better: bool) -> v1::Kpi {
        let value = |[value, low, high]: [f64; 3]| {
            Some(v1::KpiValue {
                value: Some(value),
                low: Some(low).filter(|low| low.is_finite()),
                high: Some(high).filter(|high| high.is_finite()),
                sample_count: 10,
            })
        };
        v1::Kpi {
            unit: Unit::Share.into(),
            total: value(now),
            before: value(then),
            more_is_better,
            ..v1::Kpi::default()
        }
    }

    #[test]
    fn a_change_is_good_bad_or_chance() {
        let up = ([0.30, 0.28, 0.32], [0.20, 0.18, 0.22]);
        let change = |kpi: &v1::Kpi, before| super::change(kpi, Some(before));
        let told = change(&kpi(up.0, up.1, true), "before");
        assert_eq!(
            (&*told.text, told.quality),
            ("+10.0 points, better than before", "better")
        );
        assert_eq!(change(&kpi(up.0, up.1, false), "before").quality, "worse");
        assert_eq!(change(&kpi(up.1, up.0, false), "before").quality, "better");
        let near = change(&kpi([0.21, 0.19, 0.23], up.1, true), "before");
        assert_eq!(
            (near.quality, near.text.ends_with("within chance")),
            ("same", true)
        );
        let hardly = change(&kpi([0.2003, 0.18, 0.22], up.1, true), "before");
        assert_eq!((&*hardly.text, hardly.quality), ("as in before", "same"));
        let nothing = v1::Kpi::default();
        assert_eq!(change(&nothing, "before").text, "no figure for before");
        let alone = super::change(&kpi(up.0, up.1, true), None);
        assert_eq!(
            (&*alone.text, alone.quality),
            ("no earlier window to compare with", "same")
        );
        let counted = |now: f64| {
            let count = v1::Kpi {
                unit: Unit::Count.into(),
                ..kpi([now, f64::NAN, f64::NAN], [100.0, f64::NAN, f64::NAN], true)
            };
            change(&count, "before").text
        };
        assert_eq!(counted(150.0), "+50.0 %, better than before");
        assert_eq!(counted(99.0), "−1.0 % against before, within chance");
    }
}
