//! Quoted-printable text from decoded bytes and a recipe, streaming. Guarantees that memory is the recipe
//! plus a window, that output per byte is bounded, and that anything inconsistent is `Corrupt`.

use crate::error::Error;
use crate::error::Result;
use crate::mime::quoted_printable_model::BreakRule;
use crate::mime::quoted_printable_model::LOOKAHEAD;
use crate::mime::quoted_printable_model::Model;
use crate::mime::quoted_printable_model::Setup;
use crate::mime::varint;
use crate::mime::varint::Cursor;

/// A soft line break is where none was predicted, or the other way round.
pub(crate) const FLIP_BREAK: u8 = 0;
/// The byte is raw where `=XX` was predicted, or the other way round.
pub(crate) const FLIP_FORM: u8 = 1;
/// These bytes come first: a length and the bytes follow.
pub(crate) const LITERAL: u8 = 2;
/// The case of the digits changed: a byte follows, bit 0 for the first digit, bit 1 for the second; set
/// means lower case. If both agree it stays so.
pub(crate) const CASE: u8 = 3;

/// Appends the setup that a recipe begins with.
pub(crate) fn put_setup(setup: Setup, out: &mut Vec<u8>) {
    out.push(setup.rule.id() | (u8::from(setup.crlf) << 3) | (u8::from(setup.lower) << 4));
    out.push(setup.width);
}

fn read_setup(cursor: &mut Cursor<'_>) -> Result<Setup> {
    let flags = cursor.byte()?;
    let width = cursor.byte()?;
    match BreakRule::ALL.get(usize::from(flags & 7)) {
        Some(rule) if flags >> 5 == 0 => {
            Ok(Setup { rule: *rule, width, crlf: flags & 8 != 0, lower: flags & 16 != 0 })
        }
        _ => Err(Error::corrupt("A quoted-printable recipe has an unknown setup. Restore from a backup.")),
    }
}

/// Encodes one part. It owns its recipe.
#[derive(Debug, Clone)]
pub(crate) struct QuotedEncoder {
    model: Model,
    exceptions: Exceptions,
    /// Bytes not encoded yet, for want of what follows them.
    held: Vec<u8>,
}

impl QuotedEncoder {
    pub(crate) fn new(recipe: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(recipe, 0);
        let setup = read_setup(&mut cursor)?;
        let recipe = recipe.get(cursor.at()..).unwrap_or_default().to_vec();
        let exceptions = Exceptions { recipe, at: 0, next: None, since: 0 };
        Ok(Self { model: Model::new(setup), exceptions, held: Vec::new() })
    }

    /// More of the recipe; it must come before the bytes it speaks of.
    pub(crate) fn extend(&mut self, recipe: &[u8]) {
        drop(self.exceptions.recipe.drain(..self.exceptions.at));
        self.exceptions.at = 0;
        self.exceptions.recipe.extend_from_slice(recipe);
    }

    /// Encodes as much as the bytes so far allow.
    pub(crate) fn push(&mut self, decoded: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.held.extend_from_slice(decoded);
        let held = std::mem::take(&mut self.held);
        let count = held.len().saturating_sub(LOOKAHEAD);
        self.encode(&held, count, out)?;
        self.held.extend_from_slice(held.get(count..).unwrap_or_default());
        Ok(())
    }

