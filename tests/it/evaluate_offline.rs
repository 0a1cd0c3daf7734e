//! `nextbest evaluate-policy` and `evaluate-uplift` as the real program: figures of a public log against independent
//! ones, files that are wrong, reports.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(output: &Output, text: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(text), "{text}: {errors}");
}

/// A number below 1 that depends on both.
fn dice(row: u64, purpose: u64) -> f64 {
    let mut z = (row * 31 + purpose).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// A log of a policy that shows a, b or c with chances 0.5, 0.3 and 0.2; they earn 0.1, 0.2 and 0.4.
fn policy_log(rows: u64) -> String {
    let mut text = String::from("context_city,action,position,propensity,reward,note\n");
    for row in 0..rows {
        let draw = dice(row, 1);
        let (action, propensity, chance) = match draw {
            draw if draw < 0.5 => ("a", 0.5, 0.1),
            draw if draw < 0.8 => ("b", 0.3, 0.2),
            _ => ("c", 0.2, 0.4),
        };
        let reward = u8::from(dice(row, 2) < chance);
        writeln!(
            text,
            "city{},{action},{},{propensity},{reward},x",
            row % 4,
            1 + row % 2
        )
        .unwrap();
    }
    text
}

/// What the independent implementation found for the public log: market, log and target, how the target is said, then
/// IPS, clipped IPS, SNIPS, effective rows, the relative error of DR, the truth.
type Reference = (
    &'static str,
    &'static str,
    &'static str,
    bool,
    [f64; 3],
    f64,
    f64,
    f64,
);
const REFERENCES: [Reference; 4] = [
    (
        "men",
        "random",
        "bts",
        true,
        [0.00565, 0.00565, 0.00573],
        2912.0,
        0.171,
        0.0069,
    ),
    (
        "men",
        "bts",
        "random",
        true,
        [0.00301, 0.00301, 0.00319],
        656.0,
        0.300,
        0.0046,
    ),
    (
        "women",
        "random",
        "bts",
        true,
        [0.00579, 0.00579, 0.00582],
        3555.0,
        0.264,
        0.0046,
    ),
    (
        "women",
        "bts",
        "random",
        false,
        [0.00744, 0.00438, 0.00237],
        2.0,
        0.715,
        0.0046,
    ),
];

#[test]
fn figures_of_a_public_log_are_those_of_an_independent_implementation() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/open-bandit");
    if !data.exists() {
        eprintln!("SKIPPED: there is no ../shared/data/open-bandit next to the package");
        return;
    }
    for (market, log, target, is_answered, figures, effective_rows, dr_error, truth) in REFERENCES {
        let path = |policy: &str| data.join(market).join(policy).join("policy_log.csv.gz");
        let (log_path, target_path) = (path(log), path(target));
        let (log_path, target_path) = (log_path.to_str().unwrap(), target_path.to_str().unwrap());
        let mut arguments = vec![
            "evaluate-policy",
            "--json",
            "--bootstrap",
            "500",
            "--log",
            log_path,
        ];
        match target {
            "random" => arguments.push("--target-uniform"),
            _ => arguments.extend(["--target-log", target_path]),
        }
        let report = json(&run(&data, &arguments));
        let what = format!("{market}, {target} from {log}: {report}");
        let value = |method: &str| report["estimates"][method]["value"].as_f64().unwrap();
        for (method, figure) in ["ips", "ips_clipped", "snips"].into_iter().zip(figures) {
            assert!((value(method) - figure).abs() < 0.6e-5, "{method}, {what}");
        }
        let effective = report["weights"]["effective_rows"].as_f64().unwrap();
        assert!((effective - effective_rows).abs() < 0.6, "{what}");
        assert_eq!(report["refused_rows"], 0);
        assert_eq!(report["answer"].is_string(), is_answered, "{what}");
        if is_answered {
            let error = (value("dr") - truth).abs() / truth;
            assert!(error < dr_error + 0.005, "DR is off by {error:.3}; {what}");
            let end = |key: &str| report["estimates"]["dr"][key].as_f64().unwrap();
            assert!(end("low") <= truth && truth <= end("high"), "{what}");
        } else {
            let codes: Vec<_> = report["warnings"]
                .as_array()
                .unwrap()
                .iter()
                .map(|w| &w["code"])
                .collect();
            assert!(
                codes.iter().any(|code| *code == "few_effective_rows"),
                "{what}"
            );
            for (method, estimate) in report["estimates"].as_object().unwrap() {
                assert!(
                    method == "naive" || estimate["use"] == "no",
                    "{method}, {what}"
                );
            }
        }
        assert_eq!(report["estimates"]["dm"]["leaves_out_model_error"], true);
    }
}

