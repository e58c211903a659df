//! Arrays as `numpy.save` writes them: a header that is a Python literal, then the numbers.
//!
//! An array of dtype object is a pickle behind a header, and `numpy.load(allow_pickle=True)`
//! unpickles it; it is handed back to be judged as one. Everything else is numbers, whose place
//! and length the header must give exactly.
//!
//! It refuses to evaluate the header. numpy hands it to `ast.literal_eval`, which takes every
//! literal of Python; here the dict has its three keys once each, in any order, in the spelling
//! of `repr`, and dtypes are spelled as `dtype.str` spells them. No writer needs more, and what a
//! lenient reader makes of less has been a way to crash it. Bytes behind the array, which numpy
//! leaves unread, are another array (`numpy.save` may write several to one handle) or a finding.
//!
//! Source: numpy, `numpy/lib/_format_impl.py` (`read_magic`, `_read_array_header`,
//! `descr_to_dtype`, `read_array`).

mod header;

pub(crate) use header::{Header, HeaderError, Part};

use super::event::{Event, Sink};
use crate::limits::Limits;
use crate::pickle::decode::{Step, decode};
use crate::pickle::opcode::Opcode;

/// The first six bytes of every array.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// numpy refuses longer headers (`_MAX_HEADER_SIZE`), unless it may unpickle.
const HEADER_CHARACTERS: usize = 10_000;

/// No header that numpy reads ends behind so many bytes of its file: UTF-8 takes four for a
/// character, and twelve stand before.
pub const HEADER_BYTES: usize = 12 + 4 * HEADER_CHARACTERS;

anomaly_kinds! {
    /// What is odd about an array's file.
    pub enum NpyKind;

    Truncated, FormatStructure, "npy.truncated",
        "the file ends inside the magic, the header or the array, where numpy refuses it";
    Version, FormatStructure, "npy.version",
        "the version is none of 1.0, 2.0 and 3.0, and numpy reads no other";
    LongHeader, FormatStructure, "npy.header-length",
        "the header is longer than the 10,000 characters that numpy evaluates from a file that it does not trust";
    Encoding, FormatStructure, "npy.header-encoding",
        "the header is not in the encoding of its version";
    Literal, FormatStructure, "npy.header-literal",
        "the header is no dict in the spelling of numpy's writers, and numpy would evaluate it as a Python literal";
    Keys, FormatStructure, "npy.header-keys",
        "the header's dict has other keys than `descr`, `fortran_order` and `shape`, once each";
    Shape, FormatStructure, "npy.shape",
        "the shape is no tuple of at most 64 counts";
    Dtype, FormatStructure, "npy.dtype",
        "the dtype is not spelled as `dtype.str` spells one";
    Depth, FormatStructure, "npy.dtype-depth",
        "the dtype nests deeper than the limit; the rest could not be judged";
    Overflow, FormatStructure, "npy.size",
        "the array takes more bytes than any memory holds";
    Objects, FormatStructure, "npy.objects",
        "the array holds objects, and what follows the header is no pickle of protocol 2 or later, as numpy writes it";
    Trailing, FormatStructure, "npy.trailing-data",
        "bytes follow the array that are no further array, and numpy does not read them";
}

/// Whether `numpy.load` would take the bytes for an array: it looks at the magic alone.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Walks the arrays of a file.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    if let Some(frame) = Frame::of(bytes) {
        sink(Event::Read(place(frame.end)));
        sink(Event::Unjudged("the numbers in numpy's arrays were not examined"));
    }
    let mut at = 0_usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match array(rest, at, limits, sink) {
            Some(0) | None => return,
            Some(length) => at = at.saturating_add(length),
        }
        match bytes.get(at..) {
            Some(rest) if rest.starts_with(MAGIC) => {}
            Some([]) | None => return,
            Some(_) => return sink(NpyKind::Trailing.at(place(at), b"")),
        }
    }
}

