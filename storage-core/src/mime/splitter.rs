//! Cuts a message into skeleton and parts while it streams by. Guarantees that the result depends on the
//! bytes alone, not on how they were chunked, that memory is bounded, and that no content is an error.

use mail_parser::MessageParser;

use crate::error::Result;
use crate::mime::base64_scan::line_feed;
use crate::mime::boundary::Boundaries;
use crate::mime::boundary::Delimiter;
use crate::mime::builder::Builder;
use crate::mime::headers;
use crate::mime::headers::Entity;
use crate::mime::headers::Fields;
use crate::mime::leaf::Leaf;
use crate::mime::limits::LINE_BYTES_MAX;
use crate::mime::limits::SplitLimits;
use crate::mime::part::PartInfo;
use crate::mime::part::PartSummary;

/// Takes the parts that are objects of their own, one after the other.
pub trait Sink {
    /// The part of this index begins.
    fn part_begin(&mut self, index: u32, info: &PartInfo) -> Result<()>;
    /// Decoded bytes of the part that began, at most 64 KiB at a time.
    fn part_data(&mut self, decoded: &[u8]) -> Result<()>;
    /// The part is over.
    fn part_end(&mut self, index: u32, decoded_bytes: u64, encoded_bytes: u64) -> Result<()>;
}

/// What is left of a message when its objects are taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The encoded skeleton; [`crate::mime::Skeleton::parse`] reads it.
    pub skeleton: Vec<u8>,
    /// The message's own Message-ID without angle brackets, at most 998 bytes.
    pub message_id: Option<String>,
    /// All leaves, in order.
    pub parts: Vec<PartSummary>,
}

/// What the next line is part of.
#[derive(Debug)]
enum State {
    /// The header of an entity.
    Header(Box<Fields>),
    /// Text before, between or after the parts of a multipart.
    Between,
    /// A leaf. The line end that may belong to the next delimiter is held back.
    Leaf(Box<Leaf>, LineEnd),
}

/// A line end that is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    None,
    Feed,
    ReturnFeed,
}

impl LineEnd {
    /// Cuts the line end off `line`.
    fn cut(line: &[u8]) -> (&[u8], Self) {
        if let Some(text) = line.strip_suffix(b"\r\n") {
            (text, Self::ReturnFeed)
        } else if let Some(text) = line.strip_suffix(b"\n") {
            (text, Self::Feed)
        } else {
            (line, Self::None)
        }
    }

    fn bytes(self) -> &'static [u8] {
        match self {
            Self::None => b"",
            Self::Feed => b"\n",
            Self::ReturnFeed => b"\r\n",
        }
    }
}

/// Splits one message.
#[derive(Debug)]
pub struct Splitter {
    builder: Builder,
    boundaries: Boundaries,
    parser: MessageParser,
    state: State,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    /// Whether the next byte begins a line.
    line_start: bool,
    /// Whether the message's own header is over.
    header_done: bool,
    message_id: Option<String>,
}

impl Splitter {
    /// A splitter at the start of a message.
    pub fn new(limits: SplitLimits) -> Self {
        Self {
            boundaries: Boundaries::new(limits.depth_max),
            builder: Builder::new(limits),
            parser: headers::parser(),
            state: State::Header(Box::default()),
            carry: Vec::new(),
            line_start: true,
            header_done: false,
            message_id: None,
        }
    }

