//! The wire format of Protocol Buffers: keys, varints, fixed words, runs of bytes and groups.
//!
//! A [`Message`] is bytes and where they stand in the file; walking it yields one [`Field`] after
//! another, in the order of the bytes, and ends at the first thing that is not the wire format.
//! There is no schema here: which number is what, and whether bytes are text, numbers or another
//! message, is known to the format that asks. Nothing is copied and nothing is allocated.
//!
//! What it refuses to do: descend. A message inside a message is bytes until somebody makes a
//! [`Message`] of them, and whoever does counts the depth against `format.message_depth`. Only
//! groups, which have no length, are walked for their end, as deep as that limit.
//!
//! Follows protobuf.dev, "Encoding", and is as strict as the strictest of the readers in use,
//! because whatever they part over hides something from one of them:
//!
//! - A varint has at most ten bytes, and no bit past the 64th. The C++ reader (`parse_context.h`),
//!   upb (`wire/reader.h`) and the pure Python one (`internal/decoder.py`) drop such bits without
//!   a word; Rust's prost and Go's reader refuse them.
//! - A value or a length may be longer than it need be, as in `81 00` for one: every reader takes
//!   it, and writers that fill in a length afterwards leave room that way.
//! - A key may not. C++ and upb take up to five bytes for it and read the same number, while the
//!   pure Python reader looks up the key's bytes as they stand, and skips what it does not find.
//! - A key is below 2^32 and names a field from 1 to 2^29 - 1.
//! - A length takes five bytes at most and is below 2^31, as in C++ and upb.

use core::iter::FusedIterator;
use core::str;

use crate::limits::FORMAT_MESSAGE_DEPTH;

/// The most bytes that a varint has.
const VARINT_BYTES: u32 = 10;
/// The most bytes that a length has in C++ and upb.
const LENGTH_BYTES: u64 = 5;
/// The highest field number.
const MAX_NUMBER: u64 = (1 << 29) - 1;
/// The longest run of bytes.
const MAX_LENGTH: u64 = (1 << 31) - 1;

/// Why bytes are not the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// What is wrong.
    pub kind: WireErrorKind,
    /// Where, counted from the start of the file.
    pub offset: u64,
}

/// The ways in which reading ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// The bytes end inside a key, a number or a group.
    Truncated,
    /// A length reaches past the end of its message.
    Overrun,
    /// A varint has more than ten bytes, or bits past the 64th.
    VarintTooLong,
    /// A key is longer than its number needs.
    KeyTooLong,
    /// A field has number zero, or one past the highest.
    FieldNumber,
    /// The wire type is 6 or 7, which do not exist.
    WireType,
    /// A length is 2 GiB or more, or is spelled in more than five bytes.
    LengthTooLong,
    /// A group ends that did not start, or another one than started last.
    GroupEnd,
    /// Groups nest deeper than the limit.
    GroupDepth,
    /// Text is not UTF-8.
    Text,
}

impl WireErrorKind {
    /// One sentence, lower case.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Truncated => "the message ends inside a field",
            Self::Overrun => "a length reaches past the end of its message",
            Self::VarintTooLong => "a varint has more than 64 bits, which readers drop or refuse",
            Self::KeyTooLong => {
                "a field's key is longer than its number needs, and some readers skip the field"
            }
            Self::FieldNumber => "a field's number is zero or too high",
            Self::WireType => "a field has a wire type that does not exist",
            Self::LengthTooLong => {
                "a length is 2 GiB or more, or longer than five bytes, which readers refuse"
            }
            Self::GroupEnd => "a group ends that is not the one that started last",
            Self::GroupDepth => "groups nest deeper than readers go",
            Self::Text => "text is not UTF-8",
        }
    }
}

impl WireError {
    const fn new(kind: WireErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (at byte {})", self.kind.message(), self.offset)
    }
}

impl core::error::Error for WireError {}

