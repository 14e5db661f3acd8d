//! What a usual quoted-printable encoder does next. Reader and writer run the same model, so that a recipe
//! holds only where it is wrong. Its predictions are part of the format: a change needs a new encoding id.

/// Decoded bytes beyond the present one that a prediction may depend on.
pub(crate) const LOOKAHEAD: usize = 128;

/// Contexts in which a byte's form is remembered.
const CONTEXTS: usize = 3;

/// Where an encoder puts soft line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakRule {
    /// Nowhere.
    Never,
    /// Before a token that leaves no room for `=`.
    Fixed,
    /// The same, but the last token of a line may take the room of `=`.
    Ahead,
    /// Before a word that does not fit.
    Word,
    /// Before a word that does not fit with the space after it.
    WordSpace,
}

impl BreakRule {
    /// All rules; the position is the number stored.
    pub(crate) const ALL: [Self; 5] = [Self::Never, Self::Fixed, Self::Ahead, Self::Word, Self::WordSpace];

    /// The number stored.
    pub(crate) fn id(self) -> u8 {
        (0..).zip(Self::ALL).find(|(_, rule)| *rule == self).map_or(0, |(id, _)| id)
    }
}

/// How an encoder was set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Where it breaks lines.
    pub(crate) rule: BreakRule,
    /// Longest line, `=` included.
    pub(crate) width: u8,
    /// Soft line breaks start as CRLF.
    pub(crate) crlf: bool,
    /// Hexadecimal digits start in lower case.
    pub(crate) lower: bool,
}

/// What came before the present byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Space,
    RawReturn,
    EncodedReturn,
    Other,
}

/// The state of the prediction.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    setup: Setup,
    column: usize,
    before: Before,
    /// A predicted break did not come: none is predicted until the line ends.
    suppressed: bool,
    /// Two-bit counters: below 2 the byte was last seen raw in this context, else encoded.
    forms: Vec<u8>,
}

