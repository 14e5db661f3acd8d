//! What a server tells a monitoring system: counters of its requests, and at each scrape what engine, disk and process say.
//! Guarantees that labels have few values: methods, codes, tiers, kinds, states; never a tenant, an id or what a caller
//! sent.

pub mod endpoint;
mod engine;
mod process;
pub(crate) mod requests;
mod sheet;

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use storage_core::engine::Engine;

use crate::connection::Places;
use crate::gate::Gate;
use crate::metrics::engine::EngineSnapshot;
use crate::metrics::process::ProcessSnapshot;
use crate::metrics::requests::Calls;
use crate::metrics::sheet::Sheet;
use crate::stalls::Stalls;

/// The metrics of one server. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    calls: Calls,
    /// Set when the server begins.
    server: OnceLock<ServerParts>,
}

/// The parts of a server that are asked at each scrape.
#[derive(Debug)]
pub(crate) struct ServerParts {
    pub(crate) gate: Arc<Gate>,
    pub(crate) places: Arc<Places>,
    pub(crate) stalls: Arc<Stalls>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Inner {
    fn default() -> Self {
        let mut registry = Registry::default();
        let calls = Calls::registered(&mut registry);
        Self { registry, calls, server: OnceLock::new() }
    }
}

impl Metrics {
    /// Metrics in which nothing is counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn calls(&self) -> Calls {
        self.inner.calls.clone()
    }

    /// Says which server these are the metrics of. Only the first one counts.
    pub(crate) fn watch(&self, server: ServerParts) {
        drop(self.inner.server.set(server));
    }

    /// All of it in the text format of OpenMetrics 1.0.
    pub async fn text(&self, engine: &Engine) -> Result<String, fmt::Error> {
        let snapshot = EngineSnapshot::take(engine).await;
        let process = ProcessSnapshot::take(engine.settings().data_dir.clone()).await;
        let mut scraped = Registry::default();
        scraped.register_collector(Box::new(snapshot));
        scraped.register_collector(Box::new(process));
        let mut text = String::new();
        text::encode_registry(&mut text, &self.inner.registry)?;
        if let Some(server) = self.inner.server.get() {
            let mut own = Registry::default();
            own.register_collector(Box::new(ServerSnapshot::take(server)));
            text::encode_registry(&mut text, &own)?;
        }
        text::encode_registry(&mut text, &scraped)?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct ServerSnapshot {
    requests: usize,
    receiving_bytes: usize,
    connections: usize,
    refused: u64,
    stalled: u64,
}

impl ServerSnapshot {
    fn take(server: &ServerParts) -> Self {
        Self {
            requests: server.gate.requests(),
            receiving_bytes: server.gate.receiving_bytes(),
            connections: server.places.open(),
            refused: server.places.refused(),
            stalled: server.stalls.closed(),
        }
    }
}

impl prometheus_client::collector::Collector for ServerSnapshot {
    fn encode(&self, encoder: prometheus_client::encoding::DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut sheet = Sheet::new(encoder);
        sheet.gauge("storage_requests_in_flight", "Requests in flight", number(self.requests))?;
        sheet.gauge(
            "storage_receive_memory_bytes",
            "Bytes of requests being received or waiting",
            number(self.receiving_bytes),
        )?;
        sheet.gauge("storage_connections", "Open connections", number(self.connections))?;
        sheet.counter("storage_connections_refused", "Connections above the bound", self.refused)?;
        sheet.counter(
            "storage_connections_stalled",
            "Connections closed because an answer was not taken",
            self.stalled,
        )
    }
}
