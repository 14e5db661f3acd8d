//! The server on a bad disk: what fails is told in the right way and seen in health and metrics, nothing that was
//! acknowledged is lost, reads go on, and there is a way back.

#![allow(
    unused_results,
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it cannot go on, and looks at what it is about; the support is shared"
)]

#[path = "../support/mod.rs"]
mod support;

mod faulty;
mod full;
mod full_migration;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use storage_core::backend::MemoryBackend;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::clock::Clock;
use storage_core::clock::SystemClock;
use storage_core::clock::Timestamp;
use storage_core::engine::Engine;
use storage_core::settings::Settings as EngineSettings;
use storage_core::store::Doors;
use storage_server::client::Client;
use storage_server::proto;
use storage_server::server::Settings;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::faulty::Fault;
use crate::faulty::FaultyBackend;
use crate::faulty::Switch;
use crate::support::TestServer;
use crate::support::message;
use crate::support::put;
use crate::support::read;

async fn metric(server: &TestServer, name: &str) -> u64 {
    let text = server.metrics.text(&server.engine).await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

/// Waits until health says so.
async fn until_health(server: &TestServer, wanted: ServingStatus) {
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != wanted {}
}

/// A server on a disk that does what it is told.
async fn on_a_faulty_disk(clock: Arc<dyn Clock>) -> (TestServer, Switch) {
    let dir = tempfile::tempdir().unwrap();
    let switch = Switch::new();
    let backend = FaultyBackend { inner: MemoryBackend::new(), switch: switch.clone() };
    let catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).await.unwrap();
    let doors = Doors { backend: Arc::new(backend), catalog: Arc::new(catalog) };
    let mut settings = EngineSettings::new(dir.path());
    settings.workers = 2;
    let engine = Engine::open_doors(settings, clock, doors, [7; 32]).await.unwrap();
    (TestServer::over(engine, Settings::default(), dir).await, switch)
}

#[tokio::test]
async fn a_failed_write_shuts_for_writes_and_reopening_opens_again() {
    for (fault, code) in [(Fault::Full, Code::ResourceExhausted), (Fault::Denied, Code::Internal)] {
        let (server, switch) = on_a_faulty_disk(Arc::new(SystemClock)).await;
        let mut client = server.client().await;
        for number in 0..10 {
            client.messages.put_message(put(&format!("a-{number}"), message(number, 9_000))).await.unwrap();
        }
        switch.set(Some(fault));
        let status = client.messages.put_message(put("lost", message(99, 9_000))).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        // Shut: the answer says how to get going again; reads, health and metrics go on.
        let shut = client.messages.put_message(put("lost", message(99, 9_000))).await.unwrap_err();
        assert_eq!(shut.code(), Code::Unavailable);
        assert!(shut.message().contains("reopen"), "{shut}");
        let delete = proto::DeleteRequest { id: "a-1".into() };
        assert_eq!(
            client.messages.delete_message(delete.clone()).await.unwrap_err().code(),
            Code::Unavailable
        );
        until_health(&server, ServingStatus::NotServing).await;
        assert_eq!(metric(&server, "storage_writable").await, 0);
        for number in 0..10 {
            assert!(read(&mut client, &format!("a-{number}")).await.unwrap() == message(number, 9_000));
        }
        // While the cause stands, reopening fails and changes nothing.
        assert!(client.admin.reopen(proto::ReopenRequest {}).await.is_err());
        assert_eq!(metric(&server, "storage_writable").await, 0);
        switch.set(None);
        let recovered = client.admin.reopen(proto::ReopenRequest {}).await.unwrap().into_inner();
        assert_eq!((recovered.packs > 0, recovered.missing), (true, 0));
        until_health(&server, ServingStatus::Serving).await;
        assert_eq!(metric(&server, "storage_writable").await, 1);
        // Reopening what is open does nothing.
        assert_eq!(client.admin.reopen(proto::ReopenRequest {}).await.unwrap().into_inner().packs, 0);
        for number in 0..10 {
            assert!(read(&mut client, &format!("a-{number}")).await.unwrap() == message(number, 9_000));
        }
        client.messages.delete_message(delete).await.unwrap();
        client.messages.put_message(put("lost", message(99, 9_000))).await.unwrap();
        assert!(read(&mut client, "lost").await.unwrap() == message(99, 9_000));
        let counted = client.admin.stats(proto::StatsRequest::default()).await.unwrap().into_inner();
        assert_eq!(counted.messages, 10);
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_slow_disk_delays_puts_and_nothing_else() {
    let (server, switch) = on_a_faulty_disk(Arc::new(SystemClock)).await;
    let mut client = server.client().await;
    client.messages.put_message(put("before", message(1, 9_000))).await.unwrap();
    switch.stall();
    let mut waiting = JoinSet::new();
    for number in 0..40 {
        let mut client = client.clone();
        waiting.spawn(async move {
            let mut request = tonic::Request::new(put(&format!("s-{number}"), message(number, 9_000)));
            if number % 2 == 0 {
                request.set_timeout(Duration::from_millis(100));
            }
            (number, client.messages.put_message(request).await)
        });
    }
    // The ones with a deadline are answered by it, though the disk answers nothing.
    for _ in 0..20 {
        let (number, answer) = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(number % 2, 0, "{answer:?}");
        assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&answer.unwrap_err().code()));
    }
    assert!(read(&mut client, "before").await.unwrap() == message(1, 9_000));
    assert_eq!(metric(&server, "storage_writable").await, 1);
    assert!(metric(&server, "storage_put_memory_bytes").await > 0);
    switch.go_on();
    while let Some(ended) = waiting.join_next().await {
        let (number, answer) = ended.unwrap();
        answer.unwrap();
        assert!(read(&mut client, &format!("s-{number}")).await.unwrap() == message(number, 9_000));
    }
    drop(client);
    server.stop().await;
}

