//! `kill -9` of the real program in the middle of writing over gRPC: what was acknowledged is there
//! once, and State is what the journal says.
//!
//! After each kill the batches of that round are sent again: each is known or new as a whole, those
//! that were acknowledged are known, and then State has counted every event of every round once. What
//! the journal holds is read once, at the end. So a round costs the same however many came before.
//!
//! `TEST_KILL_ROUNDS=50 cargo test --test it service_kill` kills it fifty times.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nextbest::application::recipes::Recipes;
use nextbest::domain::{Event, EventDraft, Position, RecordBody};
use nextbest::proto::v1;
use nextbest::server::Service;
use prost_types::Timestamp;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tonic::transport::Channel;

use crate::harness::{Clients, PATIENCE, fresh_fold, settings};

const ROUNDS: &str = "TEST_KILL_ROUNDS";
const BATCH: u64 = 25;
const CUSTOMERS: u64 = 8;
const WRITERS: usize = 3;
const CHECKPOINT_EVERY: u64 = 1_000;
const SEED: u64 = 7;

/// The real program; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    address: String,
    /// Where it answers HTTP.
    pub(crate) http: String,
}

impl Process {
    /// Starts it on a folder with more flags, and waits until it says where it listens.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--data",
        ]);
        command.arg(folder).arg("--set");
        command.arg(format!(
            "journal.checkpoint_every_records={CHECKPOINT_EVERY}"
        ));
        command.args(flags);
        // those of the tests are no settings of the service
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NEXTBEST_") {
                command.env_remove(name);
            }
        }
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut http = String::new();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("HTTP on http://") {
                http = address.to_owned();
            }
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let address = address.expect("it starts after any kill");
        Self {
            child,
            address,
            http,
        }
    }

    pub(crate) async fn clients(&self) -> Clients {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        Clients::over(&channel.connect().await.unwrap())
    }

    /// SIGKILL on Unix.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // fails if it has ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The event of a number: all of it follows from the number.
fn event(number: u64) -> v1::Event {
    let purchase = number.is_multiple_of(3);
    v1::Event {
        event_id: format!("e-{number}"),
        event_type: if purchase { "purchase" } else { "view_item" }.to_owned(),
        event_time: Some(Timestamp {
            seconds: 1_700_000_000 + i64::try_from(number).unwrap(),
            nanos: 0,
        }),
        customer_id: format!("c{}", number % CUSTOMERS),
        product_id: format!("p{}", number * 7 % 50),
        quantity: Some(1.0 + (number % 4) as f64),
        unit_price: Some(2.5),
        currency_code: "EUR".to_owned(),
        ..v1::Event::default()
    }
}

/// The event of a number as the journal holds it.
fn stored(number: u64) -> Event {
    let sent = event(number);
    let time = sent.event_time.unwrap();
    let draft = EventDraft {
        event_id: &sent.event_id,
        event_type: &sent.event_type,
        time: Some(Ok(nextbest::domain::Timestamp::from_ms(
            time.seconds * 1_000,
        ))),
        customer_id: &sent.customer_id,
        product_id: &sent.product_id,
        quantity: sent.quantity.map(Ok),
        unit_price: sent.unit_price.map(Ok),
        currency: &sent.currency_code,
        ..EventDraft::default()
    };
    draft
        .check(nextbest::domain::Timestamp::MAX, |_| 0)
        .unwrap()
}

/// Sends a batch; how many of its events were new, if it was acknowledged.
async fn send(clients: &mut Clients, batch: u64) -> Option<i32> {
    let events: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).map(event).collect();
    let request = v1::WriteEventsRequest {
        events,
        validate_only: false,
    };
    let answer = clients
        .events
        .write_events(request)
        .await
        .ok()?
        .into_inner();
    let all = answer.written_count + answer.duplicate_count;
    assert_eq!(all, i32::try_from(BATCH).unwrap());
    Some(answer.written_count)
}

