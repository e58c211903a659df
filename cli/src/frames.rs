//! `globals --stdin-frames`: the globals of many streams, for tests that compare us with
//! CPython's unpicklers.
//!
//! Each frame of standard input is a length (four bytes, little-endian) and a pickle stream;
//! each answer is one line of JSON on standard output, written before the next frame is read.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};

use secure_torch::{Policy, Source};
use serde_json::json;

use crate::args::GlobalsArgs;
use crate::errors::Problem;
use crate::json;

/// Runs the command.
pub(crate) fn run(_args: &GlobalsArgs) -> u8 {
    let mut input = io::BufReader::new(io::stdin().lock());
    let mut out = io::BufWriter::new(io::stdout().lock());
    match answers(&mut input, &mut out) {
        Ok(()) => 0,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => 0,
        Err(error) => {
            Problem::output(&error).tell();
            2
        }
    }
}

fn answers(input: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let policy = Policy::default();
    while let Some(frame) = frame(input)? {
        let source = Source::from_bytes("stream.pkl", frame);
        let report = secure_torch::scan(&source, &policy);
        let globals: BTreeSet<(&str, &str)> =
            report.globals.iter().map(|g| (g.module.as_str(), g.name.as_str())).collect();
        let rules: Vec<&str> = report.score_breakdown.keys().copied().collect();
        let answer = json!({ "globals": globals, "rules": rules, "error": null });
        json::line(&answer.to_string(), out)?;
        out.flush()?;
    }
    Ok(())
}

/// The next frame; `None` where the input ends between two.
fn frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    // Only an end before the first byte is an end between frames.
    match input.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => input.read_exact(&mut length[1..])?,
    }
    let length = u64::from(u32::from_le_bytes(length));
    // The declared length asks for no memory by itself.
    let mut stream = Vec::new();
    input.by_ref().take(length).read_to_end(&mut stream)?;
    if u64::try_from(stream.len()).unwrap_or(u64::MAX) < length {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "the last frame is cut"));
    }
    Ok(Some(stream))
}
