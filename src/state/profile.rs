//! What a customer is like, in numbers: the same code for training and for serving.
//!
//! Each number is a mean of observations with how many there are, so that what little history says is not taken for
//! what somebody is like (see [`crate::algorithms::personas::credibility`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::algorithms::personas::{Column, Measure, Scale};
use crate::domain::time::DAY_MS;
use crate::domain::{Outcome, Timestamp};
use crate::state::State;
use crate::state::habits::{Act, Habits, OTHER_WAY, PARTS};
use crate::state::products::Listing;
use crate::state::sales::Sale;
use crate::state::subjects::Subject;
use crate::state::view::View;

/// The most top-level categories that have a share of their own; the rest is "other".
pub const MAX_CATEGORIES: usize = 24;
/// The most ways in that have a share of their own; the rest is "other".
pub const MAX_WAYS: usize = 12;
/// The most categories whose usual prices are kept.
pub const MAX_PRICED: usize = 4_096;
/// Below so many visits, or so many orders, nobody can be told.
pub const LEAST_VISITS: u32 = 4;
/// See [`LEAST_VISITS`].
pub const LEAST_ORDERS: usize = 1;
/// A product is new for so long after its launch.
const NEW_DAYS: f64 = 90.0;
/// A month.
const MONTH_DAYS: f64 = 30.0;
/// The variance of the logarithm of a waiting time that is exponential: π²/6.
const LOG_WAIT_VARIANCE: f64 = 1.644_934;

/// What the shop sells and where it is met, as profiles name it: fixed when personas are learned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Assortment {
    /// The top-level categories, most bought first.
    categories: Vec<Box<str>>,
    /// The ways in, most visits first.
    ways: Vec<Box<str>>,
    /// By category (the whole path): the mean and the deviation of the logarithm of its prices.
    prices: BTreeMap<Box<str>, (f64, f64)>,
}

impl Assortment {
    /// As it is now.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let mut categories: BTreeMap<&str, u64> = BTreeMap::new();
        let mut prices: BTreeMap<Box<str>, [f64; 3]> = BTreeMap::new();
        for item in state.products.items() {
            let Some(listing) = item.listing.as_deref() else {
                continue;
            };
            if let Some(top) = listing.category.first() {
                *categories.entry(top).or_default() += u64::from(item.baskets);
            }
            let (path, price) = (path(listing), log_price(listing));
            let has_room = prices.len() < MAX_PRICED || prices.contains_key(&path);
            if let Some(price) = price.filter(|_| has_room) {
                let sums = prices.entry(path).or_default();
                sums[0] += 1.0;
                sums[1] += price;
                sums[2] += price * price;
            }
        }
        let prices = prices
            .into_iter()
            .filter_map(|(path, [count, sum, squares])| {
                let mean = sum / count;
                let deviation = (squares / count - mean * mean).max(0.0).sqrt();
                (deviation > 1e-6).then_some((path, (mean, deviation)))
            });
        let mut ways: BTreeMap<&str, u64> = BTreeMap::new();
        for subject in state.people.customers() {
            for &(way, count) in &subject.habits.ways {
                if let Some(name) = state.ways().get(usize::from(way)) {
                    *ways.entry(name).or_default() += u64::from(count);
                }
            }
        }
        Self {
            categories: most(categories, MAX_CATEGORIES),
            ways: most(ways, MAX_WAYS),
            prices: prices.collect(),
        }
    }

    /// The columns of [`measures`], in the same order.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        let fixed = FIXED.iter().map(Fixed::column);
        let share = |kind: &str, name: &str, who: String, words: [String; 2]| Column {
            name: format!("{kind}:{name}"),
            group: kind.to_owned(),
            scale: Scale::Part,
            noise: None,
            is_log: false,
            who: [who, String::new()],
            words,
        };
        let categories = self.categories.iter().map(|name| {
            let words = [
                format!("buy much of {name}"),
                format!("buy little of {name}"),
            ];
            share("share", name, format!("{name} buyers"), words)
        });
        let ways = self.ways.iter().map(|name| {
            let spoken = name.replace('_', " ");
            let words = [
                format!("often come by {spoken}"),
                format!("rarely come by {spoken}"),
            ];
            share("way", name, format!("Visitors by {spoken}"), words)
        });
        let other = |kind| share(kind, "(other)", String::new(), Default::default());
        let all = fixed.chain(categories).chain([other("share")]);
        all.chain(ways).chain([other("way")]).collect()
    }

    /// How dear a product is within its category, in deviations of the prices there.
    fn price_level(&self, listing: &Listing) -> Option<f64> {
        let (mean, deviation) = self.prices.get(&path(listing))?;
        Some(((log_price(listing)? - mean) / deviation).clamp(-3.0, 3.0))
    }
}

fn path(listing: &Listing) -> Box<str> {
    let path = listing
        .category
        .join(crate::domain::catalog::CATEGORY_SEPARATOR);
    path.into()
}

