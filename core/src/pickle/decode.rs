//! Bytes to instructions, borrowed and never copied.
//!
//! [`decode`] reads one instruction from the front of a slice. It tells apart three things that
//! scanners mix up: an instruction, *incomplete* (the slice ends inside one, and more bytes
//! would help), and *malformed* (no bytes that follow could make it an instruction).
//!
//! It refuses to interpret: a line stays a line, whatever number or string it spells (see
//! [`super::text`]), and whether the stack allows the opcode is the machine's business.

use super::opcode::{Argument, Opcode};

/// An opcode with its argument, at a place in the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction<'a> {
    /// Where the opcode's byte stands, from the start of the stream.
    pub offset: u64,
    /// The opcode.
    pub opcode: Opcode,
    /// Its argument.
    pub arg: Arg<'a>,
    /// How many bytes the opcode and its argument take.
    pub length: usize,
}

/// The argument of an [`Instruction`], as the bytes spell it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg<'a> {
    /// The opcode takes none.
    None,
    /// A fixed-width integer of at most four bytes.
    Int(i64),
    /// An eight-byte count (`FRAME`).
    Count(u64),
    /// A binary float.
    Float(f64),
    /// One line without its newline.
    Line(&'a [u8]),
    /// Two lines without their newlines: a module and a name.
    Lines(&'a [u8], &'a [u8]),
    /// The bytes of a literal that declares its length.
    Data(&'a [u8]),
}

/// What the front of a slice holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// A whole instruction.
    Instruction(Instruction<'a>),
    /// The slice ends before the instruction does; at least this many more bytes are needed.
    Incomplete(u64),
}

/// Why no instruction can start here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where, from the start of the stream.
    pub offset: u64,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The byte is none of the 68 opcodes.
    UnknownOpcode(u8),
    /// `BINSTRING` or `LONG4` declares a negative length; both CPython unpicklers raise.
    NegativeLength,
    /// A length that no address space holds (`load_counted_binbytes` in `Modules/_pickle.c`
    /// and `load_binbytes8` in `Lib/pickle.py` raise too).
    HugeLength,
}

impl core::fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UnknownOpcode(byte) => write!(f, "byte {byte:#04x} is not an opcode"),
            Self::NegativeLength => f.write_str("a literal declares a negative length"),
            Self::HugeLength => f.write_str("a literal declares more bytes than memory can hold"),
        }
    }
}

/// Reads the instruction at the front of `input`, which stands at `offset` of its stream.
///
/// # Errors
/// [`DecodeError`] where no further bytes could complete an instruction.
#[inline]
pub fn decode(input: &[u8], offset: u64) -> Result<Step<'_>, DecodeError> {
    let Some((&byte, rest)) = input.split_first() else {
        return Ok(Step::Incomplete(1));
    };
    let Some(opcode) = Opcode::from_byte(byte) else {
        return Err(DecodeError { kind: DecodeErrorKind::UnknownOpcode(byte), offset });
    };
    match argument(opcode, rest) {
        Ok((arg, used)) => {
            let length = used.saturating_add(1);
            Ok(Step::Instruction(Instruction { offset, opcode, arg, length }))
        }
        Err(Stop::Short(needed)) => Ok(Step::Incomplete(needed)),
        Err(Stop::Bad(kind)) => Err(DecodeError { kind, offset }),
    }
}

/// The instruction of a known `opcode` at the front of `input`, where it is whole and sound.
///
/// Inlined where the opcode is a constant, this reads one kind of argument and no other: it is
/// for a loop that has told the opcodes apart already, and agrees with [`decode`].
#[inline(always)]
pub(super) fn known(opcode: Opcode, input: &[u8], offset: u64) -> Option<Instruction<'_>> {
    let (_, rest) = input.split_first()?;
    let (arg, used) = argument(opcode, rest).ok()?;
    Some(Instruction { offset, opcode, arg, length: used.saturating_add(1) })
}

