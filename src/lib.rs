//! nextbest: the next best product, and the next best offer, for every customer, at every stage of their journey.

pub mod algorithms;
pub mod application;
pub mod domain;
pub mod proto;
pub mod store;
pub mod transport;
