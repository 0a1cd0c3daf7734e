//! The recipes: the journey, one recipe for each of its stages, and a model card beside each. Every
//! fault is found at once, with its file, its line and what would be right.

use std::fmt;

use crate::application::error::AppError;
use crate::application::expression::Expression;
use crate::domain::{Journey, Places, Recipe, StageIndex, Touchpoint};

mod journey;
mod places;
mod reading;
mod stage;
mod suggestions;

use reading::Document;

pub use suggestions::{Suggestion, suggested};

/// The file of the journey.
pub const JOURNEY_FILE: &str = "journey.toml";
/// The largest file of a recipe or card, in bytes.
pub const MAX_RECIPE_BYTES: u64 = 1 << 20;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../models/", $name)))),*]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "journey.toml",
    "awareness.toml",
    "awareness.md",
    "consideration.toml",
    "consideration.md",
    "decision.toml",
    "decision.md",
    "purchase.toml",
    "purchase.md",
    "retention.toml",
    "retention.md",
    "advocacy.toml",
    "advocacy.md",
];

/// A file of the folder `models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeFile {
    /// Its name within the folder: `decision.toml`.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Something wrong in a file of the folder `models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeFault {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 if the file is not there.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for RecipeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Everything wrong in the folder `models`, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RecipeFaults(pub Vec<RecipeFault>);

/// Customers who have something in common, by an expression.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What offers call it.
    pub name: String,
    /// The expression over `customer` as it was written.
    pub text: String,
    /// The same, compiled.
    pub expression: Expression,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.text) == (&other.name, &other.text)
    }
}

impl Segment {
    /// Compiles what says who is in it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn compile(text: &str) -> Result<Expression, String> {
        match Expression::segment(text) {
            Ok(Some(expression)) => Ok(expression),
            Ok(None) => Err("must not be blank".to_owned()),
            Err(AppError::InvalidExpression { reason, .. }) => Err(reason),
            Err(other) => Err(other.to_string()),
        }
    }
}

/// The journey and the recipes of its stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipes {
    /// The journey.
    pub journey: Journey,
    /// The touchpoints of each stage, in the order of [`Journey::stages`].
    pub touchpoints: Vec<Vec<Touchpoint>>,
    /// What the journey map needs besides the rules.
    pub places: Places,
    /// The segments that offers may name.
    pub segments: Vec<Segment>,
    /// What to try where people are lost.
    pub suggestions: Vec<Suggestion>,
    /// The recipe of each stage, in the order of [`Journey::stages`].
    pub stages: Vec<Recipe>,
    /// The model card of each stage, in the order of [`Journey::stages`].
    pub cards: Vec<String>,
    /// The files they come from, as they were read.
    pub files: Vec<RecipeFile>,
}

impl Recipes {
    /// The recipes that come with the program.
    ///
    /// # Errors
    /// None in a program that passed its tests.
    pub fn embedded() -> Result<Self, RecipeFaults> {
        Self::parse(&embedded_files())
    }

    /// Parses the files of a folder; `*.toml` and `*.md` count.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(files: &[RecipeFile]) -> Result<Self, RecipeFaults> {
        let mut faults = Vec::new();
        let journey = parse_journey(files, &mut faults);
        let names = journey.as_ref().map_or_else(Vec::new, |(journey, ..)| {
            journey.stages.iter().map(|s| s.name.clone()).collect()
        });
        let suggestions = match &journey {
            Some((journey, ..)) => parse_suggestions(files, journey, &mut faults),
            None => Vec::new(),
        };
        let mut recipes: Vec<Recipe> = Vec::new();
        for file in files {
            let Some(stem) = file.name.strip_suffix(".toml") else {
                continue;
            };
            if file.name == JOURNEY_FILE {
                continue;
            }
            let document = Document::new(&file.name, &file.text);
            recipes.extend(stage::read(&document, stem, &names));
            faults.extend(document.into_faults());
        }
        let mut stages = Vec::new();
        let mut cards = Vec::new();
        for name in &names {
            require_recipe(files, name, &mut faults);
            cards.extend(card(files, name, &mut faults));
            stages.extend(recipes.iter().find(|r| r.stage == *name).cloned());
        }
        match journey {
            Some((journey, touchpoints, segments, places)) if faults.is_empty() => Ok(Self {
                journey,
                touchpoints,
                places,
                segments,
                suggestions,
                stages,
                cards,
                files: files.to_vec(),
            }),
            _ => {
                let order = |fault: &RecipeFault| (fault.file != JOURNEY_FILE, fault.file.clone());
                faults.sort_by_key(|fault| (order(fault), fault.line));
                Err(RecipeFaults(faults))
            }
        }
    }

    /// The recipe of a stage.
    #[must_use]
    pub fn stage(&self, stage: StageIndex) -> Option<&Recipe> {
        self.stages.get(usize::from(stage.0))
    }

    /// The stage a touchpoint belongs to.
    #[must_use]
    pub fn stage_of(&self, touchpoint: &Touchpoint) -> Option<StageIndex> {
        let place = self
            .touchpoints
            .iter()
            .position(|own| own.contains(touchpoint))?;
        u8::try_from(place).ok().map(StageIndex)
    }
}

