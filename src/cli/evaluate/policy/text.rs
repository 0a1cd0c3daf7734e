//! What came of the evaluation of a policy, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::judging::{coded, interval, to_know};
use super::Told;
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::policy::{Estimate, Method, Trust, Warning};
use crate::algorithms::response::Kind;

/// What stands beside every interval of the direct method.
pub(super) const DM_NOTE: &str =
    "DM: its interval leaves out the error of the reward model; it is no measure of certainty";

/// What estimates are called for people.
pub(super) fn name(method: Method, clip: f64) -> String {
    match method {
        Method::Ips => "IPS".to_owned(),
        Method::IpsClipped => format!("IPS, clipped at {clip}"),
        Method::Snips => "SNIPS".to_owned(),
        Method::Dm => "DM (model alone)".to_owned(),
        Method::Dr => "DR".to_owned(),
        Method::DrClipped => format!("DR, clipped at {clip}"),
        Method::Naive => "mean of the log".to_owned(),
    }
}

pub(super) fn use_of(trust: Trust) -> &'static str {
    match trust {
        Trust::Yes => "yes",
        Trust::WithCare => "with care",
        Trust::No => "no",
    }
}

/// What it all comes to, in a sentence.
pub(super) fn answer(told: &Told<'_>) -> String {
    let Some(Estimate {
        method,
        value: Interval { mean, low, high },
        gain,
        trust,
        ..
    }) = told.report.answer()
    else {
        return "No answer: this log cannot tell what the policy would earn. See the warnings."
            .to_owned();
    };
    let against = if gain.low > 0.0 {
        "more than the policy of the log earned"
    } else if gain.high < 0.0 {
        "less than the policy of the log earned"
    } else {
        "whether that is more than the policy of the log earned cannot be told"
    };
    let care = if *trust == Trust::Yes {
        ""
    } else {
        " To be read with care: see the warnings."
    };
    let name = name(*method, told.params.clip);
    format!(
        "By {name} the policy would earn {mean:.5} a decision ({low:.5} to {high:.5}); {against}.{care}"
    )
}

/// What the log is, in a sentence.
pub(super) fn log(told: &Told<'_>) -> String {
    let report = &told.report;
    let refused = told.refused;
    format!(
        "{} rows, {} actions at {} positions, {} rows with a reward; {refused} rows refused",
        report.rows, report.actions, report.positions, report.rewarded
    )
}

/// Things to know, in sentences.
pub(super) fn warnings(told: &Told<'_>) -> Vec<String> {
    let mut warnings: Vec<String> = told
        .report
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    if told.report.estimate(Method::Dm).is_some() {
        warnings.push(DM_NOTE.to_owned());
    }
    if !told.ignored.is_empty() {
        warnings.push(format!(
            "columns that nobody reads: {}",
            told.ignored.join(", ")
        ));
    }
    warnings
}

pub(super) fn to_text(told: &Told<'_>) -> String {
    let report = &told.report;
    let mut text = format!("{}\ntarget: {}\n", log(told), told.target.1);
    if let Some(Interval { mean, low, high }) = told.on_policy {
        let _ = writeln!(
            text,
            "the target's own log earned {mean:.5} ({low:.5} to {high:.5})"
        );
    }
    let _ = writeln!(
        text,
        "\n{:20}{:>10}{:>24}{:>34}{:>16}  use",
        "estimate", "value", "95 % interval", "gain over the log (95 %)", "effective rows"
    );
    for estimate in &report.estimates {
        let Interval { mean, low, high } = estimate.value;
        let gain = estimate.gain;
        let name = name(estimate.method, told.params.clip);
        let interval = format!("{low:.5} to {high:.5}");
        let gain = match estimate.method {
            Method::Naive => String::new(),
            _ => format!("{:+.5} ({:+.5} to {:+.5})", gain.mean, gain.low, gain.high),
        };
        let (effective, trust) = (estimate.effective_rows, use_of(estimate.trust));
        let _ = writeln!(
            text,
            "{name:20}{mean:>10.5}{interval:>24}{gain:>34}{effective:>16.0}  {trust}"
        );
    }
    let _ = writeln!(text, "\n{}", answer(told));
    text.push_str(&to_know(&warnings(told)));
    text
}

pub(super) fn to_json(told: &Told<'_>) -> Value {
    let report = &told.report;
    let estimates = report.estimates.iter().map(|estimate| {
        let (value, gain) = (estimate.value, estimate.gain);
        let json = json!({
            "value": value.mean, "low": value.low, "high": value.high,
            "gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high,
            "effective_rows": estimate.effective_rows,
            "use": estimate.trust.as_str(),
            "leaves_out_model_error": estimate.method == Method::Dm,
        });
        (estimate.method.as_str().to_owned(), json)
    });
    let missing = Method::ALL
        .into_iter()
        .filter(|method| report.estimate(*method).is_none());
    let weights = &report.weights;
    json!({
        "rows": report.rows,
        "refused_rows": told.refused,
        "actions": report.actions,
        "positions": report.positions,
        "rewarded_rows": report.rewarded,
        "context_columns": told.contexts,
        "ignored_columns": told.ignored,
        "target": {
            "kind": told.target.0,
            "rows": told.target_rows,
            "refused_rows": told.target_refused,
            "on_policy": told.on_policy.as_ref().map(interval),
        },
        "clip": told.params.clip,
        "bootstrap": told.params.resamples,
        "seed": told.params.seed,
        "estimates": estimates.collect::<Map<String, Value>>(),
        "not_computed": missing.map(Method::as_str).collect::<Vec<_>>(),
        "answer": report.answer().map(|estimate| estimate.method.as_str()),
        "use": report.trust.as_str(),
        "weights": {
            "mean": weights.mean,
            "largest": weights.largest,
            "largest_share": weights.largest_share,
            "effective_rows": weights.effective_rows,
            "effective_rows_clipped": weights.effective_rows_clipped,
            "effective_rewards": weights.effective_rewards,
            "clipped_rows": weights.clipped_rows,
            "mean_clipped": weights.mean_clipped,
            "smallest_propensity": weights.smallest_propensity,
        },
        "model": report.model.as_ref().map(|model| json!({
            "kind": match model.kind { Kind::Chance => "logistic", Kind::Amount => "ridge" },
            "l2": model.l2,
            "columns": model.columns,
            "rare_values": model.rare_values,
            "folds": model.folds,
            "mean_folds": model.mean_folds,
            "fitted_rows": model.fitted_rows,
            "target_read_off": model.target_read_off,
        })),
        "warnings": coded(&report.warnings, Warning::code),
    })
}
