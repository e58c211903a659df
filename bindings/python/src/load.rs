//! `load`: judges a file and gives what it holds, as objects of Python's.

use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use secure_torch::core::load::Python2Text;
use secure_torch::{Checkpoint, LoadOptions};

use crate::errors::raised;
use crate::input::{path, source};
use crate::judgement::Judgement;
use crate::policy::Policy;
use crate::tensors::{Location, Torch};
use crate::tree::Tree;

/// Judges a path, bytes, or a file object, and loads what it holds.
///
/// `location` says where storages go: `None`, they stay on the CPU; else a pair of a function and
/// whether it is asked about those that were saved on the CPU. It matters with torch alone.
#[pyfunction]
#[pyo3(signature = (given, policy, *, encoding, mmap, torch, audit_only, location))]
#[expect(clippy::too_many_arguments, reason = "they are keywords, and Python's code passes them")]
pub(crate) fn load<'py>(
    py: Python<'py>,
    given: &Bound<'py, PyAny>,
    policy: &Policy,
    encoding: &str,
    mmap: bool,
    torch: bool,
    audit_only: bool,
    location: Option<(Bound<'py, PyAny>, bool)>,
) -> PyResult<(Bound<'py, PyAny>, Judgement)> {
    let text = match encoding {
        "ascii" => Python2Text::Ascii,
        "latin1" => Python2Text::Latin1,
        "bytes" => Python2Text::Bytes,
        _ => Python2Text::Utf8,
    };
    let options = LoadOptions { sealed: false, text, audit_only };
    let (made, judgement) = opened(py, given, &policy.inner, &options)?;
    py.detach(|| made.prepare(!mmap))
        .map_err(|error| raised(py, &error, Some(judgement.clone())))?;
    let location = match location {
        None => Location::Stay,
        Some((ask, true)) => Location::Ask(ask),
        Some((ask, false)) => Location::AskUnlessCpu(ask),
    };
    let target = if torch { Some(Torch::new(py, &made, !mmap, location)?) } else { None };
    let mut tree = Tree::new(py, &made, target, !mmap);
    match tree.value(made.root()) {
        Ok(root) => Ok((root, judgement)),
        Err(error) if tree.asked() => Err(error),
        Err(error) => {
            // What Python, torch or numpy refuses to make is told as an error of the file's.
            let explain = py.import("secure_torch.errors")?.getattr("_explained")?;
            let explained = explain.call1((error.into_value(py), made_name(&made), judgement))?;
            Err(PyErr::from_value(explained))
        }
    }
}

/// What a path, a folder, bytes or a file object hold.
pub(crate) fn opened(
    py: Python<'_>,
    given: &Bound<'_, PyAny>,
    policy: &secure_torch::Policy,
    options: &LoadOptions,
) -> PyResult<(Checkpoint, Judgement)> {
    let folder = path(given)?.filter(|path| path.is_dir());
    let source = match &folder {
        None => Some(Arc::new(source(given, policy.limits.file.standard_input_bytes)?)),
        Some(_) => None,
    };
    let loaded = py.detach(|| match (&source, &folder) {
        (Some(source), _) => secure_torch::load_shared(source, policy, options),
        (None, folder) => {
            let folder = folder.as_deref().unwrap_or(Path::new(""));
            secure_torch::load_path(folder, policy, options)
        }
    });
    let judged = |report| match &source {
        Some(source) => Judgement::new(report, policy, source),
        None => Judgement::of_path(report, policy),
    };
    match loaded {
        Ok((made, report)) => Ok((made, judged(report))),
        Err(failed) => {
            let report = failed.report.map(|report| judged(*report));
            Err(raised(py, &failed.error, report))
        }
    }
}

fn made_name(made: &Checkpoint) -> &str {
    made.files().first().map_or("", |file| file.name())
}
