//! The next best product, and the next best offer, for every customer.

pub mod cli;
pub mod simulation;
