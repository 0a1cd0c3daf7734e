//! What is remembered of the products: the catalog, how they sell, and the short lists of the best.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::algorithms::decay::Fading;
use crate::algorithms::repurchase::Gaps;
use crate::algorithms::top::TopList;
use crate::domain::{
    Currency, InventorySet, Micros, Position, Product, ProductId, StageIndex, Timestamp, Traits,
};
use crate::state::people::Person;
use crate::state::price_levels::PriceLevels;
use crate::state::taste::Shelf;

/// Half-life of what counts as trending.
pub const FAST_DAYS: f64 = 7.0;
/// Half-life of what counts as selling now.
pub const RECENT_DAYS: f64 = 28.0;
/// Half-life of the long run.
pub const SLOW_DAYS: f64 = 112.0;
/// How many products the short lists hold.
pub const TOP: usize = 256;
/// How many of its last buyers are remembered of a product.
pub const MAX_BUYERS: usize = 1_000;

/// A product in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// See [`Product::name`].
    pub name: Box<str>,
    /// See [`Product::category`].
    pub category: Vec<Box<str>>,
    /// See [`Product::brand`].
    pub brand: Box<str>,
    /// See [`Product::price`].
    pub price: Option<Micros>,
    /// See [`Product::currency`].
    pub currency: Option<Currency>,
    /// See [`Product::unit_cost`].
    pub unit_cost: Option<Micros>,
    /// See [`Product::available`].
    pub available: bool,
    /// See [`Product::created_at`].
    pub created_at: Option<Timestamp>,
    /// See [`Product::attributes`].
    pub attributes: Traits,
    /// The newest news of stock and price.
    pub inventory_at: Option<Timestamp>,
}

/// A product as State knows it, in the catalog or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The id.
    pub id: Box<str>,
    /// As it stands in the catalog; absent: only events speak of it.
    pub listing: Option<Box<Listing>>,
    /// Where it stands in the shop.
    pub shelf: Shelf,
    /// Baskets that hold it.
    pub baskets: u32,
    /// Customers and visitors who bought it.
    pub buyers: u32,
    /// Those who bought it in two baskets or more.
    pub repeat_buyers: u32,
    /// Steps (views, carts, …) with it.
    pub steps: u32,
    /// Baskets, fading in [`FAST_DAYS`].
    pub bought_fast: Fading,
    /// Baskets, fading in [`RECENT_DAYS`].
    pub bought_recent: Fading,
    /// Baskets, fading in [`SLOW_DAYS`].
    pub bought_slow: Fading,
    /// Steps, weighted by kind, fading in [`FAST_DAYS`].
    pub browsed: Fading,
    /// First event.
    pub first: Option<Timestamp>,
    /// By stage: weighted events of people in it, fading in [`RECENT_DAYS`].
    pub by_stage: Vec<Fading>,
    /// Its last buyers, each once, the newest last; a visitor's place may have become somebody else's since.
    buyers_last: Vec<u32>,
    /// How long people took to buy it again.
    pub gaps: Gaps,
}

/// All products.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Products {
    items: Vec<Item>,
    #[serde(skip)]
    numbers: HashMap<Box<str>, u32, FixedState>,
    /// How many are in the catalog.
    pub listed: u32,
    /// By position of the record by which they came into it: the numbers of those in the catalog.
    catalog: Vec<(Position, u32)>,
    /// Pairs of a buyer and a product, and those bought again.
    buyers: u64,
    repeat_buyers: u64,
    /// How long people took to buy anything again.
    pub gaps: Gaps,
    /// How dear they are.
    price_levels: PriceLevels,
    /// Grows with every change of the catalog: what is derived from it is stale then.
    pub catalog_version: u64,
    /// Most bought, ever.
    pub popular: TopList,
    /// Most bought lately.
    pub recent: TopList,
    /// Most bought right now.
    pub trending: TopList,
    /// Most looked at right now.
    pub browsed: TopList,
    /// By stage: what people in it go for.
    pub by_stage: Vec<TopList>,
}

