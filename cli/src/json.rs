//! JSON for pipelines: ASCII, so that no terminal on the way obeys a byte of it.

use std::io::{self, Write};

use secure_torch::Report;
use secure_torch::report::RulesInfo;
use secure_torch::text::ascii_json;
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
    out.write_all(ascii_json(text).as_bytes())?;
    out.write_all(b"\n")
}
