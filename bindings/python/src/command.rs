//! The command `secure-torch`, which comes with the package.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command with its arguments, the first of which is its own name, and gives its exit code.
#[pyfunction]
pub(crate) fn run(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| secure_torch_cli::run(arguments))
}

/// Every rule, level, family, limit and allowed global, as JSON.
#[pyfunction]
pub(crate) fn rules() -> String {
    secure_torch::rules_json()
}
