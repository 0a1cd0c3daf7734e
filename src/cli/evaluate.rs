//! `nextbest evaluate`: how well would the service have answered the questions of a file, or those of its own past?

mod files;
mod html;
mod page;
mod plot;
pub mod policy;
mod report;
mod text;
pub mod uplift;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use self::files::Files;
use super::flags::{self, SettingsFlags};
use crate::application::evaluate::{EvaluateSettings, Report, evaluate, evaluate_window};
use crate::application::history::History;
use crate::application::shop::Clock;
use crate::application::train::Progress;
use crate::config::{self, Settings};
use crate::server::{fold_settings, open_journal, train_settings};
use crate::telemetry;

/// The largest length of lists.
const MAX_K: usize = 100;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// A file of events: what happened
    #[arg(long, value_name = "FILE", required_unless_present = "window")]
    pub events: Option<PathBuf>,
    /// A file of questions and what was truly next
    #[arg(long, value_name = "FILE", required_unless_present = "window")]
    pub truth: Option<PathBuf>,
    /// A file of products; without it, whatever was seen may be recommended
    #[arg(long, value_name = "FILE")]
    pub products: Option<PathBuf>,
    /// Instead of files: the questions of the last so many days of the journal in the data folder
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["events", "truth", "products"])]
    pub window: Option<f64>,
    /// Lists are cut at each of these lengths
    #[arg(short = 'k', value_delimiter = ',', default_value = "10,20")]
    pub k: Vec<usize>,
    /// Take what somebody had before out of answers and truth
    #[arg(long)]
    pub discover: bool,
    /// Judge each source alone as well, and what it adds to the candidates
    #[arg(long)]
    pub sources: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write all figures with plots into one HTML file, which needs no network
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Evaluates and prints.
///
/// # Errors
/// Files that cannot be read; a data folder that cannot be opened; no case that can be judged.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(
        !args.k.is_empty() && args.k.iter().all(|k| (1..=MAX_K).contains(k)),
        "-k: lengths must be from 1 to {MAX_K}"
    );
    if let Some(path) = &args.report {
        // an evaluation takes minutes: what cannot be written is said before
        check_folder(path)?;
    }
    let settings = args.settings.load()?.settings;
    telemetry::install_quiet(&settings.log);
    let recipes = config::recipes(settings.models.folder.as_deref())?;
    let ks: Vec<usize> = args
        .k
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let evaluate_settings = EvaluateSettings {
        fold: &fold_settings(&recipes, &settings),
        recipes: &recipes.stages,
        train: &train_settings(&settings),
        ks: &ks,
        discover: args.discover,
        sources: args.sources,
    };
    let (report, refused) = evaluated(args, &settings, &evaluate_settings)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", text::to_json(&report))?;
    } else {
        write!(out, "{}", text::to_text(&report, ks[0]))?;
    }
    if let Some(path) = &args.report {
        let page = report::page(&report, &ks, &command());
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    say_refused(refused);
    Ok(ExitCode::SUCCESS)
}

fn say_refused(refused: u64) {
    if refused > 0 {
        eprintln!("{refused} rows could not be read and do not count");
    }
}

/// What was called.
fn command() -> Vec<String> {
    let args = std::env::args_os();
    args.map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// What came of it, and how many rows of files could not be read.
fn evaluated(
    args: &Args,
    settings: &Settings,
    evaluate_settings: &EvaluateSettings<'_>,
) -> anyhow::Result<(Report, u64)> {
    let mut bar = Bar::new()?;
    let (report, refused) = match (args.window, &args.events, &args.truth) {
        (Some(days), ..) => {
            let history = window(settings, days)?;
            let report = evaluate_window(history, days, evaluate_settings, &mut bar)?;
            ensure!(
                report.cases > 0,
                "--window {days}: nobody did anything in that time that could be asked for"
            );
            (report, 0)
        }
        (None, Some(events), Some(truth)) => {
            let now = Clock::system().now();
            let files = Files::read(events, truth, args.products.as_deref(), now)?;
            let report = evaluate(files.history, files.cases, evaluate_settings, &mut bar)?;
            (report, files.refused)
        }
        _ => anyhow::bail!("give --events and --truth, or --window"),
    };
    bar.0.finish_and_clear();
    Ok((report, refused))
}

/// The history in the data folder, which must reach further back than the window.
fn window(settings: &Settings, days: f64) -> anyhow::Result<History> {
    ensure!(
        days.is_finite() && days > 0.0,
        "--window: must be a number of days above 0"
    );
    let folder = &settings.data.folder;
    flags::check_there_is_a_shop(folder)?;
    let journal = open_journal(settings).context(
        "--window reads the data folder itself: stop the service that has it open, or name a copy by --data",
    )?;
    let history = History::of_journal(&journal, settings.training.max_records)?;
    let span = history.span();
    let span = span.map_or(0.0, |(first, last)| last.days_since(first));
    ensure!(
        days < span,
        "--window {days}: the journal reaches back {span:.1} days; there is nothing before to learn from"
    );
    Ok(history)
}

fn check_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let is_there = folder.is_none_or(Path::is_dir) && !path.is_dir();
    ensure!(
        is_there,
        "--report {}: cannot be written there",
        path.display()
    );
    Ok(())
}

/// The progress bar.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{msg:12} [{bar:40}] {percent:>3} %  {elapsed}")?;
        Ok(Self(ProgressBar::new(1_000).with_style(style)))
    }
}

impl Progress for Bar {
    fn at(&mut self, phase: &'static str, share: f64) {
        self.0.set_message(phase);
        self.0.set_position((share * 1_000.0) as u64);
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}
