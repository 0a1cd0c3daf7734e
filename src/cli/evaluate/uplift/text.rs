//! What came of the evaluation of a trial, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::judging::{coded, interval, to_know};
use super::Told;
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::response::Kind;
use crate::algorithms::uplift::{Comparison, Effect, FeatureValues, Learned, Ranking, Warning};
use crate::transport::csv::UpliftFile;

/// What a comparison is called for people.
pub(super) fn name(comparison: &Comparison) -> String {
    comparison
        .arm
        .clone()
        .unwrap_or_else(|| "all treated".to_owned())
}

/// All comparisons: all treated, then each arm where there are several.
pub(super) fn comparisons<'a>(told: &'a Told<'_>) -> impl Iterator<Item = &'a Comparison> {
    std::iter::once(&told.report.all).chain(&told.report.arms)
}

/// What the trial was, in a sentence.
pub(super) fn log(told: &Told<'_>) -> String {
    let report = &told.report;
    let refused = told.refused;
    let arms =
        comparisons(told).filter(|comparison| report.arms.is_empty() || comparison.arm.is_some());
    let arms: Vec<String> = arms
        .map(|arm| {
            format!(
                "{} {} ({} with an outcome)",
                arm.rows,
                name(arm),
                arm.responses
            )
        })
        .collect();
    format!(
        "{} rows: {} control ({} with an outcome), {}; {refused} rows refused",
        report.rows,
        report.control_rows,
        report.control_responses,
        arms.join(", ")
    )
}

/// What a comparison comes to, in a sentence.
pub(super) fn finding(comparison: &Comparison) -> String {
    let Interval { mean, low, high } = comparison.effect.difference;
    let name = name(comparison);
    let figures = format!("{mean:+.5}, {low:+.5} to {high:+.5}");
    match (comparison.effect_is_told(), comparison.order_is_told()) {
        (true, true) => format!(
            "{name}: the treatment changes the outcome ({figures}), and the model tells whom it changes more"
        ),
        (true, false) => format!(
            "{name}: the treatment changes the outcome ({figures}), but whom it changes more cannot be told"
        ),
        (false, true) => format!(
            "{name}: on average no effect can be told ({figures}), but the model tells whom it changes more"
        ),
        (false, false) => format!("{name}: no effect can be told ({figures})"),
    }
}

/// Things to know of a file, in sentences.
pub(super) fn notes(file: &UpliftFile) -> Vec<String> {
    let words = file.mostly_numbers.iter().map(|(feature, value)| {
        format!(
            "the feature {feature} is taken as categories because of {value:?}; its other values are numbers"
        )
    });
    let mut notes: Vec<String> = words.collect();
    if file.blank_values > 0 {
        let blank = file.blank_values;
        notes.push(format!("{blank} rows have no value; it counts as 0"));
    }
    notes
}

/// Things to know, in sentences.
pub(super) fn warnings(told: &Told<'_>) -> Vec<String> {
    let warnings = told.report.warnings.iter().map(ToString::to_string);
    warnings.chain(told.notes.iter().cloned()).collect()
}

fn effect_line(text: &mut String, what: &str, name: &str, effect: &Effect) {
    let Effect {
        treated,
        control,
        difference: Interval { mean, low, high },
    } = effect;
    let interval = format!("{low:+.5} to {high:+.5}");
    let _ = writeln!(
        text,
        "{what:10}{name:24}{treated:>12.5}{control:>12.5}{mean:>+12.5}{interval:>26}"
    );
}

fn ranking_line(text: &mut String, what: &str, name: &str, learner: &str, ranking: &Ranking) {
    let Interval { mean, low, high } = ranking.qini;
    let interval = format!("{low:+.5} to {high:+.5}");
    let _ = write!(
        text,
        "{what:10}{name:24}{learner:11}{mean:>+10.5}{interval:>24}"
    );
    for (_, at) in &ranking.at {
        let at = at.map_or_else(|| "-".to_owned(), |at| format!("{:+.5}", at.mean));
        let _ = write!(text, "{at:>12}");
    }
    text.push('\n');
}

/// The two learners, the one that is used first.
pub(super) fn learners(comparison: &Comparison) -> impl Iterator<Item = (&'static str, &Learned)> {
    let s_learner = comparison
        .s_learner
        .iter()
        .map(|learned| ("S-learner", learned));
    s_learner.chain(
        comparison
            .t_learner
            .iter()
            .map(|learned| ("T-learner", learned)),
    )
}

