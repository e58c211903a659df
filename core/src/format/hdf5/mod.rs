//! HDF5 files: Keras weights and models, tables of PyTables and pandas.
//!
//! Everything that the root group reaches is walked: groups of both kinds, object headers of both
//! versions, attributes in headers and in heaps, and what datasets say of where their data lies.
//! Text that a loader takes for more than text is handed back and judged: Keras's `model_config`,
//! and pickles, which PyTables keeps in attributes and in heaps and loads whoever asks.
//!
//! A file can make its reader open others: by external links, by datasets whose data lies in
//! another file or is put together from several, and by filters, for which the library loads
//! plugins. Keras read such files for whoever made the model (CVE-2026-1669), and weights have
//! no use for any of them.
//!
//! It refuses to read numbers, to follow soft links (their targets are walked where they are), and
//! to check the checksums of newer structures: what a library refuses for its checksum is judged
//! here all the same. What is stored in shared message tables or filtered heaps, which no library
//! that writes models makes, is a finding.
//!
//! Source: The HDF Group, HDF5 File Format Specification Version 3.0; h5py; Keras 3.13,
//! `keras/src/saving/saving_lib.py` (`safe_get_h5_dataset`).

mod attribute;
mod dataset;
mod file;
mod heap;
mod object;

use super::event::{Event, Sink};
use super::tar;
use crate::limits::Limits;
use file::{Cursor, File};
use object::Walk;

/// The first eight bytes of a superblock.
pub(super) const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

anomaly_kinds! {
    /// What is odd about an HDF5 file.
    pub enum Hdf5Kind;

    Superblock, FormatStructure, "hdf5.superblock",
        "the superblock is not one that the specification knows";
    UserBlock, FormatStructure, "hdf5.user-block",
        "other bytes stand before the superblock, which a reader that seeks for it skips and others take for the file";
    Truncated, FormatStructure, "hdf5.truncated",
        "the file is shorter than its superblock says";
    Trailing, FormatStructure, "hdf5.trailing-data",
        "bytes follow the end that the superblock gives, which no reader of the format looks at";
    Broken, FormatStructure, "hdf5.structure",
        "a header, message, heap or tree is not as the specification says; what it leads to was not judged";
    Limit, FormatStructure, "hdf5.limit",
        "the objects nest deeper, or refer to each other more often, than the limit; the rest was not judged";
    Shared, FormatStructure, "hdf5.shared-message",
        "a link or an attribute is kept in a table of shared messages, which is not judged";
    Bounds, FormatStructure, "hdf5.bounds",
        "a dataset's data is said to lie outside of the file";
    Size, FormatStructure, "hdf5.size",
        "a dataset declares thousands of times the bytes that the file holds, and a reader that believes it runs out of memory";
    Driver, FormatStructure, "hdf5.driver",
        "the file is one of several that a driver of the library puts together";
    ExternalLink, ReferenceDangerous, "hdf5.external-link",
        "a link leads into another file, which a reader opens";
    ExternalStorage, ReferenceDangerous, "hdf5.external-storage",
        "a dataset's data is that of another file, which a reader opens";
    Virtual, ReferenceDangerous, "hdf5.virtual-dataset",
        "a dataset is put together from those of other files, which a reader opens";
    UserLink, ReferenceUnknown, "hdf5.user-link",
        "a link is of a kind that only a program's own code can follow";
    Filter, ReferenceUnknown, "hdf5.filter",
        "a dataset needs a filter that the library loads a plugin for";
    Partial, FormatPartial, "hdf5.partial",
        "the structure and what can run code were judged, and the numbers were not";
}

/// Whether the HDF5 library would find a superblock: at the start, or at 512 bytes and each
/// doubling of that. The first member of a tar archive stands there too, and is judged as such.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    superblock(bytes).is_some_and(|at| at == 0 || !tar::is_tar(bytes))
}

/// Where the superblock is (`H5FD_locate_signature`).
fn superblock(bytes: &[u8]) -> Option<usize> {
    for at in places() {
        let at = usize::try_from(at).ok()?;
        if bytes.get(at..)?.starts_with(SIGNATURE) {
            return Some(at);
        }
    }
    None
}

/// The places where it may be.
pub(super) fn places() -> impl Iterator<Item = u64> {
    core::iter::successors(Some(0_u64), |at| at.max(&256).checked_mul(2))
}

