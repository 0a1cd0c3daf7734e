//! `truth.csv`: what came next, for judging answers.

use super::cases::{CaseRow, Cases, Cells};
use crate::application::recommend::Who;
use crate::application::truth::Case;
use crate::domain::{CustomerId, FaultCode, Faults, ProductId, Timestamp, VisitorId};

/// Questions of what somebody buys, or looks at, next.
pub type Truth = Cases<Case>;

impl CaseRow for Case {
    type Answer = ProductId;
    const COLUMNS: [&'static str; 5] = [
        "case_id",
        "customer_id",
        "visitor_id",
        "timestamp",
        "product_id",
    ];
    const NEEDED: &'static [&'static [&'static str]] = &[
        &["case_id"],
        &["customer_id", "visitor_id"],
        &["timestamp"],
        &["product_id"],
    ];
    const ANSWER: &'static str = "product";

    fn read(
        [id, customer, visitor, _, product]: Cells<'_>,
        at: &mut dyn FnMut(&mut Faults) -> Option<Timestamp>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let who = match (customer, visitor) {
            ("", "") => {
                let reason = "one of customer_id and visitor_id must be given";
                faults.add("customer_id", FaultCode::Required, reason);
                None
            }
            ("", visitor) => {
                let visitor = faults.take("visitor_id", VisitorId::parse(visitor));
                visitor.map(Who::Visitor)
            }
            (customer, _) => {
                let customer = faults.take("customer_id", CustomerId::parse(customer));
                customer.map(Who::Customer)
            }
        };
        let at = at(faults);
        let product = faults.take("product_id", ProductId::parse(product));
        Some(Self {
            id: id.to_owned(),
            who: who?,
            at: at?,
            truth: vec![product?],
        })
    }

    fn differences(&self, other: &Self) -> Vec<(&'static str, &'static str, bool)> {
        vec![
            ("customer_id", "customer or visitor", self.who != other.who),
            ("timestamp", "time", self.at != other.at),
        ]
    }

    fn answers(&mut self) -> &mut Vec<ProductId> {
        &mut self.truth
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileError;
    use super::*;

    #[test]
    fn rows_of_a_case_are_one_question() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.csv");
        let text = "case_id,customer_id,timestamp,product_id\n\
            a,c1,2011-09-01,p1\nb,c2,2011-09-01,p1\na,c1,2011-09-01,p2\n\
            a,c1,2011-09-01,p2\na,c2,2011-09-02,p3\n,c1,2011-09-01,p1\nd,,,\n";
        std::fs::write(&path, text).unwrap();
        let truth = Truth::read(&path).unwrap();
        let sizes: Vec<_> = truth
            .cases
            .iter()
            .map(|c| (&*c.id, c.truth.len()))
            .collect();
        assert_eq!(sizes, [("a", 2), ("b", 1)]);
        let refused: Vec<_> = truth
            .refused
            .iter()
            .map(|r| (r.line, &*r.column, r.code))
            .collect();
        assert_eq!(
            refused,
            [
                (5, "product_id", FaultCode::Duplicate),
                (6, "customer_id", FaultCode::NotAllowed),
                (7, "case_id", FaultCode::Required),
                (8, "customer_id", FaultCode::Required),
            ]
        );
        assert!(matches!(
            Truth::read_at_most(&path, 6),
            Err(FileError::TooManyRows { limit: 6, .. })
        ));
    }
}
