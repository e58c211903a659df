//! MessagePack, as Flax writes checkpoints: maps of names, with arrays as extensions.
//!
//! Every value is walked to the last byte. Flax knows three extensions: an array or a scalar of
//! numpy (a shape, the name of a dtype, and the bytes), and a complex number; each is a value of
//! its own inside, and what it declares must be what is there. Other extensions go to whatever a
//! program has registered, and are findings. Byte strings that are pickles are handed back:
//! msgpack-numpy unpickles arrays of objects.
//!
//! It refuses to tell repeated keys apart, or to put chunked arrays together: numpy refuses where
//! those do not fit. Laxer than Python's msgpack: keys may be numbers.
//!
//! Source: the MessagePack specification (github.com/msgpack/msgpack, `spec.md`); Flax,
//! `flax/serialization.py` (`_msgpack_ext_unpack`, `_ndarray_from_bytes`); msgpack-numpy,
//! `msgpack_numpy.py` (`decode`).

use super::embedded::may_be_pickle;
use super::event::{Event, Sink};
use crate::limits::Limits;

/// How deep the cheap look goes, whatever the limits say.
const LOOK_DEPTH: u32 = 64;

anomaly_kinds! {
    /// What is odd about MessagePack.
    pub enum MsgpackKind;

    Broken, FormatStructure, "msgpack.structure",
        "a value ends early, or is of a kind that the specification does not know";
    Text, FormatStructure, "msgpack.text",
        "a text is not UTF-8, and readers refuse it or give bytes";
    Trailing, FormatStructure, "msgpack.trailing-data",
        "bytes follow the value, which a reader of a stream takes for another one";
    Depth, FormatStructure, "msgpack.depth",
        "maps and arrays nest deeper than the limit; the rest was not judged";
    Extension, FormatStructure, "msgpack.extension",
        "an extension is none of Flax's three, and goes to what a program has registered for it";
    Array, FormatStructure, "msgpack.array",
        "an array's shape, dtype and bytes do not fit each other";
    Dtype, FormatStructure, "msgpack.dtype",
        "an array's dtype is not the name of a number";
}

/// Whether the bytes are a map of names that ends with them, or holds one of Flax's arrays.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    if opens(bytes) != Some(true) {
        return false;
    }
    let mut walk = Walk { bytes, at: 0, arrays: 0 };
    let whole = walk.value(LOOK_DEPTH, &mut |_| {}).is_ok() && walk.at == bytes.len();
    whole || walk.arrays > 0
}

/// Whether a map starts here of which the first key is a name; nothing where the bytes end before
/// that shows.
pub(super) fn opens(bytes: &[u8]) -> Option<bool> {
    let mut walk = Walk { bytes, at: 0, arrays: 0 };
    match walk.head()? {
        Head::Map(count) if count > 0 => {}
        _ => return Some(false),
    }
    let Head::Text(length) = walk.head()? else { return Some(false) };
    let key = core::str::from_utf8(walk.take(length)?);
    Some(key.is_ok_and(|key| !key.chars().any(char::is_control)))
}

/// Walks the bytes.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let mut walk = Walk { bytes, at: 0, arrays: 0 };
    match walk.value(limits.format.object_depth, sink) {
        Err(kind) => sink(kind.at(walk.place(), b"")),
        Ok(()) if walk.at < bytes.len() => sink(MsgpackKind::Trailing.at(walk.place(), b"")),
        Ok(()) => {}
    }
}

/// What the first bytes of a value say.
#[derive(Clone, Copy)]
enum Head {
    /// A value that is whole: nothing, a truth, a number. The number where it is not negative.
    Plain(Option<u64>),
    Text(u64),
    Bytes(u64),
    Array(u64),
    Map(u64),
    Extension(i8, u64),
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many sound arrays were met.
    arrays: u64,
}

