//! The edges: parse, call a use case, render. Parsing is validation, and it collects every fault.

pub mod csv;
pub mod grpc;
pub mod http;
