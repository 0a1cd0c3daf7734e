//! The arrows and the manners of the source, held by a test over its text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rules;
mod source;

use rules::{RULES, broken};
use source::{File, paths, tracked, without_text};

#[test]
fn the_source_keeps_the_rules() {
    let files = tracked();
    let layers = [
        "domain",
        "algorithms",
        "state",
        "store",
        "application",
        "cli",
    ];
    for layer in layers {
        let is_there = files.iter().any(|f| f.is_product() && f.layer() == layer);
        assert!(is_there, "no file of {layer} was found");
    }
    let messages: Vec<String> = broken(&files).into_iter().map(|b| b.message).collect();
    assert!(
        messages.is_empty(),
        "{} broken rules:\n{}",
        messages.len(),
        messages.join("\n")
    );
}

/// The rules that one made-up file breaks.
fn breaks(path: &str, text: &str) -> Vec<&'static str> {
    let text = format!("//! Made up.\n{text}");
    let mut rules: Vec<_> = broken(&[File::new(path, &text)])
        .into_iter()
        .map(|broken| broken.rule)
        .collect();
    rules.dedup();
    rules
}

#[test]
fn every_rule_can_fail() {
    let home = format!("the folder /{}", "home/me");
    let wide = format!("// {}", "x".repeat(120));
    let long = "// line\n".repeat(700);
    let cases: &[(&str, &str, &str)] = &[
        ("arrows", "src/domain/money.rs", "use crate::state::State;"),
        (
            "arrows",
            "src/algorithms/top.rs",
            "use crate::{domain::Event, state::State};",
        ),
        ("arrows", "src/algorithms.rs", "use super::store::Journal;"),
        (
            "arrows",
            "src/store/codec.rs",
            "fn f() { super::super::application::go(); }",
        ),
        (
            "arrows",
            "src/state.rs",
            "fn f() { let x = crate::application::shop::Shop; }",
        ),
        (
            "arrows",
            "src/transport/grpc.rs",
            "use crate::store::Journal;",
        ),
        (
            "arrows",
            "src/application/shop.rs",
            "use crate::config::Settings;",
        ),
        (
            "arrows",
            "src/simulation/dice.rs",
            "use crate::state::State;",
        ),
        (
            "arrows",
            "src/main.rs",
            "fn main() { nextbest::server::run() }",
        ),
        ("arrows", "src/novelty.rs", "fn f() {}"),
        ("crates", "src/application/shop.rs", "use tonic::Status;"),
        ("crates", "src/transport/csv.rs", "use sled;"),
        ("crates", "src/state.rs", "type A = ndarray::Array1<f32>;"),
        (
            "crates",
            "src/application/train.rs",
            "use linfa_logistic::LogisticRegression as L;",
        ),
        (
            "crates",
            "src/server.rs",
            "fn f() -> anyhow::Result<()> { Ok(()) }",
        ),
        (
            "crates",
            "src/application/a.rs",
            "use prost_types::Timestamp;",
        ),
        (
            "crates",
            "src/domain/a.rs",
            "use {cel::Program, serde::Serialize};",
        ),
        ("crates", "src/store/a.rs", "use csv::Reader;"),
        ("crates", "src/store/a.rs", "use flate2::Compression;"),
        ("crates", "src/transport/a.rs", "use clap::Parser;"),
        ("crates", "src/server.rs", "use indicatif::ProgressBar;"),
        ("crates", "src/application/a.rs", "use sprs::CsMat;"),
        (
            "purity",
            "src/domain/time.rs",
            "use std::time::{Duration, SystemTime};",
        ),
        (
            "purity",
            "src/state/people.rs",
            "fn f() { std::time::Instant::now(); }",
        ),
        ("purity", "src/algorithms/ranker.rs", "use rand::Rng;"),
        (
            "purity",
            "src/algorithms/ranker.rs",
            "use {std::fs, std::fmt};",
        ),
        (
            "purity",
            "src/domain/a.rs",
            "fn f() { std::env::var(\"A\"); std::net::lookup(); }",
        ),
        ("purity", "src/state.rs", "use std::{env, fmt};"),
        ("purity", "src/state.rs", "use tokio::sync::Mutex;"),
        ("purity", "src/state.rs", "fn f() { println!(\"loud\"); }"),
        (
            "unwrap",
            "src/store/codec.rs",
            "fn f() { Some(1).unwrap(); }",
        ),
        ("unfinished", "src/cli/serve.rs", "fn f() { todo!() }"),
        (
            "unfinished",
            "tests/it/a.rs",
            "fn f() { unimplemented!(\"later\") }",
        ),
        ("length", "src/store/codec.rs", &long),
        ("width", "tests/it/a.rs", &wide),
        ("mod.rs", "src/store/mod.rs", ""),
        ("names", "src/store/utils.rs", ""),
        ("names", "tests/it/common/a.rs", ""),
        ("names", "src/store.rs", "mod test_helpers { fn f() {} }"),
        ("machine paths", "docs/operations.md", &home),
    ];
    for (rule, path, text) in cases {
        assert_eq!(breaks(path, text), [*rule], "{path}: {text}");
    }
    let headless = broken(&[File::new("src/domain/a.rs", "use std::fmt;\n")]);
    assert_eq!(headless[0].rule, "opening");
    for (rule, _, _) in RULES {
        let is_tried = cases.iter().any(|case| case.0 == *rule) || *rule == "opening";
        assert!(is_tried, "nothing shows that {rule} can fail");
    }
}

