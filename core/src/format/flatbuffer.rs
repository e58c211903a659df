//! FlatBuffers: tables that are reached through offsets, checked against a shape.
//!
//! A [`Shape`] says how the fields of one table are stored; [`walk`] follows every offset that the
//! shape reaches, hands each table to whoever reads the format, and reports each that leads
//! outside the file. It stands in for the verifier that a loader may or may not run: TensorFlow
//! Lite's `BuildFromFile` and ExecuTorch's `Verification::Minimal` do not, and read what the
//! offsets say.
//!
//! What it refuses to do: follow a file for longer than it is worth. Offsets lead forwards only,
//! so that nothing is its own part, but many may lead to one place, each of them again, and the
//! work doubles at every step. So tables are counted against `format.objects`, each time that they
//! are reached, depth against `format.object_depth`, and the bytes of texts and vectors against a
//! multiple of the file's length.
//!
//! Follows google/flatbuffers, `docs/source/internals.md` and `include/flatbuffers/verifier.h`.
//! Stricter than the verifier: a field lies inside its table's own bytes, and behind the offset of
//! its vtable. Laxer: nothing need be aligned, since the machines in use read it all the same.

use super::event::Sink;
use crate::limits::Limits;

anomaly_kinds! {
    /// Ways in which bytes are no FlatBuffer of their format.
    pub enum FlatbufferKind;
    Root, FormatStructure, "flatbuffer-root",
        "the root table does not lie inside the file";
    TableBounds, FormatStructure, "flatbuffer-table",
        "a table or its vtable does not lie inside the file";
    FieldBounds, FormatStructure, "flatbuffer-field",
        "a field does not lie inside its table";
    OffsetBounds, FormatStructure, "flatbuffer-offset",
        "an offset leads outside the file, to itself, or past 2 GiB, where readers take it for a negative one";
    VectorBounds, FormatStructure, "flatbuffer-vector",
        "a vector is longer than the file";
    Text, FormatStructure, "flatbuffer-text",
        "a text is longer than the file, or no zero ends it";
    Depth, FormatStructure, "flatbuffer-depth",
        "tables nest deeper than the limit; the rest could not be judged";
    Objects, FormatStructure, "flatbuffer-objects",
        "offsets lead to more tables than the limit; the rest could not be judged";
    Sharing, FormatStructure, "flatbuffer-sharing",
        "offsets lead to the same bytes again and again; the rest could not be judged";
}

/// How much more than the file's length the texts and vectors may come to that offsets lead to,
/// each counted as often as it is reached. Writers share texts, and a text that a thousand tables
/// share is a few dozen bytes beside as many bytes of each table.
const SHARING: u64 = 64;

/// How the fields of a table are stored, in the order of their slots.
#[derive(Debug)]
pub struct Shape {
    /// One for each slot; slots past the end are not looked at, as readers older than a file do.
    pub fields: &'static [Kind],
}

/// How a field is stored.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number or a structure of this many bytes, in the table itself.
    Inline(usize),
    /// A text.
    Text,
    /// A vector of numbers or structures of this many bytes.
    Vector(usize),
    /// A vector of texts.
    Texts,
    /// A table.
    Table(&'static Shape),
    /// A vector of tables.
    Tables(&'static Shape),
    /// A table, of which only its own bounds are checked.
    Any,
    /// A structure of this many bytes that stands elsewhere, as a union's member does.
    Structure(usize),
    /// What the slot before says: its first member where that is 1. Readers skip what they do not
    /// know, and so does the walk.
    Union(&'static [Kind]),
}

/// The four bytes behind the root's offset, and a root table that lies inside the file.
#[must_use]
pub fn is_flatbuffer(bytes: &[u8], identifier: impl FnOnce(&[u8; 4]) -> bool) -> bool {
    let found = bytes.get(4..8).and_then(|bytes| <&[u8; 4]>::try_from(bytes).ok());
    found.is_some_and(identifier) && root(bytes).is_some()
}

/// The root table.
#[must_use]
pub fn root(bytes: &[u8]) -> Option<Table<'_>> {
    Table::open(bytes, target(bytes, 0)?)
}

/// A table: where it is, where its fields are.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many bytes it takes, the offset of its vtable included.
    size: usize,
    /// The places of its fields: two bytes for each slot.
    slots: &'a [u8],
}