/// Walks a file.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let Some(start) = superblock(bytes) else {
        return sink(Hdf5Kind::Superblock.at(0, b""));
    };
    if start > 0 {
        sink(Hdf5Kind::UserBlock.at(0, b""));
    }
    let base = u64::try_from(start).unwrap_or(u64::MAX);
    // Addresses count from the superblock: where one says otherwise the library corrects it
    // (`H5F__super_read`).
    let bytes = bytes.get(start..).unwrap_or_default();
    let Some(superblock) = Superblock::read(bytes) else {
        return sink(Hdf5Kind::Superblock.at(base, b""));
    };
    let file = superblock.file;
    let end = superblock.end.saturating_sub(superblock.base);
    if file.is_undefined(superblock.end) || end > file.length() {
        sink(Hdf5Kind::Truncated.at(base, b""));
    } else if let Some(rest) = file.slice(end, file.length().saturating_sub(end))
        && rest.iter().any(|&byte| byte != 0)
    {
        sink(Hdf5Kind::Trailing.at(base.saturating_add(end), b""));
    }
    if superblock.base != 0 && start == 0 {
        sink(Hdf5Kind::Superblock.at(base, b"base address"));
    }
    let mut walk = Walk::new(file, base, limits, sink);
    if superblock.driver {
        walk.find(Hdf5Kind::Driver, 0, b"");
    }
    if let Some(extension) = superblock.extension {
        walk.object(extension, b"", 0, None);
    }
    walk.object(superblock.root, b"/", 0, superblock.table);
    walk.heaps();
    walk.find(Hdf5Kind::Partial, 0, b"");
    let read = walk.read();
    sink(Event::Read(read));
    sink(Event::Unjudged("the numbers in an HDF5 file's datasets are not judged"));
}

/// What a superblock says (II.A, versions 0 to 3).
struct Superblock<'a> {
    file: File<'a>,
    base: u64,
    end: u64,
    root: u64,
    /// Where the root's symbol table is, if that is cached here.
    table: Option<(u64, u64)>,
    extension: Option<u64>,
    driver: bool,
}

