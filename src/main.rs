//! The binary: only wires.

fn main() -> anyhow::Result<()> {
    nextbest::cli::run()
}
