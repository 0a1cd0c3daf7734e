//! What is said of a customer for expressions: by the live model their persona, and what is to be expected of them; and
//! their health.

use crate::application::next_stage::{Journeyer, Propensities};
use crate::application::shop::Shop;
use crate::domain::{Health, Timestamp};
use crate::state::State;
use crate::state::journeyer;
use crate::state::subjects::Subject;
use crate::state::view::View;

/// What is said of a customer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// The id of their persona; empty: it cannot be told, or no personas are live.
    pub persona: String,
    /// What is to be expected; absent without a model that says so.
    pub propensities: Propensities,
    /// How they stand against their usual gap between orders; absent for who never bought.
    pub health: Option<Health>,
}

impl Outlook {
    /// Of somebody at `now`, by what is live. Takes some ten microseconds.
    #[must_use]
    pub fn of(shop: &Shop, state: &State, subject: Option<&Subject>, now: Timestamp) -> Self {
        let Some(subject) = subject else {
            return Self::default();
        };
        let live = shop.live();
        let view = View::new(state, Some(subject), &[], now);
        let journeyer = live
            .as_ref()
            .and_then(|live| Journeyer::of(&live.model, &view));
        Self {
            persona: shop.personas.id_of(&view),
            propensities: journeyer.map_or_else(Propensities::default, |j| j.propensities()),
            health: journeyer::health(&view),
        }
    }
}
