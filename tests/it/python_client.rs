//! The service as a client sees it that is not ours: grpcio, in `tests/python/test_client.py`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// The interpreter, with the packages of `tests/python/requirements.txt`; `.ci/run` sets it.
const PYTHON: &str = "TEST_PYTHON";

#[test]
fn the_python_client_tells_its_stories() {
    let Some(python) = std::env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        // not by eprintln!, which the test harness keeps to itself
        let skipped = format!(
            "SKIPPED: the Python client was not tested. Set {PYTHON} to an interpreter with the \
             packages of tests/python/requirements.txt, as .ci/run does.\n"
        );
        std::io::stderr()
            .write_all(skipped.as_bytes())
            .expect("stderr takes a line");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("tests/python/test_client.py");
    assert!(script.is_file(), "there is no {}", script.display());
    let output = Command::new(&python)
        .arg("-B")
        .arg(&script)
        .current_dir(root)
        .env("TEST_BIN", env!("CARGO_BIN_EXE_nextbest"))
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", python.display()));
    assert!(
        output.status.success(),
        "the Python client ended with {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // unittest says nothing of how many tests ran on its standard output, and no test is no proof
    let report = String::from_utf8_lossy(&output.stderr);
    let ran = report.lines().any(|line| line.starts_with("Ran "));
    assert!(
        ran && !report.contains("Ran 0 tests"),
        "no story was told:\n{report}"
    );
}
