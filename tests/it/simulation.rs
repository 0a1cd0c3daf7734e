//! `nextbest simulate`: the files keep the contract, the bounds and the seed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviour;
mod campaign;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::date;
use nextbest::cli::simulate::write_shop;
use nextbest::simulation::{BEYOND, Settings, SettingsError, Simulation};
use tempfile::TempDir;

type Row = HashMap<String, String>;

fn settings(seed: u64, customers: u32, products: u32, days: u32) -> Settings {
    Settings::new(seed, customers, products, days, date(2026, 6, 30)).unwrap()
}

fn write(settings: &Settings) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_shop(settings, dir.path(), false, false, || {}).unwrap();
    dir
}

fn read(dir: &Path, name: &str) -> Vec<Row> {
    let path = dir.join(format!("{name}.csv"));
    csv::Reader::from_path(path)
        .unwrap()
        .deserialize()
        .map(Result::unwrap)
        .collect()
}

fn seconds(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

const DAY: i64 = 86_400;

/// An event with the columns that most tests need.
struct Seen {
    kind: String,
    time: i64,
    customer: String,
    visitor: String,
    product: String,
    order: String,
    row: Row,
}

struct Shop {
    products: HashMap<String, Row>,
    truth_products: HashMap<String, Row>,
    personas: HashMap<String, String>,
    customers: Vec<Row>,
    due: Vec<Row>,
    refills: Vec<Row>,
    events: Vec<Seen>,
}

fn keyed(rows: Vec<Row>, key: &str) -> HashMap<String, Row> {
    rows.into_iter()
        .map(|row| (row[key].clone(), row))
        .collect()
}

/// One shop that most tests look at: a year, big enough for shares to be steady.
static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let dir = write(&settings(7, 900, 300, 365));
    let events = read(dir.path(), "events").into_iter().map(|row| Seen {
        kind: row["event_type"].clone(),
        time: seconds(&row["timestamp"]),
        customer: row["customer_id"].clone(),
        visitor: row["visitor_id"].clone(),
        product: row["product_id"].clone(),
        order: row["order_id"].clone(),
        row,
    });
    Shop {
        events: events.collect(),
        products: keyed(read(dir.path(), "products"), "product_id"),
        truth_products: keyed(read(dir.path(), "truth_products"), "product_id"),
        personas: read(dir.path(), "truth_customers")
            .into_iter()
            .map(|row| (row["customer_id"].clone(), row["persona"].clone()))
            .collect(),
        customers: read(dir.path(), "customers"),
        due: read(dir.path(), "truth_due"),
        refills: read(dir.path(), "truth_replenishment"),
    }
});

#[test]
fn same_seed_same_bytes_and_another_seed_other_events() {
    let (one, two) = (
        write(&settings(3, 40, 60, 60)),
        write(&settings(3, 40, 60, 60)),
    );
    let mut names = 0;
    for entry in fs::read_dir(one.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let bytes = |dir: &TempDir| fs::read(dir.path().join(&name)).unwrap();
        assert!(bytes(&one) == bytes(&two), "{name:?} differs");
        names += 1;
    }
    assert_eq!(names, 9);
    let other = write(&settings(4, 40, 60, 60));
    let events = |dir: &TempDir| fs::read(dir.path().join("events.csv")).unwrap();
    assert!(events(&one) != events(&other));
}

