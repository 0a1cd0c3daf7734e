//! Arithmetic on ndarray and linfa: sources, features, fitted models, metrics. Pure and deterministic.

pub mod acceptance;
pub mod baselines;
pub mod boosting;
pub mod bootstrap;
pub mod calibration;
pub mod choice;
pub mod content;
pub mod covisitation;
pub mod decay;
pub mod draw;
pub mod ease;
pub mod features;
pub mod folds;
pub mod metrics;
pub mod next_stage;
pub mod offer_response;
pub mod online;
pub mod policy;
pub mod ranker;
pub mod repurchase;
pub mod response;
pub mod rows;
pub mod sessions;
pub mod top;
pub mod uplift;