/// A clock that is set by hand.
#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test]
async fn a_clock_that_jumps_back_loses_nothing() {
    const YEAR: i64 = 365 * 86_400_000;
    let clock = Arc::new(SetClock(AtomicI64::new(1_800_000_000_000)));
    let (server, switch) = on_a_faulty_disk(Arc::clone(&clock) as Arc<dyn Clock>).await;
    let mut client = server.client().await;
    for (number, jump) in (0_u64..).zip([0, -YEAR, 2 * YEAR, -3 * YEAR, 0]) {
        clock.0.fetch_add(jump, Ordering::SeqCst);
        client.messages.put_message(put(&format!("c-{number}"), message(number, 9_000))).await.unwrap();
        // Recovery replays logs in the order of their names, whatever the clock says.
        switch.set(Some(Fault::Full));
        client.messages.put_message(put("x", message(50 + number, 9_000))).await.unwrap_err();
        switch.set(None);
        client.admin.reopen(proto::ReopenRequest {}).await.unwrap();
        client.admin.sweep(proto::SweepRequest::default()).await.unwrap();
        for earlier in 0..=number {
            assert!(read(&mut client, &format!("c-{earlier}")).await.unwrap() == message(earlier, 9_000));
        }
    }
    let delete = proto::DeleteRequest { id: "c-0".into() };
    client.messages.delete_message(delete).await.unwrap();
    clock.0.fetch_add(-YEAR, Ordering::SeqCst);
    assert_eq!(read(&mut client, "c-0").await.unwrap_err().code(), Code::NotFound);
    drop(client);
    server.stop().await;
}

fn packs(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir.join("packs")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

/// A stopped store with two sealed packs, each with a message of the same length.
async fn two_sealed_packs(dir: &Path) {
    let server = TestServer::start_in(dir).await;
    let mut client = server.client().await;
    for number in 0..2 {
        client.messages.put_message(put(&format!("m-{number}"), message(number, 50_000))).await.unwrap();
        // A sweep seals the open pack.
        client.admin.sweep(proto::SweepRequest::default()).await.unwrap();
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_pack_that_vanished_is_told_and_the_others_serve() {
    let dir = tempfile::tempdir().unwrap();
    two_sealed_packs(dir.path()).await;
    let largest = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    let mut all = packs(dir.path());
    all.retain(|path| largest(path) > 40_000);
    assert_eq!(all.len(), 2);
    std::fs::remove_file(&all[1]).unwrap();
    let server = TestServer::start_in(dir.path()).await;
    let mut client = server.client().await;
    assert!(read(&mut client, "m-0").await.unwrap() == message(0, 50_000));
    assert_eq!(metric(&server, "storage_damaged_units_total").await, 0);
    let status = read(&mut client, "m-1").await.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss, "{status}");
    assert!(metric(&server, "storage_damaged_units_total").await > 0);
    // Puts go on, and the vanished pack comes back with a restore of its file.
    client.messages.put_message(put("new", message(9, 5_000))).await.unwrap();
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn swapped_packs_never_give_the_wrong_bytes() {
    let dir = tempfile::tempdir().unwrap();
    two_sealed_packs(dir.path()).await;
    let mut all = packs(dir.path());
    all.retain(|path| std::fs::metadata(path).unwrap().len() > 40_000);
    let aside = dir.path().join("aside");
    std::fs::rename(&all[0], &aside).unwrap();
    std::fs::rename(&all[1], &all[0]).unwrap();
    std::fs::rename(&aside, &all[1]).unwrap();
    let server = TestServer::start_in(dir.path()).await;
    let mut client = server.client().await;
    for number in 0..2 {
        let status = read(&mut client, &format!("m-{number}")).await.unwrap_err();
        assert_eq!(status.code(), Code::DataLoss, "{status}");
    }
    assert!(metric(&server, "storage_damaged_units_total").await >= 2);
    drop(client);
    server.stop().await;
    std::fs::rename(&all[0], &aside).unwrap();
    std::fs::rename(&all[1], &all[0]).unwrap();
    std::fs::rename(&aside, &all[1]).unwrap();
    let server = TestServer::start_in(dir.path()).await;
    let mut client: Client = server.client().await;
    for number in 0..2 {
        assert!(read(&mut client, &format!("m-{number}")).await.unwrap() == message(number, 50_000));
    }
    drop(client);
    server.stop().await;
}
