//! Reads base64 text as it stands in mail and writes down how it was laid out. Guarantees only that what
//! it says is meant to rebuild the text: the caller proves it. It must not give up on odd line widths,
//! stray bytes, text after the end, or several texts in a row.

use crate::mime::base64;
use crate::mime::base64::INVALID;
use crate::mime::recipe::LINE_ENDS;
use crate::mime::recipe::RecipeBuilder;
use crate::mime::varint::to_u64;

/// A line this long, of nothing but whole quanta, resumes base64 after other text.
const RESUME_CHARS_MIN: usize = 40;

/// Text without a line end is taken in runs once this much of it is there.
const UNBROKEN_BYTES_MIN: usize = 16 * 1024;

/// Whether base64 is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// Yes.
    #[default]
    Data,
    /// A text has ended; what follows is something else unless it plainly is base64 again.
    Ended,
}

/// What one window holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Decoded bytes.
    pub(crate) decoded: Vec<u8>,
    /// How they were laid out.
    pub(crate) recipe: RecipeBuilder,
    /// Bytes of the window that this covers, always whole quanta.
    pub(crate) consumed: usize,
    /// Where the next window begins.
    pub(crate) mode: Mode,
    /// Bytes of blank lines.
    pub(crate) blank_bytes: u64,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Characters of the alphabet, with little or nothing between them.
    Data { chars: usize },
    /// The same up to `=` at this offset.
    Closing { at: usize },
    /// Anything else.
    Other,
}

/// Scans `text`; with `last`, to its end.
pub(crate) fn scan(text: &[u8], mode: Mode, last: bool) -> Scan {
    let mut scan = Scan { mode, ..Scan::default() };
    while let Some(rest) = text.get(scan.consumed..).filter(|rest| !rest.is_empty()) {
        let before = (scan.consumed, scan.mode);
        match scan.mode {
            Mode::Data => scan.fast_lines(rest, last),
            Mode::Ended => scan.other(rest, last),
        }
        if (scan.consumed, scan.mode) == before && scan.mode == Mode::Data {
            scan.region(rest, last);
        }
        if (scan.consumed, scan.mode) == before {
            break;
        }
    }
    scan
}

impl Scan {
    /// Takes whole lines of whole quanta, the shape of nearly all base64.
    fn fast_lines(&mut self, rest: &[u8], last: bool) {
        let mut at = 0;
        while let Some(line) = rest.get(at..) {
            let Some(feed) = line_feed(line) else { break };
            let text = line.get(..feed).unwrap_or_default();
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            // A line end at the very end may be the first half of a longer one.
            let whole = !text.is_empty() && text.len() % 4 == 0 && (last || at + feed + 4 < rest.len());
            let Some((number, len)) =
                whole.then(|| line_end(line.get(text.len()..).unwrap_or_default())).flatten()
            else {
                break;
            };
            if !base64::decode(text, &mut self.decoded) {
                break;
            }
            self.recipe.lines(1, to_u64(text.len()), number);
            at += text.len() + len;
        }
        self.consumed += at;
    }

    /// Takes lines until the quanta come out even, or the text ends.
    fn region(&mut self, rest: &[u8], last: bool) {
        let mut at = 0;
        let mut phase = 0;
        while let Some(line) = next_line(rest, at, last) {
            match classify(line) {
                Line::Data { chars } => {
                    at += line.len();
                    phase = (phase + chars) % 4;
                    if phase == 0 {
                        let _pads = self.emit(rest.get(..at).unwrap_or_default(), 0);
                        self.consumed += at;
                        return;
                    }
                }
                Line::Closing { at: equals } => {
                    let end = at + equals;
                    let pads =
                        rest.get(end..).unwrap_or_default().iter().take_while(|byte| **byte == b'=').count();
                    let taken = self.emit(rest.get(..end).unwrap_or_default(), pads);
                    self.consumed += end + taken;
                    self.mode = Mode::Ended;
                    return;
                }
                Line::Other => {
                    self.mode = Mode::Ended;
                    break;
                }
            }
        }
        if last || self.mode == Mode::Ended {
            let _pads = self.emit(rest.get(..at).unwrap_or_default(), 0);
            self.consumed += at;
        } else if rest.len() >= UNBROKEN_BYTES_MIN {
            self.unbroken(rest);
        }
    }

    /// Takes what there is of a line that does not end, up to its last whole quantum.
    fn unbroken(&mut self, rest: &[u8]) {
        let chars = rest.iter().filter(|byte| base64::value(**byte) != INVALID).count();
        let mut spare = chars % 4;
        let mut end = rest.len();
        while spare > 0 && end > 0 {
            end -= 1;
            spare -= usize::from(rest.get(end).is_some_and(|byte| base64::value(*byte) != INVALID));
        }
        if chars * 8 < rest.len() * 7 || rest.contains(&b'=') {
            self.recipe.literal(rest);
            self.consumed += rest.len();
            self.mode = Mode::Ended;
            return;
        }
        let _pads = self.emit(rest.get(..end).unwrap_or_default(), 0);
        self.consumed += end;
    }

    /// Takes what follows the end of a base64 text.
    fn other(&mut self, rest: &[u8], last: bool) {
        let Some(line) = next_line(rest, 0, last) else {
            if rest.len() >= UNBROKEN_BYTES_MIN {
                self.recipe.literal(rest);
                self.consumed += rest.len();
            }
            return;
        };
        if let Some((number, len)) = line_end(line).filter(|(_, len)| *len == line.len()) {
            self.blank(number, len);
        } else if let Line::Data { chars } = classify(line)
            && chars >= RESUME_CHARS_MIN
            && chars % 4 == 0
        {
            self.mode = Mode::Data;
            self.region(rest, last);
            return;
        } else {
            self.recipe.literal(line);
        }
        self.consumed += line.len();
    }

