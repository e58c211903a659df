//! Text arguments, read the way the unpicklers read them.
//!
//! Protocol 0 spells numbers and strings as text, and its readers do not agree:
//! `Modules/_pickle.c` parses `INT` with `strtol(…, 0)` and falls back to Python's `int(…, 0)`,
//! `Lib/pickle.py` takes `int(…, 0)` alone, `pickletools` base 10 only. So each reader here
//! returns the value that CPython's C unpickler gets *and* whether every known reader gets it.
//! A form on which they part is a finding, because no pickler writes it.

use crate::limits;

/// A number that a line spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its value.
    pub value: Value,
    /// Whether CPython's unpicklers and `pickletools` all read this value.
    pub agreed: bool,
}

/// The value of a [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number that fits.
    Small(i64),
    /// A number that does not.
    Big,
    /// None that any reader accepts: every unpickler stops here.
    Invalid,
}

/// Reads the line of an `INT`, `GET` or `PUT`, or of a `LONG` (an `L` at its end is dropped).
///
/// `-?(0|[1-9][0-9]*)` is the one form that picklers write. Every other form that some reader
/// accepts (`0x10`, `0b1_0`, `010`, `+1`, blanks, a NUL) is parsed as the C unpickler does and
/// marked as not agreed. A boolean's `00` and `01` are agreed on for `INT`.
#[must_use]
pub fn number(line: &[u8], radix: Radix) -> Number {
    let digits = match (radix, line) {
        (Radix::Long, [digits @ .., b'L']) => digits,
        _ => line,
    };
    if radix == Radix::Int && matches!(digits, b"00" | b"01") {
        return Number { value: Value::Small(i64::from(digits == b"01")), agreed: true };
    }
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    let plain = match unsigned {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if plain {
        return Number {
            value: fold(unsigned, 10, digits.len() != unsigned.len()),
            agreed: unsigned.len() <= limits::PICKLE_TEXT_INTEGER_DIGITS as usize,
        };
    }
    Number { value: lenient(digits, radix), agreed: false }
}

/// Without the white space of `isspace` and `Py_ISSPACE` around it, the vertical tab included.
fn trim(line: &[u8]) -> &[u8] {
    let inner = |byte: &u8| !matches!(byte, b' ' | b'\t'..=b'\r');
    let start = line.iter().position(inner).unwrap_or(line.len());
    let end = line.iter().rposition(inner).map_or(start, |last| last.saturating_add(1));
    line.get(start..end).unwrap_or_default()
}

/// How the digits of a line are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radix {
    /// `INT`: by prefix, octal where a zero leads.
    Int,
    /// `LONG`: by prefix, with an optional `L`.
    Long,
    /// `GET` and `PUT`: decimal.
    Index,
}

fn lenient(line: &[u8], radix: Radix) -> Value {
    // A C string ends at its first NUL.
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let line = trim(line);
    let (negative, line) = match line {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, line),
    };
    let (base, line) = match (radix, line) {
        (Radix::Index, _) => (10, line),
        (_, [b'0', b'x' | b'X', rest @ ..]) => (16, rest),
        (_, [b'0', b'o' | b'O', rest @ ..]) => (8, rest),
        (_, [b'0', b'b' | b'B', rest @ ..]) => (2, rest),
        (Radix::Int, [b'0', rest @ ..]) if !rest.is_empty() => (8, rest),
        _ => (10, line),
    };
    fold(line, base, negative)
}

fn fold(digits: &[u8], base: u32, negative: bool) -> Value {
    let mut value = Value::Invalid;
    for &byte in digits {
        if byte == b'_' {
            continue;
        }
        let Some(digit) = char::from(byte).to_digit(base) else { return Value::Invalid };
        let digit =
            if negative { 0_i64.checked_sub_unsigned(digit.into()) } else { Some(digit.into()) };
        value = match value {
            Value::Invalid => digit.map_or(Value::Big, Value::Small),
            Value::Big => Value::Big,
            Value::Small(value) => value
                .checked_mul(i64::from(base))
                .and_then(|value| value.checked_add(digit?))
                .map_or(Value::Big, Value::Small),
        };
    }
    value
}

