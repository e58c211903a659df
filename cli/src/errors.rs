//! Errors: what could not be judged, told with code, message and hint.

use std::io::{self, Write};
use std::path::Path;

use secure_torch::{Code, Error};
use serde::Serialize;

use crate::output::path_text;

/// Something that could not be judged.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Problem {
    /// A path under which there was nothing to judge. A gate that opens because its path was
    /// mistyped would be worse than none.
    pub(crate) fn nothing_at(path: &Path) -> Self {
        let path = path_text(path);
        let shown = secure_torch::text::printable(&path);
        Self {
            code: Code::NotFound.name(),
            path,
            message: format!("`{shown}` holds no file to judge"),
            hint: "check the path; an empty folder is not a verdict".to_owned(),
        }
    }

    /// A mistake in the arguments that only the run could find.
    pub(crate) fn usage(path: &Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let code = Code::Usage.name();
        Self { code, path: path_text(path), message: message.into(), hint: hint.into() }
    }

    /// The result could not be handed over.
    pub(crate) fn output(error: &io::Error) -> Self {
        Self {
            code: Code::Io.name(),
            path: String::new(),
            message: format!("writing the result failed: {error}"),
            hint: "check the disk or the program that reads the output".to_owned(),
        }
    }

    /// The result could not be written to a file.
    pub(crate) fn output_file(path: &Path, error: &io::Error) -> Self {
        let path = path_text(path);
        let shown = secure_torch::text::printable(&path);
        Self {
            code: Code::Io.name(),
            path,
            message: format!("writing `{shown}` failed: {error}"),
            hint: "check the folder, its permissions and the disk; no part of the file was written"
                .to_owned(),
        }
    }

    /// Tells it on standard error.
    pub(crate) fn tell(&self) {
        to_stderr(&format!("error[{}]: {}\n  hint: {}\n", self.code, self.message, self.hint));
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().name(),
            path: error.path().to_owned(),
            message: error.to_string(),
            hint: error.hint().to_owned(),
        }
    }
}

/// Writes to standard error. It may be closed too, and then nobody is there to be told.
pub(crate) fn to_stderr(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
