//! What goes with what, worked out from State: by common baskets, by common buyers (local EASE) and by text.
//!
//! None of it is part of State: it is worked out anew, product by product, when a product has sold enough since.
//! Counts come from the histories of the product's last buyers, so they are exact, and so is forgetting somebody.

use std::sync::Arc;

use crate::algorithms::content::Content;
use crate::algorithms::ease;
use crate::domain::Timestamp;
use crate::state::State;
use crate::state::persona_popularity::{PersonaPopularity, Teller};
use crate::state::tuning::Tuning;

/// The most products that one leads to, by common baskets.
pub const PARTNERS: usize = 80;
/// The most products of which common buyers are remembered.
pub const COMMON: usize = 320;
/// The most products of which a target's EASE weights are solved: Steck 2019 keeps a hundred or so.
pub const EASE_BLOCK: usize = 96;
/// A pair needs so many common buyers to count.
pub const MIN_COMMON: f32 = 2.0;
/// What is added to the baskets of each product of a pair: few common baskets of rare products say little.
pub const DAMPING: f32 = 5.0;
/// EASE weights below this are left out.
pub const MIN_WEIGHT: f64 = 1e-4;
/// A product is worked out anew when it has sold so much more, as a share of what it had sold.
pub const STALE_SHARE: f64 = 0.15;

/// What goes with what.
#[derive(Debug, Clone, PartialEq)]
pub struct Relations {
    content: Arc<Content>,
    content_version: Option<u64>,
    /// By product; shared with the copies that are being answered from until they change.
    rows: Vec<Arc<Row>>,
    /// The newest moment State knew when this was last kept current.
    newest: Timestamp,
    /// See [`Tuning::ease_penalty`].
    ease_penalty: f64,
    by_persona: Arc<PersonaPopularity>,
}

/// What goes with one product.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    /// How many baskets held it when this was worked out.
    baskets: u32,
    /// Cosines by common baskets, the largest first.
    bought: Vec<(u32, f32)>,
    /// Common buyers, ordered by product, as they would be among all buyers.
    common: Vec<(u32, f32)>,
    /// EASE: the weight of other products for this one, ordered by product.
    causes: Vec<(u32, f32)>,
    /// EASE: the weight of this product for others.
    effects: Vec<(u32, f32)>,
    /// True if `causes` follow from `common`.
    is_solved: bool,
}

/// Room to count in.
#[derive(Debug, Default)]
struct Counter {
    baskets: Vec<f32>,
    buyers: Vec<f32>,
    touched: Vec<u32>,
    stamp: Vec<u32>,
    stamps: u32,
}

impl Relations {
    /// Nothing worked out yet.
    #[must_use]
    pub fn new(tuning: &Tuning) -> Self {
        Self {
            content: Arc::default(),
            content_version: None,
            rows: Vec::new(),
            newest: Timestamp::default(),
            ease_penalty: tuning.ease_penalty,
            by_persona: Arc::default(),
        }
    }

    /// Everything worked out.
    #[must_use]
    pub fn of(state: &State, tuning: &Tuning) -> Self {
        let mut relations = Self::new(tuning);
        relations.refresh(state);
        relations
    }

    /// Makes the tuning count from the next refresh on.
    pub fn tune(&mut self, tuning: &Tuning) {
        if (self.ease_penalty - tuning.ease_penalty).abs() > 0.0 {
            self.ease_penalty = tuning.ease_penalty;
            self.rows
                .iter_mut()
                .for_each(|row| Arc::make_mut(row).is_solved = false);
        }
    }

    /// Lets personas be told by this, or by nobody, from the next refresh on.
    pub fn tell_by(&mut self, teller: Option<&Teller>) {
        if !self.by_persona.is_told_by(teller) {
            Arc::make_mut(&mut self.by_persona).tell_by(teller);
        }
    }

    /// What sells among customers of each persona.
    #[must_use]
    pub fn by_persona(&self) -> &Arc<PersonaPopularity> {
        &self.by_persona
    }

    /// The texts.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// What goes with a product by common baskets, with the cosine.
    #[must_use]
    pub fn bought_with(&self, product: u32) -> &[(u32, f32)] {
        self.rows
            .get(product as usize)
            .map_or(&[], |row| &row.bought)
    }

    /// Who bought a product also bought these: how many of its buyers, ordered by product.
    #[must_use]
    pub fn bought_by_buyers(&self, product: u32) -> &[(u32, f32)] {
        self.rows
            .get(product as usize)
            .map_or(&[], |row| &row.common)
    }

    /// What a product leads to, with its EASE weight.
    #[must_use]
    pub fn effects(&self, product: u32) -> &[(u32, f32)] {
        self.rows
            .get(product as usize)
            .map_or(&[], |row| &row.effects)
    }

    /// As [`Relations::refresh`], where a history is folded: once for each day of it.
    pub fn keep_current(&mut self, state: &State) {
        if state.newest().days_since(self.newest) >= 1.0 {
            self.refresh(state);
        }
    }

