//! All integration tests, in one binary.

mod architecture;
mod python_client;
mod simulation;
mod state_fold;
