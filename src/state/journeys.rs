//! Who came to which stage, who moved on, who left, where: a fold of the journal beside State, into counters by day.
//!
//! What time alone will do is counted in advance, on the day on which it will happen, and taken back when the person
//! does something before. So there is no clock and no sweep: a sum over the days until the newest event is exact. Time
//! alone acts at midnight UTC: at the first midnight at or after the moment. `docs/journey.md` has the definitions.

pub mod course;
mod following;
pub mod histogram;
pub mod key;
pub mod names;
pub mod places;
pub mod table;

use std::collections::HashMap;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::domain::journey::Journey;
use crate::domain::time::DAY_MS;
use crate::domain::{
    CustomerId, Event, Fingerprint, Places, Position, Product, Record, RecordBody, Subject,
    Timestamp, VisitorId,
};
use crate::state::hash;
use crate::state::journeys::course::{Changes, Course, Spot};
use crate::state::journeys::key::{Arm, Key, Measure, NO_STAGE};
use crate::state::journeys::names::Names;
use crate::state::journeys::table::{KEPT_DAYS, Table, day_of};

/// Grows with every change of what the fold computes: an older checkpoint is folded anew.
const FORMAT: u32 = 3;
/// The most touchpoints that are told apart.
pub const MAX_TOUCHPOINTS: u16 = 256;
/// The most categories that are told apart.
const MAX_CATEGORIES: u16 = 1_000;
/// The most currencies that are told apart.
const MAX_CURRENCIES: u16 = 60;
/// Every so many records, old days are dropped and visitors forgotten who never came back.
const SWEEP_EVERY: u64 = 65_536;

/// Who belongs together, as the application says.
pub trait Groups {
    /// The number of the group of a customer, by [`person_key`]: less than [`key::MAX_GROUPS`]. 0: in none.
    fn group_of(&self, customer: u64) -> u16;
    /// Whether a customer may get offers; absent: nobody is held out.
    fn arm_of(&self, customer: &CustomerId) -> Option<Arm>;
}

/// Everybody is in no group, and nobody is held out.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGroups;

impl Groups for NoGroups {
    fn group_of(&self, _: u64) -> u16 {
        0
    }

    fn arm_of(&self, _: &CustomerId) -> Option<Arm> {
        None
    }
}

/// What stands for a customer here: ids are not kept.
#[must_use]
pub fn person_key(customer: &str) -> u64 {
    hash(("customer", customer))
}

fn visitor_key(visitor: &VisitorId) -> u64 {
    hash(("visitor", visitor.as_str()))
}

/// What the fold depends on besides the records and the groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JourneySettings {
    /// The stages and their rules.
    pub journey: Journey,
    /// Touchpoints and horizons.
    pub places: Places,
    /// After how many days without an event a visitor is forgotten who is nobody's.
    pub visitor_idle_days: u32,
}

impl JourneySettings {
    /// What a checkpoint depends on: the format and these settings.
    #[must_use]
    pub fn schema(&self) -> Fingerprint {
        let settings = serde_json::to_vec(self).unwrap_or_default();
        Fingerprint::of("journeys", &[&FORMAT.to_le_bytes(), &settings])
    }
}

/// What is known of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    price: Option<i64>,
    cost: Option<i64>,
    currency: u16,
    category: Option<u16>,
    inventory_at: Option<Timestamp>,
}

/// Whose a visitor is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Owner {
    /// Nobody's: the number of the course.
    Course(u32),
    /// The key of the customer.
    Customer(u64),
}

/// The fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journeys {
    settings: JourneySettings,
    end: Position,
    newest: Option<Timestamp>,
    /// The counters.
    pub table: Table,
    /// The touchpoints that were met.
    pub touchpoints: Names,
    /// The top-level categories that were met.
    pub categories: Names,
    /// The currencies that were met; "": not said.
    pub currencies: Names,
    /// Orders ever, by currency.
    orders_by_currency: Vec<u64>,
    items: HashMap<u64, Item, FixedState>,
    customers: HashMap<u64, u32, FixedState>,
    visitors: HashMap<u64, Owner, FixedState>,
    courses: Vec<Option<Box<Course>>>,
    free: Vec<u32>,
}

