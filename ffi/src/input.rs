//! Arguments on their way in: bytes, text and paths, each a pointer and a length.

use std::borrow::Cow;
use std::ffi::c_char;
use std::path::Path;
use std::slice;
use std::str;

use crate::boundary::Failure;
use crate::policy::Policy;

/// Bytes that C passes. No bytes may be NULL.
///
/// # Safety
/// `data` is NULL or the first of `length` bytes that nobody changes as long as `'a`.
pub(crate) unsafe fn bytes<'a>(
    name: &str,
    data: *const u8,
    length: usize,
) -> Result<&'a [u8], Failure> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::usage(format!("`{name}` is NULL, and its length is {length}")));
    }
    if isize::try_from(length).is_err() {
        return Err(Failure::usage(format!("`{name}` has a length that no memory has: {length}")));
    }
    // SAFETY: it is not NULL, no longer than an object can be, and the caller says the rest.
    Ok(unsafe { slice::from_raw_parts(data, length) })
}

/// Text that C passes.
///
/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn text<'a>(
    name: &str,
    data: *const c_char,
    length: usize,
) -> Result<&'a str, Failure> {
    // SAFETY: as the caller says.
    let bytes = unsafe { bytes(name, data.cast(), length) }?;
    str::from_utf8(bytes).map_err(|error| {
        Failure::usage(format!("`{name}` is not UTF-8 at byte {}", error.valid_up_to()))
    })
}

/// A path that C passes: the system's bytes on Unix, UTF-8 elsewhere.
///
/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn path<'a>(
    name: &str,
    data: *const c_char,
    length: usize,
) -> Result<&'a Path, Failure> {
    #[cfg(unix)]
    let path = {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        // SAFETY: as the caller says.
        Path::new(OsStr::from_bytes(unsafe { bytes(name, data.cast(), length) }?))
    };
    #[cfg(not(unix))]
    // SAFETY: as the caller says.
    let path = Path::new(unsafe { text(name, data, length) }?);
    if path.as_os_str().is_empty() {
        return Err(Failure::usage(format!("`{name}` is empty")));
    }
    Ok(path)
}

/// The policy of a handle; the default one for NULL.
pub(crate) fn policy(given: Option<&Policy>) -> Cow<'_, secure_torch::Policy> {
    match given {
        Some(policy) => Cow::Borrowed(&policy.inner),
        None => Cow::Owned(secure_torch::Policy::default()),
    }
}
