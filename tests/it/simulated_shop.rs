//! The files of a simulated shop as records.

use std::path::Path;

use nextbest::cli::simulate::write_shop;
use nextbest::domain::{Record, RecordBody, Timestamp};
use nextbest::server::repetition_counter;
use nextbest::simulation::Settings;
use nextbest::transport::csv::{Events, Products};

/// When what is simulated here ends.
pub(crate) const END: &str = "2026-06-30";

/// The shop of `customers` and `products` over a year until [`END`].
pub(crate) fn year(seed: u64, customers: u32, products: u32) -> Settings {
    Settings::new(seed, customers, products, 365, END.parse().unwrap()).unwrap()
}

/// When it was taken in.
pub(crate) fn end() -> Timestamp {
    Timestamp::parse(END).unwrap()
}

/// Writes the files of a shop into a folder, and reads its products and events back.
pub(crate) fn records(settings: &Settings, folder: &Path) -> Vec<Record> {
    write_shop(settings, folder, false, false, || {}).unwrap();
    let recorded_at = end();
    let record = |body| Record { recorded_at, body };
    let products = Products::open(&folder.join("products.csv")).unwrap();
    let mut records: Vec<Record> = products
        .map(|row| record(RecordBody::ProductUpserted(Box::new(row.unwrap().value))))
        .collect();
    let repetitions = repetition_counter(folder);
    let events = Events::open(&folder.join("events.csv"), recorded_at, repetitions).unwrap();
    records.extend(events.map(|row| record(RecordBody::Event(Box::new(row.unwrap().value)))));
    records
}
