//! Plots as SVG inside the page: each says in words what it shows, and what tells methods apart is not colour alone.

use std::fmt::Write as _;

use super::html::escape;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
/// Where the names of rows end.
const NAMES: f64 = 270.0;
/// The longest name of a row; the table beside the plot has all of it.
const LONGEST: usize = 36;
/// The height of a row.
const ROW: f64 = 22.0;
/// How many styles of lines and marks there are in [`STYLE`].
const STYLES: usize = 8;

/// What the classes of plots look like; colours are those of Okabe and Ito, made lighter or darker by the page.
pub(in crate::cli) const STYLE: &str = "\
svg { width: 100%; height: auto; max-width: 720px; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .axis { stroke: var(--line); stroke-width: 1; fill: none; }
svg .zero { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; fill: none; }
svg .s0 { stroke: var(--c0); fill: var(--c0); } svg .s1 { stroke: var(--c1); fill: var(--c1); }
svg .s2 { stroke: var(--c2); fill: var(--c2); } svg .s3 { stroke: var(--c3); fill: var(--c3); }
svg .s4 { stroke: var(--c4); fill: var(--c4); } svg .s5 { stroke: var(--c5); fill: var(--c5); }
svg .s6 { stroke: var(--c6); fill: var(--c6); } svg .s7 { stroke: var(--c7); fill: var(--c7); }
svg .line { fill: none; stroke-width: 2; }
svg .range { stroke-width: 3; }
svg .d1 { stroke-dasharray: 8 4; } svg .d2 { stroke-dasharray: 2 3; } svg .d3 { stroke-dasharray: 8 3 2 3; }
svg .d4 { stroke-dasharray: 12 4; } svg .d5 { stroke-dasharray: 4 4; } svg .d6 { stroke-dasharray: 1 4; }
svg .d7 { stroke-dasharray: 12 3 2 3 2 3; }
";

/// What a plot is called and shows, and what its axes are.
pub(in crate::cli) struct Words<'a> {
    /// Unique within the page.
    pub(in crate::cli) id: &'a str,
    pub(in crate::cli) title: &'a str,
    pub(in crate::cli) text: &'a str,
    pub(in crate::cli) x: &'a str,
    pub(in crate::cli) y: &'a str,
}

/// A plot that is being drawn.
struct Plot {
    svg: String,
    x: Scale,
    y: Scale,
    height: f64,
}

