//! Reserving, redeeming and releasing offers: what is asked for, and what the committer decides.
//!
//! Only the committer decides, over State and what it has accepted in the block at hand, and what it decides is durable
//! before anybody hears of it. So no number of callers can take more than there is.

mod keeping;

use std::collections::{HashMap, HashSet};

use crate::application::decision::Keep;
use crate::application::error::AppError;
use crate::domain::{
    CustomerId, EventDraft, Fingerprint, OfferId, OfferReleased, OfferReserved, OrderId, Record,
    RecordBody, ReservationId, ReservationStatus, Subject, Timestamp, VisitorId,
};
use crate::state::State;
use crate::state::book::Held;
use crate::state::people::Person;
use crate::state::reservations::{
    Ledger, Party, Pending, Reservation, event_identity, order_identity,
};

pub(super) use keeping::Keeping;

/// The most offers of one answer.
pub const MAX_OFFERS: usize = 10;

/// What one question wants: the first offers of a list that still have room.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// For whom.
    pub subject: Subject,
    /// At most so many, at most [`MAX_OFFERS`].
    pub most: usize,
    /// Best first; those that only stand in for others last.
    pub choices: Vec<Choice>,
}

/// An offer that may be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub offer: OfferId,
    /// Only where no other offer can be.
    pub fallback: bool,
    /// It must be reserved.
    pub is_limited: bool,
}

/// A reservation as its caller gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Which.
    pub id: ReservationId,
    /// The first moment it does not hold any more.
    pub expires_at: Timestamp,
}

/// An offer of a wish that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its place in [`Wish::choices`].
    pub choice: usize,
    /// Its reservation; absent: it needs none.
    pub reservation: Option<Granted>,
}

/// What is to be redeemed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedeemWhat {
    /// A reservation.
    Reservation(ReservationId),
    /// An offer by somebody: their reservation of it, or what is free.
    Offer(OfferId, Subject),
}

/// A redemption that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redemption {
    /// What.
    pub what: RedeemWhat,
    /// By which order.
    pub order: Option<OrderId>,
    /// The caller's name for the request; may be empty.
    pub request: String,
}

/// A redemption that is in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// The offer.
    pub offer: OfferId,
    /// The reservation it took, or had taken before.
    pub reservation: Option<ReservationId>,
    /// True if it was in the journal before.
    pub already: bool,
}

/// What the committer decides.
#[derive(Debug, Clone)]
pub(super) enum Demand {
    Reserve(Vec<Wish>),
    Keep(Vec<Keep>),
    Redeem(Redemption),
    Release(ReservationId),
}

/// What it decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Settled {
    Reserved(Vec<Vec<Pick>>),
    Kept(Vec<Keeping>),
    Redeemed(Redeemed),
    Released(ReservationStatus),
}

impl Demand {
    /// The most records it can become.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Reserve(wishes) => wishes.iter().map(|wish| wish.most).sum(),
            Self::Keep(keeps) => keeps.iter().map(Keep::weight).sum(),
            Self::Redeem(_) | Self::Release(_) => 1,
        }
    }
}

impl Redeemed {
    /// The journal knew its record: whoever redeemed it first may have been erased since, so State does not tell. It
    /// took nothing now, and what was held stays so.
    pub(super) fn known_before(self, asked: &RedeemWhat) -> Self {
        Self {
            reservation: match asked {
                RedeemWhat::Reservation(id) => Some(*id),
                RedeemWhat::Offer(..) => None,
            },
            already: true,
            ..self
        }
    }
}

/// A pick that may still need its reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) choice: usize,
    offer: u32,
    pub(super) held: Option<Held>,
    /// True if it must be reserved first.
    pub(super) is_new: bool,
}

impl Draft {
    pub(super) fn pick(&self) -> Pick {
        Pick {
            choice: self.choice,
            reservation: self.held.map(|held| Granted {
                id: held.id,
                expires_at: held.expires_at,
            }),
        }
    }
}

