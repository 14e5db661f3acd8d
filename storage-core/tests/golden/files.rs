//! The golden files against this version: decoding gives the text beside them, encoding gives their bytes.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use storage_core::pack::Footer;
use storage_core::pack::Frame;
use storage_core::pack::IndexEntry;
use storage_core::pack::PackHeader;
use storage_core::pack::PackIndex;
use storage_core::pack::PackName;
use storage_core::pack::inspect;

use crate::packs;
use crate::packs::Golden;

/// The version of the format that this build writes, and so the folder of its files.
const VERSION: &str = "v1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("fixtures/format").join(VERSION)
}

/// What a pack says in plain text.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut read = |offset: u64, length: u32| {
        let start = usize::try_from(offset).expect("a small pack");
        Ok(Bytes::copy_from_slice(&bytes[start..start + length as usize]))
    };
    let mut tell = |reading: &inspect::Reading| {
        text.push_str(&reading.to_string());
        Ok(())
    };
    let problems =
        inspect::inspect(None, bytes.len() as u64, &mut read, &mut tell).expect("a pack in memory");
    format!("{text}problems {problems}\n")
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)
}

/// Writes the golden files of this version. What is there stays: it has been given out.
fn generate(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for Golden { name, bytes, .. } in packs::all() {
        write_new(&folder.join(format!("{name}.pack")), &bytes)?;
        write_new(&folder.join(format!("{name}.txt")), text(&bytes).as_bytes())?;
    }
    Ok(())
}

fn golden(name: &str) -> (Vec<u8>, String) {
    let read = |end: &str| fs::read(folder().join(format!("{name}.{end}")));
    let pack = read("pack").expect("a golden pack; GOLDEN_WRITE=1 writes those of a new version");
    (pack, String::from_utf8(read("txt").expect("its text")).expect("text"))
}

#[test]
fn the_generator_writes_what_is_not_there() {
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        generate(&folder()).expect("a new version: files that are there are never overwritten");
    }
}

#[test]
fn the_generator_refuses_to_overwrite() {
    let directory = tempfile::tempdir().expect("a directory");
    let version = directory.path().join("v9");
    generate(&version).expect("a new version");
    let before = fs::read(version.join("empty.pack")).expect("a golden pack");
    let error = generate(&version).expect_err("the version is there");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(version.join("empty.pack")).expect("a golden pack"), before);
}

#[test]
fn golden_packs_decode_to_their_text() {
    for Golden { name, .. } in packs::all() {
        let (bytes, expected) = golden(name);
        let found = text(&bytes);
        for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{name}.txt, line {}", line + 1);
        }
        assert_eq!(found.len(), expected.len(), "{name}.txt");
    }
}

#[test]
fn nothing_in_the_folder_is_left_unread() {
    let files = fs::read_dir(folder()).expect("the golden files").count();
    assert_eq!(files, 2 * packs::all().len());
}

/// Frames of a pack by its index.
fn index(bytes: &[u8]) -> (PackHeader, Footer, PackIndex) {
    let header = PackHeader::parse(bytes).expect("a header");
    let footer = Footer::parse(header.name, bytes, bytes.len() as u64).expect("a footer");
    let start = usize::try_from(footer.index_offset).expect("a small pack");
    let index = PackIndex::parse(&footer, &bytes[start..bytes.len() - Footer::BYTES]).expect("an index");
    (header, footer, index)
}

fn frame(name: PackName, bytes: &[u8], entry: &IndexEntry) -> Frame {
    let start = usize::try_from(entry.offset).expect("a small pack");
    let bytes = Bytes::copy_from_slice(&bytes[start..start + entry.bytes() as usize]);
    Frame::parse(name, entry.ordinal, bytes).expect("a frame")
}

#[test]
fn what_is_not_compressed_is_encoded_alike() {
    for Golden { name, bytes: encoded, exact } in packs::all() {
        let (expected, _text) = golden(name);
        if name == "torn" {
            assert!(encoded == expected, "{name}: other bytes");
            continue;
        }
        let (header, footer, entries) = index(&expected);
        let (encoded_header, _footer, encoded_entries) = index(&encoded);
        assert_eq!(header.encode(), encoded_header.encode(), "{name}");
        assert_eq!(entries.entries().len(), encoded_entries.entries().len(), "{name}");
        let frames_end = usize::try_from(footer.index_offset).expect("a small pack");
        if exact {
            assert!(encoded.starts_with(&expected[..frames_end]), "{name}: other frames");
        }
        for (entry, again) in entries.entries().iter().zip(encoded_entries.entries()) {
            let (expected, again) =
                (frame(header.name, &expected, entry), frame(header.name, &encoded, again));
            // Lengths and checksums of what a compressor made may differ; magic to tenant may not.
            assert_eq!(expected.bytes()[..32], again.bytes()[..32], "{name}: frame {}", entry.ordinal);
            assert_eq!(expected.header().stream_decoded, again.header().stream_decoded, "{name}");
        }
    }
}
