//! What came of an evaluation, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::train::{comparisons, figures, journey};
use super::Outcome;
use crate::algorithms::bootstrap::Interval;
use crate::application::evaluate::{Difference, DueFigures, DueReport, LiveReport, PartReport};
use crate::application::train::{FigureTable, GateComparison};

/// Figures a method a line; differences and stages for lists of length `k`.
pub(super) fn to_text(outcome: &Outcome, k: usize) -> String {
    let report = &outcome.report;
    let mut text = format!(
        "{} cases; fitted in {:.1} s; one answer takes {:.3} ms (p50), {:.3} ms (p99)\n",
        report.cases, report.fit_seconds, report.answer_ms.0, report.answer_ms.1
    );
    if !outcome.without.is_empty() {
        text.push_str(&format!("without: {}\n", outcome.without.join(", ")));
    }
    if !report.refusal.is_empty() {
        let refusal = &report.refusal;
        text.push_str(&format!("no model was good enough to go live: {refusal}\n"));
    }
    if let Some(live) = &report.live {
        let LiveReport {
            id,
            learned_until,
            cases,
        } = live;
        text.push_str(&format!(
            "live: {id}, learned until {learned_until}; {cases} of the cases are later, and judge it\n"
        ));
    }
    for trial in report.tuned.trials.iter().filter(|trial| trial.chosen) {
        text.push_str(&format!(
            "tuned: {} = {} ({} {:.4})\n",
            trial.setting, trial.value, trial.metric, trial.figure
        ));
    }
    text.push_str(&figures(&report.figures.0));
    let wanted = ["recall", "ndcg"].map(|name| format!("{name}@{k}"));
    text.push_str(&of_differences(&report.differences, &wanted));
    let names: Vec<&str> = report
        .figures
        .0
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    text.push_str(&parts("", &report.stages, &names, &wanted));
    if let Some(column) = &outcome.by {
        text.push_str(&parts(column, &report.groups, &names, &wanted));
    }
    if let Some(due) = &outcome.due {
        text.push_str(&of_due(due));
    }
    if let Some(calibration) = &report.calibration {
        text.push_str(&format!(
            "\nexpected calibration error of what was answered: {:.4}\n",
            calibration.error
        ));
    }
    if let Some(training) = &report.training {
        text.push_str(&format!(
            "expected calibration error when it was calibrated: {:.4}\n\nthe gate, on {} questions held back:\n{}",
            training.calibration_error,
            training.held_back,
            comparisons(&training.gate)
        ));
        text.push_str(&journey(&training.journey));
    }
    text
}

/// A line for each difference in one of the wanted figures.
pub(super) fn of_differences(differences: &[Difference], wanted: &[String]) -> String {
    let mut text = "\ndifference of nextbest to (95 % interval)\n".to_owned();
    for difference in differences {
        if wanted.contains(&difference.figure) {
            let Interval { mean, low, high } = difference.interval;
            let (baseline, figure) = (&difference.baseline, &difference.figure);
            text.push_str(&format!(
                "{baseline:20}{figure:>12}{mean:>+10.4} ({low:+.4} to {high:+.4})\n"
            ));
        }
    }
    text
}

/// A stage or group a line: cases, and of each method each of the wanted figures. `by` says what groups are of.
fn parts(by: &str, parts: &[PartReport], names: &[&str], wanted: &[String]) -> String {
    let mut text = String::new();
    let methods = || names.iter().filter(|name| is_method(name));
    let width = parts.iter().map(|part| part.name.chars().count()).max();
    let width = width.unwrap_or(0).max(15) + 1;
    for figure in wanted {
        if by.is_empty() {
            let _ = write!(text, "\n{figure:width$}{:>8}", "cases");
        } else {
            let _ = write!(text, "\n{figure} by {by}\n{:width$}{:>8}", "", "cases");
        }
        methods().for_each(|name| text.push_str(&format!("{name:>20}")));
        text.push('\n');
        for part in parts {
            let _ = write!(text, "{:width$}{:>8}", part.name, part.cases);
            for name in methods() {
                match part.figures.find(name, figure) {
                    Some(figure) => text.push_str(&format!("{figure:>20.4}")),
                    None => text.push_str(&format!("{:>20}", "-")),
                }
            }
            text.push('\n');
        }
    }
    text
}

