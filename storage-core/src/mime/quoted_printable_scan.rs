//! Reads quoted-printable text as it stands in mail and writes down where a usual encoder would have done
//! otherwise. Guarantees only that what it says is meant to rebuild the text: the caller proves it.

use std::ops::Range;

use crate::mime::quoted_printable::CASE;
use crate::mime::quoted_printable::ExceptionWriter;
use crate::mime::quoted_printable::FLIP_BREAK;
use crate::mime::quoted_printable::FLIP_FORM;
use crate::mime::quoted_printable::LITERAL;
use crate::mime::quoted_printable_model::BreakRule;
use crate::mime::quoted_printable_model::LOOKAHEAD;
use crate::mime::quoted_printable_model::Model;
use crate::mime::quoted_printable_model::Setup;
use crate::mime::varint;

/// Blanks allowed between `=` and the line end of a soft break.
const PADDING_MAX: usize = 64;

/// Bytes on which setups are tried.
const TRIAL_BYTES: usize = 8 * 1024;

/// A setup that needs no more exceptions than this is not worth improving.
const GOOD_BYTES: usize = 2;

/// How one decoded byte stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Raw,
    /// As `=XX`; digits that are letters in lower case: bit 0 the first, bit 1 the second. The second
    /// number marks the digits that are letters.
    Encoded(u8, u8),
}

/// Text taken apart.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Decoded bytes.
    pub(crate) decoded: Vec<u8>,
    forms: Vec<Form>,
    /// Soft line breaks and what else holds no byte: before which byte, and where.
    between: Vec<(usize, Range<usize>)>,
}

impl Tokens {
    /// Takes `text` apart; without `last`, as far as what follows cannot matter.
    pub(crate) fn parse(text: &[u8], last: bool) -> Self {
        let mut tokens = Self::default();
        let mut at = 0;
        let mut open: Option<usize> = None;
        while let Some(byte) = text.get(at) {
            let rest = text.get(at..).unwrap_or_default();
            if *byte == b'=' {
                if !last && rest.len() < PADDING_MAX + 3 {
                    break;
                }
                let soft = soft_break(rest);
                if soft > 0 {
                    let _start = open.get_or_insert(at);
                    at += soft;
                    continue;
                }
            }
            if let Some(start) = open.take() {
                tokens.between.push((tokens.forms.len(), start..at));
            }
            if *byte != b'=' {
                let run = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                tokens.decoded.extend_from_slice(rest.get(..run).unwrap_or_default());
                tokens.forms.resize(tokens.forms.len() + run, Form::Raw);
                at += run;
                continue;
            }
            let (decoded, form) = token(rest, *byte);
            tokens.decoded.push(decoded);
            tokens.forms.push(form);
            at += length(form);
        }
        if let Some(start) = open.filter(|_| last) {
            tokens.between.push((tokens.forms.len(), start..at));
        }
        tokens
    }

    /// Forgets all but the first `count` bytes and what lies between them.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.decoded.truncate(count);
        self.forms.truncate(count);
        let count = self.forms.len();
        self.between.retain(|(before, _)| *before < count);
    }

    /// The setup under which `text` needs the fewest exceptions.
    pub(crate) fn choose_setup(&self, text: &[u8]) -> Setup {
        let crlf = text
            .iter()
            .position(|byte| *byte == b'\n')
            .is_some_and(|feed| feed > 0 && text.get(feed - 1) == Some(&b'\r'));
        let lower = self.forms.iter().find_map(|form| match form {
            Form::Encoded(case, letters) if *letters > 0 => Some(*case > 0),
            _ => None,
        });
        let never = Setup { rule: BreakRule::Never, width: 0, crlf, lower: lower.unwrap_or(false) };
        let count = self.forms.len().min(TRIAL_BYTES);
        let mut writer = QuotedWriter::new(never);
        let _covered = writer.write(self, text, count, false);
        let mut best = (writer.recipe.len(), never);
        for width in widths(text) {
            for rule in [BreakRule::Ahead, BreakRule::Fixed, BreakRule::Word, BreakRule::WordSpace] {
                if best.0 <= GOOD_BYTES {
                    return best.1;
                }
                let setup = Setup { rule, width, ..never };
                let mut writer = QuotedWriter::new(setup);
                writer.recipe_bytes_max = best.0;
                let _covered = writer.write(self, text, count, false);
                if writer.recipe.len() < best.0 {
                    best = (writer.recipe.len(), setup);
                }
            }
        }
        best.1
    }
}

/// Writes the recipe of one part.
#[derive(Debug, Clone)]
pub(crate) struct QuotedWriter {
    model: Model,
    exceptions: ExceptionWriter,
    /// Beyond this the rest is not looked at.
    recipe_bytes_max: usize,
    /// Exceptions not taken yet.
    pub(crate) recipe: Vec<u8>,
}

