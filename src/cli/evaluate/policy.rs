//! `nextbest evaluate-policy`: what would another policy have earned, by the log of one that chose by known chances?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};

use super::judging::{JudgingFlags, say};
use super::say_refused;
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::policy::{PolicyParams, PolicyReport, Shares, Target, earned, evaluate};
use crate::transport::csv::{PolicyLog, Shown, TargetColumns};

mod report;
mod text;
mod window;

/// How often rows are drawn where nothing is said.
const RESAMPLES: usize = 2_000;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it shares with the judge of trials.
    #[command(flatten)]
    pub flags: JudgingFlags,
    /// A log of decisions: action, position, propensity, reward, context_…
    #[arg(long, value_name = "FILE", required_unless_present = "window")]
    pub log: Option<PathBuf>,
    /// With --window: the policy of the report; otherwise that of the live model, or the first one
    #[arg(long, value_name = "NAME", requires = "window")]
    pub policy: Option<String>,
    /// A log of what the judged policy shows: its shares of each action per position, add-one smoothed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target_uniform", "window"])]
    pub target_log: Option<PathBuf>,
    /// The judged policy shows every action of the log equally often
    #[arg(long, conflicts_with = "window")]
    pub target_uniform: bool,
    /// The largest weight of the clipped estimates
    #[arg(long, default_value_t = 10.0, value_name = "WEIGHT")]
    pub clip: f64,
}

/// What is told of one evaluation.
struct Told<'a> {
    /// Rows that could not be read.
    refused: usize,
    /// Columns nobody reads.
    ignored: &'a [String],
    /// What is known of each decision.
    contexts: &'a [String],
    report: PolicyReport,
    params: PolicyParams,
    /// What the target is, in a word and in words.
    target: (&'static str, String),
    /// Rows of the target's own log, and what they earned.
    target_rows: Option<usize>,
    target_refused: usize,
    on_policy: Option<Interval>,
}

/// Evaluates and prints.
///
/// # Errors
/// Files that cannot be read; no decision that can be judged; no target, or two.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let resamples = args.flags.check(RESAMPLES)?;
    ensure!(
        args.clip > 0.0 && args.clip.is_finite(),
        "--clip: must be a number above 0"
    );
    let params = PolicyParams {
        clip: args.clip,
        resamples,
        seed: args.flags.seed,
        ..PolicyParams::default()
    };
    if let Some(days) = args.flags.window {
        return window::run(args, days, &params);
    }
    let path = args.log.as_ref().context("give --log, or --window")?;
    let mut refused = 0;
    let mut log = PolicyLog::read(path)?;
    say(path, &log.refused, &mut refused);
    let shown = match &args.target_log {
        Some(path) => {
            let shown = Shown::read(path, &mut log)?;
            say(path, &shown.refused, &mut refused);
            ensure!(
                !shown.shown.is_empty(),
                "{}: no row can be read",
                path.display()
            );
            Some((path, shown))
        }
        None => None,
    };
    let told =
        told(args, &log, shown.as_ref(), params).with_context(|| path.display().to_string())?;
    args.flags.print(
        || text::to_json(&told),
        || text::to_text(&told),
        |command| report::page(&told, command),
    )?;
    say_refused(refused);
    Ok(ExitCode::SUCCESS)
}

fn told<'a>(
    args: &Args,
    log: &'a PolicyLog,
    shown: Option<&(&PathBuf, Shown)>,
    params: PolicyParams,
) -> anyhow::Result<Told<'a>> {
    let shares;
    let (target, said): (Target<'_>, (&'static str, String)) = match (
        &log.target,
        &shown,
        args.target_uniform,
    ) {
        (TargetColumns::None, Some((path, shown)), false) => {
            shares = Shares::of(shown.shown.iter().copied(), log.positions(), log.actions());
            let rows = shown.shown.len();
            let said = format!(
                "shares of each action per position in {} ({rows} rows, add-one smoothed)",
                path.display()
            );
            (Target::ByPosition(&shares), ("shares", said))
        }
        (TargetColumns::None, None, true) => {
            shares = Shares::uniform(log.positions(), log.actions());
            let said = format!("each of {} actions equally often", log.actions());
            (Target::ByPosition(&shares), ("uniform", said))
        }
        (TargetColumns::Own(own), None, false) => {
            let said = "the column target_probability".to_owned();
            (Target::OwnAction(own), ("own_action", said))
        }
        (TargetColumns::All(all, actions), None, false) => {
            let said = format!("the {actions} columns target_probability_…");
            let target = Target::ByRow {
                probabilities: all,
                actions: *actions,
            };
            (target, ("all_actions", said))
        }
        (TargetColumns::None, ..) => bail!(
            "nothing says what the judged policy would show: give --target-log, --target-uniform, or columns \
             target_probability or target_probability_ACTION in the log"
        ),
        _ => bail!(
            "the log says by target_probability what the judged policy would show, and so does the command line: \
             give one of them"
        ),
    };
    let report = evaluate(&log.decisions, &target, &params)?;
    let rewards = shown
        .as_ref()
        .and_then(|(_, shown)| shown.rewards.as_deref());
    Ok(Told {
        refused: log.refused.count,
        ignored: &log.ignored,
        contexts: &log.contexts,
        report,
        target: said,
        target_rows: shown.map(|(_, shown)| shown.shown.len()),
        target_refused: shown.map_or(0, |(_, shown)| shown.refused.count),
        on_policy: rewards.and_then(|rewards| earned(rewards, &params)),
        params,
    })
}
