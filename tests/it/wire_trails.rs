//! Questions about one person read little of the journal, and a burst of them is bounded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use nextbest::application::customers::{MAX_READERS, MAX_WAITING};
use nextbest::application::recipes::Recipes;
use nextbest::domain::{Position, Record};
use nextbest::proto::v1;
use nextbest::proto::v1::list_events_request::Subject;
use nextbest::store::{Appended, Journal, JournalError, MemoryJournal, Records};
use nextbest::transport::grpc::limits::Limits;
use nextbest::transport::http::limits::HttpLimits;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Clients, Harness};
use crate::http_client::{HttpFace, get};
use crate::wire_story::{event, write};

/// A journal that counts what is read, and lets nobody read single records while its gate is closed.
#[derive(Default)]
struct Counted {
    inner: MemoryJournal,
    read: AtomicU64,
    /// Whether the gate is closed, and how many wait at it.
    gate: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Counted {
    fn set_closed(&self, closed: bool) {
        self.gate.lock().unwrap().0 = closed;
        self.changed.notify_all();
    }

    fn wait_for_readers(&self, count: usize) {
        let gate = self.gate.lock().unwrap();
        drop(
            self.changed
                .wait_while(gate, |(_, waiting)| *waiting != count)
                .unwrap(),
        );
    }

    fn counted<'a>(&'a self, records: Records<'a>) -> Records<'a> {
        Box::new(records.inspect(|_| {
            self.read.fetch_add(1, Ordering::SeqCst);
        }))
    }
}

impl Journal for Counted {
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError> {
        self.inner.append(records)
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        self.counted(self.inner.read_from(position))
    }

    fn read_at<'a>(&'a self, positions: &'a [Position]) -> Records<'a> {
        let mut gate = self.gate.lock().unwrap();
        gate.1 += 1;
        self.changed.notify_all();
        gate = self
            .changed
            .wait_while(gate, |(closed, _)| *closed)
            .unwrap();
        gate.1 -= 1;
        self.counted(self.inner.read_at(positions))
    }

    fn end(&self) -> Position {
        self.inner.end()
    }

    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
        self.inner.erase(positions)
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }
}

async fn started() -> (Arc<Counted>, Harness, Clients) {
    let journal = Arc::new(Counted::default());
    let recipes = Recipes::embedded().unwrap();
    let harness = Harness::start_on(journal.clone(), Limits::default(), &recipes).await;
    harness.set_ready(true);
    let clients = harness.clients().await;
    (journal, harness, clients)
}

async fn newest(clients: &Clients, customer: &str) -> Result<v1::ListEventsResponse, Status> {
    let request = v1::ListEventsRequest {
        subject: Some(Subject::CustomerId(customer.to_owned())),
        page_size: 100,
        newest_first: true,
        ..v1::ListEventsRequest::default()
    };
    let answer = clients.events.clone().list_events(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_question_reads_the_persons_own_events_and_what_is_new() {
    let (journal, harness, mut clients) = started().await;
    let others =
        (0..300).map(|number| event("view_item", &format!("c{number}"), "p", 400 - number));
    write(&mut clients, others.collect()).await;
    let own = (0..3).map(|number| event("page_view", "anna", "", 90 - number));
    write(&mut clients, own.collect()).await;
    assert_eq!(newest(&clients, "anna").await.unwrap().events.len(), 3);
    write(
        &mut clients,
        vec![
            event("page_view", "anna", "", 2),
            event("page_view", "b", "", 1),
        ],
    )
    .await;
    // what follows the journal in the background may read it, too
    harness.service.shop.refresh_relations();
    let before = journal.read.load(Ordering::SeqCst);
    let events = newest(&clients, "anna").await.unwrap().events;
    assert_eq!(events.len(), 4);
    let read = journal.read.load(Ordering::SeqCst) - before;
    assert_eq!(read, 2 + 4);
    drop(clients);
    harness.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_bounded_and_told_when_to_come_back() {
    let (journal, harness, mut clients) = started().await;
    let face = HttpFace::start(&harness, HttpLimits::default()).await;
    write(&mut clients, vec![event("page_view", "anna", "", 2)]).await;
    journal.set_closed(true);
    let ask = || {
        let clients = clients.clone();
        tokio::spawn(async move { newest(&clients, "anna").await })
    };
    let mut asked: Vec<_> = (0..MAX_READERS + MAX_WAITING + 5).map(|_| ask()).collect();
    // five are refused while all others wait
    let mut refused = Vec::new();
    while refused.len() < 5 {
        match asked.iter().position(tokio::task::JoinHandle::is_finished) {
            Some(done) => refused.push(asked.swap_remove(done).await.unwrap().unwrap_err()),
            None => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
        }
    }
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "OVERLOADED");
        assert!(details.retry_info().is_some());
    }
    tokio::task::block_in_place(|| journal.wait_for_readers(MAX_READERS));
    let path = "/dashboard/customers/timeline.csv?customer_id=anna";
    let file = get(face.addr, path).await;
    assert_eq!((file.code, &*file.reason()), (429, "OVERLOADED"));
    assert_eq!(file.header("retry-after"), "1");
    // the page says what it can without the timeline
    let page = get(face.addr, "/dashboard/customers?customer_id=anna").await;
    assert_eq!((page.code, page.header("retry-after")), (429, "1"));
    assert!(page.text().contains("Customer anna"), "{}", page.text());
    journal.set_closed(false);
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().events.len(), 1);
    }
    face.stop().await;
    drop(clients);
    harness.stop().await.unwrap();
}
