//! The policy that is judged: with which chance it would have shown what.

use super::{LoggedDecision, MAX_ACTIONS, PolicyError, TOLERANCE};

/// What is known of the target policy.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Of each decision, the chance of the action that was shown, and no other.
    OwnAction(&'a [f64]),
    /// The chance of every action by position, whatever the context.
    ByPosition(&'a Shares),
    /// The chance of every action in each decision: row by row `actions` wide. Actions beyond are never shown.
    ByRow {
        /// The chances.
        probabilities: &'a [f64],
        /// How many a row.
        actions: usize,
    },
}

/// The chance of each action at each position.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    actions: usize,
    /// Position by position.
    chances: Vec<f64>,
}

impl Shares {
    /// The shares of each action per position among (position, action) pairs, add-one smoothed: (count + 1) / (rows of
    /// the position + actions). A position without rows shows every action alike. Pairs beyond the bounds do not count.
    #[must_use]
    pub fn of(shown: impl Iterator<Item = (u32, u32)>, positions: usize, actions: usize) -> Self {
        let mut chances = vec![1.0; positions * actions];
        for (position, action) in shown {
            let (position, action) = (position as usize, action as usize);
            if position < positions && action < actions {
                chances[position * actions + action] += 1.0;
            }
        }
        for row in chances.chunks_exact_mut(actions.max(1)) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|chance| *chance /= sum);
        }
        Self { actions, chances }
    }

    /// Every action alike, at every position.
    #[must_use]
    pub fn uniform(positions: usize, actions: usize) -> Self {
        Self::of(std::iter::empty(), positions, actions)
    }

    /// The chances at a position; none at one that is not known.
    #[must_use]
    pub fn at(&self, position: u32) -> &[f64] {
        let start = position as usize * self.actions;
        self.chances.get(start..start + self.actions).unwrap_or(&[])
    }

    /// Those of a policy that takes no notice of the context, read off the log: every pair of position and action has
    /// one chance wherever it is shown, and those of each position sum to 1. Nothing if that is not so.
    fn read_off(log: &[LoggedDecision], own: &[f64]) -> Option<Self> {
        let highest = |of: fn(&LoggedDecision) -> u32| {
            log.iter().map(of).max().map_or(0, |most| most as usize + 1)
        };
        let (positions, actions) = (highest(|row| row.position), highest(|row| row.action));
        let mut chances = vec![f64::NAN; positions * actions];
        for (row, &own) in log.iter().zip(own) {
            let chance = &mut chances[row.position as usize * actions + row.action as usize];
            if chance.is_nan() {
                *chance = own;
            } else if (*chance - own).abs() > 1e-9 {
                return None;
            }
        }
        let mut is_seen = vec![false; positions];
        log.iter()
            .for_each(|row| is_seen[row.position as usize] = true);
        for (row, is_seen) in chances.chunks_exact_mut(actions).zip(is_seen) {
            row.iter_mut()
                .filter(|chance| chance.is_nan())
                .for_each(|chance| *chance = 0.0);
            let sum: f64 = row.iter().sum();
            if is_seen && (sum - 1.0).abs() > TOLERANCE {
                return None;
            }
        }
        Some(Self { actions, chances })
    }
}

/// The chances of every action, of each decision.
#[derive(Debug, Clone)]
pub enum Distribution<'a> {
    /// By position alone.
    Given(&'a Shares),
    /// By position alone, read off the log.
    ReadOff(Shares),
    /// By row, so many wide.
    ByRow(&'a [f64], usize),
}

impl Distribution<'_> {
    /// The chances of the actions 0, 1, … in a decision.
    #[must_use]
    pub fn of(&self, row: usize, decision: &LoggedDecision) -> &[f64] {
        match self {
            Self::Given(shares) => shares.at(decision.position),
            Self::ReadOff(shares) => shares.at(decision.position),
            Self::ByRow(chances, actions) => &chances[row * actions..][..*actions],
        }
    }

    /// The shares by position, if it knows nothing else.
    #[must_use]
    pub fn by_position(&self) -> Option<&Shares> {
        match self {
            Self::Given(shares) => Some(shares),
            Self::ReadOff(shares) => Some(shares),
            Self::ByRow(..) => None,
        }
    }
}

impl<'a> Target<'a> {
    /// The chance of what each decision showed.
    pub(super) fn of_rows(&self, log: &[LoggedDecision]) -> Result<Vec<f64>, PolicyError> {
        let wrong = match self {
            Self::OwnAction(own) => own.len() != log.len(),
            Self::ByPosition(_) => false,
            Self::ByRow {
                probabilities,
                actions,
            } => probabilities.len() != log.len() * actions,
        };
        if wrong {
            return Err(PolicyError::Target("not as many chances as decisions"));
        }
        if matches!(self, Self::ByRow { actions, .. } if *actions > MAX_ACTIONS) {
            return Err(PolicyError::Target("too many actions"));
        }
        let chance = |(row, decision): (usize, &LoggedDecision)| {
            let action = decision.action as usize;
            let chance = match self {
                Self::OwnAction(own) => own[row],
                Self::ByPosition(shares) => shares
                    .at(decision.position)
                    .get(action)
                    .copied()
                    .unwrap_or(0.0),
                Self::ByRow {
                    probabilities,
                    actions,
                } => {
                    let of_row = &probabilities[row * actions..][..*actions];
                    let sum: f64 = of_row.iter().sum();
                    let all = of_row.iter().all(|chance| (0.0..=1.0).contains(chance));
                    if !all || (sum - 1.0).abs() > TOLERANCE {
                        return Err(PolicyError::Target(
                            "the chances of a decision do not sum to 1",
                        ));
                    }
                    of_row.get(action).copied().unwrap_or(0.0)
                }
            };
            if (0.0..=1.0).contains(&chance) {
                Ok(chance)
            } else {
                Err(PolicyError::Target("a chance is not from 0 to 1"))
            }
        };
        log.iter().enumerate().map(chance).collect()
    }

    /// The chances of all actions, where they are known; `own` are those of the actions that were shown.
    pub(super) fn distribution(
        &self,
        log: &[LoggedDecision],
        own: &[f64],
    ) -> Option<Distribution<'a>> {
        match *self {
            Self::OwnAction(_) => Shares::read_off(log, own).map(Distribution::ReadOff),
            Self::ByPosition(shares) => Some(Distribution::Given(shares)),
            Self::ByRow {
                probabilities,
                actions,
            } => Some(Distribution::ByRow(probabilities, actions)),
        }
    }
}
