//! Style that a compiler does not check: layers, file sizes, opening comments, assertions that assert nothing.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Production lines of a file at most.
const LINES_MAX: usize = 400;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable source")
}

/// The modules of storage-core in the order of `lib.rs`.
fn layers() -> Vec<String> {
    let library = read(&workspace().join("storage-core/src/lib.rs"));
    let name = |line: &str| {
        let rest = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "))?;
        Some(rest.trim_end_matches(';').to_owned())
    };
    library.lines().filter_map(name).collect()
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let layers = layers();
    assert!(layers.len() > 10, "lib.rs lists its modules: {layers:?}");
    let root = workspace().join("storage-core/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let relative = path.strip_prefix(&root).expect("below src");
        let module = relative.iter().next().and_then(|first| first.to_str()).unwrap_or_default();
        let Some(own) = layers.iter().position(|layer| *layer == module.trim_end_matches(".rs")) else {
            continue;
        };
        for line in read(&path).lines() {
            // Tests at the end of a file may use anything.
            if line.starts_with("#[cfg(test)]") {
                break;
            }
            let Some(used) = line.trim_start().strip_prefix("use crate::") else {
                continue;
            };
            let used = used.split("::").next().unwrap_or_default().trim_end_matches(';');
            let layer = layers.iter().position(|layer| layer == used);
            if layer.is_none_or(|layer| layer > own) {
                wrong.push(format!("{}: {line}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these point back:\n{}", wrong.join("\n"));
}

#[test]
fn files_open_with_their_guarantee_and_stay_small() {
    let mut files = Vec::new();
    for member in ["storage-core", "storage-server", "storage-cli", "fixtures", "benches"] {
        sources(&workspace().join(member), &mut files);
    }
    assert!(files.len() > 100, "the sources were found");
    let mut wrong = Vec::new();
    for path in files {
        let text = read(&path);
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not say what it guarantees", path.display()));
        }
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        let tests = path.iter().any(|part| part == "tests" || part == "tests.rs");
        if lines > LINES_MAX && !tests {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_assertion_is_dropped() {
    let mut files = Vec::new();
    for member in ["storage-core", "storage-server", "storage-cli", "fixtures", "benches"] {
        sources(&workspace().join(member), &mut files);
    }
    for path in files {
        for (number, line) in read(&path).lines().enumerate() {
            let bare = line.trim_start();
            let dropped = bare.starts_with(concat!("matches", "!(")) && bare.ends_with(");");
            assert!(!dropped, "{}:{} drops an answer", path.display(), number + 1);
        }
    }
}
