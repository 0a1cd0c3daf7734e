//! The service's own decisions about offers as the log: what other ways to choose would have earned.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};

use super::super::judging::Window;
use super::text::{to_json, use_of};
use super::{Args, Told, report};
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::policy::{Method, PolicyParams};
use crate::application::train::{DecisionLog, JudgedPolicy, judge_decisions};

/// Judges the last `days` of the journal in the data folder, and prints.
///
/// # Errors
/// A data folder that cannot be opened; no decision that came back; a policy that there is not.
pub(super) fn run(args: &Args, days: f64, params: &PolicyParams) -> anyhow::Result<ExitCode> {
    let window = Window::open(&args.flags.settings, days)?;
    let live = window.live()?;
    let log = judge_decisions(window.lesson(), live.as_ref(), window.since, params).with_context(|| {
        format!(
            "--window {days}: decisions judge when a week has passed since an event with the token of their answer"
        )
    })?;
    let told = |policy: &JudgedPolicy| Told {
        refused: 0,
        ignored: &[],
        contexts: &log.contexts,
        report: policy.report.clone(),
        params: params.clone(),
        target: ("policy", format!("{}: {}", policy.name, policy.text)),
        target_rows: None,
        target_refused: 0,
        on_policy: None,
    };
    let shown = match &args.policy {
        None => log.policies.first(),
        Some(name) => {
            let found = log.policies.iter().find(|policy| policy.name == *name);
            let names: Vec<&str> = log.policies.iter().map(|p| p.name.as_str()).collect();
            ensure!(
                found.is_some(),
                "--policy {name}: there is none of that name; there are {}",
                names.join(", ")
            );
            found
        }
    };
    let shown = shown.context("there is no policy to tell of")?;
    args.flags.print(
        || {
            let policies = log.policies.iter();
            let policies = policies.map(|policy| (policy.name.clone(), to_json(&told(policy))));
            json!({
                "window_days": days,
                "decisions": log.decisions,
                "with_offer": log.with_offer,
                "held_out": log.held_out,
                "policies": policies.collect::<Map<String, Value>>(),
            })
        },
        || table(&log, days),
        |command| report::page(&told(shown), command),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each policy.
fn table(log: &DecisionLog, days: f64) -> String {
    let mut text = format!(
        "{} decisions of the last {days} days came back, {} of them with an offer; {} more of customers who are held \
         out\nmoney a decision, by the doubly robust estimate:\n\n",
        log.decisions, log.with_offer, log.held_out
    );
    let _ = writeln!(
        text,
        "{:28}{:>10}{:>24}{:>30}{:>16}  use",
        "policy", "value", "95 % interval", "gain over what was (95 %)", "effective rows"
    );
    let naive = log.policies.last().and_then(|policy| {
        let estimate = policy.report.estimate(Method::Naive)?;
        Some(estimate.value)
    });
    if let Some(Interval { mean, low, high }) = naive {
        let interval = format!("{low:.3} to {high:.3}");
        let _ = writeln!(text, "{:28}{mean:>10.3}{interval:>24}", "what was decided");
    }
    for policy in &log.policies {
        let Some(estimate) = policy.report.answer() else {
            let rows = policy.report.weights.effective_rows;
            let _ = writeln!(
                text,
                "{:28}{:>10}{:>24}{:>30}{rows:>16.0}  no",
                policy.name, "", "cannot be told", ""
            );
            continue;
        };
        let (Interval { mean, low, high }, gain) = (estimate.value, estimate.gain);
        let interval = format!("{low:.3} to {high:.3}");
        let gain = format!("{:+.3} ({:+.3} to {:+.3})", gain.mean, gain.low, gain.high);
        let (effective, trust) = (estimate.effective_rows, use_of(estimate.trust));
        let _ = writeln!(
            text,
            "{:28}{mean:>10.3}{interval:>24}{gain:>30}{effective:>16.0}  {trust}",
            policy.name
        );
    }
    text.push_str("\n--json has every estimate and every warning, --report a page of one policy (--policy NAME)\n");
    text
}
