//! The store over gRPC: the services, the server around them, and a client library.
//!
//! In reading order: what is on the wire ([`proto`]) and how it becomes the engine's data ([`convert`]); the bounds
//! ([`limits`]) and the tenant of a call ([`tenant`]); the services, with the pipelined ingest and the progress of
//! migrations; who is let in, how long a client is waited for, and what is measured; the server and its configuration; the client.
//!
//! The services know the engine; the engine does not know them.

pub mod proto;

pub mod convert;
pub mod limits;
pub mod tenant;

pub mod patience;

mod gate;
mod pace;

mod checks;
mod ingest;
mod jobs;
mod progress;
mod services;

mod admission;
mod answering;
mod connection;
mod health;
pub mod metrics;
mod peer;
mod receiving;
mod schedule;
mod stalls;

pub mod server;

pub mod config;
pub mod descriptors;

pub mod client;