impl QuotedWriter {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            model: Model::new(setup),
            exceptions: ExceptionWriter::default(),
            recipe_bytes_max: usize::MAX,
            recipe: Vec::new(),
        }
    }

    /// Writes down the first `count` tokens, and with `last` what follows them; returns the bytes of
    /// `text` that they cover.
    pub(crate) fn write(&mut self, tokens: &Tokens, text: &[u8], count: usize, last: bool) -> usize {
        let mut between = tokens.between.iter().peekable();
        let mut covered = 0;
        let mut at = 0;
        while at < count && self.recipe.len() <= self.recipe_bytes_max {
            // One byte more than is free, which the model does not count.
            let free = between.peek().map_or(count, |(before, _)| before.saturating_add(1)).min(count);
            let rest = tokens.decoded.get(at..free).unwrap_or_default();
            let forms = tokens.forms.get(at..free).unwrap_or_default();
            let run = self.model.plain_run(rest, |index| forms.get(index) == Some(&Form::Raw));
            self.model.ran(rest.get(..run).unwrap_or_default());
            self.exceptions.pass(run);
            at += run;
            covered += run;
            let look = tokens.decoded.get(at..).unwrap_or_default();
            let look = look.get(..=LOOKAHEAD).unwrap_or(look);
            let Some(form) = tokens.forms.get(at) else { break };
            let extra = between.next_if(|(before, _)| *before == at).map(|(_, range)| range.clone());
            let extra = extra.and_then(|range| text.get(range)).unwrap_or_default();
            self.token(look, *form, extra);
            covered += extra.len() + length(*form);
            at += 1;
        }
        if last && let Some((_, range)) = between.next_if(|(before, _)| *before == count) {
            let extra = text.get(range.clone()).unwrap_or_default();
            self.literal(extra);
            covered += extra.len();
        }
        covered
    }

    fn token(&mut self, look: &[u8], form: Form, extra: &[u8]) {
        let came = !extra.is_empty() && extra == self.model.soft_break();
        if !extra.is_empty() && !came {
            self.literal(extra);
        }
        let predicted = self.model.breaks(look);
        if came != predicted {
            self.exceptions.put(FLIP_BREAK, &mut self.recipe);
        }
        self.model.broke(came, predicted);
        let encoded = form != Form::Raw;
        if encoded != self.model.encodes(look) {
            self.exceptions.put(FLIP_FORM, &mut self.recipe);
        }
        if let Form::Encoded(case, letters) = form {
            let usual = if self.model.lower() { letters } else { 0 };
            if case != usual {
                // Digits that are no letters follow those that are, so that the case stays where it can.
                let code = if case == letters { 3 } else { case };
                self.exceptions.put(CASE, &mut self.recipe);
                self.recipe.push(code);
                if code == 0 || code == 3 {
                    self.model.set_lower(code == 3);
                }
            }
        }
        self.model.wrote(look, encoded);
        self.exceptions.pass(1);
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.exceptions.put(LITERAL, &mut self.recipe);
        varint::put_len(&mut self.recipe, bytes.len());
        self.recipe.extend_from_slice(bytes);
        self.model.literal(bytes);
    }
}

/// Length of the soft line break that `rest` begins with, or 0.
fn soft_break(rest: &[u8]) -> usize {
    let after = rest.get(1..).unwrap_or_default();
    let blanks = after.iter().take(PADDING_MAX).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let end = after.get(blanks..).unwrap_or_default();
    if end.starts_with(b"\n") {
        blanks + 2
    } else if end.starts_with(b"\r\n") {
        blanks + 3
    } else {
        0
    }
}

fn token(rest: &[u8], byte: u8) -> (u8, Form) {
    let [b'=', high, low, ..] = *rest else { return (byte, Form::Raw) };
    let (Some((first, first_case)), Some((second, second_case))) = (hex(high), hex(low)) else {
        return (byte, Form::Raw);
    };
    let case = u8::from(first_case == Some(true)) | (u8::from(second_case == Some(true)) << 1);
    let letters = u8::from(first_case.is_some()) | (u8::from(second_case.is_some()) << 1);
    ((first << 4) | second, Form::Encoded(case, letters))
}

/// The value of a digit, and for a letter whether it is in lower case.
fn hex(digit: u8) -> Option<(u8, Option<bool>)> {
    match digit {
        b'0'..=b'9' => Some((digit - b'0', None)),
        b'a'..=b'f' => Some((digit - b'a' + 10, Some(true))),
        b'A'..=b'F' => Some((digit - b'A' + 10, Some(false))),
        _ => None,
    }
}

fn length(form: Form) -> usize {
    if form == Form::Raw { 1 } else { 3 }
}

/// Line widths worth trying: the longest and the most frequent of lines that end in a soft break.
fn widths(text: &[u8]) -> Vec<u8> {
    let mut counts = [0usize; 256];
    for line in text.split_inclusive(|byte| *byte == b'\n').take(TRIAL_BYTES / 16) {
        let line = line.trim_ascii_end();
        if line.ends_with(b"=")
            && let Some(count) = counts.get_mut(line.len())
        {
            *count += 1;
        }
    }
    let longest = (0u8..=u8::MAX).zip(counts).rfind(|(_, count)| *count > 0);
    let usual = (0u8..=u8::MAX).zip(counts).max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0);
    let mut widths: Vec<u8> = [longest, usual].into_iter().flatten().map(|(width, _)| width).collect();
    widths.dedup();
    widths
}
