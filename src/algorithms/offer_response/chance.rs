//! The chance of one thing that may come of an offer, by nested parts.

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::nested::NestedRows;
use super::{FOLDS, Lesson, OF_ALL, OF_KINDS, OF_OFFERS, OfferArm, PENALTIES, dot};

/// Fitted log-odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FittedChance {
    /// Of the features.
    weights: Vec<f64>,
    bias: f64,
    /// Of the parts.
    pub(super) effects: Vec<f64>,
    /// What the weights of the parts may be off by, all by all; empty where nothing was told apart.
    covariance: Vec<f64>,
    /// The variance of a weight of each group, before anything is seen of it.
    spreads: Vec<f64>,
}

/// Rows of a lesson, and what came of them.
pub(super) struct Came {
    /// Their places.
    places: Vec<usize>,
    came: Vec<bool>,
    z: Vec<Vec<f64>>,
    /// The arm of each, and where the parts of each arm begin.
    arm: Vec<usize>,
    parts: Vec<Vec<usize>>,
}

/// What was learned of them.
pub(super) struct LearnedChance {
    /// By all rows.
    pub(super) fitted: FittedChance,
    /// Without each fold.
    pub(super) held_back: Vec<FittedChance>,
}

impl Came {
    pub(super) fn of(lesson: &Lesson<'_>, places: Vec<usize>, came: Vec<bool>) -> Self {
        let (arms, parts) = lesson.layout.arms(lesson.rows, lesson.features);
        Self {
            z: places
                .iter()
                .map(|&place| lesson.z[place].clone())
                .collect(),
            arm: places.iter().map(|&place| arms[place]).collect(),
            parts,
            places,
            came,
        }
    }

    /// Fits, with penalties that the rows ask for, and again without each fold. Nothing if it shall stop.
    pub(super) fn learn(
        &self,
        lesson: &Lesson<'_>,
        penalties: &[(f64, bool)],
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Option<LearnedChance> {
        let nested = NestedRows {
            z: &self.z,
            modifiers: lesson.layout.modifiers,
            arm: &self.arm,
            came: &self.came,
            parts: &self.parts,
            columns: lesson.features + lesson.layout.size(),
        };
        let features = std::iter::repeat_n(0, lesson.features);
        let groups: Vec<usize> = features.chain(lesson.layout.groups()).collect();
        let mut is_stopped = !keep_on();
        if is_stopped {
            return None;
        }
        let evidence = nested.fit_by_evidence(&groups, penalties, &mut || {
            is_stopped |= !keep_on();
            !is_stopped
        });
        if is_stopped {
            return None;
        }
        let Some(evidence) = evidence else {
            // it came of all, or of none: that is all that can be said
            let fitted = FittedChance::mean(lesson, &self.came);
            return Some(LearnedChance {
                held_back: vec![fitted.clone(); FOLDS],
                fitted,
            });
        };
        let of_weights = |weights: &[f64]| FittedChance::of_weights(lesson, weights);
        let size = nested.columns + 1;
        let behind = lesson.features..nested.columns;
        let covariance = behind.clone().flat_map(|row| {
            let line = &evidence.covariance[row * size..][..size];
            line[behind.clone()].iter().copied()
        });
        let fitted = FittedChance {
            covariance: covariance.collect(),
            spreads: evidence.penalties.iter().map(|p| 1.0 / p).collect(),
            ..of_weights(&evidence.weights)
        };
        let columns = groups.iter().map(|&group| evidence.penalties[group]);
        let columns: Vec<f64> = columns.collect();
        let mut held_back = Vec::new();
        for fold in 0..FOLDS as u8 {
            if !keep_on() {
                return None;
            }
            let is_other = |&row: &usize| lesson.fold_of[self.places[row]] != fold;
            let others: Vec<usize> = (0..self.places.len()).filter(is_other).collect();
            let weights = nested.fit(&others, &columns, Some(&evidence.weights));
            held_back.push(of_weights(weights.as_ref().unwrap_or(&evidence.weights)));
        }
        Some(LearnedChance { fitted, held_back })
    }
}

impl FittedChance {
    fn of_weights(lesson: &Lesson<'_>, weights: &[f64]) -> Self {
        let (own, rest) = weights.split_at(lesson.features);
        let (effects, bias) = rest.split_at(lesson.layout.size());
        Self {
            weights: own.to_vec(),
            bias: bias.first().copied().unwrap_or(0.0),
            effects: effects.to_vec(),
            covariance: Vec::new(),
            spreads: PENALTIES
                .iter()
                .map(|&(penalty, _)| 1.0 / penalty)
                .collect(),
        }
    }

    /// The same of everybody.
    fn mean(lesson: &Lesson<'_>, came: &[bool]) -> Self {
        let share = came.iter().filter(|&&came| came).count() as f64 / came.len().max(1) as f64;
        let mut weights = vec![0.0; lesson.features + lesson.layout.size()];
        let share = share.clamp(1e-6, 1.0 - 1e-6);
        weights.push((share / (1.0 - share)).ln());
        Self::of_weights(lesson, &weights)
    }

    /// The log-odds without an offer.
    pub(super) fn none(&self, z: &[f64]) -> f64 {
        self.bias + dot(z, &self.weights)
    }

    /// The variance of the log-odds with an offer, as far as its effect goes.
    pub(super) fn variance(&self, layout: &Layout, marked: &[f64], arm: OfferArm) -> f64 {
        let size = layout.size();
        let parts = layout.of_arm(arm);
        let mut variance = 0.0;
        for (start, group) in parts.into_iter().zip([OF_ALL, OF_KINDS, OF_OFFERS]) {
            let Some(start) = start else {
                let squares = dot(&marked[1..], &marked[1..]);
                variance += self.spreads[group] + squares * self.spreads[group + 1];
                continue;
            };
            for (row, of_row) in marked.iter().enumerate() {
                for other in parts.into_iter().flatten() {
                    let line = (start + row) * size + other;
                    // without anything told apart there is no covariance
                    let line = self.covariance.get(line..line + marked.len());
                    variance += of_row * dot(marked, line.unwrap_or_default());
                }
            }
        }
        variance
    }
}
