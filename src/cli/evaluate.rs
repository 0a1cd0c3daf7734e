//! `nextbest evaluate`: how well would the service have answered the questions of a file, or those of its own past?

mod asked;
mod files;
pub(super) mod html;
mod judging;
mod offers;
pub(super) mod page;
pub(super) mod plot;
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

use self::asked::Asked;
use super::flags::SettingsFlags;
use crate::application::evaluate::{Ablation, DueReport, EvaluateSettings, Report};
use crate::application::train::Progress;
use crate::config;
use crate::server::{fold_settings, train_settings};
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
    /// A file of offers: the questions are then which offers of a campaign a customer takes, and --truth is of these
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["events", "truth"],
        conflicts_with_all = ["window", "discover", "by", "customers", "due", "without", "sources", "report"]
    )]
    pub offers: Option<PathBuf>,
    /// Instead of files: the questions of the last so many days of the journal in the data folder
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["events", "truth", "products"])]
    pub window: Option<f64>,
    /// Lists are cut at each of these lengths
    #[arg(short = 'k', value_delimiter = ',', default_value = "10,20")]
    pub k: Vec<usize>,
    /// Take what somebody had before out of answers and truth
    #[arg(long)]
    pub discover: bool,
    /// Tell the questions of customers apart by the value of this trait of theirs
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// A file of customers that has the trait; without it, --window knows the traits of the journal
    #[arg(long, value_name = "FILE", requires = "by")]
    pub customers: Option<PathBuf>,
    /// Also judge what is said to be due, by a simulated shop's truth_replenishment.csv
    #[arg(long, value_name = "FILE")]
    pub due: Option<PathBuf>,
    /// Leave out a source with its features, a group of features, "trees" or "tuning", to see what it is worth; may be
    /// given several times
    #[arg(long, value_name = "PART")]
    pub without: Vec<String>,
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
    let ablation = Ablation::of(&args.without).context("--without")?;
    let mut recipes = config::recipes(settings.models.folder.as_deref())?;
    let mut train = train_settings(&settings);
    ablation.apply(&mut recipes.stages, &mut train);
    let ks: Vec<usize> = args
        .k
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if let Some(path) = &args.offers {
        return offers::run(args, path, &recipes, &settings, &ks);
    }
    let mut asked = Asked::read(args, &settings, &recipes.stages)?;
    let by = match &args.by {
        Some(column) => Some(asked.grouping(column)?),
        None => None,
    };
    let evaluate_settings = EvaluateSettings {
        fold: &fold_settings(&recipes, &settings),
        recipes: &recipes.stages,
        horizons_ms: &recipes.places.horizons_ms,
        train: &train,
        ks: &ks,
        discover: args.discover,
        sources: args.sources,
        by: by.as_ref(),
    };
    let due = match &args.due {
        Some(path) => Some(asked.due(path, &evaluate_settings)?),
        None => None,
    };
    let (report, refused) = asked.evaluated(&evaluate_settings)?;
    let outcome = Outcome {
        report,
        by: args.by.clone(),
        due,
        without: ablation.names,
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", text::to_json(&outcome))?;
    } else {
        write!(out, "{}", text::to_text(&outcome, ks[0]))?;
    }
    if let Some(path) = &args.report {
        let page = report::page(&outcome, &ks, &command());
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
pub(super) fn command() -> Vec<String> {
    let args = std::env::args_os();
    args.map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// Everything that is reported.
struct Outcome {
    report: Report,
    /// The trait by which customers were told apart.
    by: Option<String>,
    due: Option<DueReport>,
    /// What was left out.
    without: Vec<String>,
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
