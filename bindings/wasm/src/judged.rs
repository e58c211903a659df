//! `scan`, and the judgement that it gives.

use secure_torch::{Report, Source};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::policy::Policy;

/// The judgement of one file, as texts. `Report` in `npm/api.js` is its face.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Judged {
    report: Report,
    policy: secure_torch::Policy,
}

impl Judged {
    pub(crate) fn new(report: Report, policy: &secure_torch::Policy) -> Self {
        Self { report, policy: policy.clone() }
    }
}

#[wasm_bindgen]
impl Judged {
    /// The report as JSON, in the form of `spec/report.schema.json`.
    pub fn json(&self) -> String {
        self.report.json()
    }

    /// The report as a SARIF 2.1.0 log.
    pub fn sarif(&self) -> String {
        secure_torch::sarif(&[(&self.report, &self.policy)])
    }
}

/// Judges bytes under a name.
#[wasm_bindgen]
pub fn scan(name: &str, bytes: Vec<u8>, policy: &Policy) -> Judged {
    let source = Source::from_bytes(name, bytes);
    Judged::new(secure_torch::scan(&source, &policy.inner), &policy.inner)
}
