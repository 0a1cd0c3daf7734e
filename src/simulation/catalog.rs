//! The catalogue: products with names, prices, launch dates and hidden properties.

use super::calendar::{Calendar, season};
use super::dice::{Dice, Purpose, key, share};
use super::families::{BRANDS, COLOURS, COUNT, FAMILIES, Use};
use super::settings::Settings;

/// Numbers that place a product, and a customer's taste, on four hidden scales of style.
pub(crate) type Style = [f64; 4];

/// Exponent of Zipf's law over product lines.
const ZIPF: f64 = 0.8;
/// Share of product lines whose newest product is launched in the simulated period.
const NEW_LINES: f64 = 0.4;
/// Share of replaced products that are withdrawn, and how long after.
const WITHDRAWN: f64 = 0.3;
const WITHDRAWN_AFTER_DAYS: i64 = 60;
/// Days in which a new product becomes known: `1 − exp(−(age + 1) / RAMP_DAYS)`.
const RAMP_DAYS: f64 = 21.0;
/// Days over which newness wears off.
const NOVELTY_DAYS: f64 = 45.0;
/// Share of weeks in which a product's price is reduced.
const PROMOTED_WEEKS: f64 = 0.15;

/// What a product is to its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// Bought for itself.
    Main,
    /// Bought after a main product: this one, or any of its families.
    Accessory {
        /// The one product it fits, if it does not fit all.
        fits: Option<u32>,
    },
    /// Used up and bought again.
    Replenishable {
        /// The usual rhythm, before the customer's own factor.
        rhythm_days: f64,
    },
}

/// A product, with what the shop knows and what only the simulation knows.
#[derive(Debug, Clone)]
pub struct Product {
    /// Readable name.
    pub name: String,
    /// Index of the family.
    pub(crate) family: usize,
    /// Index of the brand.
    pub(crate) brand: usize,
    /// Role for its owner.
    pub role: Role,
    /// List price in cents.
    pub price_cents: u32,
    /// What a unit costs the shop, in cents.
    pub cost_cents: u32,
    /// Launch, as a day of the simulation (negative: before the start).
    pub launch_day: i64,
    /// First day on which it is no longer sold.
    pub withdrawn_day: Option<i64>,
    /// The product that it replaces.
    pub replaces: Option<u32>,
    /// The product that replaces it.
    pub(crate) replaced_by: Option<u32>,
    /// Number within its line.
    pub generation: u32,
    /// Colour, for the attributes.
    pub colour: &'static str,
    /// Hidden: how good it is, about N(0, 1).
    pub quality: f64,
    /// Hidden: relative popularity.
    pub popularity: f64,
    /// Hidden: day of the year with most demand, and strength of the season.
    pub season: (f64, f64),
    /// Hidden: dear (1) or cheap (−1) within its family.
    pub price_position: f64,
    pub(crate) style: Style,
}

impl Product {
    /// The category path.
    #[must_use]
    pub fn category(&self) -> &'static str {
        FAMILIES[self.family].path
    }

    /// The maker.
    #[must_use]
    pub fn brand(&self) -> &'static str {
        BRANDS[self.brand].0
    }

    /// The product line.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        FAMILIES[self.family].noun
    }

    /// Probability that a unit is defective: 2 % to 14 %, more for poor quality.
    #[must_use]
    pub fn defect_probability(&self) -> f64 {
        0.02 + 0.12 / (1.0 + (2.5 * self.quality + 2.5).exp())
    }

    pub(crate) fn is_sold(&self, day: i64) -> bool {
        self.launch_day <= day && self.withdrawn_day.is_none_or(|last| day < last)
    }

    fn ramp(&self, day: i64) -> f64 {
        let age = (day - self.launch_day) as f64;
        if age < 0.0 {
            0.0
        } else {
            1.0 - (-(age + 1.0) / RAMP_DAYS).exp()
        }
    }
}

/// All products, by index, and how they belong together.
#[derive(Debug, Clone)]
pub struct Catalog {
    seed: u64,
    products: Vec<Product>,
    families: Vec<Vec<u32>>,
}

impl Catalog {
    pub(crate) fn new(settings: &Settings, calendar: &Calendar) -> Catalog {
        let mut catalog = Catalog {
            seed: settings.seed(),
            products: Vec::new(),
            families: vec![Vec::new(); COUNT],
        };
        let counts = shares(settings.products() as usize);
        for (family, count) in counts.into_iter().enumerate() {
            catalog.add_family(family, count, i64::from(calendar.length()));
        }
        catalog.add_popularity();
        catalog
    }

    /// Every product; the index is the product's number.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The product with this number.
    pub(crate) fn product(&self, number: u32) -> &Product {
        &self.products[number as usize]
    }

    /// The products of a family.
    pub(crate) fn family(&self, family: usize) -> &[u32] {
        &self.families[family]
    }