/// A page that is XML, refers to nothing outside and holds these words.
fn well_reported(path: &PathBuf, words: &[&str]) {
    let page = std::fs::read_to_string(path).unwrap();
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let tree = roxmltree::Document::parse(body).unwrap();
    assert!(
        tree.descendants()
            .any(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", "svg")))
    );
    assert!(!page.contains("href=") && !page.contains("src="));
    let text: String = tree.descendants().filter_map(|node| node.text()).collect();
    for word in words {
        assert!(text.contains(word), "{word} is missing");
    }
}

#[test]
fn a_policy_is_judged_from_files() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("log.csv"), policy_log(4_000)).unwrap();
    // the target shows c only: smoothed by one, 0.998
    let target: String = (0..1_000)
        .map(|row| format!("c,{}\n", 1 + row % 2))
        .collect();
    std::fs::write(
        folder.join("target.csv"),
        format!("action,position\n{target}"),
    )
    .unwrap();
    let asked = [
        "evaluate-policy",
        "--log",
        "log.csv",
        "--target-log",
        "target.csv",
    ];
    let with = |more: &[&'static str]| run(folder, &[&asked[..], more].concat());
    let report = json(&with(&["--json", "--report", "<b>.html"]));
    let dr = &report["estimates"]["dr"];
    let [value, low, high] = ["value", "low", "high"].map(|key| dr[key].as_f64().unwrap());
    assert!(
        low < 0.4 && 0.4 < high && (value - 0.4).abs() < 0.06,
        "{dr}"
    );
    assert!(
        dr["gain_low"].as_f64().unwrap() > 0.0 && dr["use"] == "yes",
        "{report}"
    );
    assert_eq!(
        (&report["answer"], &report["use"]),
        (&Value::from("dr"), &Value::from("yes"))
    );
    assert_eq!(report["ignored_columns"], Value::from(vec!["note"]));
    assert_eq!(report["not_computed"], Value::from(Vec::<String>::new()));
    assert_eq!(
        json(&with(&["--json"])),
        report,
        "the same log, the same figures"
    );
    assert_ne!(
        json(&with(&["--json", "--seed", "8"]))["estimates"],
        report["estimates"]
    );
    let text = String::from_utf8(with(&[]).stdout).unwrap();
    for part in [
        "By DR the policy would earn",
        "more than the policy of the log earned",
        "columns that nobody reads: note",
        "leaves out the error of the reward model",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    well_reported(
        &folder.join("<b>.html"),
        &[
            "By DR the policy would earn",
            "<b>.html",
            "model error left out",
        ],
    );

    fails(&with(&["--clip", "0"]), "--clip");
    fails(&with(&["--bootstrap", "99"]), "from 100 to 20000");
    fails(
        &with(&["--report", "nowhere/report.html"]),
        "cannot be written there",
    );
    fails(
        &run(folder, &asked[..3]),
        "nothing says what the judged policy would show",
    );
    assert_eq!(with(&["--target-uniform"]).status.code(), Some(2));
}

#[test]
fn wrong_policy_logs_are_refused_with_line_and_column() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let asked = |text: &[u8], more: &[&str]| {
        std::fs::write(folder.join("log.csv"), text).unwrap();
        run(
            folder,
            &[&["evaluate-policy", "--json", "--log", "log.csv"], more].concat(),
        )
    };
    fails(&asked(b"", &["--target-uniform"]), "is empty");
    let header = "action,position,propensity,reward\n";
    fails(
        &asked(header.as_bytes(), &["--target-uniform"]),
        "no decision that can be judged",
    );
    fails(
        &asked(b"action,reward\nx,1\n", &["--target-uniform"]),
        "propensity is missing",
    );
    let one = format!("{header}x,1,0.5,1\n");
    let report = json(&asked(one.as_bytes(), &["--target-uniform"]));
    assert_eq!(
        (&report["rows"], &report["use"], &report["answer"]),
        (&1.into(), &"no".into(), &Value::Null)
    );
    // bytes that are no text, propensities that are none: counted, the others stay
    let mut text = policy_log(500).into_bytes();
    text.extend(b"city1,\xff,1,0.5,1,x\ncity1,a,1,0,1,x\ncity1,a,1,nan,1,x\ncity1,a,1,1.5,1,x\ncity1,a,1,0.5,inf,x\n");
    let output = asked(&text, &["--target-uniform"]);
    assert_eq!(json(&output)["refused_rows"], 5);
    let errors = String::from_utf8(output.stderr).unwrap();
    for line in [
        "log.csv:502: action: bytes that are not UTF-8",
        "log.csv:503: propensity: must be at least 1e-9 and at most 1",
        "log.csv:504: propensity: not a number",
        "log.csv:505: propensity: must be",
        "log.csv:506: reward: must be",
        "5 rows could not be read and do not count",
    ] {
        assert!(errors.contains(line), "{line}: {errors}");
    }
    // a target in the log, and one beside it
    let own = "action,propensity,reward,target_probability\nx,0.5,1,0.5\n";
    fails(
        &asked(own.as_bytes(), &["--target-uniform"]),
        "give one of them",
    );
    // packed, with chances that depend on the context: no DR
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut lines = policy_log(1_000);
    lines = lines
        .lines()
        .enumerate()
        .fold(String::new(), |mut text, (place, line)| {
            let chance = if place % 3 == 0 { "0.2" } else { "0.4" };
            let cell = if place == 0 {
                "target_probability"
            } else {
                chance
            };
            writeln!(text, "{line},{cell}").unwrap();
            text
        });
    packed.write_all(lines.as_bytes()).unwrap();
    std::fs::write(folder.join("log.csv.gz"), packed.finish().unwrap()).unwrap();
    let report = json(&run(
        folder,
        &["evaluate-policy", "--json", "--log", "log.csv.gz"],
    ));
    assert_eq!(
        report["not_computed"],
        Value::from(vec!["dm", "dr", "dr_clipped"])
    );
    assert_eq!(
        (&report["answer"], &report["model"]),
        (&Value::from("snips"), &Value::Null)
    );
}

