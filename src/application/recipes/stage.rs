//! `<stage>.toml`: the recipe of one stage.

use super::reading::{At, Document, Section};
use crate::algorithms::features;
use crate::application::reserve::MAX_OFFERS;
use crate::application::spelling::suggestion;
use crate::domain::recipe::{AnswerRules, MAX_CANDIDATES};
use crate::domain::time::DAY_MS;
use crate::domain::{
    Baseline, EventKind, Micros, OfferObjective, OfferRules, Ranker, Recipe, Source,
};

/// The longest time an outcome may take, in days.
const MAX_OUTCOME_DAYS: f64 = 365.0;
/// The largest weight of a source in the blend.
const MAX_WEIGHT: f64 = 100.0;
/// The most that one offer may be assumed to earn.
const MAX_GAIN: f64 = 1e6;
/// The least share of an answer that a category may be kept to.
const MIN_OF_CATEGORY: f64 = 0.05;
/// The figures a gate may ask for.
const METRICS: [&str; 4] = ["ndcg@10", "recall@10", "mrr@10", "hit_rate@10"];

/// Reads the recipe of the file `<stem>.toml`; `stages` are those of the journey, none if it could
/// not be read.
pub(super) fn read(document: &Document<'_>, stem: &str, stages: &[String]) -> Option<Recipe> {
    let before = document.faulty();
    let table = document.parse()?;
    let whole = Section::whole(document, table.get_ref());
    whole.only(&[
        "stage",
        "description",
        "outcome",
        "candidates",
        "ranking",
        "answer",
        "offers",
        "gate",
    ]);
    let stage = whole.text("stage", &format!("{stem:?}"));
    if let Some(stage) = stage {
        check_stage(&whole, stage, stem, stages);
    }
    let description = whole.text("description", "\"what it is for, in a sentence\"");
    let outcome = whole
        .section("outcome", "[outcome]")
        .and_then(|section| read_outcome(&section));
    let candidates = whole
        .section("candidates", "[candidates]")
        .and_then(|section| read_candidates(&section));
    let ranking = whole
        .section("ranking", "[ranking]")
        .and_then(|section| read_ranking(&section));
    let answer = match whole.has("answer") {
        true => whole
            .section("answer", "[answer]")
            .and_then(|section| read_answer(&section)),
        false => Some(AnswerRules::default()),
    };
    let offers = match whole.has("offers") {
        true => whole
            .section("offers", "[offers]")
            .and_then(|section| read_offers(&section)),
        false => Some(OfferRules::default()),
    };
    let gate = whole
        .section("gate", "[gate]")
        .and_then(|section| read_gate(&section));
    let (outcome, within_days) = outcome?;
    let (limit, sources) = candidates?;
    let (ranker, features) = ranking?;
    let (baselines, metric) = gate?;
    let recipe = Recipe {
        stage: stage?.value.to_owned(),
        description: description?.value.to_owned(),
        outcome,
        within_days,
        limit,
        sources: sources
            .iter()
            .map(|(source, most, _)| (*source, *most))
            .collect(),
        blend: sources
            .iter()
            .map(|(source, _, weight)| (*source, *weight))
            .collect(),
        ranker,
        features,
        answer: answer?,
        offers: offers?,
        baselines,
        metric,
    };
    (document.faulty() == before).then_some(recipe)
}

fn check_stage(whole: &Section<'_>, stage: At<&str>, stem: &str, stages: &[String]) {
    let names: Vec<&str> = stages.iter().map(String::as_str).collect();
    if !names.is_empty() && !names.contains(&stage.value) {
        let right = suggestion(stage.value, &names);
        let message = format!("the journey has no stage {:?}; {right}", stage.value);
        whole.fault(stage.line, message);
    } else if stage.value != stem {
        let message = format!(
            "the recipe of {:?} must be in {}.toml; this file is for {stem:?}",
            stage.value, stage.value
        );
        whole.fault(stage.line, message);
    }
}

fn read_outcome(section: &Section<'_>) -> Option<(EventKind, f64)> {
    section.only(&["event", "within"]);
    let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let event = section
        .text("event", "\"purchase\"")
        .and_then(|text| one(section, "event", text, EventKind::from_name, &names));
    if let Some(event) = event.filter(|event| !event.needs_product()) {
        let name = event.as_str();
        section.fault(
            section.line_of("event"),
            format!("{name} is about no product: nothing could be learned from it"),
        );
    }
    if !section.has("within") {
        section.fault(section.line, "missing in [outcome]: within = \"28d\"");
    }
    let within = section.duration("within")?;
    let days = within.value as f64 / DAY_MS as f64;
    if days > MAX_OUTCOME_DAYS {
        let message = format!("within must be at most {MAX_OUTCOME_DAYS} days");
        section.fault(within.line, message);
    }
    Some((event?, days))
}

type Sources = Vec<(Source, usize, f64)>;

