//! Why a product is recommended, in words and in codes.

use crate::algorithms::features::Candidate;
use crate::algorithms::repurchase::{Gaps, Rhythm};
use crate::application::model::Scored;
use crate::application::recommend::{RankedProduct, Reason, product_id};
use crate::domain::{EventKind, Origin, Recipe, Source};
use crate::state::State;
use crate::state::view::View;

/// At most so many reasons.
const MOST: usize = 3;

/// A ranked candidate as it is answered.
pub(super) fn ranked(
    view: &View<'_>,
    scored: Scored<'_>,
    recipe: &Recipe,
    probability: f64,
) -> RankedProduct {
    let state = view.state;
    let source = strongest(scored.candidate, recipe);
    RankedProduct {
        product: product_id(state, scored.candidate.product),
        score: scored.mark.score,
        calibrated: scored.mark.calibrated,
        origin: Origin::Source(source),
        base: scored.mark.log_odds,
        reasons: reasons(view, scored.candidate),
        fallback: source == Source::Popular && !scored.mark.calibrated && view.is_unknown(),
        probability,
    }
}

/// A product that is answered to become known.
pub(super) fn explored(state: &State, product: u32, probability: f64) -> RankedProduct {
    RankedProduct {
        product: product_id(state, product),
        score: 0.0,
        calibrated: false,
        origin: Origin::Exploration,
        base: None,
        reasons: vec![plain("NEW_IN_SHOP", "new in this shop")],
        fallback: false,
        probability,
    }
}

/// A reason that follows from no product.
fn plain(code: &'static str, text: &str) -> Reason {
    Reason {
        code,
        text: text.to_owned(),
        because: None,
    }
}

/// A product that only fills the list up.
pub(super) fn filling(state: &State, product: u32) -> RankedProduct {
    RankedProduct {
        product: product_id(state, product),
        score: 0.0,
        calibrated: false,
        origin: Origin::Source(Source::Popular),
        base: None,
        reasons: vec![plain("POPULAR", "popular in this shop")],
        fallback: true,
        probability: 1.0,
    }
}

/// The source that speaks most for a candidate: the best weighted reciprocal rank.
pub(super) fn strongest(candidate: &Candidate, recipe: &Recipe) -> Source {
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
    /// It is about time to buy it again.
    Due(Rhythm),
    BoughtBefore,
    ViewedRecently,
    /// It goes with this product.
    Together(u32),
    /// Sessions like this one, found by this product, went on to it.
    SimilarSessions(u32),
    SimilarCustomers,
    /// It goes with everything the customer bought.
    FitsHistory,
    /// It reads like this product.
    SimilarContent(u32),
    Trending,
    PopularInStage,
    PopularInPersona,
    Popular,
}

/// What speaks most for a candidate, the strongest first.
fn reasons(view: &View<'_>, candidate: &Candidate) -> Vec<Reason> {
    let mut arguments = arguments(candidate, &view.state.products.gaps);
    arguments.sort_by(|a, b| b.0.total_cmp(&a.0));
    let told = arguments
        .iter()
        .filter(|(strength, _)| *strength > 0.0)
        .take(MOST);
    told.map(|&(_, argument)| put(argument, view, candidate))
        .collect()
}

/// How far from its usual day, in standard deviations, something still counts as due.
const DUE: std::ops::RangeInclusive<f64> = -0.5..=1.0;

