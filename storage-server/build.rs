//! Generates the gRPC code and the descriptor set for reflection from `proto/`, without `protoc`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use prost::Message;

const PROTOS: [&str; 4] = [
    "storage/v1/common.proto",
    "storage/v1/message.proto",
    "storage/v1/content.proto",
    "storage/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("Cargo sets OUT_DIR for build scripts")?);
    fs::write(out_dir.join("storage_v1_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
