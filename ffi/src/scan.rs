//! Judging: a path, bytes, a folder.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use secure_torch::{Code, Source};

use crate::boundary::{Failure, end, make};
use crate::error::Error;
use crate::input::{self, path, text};
use crate::library::ResultNumber;
use crate::policy::Policy;
use crate::report::Report;
use crate::text::Str;

/// Judges a file without running anything of it. `policy` may be NULL.
///
/// The files that it refers to are looked at too. A hostile file is a verdict and no error.
///
/// Errors: those of reading (SECURE_TORCH_RESULT_IO_*).
///
/// # Safety
/// `file` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_scan_path(
    file: *const c_char,
    length: usize,
    policy: Option<&Policy>,
    report: Option<&mut MaybeUninit<*mut Report>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("report", report, error, || {
        // SAFETY: as the caller says.
        let file = unsafe { path("file", file, length) }?;
        let policy = input::policy(policy);
        Ok(Report::new(secure_torch::scan_path(file, &policy)?, &policy))
    })
}

/// Judges bytes, which the report calls `name`. They are not copied, and not looked at after the
/// call. `policy` may be NULL.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
///
/// # Safety
/// Each pointer is NULL or leads to as many bytes as its length says, and nobody changes them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_scan_bytes(
    name: *const c_char,
    name_length: usize,
    data: *const u8,
    length: usize,
    policy: Option<&Policy>,
    report: Option<&mut MaybeUninit<*mut Report>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("report", report, error, || {
        // SAFETY: as the caller says.
        let name = unsafe { text("name", name, name_length) }?;
        // SAFETY: as the caller says. They are borrowed for longer than they may be, and the source
        // over them ends in this function: a report holds nothing of it.
        let bytes: &'static [u8] = unsafe { input::bytes("data", data, length) }?;
        let policy = input::policy(policy);
        let source = Source::from_static(name, bytes);
        Ok(Report::new(secure_torch::scan(&source, &policy), &policy))
    })
}

/// The judgements of what lies at and below a path.
///
/// Ownership: yours; end it with secure_torch_reports_free(). Threads: it never changes, and any
/// number of them may read it.
#[derive(Debug)]
pub struct Reports(Vec<Judged>);

#[derive(Debug)]
struct Judged {
    path: String,
    result: Result<Report, Error>,
}

/// Judges a file, or a folder with everything below it, on several threads. `policy` may be NULL.
///
/// What cannot be judged is an error in its place, so this succeeds whatever is there; behind the
/// files of a folder come the repositories in it, each judged as a whole.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
///
/// # Safety
/// `root` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_scan_tree(
    root: *const c_char,
    length: usize,
    policy: Option<&Policy>,
    reports: Option<&mut MaybeUninit<*mut Reports>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("reports", reports, error, || {
        // SAFETY: as the caller says.
        let root = unsafe { path("root", root, length) }?;
        let policy = input::policy(policy);
        let found = secure_torch::scan_paths(&[root.to_owned()], &policy, &());
        let judged = found.into_iter().map(|(path, result)| Judged {
            path: path.to_string_lossy().into_owned(),
            result: result
                .map(|report| Report::new(report, &policy))
                .map_err(|error| Error::new(error.into())),
        });
        Ok(Reports(judged.collect()))
    })
}

fn judged(reports: Option<&Reports>, index: usize) -> Option<&Judged> {
    reports?.0.get(index)
}

/// How many files and repositories there are.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_reports_count(reports: Option<&Reports>) -> usize {
    reports.map_or(0, |reports| reports.0.len())
}

/// The path of one of them, as far as it is UTF-8: not safe to print. Empty past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_reports_path(reports: Option<&Reports>, index: usize) -> Str {
    Str::of(judged(reports, index).map(|judged| judged.path.as_str()))
}

/// The judgement of one of them; NULL where there is an error instead, and past the last.
///
/// Ownership: that of the reports. It is valid as long as they are, and must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_reports_report(
    reports: Option<&Reports>,
    index: usize,
) -> Option<&Report> {
    judged(reports, index)?.result.as_ref().ok()
}

/// Why one of them could not be judged; NULL where it was, and past the last.
///
/// Ownership: that of the reports. It is valid as long as they are, and must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_reports_error(
    reports: Option<&Reports>,
    index: usize,
) -> Option<&Error> {
    judged(reports, index)?.result.as_ref().err()
}

/// Ends the judgements. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_reports_free(reports: Option<Box<Reports>>) {
    end(reports);
}

/// Judges who signed a file. No release can do that yet.
///
/// Errors: SECURE_TORCH_RESULT_FEATURE_MISSING, always.
///
/// # Safety
/// `file` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_verify_path(
    file: *const c_char,
    length: usize,
    policy: Option<&Policy>,
    report: Option<&mut MaybeUninit<*mut Report>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("report", report, error, || {
        let _ = policy;
        // SAFETY: as the caller says.
        unsafe { path("file", file, length) }?;
        let message = "this release cannot verify signatures";
        Err(Failure::of(Code::Feature, message))
    })
}
