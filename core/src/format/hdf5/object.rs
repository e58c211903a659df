//! Objects: their headers, the messages in them, and the links of groups.
//!
//! Source: HDF5 File Format Specification 3.0, III.A.1 (version 1 B-trees), III.B and III.C
//! (symbol tables), IV.A (object headers and messages).

use super::dataset::Storage;
use super::file::{Cursor, File, until_zero};
use super::heap::{self, Fractal};
use super::{Hdf5Kind, attribute};
use crate::format::event::{Event, External, Sink};
use crate::limits::Limits;

/// How many blocks of an object's header may wait to be read. Each leads to the next, so that
/// one waits at a time.
const WAITING: usize = 16;

/// A walk through a file.
pub(super) struct Walk<'a, 's> {
    pub(super) file: File<'a>,
    /// Where the superblock is in the part.
    base: u64,
    sink: Sink<'s>,
    depth: u32,
    /// How many messages, links and records may still be looked at. A file holds fewer than its
    /// length over two, so that only one in which things are shared a lot runs out.
    work: u64,
    /// How many there were at the start.
    steps: u64,
    /// How many bytes of values may still be looked at, counted in the same way.
    bytes: u64,
    limited: bool,
}

impl<'a, 's> Walk<'a, 's> {
    pub(super) fn new(file: File<'a>, base: u64, limits: &Limits, sink: Sink<'s>) -> Self {
        let most = u64::from(limits.format.objects);
        let work = (file.length() / 2).saturating_add(1024).min(most);
        let bytes = file.length().saturating_mul(4);
        let depth = limits.format.object_depth;
        Self { file, base, sink, depth, work, steps: work, bytes, limited: false }
    }

    pub(super) fn find(&mut self, kind: Hdf5Kind, address: u64, subject: &[u8]) {
        (self.sink)(kind.at(self.base.saturating_add(address), subject));
    }

    /// About how many bytes were looked at: values, and the structures that lead to them.
    pub(super) fn read(&self) -> u64 {
        let values = self.file.length().saturating_mul(4).saturating_sub(self.bytes);
        let steps = self.steps.saturating_sub(self.work).saturating_mul(2);
        values.saturating_add(steps)
    }

    fn limit(&mut self, address: u64, subject: &[u8]) {
        if !self.limited {
            self.limited = true;
            self.find(Hdf5Kind::Limit, address, subject);
        }
    }

    /// Takes one step, if any is left.
    pub(super) fn step(&mut self) -> bool {
        match self.work.checked_sub(1) {
            Some(left) => {
                self.work = left;
                true
            }
            None => {
                self.limit(0, b"");
                false
            }
        }
    }

    /// Hands back bytes that are to be judged as a file.
    pub(super) fn member(&mut self, name: &[u8], bytes: &'a [u8]) {
        if self.looks_at(bytes) {
            (self.sink)(Event::Member { name, offset: self.base, bytes });
        }
    }

