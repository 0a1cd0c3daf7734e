//! The little HTML the report needs: text that cannot break out of its place, and tables.

use std::fmt::Write as _;

/// Text as it stands in an element or an attribute. Characters XML does not allow are replaced.
pub(in crate::cli) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(character),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A table: the first cell of each row is its heading; the others are numbers or short words.
pub(in crate::cli) struct Table {
    caption: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(in crate::cli) fn new<T: AsRef<str>>(
        caption: &str,
        head: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            caption: caption.to_owned(),
            head: head.into_iter().map(|h| h.as_ref().to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(in crate::cli) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As HTML; wide tables scroll within themselves, by keyboard too.
    pub(in crate::cli) fn html(&self) -> String {
        let caption = escape(&self.caption);
        let mut html = format!(
            "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table>\n\
             <caption>{caption}</caption>\n<thead><tr>"
        );
        for head in &self.head {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape(head));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (place, cell) in row.iter().enumerate() {
                let cell = escape(cell);
                let _ = match place {
                    0 => write!(html, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(html, "<td>{cell}</td>"),
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n</div>\n");
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escape("<b a=\"1\" b='2'>&\u{1}é</b>"),
            "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;\u{fffd}é&lt;/b&gt;"
        );
        let mut table = Table::new("<caption>", ["<th>"]);
        table.row(["<row>".to_owned(), "<cell>".to_owned()]);
        let html = table.html();
        for text in ["<caption>", "<th>", "<row>", "<cell>"] {
            assert!(html.contains(&escape(text)), "{html}");
        }
        assert!(!html.contains("<row>") && !html.contains("<cell>"));
    }
}
