//! The bounds of splitting, all in one place. They shape what is written, never what can be read: a reader
//! accepts whatever any choice of them produced.

/// Encoded bytes of a leaf that are decoded, proven and emitted at a time; also how much of a leaf is seen
/// before its placement is decided.
pub(crate) const WINDOW_BYTES: usize = 64 * 1024;

/// A line longer than this is handled in fragments, of which only the first can be a boundary.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Header bytes kept of one field that matters; the rest of a longer one is ignored, not lost.
pub(crate) const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Bytes that one base64 recipe may produce from blank lines alone. It bounds what a small recipe can
/// make an encoder write without being fed.
pub(crate) const BLANK_BYTES_MAX: u64 = 1024 * 1024;

/// Largest recipe that a writer produces and a reader accepts.
pub(crate) const RECIPE_BYTES_MAX: usize = 512 * 1024;

/// Operations of a skeleton at most. A writer stays below it by far; it bounds what a small skeleton becomes in memory.
pub const OPERATIONS_MAX: usize = 64 * 1024;

/// Parts that a writer lists at most, whatever its limits say: each may need a literal before it.
pub(crate) const PARTS_MAX: u32 = 30_000;

/// What a splitter keeps inside the skeleton, and when it stops looking into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitLimits {
    /// A text body of at least this many decoded bytes becomes an object.
    pub body_object_bytes: usize,
    /// Any other leaf of at least this many decoded bytes becomes an object.
    pub attachment_object_bytes: usize,
    /// A run of headers, preambles and boundaries beyond this becomes a raw object.
    pub literal_run_bytes_max: usize,
    /// Once the skeleton is this long, the rest of the message is one raw object.
    pub skeleton_bytes_max: usize,
    /// After this many listed parts, the rest of the message is one raw object.
    pub parts_max: u32,
    /// Multiparts inside one another that are looked into; a deeper one is a leaf.
    pub depth_max: usize,
    /// A recipe may take this many bytes plus a sixteenth of its part's encoded bytes.
    pub recipe_bytes_base: usize,
}

impl Default for SplitLimits {
    fn default() -> Self {
        Self {
            body_object_bytes: 4096,
            attachment_object_bytes: 1024,
            literal_run_bytes_max: 256 * 1024,
            skeleton_bytes_max: 1024 * 1024,
            parts_max: 4096,
            depth_max: 32,
            recipe_bytes_base: 64 * 1024,
        }
    }
}

impl SplitLimits {
    /// How long the recipe of a part may be after `encoded_bytes` of it.
    pub(crate) fn recipe_bytes_max(&self, encoded_bytes: u64) -> usize {
        let share = usize::try_from(encoded_bytes / 16).unwrap_or(RECIPE_BYTES_MAX);
        self.recipe_bytes_base.saturating_add(share).min(RECIPE_BYTES_MAX)
    }
}
