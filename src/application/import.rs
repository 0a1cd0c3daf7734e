//! Taking in files: rows from any reader go to the journal in batches, every refused row is counted
//! and told.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::application::attribution::UnattributedCounts;
use crate::application::error::AppError;
use crate::application::ingest::{Written, weight_of};
use crate::domain::{FaultCode, Faults, RecordBody};

/// How many records go to the journal at once.
pub const BATCH_RECORDS: usize = 5_000;
/// How many batches may wait for the journal while the next one is read.
const WAITING_BATCHES: usize = 2;
/// A batch is handed on early when it takes the room of so many events: offers may name thousands of products. It
/// fits into a block.
const MAX_BATCH_WEIGHT: usize = 20 * BATCH_RECORDS;
/// A batch is handed on early when its refused rows hold this many bytes: rows may be megabytes each.
const MAX_REFUSED_BYTES: usize = 4 << 20;

/// A value that was read, and where it began.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<T> {
    /// The line of the file its row begins in; the header is in line 1.
    pub line: u64,
    /// The value.
    pub value: T,
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line of the file the row begins in.
    pub line: u64,
    /// The column of the first fault; blank if the row as a whole is at fault.
    pub column: String,
    /// The stable code of the first fault.
    pub code: FaultCode,
    /// Everything that is wrong, in words.
    pub reason: String,
    /// The row as it stands in the file; bytes that are not UTF-8 are replaced.
    pub row: String,
}

impl Refusal {
    /// Of a row with these faults, of which there is at least one.
    #[must_use]
    pub fn of(line: u64, faults: &Faults, row: String) -> Self {
        let (column, code) = faults.as_slice().first().map_or_else(
            || (String::new(), FaultCode::Malformed),
            |fault| (fault.field.clone(), fault.code),
        );
        let reason = match faults.as_slice() {
            [only] => only.reason.clone(),
            _ => faults.to_string(),
        };
        Self {
            line,
            column,
            code,
            reason,
            row,
        }
    }
}

/// What stands in the place of a row.
#[derive(Debug)]
pub enum RowError {
    /// This row is refused; reading goes on.
    Refused(Refusal),
    /// The file cannot be read any further.
    Unreadable(io::Error),
}

/// What a reader of a file yields.
pub type RowResult<T> = Result<Row<T>, RowError>;

/// The rows of one file on their way into the journal.
pub type Rows<'a> = Box<dyn Iterator<Item = RowResult<RecordBody>> + Send + 'a>;

/// What became of the rows of a file so far. `read` = `new` + `duplicate` + `refused`, unless the
/// import stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were read.
    pub read: u64,
    /// Records that are new and durable.
    pub new: u64,
    /// Records that were known already.
    pub duplicate: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Rows whose attribution token attributes nothing; they are in all the same.
    pub unattributed: UnattributedCounts,
    /// Refused rows by the column and code of their first fault.
    pub reasons: BTreeMap<(String, FaultCode), u64>,
}

impl Counts {
    /// Adds what became of another file.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.new += other.new;
        self.duplicate += other.duplicate;
        self.refused += other.refused;
        self.attribute_nothing(&other.unattributed);
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }

    fn attribute_nothing(&mut self, unattributed: &UnattributedCounts) {
        for (&reason, count) in unattributed {
            *self.unattributed.entry(reason).or_default() += count;
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.refused += 1;
        // the keys of attributes are many, their column is one
        let column = refusal.column.split('.').next().unwrap_or_default();
        *self
            .reasons
            .entry((column.to_owned(), refusal.code))
            .or_default() += 1;
    }
}

/// How an import of a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// At the end of the file.
    Complete,
    /// After the batch in which it was asked to stop; everything counted is durable.
    Cancelled,
}

/// Why an import stopped before the end. What was counted before is durable.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The journal does not take more.
    #[error(transparent)]
    Write(#[from] AppError),
    /// The file cannot be read any further.
    #[error("the file cannot be read after the row in line {line}: {source}")]
    Unreadable {
        /// The line in which the last row began that was read; 1: the header.
        line: u64,
        /// What the system, or whoever unpacks the file, says.
        source: io::Error,
    },
    /// A refused row could not be noted; going on would drop it silently.
    #[error("the file of refused rows cannot be written: {0}")]
    Refused(io::Error),
}

/// Whoever follows an import.
pub trait Watcher {
    /// A batch is in.
    fn advanced(&mut self, counts: &Counts);

    /// A row was refused.
    ///
    /// # Errors
    /// If it cannot be noted; the import stops then.
    fn refused(&mut self, refusal: &Refusal) -> io::Result<()>;
}

