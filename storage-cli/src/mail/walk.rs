//! Which files of a path are mail, in an order that does not depend on the file system. Below a directory: files ending
//! in `.eml` (one message each), files ending in `.mbox` (many), and the messages of Maildirs; other files are counted.
//! A file named directly is taken whatever its name. Links to directories are not followed, so the walk ends.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// A file that holds mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFile {
    /// Where it is.
    pub path: PathBuf,
    /// What identifies it inside its source: its path below the source with `/` between the names. Of a message in a
    /// Maildir the directory `cur` or `new` and the flags are left out, because reading mail changes them.
    pub identity: Vec<u8>,
    /// Whether the file is one message even where it looks like an mbox.
    pub single: bool,
}

/// What a walk meets.
#[derive(Debug)]
pub enum Met {
    /// A file that holds mail.
    Mail(MailFile),
    /// A file that does not.
    Skipped,
    /// A file or directory that could not be looked at.
    Failed(PathBuf, io::Error),
}

/// Visits everything at `root` until `visit` returns false.
pub fn walk(root: &Path, visit: &mut dyn FnMut(Met) -> bool) {
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => {
            let _ =
                if is_maildir_leaf(root) { maildir_leaf(root, visit) } else { directory(root, &[], visit) };
        }
        Ok(_) => {
            let identity = root.file_name().map(name_bytes).unwrap_or_default();
            let single = has_extension(root, "eml");
            let _ = visit(Met::Mail(MailFile { path: root.to_owned(), identity, single }));
        }
        Err(error) => {
            let _ = visit(Met::Failed(root.to_owned(), error));
        }
    }
}

/// Visits a directory; `below` is its path below the root. False where the visitor wants no more.
fn directory(path: &Path, below: &[u8], visit: &mut dyn FnMut(Met) -> bool) -> bool {
    let entries = match sorted_entries(path) {
        Ok(entries) => entries,
        Err(error) => return visit(Met::Failed(path.to_owned(), error)),
    };
    let has = |name: &str| entries.iter().any(|entry| entry.is_dir && is_named(&entry.path, name));
    let is_maildir = has("cur") && (has("new") || has("tmp")) || has("new") && has("tmp");
    if is_maildir && !maildir(path, below, visit) {
        return false;
    }
    for entry in entries {
        let part_of_maildir = ["cur", "new", "tmp"].iter().any(|name| is_named(&entry.path, name));
        if is_maildir && entry.is_dir && part_of_maildir {
            continue;
        }
        let identity = join(below, &entry.path);
        let more = if entry.is_dir {
            directory(&entry.path, &identity, visit)
        } else if entry.is_file && (has_extension(&entry.path, "eml") || has_extension(&entry.path, "mbox")) {
            let single = has_extension(&entry.path, "eml");
            visit(Met::Mail(MailFile { path: entry.path, identity, single }))
        } else {
            visit(Met::Skipped)
        };
        if !more {
            return false;
        }
    }
    true
}

/// Visits the messages of a Maildir. What is in `tmp` has not been delivered and is only counted.
fn maildir(path: &Path, below: &[u8], visit: &mut dyn FnMut(Met) -> bool) -> bool {
    let mut taken = HashSet::new();
    for folder in ["cur", "new", "tmp"] {
        let folder_path = path.join(folder);
        let entries = match sorted_entries(&folder_path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                if !visit(Met::Failed(folder_path, error)) {
                    return false;
                }
                continue;
            }
        };
        for entry in entries {
            let met = if folder != "tmp" && is_delivered(&entry) {
                let unique = join(below, Path::new(OsStr::new(&unique_name(&entry.path))));
                // Two files of one name are two messages, against the rules of Maildir: the second keeps its path.
                let identity = if taken.insert(unique.clone()) {
                    unique
                } else {
                    join(&join(below, Path::new(folder)), &entry.path)
                };
                Met::Mail(MailFile { path: entry.path, identity, single: true })
            } else {
                Met::Skipped
            };
            if !visit(met) {
                return false;
            }
        }
    }
    true
}

/// Visits `cur` or `new` of a Maildir that was named directly.
fn maildir_leaf(path: &Path, visit: &mut dyn FnMut(Met) -> bool) -> bool {
    let entries = match sorted_entries(path) {
        Ok(entries) => entries,
        Err(error) => return visit(Met::Failed(path.to_owned(), error)),
    };
    entries.into_iter().all(|entry| {
        if is_delivered(&entry) {
            let identity = name_bytes(OsStr::new(&unique_name(&entry.path)));
            visit(Met::Mail(MailFile { path: entry.path, identity, single: true }))
        } else {
            visit(Met::Skipped)
        }
    })
}

/// Whether a directory is `cur` or `new` beside another directory of a Maildir, rather than one that is just called so.
fn is_maildir_leaf(path: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ["cur", "new"].iter().any(|name| is_named(path, name))
        && ["cur", "new", "tmp"].iter().any(|other| !is_named(path, other) && parent.join(other).is_dir())
}

struct Entry {
    path: PathBuf,
    is_dir: bool,
    is_file: bool,
}

fn is_delivered(entry: &Entry) -> bool {
    let hidden = entry.path.file_name().is_none_or(|name| name_bytes(name).starts_with(b"."));
    entry.is_file && !hidden
}

/// The entries of a directory by name. Only links are looked at twice: a directory tells what everything else is.
fn sorted_entries(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let is_file = kind.is_file()
                || kind.is_symlink() && fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
            Ok(Entry { path, is_dir: kind.is_dir(), is_file })
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
    Ok(entries)
}

/// A Maildir name without its flags.
fn unique_name(path: &Path) -> std::ffi::OsString {
    let name = path.file_name().unwrap_or_default();
    let text = name.to_string_lossy();
    match text.split_once(':') {
        Some((unique, _)) if name.to_str().is_some() => unique.into(),
        _ => name.to_owned(),
    }
}

fn join(below: &[u8], path: &Path) -> Vec<u8> {
    let name = path.file_name().map(name_bytes).unwrap_or_default();
    if below.is_empty() { name } else { [below, &name].join(&b'/') }
}

fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.as_encoded_bytes().to_vec()
}

fn is_named(path: &Path, name: &str) -> bool {
    path.file_name() == Some(OsStr::new(name))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