fn log_price(listing: &Listing) -> Option<f64> {
    let price = listing
        .price
        .map(|price| price.0 as f64)
        .filter(|&price| price > 0.0);
    price.map(f64::ln)
}

fn most(counts: BTreeMap<&str, u64>, most: usize) -> Vec<Box<str>> {
    let mut counts: Vec<(&str, u64)> = counts.into_iter().filter(|&(_, count)| count > 0).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts.truncate(most);
    counts.into_iter().map(|(name, _)| name.into()).collect()
}

/// A column that every shop has.
struct Fixed {
    name: &'static str,
    group: &'static str,
    scale: Scale,
    noise: Option<f64>,
    is_log: bool,
    who: [&'static str; 2],
    words: [&'static str; 2],
}

impl Fixed {
    fn column(&self) -> Column {
        Column {
            name: self.name.to_owned(),
            group: self.group.to_owned(),
            scale: self.scale,
            noise: self.noise,
            is_log: self.is_log,
            who: self.who.map(str::to_owned),
            words: self.words.map(str::to_owned),
        }
    }
}

const fn fixed(
    name: &'static str,
    group: &'static str,
    (scale, is_log): (Scale, bool),
    who: [&'static str; 2],
    words: [&'static str; 2],
) -> Fixed {
    Fixed {
        name,
        group,
        scale,
        noise: None,
        is_log,
        who,
        words,
    }
}

const MEAN: (Scale, bool) = (Scale::Plain, false);
const LOG: (Scale, bool) = (Scale::Plain, true);
const RATE: (Scale, bool) = (Scale::Rate, false);
const SHARE: (Scale, bool) = (Scale::Share, false);

#[rustfmt::skip]
const FIXED: [Fixed; 19] = [
    Fixed {
        noise: Some(LOG_WAIT_VARIANCE),
        ..fixed("recency_days", "rfm", LOG, ["", ""], ["last bought long ago", "bought lately"])
    },
    fixed("orders_per_month", "rfm", RATE, ["Frequent buyers", "Occasional buyers"], ["buy often", "buy rarely"]),
    fixed("basket_value", "rfm", LOG, ["Big spenders", "Small spenders"], ["large baskets", "small baskets"]),
    fixed("gap_days", "rfm", LOG, ["", ""], ["long between orders", "little time between orders"]),
    fixed("units_per_line", "size", LOG, ["Bulk buyers", ""], ["many units of a product", "single units"]),
    fixed("lines_per_order", "size", LOG, ["", ""], ["many products an order", "few products an order"]),
    fixed("price_level", "price", MEAN, ["Premium buyers", "Bargain hunters"],
        ["buy the dearer products of a category", "buy the cheaper products of a category"]),
    fixed("new_products", "price", SHARE, ["Early adopters", ""], ["buy what is new", "rarely buy what is new"]),
    fixed("offers_redeemed", "price", SHARE, ["Offer seekers", ""], ["often redeem offers", "rarely redeem offers"]),
    fixed("office_hours", "time", SHARE, ["Office buyers", "Leisure buyers"],
        ["come in office hours", "rarely come in office hours"]),
    fixed("evenings", "time", SHARE, ["Evening shoppers", ""], ["come in the evening", "rarely come in the evening"]),
    fixed("nights", "time", SHARE, ["Night owls", ""], ["come at night", "rarely come at night"]),
    fixed("weekends", "time", SHARE, ["Weekend shoppers", "Weekday shoppers"],
        ["come on weekends", "come on weekdays"]),
    fixed("visits_per_month", "browsing", RATE, ["Frequent visitors", "Rare visitors"], ["come often", "come rarely"]),
    fixed("views_per_visit", "browsing", RATE, ["Browsers", "Decided buyers"],
        ["look at many products a visit", "look at few products a visit"]),
    fixed("searches_per_visit", "browsing", RATE, ["", ""], ["search much", "search little"]),
    fixed("orders_per_visit", "browsing", SHARE, ["Purposeful buyers", "Browsers"],
        ["most visits end in an order", "few visits end in an order"]),
    fixed("reviews_per_order", "browsing", RATE, ["Reviewers", ""], ["review and recommend", "rarely review"]),
    fixed("mails_per_month", "browsing", RATE, ["Mail readers", ""], ["read mails", "rarely read mails"]),
];

/// What was measured of somebody at the moment of the question; nothing if their history is too short to tell: fewer
/// than [`LEAST_VISITS`] visits or [`LEAST_ORDERS`] orders. Counts of visits are those of now, also in a question of
/// the past. Every number is finite; the columns are those of [`Assortment::columns`].
#[must_use]
pub fn measures(view: &View<'_>, assortment: &Assortment) -> Option<Vec<Measure>> {
    let (state, now) = (view.state, view.now);
    let subject = view.subject?;
    let baskets = subject.baskets.partition_point(|basket| basket.time <= now);
    let habits = &subject.habits;
    let visits = habits.visits();
    if visits < LEAST_VISITS || baskets < LEAST_ORDERS {
        return None;
    }
    let (first, last) = subject.seen?;
    let days = last.min(now).days_since(first).max(0.0) + MONTH_DAYS / 2.0;
    let months = days / MONTH_DAYS;
    let bought = Bought::of(state, subject, baskets, assortment);
    let orders = baskets as f64;
    let redeemed = subject.outcomes.iter().filter(|past| past.time <= now);
    let redeemed = redeemed
        .filter(|past| past.outcome == Outcome::Redeemed)
        .count() as f64;
    let newest = subject.baskets[baskets - 1].time;
    let mut recency = Measure::default();
    recency.add(now.days_since(newest).max(0.1).ln());
    let all = f64::from(visits);
    let act = |act| f64::from(habits.acts(act));
    let [office, evening, night, weekend] = hours(habits);
    let fixed: [Measure; FIXED.len()] = [
        recency,
        Measure::rate(orders, months),
        bought.value,
        gaps(subject, baskets),
        bought.units,
        bought.lines,
        bought.level,
        bought.new,
        Measure::share(redeemed.min(orders), orders),
        Measure::share(office, all),
        Measure::share(evening, all),
        Measure::share(night, all),
        Measure::share(weekend, all),
        Measure::rate(all, months),
        Measure::rate(act(Act::Look), all),
        Measure::rate(act(Act::Search), all),
        Measure::share(orders.min(all), all),
        Measure::rate(act(Act::Speak), orders),
        Measure::rate(act(Act::Mail), months),
    ];
    let of_categories = bought.by_category.iter();
    let categories = of_categories.map(|&count| Measure::share(count, bought.categorised));
    let mut by_way = vec![0.0; assortment.ways.len() + 1];
    for &(way, count) in &habits.ways {
        let name = state
            .ways()
            .get(usize::from(way))
            .filter(|_| way != OTHER_WAY);
        let place = name.and_then(|name| assortment.ways.iter().position(|known| known == name));
        by_way[place.unwrap_or(assortment.ways.len())] += f64::from(count);
    }
    let came: f64 = by_way.iter().sum();
    let ways = by_way.iter().map(|&count| Measure::share(count, came));
    Some(fixed.into_iter().chain(categories).chain(ways).collect())
}

/// What the baskets say.
struct Bought {
    value: Measure,
    units: Measure,
    lines: Measure,
    level: Measure,
    new: Measure,
    by_category: Vec<f64>,
    categorised: f64,
}

impl Bought {
    fn of(state: &State, subject: &Subject, baskets: usize, assortment: &Assortment) -> Self {
        let mut bought = Self {
            value: Measure::default(),
            units: Measure::default(),
            lines: Measure::default(),
            level: Measure::default(),
            new: Measure::default(),
            by_category: vec![0.0; assortment.categories.len() + 1],
            categorised: 0.0,
        };
        for place in 0..baskets {
            let lines = subject.lines_of(place);
            let mut value = 0.0;
            for line in lines {
                let quantity = f64::from(line.quantity);
                bought.units.add(quantity.max(1e-3).ln());
                let listing = state.products.item(line.product).listing.as_deref();
                if let Some(sale) = Sale::of(quantity, None, listing) {
                    value += sale.price;
                }
                if let Some(listing) = listing {
                    bought.take(listing, subject.baskets[place].time, assortment);
                }
            }
            bought.lines.add((lines.len().max(1) as f64).ln());
            if value > 0.0 {
                bought.value.add((value / 1e6).ln());
            }
        }
        bought
    }

    fn take(&mut self, listing: &Listing, time: Timestamp, assortment: &Assortment) {
        if let Some(level) = assortment.price_level(listing) {
            self.level.add(level);
        }
        if let Some(created) = listing.created_at {
            let is_new = time.days_since(created) <= NEW_DAYS;
            self.new.add(f64::from(is_new));
        }
        if let Some(top) = listing.category.first() {
            let place = assortment.categories.iter().position(|known| known == top);
            self.by_category[place.unwrap_or(assortment.categories.len())] += 1.0;
            self.categorised += 1.0;
        }
    }
}

/// The logarithms of the days between orders.
fn gaps(subject: &Subject, baskets: usize) -> Measure {
    let mut gaps = Measure::default();
    for pair in subject.baskets[..baskets].windows(2) {
        let ms = pair[1].time.ms() - pair[0].time.ms();
        gaps.add((ms as f64 / DAY_MS as f64).max(0.1).ln());
    }
    gaps
}

/// Visits in office hours (working days, 8 to 18), in the evening (18 to 22), at night (22 to 6) and on weekends; UTC.
fn hours(habits: &Habits) -> [f64; 4] {
    let part = |hour: usize| hour * PARTS / 24;
    let count = |day: usize, from: usize, to: usize| -> f64 {
        let parts = &habits.times[day][part(from)..part(to)];
        parts.iter().map(|&count| f64::from(count)).sum()
    };
    let both = |from, to| count(0, from, to) + count(1, from, to);
    [
        count(0, 8, 18),
        both(18, 22),
        both(22, 24) + both(0, 6),
        count(1, 0, 24),
    ]
}
