//! Undoes a transfer encoding window by window. Guarantees that what it hands out was encoded again from
//! the decoded bytes and the recipe, and compared with the text, before anyone sees it.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::mime::base64::Base64Encoder;
use crate::mime::base64_scan;
use crate::mime::base64_scan::Mode;
use crate::mime::limits::BLANK_BYTES_MAX;
use crate::mime::limits::SplitLimits;
use crate::mime::limits::WINDOW_BYTES;
use crate::mime::part::Encoding;
use crate::mime::quoted_printable;
use crate::mime::quoted_printable::QuotedEncoder;
use crate::mime::quoted_printable_model::LOOKAHEAD;
use crate::mime::quoted_printable_scan::QuotedWriter;
use crate::mime::quoted_printable_scan::Tokens;
use crate::mime::recipe::RecipeBuilder;

/// What a window gave.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Bytes of the window that are dealt with.
    pub(crate) consumed: usize,
    /// What they decode to.
    pub(crate) decoded: Vec<u8>,
    /// The rest of the part must be kept as it is.
    pub(crate) stopped: bool,
}

/// Decodes one part and builds its recipe.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// Nothing to undo.
    Identity,
    /// Base64.
    Base64(Base64Decoder),
    /// Quoted-printable; nothing before the first window.
    Quoted(Option<Box<QuotedDecoder>>),
}

impl Decoder {
    pub(crate) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Base64 => Self::Base64(Base64Decoder::default()),
            Encoding::QuotedPrintable => Self::Quoted(None),
        }
    }

    /// Deals with the next window; `done` encoded bytes came before it.
    pub(crate) fn window(
        &mut self,
        text: &[u8],
        last: bool,
        limits: &SplitLimits,
        done: u64,
    ) -> Result<Step> {
        let recipe_bytes_max = limits.recipe_bytes_max(done);
        match self {
            Self::Identity => Ok(Step { consumed: text.len(), decoded: text.to_vec(), stopped: false }),
            Self::Base64(decoder) => decoder.window(text, last, recipe_bytes_max),
            Self::Quoted(Some(decoder)) => decoder.window(text, last, recipe_bytes_max),
            Self::Quoted(none) => {
                none.insert(Box::new(QuotedDecoder::new(text, last)?)).window(text, last, recipe_bytes_max)
            }
        }
    }

    /// Whether the first window of `encoded` bytes was worth it.
    pub(crate) fn worth(&self, step: &Step) -> bool {
        let saved = step.consumed.saturating_sub(step.decoded.len());
        match self {
            Self::Identity => true,
            Self::Base64(decoder) => !step.decoded.is_empty() && decoder.recipe.len() < saved,
            Self::Quoted(None) => false,
            Self::Quoted(Some(decoder)) => saved >= 8 && decoder.recipe.len() <= 2 + saved / 8,
        }
    }

    /// The finished recipe.
    pub(crate) fn recipe(self) -> Vec<u8> {
        match self {
            Self::Identity | Self::Quoted(None) => Vec::new(),
            Self::Base64(decoder) => decoder.recipe.finish(),
            Self::Quoted(Some(decoder)) => decoder.recipe,
        }
    }
}

/// Decodes base64. Windows are independent of each other: each begins at a whole quantum.
#[derive(Debug, Default)]
pub(crate) struct Base64Decoder {
    recipe: RecipeBuilder,
    mode: Mode,
    blank_bytes: u64,
}

impl Base64Decoder {
    fn window(&mut self, text: &[u8], last: bool, recipe_bytes_max: usize) -> Result<Step> {
        let scan = base64_scan::scan(text, self.mode, last);
        let recipe = scan.recipe.finish();
        let covered = text.get(..scan.consumed).unwrap_or_default();
        let blank_bytes = self.blank_bytes + scan.blank_bytes;
        let grown = self.recipe.len() + recipe.len() > recipe_bytes_max || blank_bytes > BLANK_BYTES_MAX;
        // A scan that gets nowhere would be repeated over and over.
        let stuck = !last && scan.consumed < WINDOW_BYTES / 2;
        if grown || stuck || !rebuilds(&recipe, &scan.decoded, covered) {
            return Ok(Step { stopped: true, ..Step::default() });
        }
        self.recipe.append(&recipe)?;
        self.mode = scan.mode;
        self.blank_bytes = blank_bytes;
        Ok(Step {
            consumed: scan.consumed,
            decoded: scan.decoded,
            stopped: last && scan.consumed < text.len(),
        })
    }
}

