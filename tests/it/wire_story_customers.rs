//! Who customers turn out to be, what is exported of them, and what is left when they are erased.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nextbest::application::recipes::Recipes;
use nextbest::domain::{Position, Record, RecordBody, Timestamp};
use nextbest::proto::v1;
use nextbest::proto::v1::export_customer_response::Part;
use nextbest::store::{Appended, Journal, JournalError, MemoryJournal, Records};
use nextbest::transport::grpc::limits::Limits;
use tokio_stream::StreamExt as _;
use tonic::{Code, Response, Status};

use crate::harness::{Clients, Harness, fresh_fold};
use crate::wire_story::{
    CUSTOMERS, ORDERS, about, ask, customer, event, history, ids, kept, refused, shop, write,
};

async fn visitor(clients: &mut Clients, id: &str) -> Result<v1::Customer, Status> {
    let subject = v1::get_customer_request::Subject::VisitorId(id.to_owned());
    let request = v1::GetCustomerRequest {
        subject: Some(subject),
    };
    let answer = clients.customers.get_customer(request).await;
    answer.map(Response::into_inner)
}

async fn export(clients: &mut Clients, id: &str) -> Result<Vec<Part>, Status> {
    let request = v1::ExportCustomerRequest {
        customer_id: id.to_owned(),
    };
    let answer = clients.customers.export_customer(request).await?;
    let parts = answer
        .into_inner()
        .map(|part| part.map(|p| p.part.unwrap()));
    parts.collect::<Result<Vec<_>, _>>().await
}

async fn erase(clients: &mut Clients, id: &str) -> i64 {
    let request = v1::EraseCustomerRequest {
        customer_id: id.to_owned(),
    };
    let answer = clients.customers.erase_customer(request).await.unwrap();
    answer.into_inner().erased_record_count
}

async fn identify(clients: &mut Clients, visitor: &str, customer: &str) -> bool {
    let request = v1::IdentifyVisitorRequest {
        visitor_id: visitor.to_owned(),
        customer_id: customer.to_owned(),
    };
    let answer = clients.customers.identify_visitor(request).await.unwrap();
    answer.into_inner().changed
}

fn by_visitor(id: &str, kind: &str, product: &str) -> v1::Event {
    v1::Event {
        event_id: format!("{id}-{kind}-{product}"),
        visitor_id: id.to_owned(),
        ..event(kind, "", product, 2)
    }
}

fn anna() -> Vec<v1::Event> {
    vec![
        by_visitor("phone", "view_item", "garden-4"),
        by_visitor("phone", "purchase", "garden-5"),
        event("view_item", "anna", "audio-1", 5),
        event("purchase", "anna", "audio-2", 4),
    ]
}

async fn traits(clients: &mut Clients, id: &str) {
    let request = v1::UpsertCustomerRequest {
        customer_id: id.to_owned(),
        traits: [("country".to_owned(), "NL".to_owned())].into(),
        validate_only: false,
    };
    clients.customers.upsert_customer(request).await.unwrap();
}

#[tokio::test]
async fn a_visitor_becomes_a_customer_and_their_history_moves() {
    let (harness, mut clients) = shop().await;
    assert_eq!(write(&mut clients, anna()).await, (4, 0));
    let before = visitor(&mut clients, "phone").await.unwrap();
    assert_eq!(
        (before.visitor_id.as_str(), before.event_count),
        ("phone", 2)
    );
    let question = v1::RecommendRequest {
        visitor_id: "phone".to_owned(),
        ..v1::RecommendRequest::default()
    };
    assert!(
        ask(&mut clients, question.clone())
            .await
            .products
            .iter()
            .any(|p| !p.fallback)
    );

    assert!(identify(&mut clients, "phone", "anna").await);
    let known = customer(&mut clients, "anna").await.unwrap();
    assert_eq!(visitor(&mut clients, "phone").await.unwrap(), known);
    let figures = (known.event_count, known.order_count, known.product_count);
    assert_eq!((known.customer_id.as_str(), figures), ("anna", (4, 2, 2)));
    assert!(!identify(&mut clients, "phone", "anna").await);
    assert_eq!(customer(&mut clients, "anna").await.unwrap(), known);
    assert_eq!(kept(&mut clients, "anna").await.len(), 4);
    let as_visitor = ask(&mut clients, question).await;
    let as_customer = ask(&mut clients, about("anna")).await;
    assert_eq!(ids(&as_visitor), ids(&as_customer));
    let reasons = |id: &str| {
        let found = as_customer.products.iter().find(|p| p.product_id == id);
        found.map_or_else(Vec::new, |p| {
            p.reasons.iter().map(|r| r.code.clone()).collect()
        })
    };
    assert!(reasons("garden-5").contains(&"BOUGHT_BEFORE".to_owned()));
    // what the visitor does from now on is the customer's
    write(
        &mut clients,
        vec![by_visitor("phone", "view_item", "audio-5")],
    )
    .await;
    assert_eq!(customer(&mut clients, "anna").await.unwrap().event_count, 5);
    // an event with both ids identifies as well
    let both = v1::Event {
        customer_id: "anna".to_owned(),
        ..by_visitor("tablet", "page_view", "")
    };
    write(&mut clients, vec![both]).await;
    assert_eq!(
        visitor(&mut clients, "tablet").await.unwrap().customer_id,
        "anna"
    );
    let shop = harness.stop_and_keep().await.unwrap();
    assert!(shop.known().state.encode() == fresh_fold(&shop).encode());
}

