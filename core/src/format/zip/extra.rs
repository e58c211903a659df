//! Extra fields (APPNOTE 4.5): the list of tagged blocks behind a header's name, and the ZIP64
//! block in it.
//!
//! Yields the blocks that are whole and says whether anything is left over; gives no meaning
//! to tags that no reader acts on.

use super::bytes::{u16_at, u32_at, u64_at};

/// Extra field tags that change what a reader sees.
pub(super) mod tag {
    /// ZIP64 sizes and offset, APPNOTE 4.5.3.
    pub(in super::super) const ZIP64: u16 = 0x0001;
    /// Strong encryption header, APPNOTE 4.5.12.
    pub(in super::super) const STRONG_ENCRYPTION: u16 = 0x0017;
    /// Info-ZIP Unicode path, APPNOTE 4.6.9.
    pub(in super::super) const UNICODE_PATH: u16 = 0x7075;
    /// AES encryption, the WinZip specification.
    pub(in super::super) const AES: u16 = 0x9901;
}

/// One tagged block of an extra field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraField<'a> {
    /// The tag, for example `0x0001` for ZIP64.
    pub tag: u16,
    /// What the block holds.
    pub data: &'a [u8],
}

/// The tagged blocks of an extra field, in order.
#[derive(Clone, Copy, Debug)]
pub struct ExtraFields<'a> {
    rest: &'a [u8],
}

impl<'a> ExtraFields<'a> {
    pub(super) fn new(extra: &'a [u8]) -> Self {
        Self { rest: extra }
    }

    /// What does not make up a block. Call it on an iterator that has ended.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for ExtraFields<'a> {
    type Item = ExtraField<'a>;

    fn next(&mut self) -> Option<ExtraField<'a>> {
        let tag = u16_at(self.rest, 0)?;
        let size = usize::from(u16_at(self.rest, 2)?);
        let end = size.checked_add(4)?;
        let data = self.rest.get(4..end)?;
        self.rest = self.rest.get(end..)?;
        Some(ExtraField { tag, data })
    }
}

/// The sizes and the offset of an entry, before or after ZIP64 has had its say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) uncompressed: u64,
    pub(super) compressed: u64,
    pub(super) offset: u64,
    pub(super) disk: u32,
}

/// What the ZIP64 block of a header did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zip64Use {
    /// No size and no offset asks for one, whether or not there is one.
    Unasked,
    /// It is there and holds at least what was asked of it.
    Present,
    /// A 32-bit field asks for it, but it is missing or too short.
    Short,
}

const ASKS: u64 = 0xFFFF_FFFF;
const ASKS_DISK: u32 = 0xFFFF;

impl Numbers {
    /// Replaces each number that asks for it by the one in the first ZIP64 block, in the fixed
    /// order of APPNOTE 4.5.3. A number that asks in vain stays as it is.
    #[inline]
    pub(super) fn resolve(self, extra: &[u8]) -> (Self, Zip64Use) {
        let asks = self.uncompressed == ASKS || self.compressed == ASKS || self.offset == ASKS;
        if !asks && self.disk != ASKS_DISK {
            return (self, Zip64Use::Unasked);
        }
        let block = ExtraFields::new(extra).find(|field| field.tag == tag::ZIP64);
        let Some(block) = block else {
            let state = if asks { Zip64Use::Short } else { Zip64Use::Unasked };
            return (self, state);
        };
        let mut resolved = self;
        let mut at = 0_usize;
        let mut state = Zip64Use::Present;
        for number in [&mut resolved.uncompressed, &mut resolved.compressed, &mut resolved.offset] {
            if *number != ASKS {
                continue;
            }
            match u64_at(block.data, at) {
                Some(value) => *number = value,
                None => state = Zip64Use::Short,
            }
            at = at.saturating_add(8);
        }
        if resolved.disk == ASKS_DISK {
            match u32_at(block.data, at) {
                Some(value) => resolved.disk = value,
                None => state = Zip64Use::Short,
            }
        }
        (resolved, state)
    }
}

/// Whether every number in a ZIP64 block is one of the entry's own, in the order of APPNOTE
/// 4.5.3. Writers differ in which ones they put there: CPython writes both sizes, miniz's
/// writer puts the header offset alone into a local header, Info-ZIP writes zeros that a data
/// descriptor makes good (`streamed`). A number that is none of these belongs to another view
/// of the entry, which a reader that trusts the block would take.
pub(super) fn zip64_agrees(data: &[u8], truth: Numbers, streamed: bool) -> bool {
    let expected =
        [(truth.uncompressed, streamed), (truth.compressed, streamed), (truth.offset, false)];
    let mut expected = expected.iter();
    let words = data.chunks_exact(8);
    let rest = words.remainder();
    let words_agree = words
        .filter_map(|word| u64_at(word, 0))
        .all(|word| expected.any(|&(value, zero)| word == value || (zero && word == 0)));
    let rest_agrees = match rest.len() {
        0 => true,
        4 => u32_at(rest, 0) == Some(truth.disk),
        _ => false,
    };
    words_agree && rest_agrees
}
