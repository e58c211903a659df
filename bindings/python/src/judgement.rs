//! `scan`, and the judgement that it and `load` give.

use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use secure_torch::source::Recall;
use secure_torch::{Report, Source};

use crate::errors::raised;
use crate::input::source;
use crate::policy::Policy;

/// The judgement of one file. `secure_torch.Report` is its face.
#[pyclass(frozen, module = "secure_torch._native")]
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    report: Report,
    policy: secure_torch::Policy,
    /// None where the file could not be opened again.
    recall: Option<Recall>,
}

impl Judgement {
    pub(crate) fn new(report: Report, policy: &secure_torch::Policy, source: &Arc<Source>) -> Self {
        Self { report, policy: policy.clone(), recall: Some(Source::recall(source)) }
    }

    /// The judgement of a file that was opened elsewhere.
    pub(crate) fn of_path(report: Report, policy: &secure_torch::Policy) -> Self {
        let recall = Source::open(Path::new(&report.path)).ok();
        let recall = recall.map(|source| Source::recall(&Arc::new(source)));
        Self { report, policy: policy.clone(), recall }
    }
}

#[pymethods]
impl Judgement {
    /// Whether the policy lets the file through.
    #[getter]
    fn load_allowed(&self) -> bool {
        self.report.load_allowed()
    }

    /// The report's canonical JSON, the same bytes in every language.
    fn json(&self) -> String {
        self.report.json()
    }

    /// The report as a SARIF 2.1.0 log.
    fn to_sarif(&self) -> String {
        secure_torch::sarif(&[(&self.report, &self.policy)])
    }

    /// The SHA-256 of the file's bytes, which are read in full for it.
    fn sha256(&self, py: Python<'_>) -> PyResult<String> {
        let hash = py.detach(|| match &self.recall {
            Some(recall) => recall.sha256(),
            None => {
                let source = Source::open(Path::new(&self.report.path))?;
                Source::recall(&Arc::new(source)).sha256()
            }
        });
        hash.map_err(|error| raised(py, &error, Some(self.clone())))
    }
}

/// Judges a path, bytes, or a file object.
#[pyfunction]
pub(crate) fn scan(
    py: Python<'_>,
    given: &Bound<'_, PyAny>,
    policy: &Policy,
) -> PyResult<Judgement> {
    let policy = &policy.inner;
    let source = source(given, policy.limits.file.standard_input_bytes)?;
    let judged = py.detach(|| {
        let source = Arc::new(source);
        // A file is also asked for what it refers to, and its neighbours for what it is.
        let report = secure_torch::scan_opened(&source, policy);
        report.map(|report| Judgement::new(report, policy, &source))
    });
    judged.map_err(|error| raised(py, &error, None))
}
