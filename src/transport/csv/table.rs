//! A file with a header: columns by name in any order, rows as cells.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::FileError;
use super::framing::{Framed, Framing};
use super::source::{self, Progress};
use crate::application::import::{Refusal, RowError};
use crate::domain::{FaultCode, Faults};

/// The most columns of a file.
const MAX_COLUMNS: usize = 1_024;

/// One row at a time on its way into the parser of the `csv` crate.
#[derive(Default)]
struct Feed {
    row: Vec<u8>,
    at: usize,
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.row[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// An open file, its header read.
pub struct Table {
    path: PathBuf,
    progress: Progress,
    framing: Framing,
    parser: csv::Reader<Feed>,
    record: csv::StringRecord,
    header: Vec<String>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("path", &self.path)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// The columns a reader looks for, by their place; those that are not there are absent.
pub(super) struct Found<const N: usize>(pub(super) [Option<usize>; N]);

impl Table {
    /// Opens a file and reads its header; `needed` is what its message says if there is none.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path, needed: &[&str]) -> Result<Self, FileError> {
        let (input, progress) = source::open(path)?;
        let parser = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            // rows come one by one and end in one `\n`; a `\r` elsewhere belongs to its cell
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(Feed::default());
        let mut table = Self {
            path: path.to_owned(),
            progress,
            framing: Framing::new(input),
            parser,
            record: csv::StringRecord::new(),
            header: Vec::new(),
        };
        match table.next_row() {
            None => {
                return Err(FileError::Empty {
                    path: table.path,
                    needed: needed.join(", "),
                });
            }
            Some(Err(RowError::Unreadable(source))) => {
                return Err(FileError::Unreadable {
                    path: table.path,
                    source,
                });
            }
            Some(Err(RowError::Refused(refusal))) => {
                return Err(table.header_error(vec![refusal.reason]));
            }
            Some(Ok(_)) => {}
        }
        table.header = table.record.iter().map(|n| n.trim().to_owned()).collect();
        table.check_header()?;
        Ok(table)
    }

    fn header_error(&self, faults: Vec<String>) -> FileError {
        FileError::Header {
            path: self.path.clone(),
            faults,
        }
    }

    fn check_header(&self) -> Result<(), FileError> {
        let mut faults = Vec::new();
        if self.header.len() > MAX_COLUMNS {
            let count = self.header.len();
            faults.push(format!("{count} columns; at most {MAX_COLUMNS} are taken"));
        } else {
            for (i, name) in self.header.iter().enumerate() {
                if name.is_empty() {
                    faults.push(format!("column {} has no name", i + 1));
                } else if self.header[..i].contains(name) {
                    faults.push(format!("the column {name} is there twice"));
                }
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(self.header_error(faults))
        }
    }

    /// Finds columns. `needed` says which must be there: of each group at least one.
    pub(super) fn find<const N: usize>(
        &self,
        names: [&str; N],
        needed: &[&[&str]],
    ) -> Result<Found<N>, FileError> {
        let mut faults = Vec::new();
        for group in needed {
            if !group.iter().any(|name| self.place(name).is_some()) {
                faults.push(format!("the column {} is missing", group.join(" or ")));
            }
        }
        if !faults.is_empty() {
            if let [only] = self.header.as_slice() {
                let separator = [';', '\t', '|'].into_iter().find(|c| only.contains(*c));
                if let Some(separator) = separator {
                    let hint = format!("cells must be separated by commas, not by {separator:?}");
                    faults.push(hint);
                }
            }
            return Err(self.header_error(faults));
        }
        Ok(Found(names.map(|name| self.place(name))))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The columns that are none of these names; nobody reads them.
    pub(super) fn unknown(&self, names: &[&str]) -> Vec<String> {
        let known = |name: &&String| !names.contains(&name.as_str());
        self.header.iter().filter(known).cloned().collect()
    }

    /// The names of the columns, in the order of the file.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far the file has been read; stays true while it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Goes to the next row and returns the line it begins in; nothing at the end of the file.
    pub fn next_row(&mut self) -> Option<Result<u64, RowError>> {
        let line = match self.framing.advance() {
            Err(error) => return Some(Err(RowError::Unreadable(error))),
            Ok(Framed::End) => return None,
            Ok(Framed::Bad(bad)) => {
                let column = bad.column.map(|place| self.column(place));
                let mut faults = Faults::new();
                faults.add(column.unwrap_or_default(), bad.code, bad.reason);
                return Some(Err(self.refuse(bad.line, &faults)));
            }
            Ok(Framed::Row(line)) => line,
        };
        let feed = self.parser.get_mut();
        feed.row.clear();
        feed.row.extend_from_slice(self.framing.row());
        feed.row.push(b'\n');
        feed.at = 0;
        Some(self.parse(line).map(|()| line))
    }

    fn parse(&mut self, line: u64) -> Result<(), RowError> {
        let mut faults = Faults::new();
        match self.parser.read_record(&mut self.record) {
            Ok(_) => {
                let (cells, columns) = (self.record.len(), self.header.len());
                if columns > 0 && cells != columns {
                    let column = self.column(cells.min(columns));
                    let reason = format!("the row has {cells} cells, the header has {columns}");
                    faults.add(column, FaultCode::Malformed, reason);
                }
            }
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Utf8 { err, .. } => {
                    let column = self.column(err.field());
                    faults.add(column, FaultCode::BadCharacter, "bytes that are not UTF-8");
                }
                other => faults.add("", FaultCode::Malformed, format!("{other:?}")),
            },
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(self.refuse(line, &faults))
        }
    }

    /// The name of the column at a place, or its number from 1 where the header has none.
    fn column(&self, place: usize) -> String {
        self.header
            .get(place)
            .cloned()
            .unwrap_or_else(|| (place + 1).to_string())
    }

    /// A cell of the current row; a blank one and one of an absent column are empty.
    #[must_use]
    pub fn cell(&self, column: Option<usize>) -> &str {
        let cell = column.and_then(|place| self.record.get(place));
        cell.filter(|text| !is_blank(text)).unwrap_or("")
    }

    /// The current row as refused for these faults.
    #[must_use]
    pub fn refuse(&self, line: u64, faults: &Faults) -> RowError {
        let row = String::from_utf8_lossy(self.framing.row()).into_owned();
        RowError::Refused(Refusal::of(line, faults, row))
    }
}

fn is_blank(text: &str) -> bool {
    // almost every cell begins with something
    !text.as_bytes().first().is_some_and(u8::is_ascii_graphic) && text.trim().is_empty()
}

/// What a cell says, as a draft wants it: absent, or a value, or why it is none.
pub(super) type Parsed<T> = Option<Result<T, (FaultCode, String)>>;

/// A number; NaN and infinities are left to the draft, which knows the range.
pub(super) fn number(cell: &str) -> Parsed<f64> {
    if cell.is_empty() {
        return None;
    }
    let parsed = cell.trim().parse::<f64>();
    Some(parsed.map_err(|_| (FaultCode::NotANumber, "not a number".to_owned())))
}

/// A whole number.
pub(super) fn whole_number(cell: &str) -> Parsed<i64> {
    if cell.is_empty() {
        return None;
    }
    let parsed = cell.trim().parse::<i64>();
    Some(parsed.map_err(|_| (FaultCode::NotANumber, "not a whole number".to_owned())))
}

/// `true` or `false`, in any case: spreadsheets write `TRUE`.
pub(super) fn truth_value(cell: &str) -> Parsed<bool> {
    let text = cell.trim();
    if text.is_empty() {
        None
    } else if text.eq_ignore_ascii_case("true") {
        Some(Ok(true))
    } else if text.eq_ignore_ascii_case("false") {
        Some(Ok(false))
    } else {
        let reason = "must be true or false".to_owned();
        Some(Err((FaultCode::Malformed, reason)))
    }
}

/// A time or a date.
pub(super) fn time(cell: &str) -> Parsed<crate::domain::Timestamp> {
    let text = cell.trim();
    (!text.is_empty()).then(|| crate::domain::Timestamp::parse(text))
}