impl Products {
    /// None yet, for a journey of `stages`.
    #[must_use]
    pub fn new(stages: usize) -> Self {
        Self {
            items: Vec::new(),
            numbers: HashMap::default(),
            listed: 0,
            catalog: Vec::new(),
            buyers: 0,
            repeat_buyers: 0,
            gaps: Gaps::default(),
            price_levels: PriceLevels::default(),
            catalog_version: 0,
            popular: TopList::new(TOP),
            recent: TopList::new(TOP),
            trending: TopList::new(TOP),
            browsed: TopList::new(TOP),
            by_stage: vec![TopList::new(TOP); stages],
        }
    }

    /// Makes the map from ids anew, after decoding.
    pub(super) fn index(&mut self) {
        self.numbers = self
            .items
            .iter()
            .enumerate()
            .map(|(n, item)| (item.id.clone(), n as u32))
            .collect();
    }

    /// The number of a product, if it is known.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// The number of a product, which becomes known if need be.
    pub(super) fn intern(&mut self, id: &str) -> u32 {
        if let Some(number) = self.number(id) {
            return number;
        }
        let number = self.items.len() as u32;
        self.numbers.insert(id.into(), number);
        self.items.push(Item {
            id: id.into(),
            listing: None,
            shelf: Shelf::default(),
            baskets: 0,
            buyers: 0,
            repeat_buyers: 0,
            steps: 0,
            bought_fast: Fading::default(),
            bought_recent: Fading::default(),
            bought_slow: Fading::default(),
            browsed: Fading::default(),
            first: None,
            by_stage: vec![Fading::default(); self.by_stage.len()],
            buyers_last: Vec::new(),
            gaps: Gaps::default(),
        });
        number
    }

    /// A product by its number.
    #[must_use]
    pub fn item(&self, number: u32) -> &Item {
        &self.items[number as usize]
    }

    pub(super) fn item_mut(&mut self, number: u32) -> &mut Item {
        &mut self.items[number as usize]
    }

    /// All products, in the order in which they became known.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The catalog in the order in which products came into it: the position of that record, and the product's number.
    /// The positions stay the same when State is folded anew after an erasure.
    #[must_use]
    pub fn catalog(&self) -> &[(Position, u32)] {
        &self.catalog
    }

    /// A product as it stands in the catalog.
    #[must_use]
    pub fn product(&self, number: u32) -> Option<Product> {
        let item = self.item(number);
        item.listing
            .as_ref()
            .map(|listing| listing.to_product(&item.id))
    }

    /// True if a product may be recommended: it is available and in the catalog; or there is no catalog at all, and
    /// somebody did something with it.
    #[must_use]
    pub fn recommendable(&self, number: u32) -> bool {
        let item = self.item(number);
        match &item.listing {
            Some(listing) => listing.available,
            None => self.listed == 0 && item.first.is_some(),
        }
    }

    pub(super) fn upsert(&mut self, product: &Product, position: Position) {
        let number = self.intern(product.id.as_str());
        self.catalog_version += 1;
        let item = &mut self.items[number as usize];
        let inventory_at = item
            .listing
            .as_ref()
            .and_then(|listing| listing.inventory_at);
        if item.listing.is_none() {
            self.listed += 1;
            self.catalog.push((position, number));
        }
        let was_listed = item.listing.is_some();
        item.listing = Some(Box::new(Listing::of(product, inventory_at)));
        self.reshelve(number, Shelf::of(product), was_listed);
    }

    pub(super) fn delete(&mut self, id: &ProductId) {
        if let Some(number) = self.number(id.as_str()) {
            let item = &mut self.items[number as usize];
            if item.listing.take().is_some() {
                self.price_levels.take(&item.shelf);
                self.listed -= 1;
                self.catalog.retain(|&(_, other)| other != number);
            }
            self.catalog_version += 1;
        }
    }

