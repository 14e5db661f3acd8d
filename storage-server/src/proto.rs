//! The types, clients and server traits generated from `proto/storage/v1`. Nothing here is written by hand.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_results,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its documentation is the comments of the proto files"
)]

tonic::include_proto!("storage.v1");

/// The descriptors of all services, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("storage_v1_descriptor");
