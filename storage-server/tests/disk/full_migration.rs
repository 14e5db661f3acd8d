//! A disk that fills up in the middle of a migration: it is told, nothing moves or is lost, reads and small puts go on, and
//! with room it goes on where it was.

use std::path::Path;

use storage_server::client::Client;
use storage_server::proto;
use tonic::Code;
use tonic::Status;

use crate::full::Small;
use crate::metric;
use crate::support::TestServer;
use crate::support::message;
use crate::support::put;
use crate::support::read;

const MESSAGES: u64 = 40;
const MESSAGE_BYTES: usize = 150_000;

/// Migrates everything to warm; the units that moved.
async fn migrate(client: &mut Client) -> Result<u64, Status> {
    let request = proto::MigrateRequest { to: proto::Tier::Warm.into(), ..proto::MigrateRequest::default() };
    let mut steps = client.admin.migrate(request).await?.into_inner();
    let mut moved = 0;
    while let Some(step) = steps.message().await? {
        assert_eq!(step.damaged, 0, "{step:?}");
        moved = step.moves.iter().map(|moved| moved.objects).sum();
    }
    Ok(moved)
}

async fn all_there(client: &mut Client) {
    for number in 0..MESSAGES {
        assert!(read(client, &format!("f-{number}")).await.unwrap() == message(number, MESSAGE_BYTES));
    }
}

/// A scrub finds nothing.
async fn in_order(client: &mut Client) {
    let mut steps = client.admin.scrub(proto::ScrubRequest::default()).await.unwrap().into_inner();
    let mut done = false;
    while let Some(step) = steps.message().await.unwrap() {
        assert!(step.findings.is_empty(), "{:?}", step.findings);
        done = step.done;
    }
    assert!(done, "it looked at everything");
}

/// Fills the file system up to so many bytes.
fn fill(ballast: &Path, left: u64) {
    let there = rustix::fs::statvfs(ballast.parent().unwrap()).unwrap();
    let free = there.f_bavail * there.f_frsize;
    let bytes = usize::try_from(free.saturating_sub(left)).unwrap();
    std::fs::write(ballast, vec![1; bytes]).unwrap();
}

async fn fills_up(left: u64) {
    let Some(disk) = Small::mount(32) else { return };
    let (data, ballast) = (disk.path().join("data"), disk.path().join("ballast"));
    let server = TestServer::start_in(&data).await;
    let mut client = server.client().await;
    for number in 0..MESSAGES {
        let put = put(&format!("f-{number}"), message(number, MESSAGE_BYTES));
        let _receipt = client.messages.put_message(put).await.unwrap();
    }
    fill(&ballast, left);
    let status = migrate(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("full"), "{status}");
    all_there(&mut client).await;
    // Only a log or a catalog that could not be written shuts the store; the pack of a migration is given up.
    let writable = metric(&server, "storage_writable").await == 1;
    assert!(writable || left == 0, "a migration that has no room shuts nothing");
    if writable {
        let _receipt = client.messages.put_message(put("meanwhile", message(99, 2_000))).await.unwrap();
    }
    std::fs::remove_file(&ballast).unwrap();
    if !writable {
        let _report = client.admin.reopen(proto::ReopenRequest {}).await.unwrap();
    }
    // What the migration left of its pack is no damage.
    in_order(&mut client).await;
    assert!(migrate(&mut client).await.unwrap() >= MESSAGES, "all of them move now");
    all_there(&mut client).await;
    let grace = Some(prost_types::Duration::default());
    let _report = client.admin.sweep(proto::SweepRequest { grace, ..Default::default() }).await.unwrap();
    all_there(&mut client).await;
    in_order(&mut client).await;
    drop(client);
    server.stop().await;
    let server = TestServer::start_in(&data).await;
    let mut client = server.client().await;
    all_there(&mut client).await;
    in_order(&mut client).await;
    if writable {
        assert!(read(&mut client, "meanwhile").await.unwrap() == message(99, 2_000));
    }
    assert_eq!(metric(&server, "storage_damaged_units_total").await, 0);
    let leftovers = std::fs::read_dir(data.join("packs")).unwrap();
    let temporary = leftovers.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "tmp");
    assert_eq!(temporary.count(), 0, "nothing is left of what was given up");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_while_a_pack_is_written() {
    fills_up(1_500_000).await;
}

#[tokio::test]
async fn a_disk_that_is_full_when_a_migration_begins() {
    fills_up(0).await;
}
