//! `offers.csv`: what can be offered.

use std::fmt;
use std::path::Path;

use super::FileError;
use super::table::{Found, Table, number, time, truth_value, whole_number};
use crate::application::import::{Row, RowResult};
use crate::application::offers::check;
use crate::domain::catalog::CATEGORY_SEPARATOR;
use crate::domain::journey::Journey;
use crate::domain::offer::OfferFields;
use crate::domain::{FaultCode, Offer, OfferDraft, OfferKind};

/// What stands between the entries of a list.
const LIST_SEPARATOR: char = '|';
const COLUMNS: [&str; 24] = [
    "offer_id",
    "name",
    "kind",
    "value",
    "campaign_id",
    "product_ids",
    "categories",
    "stages",
    "segments",
    "eligibility",
    "starts_at",
    "ends_at",
    "unit_cost",
    "budget_units",
    "budget_amount",
    "currency",
    "cap_per_customer",
    "cap_shown_per_customer",
    "cap_window_days",
    "exclusivity_group",
    "channels",
    "priority",
    "fallback",
    "paused",
];

/// Reads offers.
pub struct Offers<'a> {
    table: Table,
    found: Found<24>,
    journey: &'a Journey,
}

impl fmt::Debug for Offers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Offers").field(&self.table).finish()
    }
}

impl<'a> Offers<'a> {
    /// Opens a file. Its stages must be of `journey`.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path, journey: &'a Journey) -> Result<Self, FileError> {
        let table = Table::open(path, &COLUMNS[..1])?;
        let found = table.find(COLUMNS, &[&COLUMNS[..1]])?;
        Ok(Self {
            table,
            found,
            journey,
        })
    }

    /// The file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The columns nobody reads.
    #[must_use]
    pub fn ignored(&self) -> Vec<String> {
        self.table.unknown(&COLUMNS)
    }

    fn offer(&self, line: u64) -> RowResult<Offer> {
        let cell = |place: usize| self.table.cell(self.found.0[place]);
        let categories = list(cell(6)).into_iter();
        let draft = OfferDraft {
            fields: OfferFields::default(),
            needs_currency: false,
            offer_id: cell(0),
            name: cell(1),
            kind: Some(kind(cell(2).trim())),
            value: number(cell(3)),
            campaign_id: cell(4),
            product_ids: list(cell(5)),
            categories: categories
                .map(|path| path.split(CATEGORY_SEPARATOR).collect())
                .collect(),
            stages: list(cell(7)),
            segments: list(cell(8)),
            eligibility: cell(9),
            starts_at: time(cell(10)),
            ends_at: time(cell(11)),
            unit_cost: number(cell(12)),
            budget_units: whole_number(cell(13)),
            budget_amount: number(cell(14)),
            currency: cell(15).trim(),
            cap_per_customer: whole_number(cell(16)),
            cap_shown_per_customer: whole_number(cell(17)),
            cap_window_days: whole_number(cell(18)),
            exclusivity_group: cell(19),
            channels: list(cell(20)),
            priority: whole_number(cell(21)),
            fallback: truth_value(cell(22)),
            paused: truth_value(cell(23)),
        };
        match check(&draft, self.journey) {
            Ok(value) => Ok(Row { line, value }),
            Err(faults) => Err(self.table.refuse(line, &faults)),
        }
    }
}

impl Iterator for Offers<'_> {
    type Item = RowResult<Offer>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|line| self.offer(line)))
    }
}

/// A kind by its name; a file that does not say offers coupons of which nothing more is known.
fn kind(cell: &str) -> Result<OfferKind, (FaultCode, String)> {
    if cell.is_empty() {
        return Ok(OfferKind::Coupon);
    }
    OfferKind::from_name(cell).ok_or_else(|| {
        let names: Vec<&str> = OfferKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let reason = format!("must be one of {}", names.join(", "));
        (FaultCode::UnknownName, reason)
    })
}

fn list(cell: &str) -> Vec<&str> {
    if cell.is_empty() {
        Vec::new()
    } else {
        cell.split(LIST_SEPARATOR).collect()
    }
}
