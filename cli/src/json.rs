//! JSON for pipelines: ASCII, so that no terminal on the way obeys a byte of it.

use std::io::{self, Write};

use secure_torch::Report;
use secure_torch::report::RulesInfo;
use serde::Serialize;

use crate::errors::Problem;
use crate::output::is_terminal;

/// The document that `spec/report.schema.json` describes.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    rules: RulesInfo,
    reports: &'d [Report],
    errors: &'d [Problem],
}

impl<'d> Document<'d> {
    /// The document of a scan.
    pub(crate) const fn new(reports: &'d [Report], errors: &'d [Problem]) -> Self {
        Self { schema: secure_torch::SCHEMA, rules: RulesInfo::CURRENT, reports, errors }
    }
}

/// Prints a value and a newline: indented for a terminal, on one line for a program.
pub(crate) fn print(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let text = if is_terminal() {
        serde_json::to_string_pretty(value)?
    } else {
        serde_json::to_string(value)?
    };
    line(&text, out)
}

/// Prints serialized JSON as one line.
pub(crate) fn line(text: &str, out: &mut impl Write) -> io::Result<()> {
    out.write_all(ascii(text).as_bytes())?;
    out.write_all(b"\n")
}

/// The same JSON with every character escaped that is not printable ASCII. Such characters
/// stand only inside strings, where `\u` means the same.
pub(crate) fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~' | '\n') {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn escapes_change_the_spelling_and_not_the_value() {
        let value = json!({"模": "a\u{9b}2J\u{7f}\u{1b}[0m\u{202e}😀\n"});
        for text in [value.to_string(), format!("{value:#}")] {
            let escaped = ascii(&text);
            assert!(escaped.chars().all(|c| matches!(c, ' '..='~' | '\n')));
            assert_eq!(serde_json::from_str::<Value>(&escaped).ok().as_ref(), Some(&value));
        }
    }
}