/// From values to places.
#[derive(Clone, Copy)]
struct Scale {
    values: (f64, f64),
    places: (f64, f64),
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        let (from, to) = self.values;
        let share = if to > from {
            (value - from) / (to - from)
        } else {
            0.5
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Round values within, at most about `count`.
    fn ticks(&self, count: f64) -> Vec<f64> {
        let (from, to) = self.values;
        let rough = (to - from) / count;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        if !(step > 0.0 && step.is_finite()) {
            return vec![from];
        }
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

impl Plot {
    fn new(words: &Words<'_>, height: f64, left: f64, x: (f64, f64), y: (f64, f64)) -> Self {
        let Words {
            id, title, text, ..
        } = words;
        let (title, text) = (escape(title), escape(text));
        let svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{text}</desc>\n"
        );
        let places = (left, WIDTH - RIGHT);
        let mut plot = Self {
            svg,
            x: Scale { values: x, places },
            y: Scale {
                values: y,
                places: (height - BOTTOM, TOP),
            },
            height,
        };
        plot.x_axis(words.x);
        plot
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.svg,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    fn text(&mut self, place: (f64, f64), anchor: &str, text: &str) {
        let ((x, y), text) = (place, escape(text));
        let _ = writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// A mark whose shape is that of the style: circle, square, diamond, triangle.
    fn mark(&mut self, style: usize, (x, y): (f64, f64), what: &str) {
        let (class, what) = (format!("s{}", style % STYLES), escape(what));
        let points = match style % 4 {
            1 => [(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)],
            2 => [(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)],
            3 => [(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0), (-5.0, 4.0)],
            _ => {
                let _ = writeln!(
                    self.svg,
                    "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{what}</title></circle>"
                );
                return;
            }
        };
        let points = points.map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy));
        let points = points.join(" ");
        let _ = writeln!(
            self.svg,
            "<polygon class=\"{class}\" points=\"{points}\"><title>{what}</title></polygon>"
        );
    }

    fn x_axis(&mut self, label: &str) {
        let (scale, bottom) = (self.x, self.height - BOTTOM);
        for tick in scale.ticks(8.0) {
            let x = scale.place(tick);
            self.line("axis", (x, TOP), (x, bottom));
            self.text((x, bottom + 16.0), "middle", &number(tick));
        }
        let middle = (scale.places.0 + scale.places.1) / 2.0;
        self.text((middle, bottom + 34.0), "middle", label);
    }

    fn y_axis(&mut self, label: &str) {
        let scale = self.y;
        for tick in scale.ticks(6.0) {
            let y = scale.place(tick);
            self.line("axis", (self.x.places.0, y), (self.x.places.1, y));
            self.text((self.x.places.0 - 6.0, y + 4.0), "end", &number(tick));
        }
        let middle = (scale.places.0 + scale.places.1) / 2.0;
        let label = escape(label);
        let _ = writeln!(
            self.svg,
            "<text transform=\"translate(14 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"
        );
    }

    /// The names of rows, and where each stands.
    fn rows<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for (row, name) in names.enumerate() {
            let mut short: String = name.chars().take(LONGEST).collect();
            if short.len() < name.len() {
                short.push('…');
            }
            self.text((NAMES - 10.0, row_place(row) + 4.0), "end", &short);
        }
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

fn row_place(row: usize) -> f64 {
    TOP + ROW * (row as f64 + 0.5)
}

/// A number without needless zeros.
fn number(value: f64) -> String {
    // ticks of rare things are small
    let text = if value.abs() < 0.01 {
        format!("{value:.6}")
    } else {
        format!("{value:.3}")
    };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// The least and the greatest value, with 0.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((0.0, 0.0), |(low, high): (f64, f64), value| {
        (low.min(value), high.max(value))
    });
    if high > low {
        (low, high)
    } else {
        (low, low + 1.0)
    }
}

/// What the styles stand for; as wide as it must be.
pub(in crate::cli) fn legend<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut html = String::from("<ul class=\"legend\">\n");
    for (style, name) in names.enumerate() {
        let none = Scale {
            values: (0.0, 1.0),
            places: (0.0, 1.0),
        };
        let mut plot = Plot {
            svg: String::new(),
            x: none,
            y: none,
            height: 16.0,
        };
        let class = format!("line s{0} d{0}", style % STYLES);
        plot.line(&class, (0.0, 8.0), (36.0, 8.0));
        plot.mark(style, (18.0, 8.0), name);
        let (drawn, name) = (plot.svg, escape(name));
        let _ = writeln!(
            html,
            "<li><svg class=\"key\" viewBox=\"0 0 36 16\" aria-hidden=\"true\">{drawn}</svg> {name}</li>"
        );
    }
    html.push_str("</ul>\n");
    html
}

/// A line for each series, whose values are those of 1, 2, ….
pub(in crate::cli) fn lines(words: &Words<'_>, series: &[(&str, &[f64])]) -> String {
    let longest = series.iter().map(|(_, values)| values.len()).max();
    let longest = longest.unwrap_or(0).max(2) as f64;
    let points = |values: &[f64]| (1..).map(f64::from).zip(values.iter().copied()).collect();
    let series: Vec<(&str, Vec<(f64, f64)>)> = series
        .iter()
        .map(|(name, values)| (*name, points(values)))
        .collect();
    curves(words, (1.0, longest), &series)
}

/// A line for each series through its points; `x` are the ends of the axis.
pub(in crate::cli) fn curves(
    words: &Words<'_>,
    x: (f64, f64),
    series: &[(&str, Vec<(f64, f64)>)],
) -> String {
    let y = range(
        series
            .iter()
            .flat_map(|(_, points)| points.iter().map(|&(_, y)| y)),
    );
    let mut plot = Plot::new(words, 360.0, LEFT, x, y);
    plot.y_axis(words.y);
    for (style, (name, points)) in series.iter().enumerate() {
        let places = points
            .iter()
            .map(|&(x, y)| format!("{:.1},{:.1}", plot.x.place(x), plot.y.place(y)));
        let places = places.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            plot.svg,
            "<polyline class=\"line s{0} d{0}\" points=\"{places}\"/>",
            style % STYLES
        );
        if let Some(&(x, y)) = points.last() {
            let place = (plot.x.place(x), plot.y.place(y));
            plot.mark(style, place, &format!("{name}: {y:.4}"));
        }
    }
    plot.end()
}

