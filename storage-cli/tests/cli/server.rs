//! The program against a server process. Runs where `storage-server` has been built into the same target directory, as
//! `cargo build --workspace` and `cargo test --workspace` do; says that it was skipped where it has not.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::support::Sandbox;
use serde_json::json;

/// The server, ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server_binary() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_storage-cli")).with_file_name("storage-server");
    beside.exists().then_some(beside)
}

/// Starts a server on a free port. Its first line names the address it listens on.
fn start(binary: &Path, data_dir: &Path) -> (Server, String) {
    let mut child = Command::new(binary)
        .args(["--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap());
    let server = Server(child);
    for line in told.lines() {
        if let Some(address) = line.unwrap().strip_prefix("listening on ") {
            return (server, format!("http://{address}"));
        }
    }
    panic!("the server ended without naming its address");
}

#[test]
fn import_and_export_through_a_server() {
    let Some(binary) = server_binary() else {
        eprintln!("skipped: storage-server has not been built");
        return;
    };
    let sandbox = Sandbox::new();
    let (_server, url) = start(&binary, &sandbox.path("data"));
    let sandbox = sandbox.with_server(&url);
    for number in 0..300 {
        let message = format!("Subject: {number}\r\n\r\n{}", "line\r\n".repeat(number));
        let _ = sandbox.write(&format!("mail/{number}.eml"), message.as_bytes());
    }
    assert_eq!(sandbox.document(&["import", "mail", "--jobs", "64"])["imported"], 300);
    assert_eq!(sandbox.document(&["import", "mail"])["already_there"], 300);
    assert_eq!(sandbox.document(&["export", "out"])["exported"], 300);
    assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 300);
    assert_eq!(sandbox.document(&["stats"])["messages"], json!(300));
}