    /// Takes the next bytes of the message, in chunks of any size.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if self.builder.is_full() {
                self.abandon(sink)?;
                return self.builder.literal(bytes, sink);
            }
            if self.carry.is_empty() && self.endless_leaf(bytes, sink)? {
                return Ok(());
            }
            let room = LINE_BYTES_MAX.saturating_sub(self.carry.len()).min(bytes.len());
            let (window, _) = bytes.split_at(room);
            let feed = line_feed(window);
            let (now, later) = bytes.split_at(feed.map_or(room, |feed| feed + 1));
            bytes = later;
            if feed.is_some() && self.carry.is_empty() {
                self.line(now, sink)?;
                continue;
            }
            self.carry.extend_from_slice(now);
            if feed.is_some() || self.carry.len() == LINE_BYTES_MAX {
                self.carried_line(sink)?;
            }
        }
        Ok(())
    }

    /// Gives `bytes` to a leaf that no line can end: there is no multipart around it and nothing to undo in it, so its
    /// lines need not be told apart. False where there is none.
    fn endless_leaf(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<bool> {
        match &mut self.state {
            State::Leaf(leaf, held) if self.boundaries.is_empty() && leaf.is_endless() => {
                let held = std::mem::replace(held, LineEnd::None);
                leaf.push(held.bytes(), &mut self.builder, sink)?;
                leaf.push(bytes, &mut self.builder, sink)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The message is over.
    pub fn finish(mut self, sink: &mut dyn Sink) -> Result<Split> {
        if !self.carry.is_empty() {
            self.carried_line(sink)?;
        }
        match std::mem::replace(&mut self.state, State::Between) {
            State::Header(fields) => self.note_message_id(&fields),
            State::Between => {}
            State::Leaf(mut leaf, held) => {
                leaf.push(held.bytes(), &mut self.builder, sink)?;
                leaf.finish(&mut self.builder, sink)?;
            }
        }
        let (skeleton, parts) = self.builder.finish(sink)?;
        Ok(Split { skeleton, message_id: self.message_id, parts })
    }

    fn carried_line(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let mut line = std::mem::take(&mut self.carry);
        if self.builder.is_full() {
            self.abandon(sink)?;
            return self.builder.literal(&line, sink);
        }
        self.line(&line, sink)?;
        line.clear();
        self.carry = line;
        Ok(())
    }

    /// Nothing more is looked into: what a leaf has gathered goes the way of the rest.
    fn abandon(&mut self, sink: &mut dyn Sink) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Between) {
            State::Header(fields) => self.note_message_id(&fields),
            State::Between => {}
            State::Leaf(leaf, held) => {
                leaf.abandon(&mut self.builder, sink)?;
                self.builder.literal(held.bytes(), sink)?;
            }
        }
        Ok(())
    }

    /// Takes a line with its end, or a fragment of a very long one.
    fn line(&mut self, line: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let line_start = std::mem::replace(&mut self.line_start, line.ends_with(b"\n"));
        if line_start
            && line.starts_with(b"--")
            && let Some(delimiter) = self.boundaries.find(line)
        {
            return self.delimiter(delimiter, line, sink);
        }
        match &mut self.state {
            State::Between => self.builder.literal(line, sink),
            State::Leaf(leaf, held) => {
                let (text, end) = LineEnd::cut(line);
                leaf.push(std::mem::replace(held, end).bytes(), &mut self.builder, sink)?;
                leaf.push(text, &mut self.builder, sink)
            }
            State::Header(fields) => {
                let blank = line_start && matches!(line, b"\n" | b"\r\n");
                if !blank {
                    fields.line(line, line_start);
                    return self.builder.literal(line, sink);
                }
                let fields = std::mem::take(fields);
                self.builder.literal(line, sink)?;
                self.header_over(&fields);
                Ok(())
            }
        }
    }

    fn delimiter(&mut self, delimiter: Delimiter, line: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let next = if delimiter.closes { State::Between } else { State::Header(Box::default()) };
        match std::mem::replace(&mut self.state, next) {
            State::Header(fields) => self.note_message_id(&fields),
            State::Between => {}
            State::Leaf(leaf, held) => {
                leaf.finish(&mut self.builder, sink)?;
                self.builder.literal(held.bytes(), sink)?;
            }
        }
        self.boundaries.cut(delimiter);
        self.builder.literal(line, sink)
    }

    fn header_over(&mut self, fields: &Fields) {
        self.note_message_id(fields);
        self.state = match fields.entity(&self.parser) {
            Entity::Message => State::Header(Box::default()),
            Entity::Leaf(info) => State::Leaf(Box::new(Leaf::new(info)), LineEnd::None),
            Entity::Multipart { boundary, .. } if self.boundaries.enter(&boundary) => State::Between,
            Entity::Multipart { leaf, .. } => State::Leaf(Box::new(Leaf::new(leaf)), LineEnd::None),
        };
    }

    /// Only the first header of a message is its own.
    fn note_message_id(&mut self, fields: &Fields) {
        if !std::mem::replace(&mut self.header_done, true) {
            self.message_id = fields.message_id();
        }
    }
}
