//! Which offers have a part of their own among the weights, and where it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_OFFERS, MIN_ARM_ROWS, OF_ALL, OF_KINDS, OF_OFFERS, OfferArm, OfferRow, dot};
use crate::algorithms::standard::Standard;

/// Which kinds and offers have a part of their own, and how many modifiers a part has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// Sorted.
    pub(super) kinds: Vec<u8>,
    offers: Vec<u32>,
    pub(super) modifiers: usize,
    /// True if every feature is a modifier.
    pub(super) by_features: bool,
}

impl Layout {
    pub(super) fn of(rows: &[OfferRow]) -> Self {
        fn frequent<T: Copy + Ord>(all: impl Iterator<Item = T>, most: usize) -> Vec<T> {
            let mut counts = BTreeMap::new();
            all.for_each(|one| *counts.entry(one).or_insert(0usize) += 1);
            let mut found: Vec<(usize, T)> = counts
                .into_iter()
                .filter(|&(_, count)| count >= MIN_ARM_ROWS)
                .map(|(one, count)| (count, one))
                .collect();
            found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            found.truncate(most);
            let mut found: Vec<T> = found.into_iter().map(|(_, one)| one).collect();
            found.sort_unstable();
            found
        }
        let arms = || rows.iter().filter_map(|row| row.arm);
        let first = rows.first();
        let given = first.map_or(0, |row| row.modifiers.len());
        let by_features = given == 0;
        Self {
            kinds: frequent(arms().map(|arm| arm.kind), usize::from(u8::MAX)),
            offers: frequent(arms().map(|arm| arm.offer), MAX_OFFERS),
            modifiers: match by_features {
                true => first.map_or(0, |row| row.x.len()),
                false => given,
            },
            by_features,
        }
    }

    /// How many numbers a part has: a mark, and the modifiers.
    pub(super) fn width(&self) -> usize {
        1 + self.modifiers
    }

    /// The weights of all parts.
    pub(super) fn size(&self) -> usize {
        (1 + self.kinds.len() + self.offers.len()) * self.width()
    }

    /// Where the parts of an arm begin: that of all offers, of its kind, of the offer; absent: too little was seen of
    /// it.
    pub(super) fn of_arm(&self, arm: OfferArm) -> [Option<usize>; 3] {
        let kind = self.kinds.binary_search(&arm.kind).ok();
        let offer = self.offers.binary_search(&arm.offer).ok();
        let start = |part: usize| part * self.width();
        [
            Some(0),
            kind.map(|place| start(1 + place)),
            offer.map(|place| start(1 + self.kinds.len() + place)),
        ]
    }

    /// The group of each column of the parts.
    pub(super) fn groups(&self) -> impl Iterator<Item = usize> {
        let parts = [
            (OF_ALL, 1),
            (OF_KINDS, self.kinds.len()),
            (OF_OFFERS, self.offers.len()),
        ];
        let width = self.width();
        parts.into_iter().flat_map(move |(group, count)| {
            (0..count * width).map(move |column| group + usize::from(column % width > 0))
        })
    }

    /// The number of each row's arm, and of each arm where its parts begin behind so many features.
    pub(super) fn arms(&self, rows: &[OfferRow], features: usize) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut known = BTreeMap::new();
        let mut all = Vec::new();
        let arm = rows.iter().map(|row| {
            // arms of the same parts are one here
            let parts = row.arm.map(|arm| self.of_arm(arm));
            *known.entry(parts).or_insert_with(|| {
                let parts = parts.into_iter().flatten().flatten();
                all.push(parts.map(|start| features + start).collect());
                all.len() - 1
            })
        });
        (arm.collect(), all)
    }

    /// What everybody's weights, and the parts, are multiplied by.
    pub(super) fn inputs(&self, standard: &Standard, x: &[f64], modifiers: &[f64]) -> Vec<f64> {
        let mut z = standard.all(x);
        if !self.by_features {
            z.extend(modifiers);
        }
        z
    }

    /// A mark, and the modifiers of a row: what each part is multiplied by.
    pub(super) fn marked(&self, z: &[f64]) -> Vec<f64> {
        let modifiers = &z[z.len() - self.modifiers.min(z.len())..];
        std::iter::once(1.0)
            .chain(modifiers.iter().copied())
            .collect()
    }

    /// What the parts of an arm come to, with these weights of all parts; 0 of none.
    pub(super) fn effect(&self, effects: &[f64], marked: &[f64], arm: Option<OfferArm>) -> f64 {
        let parts = arm.into_iter().flat_map(|arm| self.of_arm(arm));
        parts
            .flatten()
            .map(|start| dot(marked, &effects[start..]))
            .sum()
    }
}