/// How well what is due is found.
fn of_due(due: &DueReport) -> String {
    let mut text = format!(
        "\ndue within {} days, at {} moments{:>12}{:>12}{:>12}\n",
        due.within_days, due.moments, "pairs", "truly due", "AUC"
    );
    for (name, figures) in due_parts(due) {
        let auc = figures
            .auc
            .map_or("-".to_owned(), |auc| format!("{auc:.4}"));
        let DueFigures { pairs, due, .. } = figures;
        let _ = writeln!(text, "{name:34}{pairs:>12}{due:>12}{auc:>12}");
    }
    text
}

/// The parts of the pairs, by name.
pub(super) fn due_parts(due: &DueReport) -> [(&'static str, DueFigures); 3] {
    [
        ("all", due.all),
        ("bought once", due.once),
        ("bought again", due.again),
    ]
}

/// True for what answers; false for a part of it that is judged alone (`source:…`, `candidates:…`).
pub(super) fn is_method(name: &str) -> bool {
    !name.contains(':')
}

pub(super) fn to_json(outcome: &Outcome) -> Value {
    let report = &outcome.report;
    let stages = report.stages.iter().map(|stage| {
        let mut value = part(stage);
        value["calibration_error"] = json!(stage.calibration_error);
        (stage.name.clone(), value)
    });
    let groups = report
        .groups
        .iter()
        .map(|group| (group.name.clone(), part(group)));
    let groups: Map<String, Value> = groups.collect();
    let bins = |calibration: &crate::application::evaluate::Calibrated| -> Vec<Value> {
        let bins = calibration.bins.iter();
        bins.map(|bin| json!({"said": bin.said, "came": bin.came, "products": bin.count}))
            .collect()
    };
    let calibration = report.calibration.as_ref();
    let training = report.training.as_ref();
    json!({
        "cases": report.cases,
        "first_case": report.span.map(|(first, _)| first.to_string()),
        "last_case": report.span.map(|(_, last)| last.to_string()),
        "fit_seconds": report.fit_seconds,
        "answer_ms": {"p50": report.answer_ms.0, "p99": report.answer_ms.1},
        "model_live": report.refusal.is_empty(),
        "refusal": report.refusal,
        "tuning": {"trials": report.tuned.trials, "skipped": report.tuned.skipped},
        "methods": methods(&report.figures),
        "differences": differences(&report.differences),
        "stages": stages.collect::<Map<String, Value>>(),
        "by": outcome.by.as_ref().map(|column| json!({"trait": column, "groups": groups})),
        "due": outcome.due.as_ref().map(due),
        "live": report.live.as_ref().map(|live| json!({
            "revision": live.id,
            "learned_until": live.learned_until.to_string(),
            "cases": live.cases,
        })),
        "without": outcome.without,
        "calibration_error": calibration.map(|calibration| calibration.error),
        "calibration": calibration.map(bins),
        "training": training.map(|training| json!({
            "questions": training.questions,
            "held_back": training.held_back,
            "calibration_error": training.calibration_error,
            "gate": training.gate.iter().map(comparison).collect::<Vec<Value>>(),
            "next_stage": training.journey,
        })),
    })
}

fn part(part: &PartReport) -> Value {
    json!({
        "cases": part.cases,
        "methods": methods(&part.figures),
        "differences": differences(&part.differences),
    })
}

fn due(due: &DueReport) -> Value {
    let figures = |figures: DueFigures| json!({"pairs": figures.pairs, "due": figures.due, "auc": figures.auc});
    json!({
        "within_days": due.within_days,
        "moments": due.moments,
        "all": figures(due.all),
        "bought_once": figures(due.once),
        "bought_again": figures(due.again),
    })
}

pub(super) fn methods(figures: &FigureTable) -> Map<String, Value> {
    let methods = figures.0.iter().map(|(method, figures)| {
        let figures = figures.iter();
        let figures: Map<String, Value> = figures
            .map(|(name, figure)| (name.clone(), json!(figure)))
            .collect();
        (method.clone(), Value::Object(figures))
    });
    methods.collect()
}

/// By baseline, by figure.
pub(super) fn differences(differences: &[Difference]) -> Map<String, Value> {
    let mut by_baseline = Map::new();
    for difference in differences {
        let Interval { mean, low, high } = difference.interval;
        let of_baseline = by_baseline
            .entry(difference.baseline.clone())
            .or_insert_with(|| json!({}));
        of_baseline[&difference.figure] = json!({"difference": mean, "low": low, "high": high});
    }
    by_baseline
}

fn comparison(comparison: &GateComparison) -> Value {
    json!({
        "stage": comparison.stage,
        "baseline": comparison.baseline,
        "metric": comparison.metric,
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "cases": comparison.cases,
        "verdict": comparison.verdict.as_str(),
    })
}