/// Writes batch after batch until the process is gone; returns those that were acknowledged.
async fn write(mut clients: Clients, next: Arc<AtomicU64>) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    loop {
        let batch = next.fetch_add(1, Ordering::SeqCst);
        match send(&mut clients, batch).await {
            Some(new) => {
                assert_eq!(new, i32::try_from(BATCH).unwrap(), "batch {batch} was new");
                acknowledged.push(batch);
            }
            None => return acknowledged,
        }
    }
}

/// Sends the batches of a round again: each is there whole or not at all, and there if it was acknowledged.
async fn send_again(clients: &mut Clients, round: Range<u64>, acknowledged: &BTreeSet<u64>) {
    for batch in round {
        let new = send(clients, batch).await.expect("it takes writes again");
        let is_whole = new == 0 || new == i32::try_from(BATCH).unwrap();
        assert!(
            is_whole,
            "batch {batch}: {new} of its events were not there"
        );
        let is_lost = new > 0 && acknowledged.contains(&batch);
        assert!(!is_lost, "batch {batch} was acknowledged and is lost");
    }
}

/// State has counted each event before `end` once.
async fn check_counts(clients: &mut Clients, end: u64) {
    for customer in 0..CUSTOMERS {
        let subject = v1::get_customer_request::Subject::CustomerId(format!("c{customer}"));
        let request = v1::GetCustomerRequest {
            subject: Some(subject),
        };
        let known = clients.customers.get_customer(request).await.unwrap();
        let expected = (0..end).filter(|number| number % CUSTOMERS == customer);
        let count = known.into_inner().event_count;
        assert_eq!(count, expected.count() as i64, "customer {customer}");
    }
}

/// The journal holds each event before `end` once and as it was sent.
fn check_journal(service: &Service, end: u64) {
    let mut seen = BTreeSet::new();
    for read in service.shop.journal.read_from(Position(0)) {
        let RecordBody::Event(found) = read.unwrap().1.body else {
            panic!("only events were written");
        };
        let milliseconds = found.time.ms() - 1_700_000_000_000;
        let number = u64::try_from(milliseconds / 1_000).unwrap();
        assert_eq!(*found, stored(number), "event {number}");
        assert!(seen.insert(number), "event {number} is there twice");
    }
    assert!(seen.into_iter().eq(0..end), "an event is missing");
}

/// The journal of the folder, opened by the library, holds the events before `end`, and State is its
/// fold; returns whether a checkpoint was there.
fn check_folder(folder: &Path, end: u64) -> bool {
    let mut settings = settings();
    settings.data.folder = folder.to_owned();
    settings.journal.checkpoint_every_records = CHECKPOINT_EVERY;
    let has_checkpoint = std::fs::read_dir(folder.join("checkpoints"))
        .is_ok_and(|mut entries| entries.next().is_some());
    let service = Service::open(&settings, &Recipes::embedded().unwrap()).unwrap();
    check_journal(&service, end);
    let fresh = fresh_fold(&service.shop).encode();
    assert!(
        service.shop.known().state.encode() == fresh,
        "State is not the fold"
    );
    service.close().unwrap();
    has_checkpoint
}

/// Every offer as the service answers it, deleted ones too.
async fn offers(clients: &mut Clients) -> Vec<v1::Offer> {
    let request = v1::ListOffersRequest {
        show_deleted: true,
        ..v1::ListOffersRequest::default()
    };
    let page = clients.offers.list_offers(request).await.unwrap();
    page.into_inner().offers
}

