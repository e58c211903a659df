//! GGUF: the model files of llama.cpp.
//!
//! Keys and values, then the tensors' names, shapes and places, then their bytes. The header is
//! read as the reference reads it (`ggml/src/gguf.cpp`, `gguf_init_from_reader`; element types of
//! `ggml/include/ggml.h`), in versions 2 and 3 and in either byte order: which one the machine
//! that loads the file has is not known here. Chat templates are searched for what leaves Jinja's
//! sandbox, since loaders have rendered them without one (CVE-2024-34359).
//!
//! It refuses what the reference refuses, and besides what the format's description
//! (`ggml/docs/gguf.md`) forbids and the reference lets pass: a boolean that is neither 0 nor 1, an
//! alignment that is no multiple of 8, tensors that lie behind the end of the file (the loader
//! finds out later), and bytes behind the last tensor that are no padding. Version 1 is refused
//! like there. It does not look at the tensors' numbers, nor at the words of vocabularies: a
//! tokenizer that knows programs has pieces of them.
//!
//! No count is believed before the bytes for it are seen to be there. Comparing names takes
//! memory: that of the file's names with `alloc`, and [`super::store::ROOM`] of them without.

mod anomaly;
mod bytes;
mod tensor;

pub use anomaly::Kind;

use super::code_text::{code_like, template_escape};
use super::event::{Event, Sink};
use super::store::Store;
use crate::limits::Limits;
use bytes::{Broken, Bytes};

const MAGIC: &[u8] = b"GGUF";

/// The newest version.
const VERSION: u32 = 3;

/// The oldest version that is still read: 1 had counts of 32 bits.
const OLDEST: u32 = 2;

/// What `general.alignment` is where it is not given.
const ALIGNMENT: u64 = 32;

/// The key of the alignment.
const ALIGNMENT_KEY: &[u8] = b"general.alignment";

/// The key of the chat template. Further ones stand behind a dot and a name.
const TEMPLATE_KEY: &[u8] = b"tokenizer.chat_template";

/// Bytes that the shortest key and value take: two lengths of a string, a type, a byte.
const SHORTEST_PAIR: u64 = 8 + 1 + 4 + 1;

/// Whether the bytes start with the magic and a version, in either byte order.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    let version = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<4>());
    version.is_some_and(|version| {
        let plausible = |version: u32| (1..=0xffff).contains(&version);
        plausible(u32::from_le_bytes(*version)) || plausible(u32::from_be_bytes(*version))
    })
}

/// Walks the header, and says what breaks a rule, which template escapes, and which text looks
/// like a program.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    read_start(bytes, u64::try_from(bytes.len()).unwrap_or(u64::MAX), limits, sink);
}

/// The same for a file of `length` bytes that starts with these; whether the header is among them.
pub(super) fn read_start(bytes: &[u8], length: u64, limits: &Limits, sink: Sink<'_>) -> bool {
    let mut walk = Walk { bytes: Bytes::new(bytes, length), limits, alignment: ALIGNMENT, sink };
    if let Err(broken) = walk.file() {
        walk.emit(broken);
    }
    let end = walk.bytes.offset();
    (walk.sink)(Event::Read(end));
    (walk.sink)(Event::Unjudged("the numbers in a GGUF file's tensors were not examined"));
    !walk.bytes.cut()
}

/// The walk under way.
struct Walk<'a, 'l, 's> {
    bytes: Bytes<'a>,
    limits: &'l Limits,
    alignment: u64,
    sink: Sink<'s>,
}

/// A value's type (`enum gguf_type`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    /// So many bytes, which mean a number.
    Number(u64),
    U32,
    Bool,
    String,
    Array,
}

impl Type {
    const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 | 1 => Self::Number(1),
            2 | 3 => Self::Number(2),
            4 => Self::U32,
            5 | 6 => Self::Number(4),
            7 => Self::Bool,
            8 => Self::String,
            9 => Self::Array,
            10..=12 => Self::Number(8),
            _ => return None,
        })
    }
}

impl<'a> Walk<'a, '_, '_> {
    fn emit(&mut self, broken: Broken<'_>) {
        (self.sink)(broken.kind.at(broken.offset, broken.subject));
    }

