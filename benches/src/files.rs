//! The measure that the store is held against: the same messages as one created and synced file each.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;

use crate::mail::Mail;
use crate::stopwatch::Stopwatch;
use crate::summary::Rate;

/// Writes every message to a new file in `folder`, each synced before the next, in `jobs` threads. The folder itself is
/// synced once at the end, which is kind to the files: a store that acknowledged each would sync it each time.
pub fn write(folder: &Path, mails: &[Mail], jobs: usize) -> Result<Rate> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let next = AtomicUsize::new(0);
    let stopwatch = Stopwatch::start();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(|| write_some(folder, mails, &next))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a writing thread panicked"))?)
    })?;
    fs::File::open(folder)?.sync_all()?;
    let elapsed = stopwatch.elapsed();
    let bytes = mails.iter().map(|mail| u64::try_from(mail.bytes.len()).unwrap_or(0)).sum();
    Ok(Rate { messages: u64::try_from(mails.len())?, bytes, elapsed })
}

fn write_some(folder: &Path, mails: &[Mail], next: &AtomicUsize) -> Result<()> {
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(mail) = mails.get(at) else { return Ok(()) };
        let path = folder.join(format!("{at:08}.eml"));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file =
            file.with_context(|| format!("cannot create {}; give an empty folder", path.display()))?;
        file.write_all(&mail.bytes)?;
        file.sync_all()?;
    }
}
