//! What the field suggests to try where people are lost: `[[suggestion]]` of `journey.toml`.

use super::reading::{At, Document, Section};
use crate::application::spelling;
use crate::domain::{Journey, Touchpoint};

/// The most suggestions.
const MAX_SUGGESTIONS: usize = 200;
/// The most texts of one.
const MAX_TEXTS: usize = 10;
/// The longest text, in bytes.
const MAX_TEXT_BYTES: usize = 300;

/// What may help at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The stage; absent: any.
    pub stage: Option<String>,
    /// The touchpoint; absent: any. It need not be one that a stage names: events carry others, too.
    pub touchpoint: Option<String>,
    /// What to try.
    pub texts: Vec<String>,
}

/// What may help at this place, the most particular first: for the touchpoint in this stage, for the touchpoint, for
/// the stage.
#[must_use]
pub fn suggested<'a>(all: &'a [Suggestion], stage: &str, touchpoint: &str) -> Vec<&'a str> {
    let fits = |own: &Option<String>, name: &str| own.as_deref().is_none_or(|own| own == name);
    let mut fitting: Vec<&Suggestion> = all
        .iter()
        .filter(|one| fits(&one.stage, stage) && fits(&one.touchpoint, touchpoint))
        .collect();
    fitting.sort_by_key(|one| match (&one.touchpoint, &one.stage) {
        (Some(_), Some(_)) => 0,
        (Some(_), None) => 1,
        _ => 2,
    });
    let mut texts: Vec<&str> = Vec::new();
    for text in fitting.iter().flat_map(|one| &one.texts) {
        if !texts.contains(&text.as_str()) {
            texts.push(text);
        }
    }
    texts
}

/// Reads them; everything else in the file is read elsewhere.
pub(super) fn read(document: &Document<'_>, journey: &Journey) -> Vec<Suggestion> {
    let Some(table) = document.parse() else {
        return Vec::new();
    };
    let whole = Section::whole(document, table.get_ref());
    if !whole.has("suggestion") {
        return Vec::new();
    }
    let sections = whole.sections("suggestion", "[[suggestion]]");
    if sections.len() > MAX_SUGGESTIONS {
        let count = sections.len();
        let message = format!("{count} suggestions; at most {MAX_SUGGESTIONS} are taken");
        whole.fault(1, message);
    }
    let sections = sections.iter().take(MAX_SUGGESTIONS);
    sections
        .filter_map(|section| read_one(section, journey))
        .collect()
}

fn read_one(section: &Section<'_>, journey: &Journey) -> Option<Suggestion> {
    section.only(&["stage", "touchpoint", "texts"]);
    let named = |key: &str, example: &str| match section.has(key) {
        true => section.text(key, example),
        false => None,
    };
    let stage = named("stage", "\"decision\"");
    let touchpoint = named("touchpoint", "\"checkout\"");
    if !section.has("stage") && !section.has("touchpoint") {
        let message =
            "missing in [[suggestion]]: stage = \"decision\" or touchpoint = \"checkout\"";
        section.fault(section.line, message);
    }
    if let Some(stage) = stage.filter(|stage| journey.stage(stage.value).is_none()) {
        let names: Vec<&str> = journey.stages.iter().map(|one| one.name.as_str()).collect();
        let right = spelling::suggestion(stage.value, &names);
        let name = stage.value;
        section.fault(stage.line, format!("there is no stage {name:?}; {right}"));
    }
    if let Some(touchpoint) = touchpoint
        && let Err((_, reason)) = Touchpoint::parse(touchpoint.value)
    {
        section.fault(touchpoint.line, format!("touchpoint: {reason}"));
    }
    if !section.has("texts") {
        let message = "missing in [[suggestion]]: texts = [\"show the shipping cost early\"]";
        section.fault(section.line, message);
    }
    let texts = section.texts("texts")?;
    check_texts(section, &texts);
    let owned = |at: At<&str>| at.value.to_owned();
    Some(Suggestion {
        stage: stage.map(owned),
        touchpoint: touchpoint.map(owned),
        texts: texts.into_iter().map(owned).collect(),
    })
}

fn check_texts(section: &Section<'_>, texts: &[At<&str>]) {
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        let message = format!("texts must be 1 to {MAX_TEXTS}");
        section.fault(section.line_of("texts"), message);
    }
    for text in texts {
        let length = text.value.len();
        if text.value.trim().is_empty() {
            section.fault(text.line, "a text must not be blank");
        } else if length > MAX_TEXT_BYTES {
            let message = format!("a text has {length} bytes; at most {MAX_TEXT_BYTES} are taken");
            section.fault(text.line, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::recipes::{Recipes, embedded_files};

    fn faults(text: &str) -> Vec<(usize, String)> {
        let mut files = embedded_files();
        let file = &mut files[0];
        let lines = file.text.lines().count();
        file.text.push_str(text);
        let faults = Recipes::parse(&files).unwrap_err().0;
        let line = |line: usize| line.saturating_sub(lines);
        faults
            .into_iter()
            .map(|fault| (line(fault.line), fault.message))
            .collect()
    }

    fn check(text: &str, line: usize, right: &str) {
        let found = faults(text);
        assert!(
            found.len() == 1 && found[0].0 == line && found[0].1.contains(right),
            "{found:?}"
        );
    }

    #[test]
    fn every_fault_has_its_line() {
        check("[[suggestion]]\ntexts = [\"a\"]\n", 1, "stage = ");
        check(
            "[[suggestion]]\nstage = \"decison\"\ntexts = [\"a\"]\n",
            2,
            "\"decision\"",
        );
        check(
            "[[suggestion]]\ntouchpoint = \"\"\ntexts = [\"a\"]\n",
            2,
            "touchpoint",
        );
        check("[[suggestion]]\ntouchpoint = \"cart\"\n", 1, "texts = ");
        check(
            "[[suggestion]]\ntouchpoint = \"cart\"\ntexts = []\n",
            3,
            "1 to 10",
        );
        check(
            "[[suggestion]]\nstage = \"decision\"\ntexts = [\" \"]\n",
            3,
            "blank",
        );
        check(
            "[[suggestion]]\nstage = \"decision\"\ntext = [\"a\"]\ntexts = [\"a\"]\n",
            3,
            "texts",
        );
        let long = format!(
            "[[suggestion]]\nstage = \"decision\"\ntexts = [\"{}\"]\n",
            "a".repeat(301)
        );
        check(&long, 3, "301 bytes");
        assert!(
            !faults(&"[[suggestion]]\nstage = \"decision\"\ntexts = [\"a\"]\n".repeat(201))
                .is_empty()
        );
    }

    #[test]
    fn the_most_particular_comes_first_and_every_stage_has_some() {
        let recipes = Recipes::embedded().unwrap();
        for stage in &recipes.journey.stages {
            assert!(!suggested(&recipes.suggestions, &stage.name, "unheard_of").is_empty());
        }
        let one = |stage: Option<&str>, touchpoint: Option<&str>, text: &str| Suggestion {
            stage: stage.map(str::to_owned),
            touchpoint: touchpoint.map(str::to_owned),
            texts: vec![text.to_owned(), "both".to_owned()],
        };
        let all = [
            one(Some("decision"), None, "stage"),
            one(None, Some("cart"), "touchpoint"),
            one(Some("decision"), Some("cart"), "place"),
            one(Some("decision"), Some("checkout"), "other"),
        ];
        assert_eq!(
            suggested(&all, "decision", "cart"),
            ["place", "both", "touchpoint", "stage"]
        );
        assert!(suggested(&all, "retention", "email").is_empty());
    }
}
