//! Standard output, one line at a time. A closed pipe is an error like any other.

use std::io;
use std::io::Write;

/// Prints `text` and a line end.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
