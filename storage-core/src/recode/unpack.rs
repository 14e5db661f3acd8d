//! Takes an object apart: finds the compressed streams in it, undoes each that is worth it, and looks into what they
//! hold. Bounded by what reading the result may take; what is over a bound stays as it is.

use crate::codec::Codec;
use crate::recode::Limits;
use crate::recode::around::Known;
use crate::recode::checksum::adler32;
use crate::recode::container::Unpacked;
use crate::recode::cost;
use crate::recode::deflate;
use crate::recode::deflate::Inflated;
use crate::recode::deflate::Undone;
use crate::recode::find;
use crate::recode::find::Guess;
use crate::recode::find::Patience;
use crate::recode::guarded::guarded;
use crate::recode::jpeg;
use crate::recode::jpeg_scan::Outline;
use crate::recode::op::Op;
use crate::recode::op::Wrapper;

/// Shorter deflate streams stay as they are: what redoing them needs would be as long.
const STREAM_BYTES_MIN: usize = 48;

/// Shorter JPEG files stay as they are.
const JPEG_BYTES_MIN: usize = 512;

/// Shorter streams are not tried by themselves: most of what they hold stands in their neighbours, too.
const TRIED_BYTES_MIN: usize = 4 << 10;

/// The level at which a stream's content is tried.
const TRIAL_LEVEL: i32 = 9;

/// The crates that do the work, so that a test can have them fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Engines {
    pub(super) undo: fn(&[u8], usize) -> Option<Undone>,
    pub(super) jpeg: fn(&[u8]) -> Option<Vec<u8>>,
}

impl Engines {
    pub(super) const REAL: Self = Self { undo: deflate::undo, jpeg: jpeg::encode };
}

/// Takes `bytes` apart; none where nothing in them can be.
pub(super) fn unpack(bytes: &[u8], limits: &Limits, engines: Engines, careful: bool) -> Option<Unpacked> {
    unpack_around(bytes, limits, (engines, careful), &Known::default())
}

/// The same, but streams that are `known` stay as they are.
pub(super) fn unpack_around(
    bytes: &[u8],
    limits: &Limits,
    (engines, careful): (Engines, bool),
    known: &Known,
) -> Option<Unpacked> {
    let unpacked_max = limits.unpacked_bytes_max.min(bytes.len().saturating_mul(limits.unpacked_ratio_max));
    let mut unpacker = Unpacker {
        engines,
        careful,
        depth_max: limits.depth_max,
        content_left: unpacked_max,
        nanos_left: limits.decode_nanos_max,
        patience: Patience::of(bytes.len()),
        known,
        into: Unpacked::default(),
    };
    let ops = unpacker.sequence(bytes, 0);
    let changed = ops.iter().any(|op| !matches!(op, Op::Literal { .. }));
    let nanos = limits.decode_nanos_max - unpacker.nanos_left;
    changed.then_some(Unpacked { ops, nanos, ..unpacker.into })
}

struct Unpacker<'a> {
    engines: Engines,
    /// Whether every stream is made again at once, because some could not be.
    careful: bool,
    depth_max: usize,
    /// Bytes that streams may still hold.
    content_left: usize,
    /// Time that making the object again may still take.
    nanos_left: u64,
    patience: Patience,
    /// Streams that stay as they are.
    known: &'a Known,
    into: Unpacked,
}

/// What the sections held and the bounds allowed before something was tried.
struct Savepoint {
    data: usize,
    plain: usize,
    content_left: usize,
    nanos_left: u64,
}

/// A part of a sequence that was taken apart.
struct Taken {
    op: Op,
    start: usize,
    end: usize,
}

