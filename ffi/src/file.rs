//! What of a report is about the file's content: the globals that its pickles ask for, and its parts.

use std::mem::MaybeUninit;

use crate::boundary::{fill, given};
use crate::error::Error;
use crate::library::ResultNumber;
use crate::report::{Report, item};
use crate::text::Str;

/// A global that a pickle asks for. Its texts belong to the report.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Global {
    /// The module as the stream names it: not safe to print.
    pub module: Str,
    /// The name as the stream spells it: not safe to print.
    pub name: Str,
    /// What Python 3 would import. Safe to print.
    pub python3: Str,
    /// `allowed`, `dangerous` or `unknown`.
    pub classification: Str,
    /// The family of a dangerous one; empty for others.
    pub family: Str,
    /// The part that asks for it.
    pub path: Str,
    /// Where the part first asks for it.
    pub offset: u64,
    /// How often what it gives is called.
    pub call_count: u64,
}

/// A part of the file that was judged: the file itself, or a member of a container. Its texts belong
/// to the report.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// The member's path, empty for the file itself.
    pub path: Str,
    /// What it is.
    pub format: Str,
    /// Its length in bytes, unpacked.
    pub size_bytes: u64,
}

/// How many globals the pickles of the file ask for.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_global_count(report: Option<&Report>) -> usize {
    report.map_or(0, |report| report.inner.globals.len())
}

/// A global that a pickle of the file asks for.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_global(
    report: Option<&Report>,
    index: usize,
    global: Option<&mut MaybeUninit<Global>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("global", global, error, || {
        let report = given(report, "report")?;
        let found = item(&report.inner.globals, index, "globals")?;
        Ok(Global {
            module: Str::from(found.module.as_str()),
            name: Str::from(found.name.as_str()),
            python3: Str::from(found.python3.as_str()),
            classification: Str::from(found.class),
            family: Str::of(found.family),
            path: Str::from(found.path.as_str()),
            offset: found.offset,
            call_count: found.call_count,
        })
    })
}

/// How many parts of the file were judged.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_part_count(report: Option<&Report>) -> usize {
    report.map_or(0, |report| report.inner.parts.len())
}

/// A part of the file that was judged.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_part(
    report: Option<&Report>,
    index: usize,
    part: Option<&mut MaybeUninit<Part>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("part", part, error, || {
        let found = item(&given(report, "report")?.inner.parts, index, "parts")?;
        Ok(Part {
            path: Str::from(found.path.as_str()),
            format: Str::from(found.format),
            size_bytes: found.size_bytes,
        })
    })
}
