//! The integration tests: one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot unwrap has failed; only functions marked as tests are exempt"
)]

mod csv_edge;
mod import;
mod recipes;
mod settings;
