//! `export`: every message, byte for byte, to a directory or an mbox. Reads do not count as accesses. A file of the final
//! name is always complete and verified; an export to a directory skips what is there with the right size and hash, so
//! that running it again continues.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use futures::StreamExt;
use futures::stream;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use storage_server::proto;
use time::macros::format_description;
use tokio::sync::Semaphore;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::commands::list::PAGE_ITEMS_MAX;
use crate::failure::Failure;
use crate::failure::Result;
use crate::files;
use crate::files::NewFile;
use crate::mail::mbox;
use crate::output::counted;
use crate::output::human;
use crate::output::note;
use crate::progress;
use crate::store::Store;
use crate::wire;

/// Messages read at once.
const IN_FLIGHT: usize = 8;

/// Memory for messages that wait for their turn in an mbox, in KiB.
const MEMORY_KIB_MAX: u32 = 64 * 1024;

/// The sender in an mbox's separator lines: the envelope's is not known.
const MBOX_SENDER: &str = "MAILER-DAEMON";

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Write every message as ID.eml, by the server id, into this directory. Created if absent.
    #[arg(required_unless_present = "mbox", conflicts_with = "mbox")]
    pub dir: Option<PathBuf>,
    /// Write one mbox instead (mboxrd: lines such as 'From ' are quoted; a final newline is added where there is none).
    #[arg(long, value_name = "FILE")]
    pub mbox: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    exported: u64,
    already_there: u64,
    failed: u64,
    bytes: u64,
    newlines_added: u64,
}

/// What became of one message.
enum Exported {
    Written(u64),
    AlreadyThere(u64),
    Failed(String, Failure),
}

/// Exports, and prints what became of it.
pub async fn run(args: &ExportArgs, context: &mut Context) -> Result<()> {
    let counts = match (&args.mbox, &args.dir) {
        (Some(path), _) => to_mbox(path, &context.store).await?,
        (None, Some(dir)) => to_directory(dir, &context.store).await?,
        (None, None) => return Err(Failure::Usage("Say where to: a directory, or --mbox FILE.".to_owned())),
    };
    context.output.document(&counts)?;
    context.output.say(&format!(
        "{} exported, {} already there, {} failed ({}).",
        counts.exported,
        counts.already_there,
        counts.failed,
        human(counts.bytes)
    ))?;
    if counts.newlines_added > 0 {
        context.output.say(&format!(
            "Of these, {} had no final newline and gained one: an mbox cannot do without.",
            counted(counts.newlines_added, "message")
        ))?;
    }
    if counts.failed > 0 { Err(Failure::Reported) } else { Ok(()) }
}