/// Walks one array at the front of `bytes`, which stand at `at` of the file; how long it is, if
/// it can be told.
fn array(bytes: &[u8], at: usize, limits: &Limits, sink: Sink<'_>) -> Option<usize> {
    if !bytes.starts_with(MAGIC) {
        sink(NpyKind::Truncated.at(place(at), b""));
        return None;
    }
    let Some(frame) = Frame::of(bytes) else {
        sink(Frame::missing(bytes).at(place(at), bytes.get(6..8).unwrap_or_default()));
        return None;
    };
    let here = place(at.saturating_add(frame.start));
    let body = bytes.get(frame.end..).unwrap_or_default();
    let header = frame.header(bytes, limits, &mut |kind| sink(kind.at(here, b"")), &mut |_| {});
    let Header { dtype, count } = match header {
        Ok(header) => header,
        Err(HeaderError { kind, offset }) => {
            sink(kind.at(here.saturating_add(place(offset)), b""));
            // A lenient reader may make an array of objects of it.
            if opens_pickle(body) {
                member(body, at.saturating_add(frame.end), sink);
            }
            return None;
        }
    };
    if dtype.objects {
        let start = at.saturating_add(frame.end);
        if !opens_pickle(body) {
            sink(NpyKind::Objects.at(place(start), b""));
        }
        let length = pickle_length(body).unwrap_or(body.len());
        // Whatever else follows is judged with the pickle: an unpickler may be called again.
        let more = body.get(length..).is_some_and(|rest| rest.starts_with(MAGIC));
        let length = if more { length } else { body.len() };
        member(body.get(..length).unwrap_or_default(), start, sink);
        return frame.end.checked_add(length);
    }
    let Some(size) = count.checked_mul(dtype.size).and_then(|size| usize::try_from(size).ok())
    else {
        sink(NpyKind::Overflow.at(here, b""));
        return None;
    };
    if size > body.len() {
        sink(NpyKind::Truncated.at(place(at.saturating_add(frame.end)), b""));
        return None;
    }
    frame.end.checked_add(size)
}

fn member(bytes: &[u8], at: usize, sink: Sink<'_>) {
    sink(Event::Member { name: b"objects", offset: place(at), bytes });
}

/// Whether a pickle opens as numpy has always written it: in protocol 2 or later.
fn opens_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// How many bytes a pickle takes, up to its `STOP`.
fn pickle_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let Ok(Step::Instruction(instruction)) = decode(bytes.get(at..)?, 0) else { return None };
        at = at.checked_add(instruction.length)?;
        if instruction.opcode == Opcode::Stop {
            return Some(at);
        }
    }
}

/// Where the header of an array stands.
pub(crate) struct Frame {
    pub(crate) start: usize,
    /// Where the array starts.
    pub(crate) end: usize,
    /// Whether its text is UTF-8, of version 3, instead of Latin-1.
    pub(crate) utf8: bool,
}

impl Frame {
    /// The frame at the front of bytes that start with the magic.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let (start, length, utf8) = match bytes.get(6..)? {
            [1, 0, a, b, ..] => (10, usize::from(u16::from_le_bytes([*a, *b])), false),
            [version @ (2 | 3), 0, a, b, c, d, ..] => {
                let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?;
                (12_usize, length, *version == 3)
            }
            _ => return None,
        };
        let end = start.checked_add(length)?;
        (end <= bytes.len()).then_some(Self { start, end, utf8 })
    }

    /// Why there is none.
    pub(crate) fn missing(bytes: &[u8]) -> NpyKind {
        match bytes.get(6..8) {
            Some([1..=3, 0]) | None => NpyKind::Truncated,
            Some(_) => NpyKind::Version,
        }
    }

    /// Reads the header: `odd` hears what numpy refuses of all of it, `each` what it says.
    pub(crate) fn header<'a>(
        &self,
        bytes: &'a [u8],
        limits: &Limits,
        odd: &mut dyn FnMut(NpyKind),
        each: &mut dyn FnMut(Part<'a>),
    ) -> Result<Header, HeaderError> {
        let header = bytes.get(self.start..self.end).unwrap_or_default();
        let characters = match core::str::from_utf8(header) {
            Ok(text) if self.utf8 => text.chars().count(),
            Err(_) if self.utf8 => {
                odd(NpyKind::Encoding);
                header.len()
            }
            _ => header.len(),
        };
        if characters > HEADER_CHARACTERS {
            odd(NpyKind::LongHeader);
        }
        Header::parse(header, !self.utf8, limits.format.object_depth, each)
    }
}