impl Unpacker<'_> {
    fn sequence(&mut self, bytes: &[u8], depth: usize) -> Vec<Op> {
        let mut ops = Vec::new();
        let (mut done, mut from) = (0, 0);
        while let Some(guess) = find::next(bytes, from, &mut self.patience) {
            let at = guess.found_at();
            let before = self.savepoint();
            if let Some(taken) = self.take((bytes, done), guess, depth) {
                literal(&mut ops, taken.start - done);
                match taken.op {
                    Op::Literal { bytes } => literal(&mut ops, bytes),
                    op => ops.push(op),
                }
                (done, from) = (taken.end, taken.end);
            } else {
                self.restore(&before);
                from = at + 1;
            }
        }
        let rest = bytes.get(done..).unwrap_or_default();
        self.into.plain.extend_from_slice(rest);
        literal(&mut ops, rest.len());
        ops
    }

    fn savepoint(&self) -> Savepoint {
        Savepoint {
            data: self.into.data.len(),
            plain: self.into.plain.len(),
            content_left: self.content_left,
            nanos_left: self.nanos_left,
        }
    }

    fn restore(&mut self, to: &Savepoint) {
        self.into.data.truncate(to.data);
        self.into.plain.truncate(to.plain);
        (self.content_left, self.nanos_left) = (to.content_left, to.nanos_left);
    }

    fn spend(&mut self, nanos: u64) -> Option<()> {
        self.nanos_left = self.nanos_left.checked_sub(nanos)?;
        Some(())
    }

    /// Takes apart what was guessed in `bytes`, of which everything before `done` was dealt with.
    fn take(&mut self, (bytes, done): (&[u8], usize), guess: Guess, depth: usize) -> Option<Taken> {
        match guess {
            Guess::Jpeg { at, outline } => self.jpeg((bytes, done), at, outline),
            Guess::Idat { at, end, runs, content } => {
                if let Some(kept) = self.keep((bytes, done), (at, end), bytes.get(at..end)?) {
                    return Some(kept);
                }
                self.content_left = self.content_left.checked_sub(content.len())?;
                self.literal(bytes.get(done..at)?);
                let inner = self.inner(&content, depth)?;
                let changed = inner.iter().any(|op| !matches!(op, Op::Literal { .. }));
                changed.then_some(Taken { op: Op::Idat { runs, inner }, start: at, end })
            }
            Guess::Deflate(at) => {
                let inflated = self.inflate(bytes.get(at..)?)?;
                self.stream((bytes, done), (at, Wrapper::Raw), inflated, depth)
            }
            Guess::Zlib { at, announced } => {
                let header = bytes.get(at..)?.first_chunk().copied()?;
                let inflated = self.inflate(bytes.get(at + 2..)?)?;
                let behind = bytes.get(at + 2 + inflated.stream..)?;
                let mut checksum = adler32(&inflated.content).to_le_bytes();
                checksum.reverse();
                if behind.starts_with(&checksum) {
                    self.stream((bytes, done), (at, Wrapper::Zlib(header)), inflated, depth)
                } else if announced {
                    self.stream((bytes, done), (at + 2, Wrapper::Raw), inflated, depth)
                } else {
                    self.patience.lose(inflated.content.len());
                    None
                }
            }
        }
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.into.plain.extend_from_slice(bytes);
    }

    /// Leaves what lies between `start` and `end` as it is, where its `stream` is known.
    fn keep(
        &mut self,
        (bytes, done): (&[u8], usize),
        (start, end): (usize, usize),
        stream: &[u8],
    ) -> Option<Taken> {
        if !self.known.has(stream) {
            return None;
        }
        let kept = bytes.get(done..end)?;
        self.literal(kept);
        Some(Taken { op: Op::Literal { bytes: end - start }, start, end })
    }

    fn inner(&mut self, content: &[u8], depth: usize) -> Option<Vec<Op>> {
        (depth < self.depth_max).then(|| self.sequence(content, depth + 1))
    }

    fn inflate(&mut self, bytes: &[u8]) -> Option<Inflated> {
        match deflate::inflate(bytes, self.content_left) {
            Ok(inflated) => Some(inflated).filter(|inflated| inflated.stream >= STREAM_BYTES_MIN),
            Err(in_vain) => {
                self.patience.lose(in_vain);
                None
            }
        }
    }

    fn jpeg(&mut self, (bytes, done): (&[u8], usize), at: usize, outline: Outline) -> Option<Taken> {
        let end = at + outline.bytes;
        let file = bytes.get(at..end).filter(|file| file.len() >= JPEG_BYTES_MIN)?;
        if let Some(kept) = self.keep((bytes, done), (at, end), file) {
            return Some(kept);
        }
        let literal = bytes.get(done..at)?;
        self.spend(cost::jpeg(file.len(), outline.samples))?;
        let Some(stored) = guarded(|| (self.engines.jpeg)(file)) else {
            self.patience.lose(file.len().saturating_mul(2));
            return None;
        };
        let wrong = || self.careful && jpeg::decode(&stored, file.len()).ok().as_deref() != Some(file);
        if stored.len() >= file.len() || wrong() {
            return None;
        }
        self.literal(literal);
        self.into.data.extend_from_slice(&stored);
        Some(Taken { op: Op::Jpeg { bytes: file.len(), stored: stored.len() }, start: at, end })
    }

    fn stream(
        &mut self,
        (bytes, done): (&[u8], usize),
        (start, wrapper): (usize, Wrapper),
        inflated: Inflated,
        depth: usize,
    ) -> Option<Taken> {
        let header = if wrapper == Wrapper::Raw { 0 } else { 2 };
        let stream = bytes.get(start + header..)?.get(..inflated.stream)?;
        let end = start + stream.len() + wrapper.bytes();
        if let Some(kept) = self.keep((bytes, done), (start, end), stream) {
            return Some(kept);
        }
        let literal = bytes.get(done..start)?;
        self.content_left = self.content_left.checked_sub(inflated.content.len())?;
        // At the least; what it really takes is known when it is undone.
        if cost::deflate(stream.len(), inflated.content.len(), 0) > self.nanos_left || depth >= self.depth_max
        {
            return None;
        }
        let undone = self.undo(stream, inflated)?;
        self.spend(cost::deflate(stream.len(), undone.content.len(), undone.chain))?;
        self.literal(literal);
        self.into.data.extend_from_slice(&undone.corrections);
        let inner = self.inner(&undone.content, depth)?;
        let op = Op::Deflate { wrapper, bytes: end - start, corrections: undone.corrections.len(), inner };
        Some(Taken { op, start, end })
    }

    /// Undoes a stream where that is worth it.
    fn undo(&mut self, stream: &[u8], inflated: Inflated) -> Option<Undone> {
        let content = inflated.content;
        let redone = |undone: &Undone| deflate::redo(&undone.content, &undone.corrections, stream.len());
        let undone = guarded(|| (self.engines.undo)(stream, content.len()))
            .filter(|undone| undone.content == content && pays(stream, undone))
            .filter(|undone| !self.careful || redone(undone).ok().as_deref() == Some(stream));
        if undone.is_none() {
            self.patience.lose(content.len().saturating_mul(2));
        }
        undone
    }
}

/// Whether a stream's content is likely to compress better than the stream.
fn pays(stream: &[u8], undone: &Undone) -> bool {
    if undone.corrections.len() > stream.len() / 2 {
        return false;
    }
    if stream.len() < TRIED_BYTES_MIN {
        return true;
    }
    let tried = Codec::Zstd { level: TRIAL_LEVEL }.encode(&undone.content);
    // The level that counts does better than the trial, and a block has more to refer to.
    tried.is_ok_and(|tried| undone.corrections.len() + tried.len() < stream.len() + stream.len() / 12)
}

/// Adds a literal; empty ones are left out, neighbours become one.
fn literal(ops: &mut Vec<Op>, more: usize) {
    match ops.last_mut() {
        _ if more == 0 => {}
        Some(Op::Literal { bytes }) => *bytes += more,
        _ => ops.push(Op::Literal { bytes: more }),
    }
}
