//! The program is killed while clients put, delete and update, and migrations, compactions and sweeps run. After each
//! restart every put that was acknowledged is there, byte for byte, every delete and update that was acknowledged holds,
//! and scrub finds nothing.
//!
//! `KILL_ROUNDS=300 cargo test --release -p storage-server --test kill` kills it more often.

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use bytes::Bytes;
use storage_fixtures::large;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::rng::Rng;
use storage_server::client;
use storage_server::client::Client;
use storage_server::proto;
use storage_server::proto::get_response::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Code;

/// Kills of an ordinary run.
const ROUNDS: u64 = 5;

/// Kills that one store takes. Each is followed by a scrub of all that the ones before left.
const STORE_ROUNDS: u64 = 25;

/// Clients that put at once.
const CLIENTS: usize = 4;

/// The label that updates set.
const LABEL: &str = "turn";

/// What must be true of a message whose put was acknowledged.
#[derive(Debug, Clone)]
struct Fate {
    bytes: Bytes,
    gone: Gone,
    /// The label that was acknowledged last, and one that was sent and not acknowledged.
    label: Option<String>,
    tried: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    No,
    /// A delete was sent and not acknowledged: it may be done or not.
    Perhaps,
    Yes,
}

/// What a client does, in its order.
#[derive(Debug)]
enum Event {
    Put(String, Bytes),
    TryDelete(String),
    Deleted(String),
    TryLabel(String, String),
    Labelled(String, String),
}

/// Acknowledged messages by id.
type Acknowledged = HashMap<String, Fate>;

/// Takes one event in.
fn note(all: &mut Acknowledged, event: Event) {
    match event {
        Event::Put(id, bytes) => {
            let _ = all.insert(id, Fate { bytes, gone: Gone::No, label: None, tried: None });
        }
        Event::TryDelete(id) => change(all, &id, |fate| fate.gone = Gone::Perhaps),
        Event::Deleted(id) => change(all, &id, |fate| fate.gone = Gone::Yes),
        Event::TryLabel(id, label) => change(all, &id, |fate| fate.tried = Some(label)),
        Event::Labelled(id, label) => {
            change(all, &id, |fate| (fate.label, fate.tried) = (Some(label), None));
        }
    }
}

fn change(all: &mut Acknowledged, id: &str, change: impl FnOnce(&mut Fate)) {
    change(all.get_mut(id).expect("only what was acknowledged is changed"));
}

