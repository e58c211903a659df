//! safetensors: a length, a JSON header, and the tensors' bytes.
//!
//! The header is read as the reference reader reads it: the crate `safetensors` 0.8,
//! `safetensors/src/tensor.rs` (`read_metadata`, `Metadata::validate`), and what `serde` makes of
//! its types. A test in `core/tests/safetensors.rs` holds the two together, over every change of
//! one byte of small files.
//!
//! It refuses what the reference accepts where other readers of the format see something else:
//! a name or a metadata key that occurs twice (the reference takes the last one, others the first),
//! a tensor written as an array, an element type written as an object (both are spellings that
//! `serde` allows and nobody writes), and white space in front of the `{` (the format's
//! description wants the brace first). It does not look at the tensors' numbers.
//!
//! The tensors' places have to follow each other without a hole, in whatever order the header
//! names them. Sorting them takes memory: with `alloc` that of the header's tensors, without it
//! [`super::store::ROOM`] of them, and more are then refused.

use core::mem::size_of;

use super::event::{Anomaly, Event, Sink};
use super::json_text::code_like_string;
use super::store::Store;
use crate::json::{JsonError, Reader, Str, Token};
use crate::limits::{self, Limits};
use crate::score::Rule;

anomaly_kinds! {
    /// What breaks a rule of the format.
    pub enum Kind;
    Short, SafetensorsStructure, "safetensors.short", "the file ends before its header does";
    HeaderLength, SafetensorsStructure, "safetensors.header-length", "the header is longer than the reference reader allows";
    Start, SafetensorsStructure, "safetensors.start", "the header does not start with a brace, and readers that check the first byte refuse it";
    Metadata, SafetensorsStructure, "safetensors.metadata", "the metadata is no map of strings";
    RepeatedMetadata, SafetensorsStructure, "safetensors.metadata.repeated", "the header has two maps of metadata";
    RepeatedKey, SafetensorsStructure, "safetensors.metadata.key", "a key of the metadata occurs twice, and readers take different ones";
    RepeatedName, SafetensorsStructure, "safetensors.name", "a tensor's name occurs twice, and readers take different ones";
    Entry, SafetensorsStructure, "safetensors.entry", "a tensor is not described by an object";
    Field, SafetensorsStructure, "safetensors.field", "a tensor's description lacks its type, shape or place, or has it twice";
    Type, SafetensorsStructure, "safetensors.dtype", "a tensor has an element type that the format does not know";
    Shape, SafetensorsStructure, "safetensors.shape", "a tensor's shape is no list of sizes";
    Offsets, SafetensorsStructure, "safetensors.offsets", "a tensor's place is no pair of offsets, the first no greater than the second";
    Overflow, SafetensorsStructure, "safetensors.overflow", "a tensor's size overflows 64 bits";
    Bits, SafetensorsStructure, "safetensors.bits", "a tensor's elements do not fill whole bytes";
    Size, SafetensorsStructure, "safetensors.size", "a tensor's place is not as long as its shape and type say";
    Layout, SafetensorsStructure, "safetensors.layout", "the tensors' places overlap or leave a hole";
    Data, SafetensorsStructure, "safetensors.data", "the tensors' places do not end where the file ends";
    Tensors, SafetensorsStructure, "safetensors.tensors", "there are more tensors than are followed, and the rest could not be judged";
    Code, MetadataCode, "safetensors.code", "text in the metadata looks like a program";
}

/// Bytes of the header's length.
const LENGTH: usize = size_of::<u64>();

/// How many bytes [`accepts`] looks at.
pub(super) const LOOK: usize = LENGTH.saturating_add(256);

/// The key of the metadata.
const METADATA: &str = "__metadata__";