fn rebuilds(recipe: &[u8], decoded: &[u8], text: &[u8]) -> bool {
    let mut rebuilt = Vec::with_capacity(text.len());
    let mut encoder = Base64Encoder::new(recipe);
    let done = encoder.push(decoded, &mut rebuilt).and_then(|()| encoder.finish(&mut rebuilt));
    done.is_ok() && rebuilt == text
}

/// Decodes quoted-printable. Writer and encoder go side by side through the whole part.
#[derive(Debug)]
pub(crate) struct QuotedDecoder {
    writer: QuotedWriter,
    encoder: QuotedEncoder,
    recipe: Vec<u8>,
    started: bool,
}

impl QuotedDecoder {
    fn new(text: &[u8], last: bool) -> Result<Self> {
        let setup = Tokens::parse(text, last).choose_setup(text);
        let mut recipe = Vec::new();
        quoted_printable::put_setup(setup, &mut recipe);
        let encoder = QuotedEncoder::new(&recipe)?;
        Ok(Self { writer: QuotedWriter::new(setup), encoder, recipe, started: false })
    }

    fn window(&mut self, text: &[u8], last: bool, recipe_bytes_max: usize) -> Result<Step> {
        let mut tokens = Tokens::parse(text, last);
        let spare = if last { 0 } else { LOOKAHEAD };
        let count = tokens.decoded.len().saturating_sub(spare);
        let before = (self.writer.clone(), self.encoder.clone());
        let consumed = self.attempt(&tokens, text, count, last);
        let grown = self.recipe.len() + self.writer.recipe.len() > recipe_bytes_max;
        let stuck = !last && consumed.is_none_or(|consumed| consumed < WINDOW_BYTES / 2);
        if let Some(consumed) = consumed.filter(|_| !grown && !stuck) {
            self.commit();
            tokens.decoded.truncate(count);
            return Ok(Step { consumed, decoded: tokens.decoded, stopped: false });
        }
        (self.writer, self.encoder) = before;
        if self.started { self.wind_up(text) } else { Ok(Step { stopped: true, ..Step::default() }) }
    }

    /// Ends the part after the bytes that earlier predictions have looked at.
    fn wind_up(&mut self, text: &[u8]) -> Result<Step> {
        let mut tokens = Tokens::parse(text, true);
        tokens.truncate(LOOKAHEAD);
        let count = tokens.decoded.len();
        let Some(consumed) = self.attempt(&tokens, text, count, true) else {
            return Err(Error::new(
                Kind::Internal,
                "A quoted-printable part could not be ended. Report this message.",
            ));
        };
        self.commit();
        Ok(Step { consumed, decoded: tokens.decoded, stopped: true })
    }

    /// Writes the recipe of the first `count` tokens and proves it; none if the proof fails.
    fn attempt(&mut self, tokens: &Tokens, text: &[u8], count: usize, last: bool) -> Option<usize> {
        let covered = self.writer.write(tokens, text, count, last);
        self.encoder.extend(&self.writer.recipe);
        let mut rebuilt = Vec::with_capacity(covered);
        let mut done = self.encoder.encode(&tokens.decoded, count, &mut rebuilt);
        if last {
            done = done.and_then(|()| self.encoder.end(&mut rebuilt));
        }
        (done.is_ok() && text.get(..covered) == Some(&*rebuilt)).then_some(covered)
    }

    fn commit(&mut self) {
        self.recipe.append(&mut self.writer.recipe);
        self.started = true;
    }
}
