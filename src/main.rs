//! The binary: only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    match nextbest::cli::run() {
        Ok(code) => code,
        // whoever read the output has seen enough
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // what a user has to mend needs no backtrace
            eprintln!("error: {}", nextbest::cli::in_full(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let found = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<std::io::Error>());
    found.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
