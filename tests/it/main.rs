//! Everything that needs the whole service: one test binary, real sockets, port 0.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in functions marked as tests only, not in those they share"
)]

mod harness;
mod wire_bad_input;
mod wire_guard;
mod wire_lifecycle;
mod wire_raw;
