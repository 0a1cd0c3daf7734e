//! A history to learn from or to be judged on: the records in the order of their time, and who did what next.

use std::collections::HashMap;

use crate::domain::journey::KindSet;
use crate::domain::{
    Event, EventKind, Position, ProductId, Record, RecordBody, Subject, Timestamp,
};
use crate::store::{Journal, JournalError};

/// The records of a journal or of files, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The catalog, the offers and the customers' traits, as they are now.
    pub known: Vec<Record>,
    /// What happened, in the order of time; equal moments in the order of arrival.
    pub moments: Vec<Record>,
    /// The revisions that went live, in the order in which they did.
    pub activated: Vec<Box<str>>,
    kinds: KindSet,
}

impl History {
    /// Sorts records out. The catalog counts as known from the start: its own changes over time are not replayed.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut history = Self::default();
        for record in records {
            match record.body {
                RecordBody::Event(ref event) => {
                    history.kinds.insert(event.kind);
                    history.moments.push(record);
                }
                RecordBody::VisitorIdentified { .. } => history.moments.push(record),
                RecordBody::ProductUpserted(_)
                | RecordBody::ProductDeleted(_)
                | RecordBody::InventorySet(..)
                | RecordBody::OfferUpserted(_)
                | RecordBody::OfferDeleted(_)
                | RecordBody::CustomerUpserted(_) => history.known.push(record),
                RecordBody::ModelActivated(id) => history.activated.push(id),
                // what was promised is not what somebody did
                RecordBody::OfferReserved(_)
                | RecordBody::OfferReleased(_)
                | RecordBody::OfferSpent(_)
                | RecordBody::AnswerKept(_)
                | RecordBody::CustomerErased(_)
                | RecordBody::Redacted => {}
            }
        }
        history.moments.sort_by_key(time);
        history
    }

    /// Of a journal: of the last `most` records (0: of all), and of the catalog and the customers wherever they stand.
    ///
    /// # Errors
    /// Those of the journal.
    pub fn of_journal(journal: &dyn Journal, most: u64) -> Result<Self, JournalError> {
        let from = if most == 0 {
            0
        } else {
            journal.end().0.saturating_sub(most)
        };
        let mut records = Vec::new();
        for record in journal.read_from(Position(0)) {
            let (position, record) = record?;
            if position.0 >= from || !matches!(record.body, RecordBody::Event(_)) {
                records.push(record);
            }
        }
        Ok(Self::of(records))
    }

    /// The first and the last moment.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((time(self.moments.first()?), time(self.moments.last()?)))
    }

    /// True if there is an event of that kind.
    #[must_use]
    pub fn has(&self, kind: EventKind) -> bool {
        self.kinds.contains(kind)
    }

    /// Takes everything after `end` out, in order.
    pub fn split_after(&mut self, end: Timestamp) -> Vec<Record> {
        let later = self.moments.split_off(self.until(end).len());
        self.kinds = KindSet::default();
        for record in &self.moments {
            if let RecordBody::Event(event) = &record.body {
                self.kinds.insert(event.kind);
            }
        }
        later
    }

    /// Puts back what [`History::split_after`] took out.
    pub fn rejoin(&mut self, later: Vec<Record>) {
        for record in &later {
            if let RecordBody::Event(event) = &record.body {
                self.kinds.insert(event.kind);
            }
        }
        self.moments.extend(later);
    }

    /// The part until `end`, that moment included.
    #[must_use]
    pub fn until(&self, end: Timestamp) -> &[Record] {
        &self.moments[..self.moments.partition_point(|record| time(record) <= end)]
    }
}

/// The moment a record counts from: when it happened, or when it was taken in.
#[must_use]
pub fn time(record: &Record) -> Timestamp {
    match &record.body {
        RecordBody::Event(event) => event.time,
        _ => record.recorded_at,
    }
}

/// Who did what next: the events of each person, in order. A visitor who turns out to be a customer is one person
/// with them, so that what they bought after logging in answers what was asked before.
#[derive(Debug)]
pub struct Ahead<'a> {
    moments: &'a [Record],
    /// By person: places in `moments`.
    places: Vec<Vec<u32>>,
    /// By place: the person; none for records that are no events.
    persons: Vec<Option<u32>>,
}

