//! nextbest: the next best product, and the next best offer, for every customer, at every stage of their journey.
//!
//! Layers, each naming only those below it: [`cli`], [`server`], [`transport`], [`application`], [`state`] and
//! [`store`], [`algorithms`], [`domain`]. `docs/architecture.md` walks through them.

pub mod algorithms;
pub mod application;
pub mod cli;
pub mod config;
pub mod domain;
pub mod proto;
pub mod server;
pub mod simulation;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod transport;

/// Answers allocate on one thread and are freed on another; glibc's arenas then wait for each other's locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
