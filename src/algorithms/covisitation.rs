//! Item-to-item co-visitation: what goes with what, counted live in bounded memory.

use serde::{Deserialize, Serialize};

/// The most neighbours of one product.
pub const NEIGHBOURS: usize = 96;
/// Where a row is halved, so that it forgets and stays in range.
const HALVE_AT: f32 = 65_536.0;

/// Neighbours of one product: parallel, unsorted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    products: Vec<u32>,
    weights: Vec<f32>,
}

/// Weighted counts of pairs, at most [`NEIGHBOURS`] for each product. When a row is full, the newcomer takes the place
/// and the weight of the weakest (space-saving: Metwally et al. 2005), so a frequent pair is never missed for long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Covisitation {
    rows: Vec<Row>,
}

impl Covisitation {
    /// Counts the pair in both directions with `weight`, greater than zero. A product does not go with itself.
    pub fn add(&mut self, a: u32, b: u32, weight: f32) {
        if a != b {
            self.row(a).add(b, weight);
            self.row(b).add(a, weight);
        }
    }

    /// Counts that `b` came after `a` with `weight`, greater than zero. A product does not come after itself.
    pub fn add_after(&mut self, a: u32, b: u32, weight: f32) {
        if a != b {
            self.row(a).add(b, weight);
        }
    }

    fn row(&mut self, product: u32) -> &mut Row {
        let place = product as usize;
        if place >= self.rows.len() {
            self.rows.resize_with(place + 1, Row::default);
        }
        &mut self.rows[place]
    }

    /// The neighbours of a product with their weights, in no order.
    pub fn neighbours(&self, product: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.rows.get(product as usize).into_iter().flat_map(|row| {
            row.products
                .iter()
                .copied()
                .zip(row.weights.iter().copied())
        })
    }
}

impl Row {
    fn add(&mut self, product: u32, weight: f32) {
        let place = match self.products.iter().position(|&p| p == product) {
            Some(place) => place,
            None if self.products.len() < NEIGHBOURS => {
                self.products.push(product);
                self.weights.push(0.0);
                self.products.len() - 1
            }
            None => {
                let weakest = self.weakest();
                self.products[weakest] = product;
                weakest
            }
        };
        self.weights[place] += weight;
        if self.weights[place] > HALVE_AT {
            self.weights.iter_mut().for_each(|weight| *weight /= 2.0);
        }
    }

    fn weakest(&self) -> usize {
        let mut weakest = 0;
        for (place, &weight) in self.weights.iter().enumerate() {
            if weight < self.weights[weakest] {
                weakest = place;
            }
        }
        weakest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_both_ways() {
        let mut table = Covisitation::default();
        table.add(1, 2, 1.0);
        table.add(2, 1, 0.5);
        table.add(3, 3, 9.0);
        assert_eq!(table.neighbours(1).collect::<Vec<_>>(), [(2, 1.5)]);
        assert_eq!(table.neighbours(2).collect::<Vec<_>>(), [(1, 1.5)]);
        assert_eq!(table.neighbours(3).count(), 0);
        assert_eq!(table.neighbours(99).count(), 0);
    }

    #[test]
    fn rows_are_bounded_and_keep_what_is_frequent() {
        let mut table = Covisitation::default();
        for round in 0..50u32 {
            table.add(0, 1, 1.0);
            for other in 0..20 {
                table.add(0, 2 + round * 20 + other, 1.0);
            }
        }
        let row: Vec<(u32, f32)> = table.neighbours(0).collect();
        assert_eq!(row.len(), NEIGHBOURS);
        assert!(
            row.iter()
                .any(|&(product, weight)| product == 1 && weight >= 50.0)
        );
    }
}
