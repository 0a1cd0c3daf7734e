//! What offers do to visits: more rows show it than show what they do to purchases.

use super::nested::Evidence;
use super::{BEYOND_VISITS, FOLDS, Lesson, MIN_ARM_ROWS, OF_ALL, PENALTIES, by_evidence};

/// Effects on the log-odds of coming back.
pub(super) struct Visits {
    /// The weights of the parts: all 0 where visits say nothing more than purchases do.
    pub(super) effects: Vec<f64>,
    /// The same, learned without each fold.
    pub(super) held_back: Vec<Vec<f64>>,
    /// What they may be off by, and the variance of each group of weights; absent without effects.
    off: Option<(Vec<f64>, Vec<f64>)>,
}

impl Visits {
    /// Nothing if it shall stop.
    pub(super) fn learn(lesson: &Lesson<'_>, keep_on: &mut dyn FnMut() -> bool) -> Option<Self> {
        let none = vec![0.0; lesson.layout.size()];
        let nothing = Self {
            held_back: vec![none.clone(); FOLDS],
            effects: none,
            off: None,
        };
        let rows = lesson.rows;
        let looked = rows.iter().filter(|r| r.came_back && !r.bought).count();
        let stayed_away = rows.iter().filter(|row| !row.came_back).count();
        if looked < MIN_ARM_ROWS || stayed_away < MIN_ARM_ROWS {
            return Some(nothing);
        }
        let came: Vec<bool> = rows.iter().map(|row| row.came_back).collect();
        let (arm, parts) = lesson.layout.arms(rows, lesson.features);
        let nested = lesson.nested(&lesson.z, &came, &arm, &parts);
        let groups = lesson.groups();
        let Some(evidence) = by_evidence(&nested, &groups, &PENALTIES, keep_on)? else {
            return Some(nothing);
        };
        let behind = lesson.features..nested.columns;
        let columns = groups.iter().map(|&group| evidence.penalties[group]);
        let columns: Vec<f64> = columns.collect();
        let mut held_back = Vec::new();
        for fold in 0..FOLDS as u8 {
            if !keep_on() {
                return None;
            }
            let weights = nested.fit(&lesson.without(fold), &columns, Some(&evidence.weights));
            let weights = weights.unwrap_or_else(|| evidence.weights.clone());
            held_back.push(weights[behind.clone()].to_vec());
        }
        let size = nested.columns + 1;
        let covariance = behind.clone().flat_map(|row| {
            let line = &evidence.covariance[row * size..][..size];
            line[behind.clone()].iter().copied()
        });
        let spreads = evidence.penalties.iter().map(|penalty| 1.0 / penalty);
        Some(Self {
            off: Some((covariance.collect(), spreads.collect())),
            effects: evidence.weights[behind].to_vec(),
            held_back,
        })
    }

    /// What the weights of purchases begin with.
    pub(super) fn penalties(&self) -> [(f64, bool); 8] {
        let mut penalties = PENALTIES;
        if self.off.is_some() {
            penalties[OF_ALL].0 = BEYOND_VISITS;
        }
        penalties
    }

    /// What the weights of the parts may be off by, all by all: own weights b and the effect v on visits times its
    /// weight a, with Cov(b + a·v) = Σ_bb + v·Σ_ab + Σ_ba·vᵀ + v·vᵀ·Σ_aa + a²·Σ_vv.
    pub(super) fn covariance_with(&self, own: &Evidence, features: usize) -> Vec<f64> {
        let size = own.weights.len();
        let (arrives, parts) = (own.weights[0], self.effects.len());
        let at = |row: usize, column: usize| own.covariance[row * size + column];
        let of_visits = self.off.as_ref().map(|(covariance, _)| covariance);
        let one = |place: usize| {
            let (row, column) = (place / parts, place % parts);
            let (v, w) = (self.effects[row], self.effects[column]);
            let visits = of_visits.map_or(0.0, |covariance| covariance[place]);
            at(1 + features + row, 1 + features + column)
                + v * at(0, 1 + features + column)
                + w * at(0, 1 + features + row)
                + v * w * at(0, 0)
                + arrives * arrives * visits
        };
        (0..parts * parts).map(one).collect()
    }

    /// The variance of a weight of each group.
    pub(super) fn spreads_with(&self, own: &Evidence) -> Vec<f64> {
        let arrives = own.weights[0];
        let of_visits = self.off.as_ref().map(|(_, spreads)| spreads);
        let one = |(group, penalty): (usize, &f64)| {
            let visits = of_visits.map_or(0.0, |spreads| spreads[group]);
            1.0 / penalty + arrives * arrives * visits
        };
        own.penalties.iter().enumerate().map(one).collect()
    }
}
