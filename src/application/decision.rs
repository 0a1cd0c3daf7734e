//! Decisions: under a key of the caller, somebody gets the same answer until it expires, whoever asks first and however
//! often the service starts.
//!
//! The committer decides which answer that is, in the step in which it reserves the answer's offers; the journal keeps
//! it as the edge wrote it, so it comes back byte for byte. State knows where it lies.

use crate::application::error::AppError;
use crate::application::ingest::Ingest;
use crate::application::recommend::offers::Proposal;
use crate::application::recommend::{Answer, Question, Recommender};
use crate::application::reserve::Keeping;
use crate::domain::decision::decision_id;
use crate::domain::{DecisionKey, Fingerprint, Position, RecordBody, Subject};

/// So many answers are kept in one step, so that a block that holds some of them is small.
const KEEP_AT_ONCE: usize = 64;

/// Writes an answer as the edge gives it out.
pub type Encode = fn(&Answer) -> Vec<u8>;

/// What makes an answer stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The caller's name for it.
    pub key: DecisionKey,
    /// Who asks.
    pub subject: Subject,
    /// What is asked; the same key with another one is an error.
    pub question: Fingerprint,
}

impl Decision {
    /// See [`decision_id`].
    #[must_use]
    pub fn id(&self) -> Fingerprint {
        decision_id(&self.subject, &self.key)
    }

    pub(super) fn reused(&self) -> AppError {
        AppError::DecisionKeyReused {
            key: self.key.to_string(),
        }
    }
}

/// An answer that stands already, or what is still to be decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Undecided {
    /// It stands; as it was written by [`Encode`].
    Stands(Vec<u8>),
    /// It is to be decided.
    Open(Box<Proposal>, Decision),
}

/// An answer that is to be kept.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    pub(super) proposal: Proposal,
    pub(super) decision: Decision,
    pub(super) encode: Encode,
}

impl Recommender {
    /// The answer that stands under a key, or a proposal for one. Blocking: reads the journal.
    ///
    /// # Errors
    /// `DecisionKeyReused`; as [`Recommender::propose`].
    pub fn undecided(
        &self,
        question: &Question,
        decision: Decision,
    ) -> Result<Undecided, AppError> {
        // what is wrong with the question is said also where an answer stands
        self.check(question)?;
        match self.standing(&decision)? {
            Some(answer) => Ok(Undecided::Stands(answer)),
            None => Ok(Undecided::Open(Box::new(self.propose(question)?), decision)),
        }
    }

    /// The answer that stands under a key. Blocking: reads the journal.
    fn standing(&self, decision: &Decision) -> Result<Option<Vec<u8>>, AppError> {
        let shop = self.shop();
        let found = {
            let state = &shop.known().state;
            let now = shop.clock.not_before(state.recorded());
            state.decisions.get(decision.id(), now).copied()
        };
        match found {
            None => Ok(None),
            Some(found) if found.question != decision.question => Err(decision.reused()),
            Some(found) => self.read(found.position, decision),
        }
    }

    /// The answer that the journal holds there; none if somebody was erased since.
    fn read(&self, at: Position, decision: &Decision) -> Result<Option<Vec<u8>>, AppError> {
        let record = self.shop().journal.read_from(at).next().transpose()?;
        Ok(match record {
            Some((position, record)) if position == at => match record.body {
                RecordBody::AnswerKept(kept) if kept.id() == decision.id() => {
                    Some(kept.answer.into_vec())
                }
                _ => None,
            },
            _ => None,
        })
    }

    /// Decides which answers stand, each as `encode` writes it. Where the journal takes no writes, or there is no room
    /// for more, an answer says that it does not stay. Blocking.
    ///
    /// # Errors
    /// `Stopping` for all; `DecisionKeyReused` for one.
    pub fn decide(
        &self,
        ingest: &Ingest,
        open: &[(Proposal, Decision)],
        encode: Encode,
    ) -> Result<Vec<Result<Vec<u8>, AppError>>, AppError> {
        let mut decided = Vec::with_capacity(open.len());
        for some in open.chunks(KEEP_AT_ONCE) {
            let keep = |(proposal, decision): &(Proposal, Decision)| Keep {
                proposal: proposal.clone(),
                decision: decision.clone(),
                encode,
            };
            let keeping = match ingest.keep_blocking(some.iter().map(keep).collect()) {
                Ok(keeping) => keeping,
                Err(AppError::JournalUnavailable(_)) => vec![Keeping::Lost; some.len()],
                Err(error) => return Err(error),
            };
            for (keeping, (proposal, decision)) in keeping.into_iter().zip(some) {
                decided.push(match keeping {
                    Keeping::Given(answer) => Ok(answer),
                    Keeping::Reused => Err(decision.reused()),
                    Keeping::Before(position) => self
                        .read(position, decision)
                        .map(|found| found.unwrap_or_else(|| lost(proposal, encode))),
                    // somebody else's first question may have been kept before
                    Keeping::Lost => self
                        .standing(decision)
                        .map(|found| found.unwrap_or_else(|| lost(proposal, encode))),
                });
            }
        }
        Ok(decided)
    }
}

/// The answer that is promised nothing.
fn lost(proposal: &Proposal, encode: Encode) -> Vec<u8> {
    let mut answer = proposal.clone().unpromised();
    answer.decision_not_kept = true;
    encode(&answer)
}
