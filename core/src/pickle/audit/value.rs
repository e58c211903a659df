//! What the auditor knows of each value: sixteen `Copy` bytes.
//!
//! A value holds just enough to answer three questions: which text could this be, if it is used
//! as a module or a name; which import does it come from, if it is called; and what kind is it,
//! if it is an argument of an allowed callable. Everything else of a value is not kept.

use crate::pickle::kind::Kind;
use crate::pickle::text::Encoding;
use crate::rules::Class;

/// An abstract value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A value of which the kind is all that matters.
    Plain(Kind),
    /// Nothing: the stream took a value where there was none, and every unpickler stops there.
    Missing,
    /// A string literal of the stream.
    Text {
        /// How its bytes spell it.
        encoding: Encoding,
        /// How many bytes it takes; `u32::MAX` is too long to be a name.
        length: u32,
        /// Where its bytes start, from the start of the stream.
        offset: u64,
    },
    /// A byte string that the stream spells out.
    Bytes {
        /// Whether it is spelled as text, from which `_codecs.encode(…, 'latin1')` makes it.
        latin1: bool,
        /// How many bytes it takes.
        length: u32,
        /// Where its bytes start, from the start of the stream.
        offset: u64,
    },
    /// A tuple; its items are known by kind.
    Tuple(Tuple),
    /// A tuple of integers alone, none negative: a shape, a stride.
    Ints {
        /// How many there are.
        arity: u8,
        /// Their product; [`NO_PRODUCT`] where it does not fit.
        product: u64,
    },
    /// An integer literal.
    Int(i64),
    /// A list, dict or set that can still grow.
    Container {
        /// Which of them.
        kind: Kind,
        /// Its row in the table of containers.
        id: u32,
        /// The import that made it, or [`NO_IMPORT`] where an opcode did.
        import: u32,
    },
    /// A storage that the loader gives.
    Storage {
        /// How many elements it holds; [`NO_PRODUCT`] where nobody can know.
        elements: u64,
    },
    /// An imported object itself.
    Import(u32),
    /// What a call of an imported object returned.
    Instance {
        /// What the allowlist says that it gives.
        kind: Kind,
        /// How deep its arguments nest.
        depth: u8,
        /// How many leaves its arguments hold.
        weight: Weight,
        /// The bytes of an item, for a numpy dtype.
        item: Item,
        /// The import that was called.
        import: u32,
    },
}

/// In place of an import's index: the value comes from an opcode.
pub const NO_IMPORT: u32 = u32::MAX;

/// In place of a product: it does not fit.
pub(super) const NO_PRODUCT: u64 = u64::MAX;

/// The items of a tuple, by kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuple {
    /// How deep it nests, itself counted.
    pub depth: u8,
    /// How many items it has; 255 stands for any number from there on.
    pub arity: u8,
    /// How many leaves it holds.
    pub weight: Weight,
    /// The item size that its first item names, if it is a numpy dtype's name.
    pub item: Item,
    /// The kinds of its first items.
    pub kinds: [Kind; KINDS],
}

/// How many items of a tuple are known by kind.
pub(super) const KINDS: usize = 8;

/// How many leaves a value holds when every shared part is counted wherever it appears.
///
/// The upper half of an `f32`: two or three digits are enough to tell a model from a bomb, and
/// the range has no end that a stream could wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(u16);

impl Weight {
    /// One leaf.
    pub const LEAF: Self = Self(0x3f80);

    /// The weight as a number.
    #[must_use]
    pub const fn get(self) -> f32 {
        let [low, high] = self.0.to_le_bytes();
        f32::from_le_bytes([0, 0, low, high])
    }

    /// The weight of a number, rounded down.
    #[must_use]
    pub const fn of(number: f32) -> Self {
        let [_, _, low, high] = number.to_le_bytes();
        Self(u16::from_le_bytes([low, high]))
    }
}

/// The item size of a numpy dtype, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item(u16);

impl Item {
    /// The name is none that we read.
    pub const UNKNOWN: Self = Self(u16::MAX);
    /// Python objects: the array is a pickle of its own.
    pub const OBJECT: Self = Self(u16::MAX - 1);
    /// The state of a dtype leaves its item size as it is.
    pub const KEPT: Self = Self(u16::MAX - 2);

    /// The state of a dtype contradicts what it is made of.
    pub const DENIED: Self = Self(u16::MAX - 3);

    /// So many bytes, where they are few enough.
    #[must_use]
    pub fn of_bytes(bytes: i64) -> Self {
        u16::try_from(bytes)
            .ok()
            .filter(|&bytes| bytes < Self::DENIED.0)
            .map_or(Self::UNKNOWN, Self)
    }

    /// How many bytes an item takes, where that is known.
    #[must_use]
    pub fn bytes(self) -> Option<u64> {
        (self.0 < Self::DENIED.0).then_some(u64::from(self.0))
    }

    /// Reads a dtype name such as `f8`, `<i4`, `|b1`, `S12`, `U3` or `O8`, as numpy's pickles
    /// spell it (`numpy/_core/src/multiarray/descriptor.c`, `arraydescr_reduce`).
    #[must_use]
    pub fn of_name(name: &[u8]) -> Self {
        let (kind, digits) = match name {
            [b'<' | b'>' | b'|' | b'=', kind, digits @ ..] | [kind, digits @ ..] => (*kind, digits),
            [] => return Self::UNKNOWN,
        };
        let count = core::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u16>().ok());
        let bytes = match (kind, count) {
            (b'O', _) => return Self::OBJECT,
            (b'b' | b'i' | b'u' | b'f' | b'c' | b'S' | b'V' | b'M' | b'm', count) => count,
            // UCS-4.
            (b'U', Some(count)) => count.checked_mul(4),
            _ => None,
        };
        bytes.map_or(Self::UNKNOWN, |bytes| Self::of_bytes(bytes.into()))
    }
}

/// One import of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Import {
    /// What the rules say of it.
    pub class: Class,
    /// Where the stream asks for it.
    pub offset: u64,
}

/// One list, dict or set of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Container {
    /// How many leaves it holds so far.
    pub weight: f32,
    /// How deep it nests so far, itself counted.
    pub depth: u8,
    /// Whether another container holds it already.
    pub held: bool,
    /// As the fields of a numpy dtype: the furthest byte that one of them ends at.
    pub reach: u32,
    /// As the fields of a numpy dtype: whether one of them holds objects.
    pub objects: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_sixteen_bytes() {
        assert_eq!(size_of::<Value>(), 16);
        assert_eq!(size_of::<Option<Value>>(), 16);
    }

    #[test]
    fn weights_keep_their_magnitude() {
        for number in [1.0_f32, 2.0, 1_000.0, 1e9, 1e30] {
            let kept = Weight::of(number).get();
            assert!(kept <= number && kept > number * 0.99, "{number} {kept}");
        }
        assert_eq!(Weight::LEAF.get(), 1.0);
        assert_eq!(Weight::of(f32::INFINITY).get(), f32::INFINITY);
    }

    #[test]
    fn dtype_names_tell_the_item_size() {
        for (name, bytes) in [
            (&b"f8"[..], Some(8)),
            (b"<i4", Some(4)),
            (b"|b1", Some(1)),
            (b"U3", Some(12)),
            (b"f", None),
            (b"U99999", None),
            (b"S65534", None),
            (b"", None),
            (b"x8", None),
        ] {
            assert_eq!(Item::of_name(name).bytes(), bytes, "{name:?}");
        }
        assert_eq!(Item::of_name(b"O8"), Item::OBJECT);
        assert_eq!(Item::of_name(b"|O"), Item::OBJECT);
    }
}
