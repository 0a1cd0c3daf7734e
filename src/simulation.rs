//! The simulated shop "Gadgets Here": a stated generative model of customers, so that what the
//! service finds can be compared with the truth. `docs/simulation.md` gives the formulas.
//!
//! No IO and no clock: settings in, events out, the same for the same settings. Days are lived
//! one after the other by everybody who has something to do on them (a calendar queue), so events
//! leave in order of time, and memory holds people and the events of the next weeks, whatever the
//! length of the simulation.

mod aftermath;
mod calendar;
mod campaign;
mod catalog;
mod dice;
mod economics;
mod event;
mod families;
mod friction;
mod journey;
mod offer;
mod pain;
mod person;
mod persona;
mod policy;
mod prospect;
mod replenishment;
mod settings;
mod tally;
mod taste;
mod truth;
mod visit;

use std::collections::VecDeque;

pub use self::calendar::{BEYOND, DAY};
pub use self::campaign::{Campaign, MAIL_TIME};
pub use self::catalog::{Catalog, Product, Role};
pub use self::economics::{DEEPEST, profit_cents};
pub use self::event::{Event, EventKind, Touchpoint};
pub use self::offer::{EFFECT_DAYS, OfferKind, SENT_PER_WEEK};
pub use self::pain::{
    MAX_PAIN_POINTS, PAIN_DAYS, PainKind, PainPoint, PainPointError, top_level_categories,
};
pub use self::person::{Person, Profile};
pub use self::persona::Persona;
pub use self::policy::Policy;
pub use self::prospect::Prospect;
pub use self::replenishment::{Refill, Supply};
pub use self::settings::{
    MAX_CUSTOMER_DAYS, MAX_CUSTOMERS, MAX_DAYS, MAX_PRODUCTS, Settings, SettingsError,
};
pub use self::tally::{Sender, Tally, Week, live};
pub use self::truth::{Stage, favourite_category, stage, week_due, week_purchase};

use self::calendar::Calendar;
use self::catalog::Shelf;
use self::dice::{Purpose, key, share};
use self::pain::Planted;
use self::person::FIRST_VISITOR;

/// What does not change while people live in it.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) settings: Settings,
    pub(crate) calendar: Calendar,
    /// The products.
    pub catalog: Catalog,
    pub(crate) campaigns: bool,
    /// What hurts, in the order of the settings.
    pub(crate) pains: Vec<Planted>,
    /// Whether what somebody does on a day is drawn from the seed, the person and the day: after the history.
    pub(crate) paired: bool,
}

impl World {
    /// The first moment of the simulation, in seconds since the Unix epoch.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.calendar.start()
    }

    /// The first moment after it.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.calendar.end()
    }

    /// The first moment of a day.
    #[must_use]
    pub fn day_start(&self, day: i64) -> i64 {
        self.calendar.start() + day * DAY
    }
}

/// A shop in which time passes day by day.
#[derive(Debug, Clone)]
pub struct Simulation {
    world: World,
    customers: Vec<Person>,
    visitors: Vec<Option<Box<Person>>>,
    /// Who has something to do on which of the coming days; the front is today.
    agenda: VecDeque<Vec<u32>>,
    /// Events of the coming days; the front is today.
    coming: VecDeque<Vec<Event>>,
    today: u32,
    out: Vec<Event>,
    /// Visits that ended at each pain point because of it.
    lost_to: Vec<u64>,
    choices: taste::Choices,
}