#[test]
fn what_is_allowed_breaks_no_rule() {
    let home = format!(
        "https://example.org/{0} and src/{0} and ./{0}/x and /{0}-page",
        "home"
    );
    let cases: &[(&str, &str)] = &[
        (
            "src/state/people.rs",
            "use crate::domain::Event;\nuse super::subjects::Subject;",
        ),
        (
            "src/domain.rs",
            "#[cfg(test)]\nmod tests { use super::*; fn f() { g().unwrap() } }",
        ),
        (
            "src/state.rs",
            "/// As [`crate::application`] says: `x.unwrap()`, println!\nfn f() {}",
        ),
        (
            "src/state.rs",
            "const A: &str = \"crate::store::x.unwrap() todo!\"; const B: char = '\"';",
        ),
        (
            "src/state.rs",
            "const A: &str = r#\"use tonic::x; \"todo!\" \"#; fn f<'a>(_: &'a str) {}",
        ),
        (
            "src/store/codec.rs",
            "use prost::Message as _;\nuse crate::proto::journal::Record;",
        ),
        (
            "src/store/tabled.rs",
            "fn f() { self::csv::read(); x.csv(); tabled_csv::y(); }",
        ),
        (
            "src/application/shop.rs",
            "use std::time::SystemTime;\nuse tokio::sync::watch;",
        ),
        (
            "src/cli.rs",
            "fn f() -> anyhow::Result<()> { println!(\"done\"); Ok(()) }",
        ),
        ("src/domain/time.rs", "use std::time::Duration;"),
        (
            "tests/it/a.rs",
            "fn f() { nextbest::store::open().unwrap(); }",
        ),
        ("docs/a.md", &home),
    ];
    for (path, text) in cases {
        assert_eq!(breaks(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn code_is_read_as_code() {
    let source = "let a = \"// no\\\"\"; // b\n/* c /* d */ e */ f('\\'', 'x', b\"g\");";
    let code = without_text(source);
    assert_eq!(code.split_whitespace().collect::<String>(), "leta=;f(,,b);");
    assert_eq!(code.lines().count(), 2);
    let named = |code: &str| -> Vec<String> {
        let paths = paths(code);
        paths.iter().map(|named| named.parts.join("::")).collect()
    };
    assert_eq!(
        named("use a::{b, c::{d, e as f}, self}; use g; h::i(j.k::<l::m>());"),
        ["a::b", "a::c::d", "a::c::e", "a::self", "g", "h::i", "l::m"]
    );
    assert_eq!(named("use {a::b, c};"), ["a::b", "c"]);
}
