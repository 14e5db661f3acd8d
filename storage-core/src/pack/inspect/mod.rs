//! Reads one pack for people: header, index, every frame, entry and record, with whatever does not fit named where it
//! stands. Guarantees that no bytes at all make it panic or go on for ever, and that it holds one frame at a time (and
//! a few dictionaries). Does no I/O: it asks for ranges.

mod format;
mod frames;
mod reading;
mod records;

use bytes::Bytes;

use crate::error::Error;
use crate::error::Result;
use crate::pack::frame::Frame;
use crate::pack::header::PackHeader;
use crate::pack::index::Footer;
use crate::pack::index::IndexEntry;
use crate::pack::index::PackIndex;
use crate::pack::inspect::frames::Dictionaries;
use crate::pack::inspect::frames::frame_reading;
use crate::pack::names::PackName;
use crate::pack::names::origin_name;
use crate::pack::scan::ScanDepth;
use crate::pack::scan::Scanner;

pub use format::layout;
pub use reading::Reading;

/// Gives the bytes of a range: offset, then how many.
pub type ReadRange<'a> = dyn FnMut(u64, u32) -> Result<Bytes> + 'a;

/// Takes what was read, piece by piece.
pub type Tell<'a> = dyn FnMut(&Reading) -> Result<()> + 'a;

/// Reads a pack of `bytes` bytes and tells what is in it: its header, its index, then frame by frame. `name` is what its
/// file is called, where that is a pack's name. Returns how many problems were told. Fails only where `read` or `tell`
/// does.
pub fn inspect(
    name: Option<PackName>,
    bytes: u64,
    read: &mut ReadRange<'_>,
    tell: &mut Tell<'_>,
) -> Result<u64> {
    let mut walk = Walk { read, tell, problems: 0, dictionaries: Dictionaries::default() };
    let header = walk.range(bytes, 0, PackHeader::BYTES as u64)?;
    let name = match header.and_then(|header| PackHeader::parse(&header)) {
        Ok(header) => {
            walk.tell(&header_reading(&header, bytes))?;
            if let Some(name) = name.filter(|name| *name != header.name) {
                walk.problem(&Error::corrupt(format!("the file is called {name}, which is another pack")))?;
            }
            header.name
        }
        Err(error) => {
            walk.problem(&error)?;
            let Some(name) = name else {
                return Ok(walk.problems);
            };
            name
        }
    };
    match walk.index(name, bytes)? {
        Ok((footer, index)) => {
            walk.tell(&index_reading(&footer, &index))?;
            walk.indexed(name, bytes, &index)?;
        }
        Err(error) => {
            walk.problem(&error)?;
            walk.scan(name, bytes)?;
        }
    }
    Ok(walk.problems)
}

fn header_reading(header: &PackHeader, bytes: u64) -> Reading {
    Reading::new("pack")
        .word("name", header.name)
        .word("origin", origin_name(header.origin))
        .word("tier", header.tier.name())
        .signed("created", header.created.0)
        .number("bytes", bytes)
}

fn index_reading(footer: &Footer, index: &PackIndex) -> Reading {
    let counters = index.counters();
    Reading::new("index")
        .number("offset", footer.index_offset)
        .number("stored", footer.index_bytes)
        .number("frames", footer.frames)
        .number("decoded_bytes", counters.decoded_bytes)
        .number("stream_bytes", counters.stream_bytes)
        .number("record_bytes", counters.record_bytes)
        .number("dictionary_bytes", counters.dictionary_bytes)
        .number("index_bytes", counters.index_bytes)
}

/// A pack being read.
struct Walk<'a, 'r, 't> {
    read: &'a mut ReadRange<'r>,
    tell: &'a mut Tell<'t>,
    problems: u64,
    dictionaries: Dictionaries,
}

impl Walk<'_, '_, '_> {
    fn tell(&mut self, reading: &Reading) -> Result<()> {
        self.problems += reading.problems();
        (self.tell)(reading)
    }

    fn problem(&mut self, error: &Error) -> Result<()> {
        self.tell(&Reading::problem(error))
    }

    /// A range of the pack. The outer error is the reader's, the inner one the pack's.
    fn range(&mut self, pack_bytes: u64, offset: u64, bytes: u64) -> Result<Result<Bytes>> {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= pack_bytes);
        let bytes = u32::try_from(bytes).ok().filter(|_| inside);
        let Some(bytes) = bytes else {
            return Ok(Err(Error::corrupt("the pack ends before what should be there")));
        };
        if bytes == 0 {
            return Ok(Ok(Bytes::new()));
        }
        (self.read)(offset, bytes).map(Ok)
    }

    fn index(&mut self, name: PackName, bytes: u64) -> Result<Result<(Footer, PackIndex)>> {
        let offset = bytes.saturating_sub(Footer::BYTES as u64);
        let footer = match self.range(bytes, offset, Footer::BYTES as u64)? {
            Ok(last) => Footer::parse(name, &last, bytes),
            Err(error) => Err(error),
        };
        let footer = match footer {
            Ok(footer) => footer,
            Err(error) => return Ok(Err(error)),
        };
        let stored = match self.range(bytes, footer.index_offset, u64::from(footer.index_bytes))? {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        Ok(PackIndex::parse(&footer, &stored).map(|index| (footer, index)))
    }

    /// Frame by frame as the index lists them: a damaged one does not hide those behind it.
    fn indexed(&mut self, name: PackName, bytes: u64, index: &PackIndex) -> Result<()> {
        for entry in index.entries() {
            let frame = match self.range(bytes, entry.offset, u64::from(entry.bytes()))? {
                Ok(frame) => Frame::parse(name, entry.ordinal, frame),
                Err(error) => Err(error),
            };
            let mut reading = match &frame {
                Ok(frame) => frame_reading(frame, entry.offset, &mut self.dictionaries),
                Err(error) => damaged(entry, error),
            };
            if frame.is_ok_and(|frame| frame.header().index_entry(entry.offset) != *entry) {
                reading
                    .push(Reading::problem(&Error::corrupt("the index says something else of this frame")));
            }
            self.tell(&reading)?;
        }
        Ok(())
    }

    /// Frame by frame until one does not verify: what is behind it cannot be found without an index.
    fn scan(&mut self, name: PackName, bytes: u64) -> Result<()> {
        let mut scanner = Scanner::new(name, bytes, ScanDepth::Everything);
        loop {
            let mut failure = None;
            let next = scanner.next_with(|offset, bytes| {
                (self.read)(offset, bytes).inspect_err(|error| failure = Some(error.kind()))
            });
            match next {
                Ok(Some(found)) => {
                    if let Some(frame) = found.frame() {
                        let reading = frame_reading(frame, found.place.offset, &mut self.dictionaries);
                        self.tell(&reading)?;
                    }
                }
                Ok(None) => break,
                Err(error) if failure.is_some() => return Err(error),
                Err(error) => {
                    self.problem(&error)?;
                    break;
                }
            }
        }
        let end = scanner.end();
        let reading = Reading::new("end")
            .number("valid_bytes", end.valid_bytes)
            .number("frames", end.frames)
            .number("bytes_behind", bytes.saturating_sub(end.valid_bytes))
            .text_opt("torn", end.torn.as_ref());
        self.tell(&reading)
    }
}

fn damaged(entry: &IndexEntry, error: &Error) -> Reading {
    let mut reading = Reading::new("frame")
        .number("ordinal", entry.ordinal)
        .number("offset", entry.offset)
        .number("bytes", entry.bytes());
    reading.push(Reading::problem(error));
    reading
}
