//! `nextbest simulate`: writes the simulated shop "Gadgets Here" as CSV files.

mod files;
mod rows;
mod summary;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;

pub use self::summary::Summary;

use self::files::Shop;
use crate::simulation::{Settings, Simulation};

/// What `nextbest simulate` may be told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Customers with an account (visitors without one come on top)
    #[arg(long, default_value_t = 2_000)]
    pub customers: u32,
    /// Products of the catalogue
    #[arg(long, default_value_t = 400)]
    pub products: u32,
    /// Length of the simulated period in days
    #[arg(long, default_value_t = 365)]
    pub days: u32,
    /// First day after the simulated period (the wall clock is never read)
    #[arg(long, value_name = "DATE", default_value = "2026-06-30")]
    pub end: Date,
    /// Compress the files (`.csv.gz`)
    #[arg(long)]
    pub gzip: bool,
    /// Replace files of an earlier run
    #[arg(long)]
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
    )?;
    let bar = ProgressBar::new(u64::from(args.days));
    let style = ProgressStyle::with_template("simulating {bar:40} day {pos}/{len}, {eta} left");
    bar.set_style(style.context("the progress bar's template")?);
    let written = write_shop(&settings, &args.out, args.gzip, args.force, || bar.inc(1));
    bar.finish_and_clear();
    let summary = written?;
    // A closed pipe (`| head`) is no reason to fail: the files are there.
    let _closed = write!(std::io::stdout(), "{summary}");
    Ok(())
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
