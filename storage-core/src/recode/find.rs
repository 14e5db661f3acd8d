//! Where compressed streams may begin inside other bytes. One scanner serves documents, archives and pictures of every
//! kind, whole or embedded: it goes by the first bytes of streams, not by the formats around them. What it names is a
//! guess that whoever decodes it confirms.

use crate::recode::jpeg_scan::Outline;
use crate::recode::jpeg_scan::outline;
use crate::recode::op::ChunkRun;
use crate::recode::rebuild::IDAT;

/// Something that may be taken apart.
#[derive(Debug)]
pub(super) enum Guess {
    /// A deflate stream begins here.
    Deflate(usize),
    /// A zlib stream begins here. After `stream` in a PDF its checksum may be cut off.
    Zlib { at: usize, announced: bool },
    /// Chunks of a PNG, with their joined content.
    Idat { at: usize, end: usize, runs: Vec<ChunkRun>, content: Vec<u8> },
    /// A JPEG file.
    Jpeg { at: usize, outline: Outline },
}

impl Guess {
    /// Where the scanner found it: chunks of a picture by their name, which stands behind their length.
    pub(super) fn found_at(&self) -> usize {
        match self {
            Self::Deflate(at) | Self::Zlib { at, .. } | Self::Jpeg { at, .. } => *at,
            Self::Idat { at, .. } => *at + 4,
        }
    }
}

/// Bytes that may be looked at in vain. Bytes made of nothing but first bytes of streams use it up, documents do not.
#[derive(Debug)]
pub(super) struct Patience(usize);

impl Patience {
    /// Enough for an object of that length.
    pub(super) fn of(bytes: usize) -> Self {
        Self(bytes.saturating_mul(64).saturating_add(16 << 20))
    }

    /// Takes account of bytes looked at in vain.
    pub(super) fn lose(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes.max(64));
    }

    /// Whether there is none left.
    pub(super) fn is_over(&self) -> bool {
        self.0 == 0
    }
}

/// The next guess that begins at `from` or after it.
pub(super) fn next(bytes: &[u8], from: usize, patience: &mut Patience) -> Option<Guess> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| may_begin(*byte))?;
        let found = guess(bytes, at, patience);
        if found.is_some() || patience.is_over() {
            return found;
        }
        at += 1;
    }
}

/// Whether a byte is the first one of anything that is guessed: most are none.
fn may_begin(byte: u8) -> bool {
    matches!(byte, b'P' | 0x1f | 0xff | b'I' | 0x08 | 0x18 | 0x28 | 0x38 | 0x48 | 0x58 | 0x68 | 0x78)
}

fn guess(bytes: &[u8], at: usize, patience: &mut Patience) -> Option<Guess> {
    let rest = bytes.get(at..)?;
    if patience.is_over() {
        return None;
    }
    match *rest.first_chunk()? {
        [b'P', b'K', 3, 4] => zip_member(rest).map(|header| Guess::Deflate(at + header)),
        [0x1f, 0x8b, 8, flags] => gzip_member(rest, flags).map(|header| Guess::Deflate(at + header)),
        [0xff, 0xd8, 0xff, _] => {
            let outline = outline(rest);
            if outline.is_none() {
                patience.lose(rest.len());
            }
            outline.map(|outline| Guess::Jpeg { at, outline })
        }
        IDAT => {
            let chunks = idat(bytes, at.checked_sub(4)?);
            if chunks.is_none() {
                patience.lose(rest.len());
            }
            chunks
        }
        [first, second, _, _] if is_zlib(first, second) => {
            Some(Guess::Zlib { at, announced: is_announced(bytes.get(..at)?) })
        }
        _ => None,
    }
}

/// Whether two bytes are the header of a zlib stream without a dictionary.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x8f == 0x08 && second & 0x20 == 0 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0
}

/// Whether the bytes before a stream say that one follows, as in a PDF.
fn is_announced(before: &[u8]) -> bool {
    [b"stream\r\n".as_slice(), b"stream\n", b"stream\r"].iter().any(|word| before.ends_with(word))
}

/// Bytes of the local header of a deflated zip member.
fn zip_member(rest: &[u8]) -> Option<usize> {
    const FIXED_BYTES: usize = 30;
    let header: &[u8; FIXED_BYTES] = rest.first_chunk()?;
    let [.., name_low, name_high, extra_low, extra_high] = *header;
    let method = (header[8], header[9]);
    let lengths = [[name_low, name_high], [extra_low, extra_high]].map(u16::from_le_bytes).map(usize::from);
    (method == (8, 0)).then_some(FIXED_BYTES + lengths.iter().sum::<usize>())
}

/// Bytes of the header of a gzip member.
fn gzip_member(rest: &[u8], flags: u8) -> Option<usize> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECKSUM: u8 = 2;
    const TEXT_BYTES_MAX: usize = 1 << 10;
    if flags & 0xe0 != 0 {
        return None;
    }
    let mut at = 10;
    if flags & EXTRA != 0 {
        let length = rest.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)?;
        at += 2 + usize::from(length);
    }
    for _text in [NAME, COMMENT].iter().filter(|text| flags & **text != 0) {
        let text = rest.get(at..)?;
        at += memchr::memchr(0, text.get(..TEXT_BYTES_MAX).unwrap_or(text))? + 1;
    }
    if flags & CHECKSUM != 0 {
        at += 2;
    }
    Some(at)
}

/// The chunks of a picture that follow each other from `at` on. Their checksums must be right, because they are not
/// kept.
fn idat(bytes: &[u8], start: usize) -> Option<Guess> {
    let (mut runs, mut content, mut at): (Vec<ChunkRun>, _, _) = (Vec::new(), Vec::new(), start);
    while let Some(chunk) = idat_chunk(bytes.get(at..).unwrap_or_default()) {
        let length = u32::try_from(chunk.len()).ok()?;
        match runs.last_mut().filter(|run| run.bytes == length) {
            Some(run) => run.count += 1,
            None => runs.push(ChunkRun { bytes: length, count: 1 }),
        }
        content.extend_from_slice(chunk);
        at += chunk.len() + 12;
    }
    (at > start).then_some(Guess::Idat { at: start, end: at, runs, content })
}

/// The content of the chunk at the start of `bytes`.
fn idat_chunk(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_first_chunk()?;
    let (content, rest) = rest.split_at_checked(usize::try_from(big_endian(*length)).ok()?)?;
    let right = *name == IDAT
        && big_endian(*rest.first_chunk()?) == crate::recode::checksum::crc32(&[&IDAT, content]);
    right.then_some(content)
}

fn big_endian(mut bytes: [u8; 4]) -> u32 {
    bytes.reverse();
    u32::from_le_bytes(bytes)
}