    /// How far the price of a product is reduced in the week of this day (0: not at all).
    pub(crate) fn reduction(&self, product: u32, day: u32) -> f64 {
        let key = key(
            self.seed,
            Purpose::Promotion,
            u64::from(product),
            u64::from(day / 7),
        );
        if share(key) < PROMOTED_WEEKS {
            0.10 + 0.05 * ((key & 3) as f64)
        } else {
            0.0
        }
    }

    /// What goes with a product: accessories that fit it best first, then those of its family.
    /// Each with its weight.
    pub(crate) fn complements(&self, product: u32) -> Vec<(u32, f64)> {
        let family = self.product(product).family;
        let mut found = Vec::new();
        for (other, shelf) in FAMILIES.iter().enumerate() {
            let (Use::Accessory { of, .. } | Use::Replenishable { of, .. }) = shelf.used_as else {
                continue;
            };
            if of.contains(&family) {
                found.extend(self.families[other].iter().filter_map(|&number| {
                    match self.product(number).role {
                        Role::Accessory { fits: Some(main) } if main != product => None,
                        Role::Accessory { fits: Some(_) } => Some((number, 12.0)),
                        _ => Some((number, 1.0)),
                    }
                }));
            }
        }
        found
    }

    fn add_family(&mut self, family: usize, count: usize, days: i64) {
        let mut dice = Dice::new(self.seed, Purpose::Family, family as u64);
        let mut brands: Vec<usize> = (0..BRANDS.len()).collect();
        dice.shuffle(&mut brands);
        let lines = (count * 2).div_ceil(5);
        let generations = |line: usize| (count - line).div_ceil(lines);
        for line in 0..lines {
            let made = generations(line);
            let plan = Line::new(&mut dice, family, line, &brands, made, days);
            let mut previous = None;
            for generation in 0..made {
                let number = u32::try_from(self.products.len()).expect("products are bounded");
                let mut product = plan.product(&mut dice, generation);
                product.replaces = previous;
                self.fit(&mut dice, &mut product);
                if number == 0 {
                    product.launch_day = product.launch_day.min(-1);
                }
                if let Some(old) = previous {
                    self.replace(&mut dice, old, number, product.launch_day);
                }
                self.products.push(product);
                self.families[family].push(number);
                previous = Some(number);
            }
        }
    }

    /// The first product of all is never withdrawn: something is always for sale.
    fn replace(&mut self, dice: &mut Dice, old: u32, new: u32, launch_day: i64) {
        let replaced = &mut self.products[old as usize];
        replaced.replaced_by = Some(new);
        let durable = matches!(replaced.role, Role::Main);
        if old > 0 && durable && dice.chance(WITHDRAWN) {
            replaced.withdrawn_day = Some(launch_day + WITHDRAWN_AFTER_DAYS);
        }
    }

    fn fit(&self, dice: &mut Dice, product: &mut Product) {
        if let Use::Accessory { of, model: true } = FAMILIES[product.family].used_as {
            let mains: Vec<u32> = of
                .iter()
                .flat_map(|&family| self.families[family].iter().copied())
                .collect();
            if !mains.is_empty() {
                let main = mains[dice.below(mains.len())];
                let owner = self.product(main);
                product.role = Role::Accessory { fits: Some(main) };
                product.launch_day = product.launch_day.max(owner.launch_day);
                product.name = format!("{} for {}", product.name, owner.name);
            }
        }
    }

    /// Popularity follows Zipf's law over product lines, in random order.
    fn add_popularity(&mut self) {
        let mut dice = Dice::new(self.seed, Purpose::Popularity, 0);
        let first: Vec<usize> = (0..self.products.len())
            .filter(|&number| self.products[number].replaces.is_none())
            .collect();
        let mut ranks: Vec<usize> = (1..=first.len()).collect();
        dice.shuffle(&mut ranks);
        for (&start, rank) in first.iter().zip(ranks) {
            let line = (rank as f64).powf(-ZIPF);
            let mut next = Some(start);
            while let Some(number) = next {
                let product = &mut self.products[number];
                product.popularity = line * dice.log_normal(0.3);
                next = product.replaced_by.map(|number| number as usize);
            }
        }
    }
}

/// What the products of one line have in common.
struct Line {
    family: usize,
    brand: usize,
    series: String,
    first_generation: u32,
    price_position: f64,
    quality: f64,
    style: Style,
    season: (f64, f64),
    newest_day: i64,
    made: usize,
    every_days: i64,
}