/// A trial in which a mail gives those above 50 a chance of 0.5 instead of 0.2, and a call nobody.
fn uplift_log(rows: u64, effect: f64) -> String {
    let mut text = String::from("treatment,outcome,value,age,city,customer_id\n");
    for row in 0..rows {
        let age = 20.0 + 60.0 * dice(row, 11);
        let arm = ["none", "mail", "call"][(3.0 * dice(row, 12)) as usize];
        let chance = if arm == "mail" && age > 50.0 {
            0.2 + effect
        } else {
            0.2
        };
        let outcome = u8::from(dice(row, 13) < chance);
        let value = if outcome == 1 {
            format!("{age:.0}")
        } else {
            String::new()
        };
        writeln!(
            text,
            "{arm},{outcome},{value},{age:.1},city{},c{row}",
            row % 3
        )
        .unwrap();
    }
    text
}

#[test]
fn an_uplift_is_judged_from_a_file() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("log.csv"), uplift_log(6_000, 0.3)).unwrap();
    let asked = ["evaluate-uplift", "--log", "log.csv", "--bootstrap", "200"];
    let with = |more: &[&'static str]| run(folder, &[&asked[..], more].concat());
    let report = json(&with(&["--json", "--report", "uplift.html"]));
    let arms = report["arms"].as_array().unwrap();
    let arm = |name: &str| arms.iter().find(|arm| arm["arm"] == name).unwrap();
    let (mail, call) = (arm("mail"), arm("call"));
    assert_eq!(
        (&mail["effect_is_told"], &mail["order_is_told"]),
        (&true.into(), &true.into()),
        "{mail}"
    );
    assert_eq!(
        (&call["effect_is_told"], &call["order_is_told"]),
        (&false.into(), &false.into()),
        "{call}"
    );
    let learned = &mail["s_learner"];
    for what in ["outcome", "value"] {
        assert!(
            learned[what]["qini"]["low"].as_f64().unwrap() > 0.0,
            "{what}"
        );
        let curve = learned[what]["curve"].as_array().unwrap();
        assert_eq!(curve.len(), 101);
        assert_eq!(
            (&curve[0]["share"], &curve[100]["share"]),
            (&0.0.into(), &1.0.into())
        );
    }
    let at = |share: &str| {
        learned["outcome"][format!("uplift@{share}%")]["value"]
            .as_f64()
            .unwrap()
    };
    assert!(
        at("10") > 0.15 && at("30") > 0.15 && at("50") > 0.15,
        "{learned}"
    );
    let id = report["features"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["name"] == "customer_id")
        .unwrap();
    assert_eq!(
        (&id["kind"], &id["used"]),
        (&"category".into(), &false.into())
    );
    assert_eq!(json(&with(&["--json"])), report);
    well_reported(
        &folder.join("uplift.html"),
        &["any order", "S-learner", "call: no effect can be told"],
    );
    let text = String::from_utf8(with(&[]).stdout).unwrap();
    for part in [
        "Qini",
        "uplift@30%",
        "call: no effect can be told",
        "rows have no value; it counts as 0",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }

    std::fs::write(folder.join("log.csv"), uplift_log(3_000, 0.0)).unwrap();
    let report = json(&with(&["--json"]));
    assert_eq!(
        (
            &report["all"]["effect_is_told"],
            &report["all"]["order_is_told"]
        ),
        (&false.into(), &false.into())
    );
    let qini = &report["all"]["s_learner"]["outcome"]["qini"];
    assert!(
        qini["low"].as_f64().unwrap() <= 0.0 && 0.0 <= qini["high"].as_f64().unwrap(),
        "{qini}"
    );
    let text = String::from_utf8(with(&[]).stdout).unwrap();
    assert!(
        text.contains("all treated: no effect can be told"),
        "{text}"
    );
}

