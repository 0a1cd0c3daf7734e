//! The command line: one file per subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod check;
pub mod config;
pub mod demo;
pub mod evaluate;
pub mod flags;
pub mod import;
pub mod recommend;
pub mod serve;
pub mod simulate;
pub mod train;

/// The next best product, and the next best offer, for every customer.
#[derive(Debug, Parser)]
#[command(name = "nextbest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the simulated shop "Gadgets Here", learn, show answers and serve them
    Demo(demo::Args),
    /// Answer over gRPC until Ctrl-C
    Serve(serve::Args),
    /// Read products, customers and events from files into the journal
    Import(import::Args),
    /// Learn from the journal; the model goes live if it is better
    Train(train::Args),
    /// Ask for one customer, and why
    Recommend(recommend::Args),
    /// Judge answers against what was truly next
    Evaluate(evaluate::Args),
    /// Judge a policy of offers from the log of another one, before it acts
    EvaluatePolicy(evaluate::policy::Args),
    /// Judge whom a treatment changes, from the log of a randomised trial
    EvaluateUplift(evaluate::uplift::Args),
    /// Write the simulated shop "Gadgets Here" as CSV files
    Simulate(simulate::Args),
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
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Import(args) => import::open_and_run(&args),
        Command::Train(args) => train::run(&args),
        Command::Recommend(args) => recommend::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::EvaluatePolicy(args) => evaluate::policy::run(&args),
        Command::EvaluateUplift(args) => evaluate::uplift::run(&args),
        Command::Simulate(args) => simulate::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::run(&args),
        Command::Config(args) => config::run(&args),
    }
}

/// An error with its causes, each said once: most errors name their cause in their own text already.
#[must_use]
pub fn in_full(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;
    use crate::server::ServerError;

    #[test]
    fn each_cause_is_said_once() {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let what = "data".to_owned();
        let twice = anyhow::Error::from(ServerError::Io {
            what,
            source: gone(),
        });
        assert_eq!(format!("{twice:#}"), "data: no such file: no such file");
        assert_eq!(in_full(&twice), "data: no such file");
        let once = Err::<(), _>(gone()).context("opening").context("starting");
        assert_eq!(
            in_full(&once.unwrap_err()),
            "starting: opening: no such file"
        );
    }
}
