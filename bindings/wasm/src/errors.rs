//! Errors of the gateway as `SecureTorchError`.

use secure_torch::{Code, Error};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

#[wasm_bindgen(raw_module = "./errors.js")]
extern "C" {
    /// Makes a `SecureTorchError`.
    fn raised(code: &str, message: &str, hint: &str) -> JsValue;
}

/// The exception for an error.
pub(crate) fn thrown(error: &Error) -> JsValue {
    raised(error.code().name(), &error.to_string(), error.hint())
}

/// The exception for an argument of the policy that cannot be used.
pub(crate) fn unusable(message: &str) -> JsValue {
    let code = Code::Policy;
    raised(code.name(), &format!("the policy is not valid: {message}"), code.hint())
}