    pub(super) fn set_inventory(&mut self, id: &ProductId, news: &InventorySet) {
        let Some(number) = self.number(id.as_str()) else {
            return;
        };
        let item = &mut self.items[number as usize];
        let Some(listing) = item.listing.as_deref_mut() else {
            return;
        };
        if listing
            .inventory_at
            .is_some_and(|known| known >= news.set_at)
        {
            return;
        }
        listing.inventory_at = Some(news.set_at);
        listing.available = news.available.unwrap_or(listing.available);
        listing.price = news.price.or(listing.price);
        let shelf = Shelf::of(&listing.to_product(&item.id));
        self.reshelve(number, shelf, true);
    }

    /// Puts a product of the catalog on another shelf.
    fn reshelve(&mut self, number: u32, shelf: Shelf, was_listed: bool) {
        let item = &mut self.items[number as usize];
        let before = std::mem::replace(&mut item.shelf, shelf);
        if was_listed {
            self.price_levels.take(&before);
        }
        self.price_levels.put(&shelf);
    }

    /// See [`PriceLevels::of`].
    #[must_use]
    pub fn price_level(&self, number: u32) -> Option<f64> {
        self.price_levels.of(&self.item(number).shelf)
    }

    /// Counts a basket that holds the product.
    pub(super) fn count_basket(
        &mut self,
        number: u32,
        buyer: Person,
        time: Timestamp,
        others: u32,
    ) {
        let item = &mut self.items[number as usize];
        item.baskets += 1;
        match others {
            0 => {
                item.add_buyer(buyer);
                item.buyers += 1;
                self.buyers += 1;
            }
            1 => {
                item.repeat_buyers += 1;
                self.repeat_buyers += 1;
            }
            _ => {}
        }
        item.bought_fast.add(time, 1.0, FAST_DAYS);
        item.bought_recent.add(time, 1.0, RECENT_DAYS);
        item.bought_slow.add(time, 1.0, SLOW_DAYS);
        self.popular.raise(number, f64::from(item.baskets));
        self.recent.raise(number, item.bought_recent.key());
        self.trending.raise(number, item.bought_fast.key());
    }

    /// Counts that a product was bought again after `days`.
    pub(super) fn count_gap(&mut self, number: u32, days: f64) {
        self.items[number as usize].gaps.add(days);
        self.gaps.add(days);
    }

    /// Takes back what was counted twice when a visitor became a customer, and their histories of `theirs` and `mine`
    /// baskets one of `together`.
    pub(super) fn count_merge(
        &mut self,
        number: u32,
        visitor: Person,
        customer: Person,
        [mine, theirs, together]: [u32; 3],
    ) {
        let repeats = |baskets: u32| u32::from(baskets >= 2);
        let twice = u32::from(mine > 0 && theirs > 0);
        let (before, after) = (repeats(mine) + repeats(theirs), repeats(together));
        let item = &mut self.items[number as usize];
        item.merge_buyers(visitor, customer);
        item.baskets = item.baskets.saturating_sub(mine + theirs - together);
        item.buyers = item.buyers.saturating_sub(twice);
        item.repeat_buyers = (item.repeat_buyers + after).saturating_sub(before);
        self.buyers = self.buyers.saturating_sub(u64::from(twice));
        self.repeat_buyers =
            (self.repeat_buyers + u64::from(after)).saturating_sub(u64::from(before));
    }

    /// The share of buyers who bought again, over all products; shrunk to 0.1 while little is known.
    #[must_use]
    pub fn mean_repeat_rate(&self) -> f64 {
        (self.repeat_buyers as f64 + 10.0) / (self.buyers as f64 + 100.0)
    }

    /// Counts a step with the product.
    pub(super) fn count_step(&mut self, number: u32, time: Timestamp, weight: f64) {
        let item = &mut self.items[number as usize];
        item.steps += 1;
        item.browsed.add(time, weight, FAST_DAYS);
        self.browsed.raise(number, item.browsed.key());
    }

