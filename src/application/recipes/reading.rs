//! Reading TOML by hand instead of by serde: serde stops at the first fault, and a recipe shall
//! hear of all.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::RecipeFault;
use crate::application::spelling::suggestion;
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// The longest duration: a hundred years.
pub(super) const MAX_DURATION_MS: i64 = 36_500 * DAY_MS;

/// A file and the faults found in it.
pub(super) struct Document<'a> {
    name: &'a str,
    text: &'a str,
    faults: RefCell<Vec<RecipeFault>>,
}

/// A value and the line it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

impl<'a> Document<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Self {
            name,
            text,
            faults: RefCell::new(Vec::new()),
        }
    }

    /// Parses the text; what is no TOML is a fault.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = error.span().map_or(1, |span| self.line(&span));
            self.fault(line, format!("not TOML: {}", error.message()));
        }
        errors.is_empty().then_some(table)
    }

    pub(super) fn fault(&self, line: usize, message: impl Into<String>) {
        self.faults.borrow_mut().push(RecipeFault {
            file: self.name.to_owned(),
            line,
            message: message.into(),
        });
    }

    /// How many faults were found so far.
    pub(super) fn faulty(&self) -> usize {
        self.faults.borrow().len()
    }

    pub(super) fn into_faults(self) -> Vec<RecipeFault> {
        self.faults.into_inner()
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// A table of a document.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    table: &'a DeTable<'a>,
    /// What messages call it: empty for the whole file, `[gate]`, `[[rule]]`.
    name: &'a str,
    /// The line it begins in.
    pub(super) line: usize,
}

