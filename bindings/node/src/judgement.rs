//! `scan`, and the judgement that it and `load` give.

use std::path::Path;
use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Either};
use napi_derive::napi;
use secure_torch::source::Recall;
use secure_torch::{Error, Report, Source};

use crate::failure::Failure;
use crate::input::{Given, Input};
use crate::policy::Policy;
use crate::wire;
use crate::work::{Interest, Work};

/// The judgement of one file. The package's `Report` is its face.
#[napi]
#[derive(Clone)]
pub struct Judgement {
    inner: Arc<Inner>,
}

struct Inner {
    report: Report,
    policy: secure_torch::Policy,
    /// None where the file could not be opened again.
    recall: Option<Recall>,
}

#[napi]
impl Judgement {
    /// The report in its canonical form.
    #[napi(catch_unwind)]
    pub fn json(&self) -> String {
        self.inner.report.json()
    }

    /// The report, with the numbers that JavaScript would round as text.
    #[napi(catch_unwind)]
    pub fn wire(&self) -> String {
        wire::exact(serde_json::to_value(&self.inner.report).unwrap_or_default()).to_string()
    }

    /// The report as a SARIF 2.1.0 log.
    #[napi(catch_unwind)]
    pub fn sarif(&self) -> String {
        secure_torch::sarif(&[(&self.inner.report, &self.inner.policy)])
    }

    /// The SHA-256 of the file's bytes, which are read in full for it.
    #[napi(ts_return_type = "Promise<string | Failure | null>", catch_unwind)]
    pub fn sha256(&self, interest: &Interest) -> AsyncTask<Work<String>> {
        let judgement = self.clone();
        Work::begin(interest, move || {
            let hash = match &judgement.inner.recall {
                Some(recall) => recall.sha256(),
                None => Source::open(Path::new(&judgement.inner.report.path))
                    .and_then(|source| Source::recall(&Arc::new(source)).sha256()),
            };
            hash.map_err(|error| Failure::new(&error, Some(judgement)))
        })
    }
}

impl Judgement {
    pub(crate) fn new(report: Report, policy: &secure_torch::Policy, source: &Arc<Source>) -> Self {
        let recall = Some(Source::recall(source));
        Self { inner: Arc::new(Inner { report, policy: policy.clone(), recall }) }
    }

    /// The judgement of a file that was opened elsewhere.
    pub(crate) fn of_path(report: Report, policy: &secure_torch::Policy) -> Self {
        let recall = Source::open(Path::new(&report.path)).ok();
        let recall = recall.map(|source| Source::recall(&Arc::new(source)));
        Self { inner: Arc::new(Inner { report, policy: policy.clone(), recall }) }
    }
}

fn judged(given: Given, policy: &secure_torch::Policy) -> Result<Judgement, Error> {
    let source = Arc::new(given.open()?);
    // A file is also asked for what it refers to, and its neighbours for what it is.
    let report = secure_torch::scan_opened(&source, policy);
    report.map(|report| Judgement::new(report, policy, &source))
}

/// Judges a file.
#[napi(catch_unwind)]
pub fn scan_sync(input: &mut Input, policy: &Policy) -> napi::Result<Either<Judgement, Failure>> {
    let judged = judged(input.take()?, &policy.inner);
    Ok(judged.map_or_else(|error| Either::B(error.into()), Either::A))
}

/// Judges a file on the thread pool.
#[napi(ts_return_type = "Promise<Judgement | Failure | null>", catch_unwind)]
pub fn scan(
    input: &mut Input,
    policy: &Policy,
    interest: &Interest,
) -> napi::Result<AsyncTask<Work<Judgement>>> {
    let (given, policy) = (input.take()?, policy.inner.clone());
    Ok(Work::begin(interest, move || Ok(judged(given, &policy)?)))
}
