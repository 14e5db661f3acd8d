//! The mbox format, read as a stream and written. A message begins after a `From ` line that is the file's first line
//! or follows an empty line; the one empty line before the next `From ` line (or the end) is not part of it. Quoting is
//! undone as mboxrd does it: one `>` is taken off lines of `>`s and `From `. Nothing else is changed, line ends included.
//! What is written reads back as the same bytes, except that a message without a final newline gains one: the format
//! cannot say that there is none.

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;

/// What every separator begins with.
pub const SEPARATOR: &[u8] = b"From ";

/// Lines are handled in pieces of at most this many bytes, so that a file without line ends needs no memory.
const PIECE_BYTES_MAX: u64 = 64 * 1024;

/// Reader and writer agree that a line led by more `>` than this is not a quoted one; it is far below a piece.
const QUOTES_MAX: usize = 1000;

/// What [`Reader::next_message`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The whole message is in the buffer.
    Message,
    /// The message is larger than allowed and was skipped.
    TooLarge,
}

/// Reads messages one by one; holds one at a time.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    message_bytes_max: usize,
    piece: Vec<u8>,
    /// Whether `piece` is a separator that has been read but whose message has not.
    at_separator: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader of an mbox that skips messages above `message_bytes_max`.
    pub fn new(input: R, message_bytes_max: usize) -> Self {
        Self { input, message_bytes_max, piece: Vec::new(), at_separator: false }
    }

    /// Reads the next message into `message`; none at the end.
    pub fn next_message(&mut self, message: &mut Vec<u8>) -> io::Result<Option<Found>> {
        message.clear();
        if !self.at_separator && !self.read_piece()? {
            return Ok(None);
        }
        self.at_separator = false;
        self.finish_line()?;

        let mut too_large = false;
        let mut line_starts = true;
        // The empty line just read, which belongs to the message only if no separator follows it.
        let mut empty_line: Option<Vec<u8>> = Some(Vec::new());
        while self.read_piece()? {
            if line_starts && empty_line.is_some() && self.piece.starts_with(SEPARATOR) {
                self.at_separator = true;
                break;
            }
            if let Some(empty) = empty_line.take() {
                message.extend_from_slice(&empty);
            }
            let line_ends = self.piece.ends_with(b"\n");
            if line_starts && (self.piece == b"\n" || self.piece == b"\r\n") {
                empty_line = Some(self.piece.clone());
            } else {
                let quoted = line_starts && quotes(&self.piece).is_some_and(|quotes| quotes > 0);
                message.extend(self.piece.iter().skip(usize::from(quoted)));
            }
            if message.len() > self.message_bytes_max {
                too_large = true;
                message.clear();
            }
            line_starts = line_ends;
        }
        if too_large {
            message.clear();
            return Ok(Some(Found::TooLarge));
        }
        Ok(Some(Found::Message))
    }

    /// Reads a line, or its next piece. False at the end.
    fn read_piece(&mut self) -> io::Result<bool> {
        self.piece.clear();
        let read = self.input.by_ref().take(PIECE_BYTES_MAX).read_until(b'\n', &mut self.piece)?;
        Ok(read > 0)
    }

    /// Skips the rest of the line whose first piece was read.
    fn finish_line(&mut self) -> io::Result<()> {
        while !self.piece.ends_with(b"\n") && self.read_piece()? {}
        Ok(())
    }
}

/// How many `>` lead a line that is `From ` behind them; none for other lines.
fn quotes(line: &[u8]) -> Option<usize> {
    let quotes = line.iter().take(QUOTES_MAX + 2).take_while(|byte| **byte == b'>').count();
    let behind = line.get(quotes..)?;
    (quotes <= QUOTES_MAX + 1 && behind.starts_with(SEPARATOR)).then_some(quotes)
}

/// Writes one message behind the separator line `From <sender> <date>`. True where a final newline was added.
pub fn write(output: &mut impl Write, sender: &str, date: &str, message: &[u8]) -> io::Result<bool> {
    writeln!(output, "From {sender} {date}")?;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if quotes(line).is_some_and(|quotes| quotes <= QUOTES_MAX) {
            output.write_all(b">")?;
        }
        output.write_all(line)?;
    }
    let unfinished = message.last().is_some_and(|byte| *byte != b'\n');
    if unfinished {
        output.write_all(b"\n")?;
    }
    output.write_all(b"\n")?;
    Ok(unfinished)
}