impl<'a> Table<'a> {
    fn open(bytes: &'a [u8], at: usize) -> Option<Self> {
        // Signed, and subtracted: vtables stand before or behind.
        let back = i32::from_le_bytes(word(bytes, at)?);
        let vtable = i64::try_from(at).ok()?.checked_sub(i64::from(back))?;
        let vtable = usize::try_from(vtable).ok()?;
        let length = usize::from(u16::from_le_bytes(word(bytes, vtable)?));
        let size = usize::from(u16::from_le_bytes(word(bytes, vtable.checked_add(2)?)?));
        let whole = bytes.get(vtable..vtable.checked_add(length)?)?;
        if size < 4 || length.checked_rem(2) != Some(0) {
            return None;
        }
        bytes.get(at..at.checked_add(size)?)?;
        Some(Self { bytes, at, size, slots: whole.get(4..)? })
    }

    /// Where the table stands in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        wide(self.at)
    }

    /// Where a field of `width` bytes is: nothing where it is left out, an error where it lies
    /// outside the table.
    fn place(&self, slot: usize, width: usize) -> Result<Option<usize>, ()> {
        let Some(at) = slot.checked_mul(2).and_then(|at| word(self.slots, at)) else {
            return Ok(None);
        };
        let inside = usize::from(u16::from_le_bytes(at));
        if inside == 0 {
            return Ok(None);
        }
        let ends = inside.checked_add(width).is_some_and(|end| end <= self.size);
        if inside < 4 || !ends { Err(()) } else { self.at.checked_add(inside).map(Some).ok_or(()) }
    }

    fn inline<const N: usize>(&self, slot: usize) -> Option<[u8; N]> {
        word(self.bytes, self.place(slot, N).ok()??)
    }

    /// A number of one byte; zero where it is left out.
    #[must_use]
    pub fn u8(&self, slot: usize) -> u8 {
        self.inline(slot).map_or(0, u8::from_le_bytes)
    }

    /// A number of four bytes; zero where it is left out.
    #[must_use]
    pub fn u32(&self, slot: usize) -> u32 {
        self.inline(slot).map_or(0, u32::from_le_bytes)
    }

    /// A number of eight bytes; zero where it is left out.
    #[must_use]
    pub fn u64(&self, slot: usize) -> u64 {
        self.inline(slot).map_or(0, u64::from_le_bytes)
    }

    /// The bytes of a text or of a vector of bytes; nothing where it is left out or is not inside
    /// the file.
    #[must_use]
    pub fn run(&self, slot: usize) -> Option<Run<'a>> {
        let at = target(self.bytes, self.place(slot, 4).ok()??)?;
        vector(self.bytes, at, 1)
    }

    /// The bytes of a vector whose items take `width` bytes; none where it is left out.
    #[must_use]
    pub fn items(&self, slot: usize, width: usize) -> &'a [u8] {
        let place = self.place(slot, 4).ok().flatten();
        let at = place.and_then(|at| target(self.bytes, at));
        at.and_then(|at| vector(self.bytes, at, width)).map_or(&[], |run| run.bytes)
    }

    /// The bytes of a text; none where it is left out.
    #[must_use]
    pub fn text(&self, slot: usize) -> &'a [u8] {
        self.run(slot).map_or(&[], |run| run.bytes)
    }

    /// How many items a vector has; none where it is left out.
    #[must_use]
    pub fn count(&self, slot: usize) -> u32 {
        let place = self.place(slot, 4).ok().flatten();
        let vector = place.and_then(|at| target(self.bytes, at));
        vector.and_then(|at| word(self.bytes, at)).map_or(0, u32::from_le_bytes)
    }

    /// A table that a field leads to.
    #[must_use]
    pub fn table(&self, slot: usize) -> Option<Self> {
        Self::open(self.bytes, target(self.bytes, self.place(slot, 4).ok()??)?)
    }

    /// An item of a vector of tables.
    #[must_use]
    pub fn item(&self, slot: usize, index: u32) -> Option<Self> {
        let at = target(self.bytes, self.place(slot, 4).ok()??)?;
        let items = vector(self.bytes, at, 4)?;
        let inside = usize::try_from(index).ok()?.checked_mul(4)?;
        (inside < items.bytes.len()).then_some(())?;
        let place = items.start.checked_add(inside)?;
        Self::open(self.bytes, target(self.bytes, place)?)
    }
}