/// A message, or any other run of bytes, and where it starts in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where they start, counted from the start of the file.
    pub offset: u64,
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The number that the schema knows it by.
    pub number: u32,
    /// Where its key starts, counted from the start of the file.
    pub offset: u64,
    /// What it holds.
    pub value: Value<'a>,
}

/// What a field holds, by wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0: a number of any of the varint types.
    Varint(u64),
    /// Wire type 1: eight bytes.
    Fixed64(u64),
    /// Wire type 2: bytes, text, a message, or packed numbers.
    Bytes(Message<'a>),
    /// Wire type 3: what stands between the start and the end of a group.
    Group(Message<'a>),
    /// Wire type 5: four bytes.
    Fixed32(u32),
}

impl<'a> Message<'a> {
    /// A message over `bytes`, which start at `offset` of the file.
    #[must_use]
    pub const fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { bytes, offset }
    }

    /// The fields, in the order of the bytes. An error is the last thing that is yielded.
    #[must_use]
    pub const fn fields(self) -> Fields<'a> {
        Fields { cursor: Cursor::new(self), failed: false }
    }

    /// The messages in fields of this number. The first break of the wire format ends them.
    pub fn messages(self, number: u32) -> impl Iterator<Item = Result<Self, WireError>> {
        self.fields().filter_map(move |field| match field {
            Ok(Field { number: found, value: Value::Bytes(inner), .. }) => {
                (found == number).then_some(Ok(inner))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// The bytes as text: a `string` field is UTF-8.
    pub fn text(self) -> Result<&'a str, WireError> {
        str::from_utf8(self.bytes).map_err(|error| {
            WireError::new(
                WireErrorKind::Text,
                self.offset.saturating_add(wide(error.valid_up_to())),
            )
        })
    }

    /// The bytes as packed varints, of a repeated number field.
    #[must_use]
    pub const fn varints(self) -> Varints<'a> {
        Varints { cursor: Cursor::new(self), failed: false }
    }

    /// The bytes as packed words of `width` bytes (4 or 8): how many there are.
    pub fn words(self, width: u64) -> Result<u64, WireError> {
        let length = wide(self.bytes.len());
        match (length.checked_div(width), length.checked_rem(width)) {
            (Some(count), Some(0)) => Ok(count),
            _ => {
                let end = self.offset.saturating_add(length);
                Err(WireError::new(WireErrorKind::Truncated, end))
            }
        }
    }
}

impl<'a> IntoIterator for Message<'a> {
    type Item = Result<Field<'a>, WireError>;
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.fields()
    }
}

/// The fields of a message.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl<'a> Fields<'a> {
    /// What has not been walked yet, and where it starts.
    #[must_use]
    pub const fn rest(&self) -> Message<'a> {
        self.cursor.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.rest.bytes.is_empty() {
            return None;
        }
        let field = self.cursor.field();
        self.failed = field.is_err();
        Some(field)
    }
}

impl FusedIterator for Fields<'_> {}

/// The numbers of a packed field.
#[derive(Clone, Debug)]
pub struct Varints<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl Iterator for Varints<'_> {
    type Item = Result<u64, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.rest.bytes.is_empty() {
            return None;
        }
        let number = self.cursor.varint().map(|(number, _)| number);
        self.failed = number.is_err();
        Some(number)
    }
}

impl FusedIterator for Varints<'_> {}

/// The number of an `int32` field or an enum, which are sign-extended to 64 bits on the wire.
/// Nothing where bits would be lost: readers drop them, so that the number is another one in a
/// schema where the field is wider.
#[must_use]
pub fn int32(value: u64) -> Option<i32> {
    i32::try_from(int64(value)).ok()
}

/// The number of an `int64` field.
#[must_use]
pub const fn int64(value: u64) -> i64 {
    value.cast_signed()
}

/// A key: which field, and of which wire type.
#[derive(Clone, Copy)]
struct Key {
    number: u32,
    wire: Wire,
}

