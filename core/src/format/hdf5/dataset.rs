//! Where a dataset's data lies: in the header, in the file, in pieces, or in other files.
//!
//! Source: HDF5 File Format Specification 3.0, IV.A.2.h (external files), IV.A.2.i (layouts),
//! IV.A.2.l (filters); the HDF Group's registry of filters.

use super::attribute::{Datatype, count, is_payload};
use super::file::{Cursor, until_zero};
use super::object::Walk;
use super::{Hdf5Kind, heap};

/// What Keras refuses too: more than this, where the file holds a thousandth of it.
const DECLARED: u64 = 4 << 30;

/// What the messages of an object say of its data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Storage<'a> {
    datatype: Option<Datatype>,
    count: Option<u64>,
    /// Data that lies in one piece.
    data: Option<&'a [u8]>,
    laid_out: bool,
    /// Where an old group's tree and names are.
    pub(super) table: Option<(u64, u64)>,
    /// Whether the object is a group of the newer kind.
    pub(super) new_group: bool,
}

impl<'a> Storage<'a> {
    pub(super) fn message(
        &mut self,
        walk: &mut Walk<'a, '_>,
        kind: u16,
        cursor: Cursor<'a>,
        name: &[u8],
    ) -> Option<()> {
        match kind {
            0x01 => self.count = Some(count(cursor)?),
            0x03 => self.datatype = Some(Datatype::read(cursor)?),
            0x07 => external(walk, cursor)?,
            0x08 => self.layout(walk, cursor, name)?,
            0x0b => filters(walk, cursor)?,
            _ => {}
        }
        Some(())
    }

    fn layout(
        &mut self,
        walk: &mut Walk<'a, '_>,
        mut cursor: Cursor<'a>,
        name: &[u8],
    ) -> Option<()> {
        let file = walk.file;
        self.laid_out = true;
        let version = cursor.u8()?;
        match version {
            1 | 2 => {
                let rank = usize::from(cursor.u8()?);
                let class = cursor.u8()?;
                cursor.skip(5)?;
                let address = if class == 0 { None } else { Some(cursor.address()?) };
                let mut size = 1_u64;
                for _ in 0..rank {
                    size = size.saturating_mul(u64::from(cursor.u32()?));
                }
                match (class, address) {
                    (0, _) => {
                        let length = usize::try_from(cursor.u32()?).ok()?;
                        self.data = Some(cursor.take(length)?);
                    }
                    (1, Some(address)) => self.contiguous(walk, address, size, name),
                    (2, Some(address)) => chunks(walk, address, rank, None, name)?,
                    _ => return None,
                }
            }
            // HDF5 2.0 writes the fifth for filtered chunks; only the sizes inside of an index differ.
            3..=5 => match cursor.u8()? {
                0 => {
                    let length = usize::from(cursor.u16()?);
                    self.data = Some(cursor.take(length)?);
                }
                1 => {
                    let (address, size) = (cursor.address()?, cursor.length()?);
                    self.contiguous(walk, address, size, name);
                }
                2 if version == 3 => {
                    let rank = usize::from(cursor.u8()?);
                    let address = cursor.address()?;
                    chunks(walk, address, rank, None, name)?;
                }
                2 => indexed(walk, cursor, name)?,
                3 => {
                    let (address, index) = (cursor.address()?, cursor.u32()?);
                    let sources = heap::global(file, address, index).unwrap_or_default();
                    // A version and a count, then the first source's file.
                    let skip = usize::from(file.length_size).saturating_add(1);
                    let first = until_zero(sources.get(skip..).unwrap_or_default());
                    walk.find(Hdf5Kind::Virtual, 0, first);
                    if !first.is_empty() && first != b"." {
                        walk.external(first, 0, None);
                    }
                }
                _ => return None,
            },
            _ => return None,
        }
        Some(())
    }

    fn contiguous(&mut self, walk: &mut Walk<'a, '_>, address: u64, size: u64, name: &[u8]) {
        if !walk.file.holds(address, size) {
            walk.find(Hdf5Kind::Bounds, address, name);
        }
        self.data = walk.file.slice(address, size);
    }

