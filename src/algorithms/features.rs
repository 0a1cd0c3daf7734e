//! The features of a candidate: one definition for training and serving.

/// The names of all features, in the order of their columns.
pub const NAMES: &[&str] = &["own_baskets_log"];