/// The first offers that have room; `party` is absent where nothing is said of who asks.
pub(super) fn choose(
    state: &State,
    ledger: &Ledger<'_>,
    party: Option<&Party>,
    pending: &Pending,
    choices: &[Choice],
    most: usize,
) -> Vec<Draft> {
    let mut picks: Vec<Draft> = Vec::new();
    let mut groups: Vec<&str> = Vec::new();
    for (place, choice) in choices.iter().enumerate() {
        let has_better = picks.iter().any(|pick| !choices[pick.choice].fallback);
        if picks.len() == most || choice.fallback && has_better {
            break;
        }
        let Some(offer) = state.offers.number(choice.offer.as_str()) else {
            continue;
        };
        let Some(listing) = &state.offers.item(offer).listing else {
            continue;
        };
        if picks.iter().any(|pick| pick.offer == offer) {
            continue;
        }
        let group = listing.terms.exclusivity_group.as_deref();
        if group.is_some_and(|group| groups.contains(&group)) {
            continue;
        }
        let is_limited = listing.terms.is_limited();
        let room = match party {
            Some(party) => ledger.room(offer, party, pending),
            None if is_limited => continue,
            None => Ok(None),
        };
        if let Ok(held) = room {
            groups.extend(group);
            picks.push(Draft {
                choice: place,
                offer,
                held,
                is_new: held.is_none() && is_limited,
            });
        }
    }
    picks
}

/// Decides the demands of one block.
pub(super) struct Desk<'a> {
    state: &'a State,
    ledger: Ledger<'a>,
    pending: Pending,
    now: Timestamp,
    terms: DeskTerms,
    /// The end of the journal: no two blocks have the same.
    end: u64,
    records: Vec<Record>,
    /// What this block reserves or redeems already.
    fresh: HashMap<Fingerprint, Redeemed>,
    /// What it releases.
    released: HashSet<ReservationId>,
    /// What it keeps: the question and the answer, by decision.
    kept: HashMap<Fingerprint, (Fingerprint, Vec<u8>)>,
}

/// How long promises hold, in milliseconds, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeskTerms {
    /// Reservations.
    pub(super) reservation_ms: i64,
    /// Answers.
    pub(super) decision_ms: i64,
    /// At most so many answers stand at a time.
    pub(super) most_decisions: usize,
}

impl<'a> Desk<'a> {
    /// At `now`.
    pub(super) fn new(state: &'a State, now: Timestamp, terms: DeskTerms, end: u64) -> Self {
        Self {
            state,
            ledger: Ledger::new(state, now),
            pending: Pending::default(),
            now,
            terms,
            end,
            records: Vec::new(),
            fresh: HashMap::new(),
            released: HashSet::new(),
            kept: HashMap::new(),
        }
    }

    /// How many records are to be written so far.
    pub(super) fn written(&self) -> usize {
        self.records.len()
    }

    /// What is to be written.
    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// Decides one demand; with it, whether it holds only if the records of the block are written.
    pub(super) fn settle(&mut self, demand: &Demand) -> (Result<Settled, AppError>, bool) {
        let before = self.records.len();
        let mut depends = false;
        let settled = match demand {
            Demand::Reserve(wishes) => {
                let wishes = wishes.iter();
                let picks = wishes.map(|wish| self.reserve(wish, &mut depends));
                Ok(Settled::Reserved(picks.collect()))
            }
            Demand::Keep(keeps) => {
                let keeps = keeps.iter();
                let kept = keeps.map(|keep| self.keep(keep, &mut depends));
                Ok(Settled::Kept(kept.collect()))
            }
            Demand::Redeem(redemption) => self.redeem(redemption, &mut depends),
            Demand::Release(id) => self.release(*id),
        };
        (settled, depends || self.records.len() > before)
    }

    fn reserve(&mut self, wish: &Wish, depends: &mut bool) -> Vec<Pick> {
        let party = self.ledger.party(&wish.subject);
        let (ledger, choices) = (&self.ledger, &wish.choices);
        let whose = Some(&party);
        let mut drafts = choose(self.state, ledger, whose, &self.pending, choices, wish.most);
        for draft in &mut drafts {
            if draft.is_new {
                draft.held = self.hold(&party, &wish.subject, draft.offer);
            }
            let held = draft.held;
            *depends |= held.is_some_and(|held| self.fresh.contains_key(&held.id.0));
        }
        drafts.iter().map(Draft::pick).collect()
    }