fn place(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::format::testing;
    use std::string::String;
    use std::vec::Vec;

    /// An array of version 1 with this header and body.
    fn npy(header: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(body);
        bytes
    }

    /// The ids of what is odd, and `+` and the length of each member.
    fn walk(bytes: &[u8]) -> Vec<String> {
        testing::members(read, bytes)
    }

    const FLOATS: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  \n";
    const OBJECTS: &str = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";

    #[test]
    fn honest_arrays_say_nothing() {
        for (header, size) in [
            (FLOATS, 8),
            ("{'descr': '<f8', 'fortran_order': True, 'shape': (), }\n", 8),
            ("{'shape': (3, 0), 'descr': '<U7', 'fortran_order': False}", 0),
            (
                "{'descr': [('a', '<i4'), ('b', '|S3', (2, 2))], 'fortran_order': False, 'shape': (2,), }",
                32,
            ),
            (
                "{'descr': [('', '|V4'), (('title', 'x'), [('y', '>f2')], 3)], 'fortran_order': False, 'shape': (1,), }",
                10,
            ),
            ("{'descr': '<M8[25ns]', 'fortran_order': False, 'shape': (2L,), }", 16),
        ] {
            assert!(walk(&npy(header, &std::vec![7; size])).is_empty(), "{header}");
            assert_eq!(walk(&npy(header, &std::vec![7; size + 1])), ["npy.trailing-data"]);
            if size > 0 {
                assert_eq!(walk(&npy(header, &std::vec![7; size - 1])), ["npy.truncated"]);
            }
        }
    }

    #[test]
    fn objects_are_handed_back_up_to_the_next_array() {
        let mut bytes = npy(OBJECTS, b"\x80\x02N.");
        assert_eq!(walk(&bytes), ["+4"]);
        bytes.extend(npy(FLOATS, &[0; 8]));
        assert_eq!(walk(&bytes), ["+4"]);
        bytes.extend(npy(OBJECTS, b"\x80\x02N.tail"));
        assert_eq!(walk(&bytes), ["+4", "+8"]);
        assert_eq!(walk(&npy(OBJECTS, b"cposix\nsystem\n.")), ["npy.objects", "+15"]);
        assert_eq!(walk(&npy(OBJECTS, b"")), ["npy.objects", "+0"]);
        let nested = "{'descr': [('a', [('b', '|O')], 2)], 'fortran_order': False, 'shape': (1,)}";
        assert_eq!(walk(&npy(nested, b"\x80\x04N.")), ["+4"]);
    }

    #[test]
    fn what_numpy_refuses_is_named() {
        for (header, id) in [
            ("{'descr': '<f4', 'fortran_order': False}", "npy.header-keys"),
            (
                "{'descr': '<f4', 'descr': '|O', 'fortran_order': False, 'shape': ()}",
                "npy.header-keys",
            ),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "npy.header-literal"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "npy.shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", "npy.shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': [1]}", "npy.shape"),
            ("{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}", "npy.dtype"),
            ("{'descr': 'object', 'fortran_order': False, 'shape': (1,)}", "npy.dtype"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}; 1", "npy.header-literal"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
                "npy.size",
            ),
            ("__import__('os')", "npy.header-literal"),
            ("", "npy.header-literal"),
        ] {
            assert_eq!(walk(&npy(header, b"")), [id], "{header}");
        }
        assert_eq!(walk(b"\x93NUMPY\x04\x00"), ["npy.version"]);
        assert_eq!(walk(b"\x93NUMPY\x01\x00\xff"), ["npy.truncated"]);
        assert_eq!(walk(b"\x93NUM"), ["npy.truncated"]);
        let deep: String = ["[('a', "; 100].concat();
        let deep = std::format!("{{'descr': {deep}");
        assert_eq!(walk(&npy(&deep, b"")), ["npy.dtype-depth"]);
    }
}