/// Reads the argument of `opcode` at the front of `rest`, and how many bytes it takes.
#[inline(always)]
fn argument(opcode: Opcode, rest: &[u8]) -> Read<'_> {
    match opcode.argument() {
        Argument::None => Ok((Arg::None, 0)),
        Argument::UInt1 => fixed(rest, |[a]: [u8; 1]| Arg::Int(i64::from(a))),
        Argument::UInt2 => fixed(rest, |b| Arg::Int(i64::from(u16::from_le_bytes(b)))),
        Argument::Int4 => fixed(rest, |b| Arg::Int(i64::from(i32::from_le_bytes(b)))),
        Argument::UInt4 => fixed(rest, |b| Arg::Int(i64::from(u32::from_le_bytes(b)))),
        Argument::UInt8 => fixed(rest, |b| Arg::Count(u64::from_le_bytes(b))),
        Argument::Float8 => fixed(rest, |b| Arg::Float(f64::from_be_bytes(b))),
        Argument::DecimalShort
        | Argument::DecimalLong
        | Argument::FloatLine
        | Argument::StringLine
        | Argument::Line
        | Argument::UnicodeLine => line(rest).map(|(line, used)| (Arg::Line(line), used)),
        Argument::LinePair => line_pair(rest),
        Argument::String1 | Argument::Bytes1 | Argument::Unicode1 | Argument::Long1 => {
            counted(rest, |[a]: [u8; 1]| Some(u64::from(a)))
        }
        Argument::Bytes4 | Argument::Unicode4 => {
            counted(rest, |b| Some(u64::from(u32::from_le_bytes(b))))
        }
        Argument::String4 | Argument::Long4 => {
            counted(rest, |b| u64::try_from(i32::from_le_bytes(b)).ok())
        }
        Argument::Bytes8 | Argument::ByteArray8 | Argument::Unicode8 => {
            counted(rest, |b| Some(u64::from_le_bytes(b)))
        }
    }
}

/// Why an argument could not be read.
enum Stop {
    /// The slice ends too early, by at least this many bytes.
    Short(u64),
    /// No further bytes would help.
    Bad(DecodeErrorKind),
}

type Read<'a> = Result<(Arg<'a>, usize), Stop>;

#[inline]
fn fixed<'a, const N: usize>(rest: &'a [u8], make: impl FnOnce([u8; N]) -> Arg<'a>) -> Read<'a> {
    match rest.first_chunk::<N>() {
        Some(bytes) => Ok((make(*bytes), N)),
        None => Err(short(N, rest.len())),
    }
}

#[inline]
fn counted<const N: usize>(rest: &[u8], length: impl FnOnce([u8; N]) -> Option<u64>) -> Read<'_> {
    let Some((header, data)) = rest.split_first_chunk::<N>() else {
        return Err(short(N, rest.len()));
    };
    let declared = length(*header).ok_or(Stop::Bad(DecodeErrorKind::NegativeLength))?;
    if i64::try_from(declared).is_err() {
        return Err(Stop::Bad(DecodeErrorKind::HugeLength));
    }
    match usize::try_from(declared).ok().and_then(|wanted| data.get(..wanted)) {
        Some(data) => Ok((Arg::Data(data), N.saturating_add(data.len()))),
        None => Err(Stop::Short(declared.saturating_sub(data.len().try_into().unwrap_or(0)))),
    }
}

/// A line ends at `\n` alone: `\r` belongs to it, as in `_Unpickler_Readline`.
#[inline]
fn line(rest: &[u8]) -> Result<(&[u8], usize), Stop> {
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Stop::Short(1))?;
    Ok((rest.get(..end).unwrap_or_default(), end.saturating_add(1)))
}

fn line_pair(rest: &[u8]) -> Read<'_> {
    let (first, used) = line(rest)?;
    let behind = rest.get(used..).unwrap_or_default();
    let (second, more) = line(behind).map_err(|_| {
        // With nothing behind the first line, at least its own newline is missing.
        Stop::Short(1)
    })?;
    Ok((Arg::Lines(first, second), used.saturating_add(more)))
}

fn short(wanted: usize, have: usize) -> Stop {
    Stop::Short(u64::try_from(wanted.saturating_sub(have)).unwrap_or(u64::MAX))
}

