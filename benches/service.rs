//! Benchmarks of the service; none yet.

fn main() {}
