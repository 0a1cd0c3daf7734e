//! What the sources are tuned by: learned from the history in a training run, because every shop has a rhythm of its
//! own.

use serde::{Deserialize, Serialize};

use crate::algorithms::features::SOURCES;
use crate::algorithms::sessions::SessionParams;
use crate::domain::Source;
use crate::domain::recipe::MAX_CANDIDATES;
use crate::state::neighbours::NeighbourParams;

/// How much a source has to say in the choice of candidates, by what the recipe of a stage says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Times its weight in the blend; not below 0.
    pub weight: f64,
    /// Times the number of candidates it may propose; above 0.
    pub budget: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1.0,
            budget: 1.0,
        }
    }
}

impl Share {
    /// How many candidates a source may propose whose recipe says `quota`: at most [`MAX_CANDIDATES`], and of a quota
    /// above 0 at least one.
    #[must_use]
    pub fn quota(&self, quota: usize) -> usize {
        let share = (quota as f64 * self.budget).ceil() as usize;
        share.min(MAX_CANDIDATES)
    }
}

/// The shares of all sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares(pub [Share; SOURCES]);

impl Shares {
    /// Of a source.
    #[must_use]
    pub fn of(&self, source: Source) -> Share {
        self.0[source as usize]
    }
}

/// Everything that is tuned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Half-life, in days, of an own purchase that says what somebody is about.
    pub own_fast_days: f64,
    /// Half-life, in days, of an own purchase that says what somebody is like.
    pub own_slow_days: f64,
    /// The penalty λ of EASE, greater than zero.
    pub ease_penalty: f64,
    /// Half-life, in days, of an own purchase in EASE.
    pub ease_half_life_days: f64,
    /// Of similar customers.
    pub neighbours: NeighbourParams,
    /// Of sessions like this one.
    pub sessions: SessionParams,
    /// Of the sources, in the choice of candidates.
    pub shares: Shares,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            own_fast_days: 14.0,
            own_slow_days: 120.0,
            ease_penalty: 200.0,
            ease_half_life_days: 180.0,
            neighbours: NeighbourParams::default(),
            sessions: SessionParams::default(),
            shares: Shares::default(),
        }
    }
}
