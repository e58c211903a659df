//! What a GGUF file says of its tensors, and where they lie.

use super::bytes::Broken;
use super::{Kind, Walk};
use crate::format::store::Store;

/// Bytes of the shortest description: a name's length, no dimension, a type, an offset.
pub(super) const SHORTEST: u64 = 8 + 4 + 4 + 8;

/// The most dimensions (`GGML_MAX_DIMS`).
const DIMENSIONS: u32 = 4;

/// A name and the NUL behind it take no more (`GGML_MAX_NAME`).
const NAME: usize = 64;

/// Elements in a block, and bytes of a block (`type_traits` in `ggml/src/ggml.c`). What is missing
/// between the numbers was removed, or is none.
const fn block(element: u32) -> Option<(u64, u64)> {
    Some(match element {
        0 | 26 => (1, 4),      // F32, I32
        1 | 25 | 30 => (1, 2), // F16, I16, BF16
        2 | 20 => (32, 18),    // Q4_0, IQ4_NL
        3 => (32, 20),         // Q4_1
        6 => (32, 22),         // Q5_0
        7 => (32, 24),         // Q5_1
        8 => (32, 34),         // Q8_0
        9 => (32, 36),         // Q8_1, which no file holds
        10 => (256, 84),       // Q2_K
        11 | 21 => (256, 110), // Q3_K, IQ3_S
        12 => (256, 144),      // Q4_K
        13 => (256, 176),      // Q5_K
        14 => (256, 210),      // Q6_K
        15 => (256, 292),      // Q8_K
        16 | 35 => (256, 66),  // IQ2_XXS, TQ2_0
        17 => (256, 74),       // IQ2_XS
        18 => (256, 98),       // IQ3_XXS
        19 => (256, 50),       // IQ1_S
        22 => (256, 82),       // IQ2_S
        23 => (256, 136),      // IQ4_XS
        24 => (1, 1),          // I8
        27 | 28 => (1, 8),     // I64, F64
        29 => (256, 56),       // IQ1_M
        34 => (256, 54),       // TQ1_0
        39 => (32, 17),        // MXFP4
        40 => (64, 36),        // NVFP4
        41 => (128, 18),       // Q1_0
        42 => (64, 18),        // Q2_0
        _ => return None,
    })
}

impl<'a> Walk<'a, '_, '_> {
    /// The tensors' descriptions, and whether their bytes lie one behind the other.
    pub(super) fn tensors(&mut self, count: u64) -> Result<(), Broken<'a>> {
        let mut names = Store::<&[u8]>::new(self.limits.format.objects);
        let mut end = 0_u64;
        let mut last = (0_u64, self.bytes.offset(), b"".as_slice());
        for _ in 0..count {
            let start = self.bytes.offset();
            let name = self.bytes.string()?;
            let broken = |kind| Broken { kind, offset: start, subject: name };
            if name.len() >= NAME || name.contains(&0) {
                self.emit(broken(Kind::Name));
            }
            if !names.push(name) {
                return Err(broken(Kind::Limit));
            }
            let size = self.size(name)?;
            let at = self.bytes.offset();
            if self.bytes.u64()? != end {
                return Err(Broken { kind: Kind::Offset, offset: at, subject: name });
            }
            last = (end.checked_add(size).ok_or(broken(Kind::Elements))?, start, name);
            end = padded(last.0, self.alignment).ok_or(broken(Kind::Elements))?;
        }
        self.repeated(&mut names, Kind::RepeatedName);
        self.data(count, last, end)
    }

    /// The bytes of a tensor's elements.
    fn size(&mut self, name: &'a [u8]) -> Result<u64, Broken<'a>> {
        let start = self.bytes.offset();
        let broken = |kind| Broken { kind, offset: start, subject: name };
        let dimensions = self.bytes.u32()?;
        if dimensions > DIMENSIONS {
            return Err(broken(Kind::Dimensions));
        }
        let mut row = 1_u64;
        let mut elements = Some(1_i64);
        let mut empty = false;
        for dimension in 0..dimensions {
            let extent = self.bytes.u64()?;
            let signed = i64::try_from(extent).map_err(|_| broken(Kind::Elements))?;
            if dimension == 0 {
                row = extent;
            }
            empty |= extent == 0;
            elements = elements.and_then(|elements| elements.checked_mul(signed));
        }
        let elements = if empty { Some(0) } else { elements };
        let elements = elements.filter(|&elements| elements < i64::MAX);
        let elements = elements.and_then(|elements| u64::try_from(elements).ok());
        let elements = elements.ok_or(broken(Kind::Elements))?;
        let element = self.bytes.u32()?;
        let (length, bytes) = block(element).ok_or(broken(Kind::Element))?;
        if !row.is_multiple_of(length) {
            return Err(broken(Kind::Row));
        }
        let blocks = elements.checked_div(length).unwrap_or(0);
        blocks.checked_mul(bytes).ok_or(broken(Kind::Elements))
    }

    /// The bytes of all tensors: the last one's padding may be missing, and nothing follows it.
    fn data(
        &mut self,
        count: u64,
        (end, place, name): (u64, u64, &'a [u8]),
        padded_end: u64,
    ) -> Result<(), Broken<'a>> {
        let header = self.bytes.offset();
        let start = padded(header, self.alignment).unwrap_or(u64::MAX);
        let there = header.saturating_add(self.bytes.left());
        let needed = if count == 0 { header } else { start.saturating_add(end) };
        if there < needed {
            return Err(Broken { kind: Kind::Data, offset: place, subject: name });
        }
        let most = start.saturating_add(padded_end);
        if there > most {
            return Err(Broken { kind: Kind::Trailing, offset: most, subject: b"" });
        }
        Ok(())
    }
}

/// The next multiple of the alignment.
fn padded(offset: u64, alignment: u64) -> Option<u64> {
    offset.checked_next_multiple_of(alignment)
}
