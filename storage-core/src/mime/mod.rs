//! A message as skeleton + parts + recipes, and exactly back. Guarantees: any bytes at all are accepted and
//! come back identical, in linear time and bounded memory; what is emitted as decoded was re-encoded and
//! compared first. Must not know storage, time, hashing or threads: bytes in, bytes out.
//!
//! In the order the data flows: [`Splitter`] cuts a message along its boundaries (`boundary`, `headers`),
//! a leaf is decoded window by window (`leaf`, `decoder`), the skeleton collects the rest (`builder`).
//! Back: [`Skeleton`] reads the operations, [`Encoder`] redoes the transfer encodings, [`assemble`] joins.
//! The bytes are described in `docs/format.md`.

mod assemble;
mod base64;
mod base64_scan;
mod boundary;
mod builder;
mod decoder;
mod encoder;
mod headers;
mod leaf;
mod limits;
mod part;
mod quoted_printable;
mod quoted_printable_model;
mod quoted_printable_scan;
mod recipe;
mod single;
mod skeleton;
mod splitter;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_properties;
mod varint;

pub use assemble::SplitInMemory;
pub use assemble::assemble;
pub use assemble::encode_part;
pub use assemble::rebuilds;
pub use assemble::split;
pub use encoder::Encoder;
pub use limits::OPERATIONS_MAX;
pub use limits::SplitLimits;
pub use part::Encoding;
pub use part::PartInfo;
pub use part::PartSummary;
pub use part::Role;
pub use single::message_id;
pub use single::single_part;
pub use skeleton::Op;
pub use skeleton::Skeleton;
pub use skeleton::SkeletonPart;
pub use splitter::Sink;
pub use splitter::Split;
pub use splitter::Splitter;
