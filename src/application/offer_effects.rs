//! What tells what offers do: a part of a model, with what it has to know of whom it is asked about.

use serde::{Deserialize, Serialize};

use crate::algorithms::offer_response::{FittedOfferResponse, Standing};
use crate::application::personas::Personas;
use crate::domain::StageIndex;
use crate::state::sales::Sale;
use crate::state::shopper;
use crate::state::view::View;

/// What offers do, by what was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferEffects {
    /// Who buys with which offer.
    pub response: FittedOfferResponse,
    /// The personas by which the effect differs: a copy, so that it is asked as it was fitted after other personas went
    /// live. Absent: it differs by every feature.
    pub personas: Option<Personas>,
}

impl OfferEffects {
    /// What it knows of who asks; nothing if it was fitted for other features.
    #[must_use]
    pub fn standing(
        &self,
        view: &View<'_>,
        stage: Option<StageIndex>,
        basket: Option<Sale>,
    ) -> Option<Standing> {
        let x = shopper::features(view, stage, basket);
        let modifiers = modifiers(view, self.personas.as_ref());
        self.response.standing(&x, &modifiers)
    }
}

/// What an effect differs by: 1 for the persona that somebody is and 0 for the others; all 0 while too little is known
/// of them. Empty without personas.
#[must_use]
pub fn modifiers(view: &View<'_>, personas: Option<&Personas>) -> Vec<f64> {
    let Some(personas) = personas else {
        return Vec::new();
    };
    let mut marks = vec![0.0; personas.fitted().personas().len()];
    if let Some(membership) = personas.of(view) {
        marks[membership.best] = 1.0;
    }
    marks
}
