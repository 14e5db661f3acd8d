//! The program from outside: what it prints, how it stops, what it refuses.

#![allow(
    unused_results,
    clippy::unwrap_used,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use storage_server::client;
use storage_server::client::Client;
use storage_server::proto;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storage-server"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Starts the program and waits for its one line.
fn start(data_dir: &std::path::Path) -> (Child, String) {
    let mut child = program()
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
    if address.is_empty() {
        child.wait().unwrap();
        panic!("the program did not start: {line:?}");
    }
    (child, address)
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

// Waiting for the program blocks a thread; the connection is closed on another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_where_it_listens_and_stops_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let (mut child, address) = start(&data_dir);
    assert!(!address.ends_with(":0"), "{address}");
    let mut client = Client::new(client::connect(&address).await.unwrap(), Some("default")).unwrap();
    let options = proto::PutOptions { id: "kept".into(), ..Default::default() };
    let put = proto::PutMessageRequest { options: Some(options), data: "Subject: x\r\n\r\nbody\r\n".into() };
    let receipt = client.messages.put_message(put).await.unwrap().into_inner();
    drop(client);
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    // What was acknowledged is there after a restart.
    let (mut child, address) = start(&data_dir);
    let mut client = Client::new(client::connect(&address).await.unwrap(), Some("default")).unwrap();
    let stat = client.messages.stat_message(proto::StatRequest { id: "kept".into() }).await;
    drop(client);
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(stat.unwrap().into_inner().id, receipt.id);
}

#[test]
fn wrong_usage_is_told_and_exits_with_2() {
    for arguments in [&["--no-such-flag"][..], &["--listen", "nowhere"], &["--log", "xml"]] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn a_wrong_configuration_is_named_and_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    std::fs::write(&file, "listenn = \"127.0.0.1:0\"\n").unwrap();
    for (path, named) in [(file, "listenn"), (dir.path().join("absent.toml"), "absent.toml")] {
        let output = program().arg("--config").arg(path).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(named) && output.stdout.is_empty(), "{told}");
    }
}
