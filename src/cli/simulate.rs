//! `nextbest simulate`: writes the simulated shop "Gadgets Here" as CSV files, or lets its people live on and answer to
//! offers.

mod against;
mod compare;
mod files;
mod page;
mod rows;
mod standing;
mod summary;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;

pub use self::standing::{Loop, Standing, Standings};
pub use self::summary::Summary;

pub(super) use self::against::{fields as event_fields, terms as offer_terms};

use self::files::Shop;
use crate::simulation::{PainPoint, Settings, Simulation};

/// What the policy of a running service is called.
pub const SERVICE: &str = "service";

/// What `nextbest simulate` may be told.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["out", "against", "compare"])))]
pub struct Args {
    /// Write the shop into this folder; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Live on after the history with the offers of the service that runs there, and compare them with other policies
    #[arg(long, value_name = "ADDRESS")]
    pub against: Option<String>,
    /// A training run of the service after every so many days; 0: none
    #[arg(long, value_name = "DAYS", default_value_t = 7, requires = "against")]
    pub train_every: u32,
    /// Live on after the history under each policy of offers that needs no service, and compare what they bring
    #[arg(long)]
    pub compare: bool,
    /// Days that are lived on after the history
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 60,
        conflicts_with = "out"
    )]
    pub live_days: u32,
    /// Print JSON instead of a table
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
    /// Write a page with the curve over time
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    pub report: Option<PathBuf>,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Customers with an account (visitors without one come on top)
    #[arg(long, default_value_t = 2_000)]
    pub customers: u32,
    /// Products of the catalogue
    #[arg(long, default_value_t = 400)]
    pub products: u32,
    /// Length of the simulated period in days: the history
    #[arg(long, default_value_t = 365)]
    pub days: u32,
    /// First day after the simulated period (the wall clock is never read)
    #[arg(long, value_name = "DATE", default_value = "2026-06-30")]
    pub end: Date,
    /// Plant a pain point: broken_checkout:PERSONA, shipping_cost or thin_pages:CATEGORY, with a first day as in
    /// shipping_cost@2026-05-01 [default day: 28 days before the end]; may be given several times
    #[arg(long = "pain-point", value_name = "SPEC")]
    pub pain_points: Vec<PainPoint>,
    /// Compress the files (`.csv.gz`)
    #[arg(long, requires = "out")]
    pub gzip: bool,
    /// Replace files of an earlier run
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// Runs the subcommand: progress to stderr, a summary to stdout.
///
/// # Errors
/// When settings are out of bounds, files exist already or cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = Settings::new(
        args.seed,
        args.customers,
        args.products,
        args.days,
        args.end,
    )?
    .with_pain_points(&args.pain_points)?;
    match &args.out {
        Some(dir) => write_files(args, &settings, dir),
        None => compare::report(args, &lived_on(args, &settings)?),
    }
}

/// Lives on after the history: with the service that `against` names, if any, and under every policy that needs none.
///
/// # Errors
/// When there is no such service, when it does not stand where the history ends or does not have it, or when it refuses
/// something.
pub fn lived_on(args: &Args, settings: &Settings) -> anyhow::Result<Standings> {
    match &args.against {
        Some(address) => against::run(args, settings, address),
        None => compare::run(args, settings),
    }
}

fn write_files(args: &Args, settings: &Settings, dir: &Path) -> anyhow::Result<()> {
    let bar = bar(u64::from(args.days), "simulating")?;
    let written = write_shop(settings, dir, args.gzip, args.force, || bar.inc(1));
    bar.finish_and_clear();
    let summary = written?;
    // A closed pipe (`| head`) is no reason to fail: the files are there.
    let _closed = write!(std::io::stdout(), "{summary}");
    Ok(())
}

fn bar(days: u64, what: &'static str) -> anyhow::Result<ProgressBar> {
    let template = format!("{what} {{bar:40}} day {{pos}}/{{len}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).context("the progress bar's template")?;
    Ok(ProgressBar::new(days).with_style(style))
}

/// Writes the shop's files into a folder; `on_day` is called after each simulated day. Files get
/// their names only when all of them are complete.
///
/// # Errors
/// When files exist and `force` is not given, or when they cannot be written.
pub fn write_shop(
    settings: &Settings,
    dir: &Path,
    gzip: bool,
    force: bool,
    mut on_day: impl FnMut(),
) -> anyhow::Result<Summary> {
    let mut shop = Shop::create(dir, gzip, force)?;
    let mut simulation = Simulation::new(settings);
    let mut summary = Summary::new(&simulation);
    rows::write_products(&mut shop, simulation.world())?;
    rows::write_offers(&mut shop, simulation.world())?;
    rows::write_customers(&mut shop, &simulation)?;
    let mut events = rows::Events::begin(&mut shop)?;
    while !simulation.is_over() {
        for event in simulation.next_day().unwrap_or_default() {
            events.write(&event)?;
            summary.count(&event);
        }
        on_day();
    }
    events.finish()?;
    simulation.end_campaigns();
    simulation.settle();
    rows::write_truth(&mut shop, &simulation)?;
    shop.publish()?;
    Ok(summary)
}
