//! Whose a record is: the rules by which State gives what happened to somebody, asked of positions
//! in the journal.
//!
//! What names a customer is that customer's. What a visitor did is the customer's whom the visitor
//! was last identified as before; before the first identification, it is the first customer's;
//! without one, it is nobody's but the visitor's. One thing differs from State on purpose: State
//! may have forgotten an idle visitor before they were identified and then does not give those
//! events to the customer, but they are the customer's here, so that an erasure takes them, too.

use std::collections::{BTreeMap, HashSet};

use crate::application::recommend::Who;
use crate::domain::{CustomerId, Position, Record, RecordBody, Subject, VisitorId};
use crate::store::{Journal, JournalError};

/// What is somebody's in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    customer: Option<CustomerId>,
    /// By visitor: from which position on what they do is this somebody's, or is not any more.
    visitors: BTreeMap<VisitorId, Vec<(Position, bool)>>,
}

impl Ownership {
    /// Reads all records of a journal, in their order. Of a visitor: what they did while nobody's,
    /// so nothing if they turned out to be a customer.
    ///
    /// # Errors
    /// Those of reading.
    pub fn of(
        who: &Who,
        records: impl Iterator<Item = Result<(Position, Record), JournalError>>,
    ) -> Result<Self, JournalError> {
        let mut ownership = Self::unread(who);
        if *who == Who::Nobody {
            return Ok(ownership);
        }
        // those who were somebody else's first
        let mut others = HashSet::new();
        for read in records {
            let (position, record) = read?;
            if let Some((visitor, customer)) = identification(&record) {
                ownership.identify(position, visitor, customer, &mut others);
            }
        }
        Ok(ownership)
    }

    /// The same from identifications alone: all that name a visitor who ever was theirs, each visitor's in the order of
    /// the journal.
    pub(super) fn of_turns<'a>(
        who: &Who,
        turns: impl Iterator<Item = (Position, &'a VisitorId, &'a CustomerId)>,
    ) -> Self {
        let mut ownership = Self::unread(who);
        let mut others = HashSet::new();
        for (position, visitor, customer) in turns {
            ownership.identify(position, visitor, customer, &mut others);
        }
        ownership
    }

    fn unread(who: &Who) -> Self {
        let mut ownership = Self {
            customer: None,
            visitors: BTreeMap::new(),
        };
        match who {
            Who::Customer(customer) => ownership.customer = Some(customer.clone()),
            Who::Visitor(visitor) => {
                let all = vec![(Position(0), true)];
                ownership.visitors.insert(visitor.clone(), all);
            }
            Who::Nobody => {}
        }
        ownership
    }

    fn identify(
        &mut self,
        position: Position,
        visitor: &VisitorId,
        customer: &CustomerId,
        others: &mut HashSet<VisitorId>,
    ) {
        let Some(owner) = &self.customer else {
            self.visitors.remove(visitor);
            return;
        };
        let is_theirs = customer == owner;
        if let Some(turns) = self.visitors.get_mut(visitor) {
            if turns.last().is_some_and(|turn| turn.1 != is_theirs) {
                turns.push((position, is_theirs));
            }
        } else if is_theirs {
            let from = match others.contains(visitor) {
                true => position,
                false => Position(0),
            };
            self.visitors.insert(visitor.clone(), vec![(from, true)]);
        } else if !others.contains(visitor) {
            others.insert(visitor.clone());
        }
    }

    /// True if the record at `position` is theirs.
    #[must_use]
    pub fn holds(&self, position: Position, record: &Record) -> bool {
        let is_theirs = |customer: &CustomerId| self.customer.as_ref() == Some(customer);
        match &record.body {
            RecordBody::Event(event) => self.is_of(position, &event.subject),
            RecordBody::OfferReserved(reserved) => self.is_of(position, &reserved.subject),
            RecordBody::OfferReleased(released) => self.is_of(position, &released.subject),
            RecordBody::AnswerKept(kept) => self.is_of(position, &kept.subject),
            RecordBody::CustomerUpserted(customer) => is_theirs(&customer.id),
            RecordBody::VisitorIdentified { customer, .. } => is_theirs(customer),
            RecordBody::ProductUpserted(_)
            | RecordBody::ProductDeleted(_)
            | RecordBody::InventorySet(..)
            | RecordBody::OfferUpserted(_)
            | RecordBody::OfferDeleted(_)
            | RecordBody::OfferSpent(_)
            | RecordBody::CustomerErased(_)
            | RecordBody::ModelActivated(_)
            | RecordBody::Redacted => false,
        }
    }

    /// True if what `subject` did at `position` is theirs.
    fn is_of(&self, position: Position, subject: &Subject) -> bool {
        match subject {
            Subject::Customer { customer, .. } => self.customer.as_ref() == Some(customer),
            Subject::Visitor(visitor) => self.visitors.get(visitor).is_some_and(|turns| {
                let begun = turns.partition_point(|turn| turn.0 <= position);
                turns[..begun].last().is_some_and(|turn| turn.1)
            }),
        }
    }

    /// The visitors who are or were the customer's, by id; of a visitor: they alone, while
    /// nobody's.
    pub fn visitors(&self) -> impl Iterator<Item = &VisitorId> {
        self.visitors.keys()
    }
}

/// Where the journal holds what is a customer's: all that an erasure removes. Reads the journal
/// twice, so that memory stays small: blocking.
///
/// # Errors
/// Those of reading.
pub fn positions(
    journal: &dyn Journal,
    customer: &CustomerId,
) -> Result<Vec<Position>, JournalError> {
    let who = Who::Customer(customer.clone());
    let ownership = Ownership::of(&who, journal.read_from(Position(0)))?;
    let mut positions = Vec::new();
    for read in journal.read_from(Position(0)) {
        let (position, record) = read?;
        if ownership.holds(position, &record) {
            positions.push(position);
        }
    }
    Ok(positions)
}