#[tokio::test]
async fn a_customer_is_exported_whole() {
    let (harness, mut clients) = shop().await;
    write(&mut clients, anna()).await;
    identify(&mut clients, "phone", "anna").await;
    traits(&mut clients, "anna").await;
    let parts = export(&mut clients, "anna").await.unwrap();
    let Part::Customer(profile) = &parts[0] else {
        panic!("{parts:?}");
    };
    assert_eq!(profile.traits["country"], "NL");
    assert_eq!(profile, &customer(&mut clients, "anna").await.unwrap());
    let mut visitors = Vec::new();
    let mut events = Vec::new();
    for part in parts.into_iter().skip(1) {
        match part {
            Part::VisitorId(id) => visitors.push(id),
            Part::Event(event) => events.push(event),
            Part::Customer(_) => panic!("the profile comes once"),
            Part::Decision(_) => panic!("no answer was kept"),
        }
    }
    assert_eq!(visitors, ["phone"]);
    assert_eq!(events, kept(&mut clients, "anna").await);
    assert_eq!(events.len(), 4);
    let unknown = export(&mut clients, "stranger").await.map(Response::new);
    refused(unknown, Code::NotFound, "CUSTOMER_NOT_FOUND");
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn an_erased_customer_is_gone_and_does_not_come_back() {
    let (harness, mut clients) = shop().await;
    // once: what has no id is told apart by its second
    let events = anna();
    write(&mut clients, events.clone()).await;
    identify(&mut clients, "phone", "anna").await;
    traits(&mut clients, "anna").await;
    // four events, the identification and the traits
    assert_eq!(erase(&mut clients, "anna").await, 6);
    let gone = |answer: Result<v1::Customer, Status>| {
        refused(
            answer.map(Response::new),
            Code::NotFound,
            "CUSTOMER_NOT_FOUND",
        );
    };
    gone(customer(&mut clients, "anna").await);
    gone(visitor(&mut clients, "phone").await);
    let unknown = export(&mut clients, "anna").await.map(Response::new);
    refused(unknown, Code::NotFound, "CUSTOMER_NOT_FOUND");
    assert!(kept(&mut clients, "anna").await.is_empty());
    let answer = ask(&mut clients, about("anna")).await;
    assert!(answer.products.iter().all(|p| p.fallback), "{answer:?}");
    let stranger = ask(&mut clients, about("stranger")).await;
    // the last place may go to a product that hardly anybody has looked at, drawn for each question
    let explores = |answer: &v1::RecommendResponse| {
        let last = answer.products.last().unwrap();
        last.source == "exploration"
    };
    let known = ids(&answer).len() - usize::from(explores(&answer) || explores(&stranger));
    assert_eq!(ids(&answer)[..known], ids(&stranger)[..known]);
    // the same file again does not bring them back, and takes nobody else's events twice
    assert_eq!(write(&mut clients, events).await, (0, 4));
    let all = i32::try_from(history().len()).unwrap();
    assert_eq!(write(&mut clients, history()).await, (0, all));
    gone(customer(&mut clients, "anna").await);
    assert_eq!(erase(&mut clients, "anna").await, 0);
    assert_eq!(erase(&mut clients, "nobody").await, 0);
    // the others are as they were
    let other = customer(&mut clients, "c0").await.unwrap();
    assert_eq!(other.event_count, 6 * ORDERS as i64);
    // somebody of that name who comes anew is somebody new
    write(&mut clients, vec![event("purchase", "anna", "garden-0", 1)]).await;
    assert_eq!(customer(&mut clients, "anna").await.unwrap().event_count, 1);

    let shop = harness.stop_and_keep().await.unwrap();
    let known = shop.known();
    assert!(known.state.encode() == fresh_fold(&shop).encode());
    assert_eq!(known.state.people.customers().len(), CUSTOMERS + 1);
}

#[tokio::test]
async fn a_low_rating_is_to_be_made_good() {
    let (harness, mut clients) = shop().await;
    let rated = |kind: &str, customer: &str, rating: f64, hours_ago: i64| v1::Event {
        rating: Some(rating),
        ..event(kind, customer, "audio-0", hours_ago)
    };
    let events = vec![
        rated("review", "c1", 2.0, 5),
        // answered by a better one
        rated("review", "c2", 1.0, 5),
        rated("csat_response", "c2", 4.0, 4),
        rated("nps_response", "c3", 6.0, 24 * 29),
        // long ago
        rated("nps_response", "c4", 0.0, 24 * 31),
        // late to arrive, but earlier
        rated("csat_response", "c1", 5.0, 6),
    ];
    assert_eq!(write(&mut clients, events).await.0, 6);
    let found = customer(&mut clients, "c1").await.unwrap();
    let low = found.low_rating.unwrap();
    assert!(found.needs_recovery);
    assert_eq!((&*low.event_type, &*low.product_id), ("review", "audio-0"));
    assert!((low.rating - 2.0).abs() < 1e-9 && low.event_time.is_some());
    let content = customer(&mut clients, "c2").await.unwrap();
    assert!(!content.needs_recovery && content.low_rating.is_none());
    let request = v1::ListCustomersRequest {
        filter: "customer.needs_recovery".to_owned(),
        ..v1::ListCustomersRequest::default()
    };
    let page = clients.customers.list_customers(request).await.unwrap();
    let ids: Vec<String> = page
        .into_inner()
        .customers
        .into_iter()
        .map(|c| c.customer_id)
        .collect();
    assert_eq!(ids, ["c1", "c3"]);
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn who_has_not_bought_for_long_by_their_own_rhythm_is_at_risk() {
    // the customers of the shop order every 8 days, the last time 8 days ago
    let (harness, mut clients) = shop().await;
    let bought = |who: &str, days: i64| event("purchase", who, "audio-1", 24 * days + 1);
    let mut events = vec![event("view_item", "looker", "audio-1", 5)];
    for (who, days) in [
        ("weekly", vec![30, 22, 14]),
        ("monthly", vec![150, 120, 90, 60, 30]),
        ("monthly_late", vec![150, 105, 60]),
        ("yearly", vec![800, 400, 41]),
        ("gone", vec![100, 90, 80]),
        // twenty others ordered again after 8 days, which weighs more than the 60 that are assumed
        ("once", vec![3]),
        ("once_late", vec![35]),
        ("once_gone", vec![60]),
    ] {
        events.extend(days.into_iter().map(|days| bought(who, days)));
    }
    write(&mut clients, events).await;
    for (who, health) in [
        ("c1", "due"),
        ("weekly", "at_risk"),
        ("monthly", "due"),
        ("monthly_late", "due"),
        ("yearly", "active"),
        ("gone", "lapsed"),
        ("once", "active"),
        ("once_late", "at_risk"),
        ("once_gone", "lapsed"),
        ("looker", ""),
    ] {
        let found = customer(&mut clients, who).await.unwrap();
        assert_eq!(found.health, health, "{who}");
    }
    let mut listed = async |filter: &str| {
        let request = v1::ListCustomersRequest {
            filter: filter.to_owned(),
            ..v1::ListCustomersRequest::default()
        };
        let page = clients.customers.list_customers(request).await.unwrap();
        let customers = page.into_inner().customers;
        customers
            .into_iter()
            .map(|c| c.customer_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        listed("customer.health == 'at_risk'").await,
        ["weekly", "once_late"]
    );
    assert_eq!(listed("customer.health == ''").await, ["looker"]);
    // who comes back is no longer at risk
    write(&mut clients, vec![bought("weekly", 0)]).await;
    assert_eq!(
        customer(&mut clients, "weekly").await.unwrap().health,
        "active"
    );
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn customers_are_listed_by_page_stage_and_filter() {
    let (harness, mut clients) = shop().await;
    write(&mut clients, vec![event("add_to_cart", "c4", "audio-0", 1)]).await;
    traits(&mut clients, "c5").await;
    let mut list = async |page_size: i32, stage: &str, filter: &str| {
        let mut request = v1::ListCustomersRequest {
            page_size,
            stage: stage.to_owned(),
            filter: filter.to_owned(),
            page_token: String::new(),
        };
        let mut found = Vec::new();
        loop {
            let page = clients.customers.list_customers(request.clone()).await?;
            let page = page.into_inner();
            found.extend(page.customers.into_iter().map(|c| c.customer_id));
            if page.next_page_token.is_empty() {
                return Ok::<_, Status>(found);
            }
            request.page_token = page.next_page_token;
        }
    };
    let everybody: Vec<String> = (0..CUSTOMERS).map(|i| format!("c{i}")).collect();
    assert_eq!(list(3, "", "").await.unwrap(), everybody);
    assert_eq!(list(0, "decision", "").await.unwrap(), ["c4"]);
    let dutch = "customer.traits.country == 'NL'";
    assert_eq!(list(1, "", dutch).await.unwrap(), ["c5"]);
    let bad = list(0, "", "customer.wealth > 1").await.map(Response::new);
    refused(bad, Code::InvalidArgument, "INVALID_EXPRESSION");
    let bad = list(0, "nowhere", "").await.map(Response::new);
    refused(bad, Code::InvalidArgument, "UNKNOWN_STAGE");
    harness.stop().await.unwrap();
}

/// A journal whose end is never reached while `endless` is set: it goes on with records that say nothing.
struct Endless {
    inner: MemoryJournal,
    endless: AtomicBool,
    readers: AtomicUsize,
    /// Until then; a test that failed must end, too.
    until: Instant,
}

/// One reader of it.
struct Reader<'a> {
    journal: &'a Endless,
    records: Records<'a>,
}

impl Iterator for Reader<'_> {
    type Item = Result<(Position, Record), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let nothing = || {
            let goes_on = self.journal.endless.load(Ordering::SeqCst);
            let record = Record {
                recorded_at: Timestamp::default(),
                body: RecordBody::Redacted,
            };
            let is_over = !goes_on || Instant::now() > self.journal.until;
            (!is_over).then(|| Ok((self.journal.inner.end(), record)))
        };
        self.records.next().or_else(nothing)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.journal.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Journal for Endless {
    fn append(&self, records: &[Record]) -> Result<Appended, JournalError> {
        self.inner.append(records)
    }

    fn read_from(&self, position: Position) -> Records<'_> {
        self.readers.fetch_add(1, Ordering::SeqCst);
        let records = self.inner.read_from(position);
        let journal = self;
        Box::new(Reader { journal, records })
    }

    fn end(&self) -> Position {
        match self.endless.load(Ordering::SeqCst) {
            true => Position(u64::MAX),
            false => self.inner.end(),
        }
    }

    fn erase(&self, positions: &[Position]) -> Result<u64, JournalError> {
        self.inner.erase(positions)
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }
}

#[tokio::test]
async fn an_export_ends_when_nobody_waits_for_it() {
    let journal = Arc::new(Endless {
        inner: MemoryJournal::new(),
        endless: AtomicBool::new(false),
        readers: AtomicUsize::new(0),
        until: Instant::now() + Duration::from_secs(120),
    });
    let recipes = Recipes::embedded().unwrap();
    let harness = Harness::start_on(journal.clone(), Limits::default(), &recipes).await;
    harness.set_ready(true);
    let mut clients = harness.clients().await;
    write(&mut clients, anna()).await;
    journal.endless.store(true, Ordering::SeqCst);
    let request = v1::ExportCustomerRequest {
        customer_id: "anna".to_owned(),
    };
    let mut parts = clients
        .customers
        .export_customer(request)
        .await
        .unwrap()
        .into_inner();
    let first = parts.next().await.unwrap().unwrap().part;
    assert!(matches!(first, Some(Part::Customer(_))));
    let readers = async |expected| {
        let reached = async {
            while journal.readers.load(Ordering::SeqCst) != expected {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await
    };
    readers(1).await.expect("it reads");
    drop(parts);
    readers(0).await.expect("it reads no more");
    journal.endless.store(false, Ordering::SeqCst);
    harness.stop().await.unwrap();
}