    /// What all messages together say.
    pub(super) fn judge(&self, walk: &mut Walk<'a, '_>, address: u64, name: &[u8]) {
        let Some(datatype) = self.datatype.filter(|_| self.laid_out) else { return };
        let declared = self.count.unwrap_or(0).saturating_mul(datatype.size);
        if declared > DECLARED && declared / 1000 > walk.file.length() {
            walk.find(Hdf5Kind::Size, address, name);
        }
        if let Some(data) = self.data
            && datatype.holds_bytes()
            && walk.looks_at(data)
            && is_payload(data)
        {
            walk.member(name, data);
        }
    }
}

/// Other files that hold the data: their names are in a heap.
fn external<'a>(walk: &mut Walk<'a, '_>, mut cursor: Cursor<'a>) -> Option<()> {
    cursor.expect(&[1])?;
    cursor.skip(5)?;
    let slots = cursor.u16()?;
    let names = heap::local(walk.file, cursor.address()?)?;
    for _ in 0..slots {
        let name = usize::try_from(cursor.length()?).ok()?;
        let (offset, size) = (cursor.length()?, cursor.length()?);
        let path = until_zero(names.get(name..)?);
        walk.find(Hdf5Kind::ExternalStorage, 0, path);
        walk.external(path, offset, Some(size));
    }
    Some(())
}

/// The filters that chunks pass through.
fn filters<'a>(walk: &mut Walk<'a, '_>, mut cursor: Cursor<'a>) -> Option<()> {
    let version = cursor.u8()?;
    let filters = cursor.u8()?;
    match version {
        1 => cursor.skip(6)?,
        2 => {}
        _ => return None,
    }
    for _ in 0..filters {
        let id = cursor.u16()?;
        let named = version == 1 || id >= 256;
        let length = if named { usize::from(cursor.u16()?) } else { 0 };
        cursor.skip(2)?;
        let values = usize::from(cursor.u16()?);
        let length = if version == 1 { length.checked_next_multiple_of(8)? } else { length };
        let name = until_zero(cursor.take(length)?);
        cursor.skip(values.checked_mul(4)?)?;
        if version == 1 && values % 2 == 1 {
            cursor.skip(4)?;
        }
        // deflate, shuffle, fletcher32, szip, nbit, scaleoffset; and h5py's own lzf.
        if !matches!(id, 1..=6 | 32_000) {
            walk.find(Hdf5Kind::Filter, 0, name);
        }
    }
    Some(())
}

/// A tree of chunks of the first version: each has a size and an address.
fn chunks(
    walk: &mut Walk<'_, '_>,
    address: u64,
    rank: usize,
    level: Option<u8>,
    name: &[u8],
) -> Option<()> {
    let file = walk.file;
    if file.is_undefined(address) {
        return Some(());
    }
    let (mut cursor, own, children) = file.node(address, b"TREE\x01", level)?;
    for _ in 0..children {
        if !walk.step() {
            return Some(());
        }
        let size = cursor.u32()?;
        cursor.skip(rank.checked_mul(8)?.checked_add(4)?)?;
        let child = cursor.address()?;
        if own > 0 {
            chunks(walk, child, rank, Some(own), name)?;
        } else if !file.holds(child, u64::from(size)) {
            walk.find(Hdf5Kind::Bounds, child, name);
        }
    }
    Some(())
}

/// Chunks under an index of a newer kind: that the index is in the file.
fn indexed<'a>(walk: &mut Walk<'a, '_>, mut cursor: Cursor<'a>, name: &[u8]) -> Option<()> {
    let flags = cursor.u8()?;
    let rank = usize::from(cursor.u8()?);
    let size = usize::from(cursor.u8()?);
    cursor.skip(rank.checked_mul(size)?)?;
    match cursor.u8()? {
        // One chunk, whose size is given where it passes through filters.
        1 if flags & 2 != 0 => {
            let size = cursor.length()?;
            cursor.skip(4)?;
            let address = cursor.address()?;
            if !walk.file.holds(address, size) {
                walk.find(Hdf5Kind::Bounds, address, name);
            }
            return Some(());
        }
        1 | 2 => {}
        3 => cursor.skip(1)?,
        4 => cursor.skip(5)?,
        5 => cursor.skip(6)?,
        _ => return None,
    }
    let address = cursor.address()?;
    if !walk.file.holds(address, 1) {
        walk.find(Hdf5Kind::Bounds, address, name);
    }
    Some(())
}
