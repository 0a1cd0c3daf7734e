//! `nextbest import`: products, customers, offers and events from files into the journal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use super::flags::SettingsFlags;
use super::in_full;
use crate::application::AppError;
use crate::application::import::{
    Counts, Ending, ImportError, Refusal, Row, RowResult, Rows, Watcher, import,
};
use crate::application::ingest::{Ingest, Written};
use crate::config;
use crate::domain::{Journey, RecordBody, Timestamp};
use crate::server::{Service, repetition_counter};
use crate::telemetry;
use crate::transport::csv::{
    Customers, Events, Offers, Products, Progress, Refusals, Repetitions, Table, Targets,
};

mod meter;
mod summary;

use meter::Meter;
pub use summary::{FileSummary, Summary};

/// The exit code when something failed, or with `--strict` was refused.
const FAILED: u8 = 1;
/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Where refused rows go unless `--refused` says otherwise, in the data folder.
const REFUSED_FILE: &str = "import.refused.csv";

/// The arguments.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// A folder with products.csv, customers.csv, offers.csv, targets.csv, events.csv (or .csv.gz), whichever are there
    #[arg(long, value_name = "FOLDER")]
    pub from: Option<PathBuf>,
    /// A file of products
    #[arg(long, value_name = "FILE")]
    pub products: Option<PathBuf>,
    /// A file of customers
    #[arg(long, value_name = "FILE")]
    pub customers: Option<PathBuf>,
    /// A file of offers
    #[arg(long, value_name = "FILE")]
    pub offers: Option<PathBuf>,
    /// A file of who was sent which campaign
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// A file of events; may be given several times
    #[arg(long, value_name = "FILE")]
    pub events: Vec<PathBuf>,
    /// Where refused rows go [default: import.refused.csv in the data folder]
    #[arg(long, value_name = "FILE")]
    pub refused: Option<PathBuf>,
    /// End with exit code 1 if a row was refused; everything else is imported all the same
    #[arg(long)]
    pub strict: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What can be bought.
    Products,
    /// Who is known.
    Customers,
    /// What can be offered.
    Offers,
    /// Who was sent which campaign.
    Targets,
    /// What happened.
    Events,
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Customers => "customers",
            Self::Offers => "offers",
            Self::Targets => "targets",
            Self::Events => "events",
        }
    }
}

/// Where records go.
pub struct Target<'a> {
    /// Writes a batch; as [`Ingest::write_blocking`].
    pub write: &'a mut dyn FnMut(Vec<RecordBody>) -> Result<Written, AppError>,
    /// The moment no event may be far ahead of.
    pub now: Timestamp,
    /// The stages an offer may be for.
    pub journey: &'a Journey,
    /// Begins the count of equal events of one more file.
    pub repetitions: &'a mut dyn FnMut() -> anyhow::Result<Repetitions<'static>>,
}

/// Opens the data folder, imports into it and closes it.
///
/// # Errors
/// Faulty settings, a data folder that cannot be opened, files that cannot be read at all.
pub fn open_and_run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?.settings;
    telemetry::install_quiet(&settings.log);
    let recipes = config::recipes(settings.models.folder.as_deref())?;
    let service = Service::open(&settings, &recipes)?;
    let folder = settings.data.folder.clone();
    let mut repetitions = || Ok(repetition_counter(&folder));
    let ended = run(
        args,
        &folder,
        &service.use_cases.ingest,
        &recipes.journey,
        &mut repetitions,
    );
    service.close()?;
    ended
}

/// Imports and prints the summary. `data` is the data folder, `journey` has the stages an offer may be for,
/// `repetitions` begins a count of equal events for a file.
///
/// # Errors
/// Files that cannot be read at all, before anything is imported.
pub fn run(
    args: &Args,
    data: &Path,
    ingest: &Ingest,
    journey: &Journey,
    repetitions: &mut dyn FnMut() -> anyhow::Result<Repetitions<'static>>,
) -> anyhow::Result<ExitCode> {
    let cancel = cancel_on_ctrl_c()?;
    let mut write = |batch: Vec<RecordBody>| ingest.write_blocking(batch);
    let target = Target {
        write: &mut write,
        now: ingest.latest(),
        journey,
        repetitions,
    };
    let summary = carry_out(args, data, target, &cancel)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", summary.to_json())?;
    } else {
        write!(out, "{summary}")?;
    }
    Ok(ExitCode::from(exit_code(&summary, args.strict)))
}

