//! Errors: why no verdict could be reached.
//!
//! A hostile file is a verdict, never an error. The codes are those of `spec/errors.toml`.

use std::fmt;
use std::io;

/// Why no verdict could be reached.
#[derive(Debug)]
pub struct Error {
    code: Code,
    path: String,
    cause: String,
}

/// The stable code of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// The path leads nowhere.
    NotFound,
    /// The file may not be read.
    Permission,
    /// The path is a folder, a pipe, a device or a socket.
    NotAFile,
    /// The file changed while it was read.
    Changed,
    /// Reading failed otherwise.
    Io,
    /// The input is larger than a limit.
    TooLarge,
    /// The policy is not valid.
    Policy,
}

impl Code {
    /// The code's name in `spec/errors.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "io-not-found",
            Self::Permission => "io-permission",
            Self::NotAFile => "io-not-a-file",
            Self::Changed => "io-changed",
            Self::Io => "io-failed",
            Self::TooLarge => "input-too-large",
            Self::Policy => "policy-invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NotFound => "check the path; a link may point to nothing",
            Self::Permission => "check the permissions of the file and of the folders above it",
            Self::NotAFile => "pipes, devices and sockets are not read; use `-` for standard input",
            Self::Changed => "judge the file again once nothing writes to it",
            Self::Io => "the medium or the network below the file reported the error",
            Self::TooLarge => "raise the limit in the policy, or give a file instead of a stream",
            Self::Policy => "see the policy reference for the keys and the values that it takes",
        }
    }
}

impl Error {
    pub(crate) fn new(code: Code, path: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { code, path: path.into(), cause: cause.into() }
    }

    pub(crate) fn io(path: impl Into<String>, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::PermissionDenied => Code::Permission,
            io::ErrorKind::IsADirectory => Code::NotAFile,
            _ => Code::Io,
        };
        Self::new(code, path, error.to_string())
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The path or name that the error is about.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.code.hint()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = crate::text::printable(&self.path);
        match self.code {
            Code::NotFound => write!(f, "`{path}` does not exist"),
            Code::Permission => write!(f, "`{path}` may not be read"),
            Code::NotAFile => write!(f, "`{path}` is not a regular file"),
            Code::Changed => write!(f, "`{path}` changed while it was read"),
            Code::Io => write!(f, "reading `{path}` failed: {}", self.cause),
            Code::TooLarge => write!(f, "`{path}` is too large: {}", self.cause),
            Code::Policy => write!(f, "the policy is not valid: {}", self.cause),
        }
    }
}

impl std::error::Error for Error {}
