//! `Policy`: what the caller lets through.

use std::path::Path;

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::errors::{thrown, unusable};

/// What is let through: a score, names of globals, and limits, or what a `secure-torch.toml` says.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Policy {
    pub(crate) inner: secure_torch::Policy,
}

#[wasm_bindgen]
impl Policy {
    /// The default policy.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The policy in the text of a `secure-torch.toml`, on the day that is so many days after
    /// 1970-01-01: WebAssembly has no clock.
    #[wasm_bindgen(js_name = fromToml)]
    pub fn from_toml(text: &str, days: u32) -> Result<Self, JsValue> {
        let inner = secure_torch::Policy::from_toml_on(text, Path::new(""), days.into());
        inner.map(|inner| Self { inner }).map_err(|error| thrown(&error))
    }

    /// Sets the highest score that is let through.
    #[wasm_bindgen(js_name = setMaxThreatScore)]
    pub fn set_max_threat_score(&mut self, score: u8) {
        self.inner.max_threat_score = score;
    }

    /// Allows a global beyond the rules.
    pub fn allow(&mut self, name: &str) -> Result<(), JsValue> {
        let name = name.parse().map_err(|error| thrown(&error))?;
        self.inner.allow.push(name);
        Ok(())
    }

    /// Sets a limit.
    #[wasm_bindgen(js_name = setLimit)]
    pub fn set_limit(&mut self, name: &str, value: u64) -> Result<(), JsValue> {
        if self.inner.limits.set(name, value) {
            return Ok(());
        }
        let name = secure_torch::text::printable(name);
        Err(unusable(&format!("no limit `{name}` takes the value {value}")))
    }
}
