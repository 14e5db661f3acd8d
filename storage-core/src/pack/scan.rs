//! Walks the frames of a pack without its index: for recovery, rebuild and scrub. Does no I/O: it asks for bytes
//! and is fed them. What does not verify ends the scan at the last whole frame before it; what verifies but is of
//! a newer version is an error, so that nobody cuts it off.

use bytes::Bytes;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::frame::Frame;
use crate::pack::frame::FrameHead;
use crate::pack::frame::FrameHeader;
use crate::pack::frame::MAGIC;
use crate::pack::frame::at;
use crate::pack::header::PackHeader;
use crate::pack::index::IndexEntry;
use crate::pack::names::FramePlace;
use crate::pack::names::PackName;

/// Bytes asked for at once where streams are skipped: a header and its table.
const READ_BYTES_TABLES: u64 = 8 << 10;
/// Bytes asked for at once where everything is read.
const READ_BYTES_EVERYTHING: u64 = 1 << 20;

/// The first frame header inside `bytes` that verifies, wherever it begins: its offset in them and the frame's number. For
/// going on behind a frame that does not.
pub fn find_header(pack: PackName, bytes: &[u8]) -> Option<(usize, u32)> {
    memchr::memmem::find_iter(bytes, &MAGIC).find_map(|start| {
        let header = bytes.get(start..)?;
        let ordinal = header.get(at::ORDINAL..)?.first_chunk::<4>()?;
        let ordinal = u32::from_le_bytes(*ordinal);
        FrameHeader::parse(pack, ordinal, header).ok().map(|_| (start, ordinal))
    })
}

/// How much of each frame a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDepth {
    /// Headers and tables.
    Tables,
    /// Streams too.
    Everything,
}

/// What a scan needs or found.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a step is taken apart at once and never kept")]
pub enum ScanStep {
    /// Feed it exactly these bytes.
    Read {
        /// The first of them.
        offset: u64,
        /// How many.
        bytes: u32,
    },
    /// The next frame.
    Frame(ScannedFrame),
    /// There is no other.
    End(ScanEnd),
}

/// A frame that a scan found.
#[derive(Debug, Clone)]
pub struct ScannedFrame {
    /// Where it lies.
    pub place: FramePlace,
    /// Header and table, verified.
    pub head: FrameHead,
    whole: Option<Frame>,
}

impl ScannedFrame {
    /// All of it, verified; only where the scan reads everything.
    pub fn frame(&self) -> Option<&Frame> {
        self.whole.as_ref()
    }

    /// What the index would say of it.
    pub fn index_entry(&self) -> IndexEntry {
        self.head.header.index_entry(self.place.offset)
    }
}

/// How far a pack is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanEnd {
    /// Everything before this offset is whole.
    pub valid_bytes: u64,
    /// Number of the next frame.
    pub frames: u32,
    /// Why it ended before all bytes were used.
    pub torn: Option<String>,
}

/// A walk over the frames of a pack.
#[derive(Debug)]
pub struct Scanner {
    pack: PackName,
    depth: ScanDepth,
    end_offset: u64,
    offset: u64,
    ordinal: u32,
    buffer: Bytes,
    buffer_offset: u64,
    torn: Option<String>,
}

/// The bytes of a range, or the read that gets them.
enum Window {
    Bytes(Bytes),
    /// So many bytes are needed from the present frame's start.
    Read(u32),
}

impl Scanner {
    /// A scan of all frames. `end_offset` is where the index begins, or the length of a pack without one.
    pub fn new(pack: PackName, end_offset: u64, depth: ScanDepth) -> Self {
        Self::from(pack, (PackHeader::BYTES as u64, 0), end_offset, depth)
    }

    /// A scan from an offset at which the frame of the given number begins.
    pub fn from(pack: PackName, (offset, ordinal): (u64, u32), end_offset: u64, depth: ScanDepth) -> Self {
        let buffer = Bytes::new();
        Self { pack, depth, end_offset, offset, ordinal, buffer, buffer_offset: offset, torn: None }
    }

    /// What comes next. After an error or the end, the same again.
    pub fn step(&mut self) -> Result<ScanStep> {
        if self.torn.is_some() || self.offset == self.end_offset {
            return Ok(ScanStep::End(self.end()));
        }
        match self.next_frame() {
            Err(error) if error.kind() == Kind::Corrupt => {
                self.torn = Some(error.message().to_owned());
                Ok(ScanStep::End(self.end()))
            }
            other => other,
        }
    }

