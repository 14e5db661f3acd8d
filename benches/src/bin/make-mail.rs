//! Writes generated mail: a tree of .eml files, or one message with one large attachment.

use std::fs;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use storage_benches::print;
use storage_benches::size;
use storage_fixtures::large;
use storage_fixtures::mailbox::Mailbox;

/// Writes generated mail.
#[derive(Debug, Parser)]
struct Arguments {
    /// The same seed gives the same mail.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many messages.
    #[arg(long, default_value_t = 1000)]
    messages: usize,
    /// Write one message whose attachment has this size, such as 200MB, to the path.
    #[arg(long, value_parser = size::parse, conflicts_with = "messages")]
    large: Option<u64>,
    /// The directory to fill, or the file to write with --large.
    path: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bytes = match arguments.large {
        Some(attachment_bytes) => write_large(&arguments, attachment_bytes)?,
        None => write_tree(&arguments)?,
    };
    print::line(&format!("{bytes} bytes written to {}", arguments.path.display()))?;
    Ok(())
}

fn write_large(arguments: &Arguments, attachment_bytes: u64) -> Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, create(&arguments.path)?);
    large::write(arguments.seed, attachment_bytes, &mut out)?;
    let file = out.into_inner().context("cannot write the last bytes")?;
    Ok(file.metadata()?.len())
}

fn write_tree(arguments: &Arguments) -> Result<u64> {
    let mut bytes = 0;
    for message in Mailbox::new(arguments.seed, arguments.messages) {
        let path = arguments.path.join(&message.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        create(&path)?.write_all(&message.bytes)?;
        bytes += u64::try_from(message.bytes.len())?;
    }
    Ok(bytes)
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}
