//! The command line: one file per subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod check;
pub mod config;
pub mod flags;
pub mod import;

/// The next best product, and the next best offer, for every customer.
#[derive(Debug, Parser)]
#[command(name = "nextbest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Test settings and recipes without starting
    Check(check::Args),
    /// Print the settings in effect, and where each of them came from
    Config(config::Args),
}

/// Reads the command line and does what it says.
///
/// # Errors
/// When the subcommand fails.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Config(args) => config::run(&args),
    }
}
