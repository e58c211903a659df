//! `secure_torch_error`: why something was not done.

use crate::boundary::{Failure, end, tell};
use crate::library::{ResultNumber, hint};
use crate::report::Report;
use crate::text::Str;

/// Why something was not done. A hostile file is a verdict and no error; that one was not loaded
/// because of its verdict is SECURE_TORCH_RESULT_MODEL_BLOCKED, with the report.
///
/// Ownership: yours; end it with secure_torch_error_free(). Threads: it never changes, and any number
/// of them may read it.
#[derive(Debug)]
pub struct Error(Failure);

impl Error {
    pub(crate) const fn new(failure: Failure) -> Self {
        Self(failure)
    }
}

/// The number of the error, the same that the function returned. That of NULL is
/// SECURE_TORCH_RESULT_OK.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_result(error: Option<&Error>) -> ResultNumber {
    error.map_or(crate::library::OK, |error| error.0.code.number())
}

/// The stable code: `model-blocked`. It is the same in every language.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_code(error: Option<&Error>) -> Str {
    tell(Str::default(), || Str::of(error.map(|error| error.0.code.name())))
}

/// What went wrong, with its place. Safe to print.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_message(error: Option<&Error>) -> Str {
    tell(Str::default(), || Str::of(error.map(|error| error.0.message.as_str())))
}

/// What to do about it.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_hint(error: Option<&Error>) -> Str {
    tell(Str::default(), || Str::of(error.map(|error| hint(error.0.code))))
}

/// The path or name that the error is about, as it was given: not safe to print. Empty where it is
/// about none.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_path(error: Option<&Error>) -> Str {
    tell(Str::default(), || Str::of(error.map(|error| error.0.path.as_str())))
}

/// The judgement of the file, where there is one; NULL otherwise.
///
/// Ownership: the error's. It is valid as long as that is, and must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_report(error: Option<&Error>) -> Option<&Report> {
    error?.0.report.as_deref()
}

/// Ends an error. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_error_free(error: Option<Box<Error>>) {
    end(error);
}
