//! Code generated from `proto/`: the API `nextbest.v1` and the journal's records.

#![expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; the comments are in the protos"
)]

/// The API.
pub mod v1 {
    tonic::include_proto!("nextbest.v1");
}

/// How records are kept; internal to the store.
pub mod journal {
    tonic::include_proto!("nextbest.journal.v1");
}

/// Descriptors of the API, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