pub(super) fn to_text(told: &Told<'_>) -> String {
    let mut text = format!("{}\n\n", log(told));
    let _ = writeln!(
        text,
        "{:10}{:24}{:>12}{:>12}{:>12}{:>26}",
        "effect on", "of", "treated", "control", "effect", "95 % interval"
    );
    for comparison in comparisons(told) {
        effect_line(&mut text, "outcome", &name(comparison), &comparison.effect);
        if let Some(effect) = &comparison.value_effect {
            effect_line(&mut text, "value", &name(comparison), effect);
        }
    }
    if told.report.all.s_learner.is_some() {
        let _ = writeln!(
            text,
            "\n{:10}{:24}{:11}{:>10}{:>24}{:>12}{:>12}{:>12}",
            "order by",
            "of",
            "learner",
            "Qini",
            "95 % interval",
            "uplift@10%",
            "uplift@30%",
            "uplift@50%"
        );
        for comparison in comparisons(told) {
            let name = name(comparison);
            for (learner, learned) in learners(comparison) {
                ranking_line(&mut text, "outcome", &name, learner, &learned.outcome);
                if let Some(ranking) = &learned.value {
                    ranking_line(&mut text, "value", &name, learner, ranking);
                }
            }
        }
        text.push_str("the S-learner is used; the T-learner is a cross-check");
        if let Some(agreement) = told.report.agreement {
            let _ = write!(text, " (correlation {agreement:.2})");
        }
        text.push('\n');
    } else {
        text.push_str("\nno order was learned: see below\n");
    }
    text.push('\n');
    for comparison in comparisons(told) {
        let _ = writeln!(text, "{}", finding(comparison));
    }
    text.push_str(&to_know(&warnings(told)));
    text
}

pub(super) fn to_json(told: &Told<'_>) -> Value {
    let report = &told.report;
    let features = told.features.iter().map(|feature| {
        let kind = match feature.values {
            FeatureValues::Numbers(_) => "number",
            FeatureValues::Categories(_) => "category",
        };
        json!({"name": feature.name, "kind": kind, "used": !report.unused_features.contains(&feature.name)})
    });
    json!({
        "rows": report.rows,
        "refused_rows": told.refused,
        "control_rows": report.control_rows,
        "control_responses": report.control_responses,
        "bootstrap": told.params.resamples,
        "seed": told.params.seed,
        "outcome_kind": match report.kind { Kind::Chance => "chance", Kind::Amount => "amount" },
        "learner": "s_learner",
        "agreement": report.agreement,
        "features": features.collect::<Vec<_>>(),
        "columns": report.columns,
        "all": comparison(&report.all),
        "arms": report.arms.iter().map(comparison).collect::<Vec<_>>(),
        "warnings": coded(&report.warnings, Warning::code),
    })
}

fn comparison(comparison: &Comparison) -> Value {
    json!({
        "arm": comparison.arm,
        "rows": comparison.rows,
        "responses": comparison.responses,
        "effect": effect(&comparison.effect),
        "value_effect": comparison.value_effect.as_ref().map(effect),
        "effect_is_told": comparison.effect_is_told(),
        "order_is_told": comparison.order_is_told(),
        "s_learner": comparison.s_learner.as_ref().map(learned),
        "t_learner": comparison.t_learner.as_ref().map(learned),
    })
}

fn effect(effect: &Effect) -> Value {
    let Interval { mean, low, high } = effect.difference;
    json!({"treated": effect.treated, "control": effect.control, "value": mean, "low": low, "high": high})
}

fn learned(learned: &Learned) -> Value {
    json!({
        "outcome": ranking(&learned.outcome),
        "value": learned.value.as_ref().map(ranking),
    })
}

fn ranking(ranking: &Ranking) -> Value {
    let at = ranking.at.iter().map(|(share, at)| {
        let key = format!("uplift@{:.0}%", 100.0 * share);
        (key, at.as_ref().map_or(Value::Null, interval))
    });
    let mut value = json!({"qini": interval(&ranking.qini)});
    for (key, at) in at {
        value[key] = at;
    }
    let curve = ranking.curve.iter();
    value["curve"] = curve
        .map(|point| json!({"share": point.share, "gain": point.gain, "random": point.random}))
        .collect();
    value
}
