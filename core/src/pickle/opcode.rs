//! The pickle opcodes: one table, from which the decoder, the machine, `spec/opcodes.md`,
//! `secure-torch trace` and the parity test against CPython's `pickletools` all follow.
//!
//! Names, codes, protocols, arguments and stack effects are those of `Lib/pickletools.py`
//! (CPython 3.8 to 3.13 have the same 68 rows). The table says what an opcode *is*; what an
//! unpickler *does* with it is `pickle::machine`.

/// How the bytes behind an opcode are read.
///
/// The names in [`Argument::name`] are those of `pickletools`' argument descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// No argument.
    None,
    /// One unsigned byte.
    UInt1,
    /// Two bytes, little-endian, unsigned.
    UInt2,
    /// Four bytes, little-endian, two's complement.
    Int4,
    /// Four bytes, little-endian, unsigned.
    UInt4,
    /// Eight bytes, little-endian, unsigned.
    UInt8,
    /// Eight bytes, big-endian IEEE 754.
    Float8,
    /// A line of digits; `00` and `01` are booleans for `INT`.
    DecimalShort,
    /// A line of digits with an optional `L` at its end.
    DecimalLong,
    /// A line that holds a float's text.
    FloatLine,
    /// A line that holds a quoted string with backslash escapes.
    StringLine,
    /// A line that is taken as it is.
    Line,
    /// Two lines: a module and a name.
    LinePair,
    /// A line with `\u` and `\U` escapes, Latin-1 otherwise.
    UnicodeLine,
    /// One byte of length, then that many bytes of a Python 2 `str`.
    String1,
    /// Four bytes of *signed* length, then that many bytes of a Python 2 `str`.
    String4,
    /// One byte of length, then that many bytes.
    Bytes1,
    /// Four bytes of unsigned length, then that many bytes.
    Bytes4,
    /// Eight bytes of unsigned length, then that many bytes.
    Bytes8,
    /// Eight bytes of unsigned length, then that many bytes of a `bytearray`.
    ByteArray8,
    /// One byte of length, then that many bytes of UTF-8.
    Unicode1,
    /// Four bytes of unsigned length, then that many bytes of UTF-8.
    Unicode4,
    /// Eight bytes of unsigned length, then that many bytes of UTF-8.
    Unicode8,
    /// One byte of length, then that many bytes of a little-endian two's complement integer.
    Long1,
    /// Four bytes of *signed* length, then that many bytes of such an integer.
    Long4,
}

impl Argument {
    /// The argument descriptor's name in `pickletools`, or `None` without an argument.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::UInt1 => "uint1",
            Self::UInt2 => "uint2",
            Self::Int4 => "int4",
            Self::UInt4 => "uint4",
            Self::UInt8 => "uint8",
            Self::Float8 => "float8",
            Self::DecimalShort => "decimalnl_short",
            Self::DecimalLong => "decimalnl_long",
            Self::FloatLine => "floatnl",
            Self::StringLine => "stringnl",
            Self::Line => "stringnl_noescape",
            Self::LinePair => "stringnl_noescape_pair",
            Self::UnicodeLine => "unicodestringnl",
            Self::String1 => "string1",
            Self::String4 => "string4",
            Self::Bytes1 => "bytes1",
            Self::Bytes4 => "bytes4",
            Self::Bytes8 => "bytes8",
            Self::ByteArray8 => "bytearray8",
            Self::Unicode1 => "unicodestring1",
            Self::Unicode4 => "unicodestring4",
            Self::Unicode8 => "unicodestring8",
            Self::Long1 => "long1",
            Self::Long4 => "long4",
        })
    }
}

