//! A tiered, deduplicating, byte-exact content store for mail: the engine as a library.
//!
//! The modules stand in the order in which data flows, and a module uses only what stands above it (a test enforces
//! that). To follow a **put** from top to bottom:
//!
//! 1. [`engine::Engine::put`] takes a tenant, options and bytes, and hands them to [`ops::put`].
//! 2. `ops/prepared.rs` splits the message with [`mime`] into a skeleton and objects, proves that they rebuild the exact
//!    bytes, and hashes them. (An item above 4 MiB is split while it comes in: `ops/put_large.rs`.)
//! 3. `ops/log/mod.rs` gathers waiting puts into a group. `ops/log/group.rs` asks the [`catalog`] which ids and objects
//!    are known, and builds a block frame of [`pack`] for what is new.
//! 4. `ops/log/pack.rs` appends the frames to the open log pack through the [`backend`] and syncs it: from here on the
//!    group survives power loss, because `ops/recover.rs` replays it.
//! 5. [`catalog::Catalog::commit`] makes the group visible, in one transaction (`catalog/sqlite/commit.rs`).
//! 6. Every caller of the group gets its [`model::PutReceipt`].
//!
//! A **get** goes the other way (`ops/get.rs`, `ops/read.rs`); `ops/migrate` moves content between the tiers of
//! [`tier`]; `ops/sweep.rs` gives space back. `docs/architecture.md` tells the rest, `docs/format.md` is the bytes.
//!
//! ```
//! # async fn example() -> storage_core::error::Result<()> {
//! use std::sync::Arc;
//!
//! use storage_core::clock::SystemClock;
//! use storage_core::engine::DEFAULT_TENANT;
//! use storage_core::engine::Engine;
//! use storage_core::model::GetOptions;
//! use storage_core::model::ItemKind;
//! use storage_core::model::PutOptions;
//! use storage_core::settings::Settings;
//!
//! # let directory = tempfile::tempdir().expect("a directory");
//! let engine = Engine::open(Settings::new(directory.path()), Arc::new(SystemClock)).await?;
//! let message = "Subject: hello\r\n\r\nHello, store.\r\n";
//! let options = PutOptions { caller_id: Some("first".into()), ..PutOptions::default() };
//! let receipt = engine.put(DEFAULT_TENANT, ItemKind::Message, options, message.into()).await?;
//! assert!(receipt.created);
//!
//! let (stat, mut bytes) = engine.get(DEFAULT_TENANT, ItemKind::Message, "first", GetOptions::default()).await?;
//! assert_eq!(stat.id, receipt.id);
//! let mut read = Vec::new();
//! while let Some(piece) = bytes.next().await {
//!     read.extend_from_slice(&piece?);
//! }
//! assert_eq!(read, message.as_bytes());
//! engine.close().await
//! # }
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(example()).expect("a round trip");
//! ```

pub mod error;

pub mod clock;

pub mod ids;

pub mod model;

pub mod media;

pub mod mime;

pub mod codec;

pub mod pack;

pub mod recode;

pub mod similarity;

pub mod backend;

pub mod tier;

pub mod settings;

pub mod report;

pub mod activity;

pub mod catalog;

mod workers;

mod data_dir;

mod latency;

mod counters;

pub mod budget;

mod caches;

pub mod store;

pub mod ops;

pub mod engine;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
