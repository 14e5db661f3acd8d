//! The stack of open multiparts and the recognition of their delimiter lines. Guarantees a bounded stack
//! and a cost per line that does not depend on how alike hostile boundaries are: lengths are compared first.

/// Longest boundary that is tracked; standards allow 70.
const BOUNDARY_BYTES_MAX: usize = 256;

/// Boundaries of the multiparts around the present position, outermost first.
#[derive(Debug)]
pub(crate) struct Boundaries {
    open: Vec<Vec<u8>>,
    depth_max: usize,
}

/// A delimiter line: of which level, and whether it closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delimiter {
    level: usize,
    /// Whether the multipart ends here.
    pub(crate) closes: bool,
}

impl Boundaries {
    /// An empty stack of at most `depth_max` levels.
    pub(crate) fn new(depth_max: usize) -> Self {
        Self { open: Vec::new(), depth_max }
    }

    /// Whether no multipart is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Enters a multipart; false if it is too deep or its boundary cannot be tracked.
    pub(crate) fn enter(&mut self, boundary: &[u8]) -> bool {
        let fits = !boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX;
        if !fits || self.open.len() >= self.depth_max {
            return false;
        }
        self.open.push(boundary.to_vec());
        true
    }

    /// Whether `line` (with its line end) is a delimiter of an open multipart, innermost first.
    pub(crate) fn find(&self, line: &[u8]) -> Option<Delimiter> {
        let text = line.strip_prefix(b"--")?;
        // Longer lines cannot match, and trimming them would be work for nothing.
        if text.len() > BOUNDARY_BYTES_MAX + 16 {
            return None;
        }
        let text = text.trim_ascii_end();
        let closed = text.strip_suffix(b"--");
        for (level, boundary) in self.open.iter().enumerate().rev() {
            if boundary.len() == text.len() && boundary == text {
                return Some(Delimiter { level, closes: false });
            }
            if closed.is_some_and(|closed| boundary.len() == closed.len() && boundary == closed) {
                return Some(Delimiter { level, closes: true });
            }
        }
        None
    }

    /// Leaves every multipart that `delimiter` ends.
    pub(crate) fn cut(&mut self, delimiter: Delimiter) {
        let keep = if delimiter.closes { delimiter.level } else { delimiter.level + 1 };
        self.open.truncate(keep);
    }
}