#[derive(Clone, Copy)]
enum Wire {
    Varint,
    Fixed64,
    Bytes,
    GroupStart,
    GroupEnd,
    Fixed32,
}

#[derive(Clone, Debug)]
struct Cursor<'a> {
    rest: Message<'a>,
}

impl<'a> Cursor<'a> {
    const fn new(message: Message<'a>) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let offset = self.rest.offset;
        let key = self.key()?;
        let value = match key.wire {
            Wire::Varint => Value::Varint(self.varint()?.0),
            Wire::Fixed64 => Value::Fixed64(u64::from_le_bytes(self.word()?)),
            Wire::Bytes => Value::Bytes(self.run()?),
            Wire::GroupStart => Value::Group(self.group(key.number)?),
            Wire::GroupEnd => return Err(WireError::new(WireErrorKind::GroupEnd, offset)),
            Wire::Fixed32 => Value::Fixed32(u32::from_le_bytes(self.word()?)),
        };
        Ok(Field { number: key.number, offset, value })
    }

    fn key(&mut self) -> Result<Key, WireError> {
        let offset = self.rest.offset;
        let fail = |kind| Err(WireError::new(kind, offset));
        let (key, length) = self.varint()?;
        let number = key >> 3;
        let Some(number) =
            u32::try_from(number).ok().filter(|_| (1..=MAX_NUMBER).contains(&number))
        else {
            return fail(WireErrorKind::FieldNumber);
        };
        if length != varint_length(key) {
            return fail(WireErrorKind::KeyTooLong);
        }
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            3 => Wire::GroupStart,
            4 => Wire::GroupEnd,
            5 => Wire::Fixed32,
            _ => return fail(WireErrorKind::WireType),
        };
        Ok(Key { number, wire })
    }

    /// A varint, and how many bytes it takes.
    fn varint(&mut self) -> Result<(u64, u64), WireError> {
        let mut value = 0_u64;
        for place in 0..VARINT_BYTES {
            let at = usize::try_from(place).unwrap_or(usize::MAX);
            let Some(&byte) = self.rest.bytes.get(at) else {
                return Err(WireError::new(WireErrorKind::Truncated, self.rest.offset));
            };
            let bits = u64::from(byte & 0x7f);
            let shift = place.saturating_mul(7);
            value |= bits.checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                // The tenth byte has room for the 64th bit alone.
                if shift == 63 && bits > 1 {
                    break;
                }
                let length = at.saturating_add(1);
                self.take(length)?;
                return Ok((value, wide(length)));
            }
        }
        Err(WireError::new(WireErrorKind::VarintTooLong, self.rest.offset))
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let offset = self.rest.offset;
        let bytes = self.take(N)?.bytes;
        bytes.try_into().map_err(|_| WireError::new(WireErrorKind::Truncated, offset))
    }

    /// Bytes behind their length.
    fn run(&mut self) -> Result<Message<'a>, WireError> {
        let offset = self.rest.offset;
        let (length, spelled) = self.varint()?;
        if length > MAX_LENGTH || spelled > LENGTH_BYTES {
            return Err(WireError::new(WireErrorKind::LengthTooLong, offset));
        }
        let overrun = |_| WireError::new(WireErrorKind::Overrun, offset);
        let length =
            usize::try_from(length).map_err(|_| WireError::new(WireErrorKind::Overrun, offset))?;
        self.take(length).map_err(overrun)
    }

    /// What stands before the end of a group that has just started.
    fn group(&mut self, number: u32) -> Result<Message<'a>, WireError> {
        let start = self.rest;
        let mut open = [0_u32; FORMAT_MESSAGE_DEPTH as usize];
        let mut depth = 0_usize;
        let too_deep = WireError::new(WireErrorKind::GroupDepth, start.offset);
        *open.get_mut(depth).ok_or(too_deep)? = number;
        loop {
            let end = self.rest;
            let key = self.key()?;
            match key.wire {
                Wire::Varint => drop(self.varint()?),
                Wire::Fixed64 => drop(self.word::<8>()?),
                Wire::Bytes => drop(self.run()?),
                Wire::Fixed32 => drop(self.word::<4>()?),
                Wire::GroupStart => {
                    depth = depth.saturating_add(1);
                    let too_deep = WireError::new(WireErrorKind::GroupDepth, end.offset);
                    *open.get_mut(depth).ok_or(too_deep)? = key.number;
                }
                Wire::GroupEnd => {
                    if open.get(depth) != Some(&key.number) {
                        return Err(WireError::new(WireErrorKind::GroupEnd, end.offset));
                    }
                    let Some(outer) = depth.checked_sub(1) else {
                        let length = start.bytes.len().saturating_sub(end.bytes.len());
                        let bytes = start.bytes.get(..length).unwrap_or_default();
                        return Ok(Message::new(bytes, start.offset));
                    };
                    depth = outer;
                }
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Message<'a>, WireError> {
        let offset = self.rest.offset;
        let (taken, rest) = self
            .rest
            .bytes
            .split_at_checked(length)
            .ok_or(WireError::new(WireErrorKind::Truncated, offset))?;
        self.rest = Message::new(rest, offset.saturating_add(wide(length)));
        Ok(Message::new(taken, offset))
    }
}

