//! Errors of the gateway as exceptions of `secure_torch`.

use pyo3::prelude::*;
use secure_torch::{Code, Error};

use crate::judgement::Judgement;

/// The exception for an error, with the judgement that there is.
pub(crate) fn raised(py: Python<'_>, error: &Error, judgement: Option<Judgement>) -> PyErr {
    let (code, path) = (error.code(), error.path());
    made(py, code, &error.to_string(), path, judgement).unwrap_or_else(|failed| failed)
}

/// The exception for something in a file that only this binding found it cannot give to Python.
pub(crate) fn unsupported(py: Python<'_>, path: &str, cause: &str) -> PyErr {
    not_loaded(py, Code::Unsupported, path, cause)
}

/// An error for a file that wants a package that is not there.
pub(crate) fn not_installed(py: Python<'_>, path: &str, cause: &str) -> PyErr {
    not_loaded(py, Code::Feature, path, cause)
}

fn not_loaded(py: Python<'_>, code: Code, path: &str, cause: &str) -> PyErr {
    let shown = secure_torch::text::printable(path);
    let message = format!("`{shown}` cannot be loaded: {cause}");
    made(py, code, &message, path, None).unwrap_or_else(|failed| failed)
}

fn made(
    py: Python<'_>,
    code: Code,
    message: &str,
    path: &str,
    judgement: Option<Judgement>,
) -> PyResult<PyErr> {
    let make = py.import("secure_torch.errors")?.getattr("_made")?;
    let exception = make.call1((code.name(), message, code.hint(), path, judgement))?;
    Ok(PyErr::from_value(exception))
}
