//! What the committer decides of answers that are to stay: the first one that is written.

use super::{Desk, Pick};
use crate::application::decision::Keep;
use crate::application::recommend::Answer;
use crate::domain::{AnswerKept, Fingerprint, Position, RecordBody, Timestamp};
use crate::state::decisions::MAX_DECISIONS;

/// The most bytes of an answer that is kept: 100 products with the longest ids and reasons fit in.
const MAX_ANSWER_BYTES: usize = 256 * 1_024;
/// The records of events a product of an answer takes the room of.
const PRODUCT_WEIGHT: usize = 5;

/// What became of an answer that was to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::application) enum Keeping {
    /// This is the answer, as the edge writes it.
    Given(Vec<u8>),
    /// The journal holds the answer there.
    Before(Position),
    /// The key stands for another question.
    Reused,
    /// Nothing could be written.
    Lost,
}

impl Keep {
    /// How much room it takes in a block, in events.
    pub(in crate::application) fn weight(&self) -> usize {
        let offers = self.proposal.wish().map_or(0, |wish| wish.most);
        1 + offers + PRODUCT_WEIGHT * self.proposal.product_count()
    }
}

impl Desk<'_> {
    pub(super) fn keep(&mut self, keep: &Keep, depends: &mut bool) -> Keeping {
        let (id, question) = (keep.decision.id(), keep.decision.question);
        let same = |other: Fingerprint, found: Keeping| match other == question {
            true => found,
            false => Keeping::Reused,
        };
        if let Some((other, answer)) = self.kept.get(&id) {
            *depends = true;
            return same(*other, Keeping::Given(answer.clone()));
        }
        if let Some(found) = self.state.decisions.get(id, self.now) {
            return same(found.question, Keeping::Before(found.position));
        }
        let wish = keep.proposal.wish();
        let picks: Option<Vec<Pick>> = wish.map(|wish| self.reserve(wish, depends));
        let mut answer = keep.proposal.clone().promised(picks.as_deref());
        let expires_at = self.expiry(&answer);
        let has_room = self.state.decisions.len() + self.kept.len() < MAX_DECISIONS;
        if has_room && expires_at > self.now {
            answer.decision_until = Some(expires_at);
            let bytes = (keep.encode)(&answer);
            if bytes.len() <= MAX_ANSWER_BYTES {
                self.kept.insert(id, (question, bytes.clone()));
                self.write(RecordBody::AnswerKept(Box::new(AnswerKept {
                    key: keep.decision.key.clone(),
                    subject: keep.decision.subject.clone(),
                    question,
                    expires_at,
                    answer: bytes.as_slice().into(),
                })));
                return Keeping::Given(bytes);
            }
        }
        answer.decision_until = None;
        answer.decision_not_kept = true;
        Keeping::Given((keep.encode)(&answer))
    }

    /// When an answer ceases to stand: not after what it promises.
    fn expiry(&self, answer: &Answer) -> Timestamp {
        let mut expires_at = self.now.plus_ms(self.terms.decision_ms);
        for offer in &answer.offers {
            let reserved = offer.reservation.map(|held| held.expires_at);
            let number = self.state.offers.number(offer.offer.as_str());
            let listing = number.and_then(|number| self.state.offers.item(number).listing.as_ref());
            let ends_at = listing.and_then(|listing| listing.terms.ends_at);
            for end in reserved.into_iter().chain(ends_at) {
                expires_at = expires_at.min(end);
            }
        }
        expires_at
    }
}
