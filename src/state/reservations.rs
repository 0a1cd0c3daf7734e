//! The ledger of offers: what is reserved, what is redeemed, and whether there is room for one more.
//!
//! A reservation is open until it is redeemed, released, or its time is over; whether that has come is a question of
//! the moment, so nothing has to happen for it. The fold closes those whose time was over when a record was taken in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::domain::time::DAY_MS;
use crate::domain::{
    Event, Micros, OfferReleased, OfferReserved, OfferSpent, OfferState, Outcome, ReservationId,
    ReservationStatus, Subject as Who, Timestamp,
};
use crate::state::State;
use crate::state::book::{Book, Held};
use crate::state::people::Person;

/// So many days after its time is over, what became of a reservation is forgotten.
pub const REMEMBERED_DAYS: i64 = 30;
/// The most closed reservations that are remembered; those whose time was over first go first.
pub const MAX_CLOSED: usize = 1_000_000;

/// Units and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub units: u64,
    /// How much, all together.
    pub amount: Micros,
}

impl Sum {
    /// One unit of that much money.
    #[must_use]
    pub fn one(amount: Micros) -> Self {
        Self { units: 1, amount }
    }

    /// Adds another sum; stops at the largest number there is.
    pub fn add(&mut self, more: Self) {
        self.units = self.units.saturating_add(more.units);
        self.amount = Micros(self.amount.0.saturating_add(more.amount.0));
    }

    /// Takes a sum away that was added before.
    pub(super) fn take(&mut self, less: Self) {
        self.units = self.units.saturating_sub(less.units);
        self.amount = Micros(self.amount.0.saturating_sub(less.amount.0));
    }
}

/// What of an offer is spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Reserved and not closed.
    pub reserved: Sum,
    /// Redeemed.
    pub redeemed: Sum,
}

/// A reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The offer's number.
    pub offer: u32,
    /// Whose it is, while it is open.
    pub person: Option<Person>,
    /// Since when.
    pub reserved_at: Timestamp,
    /// The first moment it does not hold any more.
    pub expires_at: Timestamp,
    /// The money it keeps.
    pub amount: Micros,
    /// What became of it.
    pub status: ReservationStatus,
}

/// All reservations that are remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reservations {
    all: BTreeMap<ReservationId, Reservation>,
    /// The open ones, by when their time is over.
    #[serde(skip)]
    open: BTreeSet<(Timestamp, ReservationId)>,
    /// The others, by the same.
    #[serde(skip)]
    closed: BTreeSet<(Timestamp, ReservationId)>,
}

impl Reservations {
    /// Makes the orders anew, after decoding.
    pub(super) fn index(&mut self) {
        for (&id, reservation) in &self.all {
            let order = match reservation.status {
                ReservationStatus::Open => &mut self.open,
                _ => &mut self.closed,
            };
            order.insert((reservation.expires_at, id));
        }
    }

    /// A reservation, and what it is at `now`; none if there was none, or it is forgotten.
    #[must_use]
    pub fn get(&self, id: ReservationId, now: Timestamp) -> Option<Reservation> {
        let mut found = *self.all.get(&id)?;
        if found.status == ReservationStatus::Open && found.expires_at <= now {
            found.status = ReservationStatus::Expired;
        }
        Some(found)
    }

