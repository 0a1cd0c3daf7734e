//! `offer_truth.csv`: which offers of a campaign customers took, for judging how they were ranked.

use std::path::Path;

use indexmap::IndexMap;

use super::table::{Found, Table, time};
use super::{FileError, MAX_TRUTH_ROWS};
use crate::application::import::{Refusal, RowError};
use crate::application::truth::OfferCase;
use crate::domain::id::{MAX_ID_BYTES, check};
use crate::domain::{CampaignId, CustomerId, FaultCode, Faults, OfferId};

/// The most offers of one case.
const MAX_OFFERS_IN_CASE: usize = 2_000;

const COLUMNS: [&str; 5] = [
    "case_id",
    "customer_id",
    "campaign_id",
    "timestamp",
    "offer_id",
];
const NEEDED: [&[&str]; 5] = [
    &["case_id"],
    &["customer_id"],
    &["campaign_id"],
    &["timestamp"],
    &["offer_id"],
];

/// The questions of a file, in the order in which they begin there, and the rows that were refused.
#[derive(Debug, Default)]
pub struct OfferTruth {
    /// The questions.
    pub cases: Vec<OfferCase>,
    /// What was refused.
    pub refused: Vec<Refusal>,
}

impl OfferTruth {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::TooManyRows`] above [`MAX_TRUTH_ROWS`] among them.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::read_at_most(path, MAX_TRUTH_ROWS)
    }

    fn read_at_most(path: &Path, limit: usize) -> Result<Self, FileError> {
        let mut table = Table::open(path, &COLUMNS)?;
        let found = table.find(COLUMNS, &NEEDED)?;
        let mut cases: IndexMap<String, OfferCase> = IndexMap::new();
        let mut truth = Self::default();
        let mut rows = 0;
        while let Some(row) = table.next_row() {
            rows += 1;
            if rows > limit {
                return Err(FileError::TooManyRows {
                    path: path.to_owned(),
                    limit,
                });
            }
            match row.and_then(|line| take(&table, &found, line, &mut cases)) {
                Ok(()) => {}
                Err(RowError::Refused(refusal)) => truth.refused.push(refusal),
                Err(RowError::Unreadable(source)) => {
                    return Err(FileError::Unreadable {
                        path: path.to_owned(),
                        source,
                    });
                }
            }
        }
        truth.cases = cases.into_values().collect();
        Ok(truth)
    }
}

fn take(
    table: &Table,
    found: &Found<5>,
    line: u64,
    cases: &mut IndexMap<String, OfferCase>,
) -> Result<(), RowError> {
    let mut faults = Faults::new();
    if let Some(case) = read(table, found, &mut faults) {
        join(case, cases, &mut faults);
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(table.refuse(line, &faults))
    }
}

/// A row as a case of its own.
fn read(table: &Table, found: &Found<5>, faults: &mut Faults) -> Option<OfferCase> {
    let cell = |place: usize| table.cell(found.0[place]);
    let id = cell(0);
    let checked = faults.take("case_id", check(id, MAX_ID_BYTES));
    let customer = faults.take("customer_id", CustomerId::parse(cell(1)));
    let campaign = faults.take("campaign_id", CampaignId::parse(cell(2)));
    let at = match time(cell(3)) {
        Some(parsed) => faults.take("timestamp", parsed),
        None => {
            faults.add("timestamp", FaultCode::Required, "must be given");
            None
        }
    };
    let offer = faults.take("offer_id", OfferId::parse(cell(4)));
    checked?;
    Some(OfferCase {
        id: id.to_owned(),
        customer: customer?,
        campaign: campaign?,
        at: at?,
        truth: vec![offer?],
    })
}

/// Adds a row to its case.
fn join(row: OfferCase, cases: &mut IndexMap<String, OfferCase>, faults: &mut Faults) {
    let Some(case) = cases.get_mut(&row.id) else {
        cases.insert(row.id.clone(), row);
        return;
    };
    let differing = [
        ("customer_id", "customer", case.customer != row.customer),
        ("campaign_id", "campaign", case.campaign != row.campaign),
        ("timestamp", "time", case.at != row.at),
    ];
    for (column, what, differs) in differing {
        if differs {
            let reason = format!("another {what} than in the first row of this case");
            faults.add(column, FaultCode::NotAllowed, reason);
        }
    }
    if row.truth.iter().any(|offer| case.truth.contains(offer)) {
        let reason = "this case has the offer already";
        faults.add("offer_id", FaultCode::Duplicate, reason);
    } else if case.truth.len() == MAX_OFFERS_IN_CASE {
        let reason = format!("more than {MAX_OFFERS_IN_CASE} offers in one case");
        faults.add("offer_id", FaultCode::TooLong, reason);
    }
    if faults.is_empty() {
        case.truth.extend(row.truth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("offer_truth.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn rows_of_a_case_are_one_question() {
        let (_folder, path) = write(
            "case_id,customer_id,campaign_id,timestamp,offer_id\n\
            a,c1,k,2017-07-01,o1\nb,c2,k,2017-07-01,o1\na,c1,k,2017-07-01,o2\n\
            a,c1,k,2017-07-01,o2\na,c2,l,2017-07-02,o3\n,c1,k,2017-07-01,o1\nd,,,,\n",
        );
        let truth = OfferTruth::read(&path).unwrap();
        let sizes: Vec<_> = truth
            .cases
            .iter()
            .map(|case| (&*case.id, case.campaign.as_str(), case.truth.len()))
            .collect();
        assert_eq!(sizes, [("a", "k", 2), ("b", "k", 1)]);
        let refused: Vec<_> = truth
            .refused
            .iter()
            .map(|refusal| (refusal.line, &*refusal.column, refusal.code))
            .collect();
        assert_eq!(
            refused,
            [
                (5, "offer_id", FaultCode::Duplicate),
                (6, "customer_id", FaultCode::NotAllowed),
                (7, "case_id", FaultCode::Required),
                (8, "customer_id", FaultCode::Required),
            ]
        );
        assert!(OfferTruth::read_at_most(&path, 7).is_ok());
        assert!(matches!(
            OfferTruth::read_at_most(&path, 6),
            Err(FileError::TooManyRows { limit: 6, .. })
        ));
    }

    #[test]
    fn a_case_has_a_limit() {
        let mut text = "case_id,customer_id,campaign_id,timestamp,offer_id\n".to_owned();
        for offer in 0..=MAX_OFFERS_IN_CASE {
            text += &format!("a,c1,k,2017-07-01,o{offer}\n");
        }
        let (_folder, path) = write(&text);
        let truth = OfferTruth::read(&path).unwrap();
        assert_eq!(truth.cases[0].truth.len(), MAX_OFFERS_IN_CASE);
        assert_eq!(truth.refused.len(), 1);
        assert_eq!(truth.refused[0].code, FaultCode::TooLong);
    }
}
