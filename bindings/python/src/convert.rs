//! `convert`: a model file becomes a safetensors file.

use std::path::PathBuf;

use pyo3::prelude::*;
use secure_torch::{ConvertOptions, LoadOptions};

use crate::errors::raised;
use crate::judgement::Judgement;
use crate::load::opened;
use crate::policy::Policy;

/// How many tensors and bytes were written, the names that stand for others, how many values were
/// left out, and the names of the first of those.
type Told = (u64, u64, Vec<(String, String)>, u64, Vec<String>);

/// Judges a path, bytes, or a file object, and writes its tensors to a safetensors file.
#[pyfunction]
#[pyo3(signature = (given, out, policy, *, key, drop_rest, duplicate_shared, force))]
#[expect(clippy::too_many_arguments, reason = "they are keywords, and Python's code passes them")]
pub(crate) fn convert(
    py: Python<'_>,
    given: &Bound<'_, PyAny>,
    out: PathBuf,
    policy: &Policy,
    key: Option<String>,
    drop_rest: bool,
    duplicate_shared: bool,
    force: bool,
) -> PyResult<(Told, Judgement)> {
    let policy = &policy.inner;
    let options = ConvertOptions { key, drop_rest, duplicate_shared, force };
    let (made, judgement) = opened(py, given, policy, &LoadOptions::default())?;
    let converted = py.detach(|| secure_torch::convert(&made, &out, policy, &options, &()));
    match converted {
        Ok(told) => {
            let told = (told.tensors, told.bytes, told.tied, told.dropped, told.dropped_first);
            Ok((told, judgement))
        }
        Err(error) => Err(raised(py, &error, Some(judgement))),
    }
}
