//! Attributes: small values beside an object, among them a Keras model's whole configuration.
//!
//! Source: HDF5 File Format Specification 3.0, IV.A.2.b (dataspaces), IV.A.2.d (datatypes),
//! IV.A.2.m (attributes); PyTables, `tables/attributeset.py` (`__getattr__`), which unpickles
//! any byte string that ends like a pickle.

use super::file::{Cursor, until_zero};
use super::object::Walk;
use crate::format::embedded::may_be_pickle;
use crate::format::keras;

/// What a datatype is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datatype {
    pub(super) class: u8,
    pub(super) size: u64,
}

impl Datatype {
    pub(super) fn read(mut cursor: Cursor<'_>) -> Option<Self> {
        let first = cursor.u8()?;
        cursor.skip(3)?;
        let size = u64::from(cursor.u32()?);
        Some(Self { class: first & 15, size })
    }

    /// Text, opaque bytes, or integers of one byte.
    pub(super) const fn holds_bytes(self) -> bool {
        matches!((self.class, self.size), (3 | 5, _) | (0, 1))
    }
}

/// How many values a dataspace has.
pub(super) fn count(mut cursor: Cursor<'_>) -> Option<u64> {
    let version = cursor.u8()?;
    let rank = cursor.u8()?;
    cursor.skip(1)?;
    match version {
        1 => cursor.skip(5)?,
        2 if cursor.u8()? == 2 => return Some(0),
        2 => {}
        _ => return None,
    }
    let mut product = 1_u64;
    for _ in 0..rank {
        product = product.saturating_mul(cursor.length()?);
    }
    Some(product)
}

/// An attribute message: what its value may be, besides a value, is handed back.
pub(super) fn read<'a>(walk: &mut Walk<'a, '_>, mut cursor: Cursor<'a>) -> Option<()> {
    let version = cursor.u8()?;
    let flags = cursor.u8()?;
    let sizes = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
    // Version 1 pads each of the three to eight bytes.
    let padded = |size: usize| match version {
        1 => size.checked_next_multiple_of(8),
        _ => Some(size),
    };
    if !(1..=3).contains(&version) {
        return None;
    }
    if version == 3 {
        cursor.skip(1)?;
    }
    let [name, datatype, dataspace] = sizes;
    let name = until_zero(cursor.take(padded(name)?)?);
    let file = walk.file;
    let datatype = file.cursor(cursor.take(padded(datatype)?)?);
    cursor.skip(padded(dataspace)?)?;
    let data = cursor.rest();
    // A datatype that is shared with others stands elsewhere; the value's bytes are looked at.
    let shared = version > 1 && flags & 1 != 0;
    let variable = !shared && Datatype::read(datatype)?.class == 9;
    // Values of any length lie in a heap, and all heaps are looked through.
    if !variable {
        let padding = data.iter().rev().take_while(|byte| matches!(byte, 0 | b' ')).count();
        let value = data.get(..data.len().saturating_sub(padding)).unwrap_or_default();
        if walk.looks_at(value) && is_payload(value) {
            walk.member(name, value);
        }
    }
    Some(())
}

/// Whether a loader may make more of bytes than a value: a pickle that imports, or a
/// configuration.
pub(super) fn is_payload(bytes: &[u8]) -> bool {
    may_be_pickle(bytes) || keras::accepts(bytes)
}
