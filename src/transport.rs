//! The edges: parse, call, render. Parsing is validation, and it collects every fault.

pub mod csv;