    fn blank(&mut self, number: u8, len: usize) {
        self.recipe.lines(1, 0, number);
        self.blank_bytes += to_u64(len);
    }

    /// Decodes `text` and writes down its layout. Where its characters do not come out even, the last of
    /// them end a base64 text, followed by `pads` times `=`; says how many of those the recipe covers.
    fn emit(&mut self, text: &[u8], pads: usize) -> usize {
        let chars = text.iter().filter(|byte| base64::value(**byte) != INVALID).count();
        let tail = chars % 4;
        let mut whole = chars - tail;
        let mut quad = Quad::default();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let run = rest.iter().take_while(|byte| base64::value(**byte) != INVALID).count();
            let now = run.min(whole);
            for byte in rest.iter().take(now) {
                quad.push(*byte, &mut self.decoded);
            }
            whole -= now;
            at += now;
            if now < run {
                self.recipe.chars(to_u64(now));
                return self.close(text.get(at..).unwrap_or_default(), tail, pads);
            }
            let gap = text.get(at..).unwrap_or_default();
            if let Some((number, len)) = line_end(gap) {
                if run == 0 {
                    self.blank(number, len);
                } else {
                    self.recipe.lines(1, to_u64(run), number);
                }
                at += len;
            } else {
                self.recipe.chars(to_u64(run));
                let len =
                    gap.iter().take_while(|byte| base64::value(**byte) == INVALID && **byte != b'\n').count();
                // Leave a carriage return to the line end that it belongs to.
                let len = if gap.get(len) == Some(&b'\n') && len > 1 && gap.get(len - 1) == Some(&b'\r') {
                    len - 1
                } else {
                    len
                };
                self.recipe.literal(gap.get(..len).unwrap_or_default());
                at += len;
            }
        }
        0
    }

    /// Ends a base64 text inside a quantum with `rest`, which begins with its last characters.
    fn close(&mut self, rest: &[u8], tail: usize, pads: usize) -> usize {
        let end = rest.get(..tail).unwrap_or_default();
        let [first, second, third] = match *end {
            [first, second] => [first, second, b'A'],
            [first, second, third] => [first, second, third],
            _ => return self.give_up(rest),
        };
        if [first, second, third].iter().any(|byte| base64::value(*byte) == INVALID) {
            return self.give_up(rest);
        }
        let (first, second, third) = (base64::value(first), base64::value(second), base64::value(third));
        self.decoded.push((first << 2) | (second >> 4));
        let bits = if tail == 3 {
            self.decoded.push((second << 4) | (third >> 2));
            third & 3
        } else {
            second & 15
        };
        let padded = rest.len() == tail && pads == 4 - tail && bits == 0;
        self.recipe.close(if tail == 3 { 3 } else { 2 }, bits, padded);
        let after = rest.get(tail..).unwrap_or_default();
        self.literal_lines(after);
        if padded { pads } else { 0 }
    }

    /// Keeps the characters of a quantum that cannot be decoded as they are.
    fn give_up(&mut self, rest: &[u8]) -> usize {
        self.literal_lines(rest);
        0
    }

    fn literal_lines(&mut self, rest: &[u8]) {
        match line_end(rest).filter(|(_, len)| *len == rest.len()) {
            Some((number, len)) => self.blank(number, len),
            None => self.recipe.literal(rest),
        }
    }
}

/// Four characters on their way to three bytes.
#[derive(Debug, Default)]
struct Quad {
    chars: [u8; 4],
    len: usize,
}

impl Quad {
    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        if let Some(slot) = self.chars.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
        if self.len == 4 {
            // All four are of the alphabet: the caller counted them.
            let _decoded = base64::decode(&self.chars, out);
            self.len = 0;
        }
    }
}

/// The line from `at` with its line end; without one only if it is the last.
fn next_line(rest: &[u8], at: usize, last: bool) -> Option<&[u8]> {
    let line = rest.get(at..).filter(|line| !line.is_empty())?;
    match line_feed(line) {
        Some(feed) => line.get(..=feed),
        None => last.then_some(line),
    }
}

/// The longest numbered line end that `rest` begins with.
fn line_end(rest: &[u8]) -> Option<(u8, usize)> {
    if !matches!(rest.first(), Some(b'\n' | b'\r' | b' ')) {
        return None;
    }
    let (number, end) =
        (0u8..).zip(LINE_ENDS).filter(|(_, end)| rest.starts_with(end)).max_by_key(|(_, end)| end.len())?;
    Some((number, end.len()))
}

fn classify(line: &[u8]) -> Line {
    let text = line.trim_ascii_end();
    let chars = text.iter().filter(|byte| base64::value(**byte) != INVALID).count();
    if chars == text.len() {
        return Line::Data { chars };
    }
    if let Some(at) = memchr::memchr(b'=', text) {
        let before = text.get(..at).unwrap_or_default().trim_ascii();
        let plain = before.iter().all(|byte| base64::value(*byte) != INVALID);
        return if plain { Line::Closing { at } } else { Line::Other };
    }
    let indented = text.trim_ascii_start().len() == chars;
    if indented || (text.len() >= RESUME_CHARS_MIN && chars * 8 >= text.len() * 7) {
        Line::Data { chars }
    } else {
        Line::Other
    }
}

/// Where the next line feed is.
pub(crate) fn line_feed(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}
