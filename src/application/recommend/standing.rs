//! Where somebody stands, and why, as it is answered.

use super::{Prepared, product_id};
use crate::application::next_stage::NextStage;
use crate::domain::journey::{Standing, Step};
use crate::domain::{EventKind, ProductId, Timestamp};
use crate::state::State;
use crate::state::view::View;

/// The stage of an answer, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct StageAnswer {
    /// Its name.
    pub stage: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The events that made it so, oldest first.
    pub evidence: Vec<Evidence>,
    /// True if the caller named it.
    pub named_by_caller: bool,
    /// Where they go next, the likeliest first; empty unless a model that is live says so, and where the caller named
    /// the stage.
    pub next: Vec<NextStage>,
}

/// One event that put the customer where they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What.
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// With which product.
    pub product: Option<ProductId>,
    /// True if it came with the question.
    pub from_request: bool,
}

/// The stage of somebody with its reasons, without a question.
#[must_use]
pub fn stage_of(state: &State, steps: &[Step], now: Timestamp) -> StageAnswer {
    let standing = state.journey().standing(steps, now);
    StageAnswer {
        stage: state.journey().name(standing.stage).to_owned(),
        since: standing.since,
        evidence: standing
            .evidence
            .iter()
            .map(|&i| evidence(state, &steps[i], false))
            .collect(),
        named_by_caller: false,
        next: Vec::new(),
    }
}

fn evidence(state: &State, step: &Step, from_request: bool) -> Evidence {
    let product = step.product.map(|product| product_id(state, product));
    Evidence {
        kind: step.kind,
        time: step.time,
        product,
        from_request,
    }
}

pub(super) fn stage_answer(
    state: &State,
    prepared: &Prepared<'_>,
    view: &View<'_>,
    standing: &Standing,
    context: usize,
) -> StageAnswer {
    let stage = state.journey().name(view.stage).to_owned();
    if prepared.stage.is_some() {
        return StageAnswer {
            stage,
            since: None,
            evidence: Vec::new(),
            named_by_caller: true,
            next: Vec::new(),
        };
    }
    let first_of_context = view.steps.len() - context;
    let evidence = standing.evidence.iter().map(|&i| {
        // the steps of the question happen now: none that is known can stand behind them
        evidence(state, &view.steps[i], i >= first_of_context)
    });
    StageAnswer {
        stage,
        since: standing.since,
        evidence: evidence.collect(),
        named_by_caller: false,
        next: Vec::new(),
    }
}
