//! Who is counted together: customers of the same persona and the same segments.

use std::collections::HashMap;
use std::time::Instant;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::application::expression::{Scope, customer_value};
use crate::application::outlook::Outlook;
use crate::application::shop::{OfferPolicy, Shop};
use crate::domain::{CustomerId, Timestamp};
use crate::state::State;
use crate::state::journeys::key::Arm;
use crate::state::journeys::{Groups, person_key};
use crate::state::subjects::Subject;
use crate::state::view::View;

/// The most combinations of persona and segments that are told apart; customers of others count with their persona
/// alone.
pub const MAX_COMBINATIONS: usize = 512;
/// How many customers are looked at under one hold of the lock.
const AT_ONCE: usize = 256;
/// The trait that puts a customer into the segment of its value.
const SEGMENT_TRAIT: &str = "segment";

/// Customers that are counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// The number of the persona.
    pub persona: Option<u8>,
    /// A bit for each segment of the journey, in its order.
    pub segments: u128,
}

/// A persona by which customers are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonaName {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
}

/// Which group each customer is in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Grouping {
    groups: Vec<Group>,
    /// By the number in [`Group::persona`].
    personas: Vec<PersonaName>,
    /// The revision of the personas; empty: none were live.
    revision: String,
    /// By [`person_key`]; who is in no group is left out.
    customers: HashMap<u64, u16, FixedState>,
}

impl Grouping {
    /// The groups; the first one is that of everybody who is in none.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        match self.groups.is_empty() {
            true => &[Group {
                persona: None,
                segments: 0,
            }],
            false => &self.groups,
        }
    }

    /// The personas, by the number in [`Group::persona`].
    #[must_use]
    pub fn personas(&self) -> &[PersonaName] {
        &self.personas
    }

    /// The revision of the personas; empty: none were live.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// True if everybody is in the same group by the other one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let ids = |grouping: &Self| -> Vec<String> {
            let personas = grouping.personas.iter();
            personas.map(|persona| persona.id.clone()).collect()
        };
        ids(self) == ids(other)
            && self.groups() == other.groups()
            && self.customers == other.customers
    }

    /// Looks at every customer as they are now, by the personas that are live. After each piece of work it says when
    /// that began, and is told whether to go on; nothing if not.
    #[must_use]
    pub fn of(shop: &Shop, now: Timestamp, mut rest: impl FnMut(Instant) -> bool) -> Option<Self> {
        let live = shop.personas.get();
        let personas = live
            .iter()
            .flat_map(|live| live.personas.fitted().personas());
        let personas = personas.map(|persona| PersonaName {
            id: persona.id.to_string(),
            name: persona.name.to_string(),
        });
        let mut grouping = Self {
            groups: vec![Group::default()],
            personas: personas.collect(),
            revision: live
                .as_ref()
                .map_or_else(String::new, |live| live.id.clone()),
            customers: HashMap::default(),
        };
        let mut numbers: HashMap<Group, u16, FixedState> = HashMap::default();
        numbers.insert(Group::default(), 0);
        let mut next = 0;
        loop {
            let begun = Instant::now();
            let known = shop.known();
            let customers = known.state.people.customers();
            let end = customers.len().min(next + AT_ONCE);
            for subject in customers.get(next..end).unwrap_or_default() {
                let view = View::new(&known.state, Some(subject), &[], now);
                let persona = live.as_ref().and_then(|live| live.personas.of(&view));
                let group = Group {
                    persona: persona.and_then(|membership| u8::try_from(membership.best).ok()),
                    segments: segments(shop, &known.state, subject, now),
                };
                let number = grouping.number(group, &mut numbers);
                if number > 0 {
                    grouping.customers.insert(person_key(&subject.id), number);
                }
            }
            if end == customers.len() {
                return Some(grouping);
            }
            next = end;
            drop(known);
            if !rest(begun) {
                return None;
            }
        }
    }

    fn number(&mut self, group: Group, numbers: &mut HashMap<Group, u16, FixedState>) -> u16 {
        if let Some(&number) = numbers.get(&group) {
            return number;
        }
        // personas are few, so this ends
        if self.groups.len() >= MAX_COMBINATIONS && group.segments != 0 {
            let alone = Group {
                segments: 0,
                ..group
            };
            return self.number(alone, numbers);
        }
        let number = self.groups.len() as u16;
        self.groups.push(group);
        numbers.insert(group, number);
        number
    }
}

fn segments(shop: &Shop, state: &State, subject: &Subject, now: Timestamp) -> u128 {
    let segments = &shop.settings.segments;
    if segments.is_empty() || subject.id.is_empty() {
        return 0;
    }
    let journey = &shop.settings.fold.journey;
    let outlook = Outlook::of(shop, state, Some(subject), now);
    let scope = Scope::of_customer(customer_value(Some(subject), journey, &outlook, now)).prepare();
    let own = subject
        .traits
        .iter()
        .find(|(key, _)| **key == *SEGMENT_TRAIT);
    let own = own.map(|(_, value)| &**value);
    let mut set = 0;
    for (place, segment) in segments.iter().enumerate() {
        // what cannot be computed for somebody is not true of them
        let holds = || segment.expression.holds_in(&scope).unwrap_or(false);
        if own == Some(segment.name.as_str()) || holds() {
            set |= 1 << place;
        }
    }
    set
}

/// The groups with the hold-out of offers, as the fold asks for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub(super) grouping: &'a Grouping,
    pub(super) policy: OfferPolicy,
}

impl Groups for Lookup<'_> {
    fn group_of(&self, customer: u64) -> u16 {
        let number = self.grouping.customers.get(&customer);
        number.copied().unwrap_or(0)
    }

    fn arm_of(&self, customer: &CustomerId) -> Option<Arm> {
        if self.policy.holdout_per_mille == 0 {
            return None;
        }
        Some(match self.policy.holds_out("customer", customer.as_str()) {
            true => Arm::HeldOut,
            false => Arm::Treated,
        })
    }
}
