//! The edge: parse, call a use case, render. Nothing below knows of it.

pub mod grpc;
