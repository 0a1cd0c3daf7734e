//! Why a product is recommended, in words and in codes.

use crate::application::model::Scored;
use crate::application::recommend::{RankedProduct, Reason, product_id};
use crate::domain::{EventKind, Recipe, Source};
use crate::state::State;
use crate::state::candidates::View;

/// At most so many reasons.
const MOST: usize = 3;

/// A ranked candidate as it is answered.
pub(super) fn ranked(view: &View<'_>, scored: &Scored, recipe: &Recipe) -> RankedProduct {
    let state = view.state;
    let source = strongest(scored, recipe);
    let mut reasons = reasons(view, scored);
    reasons.truncate(MOST);
    RankedProduct {
        product: product_id(state, scored.candidate.product),
        score: scored.score,
        calibrated: scored.calibrated,
        source: source.as_str(),
        reasons,
        fallback: source == Source::Popular && !scored.calibrated && view.is_unknown(),
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
fn strongest(scored: &Scored, recipe: &Recipe) -> Source {
    let weight = |source: Source| {
        let named = recipe.blend.iter().find(|(other, _)| *other == source);
        named.map_or(0.1, |&(_, weight)| weight.max(0.1))
    };
    let strength = |source: Source| match scored.candidate.ranks[source as usize] {
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

/// Everything that speaks for a candidate, the strongest first.
fn reasons(view: &View<'_>, scored: &Scored) -> Vec<Reason> {
    let candidate = &scored.candidate;
    let rank = |source: Source| f64::from(candidate.ranks[source as usize]);
    let mut reasons: Vec<(f64, Reason)> = Vec::new();
    let mut add = |strength: f64, code: &'static str, text: String, because: Option<u32>| {
        let because = because.map(|product| product_id(view.state, product));
        reasons.push((
            strength,
            Reason {
                code,
                text,
                because,
            },
        ));
    };
    if candidate.own.baskets > 0.0 {
        let (times, days) = (candidate.own.baskets, candidate.own.last_days);
        let times = if times < 1.5 {
            "once".to_owned()
        } else {
            format!("{times:.0} times")
        };
        let text = format!("bought {times}, last {}", ago(days));
        add(2.0 + candidate.own.slow, "BOUGHT_BEFORE", text, None);
    }
    if candidate.steps.weight > 0.0 {
        let text = format!("viewed {}", ago(candidate.steps.last_hours / 24.0));
        add(
            1.5 / (1.0 + candidate.steps.products_ago),
            "VIEWED_RECENTLY",
            text,
            None,
        );
    }
    if let Some(because) = candidate.because {
        let other = name(view.state, because);
        let steps = view
            .steps
            .iter()
            .rev()
            .filter(|step| step.product == Some(because));
        // a basket says it as well, but what was done since says it better
        let since = steps
            .map(|step| step.kind)
            .find(|&kind| kind != EventKind::Purchase);
        let (code, what) = match since {
            Some(EventKind::AddToCart) => ("IN_CART_TOGETHER", "goes with"),
            Some(_) => ("VIEWED_TOGETHER", "looked at together with"),
            None => ("BOUGHT_TOGETHER", "bought together with"),
        };
        let strength = candidate.bought_together + candidate.browsed_together;
        add(
            1.0 + strength.min(1.0),
            code,
            format!("{what} {other}"),
            Some(because),
        );
    }
    if let Some(because) = candidate.content_because {
        let text = format!("similar to {}", name(view.state, because));
        add(
            candidate.content.min(1.0),
            "SIMILAR_CONTENT",
            text,
            Some(because),
        );
    }
    if rank(Source::Trending) > 0.0 {
        let text = "sells more than usual".to_owned();
        add(0.9 / rank(Source::Trending).sqrt(), "TRENDING", text, None);
    }
    if rank(Source::Stage) > 0.0 {
        let stage = view.state.journey().name(view.stage);
        let text = format!("what people in {stage} go for");
        add(
            0.8 / rank(Source::Stage).sqrt(),
            "POPULAR_IN_STAGE",
            text,
            None,
        );
    }
    if rank(Source::Popular) > 0.0 {
        add(
            0.5 / rank(Source::Popular).sqrt(),
            "POPULAR",
            "popular in this shop".to_owned(),
            None,
        );
    }
    reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
    reasons.into_iter().map(|(_, reason)| reason).collect()
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
