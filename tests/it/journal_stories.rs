//! Records for the journal's tests.

use nextbest::domain::{
    Benefit, Customer, CustomerId, EventDraft, Fingerprint, Offer, OfferId, OfferKind, OfferTerms,
    Position, Product, ProductDraft, ProductId, Record, RecordBody, Timestamp, VisitorId,
};
use nextbest::store::{Journal, JournalError};

fn now() -> Timestamp {
    Timestamp::from_ms(1_317_384_000_000)
}

pub(crate) fn record(body: RecordBody) -> Record {
    Record {
        recorded_at: now(),
        body,
    }
}

/// A purchase with an id made of `number`, by one of 100 customers unless `customer` names one.
pub(crate) fn purchase(number: u64, customer: Option<&str>) -> Record {
    let id = format!("event-{number}");
    let customer = customer.map_or_else(|| format!("customer-{}", number % 100), str::to_owned);
    let product = format!("product-{}", number % 977);
    let session = format!("session-{}", number / 3);
    let draft = EventDraft {
        event_id: &id,
        event_type: "purchase",
        time: Some(Ok(now().plus_ms(-(number.cast_signed() % 1_000_000)))),
        time_field: "timestamp",
        currency_field: "currency",
        customer_id: &customer,
        session_id: &session,
        product_id: &product,
        unit_price: Some(Ok(4.99)),
        currency: "EUR",
        ..EventDraft::default()
    };
    let event = draft.check(now(), |_| 0).expect("it can be true");
    record(RecordBody::Event(Box::new(event)))
}

pub(crate) fn purchases(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|number| purchase(number, None)).collect()
}

/// One record of every other kind, all without a key.
pub(crate) fn others(customer: &str) -> Vec<Record> {
    let product: Product = ProductDraft {
        product_id: "p1",
        name: "Globe",
        category: vec!["Toys", "Globes"],
        price: Some(Ok(0.85)),
        currency: "GBP",
        ..ProductDraft::default()
    }
    .check()
    .expect("it is sound");
    let offer = Offer {
        id: OfferId::parse("o1").expect("an id"),
        product_ids: vec![product.id.clone()],
        terms: OfferTerms {
            name: "Globes for less".into(),
            benefit: Benefit::new(OfferKind::Percentage, Some(12.5)).expect("a benefit"),
            campaign_id: None,
            categories: vec![vec!["Toys".into()]],
            stages: Vec::new(),
            segments: Vec::new(),
            eligibility: "".into(),
            starts_at: Some(now()),
            ends_at: None,
            unit_cost: None,
            budget_units: Some(100),
            budget_amount: None,
            currency: None,
            cap_per_customer: Some(1),
            cap_shown_per_customer: None,
            cap_window_days: None,
            exclusivity_group: None,
            channels: Vec::new(),
            priority: 0,
            fallback: false,
            paused: false,
        },
    };
    let customer = CustomerId::parse(customer).expect("an id");
    vec![
        record(RecordBody::ProductUpserted(Box::new(product))),
        record(RecordBody::ProductDeleted(
            ProductId::parse("p0").expect("an id"),
        )),
        record(RecordBody::OfferDeleted(offer.id.clone())),
        record(RecordBody::OfferUpserted(Box::new(offer))),
        record(RecordBody::CustomerUpserted(Box::new(Customer {
            id: customer.clone(),
            traits: vec![("country".into(), "DE".into())],
        }))),
        record(RecordBody::VisitorIdentified {
            visitor: VisitorId::parse("visitor-1").expect("an id"),
            customer,
        }),
        record(RecordBody::CustomerErased(vec![Fingerprint([3; 16])])),
        record(RecordBody::ModelActivated("revision-1".into())),
    ]
}

/// Everything from `from` on; the positions are checked to follow each other.
pub(crate) fn read_from(journal: &dyn Journal, from: u64) -> Result<Vec<Record>, JournalError> {
    let mut records = Vec::new();
    for (index, read) in journal.read_from(Position(from)).enumerate() {
        let (position, record) = read?;
        assert_eq!(position, Position(from + index as u64));
        records.push(record);
    }
    Ok(records)
}

pub(crate) fn read_all(journal: &dyn Journal) -> Vec<Record> {
    read_from(journal, 0).expect("the journal can be read")
}

/// True if `text` stands in plain in any file under `folder`.
pub(crate) fn stands_in_any_file(folder: &std::path::Path, text: &str) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return stands_in_any_file(&path, text);
        }
        let bytes = std::fs::read(&path).expect("a file");
        let found = bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes());
        found || path.to_string_lossy().contains(text)
    })
}
