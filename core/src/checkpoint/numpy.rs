//! numpy's element types, by their type strings (`numpy/_core/src/multiarray/descriptor.c`).

use core::fmt;

use super::{Dtype, Span};

/// The units of dates and spans of time (`numpy/_core/src/multiarray/datetime_strings.c`).
const UNITS: [&str; 14] =
    ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic"];

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumpyDtype {
    /// `b`, `i`, `u`, `f`, `c`, `S`, `U`, `V`, `M` or `m`; `O`, objects, in a type that stands by
    /// itself and never in an array's.
    pub kind: u8,
    /// The bytes of an element.
    pub size: u32,
    /// Whether the bytes of an element stand in big-endian order.
    pub big: bool,
    /// The unit of a date or a span of time, and how many of it make one step.
    pub unit: Option<(&'static str, u32)>,
    /// The fields of a record ([`super::Checkpoint::fields`]); empty for everything else.
    pub fields: Span,
    /// Whether numpy laid the record out as a compiler of C would, and says so of it.
    pub aligned: bool,
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name ([`super::Checkpoint::text`]).
    pub name: Span,
    /// Its type.
    pub dtype: NumpyDtype,
    /// Where it starts in the record.
    pub offset: u32,
}

impl NumpyDtype {
    /// Reads a type string such as `<f8`, `|S12`, `>U3`, `<M8[25s]` or `b1`.
    ///
    /// Objects (`O`) are none that bytes can hold, and no record is spelled so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (big, rest) = match text.as_bytes().first()? {
            b'>' => (true, text.get(1..)?),
            b'<' | b'|' | b'=' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let kind = *rest.as_bytes().first()?;
        let rest = rest.get(1..)?;
        let (digits, unit) = match rest.find('[') {
            Some(at) => (rest.get(..at)?, Some(rest.get(at..)?)),
            None => (rest, None),
        };
        if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let count: u32 = digits.parse().ok()?;
        let size = match (kind, count) {
            (b'b', 1) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'M' | b'm', 8) => count,
            // 12 and 16 are x86's extended floats, which numpy reads on the same machine only.
            (b'f', 2 | 4 | 8 | 12 | 16) | (b'c', 8 | 16 | 24 | 32) | (b'S' | b'V', _) => count,
            (b'U', _) => count.checked_mul(4)?,
            _ => return None,
        };
        let unit = match unit {
            None if matches!(kind, b'M' | b'm') => Some(("generic", 1)),
            None => None,
            Some(unit) if matches!(kind, b'M' | b'm') => Some(parse_unit(unit)?),
            Some(_) => return None,
        };
        let big = big && size > 1 && !matches!(kind, b'S' | b'V');
        let fields = Span::default();
        Some(Self { kind, size, big, unit, fields, aligned: false })
    }

    /// The type of torch's with the same elements, whatever their byte order.
    #[must_use]
    pub fn torch(self) -> Option<Dtype> {
        let size = char::from_digit(self.size, 10);
        let name =
            |kind: &str| Dtype::ALL.iter().copied().find(|dtype| dtype.numpy() == Some(kind));
        match (self.kind, size, self.size) {
            (b'c', _, 16) => name("c16"),
            (b'b' | b'i' | b'u' | b'f' | b'c', Some(size), _) => {
                let mut buffer = [self.kind, 0];
                let [_, last] = &mut buffer;
                *last = u8::try_from(size).ok()?;
                name(core::str::from_utf8(&buffer).ok()?)
            }
            _ => None,
        }
    }

    /// A date's or a span's unit, by its name.
    #[must_use]
    pub fn unit(name: &str) -> Option<&'static str> {
        UNITS.into_iter().find(|unit| *unit == name)
    }
}

/// `[ns]`, `[25s]`.
fn parse_unit(text: &str) -> Option<(&'static str, u32)> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = inner.split_at_checked(digits)?;
    let count = if count.is_empty() { 1 } else { count.parse().ok().filter(|&count| count > 0)? };
    Some((NumpyDtype::unit(unit)?, count))
}

impl fmt::Display for NumpyDtype {
    /// The type string that numpy reads; a record is `|V` and its size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.kind {
            // Objects have no size that a type string would spell.
            b'O' => return f.write_str("|O"),
            b'S' | b'V' => '|',
            _ if self.size == 1 => '|',
            _ if self.big => '>',
            _ => '<',
        };
        let count =
            if self.kind == b'U' { self.size.checked_div(4).unwrap_or(0) } else { self.size };
        write!(f, "{order}{}{count}", char::from(self.kind))?;
        match self.unit {
            None | Some(("generic", _)) => Ok(()),
            Some((unit, 1)) => write!(f, "[{unit}]"),
            Some((unit, count)) => write!(f, "[{count}{unit}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn type_strings_lead_back() {
        for text in [
            "<f8", "|b1", "|u1", ">i4", "<c16", "|S12", "<U3", ">U3", "<M8[25s]", "<m8[ns]", "<M8",
            "|V7",
        ] {
            let dtype = NumpyDtype::parse(text).unwrap();
            assert_eq!(dtype.to_string(), text);
        }
        assert_eq!(NumpyDtype::parse("f4").unwrap().to_string(), "<f4");
        assert_eq!(NumpyDtype::parse("U3").unwrap().size, 12);
        for text in [
            "",
            "<",
            "O",
            "|O8",
            "<f3",
            "f",
            "b2",
            "<M8[x]",
            "<M8[0s]",
            "<f8[s]",
            "<U4294967296",
            "é",
        ] {
            assert_eq!(NumpyDtype::parse(text), None, "{text}");
        }
    }

    #[test]
    fn torchs_types_are_found() {
        for (text, dtype) in [
            ("<f8", Some(Dtype::Float64)),
            (">i4", Some(Dtype::Int32)),
            ("|b1", Some(Dtype::Bool)),
            ("<c16", Some(Dtype::Complex128)),
            ("<c8", Some(Dtype::Complex64)),
            ("<f16", None),
            ("|S4", None),
        ] {
            assert_eq!(NumpyDtype::parse(text).unwrap().torch(), dtype, "{text}");
        }
    }
}