/// Why bytes are not a fold.
#[derive(Debug, thiserror::Error)]
#[error("not journey counters of this format: {0}")]
pub struct DecodeError(#[from] postcard::Error);

impl Journeys {
    /// The fold of nothing.
    #[must_use]
    pub fn new(settings: JourneySettings) -> Self {
        Self {
            settings,
            end: Position(0),
            newest: None,
            table: Table::default(),
            touchpoints: Names::new(MAX_TOUCHPOINTS),
            categories: Names::new(MAX_CATEGORIES),
            currencies: Names::new(MAX_CURRENCIES),
            orders_by_currency: Vec::new(),
            items: HashMap::default(),
            customers: HashMap::default(),
            visitors: HashMap::default(),
            courses: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The bytes of a checkpoint.
    #[must_use]
    pub fn encode(&mut self) -> Vec<u8> {
        self.table.pack();
        postcard::to_stdvec(self).expect("the fold holds nothing postcard cannot write")
    }

    /// From the bytes of a checkpoint of the same [`JourneySettings::schema`].
    ///
    /// # Errors
    /// If they are not.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut journeys: Self = postcard::from_bytes(bytes)?;
        journeys.touchpoints.index();
        journeys.categories.index();
        journeys.currencies.index();
        Ok(journeys)
    }

    /// The position of the first record that is not folded in yet.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// The newest moment of any event.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// What the fold depends on.
    #[must_use]
    pub fn settings(&self) -> &JourneySettings {
        &self.settings
    }

    /// Everybody's course that is remembered, in an order that is always the same.
    fn courses(&self) -> impl Iterator<Item = &Course> {
        self.courses.iter().filter_map(Option::as_deref)
    }

    /// The number of the currency in which most was sold; the first one if several were.
    #[must_use]
    pub fn main_currency(&self) -> Option<u16> {
        let most = *self
            .orders_by_currency
            .iter()
            .max()
            .filter(|most| **most > 0)?;
        let number = self.orders_by_currency.iter().position(|n| *n == most)?;
        u16::try_from(number).ok()
    }

    /// How many people are remembered.
    #[must_use]
    pub fn people(&self) -> usize {
        self.courses.len() - self.free.len()
    }

    /// Folds one record in. Records must come in the order of their positions.
    pub fn apply(&mut self, record: &Record, groups: &dyn Groups) {
        match &record.body {
            RecordBody::Event(event) => self.apply_event(event, groups),
            RecordBody::ProductUpserted(product) => self.upsert(product),
            RecordBody::InventorySet(id, news) => {
                if let Some(item) = self.items.get_mut(&hash(id.as_str()))
                    && item.inventory_at.is_none_or(|known| known < news.set_at)
                {
                    item.inventory_at = Some(news.set_at);
                    item.price = news.price.map(|price| price.0).or(item.price);
                }
            }
            RecordBody::VisitorIdentified { visitor, customer } => {
                self.identify(visitor, customer, record.recorded_at, groups);
            }
            _ => {}
        }
        self.end = self.end.plus(1);
        if self.end.0.is_multiple_of(SWEEP_EVERY) {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let Some(newest) = self.newest else { return };
        let first = day_of(newest).saturating_sub(KEPT_DAYS);
        self.table.drop_before(first, is_lasting);
        let idle = i64::from(self.settings.visitor_idle_days) * DAY_MS;
        let oldest = newest.plus_ms(-idle);
        let (courses, free) = (&mut self.courses, &mut self.free);
        self.visitors.retain(|_, owner| {
            let Owner::Course(number) = *owner else {
                return true;
            };
            let place = &mut courses[number as usize];
            let is_idle = place.as_ref().is_some_and(|course| {
                // who is still counted as here may not be forgotten: they must be able to leave
                course.last.is_none_or(|last| last < oldest)
                    && course.leaves().is_none_or(|day| day <= day_of(newest))
            });
            if is_idle {
                *place = None;
                free.push(number);
            }
            !is_idle
        });
        // the order of a map is none
        self.free.sort_unstable();
    }

    fn upsert(&mut self, product: &Product) {
        let category = product.category.first();
        let category = category.map(|name| self.categories.intern(name));
        let currency = product.currency.as_ref().map_or("", |c| c.as_str());
        let item = Item {
            price: product.price.map(|price| price.0),
            cost: product.unit_cost.map(|cost| cost.0),
            currency: self.currencies.intern(currency),
            category,
            inventory_at: None,
        };
        self.items.insert(hash(product.id.as_str()), item);
    }

    fn add_course(&mut self, course: Course) -> u32 {
        let course = Some(Box::new(course));
        match self.free.pop() {
            Some(number) => {
                self.courses[number as usize] = course;
                number
            }
            None => {
                self.courses.push(course);
                self.courses.len() as u32 - 1
            }
        }
    }

    fn course_of(&mut self, customer: &CustomerId, groups: &dyn Groups) -> u32 {
        let key = person_key(customer.as_str());
        if let Some(&number) = self.customers.get(&key) {
            return number;
        }
        let number = self.add_course(Course {
            customer: Some(key),
            arm: groups.arm_of(customer).map_or(0, |arm| 1 + arm as u8),
            ..Course::default()
        });
        self.customers.insert(key, number);
        number
    }

    fn identify(
        &mut self,
        visitor: &VisitorId,
        customer: &CustomerId,
        now: Timestamp,
        groups: &dyn Groups,
    ) {
        let key = person_key(customer.as_str());
        let before = self
            .visitors
            .insert(visitor_key(visitor), Owner::Customer(key));
        let theirs = match before {
            Some(Owner::Course(number)) => {
                let course = self.courses[number as usize].take();
                course.map(|course| (number, course))
            }
            _ => None,
        };
        let Some((number, mut theirs)) = theirs else {
            // the visitor's steps do not tell the id of the customer, nor with it the arm
            self.course_of(customer, groups);
            return;
        };
        let mut changes = Changes::default();
        let group = groups.group_of(key);
        let known = self.customers.get(&key).copied();
        // a customer who did nothing yet has no course to go on with
        let own = known.and_then(|own| self.courses[own as usize].as_deref_mut());
        if let Some(own) = own.filter(|own| own.last.is_some()) {
            let around = (group, &self.settings.journey, &self.settings.places);
            own.join(*theirs, now, around, &mut changes);
            self.free.push(number);
        } else {
            theirs.become_customer(key, group, &mut changes);
            theirs.arm = groups.arm_of(customer).map_or(0, |arm| 1 + arm as u8);
            if let (Some(arm), Some(last)) = (theirs.arm(), theirs.last) {
                let key = known_key(group, arm);
                changes.add(day_of(last), key, 1);
            }
            self.courses[number as usize] = Some(theirs);
            self.customers.insert(key, number);
            if let Some(own) = known {
                self.courses[own as usize] = None;
                self.free.push(own);
            }
        }
        changes.write(&mut self.table);
    }

    fn apply_event(&mut self, event: &Event, groups: &dyn Groups) {
        self.newest = self.newest.max(Some(event.time));
        let number = match &event.subject {
            Subject::Customer { customer, visitor } => {
                if let Some(visitor) = visitor {
                    self.identify(visitor, customer, event.time, groups);
                }
                self.course_of(customer, groups)
            }
            Subject::Visitor(visitor) => {
                let key = visitor_key(visitor);
                match self.visitors.get(&key) {
                    Some(Owner::Course(number)) => *number,
                    Some(Owner::Customer(customer)) => {
                        let number = self.customers.get(customer);
                        *number.expect("an identification makes the course of its customer")
                    }
                    None => {
                        let number = self.add_course(Course::default());
                        self.visitors.insert(key, Owner::Course(number));
                        number
                    }
                }
            }
        };
        self.take(event, number, groups);
    }

    fn take(&mut self, event: &Event, number: u32, groups: &dyn Groups) {
        let Some(mut course) = self.courses[number as usize].take() else {
            return;
        };
        let mut changes = Changes::default();
        self.follow(event, &mut course, groups, &mut changes);
        changes.write(&mut self.table);
        self.courses[number as usize] = Some(course);
    }
}

/// Measures whose sum over all days is asked for: who is here, who is known.
fn is_lasting(key: Key) -> bool {
    matches!(
        key.measure,
        Measure::Began | Measure::Ended | Measure::Reached | Measure::Passed | Measure::Known
    )
}

fn known_key(group: u16, arm: Arm) -> Key {
    let spot = Spot {
        group,
        stage: NO_STAGE,
        place: key::NO_PLACE,
    };
    spot.key(Measure::Known, arm as u16)
}