/// The element types (`Dtype`) and the bits of an element.
pub(crate) const TYPES: [(&str, u64); 22] = [
    ("BOOL", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
];

/// Whether the bytes are meant as a safetensors file: a length that some reader would try, and
/// behind it a brace, white space or not before it, and then a key or the end of the object.
///
/// The header may be broken further on, or longer than the file: a reader of the format is what
/// opens it all the same, and says what is wrong.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    let Some((length, header)) = bytes.split_first_chunk::<LENGTH>() else { return false };
    let length = u64::from_le_bytes(*length);
    if !(2..=limits::FORMAT_SAFETENSORS_HEADER_BYTES).contains(&length) {
        return false;
    }
    // Text has letters where the length's high bytes are zero, so a short look is enough.
    let header = header.get(..LOOK.saturating_sub(LENGTH)).unwrap_or(header);
    header
        .trim_ascii_start()
        .strip_prefix(b"{")
        .is_some_and(|rest| matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')))
}

/// Something that the header describes, soundly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a, 'e> {
    /// A pair of the metadata.
    Metadata(Str<'a>, Str<'a>),
    /// A tensor.
    Tensor {
        name: Str<'a>,
        /// The place of its element type in [`TYPES`].
        element: usize,
        /// How many dimensions it has.
        rank: usize,
        /// Its sizes: the first [`RANK`] of them.
        shape: &'e [u64],
        /// Where its bytes stand in the file, should that be long enough.
        bytes: (u64, u64),
    },
}

/// As many sizes of a shape are kept: `TensorIterator` of ATen and numpy allow no more, the format
/// itself any number.
pub(crate) const RANK: usize = 64;

/// Walks the header, and says what breaks a rule and which text looks like a program.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    walk(bytes, limits, sink, &mut |_| {});
}

/// The same for a file of `length` bytes that starts with these; whether the header is among them.
pub(super) fn read_start(bytes: &[u8], length: u64, limits: &Limits, sink: Sink<'_>) -> bool {
    walk_start(bytes, length, limits, sink, &mut |_| {})
}

/// The same, and hands out what the header describes, in its order. It proves nothing about the
/// file before the walk has ended without an anomaly.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    sink: Sink<'_>,
    each: &mut dyn FnMut(Entry<'a, '_>),
) {
    let whole = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    walk_start(bytes, whole, limits, sink, each);
}

fn walk_start<'a>(
    bytes: &'a [u8],
    whole: u64,
    limits: &Limits,
    sink: Sink<'_>,
    each: &mut dyn FnMut(Entry<'a, '_>),
) -> bool {
    let length = bytes.first_chunk::<LENGTH>().map(|length| u64::from_le_bytes(*length));
    let Some(length) = length else {
        sink(Kind::Short.at(0, b""));
        return true;
    };
    if length > limits::FORMAT_SAFETENSORS_HEADER_BYTES {
        sink(Kind::HeaderLength.at(0, b""));
        return true;
    }
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(LENGTH));
    let Some(header) = end.and_then(|end| bytes.get(LENGTH..end)) else {
        sink(Kind::Short.at(0, b""));
        return shifted(length) > whole;
    };
    sink(Event::Read(shifted(length)));
    sink(Event::Unjudged("the numbers in a safetensors file's tensors were not examined"));
    let data = whole.saturating_sub(shifted(length));
    if header.first() != Some(&b'{') {
        sink(Kind::Start.at(shifted(0), b""));
    }
    let reader = Reader::new(header);
    let base = shifted(length);
    let mut walk =
        Walk { reader, limits, sink, each, base, partial: false, shape: [0; RANK], rank: 0 };
    if let Err(error) = walk.header(data) {
        walk.broken(error);
    }
    true
}

/// A place in the header as a place in the file.
fn shifted(offset: u64) -> u64 {
    offset.saturating_add(u64::try_from(LENGTH).unwrap_or(0))
}

/// Where a tensor lies, and what it is called. Keys of the metadata lie nowhere.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'a> {
    name: Str<'a>,
    start: u64,
    end: u64,
}

/// The walk under way.
struct Walk<'a, 'l, 's, 'e> {
    reader: Reader<'a>,
    limits: &'l Limits,
    sink: Sink<'s>,
    each: &'e mut dyn FnMut(Entry<'a, '_>),
    /// Where the tensors' bytes start in the file.
    base: u64,
    /// The shape that was read last.
    shape: [u64; RANK],
    rank: usize,
    /// Whether a tensor was left out, so that the places of the others prove nothing.
    partial: bool,
}

