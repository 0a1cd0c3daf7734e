//! Answers that stay: under a key of the caller, somebody gets the same answer until it expires.

use crate::domain::customer::Subject;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::id::DecisionKey;
use crate::domain::time::Timestamp;

/// An answer that was given under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerKept {
    /// The key.
    pub key: DecisionKey,
    /// Who asked, as the question named them.
    pub subject: Subject,
    /// What was asked.
    pub question: Fingerprint,
    /// The first moment the answer does not stand any more.
    pub expires_at: Timestamp,
    /// The answer as the edge wrote it.
    pub answer: Box<[u8]>,
}

impl AnswerKept {
    /// See [`decision_id`].
    #[must_use]
    pub fn id(&self) -> Fingerprint {
        decision_id(&self.subject, &self.key)
    }
}

/// The identity of a decision: of whom, and under which key.
#[must_use]
pub fn decision_id(subject: &Subject, key: &DecisionKey) -> Fingerprint {
    let (kind, id) = match subject {
        Subject::Customer { customer, .. } => ("customer", customer.as_str()),
        Subject::Visitor(visitor) => ("visitor", visitor.as_str()),
    };
    let parts = [kind, id, key.as_str()].map(str::as_bytes);
    Fingerprint::of("decision", &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CustomerId, VisitorId};

    #[test]
    fn a_decision_is_of_one_subject_and_one_key() {
        let key = |text: &str| DecisionKey::parse(text).unwrap();
        let customer = |id: &str| Subject::Customer {
            customer: CustomerId::parse(id).unwrap(),
            visitor: None,
        };
        let visitor = Subject::Visitor(VisitorId::parse("a").unwrap());
        let first = decision_id(&customer("a"), &key("k"));
        assert_eq!(first, decision_id(&customer("a"), &key("k")));
        let others = [
            decision_id(&customer("a"), &key("l")),
            decision_id(&customer("b"), &key("k")),
            decision_id(&visitor, &key("k")),
        ];
        assert!(!others.contains(&first));
    }
}
