//! What is remembered of one customer or visitor: baskets, refunds and the last steps, in bounded memory.

use serde::{Deserialize, Serialize};

use crate::domain::journey::Step;
use crate::domain::{EventKind, Outcome, Timestamp};
use crate::state::book::Book;
use crate::state::habits::Habits;

/// The most steps (anything but further lines of a basket) that are remembered.
pub const MAX_STEPS: usize = 64;
/// The most lines of baskets that are remembered; the oldest baskets go first.
pub const MAX_LINES: usize = 4_096;
/// The most refunds that are remembered.
pub const MAX_REFUNDS: usize = 256;

/// The most outcomes of offers that are remembered.
pub const MAX_OUTCOMES: usize = 256;

/// A basket: its lines are the [`Subject::lines`] from the end of the basket before until `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basket {
    /// The earliest moment of its lines.
    pub time: Timestamp,
    /// Its identity: a hash of the order's id, or of the moment.
    pub key: u64,
    /// Where its lines end.
    pub end: u32,
}

/// One product of a basket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The product's number.
    pub product: u32,
    /// How many units, all rows of the basket together.
    pub quantity: f32,
}

/// The visit somebody is on, or was on last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Its number in [`crate::algorithms::sessions::Sessions`].
    pub session: u64,
    /// A hash of the name the caller gives it, if any.
    pub name: Option<u64>,
    /// Its newest step.
    pub last: Timestamp,
    /// The product of the step that came last.
    pub product: u32,
}

/// What became of an offer with somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferOutcome {
    /// When.
    pub time: Timestamp,
    /// The offer's number.
    pub offer: u32,
    /// What.
    pub outcome: Outcome,
}

/// What became of a bought line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAdded {
    /// The place of the basket.
    pub basket: usize,
    /// True if the basket is new.
    pub new_basket: bool,
    /// True if the product is new in this basket.
    pub new_line: bool,
    /// In how many other remembered baskets the product is.
    pub other_baskets: u32,
    /// The newest remembered basket before this one that holds the product, if the line is new.
    pub before: Option<Timestamp>,
}

/// One customer or visitor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The id.
    pub id: Box<str>,
    /// Country, segment, …; only of customers.
    pub traits: Vec<(Box<str>, Box<str>)>,
    /// The visitors identified as this customer.
    pub visitors: Vec<Box<str>>,
    /// Baskets, oldest first.
    pub baskets: Vec<Basket>,
    /// Their lines, basket by basket.
    pub lines: Vec<Line>,
    /// Refunds, oldest first: when, and of which product.
    pub refunds: Vec<(Timestamp, u32)>,
    /// The last steps, oldest first.
    pub steps: Vec<Step>,
    /// What became of offers, oldest first.
    pub outcomes: Vec<OfferOutcome>,
    /// Their reservations and what caps count; absent: nothing.
    pub book: Option<Box<Book>>,
    /// First and last event.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// Events of all kinds.
    pub events: u64,
    /// Baskets, also those no longer remembered.
    pub orders: u64,
    /// Different products in the remembered baskets.
    pub distinct: u32,
    /// The visit they are on, or were on last.
    pub visit: Option<Visit>,
    /// When they come, by which way, and what they do.
    pub habits: Box<Habits>,
}

