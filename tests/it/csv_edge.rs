//! Files as shops really have them: every bad row is told with its line, and never costs a good
//! one.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nextbest::application::import::{RowError, RowResult};
use nextbest::application::recipes::Recipes;
use nextbest::domain::offer::MAX_OFFER_PRODUCTS;
use nextbest::domain::{Event, Fingerprint, OfferKind, ProductId, Timestamp};
use nextbest::transport::csv::{
    Customers, Events, FileError, MAX_ROW_BYTES, Offers, Products, Repetitions, Truth,
};

const HEADER: &str = "event_type,timestamp,customer_id,visitor_id,product_id,quantity";

pub(crate) fn counter() -> Repetitions<'static> {
    let mut seen: HashMap<Fingerprint, u64> = HashMap::new();
    Box::new(move |content| {
        let count = seen.entry(content).or_default();
        *count += 1;
        Ok(*count - 1)
    })
}

/// The folder of real data, or a plain word that the test is skipped.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !path.exists() {
        eprintln!("SKIPPED: there is no ../shared/data/{name} next to the package");
        return None;
    }
    Some(path)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("file.csv");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Rows as `ok <line>`, refused ones as `<line> <column> <code>`.
fn shown<T>(rows: impl Iterator<Item = RowResult<T>>) -> Vec<String> {
    rows.map(|row| match row {
        Ok(row) => format!("ok {}", row.line),
        Err(RowError::Refused(r)) => format!("{} {} {}", r.line, r.column, r.code.as_str()),
        Err(RowError::Unreadable(error)) => panic!("{error}"),
    })
    .collect()
}

fn open(path: &Path) -> Result<Events<'static>, FileError> {
    let now = Timestamp::parse("2025-01-01").unwrap();
    Events::open(path, now, counter())
}

/// Reads the file as events and compares.
fn check(bytes: &[u8], expected: &[&str]) {
    let folder = Folder::new();
    let path = folder.file(bytes);
    assert_eq!(shown(open(&path).unwrap()), expected);
}

fn check_rows(rows: &[&str], expected: &[&str]) {
    check(
        format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes(),
        expected,
    );
}

fn check_header(bytes: &[u8], part: &str) {
    let folder = Folder::new();
    let path = folder.file(bytes);
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains(part), "{error:?} does not say {part:?}");
    assert!(
        error.contains("file.csv"),
        "{error:?} does not name the file"
    );
}

#[test]
fn columns_come_in_any_order_with_a_bom_and_dos_line_ends() {
    let text = "\u{feff}customer_id, timestamp ,quantity,event_type,product_id\r\n\
        c1,2024-01-01,0.5,purchase,p1\r\n\r\nc1,2024-01-01T10:00:00+02:00, 2 ,purchase,p1\r\n";
    let folder = Folder::new();
    let path = folder.file(text.as_bytes());
    let events: Vec<Event> = open(&path).unwrap().map(|row| row.unwrap().value).collect();
    assert_eq!(events.len(), 2);
    assert!((events[0].quantity - 0.5).abs() < 1e-12);
    assert_eq!(events[1].time.to_string(), "2024-01-01T08:00:00Z");
    assert_eq!(events[1].subject.customer().unwrap().as_str(), "c1");
}

#[test]
fn lines_are_those_of_an_editor_with_quoted_line_breaks() {
    let text = format!(
        "{HEADER}\nview_item,2024-01-01,c1,,\"p\n1\",\n\nview_item,2024-01-01,c1,,\"p\"\"1\",\nx"
    );
    let expected = [
        "2 product_id BAD_CHARACTER",
        "ok 5",
        "6 timestamp MALFORMED",
    ];
    check(text.as_bytes(), &expected);
}

#[test]
fn ragged_rows_and_wrong_bytes_are_refused_alone() {
    let mut bytes = format!("{HEADER}\n").into_bytes();
    bytes.extend_from_slice(b"view_item,2024-01-01,c1,,p1\n");
    bytes.extend_from_slice(b"view_item,2024-01-01,c1,,p1,1,extra\n");
    bytes.extend_from_slice(b"view_item,2024-01-01,c\xe9,,p1,\n");
    bytes.extend_from_slice(b"view_item,2024-01-01,c\xc3,\xa9,p1,\n");
    bytes.extend_from_slice(b"view_item,2024-01-01,\0,,p1,\n");
    bytes.extend_from_slice("view_item,2024-01-01,Zoë,,p1,\n".as_bytes());
    let expected = [
        "2 quantity MALFORMED",
        "3 7 MALFORMED",
        "4 customer_id BAD_CHARACTER",
        "5 customer_id BAD_CHARACTER",
        "6 customer_id BAD_CHARACTER",
        "ok 7",
    ];
    check(&bytes, &expected);
}

