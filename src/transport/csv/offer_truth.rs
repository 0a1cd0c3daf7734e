//! `offer_truth.csv`: which offers of a campaign customers took, for judging how they were ranked.

use super::cases::{CaseRow, Cases, Cells};
use crate::application::truth::OfferCase;
use crate::domain::{CampaignId, CustomerId, Faults, OfferId, Timestamp};

/// Questions of which offers of a campaign somebody takes.
pub type OfferTruth = Cases<OfferCase>;

impl CaseRow for OfferCase {
    type Answer = OfferId;
    const COLUMNS: [&'static str; 5] = [
        "case_id",
        "customer_id",
        "campaign_id",
        "timestamp",
        "offer_id",
    ];
    const NEEDED: &'static [&'static [&'static str]] = &[
        &["case_id"],
        &["customer_id"],
        &["campaign_id"],
        &["timestamp"],
        &["offer_id"],
    ];
    const ANSWER: &'static str = "offer";

    fn read(
        [id, customer, campaign, _, offer]: Cells<'_>,
        at: &mut dyn FnMut(&mut Faults) -> Option<Timestamp>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let customer = faults.take("customer_id", CustomerId::parse(customer));
        let campaign = faults.take("campaign_id", CampaignId::parse(campaign));
        let at = at(faults);
        let offer = faults.take("offer_id", OfferId::parse(offer));
        Some(Self {
            id: id.to_owned(),
            customer: customer?,
            campaign: campaign?,
            at: at?,
            truth: vec![offer?],
        })
    }

    fn differences(&self, other: &Self) -> Vec<(&'static str, &'static str, bool)> {
        vec![
            ("customer_id", "customer", self.customer != other.customer),
            ("campaign_id", "campaign", self.campaign != other.campaign),
            ("timestamp", "time", self.at != other.at),
        ]
    }

    fn answers(&mut self) -> &mut Vec<OfferId> {
        &mut self.truth
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileError;
    use super::super::cases::MAX_ANSWERS_IN_CASE;
    use super::*;
    use crate::domain::FaultCode;

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
        for offer in 0..=MAX_ANSWERS_IN_CASE {
            text += &format!("a,c1,k,2017-07-01,o{offer}\n");
        }
        let (_folder, path) = write(&text);
        let truth = OfferTruth::read(&path).unwrap();
        assert_eq!(truth.cases[0].truth.len(), MAX_ANSWERS_IN_CASE);
        assert_eq!(truth.refused.len(), 1);
        assert_eq!(truth.refused[0].code, FaultCode::TooLong);
    }
}
