//! `journey.toml`: `channels` and `[[touchpoint]]`, what the journey map needs besides the rules.

use super::journey::read_kinds;
use super::reading::{At, Section};
use crate::domain::id::{MAX_NAME_BYTES, check};
use crate::domain::journey::KindSet;
use crate::domain::places::{Described, MAX_TOUCHPOINTS};
use crate::domain::{EventKind, Places, Touchpoint};

pub(super) fn read(
    whole: &Section<'_>,
    stages: &[Vec<Touchpoint>],
    horizons_ms: Vec<i64>,
) -> Places {
    let own = |own: &Vec<Touchpoint>| own.iter().map(|name| name.as_str().into()).collect();
    let channels = whole.texts("channels").unwrap_or_default();
    let sections = match whole.has("touchpoint") {
        true => whole.sections("touchpoint", "[[touchpoint]]"),
        false => Vec::new(),
    };
    if sections.len() > MAX_TOUCHPOINTS {
        let count = sections.len();
        let message = format!("{count} [[touchpoint]]; at most {MAX_TOUCHPOINTS} are taken");
        whole.fault(1, message);
    }
    let mut taken = Taken::default();
    let described: Vec<Described> = sections
        .iter()
        .take(MAX_TOUCHPOINTS)
        .filter_map(|section| read_one(section, &mut taken))
        .collect();
    for described in &described {
        // an event that calls itself so counts there: it cannot be two touchpoints
        for (alias, line) in taken.aliases.iter().filter(|(a, _)| **a == *described.name) {
            let message = format!("the alias {alias:?} is the name of a touchpoint");
            whole.fault(*line, message);
        }
    }
    Places {
        horizons_ms,
        channels: valid(whole, "channels", &channels),
        touchpoints: described,
        homes: stages.iter().map(own).collect(),
    }
}

/// What other touchpoints have taken already.
#[derive(Default)]
struct Taken {
    names: Vec<Box<str>>,
    kinds: Vec<EventKind>,
    aliases: Vec<(Box<str>, usize)>,
}

fn read_one(section: &Section<'_>, taken: &mut Taken) -> Option<Described> {
    section.only(&["name", "events", "aliases"]);
    let name = section.text("name", "\"product_page\"");
    let kinds = read_kinds(section, "events").map_or_else(Vec::new, |(kinds, _)| kinds);
    let aliases = section.texts("aliases").unwrap_or_default();
    for kind in &kinds {
        if taken.kinds.contains(kind) {
            let kind = kind.as_str();
            let message = format!("events: {kind} happens at another touchpoint already");
            section.fault(section.line_of("events"), message);
        }
    }
    taken.kinds.extend(&kinds);
    for alias in &aliases {
        if taken
            .aliases
            .iter()
            .any(|(other, _)| **other == *alias.value)
        {
            let message = format!("the alias {:?} is there twice", alias.value);
            section.fault(alias.line, message);
        }
        taken.aliases.push((alias.value.into(), alias.line));
    }
    let name = name?;
    if let Err((_, reason)) = check(name.value, MAX_NAME_BYTES) {
        section.fault(name.line, format!("name: {reason}"));
    } else if taken.names.iter().any(|other| **other == *name.value) {
        let message = format!("the touchpoint {:?} is described twice", name.value);
        section.fault(name.line, message);
    }
    taken.names.push(name.value.into());
    Some(Described {
        name: name.value.into(),
        kinds: KindSet::of(&kinds),
        aliases: valid(section, "aliases", &aliases),
    })
}

/// Names that events can carry.
fn valid(section: &Section<'_>, key: &str, texts: &[At<&str>]) -> Vec<Box<str>> {
    let mut names = Vec::new();
    for text in texts {
        match check(text.value, MAX_NAME_BYTES) {
            Ok(()) => names.push(text.value.into()),
            Err((_, reason)) => section.fault(text.line, format!("{key}: {reason}")),
        }
    }
    names
}