#[test]
fn a_lost_quote_costs_one_row() {
    let rows = [
        "view_item,2024-01-01,c1,,\"p1,",
        "view_item,2024-01-01,c1,,p2,",
        "view_item,2024-01-01,c1,,\"p3\",",
        "view_item,2024-01-01,c1,,\"p4\"x,",
        "view_item,2024-01-01,c1,,12\" p5,",
        "view_item,2024-01-01,c1,,\"p6",
    ];
    let expected = [
        "2 product_id MALFORMED",
        "ok 3",
        "ok 4",
        "5 product_id MALFORMED",
        "ok 6",
        "7 product_id MALFORMED",
    ];
    check_rows(&rows, &expected);
}

#[test]
fn rows_are_bounded_and_large_cells_are_no_harm() {
    let large = "x".repeat(200 << 10);
    let too_large = "x".repeat(MAX_ROW_BYTES);
    let rows = [
        format!("view_item,2024-01-01,c1,,{large},"),
        format!("view_item,2024-01-01,c1,,{too_large},"),
        "view_item,2024-01-01,c1,,p1,".to_owned(),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    check_rows(&rows, &["2 product_id TOO_LONG", "3  TOO_LONG", "ok 4"]);
}

#[test]
fn numbers_and_times_that_cannot_be_true_are_refused() {
    let row = |time: &str, quantity: &str| format!("purchase,{time},c1,,p1,{quantity}");
    let day = "2024-01-01";
    let rows = [
        row(day, "NaN"),
        row(day, "inf"),
        row(day, "-1"),
        row(day, "0"),
        row(day, "1e400"),
        row(day, "many"),
        row("1900-01-01", "1"),
        row("9999-01-01", "1"),
        row("2025-01-03", "1"),
        row("2024-02-30", "1"),
        row("01/02/2024", "1"),
        row("", "1"),
        row(day, "  "),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let expected = [
        "2 quantity NOT_A_NUMBER",
        "3 quantity NOT_A_NUMBER",
        "4 quantity OUT_OF_RANGE",
        "5 quantity OUT_OF_RANGE",
        "6 quantity NOT_A_NUMBER",
        "7 quantity NOT_A_NUMBER",
        "8 timestamp TOO_OLD",
        "9 timestamp IN_THE_FUTURE",
        "10 timestamp IN_THE_FUTURE",
        "11 timestamp BAD_TIME",
        "12 timestamp BAD_TIME",
        "13 timestamp REQUIRED",
        "ok 14",
    ];
    check_rows(&rows, &expected);
}

#[test]
fn a_refused_row_says_everything_that_is_wrong_and_keeps_its_text() {
    let folder = Folder::new();
    let row = "bought,2024-01-01,,,p1,-1";
    let path = folder.file(format!("{HEADER}\n{row}\n").as_bytes());
    let Some(Err(RowError::Refused(refusal))) = open(&path).unwrap().next() else {
        panic!("the row was taken");
    };
    assert_eq!(refusal.row, row);
    for part in [
        "event_type: not the name",
        "customer_id: one of",
        "quantity: must be",
    ] {
        assert!(refusal.reason.contains(part), "{}", refusal.reason);
    }
}

#[test]
fn headers_that_cannot_be_used_end_the_file() {
    check_header(b"", "is empty; a header is needed: event_type, timestamp");
    check_header(b"\xef\xbb\xbf", "is empty");
    check_header(
        b"event_type,product_id\n",
        "the column timestamp is missing",
    );
    check_header(
        b"event_type,timestamp\n",
        "customer_id or visitor_id is missing",
    );
    let twice = format!("{HEADER},quantity\n");
    check_header(twice.as_bytes(), "the column quantity is there twice");
    check_header(
        b"event_type,timestamp,customer_id,\n",
        "column 4 has no name",
    );
    check_header(b"event_type;timestamp;customer_id\n", "not by ';'");
    check_header(b"PK\x03\x04 and so on", "a zip archive or spreadsheet");
    check_header(b"\xff\xfee\0v\0", "UTF-16");
    check_header(b"event_type,\"timestamp", "a quote opens here");
    check(HEADER.as_bytes(), &[]);
    assert!(matches!(
        open(Path::new("no/such/file.csv")),
        Err(FileError::Unreadable { .. })
    ));
    let folder = Folder::new();
    assert!(matches!(
        open(folder.0.path()),
        Err(FileError::Unreadable { .. })
    ));
}

#[test]
fn unknown_columns_are_named_once() {
    let folder = Folder::new();
    let text = format!("{HEADER},colour\nview_item,2024-01-01,c1,,p1,,red\n");
    let events = open(&folder.file(text.as_bytes())).unwrap();
    assert_eq!(events.ignored(), ["colour"]);
    assert_eq!(shown(events), ["ok 2"]);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_known_by_its_bytes_and_may_have_parts() {
    let mut bytes = gzip(&format!("{HEADER}\nview_item,2024-01-01,c1,,p1,\n"));
    bytes.extend(gzip("view_item,2024-01-01,c1,,p2,\n"));
    check(&bytes, &["ok 2", "ok 3"]);
}

#[test]
fn damaged_gzip_ends_the_file_after_the_rows_before_it() {
    let good = packed_events(5_000);
    let mut damaged = good.clone();
    let checksum = damaged.len() - 5;
    damaged[checksum] ^= 0xff;
    let cases = [
        (&good[..good.len() / 2], "cut short", 1_000..4_999),
        (&good[..good.len() - 1], "cut short", 4_999..5_001),
        (&damaged[..], "damaged", 5_000..5_001),
    ];
    let folder = Folder::new();
    for (bytes, words, expected) in cases {
        let path = folder.file(bytes);
        let mut rows = open(&path).unwrap();
        let read = rows.by_ref().take_while(Result::is_ok).count();
        assert!(expected.contains(&read), "{words}: {read}");
        assert!(rows.next().is_none(), "{words}: rows after the damage");
        let last = open(&path).unwrap().find_map(Result::err).unwrap();
        let RowError::Unreadable(error) = last else {
            panic!("{words}: {last:?}");
        };
        assert!(error.to_string().contains(words), "{error}");
    }

    let text = format!(
        "case_id,customer_id,timestamp,product_id\n{}",
        "q,c,2024-01-01,p\n".repeat(9)
    );
    let bytes = gzip(&text);
    let error = Truth::read(&folder.file(&bytes[..bytes.len() - 1])).unwrap_err();
    assert!(error.to_string().contains("cut short"), "{error}");
    let error = open(&folder.file(&bytes[..20])).unwrap_err();
    assert!(error.to_string().contains("cut short"), "{error}");
}

/// So many different rows of events, packed.
pub(crate) fn packed_events(rows: usize) -> Vec<u8> {
    let rows: String = (0..rows)
        .map(|i| {
            format!(
                "view_item,2024-01-01,c{},,p{},\n",
                i * 7_919 % 4_001,
                i * 31
            )
        })
        .collect();
    gzip(&format!("{HEADER}\n{rows}"))
}

#[test]
fn equal_rows_are_different_events_and_one_file_twice_is_not() {
    let folder = Folder::new();
    let row = "view_item,2024-01-01,c1,,p1,";
    let path = folder.file(format!("{HEADER}\n{row}\n{row}\n").as_bytes());
    let keys = || -> Vec<Fingerprint> {
        open(&path)
            .unwrap()
            .map(|row| row.unwrap().value.key)
            .collect()
    };
    assert_eq!(keys(), keys());
    assert_ne!(keys()[0], keys()[1]);
}

#[test]
fn products_and_customers_are_read() {
    let folder = Folder::new();
    let text = "name,product_id,category,available,attributes,price\n\
        A,p1,Toys > Globes,TRUE,\"{\"\"size\"\":3}\",1.5\nB,p2,,maybe,,\nC,p3,,,{},-1\nD,p4,,,[],\n";
    let products = Products::open(&folder.file(text.as_bytes())).unwrap();
    let expected = [
        "ok 2",
        "3 available MALFORMED",
        "4 price OUT_OF_RANGE",
        "5 attributes MALFORMED",
    ];
    assert_eq!(shown(products), expected);
    let mut products = Products::open(&folder.file(text.as_bytes())).unwrap();
    let product = products.next().unwrap().unwrap().value;
    assert_eq!(product.category_text(), "Toys > Globes");
    assert_eq!(product.attributes, [("size".into(), "3".into())]);

    let long = "x".repeat(600);
    let text = format!("country,customer_id\nUK,c1\n,c2\n{long},c3\nUK,\n");
    let path = folder.file(text.as_bytes());
    let expected = [
        "ok 2",
        "ok 3",
        "4 country TOO_LONG",
        "5 customer_id REQUIRED",
    ];
    assert_eq!(shown(Customers::open(&path).unwrap()), expected);
}

#[test]
fn offers_are_read() {
    let folder = Folder::new();
    let journey = Recipes::embedded().unwrap().journey;
    let header = "offer_id,kind,value,product_ids,categories,stages,budget_units,starts_at,ends_at,paused,eligibility";
    let rows = [
        "o1,percentage,20,p2|p1|p2,Audio > Headphones|Toys,retention|decision,5,2024-01-01,2024-02-01,TRUE,",
        // nothing says what it is worth
        "o2,,,,,,,,,,",
        "o3,percentage,101,,,,,,,,",
        "o4,coupon,5,,,,,,,,",
        "o5,gift,x,,,,,,,,",
        "o6,content,,p1||p2,,,,,,,",
        "o7,content,,,,sleep,1.5,2024-02-01,2024-01-01,,",
        "o8,content,,,,,,,,,customer.order_count",
        ",content,,,,,,,,,",
    ];
    let text = format!("{header}\n{}\n", rows.join("\n"));
    let path = folder.file(text.as_bytes());
    let expected = [
        "ok 2",
        "ok 3",
        "4 value OUT_OF_RANGE",
        "5 value NOT_ALLOWED",
        "6 value NOT_A_NUMBER",
        "7 product_ids REQUIRED",
        "8 stages UNKNOWN_NAME",
        "9 eligibility MALFORMED",
        "10 offer_id REQUIRED",
    ];
    assert_eq!(shown(Offers::open(&path, &journey).unwrap()), expected);
    let read = Offers::open(&path, &journey).unwrap();
    let refused = read.filter_map(Result::err).nth(4);
    let Some(RowError::Refused(refusal)) = refused else {
        panic!("{refused:?}");
    };
    for column in ["stages: ", "ends_at: ", "budget_units: "] {
        assert!(refusal.reason.contains(column), "{}", refusal.reason);
    }
    let read: Vec<_> = Offers::open(&path, &journey).unwrap().flatten().collect();
    let offer = &read[0].value;
    let ids: Vec<&str> = offer.product_ids.iter().map(ProductId::as_str).collect();
    assert_eq!(ids, ["p1", "p2"]);
    let terms = &offer.terms;
    let path: Vec<Box<str>> = vec!["Audio".into(), "Headphones".into()];
    assert_eq!(terms.categories, [path, vec!["Toys".into()]]);
    assert_eq!(terms.stages, ["decision".into(), "retention".into()]);
    assert_eq!((terms.budget_units, terms.paused), (Some(5), true));
    assert_eq!(read[1].value.terms.benefit.kind(), OfferKind::Coupon);
}

#[test]
fn an_offer_may_name_as_many_products_as_there_may_be_and_no_more() {
    let folder = Folder::new();
    let journey = Recipes::embedded().unwrap().journey;
    let row = |count: usize| {
        let ids = (0..count).map(|id| format!("{id:0>128}"));
        format!("o1,{}\n", ids.collect::<Vec<_>>().join("|"))
    };
    let most = row(MAX_OFFER_PRODUCTS);
    assert!(most.len() < MAX_ROW_BYTES);
    let text = format!(
        "offer_id,product_ids\n{most}{}",
        row(MAX_OFFER_PRODUCTS + 1)
    );
    let path = folder.file(text.as_bytes());
    let expected = ["ok 2", "3 product_ids TOO_LONG"];
    assert_eq!(shown(Offers::open(&path, &journey).unwrap()), expected);
}

#[test]
fn real_files_are_read_as_their_readme_says() {
    for (name, rows) in [
        ("online-retail/events.csv.gz", 368_972),
        ("complete-journey/events.csv.gz", 75_297),
        ("otto-tiny/events.csv.gz", 862),
        ("click-sessions/split/events.csv.gz", 132_434),
    ] {
        let Some(path) = shared(name) else { return };
        let events = open(&path).unwrap();
        assert!(events.ignored().is_empty());
        let progress = events.table().progress();
        let refused = events.filter(Result::is_err).count();
        assert_eq!(refused, 0, "{name}");
        assert_eq!(progress.read(), progress.total());
        assert_eq!(open(&path).unwrap().count(), rows, "{name}");
    }
    for (name, rows) in [
        ("online-retail/products.csv.gz", 3_667),
        ("complete-journey/products.csv.gz", 92_331),
    ] {
        let Some(path) = shared(name) else { return };
        let refused: Vec<_> = Products::open(&path)
            .unwrap()
            .filter_map(Result::err)
            .collect();
        assert!(refused.is_empty(), "{name}: {:?}", refused[0]);
        assert_eq!(Products::open(&path).unwrap().count(), rows, "{name}");
    }
    for (name, rows) in [
        ("online-retail/customers.csv.gz", 3_658),
        ("complete-journey/customers.csv.gz", 801),
    ] {
        let Some(path) = shared(name) else { return };
        assert_eq!(
            Customers::open(&path).unwrap().flatten().count(),
            rows,
            "{name}"
        );
    }
    for (name, rows, cases) in [
        ("online-retail/split/truth.csv.gz", 22_598, 960),
        ("click-sessions/split/truth.csv.gz", 4_456, 4_456),
    ] {
        let Some(path) = shared(name) else { return };
        let truth = Truth::read(&path).unwrap();
        assert_eq!((truth.rows, truth.cases.len()), (rows, cases), "{name}");
        assert!(truth.refused.is_empty(), "{name}: {:?}", truth.refused[0]);
    }
}