    /// Every reservation that is remembered, as the last record left it, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ReservationId, &Reservation)> {
        self.all.iter().map(|(&id, reservation)| (id, reservation))
    }

    /// How many are open as the last record left them.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The first open one whose time is over at `now`.
    fn overdue(&self, now: Timestamp) -> Option<ReservationId> {
        let &(expires_at, id) = self.open.first()?;
        (expires_at <= now).then_some(id)
    }

    /// Moves an open one to the closed; returns it as it was.
    fn close(&mut self, id: ReservationId, status: ReservationStatus) -> Option<Reservation> {
        let reservation = self.all.get_mut(&id)?;
        if reservation.status != ReservationStatus::Open {
            return None;
        }
        let before = *reservation;
        (reservation.status, reservation.person) = (status, None);
        self.open.remove(&(before.expires_at, id));
        self.closed.insert((before.expires_at, id));
        Some(before)
    }

    /// Forgets the closed ones that are long over, and the oldest of too many.
    fn forget_closed(&mut self, now: Timestamp) {
        let oldest = now.plus_ms(-REMEMBERED_DAYS * DAY_MS);
        while let Some(&(expires_at, id)) = self.closed.first()
            && (expires_at <= oldest || self.closed.len() > MAX_CLOSED)
        {
            self.closed.pop_first();
            self.all.remove(&id);
        }
    }

    fn remove(&mut self, id: ReservationId) -> Option<Reservation> {
        let gone = self.all.remove(&id)?;
        self.open.remove(&(gone.expires_at, id));
        self.closed.remove(&(gone.expires_at, id));
        Some(gone)
    }
}

/// The identity of a redemption by an order: the same order redeems an offer once.
#[must_use]
pub fn order_identity(offer: &str, order: &str) -> u64 {
    super::hash(("order", offer, order))
}

/// The identity of a redemption by the id of its event.
#[must_use]
pub fn event_identity(event: &str) -> u64 {
    super::hash(("event", event))
}

impl State {
    /// Takes in that a record was taken in at `recorded_at`: what was over by then is closed.
    pub(super) fn pass_time(&mut self, recorded_at: Timestamp) {
        self.recorded = self.recorded.max(recorded_at);
        while let Some(id) = self.reservations.overdue(self.recorded) {
            self.close(id, ReservationStatus::Expired);
        }
        self.reservations.forget_closed(self.recorded);
        self.decisions.forget_expired(self.recorded);
    }

    pub(super) fn apply_reserved(&mut self, reserved: &OfferReserved, recorded_at: Timestamp) {
        let offer = self.offers.intern(reserved.offer.as_str());
        let person = match &reserved.subject {
            Who::Customer { customer, .. } => self.people.intern_customer(customer),
            Who::Visitor(visitor) => self.people.intern_visitor(visitor),
        };
        let (id, expires_at) = (reserved.id, reserved.expires_at);
        if self.reservations.all.contains_key(&id) {
            return;
        }
        let reservation = Reservation {
            offer,
            person: Some(person),
            reserved_at: recorded_at,
            expires_at,
            amount: reserved.amount,
            status: ReservationStatus::Open,
        };
        self.reservations.all.insert(id, reservation);
        self.reservations.open.insert((expires_at, id));
        let usage = self.offers.usage_mut(offer);
        usage.reserved.add(Sum::one(reserved.amount));
        if let Some(subject) = self.people.subject_mut(person) {
            subject.book_mut().hold(Held {
                offer,
                id,
                expires_at,
            });
        }
    }

    pub(super) fn apply_released(&mut self, released: &OfferReleased) {
        self.close(released.id, ReservationStatus::Released);
    }

    pub(super) fn apply_spent(&mut self, spent: &OfferSpent) {
        let offer = self.offers.intern(spent.offer.as_str());
        let (units, amount) = (spent.units, spent.amount);
        let usage = self.offers.usage_mut(offer);
        usage.redeemed.add(Sum { units, amount });
    }