    /// The answer to [`ScanStep::Read`].
    pub fn feed(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Err(Error::internal("a scan was fed nothing"));
        }
        self.buffer = bytes;
        self.buffer_offset = self.offset;
        Ok(())
    }

    /// The next frame for those who can read at once; none at the end, of which [`Scanner::end`] tells more.
    pub fn next_with(
        &mut self,
        mut read: impl FnMut(u64, u32) -> Result<Bytes>,
    ) -> Result<Option<ScannedFrame>> {
        loop {
            match self.step()? {
                ScanStep::Read { offset, bytes } => {
                    let fed = read(offset, bytes)?;
                    if u32::try_from(fed.len()) != Ok(bytes) {
                        return Err(Error::internal("a scan was fed other bytes than it asked for"));
                    }
                    self.feed(fed)?;
                }
                ScanStep::Frame(frame) => return Ok(Some(frame)),
                ScanStep::End(_) => return Ok(None),
            }
        }
    }

    /// How far the pack is valid, as far as the scan got.
    pub fn end(&self) -> ScanEnd {
        ScanEnd { valid_bytes: self.offset, frames: self.ordinal, torn: self.torn.clone() }
    }

    fn next_frame(&mut self) -> Result<ScanStep> {
        let fixed = match self.window(FrameHeader::BYTES as u64)? {
            Window::Bytes(fixed) => fixed,
            Window::Read(bytes) => return Ok(ScanStep::Read { offset: self.offset, bytes }),
        };
        let header_bytes = FrameHeader::peek_bytes(&fixed)?;
        let header = match self.window(u64::from(header_bytes))? {
            Window::Bytes(header) => FrameHeader::parse(self.pack, self.ordinal, &header)?,
            Window::Read(bytes) => return Ok(ScanStep::Read { offset: self.offset, bytes }),
        };
        let frame_bytes = header.frame_bytes();
        if self.offset.saturating_add(frame_bytes) > self.end_offset {
            return Err(Error::corrupt("the last frame is incomplete"));
        }
        let wanted = match self.depth {
            ScanDepth::Tables => frame_bytes - u64::from(header.stream_stored),
            ScanDepth::Everything => frame_bytes,
        };
        let bytes = match self.window(wanted)? {
            Window::Bytes(bytes) => bytes,
            Window::Read(bytes) => return Ok(ScanStep::Read { offset: self.offset, bytes }),
        };
        let place = header.index_entry(self.offset).place();
        let (head, whole) = match self.depth {
            ScanDepth::Tables => {
                let table = bytes.slice(header_bytes as usize..);
                (FrameHead::new(header, table)?, None)
            }
            ScanDepth::Everything => {
                let frame = Frame::parse(self.pack, self.ordinal, bytes)?;
                (frame.head().clone(), Some(frame))
            }
        };
        self.offset += frame_bytes;
        self.ordinal = self.ordinal.saturating_add(1);
        Ok(ScanStep::Frame(ScannedFrame { place, head, whole }))
    }

    /// The next `bytes` bytes from the present frame's start.
    fn window(&self, bytes: u64) -> Result<Window> {
        let remaining = self.end_offset.saturating_sub(self.offset);
        if bytes > remaining {
            return Err(Error::corrupt("the last frame is incomplete"));
        }
        let start = self.offset.checked_sub(self.buffer_offset).and_then(|start| usize::try_from(start).ok());
        let end = start.zip(usize::try_from(bytes).ok()).and_then(|(start, bytes)| start.checked_add(bytes));
        if let Some((start, end)) = start.zip(end).filter(|(_, end)| *end <= self.buffer.len()) {
            return Ok(Window::Bytes(self.buffer.slice(start..end)));
        }
        let ahead = match self.depth {
            ScanDepth::Tables => READ_BYTES_TABLES,
            ScanDepth::Everything => READ_BYTES_EVERYTHING,
        };
        let bytes = u32::try_from(bytes.max(ahead).min(remaining))
            .map_err(|_| Error::corrupt("a frame is too long to be one"))?;
        Ok(Window::Read(bytes))
    }
}