    /// Whether a value may be looked at: it is, and counts.
    pub(super) fn looks_at(&mut self, bytes: &[u8]) -> bool {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match self.bytes.checked_sub(length) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => {
                self.limit(0, b"");
                false
            }
        }
    }

    /// An object, and all that it leads to. A reader may go by the symbol table that is cached
    /// beside a link instead of by the object's own (`H5G__stab_valid`): the two must be one. What
    /// was cached of a group that has become one of the newer kind stays behind, and is not used.
    pub(super) fn object(
        &mut self,
        address: u64,
        name: &[u8],
        depth: u32,
        cached: Option<(u64, u64)>,
    ) {
        if depth > self.depth {
            return self.limit(address, name);
        }
        let mut waiting = [None; WAITING];
        let mut storage = Storage::default();
        let Some((version, first)) = self.header(address) else {
            return self.find(Hdf5Kind::Broken, address, name);
        };
        let mut block = Some(first);
        while let Some(bytes) = block {
            let mut cursor = self.file.cursor(bytes);
            loop {
                let message = match version.message(&mut cursor) {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    Err(()) => {
                        self.find(Hdf5Kind::Broken, address, name);
                        break;
                    }
                };
                if !self.step() {
                    return;
                }
                let whole = if message.kind == CONTINUATION {
                    self.continuation(&message, version).and_then(|bytes| {
                        let place = waiting.iter_mut().find(|place| place.is_none())?;
                        *place = Some(bytes);
                        Some(())
                    })
                } else {
                    self.message(&message, &mut storage, name, depth)
                };
                if whole.is_none() {
                    self.find(Hdf5Kind::Broken, address, name);
                }
            }
            block = waiting.iter_mut().find_map(Option::take);
        }
        if cached.is_some() && cached != storage.table && !storage.new_group {
            self.find(Hdf5Kind::Broken, address, name);
        }
        storage.judge(self, address, name);
    }

    /// The messages of a header's first block.
    fn header(&self, address: u64) -> Option<(Version, &'a [u8])> {
        let mut cursor = self.file.from(address)?;
        if cursor.rest().starts_with(b"OHDR") {
            cursor.skip(4)?;
            cursor.expect(&[2])?;
            let flags = cursor.u8()?;
            if flags & 0x20 != 0 {
                cursor.skip(16)?;
            }
            if flags & 0x10 != 0 {
                cursor.skip(4)?;
            }
            let length = usize::try_from(cursor.by_bits(flags)?).ok()?;
            return Some((Version::Two { order: flags & 4 != 0 }, cursor.take(length)?));
        }
        cursor.expect(&[1, 0])?;
        cursor.skip(6)?;
        let length = usize::try_from(cursor.u32()?).ok()?;
        cursor.skip(4)?;
        Some((Version::One, cursor.take(length)?))
    }

    fn continuation(&self, message: &Message<'a>, version: Version) -> Option<&'a [u8]> {
        let mut cursor = self.file.cursor(message.data);
        let (address, length) = (cursor.address()?, cursor.length()?);
        let block = self.file.slice(address, length)?;
        match version {
            Version::One => Some(block),
            Version::Two { .. } => {
                let messages = block.strip_prefix(b"OCHK")?;
                messages.get(..messages.len().checked_sub(4)?)
            }
        }
    }

    fn message(
        &mut self,
        message: &Message<'a>,
        storage: &mut Storage<'a>,
        name: &[u8],
        depth: u32,
    ) -> Option<()> {
        let mut cursor = self.file.cursor(message.data);
        let shared = message.flags & 2 != 0;
        match message.kind {
            ATTRIBUTE | FILTERS if shared => self.find(Hdf5Kind::Shared, 0, name),
            // A dataspace, datatype or fill value that several objects share, and that says
            // nothing of other files. Libraries pass over the flag of any other message.
            0x01 | 0x03..=0x05 if shared => {}
            LINK => self.link(cursor, depth)?,
            ATTRIBUTE => attribute::read(self, cursor)?,
            LINK_INFO => {
                storage.new_group = true;
                cursor.expect(&[0])?;
                if cursor.u8()? & 1 != 0 {
                    cursor.skip(8)?;
                }
                self.dense(cursor, true, depth)?;
            }
            ATTRIBUTE_INFO => {
                cursor.expect(&[0])?;
                if cursor.u8()? & 1 != 0 {
                    cursor.skip(2)?;
                }
                self.dense(cursor, false, depth)?;
            }
            SYMBOL_TABLE => {
                let (tree, names) = (cursor.address()?, cursor.address()?);
                storage.table = Some((tree, names));
                let names = heap::local(self.file, names)?;
                self.symbols(tree, names, None, depth)?;
            }
            DRIVER => self.find(Hdf5Kind::Driver, 0, name),
            SHARED_TABLE => self.find(Hdf5Kind::Shared, 0, name),
            kind => storage.message(self, kind, cursor, name)?,
        }
        Some(())
    }

    /// The links or attributes of a heap, by the tree of their names.
    fn dense(&mut self, mut cursor: Cursor<'a>, links: bool, depth: u32) -> Option<()> {
        let file = self.file;
        let (heap, tree) = (cursor.address()?, cursor.address()?);
        if file.is_undefined(heap) {
            return Some(());
        }
        let heap = Fractal::open(file, heap)?;
        let mut whole = true;
        heap::records(file, tree, &mut |kind, record| {
            if !self.step() {
                return false;
            }
            let mut record = file.cursor(record);
            let id = match kind {
                // The hash of the name, then the id.
                5 if links => record.skip(4).and_then(|()| record.take(7)),
                8 if !links => record.take(8),
                _ => None,
            };
            if !links && record.u8().is_some_and(|flags| flags & 2 != 0) {
                self.find(Hdf5Kind::Shared, 0, b"");
                return true;
            }
            let object = id.and_then(|id| heap.object(id));
            whole &= object == Some(&[]) || self.stored(object, links, depth).is_some();
            true
        })?;
        heap.huge(&mut |object| {
            whole &= self.stored(object, links, depth).is_some();
            self.step()
        })?;
        whole.then_some(())
    }

    /// A link or an attribute from a heap.
    fn stored(&mut self, object: Option<&'a [u8]>, links: bool, depth: u32) -> Option<()> {
        let cursor = self.file.cursor(object?);
        if links { self.link(cursor, depth) } else { attribute::read(self, cursor) }
    }

    /// A link message (IV.A.2.g).
    fn link(&mut self, mut cursor: Cursor<'a>, depth: u32) -> Option<()> {
        cursor.expect(&[1])?;
        let flags = cursor.u8()?;
        let kind = if flags & 8 != 0 { cursor.u8()? } else { 0 };
        if flags & 4 != 0 {
            cursor.skip(8)?;
        }
        if flags & 0x10 != 0 {
            cursor.skip(1)?;
        }
        let length = cursor.by_bits(flags)?;
        let name = cursor.take(usize::try_from(length).ok()?)?;
        match kind {
            0 => self.object(cursor.address()?, name, depth.saturating_add(1), None),
            1 => {}
            64 => {
                let length = usize::from(cursor.u16()?);
                // A byte of flags and version, the file's name, and the path inside it.
                let (_, path) = cursor.take(length)?.split_first()?;
                let path = until_zero(path);
                self.find(Hdf5Kind::ExternalLink, 0, path);
                self.external(path, 0, None);
            }
            _ => self.find(Hdf5Kind::UserLink, 0, name),
        }
        Some(())
    }

    pub(super) fn external(&mut self, location: &[u8], offset: u64, length: Option<u64>) {
        (self.sink)(Event::External(External { location, offset, length }));
    }

    /// A tree of symbol tables; `level` is that of the node above.
    fn symbols(
        &mut self,
        address: u64,
        names: &'a [u8],
        level: Option<u8>,
        depth: u32,
    ) -> Option<()> {
        let (mut cursor, own, children) = self.file.node(address, b"TREE\0", level)?;
        for _ in 0..children {
            if !self.step() {
                return Some(());
            }
            cursor.length()?;
            let child = cursor.address()?;
            if own == 0 {
                self.table(child, names, depth)?;
            } else {
                self.symbols(child, names, Some(own), depth)?;
            }
        }
        Some(())
    }

    fn table(&mut self, address: u64, names: &'a [u8], depth: u32) -> Option<()> {
        let mut cursor = self.file.from(address)?;
        cursor.expect(b"SNOD\x01\0")?;
        for _ in 0..cursor.u16()? {
            if !self.step() {
                return Some(());
            }
            let name = usize::try_from(cursor.address()?).ok()?;
            let object = cursor.address()?;
            let kind = cursor.u32()?;
            cursor.skip(4)?;
            let mut scratch = self.file.cursor(cursor.take(16)?);
            let table =
                if kind == 1 { Some((scratch.address()?, scratch.address()?)) } else { None };
            // A soft link has no object of its own.
            if kind != 2 {
                let name = until_zero(names.get(name..)?);
                self.object(object, name, depth.saturating_add(1), table);
            }
        }
        Some(())
    }

    /// Strings and sequences of any length, which attributes and datasets refer to: all of them
    /// are looked through, whoever refers to them, and no filter hides them.
    pub(super) fn heaps(&mut self) {
        let file = self.file;
        let Some(all) = file.slice(0, file.length()) else { return };
        let mut at = 0_usize;
        while let Some(found) = all.get(at..).and_then(find_collection) {
            at = at.saturating_add(found);
            let address = u64::try_from(at).unwrap_or(u64::MAX);
            let sound = heap::collection(file, address, &mut |_, object| {
                if !self.step() || !self.looks_at(object) {
                    return false;
                }
                if attribute::is_payload(object) {
                    self.member(b"heap", object);
                }
                true
            });
            // Numbers may spell the signature by chance, but hardly the zeros behind it.
            let meant = all.get(at..).is_some_and(|rest| rest.starts_with(b"GCOL\x01\0\0\0"));
            if sound.is_none() && meant {
                self.find(Hdf5Kind::Broken, address, b"GCOL");
            }
            // What the size says may be meant to hide the next one.
            at = at.saturating_add(5);
        }
    }
}