/// How strongly each argument speaks for a candidate; 0: not at all. `gaps` are those of the whole shop.
fn arguments(candidate: &Candidate, gaps: &Gaps) -> [(f64, Argument); 12] {
    let (own, steps) = (&candidate.own, &candidate.steps);
    let holds = |holds: bool, strength: f64| if holds { strength } else { 0.0 };
    let rank = |source: Source, weight: f64| match candidate.ranks[source as usize] {
        0 => 0.0,
        rank => weight / f64::from(rank).sqrt(),
    };
    let together = candidate.bought_together + candidate.browsed_together;
    let because = candidate.because.unwrap_or_default();
    let alike = candidate.content_because.unwrap_or_default();
    let session = candidate.session_because.unwrap_or_default();
    let rhythm = Rhythm::of(&own.gaps, &candidate.item.gaps, gaps);
    let is_due = own.gaps.count > 0.5 && DUE.contains(&rhythm.lateness(own.last_days));
    [
        (holds(is_due, 3.0 + own.slow), Argument::Due(rhythm)),
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
            rank(Source::Sessions, 1.3),
            Argument::SimilarSessions(session),
        ),
        (rank(Source::Customers, 1.1), Argument::SimilarCustomers),
        (rank(Source::Ease, 1.0), Argument::FitsHistory),
        (
            holds(
                candidate.content_because.is_some(),
                candidate.content.min(1.0),
            ),
            Argument::SimilarContent(alike),
        ),
        (rank(Source::Trending, 0.9), Argument::Trending),
        (rank(Source::Stage, 0.8), Argument::PopularInStage),
        (rank(Source::Persona, 0.85), Argument::PopularInPersona),
        (rank(Source::Popular, 0.5), Argument::Popular),
    ]
}

/// An argument in words and in a code.
fn put(argument: Argument, view: &View<'_>, candidate: &Candidate) -> Reason {
    let state = view.state;
    let (code, text, because) = match argument {
        Argument::Due(rhythm) => {
            let (every, days) = (rhythm.mean.exp_m1().max(1.0), candidate.own.last_days);
            let text = format!("bought about every {every:.0} days, last {}", ago(days));
            ("DUE", text, None)
        }
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
        Argument::SimilarSessions(because) => {
            let text = format!("where visits with {} went on to", name(state, because));
            ("SIMILAR_SESSIONS", text, Some(because))
        }
        Argument::SimilarCustomers => {
            let text = "customers with a like taste buy it".to_owned();
            ("SIMILAR_CUSTOMERS", text, None)
        }
        Argument::FitsHistory => {
            let text = "goes with what was bought so far".to_owned();
            ("FITS_HISTORY", text, None)
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
        Argument::PopularInPersona => (
            "POPULAR_IN_PERSONA",
            "what customers of the same kind buy".to_owned(),
            None,
        ),
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

pub(super) fn name(state: &State, product: u32) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::features::{Own, Steps};

    /// What a source knows of what it proposes.
    fn proposed_by(source: Source) -> Candidate {
        let mut candidate = Candidate::default();
        candidate.ranks[source as usize] = 120;
        match source {
            Source::Personal => candidate.own.baskets = 1.0,
            Source::Together => candidate.because = Some(1),
            Source::Content => (candidate.content, candidate.content_because) = (0.1, Some(1)),
            Source::Recent => candidate.steps.weight = 1.0,
            Source::Sessions => candidate.session_because = Some(1),
            Source::Ease
            | Source::Customers
            | Source::Trending
            | Source::Stage
            | Source::Persona
            | Source::Popular => {}
        }
        candidate
    }

    #[test]
    fn whatever_a_source_proposes_has_a_reason() {
        for &source in Source::ALL {
            let arguments = arguments(&proposed_by(source), &Gaps::default());
            let speaks = arguments.iter().any(|(strength, _)| *strength > 0.0);
            assert!(speaks, "{} says nothing", source.as_str());
        }
    }

    #[test]
    fn what_is_bought_every_month_is_due_after_a_month_and_not_before() {
        let is_due = |last_days: f64| {
            let mut own = Own {
                baskets: 7.0,
                last_days,
                ..Own::default()
            };
            (0..6).for_each(|_| own.gaps.add(30.0));
            let candidate = Candidate {
                own,
                steps: Steps::default(),
                ..Candidate::default()
            };
            let due = arguments(&candidate, &Gaps::default())[0];
            assert!(matches!(due.1, Argument::Due(_)));
            due.0 > 0.0
        };
        assert_eq!([3.0, 32.0, 300.0].map(is_due), [false, true, false]);
    }
}