    fn hold(&mut self, party: &Party, subject: &Subject, offer: u32) -> Option<Held> {
        let item = self.state.offers.item(offer);
        let terms = &item.listing.as_ref()?.terms;
        let index = self.records.len() as u64;
        let moment = self.now.ms().to_le_bytes();
        let parts = [&self.end.to_le_bytes()[..], &index.to_le_bytes(), &moment];
        let id = ReservationId(Fingerprint::of("reservation", &parts));
        let over = self.now.plus_ms(self.terms.reservation_ms);
        let expires_at = terms.ends_at.map_or(over, |end| end.min(over));
        let held = Held {
            offer,
            id,
            expires_at,
        };
        let (name, amount) = (OfferId::trusted(item.id.to_string()), terms.unit_amount());
        self.pending.reserve(party, held, amount);
        let fresh = Redeemed {
            offer: name.clone(),
            reservation: Some(id),
            already: false,
        };
        self.fresh.insert(id.0, fresh);
        self.write(RecordBody::OfferReserved(Box::new(OfferReserved {
            id,
            offer: name,
            subject: subject.clone(),
            expires_at,
            amount,
        })));
        Some(held)
    }

    fn redeem(&mut self, asked: &Redemption, depends: &mut bool) -> Result<Settled, AppError> {
        let (offer, subject, reservation) = match &asked.what {
            RedeemWhat::Reservation(id) => match self.open(*id)? {
                Ok((offer, subject)) => (offer, subject, Some(*id)),
                Err(done) => return Ok(Settled::Redeemed(done)),
            },
            RedeemWhat::Offer(id, subject) => {
                let number = self.state.offers.number(id.as_str());
                let listed = number.filter(|&n| self.state.offers.item(n).listing.is_some());
                let missing = || AppError::OfferNotFound { id: id.to_string() };
                (listed.ok_or_else(missing)?, subject.clone(), None)
            }
        };
        let name = OfferId::trusted(self.state.offers.item(offer).id.to_string());
        let event_id = event_id(asked, &name, &subject);
        let event = Fingerprint::of("redemption in a block", &[event_id.as_bytes()]);
        let party = self.ledger.party(&subject);
        if let Some(id) = reservation.filter(|id| self.released.contains(id)) {
            return Err(AppError::ReservationReleased { id: id.to_string() });
        }
        let same = reservation.and_then(|id| self.fresh.get(&id.0));
        if let Some(done) = self.fresh.get(&event).or(same) {
            *depends = true;
            let already = true;
            let done = done.clone();
            return Ok(Settled::Redeemed(Redeemed { already, ..done }));
        }
        if self.is_known(&party, asked, &name, &event_id) {
            return Ok(Settled::Redeemed(Redeemed {
                offer: name,
                reservation,
                already: true,
            }));
        }
        let refused = |why| AppError::OfferRefused {
            id: name.to_string(),
            why,
        };
        let room = self.ledger.redeemable(offer, &party, &self.pending);
        let held = room.map_err(refused)?.map(|held| held.id);
        let taken = reservation.or(held);
        self.write(redemption(&event_id, asked, &name, &subject, self.now)?);
        let listing = self.state.offers.item(offer).listing.as_ref();
        let amount = listing.map_or_else(Default::default, |l| l.terms.unit_amount());
        self.pending.redeem(&party, offer, taken.ok_or(amount));
        let done = Redeemed {
            offer: name,
            reservation: taken,
            already: false,
        };
        for key in [Some(event), taken.map(|id| id.0)].into_iter().flatten() {
            self.fresh.insert(key, done.clone());
        }
        Ok(Settled::Redeemed(done))
    }

    /// The offer and the owner of a reservation that is open, or what says that it was redeemed.
    fn open(&self, id: ReservationId) -> Result<Result<(u32, Subject), Redeemed>, AppError> {
        let found = self.find(id)?;
        let text = || id.to_string();
        let owner = found.person.and_then(|person| self.owner(person));
        match (found.status, owner) {
            (ReservationStatus::Open, Some(owner)) => Ok(Ok((found.offer, owner))),
            (ReservationStatus::Redeemed, _) => Ok(Err(Redeemed {
                offer: OfferId::trusted(self.state.offers.item(found.offer).id.to_string()),
                reservation: Some(id),
                already: true,
            })),
            (ReservationStatus::Released, _) => Err(AppError::ReservationReleased { id: text() }),
            (ReservationStatus::Expired, _) => Err(AppError::ReservationExpired { id: text() }),
            (ReservationStatus::Open, None) => Err(AppError::ReservationNotFound { id: text() }),
        }
    }

