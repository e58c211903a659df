//! Where a tensor's data is said to lie, when it lies in another file.
//!
//! A location is a path below the folder of the model (`docs/ExternalData.md`). What is read from
//! there is whatever the path leads to on the machine that loads the model, so a path counts as
//! leading out as soon as one system takes it that way: a model is judged on one machine and
//! loaded on another. CVE-2022-25882 (`..`) and CVE-2024-27318 (`..` behind a folder) are the two
//! that onnx itself fell for. Stricter than `onnx/checker.cc`, which resolves `a/../b` in its
//! head before it looks: if `a` is a link, the file system does not.

use crate::format::event::{Event, External, Sink};
use crate::format::protobuf::{Field, Message, Value};

use super::Violation;

/// What ONNX Runtime writes as the location of weights that are in memory already; the offset is
/// then their address (`tensorprotoutils.h`: `kTensorProtoMemoryAddressTag` and its kin).
const IN_MEMORY: &[u8] = b"*/_ORT_";

/// How a location reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One plain path below the folder.
    Inside,
    /// Below the folder, or nowhere, and spelled as no writer spells it.
    Odd,
    /// Somewhere else, on some system.
    Outside,
    /// An address in memory.
    Memory,
}

/// How a location reads.
pub(super) fn place(location: &[u8]) -> Place {
    if location.starts_with(IN_MEMORY) {
        return Place::Memory;
    }
    // A NUL ends the path for whoever hands it to C; a backslash parts folders on Windows, and a
    // colon follows a drive there, or names a stream of a file.
    let outside = |byte: &u8| matches!(byte, 0 | b'\\' | b':');
    if location.is_empty() || location.first() == Some(&b'/') || location.iter().any(outside) {
        return Place::Outside;
    }
    // In a file, `#` marks what only the memory of whoever wrote it had (`model_container.py`),
    // and `onnx.checker` does not look for it; wildcards are no part of a name on Windows.
    let mut odd = location.first() == Some(&b'#')
        || location.iter().any(|byte| *byte < 0x20 || b"*?<>|\"".contains(byte));
    let mut names = 0_usize;
    let mut ends_in_name = false;
    for part in location.split(|&byte| byte == b'/') {
        ends_in_name = !matches!(part, b"" | b".");
        odd |= part.is_empty();
        // Windows drops dots and blanks at the end of a name, so that `.. .` climbs there.
        if ends_in_name && (matches!(part.last(), Some(b'.' | b' ')) || is_device(part)) {
            return Place::Outside;
        }
        names = names.saturating_add(usize::from(ends_in_name));
    }
    match (names, ends_in_name && !odd) {
        // The folder itself.
        (0, _) => Place::Outside,
        (_, true) => Place::Inside,
        (_, false) => Place::Odd,
    }
}

/// Whether Windows takes a name for a device, whatever its ending and its folder.
fn is_device(part: &[u8]) -> bool {
    let stem = part.split(|&byte| byte == b'.').next().unwrap_or_default();
    let stem = stem.trim_ascii_end();
    let is = |name: &[u8]| stem.eq_ignore_ascii_case(name);
    match stem {
        [name @ .., b'0'..=b'9'] => {
            name.eq_ignore_ascii_case(b"com") || name.eq_ignore_ascii_case(b"lpt")
        }
        _ => [&b"con"[..], b"prn", b"aux", b"nul", b"conin$", b"conout$"].into_iter().any(is),
    }
}

/// What the entries of `external_data` say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Description<'a> {
    /// Whether there are any.
    pub(super) present: bool,
    location: Option<Message<'a>>,
    base: Option<Message<'a>>,
    offset: Option<Message<'a>>,
    length: Option<Message<'a>>,
    checksum: bool,
    /// Where the first entry stands that should not.
    wrong: Option<u64>,
}