    /// Works out anew what has changed enough.
    pub fn refresh(&mut self, state: &State) {
        if let Some((version, texts)) = self.changed_texts(state) {
            self.read(version, &texts);
        }
        self.refresh_some(state, usize::MAX);
    }

    /// The version of the catalog and the texts of the products, if they changed since they were read.
    #[must_use]
    pub fn changed_texts(&self, state: &State) -> Option<(u64, Vec<String>)> {
        let version = state.products.catalog_version;
        (self.content_version != Some(version)).then(|| (version, texts(state)))
    }

    /// Reads the texts of a version of the catalog.
    pub fn read(&mut self, version: u64, texts: &[String]) {
        self.content = Arc::new(Content::fit(texts));
        self.content_version = Some(version);
    }

    /// Counts anew at most `most` products that have changed enough; once there are none, solves at most `most` of
    /// them; once there are none of these either, counts the personas of the buyers of as many. Returns how many are
    /// left.
    pub fn refresh_some(&mut self, state: &State, most: usize) -> usize {
        self.newest = state.newest();
        match self.refresh_rows(state, most) {
            0 if self.by_persona.is_stale(state) => {
                Arc::make_mut(&mut self.by_persona).refresh_some(state, most)
            }
            left => left,
        }
    }

    fn refresh_rows(&mut self, state: &State, most: usize) -> usize {
        let items = state.products.items();
        self.rows.resize_with(items.len(), Arc::default);
        let mut stale = self.stale(state);
        let mut left = stale.len();
        stale.truncate(most);
        let mut counter = Counter::default();
        for &product in &stale {
            self.count(state, product, &mut counter);
        }
        left -= stale.len();
        let mut unsolved: Vec<u32> = (0..items.len() as u32)
            .filter(|&product| !self.rows[product as usize].is_solved)
            .collect();
        if left > 0 {
            return left + unsolved.len();
        }
        left = unsolved.len();
        unsolved.truncate(most - stale.len());
        let mut solver = Solver::default();
        for &product in &unsolved {
            self.solve(state, product, &mut solver);
        }
        left - unsolved.len()
    }

    /// True if anything has changed enough.
    #[must_use]
    pub fn is_stale(&self, state: &State, tuning: &Tuning) -> bool {
        let retuned = (self.ease_penalty - tuning.ease_penalty).abs() > 0.0;
        retuned
            || self.content_version != Some(state.products.catalog_version)
            || !self.rows.iter().all(|row| row.is_solved)
            || !self.stale(state).is_empty()
            || self.by_persona.is_stale(state)
    }

    fn stale(&self, state: &State) -> Vec<u32> {
        let items = state.products.items().iter().enumerate();
        let stale = items.filter(|&(product, item)| {
            let known = self.rows.get(product).map_or(0, |row| row.baskets);
            f64::from(item.baskets.abs_diff(known)) > STALE_SHARE * f64::from(known)
        });
        stale.map(|(product, _)| product as u32).collect()
    }

    /// Counts common baskets and common buyers of a product.
    fn count(&mut self, state: &State, product: u32, counter: &mut Counter) {
        let items = state.products.items();
        counter.prepare(items.len());
        let item = state.products.item(product);
        let mut counted = 0.0f32;
        for person in item.last_buyers().rev() {
            let Some(subject) = state.subject(person) else {
                continue;
            };
            if counter.add(subject, product) {
                counted += 1.0;
            }
        }
        let row = Arc::make_mut(&mut self.rows[product as usize]);
        row.baskets = item.baskets;
        row.is_solved = false;
        let often = |number: u32| items[number as usize].baskets as f32 + DAMPING;
        // the last buyers stand for all
        let scale = (item.buyers as f32 / counted.max(1.0)).max(1.0);
        row.bought.clear();
        row.common.clear();
        for product_b in counter.touched.drain(..) {
            let place = product_b as usize;
            let baskets = std::mem::take(&mut counter.baskets[place]);
            let buyers = std::mem::take(&mut counter.buyers[place]);
            if baskets > 0.0 {
                row.bought.push((
                    product_b,
                    scale * baskets / (often(product) * often(product_b)).sqrt(),
                ));
            }
            if buyers >= MIN_COMMON {
                row.common.push((product_b, scale * buyers));
            }
        }
        keep_largest(&mut row.bought, PARTNERS, |&(_, cosine)| cosine);
        let buyers = |number: u32| (items[number as usize].buyers as f32).max(1.0);
        keep_largest(&mut row.common, COMMON, |&(other, count)| {
            count / buyers(other).sqrt()
        });
        row.common.sort_unstable_by_key(|&(other, _)| other);
    }

