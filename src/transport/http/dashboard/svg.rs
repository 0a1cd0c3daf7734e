//! A small writer of SVG: escaped, with a title and a description for who cannot see it, coloured by classes.
//!
//! Own code and no plotting crate, because those write colours into the elements: a page in the dark could not change
//! them, a screen reader would find no title, and none draws flows.

use std::fmt::{Display, Write as _};

/// What colours pictures, in pages and in files of their own.
pub(super) const STYLE: &str = include_str!("charts.css");

/// A picture.
pub(super) struct Svg {
    text: String,
}

/// Text that stands in HTML, SVG and attributes of them as it is.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML has no place for them
            other if other.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

/// A coordinate: finite, to a tenth.
pub(super) fn at(value: f64) -> String {
    match value.is_finite() {
        true => format!("{:.1}", value.clamp(-1e5, 1e5)),
        false => "0".to_owned(),
    }
}

impl Svg {
    /// An empty picture. `id` is its own within a page.
    pub(super) fn new(id: &str, width: u32, height: u32, title: &str, description: &str) -> Self {
        let (id, title, description) = (escaped(id), escaped(title), escaped(description));
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" id=\"{id}\" role=\"img\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             aria-labelledby=\"{id}-title {id}-desc\"><title id=\"{id}-title\">{title}</title>\
             <desc id=\"{id}-desc\">{description}</desc>"
        );
        Self { text }
    }

    /// One element; `tip` is what a pointer at rest on it tells.
    pub(super) fn element(
        &mut self,
        name: &str,
        class: &str,
        attributes: &[(&str, &dyn Display)],
        tip: &str,
    ) {
        self.open(name, class, attributes);
        if tip.is_empty() {
            self.text.push_str("/>");
        } else {
            let tip = escaped(tip);
            self.put(format_args!("><title>{tip}</title></{name}>"));
        }
    }

    /// A line of text. `anchor` is `start`, `middle` or `end`.
    pub(super) fn label(&mut self, class: &str, [x, y]: [f64; 2], anchor: &str, text: &str) {
        let (x, y, text) = (at(x), at(y), escaped(text));
        self.open(
            "text",
            class,
            &[("x", &x), ("y", &y), ("text-anchor", &anchor)],
        );
        self.put(format_args!(">{text}</text>"));
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(at);
        let ends: [(&str, &dyn Display); 4] = [("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)];
        self.element("line", class, &ends, "");
    }

    /// A rectangle with slightly round corners.
    pub(super) fn bar(
        &mut self,
        class: &str,
        [x, y]: [f64; 2],
        [width, height]: [f64; 2],
        tip: &str,
    ) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(at);
        let place: [(&str, &dyn Display); 5] = [
            ("x", &x),
            ("y", &y),
            ("width", &width),
            ("height", &height),
            ("rx", &2),
        ];
        self.element("rect", class, &place, tip);
    }

    /// A shape or a line by its path.
    pub(super) fn path(&mut self, class: &str, path: &str, tip: &str) {
        self.element("path", class, &[("d", &path)], tip);
    }

    /// A dot.
    pub(super) fn dot(&mut self, class: &str, [x, y]: [f64; 2], radius: f64, tip: &str) {
        let [x, y, radius] = [x, y, radius].map(at);
        self.element(
            "circle",
            class,
            &[("cx", &x), ("cy", &y), ("r", &radius)],
            tip,
        );
    }

    /// The picture as it stands in a page.
    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    fn open(&mut self, name: &str, class: &str, attributes: &[(&str, &dyn Display)]) {
        self.put(format_args!("<{name} class=\"{class}\""));
        for (key, value) in attributes {
            self.put(format_args!(" {key}=\"{}\"", escaped(&value.to_string())));
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(text)
            .expect("a string takes every text");
    }
}

/// The picture as a file of its own: with its colours.
pub(super) fn standalone(picture: &str) -> String {
    let (head, rest) = picture.split_at(picture.find('>').map_or(0, |end| end + 1));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{head}<style>{STYLE}</style>{rest}\n")
}

/// Round numbers from `low` to `high`, about `wanted` of them, for the lines of a scale.
pub(super) fn ticks(low: f64, high: f64, wanted: u32) -> Vec<f64> {
    let width = (high - low).abs();
    if !width.is_finite() || width <= 0.0 {
        return vec![low];
    }
    let rough = width / f64::from(wanted.max(1));
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|times| times * power)
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "<script>alert(\"x\")</script>&'\u{1}";
        let mut svg = Svg::new("a", 10, 10, hostile, hostile);
        svg.label("label", [1.0, f64::NAN], "start", hostile);
        svg.bar("bar", [0.0, 0.0], [-1.0, 2.0], hostile);
        svg.element("g", "x", &[("data-name", &hostile)], "");
        let text = svg.finish();
        assert!(!text.contains("<script"), "{text}");
        for text in [text.clone(), standalone(&text)] {
            let read = roxmltree::Document::parse(&text).unwrap();
            let title = read.descendants().find(|n| n.has_tag_name("title"));
            assert_eq!(
                title.unwrap().text().unwrap().trim(),
                "<script>alert(\"x\")</script>&'"
            );
            assert_eq!(read.root_element().attribute("role"), Some("img"));
        }
    }

    #[test]
    fn scales_have_round_numbers() {
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(ticks(0.0, 870.0, 4), [0.0, 250.0, 500.0, 750.0]);
        assert_eq!(ticks(-1.0, 1.0, 2), [-1.0, 0.0, 1.0]);
        assert_eq!(ticks(3.0, 3.0, 4), [3.0]);
        assert_eq!(ticks(0.0, f64::NAN, 4), [0.0]);
    }
}