async fn to_directory(dir: &Path, store: &Store) -> Result<Counts> {
    fs::create_dir_all(dir).map_err(|error| Failure::file("Creating", dir, &error))?;
    let bar = progress::counter("messages");
    let mut counts = Counts::default();
    let mut pages = Pages::new(store);
    while let Some(items) = pages.next().await? {
        let mut done = stream::iter(items).map(|item| to_file(dir, item, store)).buffer_unordered(IN_FLIGHT);
        while let Some(exported) = done.next().await {
            bar.inc(1);
            match exported {
                Exported::Written(bytes) => {
                    counts.exported += 1;
                    counts.bytes += bytes;
                }
                Exported::AlreadyThere(bytes) => {
                    counts.already_there += 1;
                    counts.bytes += bytes;
                }
                Exported::Failed(id, failure) => {
                    counts.failed += 1;
                    bar.suspend(|| tell(&id, &failure));
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(counts)
}

async fn to_file(dir: &Path, item: proto::Item, store: &Store) -> Exported {
    match try_to_file(dir, &item, store).await {
        Ok(true) => Exported::Written(item.bytes),
        Ok(false) => Exported::AlreadyThere(item.bytes),
        Err(failure) => Exported::Failed(item.id, failure),
    }
}

/// Writes a message to its file. False where it was there already.
async fn try_to_file(dir: &Path, item: &proto::Item, store: &Store) -> Result<bool> {
    // The name comes from a server; anything but a UUID could lead out of the directory.
    let id: uuid::Uuid =
        item.id.parse().map_err(|_| Failure::new("The server's id is not a UUID; is it another version?"))?;
    let path = dir.join(format!("{id}.eml"));
    if path.exists() {
        let (there, bytes, sha256) = (path.clone(), item.bytes, item.sha256.clone());
        let complete = tokio::task::spawn_blocking(move || files::is_complete(&there, bytes, &sha256)).await;
        let complete = complete.map_err(|error| Failure::new(error.to_string()))?;
        if complete.map_err(|error| Failure::file("Reading", &path, &error))? {
            return Ok(false);
        }
    }
    let mut file = NewFile::create(&path)?;
    read(item, store, |data| file.write(data)).await?;
    file.finish()?;
    Ok(true)
}

async fn to_mbox(path: &Path, store: &Store) -> Result<Counts> {
    let bar = progress::counter("messages");
    let memory = Semaphore::new(MEMORY_KIB_MAX as usize);
    let mut counts = Counts::default();
    let mut file = NewFile::create(path)?;
    let mut pages = Pages::new(store);
    while let Some(items) = pages.next().await? {
        // Messages are read ahead but written in order. The semaphore is fair, so the first in order gets memory first.
        let mut messages =
            stream::iter(items).map(|item| in_memory(item, store, &memory)).buffered(IN_FLIGHT);
        while let Some((item, message)) = messages.next().await {
            bar.inc(1);
            match message {
                Ok((message, _memory)) => {
                    counts.exported += 1;
                    counts.bytes += item.bytes;
                    let mut entry = Vec::with_capacity(message.len() + 128);
                    let added = mbox::write(&mut entry, MBOX_SENDER, &separator_date(&item), &message);
                    let added = added.map_err(|error| Failure::file("Writing", path, &error))?;
                    counts.newlines_added += u64::from(added);
                    file.write(&entry)?;
                }
                Err(failure) => {
                    counts.failed += 1;
                    bar.suspend(|| tell(&item.id, &failure));
                }
            }
        }
    }
    file.finish()?;
    bar.finish_and_clear();
    Ok(counts)
}

type InMemory<'a> = (Vec<u8>, tokio::sync::SemaphorePermit<'a>);

async fn in_memory<'a>(
    item: proto::Item,
    store: &Store,
    memory: &'a Semaphore,
) -> (proto::Item, Result<InMemory<'a>>) {
    let message = async {
        let kib = u32::try_from(item.bytes.div_ceil(1024)).unwrap_or(MEMORY_KIB_MAX).clamp(1, MEMORY_KIB_MAX);
        let permit = memory.acquire_many(kib).await.map_err(|error| Failure::new(error.to_string()))?;
        let mut message = Vec::new();
        read(&item, store, |data| {
            message.extend_from_slice(data);
            Ok(())
        })
        .await?;
        Ok((message, permit))
    }
    .await;
    (item, message)
}

/// Reads a message, hands its bytes over, and fails unless they are exactly what the listing promised.
async fn read(item: &proto::Item, store: &Store, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let request = proto::GetRequest { id: item.id.clone(), offset: 0, length: None, touch: Some(false) };
    let (_, mut bytes) = store.get(KindFlag { content: false }, request).await?;
    let mut hash = Sha256::new();
    while let Some(data) = bytes.next().await? {
        hash.update(&data);
        take(&data)?;
    }
    if hash.finalize().as_slice() != item.sha256 {
        return Err(Failure::new("Other bytes arrived than were stored. Export again."));
    }
    Ok(())
}

/// All messages, a page at a time.
struct Pages<'a> {
    store: &'a Store,
    token: Option<String>,
}

impl<'a> Pages<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, token: Some(String::new()) }
    }

    async fn next(&mut self) -> Result<Option<Vec<proto::Item>>> {
        let Some(page_token) = self.token.take() else { return Ok(None) };
        let request =
            proto::ListRequest { page_size: PAGE_ITEMS_MAX, page_token, ..proto::ListRequest::default() };
        let page = self.store.list(KindFlag { content: false }, request).await?;
        self.token = wire::non_empty(&page.next_page_token);
        Ok(Some(page.items))
    }
}

/// The date of a separator line, as C's asctime writes it.
fn separator_date(item: &proto::Item) -> String {
    let created = wire::moment(&item.created.unwrap_or_default());
    let layout = format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    );
    created.format(layout).unwrap_or_else(|_| "Thu Jan  1 00:00:00 1970".to_owned())
}

fn tell(id: &str, failure: &Failure) {
    note(&format!("failed: {id}: {}", failure.sentence().unwrap_or_default()));
}
