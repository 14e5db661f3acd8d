//! Why a command ends without success, and which exit code that is. A failure is one sentence for a person; it never
//! carries a backtrace or a transport's internals.

use std::io;
use std::process::ExitCode;

use tonic::Code;
use tonic::Status;

/// Result of a command.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The command line asks for something that makes no sense. Exit code 2.
    Usage(String),
    /// It could not be done. Exit code 1.
    Failed(String),
    /// Not everything could be done, and every failure has been told already. Exit code 1.
    Reported,
    /// Whoever read the output went away; that is their right, and nothing is said about it. Exit code 0.
    BrokenPipe,
}

impl Failure {
    /// A failure with the sentence to print.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    /// A failure to read or write a local file.
    pub fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::Failed(format!("{what} {} failed: {error}.", path.display()))
    }

    /// A failure to write to stdout.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Failed(format!("Writing to stdout failed: {error}."))
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::BrokenPipe => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Reported => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }

    /// What goes to stderr, if anything.
    pub fn sentence(&self) -> Option<&str> {
        match self {
            Self::Usage(sentence) | Self::Failed(sentence) => Some(sentence),
            Self::Reported | Self::BrokenPipe => None,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Failed(sentence(&status))
    }
}

/// What a server's answer means to a person.
pub fn sentence(status: &Status) -> String {
    if lost(status) {
        return "The connection to the server was lost or could not be made. Check that storage-server runs there \
                (see --server), or open its data directory with --data-dir while it does not run."
            .to_owned();
    }
    if status.message().is_empty() {
        return format!("The server answered: {}.", status.code().description());
    }
    status.message().to_owned()
}

/// Whether trying again may help. Safe for puts, because the same id with the same bytes changes nothing.
pub fn retryable(status: &Status) -> bool {
    status.code() == Code::Unavailable || lost(status)
}

/// Whether it is the transport that failed, rather than the server that answered.
fn lost(status: &Status) -> bool {
    let transport = std::error::Error::source(status).is_some();
    transport && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
}
