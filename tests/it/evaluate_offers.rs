//! `nextbest evaluate --offers` as the real program: which offers of a campaign a customer takes, figures by hand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;

use crate::csv_edge::shared;
use crate::evaluate::{fails, json, run};

const PRODUCTS: &str = "product_id,category,name\n\
    p1,Food > Coffee,coffee\np2,Food > Coffee,coffee\np3,Food > Tea,tea\np4,Home > Soap,soap\n";
const TRUTH: &str = "case_id,customer_id,campaign_id,timestamp,offer_id\n";

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// What the program says of the files in `folder`, for lists of 1 and 2.
fn evaluated(folder: &Path, more: &[&str]) -> Value {
    let arguments =
        "evaluate --events events.csv --offers offers.csv --truth truth.csv -k 1,2 --json";
    let arguments: Vec<&str> = arguments.split(' ').chain(more.iter().copied()).collect();
    json(&run(folder, &arguments))
}

fn is(report: &Value, method: &str, figure: &str, expected: f64) {
    let found = report["methods"][method][figure].as_f64().unwrap();
    assert!(
        (found - expected).abs() < 1e-9,
        "{method} {figure}: {found}, expected {expected}"
    );
}

/// c1 bought coffee twice (and later soap), c2 other coffee and tea, c3 soap; somebody took o3 before.
fn shop(folder: &Path) {
    write(folder, "products.csv", PRODUCTS);
    let mut events = "event_type,timestamp,customer_id,product_id,order_id,offer_id\n".to_owned();
    let bought = "c1 01 p1,c1 02 p1,c2 01 p2,c2 02 p3,c3 01 p4,c3 02 p4,c3 03 p4,\
        c1 11 p4,c1 12 p4,c1 13 p4,c1 14 p4,c1 15 p4";
    for (order, line) in bought.split(',').enumerate() {
        let [who, day, product] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        events += &format!("purchase,2026-01-{day},{who},{product},b{order},\n");
    }
    events += "offer_redeemed,2026-01-05,c9,,,o3\n";
    write(folder, "events.csv", &events);
    let offers = "offer_id,campaign_id,product_ids,categories\n\
        o1,k,p4,\no2,k,p2,\no3,k,p3,\no4,k,,\no5,m,p1,\nhome,n,,Home\nfood,n,,Food\n";
    write(folder, "offers.csv", offers);
}

#[test]
fn figures_of_offers_are_as_computed_by_hand() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    shop(folder);
    // who takes what; of a campaign without offers, and of an offer of another campaign, nothing can be found
    let cases = "a,c1,k,2026-01-10,o2\nb,c2,k,2026-01-10,o3\nnew,cx,k,2026-01-10,o1\n\
        nowhere,c1,z,2026-01-10,o1\nd,c3,k,2026-01-10,o1\nd,c3,k,2026-01-10,o5\nlate,c1,k,2026-01-20,o1\n";
    write(folder, "truth.csv", &format!("{TRUTH}{cases}"));
    let report = evaluated(folder, &["--products", "products.csv"]);
    assert_eq!(report["cases"], 6);
    assert_eq!(report["learned"], 0);
    assert_eq!(report["without_offers"], 1);
    assert_eq!(report["truth_outside_campaign"], 2);
    assert_eq!(report["first_case"], "2026-01-10T00:00:00Z");
    assert_eq!(report["last_case"], "2026-01-20T00:00:00Z");
    // o4 is about everything and first in all lists but one. Second for a is o2: a third of all coffee is p2, and c1
    // bought coffee twice; for b o3, bought once and all tea; for d and late o1, and for a new customer what sells best
    let d = 1.0 / 3f64.log2();
    for (figure, expected) in [
        ("recall@1", 0.0),
        ("recall@2", 4.5 / 6.0),
        ("hit_rate@2", 5.0 / 6.0),
        ("mrr@2", 2.5 / 6.0),
        ("ndcg@2", (4.0 * d + d / (1.0 + d)) / 6.0),
        ("coverage@2", 4.0 / 7.0),
    ] {
        is(&report, "nextbest", figure, expected);
    }
    // o4, o1 for everybody; own purchases find no more
    for method in ["popularity", "breadth", "own_purchases"] {
        is(&report, method, "recall@2", 2.5 / 6.0);
    }
    is(&report, "popularity", "coverage@2", 2.0 / 7.0);
    is(&report, "own_purchases", "coverage@2", 3.0 / 7.0);
    // o3, o4 for everybody
    is(&report, "redeemed_before", "recall@1", 1.0 / 6.0);
    is(&report, "redeemed_before", "recall@2", 1.0 / 6.0);
    for baseline in ["popularity", "breadth", "own_purchases", "redeemed_before"] {
        let found = &report["differences"][baseline]["recall@2"];
        let [difference, low, high] =
            ["difference", "low", "high"].map(|end| found[end].as_f64().unwrap());
        let of = |method: &str| report["methods"][method]["recall@2"].as_f64().unwrap();
        assert!(
            (difference - (of("nextbest") - of(baseline))).abs() < 1e-9,
            "{found}"
        );
        assert!(low <= difference && difference <= high, "{found}");
    }
    let text = "evaluate --events events.csv --offers offers.csv --truth truth.csv --products products.csv -k 2";
    let text = run(folder, &text.split(' ').collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in [
        "6 cases;",
        "6 cases came before there was enough to learn from",
        "1 cases are of campaigns without offers",
        "2 offers of the truth are not in their campaign",
        "recall@2",
        "0.7500",
        "difference of nextbest to",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn offers_are_about_categories_and_shops_need_no_catalog() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    shop(folder);
    // c2 bought food alone; what is below the category counts. A campaign of one offer is always found
    let cases = "a,c2,n,2026-01-10,food\nb,c3,n,2026-01-10,home\none,c3,m,2026-01-10,o5\n";
    write(folder, "truth.csv", &format!("{TRUTH}{cases}"));
    let report = evaluated(folder, &["--products", "products.csv"]);
    is(&report, "nextbest", "recall@1", 1.0);
    // more food than soap was bought: 4 baskets against 3
    is(&report, "popularity", "recall@1", 2.0 / 3.0);
    assert_eq!(report["truth_outside_campaign"], 0);
    // without a catalog nothing is of any type: own purchases decide
    let offers = "offer_id,campaign_id,product_ids\no1,k,p4\no2,k,p2\no3,k,p1|p3\n";
    write(folder, "offers.csv", offers);
    let cases = "a,c1,k,2026-01-10,o3\nb,c2,k,2026-01-05,o2\nc,c3,k,2026-01-10,o1\n";
    write(folder, "truth.csv", &format!("{TRUTH}{cases}"));
    let report = evaluated(folder, &[]);
    // c2 bought one of o2 and one of o3, which sells better: 3 of 7 baskets against 1
    is(&report, "nextbest", "recall@1", 2.0 / 3.0);
    is(&report, "nextbest", "recall@2", 1.0);
    is(&report, "popularity", "recall@1", 1.0 / 3.0);
}

#[test]
fn what_was_taken_before_teaches_and_nothing_of_later() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    // everybody takes the broad offer of things they never bought, never the one of what they always buy
    let mut events = "event_type,timestamp,customer_id,product_id,offer_id\n".to_owned();
    for customer in 0..30 {
        events += &format!("purchase,2026-01-10,c{customer},p1,\n");
        events += &format!(
            "offer_redeemed,2026-02-{:02},c{customer},,broad\n",
            1 + customer % 20
        );
    }
    events += "purchase,2026-01-10,asked,p1,\n";
    write(folder, "events.csv", &events);
    let offers = "offer_id,campaign_id,product_ids,starts_at\n\
        own,old,p1,2026-02-01\nbroad,old,p2|p3|p4,2026-02-01\n\
        own2,new,p1,2026-03-01\nbroad2,new,p5|p6|p7,2026-03-01\n";
    write(folder, "offers.csv", offers);
    let ask = |day: &str| {
        write(
            folder,
            "truth.csv",
            &format!("{TRUTH}a,asked,new,2026-02-{day},broad2\n"),
        );
        evaluated(folder, &[])
    };
    // the 30th of them takes it on the 20th, and what happens at the moment of the question is known
    let before = ask("09T23:59:59Z");
    assert_eq!(before["learned"], 0);
    is(&before, "nextbest", "recall@1", 0.0);
    let after = ask("20");
    assert_eq!(after["learned"], 1);
    is(&after, "nextbest", "recall@1", 1.0);
    is(&after, "own_purchases", "recall@1", 0.0);
    assert_eq!(ask("19")["learned"], 0);
}