fn read_candidates<'a>(section: &Section<'a>) -> Option<(usize, Sources)> {
    section.only(&["limit", "sources"]);
    let limit = need_count(section, "limit", "300");
    let names: Vec<&str> = Source::ALL.iter().map(|source| source.as_str()).collect();
    let table = section.section("sources", "[candidates.sources]")?;
    let mut sources = Vec::new();
    for key in table.keys() {
        let Some(source) = one(&table, "source", key, Source::from_name, &names) else {
            continue;
        };
        let Some(entry) = table.section(key.value, key.value) else {
            continue;
        };
        entry.only(&["candidates", "weight"]);
        let candidates = need_count(&entry, "candidates", "100");
        if !entry.has("weight") {
            let name = key.value;
            entry.fault(entry.line, format!("missing in {name}: weight = 1.0"));
        }
        let weight = entry.number("weight", 0.0, MAX_WEIGHT);
        if let (Some(candidates), Some(weight)) = (candidates, weight) {
            sources.push((source, candidates, weight.value));
        }
    }
    if table.keys().is_empty() {
        let message = "no source: personal = { candidates = 100, weight = 1.0 }";
        table.fault(table.line, message);
    } else if !sources.is_empty() && sources.iter().all(|(_, _, weight)| *weight <= 0.0) {
        table.fault(table.line, "at least one source needs a weight above 0");
    }
    // the order in the file means nothing, so it must change nothing
    sources.sort_by_key(|(source, _, _)| *source);
    Some((limit?, sources))
}

fn need_count(section: &Section<'_>, key: &str, example: &str) -> Option<usize> {
    if !section.has(key) {
        section.fault(section.line, format!("missing: {key} = {example}"));
    }
    section.count(key, 1..MAX_CANDIDATES + 1).map(|at| at.value)
}

fn read_ranking(section: &Section<'_>) -> Option<(Ranker, Vec<String>)> {
    section.only(&["ranker", "features"]);
    let names: Vec<&str> = Ranker::ALL.iter().map(|ranker| ranker.as_str()).collect();
    let ranker = section
        .text("ranker", "\"logistic\"")
        .and_then(|text| one(section, "ranker", text, Ranker::from_name, &names));
    Some((ranker?, read_features(section)?))
}

/// `"all"`, or a list of names; in the order of the columns either way.
fn read_features(section: &Section<'_>) -> Option<Vec<String>> {
    let every = || {
        features::NAMES
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    };
    if section.is_text("features", "all") {
        return Some(every());
    }
    if !section.has("features") {
        section.fault(section.line, "missing in [ranking]: features = \"all\"");
        return None;
    }
    if section.is_any_text("features") {
        let message = "features must be \"all\" or a list of names";
        section.fault(section.line_of("features"), message);
        return None;
    }
    let texts = section.texts("features")?;
    if texts.is_empty() {
        section.fault(
            section.line,
            "features must be \"all\" or name at least one",
        );
    }
    let known = |name: &str| features::NAMES.iter().position(|own| *own == name);
    let mut places = section.named("feature", &texts, known, features::NAMES);
    places.sort_unstable();
    Some(
        places
            .iter()
            .map(|place| features::NAMES[*place].to_owned())
            .collect(),
    )
}

fn read_answer(section: &Section<'_>) -> Option<AnswerRules> {
    section.only(&["most_of_category", "explore"]);
    let or = |key: &str, least: f64, default: f64| match section.has(key) {
        true => section.number(key, least, 1.0).map(|at| at.value),
        false => Some(default),
    };
    let default = AnswerRules::default();
    let most_of_category = or(
        "most_of_category",
        MIN_OF_CATEGORY,
        default.most_of_category,
    );
    let explore = or("explore", 0.0, default.explore);
    Some(AnswerRules {
        most_of_category: most_of_category?,
        explore: explore?,
    })
}

fn read_offers(section: &Section<'_>) -> Option<OfferRules> {
    section.only(&["max", "objective", "assumed_gain", "explore"]);
    let default = OfferRules::default();
    let max = match section.has("max") {
        true => section.count("max", 0..MAX_OFFERS + 1).map(|at| at.value),
        false => Some(default.max),
    };
    let names: Vec<&str> = OfferObjective::ALL.iter().map(|o| o.as_str()).collect();
    let objective = match section.has("objective") {
        true => section.text("objective", "\"value\"").and_then(|text| {
            one(
                section,
                "objective",
                text,
                OfferObjective::from_name,
                &names,
            )
        }),
        false => Some(default.objective),
    };
    let assumed_gain = match section.has("assumed_gain") {
        true => section
            .number("assumed_gain", 0.0, MAX_GAIN)
            .and_then(|at| Micros::from_units(at.value).ok()),
        false => Some(default.assumed_gain),
    };
    let explore = match section.has("explore") {
        true => section.number("explore", 0.0, 1.0).map(|at| at.value),
        false => Some(default.explore),
    };
    Some(OfferRules {
        max: max?,
        objective: objective?,
        assumed_gain: assumed_gain?,
        explore: explore?,
    })
}

fn read_gate(section: &Section<'_>) -> Option<(Vec<Baseline>, String)> {
    section.only(&["baselines", "metric"]);
    let names: Vec<&str> = Baseline::ALL
        .iter()
        .map(|baseline| baseline.as_str())
        .collect();
    if !section.has("baselines") {
        let message = "missing in [gate]: baselines = [\"popularity\"]";
        section.fault(section.line, message);
    }
    let metric = section.text("metric", "\"ndcg@10\"").and_then(|text| {
        let known = |name: &str| METRICS.iter().find(|metric| **metric == name);
        one(section, "figure", text, known, &METRICS)
    });
    let texts = section.texts("baselines")?;
    if texts.is_empty() {
        let message = "baselines must name at least one: what beats nothing proves nothing";
        section.fault(section.line_of("baselines"), message);
    }
    let baselines = section.named("baseline", &texts, Baseline::from_name, &names);
    Some((baselines, (*metric?).to_owned()))
}

fn one<T>(
    section: &Section<'_>,
    what: &str,
    text: At<&str>,
    parse: impl Fn(&str) -> Option<T>,
    names: &[&str],
) -> Option<T> {
    section.named(what, &[text], parse, names).pop()
}
