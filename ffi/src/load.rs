//! Loading: a judged file becomes a checkpoint.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use secure_torch::core::load::Python2Text;
use secure_torch::{LoadError, Source};

use crate::boundary::{Failure, Out, clear, end, enter, given, make, put, tell};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::input::{self, bytes, path, text};
use crate::library::ResultNumber;
use crate::policy::Policy;
use crate::report::Report;

/// How a file is loaded. A function that takes one takes NULL too, for the defaults.
///
/// Ownership: yours; end it with secure_torch_load_options_free(). Threads: as for a policy.
#[derive(Debug, Default)]
pub struct LoadOptions {
    pub(crate) inner: secure_torch::LoadOptions,
}

/// How the strings of Python 2 in a pickle are decoded: one of SECURE_TORCH_PYTHON2_TEXT_*.
pub type Python2TextNumber = u32;
/// As UTF-8. The default.
pub const SECURE_TORCH_PYTHON2_TEXT_UTF8: Python2TextNumber = 0;
/// As ASCII.
pub const SECURE_TORCH_PYTHON2_TEXT_ASCII: Python2TextNumber = 1;
/// As Latin-1.
pub const SECURE_TORCH_PYTHON2_TEXT_LATIN1: Python2TextNumber = 2;
/// Not at all: they stay bytes.
pub const SECURE_TORCH_PYTHON2_TEXT_BYTES: Python2TextNumber = 3;

/// The defaults. NULL only where the library itself failed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_load_options_new() -> Option<Box<LoadOptions>> {
    tell(None, || Some(Box::default()))
}

/// Whether to work on a copy of the file that nobody can change, instead of a mapping of the file
/// itself, which shows what others write to it later. Not by default.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_load_options_set_sealed(
    options: Option<&mut LoadOptions>,
    sealed: bool,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        given(options, "options")?.inner.sealed = sealed;
        Ok(())
    })
}

/// Whether to load what the policy blocks as well, for a program that only listens to the report.
/// Nothing of the file is run either way. Not by default.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_load_options_set_audit_only(
    options: Option<&mut LoadOptions>,
    audit_only: bool,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        given(options, "options")?.inner.audit_only = audit_only;
        Ok(())
    })
}

/// How the strings of Python 2 in a pickle are decoded.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_load_options_set_python2_text(
    options: Option<&mut LoadOptions>,
    encoding: Python2TextNumber,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        given(options, "options")?.inner.text = match encoding {
            SECURE_TORCH_PYTHON2_TEXT_UTF8 => Python2Text::Utf8,
            SECURE_TORCH_PYTHON2_TEXT_ASCII => Python2Text::Ascii,
            SECURE_TORCH_PYTHON2_TEXT_LATIN1 => Python2Text::Latin1,
            SECURE_TORCH_PYTHON2_TEXT_BYTES => Python2Text::Bytes,
            other => {
                let message =
                    format!("`encoding` is {other}, which is no SECURE_TORCH_PYTHON2_TEXT_*");
                return Err(Failure::usage(message));
            }
        };
        Ok(())
    })
}

/// Ends options. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_load_options_free(options: Option<Box<LoadOptions>>) {
    end(options);
}

/// Judges a file and loads what it holds, from the same opened bytes; of a folder, the checkpoint in
/// it. `policy` and `options` may be NULL, and so may `report`, which is the judgement.
///
/// The file stays open, and its tensors lie in a private mapping of it: they are not copied.
///
/// Errors: SECURE_TORCH_RESULT_MODEL_BLOCKED where the policy does not let it through,
/// SECURE_TORCH_RESULT_MODEL_MALFORMED, SECURE_TORCH_RESULT_MODEL_UNSUPPORTED,
/// SECURE_TORCH_RESULT_INPUT_TOO_LARGE, and those of reading. secure_torch_error_report() is the
/// judgement then, unless the file could not be read; `*report` is NULL.
///
/// # Safety
/// `file` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_load_path(
    file: *const c_char,
    length: usize,
    policy: Option<&Policy>,
    options: Option<&LoadOptions>,
    checkpoint: Option<&mut MaybeUninit<*mut Checkpoint>>,
    report: Option<&mut MaybeUninit<*mut Report>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    load(policy, checkpoint, report, error, |policy| {
        // SAFETY: as the caller says.
        let file = unsafe { path("file", file, length) }.map_err(Why::Argument)?;
        let options = options.map(|options| options.inner).unwrap_or_default();
        secure_torch::load_path(file, policy, &options).map_err(Why::Loading)
    })
}

/// secure_torch_load_path() of bytes, which the report calls `name`. They are copied.
///
/// # Safety
/// Each pointer is NULL or leads to as many bytes as its length says, and nobody changes them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_load_bytes(
    name: *const c_char,
    name_length: usize,
    data: *const u8,
    length: usize,
    policy: Option<&Policy>,
    options: Option<&LoadOptions>,
    checkpoint: Option<&mut MaybeUninit<*mut Checkpoint>>,
    report: Option<&mut MaybeUninit<*mut Report>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    load(policy, checkpoint, report, error, |policy| {
        // SAFETY: as the caller says.
        let name = unsafe { text("name", name, name_length) }.map_err(Why::Argument)?;
        // SAFETY: as the caller says.
        let data = unsafe { bytes("data", data, length) }.map_err(Why::Argument)?;
        let options = options.map(|options| options.inner).unwrap_or_default();
        let source = Source::from_bytes(name, data.to_vec());
        secure_torch::load(source, policy, &options).map_err(Why::Loading)
    })
}

enum Why {
    Argument(Failure),
    Loading(LoadError),
}

/// What both ways to load do around their own work.
fn load(
    policy: Option<&Policy>,
    checkpoint: Out<'_, *mut Checkpoint>,
    mut report: Out<'_, *mut Report>,
    error: Out<'_, *mut Error>,
    work: impl FnOnce(
        &secure_torch::Policy,
    ) -> Result<(secure_torch::Checkpoint, secure_torch::Report), Why>,
) -> ResultNumber {
    clear(&mut report);
    make("checkpoint", checkpoint, error, || {
        let policy = input::policy(policy);
        let (made, judged) = work(&policy).map_err(|why| match why {
            Why::Argument(failure) => failure,
            Why::Loading(failed) => Failure::load(failed, &policy),
        })?;
        put(report, Report::new(judged, &policy));
        Ok(Checkpoint::new(made))
    })
}