#[derive(Default)]
struct Chunk {
    records: Vec<RecordBody>,
    refusals: Vec<Refusal>,
    weight: usize,
    refused_bytes: usize,
    line: u64,
    unreadable: Option<io::Error>,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.records.len() + self.refusals.len() >= BATCH_RECORDS
            || self.weight > MAX_BATCH_WEIGHT
            || self.refused_bytes >= MAX_REFUSED_BYTES
    }

    fn take(&mut self, row: RowResult<RecordBody>) {
        match row {
            Ok(row) => {
                self.line = row.line;
                self.weight += weight_of(&row.value);
                self.records.push(row.value);
            }
            Err(RowError::Refused(refusal)) => {
                self.line = refusal.line;
                self.refused_bytes += refusal.row.len();
                self.refusals.push(refusal);
            }
            Err(RowError::Unreadable(error)) => self.unreadable = Some(error),
        }
    }
}

/// Imports the rows of one file: they are read on a thread of their own and written on this one, by
/// `write`, a batch at a time. `counts` holds what became of them, whatever the answer is.
///
/// # Errors
/// [`ImportError`]; what was counted before stays.
pub fn import(
    rows: Rows<'_>,
    write: &mut dyn FnMut(Vec<RecordBody>) -> Result<Written, AppError>,
    watcher: &mut dyn Watcher,
    cancel: &AtomicBool,
    counts: &mut Counts,
) -> Result<Ending, ImportError> {
    std::thread::scope(|scope| {
        // dropped when this closure ends, whereupon the reading thread ends too
        let (sender, chunks) = sync_channel::<Chunk>(WAITING_BATCHES);
        scope.spawn(move || read(rows, &sender, cancel));
        for chunk in chunks {
            if cancel.load(Ordering::Relaxed) {
                return Ok(Ending::Cancelled);
            }
            let line = chunk.line;
            for refusal in &chunk.refusals {
                watcher.refused(refusal).map_err(ImportError::Refused)?;
                counts.read += 1;
                counts.refuse(refusal);
            }
            let records = chunk.records.len() as u64;
            if records > 0 {
                let written = write(chunk.records)?;
                counts.read += records;
                counts.new += written.new as u64;
                counts.duplicate += written.duplicate as u64;
                counts.attribute_nothing(&written.unattributed);
            }
            watcher.advanced(counts);
            if let Some(source) = chunk.unreadable {
                return Err(ImportError::Unreadable { line, source });
            }
        }
        if cancel.load(Ordering::Relaxed) {
            return Ok(Ending::Cancelled);
        }
        Ok(Ending::Complete)
    })
}

