//! The files of an evaluation: products, events and what was truly next.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::application::history::History;
use crate::application::import::{Refusal, Row, RowError, RowResult};
use crate::application::truth::{Case, OfferCase};
use crate::domain::{Journey, Record, RecordBody, Timestamp};
use crate::server::repetition_counter;
use crate::transport::csv::{Events, OfferTruth, Offers, Products, Truth};

/// What the files hold.
pub(super) struct Files {
    pub(super) history: History,
    pub(super) cases: Vec<Case>,
    /// How many rows could not be read.
    pub(super) refused: u64,
}

impl Files {
    /// Reads them; what cannot be read is said on standard error.
    pub(super) fn read(
        events: &Path,
        truth: &Path,
        products: Option<&Path>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut refused = 0;
        let records = records(events, products, None, now, &mut refused)?;
        let read = Truth::read(truth)?;
        for refusal in &read.refused {
            complain(truth, refusal, &mut refused);
        }
        let is_any = !read.cases.is_empty();
        ensure!(is_any, "{}: no case can be judged", truth.display());
        Ok(Self {
            history: History::of(records),
            cases: read.cases,
            refused,
        })
    }
}

/// What the files of an evaluation of offers hold.
pub(super) struct OfferFiles {
    pub(super) history: History,
    pub(super) cases: Vec<OfferCase>,
    /// How many rows could not be read.
    pub(super) refused: u64,
}

impl OfferFiles {
    /// Reads them; what cannot be read is said on standard error. The stages of offers are of `journey`.
    pub(super) fn read(
        events: &Path,
        truth: &Path,
        products: Option<&Path>,
        offers: (&Path, &Journey),
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut refused = 0;
        let read = OfferTruth::read(truth).context("with --offers, --truth is of offers taken")?;
        for refusal in &read.refused {
            complain(truth, refusal, &mut refused);
        }
        let is_any = !read.cases.is_empty();
        ensure!(is_any, "{}: no case can be judged", truth.display());
        let records = records(events, products, Some(offers), now, &mut refused)?;
        Ok(Self {
            history: History::of(records),
            cases: read.cases,
            refused,
        })
    }
}

/// The products, offers and events of the files.
fn records(
    events: &Path,
    products: Option<&Path>,
    offers: Option<(&Path, &Journey)>,
    now: Timestamp,
    refused: &mut u64,
) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut take = |path: &Path, row: RowResult<RecordBody>| -> anyhow::Result<()> {
        match row {
            Ok(row) => records.push(Record {
                recorded_at: now,
                body: row.value,
            }),
            Err(RowError::Refused(refusal)) => complain(path, &refusal, refused),
            Err(RowError::Unreadable(error)) => {
                return Err(error).with_context(|| format!("{}: cannot be read", path.display()));
            }
        }
        Ok(())
    };
    if let Some(path) = products {
        for row in Products::open(path)? {
            take(
                path,
                map(row, |product| {
                    RecordBody::ProductUpserted(Box::new(product))
                }),
            )?;
        }
    }
    if let Some((path, journey)) = offers {
        for row in Offers::open(path, journey)? {
            take(
                path,
                map(row, |offer| RecordBody::OfferUpserted(Box::new(offer))),
            )?;
        }
    }
    let repetitions = repetition_counter(&std::env::temp_dir());
    for row in Events::open(events, now, repetitions)? {
        take(events, map(row, |event| RecordBody::Event(Box::new(event))))?;
    }
    // one event counts once, whatever its number of rows
    let mut seen = HashSet::new();
    records.retain(|record| record.key().is_none_or(|key| seen.insert(key)));
    Ok(records)
}

fn map<T>(row: RowResult<T>, body: impl FnOnce(T) -> RecordBody) -> RowResult<RecordBody> {
    row.map(|row| Row {
        line: row.line,
        value: body(row.value),
    })
}

/// Says what was refused, the first ones in full.
pub(super) fn complain(path: &Path, refusal: &Refusal, refused: &mut u64) {
    const SHOWN: u64 = 20;
    *refused += 1;
    if *refused <= SHOWN {
        let (line, column, reason) = (refusal.line, &refusal.column, &refusal.reason);
        eprintln!("{}:{line}: {column}: {reason}", path.display());
    }
}
