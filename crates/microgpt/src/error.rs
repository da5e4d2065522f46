//! What can go wrong through no fault of the program: one sentence of what was expected, what was found, and where.

use std::fmt;

/// A user's error: a setting, a text or a checkpoint that cannot be used as it is.
///
/// Mistakes of the programmer (shapes that do not fit) are panics instead; see each function's `# Panics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    what: String,
    kind: ErrorKind,
}

/// Where an [`Error`] lies, so that a program can choose its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or a combination of settings.
    Config,
    /// The text to learn from, or a prompt.
    Text,
    /// A saved model.
    Checkpoint,
    /// Training that has left the numbers: a loss that is infinite or not a number.
    Diverged,
    /// Another worker of the same step, which is gone.
    Peer,
}

impl Error {
    /// A setting that cannot be.
    pub fn config(what: impl Into<String>) -> Error {
        Error { what: what.into(), kind: ErrorKind::Config }
    }

    /// A text that cannot be used.
    pub fn text(what: impl Into<String>) -> Error {
        Error { what: what.into(), kind: ErrorKind::Text }
    }

    /// A saved model that cannot be used.
    pub fn checkpoint(what: impl Into<String>) -> Error {
        Error { what: what.into(), kind: ErrorKind::Checkpoint }
    }

    /// A training that has diverged.
    pub fn diverged(what: impl Into<String>) -> Error {
        Error { what: what.into(), kind: ErrorKind::Diverged }
    }

    /// A worker that the others waited for in vain.
    pub fn peer(what: impl Into<String>) -> Error {
        Error { what: what.into(), kind: ErrorKind::Peer }
    }

    /// Where it lies.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same error with the place where it was found in front: a file, a line, a command.
    pub fn at(self, place: impl fmt::Display) -> Error {
        Error { what: format!("{place}: {}", self.what), kind: self.kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}
