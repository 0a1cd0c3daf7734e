//! The naive ledger: reads the whole journal and does as it is told, one record after the other.

use std::collections::{BTreeMap, BTreeSet};

use nextbest::domain::{
    Event, EventKind, Micros, OfferTerms, Position, RecordBody, ReservationId, ReservationStatus,
    Subject, Timestamp,
};
use nextbest::state::reservations::{Sum, Usage};
use nextbest::store::Journal;

#[derive(Debug)]
struct Reserved {
    id: ReservationId,
    offer: String,
    who: String,
    expires_at: Timestamp,
    amount: Micros,
    status: ReservationStatus,
}

#[derive(Debug, Default)]
pub(super) struct Naive {
    reserved: Vec<Reserved>,
    redeemed: BTreeMap<String, Sum>,
    terms: BTreeMap<String, OfferTerms>,
    /// Person, offer and order.
    orders: BTreeSet<(String, String, String)>,
    /// By visitor: whose they are.
    owners: BTreeMap<String, String>,
}

impl Naive {
    pub(super) fn of(journal: &dyn Journal, now: Timestamp) -> Self {
        let mut naive = Self::default();
        let mut newest = Timestamp::default();
        for read in journal.read_from(Position(0)) {
            let record = read.unwrap().1;
            newest = newest.max(record.recorded_at);
            naive.pass(newest);
            naive.take(&record.body);
        }
        naive.pass(now.max(newest));
        naive
    }

    fn pass(&mut self, now: Timestamp) {
        for reserved in &mut self.reserved {
            if reserved.status == ReservationStatus::Open && reserved.expires_at <= now {
                reserved.status = ReservationStatus::Expired;
            }
        }
    }

    fn person(&self, subject: &Subject) -> String {
        match subject {
            Subject::Customer { customer, .. } => customer.to_string(),
            Subject::Visitor(visitor) => {
                let id = visitor.to_string();
                self.owners.get(&id).cloned().unwrap_or(id)
            }
        }
    }

    fn take(&mut self, body: &RecordBody) {
        match body {
            RecordBody::OfferUpserted(offer) => {
                self.terms.insert(offer.id.to_string(), offer.terms.clone());
            }
            RecordBody::OfferReserved(reserved) => self.reserved.push(Reserved {
                id: reserved.id,
                offer: reserved.offer.to_string(),
                who: self.person(&reserved.subject),
                expires_at: reserved.expires_at,
                amount: reserved.amount,
                status: ReservationStatus::Open,
            }),
            RecordBody::OfferReleased(released) => self.close(
                |reserved| reserved.id == released.id,
                ReservationStatus::Released,
            ),
            RecordBody::OfferSpent(spent) => {
                let sum = self.redeemed.entry(spent.offer.to_string()).or_default();
                sum.units += spent.units;
                sum.amount.0 += spent.amount.0;
            }
            RecordBody::VisitorIdentified { visitor, customer } => {
                let (from, to) = (visitor.to_string(), customer.to_string());
                // what a visitor does while nobody's goes with them
                if self.owners.insert(from.clone(), to.clone()).is_none() {
                    for reserved in self.reserved.iter_mut().filter(|r| r.who == from) {
                        reserved.who.clone_from(&to);
                    }
                    let theirs = self.orders.iter().filter(|order| order.0 == from);
                    let theirs: Vec<_> = theirs.cloned().collect();
                    let moved = theirs
                        .into_iter()
                        .map(|(_, o, order)| (to.clone(), o, order));
                    self.orders.extend(moved);
                }
            }
            RecordBody::Event(event) => self.happen(event),
            _ => {}
        }
    }

    fn close(&mut self, is_it: impl Fn(&Reserved) -> bool, status: ReservationStatus) {
        for reserved in &mut self.reserved {
            if reserved.status == ReservationStatus::Open && is_it(reserved) {
                reserved.status = status;
            }
        }
    }

    fn happen(&mut self, event: &Event) {
        let who = self.person(&event.subject);
        let offer = event.offer.as_ref().unwrap().to_string();
        let is_theirs = |reserved: &Reserved| reserved.who == who && reserved.offer == offer;
        if event.kind == EventKind::OfferDeclined {
            self.close(is_theirs, ReservationStatus::Released);
            return;
        }
        if let Some(order) = &event.order {
            let order = (who.clone(), offer.clone(), order.to_string());
            if !self.orders.insert(order) {
                return;
            }
        }
        let open = self.reserved.iter_mut();
        let open = open.filter(|r| r.status == ReservationStatus::Open && is_theirs(r));
        // the one that the event names; else the one whose time is over first
        let named = event.id.as_ref();
        let named = named.and_then(|id| ReservationId::of_event(id.as_str()));
        let open = open.min_by_key(|r| (Some(r.id) != named, r.expires_at, r.id));
        let amount = match open {
            Some(reserved) => {
                reserved.status = ReservationStatus::Redeemed;
                reserved.amount
            }
            None => self
                .terms
                .get(&offer)
                .map_or(Micros(0), OfferTerms::unit_amount),
        };
        let sum = self.redeemed.entry(offer).or_default();
        sum.units += 1;
        sum.amount.0 += amount.0;
    }

    pub(super) fn usage(&self, offer: &str) -> Usage {
        let mut reserved = Sum::default();
        for open in &self.reserved {
            if open.status == ReservationStatus::Open && open.offer == offer {
                reserved.units += 1;
                reserved.amount.0 += open.amount.0;
            }
        }
        Usage {
            reserved,
            redeemed: self.redeemed.get(offer).copied().unwrap_or_default(),
        }
    }

    pub(super) fn status(&self, id: ReservationId) -> Option<ReservationStatus> {
        let found = self.reserved.iter().find(|reserved| reserved.id == id);
        found.map(|found| found.status)
    }
}
