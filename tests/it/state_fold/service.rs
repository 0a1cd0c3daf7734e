//! The service over random batches with erasures: its State is the fold of its journal, and who is erased is gone.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nextbest::application::AppError;
use nextbest::application::customers::Customers;
use nextbest::application::ingest::{Committer, Ingest};
use nextbest::application::recommend::Who;
use nextbest::application::shop::{Clock, OfferPolicy, Shop, ShopSettings};
use nextbest::domain::{
    Customer, CustomerId, EventDraft, OfferId, Position, Product, ProductDraft, Record, RecordBody,
    VisitorId,
};
use nextbest::store::{
    Appended, Checkpoints, Failure, Faults, Journal, JournalError, MemoryJournal, Records,
    SigningKey, Step,
};
use proptest::prelude::*;

use super::fold;
use super::history::{
    Act, customer, event, histories, offer, read, settings, slot, spelt_out, visitor,
};

/// A shop at work.
pub(super) struct Service {
    pub(super) shop: Arc<Shop>,
    ingest: Ingest,
    pub(super) customers: Customers,
    committer: Committer,
    runtime: tokio::runtime::Runtime,
}

impl Service {
    pub(super) fn open(journal: Arc<dyn Journal>, checkpoints: Option<Checkpoints>) -> Self {
        let settings = ShopSettings {
            fold: settings(),
            recipes: Vec::new(),
            horizons_ms: Vec::new(),
            segments: Vec::new(),
            offers: OfferPolicy::default(),
            decision_ms: 6 * 3_600_000,
            checkpoint_every: 7,
            write_queue: 4,
            key: SigningKey::random().unwrap(),
        };
        let clock = Clock::fixed(slot(100));
        let (shop, _) = Shop::open(journal, checkpoints, clock, settings).unwrap();
        let (ingest, committer) = Ingest::start(shop.clone()).unwrap();
        Self {
            customers: Customers::new(shop.clone(), ingest.clone()),
            shop,
            ingest,
            committer,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        }
    }

    pub(super) fn write(&self, batch: Vec<RecordBody>) {
        let size = batch.len();
        let written = self.ingest.write_blocking(batch).unwrap();
        assert_eq!(written.new + written.duplicate, size);
    }

    pub(super) fn erase(&self, id: &CustomerId) -> Result<u64, AppError> {
        self.runtime.block_on(self.customers.erase(id))
    }

    /// Ends the committer, and with it what goes on in the background.
    pub(super) fn stop(self) {
        self.committer.stop();
    }

