//! Builds a skeleton while a message goes by. Guarantees that it stays bounded: a long run of literal
//! bytes becomes a raw object, and once the skeleton is full the rest of the message is one raw object.

use crate::error::Result;
use crate::mime::limits::PARTS_MAX;
use crate::mime::limits::SplitLimits;
use crate::mime::part::Encoding;
use crate::mime::part::PartInfo;
use crate::mime::part::PartSummary;
use crate::mime::skeleton;
use crate::mime::skeleton::OpKind;
use crate::mime::splitter::Sink;
use crate::mime::varint;
use crate::mime::varint::to_u64;

/// Longest run of bytes that a sink gets at once.
const SINK_BYTES_MAX: usize = 64 * 1024;

/// Where literal bytes go at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Into the skeleton, since this position of its literals.
    Literal(usize),
    /// Into an open raw object of so many bytes.
    Raw(u64),
}

/// What is known of a part when it is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) info: PartInfo,
    pub(crate) recipe: Vec<u8>,
    pub(crate) decoded_bytes: u64,
    pub(crate) encoded_bytes: u64,
}

/// The skeleton so far.
#[derive(Debug)]
pub(crate) struct Builder {
    limits: SplitLimits,
    ops: Vec<u8>,
    ops_count: u64,
    recipes: Vec<u8>,
    literals: Vec<u8>,
    run: Run,
    /// The skeleton is full: nothing but one raw object may follow.
    full: bool,
    parts: Vec<PartSummary>,
    objects: u32,
}

impl Builder {
    pub(crate) fn new(limits: SplitLimits) -> Self {
        Self {
            limits,
            ops: Vec::new(),
            ops_count: 0,
            recipes: Vec::new(),
            literals: Vec::new(),
            run: Run::Literal(0),
            full: false,
            parts: Vec::new(),
            objects: 0,
        }
    }

    pub(crate) fn limits(&self) -> &SplitLimits {
        &self.limits
    }

    /// Whether the rest of the message can only be raw.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes of the message that belong to no part.
    pub(crate) fn literal(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        if let Run::Literal(start) = self.run {
            let run_bytes = self.literals.len() - start + bytes.len();
            if !self.full && self.bytes() + bytes.len() > self.limits.skeleton_bytes_max {
                self.full = true;
            }
            if !self.full && run_bytes <= self.limits.literal_run_bytes_max {
                self.literals.extend_from_slice(bytes);
                return Ok(());
            }
            let before = if self.full { Vec::new() } else { self.literals.split_off(start) };
            self.close_run(sink)?;
            sink.part_begin(self.next_index(), &PartInfo::raw())?;
            self.run = Run::Raw(0);
            self.raw(&before, sink)?;
        }
        self.raw(bytes, sink)
    }

    /// A leaf that stays in the skeleton as it stands.
    pub(crate) fn literal_part(&mut self, info: PartInfo, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        self.close_run(sink)?;
        let length = to_u64(bytes.len());
        let part = Finished { info, recipe: Vec::new(), decoded_bytes: length, encoded_bytes: length };
        self.literals.extend_from_slice(bytes);
        self.part(OpKind::LiteralPart, part);
        Ok(())
    }

    /// A leaf that stays in the skeleton, decoded.
    pub(crate) fn inline_part(&mut self, part: Finished, decoded: &[u8], sink: &mut dyn Sink) -> Result<()> {
        self.close_run(sink)?;
        self.literals.extend_from_slice(decoded);
        self.part(OpKind::Inline, part);
        Ok(())
    }

    /// A leaf begins that is an object of its own.
    pub(crate) fn object_begin(&mut self, info: &PartInfo, sink: &mut dyn Sink) -> Result<()> {
        self.close_run(sink)?;
        sink.part_begin(self.next_index(), info)
    }

    /// Bytes of that object.
    pub(crate) fn object_data(decoded: &[u8], sink: &mut dyn Sink) -> Result<()> {
        decoded.chunks(SINK_BYTES_MAX).try_for_each(|bytes| sink.part_data(bytes))
    }

    /// That object is over.
    pub(crate) fn object_end(&mut self, part: Finished, sink: &mut dyn Sink) -> Result<()> {
        sink.part_end(self.next_index(), part.decoded_bytes, part.encoded_bytes)?;
        self.part(OpKind::Object, part);
        Ok(())
    }

    /// The skeleton's bytes and its parts.
    pub(crate) fn finish(mut self, sink: &mut dyn Sink) -> Result<(Vec<u8>, Vec<PartSummary>)> {
        self.close_run(sink)?;
        let mut skeleton = Vec::with_capacity(self.bytes() + 8);
        skeleton.push(skeleton::VERSION);
        varint::put(&mut skeleton, self.ops_count);
        skeleton.extend_from_slice(&self.ops);
        skeleton.extend_from_slice(&self.recipes);
        skeleton.extend_from_slice(&self.literals);
        Ok((skeleton, self.parts))
    }

    fn bytes(&self) -> usize {
        self.ops.len() + self.recipes.len() + self.literals.len()
    }

    fn next_index(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    fn raw(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        Self::object_data(bytes, sink)?;
        if let Run::Raw(written) = &mut self.run {
            *written += to_u64(bytes.len());
        }
        Ok(())
    }

    /// Ends the run of literal bytes, if there is one.
    fn close_run(&mut self, sink: &mut dyn Sink) -> Result<()> {
        match self.run {
            Run::Literal(start) if start < self.literals.len() => {
                self.ops.push(OpKind::Literal.tag());
                varint::put_len(&mut self.ops, self.literals.len() - start);
                self.ops_count += 1;
                self.run = Run::Literal(self.literals.len());
            }
            Run::Literal(_) => {}
            Run::Raw(written) => {
                let info = PartInfo::raw();
                self.object_end(
                    Finished { info, recipe: Vec::new(), decoded_bytes: written, encoded_bytes: written },
                    sink,
                )?;
            }
        }
        Ok(())
    }

    fn part(&mut self, kind: OpKind, part: Finished) {
        let Finished { info, recipe, decoded_bytes, encoded_bytes } = part;
        let object = (kind == OpKind::Object).then_some(self.objects);
        self.objects += u32::from(object.is_some());
        self.ops.push(skeleton::part_tag(kind, &info));
        info.put_names(&mut self.ops);
        varint::put(&mut self.ops, encoded_bytes);
        if info.encoding != Encoding::Identity {
            varint::put(&mut self.ops, decoded_bytes);
            varint::put_len(&mut self.ops, recipe.len());
        }
        self.ops_count += 1;
        self.recipes.extend_from_slice(&recipe);
        self.run = Run::Literal(self.literals.len());
        self.parts.push(PartSummary { index: self.next_index(), info, decoded_bytes, encoded_bytes, object });
        let many = self.next_index() >= self.limits.parts_max.min(PARTS_MAX);
        self.full |= many || self.bytes() > self.limits.skeleton_bytes_max;
    }
}
