//! Which share of the transfer encodings of a mailbox is undone: the bytes of base64 and quoted-printable that `mail-parser`
//! finds, and of them those that the splitter stores decoded. Needs no server.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use clap::Parser;
use mail_parser::Encoding as Declared;
use mail_parser::Message;
use mail_parser::MessageParser;
use mail_parser::PartType;
use storage_benches::print;
use storage_core::mime;
use storage_core::mime::Encoding;
use storage_core::mime::SplitLimits;

/// Splits every message below some directories and tells which share of the encoded bytes is undone.
#[derive(Debug, Parser)]
struct Arguments {
    /// Directories with one message a file.
    #[arg(required = true)]
    directories: Vec<PathBuf>,
}

/// Encoded bytes as they stand in messages.
#[derive(Debug, Default, Clone, Copy)]
struct Bytes {
    base64: u64,
    quoted: u64,
}

#[derive(Debug, Default)]
struct Sum {
    messages: u64,
    found: Bytes,
    undone: Bytes,
}

fn main() -> Result<()> {
    for directory in Arguments::parse().directories {
        let mut sum = Sum::default();
        walk(&directory, &mut sum)?;
        let share = |undone: u64, found: u64| u128::from(undone) * 10_000 / u128::from(found.max(1));
        let percent = |share: u128| format!("{}.{:02} %", share / 100, share % 100);
        print::line(&format!(
            "{}: {} messages, base64 {} of {} bytes = {}, quoted-printable {} of {} = {}",
            directory.display(),
            sum.messages,
            sum.undone.base64,
            sum.found.base64,
            percent(share(sum.undone.base64, sum.found.base64)),
            sum.undone.quoted,
            sum.found.quoted,
            percent(share(sum.undone.quoted, sum.found.quoted)),
        ))?;
    }
    Ok(())
}

fn walk(path: &Path, sum: &mut Sum) -> Result<()> {
    let reading = || format!("reading {}", path.display());
    if fs::metadata(path).with_context(reading)?.is_dir() {
        for entry in fs::read_dir(path).with_context(reading)? {
            walk(&entry.with_context(reading)?.path(), sum)?;
        }
        return Ok(());
    }
    let bytes = fs::read(path).with_context(reading)?;
    measure(&bytes, sum).with_context(|| path.display().to_string())
}

fn measure(bytes: &[u8], sum: &mut Sum) -> Result<()> {
    sum.messages += 1;
    if let Some(message) = MessageParser::default().parse(bytes) {
        declared(&message, &mut sum.found);
    }
    let split = mime::split(bytes, SplitLimits::default()).context("splitting")?;
    let objects: Vec<&[u8]> = split.objects.iter().map(|(_, object)| object.as_slice()).collect();
    let object = |index: u32| objects.get(usize::try_from(index).ok()?).copied();
    ensure!(mime::rebuilds(&split.split.skeleton, &object, bytes), "it does not come back");
    for part in &split.split.parts {
        match part.info.encoding {
            Encoding::Base64 => sum.undone.base64 += part.encoded_bytes,
            Encoding::QuotedPrintable => sum.undone.quoted += part.encoded_bytes,
            Encoding::Identity => {}
        }
    }
    Ok(())
}

/// Adds what the parts of a message declare, and those of the messages inside it.
fn declared(message: &Message<'_>, found: &mut Bytes) {
    for part in &message.parts {
        if let PartType::Message(inner) = &part.body {
            declared(inner, found);
            continue;
        }
        if matches!(part.body, PartType::Multipart(_)) {
            continue;
        }
        let bytes = u64::from(part.offset_end.saturating_sub(part.offset_body));
        match part.encoding {
            Declared::Base64 => found.base64 += bytes,
            Declared::QuotedPrintable => found.quoted += bytes,
            Declared::None => {}
        }
    }
}