#[test]
fn planted_pain_points_are_told_and_go_with_the_next_run() {
    let plain = settings(3, 60, 60, 60);
    let plant = |text: &str| plain.clone().with_pain_points(&[text.parse().unwrap()]);
    let dir = write(&plant("shipping_cost").unwrap());
    let rows = read(dir.path(), "truth_pain_points");
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0]["stage"].as_str(), rows[0]["since"].as_str()),
        ("decision", "2026-06-02T00:00:00Z")
    );
    assert!(rows[0]["extra_losses"].parse::<u32>().unwrap() > 0);
    write_shop(&plain, dir.path(), false, true, || {}).unwrap();
    assert!(!dir.path().join("truth_pain_points.csv").exists());
    assert!(matches!(
        plant("shipping_cost@2026-06-30"),
        Err(SettingsError::PainOutside { .. })
    ));
    let twice = ["shipping_cost", "shipping_cost@2026-06-20"].map(|text| text.parse().unwrap());
    assert!(matches!(
        plain.clone().with_pain_points(&twice),
        Err(SettingsError::PainTwice(_))
    ));
    let many = vec![twice[0]; 17];
    assert!(matches!(
        plain.clone().with_pain_points(&many),
        Err(SettingsError::TooManyPains(17))
    ));
}

/// What is lived on after the files must not change what stands in them.
#[test]
fn the_files_are_those_of_the_first_release() {
    let dir = write(&settings(7, 150, 90, 120));
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let mut hash = blake3::Hasher::new();
    for path in names {
        hash.update(&fs::read(path).unwrap());
    }
    let bytes = hash.finalize().to_hex();
    assert_eq!(&bytes.as_str()[..32], "ce004683dc4765580c43bb730ea35b45");
}

#[test]
fn more_customers_do_not_change_the_others() {
    let life = |customers: u32| -> Vec<BTreeMap<String, String>> {
        let dir = write(&settings(5, customers, 80, 90));
        let rows = read(dir.path(), "events").into_iter();
        rows.filter(|row| {
            !row["customer_id"].is_empty() && row["customer_id"].as_str() <= "c000030"
        })
        .map(|row| {
            row.into_iter()
                .filter(|(column, _)| column != "event_id")
                .collect()
        })
        .collect()
    };
    let few = life(30);
    assert!(few.len() > 300);
    assert!(few == life(90));
}

#[test]
fn events_are_sorted_and_have_their_own_ids() {
    let shop = &*SHOP;
    assert!(shop.events.is_sorted_by_key(|event| event.time));
    let ids: HashSet<&str> = shop
        .events
        .iter()
        .map(|event| event.row["event_id"].as_str())
        .collect();
    assert_eq!(ids.len(), shop.events.len());
    let (first, last) = (shop.events[0].time, shop.events[shop.events.len() - 1].time);
    assert!(first >= seconds("2025-06-30T00:00:00Z"));
    assert!(last < seconds("2026-06-30T00:00:00Z"));
}

const ABOUT_PRODUCTS: [&str; 8] = [
    "select_item",
    "view_item",
    "add_to_wishlist",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "refund",
    "review",
];

const NAMES: [&str; 21] = [
    "ad_click",
    "page_view",
    "referral",
    "search",
    "view_item_list",
    "view_cart",
    "begin_checkout",
    "add_payment_info",
    "order_delivered",
    "store_visit",
    "sign_up",
    "login",
    "email_open",
    "email_click",
    "offer_sent",
    "offer_redeemed",
    "offer_declined",
    "support_contact",
    "csat_response",
    "nps_response",
    "share",
];

