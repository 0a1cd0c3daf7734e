//! `nextbest evaluate-uplift`: whom does a treatment change, by the log of a randomised trial, or by the journal's own
//! hold-out?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::judging::{JudgingFlags, say};
use super::say_refused;
use crate::algorithms::uplift::{FeatureColumn, UpliftParams, UpliftReport, evaluate};
use crate::transport::csv::UpliftFile;

mod report;
mod text;
mod window;

/// How often rows are drawn where nothing is said.
const RESAMPLES: usize = 1_000;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it shares with the judge of policies.
    #[command(flatten)]
    pub flags: JudgingFlags,
    /// A log of a trial: treatment, outcome, value; every other column is a feature
    #[arg(long, value_name = "FILE", required_unless_present = "window")]
    pub log: Option<PathBuf>,
}

/// What is told of one evaluation.
struct Told<'a> {
    /// Rows that could not be read.
    refused: usize,
    features: &'a [FeatureColumn],
    /// What to know of the log itself, in sentences.
    notes: Vec<String>,
    report: UpliftReport,
    params: UpliftParams,
}

/// Evaluates and prints.
///
/// # Errors
/// Files that cannot be read; a data folder that cannot be opened; no row that can be judged; nobody treated, or nobody
/// not.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let params = UpliftParams {
        resamples: args.flags.check(RESAMPLES)?,
        seed: args.flags.seed,
        ..UpliftParams::default()
    };
    if let Some(days) = args.flags.window {
        return window::run(args, days, params);
    }
    let path = args.log.as_ref().context("give --log, or --window")?;
    let mut refused = 0;
    let file = UpliftFile::read(path)?;
    say(path, &file.refused, &mut refused);
    let report = evaluate(&file.log(), &params).with_context(|| path.display().to_string())?;
    let told = Told {
        refused: file.refused.count,
        features: &file.features,
        notes: text::notes(&file),
        report,
        params,
    };
    args.flags.print(
        || text::to_json(&told),
        || text::to_text(&told),
        |command| report::page(&told, "", command),
    )?;
    say_refused(refused);
    Ok(ExitCode::SUCCESS)
}
