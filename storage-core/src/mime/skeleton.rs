//! Reads a skeleton: the operations that rebuild a message, and its parts. Guarantees for any bytes that
//! parsing takes memory in proportion to them, never panics, and that every range lies inside them.

use std::ops::Range;

use crate::error::Error;
use crate::error::Result;
use crate::mime::limits::OPERATIONS_MAX;
use crate::mime::limits::RECIPE_BYTES_MAX;
use crate::mime::part::Encoding;
use crate::mime::part::PartInfo;
use crate::mime::part::PartSummary;
use crate::mime::part::Role;
use crate::mime::varint::Cursor;
use crate::mime::varint::to_u64;

/// The only version there is.
pub(crate) const VERSION: u8 = 1;

/// The permanent numbers of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpKind {
    Literal,
    LiteralPart,
    Inline,
    Object,
}

impl OpKind {
    /// The lowest two bits of an operation's tag.
    pub(crate) fn tag(self) -> u8 {
        match self {
            Self::Literal => 0,
            Self::LiteralPart => 1,
            Self::Inline => 2,
            Self::Object => 3,
        }
    }

    fn of_tag(tag: u8) -> Self {
        match tag & 3 {
            0 => Self::Literal,
            1 => Self::LiteralPart,
            2 => Self::Inline,
            _ => Self::Object,
        }
    }
}

/// The first byte of an operation that is a part.
pub(crate) fn part_tag(kind: OpKind, info: &PartInfo) -> u8 {
    kind.tag() | (info.encoding.id() << 2) | (info.role.id() << 4) | (u8::from(info.file_name.is_some()) << 6)
}

/// One step of rebuilding a message. Ranges are of the skeleton's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// These bytes as they are.
    Literal(Range<usize>),
    /// A part kept decoded inside the skeleton.
    Inline {
        /// Its index.
        part: u32,
        /// The transfer encoding to redo.
        encoding: Encoding,
        /// The recipe.
        recipe: Range<usize>,
        /// The decoded bytes.
        decoded: Range<usize>,
        /// Bytes that it becomes.
        encoded_bytes: u64,
    },
    /// A part that is an object.
    Object {
        /// Its index.
        part: u32,
        /// Its position among the message's objects.
        object: u32,
        /// The transfer encoding to redo.
        encoding: Encoding,
        /// The recipe.
        recipe: Range<usize>,
        /// Bytes of the object.
        decoded_bytes: u64,
        /// Bytes that it becomes.
        encoded_bytes: u64,
    },
}

impl Op {
    /// Bytes of the message that it makes.
    pub fn encoded_bytes(&self) -> u64 {
        match self {
            Self::Literal(range) => to_u64(range.len()),
            Self::Inline { encoded_bytes, .. } | Self::Object { encoded_bytes, .. } => *encoded_bytes,
        }
    }
}

/// A part and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkeletonPart {
    /// What it is.
    pub summary: PartSummary,
    /// The position of its operation in [`Skeleton::ops`].
    pub op: usize,
}

/// A parsed skeleton. It does not hold the bytes; ranges are of those it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton {
    ops: Vec<Op>,
    parts: Vec<SkeletonPart>,
    objects: u32,
    total_bytes: u64,
}

