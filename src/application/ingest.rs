//! Taking in: one committer thread writes for everybody, folds what is durable, then answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::application::attribution::{self, UnattributedCounts};
use crate::application::decision::Keep;
use crate::application::error::AppError;
use crate::application::ownership;
use crate::application::reserve::{
    Demand, Desk, DeskTerms, Keeping, Pick, Redeemed, Redemption, Settled, Wish,
};
use crate::application::shop::Shop;
use crate::domain::record::customer_fingerprint;
use crate::domain::{
    Credit, CustomerId, Fingerprint, OfferId, OfferSpent, Position, ProductId, Record, RecordBody,
    ReservationId, ReservationStatus, Subject, Timestamp, VisitorId,
};
use crate::state::State;
use crate::state::decisions::MAX_DECISIONS;
use crate::store::{JournalError, MAX_BLOCK_RECORDS};

/// The most events of one batch.
pub const MAX_EVENTS: usize = 10_000;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Records that are new and now durable.
    pub new: usize,
    /// Records that were known already.
    pub duplicate: usize,
    /// Events whose attribution token attributes nothing; they are written all the same.
    pub unattributed: UnattributedCounts,
}

/// How many events of several writers go into one block, at most.
const MAX_GROUP: usize = if MAX_BLOCK_RECORDS < 20_000 {
    MAX_BLOCK_RECORDS
} else {
    20_000
};
/// A product, an offer or a customer may be this many times as large as an event.
const LARGE: usize = 20;
/// An event takes about so many bytes.
const EVENT_BYTES: usize = 200;

type Reply<T> = oneshot::Sender<Result<T, AppError>>;

enum Command {
    Write {
        batch: Vec<RecordBody>,
        reply: Reply<Written>,
    },
    Settle {
        demand: Demand,
        reply: Reply<Settled>,
    },
    Erase {
        customer: CustomerId,
        reply: Reply<u64>,
    },
    Stop,
}

/// The way into the journal.
#[derive(Debug, Clone)]
pub struct Ingest {
    commands: mpsc::Sender<Command>,
    shop: Arc<Shop>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Write { .. } => "Write",
            Self::Settle { .. } => "Settle",
            Self::Erase { .. } => "Erase",
            Self::Stop => "Stop",
        })
    }
}

