//! Where rows begin and end: line numbers as an editor shows them, and a way on after a quote that
//! never closes.
//!
//! The `csv` crate would take everything after a lost quote for one cell, however large the file
//! is. So rows are cut here, with bounds, and each one is then parsed by the crate.

use std::io::{self, BufRead, Read};

use super::source::Input;
use crate::domain::FaultCode;

/// The largest row, in bytes: an offer may name 20,000 products by ids of 128 bytes.
pub const MAX_ROW_BYTES: usize = 4 << 20;
/// The most lines of one row: a quoted cell may hold line breaks.
pub const MAX_ROW_LINES: u64 = 1_000;

/// Bytes of rows already passed that may stay in the window.
const MAX_BEHIND_BYTES: usize = 64 << 10;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Cuts an input into rows.
pub(super) struct Framing {
    input: Input,
    /// Lines that were read and are still needed: the current row, and after a lost quote what must
    /// be read again.
    window: Vec<u8>,
    /// Where the current row begins in the window.
    start: usize,
    /// Where the current row ends, without its line break.
    end: usize,
    /// Where the next row begins.
    next: usize,
    /// The line the next row begins in.
    line: u64,
    ended: bool,
}

/// What comes next in a file.
pub(super) enum Framed {
    /// A row that begins in this line.
    Row(u64),
    /// No row, but what takes its place.
    Bad(BadRow),
    /// The end.
    End,
}

/// Something that cannot be a row.
pub(super) struct BadRow {
    pub(super) line: u64,
    /// The place of the column, from 0, if one is at fault.
    pub(super) column: Option<usize>,
    pub(super) code: FaultCode,
    pub(super) reason: String,
}

enum Line {
    /// Ends here in the window, and the next one begins there.
    Whole {
        end: usize,
        next: usize,
    },
    TooLong,
    End,
}

/// Where in a row the bytes so far lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    CellStart,
    Plain,
    Quoted,
    QuoteInQuoted,
    /// Something stands between a closing quote and the next comma.
    Garbled,
}

impl Framing {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            window: Vec::with_capacity(4 << 10),
            start: 0,
            end: 0,
            next: 0,
            line: 1,
            ended: false,
        }
    }

    /// The bytes of the current row, without its line break.
    pub(super) fn row(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// Finds the next row that is not an empty line.
    ///
    /// # Errors
    /// Those of the disk, and damage of a packed file. There is nothing after them.
    pub(super) fn advance(&mut self) -> io::Result<Framed> {
        loop {
            if self.ended {
                return Ok(Framed::End);
            }
            self.start = self.next;
            if self.start == self.window.len() {
                self.window.clear();
                (self.start, self.next) = (0, 0);
            } else if self.start > MAX_BEHIND_BYTES {
                // one lost quote after the other: what lies behind is needed no more
                self.window.drain(..self.start);
                (self.start, self.next) = (0, 0);
            }
            self.end = self.start;
            match self.frame() {
                Ok(Framed::Row(_)) if self.row().is_empty() => {}
                Err(error) => {
                    // how the row would have ended is not known: it is none
                    self.ended = true;
                    return Err(error);
                }
                framed => return framed,
            }
        }
    }

    fn frame(&mut self) -> io::Result<Framed> {
        let line = self.line;
        let (end, next) = match self.line_from(self.start)? {
            Line::End => {
                self.ended = true;
                return Ok(Framed::End);
            }
            Line::TooLong => return self.skip_line().map(Framed::Bad),
            Line::Whole { end, next } => (end, next),
        };
        (self.end, self.next, self.line) = (end, next, line + 1);
        if !self.window[self.start..end].contains(&b'"') {
            return Ok(Framed::Row(line));
        }
        self.frame_quoted(line, next)
    }

    /// Takes further lines into the row for as long as a quote is open. `second` is where its
    /// second line begins.
    fn frame_quoted(&mut self, line: u64, second: usize) -> io::Result<Framed> {
        let mut scan = Scan::default();
        scan.over(&self.window[self.start..self.end]);
        let mut lines = 1;
        while scan.place == Place::Quoted {
            // the line break belongs to the cell
            let within = self.next - self.start < MAX_ROW_BYTES && lines < MAX_ROW_LINES;
            let more = if within {
                self.line_from(self.next)?
            } else {
                Line::TooLong
            };
            let Line::Whole { end, next } = more else {
                break;
            };
            let from = self.next;
            (self.end, self.next) = (end, next);
            lines += 1;
            scan.over(&self.window[from..end]);
        }
        if matches!(scan.place, Place::Quoted | Place::Garbled) {
            // everything after the first line is read again: it may hold good rows
            let closes = scan.place == Place::Garbled && lines == 1;
            self.next = second;
            self.end = trimmed(&self.window, self.start, second);
            self.line = line + 1;
            let reason = if closes {
                "something stands between the closing quote and the next comma".to_owned()
            } else {
                format!(
                    "a quote opens here and does not close within {MAX_ROW_LINES} lines or \
                     {MAX_ROW_BYTES} bytes"
                )
            };
            return Ok(Framed::Bad(BadRow {
                line,
                column: Some(scan.quoted_cell),
                code: FaultCode::Malformed,
                reason,
            }));
        }
        self.line = line + lines;
        Ok(Framed::Row(line))
    }

    /// The line that begins at `from` in the window, read from the file if it is not there yet.
    fn line_from(&mut self, from: usize) -> io::Result<Line> {
        let known = self.window[from..].iter().position(|byte| *byte == b'\n');
        let next = if let Some(length) = known {
            from + length + 1
        } else {
            let limit = (MAX_ROW_BYTES + 1).saturating_sub(self.window.len() - from);
            (&mut self.input)
                .take(limit as u64)
                .read_until(b'\n', &mut self.window)?;
            if from == 0 && self.line == 1 && self.window.starts_with(BOM) {
                self.window.drain(..BOM.len());
            }
            self.window.len()
        };
        if next == from {
            return Ok(Line::End);
        }
        let end = trimmed(&self.window, from, next);
        if end == next && next - from > MAX_ROW_BYTES {
            return Ok(Line::TooLong);
        }
        Ok(Line::Whole { end, next })
    }

    /// Passes over the rest of a line that is too long to be a row.
    fn skip_line(&mut self) -> io::Result<BadRow> {
        self.end = self.window.len();
        self.next = self.window.len();
        let bad = BadRow {
            line: self.line,
            column: None,
            code: FaultCode::TooLong,
            reason: format!("more than {MAX_ROW_BYTES} bytes in one row"),
        };
        self.line += 1;
        loop {
            let buffer = self.input.fill_buf()?;
            let (length, found) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), false),
            };
            self.input.consume(length);
            if found || length == 0 {
                return Ok(bad);
            }
        }
    }
}