impl<'a> Walk<'a> {
    fn place(&self) -> u64 {
        u64::try_from(self.at).unwrap_or(u64::MAX)
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, size: u64) -> Option<u64> {
        let bytes = self.take(size)?;
        Some(bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn head(&mut self) -> Option<Head> {
        let first = self.number(1)?;
        // The sizes of the lengths and numbers of a family stand in a row: 1, 2, 4, 8 bytes.
        let size = |from: u64| 1_u64 << (first.saturating_sub(from) & 3);
        Some(match first {
            0x00..=0x7f => Head::Plain(Some(first)),
            0x80..=0x8f => Head::Map(first & 15),
            0x90..=0x9f => Head::Array(first & 15),
            0xa0..=0xbf => Head::Text(first & 31),
            0xc0 | 0xc2 | 0xc3 => Head::Plain(None),
            0xc4..=0xc6 => Head::Bytes(self.number(size(0xc4))?),
            0xc7..=0xc9 => {
                let length = self.number(size(0xc7))?;
                Head::Extension(self.kind()?, length)
            }
            0xca | 0xcb => {
                self.take(if first == 0xca { 4 } else { 8 })?;
                Head::Plain(None)
            }
            0xcc..=0xcf => Head::Plain(Some(self.number(size(0xcc))?)),
            0xd0..=0xd3 => {
                self.take(size(0xd0))?;
                Head::Plain(None)
            }
            0xd4..=0xd7 => Head::Extension(self.kind()?, size(0xd4)),
            0xd8 => Head::Extension(self.kind()?, 16),
            0xd9..=0xdb => Head::Text(self.number(size(0xd9))?),
            0xdc | 0xdd => Head::Array(self.number(size(0xdc).saturating_mul(2))?),
            0xde | 0xdf => Head::Map(self.number(size(0xde).saturating_mul(2))?),
            0xe0..=0xff => Head::Plain(None),
            // 0xc1 is never used.
            _ => return None,
        })
    }

    fn kind(&mut self) -> Option<i8> {
        let byte = self.take(1)?.first().copied()?;
        Some(i8::from_ne_bytes([byte]))
    }

    fn value(&mut self, depth: u32, sink: Sink<'_>) -> Result<(), MsgpackKind> {
        let start = self.place();
        match self.head().ok_or(MsgpackKind::Broken)? {
            Head::Plain(_) => {}
            Head::Text(length) => {
                let text = self.take(length).ok_or(MsgpackKind::Broken)?;
                if core::str::from_utf8(text).is_err() {
                    sink(MsgpackKind::Text.at(start, b""));
                    self.bytes_value(text, sink);
                }
            }
            Head::Bytes(length) => {
                let bytes = self.take(length).ok_or(MsgpackKind::Broken)?;
                self.bytes_value(bytes, sink);
            }
            Head::Array(count) => {
                let inner = depth.checked_sub(1).ok_or(MsgpackKind::Depth)?;
                for _ in 0..count {
                    self.value(inner, sink)?;
                }
            }
            Head::Map(count) => {
                let inner = depth.checked_sub(1).ok_or(MsgpackKind::Depth)?;
                for _ in 0..count {
                    self.value(inner, sink)?;
                    self.value(inner, sink)?;
                }
            }
            Head::Extension(kind, length) => {
                let content = self.take(length).ok_or(MsgpackKind::Broken)?;
                let inside = Walk { bytes: content, at: 0, arrays: 0 };
                let sound = match kind {
                    1 | 3 => inside.array(),
                    2 => inside.complex(),
                    _ => Err(MsgpackKind::Extension),
                };
                match sound {
                    Ok(()) => self.arrays = self.arrays.saturating_add(1),
                    Err(found) => sink(found.at(start, b"")),
                }
                if sound == Err(MsgpackKind::Extension) {
                    self.bytes_value(content, sink);
                }
            }
        }
        Ok(())
    }

    fn bytes_value(&self, bytes: &[u8], sink: Sink<'_>) {
        if may_be_pickle(bytes) {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let offset = self.place().saturating_sub(length);
            sink(Event::Member { name: b"bytes", offset, bytes });
        }
    }

    /// `[shape, dtype, bytes]`, and nothing behind it.
    fn array(mut self) -> Result<(), MsgpackKind> {
        let (dtype, product, data) = self.parts().ok_or(MsgpackKind::Array)?;
        let size = item_size(dtype).ok_or(MsgpackKind::Dtype)?;
        let whole = product.checked_mul(size) == Some(data) && self.at == self.bytes.len();
        if whole { Ok(()) } else { Err(MsgpackKind::Array) }
    }

    fn parts(&mut self) -> Option<(&'a [u8], u64, u64)> {
        let Head::Array(3) = self.head()? else { return None };
        let Head::Array(rank) = self.head()? else { return None };
        let mut product = 1_u64;
        for _ in 0..rank {
            let Head::Plain(Some(count)) = self.head()? else { return None };
            product = product.checked_mul(count)?;
        }
        let (Head::Text(length) | Head::Bytes(length)) = self.head()? else { return None };
        let dtype = self.take(length)?;
        let (Head::Text(length) | Head::Bytes(length)) = self.head()? else { return None };
        self.take(length)?;
        Some((dtype, product, length))
    }

    /// Two numbers, and nothing behind them.
    fn complex(mut self) -> Result<(), MsgpackKind> {
        let heads = [self.head(), self.head(), self.head()];
        let [Some(Head::Array(2)), Some(Head::Plain(_)), Some(Head::Plain(_))] = heads else {
            return Err(MsgpackKind::Array);
        };
        if self.at == self.bytes.len() { Ok(()) } else { Err(MsgpackKind::Array) }
    }
}

/// How many bytes a number of this dtype takes: `dtype.name` of numpy and of `ml_dtypes`, whose
/// numbers of four and two bits take a byte each.
fn item_size(dtype: &[u8]) -> Option<u64> {
    Some(match dtype {
        b"bool" | b"int8" | b"uint8" | b"int4" | b"uint4" | b"int2" | b"uint2" => 1,
        b"float16" | b"bfloat16" | b"int16" | b"uint16" => 2,
        b"float32" | b"int32" | b"uint32" => 4,
        b"float64" | b"int64" | b"uint64" | b"complex64" => 8,
        b"float128" | b"complex128" => 16,
        _ if dtype.starts_with(b"float8_") || dtype.starts_with(b"float4_") => 1,
        _ => return None,
    })
}

#[cfg(test)]
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

    /// `{"w": extension}`
    fn map(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [b"\x81\xa1w\xc7".as_slice(), &[length, kind], content].concat()
    }

    fn array(shape: &[u8], dtype: &str, data: usize) -> Vec<u8> {
        let rank = 0x90 | u8::try_from(shape.len()).unwrap();
        let name = 0xa0 | u8::try_from(dtype.len()).unwrap();
        let size = u8::try_from(data).unwrap();
        let head = [&[0x93, rank], shape, &[name], dtype.as_bytes(), &[0xc4, size]].concat();
        [head, std::vec![7; data]].concat()
    }

    #[test]
    fn checkpoints_of_flax_say_nothing() {
        for content in [
            map(1, &array(&[2, 3], "float32", 24)),
            map(3, &array(&[], "bfloat16", 2)),
            map(1, &array(&[0, 9], "int64", 0)),
            map(2, b"\x92\xca\0\0\0\0\x01"),
            b"\x82\xa1a\x81\xa1b\xc0\xa1c\x92\x01\xff".to_vec(),
        ] {
            assert!(accepts(&content) && walk(&content).is_empty(), "{content:x?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (content, id) in [
            (map(1, &array(&[2, 3], "float32", 23)), "msgpack.array"),
            (map(1, &array(&[2], "object", 16)), "msgpack.dtype"),
            (map(1, b"\x93\x91\xff\xa4bool\xc4\0"), "msgpack.array"),
            (map(9, b"x"), "msgpack.extension"),
            (map(255, b"\0\0\0\0"), "msgpack.extension"),
            (b"\x81\xa1a\xa1\xff".to_vec(), "msgpack.text"),
        ] {
            assert_eq!(walk(&content), [id], "{content:x?}");
            assert!(accepts(&content));
        }
        let sound = map(1, &array(&[2], "int8", 2));
        let behind = [sound.as_slice(), b"\x01"].concat();
        assert_eq!(walk(&behind), ["msgpack.trailing-data"]);
        let cut = [b"\x82".as_slice(), &sound[1..], b"\xa1"].concat();
        assert_eq!(walk(&cut), ["msgpack.structure"]);
        assert!(accepts(&behind) && accepts(&cut), "an array of Flax is in them");
        let deep = [b"\x81\xa1a".as_slice(), &[0x91; 70]].concat();
        assert_eq!(walk(&deep), ["msgpack.depth"]);
        assert_eq!(walk(b"\x81\xa1a\xc1"), ["msgpack.structure"]);
    }

    #[test]
    fn pickles_in_bytes_are_handed_back() {
        assert_eq!(walk(b"\x81\xa1a\xc4\x0fcposix\nsystem\n."), ["+15"]);
        assert_eq!(walk(&map(9, b"cposix\nsystem\n.")), ["msgpack.extension", "+15"]);
    }

    #[test]
    fn other_bytes_are_not_accepted() {
        for bytes in [b"".as_slice(), b"\x80", b"\x80\x02}.", b"\x81\x01\x02", b"{}", b"\x81\xa1a"]
        {
            assert!(!accepts(bytes), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_whole_leaves_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [b"\x82\xa1a".as_slice(), &bytes].concat();
            let seen = walk(&bytes);
            if accepts(&bytes) && seen.is_empty() {
                let longer = [bytes.as_slice(), b"\0"].concat();
                prop_assert_eq!(walk(&longer), ["msgpack.trailing-data"]);
            }
        }
    }
}
