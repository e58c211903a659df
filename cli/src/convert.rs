//! `convert`: the tensors of a file, in a safetensors file.
//!
//! The gateway judges, converts and reads back (`secure_torch::convert`); this module only says what
//! came of it.

use std::io::{self, Write};

use secure_torch::convert::Converted;
use secure_torch::{ConvertOptions, LoadError, LoadOptions, Policy, Report, convert_source};

use crate::args::{ConvertArgs, When};
use crate::errors::Problem;
use crate::output::{BOLD, Page, closed_is_fine, count, path_text, shown_path, size};
use crate::progress::Bar;
use crate::{file, policy, report};

/// Runs the command.
pub(crate) fn run(args: &ConvertArgs, color: When) -> u8 {
    let path = (args.input.as_os_str() != "-").then_some(args.input.as_path());
    let policy = match policy::of(&args.policy, path) {
        Ok(policy) => policy,
        Err(error) => return failed(&error.into()),
    };
    let (converted, report) = match converted(args, &policy) {
        Ok(done) => done,
        Err(LoadError { report: Some(report), .. }) if !report.load_allowed() => {
            return blocked(&report, &policy, color);
        }
        Err(LoadError { error, .. }) => return failed(&error.into()),
    };
    let mut page = Page::stdout(color);
    let said = say(args, &converted, &report, &mut page).and_then(|()| page.flush());
    match closed_is_fine(said) {
        Ok(()) => 0,
        Err(error) => failed(&Problem::output(&error)),
    }
}

fn converted(args: &ConvertArgs, policy: &Policy) -> Result<(Converted, Report), LoadError> {
    let fail = |error| LoadError { error, report: None };
    let source = file::open(&args.input, policy).map_err(fail)?;
    let options = ConvertOptions {
        key: args.key.clone(),
        drop_rest: args.drop_rest,
        duplicate_shared: args.duplicate_shared,
        force: args.force,
    };
    let loading = LoadOptions { sealed: args.sealed, ..LoadOptions::default() };
    convert_source(source, &args.output, policy, &loading, &options, &Bar::conversion())
}

/// Tells a problem.
pub(crate) fn failed(problem: &Problem) -> u8 {
    problem.tell();
    2
}

/// Prints the report of a file that may not be loaded.
pub(crate) fn blocked(report: &Report, policy: &Policy, color: When) -> u8 {
    let mut page = Page::stdout(color);
    let printed = report::print(report, policy, false, &mut page).and_then(|()| page.flush());
    if let Err(error) = closed_is_fine(printed) {
        Problem::output(&error).tell();
    }
    1
}

fn say<W: Write>(
    args: &ConvertArgs,
    converted: &Converted,
    report: &Report,
    page: &mut Page<W>,
) -> io::Result<()> {
    let mut parts = vec![count(converted.tensors, "tensor", "tensors"), size(converted.bytes)];
    let tied = converted.tied.len() as u64;
    if tied > 0 {
        parts.push(count(tied, "more name in the metadata", "more names in the metadata"));
    }
    if converted.dropped > 0 {
        let dropped =
            count(converted.dropped, "value that is no tensor", "values that are no tensors");
        parts.push(format!("{dropped} left out"));
    }
    let out = page.paint(BOLD, shown_path(&path_text(&args.output)));
    page.line(format_args!("{} -> {out}: {}", shown_path(&report.path), parts.join(", ")))
}
