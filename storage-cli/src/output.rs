//! The only place that writes to stdout. In JSON mode nothing but JSON ever gets out; in table mode, tables and sentences.
//! It knows no command.

use std::fmt;
use std::io;
use std::io::BufWriter;
use std::io::Write;

use clap::ValueEnum;
use comfy_table::CellAlignment;
use comfy_table::Table;
use comfy_table::presets;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::failure::Failure;
use crate::failure::Result;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people: aligned columns, sizes rounded.
    #[default]
    Table,
    /// For programs: one JSON document, or one JSON line per entry of a list; exact numbers.
    Json,
}

/// Where results go.
pub struct Output {
    format: Format,
    writer: BufWriter<Box<dyn Write + Send>>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Output {
    /// Output to the process's stdout.
    pub fn stdout(format: Format) -> Self {
        Self::to(format, Box::new(io::stdout()))
    }

    /// Output to any writer.
    pub fn to(format: Format, writer: Box<dyn Write + Send>) -> Self {
        Self { format, writer: BufWriter::new(writer) }
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A sentence for a person. Nothing in JSON mode.
    pub fn say(&mut self, sentence: &str) -> Result<()> {
        if self.is_json() {
            return Ok(());
        }
        writeln!(self.writer, "{sentence}").map_err(|error| Failure::stdout(&error))?;
        self.flush()
    }

    /// A table for a person. Nothing in JSON mode. Headers that start with `>` are of columns of numbers.
    pub fn table(&mut self, headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
        if self.is_json() {
            return Ok(());
        }
        let mut table = Table::new();
        let _ = table.load_preset(presets::NOTHING);
        let _ = table.set_header(headers.iter().map(|header| header.trim_start_matches('>')));
        for row in rows {
            let _ = table.add_row(row.into_iter().map(|cell| printable(&cell)));
        }
        for (column, header) in table.column_iter_mut().zip(headers) {
            let _ = column.set_padding((0, 2));
            if header.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(self.writer, "{}", table.trim_fmt()).map_err(|error| Failure::stdout(&error))
    }

    /// One JSON document, on several lines. Nothing in table mode.
    pub fn document(&mut self, value: &impl Serialize) -> Result<()> {
        if !self.is_json() {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(error.to_string()))?;
        writeln!(self.writer, "{text}").map_err(|error| Failure::stdout(&error))
    }

    /// One entry of a list as a line of JSON. Nothing in table mode.
    pub fn entry(&mut self, value: &impl Serialize) -> Result<()> {
        if !self.is_json() {
            return Ok(());
        }
        let text = serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))?;
        writeln!(self.writer, "{text}").map_err(|error| Failure::stdout(&error))
    }

    /// Bytes of mail or of a generated script, as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| Failure::stdout(&error))
    }

    /// Hands over what is buffered.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| Failure::stdout(&error))
    }
}

/// A line for a person on stderr.
pub fn note(sentence: &str) {
    // Where stderr is closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{}", printable(sentence));
}

/// Text from mail and from servers without control characters, so that no file name can drive a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A size for a person.
pub fn human(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A size with a sign for a person.
pub fn human_signed(bytes: i64) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    format!("{sign}{}", human(bytes.unsigned_abs()))
}

/// A number of things for a person.
pub fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}