/// Whether some reader takes this line as a float: `float()` of Python, which allows blanks and
/// underscores, or `PyOS_string_to_double` up to a NUL.
#[must_use]
pub fn is_some_float(line: &[u8]) -> bool {
    let line = trim(line.split(|&byte| byte == 0).next().unwrap_or_default());
    let unsigned = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
    if [&b"inf"[..], b"infinity", b"nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return true;
    }
    let exponent = unsigned.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e'));
    let (mantissa, exponent) = match exponent {
        Some(at) => (unsigned.get(..at), unsigned.get(at.saturating_add(1)..)),
        None => (Some(unsigned), None),
    };
    let mut points = 0_u8;
    let mut digits = 0_usize;
    for &byte in mantissa.unwrap_or_default() {
        match byte {
            b'0'..=b'9' => digits = digits.saturating_add(1),
            b'.' => points = points.saturating_add(1),
            b'_' => {}
            _ => return false,
        }
    }
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent =
            exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        !exponent.is_empty() && exponent.iter().all(|&b| b.is_ascii_digit() || b == b'_')
    });
    digits > 0 && points <= 1 && exponent_fits
}

/// Whether every reader takes this line as the same float: digits with an optional sign,
/// point and exponent, or the `repr` of an infinity or a NaN.
///
/// `Lib/pickle.py` also takes blanks and underscores; `PyOS_string_to_double` does not.
#[must_use]
pub fn is_plain_float(line: &[u8]) -> bool {
    let unsigned = line.strip_prefix(b"-").unwrap_or(line);
    if matches!(unsigned, b"inf" | b"nan") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.iter().position(|&byte| byte == b'e') {
        Some(at) => (unsigned.get(..at), unsigned.get(at.saturating_add(1)..)),
        None => (Some(unsigned), None),
    };
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mantissa = mantissa.unwrap_or_default();
    let whole = match mantissa.iter().position(|&byte| byte == b'.') {
        Some(at) => {
            digits(mantissa.get(..at).unwrap_or_default())
                && digits(mantissa.get(at.saturating_add(1)..).unwrap_or_default())
        }
        None => digits(mantissa),
    };
    whole
        && exponent.is_none_or(|exponent| {
            digits(exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent))
        })
}

/// How the bytes of a string literal spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 (`BINUNICODE` and its kin; `GLOBAL` and `INST`).
    Utf8,
    /// A Python 2 `str`, decoded by the unpickler's `encoding` argument, which the stream
    /// does not know: only ASCII means the same to all.
    Python2,
    /// The text between the quotes of `STRING`: backslash escapes of `bytes`.
    Escaped,
    /// `UNICODE`: raw-unicode-escape, Latin-1 but for `\uXXXX` and `\UXXXXXXXX`.
    RawUnicodeEscape,
}

/// Decodes a string literal for use as a module or a name.
///
/// Returns `None` where no two readers are sure to see the same text: bytes that are not valid
/// in the encoding, escapes that are broken, surrogates, or more text than `buffer` holds.
#[must_use]
pub fn decode_name<'b>(raw: &'b [u8], encoding: Encoding, buffer: &'b mut [u8]) -> Option<&'b str> {
    let escapes = matches!(encoding, Encoding::Escaped | Encoding::RawUnicodeEscape);
    if raw.is_ascii() && !(escapes && raw.contains(&b'\\')) {
        return (raw.len() <= buffer.len()).then(|| core::str::from_utf8(raw).ok())?;
    }
    let mut out = Out { buffer, length: 0 };
    match encoding {
        Encoding::Utf8 => {
            return (raw.len() <= out.buffer.len()).then(|| core::str::from_utf8(raw).ok())?;
        }
        Encoding::Python2 => return None,
        // What the bytes mean beyond ASCII depends on the unpickler's `encoding`.
        Encoding::Escaped => {
            unescape_bytes(raw, &mut |byte| byte.is_ascii().then(|| out.push(char::from(byte)))?)?
        }
        Encoding::RawUnicodeEscape => unescape_unicode(raw, &mut |character| out.push(character))?,
    }
    let Out { buffer, length } = out;
    core::str::from_utf8(buffer.get(..length)?).ok()
}