impl Ingest {
    /// Starts the committer.
    ///
    /// # Errors
    /// If the machine gives no thread.
    pub fn start(shop: Arc<Shop>) -> std::io::Result<(Self, Committer)> {
        let (commands, receiver) = mpsc::channel(shop.settings.write_queue.max(1));
        let worker = Worker {
            shop: shop.clone(),
            commands: receiver,
            since_checkpoint: 0,
            aside: None,
        };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || worker.run())?;
        let stop = commands.clone();
        Ok((
            Self { commands, shop },
            Committer {
                stop,
                thread: Some(thread),
            },
        ))
    }

    /// Writes one atomic batch. When it returns, the new records are durable and count for the next answer.
    ///
    /// # Errors
    /// `JournalUnavailable`, `Stopping`; nothing is stored then.
    pub async fn write(&self, batch: Vec<RecordBody>) -> Result<Written, AppError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Write { batch, reply };
        self.commands
            .send(command)
            .await
            .map_err(|_| AppError::Stopping)?;
        answer.await.map_err(|_| AppError::Stopping)?
    }

    /// As [`Ingest::write`], for threads that may block.
    ///
    /// # Errors
    /// As [`Ingest::write`].
    pub fn write_blocking(&self, batch: Vec<RecordBody>) -> Result<Written, AppError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Write { batch, reply };
        self.commands
            .blocking_send(command)
            .map_err(|_| AppError::Stopping)?;
        answer.blocking_recv().map_err(|_| AppError::Stopping)?
    }

    /// Reserves for each wish the first offers that still have room; durable when it returns.
    ///
    /// # Errors
    /// As [`Ingest::write`].
    pub async fn reserve(&self, wishes: Vec<Wish>) -> Result<Vec<Vec<Pick>>, AppError> {
        Ok(reserved(self.settle(Demand::Reserve(wishes)).await?))
    }

    /// As [`Ingest::reserve`], for threads that may block.
    ///
    /// # Errors
    /// As [`Ingest::write`].
    pub fn reserve_blocking(&self, wishes: Vec<Wish>) -> Result<Vec<Vec<Pick>>, AppError> {
        Ok(reserved(self.settle_blocking(Demand::Reserve(wishes))?))
    }

    /// Decides which answers stand; durable when it returns. For threads that may block.
    ///
    /// # Errors
    /// As [`Ingest::write`].
    pub(super) fn keep_blocking(&self, keeps: Vec<Keep>) -> Result<Vec<Keeping>, AppError> {
        match self.settle_blocking(Demand::Keep(keeps))? {
            Settled::Kept(kept) => Ok(kept),
            other => unreachable!("answers were to be kept, not {other:?}"),
        }
    }

    fn settle_blocking(&self, demand: Demand) -> Result<Settled, AppError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .blocking_send(Command::Settle { demand, reply })
            .map_err(|_| AppError::Stopping)?;
        answer.blocking_recv().map_err(|_| AppError::Stopping)?
    }

    /// Redeems an offer; asked again, it says so and changes nothing.
    ///
    /// # Errors
    /// `OfferNotFound`, `OfferRefused`, those of a reservation that is not open; as [`Ingest::write`].
    pub async fn redeem(&self, redemption: Redemption) -> Result<Redeemed, AppError> {
        match self.settle(Demand::Redeem(redemption)).await? {
            Settled::Redeemed(redeemed) => Ok(redeemed),
            other => unreachable!("a redemption was asked for, not {other:?}"),
        }
    }

    /// Gives a reservation back; one that is over or given back already stays so.
    ///
    /// # Errors
    /// `ReservationNotFound`, `ReservationRedeemed`; as [`Ingest::write`].
    pub async fn release(&self, id: ReservationId) -> Result<ReservationStatus, AppError> {
        match self.settle(Demand::Release(id)).await? {
            Settled::Released(status) => Ok(status),
            other => unreachable!("a release was asked for, not {other:?}"),
        }
    }

    async fn settle(&self, demand: Demand) -> Result<Settled, AppError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Settle { demand, reply })
            .await
            .map_err(|_| AppError::Stopping)?;
        answer.await.map_err(|_| AppError::Stopping)?
    }

    /// Removes what is a customer's ([`ownership`]) from the journal and from memory; returns how
    /// many records are gone.
    ///
    /// # Errors
    /// As [`Ingest::write`]; calling again finishes what was begun.
    pub async fn erase(&self, customer: CustomerId) -> Result<u64, AppError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Erase { customer, reply };
        self.commands
            .send(command)
            .await
            .map_err(|_| AppError::Stopping)?;
        answer.await.map_err(|_| AppError::Stopping)?
    }

    /// The service's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shop.clock.now()
    }

    /// The moment no event may be far ahead of.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.shop.clock.latest()
    }
}

