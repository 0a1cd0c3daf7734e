//! What sets a persona apart, in numbers and in words.

use serde::{Deserialize, Serialize};

use super::{FittedPersonas, Persona, Scale, Space};

/// A persona is told by at most so many traits.
const MAX_TRAITS: usize = 8;
/// Its description names at most so many.
const DESCRIBED: usize = 4;
/// What is fewer deviations away from all customers sets nobody apart.
const LEAST_DEVIATION: f64 = 0.25;

/// What sets a persona apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trait {
    /// The column.
    pub feature: String,
    /// In words.
    pub text: String,
    /// What its customers have of it.
    pub value: f64,
    /// What all customers have of it.
    pub mean: f64,
    /// How far apart they are, in deviations of all customers.
    pub deviation: f64,
    /// How much it counts: the deviation, as far as the column can be relied on.
    weight: f64,
    /// The name of who is like this.
    who: String,
}

/// The traits of a persona, the most telling first.
pub(super) fn of(space: &Space, persona: &Persona) -> Vec<Trait> {
    let mut traits: Vec<Trait> = (0..space.columns.len())
        .filter_map(|place| {
            let column = &space.columns[place];
            let deviation = persona.centre[place];
            let side = usize::from(deviation < 0.0);
            let is_told = deviation.abs() >= LEAST_DEVIATION && !column.words[side].is_empty();
            let reliability = space.credibility[place].reliability.sqrt();
            is_told.then(|| Trait {
                feature: column.name.clone(),
                text: column.words[side].clone(),
                value: space.natural(place, deviation),
                mean: space.natural(place, 0.0),
                deviation,
                weight: deviation.abs() * reliability,
                who: column.who[side].clone(),
            })
        })
        .collect();
    traits.sort_by(|a, b| {
        b.weight
            .total_cmp(&a.weight)
            .then(a.feature.cmp(&b.feature))
    });
    traits.truncate(MAX_TRAITS);
    traits
}

impl Space {
    /// As people count it: back from what was standardised and evened.
    fn natural(&self, place: usize, z: f64) -> f64 {
        let column = &self.columns[place];
        let evened = z * self.deviations[place] + self.means[place];
        let value = match column.scale {
            Scale::Plain => evened,
            Scale::Rate => (evened.exp() - self.rate_floor(place)).max(0.0),
            Scale::Share | Scale::Part => evened.max(0.0).powi(2),
        };
        if column.is_log { value.exp() } else { value }
    }
}

impl FittedPersonas {
    /// Gives names to those that have none, and describes all.
    pub(super) fn name(&mut self) {
        for place in 0..self.personas.len() {
            let persona = &self.personas[place];
            if persona.id.is_empty() {
                self.personas[place].id = format!("persona-{}", self.next_id);
                self.next_id += 1;
            }
            if self.personas[place].name.is_empty() {
                let others: Vec<&str> = self.personas.iter().map(|other| &*other.name).collect();
                self.personas[place].name = named(&self.personas[place], &others);
            }
            let persona = &mut self.personas[place];
            persona.description = described(&persona.traits);
        }
    }
}

/// A name for a persona that no other one has: who has its first trait; or its first two; or its id.
#[must_use]
pub fn named(persona: &Persona, taken: &[&str]) -> String {
    let is_free = |name: &String| !name.is_empty() && !taken.contains(&&**name);
    let who = persona.traits.iter().filter(|told| !told.who.is_empty());
    let mut first = who.clone().map(|told| told.who.clone());
    let both = who.flat_map(|told| {
        let others = persona
            .traits
            .iter()
            .filter(|other| other.feature != told.feature);
        others.map(|other| format!("{}: {}", told.who, other.text))
    });
    let found = first
        .find(is_free)
        .or_else(|| both.into_iter().find(is_free));
    found.unwrap_or_else(|| persona.id.clone())
}

fn described(traits: &[Trait]) -> String {
    let words: Vec<&str> = traits
        .iter()
        .take(DESCRIBED)
        .map(|told| &*told.text)
        .collect();
    match words.split_first() {
        None => "Like all customers.".to_owned(),
        Some((first, rest)) => {
            let mut text: String = first.chars().take(1).flat_map(char::to_uppercase).collect();
            text.extend(first.chars().skip(1));
            for word in rest {
                text.push_str("; ");
                text.push_str(word);
            }
            text.push('.');
            text
        }
    }
}