    /// Notes what an event says of an offer somebody has, for budgets and caps.
    pub(super) fn apply_outcome(
        &mut self,
        event: &Event,
        person: Person,
        offer: u32,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Sent | Outcome::Viewed => {
                if let Some(subject) = self.people.subject_mut(person) {
                    subject.book_mut().add_shown(offer, event.time);
                }
            }
            Outcome::Selected => {}
            Outcome::Redeemed => self.apply_redemption(event, person, offer),
            Outcome::Declined => {
                while let Some(id) = self.held_of(person, offer) {
                    self.close(id, ReservationStatus::Released);
                }
            }
        }
    }

    /// A redemption takes the reservation if there is one, and counts either way: it is a fact. The same order redeems
    /// an offer once, whoever tells of it.
    fn apply_redemption(&mut self, event: &Event, person: Person, offer: u32) {
        let order = event.order.as_ref().map(|order| {
            let offer = &self.offers.item(offer).id;
            order_identity(offer, order.as_str())
        });
        let own = event.id.as_ref().map(|id| event_identity(id.as_str()));
        let Some(subject) = self.people.subject_mut(person) else {
            return;
        };
        let book = subject.book_mut();
        let is_known = order.is_some_and(|order| book.knows(order));
        order
            .into_iter()
            .chain(own)
            .for_each(|id| book.remember(id));
        if is_known {
            return;
        }
        let held = self.redeemed_by(event, person, offer);
        let reserved = held.and_then(|id| self.close(id, ReservationStatus::Redeemed));
        let amount = match reserved {
            Some(reserved) => reserved.amount,
            None => {
                let listing = self.offers.item(offer).listing.as_ref();
                listing.map_or(Micros(0), |listing| listing.terms.unit_amount())
            }
        };
        self.offers.usage_mut(offer).redeemed.add(Sum::one(amount));
        if let Some(subject) = self.people.subject_mut(person) {
            let book = subject.book_mut();
            book.add_redeemed(offer, event.time, amount);
        }
    }

    /// The reservation that an event redeems: the one it names, or else one that they have of the offer.
    fn redeemed_by(&self, event: &Event, person: Person, offer: u32) -> Option<ReservationId> {
        let named = event.id.as_ref();
        let named = named.and_then(|id| ReservationId::of_event(id.as_str()));
        let book = self.subject(person)?.book.as_ref()?;
        let is_it = |held: &&Held| held.offer == offer && Some(held.id) == named;
        let named = book.reservations().iter().find(is_it);
        named
            .map(|held| held.id)
            .or_else(|| self.held_of(person, offer))
    }

    /// The open reservation of an offer that somebody has; of two (a visitor turned out to be a customer who had one,
    /// too), the one whose time is over first.
    fn held_of(&self, person: Person, offer: u32) -> Option<ReservationId> {
        let book = self.subject(person)?.book.as_ref()?;
        let held = book.reservations().iter();
        let held = held.filter(|held| held.offer == offer);
        held.map(|held| (held.expires_at, held.id))
            .min()
            .map(|(_, id)| id)
    }

    fn close(&mut self, id: ReservationId, status: ReservationStatus) -> Option<Reservation> {
        let closed = self.reservations.close(id, status)?;
        let usage = self.offers.usage_mut(closed.offer);
        usage.reserved.take(Sum::one(closed.amount));
        let subject = closed.person.and_then(|p| self.people.subject_mut(p));
        if let Some(subject) = subject {
            subject.book_mut().let_go(id);
        }
        Some(closed)
    }

    /// Makes a visitor's reservations and counts the customer's.
    pub(super) fn merge_book(&mut self, customer: Person, book: Book) {
        for held in book.reservations() {
            if let Some(reservation) = self.reservations.all.get_mut(&held.id) {
                reservation.person = Some(customer);
            }
        }
        if let Some(subject) = self.people.subject_mut(customer) {
            subject.book_mut().merge(book);
        }
    }

    /// Takes out what somebody who is erased had reserved and redeemed; [`OfferSpent`] puts back what stays spent.
    pub(super) fn forget_book(&mut self, book: &Book) {
        for held in book.reservations() {
            if let Some(gone) = self.reservations.remove(held.id) {
                let usage = self.offers.usage_mut(gone.offer);
                usage.reserved.take(Sum::one(gone.amount));
            }
        }
        for (offer, units, amount) in book.spent() {
            let usage = self.offers.usage_mut(offer);
            usage.redeemed.take(Sum { units, amount });
        }
    }
}

/// Why there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// It cannot be had at that moment.
    NotLive,
    /// A cap of this customer is reached.
    Cap,
    /// The budget is spent or reserved.
    Budget,
    /// They hold another offer of its group.
    Exclusive,
}

impl NoRoom {
    /// Stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotLive => "OFFER_NOT_LIVE",
            Self::Cap => "OFFER_CAP_REACHED",
            Self::Budget => "OFFER_BUDGET_EXHAUSTED",
            Self::Exclusive => "OFFER_EXCLUSIVE",
        }
    }
}