impl Skeleton {
    /// Reads a skeleton.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, 0);
        if cursor.byte()? != VERSION {
            return Err(Error::corrupt(
                "A skeleton has an unknown version. Use a newer build, or restore from a backup.",
            ));
        }
        let count = cursor.len()?;
        // Every operation takes two bytes at least, and becomes a hundred times as much in memory.
        if count > OPERATIONS_MAX || count > cursor.left() / 2 {
            return Err(malformed());
        }
        let mut heads = Vec::with_capacity(count);
        for _ in 0..count {
            heads.push(Head::read(&mut cursor)?);
        }
        let mut recipe_at = cursor.at();
        let recipes_bytes = heads.iter().try_fold(0usize, |sum, head| sum.checked_add(head.recipe_bytes));
        let mut literal_at =
            recipes_bytes.and_then(|sum| recipe_at.checked_add(sum)).ok_or_else(malformed)?;
        let mut skeleton =
            Self { ops: Vec::with_capacity(count), parts: Vec::new(), objects: 0, total_bytes: 0 };
        for head in heads {
            let recipe = recipe_at..recipe_at + head.recipe_bytes;
            recipe_at = recipe.end;
            let literal = literal_at..literal_at.checked_add(head.literal_bytes()?).ok_or_else(malformed)?;
            literal_at = literal.end;
            skeleton.add(head, recipe, literal)?;
        }
        if literal_at == bytes.len() { Ok(skeleton) } else { Err(malformed()) }
    }

    /// The operations, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Length of the message that they rebuild.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[SkeletonPart] {
        &self.parts
    }

    /// How many of the parts are objects.
    pub fn object_count(&self) -> u32 {
        self.objects
    }

    fn add(&mut self, head: Head, recipe: Range<usize>, literal: Range<usize>) -> Result<()> {
        let Head { kind, info, decoded_bytes, encoded_bytes, .. } = head;
        self.total_bytes = self.total_bytes.checked_add(encoded_bytes).ok_or_else(malformed)?;
        let part = u32::try_from(self.parts.len()).map_err(|_| malformed())?;
        let object = (kind == OpKind::Object).then_some(self.objects);
        let Some(info) = info else {
            self.ops.push(Op::Literal(literal));
            return Ok(());
        };
        let encoding = info.encoding;
        self.ops.push(match (kind, object) {
            (_, Some(object)) => Op::Object { part, object, encoding, recipe, decoded_bytes, encoded_bytes },
            (OpKind::Inline, None) => Op::Inline { part, encoding, recipe, decoded: literal, encoded_bytes },
            _ => Op::Literal(literal),
        });
        self.objects += u32::from(object.is_some());
        let summary = PartSummary { index: part, info, decoded_bytes, encoded_bytes, object };
        self.parts.push(SkeletonPart { summary, op: self.ops.len() - 1 });
        Ok(())
    }
}

/// An operation as it stands in the list.
#[derive(Debug)]
struct Head {
    kind: OpKind,
    info: Option<PartInfo>,
    decoded_bytes: u64,
    encoded_bytes: u64,
    recipe_bytes: usize,
}

impl Head {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let tag = cursor.byte()?;
        let kind = OpKind::of_tag(tag);
        if kind == OpKind::Literal {
            let bytes = cursor.varint()?;
            if tag != OpKind::Literal.tag() {
                return Err(malformed());
            }
            return Ok(Self {
                kind,
                info: None,
                decoded_bytes: bytes,
                encoded_bytes: bytes,
                recipe_bytes: 0,
            });
        }
        let encoding = Encoding::from_id((tag >> 2) & 3).ok_or_else(malformed)?;
        let role = Role::from_id((tag >> 4) & 3).ok_or_else(malformed)?;
        let plain = encoding == Encoding::Identity;
        let fits = match kind {
            OpKind::LiteralPart => plain,
            OpKind::Inline => !plain,
            OpKind::Literal | OpKind::Object => true,
        };
        if tag & 0x80 != 0 || !fits {
            return Err(malformed());
        }
        let (media_type, file_name) = PartInfo::read_names(cursor, tag & 0x40 != 0)?;
        let encoded_bytes = cursor.varint()?;
        let (decoded_bytes, recipe_bytes) =
            if plain { (encoded_bytes, 0) } else { (cursor.varint()?, cursor.len()?) };
        if recipe_bytes > RECIPE_BYTES_MAX {
            return Err(malformed());
        }
        let info = Some(PartInfo { role, media_type, file_name, encoding });
        Ok(Self { kind, info, decoded_bytes, encoded_bytes, recipe_bytes })
    }

    /// Bytes that it takes of the literals.
    fn literal_bytes(&self) -> Result<usize> {
        let bytes = if self.kind == OpKind::Object { 0 } else { self.decoded_bytes };
        usize::try_from(bytes).map_err(|_| malformed())
    }
}

fn malformed() -> Error {
    Error::corrupt("A skeleton is malformed. Restore from a backup.")
}