impl Instruction<'_> {
    /// Where the next instruction starts.
    #[must_use]
    #[inline]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::try_from(self.length).unwrap_or(u64::MAX))
    }

    /// Whether a frame that ends at `boundary` cuts one of this instruction's reads in two.
    ///
    /// An unpickler reads an opcode, a length and a literal by separate calls. A boundary
    /// between two of them is harmless. A boundary *inside* one is where the unpicklers part
    /// (cpython#154848): `_Unframer.read` in `Lib/pickle.py` raises, `_Unpickler_ReadImpl` in
    /// `Modules/_pickle.c` reads on when the input is a buffer, and drops the frame's rest and
    /// reads anew from behind it when the input is a file.
    #[must_use]
    pub fn is_cut_by(&self, boundary: u64) -> bool {
        let Some(inside) = boundary.checked_sub(self.offset) else {
            return false;
        };
        let Ok(inside) = usize::try_from(inside) else {
            return false;
        };
        if inside == 0 || inside >= self.length {
            return false;
        }
        let second_read = match (self.opcode.argument(), self.arg) {
            (Argument::LinePair, Arg::Lines(first, _)) => first.len().saturating_add(2),
            (_, Arg::Data(data)) => self.length.saturating_sub(data.len()),
            _ => 1,
        };
        inside != 1 && inside != second_read
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn whole(input: &[u8]) -> Instruction<'_> {
        match decode(input, 7) {
            Ok(Step::Instruction(instruction)) => instruction,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_each_kind_of_argument() {
        assert_eq!(whole(b"N").arg, Arg::None);
        assert_eq!(whole(b"K\xff").arg, Arg::Int(255));
        assert_eq!(whole(b"M\x01\x02").arg, Arg::Int(513));
        assert_eq!(whole(b"J\xff\xff\xff\xff").arg, Arg::Int(-1));
        assert_eq!(whole(b"j\xff\xff\xff\xff").arg, Arg::Int(4_294_967_295));
        assert_eq!(whole(b"G\x3f\xf0\0\0\0\0\0\0").arg, Arg::Float(1.0));
        assert_eq!(whole(b"I12\r\nrest").arg, Arg::Line(b"12\r"));
        assert_eq!(whole(b"cos\nsystem\n.").arg, Arg::Lines(b"os", b"system"));
        assert_eq!(whole(b"X\x02\0\0\0hi.").arg, Arg::Data(b"hi"));
        assert_eq!(whole(b"X\x02\0\0\0hi.").length, 7);
        assert_eq!(whole(b"\x95\x01\0\0\0\0\0\0\0").arg, Arg::Count(1));
    }

    #[test]
    fn tells_incomplete_from_malformed() {
        assert_eq!(decode(b"", 0), Ok(Step::Incomplete(1)));
        assert_eq!(decode(b"M\x01", 0), Ok(Step::Incomplete(1)));
        assert_eq!(decode(b"C\x05ab", 0), Ok(Step::Incomplete(3)));
        assert_eq!(decode(b"cos\nsys", 0), Ok(Step::Incomplete(1)));
        let error =
            |input, kind| assert_eq!(decode(input, 9), Err(DecodeError { kind, offset: 9 }));
        error(b"\xff", DecodeErrorKind::UnknownOpcode(0xff));
        error(b"T\xff\xff\xff\xff", DecodeErrorKind::NegativeLength);
        error(b"\x8b\0\0\0\x80", DecodeErrorKind::NegativeLength);
        error(b"\x8e\0\0\0\0\0\0\0\x80", DecodeErrorKind::HugeLength);
    }

    #[test]
    fn a_boundary_cuts_only_inside_a_read() {
        let literal = whole(b"X\x02\0\0\0hi");
        let cut: Vec<u64> = (0..20).filter(|&boundary| literal.is_cut_by(boundary)).collect();
        assert_eq!(cut, [9, 10, 11, 13]);
        let pair = whole(b"cos\nsystem\n");
        let cut: Vec<u64> = (0..30).filter(|&boundary| pair.is_cut_by(boundary)).collect();
        assert_eq!(cut, [9, 10, 12, 13, 14, 15, 16, 17]);
    }

    proptest! {
        /// Feeding a stream in pieces of any size equals feeding it whole.
        #[test]
        fn pieces_equal_whole(input in proptest::collection::vec(any::<u8>(), 0..64), piece in 1_usize..9) {
            let whole = decode(&input, 3);
            let mut seen = 0;
            let pieces = loop {
                match decode(&input[..seen], 3) {
                    Ok(Step::Incomplete(needed)) => {
                        prop_assert!(needed >= 1);
                        if seen == input.len() {
                            break Ok(Step::Incomplete(needed));
                        }
                    }
                    done => break done,
                }
                seen = (seen + piece).min(input.len());
            };
            prop_assert_eq!(format_args!("{:?}", whole).to_string(), format_args!("{:?}", pieces).to_string());
        }

        /// Where the opcode is known, the short way reads what the general way reads.
        #[test]
        fn known_equals_decode(row in 0_usize..68, rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let opcode = super::super::opcode::OPCODES[row].opcode;
            let mut input = std::vec![opcode.byte()];
            input.extend(rest);
            let general = match decode(&input, 5) {
                Ok(Step::Instruction(instruction)) => Some(instruction),
                _ => None,
            };
            prop_assert_eq!(
                format_args!("{:?}", known(opcode, &input, 5)).to_string(),
                format_args!("{general:?}").to_string()
            );
        }

        /// An instruction never claims bytes that are not there, and a decoded prefix is stable.
        #[test]
        fn instructions_stay_inside(input in proptest::collection::vec(any::<u8>(), 1..64)) {
            if let Ok(Step::Instruction(instruction)) = decode(&input, 0) {
                prop_assert!(instruction.length >= 1 && instruction.length <= input.len());
                prop_assert!(matches!(
                    decode(&input[..instruction.length - 1], 0),
                    Ok(Step::Incomplete(_))
                ));
            }
        }
    }
}
