//! The documents of `spec/vectors/`, and the bytes that a vector describes.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The folder of the vectors.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors")
}

/// Every document, in the order of their names, as far as the caller looks at them.
pub(crate) fn documents<T: DeserializeOwned>() -> Vec<T> {
    let mut paths: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().is_some_and(|name| name != "schema.json"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    paths.iter().map(read).collect()
}

/// A step of a recipe: bytes in hexadecimal, and how often they stand there.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    Hex(String, String),
    Repeat(String, String, usize),
}

impl Step {
    fn expand(&self) -> Vec<u8> {
        match self {
            Self::Hex(kind, digits) if kind == "hex" => unhex(digits),
            Self::Repeat(kind, digits, count) if kind == "repeat" => unhex(digits).repeat(*count),
            Self::Hex(kind, ..) | Self::Repeat(kind, ..) => panic!("no such step: {kind}"),
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The bytes of base64 or of a recipe; nothing where there is neither, or both.
pub(crate) fn content(input: Option<&str>, recipe: Option<&[Step]>) -> Option<Vec<u8>> {
    match (input, recipe) {
        (Some(input), None) => {
            Some(base64::engine::general_purpose::STANDARD.decode(input).unwrap())
        }
        (None, Some(steps)) => Some(steps.iter().flat_map(Step::expand).collect()),
        _ => None,
    }
}
