//! Offers that were sent without an answer's token: campaigns of another tool, or of the time before nextbest. Nobody
//! says with which chance they were sent; but they teach what offers do, next to people who were sent none at that
//! moment, and judge what was learned as long as no decisions with known chances can.
//!
//! Both sides are drawn from the same people: those who had been sent an offer before, and none for as long as an offer
//! works. Of them, for each one who is sent an offer, one is drawn who is not. What they were sent for is not known, so
//! what is known of them has to explain it: the features of the model.

use std::collections::HashMap;

use crate::algorithms::draw::mix;
use crate::domain::time::DAY_MS;
use crate::domain::{Credit, Event, EventKind, Outcome, Subject as Who, Timestamp};
use crate::state::State;
use crate::state::book::Book;
use crate::state::exposures::HORIZON_DAYS;
use crate::state::people::Person;

/// So many are drawn, at most, for one to stand beside an offer.
const DRAWS: u64 = 16;

/// Somebody at the moment of a mailing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mailed {
    /// The number of the customer.
    pub(super) customer: u32,
    /// The place in the history of an event of theirs, not later than the mailing.
    pub(super) place: usize,
    /// The number of the offer.
    pub(super) offer: u32,
    /// False: they were not sent it, and could have been.
    pub(super) was_sent: bool,
}

/// Watches mailings.
#[derive(Debug, Default)]
pub(super) struct Mailings {
    /// Customers who were sent an offer, in the order in which they first were.
    reached: Vec<u32>,
    /// Of them, the place of their last event.
    last_place: HashMap<u32, usize>,
}

impl Mailings {
    /// Sees an event at its place, before `state` takes it in. Returns the one who is mailed, and the one who is not.
    pub(super) fn observe(&mut self, state: &State, event: &Event, place: usize) -> Vec<Mailed> {
        let Who::Customer { customer, .. } = &event.subject else {
            return Vec::new();
        };
        let Some(Person::Customer(number)) = state.people.customer(customer) else {
            return Vec::new();
        };
        if let Some(last) = self.last_place.get_mut(&number) {
            *last = place;
        }
        if event.kind != EventKind::OfferSent {
            return Vec::new();
        }
        let was_reached = self.last_place.contains_key(&number);
        let mut found = Vec::new();
        let has_token = matches!(event.credit, Some(Credit::Proven(_)));
        let offer = event.offer.as_ref();
        let offer = offer.and_then(|id| state.offers.number(id.as_str()));
        let offer = offer.filter(|&number| state.offers.item(number).listing.is_some());
        let offer = offer.filter(|_| !has_token && was_reached);
        if let Some(offer) = offer.filter(|_| is_rested(state, number, event.time)) {
            let mailed = Mailed {
                customer: number,
                place,
                offer,
                was_sent: true,
            };
            found.push(mailed);
            found.extend(self.beside(state, mailed, event.time));
        }
        if !was_reached {
            self.reached.push(number);
            self.last_place.insert(number, place);
        }
        found
    }

    /// Somebody else who could have been mailed.
    fn beside(&self, state: &State, mailed: Mailed, time: Timestamp) -> Option<Mailed> {
        let count = self.reached.len() as u64;
        let draws = (0..DRAWS).map(|draw| mix(mailed.place as u64, draw) % count);
        let mut drawn = draws.map(|draw| self.reached[draw as usize]);
        let other =
            drawn.find(|&other| other != mailed.customer && is_rested(state, other, time))?;
        let place = *self.last_place.get(&other)?;
        Some(Mailed {
            customer: other,
            place,
            was_sent: false,
            ..mailed
        })
    }
}

/// True if no offer, and no campaign, reached them for as long as one works.
fn is_rested(state: &State, customer: u32, time: Timestamp) -> bool {
    let oldest = time.plus_ms(-HORIZON_DAYS * DAY_MS);
    let subject = state.subject(Person::Customer(customer));
    let Some(subject) = subject else {
        return true;
    };
    let is_late = |time: Timestamp| time > oldest;
    let outcomes = subject.outcomes.iter().rev();
    let mut lately = outcomes.take_while(|outcome| is_late(outcome.time));
    let reached = lately.any(|outcome| matches!(outcome.outcome, Outcome::Sent | Outcome::Viewed));
    let book = subject.book.as_deref();
    let mut campaigns = book.map_or(&[][..], Book::campaigns).iter();
    !reached && !campaigns.any(|&(sent, _)| is_late(sent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::recipes::Recipes;
    use crate::domain::{
        Customer, CustomerId, EventDraft, OfferDraft, OfferKind, Record, RecordBody,
    };
    use crate::state::FoldSettings;

    fn sent(customer: &str, day: i64) -> Event {
        let now = Timestamp::from_ms(1_000 * DAY_MS);
        let draft = EventDraft {
            event_type: "offer_sent",
            time: Some(Ok(Timestamp::from_ms(day * DAY_MS))),
            customer_id: customer,
            offer_id: "o1",
            ..EventDraft::default()
        };
        draft.check(now, |_| 0).unwrap()
    }

    #[test]
    fn both_sides_were_sent_an_offer_before_and_none_lately() {
        let mut state = State::new(FoldSettings {
            journey: Recipes::embedded().unwrap().journey,
            visitor_idle_days: 30,
        });
        let record = |body| Record {
            recorded_at: Timestamp::from_ms(0),
            body,
        };
        let offer = OfferDraft {
            offer_id: "o1",
            kind: Some(Ok(OfferKind::Content)),
            ..OfferDraft::default()
        };
        let offer = offer.check(state.journey(), &|_| Ok(())).unwrap();
        state.apply(&record(RecordBody::OfferUpserted(Box::new(offer))));
        for customer in 0..5 {
            let known = Customer {
                id: CustomerId::trusted(format!("c{customer}")),
                traits: Vec::new(),
            };
            state.apply(&record(RecordBody::CustomerUpserted(Box::new(known))));
        }
        let mut mailings = Mailings::default();
        let mut told = Vec::new();
        // everybody is mailed in the first days; then c0 again: after three days, and after twenty
        let mut events: Vec<Event> = (0..5).map(|n| sent(&format!("c{n}"), n)).collect();
        events.extend([sent("c0", 3), sent("c0", 23), sent("c1", 24)]);
        for (place, event) in events.iter().enumerate() {
            told.push(mailings.observe(&state, event, place));
            state.apply(&record(RecordBody::Event(Box::new(event.clone()))));
        }
        assert!(told[..6].iter().all(Vec::is_empty), "{told:?}");
        let [mailed, other] = told[6][..] else {
            panic!("{told:?}");
        };
        assert_eq!((mailed.customer, mailed.place), (0, 6));
        assert!(mailed.was_sent && !other.was_sent && mailed.offer == other.offer);
        assert_ne!(other.customer, 0);
        assert!(other.place < 6);
        // whoever was mailed yesterday stands beside nobody
        let [mailed, other] = told[7][..] else {
            panic!("{told:?}");
        };
        assert_eq!(mailed.customer, 1);
        assert!([2, 3, 4].contains(&other.customer));
    }
}