impl<'a> Section<'a> {
    pub(super) fn whole(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            document,
            table,
            name: "",
            line: 1,
        }
    }

    pub(super) fn fault(&self, line: usize, message: impl Into<String>) {
        self.document.fault(line, message);
    }

    /// Every key must be one of these.
    pub(super) fn only(&self, keys: &[&str]) {
        for key in self.table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let line = self.document.line(&key.span());
                let what = suggestion(key.get_ref(), keys);
                self.fault(line, format!("unknown key {:?}; {what}", key.get_ref()));
            }
        }
    }

    /// The keys of a table whose keys are names.
    pub(super) fn keys(&self) -> Vec<At<&'a str>> {
        let mut keys: Vec<_> = self
            .table
            .keys()
            .map(|key| At {
                value: key.get_ref().as_ref(),
                line: self.document.line(&key.span()),
            })
            .collect();
        keys.sort_by_key(|key| key.line);
        keys
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn value(&self, key: &str) -> Option<At<&'a DeValue<'a>>> {
        let value = self.table.get(key)?;
        Some(At {
            value: value.get_ref(),
            line: self.document.line(&value.span()),
        })
    }

    /// A value of one type, if the key is there.
    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<At<T>> {
        let At { value, line } = self.value(key)?;
        if let Some(value) = read(value) {
            return Some(At { value, line });
        }
        let found = value.type_str();
        self.fault(line, format!("{key} must be {wanted}, not {found}"));
        None
    }

    /// Notes that a key is missing.
    fn require(&self, key: &str, example: &str) {
        if !self.has(key) {
            let place = match self.name {
                "" => String::new(),
                name => format!(" in {name}"),
            };
            self.fault(self.line, format!("missing{place}: {key} = {example}"));
        }
    }

    pub(super) fn text(&self, key: &str, example: &str) -> Option<At<&'a str>> {
        self.require(key, example);
        self.typed(key, "a text in quotes", DeValue::as_str)
    }

    /// True if the key is there and is this text.
    pub(super) fn is_text(&self, key: &str, text: &str) -> bool {
        self.value(key)
            .is_some_and(|at| at.value.as_str() == Some(text))
    }

    /// The line of a key's value, or that of the section.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.value(key).map_or(self.line, |at| at.line)
    }

    /// True if the key is there and is any text.
    pub(super) fn is_any_text(&self, key: &str) -> bool {
        self.value(key).is_some_and(|at| at.value.is_str())
    }

    pub(super) fn flag(&self, key: &str) -> Option<At<bool>> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// A whole number within a range, if the key is there.
    pub(super) fn count(&self, key: &str, range: Range<usize>) -> Option<At<usize>> {
        let integer = |value: &'a DeValue<'a>| {
            let integer = value.as_integer()?;
            i64::from_str_radix(integer.as_str(), integer.radix()).ok()
        };
        let found = self.typed(key, "a whole number", integer)?;
        let value = usize::try_from(found.value).ok();
        let Some(value) = value.filter(|value| range.contains(value)) else {
            let (least, most) = (range.start, range.end - 1);
            let given = found.value;
            self.fault(
                found.line,
                format!("{key} must be from {least} to {most}, not {given}"),
            );
            return None;
        };
        let line = found.line;
        Some(At { value, line })
    }

    /// A number within a range, if the key is there.
    pub(super) fn number(&self, key: &str, least: f64, most: f64) -> Option<At<f64>> {
        let number = |value: &'a DeValue<'a>| match value {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|value| value as f64),
            _ => None,
        };
        let found = self.typed(key, "a number", number)?;
        // NaN is in no range
        if !(least..=most).contains(&found.value) {
            let given = found.value;
            self.fault(
                found.line,
                format!("{key} must be from {least} to {most}, not {given}"),
            );
            return None;
        }
        Some(found)
    }

    /// A duration in milliseconds, if the key is there.
    pub(super) fn duration(&self, key: &str) -> Option<At<i64>> {
        let found = self.typed(key, "a duration such as \"12h\" or \"3d\"", DeValue::as_str)?;
        let line = found.line;
        if let Some(value) = parse_duration(found.value) {
            return Some(At { value, line });
        }
        let given = found.value;
        self.fault(
            line,
            format!(
                "{key} must be a duration such as \"30m\", \"12h\", \"3d\" or \"8w\", more than \
                 zero and at most 36500 days, not {given:?}"
            ),
        );
        None
    }

    /// A list of texts, if the key is there.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<At<&'a str>>> {
        let list = self.typed(key, "a list of texts", DeValue::as_array)?;
        let mut texts: Vec<At<&'a str>> = Vec::new();
        for item in list.value {
            let line = self.document.line(&item.span());
            match item.get_ref().as_str() {
                Some(value) if texts.iter().any(|other| other.value == value) => {
                    self.fault(line, format!("{key} has {value:?} twice"));
                }
                Some(value) => texts.push(At { value, line }),
                None => self.fault(line, format!("{key} must be a list of texts")),
            }
        }
        Some(texts)
    }

    /// A table that must be there.
    pub(super) fn section(&self, key: &str, name: &'a str) -> Option<Section<'a>> {
        if !self.has(key) {
            self.fault(self.line, format!("missing: the section {name}"));
        }
        let found = self.typed(key, "a table", DeValue::as_table)?;
        Some(self.inner(found.value, found.line, name))
    }

    /// The tables of a list of tables.
    pub(super) fn sections(&self, key: &str, name: &'a str) -> Vec<Section<'a>> {
        let Some(list) = self.typed(key, "a list of tables", DeValue::as_array) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in list.value {
            let line = self.document.line(&item.span());
            match item.get_ref().as_table() {
                Some(table) => sections.push(self.inner(table, line, name)),
                None => self.fault(line, format!("{key} must be written as {name}")),
            }
        }
        sections
    }

    fn inner(&self, table: &'a DeTable<'a>, line: usize, name: &'a str) -> Section<'a> {
        Section {
            document: self.document,
            table,
            name,
            line,
        }
    }

    /// Each text as one of the things that have names.
    pub(super) fn named<T>(
        &self,
        what: &str,
        texts: &[At<&str>],
        parse: impl Fn(&str) -> Option<T>,
        names: &[&str],
    ) -> Vec<T> {
        let mut found = Vec::new();
        for text in texts {
            match parse(text.value) {
                Some(value) => found.push(value),
                None => {
                    let right = suggestion(text.value, names);
                    self.fault(
                        text.line,
                        format!("there is no {what} {:?}; {right}", text.value),
                    );
                }
            }
        }
        found
    }
}

/// `30m`, `12h`, `3d`, `8w` in milliseconds.
fn parse_duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let ms = match unit {
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        'w' => 7 * DAY_MS,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?.trim();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let duration = number.parse::<i64>().ok()?.checked_mul(ms)?;
    (1..=MAX_DURATION_MS)
        .contains(&duration)
        .then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("90m"), Some(90 * MINUTE_MS));
        assert_eq!(parse_duration("8w"), Some(56 * DAY_MS));
        for wrong in [
            "",
            "d",
            "0d",
            "-1d",
            "3",
            "3 days",
            "3.5d",
            "99999999d",
            "é",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
