//! What an import did: a table for people, JSON for machines.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Kind;
use crate::application::import::Counts;

/// What became of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSummary {
    /// What it holds.
    pub kind: Kind,
    /// Its path.
    pub file: String,
    /// What became of its rows.
    pub counts: Counts,
}

/// What became of all files.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// In the order in which they were imported.
    pub files: Vec<FileSummary>,
    /// Where the refused rows are.
    pub refused_file: PathBuf,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// True if it was stopped before the end.
    pub cancelled: bool,
    /// What went wrong, each with its file.
    pub failures: Vec<String>,
}

impl Summary {
    /// All files together.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for file in &self.files {
            total.add(&file.counts);
        }
        total
    }

    fn rows_per_second(&self) -> u64 {
        (self.total().read as f64 / self.seconds.max(1e-3)) as u64
    }

    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let counts = |counts: &Counts| -> Value {
            let reasons: Vec<Value> = counts
                .reasons
                .iter()
                .map(|((column, code), rows)| {
                    json!({ "column": column, "code": code.as_str(), "rows": rows })
                })
                .collect();
            let unattributed = counts.unattributed.iter();
            let unattributed: serde_json::Map<String, Value> = unattributed
                .map(|(reason, &rows)| (reason.as_str().to_owned(), json!(rows)))
                .collect();
            json!({
                "read": counts.read,
                "new": counts.new,
                "duplicate": counts.duplicate,
                "refused": counts.refused,
                "reasons": reasons,
                "unattributed": unattributed,
            })
        };
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|file| {
                json!({
                    "kind": file.kind.as_str(),
                    "file": file.file,
                    "rows": counts(&file.counts),
                })
            })
            .collect();
        json!({
            "files": files,
            "total": counts(&self.total()),
            "refused_file": self.refused_file.display().to_string(),
            "seconds": self.seconds,
            "rows_per_second": self.rows_per_second(),
            "cancelled": self.cancelled,
            "failures": self.failures,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let width = self
            .files
            .iter()
            .map(|file| file.file.chars().count())
            .max()
            .unwrap_or(0);
        let width = width.max("total".len());
        let row = |f: &mut fmt::Formatter<'_>, kind: &str, name: &str, cells: [String; 4]| {
            let [read, new, duplicate, refused] = cells;
            writeln!(
                f,
                "{kind:<9} {name:<width$} {read:>13} {new:>13} {duplicate:>13} {refused:>13}"
            )
        };
        let cells = |c: &Counts| [c.read, c.new, c.duplicate, c.refused].map(thousands);
        let heads = ["read", "new", "duplicate", "refused"].map(str::to_owned);
        row(f, "", "", heads)?;
        for file in &self.files {
            row(f, file.kind.as_str(), &file.file, cells(&file.counts))?;
        }
        row(f, "", "total", cells(&total))?;
        if total.refused > 0 {
            writeln!(f, "\nrefused rows are in {}", self.refused_file.display())?;
            for file in &self.files {
                for ((column, code), rows) in &file.counts.reasons {
                    let column = if column.is_empty() {
                        "(the row)"
                    } else {
                        column
                    };
                    let (kind, code) = (file.kind.as_str(), code.as_str());
                    writeln!(f, "{:>13}  {kind}: {column}: {code}", thousands(*rows))?;
                }
            }
        }
        if !total.unattributed.is_empty() {
            writeln!(
                f,
                "\nrows that are in, but whose attribution token attributes nothing:"
            )?;
            for (reason, &rows) in &total.unattributed {
                writeln!(f, "{:>13}  {}", thousands(rows as u64), reason.as_str())?;
            }
        }
        let rate = thousands(self.rows_per_second());
        writeln!(f, "\n{:.1} s, {rate} rows/s", self.seconds)?;
        if self.cancelled {
            writeln!(
                f,
                "stopped before the end: what is counted above is in; the same command goes on \
                 without duplicates"
            )?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        if !self.failures.is_empty() {
            writeln!(
                f,
                "what is counted above is in; once this is mended, the same command goes on without \
                 duplicates"
            )?;
        }
        Ok(())
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(368_972), "368,972");
    }
}
