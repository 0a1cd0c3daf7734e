//! Why a product is recommended, in words and in codes.

use crate::algorithms::features::Candidate;
use crate::application::model::Scored;
use crate::application::recommend::{RankedProduct, Reason, product_id};
use crate::domain::{EventKind, Recipe, Source};
use crate::state::State;
use crate::state::view::View;

/// At most so many reasons.
const MOST: usize = 3;

/// A ranked candidate as it is answered.
pub(super) fn ranked(view: &View<'_>, scored: Scored<'_>, recipe: &Recipe) -> RankedProduct {
    let state = view.state;
    let source = strongest(scored.candidate, recipe);
    RankedProduct {
        product: product_id(state, scored.candidate.product),
        score: scored.mark.score,
        calibrated: scored.mark.calibrated,
        source: source.as_str(),
        reasons: reasons(view, scored.candidate),
        fallback: source == Source::Popular && !scored.mark.calibrated && view.is_unknown(),
    }
}

/// A product that only fills the list up.
pub(super) fn filling(state: &State, product: u32) -> RankedProduct {
    let reason = Reason {
        code: "POPULAR",
        text: "popular in this shop".to_owned(),
        because: None,
    };
    RankedProduct {
        product: product_id(state, product),
        score: 0.0,
        calibrated: false,
        source: Source::Popular.as_str(),
        reasons: vec![reason],
        fallback: true,
    }
}

/// The source that speaks most for a candidate: the best weighted reciprocal rank.
fn strongest(candidate: &Candidate, recipe: &Recipe) -> Source {
    let weight = |source: Source| {
        let named = recipe.blend.iter().find(|(other, _)| *other == source);
        named.map_or(0.1, |&(_, weight)| weight.max(0.1))
    };
    let strength = |source: Source| match candidate.ranks[source as usize] {
        0 => 0.0,
        rank => weight(source) / (10.0 + f64::from(rank)),
    };
    let all = Source::ALL.iter().copied();
    all.max_by(|&a, &b| {
        strength(a)
            .total_cmp(&strength(b))
            .then((b as u8).cmp(&(a as u8)))
    })
    .unwrap_or(Source::Popular)
}

/// What may speak for a candidate.
#[derive(Debug, Clone, Copy)]
enum Argument {
    BoughtBefore,
    ViewedRecently,
    /// It goes with this product.
    Together(u32),
    /// It reads like this product.
    SimilarContent(u32),
    Trending,
    PopularInStage,
    Popular,
}

/// What speaks most for a candidate, the strongest first.
fn reasons(view: &View<'_>, candidate: &Candidate) -> Vec<Reason> {
    let mut arguments = arguments(candidate);
    arguments.sort_by(|a, b| b.0.total_cmp(&a.0));
    let told = arguments
        .iter()
        .filter(|(strength, _)| *strength > 0.0)
        .take(MOST);
    told.map(|&(_, argument)| put(argument, view, candidate))
        .collect()
}

/// How strongly each argument speaks for a candidate; 0: not at all.
fn arguments(candidate: &Candidate) -> [(f64, Argument); 7] {
    let (own, steps) = (&candidate.own, &candidate.steps);
    let holds = |holds: bool, strength: f64| if holds { strength } else { 0.0 };
    let rank = |source: Source, weight: f64| match candidate.ranks[source as usize] {
        0 => 0.0,
        rank => weight / f64::from(rank).sqrt(),
    };
    let together = candidate.bought_together + candidate.browsed_together;
    let because = candidate.because.unwrap_or_default();
    let alike = candidate.content_because.unwrap_or_default();
    [
        (
            holds(own.baskets > 0.0, 2.0 + own.slow),
            Argument::BoughtBefore,
        ),
        (
            holds(steps.weight > 0.0, 1.5 / (1.0 + steps.products_ago)),
            Argument::ViewedRecently,
        ),
        (
            holds(candidate.because.is_some(), 1.0 + together.min(1.0)),
            Argument::Together(because),
        ),
        (
            holds(
                candidate.content_because.is_some(),
                candidate.content.min(1.0),
            ),
            Argument::SimilarContent(alike),
        ),
        (rank(Source::Trending, 0.9), Argument::Trending),
        (rank(Source::Stage, 0.8), Argument::PopularInStage),
        (rank(Source::Popular, 0.5), Argument::Popular),
    ]
}

/// An argument in words and in a code.
fn put(argument: Argument, view: &View<'_>, candidate: &Candidate) -> Reason {
    let state = view.state;
    let (code, text, because) = match argument {
        Argument::BoughtBefore => {
            let times = match candidate.own.baskets {
                times if times < 1.5 => "once".to_owned(),
                times => format!("{times:.0} times"),
            };
            let text = format!("bought {times}, last {}", ago(candidate.own.last_days));
            ("BOUGHT_BEFORE", text, None)
        }
        Argument::ViewedRecently => {
            let text = format!("viewed {}", ago(candidate.steps.last_hours / 24.0));
            ("VIEWED_RECENTLY", text, None)
        }
        Argument::Together(because) => {
            let (code, what) = together(view, because);
            (
                code,
                format!("{what} {}", name(state, because)),
                Some(because),
            )
        }
        Argument::SimilarContent(because) => {
            let text = format!("similar to {}", name(state, because));
            ("SIMILAR_CONTENT", text, Some(because))
        }
        Argument::Trending => ("TRENDING", "sells more than usual".to_owned(), None),
        Argument::PopularInStage => {
            let stage = state.journey().name(view.stage);
            (
                "POPULAR_IN_STAGE",
                format!("what people in {stage} go for"),
                None,
            )
        }
        Argument::Popular => ("POPULAR", "popular in this shop".to_owned(), None),
    };
    let because = because.map(|product| product_id(state, product));
    Reason {
        code,
        text,
        because,
    }
}

/// What connects a candidate with the product it goes with.
fn together(view: &View<'_>, because: u32) -> (&'static str, &'static str) {
    let steps = view
        .steps
        .iter()
        .rev()
        .filter(|step| step.product == Some(because));
    // a basket says it as well, but what was done since says it better
    match steps
        .map(|step| step.kind)
        .find(|&kind| kind != EventKind::Purchase)
    {
        Some(EventKind::AddToCart) => ("IN_CART_TOGETHER", "goes with"),
        Some(_) => ("VIEWED_TOGETHER", "looked at together with"),
        None => ("BOUGHT_TOGETHER", "bought together with"),
    }
}

fn name(state: &State, product: u32) -> String {
    let item = state.products.item(product);
    match &item.listing {
        Some(listing) if !listing.name.is_empty() => listing.name.to_string(),
        _ => item.id.to_string(),
    }
}

fn ago(days: f64) -> String {
    match days {
        days if days < 1.0 / 24.0 => "just now".to_owned(),
        days if days < 1.0 => format!("{:.0} hours ago", (days * 24.0).max(1.0)),
        days if days < 1.5 => "a day ago".to_owned(),
        days => format!("{days:.0} days ago"),
    }
}