#[tokio::test]
async fn offers_and_what_became_of_them_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), &[]);
    let mut clients = process.clients().await;
    let offer = |id: &str| v1::Offer {
        offer_id: id.to_owned(),
        kind: v1::OfferKind::LoyaltyPoints.into(),
        value: Some(500.0),
        product_ids: (0..3_000).map(|id| format!("p{id}")).collect(),
        ..v1::Offer::default()
    };
    let request = v1::BatchUpsertOffersRequest {
        offers: ["live", "paused", "gone"].map(offer).to_vec(),
        validate_only: false,
    };
    clients.offers.batch_upsert_offers(request).await.unwrap();
    let offer_id = || "paused".to_owned();
    let request = v1::PauseOfferRequest {
        offer_id: offer_id(),
    };
    clients.offers.pause_offer(request).await.unwrap();
    let request = v1::DeleteOfferRequest {
        offer_id: "gone".to_owned(),
    };
    clients.offers.delete_offer(request).await.unwrap();
    let request = v1::WriteEventsRequest {
        events: vec![v1::Event {
            event_type: "offer_redeemed".to_owned(),
            offer_id: offer_id(),
            ..event(0)
        }],
        validate_only: false,
    };
    clients.events.write_events(request).await.unwrap();
    let before = offers(&mut clients).await;
    process.kill();

    let states = before.iter().map(v1::Offer::state);
    use v1::OfferState::{Deleted, Live, Paused};
    assert!(states.eq([Live, Paused, Deleted]));
    assert_eq!(before[1].outcomes.unwrap().redeemed_count, 1);
    let process = Process::start(folder.path(), &[]);
    let mut clients = process.clients().await;
    assert_eq!(offers(&mut clients).await, before);
}

#[tokio::test]
async fn tokens_and_what_they_proved_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), &[]);
    let mut clients = process.clients().await;
    send(&mut clients, 0).await.unwrap();
    let asked = clients
        .recommendations
        .recommend(v1::RecommendRequest::default());
    let answer = asked.await.unwrap().into_inner();
    let became = |kind: &str| v1::WriteEventsRequest {
        events: vec![v1::Event {
            event_type: kind.to_owned(),
            event_time: Some(std::time::SystemTime::now().into()),
            customer_id: "c0".to_owned(),
            product_id: answer.products[0].product_id.clone(),
            attribution_token: answer.attribution_token.clone(),
            ..v1::Event::default()
        }],
        validate_only: false,
    };
    clients
        .events
        .write_events(became("select_item"))
        .await
        .unwrap();
    process.kill();
    // the token was made, and the click counted, by the one that is gone
    let process = Process::start(folder.path(), &[]);
    let mut clients = process.clients().await;
    for kind in ["purchase", "view_item"] {
        let written = clients.events.write_events(became(kind)).await.unwrap();
        assert!(written.into_inner().unattributed.is_empty());
    }
    let request = v1::GetRecommendationOutcomesRequest {};
    let outcomes = clients.recommendations.get_recommendation_outcomes(request);
    let by_source = outcomes.await.unwrap().into_inner().by_source;
    let counts = by_source.values().next().unwrap();
    assert_eq!((counts.click_count, counts.purchase_count), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_events_survive_kill_9_of_the_service_exactly_once() {
    let rounds: u64 = std::env::var(ROUNDS).map_or(4, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let next = Arc::new(AtomicU64::new(0));
    let mut all = 0;
    for round in 0..rounds {
        let first = next.load(Ordering::SeqCst);
        let mut process = Process::start(folder.path(), &[]);
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            writers.push(tokio::spawn(write(process.clients().await, next.clone())));
        }
        // any moment will do; the test does not depend on what has happened by then
        let moment = Duration::from_millis(random.gen_range(30..700));
        tokio::time::sleep(moment).await;
        process.kill();
        let mut acknowledged = BTreeSet::new();
        for writer in writers {
            let batches = tokio::time::timeout(PATIENCE, writer)
                .await
                .expect("it hears of the end");
            acknowledged.extend(batches.unwrap());
        }
        all += acknowledged.len() as u64;

        let process = Process::start(folder.path(), &[]);
        let mut clients = process.clients().await;
        let sent = next.load(Ordering::SeqCst);
        send_again(&mut clients, first..sent, &acknowledged).await;
        check_counts(&mut clients, sent * BATCH).await;
        eprintln!(
            "round {round}: {} batches acknowledged, {} sent",
            acknowledged.len(),
            sent - first
        );
    }
    assert!(all > 5 * rounds, "only {all} batches were acknowledged");
    let events = next.load(Ordering::SeqCst) * BATCH;
    // after the last kill, and after the checkpoint of an orderly end
    let checked = tokio::task::spawn_blocking(move || {
        let had_checkpoint = check_folder(folder.path(), events);
        assert!(had_checkpoint || events < 2 * CHECKPOINT_EVERY);
        assert!(check_folder(folder.path(), events));
    });
    checked.await.unwrap();
}
