//! What customers like this one buy (UP-CF: Faggioli et al. 2020, "Recency aware collaborative filtering for next
//! basket recommendation").

use serde::{Deserialize, Serialize};

use crate::algorithms::features::Own;
use crate::domain::Timestamp;
use crate::state::State;
use crate::state::people::Person;
use crate::state::scratch::newest;
use crate::state::view::View;

/// How many of the asker's products look for customers who bought them.
pub const SEEDS: usize = 120;
/// How many products they name at most.
pub const MOST: usize = 200;
/// Customers of which less than this is heard are not heard at all.
const MIN_WEIGHT: f32 = 1e-30;

/// How similar customers are found and listened to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NeighbourParams {
    /// How many customers answer.
    pub count: usize,
    /// The share of the asker's size in the asymmetric cosine, 0 to 1.
    pub asymmetry: f32,
    /// The power that sharpens similarities.
    pub power: f32,
    /// Half-life, in days, of an own purchase that looks for similar customers.
    pub seed_half_life_days: f64,
    /// The power of a product's rarity, ln(customers / buyers), in looking for similar customers.
    pub rarity: f32,
    /// How many of a neighbour's last baskets count.
    pub baskets: usize,
    /// Half-life, in days, of what a neighbour bought, for what they buy now.
    pub now_days: f64,
}

impl Default for NeighbourParams {
    fn default() -> Self {
        Self {
            count: 120,
            asymmetry: 0.5,
            power: 2.0,
            seed_half_life_days: 180.0,
            rarity: 0.5,
            baskets: 10,
            now_days: 30.0,
        }
    }
}

/// What customers like the asker buy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Liked {
    /// The product.
    pub product: u32,
    /// The share of the neighbours' last baskets that hold it, a mean weighted by similarity^power.
    pub ever: f32,
    /// Σ 2^(−days/half-life) over the neighbour's last baskets that hold it, a mean weighted by similarity^power.
    pub now: f32,
}

/// Room to work in.
#[derive(Debug, Default)]
pub struct NeighbourScratch {
    overlap: Vec<f32>,
    touched: Vec<u32>,
    ever: Vec<f32>,
    now: Vec<f32>,
    products: Vec<u32>,
}

/// What customers like the asker buy, ordered by product, at most [`MOST`] products; `own` are the asker's purchases by
/// product. Nothing for somebody who has bought nothing.
#[must_use]
pub fn like(
    view: &View<'_>,
    own: &[(u32, Own)],
    params: &NeighbourParams,
    scratch: &mut NeighbourScratch,
) -> Vec<Liked> {
    if own.is_empty() {
        return Vec::new();
    }
    let state = view.state;
    let customers = state.people.customers().len() as f32;
    // what matters is how seeds compare: next to the newest one, or nothing would be left of them after years
    let newest_days = newest(own, 1)
        .map(|(_, bought)| bought.last_days)
        .sum::<f64>();
    let seed = |(product, bought): (u32, &Own)| {
        let fresh = ((newest_days - bought.last_days) / params.seed_half_life_days).exp2() as f32;
        let buyers = state.products.item(product).buyers as f32;
        let rare = (1.0 + customers / buyers.max(1.0)).ln().powf(params.rarity);
        (product, fresh * rare)
    };
    let seeds = newest(own, SEEDS).map(seed);
    let seeds: Vec<(u32, f32)> = seeds.filter(|&(_, weight)| weight > 0.0).collect();
    let similar = similar(view, &seeds, own.len(), params, scratch);
    let products = state.products.items().len();
    scratch.ever.resize(products, 0.0);
    scratch.now.resize(products, 0.0);
    let mut total = 0.0;
    for (customer, similarity) in similar {
        if let Some(subject) = state.subject(Person::Customer(customer)) {
            let weight = similarity.powf(params.power);
            // too small for a number that divides
            if weight >= MIN_WEIGHT {
                total += weight;
                scratch.add(subject, weight, view.now, params);
            }
        }
    }
    let mean = |sum: &mut f32| std::mem::take(sum) / total;
    scratch.products.sort_unstable();
    let mut liked = Vec::with_capacity(scratch.products.len());
    for product in scratch.products.drain(..) {
        let place = product as usize;
        liked.push(Liked {
            product,
            ever: mean(&mut scratch.ever[place]),
            now: mean(&mut scratch.now[place]),
        });
    }
    if liked.len() > MOST {
        let order = |a: &Liked, b: &Liked| {
            (b.ever + b.now)
                .total_cmp(&(a.ever + a.now))
                .then(a.product.cmp(&b.product))
        };
        liked.select_nth_unstable_by(MOST, order);
        liked.truncate(MOST);
        liked.sort_unstable_by_key(|liked| liked.product);
    }
    liked
}

/// The customers most like the asker, with their similarity.
fn similar(
    view: &View<'_>,
    seeds: &[(u32, f32)],
    own: usize,
    params: &NeighbourParams,
    scratch: &mut NeighbourScratch,
) -> Vec<(u32, f32)> {
    let state: &State = view.state;
    scratch.overlap.resize(state.people.customers().len(), 0.0);
    for &(product, weight) in seeds {
        for person in state.products.item(product).last_buyers() {
            if let Person::Customer(customer) = person {
                let overlap = &mut scratch.overlap[customer as usize];
                if *overlap <= 0.0 {
                    scratch.touched.push(customer);
                }
                *overlap += weight;
            }
        }
    }
    let mine = (own as f32).max(1.0).powf(params.asymmetry);
    let mut similar: Vec<(u32, f32)> = Vec::with_capacity(scratch.touched.len());
    let asker = view.subject.and_then(|asker| state.people.number_of(asker));
    let distinct = state.people.distinct_products();
    for customer in scratch.touched.drain(..) {
        let overlap = std::mem::take(&mut scratch.overlap[customer as usize]);
        let products = distinct[customer as usize];
        if asker == Some(customer) || products == 0 {
            continue;
        }
        let theirs = (products as f32).powf(1.0 - params.asymmetry);
        similar.push((customer, overlap / (mine * theirs)));
    }
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if similar.len() > params.count {
        similar.select_nth_unstable_by(params.count, order);
        similar.truncate(params.count);
    }
    similar.sort_unstable_by_key(|&(customer, _)| customer);
    similar
}

impl NeighbourScratch {
    fn add(
        &mut self,
        subject: &crate::state::subjects::Subject,
        weight: f32,
        now: Timestamp,
        params: &NeighbourParams,
    ) {
        let past = subject.baskets.partition_point(|basket| basket.time <= now);
        let from = past.saturating_sub(params.baskets);
        let share = weight / (past - from).max(1) as f32;
        for basket in from..past {
            let days = now.days_since(subject.baskets[basket].time);
            let fresh = weight * ((-days / params.now_days) as f32).exp2();
            for line in subject.lines_of(basket) {
                let place = line.product as usize;
                if self.ever[place] <= 0.0 {
                    self.products.push(line.product);
                }
                self.ever[place] += share;
                self.now[place] += fresh;
            }
        }
    }
}
