//! One leaf of a message: gathers a window, decides where the leaf goes, then streams. Guarantees that a
//! leaf never needs more than a window of memory, whatever its length.

use crate::error::Result;
use crate::mime::builder::Builder;
use crate::mime::builder::Finished;
use crate::mime::decoder::Decoder;
use crate::mime::decoder::Step;
use crate::mime::limits::WINDOW_BYTES;
use crate::mime::part::Encoding;
use crate::mime::part::PartInfo;
use crate::mime::part::Role;
use crate::mime::splitter::Sink;
use crate::mime::varint::to_u64;

/// How far a leaf has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing is decided.
    Gathering,
    /// It is an object and has begun.
    Streaming,
    /// Its part is over; what still comes is literal.
    Over,
}

/// A leaf on its way.
#[derive(Debug)]
pub(crate) struct Leaf {
    info: PartInfo,
    decoder: Decoder,
    window: Vec<u8>,
    progress: Progress,
    decoded_bytes: u64,
    encoded_bytes: u64,
}

impl Leaf {
    pub(crate) fn new(info: PartInfo) -> Self {
        let decoder = Decoder::new(info.encoding);
        Self {
            info,
            decoder,
            window: Vec::new(),
            progress: Progress::Gathering,
            decoded_bytes: 0,
            encoded_bytes: 0,
        }
    }

    /// Whether it takes everything up to its end: nothing is undone, so nothing can stop it before.
    pub(crate) fn is_endless(&self) -> bool {
        self.info.encoding == Encoding::Identity && self.progress != Progress::Over
    }

    /// More of its encoded bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if self.progress == Progress::Over {
                return builder.literal(bytes, sink);
            }
            let room = WINDOW_BYTES.saturating_sub(self.window.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.window.extend_from_slice(now);
            bytes = later;
            // Waiting for one byte more keeps a leaf that fills the window exactly from being cut in two.
            if self.window.len() == WINDOW_BYTES && !bytes.is_empty() {
                self.work(false, builder, sink)?;
            }
        }
        Ok(())
    }

    /// The leaf is over.
    pub(crate) fn finish(mut self, builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        match self.progress {
            Progress::Over => return Ok(()),
            Progress::Streaming if self.window.is_empty() && self.info.encoding == Encoding::Identity => {}
            Progress::Gathering | Progress::Streaming => self.work(true, builder, sink)?,
        }
        if self.progress == Progress::Streaming { self.end(builder, sink) } else { Ok(()) }
    }

    /// Gives up: what was gathered is literal, without becoming a part.
    pub(crate) fn abandon(self, builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        builder.literal(&self.window, sink)
    }

    fn work(&mut self, last: bool, builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        if self.info.encoding == Encoding::Identity {
            return self.pass_on(last, builder, sink);
        }
        let step = self.decoder.window(&self.window, last, builder.limits(), self.encoded_bytes)?;
        if self.progress == Progress::Gathering {
            if !self.decoder.worth(&step) {
                self.decoder = Decoder::Identity;
                self.info.encoding = Encoding::Identity;
                return self.pass_on(last, builder, sink);
            }
            if last && self.stays(step.decoded.len(), builder) {
                return self.keep(&step, builder, sink);
            }
            builder.object_begin(&self.info, sink)?;
            self.progress = Progress::Streaming;
        }
        Builder::object_data(&step.decoded, sink)?;
        self.count(&step);
        drop(self.window.drain(..step.consumed));
        if step.stopped { self.end(builder, sink) } else { Ok(()) }
    }

    /// Deals with the window of a leaf in which nothing is undone.
    fn pass_on(&mut self, last: bool, builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        if self.progress == Progress::Gathering {
            if last && self.stays(self.window.len(), builder) {
                self.progress = Progress::Over;
                return builder.literal_part(self.info.clone(), &self.window, sink);
            }
            builder.object_begin(&self.info, sink)?;
            self.progress = Progress::Streaming;
        }
        Builder::object_data(&self.window, sink)?;
        self.decoded_bytes += to_u64(self.window.len());
        self.encoded_bytes += to_u64(self.window.len());
        self.window.clear();
        Ok(())
    }

    /// Whether a whole leaf of so many decoded bytes is small enough for the skeleton.
    fn stays(&self, decoded_bytes: usize, builder: &Builder) -> bool {
        let limits = builder.limits();
        let bytes = if self.info.role == Role::Body {
            limits.body_object_bytes
        } else {
            limits.attachment_object_bytes
        };
        decoded_bytes < bytes
    }

    /// Keeps a whole leaf in the skeleton, decoded.
    fn keep(&mut self, step: &Step, builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        self.count(step);
        self.progress = Progress::Over;
        let window = std::mem::take(&mut self.window);
        let finished = self.finished();
        builder.inline_part(finished, &step.decoded, sink)?;
        builder.literal(window.get(step.consumed..).unwrap_or_default(), sink)
    }

    /// Ends the object; what is left of the window is literal.
    fn end(&mut self, builder: &mut Builder, sink: &mut dyn Sink) -> Result<()> {
        self.progress = Progress::Over;
        let finished = self.finished();
        builder.object_end(finished, sink)?;
        let rest = std::mem::take(&mut self.window);
        builder.literal(&rest, sink)
    }

    fn finished(&mut self) -> Finished {
        let decoder = std::mem::replace(&mut self.decoder, Decoder::Identity);
        Finished {
            info: self.info.clone(),
            recipe: decoder.recipe(),
            decoded_bytes: self.decoded_bytes,
            encoded_bytes: self.encoded_bytes,
        }
    }

    fn count(&mut self, step: &Step) {
        self.decoded_bytes += to_u64(step.decoded.len());
        self.encoded_bytes += to_u64(step.consumed);
    }
}
