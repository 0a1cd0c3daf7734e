//! Arithmetic on ndarray and linfa: sources, features, fitted models, metrics. Pure and deterministic.

pub mod features;