impl Model {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut forms = Vec::with_capacity(256 * CONTEXTS);
        for byte in 0..=u8::MAX {
            for context in 0..CONTEXTS {
                forms.push(if encoded_at_first(byte, context) { 3 } else { 0 });
            }
        }
        Self { setup, column: 0, before: Before::Other, suppressed: false, forms }
    }

    /// A soft line break as it is written now.
    pub(crate) fn soft_break(&self) -> &'static [u8] {
        if self.setup.crlf { b"=\r\n" } else { b"=\n" }
    }

    /// Whether hexadecimal digits are in lower case now.
    pub(crate) fn lower(&self) -> bool {
        self.setup.lower
    }

    /// The case of hexadecimal digits changed.
    pub(crate) fn set_lower(&mut self, lower: bool) {
        self.setup.lower = lower;
    }

    /// Whether the first byte of `look` will be written as `=XX`.
    pub(crate) fn encodes(&self, look: &[u8]) -> bool {
        self.slot(look).and_then(|slot| self.forms.get(slot)).is_some_and(|counter| *counter >= 2)
    }

    /// Whether a soft line break comes before the first byte of `look`.
    pub(crate) fn breaks(&self, look: &[u8]) -> bool {
        let Some(byte) = look.first() else { return false };
        let width = usize::from(self.setup.width);
        let word_start = self.before == Before::Space;
        if self.suppressed || self.column == 0 || (self.column + 3 < width && !word_start) {
            return false;
        }
        let encodes = self.encodes(look);
        if !encodes && matches!(byte, b'\n' | b'\r') {
            return false;
        }
        let end = self.column + if encodes { 3 } else { 1 };
        let fixed = end >= width;
        let ahead = fixed && !(end == width && before_line_end(look));
        match self.setup.rule {
            BreakRule::Never => false,
            BreakRule::Fixed => fixed,
            BreakRule::Ahead => ahead,
            BreakRule::Word | BreakRule::WordSpace => ahead || (word_start && self.word_overflows(look)),
        }
    }

    /// What was before the present byte was `literal`, not predicted.
    pub(crate) fn literal(&mut self, literal: &[u8]) {
        match literal.iter().rposition(|byte| *byte == b'\n') {
            Some(feed) => {
                self.setup.crlf = feed.checked_sub(1).and_then(|at| literal.get(at)) == Some(&b'\r');
                self.column = literal.len() - feed - 1;
                self.suppressed = false;
            }
            None => self.column += literal.len(),
        }
    }

    /// Whether a soft line break came, and whether it was predicted.
    pub(crate) fn broke(&mut self, came: bool, predicted: bool) {
        if came {
            self.column = 0;
            self.suppressed = false;
        } else if predicted {
            self.suppressed = true;
        }
    }

    /// The first byte of `look` was written, encoded or raw.
    pub(crate) fn wrote(&mut self, look: &[u8], encoded: bool) {
        let Some(byte) = look.first() else { return };
        if let Some(counter) = self.slot(look).and_then(|slot| self.forms.get_mut(slot)) {
            *counter = if encoded { (*counter + 1).min(3) } else { counter.saturating_sub(1) };
        }
        self.column += if encoded { 3 } else { 1 };
        if *byte == b'\n' && !encoded {
            self.setup.crlf = self.before == Before::RawReturn;
            self.column = 0;
            self.suppressed = false;
        }
        self.before = match byte {
            b' ' | b'\t' => Before::Space,
            b'\r' if encoded => Before::EncodedReturn,
            b'\r' => Before::RawReturn,
            _ => Before::Other,
        };
    }

    /// How many of the first bytes of `data` are written raw and without a break, beyond doubt, so that
    /// [`Model::ran`] may stand for going through them one by one. It looks no further than the first byte that was not
    /// `raw`: whoever meets many of those would otherwise look at the same bytes over and over.
    pub(crate) fn plain_run(&self, data: &[u8], raw: impl Fn(usize) -> bool) -> usize {
        let words = matches!(self.setup.rule, BreakRule::Word | BreakRule::WordSpace);
        if self.column == 0 || (words && self.before == Before::Space) {
            return 0;
        }
        let room = match self.setup.rule {
            BreakRule::Never => usize::MAX,
            _ => usize::from(self.setup.width).saturating_sub(self.column + 3),
        };
        let plain = |byte: &u8| {
            let usual = self.forms.get(usize::from(*byte) * CONTEXTS).is_some_and(|counter| *counter == 0);
            usual && *byte >= b' ' && !(words && *byte == b' ')
        };
        let mut count = 0_usize;
        for (index, _plain) in data.iter().take(room).take_while(|byte| plain(byte)).enumerate() {
            if !raw(index) {
                return index;
            }
            count = index + 1;
        }
        // The last one may stand before a line end, where other habits hold.
        count.saturating_sub(1)
    }

    /// A plain run was written.
    pub(crate) fn ran(&mut self, run: &[u8]) {
        self.column += run.len();
        if let Some(last) = run.last() {
            self.before = if *last == b' ' { Before::Space } else { Before::Other };
        }
    }

    fn slot(&self, look: &[u8]) -> Option<usize> {
        let byte = *look.first()?;
        let context = match (byte, self.before) {
            (b'\n', Before::RawReturn) => 1,
            (b'\n', Before::EncodedReturn) => 2,
            (b'\n', _) => 0,
            _ if before_line_end(look) => 2,
            _ => usize::from(self.column == 0),
        };
        Some(usize::from(byte) * CONTEXTS + context)
    }

    fn word_overflows(&self, look: &[u8]) -> bool {
        let room = usize::from(self.setup.width);
        let mut end = self.column;
        for (index, byte) in look.iter().take(LOOKAHEAD).enumerate() {
            match byte {
                b'\n' => return end > room,
                b'\r' if look.get(index + 1) == Some(&b'\n') => return end > room,
                b' ' | b'\t' => return end + usize::from(self.setup.rule == BreakRule::WordSpace) >= room,
                _ => end += if encoded_at_first(*byte, 0) { 3 } else { 1 },
            }
            if end > room {
                return true;
            }
        }
        false
    }
}

/// Whether the byte after the first of `look` ends the line; the end of the part does too.
fn before_line_end(look: &[u8]) -> bool {
    match look.get(1) {
        None | Some(b'\n') => true,
        Some(b'\r') => look.get(2) == Some(&b'\n'),
        Some(_) => false,
    }
}

fn encoded_at_first(byte: u8, context: usize) -> bool {
    match byte {
        b'\n' | b' ' | b'\t' => context == 2,
        b'\r' => context != 2,
        _ => byte == b'=' || !byte.is_ascii_graphic(),
    }
}
