//! The use cases: taking in, recommending, customers, the catalog, offers, training and judging models. Clock and
//! randomness enter here as values; gRPC, HTTP and files are above, disks below.

pub mod acceptance;
pub mod attribution;
pub mod catalog;
pub mod customers;
pub mod decision;
pub mod error;
pub mod evaluate;
pub mod expression;
pub mod history;
pub mod import;
pub mod ingest;
pub mod journey;
pub mod model;
pub mod models;
pub mod next_stage;
pub mod offer_effects;
pub mod offers;
pub mod outlook;
pub mod ownership;
pub mod personas;
pub mod recipes;
pub mod recommend;
pub mod reserve;
pub mod shop;
pub mod similar;
pub mod spelling;
pub mod train;
pub mod truth;

pub use error::AppError;
