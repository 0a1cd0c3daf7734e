//! What the committer decides of answers that are to stay: the first one that is written.

use super::{Desk, Pick};
use crate::application::decision::Keep;
use crate::application::recommend::Answer;
use crate::domain::{AnswerKept, Fingerprint, Position, RecordBody, Timestamp};

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
        let has_room = self.state.decisions.len() + self.kept.len() < self.terms.most_decisions;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::decision::Decision;
    use crate::application::recipes::Recipes;
    use crate::application::recommend::StageAnswer;
    use crate::application::recommend::offers::{ChosenOffers, Proposal};
    use crate::application::reserve::DeskTerms;
    use crate::domain::{DecisionKey, Subject, VisitorId};
    use crate::state::{FoldSettings, State};

    fn now() -> Timestamp {
        Timestamp::from_ms(1_700_000_000_000)
    }

    /// An answer of as many bytes as its stage's name has digits.
    fn keep(key: &str, bytes: usize) -> Keep {
        let answer = Answer {
            stage: StageAnswer {
                stage: bytes.to_string(),
                since: None,
                evidence: Vec::new(),
                named_by_caller: true,
                next: Vec::new(),
            },
            products: Vec::new(),
            revision: None,
            fallback: false,
            attribution_token: String::new(),
            offers: Vec::new(),
            offer_decision: None,
            no_offer_probability: 0.0,
            offer_holdout: false,
            offers_incomplete: false,
            decision_until: None,
            decision_not_kept: false,
        };
        Keep {
            proposal: Proposal::new(answer, ChosenOffers::default(), None),
            decision: Decision {
                key: DecisionKey::trusted(key.to_owned()),
                subject: Subject::Visitor(VisitorId::trusted("v".to_owned())),
                question: Fingerprint([1; 16]),
            },
            // the first byte says whether it stays
            encode: |answer| {
                let bytes = answer.stage.stage.parse().unwrap();
                vec![u8::from(answer.decision_until.is_some()); bytes]
            },
        }
    }

    /// What is given for each, and how many are written.
    fn given(most_decisions: usize, keeps: &[Keep]) -> (Vec<Keeping>, usize) {
        let state = State::new(FoldSettings {
            journey: Recipes::embedded().unwrap().journey,
            visitor_idle_days: 90,
        });
        let terms = DeskTerms {
            reservation_ms: 1_000,
            decision_ms: 1_000,
            most_decisions,
        };
        let mut desk = Desk::new(&state, now(), terms, 0);
        let keeps = keeps.iter();
        let kept = keeps.map(|keep| desk.keep(keep, &mut false)).collect();
        (kept, desk.into_records().len())
    }

    #[test]
    fn no_more_answers_stay_than_may_and_what_stands_is_not_pushed_out() {
        let keeps = [keep("a", 1), keep("b", 1), keep("c", 1), keep("a", 1)];
        let (kept, written) = given(2, &keeps);
        let stays = |yes: bool| Keeping::Given(vec![u8::from(yes)]);
        assert_eq!(kept, [true, true, false, true].map(stays));
        assert_eq!(written, 2);
    }

    #[test]
    fn an_answer_that_is_too_large_does_not_stay() {
        let largest = [keep("a", MAX_ANSWER_BYTES), keep("b", MAX_ANSWER_BYTES + 1)];
        let (kept, written) = given(9, &largest);
        assert_eq!(kept[0], Keeping::Given(vec![1; MAX_ANSWER_BYTES]));
        assert_eq!(kept[1], Keeping::Given(vec![0; MAX_ANSWER_BYTES + 1]));
        assert_eq!(written, 1);
    }

    #[test]
    fn a_block_knows_what_it_has_kept_for_another_question() {
        let mut other = keep("a", 1);
        other.decision.question = Fingerprint([2; 16]);
        let (kept, written) = given(9, &[keep("a", 1), other]);
        assert_eq!(kept, [Keeping::Given(vec![1]), Keeping::Reused]);
        assert_eq!(written, 1);
    }
}
