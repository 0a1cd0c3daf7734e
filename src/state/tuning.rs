//! What the sources are tuned by: learned from the history in a training run, because every shop has a rhythm of its
//! own.

use serde::{Deserialize, Serialize};

use crate::algorithms::sessions::SessionParams;
use crate::state::neighbours::NeighbourParams;

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
        }
    }
}
