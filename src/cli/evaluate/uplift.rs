//! `nextbest evaluate-uplift`: whom does a treatment change, by the log of a randomised trial?

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use super::policy::say;
use super::{check_folder, command, say_refused};
use crate::algorithms::uplift::{UpliftParams, UpliftReport, evaluate};
use crate::transport::csv::UpliftFile;

mod report;
mod text;

/// How often rows may be drawn.
const RESAMPLES: std::ops::RangeInclusive<usize> = 100..=20_000;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A log of a trial: treatment, outcome, value; every other column is a feature
    #[arg(long, value_name = "FILE")]
    pub log: PathBuf,
    /// How often rows are drawn for the intervals
    #[arg(long, default_value_t = 1_000, value_name = "TIMES")]
    pub bootstrap: usize,
    /// Decides folds and draws
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write all figures with the Qini curve into one HTML file, which needs no network
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What is told of one evaluation.
struct Told<'a> {
    file: &'a UpliftFile,
    report: UpliftReport,
    params: UpliftParams,
}

/// Evaluates and prints.
///
/// # Errors
/// Files that cannot be read; no row that can be judged; nobody treated, or nobody not.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(
        RESAMPLES.contains(&args.bootstrap),
        "--bootstrap: must be from {} to {}",
        RESAMPLES.start(),
        RESAMPLES.end()
    );
    if let Some(path) = &args.report {
        check_folder(path)?;
    }
    let params = UpliftParams {
        resamples: args.bootstrap,
        seed: args.seed,
        ..UpliftParams::default()
    };
    let mut refused = 0;
    let file = UpliftFile::read(&args.log)?;
    say(&args.log, &file.refused, &mut refused);
    let report = evaluate(&file.log(), &params).with_context(|| args.log.display().to_string())?;
    let told = Told {
        file: &file,
        report,
        params,
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", text::to_json(&told))?;
    } else {
        write!(out, "{}", text::to_text(&told))?;
    }
    if let Some(path) = &args.report {
        let page = report::page(&told, &command());
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    say_refused(refused);
    Ok(ExitCode::SUCCESS)
}
