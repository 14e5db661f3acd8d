//! `import`: mailboxes into the store. Reads ahead on a blocking thread, keeps some messages in flight, and counts a
//! message only when its acknowledgement says that it is durable; its line in the manifest comes after that.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::args::ExternalFlags;
use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::ingest;
use crate::ingest::Event;
use crate::ingest::Feed;
use crate::mail::ids::caller_id;
use crate::mail::read;
use crate::mail::read::Found;
use crate::output::counted;
use crate::output::human;
use crate::output::note;
use crate::progress;
use crate::values;
use crate::wire::hex;

/// Messages that one job keeps in flight: enough for the server to sync many at once.
const MESSAGES_PER_JOB: usize = 32;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// An mbox, a Maildir, a directory with .eml and .mbox files, or a single message.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What the mail is called in ids, so that they outlive a move of the files [default: the path given].
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// How many to send at the same time: each job keeps up to 32 messages in flight.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Write which file became which id to this file, as lines of JSON.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Whose it is.
    #[command(flatten)]
    pub external: ExternalFlags,
    /// Set a label on every message; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = values::label)]
    pub labels: Vec<(String, String)>,
}

impl ImportArgs {
    /// Refuses several paths under one source name, where their messages could not be told apart.
    pub fn check(&self) -> Result<()> {
        if self.source.is_some() && self.paths.len() > 1 {
            return Err(Failure::Usage(
                "--source names one mailbox: give one PATH with it, and import the others by themselves."
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// What an import came to.
#[derive(Debug, Default, Serialize)]
struct Counts {
    imported: u64,
    already_there: u64,
    failed: u64,
    skipped: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ManifestLine<'a> {
    source: &'a str,
    id: &'a str,
    bytes: u64,
    sha256: String,
}

/// Imports, and prints what became of it.
pub async fn run(args: &ImportArgs, context: &mut Context) -> Result<()> {
    let mut manifest = args.manifest.as_deref().map(open_manifest).transpose()?;
    let bar = progress::counter("messages");
    let mut counts = Counts::default();
    let producer = Producer {
        paths: args.paths.clone(),
        source: args.source.clone(),
        options: proto::PutOptions {
            external: Some(args.external.ids()),
            labels: args.labels.iter().cloned().collect(),
            ..proto::PutOptions::default()
        },
    };
    let tell = |event| match event {
        Event::Stored { source, receipt } => {
            bar.inc(1);
            counts.bytes += receipt.bytes;
            *(if receipt.created { &mut counts.imported } else { &mut counts.already_there }) += 1;
            let Some((file, path)) = &mut manifest else { return Ok(()) };
            let sha256 = hex(&receipt.sha256);
            let line = ManifestLine { source: &source, id: &receipt.id, bytes: receipt.bytes, sha256 };
            append(file, &line).map_err(|error| Failure::file("Writing", path, &error))
        }
        Event::Failed { source, reason } => {
            counts.failed += 1;
            bar.suspend(|| note(&format!("failed: {source}: {reason}")));
            Ok(())
        }
        Event::Skipped => {
            counts.skipped += 1;
            Ok(())
        }
    };
    let done = ingest::ingest(
        &context.store,
        usize::from(args.jobs) * MESSAGES_PER_JOB,
        move |feed| producer.run(feed),
        tell,
    )
    .await;
    bar.finish_and_clear();
    print(&counts, context)?;
    done?;
    if counts.failed > 0 { Err(Failure::Reported) } else { Ok(()) }
}

fn print(counts: &Counts, context: &mut Context) -> Result<()> {
    context.output.document(counts)?;
    let skipped = match counts.skipped {
        0 => String::new(),
        skipped => format!(" {} skipped.", counted(skipped, "other file")),
    };
    context.output.say(&format!(
        "{} imported, {} already there, {} failed ({}).{skipped}",
        counts.imported,
        counts.already_there,
        counts.failed,
        human(counts.bytes)
    ))
}

fn open_manifest(path: &Path) -> Result<(File, PathBuf)> {
    let file = File::create(path).map_err(|error| Failure::file("Creating", path, &error))?;
    Ok((file, path.to_owned()))
}

/// Writes a line in one piece, so that whoever follows the file sees whole lines.
fn append(file: &mut File, line: &ManifestLine<'_>) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}

/// Reads mailboxes on a thread of its own.
pub(crate) struct Producer {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) source: Option<String>,
    pub(crate) options: proto::PutOptions,
}

impl Producer {
    /// Feeds every message until nobody takes them any more.
    pub(crate) fn run(&self, feed: &Feed) {
        for root in &self.paths {
            let source = self.source.clone().unwrap_or_else(|| source_name(root));
            let wanted = read::messages(root, &mut |found| match found {
                Found::Message { place, identity, ordinal, bytes } => {
                    let id = caller_id(&source, &identity, ordinal);
                    feed.send(place, proto::PutOptions { id, ..self.options.clone() }, bytes)
                }
                Found::Skipped => feed.skipped(),
                Found::Failed(place, reason) => feed.failed(place, reason),
            });
            if !wanted {
                return;
            }
        }
    }
}

/// The path as given, without what does not change its meaning.
fn source_name(path: &Path) -> String {
    let plain: PathBuf = path.components().filter(|component| *component != Component::CurDir).collect();
    plain.to_string_lossy().into_owned()
}
