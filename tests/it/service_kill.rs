//! `kill -9` of the real program in the middle of writing over gRPC: what was acknowledged is there
//! once, and State is what the journal says.
//!
//! `TEST_KILL_ROUNDS=50 cargo test --test it service_kill` kills it fifty times.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nextbest::application::recipes::Recipes;
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
struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// Starts it on a folder and waits until it says where it listens.
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(folder).arg("--set");
        command.arg(format!(
            "journal.checkpoint_every_records={CHECKPOINT_EVERY}"
        ));
        // those of the tests are no settings of the service
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NEXTBEST_") {
                command.env_remove(name);
            }
        }
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let address = address.expect("it starts after any kill");
        Self { child, address }
    }

    async fn clients(&self) -> Clients {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        Clients::over(&channel.connect().await.unwrap())
    }

    /// SIGKILL on Unix.
    fn kill(&mut self) {
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

/// How many events of each batch are there. Every one must be there once and as it was sent, and the
/// memory must agree.
async fn stored(clients: &mut Clients) -> BTreeMap<u64, u64> {
    let mut batches = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for customer in 0..CUSTOMERS {
        let customer_id = format!("c{customer}");
        let mut count = 0;
        let mut request = v1::ListEventsRequest {
            subject: Some(v1::list_events_request::Subject::CustomerId(
                customer_id.clone(),
            )),
            page_size: 1_000,
            page_token: String::new(),
        };
        loop {
            let page = clients.events.list_events(request.clone()).await.unwrap();
            let page = page.into_inner();
            for found in page.events {
                let number: u64 = found.event_id.strip_prefix("e-").unwrap().parse().unwrap();
                assert_eq!(found, event(number));
                assert!(seen.insert(number), "event {number} is there twice");
                *batches.entry(number / BATCH).or_default() += 1;
                count += 1;
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let subject = v1::get_customer_request::Subject::CustomerId(customer_id);
        let request = v1::GetCustomerRequest {
            subject: Some(subject),
        };
        let known = clients.customers.get_customer(request).await;
        let known = known.map_or(0, |known| known.into_inner().event_count);
        assert_eq!(known, count, "State and journal of customer {customer}");
    }
    batches
}

/// State of the folder, opened by the library, is the fold of its journal; returns whether a
/// checkpoint was there.
fn check_state(folder: &Path) -> bool {
    let mut settings = settings();
    settings.data.folder = folder.to_owned();
    settings.journal.checkpoint_every_records = CHECKPOINT_EVERY;
    let has_checkpoint = std::fs::read_dir(folder.join("checkpoints"))
        .is_ok_and(|mut entries| entries.next().is_some());
    let service = Service::open(&settings, &Recipes::embedded().unwrap()).unwrap();
    let fresh = fresh_fold(&service.shop).encode();
    assert!(
        service.shop.known().state.encode() == fresh,
        "State is not the fold"
    );
    service.close().unwrap();
    has_checkpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_events_survive_kill_9_of_the_service_exactly_once() {
    let rounds: u64 = std::env::var(ROUNDS).map_or(4, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let next = Arc::new(AtomicU64::new(0));
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let mut process = Process::start(folder.path());
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            writers.push(tokio::spawn(write(process.clients().await, next.clone())));
        }
        // any moment will do; the test does not depend on what has happened by then
        let moment = Duration::from_millis(random.gen_range(30..700));
        tokio::time::sleep(moment).await;
        process.kill();
        for writer in writers {
            let batches = tokio::time::timeout(PATIENCE, writer)
                .await
                .expect("it hears of the end");
            acknowledged.extend(batches.unwrap());
        }

        let process = Process::start(folder.path());
        let mut clients = process.clients().await;
        let there = stored(&mut clients).await;
        for (batch, count) in &there {
            assert_eq!(
                *count, BATCH,
                "round {round}: batch {batch} is there in part"
            );
        }
        for batch in &acknowledged {
            assert!(
                there.contains_key(batch),
                "round {round}: batch {batch} is lost"
            );
        }
        let sent = next.load(Ordering::SeqCst);
        for batch in (0..sent).filter(|batch| !acknowledged.contains(batch)) {
            let expected = if there.contains_key(&batch) { 0 } else { BATCH };
            let new = send(&mut clients, batch)
                .await
                .expect("it takes writes again");
            assert_eq!(new, i32::try_from(expected).unwrap(), "batch {batch}");
        }
        acknowledged.extend(0..sent);
        let there = stored(&mut clients).await;
        assert_eq!(there.len() as u64, sent, "round {round}: each batch once");
    }
    let batches = acknowledged.len() as u64;
    assert!(batches > 5 * rounds, "only {batches} batches were written");
    // after the last kill, and after the checkpoint of an orderly end
    let checked = tokio::task::spawn_blocking(move || {
        let had_checkpoint = check_state(folder.path());
        assert!(had_checkpoint || batches * BATCH < 2 * CHECKPOINT_EVERY);
        assert!(check_state(folder.path()));
    });
    checked.await.unwrap();
}
