//! `Policy`: what the caller lets through.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;

use crate::errors::raised;

/// What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`.
#[pyclass(frozen, module = "secure_torch")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) inner: secure_torch::Policy,
}

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (max_threat_score=None, allow=Vec::new(), limits=BTreeMap::new()))]
    fn new(
        py: Python<'_>,
        max_threat_score: Option<u8>,
        allow: Vec<String>,
        limits: BTreeMap<String, u64>,
    ) -> PyResult<Self> {
        let mut inner = secure_torch::Policy::default();
        if let Some(score) = max_threat_score {
            inner.max_threat_score = score;
        }
        for name in allow {
            inner.allow.push(name.parse().map_err(|error| raised(py, &error, None))?);
        }
        for (name, value) in limits {
            if !inner.limits.set(&name, value) {
                let message = format!("no limit `{name}` takes the value {value}");
                return Err(pyo3::exceptions::PyValueError::new_err(message));
            }
        }
        Ok(Self { inner })
    }

    /// The policy in a `secure-torch.toml`.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Self::of(py, secure_torch::Policy::open(&path))
    }

    /// The policy in a text, whose `paths` count from the folder `base`.
    #[staticmethod]
    fn from_toml(py: Python<'_>, text: &str, base: PathBuf) -> PyResult<Self> {
        Self::of(py, secure_torch::Policy::from_toml(text, &base))
    }

    /// The policy file that holds for a path, and the policy in it, where there is one.
    #[staticmethod]
    fn discover(py: Python<'_>, path: PathBuf) -> PyResult<Option<(PathBuf, Self)>> {
        let found = secure_torch::Policy::discover(&path);
        let found = found.map_err(|error| raised(py, &error, None))?;
        Ok(found.map(|(path, inner)| (path, Self { inner })))
    }

    /// The same policy with another score.
    fn with_max_threat_score(&self, score: u8) -> Self {
        let mut inner = self.inner.clone();
        inner.max_threat_score = score;
        Self { inner }
    }

    /// The highest score that is let through.
    #[getter]
    fn max_threat_score(&self) -> u8 {
        self.inner.max_threat_score
    }

    /// The globals that are allowed beyond the rules.
    #[getter]
    fn allow(&self) -> Vec<String> {
        self.inner.allow.iter().map(ToString::to_string).collect()
    }

    /// The file that the policy comes from.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.inner.file.as_ref().map(|file| file.path().to_owned())
    }

    fn __repr__(&self) -> String {
        let file = self.inner.file.as_ref().map_or_else(String::new, |file| {
            let path = file.path().to_string_lossy();
            format!(", path='{}'", secure_torch::text::printable(&path))
        });
        let allow = self.allow().join("', '");
        let allow = if allow.is_empty() { allow } else { format!(", allow=['{allow}']") };
        format!("Policy(max_threat_score={}{allow}{file})", self.inner.max_threat_score)
    }
}

impl Policy {
    fn of(
        py: Python<'_>,
        made: Result<secure_torch::Policy, secure_torch::Error>,
    ) -> PyResult<Self> {
        made.map(|inner| Self { inner }).map_err(|error| raised(py, &error, None))
    }
}