impl<'a> Walk<'a, '_, '_, '_> {
    fn at(&mut self, kind: Kind, offset: u64, subject: &[u8]) {
        (self.sink)(kind.at(shifted(offset), subject));
    }

    fn broken(&mut self, error: JsonError) {
        (self.sink)(Event::Anomaly(Anomaly {
            rule: Rule::SafetensorsStructure,
            id: "safetensors.json",
            message: error.kind.message(),
            offset: shifted(error.offset),
            subject: b"",
        }));
    }

    /// The header, in front of `data` bytes of tensors.
    fn header(&mut self, data: u64) -> Result<(), JsonError> {
        if self.reader.token()? != Some(Token::ObjectStart) {
            return self.reader.finish();
        }
        let mut tensors = Store::new(self.limits.format.objects);
        let mut metadata = false;
        while let Some(key) = self.reader.key()? {
            if key == METADATA {
                if core::mem::replace(&mut metadata, true) {
                    self.at(Kind::RepeatedMetadata, key.offset(), METADATA.as_bytes());
                }
                self.metadata()?;
            } else {
                let place = self.tensor(key)?;
                self.partial |= place.is_none();
                // A name counts even where its tensor does not: another may have it too.
                self.keep(&mut tensors, place.unwrap_or(Place { name: key, start: 0, end: 0 }));
            }
        }
        self.reader.finish()?;
        self.repeated(&mut tensors, Kind::RepeatedName);
        if !self.partial {
            self.layout(tensors.all(), data);
        }
        Ok(())
    }

    /// A map of strings, or `null`.
    fn metadata(&mut self) -> Result<(), JsonError> {
        let token = self.reader.token()?;
        let start = self.reader.start();
        if token != Some(Token::ObjectStart) {
            if token != Some(Token::Null) {
                self.at(Kind::Metadata, start, METADATA.as_bytes());
            }
            return pass(&mut self.reader, token);
        }
        let mut keys = Store::new(self.limits.format.objects);
        while let Some(key) = self.reader.key()? {
            self.keep(&mut keys, Place { name: key, start: 0, end: 0 });
            self.text(&key, &key);
            let token = self.reader.token()?;
            if let Some(Token::String(value)) = token {
                self.text(&key, &value);
                (self.each)(Entry::Metadata(key, value));
            } else {
                self.at(Kind::Metadata, key.offset(), key.raw().as_bytes());
                pass(&mut self.reader, token)?;
            }
        }
        self.repeated(&mut keys, Kind::RepeatedKey);
        Ok(())
    }

    /// Text that nobody runs, and that may be meant to be run.
    fn text(&mut self, key: &Str<'a>, text: &Str<'a>) {
        if let Some(offset) = code_like_string(text) {
            self.at(Kind::Code, offset, key.raw().as_bytes());
        }
    }

    fn keep(&mut self, places: &mut Store<Place<'a>>, place: Place<'a>) {
        if !places.push(place) && !self.partial {
            self.partial = true;
            self.at(Kind::Tensors, place.name.offset(), place.name.raw().as_bytes());
        }
    }

    /// Names that mean the same.
    fn repeated(&mut self, places: &mut Store<Place<'a>>, kind: Kind) {
        let places = places.all();
        places.sort_unstable_by(|a, b| a.name.compare(&b.name));
        for pair in places.windows(2) {
            if let [first, second] = pair
                && first.name.means(&second.name)
            {
                let offset = first.name.offset().max(second.name.offset());
                self.at(kind, offset, second.name.raw().as_bytes());
            }
        }
    }

    /// One tensor's description; its place where all of it is sound.
    fn tensor(&mut self, name: Str<'a>) -> Result<Option<Place<'a>>, JsonError> {
        let subject = name.raw().as_bytes();
        let token = self.reader.token()?;
        if token != Some(Token::ObjectStart) {
            self.at(Kind::Entry, name.offset(), subject);
            pass(&mut self.reader, token)?;
            return Ok(None);
        }
        let (mut element, mut count, mut offsets) = (None, None, None);
        let mut sound = true;
        while let Some(field) = self.reader.key()? {
            let repeated = if field == "dtype" {
                element.replace(self.element(subject)?).is_some()
            } else if field == "shape" {
                count.replace(self.shape(subject)?).is_some()
            } else if field == "data_offsets" {
                offsets.replace(self.offsets(subject)?).is_some()
            } else {
                // The reference reads over other fields.
                self.reader.skip_value()?;
                false
            };
            if repeated {
                sound = false;
                self.at(Kind::Field, field.offset(), subject);
            }
        }
        let (Some(element), Some(count), Some(offsets)) = (element, count, offsets) else {
            self.at(Kind::Field, name.offset(), subject);
            return Ok(None);
        };
        let (Some((element, bits)), Some(count), Some((start, end))) = (element, count, offsets)
        else {
            return Ok(None);
        };
        let Some(bits) = count.checked_mul(bits) else {
            self.at(Kind::Overflow, name.offset(), subject);
            return Ok(None);
        };
        if bits % 8 != 0 {
            self.at(Kind::Bits, name.offset(), subject);
            return Ok(None);
        }
        if end.checked_sub(start) != Some(bits / 8) {
            self.at(Kind::Size, name.offset(), subject);
            return Ok(None);
        }
        if !sound {
            return Ok(None);
        }
        (self.each)(Entry::Tensor {
            name,
            element,
            rank: self.rank,
            shape: self.shape.get(..self.rank).unwrap_or(&self.shape),
            bytes: (self.base.saturating_add(start), self.base.saturating_add(end)),
        });
        Ok(Some(Place { name, start, end }))
    }

    /// An element type: its place in the table, and the bits of one element.
    fn element(&mut self, subject: &[u8]) -> Result<Option<(usize, u64)>, JsonError> {
        let token = self.reader.token()?;
        let start = self.reader.start();
        let known = match token {
            Some(Token::String(string)) => {
                TYPES.iter().enumerate().find(|(_, (known, _))| string == *known)
            }
            _ => None,
        };
        if known.is_none() {
            self.at(Kind::Type, start, subject);
            pass(&mut self.reader, token)?;
        }
        Ok(known.map(|(at, &(_, bits))| (at, bits)))
    }

    /// How many elements a shape has.
    fn shape(&mut self, subject: &[u8]) -> Result<Option<u64>, JsonError> {
        let mut count = Some(1_u64);
        let (shape, mut rank) = (&mut self.shape, 0_usize);
        let list = sizes(&mut self.reader, &mut |size| {
            if let Some(place) = shape.get_mut(rank) {
                *place = size;
            }
            rank = rank.saturating_add(1);
            // The reference multiplies from the left, and a zero behind an overflow is too late.
            count = count.and_then(|count| count.checked_mul(size));
        })?;
        self.rank = rank;
        match (list, count) {
            (Err(start), _) => self.at(Kind::Shape, start, subject),
            (Ok(start), None) => self.at(Kind::Overflow, start, subject),
            (Ok(_), Some(count)) => return Ok(Some(count)),
        }
        Ok(None)
    }

    /// Where a tensor's bytes start and end among those of all.
    fn offsets(&mut self, subject: &[u8]) -> Result<Option<(u64, u64)>, JsonError> {
        let mut pair = [0_u64; 2];
        let mut length = 0_usize;
        let list = sizes(&mut self.reader, &mut |size| {
            if let Some(place) = pair.get_mut(length) {
                *place = size;
            }
            length = length.saturating_add(1);
        })?;
        let [start, end] = pair;
        match list {
            Ok(_) if length == 2 && start <= end => return Ok(Some((start, end))),
            Ok(at) | Err(at) => self.at(Kind::Offsets, at, subject),
        }
        Ok(None)
    }

    /// Whether the places follow each other from the first byte of the data to its last.
    fn layout(&mut self, places: &mut [Place<'a>], data: u64) {
        places.sort_unstable_by_key(|place| (place.start, place.end));
        let mut next = 0;
        for place in places {
            if place.start != next {
                self.at(Kind::Layout, place.name.offset(), place.name.raw().as_bytes());
                return;
            }
            next = place.end;
        }
        if next != data {
            self.at(Kind::Data, self.reader.end(), b"");
        }
    }
}

/// Reads over the rest of a value whose first token was read.
fn pass<'a>(reader: &mut Reader<'a>, token: Option<Token<'a>>) -> Result<(), JsonError> {
    match token {
        Some(Token::ObjectStart | Token::ArrayStart) => reader.leave(),
        _ => Ok(()),
    }
}

/// A list of whole numbers: where it starts, or where it turns out to be something else.
fn sizes(
    reader: &mut Reader<'_>,
    each: &mut dyn FnMut(u64),
) -> Result<Result<u64, u64>, JsonError> {
    let token = reader.token()?;
    let start = reader.start();
    if token != Some(Token::ArrayStart) {
        pass(reader, token)?;
        return Ok(Err(start));
    }
    loop {
        let token = reader.token()?;
        let size = match token {
            Some(Token::ArrayEnd) => return Ok(Ok(start)),
            Some(Token::Number(number)) => number.as_u64(),
            _ => None,
        };
        let Some(size) = size else {
            let start = reader.start();
            pass(reader, token)?;
            reader.leave()?;
            return Ok(Err(start));
        };
        each(size);
    }
}
