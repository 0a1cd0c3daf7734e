//! Which new persona is which old one, so that ids and names stay.
//!
//! Centres are compared as they were measured, in the old personas' space: by the columns both know, in the old
//! deviations and weights. The nearest pair is matched first, then the nearest of the rest. A pair is only matched if
//! the new centre is nearer to the old one than half the way from there to the next old one: then it is nearer to that
//! one than to any other, whatever happens to the rest.

use super::FittedPersonas;
use serde::{Deserialize, Serialize};

/// What became of the personas before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matched {
    /// The ids that stay.
    pub kept: Vec<String>,
    /// The ids that are new.
    pub new: Vec<String>,
    /// The ids that nobody is any more.
    pub gone: Vec<String>,
}

impl FittedPersonas {
    /// Takes ids and names over from the personas before; those that are new get ids that were never used.
    pub fn follow(&mut self, previous: &Self) -> Matched {
        let far = self.distances(previous);
        let limits: Vec<f64> = (0..previous.personas.len())
            .map(|old| previous.room(old))
            .collect();
        let mut pairs: Vec<(f64, usize, usize)> = far
            .iter()
            .enumerate()
            .flat_map(|(new, row)| {
                row.iter()
                    .enumerate()
                    .map(move |(old, &far)| (far, new, old))
            })
            .filter(|&(far, _, old)| far < limits[old])
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut of_new: Vec<Option<usize>> = vec![None; self.personas.len()];
        let mut taken = vec![false; previous.personas.len()];
        for (_, new, old) in pairs {
            if of_new[new].is_none() && !taken[old] {
                of_new[new] = Some(old);
                taken[old] = true;
            }
        }
        let mut matched = Matched::default();
        self.next_id = previous.next_id;
        for (persona, old) in self.personas.iter_mut().zip(&of_new) {
            if let Some(old) = old.map(|old| &previous.personas[old]) {
                persona.id.clone_from(&old.id);
                persona.name.clone_from(&old.name);
                matched.kept.push(old.id.clone());
            } else {
                persona.id = format!("persona-{}", self.next_id);
                persona.name.clear();
                self.next_id += 1;
                matched.new.push(persona.id.clone());
            }
        }
        let gone = previous
            .personas
            .iter()
            .zip(&taken)
            .filter(|&(_, &taken)| !taken);
        matched.gone = gone.map(|(old, _)| old.id.clone()).collect();
        self.name();
        matched
    }

    /// By new and old persona: how far apart the centres are, in the space of the old ones.
    fn distances(&self, previous: &Self) -> Vec<Vec<f64>> {
        let (space, old_space) = (&self.space, &previous.space);
        let place_of = |name: &str| space.columns.iter().position(|column| column.name == name);
        let shared: Vec<(usize, usize)> = old_space
            .columns
            .iter()
            .enumerate()
            .filter_map(|(old, column)| {
                let new = place_of(&column.name)?;
                (space.columns[new].scale == column.scale).then_some((new, old))
            })
            .collect();
        let of_pair = |new: &[f64], old: &[f64]| {
            let terms = shared.iter().map(|&(here, there)| {
                let evened = new[here] * space.deviations[here] + space.means[here];
                let deviation = old_space.deviations[there].max(1e-9);
                let z = (evened - old_space.means[there]) / deviation;
                (old_space.weights[there] * (z - old[there])).powi(2)
            });
            terms.sum::<f64>().sqrt()
        };
        let row = |new: &super::Persona| {
            let all = previous
                .personas
                .iter()
                .map(|old| of_pair(&new.centre, &old.centre));
            all.collect()
        };
        self.personas.iter().map(row).collect()
    }

    /// Half the way from a persona to the next one; without another, one deviation of everything.
    fn room(&self, place: usize) -> f64 {
        let weights = &self.space.weights;
        let far = |other: &super::Persona| {
            let both = self.personas[place]
                .centre
                .iter()
                .zip(&other.centre)
                .zip(weights);
            let squares = both.map(|((a, b), w)| (w * (a - b)).powi(2));
            squares.sum::<f64>().sqrt() / 2.0
        };
        let others = self
            .personas
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != place);
        let nearest = others
            .map(|(_, other)| far(other))
            .fold(f64::INFINITY, f64::min);
        let whole = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        if nearest.is_finite() { nearest } else { whole }
    }
}