/// The exit code that says what `summary` does.
#[must_use]
pub fn exit_code(summary: &Summary, strict: bool) -> u8 {
    if !summary.failures.is_empty() {
        FAILED
    } else if summary.cancelled {
        INTERRUPTED
    } else if strict && summary.total().refused > 0 {
        FAILED
    } else {
        0
    }
}

/// Imports the files one after the other: products, customers, offers, targets, events.
///
/// # Errors
/// Files that cannot be read at all, before anything is imported. What goes wrong later is in the
/// summary.
pub fn carry_out(
    args: &Args,
    data: &Path,
    mut target: Target<'_>,
    cancel: &AtomicBool,
) -> anyhow::Result<Summary> {
    let files = files(args)?;
    for (kind, path) in &files {
        check_header(*kind, path, target.journey)?;
    }
    let refused_path = args
        .refused
        .clone()
        .unwrap_or_else(|| data.join(REFUSED_FILE));
    let mut refusals = Refusals::create(&refused_path)?;
    let started = Instant::now();
    let mut summary = Summary {
        files: Vec::new(),
        refused_file: refused_path,
        seconds: 0.0,
        cancelled: false,
        failures: Vec::new(),
    };
    for (kind, path) in files {
        let mut counts = Counts::default();
        let ended = import_file(kind, &path, &mut target, &mut refusals, cancel, &mut counts);
        let name = path.display().to_string();
        summary.files.push(FileSummary {
            kind,
            file: name.clone(),
            counts,
        });
        match ended {
            Ok(Ending::Complete) => {}
            Ok(Ending::Cancelled) => {
                summary.cancelled = true;
                break;
            }
            Err(error) => {
                // another file can still be read; a journal or disk that takes no more takes none
                // of it either
                let goes_on = matches!(
                    error.downcast_ref::<ImportError>(),
                    Some(ImportError::Unreadable { .. })
                );
                summary
                    .failures
                    .push(format!("{name}: {}", in_full(&error)));
                if !goes_on {
                    break;
                }
            }
        }
    }
    if let Err(error) = refusals.flush() {
        let path = summary.refused_file.display();
        summary.failures.push(format!("{path}: {error}"));
    }
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// The files to import, in the order in which they depend on each other.
fn files(args: &Args) -> anyhow::Result<Vec<(Kind, PathBuf)>> {
    let mut files = Vec::new();
    let found = |name: &str| -> Option<PathBuf> {
        let folder = args.from.as_ref()?;
        let plain = folder.join(format!("{name}.csv"));
        let packed = folder.join(format!("{name}.csv.gz"));
        [plain, packed].into_iter().find(|path| path.exists())
    };
    files.extend(
        args.products
            .clone()
            .or_else(|| found("products"))
            .map(|p| (Kind::Products, p)),
    );
    files.extend(
        args.customers
            .clone()
            .or_else(|| found("customers"))
            .map(|p| (Kind::Customers, p)),
    );
    files.extend(
        args.offers
            .clone()
            .or_else(|| found("offers"))
            .map(|p| (Kind::Offers, p)),
    );
    files.extend(
        args.targets
            .clone()
            .or_else(|| found("targets"))
            .map(|p| (Kind::Targets, p)),
    );
    if args.events.is_empty() {
        files.extend(found("events").map(|path| (Kind::Events, path)));
    } else {
        files.extend(args.events.iter().map(|path| (Kind::Events, path.clone())));
    }
    if files.is_empty() {
        match &args.from {
            Some(folder) => bail!(
                "{}: has no products, customers, offers, targets or events",
                folder.display()
            ),
            None => bail!(
                "nothing to import: name files by --products, --customers, --offers, --targets and \
                           --events, or a folder by --from"
            ),
        }
    }
    if let Some(refused) = &args.refused {
        let same = |path: &Path| match (path.canonicalize(), refused.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        let clash = files.iter().any(|(_, path)| same(path));
        ensure!(
            !clash,
            "{}: cannot be read and hold refused rows",
            refused.display()
        );
    }
    Ok(files)
}

/// Opens a file to see whether it can be read at all, before anything is imported. A pipe can be
/// opened only once.
fn check_header(kind: Kind, path: &Path, journey: &Journey) -> anyhow::Result<()> {
    let is_pipe = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if !is_pipe {
        let uncounted: Repetitions<'static> = Box::new(|_| Ok(0));
        let opened = open(kind, path, Timestamp::MIN, journey, uncounted)?;
        if !opened.ignored.is_empty() {
            let columns = opened.ignored.join(", ");
            eprintln!(
                "warning: {}: columns that nobody reads: {columns}",
                path.display()
            );
        }
    }
    Ok(())
}

struct Opened<'a> {
    rows: Rows<'a>,
    progress: Progress,
    ignored: Vec<String>,
}

fn open<'a>(
    kind: Kind,
    path: &Path,
    now: Timestamp,
    journey: &'a Journey,
    repetitions: Repetitions<'static>,
) -> anyhow::Result<Opened<'a>> {
    let progress = |table: &Table| table.progress();
    Ok(match kind {
        Kind::Products => {
            let rows = Products::open(path)?;
            Opened {
                progress: progress(rows.table()),
                ignored: rows.ignored(),
                rows: records(rows, |p| RecordBody::ProductUpserted(Box::new(p))),
            }
        }
        Kind::Customers => {
            let rows = Customers::open(path)?;
            Opened {
                progress: progress(rows.table()),
                ignored: Vec::new(),
                rows: records(rows, |c| RecordBody::CustomerUpserted(Box::new(c))),
            }
        }
        Kind::Offers => {
            let rows = Offers::open(path, journey)?;
            Opened {
                progress: progress(rows.table()),
                ignored: rows.ignored(),
                rows: records(rows, |offer| RecordBody::OfferUpserted(Box::new(offer))),
            }
        }
        Kind::Targets => {
            let rows = Targets::open(path, now)?;
            Opened {
                progress: progress(rows.table()),
                ignored: rows.ignored(),
                rows: records(rows, |event| RecordBody::Event(Box::new(event))),
            }
        }
        Kind::Events => {
            let rows = Events::open(path, now, repetitions)?;
            Opened {
                progress: progress(rows.table()),
                ignored: rows.ignored(),
                rows: records(rows, |event| RecordBody::Event(Box::new(event))),
            }
        }
    })
}

