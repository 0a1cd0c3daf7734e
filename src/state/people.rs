//! Customers and visitors by id; visitors who turned out to be customers; visitors who never came back.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::domain::{CustomerId, Timestamp, VisitorId};
use crate::state::subjects::Subject;

/// A customer or visitor, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Person {
    /// A known customer.
    Customer(u32),
    /// Somebody anonymous.
    Visitor(u32),
}

impl Person {
    /// In four bytes.
    pub(super) fn packed(self) -> u32 {
        match self {
            Self::Customer(number) => number << 1,
            Self::Visitor(number) => number << 1 | 1,
        }
    }

    /// From four bytes.
    pub(super) fn unpacked(packed: u32) -> Self {
        match packed & 1 {
            0 => Self::Customer(packed >> 1),
            _ => Self::Visitor(packed >> 1),
        }
    }
}

/// Everybody.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct People {
    /// In the order in which they became known; a number stays with its customer.
    customers: Vec<Subject>,
    /// [`Subject::distinct`] of each, side by side: who looks for similar customers asks thousands of them.
    #[serde(skip)]
    distinct: Vec<u32>,
    /// Places are used again when a visitor is identified or forgotten.
    visitors: Vec<Option<Box<Subject>>>,
    free: Vec<u32>,
    #[serde(skip)]
    customer_numbers: HashMap<Box<str>, u32, FixedState>,
    /// Also of visitors who turned out to be customers.
    #[serde(skip)]
    visitor_persons: HashMap<Box<str>, Person, FixedState>,
}

impl People {
    /// Makes the maps from ids anew, after decoding.
    pub(super) fn index(&mut self) {
        self.distinct = self.customers.iter().map(|c| c.distinct).collect();
        for (number, customer) in self.customers.iter().enumerate() {
            let number = number as u32;
            self.customer_numbers.insert(customer.id.clone(), number);
            for visitor in &customer.visitors {
                self.visitor_persons
                    .insert(visitor.clone(), Person::Customer(number));
            }
        }
        for (number, visitor) in self.visitors.iter().enumerate() {
            if let Some(visitor) = visitor {
                let person = Person::Visitor(number as u32);
                self.visitor_persons.insert(visitor.id.clone(), person);
            }
        }
    }

    /// A customer, if known.
    #[must_use]
    pub fn customer(&self, id: &CustomerId) -> Option<Person> {
        self.customer_number(id.as_str()).map(Person::Customer)
    }

    /// The number of the customer of this id, if known.
    #[must_use]
    pub fn customer_number(&self, id: &str) -> Option<u32> {
        self.customer_numbers.get(id).copied()
    }

    /// A visitor, or the customer they turned out to be, if known.
    #[must_use]
    pub fn visitor(&self, id: &VisitorId) -> Option<Person> {
        self.visitor_persons.get(id.as_str()).copied()
    }

    /// What is remembered of somebody.
    #[must_use]
    pub fn subject(&self, person: Person) -> Option<&Subject> {
        match person {
            Person::Customer(number) => self.customers.get(number as usize),
            Person::Visitor(number) => self.visitors.get(number as usize)?.as_deref(),
        }
    }

    pub(super) fn subject_mut(&mut self, person: Person) -> Option<&mut Subject> {
        match person {
            Person::Customer(number) => self.customers.get_mut(number as usize),
            Person::Visitor(number) => self.visitors.get_mut(number as usize)?.as_deref_mut(),
        }
    }

    /// All customers, in the order in which they became known.
    #[must_use]
    pub fn customers(&self) -> &[Subject] {
        &self.customers
    }

    /// How many different products each of them has in their remembered baskets, in the same order.
    #[must_use]
    pub fn distinct_products(&self) -> &[u32] {
        &self.distinct
    }

    /// The number of a customer that [`People::customers`] holds; none of anybody else.
    #[must_use]
    pub fn number_of(&self, subject: &Subject) -> Option<u32> {
        let number = *self.customer_numbers.get(&subject.id)?;
        let is_it = std::ptr::eq(&raw const self.customers[number as usize], subject);
        is_it.then_some(number)
    }

    /// Takes in that somebody's baskets may have changed.
    pub(super) fn note_baskets(&mut self, person: Person) {
        if let Person::Customer(number) = person {
            let number = number as usize;
            self.distinct[number] = self.customers[number].distinct;
        }
    }

    /// All visitors who are nobody's, in no order that matters.
    pub fn visitors(&self) -> impl Iterator<Item = &Subject> {
        self.visitors.iter().filter_map(Option::as_deref)
    }

    /// How many visitors are remembered who are nobody's.
    #[must_use]
    pub fn visitor_count(&self) -> usize {
        self.visitors.len() - self.free.len()
    }

    pub(super) fn intern_customer(&mut self, id: &CustomerId) -> Person {
        if let Some(person) = self.customer(id) {
            return person;
        }
        let number = self.customers.len() as u32;
        self.customer_numbers.insert(id.as_str().into(), number);
        self.customers.push(Subject::new(id.as_str()));
        self.distinct.push(0);
        Person::Customer(number)
    }

    pub(super) fn intern_visitor(&mut self, id: &VisitorId) -> Person {
        if let Some(person) = self.visitor(id) {
            return person;
        }
        let subject = Some(Box::new(Subject::new(id.as_str())));
        let number = match self.free.pop() {
            Some(number) => {
                self.visitors[number as usize] = subject;
                number
            }
            None => {
                self.visitors.push(subject);
                self.visitors.len() as u32 - 1
            }
        };
        let person = Person::Visitor(number);
        self.visitor_persons.insert(id.as_str().into(), person);
        person
    }

    /// Makes a visitor the customer's from now on. Returns what was remembered of the visitor while nobody's.
    pub(super) fn identify(&mut self, id: &VisitorId, customer: Person) -> Option<Box<Subject>> {
        let before = self.visitor(id);
        if before == Some(customer) {
            return None;
        }
        let history = match before {
            Some(Person::Visitor(number)) => {
                self.free.push(number);
                self.visitors[number as usize].take()
            }
            Some(other @ Person::Customer(_)) => {
                // a device that changed hands: what was done so far stays with the customer before
                if let Some(other) = self.subject_mut(other) {
                    other.visitors.retain(|visitor| **visitor != *id.as_str());
                }
                None
            }
            None => None,
        };
        self.visitor_persons.insert(id.as_str().into(), customer);
        if let Some(subject) = self.subject_mut(customer) {
            subject.visitors.push(id.as_str().into());
        }
        history
    }

    /// Forgets what a customer did, and their visitors; the number stays, without an id. Returns what was remembered.
    pub(super) fn forget(&mut self, id: &CustomerId) -> Option<Subject> {
        let number = self.customer_numbers.remove(id.as_str())?;
        let gone = std::mem::take(&mut self.customers[number as usize]);
        self.distinct[number as usize] = 0;
        for visitor in &gone.visitors {
            self.visitor_persons.remove(visitor);
        }
        Some(gone)
    }

    /// Forgets the visitors who did nothing since `oldest` and have nothing reserved.
    pub(super) fn forget_idle_visitors(&mut self, oldest: Timestamp) {
        for (number, place) in self.visitors.iter_mut().enumerate() {
            let idle = |subject: &Subject| {
                let book = subject.book.as_ref();
                subject.seen.is_none_or(|(_, last)| last < oldest)
                    && book.is_none_or(|book| book.holds_nothing())
            };
            if place.as_deref().is_some_and(idle)
                && let Some(gone) = place.take()
            {
                self.visitor_persons.remove(&gone.id);
                self.free.push(number as u32);
            }
        }
    }
}