/// Where the line from `from` to `next` ends without its `\n` or `\r\n`.
fn trimmed(window: &[u8], from: usize, next: usize) -> usize {
    match &window[from..next] {
        [.., b'\r', b'\n'] => next - 2,
        [.., b'\n'] => next - 1,
        _ => next,
    }
}

/// Follows quotes over the lines of a row.
struct Scan {
    place: Place,
    cell: usize,
    quoted_cell: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            place: Place::CellStart,
            cell: 0,
            quoted_cell: 0,
        }
    }
}

impl Scan {
    fn over(&mut self, line: &[u8]) {
        for &byte in line {
            self.place = match (self.place, byte) {
                (Place::CellStart, b'"') => {
                    self.quoted_cell = self.cell;
                    Place::Quoted
                }
                (Place::Quoted, b'"') => Place::QuoteInQuoted,
                (Place::Quoted, _) | (Place::QuoteInQuoted, b'"') => Place::Quoted,
                (Place::CellStart | Place::Plain | Place::QuoteInQuoted, b',') => {
                    self.cell += 1;
                    Place::CellStart
                }
                (Place::CellStart | Place::Plain, _) => Place::Plain,
                (Place::QuoteInQuoted | Place::Garbled, _) => Place::Garbled,
            };
            if self.place == Place::Garbled {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as `line:text`, bad ones as `line!column`.
    fn framed(text: &[u8]) -> Vec<String> {
        let mut framing = Framing::new(Box::new(io::Cursor::new(text.to_vec())));
        let mut found = Vec::new();
        loop {
            match framing.advance().unwrap() {
                Framed::Row(line) => {
                    let row = String::from_utf8_lossy(framing.row());
                    found.push(format!("{line}:{row}"));
                }
                Framed::Bad(bad) => {
                    let column = bad.column.map_or(String::new(), |c| c.to_string());
                    found.push(format!("{}!{column}", bad.line));
                }
                Framed::End => return found,
            }
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let text = b"\xef\xbb\xbfa,b\r\n\r\n1,\"x\r\ny\"\r\n\n2,z";
        assert_eq!(framed(text), ["1:a,b", "3:1,\"x\r\ny\"", "6:2,z"]);
    }

    #[test]
    fn a_quote_that_never_closes_costs_its_own_line_only() {
        let text = b"a,b\n1,\"x\n2,y\n3,\"z\"\n4,u\n";
        assert_eq!(
            framed(text),
            ["1:a,b", "2!1", "3:2,y", "4:3,\"z\"", "5:4,u"]
        );
        assert_eq!(framed(b"1,\"x"), ["1!1"]);
        assert_eq!(framed(b"1,\"x\"y,\n2"), ["1!1", "2:2"]);
        assert_eq!(framed(b"12\" ruler,1"), ["1:12\" ruler,1"]);
        assert_eq!(framed(b"\"a\"\"b\",1"), ["1:\"a\"\"b\",1"]);
        let mut long = b"\"".to_vec();
        long.extend(b"x\n".repeat(MAX_ROW_LINES as usize + 5));
        let found = framed(&long);
        assert_eq!(found.len(), MAX_ROW_LINES as usize + 5);
        assert_eq!((found[0].as_str(), found[1].as_str()), ("1!0", "2:x"));
    }

    #[test]
    fn quotes_lost_in_every_line_cost_no_memory() {
        // each line closes the quote of the one before and opens another
        let mut text = b"a\",b,\"\n".repeat(60_000);
        text.extend(b"1,2,3");
        let mut framing = Framing::new(Box::new(io::Cursor::new(text)));
        let (mut bad, mut good, mut largest) = (0, 0, 0);
        loop {
            match framing.advance().unwrap() {
                Framed::Row(line) => good = line,
                Framed::Bad(_) => bad += 1,
                Framed::End => break,
            }
            largest = largest.max(framing.window.len());
        }
        assert_eq!((bad, good), (60_000, 60_001));
        assert!(largest < 2 * MAX_BEHIND_BYTES, "{largest}");
    }

    #[test]
    fn a_row_is_bounded() {
        let largest = "x".repeat(MAX_ROW_BYTES);
        let text = format!("{largest}\n{largest}y\n{largest}{largest}{largest}\n1\n{largest}");
        let found: Vec<String> = framed(text.as_bytes())
            .into_iter()
            .map(|row| row.chars().take(4).collect())
            .collect();
        assert_eq!(found, ["1:xx", "2!", "3!", "4:1", "5:xx"]);
    }
}
