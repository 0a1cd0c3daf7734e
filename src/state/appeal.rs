//! What an offer is to a customer: the features of its acceptance, worked out from State. What is the same for
//! everybody is made once for a moment ([`Appeal`]), what is the same for all offers once for a customer ([`Habits`]).

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::algorithms::acceptance::{Features, expected};
use crate::algorithms::features::Own;
use crate::domain::Outcome;
use crate::domain::catalog::CategoryPath;
use crate::state::State;
use crate::state::offers::Listing;
use crate::state::products::Products;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// Half-life, in days, of an own purchase that speaks for an offer.
const FADE_DAYS: f64 = 60.0;

/// Numbers by kind (type or category) of products, sorted by kind, each kind once.
type ByKind = Vec<(u32, f64)>;

/// What the offers are about and how that sells: of the State it was made of, at that moment.
#[derive(Debug, Clone)]
pub struct Appeal {
    /// By product number.
    kinds: Vec<Kinds>,
    /// By offer number; absent: nothing says what it is about.
    offers: Vec<Option<Range>>,
    /// Of offers of all products.
    whole: Assortment,
}

/// The kinds of a product; 0 where there is neither category nor name.
#[derive(Debug, Clone, Copy, Default)]
struct Kinds {
    category: u32,
    /// Products of one category and one name are of one type.
    of_type: u32,
}

/// What an offer is about.
#[derive(Debug, Clone)]
struct Range {
    /// The products, with what is known of them together; absent: all products.
    named: Option<(Box<[u32]>, Assortment)>,
    /// How often offers of just these products were redeemed by anybody, this one among them.
    redemptions: u64,
}

/// Some products together.
#[derive(Debug, Clone, Default)]
struct Assortment {
    breadth: f64,
    popularity: f64,
    /// Their share in everybody's purchases of each type.
    type_shares: ByKind,
    /// Their share in everybody's purchases of each category.
    category_shares: ByKind,
    /// The share of each type among them.
    mix: ByKind,
}

/// What a customer bought and redeemed until a moment.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// By product, sorted.
    own: Vec<(u32, Own)>,
    /// Own purchases by type.
    types: ByKind,
    /// Own purchases by category.
    categories: ByKind,
    /// Σ over the redeemed offers of the share of each type among their products.
    redeemed: ByKind,
}

impl Appeal {
    /// Of everything State knows. Takes time in proportion to the products of the catalog and of all offers together.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let products = &state.products;
        let kinds = kinds(products);
        let mut sold = Sold::default();
        for (item, kinds) in products.items().iter().zip(&kinds) {
            sold.types.add(kinds.of_type, f64::from(item.baskets));
            sold.categories.add(kinds.category, f64::from(item.baskets));
        }
        let assortment =
            |numbers: &[u32]| -> Assortment { Assortment::of(numbers, products, &kinds, &sold) };
        let items = state.offers.items();
        let mut named: Vec<Option<Option<Box<[u32]>>>> = Vec::with_capacity(items.len());
        let mut redemptions: HashMap<Option<Box<[u32]>>, u64, FixedState> = HashMap::default();
        for item in items {
            let about = item
                .listing
                .as_deref()
                .map(|listing| about(listing, products));
            if let Some(about) = &about {
                *redemptions.entry(about.clone()).or_default() += item.outcomes.redeemed;
            }
            named.push(about);
        }
        let offers = named.into_iter().map(|about| {
            let about = about?;
            Some(Range {
                redemptions: redemptions.get(&about).copied().unwrap_or_default(),
                named: about.map(|numbers| {
                    let together = assortment(&numbers);
                    (numbers, together)
                }),
            })
        });
        let offers: Vec<Option<Range>> = offers.collect();
        let all: Vec<u32> = (0..products.items().len() as u32).collect();
        let whole = assortment(&all);
        Self {
            kinds,
            offers,
            whole,
        }
    }

    /// What is known of an offer, by its number, and a customer; nothing of an offer that only events speak of.
    #[must_use]
    pub fn features(&self, offer: u32, habits: &Habits) -> Option<Features> {
        let range = self.range(offer)?;
        let together = self.together(range);
        let (mut own, mut own_faded) = (0.0, 0.0);
        let mut add = |bought: &Own| {
            own += bought.baskets;
            own_faded += bought.slow;
        };
        match &range.named {
            None => habits.own.iter().for_each(|(_, bought)| add(bought)),
            Some((numbers, _)) if numbers.len() < habits.own.len() => {
                for number in numbers {
                    let place = habits.own.binary_search_by_key(number, |&(own, _)| own);
                    if let Ok(place) = place {
                        add(&habits.own[place].1);
                    }
                }
            }
            Some((numbers, _)) => {
                for (number, bought) in &habits.own {
                    if numbers.binary_search(number).is_ok() {
                        add(bought);
                    }
                }
            }
        }
        Some(Features {
            own,
            own_faded,
            by_type: expected(&habits.types, &together.type_shares),
            by_category: expected(&habits.categories, &together.category_shares),
            popularity: together.popularity,
            breadth: together.breadth,
            redeemed_alike: expected(&habits.redeemed, &together.mix),
        })
    }

    /// How often offers of just the same products were redeemed by anybody, this one among them.
    #[must_use]
    pub fn redemptions(&self, offer: u32) -> u64 {
        self.range(offer).map_or(0, |range| range.redemptions)
    }

    fn range(&self, offer: u32) -> Option<&Range> {
        self.offers.get(offer as usize)?.as_ref()
    }

    fn together<'a>(&'a self, range: &'a Range) -> &'a Assortment {
        range.named.as_ref().map_or(&self.whole, |(_, own)| own)
    }

    /// A product that became known later has no kind yet.
    fn kinds_of(&self, product: u32) -> Kinds {
        let known = self.kinds.get(product as usize);
        known.copied().unwrap_or_default()
    }
}