/// What was said against what came: on the diagonal, it is right. Each point is (said, came, how many).
pub(in crate::cli) fn calibration(words: &Words<'_>, points: &[(f64, f64, usize)]) -> String {
    let both = points.iter().flat_map(|&(said, came, _)| [said, came]);
    let (low, high) = range(both);
    let mut plot = Plot::new(words, 360.0, LEFT, (low, high), (low, high));
    plot.y_axis(words.y);
    let from = (plot.x.place(low), plot.y.place(low));
    let to = (plot.x.place(high), plot.y.place(high));
    plot.line("zero", from, to);
    for &(said, came, count) in points {
        let place = (plot.x.place(said), plot.y.place(came));
        plot.mark(
            0,
            place,
            &format!("said {said:.4}, came {came:.4}, of {count}"),
        );
    }
    plot.end()
}

/// A row for each name, with a mark of each series.
pub(in crate::cli) fn marks(
    words: &Words<'_>,
    names: &[&str],
    series: &[(&str, Vec<f64>)],
) -> String {
    let height = TOP + BOTTOM + ROW * names.len() as f64;
    let x = range(series.iter().flat_map(|(_, values)| values.iter().copied()));
    let mut plot = Plot::new(words, height, NAMES, x, (0.0, 1.0));
    plot.rows(names.iter().copied());
    for (style, (method, values)) in series.iter().enumerate().rev() {
        for (row, (name, &value)) in names.iter().zip(values).enumerate() {
            let place = (plot.x.place(value), row_place(row));
            plot.mark(style, place, &format!("{name}, {method}: {value:.4}"));
        }
    }
    plot.end()
}

/// A difference with its interval.
pub(in crate::cli) struct Range {
    pub(in crate::cli) name: String,
    pub(in crate::cli) mean: f64,
    pub(in crate::cli) low: f64,
    pub(in crate::cli) high: f64,
    /// Which style.
    pub(in crate::cli) style: usize,
}

/// A row for each difference, beside the line of no difference.
pub(in crate::cli) fn ranges(words: &Words<'_>, ranges: &[Range]) -> String {
    let height = TOP + BOTTOM + ROW * ranges.len() as f64;
    let x = range(ranges.iter().flat_map(|r| [r.low, r.mean, r.high]));
    let mut plot = Plot::new(words, height, NAMES, x, (0.0, 1.0));
    plot.rows(ranges.iter().map(|range| range.name.as_str()));
    let zero = plot.x.place(0.0);
    plot.line("zero", (zero, TOP), (zero, height - BOTTOM));
    for (row, range) in ranges.iter().enumerate() {
        let (y, class) = (row_place(row), format!("range s{}", range.style % STYLES));
        let ends = [range.low, range.high].map(|end| (plot.x.place(end), y));
        plot.line(&class, ends[0], ends[1]);
        let Range {
            name,
            mean,
            low,
            high,
            ..
        } = range;
        let what = format!("{name}: {mean:+.4} ({low:+.4} to {high:+.4})");
        plot.mark(range.style, (plot.x.place(*mean), y), &what);
    }
    plot.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(from: f64, to: f64) -> Scale {
        Scale {
            values: (from, to),
            places: (0.0, 100.0),
        }
    }

    fn check(from: f64, to: f64, expected: &[f64]) {
        let ticks = scale(from, to).ticks(5.0);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
        let same = ticks.len() == expected.len() && ticks.iter().zip(expected).all(close);
        assert!(same, "{ticks:?}, expected {expected:?}");
    }

    #[test]
    fn ticks_are_round() {
        check(0.0, 1.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        check(1.0, 20.0, &[5.0, 10.0, 15.0, 20.0]);
        check(-0.03, 0.05, &[-0.02, 0.0, 0.02, 0.04]);
        check(2.0, 2.0, &[2.0]);
    }

    #[test]
    fn places_follow_values() {
        let scale = scale(-1.0, 1.0);
        let places = [-1.0, 0.0, 1.0].map(|value| scale.place(value));
        assert!(
            places
                .iter()
                .zip([0.0, 50.0, 100.0])
                .all(|(a, b)| (a - b).abs() < 1e-9)
        );
    }

    #[test]
    fn numbers_have_no_needless_zeros() {
        let texts = [0.5, 10.0, -0.02, 0.0, -0.0, 0.0005, 1e-19].map(number);
        assert_eq!(texts, ["0.5", "10", "-0.02", "0", "0", "0.0005", "0"]);
    }
}
