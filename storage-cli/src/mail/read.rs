//! The messages of a mailbox, one after the other, with what identifies each of them. Blocking; holds one message.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;

use crate::mail::ahead::Ahead;
use crate::mail::ahead::Due;
use crate::mail::mbox;
use crate::mail::walk;
use crate::mail::walk::MailFile;
use crate::output::human;

/// A message above this is refused without a server's word: it would not fit into memory.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// Memory for a message before it is read; a longer one gets more as it comes.
const ROOM_BYTES_MAX: usize = 8 << 20;

/// What reading a mailbox meets.
#[derive(Debug)]
pub enum Found {
    /// A message.
    Message {
        /// Where it is, for people: a path, and `#` with the ordinal in an mbox.
        place: String,
        /// What identifies its file inside the mailbox; see [`MailFile::identity`].
        identity: Vec<u8>,
        /// Its place in the file, from 0.
        ordinal: u64,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A file that is no mail.
    Skipped,
    /// Something that could not be read, and why.
    Failed(String, String),
}

/// Reads everything at `root` until `take` returns false; false then.
pub fn messages(root: &Path, take: &mut dyn FnMut(Found) -> bool) -> bool {
    let mut ahead = Ahead::default();
    let mut wanted = true;
    walk::walk(root, &mut |met| {
        wanted = ahead.push(met).is_none_or(|due| read(due, take));
        wanted
    });
    while wanted && let Some(due) = ahead.pop() {
        wanted = read(due, take);
    }
    wanted
}

fn read(due: Due, take: &mut dyn FnMut(Found) -> bool) -> bool {
    match due {
        Due::Mail(file, opened) => {
            opened.and_then(|(opened, length)| of_file(&file, opened, length, take)).unwrap_or_else(|error| {
                take(Found::Failed(file.path.display().to_string(), format!("{error}.")))
            })
        }
        Due::Skipped => take(Found::Skipped),
        Due::Failed(path, error) => take(Found::Failed(path.display().to_string(), format!("{error}."))),
    }
}

fn of_file(
    file: &MailFile,
    opened: File,
    length: u64,
    take: &mut dyn FnMut(Found) -> bool,
) -> io::Result<bool> {
    let place = file.path.display().to_string();
    if file.single {
        return Ok(take(whole(opened, length, place, file)?));
    }
    let mut input = BufReader::with_capacity(64 * 1024, opened);
    if !input.fill_buf()?.starts_with(mbox::SEPARATOR) {
        return Ok(take(whole(input, length, place, file)?));
    }
    let mut mailbox = mbox::Reader::new(input, MESSAGE_BYTES_MAX);
    let mut message = Vec::new();
    for ordinal in 0.. {
        let place = format!("{place}#{ordinal}");
        let found = match mailbox.next_message(&mut message)? {
            None => break,
            Some(mbox::Found::TooLarge) => Found::Failed(place, too_large()),
            Some(mbox::Found::Message) => Found::Message {
                place,
                identity: file.identity.clone(),
                ordinal,
                bytes: std::mem::take(&mut message),
            },
        };
        if !take(found) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file that is one message, about `length` bytes long.
fn whole(input: impl Read, length: u64, place: String, file: &MailFile) -> io::Result<Found> {
    // With room for all of it and one byte more, a file is one read and the read that finds its end.
    let room = usize::try_from(length).unwrap_or(MESSAGE_BYTES_MAX).min(ROOM_BYTES_MAX) + 1;
    let mut bytes = Vec::with_capacity(room);
    let read = input.take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if read > MESSAGE_BYTES_MAX {
        return Ok(Found::Failed(place, too_large()));
    }
    Ok(Found::Message { place, identity: file.identity.clone(), ordinal: 0, bytes })
}

fn too_large() -> String {
    format!("larger than {}.", human(MESSAGE_BYTES_MAX as u64))
}
