//! Gathers what the splitter emits for a large item: full segments of large objects as they fill, small objects when
//! they end. Pure; holds at most one segment and what was not taken yet.

use bytes::Bytes;
use sha2::Digest;

use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::mime::PartInfo;
use crate::mime::Sink;
use crate::model::Sha256;
use crate::ops::log::group::SEGMENT_BYTES;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedObject;

/// Bytes that tell the media class.
const HEAD_BYTES: usize = 1024;

/// What is ready to be written, in order.
#[derive(Debug)]
pub(crate) enum Produced {
    /// The next segment of the object that ends later.
    Segment(Vec<u8>),
    /// An object ended. Its data is whole where it has no segments; else its segments came before.
    Object(Box<PreparedObject>),
}

#[derive(Debug)]
struct Current {
    info: PartInfo,
    hasher: sha2::Sha256,
    head: Vec<u8>,
    buffer: Vec<u8>,
    segmented: bool,
}

/// The sink.
#[derive(Debug, Default)]
pub(crate) struct LargeSink {
    current: Option<Current>,
    produced: Vec<Produced>,
}

impl LargeSink {
    /// What is ready to be written.
    pub(crate) fn take(&mut self) -> Vec<Produced> {
        std::mem::take(&mut self.produced)
    }
}

fn out_of_order() -> Error {
    Error::internal("The splitter's events are out of order.")
}

impl Sink for LargeSink {
    fn part_begin(&mut self, _index: u32, info: &PartInfo) -> Result<()> {
        if self.current.is_some() {
            return Err(out_of_order());
        }
        self.current = Some(Current {
            info: info.clone(),
            hasher: sha2::Sha256::new(),
            head: Vec::new(),
            buffer: Vec::new(),
            segmented: false,
        });
        Ok(())
    }

    fn part_data(&mut self, mut decoded: &[u8]) -> Result<()> {
        let current = self.current.as_mut().ok_or_else(out_of_order)?;
        current.hasher.update(decoded);
        let missing = HEAD_BYTES.saturating_sub(current.head.len()).min(decoded.len());
        current.head.extend(decoded.iter().take(missing));
        while !decoded.is_empty() {
            if current.buffer.len() == SEGMENT_BYTES {
                // More follows: a segment is complete, and the object is larger than one.
                self.produced.push(Produced::Segment(std::mem::take(&mut current.buffer)));
                current.segmented = true;
            }
            let fitting = (SEGMENT_BYTES - current.buffer.len()).min(decoded.len());
            let (now, later) = decoded.split_at(fitting);
            current.buffer.extend_from_slice(now);
            decoded = later;
        }
        Ok(())
    }

    fn part_end(&mut self, index: u32, decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        let current = self.current.take().ok_or_else(out_of_order)?;
        let mut rest = current.buffer;
        if current.segmented {
            self.produced.push(Produced::Segment(std::mem::take(&mut rest)));
        }
        self.produced.push(Produced::Object(Box::new(PreparedObject {
            part: index,
            role: current.info.role.id(),
            class: MediaClass::of(&current.info.media_type, &current.head),
            media_type: current.info.media_type,
            file_name: current.info.file_name,
            sha256: Sha256(current.hasher.finalize().into()),
            bytes: decoded_bytes,
            data: ObjectBytes::Whole(Bytes::from(rest)),
        })));
        Ok(())
    }
}