struct Out<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl Out<'_> {
    fn push(&mut self, character: char) -> Option<()> {
        let end = self.length.checked_add(character.len_utf8())?;
        character.encode_utf8(self.buffer.get_mut(self.length..end)?);
        self.length = end;
        Some(())
    }
}

/// The bytes that backslash escapes spell: `_PyBytes_DecodeEscape` in `Objects/bytesobject.c`.
///
/// `None` where an escape is broken, or where `out` ends it.
pub(crate) fn unescape_bytes(raw: &[u8], out: &mut dyn FnMut(u8) -> Option<()>) -> Option<()> {
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let value = if byte == b'\\' {
            let (&escape, behind) = rest.split_first()?;
            rest = behind;
            match escape {
                b'\\' | b'\'' | b'"' => escape,
                b'b' => 0x08,
                b'f' => 0x0c,
                b't' => b'\t',
                b'n' => b'\n',
                b'r' => b'\r',
                b'v' => 0x0b,
                b'a' => 0x07,
                b'0'..=b'7' => {
                    let more = rest.iter().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
                    let mut value = u32::from(escape).checked_sub(48)?;
                    for &digit in rest.get(..more)? {
                        value =
                            value.checked_mul(8)?.checked_add(char::from(digit).to_digit(8)?)?;
                    }
                    rest = rest.get(more..)?;
                    u8::try_from(value & 0xff).ok()?
                }
                b'x' => {
                    let value = hex(rest.get(..2)?)?;
                    rest = rest.get(2..)?;
                    u8::try_from(value).ok()?
                }
                // An unknown escape stands for itself, backslash and all.
                other => {
                    out(b'\\')?;
                    other
                }
            }
        } else {
            byte
        };
        out(value)?;
    }
    Some(())
}

/// The characters that raw-unicode-escape spells:
/// `_PyUnicode_DecodeRawUnicodeEscapeStateful` in `Objects/unicodeobject.c`.
///
/// `None` where an escape is broken or a surrogate, or where `out` ends it.
pub(crate) fn unescape_unicode(raw: &[u8], out: &mut dyn FnMut(char) -> Option<()>) -> Option<()> {
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            out(char::from(byte))?;
            continue;
        }
        let digits = match rest.first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(&other) => {
                // A pair that is no escape stands for itself; both bytes are consumed, so
                // the second backslash of `\\u0061` does not start one.
                out('\\')?;
                out(char::from(other))?;
                rest = rest.get(1..)?;
                continue;
            }
            None => {
                out('\\')?;
                continue;
            }
        };
        let end = 1_usize.checked_add(digits)?;
        out(char::from_u32(hex(rest.get(1..end)?)?)?)?;
        rest = rest.get(end..)?;
    }
    Some(())
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, &digit| {
        value.checked_mul(16)?.checked_add(char::from(digit).to_digit(16)?)
    })
}