impl<'a> Description<'a> {
    /// Takes one entry. The keys are those that `external_data_helper.py` lets through, and
    /// those that ONNX Runtime keeps its packed weights under.
    pub(super) fn add(&mut self, field: Field<'a>) {
        self.present = true;
        let Value::Bytes(entry) = field.value else { return };
        let mut key = None;
        let mut value = None;
        for field in entry.fields().map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => key = Some(text.bytes),
                (2, Value::Bytes(text)) => value = Some(text),
                _ => {}
            }
        }
        let (Some(key), Some(value)) = (key, value) else {
            self.wrong = self.wrong.or(Some(field.offset));
            return;
        };
        let again = match key {
            b"location" => self.location.replace(value).is_some(),
            b"basepath" => self.base.replace(value).is_some(),
            b"offset" => self.offset.replace(value).is_some(),
            b"length" => self.length.replace(value).is_some(),
            b"checksum" => core::mem::replace(&mut self.checksum, true),
            _ => !key.starts_with(b"prepacked"),
        };
        if again {
            self.wrong = self.wrong.or(Some(field.offset));
        }
    }

    /// The location, if it is one below the folder, the first byte there, and how many there are
    /// where that is said.
    #[cfg(feature = "alloc")]
    pub(crate) fn place(&self) -> Option<(&'a [u8], u64, Option<u64>)> {
        let location = self.location.map(|location| location.bytes)?;
        let based = self.base.is_some_and(|base| !base.bytes.is_empty());
        let (offset, length) = (number(self.offset), number(self.length));
        let wrong = |number| matches!(number, Number::Wrong(_));
        if place(location) != Place::Inside || based || wrong(offset) || wrong(length) {
            return None;
        }
        Some((location, offset.value().unwrap_or(0), length.value()))
    }

    /// Says what is to be said of the description of a tensor that takes `size` bytes.
    /// Gives the location, if it is one below the folder.
    pub(super) fn judge(
        &self,
        tensor: Message<'a>,
        name: &[u8],
        size: Option<u64>,
        before: &[u8],
        sink: Sink<'_>,
    ) -> Option<&'a [u8]> {
        if let Some(offset) = self.wrong {
            sink(Violation::ExternalKeys.at(offset, name));
        }
        if let Some(base) = self.base
            && !base.bytes.is_empty()
            && place(base.bytes) != Place::Inside
        {
            sink(Violation::ExternalEscape.at(base.offset, base.bytes));
        }
        let offset = number(self.offset);
        let length = number(self.length);
        let end = match (offset, length) {
            (Number::Wrong(at), _) | (_, Number::Wrong(at)) => {
                sink(Violation::ExternalRange.at(at, name));
                None
            }
            (offset, length) => Some((offset.value().unwrap_or(0), length.value())),
        };
        if let Some((offset, length)) = end {
            let used = length.or(size).unwrap_or(0);
            // Files are addressed by 63 bits.
            let past = offset.checked_add(used).is_none_or(|end| i64::try_from(end).is_err());
            let other = length.is_some() && size.is_some() && length != size;
            if past || other {
                let at = self.length.or(self.offset).map_or(tensor.offset, |text| text.offset);
                sink(Violation::ExternalRange.at(at, name));
            }
        }
        let Some(location) = self.location else {
            sink(Violation::ExternalKeys.at(tensor.offset, name));
            return None;
        };
        let violation = match place(location.bytes) {
            Place::Inside => {
                let (offset, length) = end.unwrap_or((0, None));
                sink(Event::External(External { location: location.bytes, offset, length }));
                // Once for tensors in a row that share a file.
                if location.bytes != before {
                    sink(Violation::ExternalInside.at(location.offset, location.bytes));
                }
                return Some(location.bytes);
            }
            Place::Odd => Violation::ExternalSpelling,
            Place::Outside => Violation::ExternalEscape,
            Place::Memory => Violation::ExternalAddress,
        };
        sink(violation.at(location.offset, location.bytes));
        None
    }
}

/// What a number's text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    None,
    Value(u64),
    /// No number, as the place where it stands.
    Wrong(u64),
}

impl Number {
    const fn value(self) -> Option<u64> {
        match self {
            Self::Value(value) => Some(value),
            Self::None | Self::Wrong(_) => None,
        }
    }
}

/// Decimal digits, and nothing that Python's `int` or C's `strtoll` take beside them.
fn number(text: Option<Message<'_>>) -> Number {
    let Some(text) = text else { return Number::None };
    let digits = !text.bytes.is_empty() && text.bytes.iter().all(u8::is_ascii_digit);
    let value = text.text().ok().filter(|_| digits).and_then(|text| text.parse().ok());
    value.map_or(Number::Wrong(text.offset), Number::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_the_folder() {
        for inside in [
            "w.bin",
            "model.onnx.data",
            "weights/0/a b.bin",
            "./w.bin",
            "..w",
            "w..bin",
            ".hidden",
            "комета",
            "console",
            "null.bin",
            "com10",
        ] {
            assert_eq!(place(inside.as_bytes()), Place::Inside, "{inside}");
        }
    }

    #[test]
    fn paths_that_lead_out() {
        for outside in [
            "",
            "/etc/passwd",
            "//host/share",
            "..",
            "../w",
            "a/../w",
            "a/..",
            "a/../../w",
            "./../w",
            "C:w",
            "C:\\w",
            "c:/w",
            "\\w",
            "\\\\host\\share\\w",
            "\\\\?\\C:\\w",
            "a\\..\\..\\w",
            "w:stream",
            "w\0.bin",
            ".",
            "./",
            "./.",
            "a/.. /w",
            "a/.../w",
            "w.",
            "w ",
            "NUL",
            "a/con.txt",
            "aux .bin",
            "COM1",
            "lpt9.bin",
            "conin$",
            "file:///etc/passwd",
        ] {
            assert_eq!(place(outside.as_bytes()), Place::Outside, "{outside}");
        }
    }

    #[test]
    fn paths_that_nobody_writes() {
        for odd in ["a//w", "a/", "a/.", "#w", "w\n", "w*", "a?b"] {
            assert_eq!(place(odd.as_bytes()), Place::Odd, "{odd}");
        }
        assert_eq!(place(b"*/_ORT_MEM_ADDR_/*"), Place::Memory);
        assert_eq!(place(b"*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"), Place::Memory);
    }

    #[test]
    fn numbers_are_digits() {
        let read = |text: &'static str| number(Some(Message::new(text.as_bytes(), 5)));
        assert_eq!(read("0"), Number::Value(0));
        assert_eq!(read("4096"), Number::Value(4096));
        for wrong in ["", "-1", "+1", " 1", "1_0", "0x10", "1e3", "99999999999999999999"] {
            assert_eq!(read(wrong), Number::Wrong(5), "{wrong}");
        }
        assert_eq!(number(None), Number::None);
    }
}
