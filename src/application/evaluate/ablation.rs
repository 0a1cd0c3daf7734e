//! Leaving parts out of the recipes and of learning, to see what they are worth.

use crate::algorithms::features::{GROUPS, Group, NAMES};
use crate::application::spelling;
use crate::application::train::TrainSettings;
use crate::domain::{Recipe, Source};

/// The trees that correct the regression.
const TREES: &str = "trees";
/// The search for the settings of the sources.
const TUNING: &str = "tuning";

/// Parts that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ablation {
    /// Their names, as they were given.
    pub names: Vec<String>,
}

/// Names of no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct NoSuchPart(Vec<String>);

impl Ablation {
    /// Leaves out what has these names: a source with the features that speak of it alone, a group of features, the
    /// trees or the tuning.
    ///
    /// # Errors
    /// Every name of no part.
    pub fn of(names: &[String]) -> Result<Self, NoSuchPart> {
        let known = Self::known();
        let unknown = names.iter().filter(|name| !known.contains(&name.as_str()));
        let unknown: Vec<String> = unknown
            .map(|name| {
                format!(
                    "{name:?} is no part; {}",
                    spelling::suggestion(name, &known)
                )
            })
            .collect();
        if unknown.is_empty() {
            let names = names.to_vec();
            Ok(Self { names })
        } else {
            Err(NoSuchPart(unknown))
        }
    }

    /// The names of all parts.
    #[must_use]
    pub fn known() -> Vec<&'static str> {
        let mut known: Vec<&str> = Source::ALL.iter().map(|source| source.as_str()).collect();
        let groups = Group::ALL.iter().map(|group| group.as_str());
        known.extend(groups.filter(|name| Source::from_name(name).is_none()));
        known.extend([TREES, TUNING]);
        known
    }

    /// Takes the parts out of the recipes and of learning. A source that proposes nothing has no ranks either.
    pub fn apply(&self, recipes: &mut [Recipe], train: &mut TrainSettings) {
        let is_out = |name: &str| self.names.iter().any(|own| own == name);
        for recipe in recipes {
            recipe
                .sources
                .retain(|(source, _)| !is_out(source.as_str()));
            recipe.blend.retain(|(source, _)| !is_out(source.as_str()));
            let groups = NAMES.iter().zip(GROUPS);
            let out: Vec<&str> = groups
                .filter(|(_, group)| is_out(group.as_str()))
                .map(|(name, _)| *name)
                .collect();
            recipe.features.retain(|name| !out.contains(&name.as_str()));
        }
        if is_out(Source::Persona.as_str()) {
            train.with_personas = false;
        }
        if is_out(TREES) {
            train.with_trees = false;
        }
        if is_out(TUNING) {
            train.tuning_seconds = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::recipes::Recipes;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_left_out_is_gone_and_nothing_else() {
        let whole = Recipes::embedded().unwrap().stages;
        let mut recipes = whole.clone();
        let mut train = TrainSettings::default();
        let out = Ablation::of(&names(&["ease", "price", "trees", "tuning"])).unwrap();
        out.apply(&mut recipes, &mut train);
        assert!(!train.with_trees && train.tuning_seconds == 0);
        for (recipe, whole) in recipes.iter().zip(&whole) {
            assert_eq!(recipe.sources.len() + 1, whole.sources.len());
            assert!(
                recipe
                    .blend
                    .iter()
                    .all(|&(source, _)| source != Source::Ease)
            );
            let gone: Vec<&String> = whole
                .features
                .iter()
                .filter(|name| !recipe.features.contains(name))
                .collect();
            let price = [
                "dearer",
                "price_distance",
                "price_level",
                "price_level_x_own",
                "price_level_distance",
            ];
            assert_eq!(gone, [&price[..], &["ease", "new_x_ease"]].concat());
        }
        for name in Ablation::known() {
            let (mut recipes, mut train) = (whole.clone(), TrainSettings::default());
            Ablation::of(&names(&[name]))
                .unwrap()
                .apply(&mut recipes, &mut train);
            let same = recipes == whole && train == TrainSettings::default();
            assert!(!same, "{name} leaves nothing out");
        }
    }

    #[test]
    fn names_of_nothing_are_errors() {
        let error = Ablation::of(&names(&["eese", "ease", "everything"])).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("\"eese\" is no part; did you mean \"ease\"?"),
            "{error}"
        );
        assert!(
            error.contains("\"everything\" is no part; there are: personal"),
            "{error}"
        );
    }
}
