//! The three services: thin shells that check a request, ask the engine and put its answer on the wire.

pub(crate) mod admin;
pub(crate) mod content;
mod items;
pub(crate) mod message;
mod reply;
