//! The journal's own hold-out, judged by the real program as a trial; and its decisions as a log of a policy.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::lab::{Kind, Lab, OFFERS};

const HOLDOUT: &str = "offers.holdout_per_mille=300";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    command.args(arguments).arg("--data").arg(folder);
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

#[test]
fn what_offers_change_is_told_by_those_who_never_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::in_folder(1_000, folder.path(), 300);
    lab.week();
    let close = |lab: Lab| lab.service.close().unwrap();
    close(lab);
    let uplift = ["evaluate-uplift", "--window", "20", "--set", HOLDOUT];
    fails(
        &run(folder.path(), &uplift),
        "no decision about offers came back",
    );

    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::in_folder(1_000, folder.path(), 300);
    for _ in 0..6 {
        lab.week();
    }
    lab.train();
    for _ in 0..3 {
        lab.week();
    }
    close(lab);
    // of the last three weeks, the first two have ended
    let page = folder.path().join("uplift.html");
    let report = ["--json", "--report", page.to_str().unwrap()];
    let judged = json(&run(folder.path(), &[&uplift[..], &report].concat()));
    assert_eq!(judged["decisions"], 2_000);
    assert_eq!(judged["rows"], 1_000);
    let held_out = judged["control_rows"].as_u64().unwrap();
    assert!((240..360).contains(&held_out), "{held_out}");
    assert_eq!(judged["holdout"]["is_lopsided"], false);
    let with_offer = judged["with_offer"].as_u64().unwrap();
    assert!(with_offer > 0 && with_offer <= 2 * (1_000 - held_out));
    // nobody is persuaded beyond the best offer, and whoever is held out buys as with none
    let chances = Kind::ALL.map(Kind::chances);
    let mean = |of: &dyn Fn([f64; 3]) -> f64| chances.map(of).iter().sum::<f64>() / 4.0;
    let none = mean(&|chances| chances[OFFERS.len()]);
    let most = mean(&|chances| chances.into_iter().fold(0.0, f64::max));
    let effect = &judged["all"]["effect"];
    let [control, value, low, high] =
        ["control", "value", "low", "high"].map(|key| effect[key].as_f64().unwrap());
    assert!((control - none).abs() < 0.08, "{control}, {none}");
    assert!(
        low > 0.0 && low < most - none,
        "{value}: {low} to {high}, {}",
        most - none
    );
    assert_eq!(judged["all"]["effect_is_told"], true);
    assert!(judged["all"]["value_effect"]["value"].as_f64().unwrap() > 0.0);
    // features that offers make would tell the sides apart
    let features = judged["features"].as_array().unwrap();
    assert!(features.iter().any(|feature| feature["name"] == "orders"));
    assert!(
        features
            .iter()
            .all(|feature| feature["name"] != "redeemed_offers")
    );
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("never get offers") && page.contains("Qini"),
        "{page}"
    );

    // text, and a hold-out that the decisions contradict
    let other = [
        "evaluate-uplift",
        "--window",
        "20",
        "--set",
        "offers.holdout_per_mille=50",
    ];
    let told = run(folder.path(), &other);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("cannot be compared"), "{told}");
    fails(
        &run(folder.path(), &["evaluate-uplift", "--window", "1000"]),
        "--window 1000",
    );
    let both = ["evaluate-uplift", "--window", "20", "--log", "log.csv"];
    assert_eq!(run(folder.path(), &both).status.code(), Some(2));

    // the same decisions as a log of a policy
    let policy = [
        "evaluate-policy",
        "--window",
        "20",
        "--set",
        HOLDOUT,
        "--json",
    ];
    let judged = json(&run(folder.path(), &policy));
    assert_eq!(
        judged["decisions"].as_u64().unwrap() + judged["held_out"].as_u64().unwrap(),
        2_000
    );
    assert!(judged["policies"]["no_offer"]["estimates"]["dr"]["value"].is_number());
    assert!(judged["policies"]["live"]["estimates"]["dr"]["value"].is_number());
}