/// The text between the quotes of a `STRING` line.
///
/// `load_string` in both CPython unpicklers wants the first and last byte to be the same
/// quote, and raises otherwise.
#[must_use]
pub fn unquote(line: &[u8]) -> Option<&[u8]> {
    match line {
        [b'\'', text @ .., b'\''] | [b'"', text @ .., b'"'] => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn plain_numbers_are_agreed_on() {
        for (line, value) in [(&b"0"[..], 0), (b"-7", -7), (b"1234567890123", 1_234_567_890_123)] {
            let number = number(line, Radix::Int);
            assert_eq!(number, Number { value: Value::Small(value), agreed: true });
        }
        assert_eq!(number(b"12L", Radix::Long), Number { value: Value::Small(12), agreed: true });
        assert_eq!(number(b"01", Radix::Int), Number { value: Value::Small(1), agreed: true });
        let huge = number(b"99999999999999999999", Radix::Long);
        assert_eq!(huge, Number { value: Value::Big, agreed: true });
    }

    #[test]
    fn odd_numbers_have_the_value_of_the_c_unpickler() {
        for (line, radix, value) in [
            (&b"0x10"[..], Radix::Int, Value::Small(16)),
            (b"0b1_0", Radix::Long, Value::Small(2)),
            (b"010", Radix::Int, Value::Small(8)),
            (b"+1", Radix::Index, Value::Small(1)),
            (b" 1 ", Radix::Index, Value::Small(1)),
            (b"\x0b1\x0b", Radix::Index, Value::Small(1)),
            (b"1_0", Radix::Index, Value::Small(10)),
            (b"12\0junk", Radix::Index, Value::Small(12)),
            (b"01", Radix::Index, Value::Small(1)),
            (b"", Radix::Index, Value::Invalid),
            (b"1x", Radix::Index, Value::Invalid),
        ] {
            assert_eq!(number(line, radix), Number { value, agreed: false }, "{line:?}");
        }
    }

    #[test]
    fn floats_that_only_one_reader_takes_are_told_apart() {
        for line in [&b"1.0"[..], b"-1e-05", b"1.5e+300", b"inf", b"-nan", b"3"] {
            assert!(is_plain_float(line), "{line:?}");
        }
        for line in [&b" 1.0"[..], b"1_0.0", b"", b".5", b"1.", b"0x1p3", b"infinity", b"1.0\0"] {
            assert!(!is_plain_float(line), "{line:?}");
        }
        for line in [&b" 1.0"[..], b"1_0.0", b".5", b"1.", b"+1E5", b"infinity", b"1.0\0junk"] {
            assert!(is_some_float(line), "{line:?}");
        }
        for line in [&b""[..], b".", b"1e", b"1.0.0", b"0x1p3", b"one", b"\xff\x00"] {
            assert!(!is_some_float(line), "{line:?}");
        }
    }

    #[test]
    fn names_are_decoded_like_cpython_does() {
        let mut buffer = [0; 32];
        let mut name = |raw, encoding| {
            let mut copy = buffer;
            let text = decode_name(raw, encoding, &mut copy).map(std::string::String::from);
            buffer = copy;
            text
        };
        let some = |text: &str| Some(std::string::String::from(text));
        assert_eq!(name(b"os", Encoding::Utf8), some("os"));
        assert_eq!(name(b"\\x6fs", Encoding::Escaped), some("os"));
        assert_eq!(name(b"\\157\\163", Encoding::Escaped), some("os"));
        assert_eq!(name(b"\\q", Encoding::Escaped), some("\\q"));
        assert_eq!(name(b"\\x6", Encoding::Escaped), None);
        assert_eq!(name(b"o\\u0073", Encoding::RawUnicodeEscape), some("os"));
        assert_eq!(name(b"\\U0000006fs", Encoding::RawUnicodeEscape), some("os"));
        assert_eq!(name(b"\\\\u006f", Encoding::RawUnicodeEscape), some("\\\\u006f"));
        assert_eq!(name(b"\\ud800", Encoding::RawUnicodeEscape), None);
        assert_eq!(name(b"\xe9", Encoding::RawUnicodeEscape), some("\u{e9}"));
        assert_eq!(name(b"\xe9", Encoding::Python2), None);
        assert_eq!(name(&[b'a'; 33], Encoding::Utf8), None);
    }
}