/// How many bytes a number needs as a varint.
fn varint_length(value: u64) -> u64 {
    let bits = u64::BITS.saturating_sub(value.leading_zeros()).max(1);
    u64::from(bits.div_ceil(7))
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "an overflow fails the test"
)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn fields(bytes: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
        Message::new(bytes, 0).fields().collect()
    }

    fn error(bytes: &[u8]) -> Option<WireErrorKind> {
        fields(bytes).err().map(|error| error.kind)
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes =
            b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\x80\x1a\x02hi\x23\x08\x01\x24\x2d\x01\0\0\x80";
        let expected = vec![
            Field { number: 1, offset: 0, value: Value::Varint(150) },
            Field { number: 2, offset: 3, value: Value::Fixed64(1 << 63 | 1) },
            Field { number: 3, offset: 12, value: Value::Bytes(Message::new(b"hi", 14)) },
            Field { number: 4, offset: 16, value: Value::Group(Message::new(b"\x08\x01", 17)) },
            Field { number: 5, offset: 20, value: Value::Fixed32(1 << 31 | 1) },
        ];
        assert_eq!(fields(bytes), Ok(expected));
        assert_eq!(fields(b""), Ok(vec![]));
    }

    #[test]
    fn varints_end_at_the_tenth_byte_and_the_64th_bit() {
        let most = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(fields(most).unwrap()[0].value, Value::Varint(u64::MAX));
        let overflow = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
        assert_eq!(error(overflow), Some(WireErrorKind::VarintTooLong));
        let eleven = b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00";
        assert_eq!(error(eleven), Some(WireErrorKind::VarintTooLong));
        // Longer than need be, and the same number to every reader.
        let padded = b"\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00";
        assert_eq!(fields(padded).unwrap()[0].value, Value::Varint(1));
        assert_eq!(error(b"\x08\x80"), Some(WireErrorKind::Truncated));
        assert_eq!(error(b"\x08"), Some(WireErrorKind::Truncated));
    }

    #[test]
    fn keys_are_spelled_one_way() {
        assert_eq!(error(b"\x88\x00\x01"), Some(WireErrorKind::KeyTooLong));
        assert_eq!(error(b"\x00\x01"), Some(WireErrorKind::FieldNumber));
        assert_eq!(error(b"\x02\x00"), Some(WireErrorKind::FieldNumber));
        let highest = b"\xf8\xff\xff\xff\x0f\x07";
        assert_eq!(fields(highest).unwrap()[0].number, (1 << 29) - 1);
        // The 33rd bit, which C++ drops: this would be field 1 there.
        assert_eq!(error(b"\x88\x80\x80\x80\x10\x07"), Some(WireErrorKind::FieldNumber));
        assert_eq!(error(b"\x0e"), Some(WireErrorKind::WireType));
        assert_eq!(error(b"\x0f"), Some(WireErrorKind::WireType));
    }

    #[test]
    fn lengths_stay_inside() {
        assert_eq!(error(b"\x0a\x03hi"), Some(WireErrorKind::Overrun));
        assert_eq!(error(b"\x0a\xff\xff\xff\xff\x07"), Some(WireErrorKind::Overrun));
        assert_eq!(error(b"\x0a\x80\x80\x80\x80\x08"), Some(WireErrorKind::LengthTooLong));
        assert_eq!(error(b"\x0a\x80\x80\x80\x80\x80\x00"), Some(WireErrorKind::LengthTooLong));
        let padded = b"\x0a\x82\x80\x80\x80\x00hi";
        assert_eq!(fields(padded).unwrap()[0].value, Value::Bytes(Message::new(b"hi", 6)));
        assert_eq!(error(b"\x09\x01\x02"), Some(WireErrorKind::Truncated));
        assert_eq!(error(b"\x0d\x01\x02"), Some(WireErrorKind::Truncated));
    }

    #[test]
    fn groups_end_where_they_start() {
        assert_eq!(error(b"\x0c"), Some(WireErrorKind::GroupEnd));
        assert_eq!(error(b"\x0b\x14"), Some(WireErrorKind::GroupEnd));
        assert_eq!(error(b"\x0b"), Some(WireErrorKind::Truncated));
        assert_eq!(error(b"\x0b\x13\x0c\x14"), Some(WireErrorKind::GroupEnd));
        let nested = b"\x0b\x13\x14\x0c";
        assert_eq!(fields(nested).unwrap()[0].value, Value::Group(Message::new(b"\x13\x14", 1)));
        let deep = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
        let limit = FORMAT_MESSAGE_DEPTH as usize;
        assert_eq!(error(&deep(limit)), None);
        assert_eq!(error(&deep(limit + 1)), Some(WireErrorKind::GroupDepth));
    }

    #[test]
    fn errors_say_where_and_end_the_walk() {
        let mut walk = Message::new(b"\x08\x01\x00", 40).fields();
        assert!(walk.next().unwrap().is_ok());
        let failed = walk.next().unwrap().unwrap_err();
        assert_eq!(failed, WireError::new(WireErrorKind::FieldNumber, 42));
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn packed_numbers_and_text() {
        let packed: Result<Vec<u64>, _> = Message::new(b"\x03\x8e\x02\x00", 0).varints().collect();
        assert_eq!(packed, Ok(vec![3, 270, 0]));
        let cut: Result<Vec<u64>, _> = Message::new(b"\x03\x8e", 7).varints().collect();
        assert_eq!(cut, Err(WireError::new(WireErrorKind::Truncated, 8)));
        assert_eq!(Message::new(&[0; 8], 0).words(4), Ok(2));
        assert_eq!(
            Message::new(&[0; 9], 1).words(8),
            Err(WireError::new(WireErrorKind::Truncated, 10))
        );
        assert_eq!(Message::new("é".as_bytes(), 0).text(), Ok("é"));
        let latin = Message::new(b"a\xe9", 5).text();
        assert_eq!(latin, Err(WireError::new(WireErrorKind::Text, 6)));
        assert_eq!(int32(u64::MAX), Some(-1));
        assert_eq!(int32(1 << 31), None);
        assert_eq!(int32(0xffff_ffff), None);
    }

    /// What a test writes, the plain way.
    #[derive(Clone, Debug)]
    enum Written {
        Varint(u32, u64),
        Fixed64(u32, u64),
        Fixed32(u32, u32),
        Bytes(u32, Vec<u8>),
        Group(u32, Vec<Written>),
    }

    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn write(written: &[Written], out: &mut Vec<u8>) {
        let key = |number: &u32, wire: u64, out: &mut Vec<u8>| {
            varint(u64::from(*number) << 3 | wire, out);
        };
        for field in written {
            match field {
                Written::Varint(number, value) => {
                    key(number, 0, out);
                    varint(*value, out);
                }
                Written::Fixed64(number, value) => {
                    key(number, 1, out);
                    out.extend(value.to_le_bytes());
                }
                Written::Fixed32(number, value) => {
                    key(number, 5, out);
                    out.extend(value.to_le_bytes());
                }
                Written::Bytes(number, bytes) => {
                    key(number, 2, out);
                    varint(bytes.len() as u64, out);
                    out.extend(bytes);
                }
                Written::Group(number, inner) => {
                    key(number, 3, out);
                    write(inner, out);
                    key(number, 4, out);
                }
            }
        }
    }

    fn same(message: Message<'_>, written: &[Written]) -> bool {
        let read: Result<Vec<Field<'_>>, _> = message.fields().collect();
        let read = read.unwrap();
        read.len() == written.len()
            && read.iter().zip(written).all(|(field, written)| match (field.value, written) {
                (Value::Varint(value), Written::Varint(number, other)) => {
                    (field.number, value) == (*number, *other)
                }
                (Value::Fixed64(value), Written::Fixed64(number, other)) => {
                    (field.number, value) == (*number, *other)
                }
                (Value::Fixed32(value), Written::Fixed32(number, other)) => {
                    (field.number, value) == (*number, *other)
                }
                (Value::Bytes(run), Written::Bytes(number, other)) => {
                    (field.number, run.bytes) == (*number, other.as_slice())
                }
                (Value::Group(inner), Written::Group(number, other)) => {
                    field.number == *number && same(inner, other)
                }
                _ => false,
            })
    }

    fn any_field() -> impl Strategy<Value = Written> {
        let number = || prop_oneof![1_u32..40, 1_u32..1 << 29];
        let leaf = prop_oneof![
            (number(), any::<u64>()).prop_map(|(number, value)| Written::Varint(number, value)),
            (number(), any::<u64>()).prop_map(|(number, value)| Written::Fixed64(number, value)),
            (number(), any::<u32>()).prop_map(|(number, value)| Written::Fixed32(number, value)),
            (number(), prop::collection::vec(any::<u8>(), 0..200))
                .prop_map(|(number, bytes)| Written::Bytes(number, bytes)),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            (number(), prop::collection::vec(inner, 0..4))
                .prop_map(|(number, fields)| Written::Group(number, fields))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(written in prop::collection::vec(any_field(), 0..12)) {
            let mut bytes = Vec::new();
            write(&written, &mut bytes);
            prop_assert!(same(Message::new(&bytes, 0), &written));
        }

        #[test]
        fn fields_stand_one_behind_another(
            written in prop::collection::vec(any_field(), 0..6),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = Vec::new();
            write(&written, &mut bytes);
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut walk = Message::new(&bytes, 100).fields();
            let mut before = 100;
            loop {
                let rest = walk.rest();
                prop_assert_eq!(rest.offset + rest.bytes.len() as u64, 100 + bytes.len() as u64);
                match walk.next() {
                    Some(Ok(field)) => {
                        prop_assert_eq!(field.offset, before);
                        before = walk.rest().offset;
                        prop_assert!(before > field.offset);
                        if let Value::Bytes(run) | Value::Group(run) = field.value {
                            let at = (run.offset - 100) as usize;
                            prop_assert_eq!(&bytes[at..at + run.bytes.len()], run.bytes);
                        }
                    }
                    Some(Err(error)) => {
                        prop_assert!(error.offset >= before);
                        prop_assert!(error.offset <= 100 + bytes.len() as u64);
                        prop_assert_eq!(walk.next(), None);
                        break;
                    }
                    None => {
                        prop_assert_eq!(before, 100 + bytes.len() as u64);
                        break;
                    }
                }
            }
        }
    }
}