/// Who turns out to be whom by a record.
pub(super) fn identification(record: &Record) -> Option<(&VisitorId, &CustomerId)> {
    match &record.body {
        RecordBody::Event(event) => match &event.subject {
            Subject::Customer { customer, visitor } => {
                visitor.as_ref().map(|visitor| (visitor, customer))
            }
            Subject::Visitor(_) => None,
        },
        RecordBody::VisitorIdentified { visitor, customer } => Some((visitor, customer)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Customer, EventDraft, Timestamp};
    use crate::store::MemoryJournal;

    /// `c1`, `v` or `c1 v`: an event of them; `v = c1`: an identification; `traits c1`.
    fn journal(story: &[&str]) -> MemoryJournal {
        let journal = MemoryJournal::new();
        let customer = |id: &str| CustomerId::trusted(id.to_owned());
        for (number, line) in story.iter().enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let body = match words[..] {
                [visitor, "=", id] => RecordBody::VisitorIdentified {
                    visitor: VisitorId::trusted(visitor.to_owned()),
                    customer: customer(id),
                },
                ["traits", id] => RecordBody::CustomerUpserted(Box::new(Customer {
                    id: customer(id),
                    traits: Vec::new(),
                })),
                _ => {
                    let of = |letter| words.iter().find(|word| word.starts_with(letter));
                    let draft = EventDraft {
                        event_id: &number.to_string(),
                        event_type: "page_view",
                        time: Some(Ok(Timestamp::from_ms(1_300_000_000_000))),
                        customer_id: of('c').unwrap_or(&""),
                        visitor_id: of('v').unwrap_or(&""),
                        ..EventDraft::default()
                    };
                    let event = draft.check(Timestamp::MAX, |_| 0).unwrap();
                    RecordBody::Event(Box::new(event))
                }
            };
            let recorded_at = Timestamp::default();
            journal.append(&[Record { recorded_at, body }]).unwrap();
        }
        journal
    }

    fn found(journal: &MemoryJournal, customer: &str) -> Vec<u64> {
        let customer = CustomerId::trusted(customer.to_owned());
        let found = positions(journal, &customer).unwrap();
        found.into_iter().map(|position| position.0).collect()
    }

    fn of_visitor(journal: &MemoryJournal, visitor: &str) -> Vec<u64> {
        let who = Who::Visitor(VisitorId::trusted(visitor.to_owned()));
        let all = || journal.read_from(Position(0));
        let ownership = Ownership::of(&who, all()).unwrap();
        let theirs = all().map(Result::unwrap);
        let theirs = theirs.filter(|(position, record)| ownership.holds(*position, record));
        theirs.map(|(position, _)| position.0).collect()
    }

    const NONE: [u64; 0] = [];
    const HANDS: [&str; 9] = [
        "v",
        "v = c1",
        "v",
        "c1",
        "v = c2",
        "v",
        "c2",
        "v",
        "traits c1",
    ];

    #[test]
    fn a_device_that_changes_hands_is_the_next_ones_from_then_on() {
        let journal = journal(&HANDS);
        assert_eq!(found(&journal, "c1"), [0, 1, 2, 3, 8]);
        assert_eq!(found(&journal, "c2"), [4, 5, 6, 7]);
        assert_eq!(found(&journal, "c3"), NONE);
    }

    #[test]
    fn a_device_may_come_back() {
        let journal = journal(&[
            "v", "v = c1", "v = c2", "v", "v = c1", "v = c1", "v", "c2 v", "v",
        ]);
        assert_eq!(found(&journal, "c1"), [0, 1, 4, 5, 6]);
        assert_eq!(found(&journal, "c2"), [2, 3, 7, 8]);
    }

    #[test]
    fn an_event_with_both_ids_identifies_and_is_the_customers() {
        let journal = journal(&["v", "c1 v", "v", "c2 v", "v", "c1 v"]);
        assert_eq!(found(&journal, "c1"), [0, 1, 2, 5]);
        assert_eq!(found(&journal, "c2"), [3, 4]);
    }

    #[test]
    fn erasing_one_leaves_what_is_the_others() {
        for (one, other) in [("c1", "c2"), ("c2", "c1")] {
            let journal = journal(&HANDS);
            let before = found(&journal, other);
            let theirs = positions(&journal, &CustomerId::trusted(one.to_owned())).unwrap();
            assert_eq!(journal.erase(&theirs).unwrap(), theirs.len() as u64);
            assert_eq!(found(&journal, one), NONE);
            assert_eq!(found(&journal, other), before);
            assert_eq!(of_visitor(&journal, "v"), NONE);
        }
    }

    #[test]
    fn a_visitor_has_what_is_nobodys() {
        let journal = journal(&["v1", "v2", "v1", "c1 v3", "v3", "v2 = c1"]);
        assert_eq!(of_visitor(&journal, "v1"), [0, 2]);
        assert_eq!(of_visitor(&journal, "v2"), NONE);
        assert_eq!(of_visitor(&journal, "v3"), NONE);
        let customer = Who::Customer(CustomerId::trusted("c1".to_owned()));
        let ownership = Ownership::of(&customer, journal.read_from(Position(0))).unwrap();
        let visitors: Vec<&str> = ownership.visitors().map(VisitorId::as_str).collect();
        assert_eq!(visitors, ["v2", "v3"]);
    }
}
