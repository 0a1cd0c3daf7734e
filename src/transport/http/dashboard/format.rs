//! Numbers, money, times and names as people read them. What is not a number is a dash.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What stands where there is nothing to say.
pub(super) const NONE: &str = "–";

/// 12345 → `12,345`.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match number < 0 {
        true => format!("−{text}"),
        false => text,
    }
}

/// A mean or an estimate, with as many digits as it takes to tell it from others: 0.034, 7.25, 431, 18,400.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let size = value.abs();
    let text = match size {
        _ if size >= 100.0 => return count(value.round() as i64),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    text.replace('-', "−")
}

/// Money to the unit, or to the cent where it is little: `€18,400`, `12.50 SEK`.
pub(super) fn money(value: f64, currency: &str) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let size = value.abs();
    let amount = match size >= 100.0 {
        true => count(size.round() as i64),
        false => format!("{size:.2}"),
    };
    let sign = if value < 0.0 { "−" } else { "" };
    match currency {
        "" => format!("{sign}{amount}"),
        "EUR" => format!("{sign}€{amount}"),
        "USD" => format!("{sign}${amount}"),
        "GBP" => format!("{sign}£{amount}"),
        other => format!("{sign}{amount} {other}"),
    }
}

/// Money that is estimated, to three digits: 18,424 → `€18,400`.
pub(super) fn about(value: f64, currency: &str) -> String {
    let size = value.abs();
    if !size.is_finite() || size < 1_000.0 {
        return money(value, currency);
    }
    let unit = 10_f64.powf(size.log10().floor() - 2.0);
    money((value / unit).round() * unit, currency)
}

/// 0.1734 → `17.3 %`.
pub(super) fn share(value: f64) -> String {
    match value.is_finite() {
        true => format!("{:.1} %", value * 100.0).replace('-', "−"),
        false => NONE.to_owned(),
    }
}

/// A length of time in its largest unit: `3.2 days`, `45 minutes`.
pub(super) fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.to_owned();
    }
    let (unit, name) = match seconds {
        _ if seconds >= 86_400.0 => (86_400.0, "day"),
        _ if seconds >= 3_600.0 => (3_600.0, "hour"),
        _ if seconds >= 60.0 => (60.0, "minute"),
        _ => (1.0, "second"),
    };
    let many = seconds / unit;
    let text = match many >= 10.0 || (many - many.round()).abs() < 0.05 {
        true => format!("{many:.0}"),
        false => format!("{many:.1}"),
    };
    match text.as_str() {
        "1" => format!("1 {name}"),
        _ => format!("{text} {name}s"),
    }
}

/// `2026-11-22`.
pub(super) fn day(time: &prost_types::Timestamp) -> String {
    strftime(time, "%Y-%m-%d")
}

/// The day, this many seconds later.
pub(super) fn day_after(time: &prost_types::Timestamp, seconds: i64) -> String {
    day(&prost_types::Timestamp {
        seconds: time.seconds.saturating_add(seconds),
        nanos: time.nanos,
    })
}

/// `22 Nov 2026`.
pub(super) fn long_day(time: &prost_types::Timestamp) -> String {
    strftime(time, "%-d %b %Y")
}

/// `22 Nov`.
pub(super) fn short_day(time: &prost_types::Timestamp) -> String {
    strftime(time, "%-d %b")
}

/// `2026-11-22 14:03 UTC`.
pub(super) fn moment(time: Option<&prost_types::Timestamp>) -> String {
    time.map_or_else(
        || NONE.to_owned(),
        |time| strftime(time, "%Y-%m-%d %H:%M UTC"),
    )
}

/// When a page was made: `22 Nov 2026, 14:03:07 UTC`.
pub(super) fn drawn(time: std::time::SystemTime) -> String {
    let time = prost_types::Timestamp::from(time);
    strftime(&time, "%-d %b %Y, %H:%M:%S UTC")
}

/// `14:03`.
pub(super) fn clock(time: &prost_types::Timestamp) -> String {
    strftime(time, "%H:%M")
}

fn strftime(time: &prost_types::Timestamp, format: &str) -> String {
    match Timestamp::from_second(time.seconds) {
        Ok(time) => time.to_zoned(TimeZone::UTC).strftime(format).to_string(),
        Err(_) => NONE.to_owned(),
    }
}

/// A name of configuration as people read it: `search_ad` → `Search ad`.
pub(super) fn title(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The same within a sentence: `search_ad` → `search ad`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A kind of event as people call it: `nps_response` → `NPS answer`.
pub(super) fn happening(event_type: &str) -> String {
    match event_type {
        "csat_response" => "CSAT answer".to_owned(),
        "nps_response" => "NPS answer".to_owned(),
        other => words(other),
    }
}

/// How many of something: `1 order`, `2 orders`.
pub(super) fn many(number: i64, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        _ => format!("{} {of}s", count(number)),
    }
}

/// How something was rated: `4`, `3.5`.
pub(super) fn rating(value: f64) -> String {
    match value.is_finite() {
        true => ((value * 10.0).round() / 10.0).to_string(),
        false => NONE.to_owned(),
    }
}

/// At most so many characters, with an ellipsis where there were more.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_can_read_it() {
        let counts = [0, 7, 999, 1_000, 1_234_567, -4_200].map(count);
        assert_eq!(counts, ["0", "7", "999", "1,000", "1,234,567", "−4,200"]);
        let numbers = [0.0341, 7.254, -0.5, 43.21, 18_400.4, f64::NAN].map(number);
        assert_eq!(numbers, ["0.034", "7.25", "−0.500", "43.2", "18,400", "–"]);
        assert_eq!(money(18_400.2, "EUR"), "€18,400");
        assert_eq!(money(-12.5, "SEK"), "−12.50 SEK");
        assert_eq!(money(f64::INFINITY, "EUR"), "–");
        assert_eq!(about(18_424.0, "EUR"), "€18,400");
        assert_eq!(about(-999_600.0, "EUR"), "−€1,000,000");
        assert_eq!(about(431.2, "EUR"), "€431");
        assert_eq!(about(f64::NAN, "EUR"), "–");
        assert_eq!(share(0.1734), "17.3 %");
        let spans = [30.0, 60.0, 5_400.0, 86_400.0, 276_480.0, 2_592_000.0].map(span);
        assert_eq!(
            spans,
            [
                "30 seconds",
                "1 minute",
                "1.5 hours",
                "1 day",
                "3.2 days",
                "30 days"
            ]
        );
        let time = prost_types::Timestamp {
            seconds: 1_795_356_180,
            nanos: 0,
        };
        assert_eq!(day(&time), "2026-11-22");
        assert_eq!(long_day(&time), "22 Nov 2026");
        assert_eq!(short_day(&time), "22 Nov");
        assert_eq!(moment(Some(&time)), "2026-11-22 14:03 UTC");
        let far = prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        assert_eq!((day(&far), moment(None)), ("–".to_owned(), "–".to_owned()));
        assert_eq!(title("search_ad"), "Search ad");
        assert_eq!(cut("a long name", 6), "a lon…");
        assert_eq!(
            [0, 1, 2].map(|n| many(n, "order")),
            ["0 orders", "1 order", "2 orders"]
        );
        assert_eq!([10.0, 3.54, f64::NAN].map(rating), ["10", "3.5", "–"]);
        assert_eq!(happening("nps_response"), "NPS answer");
        assert_eq!(cut("short", 5), "short");
    }
}