    /// Nothing is left of them, neither in memory nor in the journal; `visitors` are nobody's now,
    /// or somebody else's.
    pub(super) fn assert_gone(&self, id: &CustomerId, visitors: &[VisitorId]) {
        let who = Who::Customer(id.clone());
        assert!(matches!(
            self.customers.get(&who),
            Err(AppError::CustomerNotFound)
        ));
        let theirs = self.customers.ownership(&who, &|| false).unwrap();
        assert_eq!(theirs.visitors().next(), None);
        let mut events = self
            .customers
            .events(&theirs, 0, 10, &|| false)
            .unwrap()
            .items;
        for visitor in visitors {
            let who = Who::Visitor(visitor.clone());
            if let Ok(profile) = self.customers.get(&who) {
                assert!(matches!(profile.who, Who::Customer(other) if other != *id));
            }
            let theirs = self.customers.ownership(&who, &|| false).unwrap();
            events.extend(
                self.customers
                    .events(&theirs, 0, 10, &|| false)
                    .unwrap()
                    .items,
            );
        }
        assert_eq!(events, []);
        let mut named = HashSet::new();
        for record in read(&*self.shop.journal) {
            let (customer, visitor) = match &record.body {
                RecordBody::Event(event) => (event.subject.customer(), event.subject.visitor()),
                RecordBody::CustomerUpserted(customer) => (Some(&customer.id), None),
                RecordBody::VisitorIdentified { visitor, customer } => {
                    (Some(customer), Some(visitor))
                }
                _ => (None, None),
            };
            assert_ne!(customer, Some(id));
            named.extend(visitor.cloned());
        }
        let bytes = self.shop.known().state.encode();
        let gone = visitors.iter().filter(|visitor| !named.contains(*visitor));
        for text in std::iter::once(id.as_str()).chain(gone.map(VisitorId::as_str)) {
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{text} is in State");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn state_is_the_fold_of_the_journal_after_batches_and_erasures(
        history in histories(),
        batch in 1..9usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = || Some(Checkpoints::open(folder.path()).unwrap());
        let journal = Arc::new(MemoryJournal::new());
        let service = Service::open(journal.clone(), checkpoints());
        let mut waiting = Vec::new();
        for act in spelt_out(&history) {
            match act {
                Act::Write(body) => waiting.push(body),
                Act::Erase(id) => {
                    service.write(std::mem::take(&mut waiting));
                    let who = Who::Customer(id.clone());
                    let theirs = service.customers.ownership(&who, &|| false).unwrap();
                    let visitors: Vec<VisitorId> = theirs.visitors().cloned().collect();
                    service.erase(&id).unwrap();
                    service.assert_gone(&id, &visitors);
                    // and again, whether the fold in the background has come to its end or not
                    service.shop.fold_anew().unwrap();
                    service.assert_gone(&id, &visitors);
                    let anew = service.shop.known().state.encode();
                    assert_eq!(anew, fold(&settings(), &read(&*journal)).encode());
                }
                Act::Again(_) => unreachable!("spelt out"),
            }
            if waiting.len() == batch {
                service.write(std::mem::take(&mut waiting));
            }
        }
        service.write(waiting);
        service.committer.stop();
        let fresh = fold(&settings(), &read(&*journal)).encode();
        assert_eq!(service.shop.known().state.encode(), fresh);
        service.shop.checkpoint_now().unwrap();
        let again = Service::open(journal, checkpoints());
        assert_eq!(again.shop.known().state.encode(), fresh);
    }
}

fn named(name: &str) -> Product {
    let draft = ProductDraft {
        product_id: "product-0",
        name,
        ..ProductDraft::default()
    };
    draft.check().unwrap()
}

fn identified(to: usize) -> RecordBody {
    RecordBody::VisitorIdentified {
        visitor: visitor(0),
        customer: customer(to),
    }
}

fn viewed(customer_id: &str, visitor_id: &str) -> RecordBody {
    let draft = EventDraft {
        event_type: "page_view",
        event_id: &format!("{customer_id}{visitor_id}"),
        customer_id,
        visitor_id,
        ..EventDraft::default()
    };
    RecordBody::Event(Box::new(event(slot(0), 0, draft)))
}

#[test]
fn the_last_word_of_a_batch_counts_even_if_it_is_what_was_known_before() {
    let service = Service::open(Arc::new(MemoryJournal::new()), None);
    let product = |name| RecordBody::ProductUpserted(Box::new(named(name)));
    let traits = |country: &str| {
        RecordBody::CustomerUpserted(Box::new(Customer {
            id: customer(0),
            traits: vec![("country".into(), country.into())],
        }))
    };
    let offered =
        |paused| RecordBody::OfferUpserted(Box::new(offer(0, &[1, 0], None, None, paused)));
    let before = vec![product("old"), traits("DE"), identified(0), offered(false)];
    let after = vec![
        product("new"),
        traits("FR"),
        identified(1),
        offered(true),
        offered(false),
        product("old"),
        traits("DE"),
        identified(0),
    ];
    service.write(before.clone());
    service.write(after);
    let by_event = vec![viewed("customer-1", "visitor-0"), identified(0)];
    service.write(by_event);
    let deleted = RecordBody::ProductDeleted(named("old").id);
    service.write(vec![deleted, product("old")]);
    let deleted = RecordBody::OfferDeleted(OfferId::trusted("offer-0".to_owned()));
    service.write(vec![offered(true), deleted, offered(false)]);
    {
        let known = service.shop.known();
        let state = &known.state;
        assert_eq!(state.products.product(0).unwrap(), named("old"));
        let listing = state.offers.item(0).listing.as_ref().unwrap();
        assert_eq!((listing.deleted_at, listing.terms.paused), (None, false));
        let person = state.people.customer(&customer(0)).unwrap();
        assert_eq!(&*state.subject(person).unwrap().traits[0].1, "DE");
        assert_eq!(state.people.visitor(&visitor(0)), Some(person));
    }
    // what was known is no news in a batch of its own
    let written = service.ingest.write_blocking(before).unwrap();
    assert_eq!((written.new, written.duplicate), (0, 4));
}

#[test]
fn an_erasure_that_failed_can_be_finished_with_the_visitors() {
    let faults = Faults::planned();
    let service = Service::open(Arc::new(MemoryJournal::with_faults(faults.clone())), None);
    let mine = vec![
        viewed("", "visitor-0"),
        viewed("customer-0", ""),
        identified(0),
    ];
    service.write(mine);
    service.write(vec![viewed("", "visitor-1")]);
    // the note of the erasure is written, the erasure itself fails
    faults.fail_once(Step::MemoryWrite, 1, Failure::Full);
    assert!(matches!(
        service.erase(&customer(0)),
        Err(AppError::JournalUnavailable(_))
    ));
    assert_eq!(service.erase(&customer(0)).unwrap(), 3);
    service.assert_gone(&customer(0), &[visitor(0)]);
    assert!(service.customers.get(&Who::Visitor(visitor(1))).is_ok());
}

/// A journal that makes those who fold it anew wait with what they have read.
#[derive(Default)]
struct Held {
    journal: MemoryJournal,
    holding: Mutex<Holding>,
    changed: Condvar,
}

#[derive(Default)]
struct Holding {
    readers: usize,
    erasures: usize,
    released: bool,
}

impl Held {
    fn change(&self, change: impl FnOnce(&mut Holding)) {
        change(&mut self.holding.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits, but not for ever: true if it came to be.
    fn wait(&self, until: impl Fn(&Holding) -> bool, limit: Duration) -> bool {
        let holding = self.holding.lock().unwrap();
        let waited = self
            .changed
            .wait_timeout_while(holding, limit, |holding| !until(holding));
        !waited.unwrap().1.timed_out()
    }
}

impl Journal for Held {
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError> {
        self.journal.append(records)
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        let all: Vec<_> = self.journal.read_from(position).collect();
        if position == Position(0) && std::thread::current().name() == Some("refold") {
            self.change(|holding| holding.readers += 1);
            if self.holding.lock().unwrap().readers == 1 {
                // the next erasure would have to overtake this reader, or wait for it
                self.wait(|holding| holding.erasures == 2, Duration::from_millis(300));
            } else {
                self.wait(|holding| holding.released, Duration::from_secs(20));
            }
        }
        Box::new(all.into_iter())
    }

    fn end(&self) -> Position {
        self.journal.end()
    }

    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
        let erased = self.journal.erase(positions);
        self.change(|holding| holding.erasures += 1);
        erased
    }

    fn epoch(&self) -> u64 {
        self.journal.epoch()
    }
}

#[test]
fn the_fold_after_one_erasure_does_not_bring_back_who_is_erased_next() {
    let journal = Arc::new(Held::default());
    let service = Service::open(journal.clone(), None);
    service.write(vec![
        viewed("customer-0", ""),
        viewed("customer-1", "visitor-1"),
    ]);
    service.erase(&customer(0)).unwrap();
    assert!(journal.wait(|holding| holding.readers == 1, Duration::from_secs(20)));
    service.erase(&customer(1)).unwrap();
    let found = service.shop.known().state.people.customer(&customer(1));
    journal.change(|holding| holding.released = true);
    assert_eq!(found, None);
    service.committer.stop();
    let known = service.shop.known();
    assert_eq!(known.state.people.customers(), []);
}
