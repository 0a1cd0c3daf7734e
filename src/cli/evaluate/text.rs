//! What came of an evaluation, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::train::{comparisons, figures};
use crate::algorithms::bootstrap::Interval;
use crate::application::evaluate::{Difference, Report};
use crate::application::train::{FigureTable, GateComparison};

/// Figures a method a line; differences and stages for lists of length `k`.
pub(super) fn to_text(report: &Report, k: usize) -> String {
    let mut text = format!(
        "{} cases; fitted in {:.1} s; one answer takes {:.3} ms (p50), {:.3} ms (p99)\n",
        report.cases, report.fit_seconds, report.answer_ms.0, report.answer_ms.1
    );
    if !report.refusal.is_empty() {
        let refusal = &report.refusal;
        text.push_str(&format!("no model was good enough to go live: {refusal}\n"));
    }
    for trial in report.tuned.trials.iter().filter(|trial| trial.chosen) {
        text.push_str(&format!(
            "tuned: {} = {} (ndcg@20 {:.4})\n",
            trial.setting, trial.value, trial.ndcg
        ));
    }
    text.push_str(&figures(&report.figures.0));
    text.push_str("\ndifference of nextbest to (95 % interval)\n");
    let wanted = ["recall", "ndcg"].map(|name| format!("{name}@{k}"));
    for difference in &report.differences {
        if wanted.contains(&difference.figure) {
            let Interval { mean, low, high } = difference.interval;
            let (baseline, figure) = (&difference.baseline, &difference.figure);
            text.push_str(&format!(
                "{baseline:20}{figure:>12}{mean:>+10.4} ({low:+.4} to {high:+.4})\n"
            ));
        }
    }
    text.push_str(&stages(report, &wanted));
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
    }
    text
}

/// A stage a line: cases, and of each method each of the wanted figures.
fn stages(report: &Report, wanted: &[String]) -> String {
    let mut text = String::new();
    let methods = || {
        let names = report.figures.0.iter().map(|(name, _)| name.as_str());
        names.filter(|name| is_method(name))
    };
    for figure in wanted {
        let _ = write!(text, "\n{figure:16}{:>8}", "cases");
        methods().for_each(|name| text.push_str(&format!("{name:>20}")));
        text.push('\n');
        for stage in &report.stages {
            let _ = write!(text, "{:16}{:>8}", stage.stage, stage.cases);
            for name in methods() {
                let figure = stage.figures.figure(name, figure);
                text.push_str(&format!("{figure:>20.4}"));
            }
            text.push('\n');
        }
    }
    text
}

/// True for what answers; false for a part of it that is judged alone (`source:…`, `candidates:…`).
pub(super) fn is_method(name: &str) -> bool {
    !name.contains(':')
}

pub(super) fn to_json(report: &Report) -> Value {
    let stages = report.stages.iter().map(|stage| {
        let value = json!({
            "cases": stage.cases,
            "calibration_error": stage.calibration_error,
            "methods": methods(&stage.figures),
            "differences": differences(&stage.differences),
        });
        (stage.stage.clone(), value)
    });
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
        "calibration_error": calibration.map(|calibration| calibration.error),
        "calibration": calibration.map(bins),
        "training": training.map(|training| json!({
            "questions": training.questions,
            "held_back": training.held_back,
            "calibration_error": training.calibration_error,
            "gate": training.gate.iter().map(comparison).collect::<Vec<Value>>(),
        })),
    })
}

fn methods(figures: &FigureTable) -> Map<String, Value> {
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
fn differences(differences: &[Difference]) -> Map<String, Value> {
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