impl Line {
    fn new(
        dice: &mut Dice,
        family: usize,
        line: usize,
        brands: &[usize],
        made: usize,
        days: i64,
    ) -> Line {
        const VARIANTS: [&str; 7] = ["", " Pro", " Mini", " Max", " Lite", " Air", " SE"];
        // Six makers compete in a family.
        let brand = brands[line % 6];
        let series = FAMILIES[family].series[(line / 6) % 4];
        let variant = VARIANTS[(line / 24) % VARIANTS.len()];
        let (peak, strength) = FAMILIES[family].season;
        let position = 0.5 + 0.35 * BRANDS[brand].1 + 0.15 * dice.normal();
        let newest_day = if dice.chance(NEW_LINES) {
            (dice.between(0.1, 0.9) * days as f64) as i64
        } else {
            -(dice.between(30.0, 400.0) as i64)
        };
        Line {
            family,
            brand,
            series: format!("{series}{variant}"),
            first_generation: 2 + dice.below(9) as u32,
            price_position: position.clamp(0.0, 1.0),
            quality: 0.4 * BRANDS[brand].1 + 0.7 * dice.normal(),
            style: std::array::from_fn(|_| dice.normal()),
            season: (
                peak + 20.0 * dice.normal(),
                (strength * dice.between(0.7, 1.1)).min(0.95),
            ),
            newest_day,
            made,
            every_days: dice.between(300.0, 400.0) as i64,
        }
    }

    fn product(&self, dice: &mut Dice, generation: usize) -> Product {
        let family = &FAMILIES[self.family];
        let number = self.first_generation + generation as u32;
        let (low, high) = family.price;
        let rise = 1.05f64.powi(generation as i32);
        let price = (low * (high / low).powf(self.price_position) * rise)
            .round()
            .max(1.0)
            - 0.01;
        let role = match family.used_as {
            Use::Main => Role::Main,
            Use::Accessory { .. } => Role::Accessory { fits: None },
            Use::Replenishable { days, .. } => Role::Replenishable {
                rhythm_days: days * dice.log_normal(0.15),
            },
        };
        let brand = BRANDS[self.brand].0;
        let behind = (self.made - 1 - generation) as i64;
        Product {
            name: format!("{brand} {} {number} {}", self.series, family.noun),
            family: self.family,
            brand: self.brand,
            role,
            price_cents: (price * 100.0).round() as u32,
            cost_cents: (price * 100.0 * dice.between(0.55, 0.75)).round() as u32,
            launch_day: self.newest_day - behind * self.every_days,
            withdrawn_day: None,
            replaces: None,
            replaced_by: None,
            generation: number,
            colour: COLOURS[dice.below(COLOURS.len())],
            quality: (self.quality + 0.4 * dice.normal()).clamp(-2.5, 2.5),
            popularity: 1.0,
            season: self.season,
            price_position: 2.0 * self.price_position - 1.0,
            style: std::array::from_fn(|scale| self.style[scale] + 0.3 * dice.normal()),
        }
    }
}

/// Divides the products among the families by largest remainder.
fn shares(products: usize) -> Vec<usize> {
    let total: f64 = FAMILIES.iter().map(|family| family.share).sum();
    let exact: Vec<f64> = FAMILIES
        .iter()
        .map(|family| family.share / total * products as f64)
        .collect();
    let mut counts: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut order: Vec<usize> = (0..COUNT).collect();
    let rest = |family: usize| exact[family] - exact[family].floor();
    order.sort_by(|&a, &b| rest(b).total_cmp(&rest(a)).then(a.cmp(&b)));
    let missing = products - counts.iter().sum::<usize>();
    for &family in order.iter().take(missing) {
        counts[family] += 1;
    }
    counts
}

/// What is for sale on one day, and how attractive it is to everybody.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    /// The day it is for.
    pub(crate) day: u32,
    items: Vec<Item>,
    /// Season of each family.
    pub(crate) families: Vec<f64>,
}

/// One product on one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Common part of the utility; `None` when it is not sold.
    pub(crate) appeal: Option<f64>,
    /// Price reduction, 0 to 1.
    pub(crate) reduction: f64,
    /// From 1 at launch towards 0.
    pub(crate) novelty: f64,
}

impl Shelf {
    pub(crate) fn new(catalog: &Catalog, calendar: &Calendar, day: u32) -> Shelf {
        let of_year = calendar.day(day).of_year;
        let at = i64::from(day);
        let items = (0u32..).zip(&catalog.products).map(|(number, product)| {
            let (peak, strength) = product.season;
            let fading = product
                .replaced_by
                .map_or(0.0, |next| catalog.product(next).ramp(at));
            let weight = product.popularity
                * season(of_year, peak, strength)
                * product.ramp(at)
                * (1.0 - 0.6 * fading);
            let age = (at - product.launch_day) as f64;
            Item {
                appeal: product.is_sold(at).then(|| weight.max(1e-9).ln()),
                reduction: catalog.reduction(number, day),
                novelty: if age < 0.0 {
                    0.0
                } else {
                    (-age / NOVELTY_DAYS).exp()
                },
            }
        });
        let items = items.collect();
        let families = FAMILIES
            .iter()
            .map(|family| season(of_year, family.season.0, family.season.1))
            .collect();
        Shelf {
            day,
            items,
            families,
        }
    }

    pub(crate) fn item(&self, product: u32) -> Item {
        self.items[product as usize]
    }
}