    fn file(&mut self) -> Result<(), Broken<'a>> {
        let start = self.bytes.offset();
        if self.bytes.take(4)? != MAGIC {
            return Err(Broken { kind: Kind::Magic, offset: start, subject: b"" });
        }
        self.version()?;
        let tensors = self.bytes.u64()?;
        let pairs_at = self.bytes.offset();
        let pairs = self.bytes.u64()?;
        self.fits(pairs, SHORTEST_PAIR, pairs_at)?;
        self.fits(tensors, tensor::SHORTEST, pairs_at.saturating_sub(8))?;
        self.pairs(pairs)?;
        self.tensors(tensors)
    }

    fn version(&mut self) -> Result<(), Broken<'a>> {
        let offset = self.bytes.offset();
        let version = self.bytes.u32()?;
        // The reference tells a file of the other byte order by its empty low half.
        let version = if version & 0xffff == 0 {
            self.bytes.turn();
            version.swap_bytes()
        } else {
            version
        };
        if (OLDEST..=VERSION).contains(&version) {
            Ok(())
        } else {
            Err(Broken { kind: Kind::Version, offset, subject: b"" })
        }
    }

    /// Whether there are bytes for `count` things of `size` bytes and more each.
    fn fits(&self, count: u64, size: u64, offset: u64) -> Result<(), Broken<'a>> {
        match count.checked_mul(size) {
            Some(needed) if needed <= self.bytes.left() => Ok(()),
            _ => Err(Broken { kind: Kind::Count, offset, subject: b"" }),
        }
    }

    fn pairs(&mut self, count: u64) -> Result<(), Broken<'a>> {
        let mut keys = Store::<&[u8]>::new(self.limits.format.objects);
        for _ in 0..count {
            let offset = self.bytes.offset();
            let key = self.bytes.string()?;
            if key.is_empty() {
                self.emit(Broken { kind: Kind::Key, offset, subject: b"" });
            }
            if !keys.push(key) {
                return Err(Broken { kind: Kind::Limit, offset, subject: key });
            }
            self.pair(key)?;
        }
        self.repeated(&mut keys, Kind::RepeatedKey);
        Ok(())
    }

    fn repeated(&mut self, names: &mut Store<&'a [u8]>, kind: Kind) {
        let names = names.all();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [first, second] = pair
                && first == second
            {
                self.emit(Broken { kind, offset: self.bytes.place(second), subject: second });
            }
        }
    }

    fn pair(&mut self, key: &'a [u8]) -> Result<(), Broken<'a>> {
        let kind = self.kind(key)?;
        if key == ALIGNMENT_KEY {
            let offset = self.bytes.offset();
            let alignment = if kind == Type::U32 { u64::from(self.bytes.u32()?) } else { 0 };
            if !alignment.is_power_of_two() || alignment < 8 {
                return Err(Broken { kind: Kind::Alignment, offset, subject: key });
            }
            self.alignment = alignment;
            return Ok(());
        }
        if kind != Type::Array {
            return self.value(key, kind);
        }
        let offset = self.bytes.offset();
        let kind = self.kind(key)?;
        let count = self.bytes.u64()?;
        match kind {
            Type::Array => return Err(Broken { kind: Kind::Nested, offset, subject: key }),
            Type::Number(size) => {
                self.fits(count, size, offset)?;
                self.bytes.take(count.saturating_mul(size))?;
            }
            Type::U32 => {
                self.fits(count, 4, offset)?;
                self.bytes.take(count.saturating_mul(4))?;
            }
            Type::Bool | Type::String => {
                self.fits(count, if kind == Type::Bool { 1 } else { 8 }, offset)?;
                for _ in 0..count {
                    self.value(key, kind)?;
                }
            }
        }
        Ok(())
    }

    fn kind(&mut self, key: &'a [u8]) -> Result<Type, Broken<'a>> {
        let offset = self.bytes.offset();
        let number = self.bytes.u32()?;
        Type::from_number(number).ok_or(Broken { kind: Kind::Type, offset, subject: key })
    }

    /// A value that is no array.
    fn value(&mut self, key: &'a [u8], kind: Type) -> Result<(), Broken<'a>> {
        let offset = self.bytes.offset();
        match kind {
            Type::Number(size) => {
                self.bytes.take(size)?;
            }
            Type::U32 => {
                self.bytes.u32()?;
            }
            Type::Bool => {
                if !matches!(self.bytes.take(1)?, [0 | 1]) {
                    self.emit(Broken { kind: Kind::Bool, offset, subject: key });
                }
            }
            Type::String => {
                let text = self.bytes.string()?;
                self.text(key, text);
            }
            Type::Array => return Err(Broken { kind: Kind::Nested, offset, subject: key }),
        }
        Ok(())
    }

    fn text(&mut self, key: &'a [u8], text: &'a [u8]) {
        let template = key.starts_with(TEMPLATE_KEY);
        if key.starts_with(b"tokenizer.") && !template {
            return;
        }
        // Under other keys a template is what opens Jinja's braces.
        let braces = || text.windows(2).any(|pair| matches!(pair, b"{{" | b"{%"));
        let mut found = None;
        if template || braces() {
            found = template_escape(text).map(|at| (Kind::Template, at));
        }
        if !template {
            found = found.or_else(|| code_like(text).map(|at| (Kind::Code, at)));
        }
        if let Some((kind, at)) = found {
            let at = u64::try_from(at).unwrap_or(u64::MAX);
            let offset = self.bytes.place(text).saturating_add(at);
            self.emit(Broken { kind, offset, subject: key });
        }
    }
}

#[cfg(test)]
mod tests;
