//! What sells among customers of each persona, worked out from State: whose persona the last buyers of a product are.
//!
//! Who is which persona is told by the customers' own pasts, and counted anew product by product as it sells: a
//! question of the past sees what was known then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::algorithms::personas::{FittedPersonas, Membership};
use crate::state::State;
use crate::state::people::Person;
use crate::state::products::{RECENT_DAYS, TOP};
use crate::state::profile::{Assortment, measures};
use crate::state::relations::STALE_SHARE;
use crate::state::subjects::Subject;
use crate::state::view::View;

/// So many of the last buyers of a product are asked for their persona.
pub const ASKED_BUYERS: usize = 200;
/// A product is thought to have so many more buyers, of all personas as everywhere.
const SURE_OF_PRODUCT: f32 = 10.0;
/// Somebody's persona is told anew when they have done so many times as much.
const STALE_TIMES: f64 = 1.5;
/// The number of no persona.
const NONE: u8 = u8::MAX;

/// What tells the persona of a customer: a part of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Teller {
    /// What profiles name.
    pub assortment: Assortment,
    /// The personas.
    pub fitted: FittedPersonas,
}

impl Teller {
    /// Which persona somebody is, and how much; nothing if their history is too short to tell.
    #[must_use]
    pub fn of(&self, view: &View<'_>) -> Option<Membership> {
        self.fitted.membership(&measures(view, &self.assortment)?)
    }

    fn place_of(&self, view: &View<'_>) -> Option<usize> {
        self.of(view).map(|membership| membership.best)
    }
}

/// What sells among customers of each persona.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PersonaPopularity {
    /// Absent: nobody's persona is known.
    teller: Option<Arc<Teller>>,
    /// By the number of a customer.
    told: Vec<Told>,
    /// By product.
    products: Vec<Counted>,
    /// The buyers that are counted, of all products, by persona.
    buyers: Vec<u64>,
    /// By persona: the products that sell best among its customers, [`TOP`] at most.
    best: Vec<Vec<u32>>,
}

/// The persona of a customer as it was told.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    /// How much they had done by then.
    events: u64,
    persona: u8,
}

/// The buyers of a product.
#[derive(Debug, Clone, Default, PartialEq)]
struct Counted {
    /// How many baskets held it when they were counted.
    baskets: u32,
    /// By persona.
    buyers: Box<[u16]>,
}

impl PersonaPopularity {
    /// True if personas are told by this.
    #[must_use]
    pub fn is_told_by(&self, teller: Option<&Teller>) -> bool {
        self.teller.as_deref() == teller
    }

    /// Lets personas be told by this, or by nobody: then nothing is known. Counts from the next refresh on.
    pub fn tell_by(&mut self, teller: Option<&Teller>) {
        if !self.is_told_by(teller) {
            let personas = teller.map_or(0, |teller| teller.fitted.personas().len());
            *self = Self {
                teller: teller.map(|teller| Arc::new(teller.clone())),
                buyers: vec![0; personas],
                ..Self::default()
            };
        }
    }

    /// The persona of who asks, by its place; nothing if it cannot be told.
    #[must_use]
    pub fn persona_of(&self, view: &View<'_>) -> Option<usize> {
        let teller = self.teller.as_deref()?;
        let subject = view.subject?;
        let people = &view.state.people;
        let number = people.customer_number(&subject.id);
        // a visitor may have the id of a customer
        let is_theirs = |&number: &u32| {
            let customer = people.customers().get(number as usize);
            customer.is_some_and(|customer| std::ptr::eq(customer, subject))
        };
        let number = number.filter(is_theirs)?;
        let told = self.told.get(number as usize);
        match told.filter(|told| told.holds(subject)) {
            Some(told) => told.place(),
            None => teller.place_of(view),
        }
    }

    /// How many times likelier a buyer of a product is of this persona than a buyer of anything is; 0: nobody knows.
    #[must_use]
    pub fn lift(&self, product: u32, persona: usize) -> f64 {
        let all: u64 = self.buyers.iter().sum();
        let usual =
            self.buyers.get(persona).copied().unwrap_or_default() as f32 / all.max(1) as f32;
        if usual <= 0.0 {
            return 0.0;
        }
        let counted = self.products.get(product as usize);
        let buyers = counted.map_or(&[][..], |counted| &counted.buyers);
        let own = buyers.get(persona).copied().unwrap_or_default();
        let whole: f32 = buyers.iter().copied().map(f32::from).sum();
        let share = (f32::from(own) + SURE_OF_PRODUCT * usual) / (whole + SURE_OF_PRODUCT);
        f64::from(share / usual)
    }