impl Habits {
    /// Of who asks, until the moment of the question.
    #[must_use]
    pub fn of(view: &View<'_>, appeal: &Appeal) -> Self {
        let tuning = Tuning {
            own_slow_days: FADE_DAYS,
            ..Tuning::default()
        };
        let own = view.own(&tuning);
        let [mut types, mut categories, mut redeemed] = [(); 3].map(|()| Sums::default());
        for (product, bought) in &own {
            let kinds = appeal.kinds_of(*product);
            types.add(kinds.of_type, bought.baskets);
            categories.add(kinds.category, bought.baskets);
        }
        let outcomes = view.subject.map_or(&[][..], |subject| &subject.outcomes);
        let outcomes = outcomes.iter().take_while(|past| past.time <= view.now);
        for past in outcomes.filter(|past| past.outcome == Outcome::Redeemed) {
            if let Some(range) = appeal.range(past.offer) {
                for &(kind, share) in &appeal.together(range).mix {
                    redeemed.add(kind, share);
                }
            }
        }
        Self {
            own,
            types: types.sorted(),
            categories: categories.sorted(),
            redeemed: redeemed.sorted(),
        }
    }
}

/// Purchases by everybody, by kind.
#[derive(Default)]
struct Sold {
    types: Sums,
    categories: Sums,
}

#[derive(Default)]
struct Sums(HashMap<u32, f64, FixedState>);

impl Sums {
    fn add(&mut self, kind: u32, number: f64) {
        *self.0.entry(kind).or_default() += number;
    }

    fn sorted(self) -> ByKind {
        let mut sorted: ByKind = self.0.into_iter().collect();
        sorted.sort_unstable_by_key(|&(kind, _)| kind);
        sorted
    }

    /// Of each kind with something in it, its share in `all`.
    fn shares_in(self, all: &Self) -> ByKind {
        let mut shares = self.sorted();
        shares.retain_mut(|(kind, number)| {
            let whole = all.0.get(kind).copied().unwrap_or_default();
            *number /= whole.max(1.0);
            *number > 0.0
        });
        shares
    }
}

impl Assortment {
    fn of(numbers: &[u32], products: &Products, kinds: &[Kinds], sold: &Sold) -> Self {
        let (mut own, mut mix) = (Sold::default(), Sums::default());
        let mut popularity = 0.0;
        for &number in numbers {
            let kinds = kinds[number as usize];
            let baskets = f64::from(products.item(number).baskets);
            mix.add(kinds.of_type, 1.0 / numbers.len() as f64);
            popularity += baskets;
            own.types.add(kinds.of_type, baskets);
            own.categories.add(kinds.category, baskets);
        }
        Self {
            breadth: numbers.len() as f64,
            popularity,
            type_shares: own.types.shares_in(&sold.types),
            category_shares: own.categories.shares_in(&sold.categories),
            mix: mix.sorted(),
        }
    }
}

/// The kinds of all products, by number.
fn kinds(products: &Products) -> Vec<Kinds> {
    let mut categories: HashMap<&[Box<str>], u32, FixedState> = HashMap::default();
    let mut types: HashMap<(u32, &str), u32, FixedState> = HashMap::default();
    categories.insert(&[], 0);
    types.insert((0, ""), 0);
    let items = products.items().iter();
    items
        .map(|item| {
            let Some(listing) = &item.listing else {
                return Kinds::default();
            };
            let next = categories.len() as u32;
            let category = *categories.entry(&listing.category).or_insert(next);
            let next = types.len() as u32;
            let of_type = *types.entry((category, &listing.name)).or_insert(next);
            Kinds { category, of_type }
        })
        .collect()
}

/// The numbers of the products an offer is about, sorted: those it names, and those of its categories. None: it names
/// neither, and is about all products.
fn about(listing: &Listing, products: &Products) -> Option<Box<[u32]>> {
    let categories = &listing.terms.categories;
    if categories.is_empty() {
        let named = &listing.products;
        return (!named.is_empty()).then(|| named.clone());
    }
    let is_below = |category: &CategoryPath, path: &[Box<str>]| path.starts_with(category);
    let items = (0..).zip(products.items());
    let below = items.filter_map(|(number, item)| {
        let path = &item.listing.as_deref()?.category;
        let is_it = categories.iter().any(|category| is_below(category, path));
        is_it.then_some(number)
    });
    let mut numbers: Vec<u32> = below.chain(listing.products.iter().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers.into())
}
