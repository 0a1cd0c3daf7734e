//! `nextbest evaluate` as the real program: files and the journal's own past, figures by stage, the HTML report.

use std::path::Path;
use std::process::{Command, Output};

use nextbest::cli::simulate::write_shop;
use nextbest::simulation::Settings;
use nextbest::store::{Options, SledJournal};
use serde_json::Value;

/// Runs the program in `folder`, with fewer questions than usual.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NEXTBEST_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments);
    if arguments[0] == "evaluate" {
        for setting in [
            "training.max_questions=800",
            "training.max_rows=10000",
            "training.tuning_seconds=0",
            "training.max_moments=4000",
        ] {
            command.args(["--set", setting]);
        }
    }
    command.output().unwrap()
}

pub(crate) fn json(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts that the program fails, and that it says this.
pub(crate) fn fails(output: &Output, text: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(errors.contains(text), "{errors}");
}

/// A simulated shop of 200 customers over half a year in `files/`.
fn simulate(folder: &Path) {
    let settings = Settings::new(7, 200, 80, 180, "2026-06-30".parse().unwrap()).unwrap();
    write_shop(&settings, &folder.join("files"), false, false, || {}).unwrap();
}

/// Figures that hang together: by stage they make up the whole, differences follow from figures and lie in their
/// intervals.
fn hangs_together(report: &Value) {
    let cases = report["cases"].as_u64().unwrap();
    let stages = report["stages"].as_object().unwrap();
    let of_stages = stages
        .values()
        .map(|stage| stage["cases"].as_u64().unwrap());
    assert!(cases > 0 && of_stages.sum::<u64>() == cases, "{report}");
    for scope in stages.values().chain([report]) {
        for baseline in ["popularity", "recent_popularity", "personal_frequency"] {
            for figure in ["recall@5", "ndcg@5", "hit_rate@10", "mrr@10"] {
                let of = |method: &str| scope["methods"][method][figure].as_f64().unwrap();
                let found = &scope["differences"][baseline][figure];
                let [difference, low, high] =
                    ["difference", "low", "high"].map(|end| found[end].as_f64().unwrap());
                assert!(
                    (difference - (of("nextbest") - of(baseline))).abs() < 1e-9,
                    "{found}"
                );
                assert!(low <= difference && difference <= high, "{found}");
            }
        }
    }
    let weighted = |method: &str, figure: &str| -> f64 {
        let parts = stages.values().map(|stage| {
            let figure = stage["methods"][method][figure].as_f64().unwrap();
            figure * stage["cases"].as_f64().unwrap()
        });
        parts.sum::<f64>() / cases as f64
    };
    for method in ["nextbest", "popularity"] {
        let whole = report["methods"][method]["ndcg@10"].as_f64().unwrap();
        assert!((weighted(method, "ndcg@10") - whole).abs() < 1e-9);
    }
}

#[test]
fn the_journals_own_past_is_evaluated_and_reported() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    simulate(folder);
    let window = ["evaluate", "--data", "shop", "-k", "5,10", "--window"];
    let with = |more: &[&'static str]| -> Output { run(folder, &[&window[..], more].concat()) };
    fails(&with(&["30"]), "holds no shop");
    assert!(!folder.join("shop").exists(), "asking makes no shop");
    let imported = run(folder, &["import", "--data", "shop", "--from", "files"]);
    assert!(imported.status.success(), "{imported:?}");

    // a name that would break a page that does not escape
    let name = "<b>\"&'.html";
    let report = with(&["30", "--json", "--sources", "--report", name]);
    let report = json(&report);
    hangs_together(&report);
    assert!(report["cases"].as_u64().unwrap() > 100, "{report}");
    let day = |key: &str| report[key].as_str().unwrap()[..10].to_owned();
    assert!(*day("first_case") >= *"2026-05-29", "{report}");
    assert!(*day("last_case") <= *"2026-06-30", "{report}");
    let training = &report["training"];
    let journey = &training["next_stage"];
    assert!(journey["judged"].as_u64().unwrap() > 0, "{journey}");
    let gate = training["gate"].as_array().unwrap();
    assert!(
        gate.iter()
            .any(|c| c["stage"] == "" && c["baseline"] == "personal_frequency")
    );
    assert!(gate.iter().any(|c| c["stage"] != ""));
    // the same journal, the same figures
    let again = json(&with(&["30", "--json", "--sources"]));
    for key in [
        "methods",
        "differences",
        "stages",
        "calibration",
        "training",
    ] {
        assert_eq!(again[key], report[key], "{key}");
    }
    well_reported(
        &std::fs::read_to_string(folder.join(name)).unwrap(),
        &report,
        name,
    );

    let text = with(&["7"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in [
        "difference of nextbest to",
        "ndcg@5",
        "consideration",
        "the gate, on",
        "all stages",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }

    fails(&with(&["400"]), "the journal reaches back");
    fails(&with(&["0"]), "must be a number of days above 0");
    fails(
        &with(&["30", "--report", "nowhere/report.html"]),
        "cannot be written there",
    );
    fails(&with(&["30", "--events", "a.csv"]), "cannot be used with");
    fails(&with(&["30", "--truth", "a.csv"]), "cannot be used with");
    fails(&run(folder, &["evaluate", "--events", "a.csv"]), "--truth");
    let open = SledJournal::open(&folder.join("shop"), &Options::default()).unwrap();
    fails(&with(&["30"]), "stop the service that has it open");
    drop(open);
}

#[test]
fn the_live_revision_is_judged_on_what_it_has_not_learned_from() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    simulate(folder);
    // what happened before June, and since
    let [before, since] = ["before", "since"].map(|name| folder.join(name));
    for (folder, files) in [
        (&before, &["products.csv", "customers.csv"][..]),
        (&since, &[]),
    ] {
        std::fs::create_dir(folder).unwrap();
        for file in files {
            std::fs::copy(home.path().join("files").join(file), folder.join(file)).unwrap();
        }
    }
    let mut reader = csv::Reader::from_path(folder.join("files/events.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let time = head.iter().position(|own| own == "timestamp").unwrap();
    let mut parts = [before, since].map(|folder| {
        let mut part = csv::Writer::from_path(folder.join("events.csv")).unwrap();
        part.write_record(&head).unwrap();
        part
    });
    for row in reader.records() {
        let row = row.unwrap();
        let part = usize::from(row[time] >= *"2026-06-01");
        parts[part].write_record(&row).unwrap();
    }
    parts.iter_mut().for_each(|part| part.flush().unwrap());
    let done = |arguments: &[&str]| {
        let output = run(folder, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    done(&["import", "--data", "shop", "--from", "before"]);
    let quick = [
        "--set",
        "training.max_questions=800",
        "--set",
        "training.max_rows=10000",
        "--set",
        "training.max_moments=4000",
    ];
    let trained = done(&[&["train", "--data", "shop"][..], &quick].concat());
    let lines: Vec<&str> = trained.lines().collect();
    assert!(
        lines[0].starts_with("training made a model in") && lines[0].contains(": live"),
        "{trained}"
    );
    assert!(lines.contains(&"part ranking     new"), "{trained}");
    let window = [
        "evaluate", "--data", "shop", "-k", "5,10", "--window", "60", "--json",
    ];
    // it knows all there is by heart
    let report = json(&run(folder, &window));
    assert_eq!(report["live"]["cases"], 0);
    assert!(report["methods"].get("live").is_none() && report["differences"].get("live").is_none());

    done(&["import", "--data", "shop", "--from", "since"]);
    let report = json(&run(folder, &window));
    hangs_together(&report);
    let live = &report["live"];
    assert!(lines[1].contains(live["revision"].as_str().unwrap()));
    assert!(*live["learned_until"].as_str().unwrap() < *"2026-06-01");
    let cases = live["cases"].as_u64().unwrap();
    assert!(cases > 0 && cases < report["cases"].as_u64().unwrap());
    let of = |method: &str| report["methods"][method]["ndcg@10"].as_f64().unwrap();
    let found = &report["differences"]["live"]["ndcg@10"];
    let [difference, low, high] =
        ["difference", "low", "high"].map(|end| found[end].as_f64().unwrap());
    assert!((difference - (of("nextbest_against_live") - of("live"))).abs() < 1e-9);
    assert!(low <= difference && difference <= high, "{found}");
    let text = run(folder, &window[..window.len() - 1]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains(&format!("{cases} of the cases are later")),
        "{text}"
    );
    // with a part left out, it is another question
    let without = [&window[..], &["--without", "trees"]].concat();
    assert!(json(&run(folder, &without))["live"].is_null());
}

#[test]
fn customers_are_told_apart_dues_are_judged_and_parts_left_out() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    simulate(folder);
    let imported = run(folder, &["import", "--data", "shop", "--from", "files"]);
    assert!(imported.status.success(), "{imported:?}");
    let window = ["evaluate", "--data", "shop", "-k", "5,10", "--window", "30"];
    let with = |more: &[&'static str]| -> Output { run(folder, &[&window[..], more].concat()) };
    let truth = [
        "--by",
        "persona",
        "--customers",
        "files/truth_customers.csv",
        "--due",
        "files/truth_replenishment.csv",
    ];
    let page = ["--json", "--report", "report.html"];
    let report = json(&with(&[&truth[..], &page].concat()));
    hangs_together(&report);
    let by = &report["by"];
    assert_eq!(by["trait"], "persona");
    let groups = by["groups"].as_object().unwrap();
    let mut names: Vec<&str> = groups.keys().map(String::as_str).collect();
    names.sort_unstable();
    let personas = ["business_client", "everyday_consumer", "tech_enthusiast"];
    assert_eq!(names, [&["(none)"][..], &personas].concat());
    let cases = groups
        .values()
        .map(|group| group["cases"].as_u64().unwrap());
    assert_eq!(cases.sum::<u64>(), report["cases"].as_u64().unwrap());
    // the groups make up the whole
    let weighted = groups.values().map(|group| {
        let figure = group["methods"]["popularity"]["ndcg@10"].as_f64().unwrap();
        figure * group["cases"].as_f64().unwrap()
    });
    let weighted = weighted.sum::<f64>() / report["cases"].as_f64().unwrap();
    let whole = &report["methods"]["popularity"];
    assert!((weighted - whole["ndcg@10"].as_f64().unwrap()).abs() < 1e-9);
    // what sells best surprises least, and lists of it are the same for everybody
    let of = |method: &str, figure: &str| report["methods"][method][figure].as_f64().unwrap();
    assert!(of("nextbest", "novelty@10") > of("popularity", "novelty@10"));
    assert!((0.0..=1.0).contains(&of("nextbest", "categories@10")));
    let due = &report["due"];
    let pairs = |part: &str| due[part]["pairs"].as_u64().unwrap();
    assert!(pairs("all") == pairs("bought_once") + pairs("bought_again") && pairs("all") > 100);
    assert!(due["all"]["auc"].as_f64().unwrap() > 0.8, "{due}");
    let html = std::fs::read_to_string(folder.join("report.html")).unwrap();
    for text in [
        "recall@5 by group",
        "business_client (",
        "What is due",
        "novelty@10",
    ] {
        assert!(html.contains(text), "{text} is missing");
    }
    let text = with(&[&truth[..], &["--without", "trees", "--without", "tuning"]].concat());
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in [
        "without: trees, tuning",
        "ndcg@5 by persona",
        "bought again",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    // the traits of the journal are known without a file; a source that is left out proposes nothing
    let without = json(&with(&[
        "--by",
        "country",
        "--without",
        "personal",
        "--sources",
        "--json",
    ]));
    assert_eq!(without["without"], serde_json::json!(["personal"]));
    let of_source =
        |report: &Value| report["methods"]["candidates:without personal"]["recall@10"].as_f64();
    let of_all = |report: &Value| report["methods"]["candidates:all"]["recall@10"].as_f64();
    assert_eq!(of_source(&without), of_all(&without));
    assert!(without["by"]["groups"].as_object().unwrap().len() > 1);

    fails(
        &with(&["--by", "persona"]),
        "no customer has \"persona\"; known of them:",
    );
    fails(&with(&["--customers", "files/truth_customers.csv"]), "--by");
    fails(&with(&["--without", "eese"]), "did you mean \"ease\"?");
    fails(&with(&["--due", "files/products.csv"]), "next_due_at");
    let files = [
        "evaluate",
        "--events",
        "files/events.csv",
        "--truth",
        "files/events.csv",
        "--by",
        "persona",
    ];
    fails(&run(folder, &files), "give --customers");
}

/// Everything is there, nothing comes from elsewhere, and text is text.
fn well_reported(page: &str, report: &Value, name: &str) {
    let markup = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    let page = roxmltree::Document::parse(markup).expect("it is well-formed");
    let all = |node: roxmltree::Node<'_, '_>| -> String {
        let texts = node.descendants().filter(roxmltree::Node::is_text);
        texts.filter_map(|text| text.text()).collect()
    };
    let svg = || of(&page, "svg");
    assert!(svg().count() > 5);
    for plot in svg().filter(|plot| plot.attribute("aria-hidden").is_none()) {
        let named = plot.attribute("aria-labelledby").unwrap();
        for id in named.split(' ') {
            let same = page
                .descendants()
                .filter(|node| node.attribute("id") == Some(id));
            let texts: Vec<String> = same.map(all).collect();
            assert!(texts.len() == 1 && !texts[0].is_empty(), "{id}");
        }
    }
    for node in page.descendants() {
        for attribute in ["src", "href", "srcset", "action", "data"] {
            assert!(node.attribute(attribute).is_none(), "{node:?}");
        }
        assert!(!["script", "link", "img", "iframe"].contains(&node.tag_name().name()));
        let numbers = node
            .attributes()
            .filter(|a| ["x", "y", "cx", "cy", "points"].contains(&a.name()));
        for number in numbers {
            assert!(
                !number.value().contains("NaN") && !number.value().contains("inf"),
                "{node:?}"
            );
        }
    }
    assert!(!markup.contains("@import") && !markup.contains("url("));
    // the command as it was called, name and all
    let command = of(&page, "code").map(all).collect::<String>();
    assert!(command.contains(&format!("--report {name}")), "{command}");
    assert_eq!(of(&page, "b").count(), 0);

    let cells: Vec<String> = page
        .descendants()
        .filter(|node| ["td", "th"].contains(&node.tag_name().name()))
        .map(all)
        .collect();
    let has = |text: &str| assert!(cells.iter().any(|cell| cell == text), "{text} is missing");
    let scopes = report["stages"].as_object().unwrap();
    for methods in scopes
        .values()
        .chain([report])
        .map(|scope| &scope["methods"])
    {
        for method in [
            "nextbest",
            "popularity",
            "recent_popularity",
            "personal_frequency",
        ] {
            for figure in ["recall@5", "ndcg@5"] {
                has(&format!("{:.4}", methods[method][figure].as_f64().unwrap()));
            }
        }
    }
    scopes.keys().for_each(|stage| has(stage));
    for comparison in report["training"]["gate"].as_array().unwrap() {
        for end in ["difference", "low", "high"] {
            has(&format!("{:+.4}", comparison[end].as_f64().unwrap()));
        }
    }
    let captions: Vec<String> = of(&page, "caption").map(all).collect();
    let count = |text: &str| captions.iter().filter(|c| c.contains(text)).count();
    assert_eq!(count("Recall by length of the list"), 1);
    assert_eq!(count("recall@10 of each source"), 1);
    if let Some(bins) = report["calibration"].as_array() {
        assert!(bins.len() <= 10 && count("Ten bins") == 1);
        for bin in bins {
            has(&format!("{:.4}", bin["said"].as_f64().unwrap()));
        }
    }
}

fn of<'a>(
    page: &'a roxmltree::Document<'a>,
    tag: &'static str,
) -> impl Iterator<Item = roxmltree::Node<'a, 'a>> {
    let is_it = move |node: &roxmltree::Node<'_, '_>| node.tag_name().name() == tag;
    page.descendants().filter(is_it)
}

#[test]
fn files_keep_their_contract() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    simulate(folder);
    // the last month of purchases is the truth, the rest is history
    let mut reader = csv::Reader::from_path(folder.join("files/events.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let column = |name: &str| head.iter().position(|own| own == name).unwrap();
    let [kind, time, customer, product] =
        ["event_type", "timestamp", "customer_id", "product_id"].map(column);
    let mut events = csv::Writer::from_path(folder.join("events.csv")).unwrap();
    let mut truth = csv::Writer::from_path(folder.join("truth.csv")).unwrap();
    events.write_record(&head).unwrap();
    truth
        .write_record(["case_id", "customer_id", "timestamp", "product_id"])
        .unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for row in reader.records() {
        let row = row.unwrap();
        if row[time] < *"2026-06-01" {
            events.write_record(&row).unwrap();
        } else if &row[kind] == "purchase"
            && !row[customer].is_empty()
            && seen.insert((row[customer].to_owned(), row[product].to_owned()))
        {
            let who = &row[customer];
            truth
                .write_record([who, who, "2026-06-01", &row[product]])
                .unwrap();
        }
    }
    events.flush().unwrap();
    truth.flush().unwrap();
    let arguments = [
        "evaluate",
        "--events",
        "events.csv",
        "--truth",
        "truth.csv",
        "--products",
        "files/products.csv",
        "-k",
        "5,10",
        "--json",
    ];
    let report = json(&run(folder, &arguments));
    let cases: std::collections::BTreeSet<_> = seen.iter().map(|(who, _)| who).collect();
    assert_eq!(report["cases"], cases.len());
    hangs_together(&report);
    let methods: Vec<&String> = report["methods"].as_object().unwrap().keys().collect();
    assert_eq!(methods.len(), 4);
    for name in [
        "recall",
        "ndcg",
        "hit_rate",
        "mrr",
        "repeat_recall",
        "explore_recall",
        "coverage",
        "novelty",
        "categories",
    ] {
        for k in [5, 10] {
            assert!(report["methods"]["nextbest"][format!("{name}@{k}")].is_f64());
        }
    }
    for key in ["fit_seconds", "answer_ms", "model_live", "refusal"] {
        assert!(!report[key].is_null(), "{key}");
    }
}
