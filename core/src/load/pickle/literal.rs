//! Numbers and strings as the stream spells them.

use alloc::string::String;
use alloc::vec::Vec;

use super::BuildDomain;
use crate::checkpoint::{Object, Problem, Value};
use crate::load::Python2Text;
use crate::pickle::decode::{Arg, Instruction};
use crate::pickle::opcode::Opcode;
use crate::pickle::text::{
    self, Radix, is_plain_float, number, unescape_bytes, unescape_unicode, unquote,
};

impl BuildDomain<'_> {
    pub(super) fn read_literal(&mut self, at: &Instruction<'_>) -> Result<Value, Problem> {
        match (at.opcode, at.arg) {
            (Opcode::None, _) => Ok(Value::None),
            (Opcode::NewTrue, _) => Ok(Value::Bool(true)),
            (Opcode::NewFalse, _) => Ok(Value::Bool(false)),
            (_, Arg::Int(value)) => Ok(Value::Int(value)),
            (_, Arg::Float(value)) => Ok(Value::Float(value)),
            (Opcode::Float, Arg::Line(line)) => float(line),
            (Opcode::Int | Opcode::Long, Arg::Line(line)) => self.decimal(at.opcode, line),
            (Opcode::Long1 | Opcode::Long4, Arg::Data(data)) => self.integer(data),
            (
                Opcode::BinUnicode | Opcode::ShortBinUnicode | Opcode::BinUnicode8,
                Arg::Data(data),
            ) => {
                // Python lets lone surrogates pass here; no text of ours holds any.
                let text = core::str::from_utf8(data).map_err(|_| Problem::Encoding)?;
                self.builder.text(text).map(Value::Text)
            }
            (Opcode::Unicode, Arg::Line(line)) => {
                let mut text = String::new();
                unescape_unicode(line, &mut |character| {
                    text.push(character);
                    Some(())
                })
                .ok_or(Problem::Encoding)?;
                self.builder.text(&text).map(Value::Text)
            }
            (Opcode::BinString | Opcode::ShortBinString, Arg::Data(data)) => self.python2(data),
            (Opcode::String, Arg::Line(line)) => {
                let inner = unquote(line).ok_or(Problem::Literal)?;
                let mut bytes = Vec::new();
                unescape_bytes(inner, &mut |byte| {
                    bytes.push(byte);
                    Some(())
                })
                .ok_or(Problem::Literal)?;
                self.python2(&bytes)
            }
            (Opcode::ByteArray8, Arg::Data(data)) => {
                let bytes = self.builder.bytes(data)?;
                self.object(Object::ByteArray(bytes))
            }
            (Opcode::BinBytes | Opcode::ShortBinBytes | Opcode::BinBytes8, Arg::Data(data)) => {
                self.builder.bytes(data).map(Value::Bytes)
            }
            (Opcode::NextBuffer, _) => Err(Problem::Buffer),
            _ => Err(Problem::Literal),
        }
    }

    /// A `str` of Python 2, as the caller wants it read.
    fn python2(&mut self, bytes: &[u8]) -> Result<Value, Problem> {
        match self.text {
            Python2Text::Bytes => return self.builder.bytes(bytes).map(Value::Bytes),
            Python2Text::Ascii if !bytes.is_ascii() => return Err(Problem::Encoding),
            Python2Text::Latin1 if !bytes.is_ascii() => {
                let text: String = bytes.iter().copied().map(char::from).collect();
                return self.builder.text(&text).map(Value::Text);
            }
            Python2Text::Utf8 | Python2Text::Ascii | Python2Text::Latin1 => {}
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Problem::Encoding)?;
        self.builder.text(text).map(Value::Text)
    }

    fn decimal(&mut self, opcode: Opcode, line: &[u8]) -> Result<Value, Problem> {
        let radix = if opcode == Opcode::Int { Radix::Int } else { Radix::Long };
        let read = number(line, radix);
        match read.value {
            text::Value::Invalid => Err(Problem::Literal),
            _ if !read.agreed => Err(Problem::Divergent),
            text::Value::Small(value) if radix == Radix::Int && matches!(line, b"00" | b"01") => {
                Ok(Value::Bool(value == 1))
            }
            text::Value::Small(value) => Ok(Value::Int(value)),
            text::Value::Big => {
                let bytes = from_decimal(line).ok_or(Problem::Literal)?;
                self.integer(&bytes)
            }
        }
    }

    /// A little-endian two's complement integer (`_PyLong_FromByteArray`), without bytes that say
    /// nothing.
    fn integer(&mut self, data: &[u8]) -> Result<Value, Problem> {
        let fill = if data.last().is_some_and(|&top| top >= 0x80) { 0xff } else { 0 };
        let mut data = data;
        while let [rest @ .., top] = data
            && *top == fill
            && rest.last().is_none_or(|&next| (next >= 0x80) == (fill == 0xff))
            && !(rest.is_empty() && fill == 0xff)
        {
            data = rest;
        }
        let mut bytes = [fill; 8];
        if let Some(low) = bytes.get_mut(..data.len()) {
            low.copy_from_slice(data);
            return Ok(Value::Int(i64::from_le_bytes(bytes)));
        }
        self.builder.bytes(data).map(Value::Integer)
    }
}

fn float(line: &[u8]) -> Result<Value, Problem> {
    if !is_plain_float(line) {
        return Err(Problem::Divergent);
    }
    let text = core::str::from_utf8(line).map_err(|_| Problem::Literal)?;
    text.parse().map(Value::Float).map_err(|_| Problem::Literal)
}

/// The two's complement of a decimal integer, little-endian. The caller has bounded its digits
/// (`limits.pickle.text_integer_digits`).
fn from_decimal(line: &[u8]) -> Option<Vec<u8>> {
    let digits = line.strip_suffix(b"L").unwrap_or(line);
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut bytes: Vec<u8> = Vec::new();
    for &digit in digits {
        let mut carry = char::from(digit).to_digit(10)?;
        for byte in &mut bytes {
            let sum = u32::from(*byte).saturating_mul(10).saturating_add(carry);
            *byte = u8::try_from(sum & 0xff).ok()?;
            carry = sum >> 8_u32;
        }
        if carry > 0 {
            bytes.push(u8::try_from(carry).ok()?);
        }
    }
    bytes.push(0);
    if negative {
        let mut borrow = true;
        for byte in &mut bytes {
            *byte = !*byte;
            if borrow {
                (*byte, borrow) = byte.overflowing_add(1);
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_twos_complement() {
        for (line, bytes) in [
            (&b"256L"[..], &[0, 1, 0][..]),
            (b"-1", &[0xff, 0xff]),
            (b"-256", &[0, 0xff, 0xff]),
            (b"18446744073709551616", &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
            (b"0", &[0]),
        ] {
            assert_eq!(from_decimal(line).as_deref(), Some(bytes), "{line:?}");
        }
    }
}
