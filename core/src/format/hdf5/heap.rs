//! Heaps and the trees of the second version: where links, attributes and strings lie that are
//! too many or too long for an object's header.
//!
//! Source: HDF5 File Format Specification 3.0, III.A.2 (version 2 B-trees), III.D (local heaps),
//! III.E (global heaps), III.G (fractal heaps); `H5B2hdr.c`, `H5HF*.c` of HDF5 1.14.

use super::file::File;

/// The deepest tree or heap that is followed: one of 16 levels holds more than any file can.
const LEVELS: u16 = 16;

/// The data of a local heap: names, by their offset.
pub(super) fn local<'a>(file: File<'a>, address: u64) -> Option<&'a [u8]> {
    let mut cursor = file.from(address)?;
    cursor.expect(b"HEAP\0")?;
    cursor.skip(3)?;
    let length = cursor.length()?;
    cursor.length()?;
    file.slice(cursor.address()?, length)
}

/// Hands each object of a global heap collection to `look`, until it says no. Whether the
/// collection is sound: libraries read one that is said to be longer than the file, up to where
/// it ends, and so does this.
pub(super) fn collection<'a>(
    file: File<'a>,
    address: u64,
    look: &mut dyn FnMut(u16, &'a [u8]) -> bool,
) -> Option<()> {
    let mut cursor = file.from(address)?;
    cursor.expect(b"GCOL\x01")?;
    let zeros = cursor.number(3)? == 0;
    let size = cursor.length()?;
    let size = size.checked_sub(8)?.checked_sub(u64::from(file.length_size))?;
    let most = cursor.rest().len();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut cursor = file.cursor(cursor.take(size.min(most))?);
    while !cursor.rest().is_empty() {
        let Some(index) = cursor.u16() else { break };
        // Index 0 is the space that is free, up to the end.
        if index == 0 || cursor.skip(6).is_none() {
            break;
        }
        let length = usize::try_from(cursor.length()?).ok()?;
        if !look(index, cursor.take(length)?) {
            return Some(());
        }
        let padding = length.wrapping_neg() & 7;
        cursor.skip(padding.min(cursor.rest().len()))?;
    }
    (size <= most && zeros).then_some(())
}

/// One object of a global heap.
pub(super) fn global<'a>(file: File<'a>, address: u64, wanted: u32) -> Option<&'a [u8]> {
    let mut found = None;
    collection(file, address, &mut |index, object| {
        if u32::from(index) == wanted {
            found = Some(object);
        }
        found.is_none()
    });
    found
}

/// A tree of version 2 whose records are handed out whole.
struct Tree<'a> {
    file: File<'a>,
    record_size: usize,
    /// How many bytes count the records of one node.
    count_size: usize,
    node_size: u64,
    kind: u8,
}

/// Hands each record of a tree to `look`, until it says no. Nothing where the tree is broken.
pub(super) fn records<'a>(
    file: File<'a>,
    address: u64,
    look: &mut dyn FnMut(u8, &'a [u8]) -> bool,
) -> Option<bool> {
    let mut cursor = file.from(address)?;
    cursor.expect(b"BTHD\0")?;
    let kind = cursor.u8()?;
    let node_size = u64::from(cursor.u32()?);
    let record_size = usize::from(cursor.u16()?);
    let depth = cursor.u16()?;
    cursor.skip(2)?;
    let root = cursor.address()?;
    let count = cursor.u16()?;
    if record_size == 0 || depth > LEVELS {
        return None;
    }
    let records = u64::try_from(record_size).ok()?;
    let most = node_size.checked_sub(PREFIX)?.checked_div(records)?;
    let tree = Tree { file, record_size, count_size: encoded(most), node_size, kind };
    if file.is_undefined(root) {
        return Some(true);
    }
    tree.node(root, u64::from(count), depth, look)
}

/// Signature, version, type and checksum of a node.
const PREFIX: u64 = 10;

/// How many bytes hold numbers up to a limit (`H5VM_limit_enc_size`).
fn encoded(limit: u64) -> usize {
    let bits = limit.checked_ilog2().unwrap_or(0);
    usize::try_from(bits / 8).unwrap_or(0).saturating_add(1)
}

