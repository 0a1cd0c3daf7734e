//! The binary: only wires.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    nextbest::cli::run()
}
