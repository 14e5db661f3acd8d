//! The program is killed while clients put: what was acknowledged is there after a restart, byte for byte.
//!
//! `KILL_ROUNDS=20 cargo test -p storage-server --test kill` kills it more often.

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use storage_fixtures::large;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::rng::Rng;
use storage_server::client;
use storage_server::client::Client;
use storage_server::proto;
use storage_server::proto::get_response::Frame;
use tokio::sync::mpsc;

/// Kills of an ordinary run.
const ROUNDS: u64 = 5;

/// Clients that put at once.
const CLIENTS: usize = 4;

/// Acknowledged messages by id.
type Acknowledged = HashMap<String, Bytes>;

/// A running program; killed when it is dropped.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(data_dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_storage-server"))
            .env_remove("RUST_LOG")
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        let _ = BufReader::new(stdout).read_line(&mut line).expect("its one line");
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        let program = Self { child, address };
        assert!(!program.address.is_empty(), "the program did not open its store again: {line:?}");
        program
    }

    async fn client(&self) -> Client {
        let channel = client::connect(&self.address).await.expect("a connection");
        Client::new(channel, Some("default")).expect("a client")
    }

    /// SIGKILL: nothing in the program runs any more.
    fn kill(&mut self) {
        self.child.kill().expect("the child is ours");
        let _ = self.child.wait().expect("it has ended");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The messages of a round, with ids: mail as it comes, copies among it, now and then a large one.
fn messages(round: u64) -> Vec<(String, Bytes)> {
    let mut rng = Rng::new(round);
    let mut all: Vec<Bytes> = Mailbox::new(round, 300).map(|message| Bytes::from(message.bytes)).collect();
    all.retain(|bytes| bytes.len() < 1 << 20);
    for at in [7, 21, 22] {
        let mut message = Vec::new();
        // Two of them carry the same attachment.
        large::write(round + u64::from(at > 7), 4_400_000, &mut message).expect("a vector takes all");
        all.insert(at + rng.below(5), Bytes::from(message));
    }
    all.into_iter().enumerate().map(|(number, bytes)| (format!("{round}/{number}"), bytes)).collect()
}

async fn put(client: &mut Client, id: &str, bytes: &Bytes) -> Result<(), tonic::Status> {
    let options = proto::PutOptions { id: id.to_owned(), ..Default::default() };
    if bytes.len() < 1 << 20 {
        let request = proto::PutMessageRequest { options: Some(options), data: bytes.clone() };
        return client.messages.put_message(request).await.map(drop);
    }
    let pieces: Vec<_> = bytes.chunks(60_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let (frames, _failure) = client::put_frames(options, futures::stream::iter(pieces));
    client.messages.put_message_stream(frames).await.map(drop)
}

/// Puts from several clients until `kill_after` messages were acknowledged; then kills. What was acknowledged meanwhile
/// counts, too.
async fn put_until_killed(program: &mut Program, round: u64, kill_after: usize) -> Acknowledged {
    let messages = Arc::new(messages(round));
    let (acknowledged, mut told) = mpsc::unbounded_channel();
    for number in 0..CLIENTS {
        let (mut client, messages) = (program.client().await, Arc::clone(&messages));
        let acknowledged = acknowledged.clone();
        drop(tokio::spawn(async move {
            for (id, bytes) in messages.iter().skip(number).step_by(CLIENTS) {
                if put(&mut client, id, bytes).await.is_err() {
                    return;
                }
                drop(acknowledged.send((id.clone(), bytes.clone())));
            }
        }));
    }
    drop(acknowledged);
    let mut all = Acknowledged::new();
    while let Some((id, bytes)) = told.recv().await {
        let _ = all.insert(id, bytes);
        if all.len() == kill_after {
            program.kill();
        }
    }
    assert!(all.len() >= kill_after, "round {round}: the clients ended after {} messages", all.len());
    all
}

async fn read(client: &mut Client, id: &str) -> Result<Vec<u8>, tonic::Status> {
    let request = proto::GetRequest { id: id.to_owned(), ..Default::default() };
    let mut answer = client.messages.get_message(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(frame) = answer.message().await? {
        if let Some(Frame::Data(data)) = frame.frame {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let rounds = std::env::var("KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut everything = Acknowledged::new();
    let mut program = Program::start(dir.path());
    for round in 0..rounds {
        let kill_after = Rng::new(round + 1_000).between(1, 60);
        let acknowledged = put_until_killed(&mut program, round, kill_after).await;
        program = Program::start(dir.path());
        let mut client = program.client().await;
        for (id, bytes) in &acknowledged {
            let found = read(&mut client, id).await;
            let found =
                found.unwrap_or_else(|status| panic!("round {round}: {id} was acknowledged: {status}"));
            assert!(found == *bytes, "round {round}: {id} came back with other bytes");
        }
        everything.extend(acknowledged);
    }
    // What earlier rounds left is still there after all kills.
    let mut client = program.client().await;
    for (id, bytes) in &everything {
        assert!(read(&mut client, id).await.expect("an acknowledged message") == *bytes, "{id}");
    }
}
