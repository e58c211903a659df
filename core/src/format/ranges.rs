//! A file of which pieces are asked for: what a reader needs where nobody holds all of it.
//!
//! The core reads no files. Who does gives out each piece and keeps it; a piece that is not in the
//! file is nothing, as behind the end of a slice. Whoever cannot read a piece that is there also
//! gives nothing, remembers that, and believes no answer that came of it.

use core::fmt::Debug;
use core::ops::Range;

/// A file of which pieces are asked for.
pub trait Ranges: Debug {
    /// How many bytes the file has.
    fn length(&self) -> u64;

    /// `length` bytes from `offset` on; nothing where they are not all in the file.
    fn piece(&self, offset: u64, length: u64) -> Option<&[u8]>;
}

impl Ranges for &[u8] {
    fn length(&self) -> u64 {
        wide(self.len())
    }

    fn piece(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = usize::try_from(offset.checked_add(length)?).ok()?;
        self.get(start..end)
    }
}

/// The bytes of a file: in memory, or to be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes<'a> {
    Held(&'a [u8]),
    Asked(&'a dyn Ranges),
}

impl<'a> Bytes<'a> {
    #[inline]
    pub(super) fn length(self) -> u64 {
        match self {
            Self::Held(bytes) => wide(bytes.len()),
            Self::Asked(ranges) => ranges.length(),
        }
    }

    /// `length` bytes from the absolute `offset`, or nothing when they are not all there.
    #[inline]
    pub(super) fn slice(self, offset: u64, length: u64) -> Option<&'a [u8]> {
        match self {
            Self::Held(bytes) => {
                let start = usize::try_from(offset).ok()?;
                let end = usize::try_from(offset.checked_add(length)?).ok()?;
                bytes.get(start..end)
            }
            Self::Asked(ranges) => ranges.piece(offset, length),
        }
    }

    /// The bytes of an absolute range, or nothing when they are not all there.
    #[inline]
    pub(super) fn range(self, range: Range<u64>) -> Option<&'a [u8]> {
        self.slice(range.start, range.end.checked_sub(range.start)?)
    }

    /// Whether the four bytes at the absolute `offset` are `signature`.
    #[inline]
    pub(super) fn signed(self, offset: u64, signature: [u8; 4]) -> bool {
        self.slice(offset, 4).is_some_and(|found| found == signature)
    }
}

/// A length as an offset: no supported target has a `usize` wider than 64 bits.
fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
