//! One error type for the whole engine: a kind that tells the caller how to react, a sentence that tells a
//! person what to do, and the source where there is one. It knows neither gRPC nor SQL.

use std::borrow::Cow;
use std::fmt;

/// Result of the engine's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by the reaction that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The request can never succeed as it is: change it.
    InvalidArgument,
    /// There is nothing under that name.
    NotFound,
    /// The id is taken by other bytes.
    AlreadyExists,
    /// The state of the store forbids it (a hold, a recent delete, a data directory in use): change that first.
    FailedPrecondition,
    /// Over a limit: send less, or later.
    ResourceExhausted,
    /// Stored bytes do not match their hash. Nothing was returned. Restore from a backup.
    Corrupt,
    /// The caller went away, or asked to stop.
    Cancelled,
    /// The store cannot do it now (shutting down, or shut for writes after a failed write): retry later or reopen.
    Unavailable,
    /// This build does not do that.
    Unimplemented,
    /// The disk, the network or the database failed.
    Io,
    /// A defect of ours.
    Internal,
}

/// An error of the engine.
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

impl Error {
    /// An error of `kind` whose `message` is a sentence that says what to do.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with the failure that caused it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How to react.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do, without the source.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Shorthand for [`Kind::InvalidArgument`].
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidArgument, message)
    }

    /// Shorthand for [`Kind::Corrupt`].
    pub fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// Shorthand for [`Kind::NotFound`].
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Shorthand for [`Kind::FailedPrecondition`].
    pub fn precondition(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::FailedPrecondition, message)
    }

    /// Shorthand for [`Kind::Internal`].
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Shorthand for [`Kind::Io`] with its cause.
    pub fn io(message: impl Into<Cow<'static, str>>, source: std::io::Error) -> Self {
        Self::new(Kind::Io, message).with_source(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        if let Some(source) = &self.source {
            write!(f, " ({source:?})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
