//! Compiles the protos with `protox`, so that no `protoc` is needed, and keeps the API's descriptors for reflection.

use prost::Message as _;

const API: [&str; 7] = [
    "nextbest/v1/catalog.proto",
    "nextbest/v1/customer.proto",
    "nextbest/v1/event.proto",
    "nextbest/v1/journey.proto",
    "nextbest/v1/model.proto",
    "nextbest/v1/offer.proto",
    "nextbest/v1/recommendation.proto",
];
const JOURNAL: [&str; 1] = ["nextbest/journal/v1/journal.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // tonic's builder prints none of its own
    println!("cargo:rerun-if-changed=proto");
    let api = protox::compile(API, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), api.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(api)?;
    let journal = protox::compile(JOURNAL, ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .compile_fds(journal)?;
    Ok(())
}
