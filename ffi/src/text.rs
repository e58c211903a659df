//! Text on its way out.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use crate::boundary::tell;
use crate::input::bytes;

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

/// Writes a text of a file's so that it is safe to print: what could move a cursor, hide or reorder text
/// becomes `\u{…}`, and what is not UTF-8 the replacement character. Names, places and the JSON of a report
/// are as the file has them; messages, reasons and findings are safe as they are.
///
/// Gives how many bytes were written: at most `capacity`, of whole characters, without a zero byte behind
/// them.
///
/// # Safety
/// `text` is NULL or leads to `length` bytes, and `printable` to `capacity` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_text_printable(
    text: *const c_char,
    length: usize,
    printable: *mut c_char,
    capacity: usize,
) -> usize {
    tell(0, || {
        // No character takes fewer bytes in print, so that what is behind has no room; and the last one
        // that has is whole.
        let length = length.min(capacity.saturating_add(3));
        // SAFETY: as the caller says; no more bytes than there are.
        let Ok(given) = (unsafe { bytes("text", text.cast(), length) }) else { return 0 };
        if printable.is_null() || isize::try_from(capacity).is_err() {
            return 0;
        }
        // SAFETY: as the caller says, and it is neither NULL nor longer than an object can be.
        let room = unsafe {
            std::slice::from_raw_parts_mut(printable.cast::<MaybeUninit<u8>>(), capacity)
        };
        let shown = secure_torch::text::visible(&String::from_utf8_lossy(given));
        let end = (0..=shown.len().min(capacity)).rev().find(|&at| shown.is_char_boundary(at));
        let shown = shown.as_bytes().get(..end.unwrap_or(0)).unwrap_or_default();
        for (place, &byte) in room.iter_mut().zip(shown) {
            place.write(byte);
        }
        shown.len()
    })
}