impl Subject {
    /// Nothing is known yet but the id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    pub(super) fn book_mut(&mut self) -> &mut Book {
        self.book.get_or_insert_default()
    }

    /// The lines of a basket.
    #[must_use]
    pub fn lines_of(&self, basket: usize) -> &[Line] {
        &self.lines[self.start_of(basket)..self.baskets[basket].end as usize]
    }

    fn start_of(&self, basket: usize) -> usize {
        if basket == 0 {
            0
        } else {
            self.baskets[basket - 1].end as usize
        }
    }

    /// True if the basket is remembered.
    #[must_use]
    pub fn knows_basket(&self, key: u64) -> bool {
        self.baskets.iter().any(|basket| basket.key == key)
    }

    /// The last purchase.
    #[must_use]
    pub fn last_basket(&self) -> Option<Timestamp> {
        self.baskets.last().map(|basket| basket.time)
    }

    /// Notes that something happened.
    pub fn touch(&mut self, time: Timestamp, events: u64) {
        self.events += events;
        self.seen = Some(match self.seen {
            None => (time, time),
            Some((first, last)) => (first.min(time), last.max(time)),
        });
    }

    /// Adds a step where it belongs in time; equal moments keep the order of arrival.
    pub fn add_step(&mut self, step: Step) {
        let place = self.steps.partition_point(|other| other.time <= step.time);
        self.steps.insert(place, step);
        if self.steps.len() > MAX_STEPS {
            // the last purchase is never forgotten: rules ask whether somebody has bought
            let last_purchase = self
                .steps
                .iter()
                .rposition(|s| s.kind == EventKind::Purchase);
            let oldest = usize::from(last_purchase == Some(0));
            self.steps.remove(oldest);
        }
    }

    /// Adds a line to the basket `key`, which begins to exist if need be.
    pub fn add_line(
        &mut self,
        time: Timestamp,
        key: u64,
        product: u32,
        quantity: f32,
    ) -> LineAdded {
        let found = self.baskets.iter().rposition(|basket| basket.key == key);
        let (basket, new_basket) = match found {
            Some(place) if time < self.baskets[place].time => {
                (self.move_basket(place, time), false)
            }
            Some(place) => (place, false),
            None => (self.insert_basket(time, key), true),
        };
        let start = self.start_of(basket);
        let end = self.baskets[basket].end as usize;
        let same = self.lines[start..end]
            .iter()
            .position(|line| line.product == product);
        let mut all = 0;
        let mut last = None;
        for (place, line) in self.lines.iter().enumerate() {
            if line.product == product {
                all += 1;
                last = if place < start {
                    Some(place as u32)
                } else {
                    last
                };
            }
        }
        let new_line = same.is_none();
        let before = last.filter(|_| new_line).map(|place| {
            let basket = self.baskets.partition_point(|basket| basket.end <= place);
            self.baskets[basket].time
        });
        self.distinct += u32::from(all == 0);
        match same {
            Some(place) => self.lines[start + place].quantity += quantity,
            None => {
                self.lines.insert(end, Line { product, quantity });
                self.baskets[basket..]
                    .iter_mut()
                    .for_each(|basket| basket.end += 1);
            }
        }
        LineAdded {
            basket,
            new_basket,
            new_line,
            other_baskets: all - u32::from(!new_line),
            before,
        }
    }

    fn insert_basket(&mut self, time: Timestamp, key: u64) -> usize {
        let place = self
            .baskets
            .partition_point(|other| (other.time, other.key) < (time, key));
        let end = self.start_of(place) as u32;
        self.baskets.insert(place, Basket { time, key, end });
        self.orders += 1;
        place
    }

    /// A line earlier than the rest of its basket moves the whole basket, and its step.
    fn move_basket(&mut self, place: usize, time: Timestamp) -> usize {
        if let Some(step) = self.remove_step_of(place) {
            self.add_step(Step { time, ..step });
        }
        let lines = self.lines_of(place).to_vec();
        let key = self.baskets[place].key;
        let start = self.start_of(place);
        self.lines.drain(start..start + lines.len());
        self.baskets.remove(place);
        let shift = |baskets: &mut [Basket], by: i64| {
            baskets
                .iter_mut()
                .for_each(|b| b.end = (i64::from(b.end) + by) as u32);
        };
        shift(&mut self.baskets[place..], -(lines.len() as i64));
        let place = self
            .baskets
            .partition_point(|other| (other.time, other.key) < (time, key));
        let start = self.start_of(place);
        self.baskets.insert(
            place,
            Basket {
                time,
                key,
                end: start as u32,
            },
        );
        shift(&mut self.baskets[place..], lines.len() as i64);
        self.lines.splice(start..start, lines);
        place
    }

    /// Takes away the step of a basket, unless it is forgotten: the purchase of its first line at its moment. Baskets
    /// that share both have steps that are the same.
    pub fn remove_step_of(&mut self, basket: usize) -> Option<Step> {
        let time = self.baskets[basket].time;
        let product = self.lines_of(basket).first().map(|line| line.product);
        let is_it = |step: &Step| {
            step.kind == EventKind::Purchase && step.time == time && step.product == product
        };
        let place = self.steps.iter().position(is_it)?;
        Some(self.steps.remove(place))
    }

    /// Forgets the oldest baskets while there are more than [`MAX_LINES`] lines; the newest one always stays.
    pub fn trim(&mut self) {
        if self.lines.len() <= MAX_LINES {
            return;
        }
        while self.lines.len() > MAX_LINES && self.baskets.len() > 1 {
            let gone = self.baskets.remove(0).end;
            self.lines.drain(..gone as usize);
            self.baskets
                .iter_mut()
                .for_each(|basket| basket.end -= gone);
        }
        let mut products: Vec<u32> = self.lines.iter().map(|line| line.product).collect();
        products.sort_unstable();
        products.dedup();
        self.distinct = products.len() as u32;
    }

    /// Adds a refund.
    pub fn add_refund(&mut self, time: Timestamp, product: u32) {
        let place = self
            .refunds
            .partition_point(|&other| other <= (time, product));
        self.refunds.insert(place, (time, product));
        if self.refunds.len() > MAX_REFUNDS {
            self.refunds.remove(0);
        }
    }

    /// Adds what became of an offer where it belongs in time; equal moments keep the order of arrival.
    pub fn add_outcome(&mut self, outcome: OfferOutcome) {
        let place = self
            .outcomes
            .partition_point(|other| other.time <= outcome.time);
        self.outcomes.insert(place, outcome);
        if self.outcomes.len() > MAX_OUTCOMES {
            // what was redeemed is remembered longest: caps ask for it
            let is_let_go = |other: &OfferOutcome| other.outcome != Outcome::Redeemed;
            let oldest = self.outcomes.iter().position(is_let_go);
            self.outcomes.remove(oldest.unwrap_or(0));
        }
    }

    /// In how many remembered baskets a product is.
    #[must_use]
    pub fn baskets_with(&self, product: u32) -> u32 {
        self.lines
            .iter()
            .filter(|line| line.product == product)
            .count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn baskets(subject: &Subject) -> Vec<(i64, u64, Vec<u32>)> {
        (0..subject.baskets.len())
            .map(|i| {
                let basket = subject.baskets[i];
                let products = subject
                    .lines_of(i)
                    .iter()
                    .map(|line| line.product)
                    .collect();
                (basket.time.ms(), basket.key, products)
            })
            .collect()
    }

    #[test]
    fn lines_find_their_basket_whatever_the_order() {
        let mut subject = Subject::new("c");
        subject.add_line(at(20), 2, 7, 1.0);
        subject.add_line(at(10), 1, 7, 1.0);
        subject.add_line(at(20), 2, 8, 1.0);
        let again = subject.add_line(at(21), 2, 7, 3.0);
        assert!(!again.new_basket && !again.new_line);
        assert_eq!(again.other_baskets, 1);
        assert_eq!(baskets(&subject), [(10, 1, vec![7]), (20, 2, vec![7, 8])]);
        // an earlier line of basket 2 moves it to the front
        subject.add_line(at(5), 2, 9, 1.0);
        assert_eq!(baskets(&subject), [(5, 2, vec![7, 8, 9]), (10, 1, vec![7])]);
        assert_eq!(subject.orders, 2);
    }

    #[test]
    fn memory_is_bounded_and_the_last_purchase_stays() {
        let mut subject = Subject::new("c");
        let step = |ms, kind| Step {
            time: at(ms),
            kind,
            product: None,
            rating: None,
        };
        subject.add_step(step(0, EventKind::Purchase));
        for i in 0..1_000 {
            subject.add_step(step(1 + i, EventKind::PageView));
        }
        assert_eq!(subject.steps.len(), MAX_STEPS);
        assert_eq!(subject.steps[0].kind, EventKind::Purchase);
        for basket in 0..100 {
            for product in 0..100 {
                subject.add_line(at(basket), basket as u64, product, 1.0);
            }
            subject.trim();
        }
        assert_eq!(subject.lines.len(), 4_000);
        assert_eq!(subject.baskets.len(), 40);
        assert_eq!(subject.baskets[0].time, at(60));
        assert_eq!(subject.baskets[39].end, 4_000);
        assert_eq!(subject.orders, 100);
    }
}
