//! Where the bytes of a pack went. The four sums add up to the length of the file, to the byte.

use std::collections::BTreeMap;

use crate::codec::CodecId;
use crate::pack::block::Entry;
use crate::pack::block::EntryBody;
use crate::pack::index::IndexEntry;
use crate::pack::names::FrameKind;
use crate::pack::object::TransformId;

/// Bytes of a pack by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackCounters {
    /// Decoded bytes of the streams of blocks and segments. Not part of the file's length.
    pub decoded_bytes: u64,
    /// Their stored bytes.
    pub stream_bytes: u64,
    /// Frame headers and tables of blocks and segments, and whole tombstone, policy and tenant frames.
    pub record_bytes: u64,
    /// Whole dictionary frames.
    pub dictionary_bytes: u64,
    /// Pack header, index and footer.
    pub index_bytes: u64,
    /// The streams of blocks and segments by codec.
    pub codecs: BTreeMap<CodecId, CodecCounters>,
}

/// Streams of one codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CodecCounters {
    /// Frames.
    pub frames: u64,
    /// Decoded bytes.
    pub decoded_bytes: u64,
    /// Stored bytes.
    pub stored_bytes: u64,
}

impl PackCounters {
    /// The length of the file.
    pub fn total(&self) -> u64 {
        self.stream_bytes + self.record_bytes + self.dictionary_bytes + self.index_bytes
    }

    pub(super) fn add(&mut self, entry: &IndexEntry) {
        let stored = u64::from(entry.stream_stored);
        let around = u64::from(entry.header_bytes) + u64::from(entry.table_bytes);
        match entry.kind {
            FrameKind::Block | FrameKind::Segment => {
                let decoded = u64::from(entry.stream_decoded);
                self.decoded_bytes += decoded;
                self.stream_bytes += stored;
                self.record_bytes += around;
                let codec = self.codecs.entry(entry.codec).or_default();
                codec.frames += 1;
                codec.decoded_bytes += decoded;
                codec.stored_bytes += stored;
            }
            FrameKind::Tombstone | FrameKind::Policy | FrameKind::Tenant => {
                self.record_bytes += around + stored;
            }
            FrameKind::Dictionary => self.dictionary_bytes += around + stored,
        }
    }
}

/// What recoding did to the objects of a block or a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecodedBytes {
    /// Bytes of the recoded objects less those of their stored forms. Negative where more was unpacked than saved.
    pub hidden: i64,
    /// Bytes by which the stored forms compressed better than the objects, each by itself; deltas not counted.
    pub gain: u64,
    /// The same for deltas.
    pub similar: u64,
}

impl RecodedBytes {
    pub(super) fn add(&mut self, entry: &Entry) {
        if let EntryBody::Object(object) = &entry.body
            && object.transform != TransformId::NONE
        {
            let bytes = i64::try_from(object.bytes).unwrap_or(i64::MAX);
            self.hidden = self.hidden.saturating_add(bytes.saturating_sub(i64::from(entry.bytes)));
            let gain =
                if object.transform == TransformId::DELTA { &mut self.similar } else { &mut self.gain };
            *gain = gain.saturating_add(object.gain);
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            hidden: self.hidden.saturating_add(other.hidden),
            gain: self.gain.saturating_add(other.gain),
            similar: self.similar.saturating_add(other.similar),
        }
    }
}