    /// Counts that somebody in `stage` went for the product.
    pub(super) fn count_stage(
        &mut self,
        number: u32,
        stage: StageIndex,
        time: Timestamp,
        weight: f64,
    ) {
        let stage = stage.0 as usize;
        let item = &mut self.items[number as usize];
        item.by_stage[stage].add(time, weight, RECENT_DAYS);
        self.by_stage[stage].raise(number, item.by_stage[stage].key());
    }
}

impl Item {
    fn add_buyer(&mut self, buyer: Person) {
        let buyer = buyer.packed();
        // whoever had this visitor's place before, or bought it so long ago that it was forgotten
        if self.buyers_last.contains(&buyer) {
            self.buyers_last.retain(|&other| other != buyer);
        }
        // twice the room, so that the oldest are let go of rarely
        if self.buyers_last.len() >= 2 * MAX_BUYERS {
            self.buyers_last.drain(..MAX_BUYERS);
        }
        self.buyers_last.push(buyer);
    }

    /// Two buyers turned out to be one: whoever bought it first keeps the place.
    fn merge_buyers(&mut self, visitor: Person, customer: Person) {
        let both = [visitor.packed(), customer.packed()];
        let mut is_first = true;
        self.buyers_last.retain_mut(|buyer| {
            if !both.contains(buyer) {
                return true;
            }
            *buyer = both[1];
            std::mem::replace(&mut is_first, false)
        });
    }

    /// Its last buyers in the order in which they first bought it, the newest last, each once, at most [`MAX_BUYERS`].
    /// Some may be gone, or be somebody else by now who did not buy it.
    pub fn last_buyers(&self) -> impl DoubleEndedIterator<Item = Person> + ExactSizeIterator {
        let some = &self.buyers_last[self.buyers_last.len().saturating_sub(MAX_BUYERS)..];
        some.iter().map(|&packed| Person::unpacked(packed))
    }
}

impl Listing {
    fn of(product: &Product, inventory_at: Option<Timestamp>) -> Self {
        Self {
            name: product.name.clone(),
            category: product.category.clone(),
            brand: product.brand.clone(),
            price: product.price,
            currency: product.currency,
            unit_cost: product.unit_cost,
            available: product.available,
            created_at: product.created_at,
            attributes: product.attributes.clone(),
            inventory_at,
        }
    }

    fn to_product(&self, id: &str) -> Product {
        Product {
            id: ProductId::trusted(id.to_owned()),
            name: self.name.clone(),
            category: self.category.clone(),
            brand: self.brand.clone(),
            price: self.price,
            currency: self.currency,
            unit_cost: self.unit_cost,
            available: self.available,
            created_at: self.created_at,
            attributes: self.attributes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_buyers_are_bounded() {
        let mut products = Products::new(1);
        let number = products.intern("p");
        let all = 5 * MAX_BUYERS as u32;
        for buyer in 0..all {
            products.count_basket(number, Person::Customer(buyer), Timestamp::default(), 0);
            let item = products.item(number);
            assert!(item.buyers_last.len() <= 2 * MAX_BUYERS);
            assert_eq!(item.last_buyers().len(), MAX_BUYERS.min(buyer as usize + 1));
            assert_eq!(
                item.last_buyers().next_back(),
                Some(Person::Customer(buyer))
            );
        }
        let item = products.item(number);
        let oldest = all - MAX_BUYERS as u32;
        assert!(item.last_buyers().eq((oldest..all).map(Person::Customer)));
        assert_eq!(item.buyers, all);
    }

    #[test]
    fn everybody_packs_into_four_bytes() {
        for person in [0, 1, (1 << 31) - 1]
            .iter()
            .flat_map(|&n| [Person::Customer(n), Person::Visitor(n)])
        {
            assert_eq!(Person::unpacked(person.packed()), person);
        }
    }
}
