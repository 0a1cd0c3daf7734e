//! `journey.toml`: the stages, their touchpoints, and the rules.

use super::Segment;
use super::places;
use super::reading::{At, Document, MAX_DURATION_MS, Section};
use crate::application::spelling::suggestion;
use crate::domain::id::{MAX_NAME_BYTES, check};
use crate::domain::journey::{KindSet, MAX_STAGES, Recovery, Rule, Stage};
use crate::domain::places::DEFAULT_HORIZON_MS;
use crate::domain::{EventKind, HealthBounds, Journey, Places, StageIndex, Touchpoint};

/// The most segments.
const MAX_SEGMENTS: usize = 100;
/// The most rules.
const MAX_RULES: usize = 64;
/// The most events one rule may ask for.
const MAX_AT_LEAST: usize = 1_000;
/// The bounds of health, in usual gaps.
const HEALTH_RANGE: (f64, f64) = (0.1, 100.0);
/// The longest name of a stage, in bytes; it is also the name of a file.
const MAX_STAGE_NAME_BYTES: usize = 32;

struct Named<'a> {
    stages: Vec<Stage>,
    touchpoints: Vec<Vec<Touchpoint>>,
    horizons_ms: Vec<i64>,
    names: Vec<At<&'a str>>,
}

/// A journey, the touchpoints of its stages, the segments, and what the map needs besides.
pub(super) type Read = (Journey, Vec<Vec<Touchpoint>>, Vec<Segment>, Places);

pub(super) fn read(document: &Document<'_>) -> Option<Read> {
    let before = document.faulty();
    let table = document.parse()?;
    let whole = Section::whole(document, table.get_ref());
    whole.only(&[
        "otherwise",
        "stage",
        "rule",
        "segment",
        "channels",
        "touchpoint",
        "recovery",
        "health",
        "suggestion",
    ]);
    let named = read_stages(&whole);
    let otherwise = whole
        .text("otherwise", "\"awareness\"")
        .and_then(|name| find_stage(&whole, &named, name));
    let sections = whole.sections("rule", "[[rule]]");
    if sections.len() > MAX_RULES {
        let count = sections.len();
        whole.fault(1, format!("{count} rules; at most {MAX_RULES} are taken"));
    }
    let rules: Vec<Rule> = sections
        .iter()
        .filter_map(|section| read_rule(section, &named))
        .collect();
    warn_unreachable(&whole, &named, &rules, otherwise, sections.len());
    let segments = read_segments(&whole);
    let places = places::read(&whole, &named.touchpoints, named.horizons_ms);
    let recovery = read_recovery(&whole);
    let health = read_health(&whole);
    let journey = Journey {
        stages: named.stages,
        rules,
        otherwise: otherwise?,
        recovery,
        health,
    };
    (document.faulty() == before).then_some((journey, named.touchpoints, segments, places))
}

fn read_stages<'a>(whole: &Section<'a>) -> Named<'a> {
    let mut named = Named {
        stages: Vec::new(),
        touchpoints: Vec::new(),
        horizons_ms: Vec::new(),
        names: Vec::new(),
    };
    let sections = whole.sections("stage", "[[stage]]");
    if sections.is_empty() || sections.len() > MAX_STAGES {
        let count = sections.len();
        let message = format!("{count} stages; there must be from 1 to {MAX_STAGES} [[stage]]");
        whole.fault(1, message);
    }
    let mut taken: Vec<Touchpoint> = Vec::new();
    for section in sections.iter().take(MAX_STAGES) {
        section.only(&["name", "aim", "touchpoints", "horizon"]);
        let horizon = section.duration("horizon");
        let aim = section.text("aim", "\"what the stage is for\"");
        let mut own = Vec::new();
        for text in section.texts("touchpoints").unwrap_or_default() {
            match Touchpoint::parse(text.value) {
                Ok(touchpoint) if taken.contains(&touchpoint) => {
                    let name = text.value;
                    section.fault(
                        text.line,
                        format!("the touchpoint {name:?} is there twice; it must have one stage"),
                    );
                }
                Ok(touchpoint) => {
                    taken.push(touchpoint.clone());
                    own.push(touchpoint);
                }
                Err((_, reason)) => section.fault(text.line, format!("touchpoints: {reason}")),
            }
        }
        let Some(name) = section.text("name", "\"awareness\"") else {
            continue;
        };
        check_name(section, &named, name);
        named.names.push(name);
        named.touchpoints.push(own);
        let horizon = horizon.map_or(DEFAULT_HORIZON_MS, |horizon| horizon.value);
        named.horizons_ms.push(horizon);
        named.stages.push(Stage {
            name: name.value.to_owned(),
            aim: aim.map_or_else(String::new, |aim| aim.value.to_owned()),
        });
    }
    named
}