    fn find(&self, id: ReservationId) -> Result<Reservation, AppError> {
        let found = self.state.reservations.get(id, self.now);
        found.ok_or_else(|| AppError::ReservationNotFound { id: id.to_string() })
    }

    fn owner(&self, person: Person) -> Option<Subject> {
        let id = self.state.subject(person)?.id.to_string();
        Some(match person {
            Person::Customer(_) => Subject::Customer {
                customer: CustomerId::trusted(id),
                visitor: None,
            },
            Person::Visitor(_) => Subject::Visitor(VisitorId::trusted(id)),
        })
    }

    /// True if the order or the request redeemed the offer before.
    fn is_known(&self, party: &Party, asked: &Redemption, offer: &OfferId, event: &str) -> bool {
        let Party::Known(person) = party else {
            return false;
        };
        let subject = self.state.subject(*person);
        let Some(book) = subject.and_then(|subject| subject.book.as_ref()) else {
            return false;
        };
        let order = asked.order.as_ref();
        let order = order.map(|order| order_identity(offer.as_str(), order.as_str()));
        let mut all = order.into_iter().chain([event_identity(event)]);
        all.any(|identity| book.knows(identity))
    }

    fn release(&mut self, id: ReservationId) -> Result<Settled, AppError> {
        let found = self.find(id)?;
        let is_redeeming = self.fresh.contains_key(&id.0);
        let status = match found.status {
            ReservationStatus::Redeemed => {
                return Err(AppError::ReservationRedeemed { id: id.to_string() });
            }
            ReservationStatus::Open if is_redeeming => {
                return Err(AppError::ReservationRedeemed { id: id.to_string() });
            }
            ReservationStatus::Open => ReservationStatus::Released,
            other => other,
        };
        let owner = found.person.and_then(|person| self.owner(person));
        if let Some(subject) = owner.filter(|_| found.status == ReservationStatus::Open) {
            self.pending.release(id);
            self.released.insert(id);
            self.write(RecordBody::OfferReleased(Box::new(OfferReleased {
                id,
                subject,
            })));
        }
        Ok(Settled::Released(status))
    }

    fn write(&mut self, body: RecordBody) {
        self.records.push(Record {
            recorded_at: self.now,
            body,
        });
    }
}

/// The id of the event of a redemption: the same for a request that is sent again.
fn event_id(asked: &Redemption, offer: &OfferId, subject: &Subject) -> String {
    let offer = offer.as_str().as_bytes();
    let parts: Vec<&[u8]> = match (&asked.what, &asked.order) {
        // the fold takes this one, whatever else they hold
        (RedeemWhat::Reservation(id), _) => return id.event_id(),
        _ if !asked.request.is_empty() => vec![b"request", asked.request.as_bytes()],
        (RedeemWhat::Offer(..), order) => {
            let order = order.as_ref().map_or("", OrderId::as_str).as_bytes();
            let customer = subject.customer().map_or("", CustomerId::as_str);
            let visitor = subject.visitor().map_or("", VisitorId::as_str);
            vec![
                b"order",
                offer,
                order,
                customer.as_bytes(),
                visitor.as_bytes(),
            ]
        }
    };
    format!("redeemed-{}", Fingerprint::of("redemption", &parts))
}

/// A redemption is an event like one that a shop writes.
fn redemption(
    event_id: &str,
    asked: &Redemption,
    offer: &OfferId,
    subject: &Subject,
    now: Timestamp,
) -> Result<RecordBody, AppError> {
    let draft = EventDraft {
        event_id,
        event_type: "offer_redeemed",
        time: Some(Ok(now)),
        customer_id: subject.customer().map_or("", CustomerId::as_str),
        visitor_id: match subject {
            Subject::Visitor(visitor) => visitor.as_str(),
            Subject::Customer { .. } => "",
        },
        order_id: asked.order.as_ref().map_or("", OrderId::as_str),
        offer_id: offer.as_str(),
        ..EventDraft::default()
    };
    Ok(RecordBody::Event(Box::new(draft.check(now, |_| 0)?)))
}