/// Where the next global heap may start.
fn find_collection(bytes: &[u8]) -> Option<usize> {
    bytes.windows(5).position(|window| window == b"GCOL\x01")
}

const LINK_INFO: u16 = 0x02;
const LINK: u16 = 0x06;
const FILTERS: u16 = 0x0b;
const ATTRIBUTE: u16 = 0x0c;
const SHARED_TABLE: u16 = 0x0f;
const CONTINUATION: u16 = 0x10;
const SYMBOL_TABLE: u16 = 0x11;
const DRIVER: u16 = 0x14;
const ATTRIBUTE_INFO: u16 = 0x15;

/// One message of a header.
struct Message<'a> {
    kind: u16,
    flags: u8,
    data: &'a [u8],
}

/// The version of a header, which says how its messages are laid out.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two { order: bool },
}

impl Version {
    /// The next message of a block. Fewer bytes than a message's own header are a gap.
    fn message<'a>(self, cursor: &mut Cursor<'a>) -> Result<Option<Message<'a>>, ()> {
        let room = match self {
            Self::One => 8,
            Self::Two { order: false } => 4,
            Self::Two { order: true } => 6,
        };
        if cursor.rest().len() < room {
            return Ok(None);
        }
        self.whole(cursor).map(Some).ok_or(())
    }

    fn whole<'a>(self, cursor: &mut Cursor<'a>) -> Option<Message<'a>> {
        let (kind, length, flags) = match self {
            Self::One => {
                let (kind, length, flags) = (cursor.u16()?, cursor.u16()?, cursor.u8()?);
                cursor.skip(3)?;
                (kind, length, flags)
            }
            Self::Two { order } => {
                let (kind, length, flags) = (cursor.u8()?, cursor.u16()?, cursor.u8()?);
                if order {
                    cursor.skip(2)?;
                }
                (u16::from(kind), length, flags)
            }
        };
        Some(Message { kind, flags, data: cursor.take(usize::from(length))? })
    }
}