fn read_segments(whole: &Section<'_>) -> Vec<Segment> {
    let sections = match whole.has("segment") {
        true => whole.sections("segment", "[[segment]]"),
        false => Vec::new(),
    };
    if sections.len() > MAX_SEGMENTS {
        let count = sections.len();
        whole.fault(
            1,
            format!("{count} segments; at most {MAX_SEGMENTS} are taken"),
        );
    }
    let mut segments: Vec<Segment> = Vec::new();
    for section in sections.iter().take(MAX_SEGMENTS) {
        section.only(&["name", "expression"]);
        let name = section.text("name", "\"bargain_hunters\"");
        let expression = section.text("expression", "\"customer.order_count > 2\"");
        let is_taken = |name: &str| segments.iter().any(|segment| segment.name == name);
        let name = name.filter(|name| {
            if let Err((_, reason)) = check(name.value, MAX_NAME_BYTES) {
                section.fault(name.line, format!("name: {reason}"));
            } else if is_taken(name.value) {
                let message = format!("the segment {:?} is there twice", name.value);
                section.fault(name.line, message);
            } else {
                return true;
            }
            false
        });
        let parsed = expression.and_then(|at| match Segment::compile(at.value) {
            Ok(expression) => Some((at.value, expression)),
            Err(reason) => {
                section.fault(at.line, format!("expression: {reason}"));
                None
            }
        });
        if let (Some(name), Some((text, expression))) = (name, parsed) {
            segments.push(Segment {
                name: name.value.trim().to_owned(),
                text: text.to_owned(),
                expression,
            });
        }
    }
    segments
}

fn check_name(section: &Section<'_>, named: &Named<'_>, name: At<&str>) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if let Err((_, reason)) = check(name.value, MAX_STAGE_NAME_BYTES) {
        section.fault(name.line, format!("name: {reason}"));
    } else if !name.value.bytes().all(plain) || name.value == "journey" {
        let message = "name must be of a-z, 0-9 and _, and not \"journey\": it names a file";
        section.fault(name.line, message);
    } else if named.names.iter().any(|other| other.value == name.value) {
        section.fault(
            name.line,
            format!("the stage {:?} is there twice", name.value),
        );
    }
}

fn find_stage(section: &Section<'_>, named: &Named<'_>, name: At<&str>) -> Option<StageIndex> {
    let place = named
        .stages
        .iter()
        .position(|stage| stage.name == name.value);
    if place.is_none() {
        let names: Vec<&str> = named.names.iter().map(|name| name.value).collect();
        let right = suggestion(name.value, &names);
        section.fault(
            name.line,
            format!("there is no stage {:?}; {right}", name.value),
        );
    }
    place
        .and_then(|place| u8::try_from(place).ok())
        .map(StageIndex)
}

fn read_rule(section: &Section<'_>, named: &Named<'_>) -> Option<Rule> {
    section.only(&[
        "stage",
        "events",
        "within",
        "from",
        "at_least",
        "after_last",
        "min_rating",
        "has_bought",
    ]);
    let stage = section
        .text("stage", "\"decision\"")
        .and_then(|name| find_stage(section, named, name));
    if !section.has("events") {
        section.fault(
            section.line,
            "missing in [[rule]]: events = [\"add_to_cart\"]",
        );
    }
    let kinds = read_kinds(section, "events");
    if kinds.as_ref().is_some_and(|(_, named)| *named == 0) {
        section.fault(
            section.line_of("events"),
            "events must name at least one event",
        );
    }
    let kinds = kinds.map_or_else(Vec::new, |(kinds, _)| kinds);
    let within = section
        .duration("within")
        .map_or(MAX_DURATION_MS, |at| at.value);
    let from = section.duration("from");
    if let Some(from) = from.filter(|from| from.value >= within) {
        section.fault(
            from.line,
            "from must be less than within: no event is that old",
        );
    }
    let after_last = read_kinds(section, "after_last");
    let at_least = section.count("at_least", 1..MAX_AT_LEAST + 1);
    Some(Rule {
        stage: stage?,
        kinds: KindSet::of(&kinds),
        from_ms: from.map_or(0, |at| at.value),
        within_ms: within,
        at_least: at_least.map_or(1, |at| at.value),
        after_last: KindSet::of(&after_last.map_or_else(Vec::new, |(kinds, _)| kinds)),
        min_rating: read_rating(section, &kinds),
        has_bought: section.flag("has_bought").map(|at| at.value),
    })
}

