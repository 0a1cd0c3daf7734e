//! The binary: only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    match nextbest::cli::run() {
        Ok(code) => code,
        Err(error) => {
            // what a user has to mend needs no backtrace
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