/// The content of a text or a vector.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The bytes, without their length.
    pub bytes: &'a [u8],
    start: usize,
}

impl Run<'_> {
    /// Where the bytes start in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        wide(self.start)
    }
}

/// Where an offset at `at` leads: forwards, and less far than any reader takes for a negative one.
fn target(bytes: &[u8], at: usize) -> Option<usize> {
    let offset = u32::from_le_bytes(word(bytes, at)?);
    let forwards = i32::try_from(offset).is_ok_and(|offset| offset > 0);
    let target = at.checked_add(usize::try_from(offset).ok()?)?;
    (forwards && target < bytes.len()).then_some(target)
}

fn vector(bytes: &[u8], at: usize, width: usize) -> Option<Run<'_>> {
    let count = usize::try_from(u32::from_le_bytes(word(bytes, at)?)).ok()?;
    let start = at.checked_add(4)?;
    let end = start.checked_add(count.checked_mul(width)?)?;
    Some(Run { bytes: bytes.get(start..end)?, start })
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Who wants to see each table, after its fields have been checked.
pub type Visit<'v, 'a> = &'v mut dyn FnMut(&'static Shape, Table<'a>, Sink<'_>);

/// Follows every offset that `shape` reaches from the root. Tables whose fields are broken are
/// visited all the same: a reader that does not verify would use the others.
pub fn walk<'a>(
    bytes: &'a [u8],
    shape: &'static Shape,
    limits: &Limits,
    sink: Sink<'_>,
    visit: Visit<'_, 'a>,
) {
    let Some(root) = root(bytes) else {
        sink(FlatbufferKind::Root.at(0, &[]));
        return;
    };
    let mut walk = Walk {
        bytes,
        objects: limits.format.objects,
        depth: limits.format.object_depth,
        shared: wide(bytes.len()).saturating_mul(SHARING),
        sink,
        visit,
    };
    // Whatever ended it early has been reported.
    let _ = walk.table(shape, root, 0);
}

/// A limit was reached, and nothing more is followed.
struct Ended;

struct Walk<'w, 'a> {
    bytes: &'a [u8],
    /// How many more tables and texts are followed.
    objects: u32,
    /// How deep tables may nest.
    depth: u32,
    /// How many more bytes texts and vectors may come to.
    shared: u64,
    sink: Sink<'w>,
    visit: Visit<'w, 'a>,
}

