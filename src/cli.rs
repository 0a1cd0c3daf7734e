//! The command line: one file per subcommand.

pub mod simulate;

use clap::{Parser, Subcommand};

/// The next best product, and the next best offer, for every customer.
#[derive(Debug, Parser)]
#[command(name = "nextbest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the simulated shop "Gadgets Here" as CSV files
    Simulate(simulate::Args),
}

/// Reads the command line and does what it says.
///
/// # Errors
/// When the subcommand fails.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Simulate(args) => simulate::run(&args),
    }
}
