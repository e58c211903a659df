//! The gate in a browser.
//!
//! It converts arguments, calls the gateway, and converts what comes back. It judges nothing and
//! reads no format. JavaScript gives it bytes, or a function that reads slices; it opens nothing
//! and sends nothing. `npm/` holds the JavaScript around it.

mod errors;
mod judged;
mod opened;
mod policy;

pub use judged::scan;

use wasm_bindgen::prelude::wasm_bindgen;

/// Every rule, band, family, limit and allowed name, as one JSON object.
#[wasm_bindgen]
pub fn rules() -> String {
    secure_torch::rules_json()
}

/// The version of the package and of the engine in it.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
