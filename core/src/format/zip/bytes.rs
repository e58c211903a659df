//! Little-endian reads that cannot fail loudly.
//!
//! Every read is a question with the answer `None` when the bytes are not there; no offset
//! arithmetic wraps, and nothing here panics.

use core::ops::Range;

/// The two bytes at `at`, little-endian.
#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(found.try_into().ok()?))
}

/// The four bytes at `at`, little-endian.
#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(found.try_into().ok()?))
}

/// The eight bytes at `at`, little-endian.
#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(found.try_into().ok()?))
}

/// `length` bytes from the absolute `offset`, or nothing when they are not all there.
#[inline]
pub(super) fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(length)?).ok()?;
    bytes.get(start..end)
}

/// The bytes of an absolute range, or nothing when they are not all there.
#[inline]
pub(super) fn range(bytes: &[u8], range: Range<u64>) -> Option<&[u8]> {
    slice(bytes, range.start, range.end.checked_sub(range.start)?)
}

/// Whether the four bytes at the absolute `offset` are `signature`.
#[inline]
pub(super) fn signed(bytes: &[u8], offset: u64, signature: [u8; 4]) -> bool {
    slice(bytes, offset, 4).is_some_and(|found| found == signature)
}

/// A length as an offset: no supported target has a `usize` wider than 64 bits.
#[inline]
pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