#[test]
fn every_row_keeps_the_contract() {
    let shop = &*SHOP;
    let mut kinds = HashSet::new();
    for event in &shop.events {
        let (row, kind) = (&event.row, event.kind.as_str());
        kinds.insert(kind);
        let product_event = ABOUT_PRODUCTS.contains(&kind);
        assert!(
            product_event || NAMES.contains(&kind),
            "unknown event {kind}"
        );
        assert!(
            !event.customer.is_empty() || !event.visitor.is_empty(),
            "nobody did {row:?}"
        );
        assert!(event.customer.is_empty() || shop.personas.contains_key(&event.customer));
        assert!(
            !product_event || !event.product.is_empty(),
            "no product in {row:?}"
        );
        assert!(event.product.is_empty() || shop.products.contains_key(&event.product));
        assert_eq!(
            kind.starts_with("offer_"),
            !row["offer_id"].is_empty(),
            "{row:?}"
        );
        assert!(!row["touchpoint"].is_empty());
        if ["add_to_cart", "purchase", "refund"].contains(&kind) {
            assert!(row["quantity"].parse::<u32>().unwrap() >= 1);
            assert!(row["unit_price"].parse::<f64>().unwrap() > 0.0);
            assert_eq!(row["currency"], "EUR");
        }
        if ["purchase", "refund", "order_delivered"].contains(&kind) {
            assert!(!event.order.is_empty());
        }
        let most = match kind {
            "review" | "csat_response" => 1..=5,
            "nps_response" => 0..=10,
            _ => {
                assert_eq!(row["rating"], "", "{kind} has a rating");
                continue;
            }
        };
        assert!(
            most.contains(&row["rating"].parse::<u8>().unwrap()),
            "{row:?}"
        );
    }
    assert_eq!(
        kinds.len(),
        ABOUT_PRODUCTS.len() + NAMES.len(),
        "every stage has its events"
    );
}

#[test]
fn products_can_be_read_and_differ() {
    let shop = &*SHOP;
    assert_eq!(shop.products.len(), 300);
    for row in shop.products.values() {
        let (price, cost) = (row["price"].parse::<f64>(), row["unit_cost"].parse::<f64>());
        assert!(price.unwrap() > cost.unwrap());
        assert!(row["category"].contains(" > ") && row["name"].starts_with(&row["brand"]));
        let attributes: serde_json::Value = serde_json::from_str(&row["attributes"]).unwrap();
        assert!(attributes.is_object());
        seconds(&row["created_at"]);
    }
    let names: HashSet<&str> = shop
        .products
        .values()
        .map(|row| row["name"].as_str())
        .collect();
    assert!(names.len() >= 297, "{} names for 300 products", names.len());
}

/// The truth is tried: customers who get an offer, or none, buy as often as the files say.
#[test]
fn the_smallest_shop_works_and_bounds_are_named() {
    let tiny = write(&settings(1, 1, 1, 1));
    assert_eq!(read(tiny.path(), "customers").len(), 1);
    assert_eq!(read(tiny.path(), "products").len(), 1);
    let end = date(2026, 6, 30);
    let refused = |customers, products, days| {
        Settings::new(1, customers, products, days, end)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(0, 1, 1),
        "customers must be from 1 to 1000000, not 0"
    );
    assert_eq!(
        refused(1, 50_001, 1),
        "products must be from 1 to 50000, not 50001"
    );
    assert_eq!(refused(1, 1, 0), "days must be from 1 to 3650, not 0");
    let error = Settings::new(1, 1_000_000, 1, 401, end).unwrap_err();
    assert_eq!(error, SettingsError::TooMuch { given: 401_000_000 });
}

#[test]
fn days_beyond_the_end_are_bounded() {
    let mut simulation = Simulation::new(&settings(1, 5, 5, 3));
    let lived = std::iter::from_fn(|| simulation.next_day()).count();
    assert_eq!(lived, 3 + BEYOND as usize);
}

#[test]
fn files_are_replaced_only_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let small = settings(1, 3, 5, 3);
    write_shop(&small, dir.path(), false, false, || {}).unwrap();
    let error = write_shop(&small, dir.path(), true, false, || {}).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("exists already; --force replaces it")
    );
    write_shop(&small, dir.path(), true, true, || {}).unwrap();
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names.len(),
        9,
        "no plain, no partial file is left: {names:?}"
    );
    assert!(names.iter().all(|name| name.ends_with(".csv.gz")));
    let file = fs::File::open(dir.path().join("events.csv.gz")).unwrap();
    let unzipped = flate2::read::GzDecoder::new(file);
    let rows = csv::Reader::from_reader(unzipped)
        .into_records()
        .map(Result::unwrap)
        .count();
    assert!(rows > 0);
}
