//! Making an arranged stream.

use crate::pack::arrange::bits::BitWriter;
use crate::pack::arrange::code;
use crate::pack::arrange::head_end;
use crate::pack::arrange::restore;
use crate::pack::arrange::tokens;
use crate::pack::arrange::tokens::Digits;
use crate::pack::arrange::tokens::Token;
use crate::pack::wire::length;
use crate::pack::wire::length_of;
use crate::pack::wire::put_varint;

/// Text, with codes where tokens were, and the tokens.
#[derive(Debug, Default)]
struct Parts {
    lengths: Vec<u8>,
    heads: Vec<u8>,
    bodies: Vec<u8>,
    bits: BitWriter,
}

impl Parts {
    fn push(&mut self, unit: &[u8], tokens: &[Token]) {
        put_varint(&mut self.lengths, length(unit));
        // No token holds a line's end, so none goes across the end of the head.
        let head = head_end(unit).unwrap_or(unit.len());
        let mut done = 0;
        for token in tokens {
            self.copy(unit, (done, token.at.start), head);
            let digits = unit.get(token.at.clone()).unwrap_or_default();
            self.take(digits, token, token.at.start < head);
            done = token.at.end;
        }
        self.copy(unit, (done, unit.len()), head);
    }

    fn take(&mut self, digits: &[u8], token: &Token, in_head: bool) {
        let text = if in_head { &mut self.heads } else { &mut self.bodies };
        text.push(match token.digits {
            Digits::Base64 => code::BASE64,
            Digits::Hex => code::HEX,
        });
        put_varint(text, length(digits));
        for digit in digits {
            self.bits.put(token.digits.value(*digit).unwrap_or_default(), token.digits.width());
        }
    }

    fn copy(&mut self, unit: &[u8], (from, to): (usize, usize), head: usize) {
        let middle = head.clamp(from, to);
        literal(&mut self.heads, unit.get(from..middle).unwrap_or_default());
        literal(&mut self.bodies, unit.get(middle..to).unwrap_or_default());
    }
}

/// Copies bytes; those that are codes come behind one.
fn literal(into: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr3(code::BASE64, code::HEX, code::LITERAL, rest) {
        let (plain, from) = rest.split_at(at);
        into.extend_from_slice(plain);
        into.push(code::LITERAL);
        let (byte, after) = from.split_at(1);
        into.extend_from_slice(byte);
        rest = after;
    }
    into.extend_from_slice(rest);
}

/// The arranged form of a stream that consists of `units`; none where it cannot be restored.
pub fn arrange(units: &[&[u8]]) -> Option<Vec<u8>> {
    let mut parts = Parts::default();
    for (unit, tokens) in units.iter().zip(tokens::single(units)) {
        parts.push(unit, &tokens);
    }
    let Parts { lengths, heads, bodies, bits } = parts;
    let mut arranged = Vec::new();
    for part in [&lengths, &heads, &bodies] {
        put_varint(&mut arranged, length_of(part.len()));
    }
    let arranged = [arranged, lengths, heads, bodies, bits.finish()].concat();
    let whole = units.concat();
    let proved = restore(&arranged, whole.len()).is_ok_and(|restored| restored == whole);
    proved.then_some(arranged)
}

/// What stands of a unit in an arranged stream, without its tokens: what a dictionary for such streams is made of.
pub fn text(unit: &[u8]) -> Vec<u8> {
    let mut parts = Parts::default();
    let tokens = tokens::single(&[unit]).pop().unwrap_or_default();
    parts.push(unit, &tokens);
    [parts.heads, parts.bodies].concat()
}
