//! Where the journal holds the answers that stay. The answers themselves are read from there: a campaign of a million
//! customers costs memory for a million places, not for a million answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{AnswerKept, Fingerprint, Position, Subject, Timestamp};

/// The most answers that stand at a time, about 150 bytes each. The committer keeps no more than these: what stands is
/// never pushed out by what comes later.
pub const MAX_DECISIONS: usize = 2_000_000;

/// An answer that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Where the journal holds it.
    pub position: Position,
    /// What was asked.
    pub question: Fingerprint,
    /// The first moment it does not stand any more.
    pub expires_at: Timestamp,
    /// A hash of who asked.
    owner: u64,
}

/// All answers that stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    all: BTreeMap<Fingerprint, Decision>,
    /// By when they expire.
    #[serde(skip)]
    order: BTreeSet<(Timestamp, Fingerprint)>,
}

/// Somebody as a question names them.
fn owner(kind: &str, id: &str) -> u64 {
    super::hash(("decides", kind, id))
}

impl Decisions {
    /// Makes the order anew, after decoding.
    pub(super) fn index(&mut self) {
        let all = self.all.iter();
        self.order = all
            .map(|(&id, decision)| (decision.expires_at, id))
            .collect();
    }

    /// The decision of that [identity](crate::domain::decision::decision_id), if it stands at `now`.
    #[must_use]
    pub fn get(&self, id: Fingerprint, now: Timestamp) -> Option<&Decision> {
        let found = self.all.get(&id);
        found.filter(|decision| decision.expires_at > now)
    }

    /// How many there are, as the last record left them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn keep(&mut self, kept: &AnswerKept, position: Position) {
        let decision = Decision {
            position,
            question: kept.question,
            expires_at: kept.expires_at,
            owner: match &kept.subject {
                Subject::Customer { customer, .. } => owner("customer", customer.as_str()),
                Subject::Visitor(visitor) => owner("visitor", visitor.as_str()),
            },
        };
        let id = kept.id();
        if let Some(before) = self.all.insert(id, decision) {
            self.order.remove(&(before.expires_at, id));
        }
        self.order.insert((kept.expires_at, id));
    }

    /// Forgets what has expired by `now`.
    pub(super) fn forget_expired(&mut self, now: Timestamp) {
        while let Some(&(expires_at, id)) = self.order.first()
            && expires_at <= now
        {
            self.order.pop_first();
            self.all.remove(&id);
        }
    }

    /// Forgets those of a customer and of visitors.
    pub(super) fn forget<'a>(&mut self, customer: &str, visitors: impl Iterator<Item = &'a str>) {
        let mut owners = vec![owner("customer", customer)];
        owners.extend(visitors.map(|visitor| owner("visitor", visitor)));
        let order = &mut self.order;
        self.all.retain(|&id, decision| {
            let stays = !owners.contains(&decision.owner);
            if !stays {
                order.remove(&(decision.expires_at, id));
            }
            stays
        });
    }
}