    /// The products that sell best among customers of a persona, at most [`TOP`], in no order that matters.
    #[must_use]
    pub fn best(&self, persona: usize) -> &[u32] {
        self.best.get(persona).map_or(&[], Vec::as_slice)
    }

    /// True if anything has changed enough.
    #[must_use]
    pub fn is_stale(&self, state: &State) -> bool {
        self.teller.is_some() && !self.stale(state).is_empty()
    }

    /// Counts anew the buyers of at most `most` products that have sold enough since. Returns how many are left.
    pub fn refresh_some(&mut self, state: &State, most: usize) -> usize {
        let Some(teller) = self.teller.clone() else {
            return 0;
        };
        let items = state.products.items();
        self.products.resize_with(items.len(), Counted::default);
        let mut stale = self.stale(state);
        let left = stale.len().saturating_sub(most);
        let has_changed = !stale.is_empty();
        stale.truncate(most);
        for product in stale {
            self.count(state, &teller, product);
        }
        if left == 0 && has_changed {
            self.rank(state);
        }
        left
    }

    fn stale(&self, state: &State) -> Vec<u32> {
        let items = state.products.items().iter().enumerate();
        let stale = items.filter(|&(product, item)| {
            let known = self.products.get(product).map_or(0, |known| known.baskets);
            f64::from(item.baskets.abs_diff(known)) > STALE_SHARE * f64::from(known)
        });
        stale.map(|(product, _)| product as u32).collect()
    }

    fn count(&mut self, state: &State, teller: &Teller, product: u32) {
        let item = state.products.item(product);
        let mut buyers = vec![0u16; self.buyers.len()].into_boxed_slice();
        for person in item.last_buyers().rev().take(ASKED_BUYERS) {
            let Person::Customer(number) = person else {
                continue;
            };
            if let Some(persona) = self.tell(state, teller, number) {
                buyers[persona] += 1;
            }
        }
        let counted = Counted {
            baskets: item.baskets,
            buyers,
        };
        let before = std::mem::replace(&mut self.products[product as usize], counted);
        for (all, &gone) in self.buyers.iter_mut().zip(&before.buyers) {
            *all -= u64::from(gone);
        }
        let now = &self.products[product as usize].buyers;
        for (all, &come) in self.buyers.iter_mut().zip(now) {
            *all += u64::from(come);
        }
    }

    /// The persona of a customer, told anew if they have done enough since.
    fn tell(&mut self, state: &State, teller: &Teller, number: u32) -> Option<usize> {
        let subject = state.people.customers().get(number as usize)?;
        let place = number as usize;
        let known = self.told.get(place).filter(|told| told.holds(subject));
        let told = known.copied().unwrap_or_else(|| {
            let view = View::new(state, Some(subject), &[], state.newest());
            let persona = teller.place_of(&view);
            Told {
                events: subject.events,
                persona: persona.and_then(|p| u8::try_from(p).ok()).unwrap_or(NONE),
            }
        });
        if self.told.len() <= place {
            self.told.resize(place + 1, Told::NOT_YET);
        }
        self.told[place] = told;
        told.place()
    }

    /// Finds the best of each persona: what sells lately, by how much likelier its buyers are of the persona.
    fn rank(&mut self, state: &State) {
        let items = state.products.items();
        let lists = (0..self.buyers.len()).map(|persona| {
            let sold = (0..items.len() as u32).filter(|&p| items[p as usize].baskets > 0);
            let mut keyed: Vec<(f64, u32)> = sold
                .map(|product| {
                    let key = items[product as usize].bought_recent.key();
                    (key + self.lift(product, persona).log2(), product)
                })
                .collect();
            if keyed.len() > TOP {
                keyed.select_nth_unstable_by(TOP, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                keyed.truncate(TOP);
            }
            keyed.into_iter().map(|(_, product)| product).collect()
        });
        self.best = lists.collect();
    }

    /// What a product sells lately among customers of a persona, if everybody bought as they do.
    #[must_use]
    pub fn popularity(&self, view: &View<'_>, product: u32, persona: usize) -> f64 {
        let item = view.state.products.item(product);
        item.bought_recent.at(view.now, RECENT_DAYS) * self.lift(product, persona)
    }
}

impl Told {
    const NOT_YET: Self = Self {
        events: 0,
        persona: NONE,
    };

    /// True if nothing much has happened since.
    fn holds(&self, subject: &Subject) -> bool {
        self.events > 0 && subject.events as f64 <= STALE_TIMES * self.events as f64
    }

    fn place(&self) -> Option<usize> {
        (self.persona != NONE).then_some(usize::from(self.persona))
    }
}