/// Somebody, known to State or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Party {
    /// State knows them.
    Known(Person),
    /// It does not yet.
    New(Who),
}

/// What was accepted and is not folded in yet.
#[derive(Debug, Default)]
pub struct Pending {
    sums: HashMap<u32, Sum, RandomState>,
    held: HashMap<Party, Vec<Held>, RandomState>,
    redeemed: HashMap<(Party, u32), u64, RandomState>,
    /// Reservations that are being redeemed or released.
    closing: Vec<ReservationId>,
}

impl Pending {
    /// A reservation was accepted.
    pub fn reserve(&mut self, party: &Party, held: Held, amount: Micros) {
        self.sums
            .entry(held.offer)
            .or_default()
            .add(Sum::one(amount));
        self.held.entry(party.clone()).or_default().push(held);
    }

    /// A redemption was accepted: of a reservation, or of what was not reserved.
    pub fn redeem(&mut self, party: &Party, offer: u32, of: Result<ReservationId, Micros>) {
        *self.redeemed.entry((party.clone(), offer)).or_default() += 1;
        match of {
            Ok(id) => self.closing.push(id),
            Err(amount) => self.sums.entry(offer).or_default().add(Sum::one(amount)),
        }
    }

    /// A release was accepted; what it gives back is free once it is folded in.
    pub fn release(&mut self, id: ReservationId) {
        self.closing.push(id);
    }
}

/// What is spent and what is free at one moment.
#[derive(Debug)]
pub struct Ledger<'a> {
    state: &'a State,
    now: Timestamp,
    /// What is over at `now` and not closed yet: the fold has seen no record since.
    overdue: HashMap<u32, Sum, RandomState>,
}

impl<'a> Ledger<'a> {
    /// At `now`.
    #[must_use]
    pub fn new(state: &'a State, now: Timestamp) -> Self {
        let mut overdue: HashMap<u32, Sum, RandomState> = HashMap::default();
        let open = state.reservations.open.iter();
        for (_, id) in open.take_while(|(expires_at, _)| *expires_at <= now) {
            if let Some(over) = state.reservations.all.get(id) {
                overdue
                    .entry(over.offer)
                    .or_default()
                    .add(Sum::one(over.amount));
            }
        }
        Self {
            state,
            now,
            overdue,
        }
    }

    /// What of an offer is spent.
    #[must_use]
    pub fn usage(&self, offer: u32) -> Usage {
        let mut usage = self.state.offers.item(offer).usage;
        if let Some(&over) = self.overdue.get(&offer) {
            usage.reserved.take(over);
        }
        usage
    }

    /// How many units of an offer can still be reserved; absent: without end.
    #[must_use]
    pub fn units_left(&self, offer: u32) -> Option<u64> {
        let terms = &self.state.offers.item(offer).listing.as_ref()?.terms;
        let usage = self.usage(offer);
        let mut sum = usage.redeemed;
        sum.add(usage.reserved);
        let units = terms.budget_units;
        let units = units.map(|budget| budget.saturating_sub(sum.units));
        let cost = terms.unit_amount().0;
        let money = terms.budget_amount.filter(|_| cost > 0).map(|budget| {
            let left = budget.0.saturating_sub(sum.amount.0) / cost;
            u64::try_from(left).unwrap_or_default()
        });
        match (units, money) {
            (Some(units), Some(money)) => Some(units.min(money)),
            (units, money) => units.or(money),
        }
    }

    /// Whom a subject is.
    #[must_use]
    pub fn party(&self, subject: &Who) -> Party {
        let people = &self.state.people;
        let person = match subject {
            Who::Customer { customer, .. } => people.customer(customer),
            Who::Visitor(visitor) => people.visitor(visitor),
        };
        person.map_or_else(|| Party::New(subject.clone()), Party::Known)
    }

