//! What was read, as a tree of named facts: one form, from which both the plain text and the JSON follow. Text from
//! inside a pack is quoted and escaped, so that nothing in it can drive a terminal.

use std::fmt;
use std::fmt::Write;

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;

/// Bytes of a value that are shown; of the rest only its length is told.
const SHOWN_BYTES_MAX: usize = 48;

/// One thing that was read, its facts, and what is inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    what: &'static str,
    facts: Vec<(&'static str, Fact)>,
    inner: Vec<Self>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    Number(u64),
    Signed(i64),
    /// A word of ours: a name, a hash, hexadecimal digits.
    Word(String),
    /// Text from inside the pack.
    Text(String),
}

impl Reading {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, facts: Vec::new(), inner: Vec::new() }
    }

    /// Something that does not fit.
    pub(super) fn problem(error: &crate::error::Error) -> Self {
        Self::new("problem").word("kind", format!("{:?}", error.kind())).text("says", error.message())
    }

    /// Whether this or anything inside it is a problem, and how many.
    pub fn problems(&self) -> u64 {
        u64::from(self.what == "problem") + self.inner.iter().map(Self::problems).sum::<u64>()
    }

    pub(super) fn number(mut self, name: &'static str, value: impl Into<u64>) -> Self {
        self.facts.push((name, Fact::Number(value.into())));
        self
    }

    pub(super) fn signed(mut self, name: &'static str, value: i64) -> Self {
        self.facts.push((name, Fact::Signed(value)));
        self
    }

    pub(super) fn word(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.facts.push((name, Fact::Word(value.to_string())));
        self
    }

    pub(super) fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, Fact::Text(value.into())));
        self
    }

    pub(super) fn text_opt(self, name: &'static str, value: Option<&String>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(super) fn word_opt(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.word(name, value),
            None => self,
        }
    }

    pub(super) fn signed_opt(self, name: &'static str, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.signed(name, value),
            None => self,
        }
    }

    /// The first bytes of a value in hexadecimal digits.
    pub(super) fn hex(self, name: &'static str, value: &[u8]) -> Self {
        let mut shown = String::new();
        for byte in value.iter().take(SHOWN_BYTES_MAX) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{byte:02x}");
        }
        if value.len() > SHOWN_BYTES_MAX {
            shown.push_str("...");
        }
        self.word(name, if shown.is_empty() { "-" } else { &shown })
    }

    /// The first bytes of content, as text with everything else escaped.
    pub(super) fn sample(self, name: &'static str, value: &[u8]) -> Self {
        let shown = value.get(..SHOWN_BYTES_MAX).unwrap_or(value);
        let rest = if value.len() > SHOWN_BYTES_MAX { "..." } else { "" };
        self.word(name, format!("\"{}\"{rest}", shown.escape_ascii()))
    }

    pub(super) fn push(&mut self, inner: Self) {
        self.inner.push(inner);
    }

    fn write_to(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}{2}", "", depth * 2, self.what)?;
        for (name, fact) in &self.facts {
            match fact {
                Fact::Number(value) => write!(f, " {name}={value}")?,
                Fact::Signed(value) => write!(f, " {name}={value}")?,
                Fact::Word(value) => write!(f, " {name}={value}")?,
                Fact::Text(value) => write!(f, " {name}=\"{}\"", value.escape_debug())?,
            }
        }
        writeln!(f)?;
        self.inner.iter().try_for_each(|inner| inner.write_to(f, depth + 1))
    }
}

/// A line for every thing, what is inside it indented below it.
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f, 0)
    }
}

/// An object: `what`, the facts by name, and `inner` where there is something inside.
impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("what", self.what)?;
        for (name, fact) in &self.facts {
            match fact {
                Fact::Number(value) => map.serialize_entry(name, value)?,
                Fact::Signed(value) => map.serialize_entry(name, value)?,
                Fact::Word(value) | Fact::Text(value) => map.serialize_entry(name, value)?,
            }
        }
        if !self.inner.is_empty() {
            map.serialize_entry("inner", &self.inner)?;
        }
        map.end()
    }
}