    /// Common buyers of all pairs of the solver's products, as far as they are remembered: the mean where both do.
    fn fill(&self, state: &State, solver: &mut Solver) {
        let size = solver.products.len();
        solver.places.resize(state.products.items().len(), 0);
        for (place, &product) in solver.products.iter().enumerate() {
            solver.places[product as usize] = place as u32 + 1;
        }
        for (a, &product) in solver.products.iter().enumerate() {
            solver.matrix[a * size + a] = f64::from(state.products.item(product).buyers.max(1));
            for &(other, common) in &self.rows[product as usize].common {
                let place = solver.places[other as usize] as usize;
                if place > 0 {
                    solver.matrix[a * size + place - 1] = f64::from(common);
                }
            }
        }
        for a in 0..size {
            for b in 0..a {
                let (x, y) = (solver.matrix[a * size + b], solver.matrix[b * size + a]);
                let common = if x > 0.0 && y > 0.0 {
                    0.5 * (x + y)
                } else {
                    x.max(y)
                };
                solver.matrix[a * size + b] = common;
                solver.matrix[b * size + a] = common;
            }
        }
        for &product in &solver.products {
            solver.places[product as usize] = 0;
        }
    }

    fn row_mut(&mut self, product: u32) -> &mut Row {
        Arc::make_mut(&mut self.rows[product as usize])
    }

    /// Solves the EASE weights for a product.
    fn solve(&mut self, state: &State, product: u32, solver: &mut Solver) {
        let buyers = |number: u32| f64::from(state.products.item(number).buyers.max(1));
        let mut block: Vec<(u32, f32)> = self.rows[product as usize].common.clone();
        keep_largest(&mut block, EASE_BLOCK, |&(other, count)| {
            count / buyers(other).sqrt() as f32
        });
        solver.products.clear();
        solver.products.push(product);
        solver
            .products
            .extend(block.iter().map(|&(other, _)| other));
        let size = solver.products.len();
        solver.matrix.clear();
        solver.matrix.resize(size * size, 0.0);
        self.fill(state, solver);
        let weights = ease::column(&mut solver.matrix, size, self.ease_penalty).unwrap_or_default();
        let others = solver.products[1..].iter().copied();
        let mut causes: Vec<(u32, f32)> = others
            .zip(weights)
            .filter(|(_, weight)| weight.abs() > MIN_WEIGHT)
            .map(|(other, weight)| (other, weight as f32))
            .collect();
        causes.sort_unstable_by_key(|&(other, _)| other);
        let before = std::mem::replace(&mut self.row_mut(product).causes, causes.clone());
        for (other, _) in before {
            self.row_mut(other)
                .effects
                .retain(|&(target, _)| target != product);
        }
        for (other, weight) in causes {
            self.row_mut(other).effects.push((product, weight));
        }
        self.row_mut(product).is_solved = true;
    }
}

impl Default for Relations {
    fn default() -> Self {
        Self::new(&Tuning::default())
    }
}

#[derive(Debug, Default)]
struct Solver {
    products: Vec<u32>,
    /// By product: 1 + its place in `products`; 0: not one of them.
    places: Vec<u32>,
    matrix: Vec<f64>,
}

impl Counter {
    fn prepare(&mut self, products: usize) {
        self.baskets.resize(products, 0.0);
        self.buyers.resize(products, 0.0);
        self.stamp.resize(products, 0);
    }

    /// Counts what somebody bought with and beside a product; false if they did not buy it.
    fn add(&mut self, subject: &crate::state::subjects::Subject, product: u32) -> bool {
        if !subject.lines.iter().any(|line| line.product == product) {
            return false;
        }
        self.stamps += 1;
        for basket in 0..subject.baskets.len() {
            let lines = subject.lines_of(basket);
            let holds = lines.iter().any(|line| line.product == product);
            for line in lines.iter().filter(|line| line.product != product) {
                let place = line.product as usize;
                if self.baskets[place] <= 0.0 && self.buyers[place] <= 0.0 {
                    self.touched.push(line.product);
                }
                if holds {
                    self.baskets[place] += 1.0;
                }
                if self.stamp[place] != self.stamps {
                    self.stamp[place] = self.stamps;
                    self.buyers[place] += 1.0;
                }
            }
        }
        true
    }
}

/// The `most` entries with the largest keys, the largest first; equal ones in the order of the products.
fn keep_largest(entries: &mut Vec<(u32, f32)>, most: usize, key: impl Fn(&(u32, f32)) -> f32) {
    let order = |a: &(u32, f32), b: &(u32, f32)| key(b).total_cmp(&key(a)).then(a.0.cmp(&b.0));
    if entries.len() > most {
        entries.select_nth_unstable_by(most, order);
        entries.truncate(most);
    }
    entries.sort_unstable_by(order);
}

/// The texts of all products, by number.
#[must_use]
pub fn texts(state: &State) -> Vec<String> {
    let text = |item: &crate::state::products::Item| match &item.listing {
        Some(listing) => {
            let levels = listing.category.iter().map(|level| &**level);
            let parts = [&*listing.name, &*listing.brand].into_iter().chain(levels);
            parts.collect::<Vec<_>>().join(" ")
        }
        None => String::new(),
    };
    state.products.items().iter().map(text).collect()
}
