//! `get`: one item, a range of it, or one decoded part, byte for byte. A whole item is checked against its SHA-256, and a
//! file given with -o gets its name only when everything arrived.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use storage_server::proto;
use storage_server::proto::get_part_response::Frame;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::files::NewFile;
use crate::output::Output;
use crate::store::unexpected;
use crate::values;
use crate::values::ByteRange;
use crate::wire::hex;

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The server's id or the caller's; one that begins with - goes behind --.
    pub id: String,
    /// Message or content.
    #[command(flatten)]
    pub kind: KindFlag,
    /// Write to this file instead of stdout; it is replaced once all is there. A device or a pipe is written to as it is.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only these bytes: first and last, from 0, both included, such as 0-99; 100- for all from there.
    #[arg(long, value_name = "A-B", value_parser = values::byte_range)]
    pub range: Option<ByteRange>,
    /// Only this part of a message, its transfer encoding undone; `stat` lists the parts.
    #[arg(long, value_name = "N", conflicts_with = "content")]
    pub part: Option<u32>,
    /// Do not count this read as an access that keeps the item warm.
    #[arg(long)]
    pub no_touch: bool,
}

impl GetArgs {
    /// Bytes and a JSON document cannot both go to stdout.
    pub fn check(&self, json: bool) -> Result<()> {
        if json && self.output.is_none() {
            return Err(Failure::Usage(
                "The bytes themselves go to stdout: give -o FILE with --format json.".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Where the bytes go, and what they hash to.
struct Sink<'a> {
    file: Option<NewFile>,
    output: &'a mut Output,
    hash: Sha256,
    bytes: u64,
}

impl Sink<'_> {
    fn take(&mut self, data: &[u8]) -> Result<()> {
        self.hash.update(data);
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        match &mut self.file {
            Some(file) => file.write(data),
            None => self.output.bytes(data),
        }
    }
}

#[derive(Debug, Serialize)]
struct Got<'a> {
    id: &'a str,
    bytes: u64,
    sha256: String,
}

/// Reads it.
pub async fn run(args: &GetArgs, context: &mut Context) -> Result<()> {
    let Context { store, output, .. } = context;
    let file = args.output.as_deref().map(NewFile::create).transpose()?;
    let mut sink = Sink { file, output, hash: Sha256::new(), bytes: 0 };
    let range = args.range.unwrap_or(ByteRange { offset: 0, length: None });
    let touch = Some(!args.no_touch);
    let expected = if let Some(part) = args.part {
        let ByteRange { offset, length } = range;
        let request = proto::GetPartRequest { id: args.id.clone(), part, offset, length, touch };
        let mut frames = store.tenant().messages.get_part(request).await?.into_inner();
        let Some(Frame::Part(part)) = frames.message().await?.and_then(|answer| answer.frame) else {
            return Err(unexpected());
        };
        while let Some(answer) = frames.message().await? {
            let Some(Frame::Data(data)) = answer.frame else { return Err(unexpected()) };
            sink.take(&data)?;
        }
        part.sha256
    } else {
        let request =
            proto::GetRequest { id: args.id.clone(), offset: range.offset, length: range.length, touch };
        let (item, mut bytes) = store.get(args.kind, request).await?;
        while let Some(data) = bytes.next().await? {
            sink.take(&data)?;
        }
        item.sha256
    };
    let sha256: [u8; 32] = sink.hash.finalize().into();
    // A part inside the skeleton has no hash of its own; the server has checked the message's.
    if args.range.is_none() && !expected.is_empty() && *expected != sha256 {
        return Err(Failure::new(format!(
            "{} arrived with other bytes than were stored. Read it again.",
            args.id
        )));
    }
    if let Some(file) = sink.file {
        file.finish()?;
        sink.output.document(&Got { id: &args.id, bytes: sink.bytes, sha256: hex(&sha256) })?;
    }
    Ok(())
}
