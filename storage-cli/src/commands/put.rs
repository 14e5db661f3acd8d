//! `put`: stores one file as a message or a content. The bytes are hashed here, and the receipt must name the same hash.
//! A file that cannot be read to its end is never stored in part.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use storage_server::proto;
use storage_server::proto::put_stream_request::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_stream::wrappers::ReceiverStream;

use crate::args::ExternalFlags;
use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::files::hash_pieces;
use crate::shown::Receipt;
use crate::values;
use crate::values::Moment;
use crate::wire;
use crate::wire::TierName;

const PIECES_AHEAD: usize = 4;

/// Arguments of `put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The file to store; `-` for stdin.
    pub file: PathBuf,
    /// Message or content.
    #[command(flatten)]
    pub kind: KindFlag,
    /// Your own id for it: 1 to 128 bytes. The same id with the same bytes changes nothing.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// When it came to be; now, if absent.
    #[arg(long, value_name = "TIME")]
    pub created: Option<Moment>,
    /// Whose it is.
    #[command(flatten)]
    pub external: ExternalFlags,
    /// Media type of a content, such as application/pdf.
    #[arg(long, value_name = "TYPE", requires = "content")]
    pub media_type: Option<String>,
    /// File name of a content; the file's own, if absent.
    #[arg(long, value_name = "NAME", requires = "content")]
    pub file_name: Option<String>,
    /// Refuse deletes until this time.
    #[arg(long, value_name = "TIME")]
    pub retain_until: Option<Moment>,
    /// Refuse deletes until the hold is lifted.
    #[arg(long)]
    pub hold: bool,
    /// Keep it in this tier.
    #[arg(long, value_name = "TIER", value_enum)]
    pub pin: Option<TierName>,
    /// Set a label; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = values::label)]
    pub labels: Vec<(String, String)>,
}

/// Stores it, and prints the receipt.
pub async fn run(args: &PutArgs, context: &mut Context) -> Result<()> {
    let options = options(args, context);
    let (receipt, sha256) = send(args, options, context).await?;
    if *receipt.sha256 != sha256 {
        return Err(Failure::new(format!(
            "The store received other bytes than were read from {}: delete {} and try again.",
            args.file.display(),
            receipt.id
        )));
    }
    let receipt = Receipt::from(&receipt);
    context.output.document(&receipt)?;
    let what = if args.kind.content { "content" } else { "message" };
    context.output.say(&if receipt.created {
        format!("Stored {} bytes as {what} {}.", receipt.bytes, receipt.id)
    } else {
        format!(
            "Nothing changed: these bytes are there already as {what} {}. What was given with them was not applied; use \
             update.",
            receipt.id
        )
    })
}

fn options(args: &PutArgs, context: &Context) -> proto::PutOptions {
    let at = |moment: Moment| wire::timestamp(moment.resolve(context.now));
    let own_name = || {
        let name = args.file.file_name().filter(|name| args.kind.content && *name != "-")?;
        Some(name.to_string_lossy().into_owned())
    };
    proto::PutOptions {
        id: args.id.clone().unwrap_or_default(),
        external: Some(args.external.ids()),
        created: args.created.map(at),
        media_type: args.media_type.clone().unwrap_or_default(),
        file_name: args.file_name.clone().or_else(own_name).unwrap_or_default(),
        retention_end: args.retain_until.map(at),
        hold: args.hold,
        pin: args.pin.map_or(proto::Tier::Unspecified.into(), TierName::number),
        labels: args.labels.iter().cloned().collect(),
    }
}

/// Streams the file. Returns the receipt and the SHA-256 of what was read.
async fn send(
    args: &PutArgs,
    options: proto::PutOptions,
    context: &Context,
) -> Result<(proto::PutReceipt, [u8; 32])> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    // Should reading fail, this sender keeps the stream open until the call is given up with it.
    let open = sender.clone();
    let path = args.file.clone();
    let mut read = tokio::task::spawn_blocking(move || read_into(&path, options, &sender));
    let read_to_end = |read: Result<io::Result<[u8; 32]>, JoinError>| {
        read.map_err(|error| Failure::new(format!("Reading {} failed: {error}.", args.file.display())))?
            .map_err(|error| Failure::file("Reading", &args.file, &error))
    };
    let call = context.store.put(args.kind, ReceiverStream::new(receiver));
    tokio::pin!(call);
    tokio::select! {
        // A refusal may come before the end of the file.
        answer = &mut call => Ok((answer?, read_to_end(read.await)?)),
        done = &mut read => {
            let sha256 = read_to_end(done)?;
            drop(open);
            Ok((call.await?, sha256))
        }
    }
}

fn read_into(
    path: &Path,
    options: proto::PutOptions,
    sender: &mpsc::Sender<proto::PutStreamRequest>,
) -> io::Result<[u8; 32]> {
    let mut input: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let send = |frame| {
        sender
            .blocking_send(proto::PutStreamRequest { frame: Some(frame) })
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    send(Frame::Begin(options))?;
    let (sha256, _) = hash_pieces(&mut input, |piece| send(Frame::Data(Bytes::copy_from_slice(piece))))?;
    send(Frame::End(proto::PutEnd::default()))?;
    Ok(sha256)
}
