//! The command `secure-torch`, which comes with the package, and the tables that judge.

use std::ffi::OsString;

use napi_derive::napi;

/// The version of the package and of the engine in it.
#[napi(catch_unwind)]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Every rule, level, family, limit and allowed global, as JSON.
#[napi(catch_unwind)]
pub fn rules() -> String {
    secure_torch::rules_json()
}

/// Text from anywhere, for a message: what could fool a terminal is escaped.
#[napi(catch_unwind)]
pub fn printable(text: String) -> String {
    secure_torch::text::printable(&text)
}

/// Runs the command with the arguments behind its own name, and gives its exit code.
#[napi(catch_unwind)]
pub fn run(arguments: Vec<String>) -> u8 {
    // Names that are no UTF-8 reach JavaScript garbled: take this process's own where they are these.
    let own: Vec<OsString> = std::env::args_os().collect();
    let own = own.len().checked_sub(arguments.len()).and_then(|first| own.get(first..));
    let same = |own: &&[OsString]| {
        own.iter().map(|word| word.to_string_lossy()).eq(arguments.iter().map(String::as_str))
    };
    let arguments: Vec<OsString> = match own.filter(same) {
        Some(own) => own.to_vec(),
        None => arguments.iter().map(OsString::from).collect(),
    };
    secure_torch_cli::run(std::iter::once(OsString::from("secure-torch")).chain(arguments))
}