/// What stands on the stack before or after an opcode; the names are those of `pickletools`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Any object.
    Any,
    /// The mark that `MARK` pushes.
    Mark,
    /// Every object above the topmost mark.
    Slice,
    /// An integer.
    Int,
    /// An integer or a boolean.
    IntOrBool,
    /// A boolean.
    Bool,
    /// A float.
    Float,
    /// A Python 2 `str`: `bytes` or `str`, as the unpickler's encoding says.
    BytesOrStr,
    /// `bytes`.
    Bytes,
    /// A `bytearray`.
    ByteArray,
    /// A `str`.
    Str,
    /// `None`.
    None,
    /// A `tuple`.
    Tuple,
    /// A `list`.
    List,
    /// A `dict`.
    Dict,
    /// A `set`.
    Set,
    /// A `frozenset`.
    FrozenSet,
    /// An out-of-band buffer.
    Buffer,
}

impl Item {
    /// The stack object's name in `pickletools`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Mark => "mark",
            Self::Slice => "stackslice",
            Self::Int => "int",
            Self::IntOrBool => "int_or_bool",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::BytesOrStr => "bytes_or_str",
            Self::Bytes => "bytes",
            Self::ByteArray => "bytearray",
            Self::Str => "str",
            Self::None => "None",
            Self::Tuple => "tuple",
            Self::List => "list",
            Self::Dict => "dict",
            Self::Set => "set",
            Self::FrozenSet => "frozenset",
            Self::Buffer => "buffer",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The opcode.
    pub opcode: Opcode,
    /// CPython's name, as in `SHORT_BINUNICODE`.
    pub name: &'static str,
    /// The protocol that introduced the opcode.
    pub protocol: u8,
    /// How its argument is read.
    pub argument: Argument,
    /// The stack before, topmost last.
    pub before: &'static [Item],
    /// The stack after, topmost last.
    pub after: &'static [Item],
    /// What the opcode means, in one line.
    pub meaning: &'static str,
}

