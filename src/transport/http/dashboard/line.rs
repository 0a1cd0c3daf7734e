//! A key figure by day as a line with its interval, large with a scale or small beside a number.

use super::format::{day, money, number, share};
use super::svg::{Svg, at, ticks};
use crate::proto::v1;
use crate::proto::v1::kpi::Unit;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
/// Where the lines are: left, top, right, bottom.
const FRAME: [f64; 4] = [78.0, 14.0, 626.0, 186.0];
/// With more days than this only the line is drawn, not its points.
const MAX_POINTS: usize = 92;
/// The most days that are drawn.
pub(super) const MAX_DAYS: usize = 1_100;

/// A value of a key figure in its unit.
pub(super) fn value(unit: Unit, value: f64, currency: &str) -> String {
    match unit {
        Unit::Share => share(value),
        Unit::Money => money(value, currency),
        Unit::Days => format!("{} days", number(value)),
        Unit::Count if (value - value.round()).abs() < 1e-9 => {
            super::format::count(value.round() as i64)
        }
        Unit::Count | Unit::Score | Unit::Unspecified => number(value),
    }
}

/// A value with its interval: `12.3 % (11.0 % to 13.6 %)`.
pub(super) fn with_interval(unit: Unit, of: Option<&v1::KpiValue>, currency: &str) -> String {
    let Some(middle) = of.and_then(|of| of.value) else {
        return super::format::NONE.to_owned();
    };
    let interval = of.and_then(|of| Some((of.low?, of.high?)));
    let middle = value(unit, middle, currency);
    interval.map_or_else(
        || middle.clone(),
        |(low, high)| {
            let (low, high) = (value(unit, low, currency), value(unit, high, currency));
            format!("{middle} ({low} to {high})")
        },
    )
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// One day that was measured.
#[derive(Clone, Copy)]
struct Point<'a> {
    place: usize,
    day: &'a v1::KpiDay,
    value: f64,
    low: f64,
    high: f64,
}

fn measured(days: &[v1::KpiDay]) -> Vec<Point<'_>> {
    let points = days.iter().enumerate().filter_map(|(place, day)| {
        let of = day.value.as_ref()?;
        let value = finite(of.value)?;
        Some(Point {
            place,
            day,
            value,
            low: finite(of.low).unwrap_or(value),
            high: finite(of.high).unwrap_or(value),
        })
    });
    points.collect()
}

/// Draws a key figure by day. A day without a value is a gap.
pub(super) fn picture(kpi: &v1::Kpi, currency: &str) -> String {
    let unit = kpi.unit();
    let days = &kpi.days[kpi.days.len().saturating_sub(MAX_DAYS)..];
    let points = measured(days);
    let total = with_interval(unit, kpi.total.as_ref(), currency);
    let description = format!("By day; over the whole window {total}. {}", kpi.definition);
    let id = format!("kpi-{}", kpi.name);
    let mut svg = Svg::new(
        &id,
        WIDTH as u32,
        HEIGHT as u32,
        &format!("{} by day", kpi.title),
        &description,
    );
    let [left, top, right, bottom] = FRAME;
    if points.is_empty() {
        let middle = [WIDTH / 2.0, HEIGHT / 2.0];
        svg.label(
            "soft",
            middle,
            "middle",
            "nothing was measured in this window",
        );
        return svg.finish();
    }
    let mut low = points.iter().map(|p| p.low).fold(f64::INFINITY, f64::min);
    let mut high = points
        .iter()
        .map(|p| p.high)
        .fold(f64::NEG_INFINITY, f64::max);
    if !matches!(unit, Unit::Score) {
        low = low.min(0.0);
    }
    if high - low < 1e-9 {
        high = low
            + if matches!(unit, Unit::Share) {
                0.1
            } else {
                1.0
            };
    }
    let last = days.len().saturating_sub(1).max(1) as f64;
    let x = |place: usize| left + (right - left) * place as f64 / last;
    let y = |value: f64| bottom - (bottom - top) * (value - low) / (high - low);
    for tick in ticks(low, high, 4) {
        svg.line("axis", [left, y(tick)], [right, y(tick)]);
        svg.label(
            "small",
            [left - 8.0, y(tick) + 4.0],
            "end",
            &value(unit, tick, currency),
        );
    }
    let step = days.len().div_ceil(6).max(1);
    for (place, day_of) in days.iter().enumerate().step_by(step) {
        if let Some(time) = &day_of.day {
            let text = super::format::short_day(time);
            let anchor = if place == 0 { "start" } else { "middle" };
            svg.label("small", [x(place), bottom + 20.0], anchor, &text);
        }
    }
    for run in points.chunk_by(|a, b| a.place + 1 == b.place) {
        let path = |of: fn(&Point<'_>) -> f64| -> Vec<String> {
            let run = run.iter();
            run.map(|p| format!("{} {}", at(x(p.place)), at(y(of(p)))))
                .collect()
        };
        let (line, upper, mut lower) = (path(|p| p.value), path(|p| p.high), path(|p| p.low));
        lower.reverse();
        if run.len() > 1 {
            svg.path(
                "band",
                &format!("M{}L{}Z", upper.join("L"), lower.join("L")),
                "",
            );
            svg.path("curve", &format!("M{}", line.join("L")), "");
        }
        if days.len() > MAX_POINTS && run.len() > 1 {
            continue;
        }
        for point in run {
            let of = point.day.value.as_ref();
            let when = point.day.day.as_ref().map(day).unwrap_or_default();
            let tip = format!("{when}: {}", with_interval(unit, of, currency));
            svg.dot("point", [x(point.place), y(point.value)], 2.6, &tip);
        }
    }
    svg.finish()
}

/// The same in the size of a word, beside a number that says it; nothing where there are fewer than two days.
pub(super) fn small(kpi: &v1::Kpi) -> String {
    let points = measured(&kpi.days);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    if first.place == last.place {
        return String::new();
    }
    let (low, high) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| {
            (l.min(p.value), h.max(p.value))
        });
    let width = (high - low).max(1e-9);
    let step = (last.place - first.place) as f64;
    // of two years a line of 120 units shows no more than every week
    let every = points.len().div_ceil(120);
    let line = points.iter().step_by(every).map(|p| {
        let x = 118.0 * (p.place - first.place) as f64 / step + 1.0;
        format!("{} {}", at(x), at(25.0 - 22.0 * (p.value - low) / width))
    });
    let line: Vec<String> = line.collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart spark\" viewBox=\"0 0 120 28\" width=\"120\" \
         height=\"28\" aria-hidden=\"true\"><path class=\"curve\" d=\"M{}\"/></svg>",
        line.join("L")
    )
}

/// A key figure by day as rows, the first one their names.
pub(super) fn rows(kpi: &v1::Kpi) -> Vec<Vec<String>> {
    let heads = ["kpi", "day", "value", "low", "high", "sample_count"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for of in &kpi.days {
        let value = of.value.unwrap_or_default();
        let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        rows.push(vec![
            kpi.name.clone(),
            of.day.as_ref().map(day).unwrap_or_default(),
            text(value.value),
            text(value.low),
            text(value.high),
            value.sample_count.to_string(),
        ]);
    }
    rows
}