#[test]
fn wrong_uplift_logs_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let asked = |text: &[u8]| {
        std::fs::write(folder.join("log.csv"), text).unwrap();
        run(folder, &["evaluate-uplift", "--log", "log.csv", "--json"])
    };
    fails(&asked(b""), "is empty");
    fails(&asked(b"treatment,outcome\n"), "no row that can be judged");
    fails(&asked(b"treatment,y\n1,1\n"), "outcome is missing");
    fails(
        &asked(b"treatment,outcome\n1,1\n1,0\n"),
        "every row was treated",
    );
    fails(
        &asked(b"treatment,outcome\n0,1\nnone,0\n"),
        "no row was treated",
    );
    let output = asked(b"treatment,outcome,f\n0,0,1\n1,1,2\n\xff,1,2\n,1,2\n1,nan,2\n1,1,inf\n");
    assert_eq!(json(&output)["refused_rows"], 4);
    let errors = String::from_utf8(output.stderr).unwrap();
    for line in [
        "log.csv:4: treatment: bytes",
        "log.csv:5: treatment:",
        "log.csv:6: outcome:",
        "log.csv:7: f:",
    ] {
        assert!(errors.contains(line), "{line}: {errors}");
    }
    // nobody responds: nothing is told
    let rows: String = (0..400)
        .map(|row| format!("{},0,{}\n", row % 2, row % 7))
        .collect();
    let report = json(&asked(format!("treatment,outcome,f\n{rows}").as_bytes()));
    assert_eq!(report["all"]["effect_is_told"], false);
    assert_eq!(report["all"]["s_learner"], Value::Null);
    assert_eq!(report["warnings"][0]["code"], "no_outcome");
}
