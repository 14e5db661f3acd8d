//! Opens files some way before they are read and has the system fetch their first bytes meanwhile: a mailbox that is not
//! in memory is then read as fast as its disk can, and not one file's latency after another's. The order stays.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::PathBuf;

use rustix::fs::Advice;
use rustix::fs::fadvise;

use crate::mail::walk::MailFile;
use crate::mail::walk::Met;

/// Files open ahead of the one that is read.
const FILES_MAX: usize = 32;

/// Bytes of each that are fetched ahead; what follows is read ahead by the system itself.
const BYTES_MAX: NonZeroU64 = NonZeroU64::new(256 << 10).expect("is not zero");

/// What a walk met, ready to be read.
#[derive(Debug)]
pub(super) enum Due {
    /// A file that holds mail, and its length.
    Mail(MailFile, io::Result<(File, u64)>),
    /// A file that does not.
    Skipped,
    /// A file or directory that could not be looked at.
    Failed(PathBuf, io::Error),
}

/// What is ahead, in the order of the walk.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    due: VecDeque<Due>,
}

impl Ahead {
    /// Adds what the walk met; gives what is to be read now, once enough is ahead.
    pub(super) fn push(&mut self, met: Met) -> Option<Due> {
        self.due.push_back(match met {
            Met::Mail(file) => {
                let opened = open(&file);
                Due::Mail(file, opened)
            }
            Met::Skipped => Due::Skipped,
            Met::Failed(path, error) => Due::Failed(path, error),
        });
        if self.due.len() > FILES_MAX { self.due.pop_front() } else { None }
    }

    /// What is left after the walk.
    pub(super) fn pop(&mut self) -> Option<Due> {
        self.due.pop_front()
    }
}

fn open(file: &MailFile) -> io::Result<(File, u64)> {
    let opened = File::open(&file.path)?;
    let length = opened.metadata()?.len();
    // Advice: where it is refused, as on a pipe, the file is read all the same.
    let _ = fadvise(&opened, 0, Some(BYTES_MAX), Advice::WillNeed);
    Ok((opened, length))
}