impl<'a> Superblock<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let version = *bytes.get(8)?;
        let sizes = if version < 2 { bytes.get(13..15)? } else { bytes.get(9..11)? };
        let &[address_size, length_size] = sizes else { return None };
        if ![2, 4, 8].contains(&address_size) || ![2, 4, 8].contains(&length_size) {
            return None;
        }
        let file = File::new(bytes, address_size, length_size);
        match version {
            0 => Self::old(file, file.from(24)?),
            1 => Self::old(file, file.from(28)?),
            2 | 3 => Self::new(file, file.from(12)?),
            _ => None,
        }
    }

    fn old(file: File<'a>, mut cursor: Cursor<'a>) -> Option<Self> {
        let base = cursor.address()?;
        cursor.address()?;
        let end = cursor.address()?;
        let driver = !file.is_undefined(cursor.address()?);
        // The root's symbol table entry: an offset into a heap, and where its header is.
        cursor.address()?;
        let root = cursor.address()?;
        let cached = cursor.u32()?;
        cursor.skip(4)?;
        let table = if cached == 1 { Some((cursor.address()?, cursor.address()?)) } else { None };
        Some(Self { file, base, end, root, table, extension: None, driver })
    }

    fn new(file: File<'a>, mut cursor: Cursor<'a>) -> Option<Self> {
        let base = cursor.address()?;
        let extension = Some(cursor.address()?).filter(|&at| !file.is_undefined(at));
        let end = cursor.address()?;
        let root = cursor.address()?;
        Some(Self { file, base, end, root, table: None, extension, driver: false })
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    extern crate std;

    use super::*;
    use crate::format::testing;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn walk(bytes: &[u8]) -> Vec<String> {
        testing::members(read, bytes)
    }

    fn message(kind: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_le_bytes();
        [&[kind, length[0], length[1], 0], data].concat()
    }

    fn object(messages: &[Vec<u8>]) -> Vec<u8> {
        let messages = messages.concat();
        let length = u16::try_from(messages.len()).unwrap().to_le_bytes();
        [b"OHDR\x02\x01".as_slice(), &length, &messages, &[0; 4]].concat()
    }

    /// A file of version 2 whose root group stands at byte 48, and what follows it.
    fn file(root: &[Vec<u8>], rest: &[u8]) -> Vec<u8> {
        let body = [object(root).as_slice(), rest].concat();
        let end = u64::try_from(body.len()).unwrap() + 48;
        let numbers = [0, u64::MAX, end, 48].map(u64::to_le_bytes).concat();
        [SIGNATURE.as_slice(), &[2, 8, 8, 0], &numbers, &[0; 4], &body].concat()
    }

    fn hard(name: &str, address: u64) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        message(6, &[&[1, 0, length], name.as_bytes(), &address.to_le_bytes()].concat())
    }

    fn external(path: &str) -> Vec<u8> {
        let length = u8::try_from(path.len()).unwrap();
        message(6, &[&[1, 8, 64, 1, b'w', length + 3, 0, 0], path.as_bytes(), b"\0/"].concat())
    }

    fn attribute(value: &[u8]) -> Vec<u8> {
        let size = u8::try_from(value.len()).unwrap();
        let head = [3, 0, 2, 0, 8, 0, 4, 0, 0, b'v', 0];
        let datatype = [0x13, 0, 0, 0, size, 0, 0, 0];
        message(12, &[head.as_slice(), &datatype, &[2, 0, 0, 0], value].concat())
    }

    #[test]
    fn honest_objects_say_that_they_are_partly_judged() {
        let leaf = file(&[hard("a", 48), message(1, &[2, 0, 0, 0])], b"");
        assert_eq!(walk(&leaf), ["hdf5.limit", "hdf5.partial"], "a group that holds itself");
        assert_eq!(walk(&file(&[attribute(b"2.4.0")], b"")), ["hdf5.partial"]);
        assert!(accepts(&leaf) && !accepts(b"\x89HDF\r\n") && !accepts(b""));
    }

    #[test]
    fn what_leads_outside_or_loads_code_is_found() {
        assert_eq!(walk(&file(&[external("/etc/x")], b"")), ["hdf5.external-link", "hdf5.partial"]);
        let pickle = attribute(b"cposix\nsystem\n.\0\0");
        assert_eq!(walk(&file(&[pickle], b"")), ["+15", "hdf5.partial"]);
        let config = attribute(b"{\"class_name\": \"x\", \"config\": {}}");
        assert_eq!(walk(&file(&[config], b"")), ["+33", "hdf5.partial"]);
        let filter = message(11, &[2, 1, 0x00, 0x7d, 0, 0, 0, 0, 0, 0]);
        assert_eq!(walk(&file(&[filter], b"")), ["hdf5.partial"], "lzf");
        let filter = message(11, &[2, 1, 0x01, 0x7d, 0, 0, 0, 0, 0, 0]);
        assert_eq!(walk(&file(&[filter], b"")), ["hdf5.filter", "hdf5.partial"]);
        let virtual_data = message(8, &[&[4, 3], [0; 12].as_slice()].concat());
        assert_eq!(walk(&file(&[virtual_data], b"")), ["hdf5.virtual-dataset", "hdf5.partial"]);
        let far = message(8, &[&[3, 1], 40_u64.to_le_bytes().as_slice(), &[0xff; 8]].concat());
        assert_eq!(walk(&file(&[far], b"")), ["hdf5.bounds", "hdf5.partial"]);
    }

    #[test]
    fn what_surrounds_the_file_is_found() {
        let honest = file(&[attribute(b"2.4.0")], b"");
        let before = [[7; 512].as_slice(), &honest].concat();
        assert!(accepts(&before));
        assert_eq!(walk(&before), ["hdf5.user-block", "hdf5.partial"]);
        assert_eq!(walk(&[&honest, b"tail".as_slice()].concat())[0], "hdf5.trailing-data");
        assert_eq!(walk(&honest[..honest.len() - 1])[0], "hdf5.truncated");
        assert_eq!(walk(&honest[..40]), ["hdf5.superblock"]);
    }

    #[test]
    fn sharing_does_not_multiply_the_work() {
        // Each of forty groups holds the next one forty times.
        let size = 8 + 40 * 16 + 4;
        let group = |index: u64| {
            let next: Vec<_> = (0..40).map(|_| hard("a", 48 + (index + 1) * size)).collect();
            object(&next)
        };
        let last = object(&(0..40).map(|_| message(0, &[0; 12])).collect::<Vec<_>>());
        let rest = [(1..40).flat_map(group).collect(), last].concat();
        let next: Vec<_> = (0..40).map(|_| hard("a", 48 + size)).collect();
        assert_eq!(walk(&file(&next, &rest)), ["hdf5.limit", "hdf5.partial"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_the_end(
            patches in prop::collection::vec((9_usize..400, any::<u8>()), 1..12),
        ) {
            let mut bytes = file(
                &[attribute(b"cposix\nsystem\n."), hard("a", 48), external("x"), message(11, &[2, 1, 9, 9, 1, 0, 0, 0, 0, 0, 7, 0])],
                b"TREE\0\0\x01\0HEAP\0\0\0\0GCOL\x01\0\0\0BTHD\0\x05FRHP\0",
            );
            let length = bytes.len();
            for (at, byte) in patches {
                bytes[at.min(length - 1)] = byte;
            }
            let seen = walk(&bytes);
            prop_assert!(!seen.is_empty());
        }
    }
}