/// The files that come with the program: what `Recipes::embedded` parses, and a start for own ones.
#[must_use]
pub fn embedded_files() -> Vec<RecipeFile> {
    EMBEDDED
        .iter()
        .map(|(name, text)| RecipeFile {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect()
}

fn parse_journey(files: &[RecipeFile], faults: &mut Vec<RecipeFault>) -> Option<journey::Read> {
    let Some(file) = files.iter().find(|file| file.name == JOURNEY_FILE) else {
        let message = "is missing; it says which stages there are and who stands where";
        faults.push(missing(JOURNEY_FILE, message));
        return None;
    };
    let document = Document::new(&file.name, &file.text);
    let journey = journey::read(&document);
    faults.extend(document.into_faults());
    journey
}

fn parse_suggestions(
    files: &[RecipeFile],
    journey: &Journey,
    faults: &mut Vec<RecipeFault>,
) -> Vec<Suggestion> {
    let Some(file) = files.iter().find(|file| file.name == JOURNEY_FILE) else {
        return Vec::new();
    };
    let document = Document::new(&file.name, &file.text);
    let suggestions = suggestions::read(&document, journey);
    faults.extend(document.into_faults());
    suggestions
}

fn require_recipe(files: &[RecipeFile], stage: &str, faults: &mut Vec<RecipeFault>) {
    let name = format!("{stage}.toml");
    if !files.iter().any(|file| file.name == name) {
        let message = format!("is missing; every stage of {JOURNEY_FILE} needs a recipe");
        faults.push(missing(&name, &message));
    }
}

fn card(files: &[RecipeFile], stage: &str, faults: &mut Vec<RecipeFault>) -> Option<String> {
    let name = format!("{stage}.md");
    let found = files.iter().find(|file| file.name == name);
    let card = found.filter(|file| !file.text.trim().is_empty());
    if card.is_none() {
        let message = "is missing or empty; every recipe needs a model card that says what it is \
                       for and how it was judged";
        faults.push(missing(&name, message));
    }
    card.map(|file| file.text.clone())
}

fn missing(file: &str, message: &str) -> RecipeFault {
    RecipeFault {
        file: file.to_owned(),
        line: 0,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::features;

    #[test]
    fn the_embedded_recipes_are_right() {
        let recipes = Recipes::embedded().unwrap();
        let names: Vec<&str> = recipes.journey.stages.iter().map(|s| &*s.name).collect();
        let stages = [
            "awareness",
            "consideration",
            "decision",
            "purchase",
            "retention",
            "advocacy",
        ];
        assert_eq!(names, stages);
        for (i, name) in stages.iter().enumerate() {
            let recipe = &recipes.stages[i];
            assert_eq!(recipe.stage, *name);
            assert_eq!(recipe.features, features::NAMES);
            assert!(recipes.cards[i].contains("docs/quality.md"));
            assert!(!recipes.touchpoints[i].is_empty());
        }
        let cart = Touchpoint::parse("cart").unwrap();
        assert_eq!(recipes.stage_of(&cart), Some(StageIndex(2)));
    }
}