#[test]
fn what_cannot_be_asked_is_said() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    shop(folder);
    let arguments = "evaluate --events events.csv --offers offers.csv --truth truth.csv";
    let with = |more: &str| {
        let arguments = format!("{arguments} {more}");
        run(folder, &arguments.split_whitespace().collect::<Vec<_>>())
    };
    write(
        folder,
        "truth.csv",
        "case_id,customer_id,timestamp,product_id\na,c1,2026-01-10,p1\n",
    );
    fails(
        &with(""),
        "the column campaign_id is missing; the column offer_id is missing",
    );
    write(folder, "truth.csv", TRUTH);
    fails(&with(""), "no case can be judged");
    write(
        folder,
        "truth.csv",
        &format!("{TRUTH}a,c1,k,yesterday,o1\nb,c1,k,2026-01-10,o1\n"),
    );
    let output = with("--json");
    assert_eq!(json(&output)["cases"], 1);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["truth.csv:2: timestamp", "1 rows could not be read"] {
        assert!(errors.contains(part), "{part} is missing in:\n{errors}");
    }
    fails(&with("--discover"), "cannot be used with");
    fails(&with("--report page.html"), "cannot be used with");
    let window = "evaluate --window 30 --offers offers.csv".split(' ');
    fails(
        &run(folder, &window.collect::<Vec<_>>()),
        "cannot be used with",
    );
    fails(
        &run(
            folder,
            &[
                "evaluate",
                "--events",
                "events.csv",
                "--offers",
                "offers.csv",
            ],
        ),
        "--truth",
    );
}

#[test]
fn coupons_of_the_complete_journey_are_ranked() {
    let Some(folder) = shared("complete-journey") else {
        return;
    };
    let arguments = "evaluate --events events.csv.gz --offers offers.csv.gz --products products.csv.gz \
        --truth offer_truth.csv.gz --json";
    let report = json(&run(&folder, &arguments.split(' ').collect::<Vec<_>>()));
    assert_eq!(report["cases"], 233);
    assert_eq!(report["learned"], 233);
    assert_eq!(report["without_offers"], 0);
    assert_eq!(report["truth_outside_campaign"], 0);
    let recall = |method: &str| report["methods"][method]["recall@10"].as_f64().unwrap();
    // what an independent implementation finds
    for (method, expected) in [
        ("breadth", 0.4183),
        ("popularity", 0.4084),
        ("own_purchases", 0.4772),
    ] {
        assert!(
            (recall(method) - expected).abs() < 0.002,
            "{method}: {}",
            recall(method)
        );
    }
    assert!(recall("nextbest") >= 0.479, "{}", recall("nextbest"));
}