impl<'a> Tree<'a> {
    fn node(
        &self,
        address: u64,
        count: u64,
        depth: u16,
        look: &mut dyn FnMut(u8, &'a [u8]) -> bool,
    ) -> Option<bool> {
        let mut cursor = self.file.from(address)?;
        cursor.expect(if depth == 0 { b"BTLF" } else { b"BTIN" })?;
        cursor.expect(&[0, self.kind])?;
        for _ in 0..count {
            if !look(self.kind, cursor.take(self.record_size)?) {
                return Some(false);
            }
        }
        let Some(below) = depth.checked_sub(1) else { return Some(true) };
        let total_size = if below == 0 { 0 } else { encoded(self.most_below(below)?) };
        for _ in 0..=count {
            let child = cursor.address()?;
            let records = cursor.number(self.count_size)?;
            cursor.skip(total_size)?;
            if !self.node(child, records, below, look)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// The most records in a node of this depth and below it (`H5B2__hdr_init`).
    fn most_below(&self, depth: u16) -> Option<u64> {
        let record = u64::try_from(self.record_size).ok()?;
        let mut total = self.node_size.checked_sub(PREFIX)?.checked_div(record)?;
        let mut total_size = 0_u64;
        let fixed =
            u64::from(self.file.address_size).checked_add(u64::try_from(self.count_size).ok()?)?;
        for _ in 0..depth {
            let pointer = fixed.checked_add(total_size)?;
            let room = self.node_size.checked_sub(PREFIX)?.checked_sub(pointer)?;
            let most = room.checked_div(record.checked_add(pointer)?)?;
            total = most.saturating_add(1).saturating_mul(total).saturating_add(most);
            total_size = u64::try_from(encoded(total)).ok()?;
        }
        Some(total)
    }
}

/// A fractal heap: objects by an id that says where in the heap they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fractal<'a> {
    file: File<'a>,
    offset_size: usize,
    length_size: usize,
    huge: u64,
    width: u64,
    start: u64,
    largest: u64,
    root: u64,
    rows: u16,
}

impl<'a> Fractal<'a> {
    /// Reads a heap's header. Heaps whose blocks are filtered are not read: no library that
    /// writes models makes them.
    pub(super) fn open(file: File<'a>, address: u64) -> Option<Self> {
        let mut cursor = file.from(address)?;
        cursor.expect(b"FRHP\0")?;
        cursor.u16()?;
        let filters = cursor.u16()?;
        cursor.u8()?;
        let largest_object = u64::from(cursor.u32()?);
        cursor.length()?;
        let huge = cursor.address()?;
        cursor.length()?;
        cursor.address()?;
        for _ in 0..8 {
            cursor.length()?;
        }
        let width = u64::from(cursor.u16()?);
        let start = cursor.length()?;
        let largest = cursor.length()?;
        let bits = cursor.u16()?;
        cursor.u16()?;
        let root = cursor.address()?;
        let rows = cursor.u16()?;
        let powers = [width, start, largest].iter().all(|size| size.is_power_of_two());
        if filters != 0 || !powers || bits > 64 || largest < start {
            return None;
        }
        let offset_size = usize::from(bits.saturating_add(7) / 8);
        let block_bits = largest.ilog2().saturating_add(7) / 8;
        let length_size = usize::try_from(block_bits).ok()?.min(encoded(largest_object));
        Some(Self { file, offset_size, length_size, huge, width, start, largest, root, rows })
    }

    /// The object of an id (III.G, heap IDs). One with a place of its own in the file comes with
    /// all others of its kind, and is empty here.
    pub(super) fn object(&self, id: &'a [u8]) -> Option<&'a [u8]> {
        let mut cursor = self.file.cursor(id);
        let first = cursor.u8()?;
        if first >> 6 != 0 {
            return None;
        }
        match first >> 4 & 3 {
            0 => {
                let offset = cursor.number(self.offset_size)?;
                let length = cursor.number(self.length_size)?;
                self.managed(offset, length)
            }
            1 => Some(&[]),
            2 => cursor.take(usize::from(first & 15).checked_add(1)?),
            _ => None,
        }
    }

    /// Hands every object that has a place of its own in the file to `look`, until it says no.
    pub(super) fn huge(&self, look: &mut dyn FnMut(Option<&'a [u8]>) -> bool) -> Option<bool> {
        let file = self.file;
        if file.is_undefined(self.huge) {
            return Some(true);
        }
        records(file, self.huge, &mut |kind, record| {
            let mut cursor = file.cursor(record);
            // An address, a length, and the number that ids refer to; other kinds are filtered,
            // or of heaps whose ids have room for an address.
            let place = cursor.address().zip(cursor.length()).filter(|_| kind == 1);
            look(place.and_then(|(address, length)| file.slice(address, length)))
        })
    }

    /// An object inside the heap's blocks, which double in size from row to row.
    fn managed(&self, offset: u64, length: u64) -> Option<&'a [u8]> {
        let (mut block, mut offset, mut rows) = (self.root, offset, u64::from(self.rows));
        let first_row = self.start.checked_mul(self.width)?;
        let direct_rows = u64::from(self.largest.ilog2().checked_sub(self.start.ilog2())?);
        let direct_rows = direct_rows.checked_add(2)?;
        for _ in 0..LEVELS {
            if rows == 0 {
                self.file.from(block)?.expect(b"FHDB\0")?;
                return self.file.slice(block.checked_add(offset)?, length);
            }
            let (row, begin, size) = match offset.checked_div(first_row)?.checked_ilog2() {
                None => (0, 0, self.start),
                Some(row) => {
                    let begin = first_row.checked_shl(row)?;
                    (u64::from(row).checked_add(1)?, begin, self.start.checked_shl(row)?)
                }
            };
            let within = offset.checked_sub(begin)?;
            let column = within.checked_div(size)?;
            if row >= rows {
                return None;
            }
            let mut cursor = self.file.from(block)?;
            cursor.expect(b"FHIB\0")?;
            cursor.address()?;
            cursor.skip(self.offset_size)?;
            let entry = row.checked_mul(self.width)?.checked_add(column)?;
            let entry = entry.checked_mul(u64::from(self.file.address_size))?;
            cursor.skip(usize::try_from(entry).ok()?)?;
            block = cursor.address()?;
            offset = within.checked_rem(size)?;
            rows = if row < direct_rows {
                0
            } else {
                u64::from(size.checked_div(first_row)?.checked_ilog2()?).checked_add(1)?
            };
        }
        None
    }
}
