//! What the measuring programs share: a stopwatch, percentiles, the mail they send, and how results are printed.
//! The programs speak gRPC to a running server and know nothing of the engine behind it.

pub mod files;
pub mod ingest;
pub mod mail;
pub mod memory;
pub mod print;
pub mod size;
pub mod stopwatch;
pub mod summary;