    fn book(&self, party: &Party) -> Option<&'a Book> {
        match party {
            Party::Known(person) => self.state.subject(*person)?.book.as_deref(),
            Party::New(_) => None,
        }
    }

    /// Whether an offer can be answered to somebody: by the reservation they have of it, or (`Ok(None)`) by a new one.
    ///
    /// # Errors
    /// Why not.
    pub fn room(
        &self,
        offer: u32,
        party: &Party,
        pending: &Pending,
    ) -> Result<Option<Held>, NoRoom> {
        let terms = self.live(offer)?;
        let book = self.book(party);
        let window = terms.cap_window_days;
        let counts = book.map(|book| book.counts(offer, self.now, window));
        let shown = counts.unwrap_or_default().shown;
        let cap = terms.cap_shown_per_customer;
        if cap.is_some_and(|cap| shown >= u64::from(cap)) {
            return Err(NoRoom::Cap);
        }
        self.redeemable(offer, party, pending)
    }

    /// Whether somebody may redeem an offer: a reservation they have of it, or (`Ok(None)`) what is free.
    ///
    /// # Errors
    /// Why not.
    pub fn redeemable(
        &self,
        offer: u32,
        party: &Party,
        pending: &Pending,
    ) -> Result<Option<Held>, NoRoom> {
        let Some(listing) = &self.state.offers.item(offer).listing else {
            return Err(NoRoom::NotLive);
        };
        let terms = &listing.terms;
        let counts = self.book(party).map(|book| {
            let window = terms.cap_window_days;
            book.counts(offer, self.now, window)
        });
        let redeeming = pending.redeemed.get(&(party.clone(), offer));
        let redeemed = counts.unwrap_or_default().redeemed + redeeming.copied().unwrap_or(0);
        let cap = terms.cap_per_customer;
        if cap.is_some_and(|cap| redeemed >= u64::from(cap)) {
            return Err(NoRoom::Cap);
        }
        let mut held = self.held(party, pending);
        let theirs = held.clone().filter(|held| held.offer == offer);
        if let Some(held) = theirs.min_by_key(|held| (held.expires_at, held.id)) {
            return Ok(Some(held));
        }
        self.live(offer)?;
        if let Some(group) = &terms.exclusivity_group
            && held.any(|held| self.group(held.offer) == Some(group))
        {
            return Err(NoRoom::Exclusive);
        }
        self.check_budget(offer, terms, pending)?;
        Ok(None)
    }

    fn live(&self, offer: u32) -> Result<&'a crate::domain::OfferTerms, NoRoom> {
        let listing = self.state.offers.item(offer).listing.as_ref();
        let live = listing.filter(|listing| listing.state(self.now) == OfferState::Live);
        live.map(|listing| &listing.terms).ok_or(NoRoom::NotLive)
    }

    fn check_budget(
        &self,
        offer: u32,
        terms: &crate::domain::OfferTerms,
        pending: &Pending,
    ) -> Result<(), NoRoom> {
        let usage = self.usage(offer);
        let mut sum = usage.redeemed;
        sum.add(usage.reserved);
        sum.add(pending.sums.get(&offer).copied().unwrap_or_default());
        sum.add(Sum::one(terms.unit_amount()));
        let is_over = terms.budget_units.is_some_and(|budget| sum.units > budget)
            || terms
                .budget_amount
                .is_some_and(|budget| sum.amount > budget);
        if is_over { Err(NoRoom::Budget) } else { Ok(()) }
    }

    /// What somebody holds, with what was just accepted.
    fn held<'p>(
        &'p self,
        party: &Party,
        pending: &'p Pending,
    ) -> impl Iterator<Item = Held> + Clone + 'p {
        let book = self.book(party).map_or(&[][..], Book::reservations);
        let more = pending.held.get(party).map_or(&[][..], Vec::as_slice);
        let all = book.iter().chain(more).copied();
        all.filter(|held| held.expires_at > self.now && !pending.closing.contains(&held.id))
    }

    fn group(&self, offer: u32) -> Option<&'a str> {
        let listing = self.state.offers.item(offer).listing.as_ref()?;
        listing.terms.exclusivity_group.as_deref()
    }
}
