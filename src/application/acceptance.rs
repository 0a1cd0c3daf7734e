//! Learning which offers are taken from earlier campaigns: what was known of each customer who took something when the
//! campaign began, and what they took until now.

use std::collections::VecDeque;

use crate::algorithms::acceptance::{AcceptanceParams, Features, FittedAcceptance, fit};
use crate::algorithms::ranker::FitError;
use crate::domain::Timestamp;

/// With fewer cases nothing is learned.
pub const MIN_CASES: usize = 30;
/// The most pairs of a customer and an offer that are learned from; the oldest cases go first.
pub const MAX_PAIRS: usize = 200_000;

/// How offers are scored.
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// By [`Features::unlearned`].
    Unlearned,
    /// By a regression.
    Learned(FittedAcceptance),
}

impl Acceptance {
    /// The higher, the rather it is taken. It orders the offers of one question.
    #[must_use]
    pub fn score(&self, known: &Features) -> f64 {
        match self {
            Self::Unlearned => known.unlearned(),
            Self::Learned(fitted) => fitted.score(known),
        }
    }
}

/// A customer and the offers of a campaign, when it began.
#[derive(Debug, Clone, PartialEq)]
pub struct PastCase {
    /// Of each offer: what was known, and when it was taken first, if it ever was.
    pub offers: Vec<(Features, Option<Timestamp>)>,
}

impl PastCase {
    fn is_known_at(&self, now: Timestamp) -> bool {
        self.offers.iter().any(|(_, taken)| is_taken(*taken, now))
    }
}

fn is_taken(taken: Option<Timestamp>, now: Timestamp) -> bool {
    taken.is_some_and(|at| at <= now)
}

/// Cases to learn from, oldest first. Where there are too many pairs, cases in which something is taken only later take
/// up room as well: which old ones are let go depends on them, what is learned of those that stay does not.
#[derive(Debug, Clone)]
pub struct PastCases {
    cases: VecDeque<PastCase>,
    pairs: usize,
    most_pairs: usize,
}

impl Default for PastCases {
    fn default() -> Self {
        Self::at_most(MAX_PAIRS)
    }
}

impl PastCases {
    /// None yet, and never more pairs of a customer and an offer than `most_pairs`.
    #[must_use]
    pub fn at_most(most_pairs: usize) -> Self {
        Self {
            cases: VecDeque::new(),
            pairs: 0,
            most_pairs,
        }
    }

    /// Adds a case; the oldest ones go where there would be too many pairs. One with too many of its own is not kept.
    pub fn add(&mut self, case: PastCase) {
        self.pairs += case.offers.len();
        self.cases.push_back(case);
        while self.pairs > self.most_pairs {
            let gone = self.cases.pop_front();
            self.pairs -= gone.map_or(0, |case| case.offers.len());
        }
    }

    /// Learns from what had been taken at `now`: the cases in which something had been. With fewer than [`MIN_CASES`]
    /// of them nothing is learned.
    ///
    /// # Errors
    /// If the regression cannot be fitted.
    pub fn learn(&self, now: Timestamp) -> Result<Acceptance, FitError> {
        let known = || self.cases.iter().filter(|case| case.is_known_at(now));
        if known().count() < MIN_CASES {
            return Ok(Acceptance::Unlearned);
        }
        let pairs = known().flat_map(|case| &case.offers);
        let examples: Vec<(Features, bool)> = pairs
            .map(|&(known, taken)| (known, is_taken(taken, now)))
            .collect();
        match fit(&examples, &AcceptanceParams::default()) {
            Ok(fitted) => Ok(Acceptance::Learned(fitted)),
            // everybody took everything there was
            Err(FitError::OneClass { .. }) => Ok(Acceptance::Unlearned),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case of two offers, of which the one with products of one's own is taken.
    fn case(taken: i64) -> PastCase {
        let own = Features {
            own: 1.0,
            ..Features::default()
        };
        PastCase {
            offers: vec![
                (own, Some(Timestamp::from_ms(taken))),
                (Features::default(), None),
            ],
        }
    }

    #[test]
    fn nothing_is_learned_from_the_future_or_from_too_few() {
        let mut cases = PastCases::default();
        (1..=MIN_CASES as i64).for_each(|at| cases.add(case(at)));
        let learned = |now: usize| cases.learn(Timestamp::from_ms(now as i64)).unwrap();
        assert_eq!(learned(MIN_CASES - 1), Acceptance::Unlearned);
        let Acceptance::Learned(fitted) = learned(MIN_CASES) else {
            panic!("there are enough");
        };
        let [own, other] = [0, 1].map(|place| fitted.score(&case(0).offers[place].0));
        assert!(own > other, "{own} {other}");
    }

    #[test]
    fn everything_taken_teaches_nothing() {
        let mut cases = PastCases::default();
        for _ in 0..MIN_CASES {
            let mut case = case(1);
            case.offers.truncate(1);
            cases.add(case);
        }
        let learned = cases.learn(Timestamp::from_ms(1)).unwrap();
        assert_eq!(learned, Acceptance::Unlearned);
    }

    #[test]
    fn the_newest_pairs_stay() {
        let mut cases = PastCases::at_most(5);
        (1..=3).for_each(|at| cases.add(case(at)));
        assert_eq!((cases.cases.len(), cases.pairs), (2, 4));
        assert!(!cases.cases.iter().any(|other| *other == case(1)));
        let mut large = case(4);
        large.offers.resize(6, large.offers[0]);
        cases.add(large);
        assert_eq!((cases.cases.len(), cases.pairs), (0, 0));
    }
}