/// The committer thread; stopping it writes what is queued first.
#[derive(Debug)]
pub struct Committer {
    stop: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Ends the thread, after everything that was queued before is written. Blocks.
    pub fn stop(mut self) {
        // fails only if the thread has ended already
        let _ = self.stop.blocking_send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

struct Worker {
    shop: Arc<Shop>,
    commands: mpsc::Receiver<Command>,
    since_checkpoint: u64,
    aside: Option<JoinHandle<()>>,
}

impl Worker {
    fn run(mut self) {
        let mut next = None;
        while let Some(command) = next.take().or_else(|| self.commands.blocking_recv()) {
            match command {
                Command::Stop => break,
                Command::Erase { customer, reply } => {
                    let erased = self.erase(&customer);
                    let _ = reply.send(erased);
                }
                Command::Write { .. } | Command::Settle { .. } => {
                    next = self.work(command);
                    self.checkpoint_when_due();
                }
            }
        }
        self.join_background();
    }

    /// Writes `first` and whoever waits already in the same block, then decides what is to be decided in another one.
    /// Returns the command that has to wait.
    fn work(&mut self, first: Command) -> Option<Command> {
        let (mut batches, mut demands) = (Vec::new(), Vec::new());
        let mut size = 0;
        let mut command = Some(first);
        let next = loop {
            match command {
                Some(Command::Write { batch, reply })
                    if size == 0 || size + weight(&batch) <= MAX_GROUP =>
                {
                    size += weight(&batch);
                    batches.push((batch, reply));
                }
                Some(Command::Settle { demand, reply })
                    if size == 0 || size + demand.weight() <= MAX_GROUP =>
                {
                    size += demand.weight();
                    demands.push((demand, reply));
                }
                other => break other,
            }
            if size >= MAX_GROUP {
                break None;
            }
            command = self.commands.try_recv().ok();
        };
        if !batches.is_empty() {
            self.write(batches);
        }
        if !demands.is_empty() {
            self.settle(demands);
        }
        next
    }

    /// Decides over State and what was decided before in the same block; whoever asked hears of it once it is durable.
    fn settle(&mut self, demands: Vec<(Demand, Reply<Settled>)>) {
        let (settled, records) = {
            let known = self.shop.known();
            let state = &known.state;
            // a clock that was set back must not open again what was over
            let now = self.shop.clock.not_before(state.recorded());
            let terms = DeskTerms {
                reservation_ms: self.shop.settings.offers.reservation_ms,
                decision_ms: self.shop.settings.decision_ms,
                most_decisions: MAX_DECISIONS,
            };
            let mut desk = Desk::new(state, now, terms, self.shop.journal.end().0);
            let settled: Vec<_> = demands
                .iter()
                .map(|(demand, _)| {
                    let before = desk.written();
                    let (settled, depends) = desk.settle(demand);
                    (settled, depends, before..desk.written())
                })
                .collect();
            (settled, desk.into_records())
        };
        let appended = match records.is_empty() {
            true => Ok(Vec::new()),
            false => self.append(records),
        };
        if let Err(error) = &appended {
            tracing::error!(%error, "a block of reservations could not be written");
        }
        for ((demand, reply), (settled, depends, written)) in demands.into_iter().zip(settled) {
            let answer = match (&appended, settled, &demand) {
                (Err(error), ..) if depends => Err(AppError::JournalUnavailable(error.to_string())),
                (Ok(is_new), Ok(Settled::Redeemed(done)), Demand::Redeem(asked))
                    if is_new[written.clone()].contains(&false) =>
                {
                    Ok(Settled::Redeemed(done.known_before(&asked.what)))
                }
                (_, settled, _) => settled,
            };
            // fails only if the caller has gone
            let _ = reply.send(answer);
        }
    }

    fn write(&mut self, group: Vec<(Vec<RecordBody>, Reply<Written>)>) {
        let now = self.shop.clock.now();
        let mut records = Vec::new();
        let mut replies = Vec::new();
        let mut touched = HashSet::new();
        {
            let known = self.shop.known();
            for (mut batch, reply) in group {
                let before = batch.len();
                let key = &self.shop.settings.key;
                let unattributed = attribution::check(key, &known.state, &mut batch);
                let start = records.len();
                let news = batch.into_iter().filter(|body| {
                    let topic = topic(body);
                    // State does not hold yet what an earlier record of this block says
                    let news = topic.as_ref().is_some_and(|topic| touched.contains(topic))
                        || is_news(&known.state, body);
                    if news {
                        touched.extend(topic);
                    }
                    news
                });
                records.extend(news.map(|body| Record {
                    recorded_at: now,
                    body,
                }));
                replies.push((before, start..records.len(), unattributed, reply));
            }
        }
        let appended = if records.is_empty() {
            Ok(None)
        } else {
            self.append(records).map(Some)
        };
        match appended {
            Ok(is_new) => {
                for (size, range, unattributed, reply) in replies {
                    let is_new = is_new.as_deref().unwrap_or_default();
                    let new = is_new[range].iter().filter(|&&new| new).count();
                    // fails only if the caller has gone
                    let _ = reply.send(Ok(Written {
                        new,
                        duplicate: size - new,
                        unattributed,
                    }));
                }
            }
            Err(error) => {
                tracing::error!(%error, "a block could not be written");
                for (.., reply) in replies {
                    let _ = reply.send(Err(AppError::JournalUnavailable(error.to_string())));
                }
            }
        }
    }

    /// Makes records durable, then folds those that are new.
    fn append(&mut self, records: Vec<Record>) -> Result<Vec<bool>, JournalError> {
        let appended = self.shop.journal.append(&records)?;
        let mut is_new = appended.is_new.iter();
        let mut records = records;
        records.retain(|_| is_new.next().copied().unwrap_or(false));
        self.since_checkpoint += records.len() as u64;
        self.shop.fold(appended.first, &records);
        Ok(appended.is_new)
    }

    fn erase(&mut self, customer: &CustomerId) -> Result<u64, AppError> {
        // a fold that began before this erasure would bring back what is erased now
        self.join_background();
        // nobody writes meanwhile: this is the only thread that does
        let theirs = ownership::positions(&*self.shop.journal, customer)?;
        let is_known = self.shop.known().state.people.customer(customer).is_some();
        if theirs.is_empty() && !is_known {
            return Ok(0);
        }
        let now = self.shop.clock.now();
        let erased = RecordBody::CustomerErased(vec![customer_fingerprint(customer)]);
        let mut bodies = self.spent(customer, &theirs);
        bodies.push(erased);
        let record = |body| Record {
            recorded_at: now,
            body,
        };
        self.append(bodies.into_iter().map(record).collect())?;
        let erased = self.shop.journal.erase(&theirs)?;
        // not before: State would miss what the journal still holds if the erasure failed
        self.shop.forget(customer);
        if let Some(checkpoints) = &self.shop.checkpoints
            && let Err(error) = checkpoints.clear()
        {
            // they are of an earlier epoch: the next start removes them
            tracing::error!(%error, "checkpoints from before an erasure are still there");
        }
        let shop = self.shop.clone();
        self.in_background("refold", move || {
            if let Err(error) = shop.fold_anew() {
                tracing::error!(%error, "the journal could not be folded anew after an erasure");
            }
        });
        Ok(erased)
    }

    /// What a customer redeemed: budgets stay spent when the records of `theirs` are gone. Asked again, the records
    /// have the same keys.
    fn spent(&self, customer: &CustomerId, theirs: &[Position]) -> Vec<RecordBody> {
        let known = self.shop.known();
        let state = &known.state;
        let person = state.people.customer(customer);
        let subject = person.and_then(|person| state.subject(person));
        let Some(book) = subject.and_then(|subject| subject.book.as_ref()) else {
            return Vec::new();
        };
        // what follows an erasure stands behind it: no two have the same first position
        let first = theirs
            .first()
            .map_or(0, |position| position.0)
            .to_le_bytes();
        let spent = book.spent().map(|(offer, units, amount)| {
            let offer = &state.offers.item(offer).id;
            let key = Fingerprint::of("spent", &[&first, offer.as_bytes()]);
            RecordBody::OfferSpent(Box::new(OfferSpent {
                key,
                offer: OfferId::trusted(offer.to_string()),
                units,
                amount,
            }))
        });
        spent.collect()
    }

    fn checkpoint_when_due(&mut self) {
        if self.since_checkpoint < self.shop.settings.checkpoint_every {
            return;
        }
        if self
            .aside
            .as_ref()
            .is_some_and(|aside| !aside.is_finished())
        {
            return;
        }
        self.since_checkpoint = 0;
        let shop = self.shop.clone();
        self.in_background("checkpoint", move || {
            if let Err(error) = shop.checkpoint_aside() {
                tracing::error!(%error, "no checkpoint could be written");
            }
        });
    }

    fn join_background(&mut self) {
        if let Some(aside) = self.aside.take()
            && aside.join().is_err()
        {
            tracing::error!("a background job panicked");
        }
    }

    /// Runs a job beside the committer, one at a time.
    fn in_background(&mut self, name: &str, job: impl FnOnce() + Send + 'static) {
        self.join_background();
        match std::thread::Builder::new().name(name.to_owned()).spawn(job) {
            Ok(thread) => self.aside = Some(thread),
            Err(error) => tracing::error!(%error, job = name, "no thread for a background job"),
        }
    }
}

fn reserved(settled: Settled) -> Vec<Vec<Pick>> {
    match settled {
        Settled::Reserved(picks) => picks,
        other => unreachable!("reservations were asked for, not {other:?}"),
    }
}

/// How much room a batch takes in a block, in events.
fn weight(batch: &[RecordBody]) -> usize {
    batch.iter().map(weight_of).sum()
}

/// How much room a record takes in a block, in events.
pub(super) fn weight_of(body: &RecordBody) -> usize {
    match body {
        RecordBody::OfferUpserted(offer) => LARGE + offer.bytes() / EVENT_BYTES,
        RecordBody::ProductUpserted(_) | RecordBody::CustomerUpserted(_) => LARGE,
        // what a token proves takes twice its room at most
        RecordBody::Event(event) => match &event.credit {
            Some(Credit::Claimed(token)) => 1 + 2 * token.len() / EVENT_BYTES,
            _ => 1,
        },
        RecordBody::AnswerKept(kept) => 1 + kept.answer.len() / EVENT_BYTES,
        _ => 1,
    }
}

/// False if writing the record would change nothing. Events are not asked: the journal knows their ids.
fn is_news(state: &State, body: &RecordBody) -> bool {
    match body {
        RecordBody::ProductUpserted(product) => {
            let number = state.products.number(product.id.as_str());
            number
                .and_then(|number| state.products.product(number))
                .as_ref()
                != Some(product)
        }
        RecordBody::OfferUpserted(offer) => {
            let number = state.offers.number(offer.id.as_str());
            let listing = number.and_then(|number| state.offers.item(number).listing.as_ref());
            // one that was deleted comes back
            listing.is_none_or(|listing| listing.deleted_at.is_some())
                || number
                    .and_then(|number| state.offers.offer(number, &state.products))
                    .as_ref()
                    != Some(offer)
        }
        RecordBody::CustomerUpserted(customer) => {
            let person = state.people.customer(&customer.id);
            let subject = person.and_then(|person| state.subject(person));
            subject.is_none_or(|subject| subject.traits != customer.traits)
        }
        RecordBody::VisitorIdentified { visitor, customer } => {
            let known = state.people.visitor(visitor);
            known.is_none() || known != state.people.customer(customer)
        }
        _ => true,
    }
}

/// What a record changes that [`is_news`] asks State about.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Topic {
    Product(ProductId),
    Offer(OfferId),
    Customer(CustomerId),
    Visitor(VisitorId),
}

fn topic(body: &RecordBody) -> Option<Topic> {
    match body {
        RecordBody::Event(event) => match &event.subject {
            Subject::Customer { visitor, .. } => visitor.clone().map(Topic::Visitor),
            Subject::Visitor(_) => None,
        },
        RecordBody::ProductUpserted(product) => Some(Topic::Product(product.id.clone())),
        RecordBody::ProductDeleted(id) | RecordBody::InventorySet(id, _) => {
            Some(Topic::Product(id.clone()))
        }
        RecordBody::OfferUpserted(offer) => Some(Topic::Offer(offer.id.clone())),
        RecordBody::OfferDeleted(id) => Some(Topic::Offer(id.clone())),
        RecordBody::CustomerUpserted(customer) => Some(Topic::Customer(customer.id.clone())),
        RecordBody::VisitorIdentified { visitor, .. } => Some(Topic::Visitor(visitor.clone())),
        RecordBody::OfferReserved(_)
        | RecordBody::OfferReleased(_)
        | RecordBody::OfferSpent(_)
        | RecordBody::AnswerKept(_)
        | RecordBody::CustomerErased(_)
        | RecordBody::ModelActivated(_)
        | RecordBody::Redacted => None,
    }
}
