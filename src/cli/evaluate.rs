//! `nextbest evaluate`: how well would the service have answered the questions of a file?

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::flags::SettingsFlags;
use super::train::figures;
use crate::application::evaluate::{EvaluateSettings, Report, evaluate};
use crate::application::history::History;
use crate::application::import::{Refusal, RowError, RowResult};
use crate::application::shop::Clock;
use crate::application::train::Progress;
use crate::config;
use crate::domain::{Record, RecordBody, Timestamp};
use crate::server::{fold_settings, repetition_counter, train_settings};
use crate::telemetry;
use crate::transport::csv::{Events, Products, Truth};

/// The largest length of lists.
const MAX_K: usize = 100;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// A file of events: what happened
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,
    /// A file of questions and what was truly next
    #[arg(long, value_name = "FILE")]
    pub truth: PathBuf,
    /// A file of products; without it, whatever was seen may be recommended
    #[arg(long, value_name = "FILE")]
    pub products: Option<PathBuf>,
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
}

/// Evaluates and prints.
///
/// # Errors
/// Files that cannot be read; no case that can be judged.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(
        !args.k.is_empty() && args.k.iter().all(|k| (1..=MAX_K).contains(k)),
        "-k: lengths must be from 1 to {MAX_K}"
    );
    let settings = args.settings.load()?.settings;
    telemetry::install_quiet(&settings.log);
    let recipes = config::recipes(settings.models.folder.as_deref())?;
    let now = Clock::system().now();
    let mut refused = 0;
    let records = records(args, now, &mut refused)?;
    let truth = Truth::read(&args.truth)?;
    for refusal in &truth.refused {
        complain(&args.truth, refusal, &mut refused);
    }
    ensure!(
        !truth.cases.is_empty(),
        "{}: no case can be judged",
        args.truth.display()
    );
    let ks: Vec<usize> = args
        .k
        .iter()
        .copied()
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let mut ks = ks;
    ks.sort_unstable();
    let train = train_settings(&settings);
    let evaluate_settings = EvaluateSettings {
        fold: &fold_settings(&recipes, &settings),
        recipes: &recipes.stages,
        train: &train,
        ks: &ks,
        discover: args.discover,
        sources: args.sources,
    };
    let mut bar = Bar::new()?;
    let report = evaluate(
        History::of(records),
        truth.cases,
        &evaluate_settings,
        &mut bar,
    )?;
    bar.0.finish_and_clear();
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_json(&report))?;
    } else {
        writeln!(
            out,
            "{} cases; fitted in {:.1} s; one answer takes {:.3} ms (p50), {:.3} ms (p99)",
            report.cases, report.fit_seconds, report.answer_ms.0, report.answer_ms.1
        )?;
        if !report.refusal.is_empty() {
            writeln!(
                out,
                "no model was good enough to go live: {}",
                report.refusal
            )?;
        }
        for trial in report.tuned.trials.iter().filter(|trial| trial.chosen) {
            writeln!(
                out,
                "tuned: {} = {} (ndcg@20 {:.4})",
                trial.setting, trial.value, trial.ndcg
            )?;
        }
        write!(out, "{}", figures(&report.figures.0))?;
    }
    if refused > 0 {
        eprintln!("{refused} rows could not be read and do not count");
    }
    Ok(ExitCode::SUCCESS)
}

/// The products and events of the files.
fn records(args: &Args, now: Timestamp, refused: &mut u64) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut take = |path: &Path, row: RowResult<RecordBody>| -> anyhow::Result<()> {
        match row {
            Ok(row) => records.push(Record {
                recorded_at: now,
                body: row.value,
            }),
            Err(RowError::Refused(refusal)) => complain(path, &refusal, refused),
            Err(RowError::Unreadable(error)) => {
                return Err(error).with_context(|| format!("{}: cannot be read", path.display()));
            }
        }
        Ok(())
    };
    if let Some(path) = &args.products {
        for row in Products::open(path)? {
            take(
                path,
                map(row, |product| {
                    RecordBody::ProductUpserted(Box::new(product))
                }),
            )?;
        }
    }
    let repetitions = repetition_counter(&std::env::temp_dir());
    for row in Events::open(&args.events, now, repetitions)? {
        take(
            &args.events,
            map(row, |event| RecordBody::Event(Box::new(event))),
        )?;
    }
    // one event counts once, whatever its number of rows
    let mut seen = HashSet::new();
    records.retain(|record| record.key().is_none_or(|key| seen.insert(key)));
    Ok(records)
}

fn map<T>(row: RowResult<T>, body: impl FnOnce(T) -> RecordBody) -> RowResult<RecordBody> {
    use crate::application::import::Row;
    row.map(|row| Row {
        line: row.line,
        value: body(row.value),
    })
}

fn complain(path: &Path, refusal: &Refusal, refused: &mut u64) {
    const SHOWN: u64 = 20;
    *refused += 1;
    if *refused <= SHOWN {
        let (line, column, reason) = (refusal.line, &refusal.column, &refusal.reason);
        eprintln!("{}:{line}: {column}: {reason}", path.display());
    }
}

fn to_json(report: &Report) -> Value {
    let methods: Map<String, Value> = report
        .figures
        .0
        .iter()
        .map(|(method, figures)| {
            let figures: Map<String, Value> = figures
                .iter()
                .map(|(name, figure)| (name.clone(), json!(figure)))
                .collect();
            (method.clone(), Value::Object(figures))
        })
        .collect();
    json!({
        "cases": report.cases,
        "fit_seconds": report.fit_seconds,
        "answer_ms": {"p50": report.answer_ms.0, "p99": report.answer_ms.1},
        "model_live": report.refusal.is_empty(),
        "refusal": report.refusal,
        "tuning": {"trials": report.tuned.trials, "skipped": report.tuned.skipped},
        "methods": methods,
    })
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
