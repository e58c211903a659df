//! Text on its way out.

use std::ffi::{CStr, c_char};

/// Text: UTF-8, and not ended by a zero byte. It belongs to the handle that it was asked of and is
/// valid as long as that is. Without text, `length` is 0; `data` is never NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// The first byte.
    pub data: *const c_char,
    /// How many bytes there are.
    pub length: usize,
}

impl Default for Str {
    fn default() -> Self {
        const EMPTY: &CStr = c"";
        Self { data: EMPTY.as_ptr(), length: 0 }
    }
}

impl From<&str> for Str {
    // Inlined, the test of the length of a text that is not there is made ahead of the test of whether
    // it is: of no effect, and for Valgrind a jump on what nobody wrote.
    #[inline(never)]
    fn from(text: &str) -> Self {
        // The address of a text without bytes may be any; a caller who prints it wants a real one.
        if text.is_empty() {
            return Self::default();
        }
        Self { data: text.as_ptr().cast(), length: text.len() }
    }
}

impl Str {
    /// The text of something that may not be there.
    pub(crate) fn of(text: Option<&str>) -> Self {
        text.map_or_else(Self::default, Self::from)
    }
}
