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

/// Makes [`Code`] from one list: variant, number, name, hint.
macro_rules! codes {
    ($($(#[$about:meta])* $variant:ident $number:literal $name:literal $hint:literal;)+) => {
        /// The stable code of an [`Error`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$about])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code's name in `spec/errors.toml`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The code's number in `spec/errors.toml`. It is permanent, and not zero.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// What to do about it.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)+ }
            }
        }
    };
}

codes! {
    /// The path leads nowhere.
    NotFound 1 "io-not-found" "check the path; a link may point to nothing";
    /// The file may not be read.
    Permission 2 "io-permission" "check the permissions of the file and of the folders above it";
    /// The path is a folder, a pipe, a device or a socket.
    NotAFile 3 "io-not-a-file"
        "pipes, devices and sockets are not read; use `-` for standard input";
    /// The path is a link to a folder, inside a folder that is judged.
    LinkedFolder 4 "io-linked-folder"
        "links to folders are not followed; name the folder that it leads to as well";
    /// The file changed while it was read.
    Changed 5 "io-changed" "judge the file again once nothing writes to it";
    /// Reading failed otherwise.
    Io 6 "io-failed" "the medium or the network below the file reported the error";
    /// The input is larger than a limit.
    TooLarge 7 "input-too-large"
        "give a file instead of a stream, a smaller folder, or raise the limit: `Policy::limits` in the library, `--limit` on the command line";
    /// The policy is not valid.
    Policy 8 "policy-invalid"
        "a global is MODULE.NAME, or MODULE:NAME where the name holds dots; a limit is the name of one and a whole number that fits it; docs/policy.md describes the file, and `secure-torch policy check` reads one";
    /// The policy does not let the file through.
    Blocked 9 "model-blocked"
        "read the findings of the report; where they are known to be harmless, a policy can allow them by name: docs/policy.md";
    /// The file is let through, and is broken or contradicts itself.
    Malformed 10 "model-malformed"
        "fetch the file again; if it is what its publisher offers, save it anew with a current version of the library that wrote it";
    /// The file is let through, and holds something that is not rebuilt without running it.
    Unsupported 11 "model-unsupported"
        "save the tensors alone (a `state_dict`), or convert the file where it came from";
    /// It holds something that a safetensors file cannot hold.
    Inconvertible 12 "model-inconvertible"
        "choose a part with `--key`, leave out what is no tensor with `--drop-rest`, or save the tensors otherwise; `secure-torch inspect` shows what the file holds";
    /// A file that is to be written is there already.
    Exists 13 "io-exists" "choose another name, or let it be replaced with `--force`";
    /// Something was asked for that this build does not have. The library does not raise it; its
    /// doors do.
    Feature 14 "feature-missing" "leave the argument out until a release has it, or install what the message names";
    /// Writing failed.
    Write 15 "io-write-failed" "check the folder's permissions and the space that is left; nothing is half-written";
    /// Something was asked for that cannot be done. The library does not raise it; its doors do.
    Usage 16 "usage" "run with `--help` to see what is expected";
    /// A door caught a panic. The library does not raise it; its doors do.
    Internal 17 "internal-panic"
        "this is a bug in secure-torch: please report it with the message and, if you may, the file";
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
            Code::LinkedFolder => write!(f, "`{path}` is a link to a folder"),
            Code::Changed => write!(f, "`{path}` changed while it was read"),
            Code::Io => write!(f, "reading `{path}` failed: {}", self.cause),
            Code::TooLarge => write!(f, "`{path}` is too large: {}", self.cause),
            Code::Policy => write!(f, "the policy is not valid: {}", self.cause),
            Code::Blocked => write!(f, "`{path}` is blocked: {}", self.cause),
            Code::Malformed => write!(f, "`{path}` is broken: {}", self.cause),
            Code::Unsupported => write!(f, "`{path}` cannot be loaded: {}", self.cause),
            Code::Inconvertible => write!(f, "`{path}` cannot be converted: {}", self.cause),
            Code::Exists => write!(f, "`{path}` exists already"),
            Code::Write => write!(f, "`{path}` cannot be written: {}", self.cause),
            Code::Internal => write!(f, "secure-torch failed: {}", self.cause),
            Code::Feature | Code::Usage => f.write_str(&self.cause),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_the_rows_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/errors.toml");
        let table: toml::Table =
            std::fs::read_to_string(path).expect("the table is there").parse().expect("it is TOML");
        let rows = table["error"].as_array().expect("it is a list");
        let row = |value: &toml::Value| {
            ["code", "message", "hint"].map(|key| value[key].as_str().unwrap_or("").to_owned())
        };
        let ours = |code: &Code| {
            let message = Error::new(*code, "{path}", "{cause}").to_string();
            [code.name().to_owned(), message, code.hint().to_owned()]
        };
        let rows: Vec<[String; 3]> = rows.iter().map(row).collect();
        assert_eq!(rows, Code::ALL.iter().map(ours).collect::<Vec<_>>());
        let numbers = table["error"].as_array().expect("it is a list").iter();
        let numbers: Vec<_> = numbers.map(|row| row["number"].as_integer()).collect();
        let ours = Code::ALL.iter().map(|code| Some(i64::from(code.number())));
        assert_eq!(numbers, ours.collect::<Vec<_>>());
        let distinct: HashSet<u32> = Code::ALL.iter().map(|code| code.number()).collect();
        assert!(distinct.len() == Code::ALL.len() && !distinct.contains(&0));
        let message = |code| Error::new(code, "a\u{1b}b", "").to_string();
        assert!(Code::ALL.iter().all(|&code| !message(code).contains('\u{1b}')));
    }
}
