//! The integration tests: one binary.

mod csv_edge;
mod recipes;