/// A running program; killed when it is dropped.
struct Program {
    child: Child,
    address: String,
    killed: bool,
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
        let program = Self { child, address, killed: false };
        assert!(!program.address.is_empty(), "the program did not open its store again: {line:?}");
        program
    }

    async fn client(&self) -> Client {
        let channel = client::connect(&self.address).await.expect("a connection");
        Client::new(channel, Some("default")).expect("a client")
    }

    /// SIGKILL: nothing in the program runs any more.
    fn kill(&mut self) {
        self.killed = true;
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

/// One client: puts its messages, and now and then deletes or labels one that it has put. Ends with the program.
async fn work(
    mut client: Client,
    messages: Vec<(String, Bytes)>,
    mut rng: Rng,
    events: mpsc::UnboundedSender<Event>,
) -> Result<(), tonic::Status> {
    let tell = |event| drop(events.send(event));
    let mut own = Vec::new();
    for (id, bytes) in messages {
        put(&mut client, &id, &bytes).await?;
        tell(Event::Put(id.clone(), bytes));
        own.push(id);
        match rng.below(4) {
            0 => {
                let id = own.swap_remove(rng.below(own.len()));
                tell(Event::TryDelete(id.clone()));
                let delete = proto::DeleteRequest { id: id.clone() };
                let _ = client.messages.delete_message(delete).await?;
                tell(Event::Deleted(id));
            }
            1 => {
                let id = rng.pick(&own).clone();
                let label = format!("{}", rng.below(1_000_000));
                tell(Event::TryLabel(id.clone(), label.clone()));
                let set_labels = [(LABEL.to_owned(), label.clone())].into();
                let update = proto::UpdateRequest { id: id.clone(), set_labels, ..Default::default() };
                let _ = client.messages.update_message(update).await?;
                tell(Event::Labelled(id, label));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves everything to one tier after the other, compacts and sweeps without grace, until the program ends.
async fn upkeep(mut client: Client, mut rng: Rng) -> Result<(), tonic::Status> {
    loop {
        let to = *rng.pick(&[proto::Tier::Warm, proto::Tier::Cold, proto::Tier::Archive]);
        let migrate = proto::MigrateRequest { to: to.into(), ..Default::default() };
        let mut progress = client.admin.migrate(migrate).await?.into_inner();
        while let Some(report) = progress.message().await? {
            assert_eq!(report.damaged, 0, "a migration found damage");
        }
        let mut progress = client.admin.compact(proto::CompactRequest::default()).await?.into_inner();
        while let Some(report) = progress.message().await? {
            assert_eq!(report.damaged, 0, "a compaction found damage");
        }
        let grace = Some(prost_types::Duration::default());
        let _ = client.admin.sweep(proto::SweepRequest { grace, dry_run: false }).await?;
    }
}

/// Works with several clients until `kill_after` messages were acknowledged; then kills. What was acknowledged meanwhile
/// counts, too.
async fn work_until_killed(program: &mut Program, round: u64, kill_after: usize) -> Acknowledged {
    let messages = messages(round);
    let (events, mut told) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    for (seed, number) in (round * 100..).zip(0..CLIENTS) {
        let own = messages.iter().skip(number).step_by(CLIENTS).cloned().collect();
        let rng = Rng::new(seed);
        let _ = running.spawn(work(program.client().await, own, rng, events.clone()));
    }
    drop(events);
    let _ = running.spawn(upkeep(program.client().await, Rng::new(round + 5_000)));
    let mut all = Acknowledged::new();
    while let Some(event) = told.recv().await {
        note(&mut all, event);
        if all.len() >= kill_after && !program.killed {
            program.kill();
        }
    }
    assert!(all.len() >= kill_after, "round {round}: the clients ended after {} messages", all.len());
    while let Some(ended) = running.join_next().await {
        // The calls fail because the program is gone; a panic is a finding of the upkeep.
        drop(ended.expect("no client panics"));
    }
    all
}

/// Compares a message with what must be true of it, and settles what was open.
async fn check(client: &mut Client, id: &str, fate: &mut Fate) {
    let found = match read(client, id).await {
        Ok(found) => Some(found),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{id} was acknowledged: {status}"),
    };
    let Some(found) = found else {
        assert_ne!(fate.gone, Gone::No, "{id} was acknowledged and is gone");
        fate.gone = Gone::Yes;
        return;
    };
    assert_ne!(fate.gone, Gone::Yes, "{id} was deleted and is back");
    assert!(found == fate.bytes, "{id} came back with other bytes");
    fate.gone = Gone::No;
    let stat = client.messages.stat_message(proto::StatRequest { id: id.to_owned() }).await;
    let label = stat.expect("it was read just now").into_inner().labels.remove(LABEL);
    let tried = fate.tried.is_some() && label == fate.tried;
    assert!(label == fate.label || tried, "{id} has the label {label:?} and should have {fate:?}");
    (fate.label, fate.tried) = (label, None);
}

/// Everything is in order: packs, catalog, and what each says of the other.
async fn scrub(client: &mut Client, round: u64) {
    let request = proto::ScrubRequest::default();
    let mut answers = client.admin.scrub(request).await.expect("a scrub begins").into_inner();
    let mut done = false;
    while let Some(answer) = answers.message().await.expect("a scrub ends") {
        assert!(answer.findings.is_empty(), "round {round}: {:?}", answer.findings);
        done = answer.done;
    }
    assert!(done, "round {round}: the scrub stopped before its end");
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

/// Kills the program in these rounds, on a store of their own, and gives what must be true of it in the end.
async fn kill_in(rounds: Range<u64>) -> Acknowledged {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut everything = Acknowledged::new();
    let mut program = Program::start(dir.path());
    for round in rounds {
        let kill_after = Rng::new(round + 1_000).between(1, 60);
        let mut acknowledged = work_until_killed(&mut program, round, kill_after).await;
        program = Program::start(dir.path());
        let mut client = program.client().await;
        for (id, fate) in &mut acknowledged {
            check(&mut client, id, fate).await;
        }
        scrub(&mut client, round).await;
        everything.extend(acknowledged);
    }
    // What earlier rounds left is as they left it after all kills.
    let mut client = program.client().await;
    for (id, fate) in &mut everything {
        check(&mut client, id, fate).await;
    }
    everything
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let rounds = std::env::var("KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number"));
    let (mut puts, mut gone, mut labelled, mut first) = (0, 0, 0, 0);
    while first < rounds {
        let next = rounds.min(first + STORE_ROUNDS);
        let everything = kill_in(first..next).await;
        puts += everything.len();
        gone += everything.values().filter(|fate| fate.gone == Gone::Yes).count();
        labelled += everything.values().filter(|fate| fate.label.is_some()).count();
        eprintln!(
            "{next} kills: {puts} puts, {gone} deletes, {labelled} labels stand as acknowledged; none is lost"
        );
        first = next;
    }
    assert!(gone > 0 && labelled > 0, "{gone} deleted and {labelled} labelled of {puts}");
}