fn records<'a, T: 'a>(
    rows: impl Iterator<Item = RowResult<T>> + Send + 'a,
    body: fn(T) -> RecordBody,
) -> Rows<'a> {
    Box::new(rows.map(move |row| {
        row.map(|row| Row {
            line: row.line,
            value: body(row.value),
        })
    }))
}

/// Shows progress and writes refused rows down.
struct Follower<'a> {
    meter: Meter,
    name: String,
    refusals: &'a mut Refusals,
}

impl Watcher for Follower<'_> {
    fn advanced(&mut self, counts: &Counts) {
        self.meter.show(counts);
    }

    fn refused(&mut self, refusal: &Refusal) -> std::io::Result<()> {
        self.refusals.write(&self.name, refusal)
    }
}

fn import_file(
    kind: Kind,
    path: &Path,
    target: &mut Target<'_>,
    refusals: &mut Refusals,
    cancel: &AtomicBool,
    counts: &mut Counts,
) -> anyhow::Result<Ending> {
    let repetitions: Repetitions<'static> = match kind {
        Kind::Events => (target.repetitions)().context("equal rows cannot be counted")?,
        _ => Box::new(|_| Ok(0)),
    };
    let opened = open(kind, path, target.now, target.journey, repetitions)?;
    let name = path.display().to_string();
    let short = path
        .file_name()
        .map_or_else(|| name.clone(), |n| n.to_string_lossy().into_owned());
    let mut follower = Follower {
        meter: Meter::new(short, opened.progress),
        name,
        refusals,
    };
    let ended = import(opened.rows, target.write, &mut follower, cancel, counts);
    follower.meter.finish(counts);
    Ok(ended?)
}

/// A flag that Ctrl-C sets; a second one ends the program at once.
fn cancel_on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot listen for Ctrl-C")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            flag.store(true, Ordering::Relaxed);
            eprintln!("stopping after this batch; Ctrl-C again stops at once");
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED.into());
            }
        });
    });
    Ok(cancel)
}
