//! Mail that was damaged at random. A failure names the file and the number of the mutation, which is its seed.

use std::fs;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::path::PathBuf;

use storage_core::mime::SplitLimits;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::mime::weird;
use storage_fixtures::mutate::mutate;
use storage_fixtures::rng::Rng;

use crate::round::exact_in_pieces;
use crate::round::tight;

/// Longer messages are left out: what they would show, shorter ones show as well and sooner.
const MESSAGE_BYTES_MAX: usize = 300_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Every second file of the directory, or generated mail without one.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let Some(directory) = std::env::var_os("MIME_CORPUS") else {
        let mailbox = Mailbox::new(3, 40).enumerate();
        let usual = mailbox.map(|(number, message)| (format!("mailbox {number}"), message.bytes));
        let weird = (0..100).map(|seed| (format!("{} {seed}", weird::name(seed)), weird::message(seed)));
        return usual.chain(weird).filter(|(_, bytes)| bytes.len() < MESSAGE_BYTES_MAX).collect();
    };
    let mut paths = Vec::new();
    files(Path::new(&directory), &mut paths);
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), fs::read(&path).expect("a readable file"));
    let half = paths.into_iter().step_by(2).map(read);
    half.filter(|(_, bytes)| bytes.len() < MESSAGE_BYTES_MAX).collect()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn damaged_mail_comes_back_however_it_is_fed() {
    let corpus = corpus();
    assert!(corpus.len() > 20, "there is mail to damage");
    let first = number("MIME_FIRST", 0);
    let mutations = number("MIME_MUTATIONS", 300);
    for seed in first..first + mutations {
        let mut rng = Rng::new(seed);
        let (name, message) = rng.pick(&corpus);
        let (_, other) = rng.pick(&corpus).clone();
        let damaged = mutate(&mut rng, message, &other);
        let limits = if rng.chance(500) { SplitLimits::default() } else { tight() };
        let round = panic::catch_unwind(AssertUnwindSafe(|| exact_in_pieces(&damaged, &limits, &mut rng)));
        assert!(round.is_ok(), "{name} failed: again with MIME_FIRST={seed} MIME_MUTATIONS=1");
    }
}