    /// Everything was fed.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        self.encode(&held, held.len(), out)?;
        self.end(out)
    }

    /// Writes what follows the last byte; the recipe must be used up.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while let Some(literal) = self.exceptions.literal()? {
            out.extend_from_slice(&literal);
        }
        if self.exceptions.is_empty() { Ok(()) } else { Err(disagrees()) }
    }

    /// Encodes the first `count` bytes of `data`; the rest is what follows them.
    pub(crate) fn encode(&mut self, data: &[u8], count: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut at = 0;
        while at < count {
            // One byte more than has no exception, which the model does not count.
            let end = at.saturating_add(self.exceptions.free()?).saturating_add(1).min(count);
            let run = self.model.plain_run(data.get(at..end).unwrap_or_default(), |_| true);
            self.exceptions.clear(run);
            let plain = data.get(at..at + run).unwrap_or_default();
            out.extend_from_slice(plain);
            self.model.ran(plain);
            at += run;
            let look = data.get(at..).unwrap_or_default();
            let look = look.get(..=LOOKAHEAD).unwrap_or(look);
            self.byte(look, out)?;
            at += 1;
        }
        Ok(())
    }

    fn byte(&mut self, look: &[u8], out: &mut Vec<u8>) -> Result<()> {
        while let Some(literal) = self.exceptions.literal()? {
            out.extend_from_slice(&literal);
            self.model.literal(&literal);
        }
        let predicted = self.model.breaks(look);
        let came = predicted != self.exceptions.take(FLIP_BREAK)?;
        if came {
            out.extend_from_slice(self.model.soft_break());
        }
        self.model.broke(came, predicted);
        let encoded = self.model.encodes(look) != self.exceptions.take(FLIP_FORM)?;
        let byte = look.first().copied().unwrap_or_default();
        if encoded {
            let lower = self.case()?;
            out.extend_from_slice(&[b'=', digit(byte >> 4, lower.0), digit(byte & 15, lower.1)]);
        } else {
            out.push(byte);
        }
        self.model.wrote(look, encoded);
        self.exceptions.pass()
    }

    fn case(&mut self) -> Result<(bool, bool)> {
        let lower = self.model.lower();
        let Some(code) = self.exceptions.case()? else { return Ok((lower, lower)) };
        let lower = (code & 1 != 0, code & 2 != 0);
        if lower.0 == lower.1 {
            self.model.set_lower(lower.0);
        }
        Ok(lower)
    }
}

/// Where the prediction is wrong, in order.
#[derive(Debug, Clone)]
struct Exceptions {
    recipe: Vec<u8>,
    at: usize,
    /// How many bytes after the last exception the next one stands, and its kind.
    next: Option<(u64, u8)>,
    since: u64,
}

impl Exceptions {
    fn is_empty(&self) -> bool {
        self.next.is_none() && self.at == self.recipe.len()
    }

    /// Makes sure that the next exception is known, if there is one.
    fn load(&mut self) -> Result<()> {
        if self.next.is_none() && self.at < self.recipe.len() {
            let mut cursor = Cursor::new(&self.recipe, self.at);
            let number = cursor.varint()?;
            self.next = Some((number >> 2, number.to_le_bytes()[0] & 3));
            self.at = cursor.at();
        }
        Ok(())
    }

    /// How many bytes come before the next exception.
    fn free(&mut self) -> Result<usize> {
        self.load()?;
        let free = self.next.map_or(u64::MAX, |(skip, _)| skip.saturating_sub(self.since));
        Ok(usize::try_from(free).unwrap_or(usize::MAX))
    }

    /// Passes bytes that have no exception.
    fn clear(&mut self, count: usize) {
        self.since += varint::to_u64(count);
    }

    /// Whether an exception of this kind stands here; then it is used up.
    fn take(&mut self, kind: u8) -> Result<bool> {
        self.load()?;
        let here = self.next == Some((self.since, kind));
        if here {
            self.next = None;
            self.since = 0;
        }
        Ok(here)
    }

    fn literal(&mut self) -> Result<Option<Vec<u8>>> {
        if !self.take(LITERAL)? {
            return Ok(None);
        }
        let mut cursor = Cursor::new(&self.recipe, self.at);
        let len = cursor.len()?;
        let literal = cursor.take(len)?.to_vec();
        self.at = cursor.at();
        Ok(Some(literal))
    }

    fn case(&mut self) -> Result<Option<u8>> {
        if !self.take(CASE)? {
            return Ok(None);
        }
        let mut cursor = Cursor::new(&self.recipe, self.at);
        let code = cursor.byte()?;
        self.at = cursor.at();
        if code > 3 { Err(disagrees()) } else { Ok(Some(code)) }
    }

    /// A byte is done; an exception that stood there and was not used is none of a writer's.
    fn pass(&mut self) -> Result<()> {
        if self.next.is_some_and(|(skip, _)| skip <= self.since) {
            return Err(disagrees());
        }
        self.since += 1;
        Ok(())
    }
}

/// Writes exceptions.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExceptionWriter {
    since: u64,
}

impl ExceptionWriter {
    /// An exception of this kind stands here.
    pub(crate) fn put(&mut self, kind: u8, out: &mut Vec<u8>) {
        varint::put(out, (self.since << 2) | u64::from(kind));
        self.since = 0;
    }

    /// So many bytes are done.
    pub(crate) fn pass(&mut self, count: usize) {
        self.since += varint::to_u64(count);
    }
}

fn digit(value: u8, lower: bool) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ if lower => b'a' + (value - 10),
        _ => b'A' + (value - 10),
    }
}

fn disagrees() -> Error {
    Error::corrupt("A quoted-printable part and its recipe disagree. Restore from a backup.")
}
