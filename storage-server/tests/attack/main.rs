//! The server under attack, over real sockets: whatever clients do, the server lives, a proper client is served, nothing
//! that was acknowledged is lost, and what the attack held comes back.

#![allow(
    unused_results,
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it cannot go on, and looks at what it is about; the support is shared"
)]

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod fair;
mod protocol;
mod raw;
mod requests;
mod slow;

use storage_server::server::Settings;
use tonic::Code;

use crate::support::TestServer;
use crate::support::message;
use crate::support::put;
use crate::support::read;

/// Looks at a metric before it counts as stuck: half a minute of them.
const LOOKS_MAX: usize = 6_000;

/// A server with one message, and what it holds while it is at rest.
struct Attacked {
    server: TestServer,
}

impl Attacked {
    async fn start(settings: Settings) -> Self {
        Self::start_with(settings, |_| {}).await
    }

    async fn start_with(
        settings: Settings,
        change: impl FnOnce(&mut storage_core::settings::Settings),
    ) -> Self {
        let server = TestServer::start_with(settings, change).await;
        let mut client = server.client().await;
        client.messages.put_message(put("known", message(1, 20_000))).await.unwrap();
        Self { server }
    }

    /// The value of a metric without labels.
    async fn metric(&self, name: &str) -> u64 {
        let text = self.server.metrics.text(&self.server.engine).await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    /// Waits until a metric has a value.
    async fn until(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(5));
        let mut last = 0;
        for _ in 0..LOOKS_MAX {
            looks.tick().await;
            last = self.metric(name).await;
            if wanted(last) {
                return;
            }
        }
        panic!("{name} stays at {last}");
    }

    /// A proper client is served, and nothing of the attack is left.
    async fn ends_well(self) {
        let mut client = loop {
            // Places may come back a moment after the attackers are gone.
            match storage_server::client::connect(&self.server.address.to_string()).await {
                Ok(channel) => {
                    break storage_server::client::Client::new(channel, Some("default")).unwrap();
                }
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let wanted = message(2, 300_000);
        loop {
            match client.messages.put_message(put("after", wanted.clone())).await {
                Ok(_) => break,
                Err(status) => assert!(
                    [Code::ResourceExhausted, Code::Unavailable, Code::Unknown].contains(&status.code()),
                    "{status}"
                ),
            }
        }
        assert!(read(&mut client, "after").await.unwrap() == wanted);
        assert!(read(&mut client, "known").await.unwrap() == message(1, 20_000));
        for held in [
            "storage_requests_in_flight",
            "storage_receive_memory_bytes",
            "storage_put_memory_bytes",
            "storage_get_memory_bytes",
        ] {
            self.until(held, |held| held == 0).await;
        }
        assert_eq!(self.metric("storage_writable").await, 1);
        self.until("storage_connections", |open| open == 1).await;
        drop(client);
        self.server.stop().await;
    }
}
