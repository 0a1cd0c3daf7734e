//! `nextbest evaluate --offers`: how well would the offers of a campaign have been ranked for each customer?

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::train::figures;
use super::Args;
use super::files::OfferFiles;
use super::text::{differences, methods, of_differences};
use crate::application::evaluate::{OfferReport, OfferSettings, evaluate_offers};
use crate::application::recipes::Recipes;
use crate::application::shop::Clock;
use crate::config::Settings;
use crate::server::fold_settings;

/// Evaluates and prints.
pub(super) fn run(
    args: &Args,
    offers: &Path,
    recipes: &Recipes,
    settings: &Settings,
    ks: &[usize],
) -> anyhow::Result<ExitCode> {
    let events = args.events.as_deref().context("--offers needs --events")?;
    let truth = args.truth.as_deref().context("--offers needs --truth")?;
    let now = Clock::system().now();
    let offers = (offers, &recipes.journey);
    let files = OfferFiles::read(events, truth, args.products.as_deref(), offers, now)?;
    let offer_settings = OfferSettings {
        fold: &fold_settings(recipes, settings),
        ks,
        seed: settings.training.seed,
    };
    let report = evaluate_offers(&files.history, &files.cases, &offer_settings)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_json(&report))?;
    } else {
        write!(out, "{}", to_text(&report, ks[0]))?;
    }
    if files.refused > 0 {
        eprintln!("{} rows could not be read and do not count", files.refused);
    }
    Ok(ExitCode::SUCCESS)
}

/// Figures a method a line; differences for lists of length `k`.
fn to_text(report: &OfferReport, k: usize) -> String {
    let mut text = format!(
        "{} cases; fitted in {:.1} s; one answer takes {:.3} ms (p50), {:.3} ms (p99)\n",
        report.cases, report.fit_seconds, report.answer_ms.0, report.answer_ms.1
    );
    let early = report.cases - report.learned;
    if early > 0 {
        let _ = writeln!(
            text,
            "{early} cases came before there was enough to learn from; own purchases of products and types answered"
        );
    }
    if report.without_offers > 0 {
        let _ = writeln!(
            text,
            "{} cases are of campaigns without offers and count as misses",
            report.without_offers
        );
    }
    if report.strangers > 0 {
        let _ = writeln!(
            text,
            "{} offers of the truth are not in their campaign and count as misses",
            report.strangers
        );
    }
    text.push_str(&figures(&report.figures.0));
    let wanted = ["recall", "ndcg"].map(|name| format!("{name}@{k}"));
    text.push_str(&of_differences(&report.differences, &wanted));
    text
}

fn to_json(report: &OfferReport) -> Value {
    json!({
        "cases": report.cases,
        "first_case": report.span.map(|(first, _)| first.to_string()),
        "last_case": report.span.map(|(_, last)| last.to_string()),
        "learned": report.learned,
        "without_offers": report.without_offers,
        "truth_outside_campaign": report.strangers,
        "fit_seconds": report.fit_seconds,
        "answer_ms": {"p50": report.answer_ms.0, "p99": report.answer_ms.1},
        "methods": methods(&report.figures),
        "differences": differences(&report.differences),
    })
}
