//! The file as a row of numbers and strings, in the byte order that its version shows.

use super::Kind;

/// Why the walk cannot go on, or what it came upon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken<'a> {
    pub(super) kind: Kind,
    pub(super) offset: u64,
    pub(super) subject: &'a [u8],
}

/// What is left of the file.
pub(super) struct Bytes<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
    /// How many bytes of the file stand behind those.
    behind: u64,
    /// Whether one of them was wanted.
    cut: bool,
    big: bool,
}

impl<'a> Bytes<'a> {
    /// The first bytes of a file that has `length` of them.
    pub(super) fn new(whole: &'a [u8], length: u64) -> Self {
        let behind = length.saturating_sub(self::length(whole));
        Self { whole, rest: whole, behind, cut: false, big: false }
    }

    /// Whether bytes of the file were wanted that are not here.
    pub(super) const fn cut(&self) -> bool {
        self.cut
    }

    /// Reads numbers in the other byte order from here on.
    pub(super) fn turn(&mut self) {
        self.big = !self.big;
    }

    /// How many bytes of the file are left.
    pub(super) fn left(&self) -> u64 {
        length(self.rest).saturating_add(self.behind)
    }

    /// Where the next byte is in the file.
    pub(super) fn offset(&self) -> u64 {
        length(self.whole).saturating_sub(length(self.rest))
    }

    /// Where a part of the file starts.
    pub(super) fn place(&self, part: &[u8]) -> u64 {
        let start = part.as_ptr().addr().saturating_sub(self.whole.as_ptr().addr());
        u64::try_from(start).unwrap_or(u64::MAX)
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], Broken<'a>> {
        let offset = self.offset();
        self.cut |= count > length(self.rest) && count <= self.left();
        let parts = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let (taken, rest) = parts.ok_or(Broken { kind: Kind::Short, offset, subject: b"" })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Broken<'a>> {
        let bytes = self.take(4)?.first_chunk().copied().unwrap_or_default();
        Ok(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn u64(&mut self) -> Result<u64, Broken<'a>> {
        let bytes = self.take(8)?.first_chunk().copied().unwrap_or_default();
        Ok(if self.big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A length, and so many bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Broken<'a>> {
        let offset = self.offset();
        let count = self.u64()?;
        self.take(count).map_err(|broken| Broken { kind: Kind::Count, offset, ..broken })
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
