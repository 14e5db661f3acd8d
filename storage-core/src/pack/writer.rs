//! Accounts for a pack while its bytes are appended elsewhere: gives each frame its number and offset, and at the
//! end the index. Does no I/O.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::counters::PackCounters;
use crate::pack::encoded::EncodedFrame;
use crate::pack::header::PackHeader;
use crate::pack::index::IndexEntry;
use crate::pack::index::encode_tail;
use crate::pack::names::FramePlace;

/// The frames of a pack end before this.
pub const PACK_BYTES_MAX: u64 = 4 << 30;
/// Frames in a pack at most.
pub const PACK_FRAMES_MAX: u32 = 1 << 20;

/// A pack being written.
#[derive(Debug)]
pub struct PackWriter {
    header: PackHeader,
    entries: Vec<IndexEntry>,
    bytes: u64,
    counters: PackCounters,
}

/// The end of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedPack {
    /// Index and footer, to be appended.
    pub tail: Vec<u8>,
    /// Where the bytes of the whole pack went.
    pub counters: PackCounters,
    /// The length of the whole pack.
    pub bytes: u64,
}

impl PackWriter {
    /// A pack that has nothing but its header.
    pub fn new(header: PackHeader) -> Self {
        let bytes = PackHeader::BYTES as u64;
        let counters = PackCounters { index_bytes: bytes, ..PackCounters::default() };
        Self { header, entries: Vec::new(), bytes, counters }
    }

    /// Its header.
    pub fn header(&self) -> &PackHeader {
        &self.header
    }

    /// The bytes to append first.
    pub fn header_bytes(&self) -> Vec<u8> {
        self.header.encode()
    }

    /// Gives a frame its place and seals it. Its bytes must then be appended.
    pub fn place(&mut self, frame: &mut EncodedFrame) -> Result<FramePlace> {
        let ordinal = self.frames();
        let end = self.bytes.saturating_add(frame.header().frame_bytes());
        if end > PACK_BYTES_MAX || ordinal >= PACK_FRAMES_MAX {
            return Err(Error::new(Kind::ResourceExhausted, "a pack is full: finish it and begin another"));
        }
        frame.seal(self.header.name, ordinal)?;
        let entry = frame.header().index_entry(self.bytes);
        self.add(entry);
        Ok(entry.place())
    }

    /// Accounts for a frame that a scan found in the file already, in the order of the file.
    pub fn resume(&mut self, entry: IndexEntry) -> Result<()> {
        if entry.ordinal != self.frames() || entry.offset != self.bytes {
            return Err(Error::internal("frames of a pack were resumed out of order"));
        }
        self.add(entry);
        Ok(())
    }

    /// Bytes so far, the header included.
    #[expect(clippy::len_without_is_empty, reason = "a pack has its header from the start")]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Frames so far.
    pub fn frames(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Where the bytes went so far; the index is not counted yet.
    pub fn counters(&self) -> &PackCounters {
        &self.counters
    }

    /// The index and footer.
    pub fn finish(mut self) -> Result<FinishedPack> {
        let tail = encode_tail(self.header.name, &self.entries, self.bytes)?;
        let tail_bytes = crate::pack::wire::length(&tail);
        self.counters.index_bytes += tail_bytes;
        Ok(FinishedPack { tail, counters: self.counters, bytes: self.bytes + tail_bytes })
    }

    fn add(&mut self, entry: IndexEntry) {
        self.counters.add(&entry);
        self.bytes += u64::from(entry.bytes());
        self.entries.push(entry);
    }
}
