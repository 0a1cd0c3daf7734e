//! The journal's own hold-out as the trial: what it changes that customers may get offers.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::super::judging::Window;
use super::{Args, Told, report, text};
use crate::algorithms::uplift::{UpliftParams, evaluate};
use crate::application::train::{HoldoutTrial, holdout_trial};

/// Judges the last `days` of the journal in the data folder, and prints.
///
/// # Errors
/// A data folder that cannot be opened; no decision that came back; nobody who is held out.
pub(super) fn run(args: &Args, days: f64, params: UpliftParams) -> anyhow::Result<ExitCode> {
    let window = Window::open(&args.flags.settings, days)?;
    let trial = holdout_trial(window.lesson(), window.since);
    ensure!(
        trial.decisions > 0,
        "--window {days}: no decision about offers came back; they judge when a week has passed since an event with \
         the token of their answer"
    );
    let share = f64::from(window.settings.offers.holdout_per_mille) / 1_000.0;
    let report = evaluate(&trial.log(), &params).with_context(|| {
        format!(
            "--window {days}: who is held out ({:.1} % by offers.holdout_per_mille) is compared with all others",
            100.0 * share
        )
    })?;
    let summary = summary(&trial, days, share);
    let is_lopsided = trial.is_lopsided(share);
    let notes = is_lopsided.then(|| lopsided(&trial, share));
    let told = Told {
        refused: 0,
        features: &trial.features,
        notes: notes.into_iter().collect(),
        report,
        params,
    };
    args.flags.print(
        || {
            let mut json = text::to_json(&told);
            json["window_days"] = json!(days);
            json["decisions"] = json!(trial.decisions);
            json["with_offer"] = json!(trial.with_offer);
            json["holdout"] = json!({
                "share": trial.held_out() as f64 / trial.arm.len() as f64,
                "expected_share": share,
                "is_lopsided": is_lopsided,
            });
            json
        },
        || format!("{summary}\n{}", text::to_text(&told)),
        |command| report::page(&told, &summary, command),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What the trial is, in sentences.
fn summary(trial: &HoldoutTrial, days: f64, share: f64) -> String {
    format!(
        "{} decisions of the last {days} days came back, {} of them with an offer. Each of {} customers counts once, \
         with their first; control are those who never get offers ({:.1} % are held out). The outcome: they bought \
         within 7 days; the value: the margin of it less what redeemed offers cost.",
        trial.decisions,
        trial.with_offer,
        trial.arm.len(),
        100.0 * share
    )
}

fn lopsided(trial: &HoldoutTrial, share: f64) -> String {
    let (rows, held_out) = (trial.arm.len(), trial.held_out());
    format!(
        "{held_out} of {rows} customers are held out, where {:.0} were to be expected: decisions of one side come back \
         more often, or offers.holdout_per_mille was changed, so the sides cannot be compared; send the token back \
         with messages without an offer, too",
        rows as f64 * share
    )
}
