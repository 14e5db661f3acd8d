//! Drives the built program from outside: a data directory of its own for each test, arguments in, output and exit code
//! out.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

/// A directory for one test, with a store in `data`.
#[derive(Debug)]
pub(crate) struct Sandbox {
    dir: TempDir,
    target: Vec<String>,
}

impl Sandbox {
    /// A sandbox whose commands open the data directory themselves.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data").to_str().unwrap().to_owned();
        Self { dir, target: vec!["--data-dir".to_owned(), data_dir] }
    }

    /// The same sandbox with commands that talk to the server at `url`.
    pub(crate) fn with_server(self, url: &str) -> Self {
        Self { dir: self.dir, target: vec!["--server".to_owned(), url.to_owned()] }
    }

    /// A path in the sandbox.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs the program on the sandbox's store.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let target = self.target.iter().map(String::as_str);
        let all: Vec<&str> = target.chain(arguments.iter().copied()).collect();
        run_in(self.dir.path(), &all)
    }

    /// Runs it with JSON output; requires success, and that stdout is JSON documents and nothing else.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["--format", "json"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        serde_json::Deserializer::from_slice(&output.stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{arguments:?} printed other than JSON: {error}"))
    }

    /// The only document of [`Sandbox::json`].
    pub(crate) fn document(&self, arguments: &[&str]) -> Value {
        let mut documents = self.json(arguments);
        assert_eq!(documents.len(), 1, "{arguments:?}");
        documents.remove(0)
    }
}

/// Runs the program in a directory, without a terminal and with nothing on stdin.
pub(crate) fn run_in(dir: &Path, arguments: &[&str]) -> Output {
    program(dir, arguments).output().unwrap()
}

/// The program, ready to start.
pub(crate) fn program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storage-cli"));
    let _ = command.current_dir(dir).args(arguments).stdin(Stdio::null());
    command
}

/// What a program said on stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