impl<'a> Walk<'_, 'a> {
    fn report(&mut self, kind: FlatbufferKind, at: usize) {
        (self.sink)(kind.at(wide(at), &[]));
    }

    fn table(&mut self, shape: &'static Shape, table: Table<'a>, depth: u32) -> Result<(), Ended> {
        if depth >= self.depth {
            self.report(FlatbufferKind::Depth, table.at);
            return Err(Ended);
        }
        for (slot, &kind) in shape.fields.iter().enumerate() {
            self.field(table, slot, kind, depth)?;
        }
        (self.visit)(shape, table, &mut *self.sink);
        Ok(())
    }

    fn field(
        &mut self,
        table: Table<'a>,
        slot: usize,
        kind: Kind,
        depth: u32,
    ) -> Result<(), Ended> {
        let kind = match kind {
            Kind::Union(members) => {
                let chosen = slot.checked_sub(1).map_or(0, |before| table.u8(before));
                let member = usize::from(chosen).checked_sub(1).and_then(|at| members.get(at));
                let Some(&member) = member else { return Ok(()) };
                member
            }
            kind => kind,
        };
        let width = if let Kind::Inline(width) = kind { width } else { 4 };
        match table.place(slot, width) {
            Ok(Some(at)) => self.value(at, kind, depth),
            Ok(None) => Ok(()),
            Err(()) => {
                self.report(FlatbufferKind::FieldBounds, table.at);
                Ok(())
            }
        }
    }

    /// What the four bytes at `place` lead to.
    fn value(&mut self, place: usize, kind: Kind, depth: u32) -> Result<(), Ended> {
        if matches!(kind, Kind::Inline(_)) {
            return Ok(());
        }
        let Some(at) = target(self.bytes, place) else {
            self.report(FlatbufferKind::OffsetBounds, place);
            return Ok(());
        };
        self.objects = match self.objects.checked_sub(1) {
            Some(rest) => rest,
            None => {
                self.report(FlatbufferKind::Objects, place);
                return Err(Ended);
            }
        };
        match kind {
            Kind::Inline(_) | Kind::Union(_) => Ok(()),
            Kind::Structure(width) => {
                let end = at.checked_add(width);
                if end.and_then(|end| self.bytes.get(at..end)).is_none() {
                    self.report(FlatbufferKind::OffsetBounds, place);
                }
                Ok(())
            }
            Kind::Text => self.text(at),
            Kind::Vector(width) => self.vector(at, width).map(drop),
            Kind::Table(shape) => match Table::open(self.bytes, at) {
                Some(table) => self.table(shape, table, depth.saturating_add(1)),
                None => {
                    self.report(FlatbufferKind::TableBounds, at);
                    Ok(())
                }
            },
            Kind::Any => {
                if Table::open(self.bytes, at).is_none() {
                    self.report(FlatbufferKind::TableBounds, at);
                }
                Ok(())
            }
            Kind::Texts => self.items(at, Kind::Text, depth),
            Kind::Tables(shape) => self.items(at, Kind::Table(shape), depth),
        }
    }

    fn items(&mut self, at: usize, kind: Kind, depth: u32) -> Result<(), Ended> {
        let Some(items) = self.vector(at, 4)? else { return Ok(()) };
        let end = items.start.saturating_add(items.bytes.len());
        for place in (items.start..end).step_by(4) {
            self.value(place, kind, depth)?;
        }
        Ok(())
    }

    fn text(&mut self, at: usize) -> Result<(), Ended> {
        let text = vector(self.bytes, at, 1);
        let end = text.map(|text| text.start.saturating_add(text.bytes.len()));
        match (text, end.and_then(|end| self.bytes.get(end))) {
            (Some(text), Some(0)) => self.count(text, at),
            _ => {
                self.report(FlatbufferKind::Text, at);
                Ok(())
            }
        }
    }

    fn vector(&mut self, at: usize, width: usize) -> Result<Option<Run<'a>>, Ended> {
        let vector = vector(self.bytes, at, width);
        match vector {
            Some(vector) => self.count(vector, at)?,
            None => self.report(FlatbufferKind::VectorBounds, at),
        }
        Ok(vector)
    }

    fn count(&mut self, run: Run<'a>, at: usize) -> Result<(), Ended> {
        match self.shared.checked_sub(wide(run.bytes.len())) {
            Some(rest) => self.shared = rest,
            None => {
                self.report(FlatbufferKind::Sharing, at);
                return Err(Ended);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "an overflow fails the test"
)]
mod tests;