/// The kinds a key names, and how many names there are, wrong ones among them.
pub(super) fn read_kinds(section: &Section<'_>, key: &str) -> Option<(Vec<EventKind>, usize)> {
    let texts = section.texts(key)?;
    let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let kinds = section.named("event", &texts, EventKind::from_name, &names);
    Some((kinds, texts.len()))
}

/// The least rating, on the scale of the events.
fn read_rating(section: &Section<'_>, kinds: &[EventKind]) -> Option<f32> {
    if !section.has("min_rating") {
        return None;
    }
    let is_nps = |kind: &EventKind| *kind == EventKind::NpsResponse;
    let nps = kinds.iter().all(is_nps);
    let most = if nps { 10.0 } else { 5.0 };
    let rating = section.number("min_rating", 0.0, most)?;
    if let Some(unrated) = kinds.iter().find(|kind| kind.rating_scale().is_none()) {
        let name = unrated.as_str();
        section.fault(
            rating.line,
            format!("min_rating does not go with {name}, which has no rating; make two rules"),
        );
    } else if !nps && kinds.iter().any(is_nps) {
        let message = "min_rating means two scales here: give nps_response a rule of its own";
        section.fault(rating.line, message);
    }
    Some(rating.value as f32)
}

/// When somebody is to be won back; what is not said is as by default.
fn read_recovery(whole: &Section<'_>) -> Recovery {
    let usual = Recovery::default();
    if !whole.has("recovery") {
        return usual;
    }
    let Some(section) = whole.section("recovery", "[recovery]") else {
        return usual;
    };
    section.only(&["max_rating", "max_nps", "within"]);
    let rating = |key, most, usual: f32| {
        let at = section.number(key, 0.0, most);
        at.map_or(usual, |at| at.value as f32)
    };
    Recovery {
        max_rating: rating("max_rating", 5.0, usual.max_rating),
        max_nps: rating("max_nps", 10.0, usual.max_nps),
        within_ms: section
            .duration("within")
            .map_or(usual.within_ms, |at| at.value),
    }
}

/// When a buyer is due, at risk, lapsed; what is not said is as by default.
fn read_health(whole: &Section<'_>) -> HealthBounds {
    let usual = HealthBounds::default();
    if !whole.has("health") {
        return usual;
    }
    let Some(section) = whole.section("health", "[health]") else {
        return usual;
    };
    section.only(&["due", "at_risk", "lapsed", "usual_gap"]);
    let (least, most) = HEALTH_RANGE;
    // what is no number in range has its fault already, and is compared with nothing
    let read = |key, usual| match section.number(key, least, most) {
        Some(at) => Some(at.value),
        None => (!section.has(key)).then_some(usual),
    };
    let bounds = [
        ("due", read("due", usual.due)),
        ("at_risk", read("at_risk", usual.at_risk)),
        ("lapsed", read("lapsed", usual.lapsed)),
    ];
    for pair in bounds.windows(2) {
        let [(before, Some(low)), (after, Some(high))] = *pair else {
            continue;
        };
        if high > low {
            continue;
        }
        if section.has(after) {
            let message = format!("{after} must be more than {before}, {low}, not {high}");
            section.fault(section.line_of(after), message);
        } else {
            let message = format!("{before} must be less than {after}, {high}, not {low}");
            section.fault(section.line_of(before), message);
        }
    }
    let [due, at_risk, lapsed] = bounds.map(|(_, bound)| bound);
    HealthBounds {
        due: due.unwrap_or(usual.due),
        at_risk: at_risk.unwrap_or(usual.at_risk),
        lapsed: lapsed.unwrap_or(usual.lapsed),
        usual_gap_ms: section
            .duration("usual_gap")
            .map_or(usual.usual_gap_ms, |at| at.value),
    }
}

/// A stage nobody can ever be in is a slip: it would stay empty on the map without a word.
fn warn_unreachable(
    whole: &Section<'_>,
    named: &Named<'_>,
    rules: &[Rule],
    otherwise: Option<StageIndex>,
    sections: usize,
) {
    if rules.len() < sections || otherwise.is_none() {
        return;
    }
    for (place, name) in named.names.iter().enumerate() {
        let index = u8::try_from(place).ok().map(StageIndex);
        let reached = index == otherwise || rules.iter().any(|rule| Some(rule.stage) == index);
        if !reached {
            let name_text = name.value;
            whole.fault(
                name.line,
                format!("no rule leads to the stage {name_text:?}; add a [[rule]] or drop it"),
            );
        }
    }
}