impl<'a> Ahead<'a> {
    /// Links the events of `moments`.
    #[must_use]
    pub fn of(moments: &'a [Record]) -> Self {
        let mut owners: HashMap<&str, &str> = HashMap::new();
        for record in moments {
            match &record.body {
                RecordBody::Event(event) => {
                    if let Subject::Customer {
                        customer,
                        visitor: Some(visitor),
                    } = &event.subject
                    {
                        owners.insert(visitor.as_str(), customer.as_str());
                    }
                }
                RecordBody::VisitorIdentified { visitor, customer } => {
                    owners.insert(visitor.as_str(), customer.as_str());
                }
                _ => {}
            }
        }
        let mut numbers: HashMap<(bool, &str), u32> = HashMap::new();
        let mut places: Vec<Vec<u32>> = Vec::new();
        let mut persons = Vec::with_capacity(moments.len());
        for (place, record) in moments.iter().enumerate() {
            let RecordBody::Event(event) = &record.body else {
                persons.push(None);
                continue;
            };
            let who = match &event.subject {
                Subject::Customer { customer, .. } => (true, customer.as_str()),
                Subject::Visitor(visitor) => match owners.get(visitor.as_str()) {
                    Some(customer) => (true, *customer),
                    None => (false, visitor.as_str()),
                },
            };
            let next = places.len() as u32;
            let person = *numbers.entry(who).or_insert(next);
            if person == next {
                places.push(Vec::new());
            }
            places[person as usize].push(place as u32);
            persons.push(Some(person));
        }
        Self {
            moments,
            places,
            persons,
        }
    }

    /// How many persons there are.
    #[must_use]
    pub fn persons(&self) -> u32 {
        self.places.len() as u32
    }

    /// The person of the event at `place`.
    #[must_use]
    pub fn person(&self, place: usize) -> Option<u32> {
        self.persons[place]
    }

    /// The last event of a person before `place`.
    #[must_use]
    pub fn last_before(&self, person: u32, place: usize) -> Option<&'a Record> {
        let places = &self.places[person as usize];
        let before = places.partition_point(|&other| (other as usize) < place);
        places[..before]
            .last()
            .map(|&place| &self.moments[place as usize])
    }

    /// The events of the person of the event at `place`, in order, from that one on.
    pub fn events_from(&self, place: usize) -> impl Iterator<Item = &'a Event> {
        let places = self.persons[place].map_or(&[][..], |person| &self.places[person as usize]);
        let from = places.partition_point(|&other| (other as usize) < place);
        places[from..]
            .iter()
            .filter_map(|&place| match &self.moments[place as usize].body {
                RecordBody::Event(event) => Some(&**event),
                _ => None,
            })
    }

    /// The events of a person, in order, from `place` on.
    pub fn events_of(&self, person: u32, place: usize) -> impl Iterator<Item = &'a Event> {
        let places = &self.places[person as usize];
        let from = places.partition_point(|&other| (other as usize) < place);
        places[from..]
            .iter()
            .filter_map(|&place| match &self.moments[place as usize].body {
                RecordBody::Event(event) => Some(&**event),
                _ => None,
            })
    }

    /// What a person did next of `kind`, from `place` on and until `end`: the products of the first basket for
    /// purchases; otherwise the one product.
    #[must_use]
    pub fn next(
        &self,
        person: u32,
        place: usize,
        end: Timestamp,
        kind: EventKind,
    ) -> Vec<&'a ProductId> {
        let places = &self.places[person as usize];
        let from = places.partition_point(|&other| (other as usize) < place);
        let mut events = places[from..]
            .iter()
            .filter_map(|&place| match &self.moments[place as usize].body {
                RecordBody::Event(event) => Some(event),
                _ => None,
            })
            .take_while(|event| event.time <= end)
            .filter(|event| event.kind == kind && event.product.is_some());
        let Some(first) = events.next() else {
            return Vec::new();
        };
        let mut products: Vec<&ProductId> = first.product.iter().collect();
        if kind == EventKind::Purchase {
            let same_basket = events.filter(|event| match (&first.order, &event.order) {
                (Some(order), Some(other)) => order == other,
                (None, None) => event.time == first.time,
                _ => false,
            });
            products.extend(same_basket.filter_map(|event| event.product.as_ref()));
            products.sort();
            products.dedup();
        }
        products
    }
}
