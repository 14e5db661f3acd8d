//! Which runs of a skeleton look as if they had been drawn by lot: base64 digits of signatures, hexadecimal digits of
//! ids. Only a guess; what was taken for one is restored exactly, whatever it was.

use std::collections::HashMap;
use std::ops::Range;

/// Base64 digits that make a token at least.
const BASE64_DIGITS_MIN: usize = 20;
/// Hexadecimal digits that make a token at least.
const HEX_DIGITS_MIN: usize = 16;
/// Different ones among them at least.
const HEX_DIFFERENT_MIN: u32 = 6;
/// What tells two tokens apart.
const NAME_BYTES: usize = 8;

/// The digits of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Base64,
    Hex,
}

impl Digits {
    /// Bits that each of them stands for.
    pub(super) fn width(self) -> u32 {
        match self {
            Self::Base64 => 6,
            Self::Hex => 4,
        }
    }

    /// All of them, in the order of their values.
    pub(super) fn alphabet(self) -> &'static [u8] {
        match self {
            Self::Base64 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            Self::Hex => b"0123456789abcdef",
        }
    }

    /// The value of one.
    pub(super) fn value(self, digit: u8) -> Option<u8> {
        Some(match (self, digit) {
            (Self::Base64, b'A'..=b'Z') => digit - b'A',
            (Self::Base64, b'a'..=b'z') => digit - b'a' + 26,
            (Self::Base64, b'0'..=b'9') => digit - b'0' + 52,
            (Self::Base64, b'+') => 62,
            (Self::Base64, b'/') => 63,
            (Self::Hex, b'0'..=b'9') => digit - b'0',
            (Self::Hex, b'a'..=b'f') => digit - b'a' + 10,
            _ => return None,
        })
    }
}

/// A run that is taken out.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) at: Range<usize>,
    pub(super) digits: Digits,
}

/// Runs of one kind of digits, each as long as it can be.
fn runs(bytes: &[u8], digits: Digits) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let is = |byte: &u8| digits.value(*byte).is_some();
        let start = from + bytes.get(from..)?.iter().position(is)?;
        let rest = bytes.get(start..)?;
        let end = start + rest.iter().position(|byte| !is(byte)).unwrap_or(rest.len());
        from = end;
        Some(start..end)
    })
}

/// Whether letters of both cases and figures are mixed as chance mixes them; words, paths and names are not.
fn mixed_base64(run: &[u8]) -> bool {
    let upper = run.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let lower = run.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    let others = run.len() - upper - lower;
    let enough = |count: usize, one_in: usize| count > 0 && count * one_in >= run.len();
    run.len() >= BASE64_DIGITS_MIN && enough(upper, 5) && enough(lower, 5) && enough(others, 20)
}

/// Whether figures and letters are mixed as chance mixes them; numbers are not.
fn mixed_hex(run: &[u8]) -> bool {
    let figures = run.iter().filter(|byte| byte.is_ascii_digit()).count();
    let seen =
        run.iter().filter_map(|byte| Digits::Hex.value(*byte)).fold(0_u16, |seen, value| seen | 1 << value);
    run.len() >= HEX_DIGITS_MIN
        && (35..=92).contains(&(figures * 100 / run.len()))
        && seen.count_ones() >= HEX_DIFFERENT_MIN
}

/// The tokens of a unit, in order.
fn find(unit: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for run in runs(unit, Digits::Base64).filter(|run| run.len() >= HEX_DIGITS_MIN) {
        let bytes = unit.get(run.clone()).unwrap_or_default();
        if mixed_base64(bytes) {
            tokens.push(Token { at: run, digits: Digits::Base64 });
            continue;
        }
        let inside =
            runs(bytes, Digits::Hex).filter(|hex| mixed_hex(bytes.get(hex.clone()).unwrap_or_default()));
        tokens.extend(
            inside.map(|hex| Token { at: run.start + hex.start..run.start + hex.end, digits: Digits::Hex }),
        );
    }
    tokens
}

fn name<'a>(unit: &'a [u8], token: &Token) -> &'a [u8] {
    unit.get(token.at.start..token.at.start + NAME_BYTES).unwrap_or_default()
}

/// The tokens of each unit that come once in all of them: what comes again compresses better where it stands.
pub(super) fn single(units: &[&[u8]]) -> Vec<Vec<Token>> {
    let mut found: Vec<Vec<Token>> = units.iter().map(|unit| find(unit)).collect();
    let mut times: HashMap<&[u8], u32> = HashMap::new();
    for (unit, tokens) in units.iter().zip(&found) {
        for token in tokens {
            *times.entry(name(unit, token)).or_default() += 1;
        }
    }
    for (unit, tokens) in units.iter().zip(&mut found) {
        tokens.retain(|token| times.get(name(unit, token)) == Some(&1));
    }
    found
}