macro_rules! opcodes {
    ($($code:literal $variant:ident $name:literal $protocol:literal $argument:ident
       [$($before:ident)*] [$($after:ident)*] $meaning:literal)*) => {
        /// A pickle opcode; the discriminant is its byte in the stream.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Opcode {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] $variant = $code,)*
        }

        /// Every opcode, ordered by its byte.
        pub static OPCODES: [Row; 68] = [
            $(Row {
                opcode: Opcode::$variant,
                name: $name,
                protocol: $protocol,
                argument: Argument::$argument,
                before: &[$(Item::$before),*],
                after: &[$(Item::$after),*],
                meaning: $meaning,
            },)*
        ];

        impl Opcode {
            /// The opcode of a byte, where the byte is one.
            #[must_use]
            #[inline]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// How the opcode's argument is read.
            #[must_use]
            #[inline]
            pub const fn argument(self) -> Argument {
                match self {
                    $(Self::$variant => Argument::$argument,)*
                }
            }

            /// CPython's name of the opcode.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

opcodes! {
    b'(' Mark "MARK" 0 None [] [Mark] "push a mark onto the stack"
    b')' EmptyTuple "EMPTY_TUPLE" 1 None [] [Tuple] "push an empty tuple"
    b'.' Stop "STOP" 0 None [Any] [] "end the pickle; the topmost object is its value"
    b'0' Pop "POP" 0 None [Any] [] "drop the topmost object, or the mark if nothing is above it"
    b'1' PopMark "POP_MARK" 1 None [Mark Slice] [] "drop everything down to and with the topmost mark"
    b'2' Dup "DUP" 0 None [Any] [Any Any] "push the topmost object again"
    b'B' BinBytes "BINBYTES" 3 Bytes4 [] [Bytes] "push bytes with a four-byte length"
    b'C' ShortBinBytes "SHORT_BINBYTES" 3 Bytes1 [] [Bytes] "push bytes with a one-byte length"
    b'F' Float "FLOAT" 0 FloatLine [] [Float] "push a float from its text"
    b'G' BinFloat "BINFLOAT" 1 Float8 [] [Float] "push a float from eight big-endian bytes"
    b'I' Int "INT" 0 DecimalShort [] [IntOrBool] "push an integer, or a boolean, from its text"
    b'J' BinInt "BININT" 1 Int4 [] [Int] "push a four-byte signed integer"
    b'K' BinInt1 "BININT1" 1 UInt1 [] [Int] "push a one-byte unsigned integer"
    b'L' Long "LONG" 0 DecimalLong [] [Int] "push an integer of any size from its text"
    b'M' BinInt2 "BININT2" 1 UInt2 [] [Int] "push a two-byte unsigned integer"
    b'N' None "NONE" 0 None [] [None] "push None"
    b'P' PersId "PERSID" 0 Line [] [Any] "push what the loader returns for a persistent id of text"
    b'Q' BinPersId "BINPERSID" 1 None [Any] [Any] "replace a persistent id by what the loader returns for it"
    b'R' Reduce "REDUCE" 0 None [Any Any] [Any] "call an object with a tuple of arguments"
    b'S' String "STRING" 0 StringLine [] [BytesOrStr] "push a Python 2 string from its quoted text"
    b'T' BinString "BINSTRING" 1 String4 [] [BytesOrStr] "push a Python 2 string with a four-byte length"
    b'U' ShortBinString "SHORT_BINSTRING" 1 String1 [] [BytesOrStr] "push a Python 2 string with a one-byte length"
    b'V' Unicode "UNICODE" 0 UnicodeLine [] [Str] "push a string from raw-unicode-escape text"
    b'X' BinUnicode "BINUNICODE" 1 Unicode4 [] [Str] "push a string with a four-byte length"
    b']' EmptyList "EMPTY_LIST" 1 None [] [List] "push an empty list"
    b'a' Append "APPEND" 0 None [List Any] [List] "append an object to a list"
    b'b' Build "BUILD" 0 None [Any Any] [Any] "give an object its state: __setstate__, or its attributes"
    b'c' Global "GLOBAL" 0 LinePair [] [Any] "import a module and push one of its attributes"
    b'd' Dict "DICT" 0 None [Mark Slice] [Dict] "collect keys and values above the mark into a dict"
    b'e' Appends "APPENDS" 1 None [List Mark Slice] [List] "extend a list by everything above the mark"
    b'g' Get "GET" 0 DecimalShort [] [Any] "push an object from the memo, its index as text"
    b'h' BinGet "BINGET" 1 UInt1 [] [Any] "push an object from the memo, one byte of index"
    b'i' Inst "INST" 0 LinePair [Mark Slice] [Any] "import a class and call it with everything above the mark"
    b'j' LongBinGet "LONG_BINGET" 1 UInt4 [] [Any] "push an object from the memo, four bytes of index"
    b'l' List "LIST" 0 None [Mark Slice] [List] "collect everything above the mark into a list"
    b'o' Obj "OBJ" 1 None [Mark Any Slice] [Any] "call the class above the mark with everything above it"
    b'p' Put "PUT" 0 DecimalShort [] [] "store the topmost object in the memo, its index as text"
    b'q' BinPut "BINPUT" 1 UInt1 [] [] "store the topmost object in the memo, one byte of index"
    b'r' LongBinPut "LONG_BINPUT" 1 UInt4 [] [] "store the topmost object in the memo, four bytes of index"
    b's' SetItem "SETITEM" 0 None [Dict Any Any] [Dict] "set one key of a dict"
    b't' Tuple "TUPLE" 0 None [Mark Slice] [Tuple] "collect everything above the mark into a tuple"
    b'u' SetItems "SETITEMS" 1 None [Dict Mark Slice] [Dict] "set the keys above the mark in a dict"
    b'}' EmptyDict "EMPTY_DICT" 1 None [] [Dict] "push an empty dict"
    0x80 Proto "PROTO" 2 UInt1 [] [] "declare the protocol of what follows"
    0x81 NewObj "NEWOBJ" 2 None [Any Any] [Any] "call a class's __new__ with a tuple of arguments"
    0x82 Ext1 "EXT1" 2 UInt1 [] [Any] "push the global that the copyreg registry holds under a one-byte code"
    0x83 Ext2 "EXT2" 2 UInt2 [] [Any] "push the global that the copyreg registry holds under a two-byte code"
    0x84 Ext4 "EXT4" 2 Int4 [] [Any] "push the global that the copyreg registry holds under a four-byte code"
    0x85 Tuple1 "TUPLE1" 2 None [Any] [Tuple] "make a tuple of the topmost object"
    0x86 Tuple2 "TUPLE2" 2 None [Any Any] [Tuple] "make a tuple of the two topmost objects"
    0x87 Tuple3 "TUPLE3" 2 None [Any Any Any] [Tuple] "make a tuple of the three topmost objects"
    0x88 NewTrue "NEWTRUE" 2 None [] [Bool] "push True"
    0x89 NewFalse "NEWFALSE" 2 None [] [Bool] "push False"
    0x8a Long1 "LONG1" 2 Long1 [] [Int] "push an integer with a one-byte length"
    0x8b Long4 "LONG4" 2 Long4 [] [Int] "push an integer with a four-byte length"
    0x8c ShortBinUnicode "SHORT_BINUNICODE" 4 Unicode1 [] [Str] "push a string with a one-byte length"
    0x8d BinUnicode8 "BINUNICODE8" 4 Unicode8 [] [Str] "push a string with an eight-byte length"
    0x8e BinBytes8 "BINBYTES8" 4 Bytes8 [] [Bytes] "push bytes with an eight-byte length"
    0x8f EmptySet "EMPTY_SET" 4 None [] [Set] "push an empty set"
    0x90 AddItems "ADDITEMS" 4 None [Set Mark Slice] [Set] "add everything above the mark to a set"
    0x91 FrozenSet "FROZENSET" 4 None [Mark Slice] [FrozenSet] "collect everything above the mark into a frozenset"
    0x92 NewObjEx "NEWOBJ_EX" 4 None [Any Any Any] [Any] "call a class's __new__ with positional and keyword arguments"
    0x93 StackGlobal "STACK_GLOBAL" 4 None [Str Str] [Any] "import the module and attribute that the stack names"
    0x94 Memoize "MEMOIZE" 4 None [Any] [Any] "store the topmost object under the memo's next index"
    0x95 Frame "FRAME" 4 UInt8 [] [] "announce how many bytes to read ahead"
    0x96 ByteArray8 "BYTEARRAY8" 5 ByteArray8 [] [ByteArray] "push a bytearray with an eight-byte length"
    0x97 NextBuffer "NEXT_BUFFER" 5 None [] [Buffer] "push the next out-of-band buffer"
    0x98 ReadOnlyBuffer "READONLY_BUFFER" 5 None [Buffer] [Buffer] "make the topmost buffer read-only"
}

impl Opcode {
    /// The opcode's byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The opcode's row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // The table is ordered by byte; a missing row cannot happen, and the first row would
        // be a wrong answer rather than a panic.
        let at = OPCODES.binary_search_by_key(&self.byte(), |row| row.opcode.byte());
        OPCODES.get(at.unwrap_or(0)).unwrap_or(&OPCODES[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_ordered_and_found_by_their_byte() {
        assert!(OPCODES.is_sorted_by_key(|row| row.opcode.byte()));
        for row in &OPCODES {
            assert_eq!(Opcode::from_byte(row.opcode.byte()), Some(row.opcode));
            assert_eq!(row.opcode.row().name, row.name);
            assert_eq!(row.opcode.argument(), row.argument);
        }
        let known = (0..=u8::MAX).filter(|&byte| Opcode::from_byte(byte).is_some()).count();
        assert_eq!(known, 68);
    }

    #[test]
    fn names_are_unique() {
        for (index, row) in OPCODES.iter().enumerate() {
            assert!(OPCODES.iter().skip(index + 1).all(|other| other.name != row.name));
        }
    }
}
