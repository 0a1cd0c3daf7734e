//! What was written, in a few figures.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::simulation::{Event, EventKind, Persona, Simulation};

/// Counts over all events of a shop.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    events: BTreeMap<&'static str, u64>,
    personas: [u64; 3],
    carts: HashSet<u64>,
    filled: u64,
    bought: u64,
    last_order: Option<u64>,
    orders: u64,
    orders_of: HashMap<u32, u32>,
}

impl Summary {
    pub(super) fn new(simulation: &Simulation) -> Summary {
        let mut summary = Summary::default();
        for person in simulation.customers() {
            summary.personas[person.persona.place()] += 1;
        }
        summary
    }

    pub(super) fn count(&mut self, event: &Event) {
        *self.events.entry(event.kind.name()).or_default() += 1;
        match (event.kind, event.session) {
            (EventKind::AddToCart, Some(session)) => {
                self.filled += u64::from(self.carts.insert(session));
            }
            // The lines of an order are not always neighbours, but an order is one visit.
            (EventKind::Purchase, Some(session)) => {
                self.bought += u64::from(self.carts.remove(&session));
                self.order(event);
            }
            _ => {}
        }
    }

    fn order(&mut self, event: &Event) {
        if event.order != self.last_order {
            self.last_order = event.order;
            self.orders += 1;
            if let Some(customer) = event.customer {
                *self.orders_of.entry(customer).or_default() += 1;
            }
        }
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.values().sum()
    }

    /// Events of one type.
    #[must_use]
    pub fn events_of(&self, kind: EventKind) -> u64 {
        self.events.get(kind.name()).copied().unwrap_or(0)
    }

    /// Orders, by guests too.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.orders
    }

    /// Share of the visits with a filled cart that did not buy; `None` without carts.
    #[must_use]
    pub fn abandonment(&self) -> Option<f64> {
        (self.filled > 0).then(|| 1.0 - self.bought as f64 / self.filled as f64)
    }

    /// Share of the customers with an order who have two or more; `None` without orders.
    #[must_use]
    pub fn repeat_rate(&self) -> Option<f64> {
        let buyers = self.orders_of.len();
        let again = self
            .orders_of
            .values()
            .filter(|&&orders| orders > 1)
            .count();
        (buyers > 0).then(|| again as f64 / buyers as f64)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} events", self.events())?;
        for (name, count) in &self.events {
            writeln!(f, "  {name:<18}{count:>10}")?;
        }
        writeln!(f, "{} customers", self.personas.iter().sum::<u64>())?;
        for persona in Persona::ALL {
            let count = self.personas[persona.place()];
            writeln!(f, "  {:<18}{count:>10}", persona.name())?;
        }
        writeln!(f, "{} orders", self.orders)?;
        let percent = |share: Option<f64>| {
            share.map_or("none".to_owned(), |share| format!("{:.1} %", 100.0 * share))
        };
        writeln!(f, "carts abandoned: {}", percent(self.abandonment()))?;
        writeln!(
            f,
            "buyers who bought again: {}",
            percent(self.repeat_rate())
        )
    }
}
