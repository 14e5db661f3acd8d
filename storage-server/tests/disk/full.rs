//! A real file system that is full, or that turned read-only: a small one in memory, where the test may mount one.

use std::path::Path;
use std::process::Command;

use storage_server::proto;
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::metric;
use crate::support::TestServer;
use crate::support::message;
use crate::support::put;
use crate::support::read;
use crate::until_health;

/// A mounted file system; taken away when it is dropped.
pub(crate) struct Small(TempDir);

impl Small {
    /// One of so many MiB. None, with the reason printed, where it cannot be mounted.
    pub(crate) fn mount(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            Ok(output) => {
                eprintln!(
                    "skipped, no file system to fill: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
                None
            }
            Err(error) => {
                eprintln!("skipped, no file system to fill: mount cannot be run: {error}");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_reopens_once_there_is_room() {
    let Some(disk) = Small::mount(8) else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let server = TestServer::start_in(&disk.path().join("data")).await;
    let mut client = server.client().await;
    let mut acknowledged = Vec::new();
    let status = loop {
        let number = acknowledged.len() as u64;
        match client.messages.put_message(put(&format!("f-{number}"), message(number, 150_000))).await {
            Ok(_) => acknowledged.push(number),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("full"), "{status}");
    assert!(acknowledged.len() > 5);
    let shut = client.messages.put_message(put("late", message(9, 100))).await.unwrap_err();
    assert_eq!(shut.code(), Code::Unavailable, "{shut}");
    until_health(&server, ServingStatus::NotServing).await;
    assert_eq!(metric(&server, "storage_writable").await, 0);
    assert!(metric(&server, "storage_disk_free_bytes").await < 300_000);
    for number in &acknowledged {
        assert!(read(&mut client, &format!("f-{number}")).await.unwrap() == message(*number, 150_000));
    }

    std::fs::remove_file(&ballast).unwrap();
    client.admin.reopen(proto::ReopenRequest {}).await.unwrap();
    until_health(&server, ServingStatus::Serving).await;
    client.messages.put_message(put("late", message(9, 100_000))).await.unwrap();
    for number in &acknowledged {
        assert!(read(&mut client, &format!("f-{number}")).await.unwrap() == message(*number, 150_000));
    }
    drop(client);
    server.stop().await;
    // The same after a restart.
    let server = TestServer::start_in(&disk.path().join("data")).await;
    let mut client = server.client().await;
    assert!(read(&mut client, "late").await.unwrap() == message(9, 100_000));
    for number in &acknowledged {
        assert!(read(&mut client, &format!("f-{number}")).await.unwrap() == message(*number, 150_000));
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_told_at_the_start_and_left_alone() {
    let Some(disk) = Small::mount(16) else { return };
    let remount = |mode: &str| {
        let option = format!("remount,{mode}");
        Command::new("mount").args(["-o", &option]).arg(disk.path()).output().unwrap()
    };
    let server = TestServer::start_in(&disk.path().join("data")).await;
    let mut client = server.client().await;
    client.messages.put_message(put("before", message(1, 50_000))).await.unwrap();
    drop(client);
    server.stop().await;
    let output = remount("ro");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Nothing can be opened for writing; the start says so and touches nothing.
    let error = TestServer::try_start_in(&disk.path().join("data")).await.err().unwrap();
    assert!(error.message().contains("permissions") || error.message().contains("read"), "{error:?}");
    assert!(remount("rw").status.success());
    let server = TestServer::start_in(&disk.path().join("data")).await;
    let mut client = server.client().await;
    assert!(read(&mut client, "before").await.unwrap() == message(1, 50_000));
    drop(client);
    server.stop().await;
}