impl Simulation {
    /// Makes the catalogue and the people; nothing has happened yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Simulation {
        let calendar = Calendar::new(settings);
        let catalog = Catalog::new(settings, &calendar);
        let world = World {
            settings: settings.clone(),
            calendar,
            catalog,
            campaigns: true,
            pains: settings.planted(),
            paired: false,
        };
        let days = world.calendar.horizon() as usize;
        let mut simulation = Simulation {
            customers: (0..settings.customers())
                .map(|n| Person::customer(&world, n))
                .collect(),
            visitors: (0..settings.visitors()).map(|_| None).collect(),
            agenda: (0..days).map(|_| Vec::new()).collect(),
            coming: (0..days).map(|_| Vec::new()).collect(),
            today: 0,
            out: Vec::new(),
            lost_to: vec![0; world.pains.len()],
            choices: Vec::new(),
            world,
        };
        for number in 0..settings.customers() {
            simulation.note(number, 0);
        }
        for visitor in 0..settings.visitors() {
            let drawn = key(settings.seed(), Purpose::Arrival, u64::from(visitor), 0);
            let day = share(drawn) * f64::from(settings.days());
            simulation.agenda[day as usize].push(FIRST_VISITOR + visitor);
        }
        simulation
    }

    /// What does not change.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// All customers; the index is the customer's number.
    #[must_use]
    pub fn customers(&self) -> &[Person] {
        &self.customers
    }

    /// Days lived so far.
    #[must_use]
    pub fn today(&self) -> u32 {
        self.today
    }

    /// The pain points that were planted, each with its first day (seconds since the Unix epoch) and the visits that
    /// have ended there so far and would have gone on without it.
    pub fn pain_points(&self) -> impl Iterator<Item = (PainKind, i64, u64)> {
        let pains = self.world.pains.iter().zip(&self.lost_to);
        pains.map(|(pain, &lost)| {
            (
                pain.kind,
                self.world.day_start(i64::from(pain.first_day)),
                lost,
            )
        })
    }

    /// Whether the period of the settings is over. Days beyond can be lived with
    /// [`Simulation::next_day`] to see what comes next.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.today >= self.world.settings.days()
    }

    /// Lives one more day: its events in order of time, or `None` when [`BEYOND`] days after the
    /// end have been lived too.
    pub fn next_day(&mut self) -> Option<Vec<Event>> {
        let awake = self.agenda.pop_front()?;
        let day = self.today;
        let shelf = Shelf::new(&self.world.catalog, &self.world.calendar, day);
        for number in awake {
            self.live(&shelf, number);
            self.hand_out(day);
            self.note(number, day + 1);
        }
        self.today += 1;
        let mut events = self.coming.pop_front().unwrap_or_default();
        // Stable: what one person does at one moment keeps its order.
        events.sort_by_key(|event| (event.time, event.person));
        Some(events)
    }

    /// From now on no offers are sent, and those that were sent no longer work: the state in
    /// which the truth files are written.
    pub fn end_campaigns(&mut self) {
        self.world.campaigns = false;
        for number in 0..self.world.settings.customers() {
            let person = &mut self.customers[number as usize];
            if person.offer.take().is_some() {
                journey::redraw(&self.world, person, self.today);
                self.note(number, self.today);
            }
        }
    }

    /// Gives a customer an offer that works for the next [`EFFECT_DAYS`] days, today included.
    /// Unknown numbers are ignored.
    pub fn offer(&mut self, customer: u32, kind: OfferKind) {
        let today = self.today;
        if let Some(person) = self.customers.get_mut(customer as usize) {
            person.offer = Some(offer::HeldOffer::sent_on(kind, today.saturating_sub(1)));
            journey::redraw(&self.world, person, today);
            self.note(customer, today);
        }
    }

    /// Brings every mood up to date.
    pub fn settle(&mut self) {
        let now = self.world.calendar.midnight(self.today);
        for person in &mut self.customers {
            person.settle(now);
        }
    }

    fn live(&mut self, shelf: &Shelf, number: u32) {
        let (world, out, choices) = (&self.world, &mut self.out, &mut self.choices);
        let person = if number < FIRST_VISITOR {
            &mut self.customers[number as usize]
        } else {
            let visitor = number - FIRST_VISITOR;
            self.visitors[visitor as usize]
                .get_or_insert_with(|| Box::new(Person::visitor(world, visitor, shelf.day)))
        };
        journey::live(world, shelf, person, out, choices);
        for pain in person.lost_to.drain(..) {
            self.lost_to[pain] += 1;
        }
    }

    /// Puts what happened into the days on which it happens.
    fn hand_out(&mut self, day: u32) {
        for event in self.out.drain(..) {
            let ahead = self.world.calendar.day_of(event.time) - i64::from(day);
            // An event "before today" would be a fault of the model: it shows up as disorder.
            let place = usize::try_from(ahead).unwrap_or(0);
            if let Some(events) = self.coming.get_mut(place) {
                events.push(event);
            }
        }
    }

    /// Notes the next day on which somebody does something. `from` is the day at the front of the
    /// agenda: today's is taken out while it is lived.
    fn note(&mut self, number: u32, from: u32) {
        let person = if number < FIRST_VISITOR {
            Some(&self.customers[number as usize])
        } else {
            self.visitors[(number - FIRST_VISITOR) as usize].as_deref()
        };
        let next = person.and_then(journey::next_time);
        let Some(time) = next else {
            if number >= FIRST_VISITOR {
                self.visitors[(number - FIRST_VISITOR) as usize] = None;
            }
            return;
        };
        let day = self.world.calendar.day_of(time).max(i64::from(from));
        let place = usize::try_from(day - i64::from(from)).unwrap_or(usize::MAX);
        if let Some(awake) = self.agenda.get_mut(place) {
            awake.push(number);
        }
    }
}
