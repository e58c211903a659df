//! Converting: a model file becomes a safetensors file.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use secure_torch::{ConvertOptions as Options, Converted};

use crate::boundary::{Failure, end, enter, fill, given, make, tell};
use crate::error::Error;
use crate::input::{self, path, text};
use crate::library::ResultNumber;
use crate::load::LoadOptions;
use crate::policy::Policy;
use crate::report::{Report, item};
use crate::text::Str;

/// How a file is converted. A function that takes one takes NULL too, for the defaults.
///
/// Ownership: yours; end it with secure_torch_convert_options_free(). Threads: as for a policy.
#[derive(Debug, Default)]
pub struct ConvertOptions {
    inner: Options,
}

/// The defaults. NULL only where the library itself failed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_convert_options_new() -> Option<Box<ConvertOptions>> {
    tell(None, || Some(Box::default()))
}

/// The part to convert: the keys that lead to it, joined by dots. All of it for an empty one, as by
/// default.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
///
/// # Safety
/// `key` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_convert_options_set_key(
    options: Option<&mut ConvertOptions>,
    key: *const c_char,
    length: usize,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        let options = given(options, "options")?;
        // SAFETY: as the caller says.
        let key = unsafe { text("key", key, length) }?;
        options.inner.key = Some(key.to_owned()).filter(|key| !key.is_empty());
        Ok(())
    })
}

/// Whether to leave out what is no tensor, and count it. It is an error otherwise, and by default.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_convert_options_set_drop_rest(
    options: Option<&mut ConvertOptions>,
    drop_rest: bool,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        given(options, "options")?.inner.drop_rest = drop_rest;
        Ok(())
    })
}

/// Whether to write a tensor that has several names once for each of them. By default it is written
/// once, and the metadata says which name stands for which.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_convert_options_set_duplicate_shared(
    options: Option<&mut ConvertOptions>,
    duplicate_shared: bool,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        given(options, "options")?.inner.duplicate_shared = duplicate_shared;
        Ok(())
    })
}

/// Whether to replace the file that is written, if it is there. Not by default.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_convert_options_set_force(
    options: Option<&mut ConvertOptions>,
    force: bool,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        given(options, "options")?.inner.force = force;
        Ok(())
    })
}

/// Ends options. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_convert_options_free(options: Option<Box<ConvertOptions>>) {
    end(options);
}

/// What was converted.
///
/// Ownership: yours; end it with secure_torch_conversion_free(). Threads: it never changes, and any
/// number of them may read it.
#[derive(Debug)]
pub struct Conversion {
    told: Converted,
    report: Report,
}

/// Judges a file, loads it, and writes its tensors to a new safetensors file, which is read back and
/// compared before it takes its name. `policy`, `loading` and `options` may be NULL.
///
/// Errors: those of secure_torch_load_path(), SECURE_TORCH_RESULT_MODEL_INCONVERTIBLE,
/// SECURE_TORCH_RESULT_IO_EXISTS, SECURE_TORCH_RESULT_IO_WRITE_FAILED. Nothing is half-written.
///
/// # Safety
/// Each pointer is NULL or leads to as many bytes as its length says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_convert_path(
    file: *const c_char,
    file_length: usize,
    written: *const c_char,
    written_length: usize,
    policy: Option<&Policy>,
    loading: Option<&LoadOptions>,
    options: Option<&ConvertOptions>,
    conversion: Option<&mut MaybeUninit<*mut Conversion>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("conversion", conversion, error, || {
        // SAFETY: as the caller says.
        let file = unsafe { path("file", file, file_length) }?;
        // SAFETY: as the caller says.
        let written = unsafe { path("written", written, written_length) }?;
        let policy = input::policy(policy);
        let loading = loading.map(|options| options.inner).unwrap_or_default();
        let options = options.map(|options| options.inner.clone()).unwrap_or_default();
        let done = secure_torch::convert_path(file, written, &policy, &loading, &options, &());
        let (told, report) = done.map_err(|failed| Failure::load(failed, &policy))?;
        Ok(Conversion { told, report: Report::new(report, &policy) })
    })
}

/// How many tensors were written.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_tensors(conversion: Option<&Conversion>) -> u64 {
    conversion.map_or(0, |conversion| conversion.told.tensors)
}

/// The length of the file that was written, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_bytes(conversion: Option<&Conversion>) -> u64 {
    conversion.map_or(0, |conversion| conversion.told.bytes)
}

/// How many values were left out because they are no tensors.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_dropped(conversion: Option<&Conversion>) -> u64 {
    conversion.map_or(0, |conversion| conversion.told.dropped)
}

/// The name of one of the first values that were left out: not safe to print. Empty past the last
/// that is named.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_dropped_name(
    conversion: Option<&Conversion>,
    index: usize,
) -> Str {
    Str::of(conversion.and_then(|made| made.told.dropped_first.get(index)).map(String::as_str))
}

/// A name that was not written because another one has the same tensor. Its texts belong to the
/// conversion.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Tied {
    /// The name that was not written.
    pub name: Str,
    /// The one that stands for it.
    pub written: Str,
}

/// How many names were not written because another one has the same tensor.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_tied_count(conversion: Option<&Conversion>) -> usize {
    conversion.map_or(0, |conversion| conversion.told.tied.len())
}

/// A name that was not written because another one has the same tensor.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_tied(
    conversion: Option<&Conversion>,
    index: usize,
    tied: Option<&mut MaybeUninit<Tied>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("tied", tied, error, || {
        let told = &given(conversion, "conversion")?.told;
        let (name, written) = item(&told.tied, index, "names")?;
        Ok(Tied { name: Str::from(name.as_str()), written: Str::from(written.as_str()) })
    })
}

/// The judgement of the file.
///
/// Ownership: that of the conversion. It is valid as long as that is, and must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_report(
    conversion: Option<&Conversion>,
) -> Option<&Report> {
    conversion.map(|conversion| &conversion.report)
}

/// Ends a conversion. NULL is fine. The file stays.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_conversion_free(conversion: Option<Box<Conversion>>) {
    end(conversion);
}