/// Packs rows until the file ends, somebody cancels, or nobody takes them any more.
fn read(rows: Rows<'_>, sender: &SyncSender<Chunk>, cancel: &AtomicBool) {
    let mut chunk = Chunk {
        // the header was read before
        line: 1,
        ..Chunk::default()
    };
    for row in rows {
        chunk.take(row);
        let ends = chunk.unreadable.is_some();
        if chunk.is_full() || ends {
            let line = chunk.line;
            if sender.send(std::mem::take(&mut chunk)).is_err() || ends {
                return;
            }
            chunk.line = line;
            if cancel.load(Ordering::Relaxed) {
                return;
            }
        }
    }
    // an error means that the other side has ended
    let _ = sender.send(chunk);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::offer::MAX_OFFER_PRODUCTS;
    use crate::domain::{OfferDraft, OfferKind, ProductId, Record, Timestamp};
    use crate::store::{Journal as _, MemoryJournal};

    #[derive(Default)]
    struct Noted {
        batches: usize,
        refused: Vec<u64>,
    }

    impl Watcher for Noted {
        fn advanced(&mut self, _: &Counts) {
            self.batches += 1;
        }

        fn refused(&mut self, refusal: &Refusal) -> io::Result<()> {
            self.refused.push(refusal.line);
            Ok(())
        }
    }

    fn record(line: u64) -> RowResult<RecordBody> {
        let id = ProductId::parse(&line.to_string()).unwrap();
        let value = RecordBody::ProductDeleted(id);
        Ok(Row { line, value })
    }

    fn refusal(line: u64) -> RowResult<RecordBody> {
        let mut faults = Faults::new();
        faults.add("attributes.size", FaultCode::TooLong, "too long");
        faults.add("price", FaultCode::NotANumber, "must be a finite number");
        let refusal = Refusal::of(line, &faults, "row".to_owned());
        assert_eq!(
            refusal.reason,
            "attributes.size: too long; price: must be a finite number"
        );
        Err(RowError::Refused(refusal))
    }

    fn run(
        rows: Rows<'_>,
        cancel: &AtomicBool,
        mut write: impl FnMut(usize) -> Result<Written, AppError>,
    ) -> (Result<Ending, ImportError>, Counts, Noted) {
        let (mut counts, mut noted) = (Counts::default(), Noted::default());
        let mut write = |batch: Vec<RecordBody>| write(batch.len());
        let result = import(rows, &mut write, &mut noted, cancel, &mut counts);
        (result, counts, noted)
    }

    #[test]
    fn everything_is_counted_once() {
        let rows = (2..12_002).map(|line| {
            if line % 100 == 0 {
                refusal(line)
            } else {
                record(line)
            }
        });
        let cancel = AtomicBool::new(false);
        let (result, counts, noted) = run(Box::new(rows), &cancel, |records| {
            Ok(Written {
                new: records - 1,
                duplicate: 1,
                ..Written::default()
            })
        });
        assert_eq!(result.unwrap(), Ending::Complete);
        assert_eq!(noted.batches, 3);
        assert_eq!(
            (
                counts.read,
                counts.new,
                counts.duplicate,
                counts.refused,
                noted.refused.len()
            ),
            (12_000, 11_877, 3, 120, 120)
        );
        let reasons: Vec<_> = counts.reasons.into_iter().collect();
        let reason = ("attributes".to_owned(), FaultCode::TooLong);
        assert_eq!(reasons, [(reason, 120)]);
    }

    #[test]
    fn batches_of_large_offers_fit_into_a_block() {
        let ids = (0..MAX_OFFER_PRODUCTS).map(|id| format!("{id:0>128}"));
        let ids: Vec<String> = ids.collect();
        let draft = OfferDraft {
            offer_id: "o1",
            kind: Some(Ok(OfferKind::Coupon)),
            product_ids: ids.iter().map(String::as_str).collect(),
            ..OfferDraft::default()
        };
        let journey = crate::application::recipes::Recipes::embedded()
            .unwrap()
            .journey;
        let offer = draft.check(&journey, &|_| Ok(())).unwrap();
        let rows = (2..20).map(|line| {
            let value = RecordBody::OfferUpserted(Box::new(offer.clone()));
            Ok(Row { line, value })
        });
        let (cancel, journal) = (AtomicBool::new(false), MemoryJournal::new());
        let (mut counts, mut noted) = (Counts::default(), Noted::default());
        let mut write = |batch: Vec<RecordBody>| {
            let records = batch.into_iter().map(|body| Record {
                recorded_at: Timestamp::MIN,
                body,
            });
            let records: Vec<Record> = records.collect();
            journal.append(&records)?;
            Ok(Written {
                new: records.len(),
                duplicate: 0,
                ..Written::default()
            })
        };
        let rows = Box::new(rows);
        let ended = import(rows, &mut write, &mut noted, &cancel, &mut counts);
        assert_eq!(ended.unwrap(), Ending::Complete);
        assert_eq!((counts.new, noted.batches), (18, 3));
    }

    #[test]
    fn cancelling_stops_after_a_batch_and_reads_no_further() {
        let cancel = AtomicBool::new(false);
        let rows = (2..).map(record);
        let (result, counts, _) = run(Box::new(rows), &cancel, |records| {
            cancel.store(true, Ordering::Relaxed);
            Ok(Written {
                new: records,
                duplicate: 0,
                ..Written::default()
            })
        });
        assert_eq!(result.unwrap(), Ending::Cancelled);
        assert_eq!(counts.read, BATCH_RECORDS as u64);
    }

    #[test]
    fn a_refusing_journal_and_an_unreadable_file_end_it() {
        let cancel = AtomicBool::new(false);
        let (result, counts, _) = run(Box::new((2..).map(record)), &cancel, |_| {
            Err(AppError::Stopping)
        });
        assert!(matches!(
            result,
            Err(ImportError::Write(AppError::Stopping))
        ));
        assert_eq!(counts.read, 0);

        let broken = || Err(RowError::Unreadable(io::Error::other("gone")));
        let rows = (2..7).map(record).chain(std::iter::once_with(broken));
        let (result, counts, _) = run(Box::new(rows), &cancel, |records| {
            Ok(Written {
                new: records,
                duplicate: 0,
                ..Written::default()
            })
        });
        assert!(matches!(
            result,
            Err(ImportError::Unreadable { line: 6, .. })
        ));
        assert_eq!(counts.new, 5);

        let rows = std::iter::once_with(broken);
        let (result, ..) = run(Box::new(rows), &cancel, |_| Ok(Written::default()));
        let text = result.unwrap_err().to_string();
        assert_eq!(
            text,
            "the file cannot be read after the row in line 1: gone"
        );
    }
}
