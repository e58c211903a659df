//! One pickle instruction to bytes, by the core's opcode table.
//!
//! The argument kind of the row drives the encoding, so a new opcode needs no code here. The
//! encoder refuses nothing that a row can spell: lines may hold any byte, and `length=`
//! overrides what a counted literal declares.

use anyhow::{Context, Result, bail, ensure};
use secure_torch_core::pickle::opcode::{Argument as Kind, OPCODES, Row};

use super::rope::Rope;

/// The row of an opcode, by CPython's name.
pub(super) fn row(name: &[u8]) -> Option<&'static Row> {
    OPCODES.iter().find(|row| row.name.as_bytes() == name)
}

/// What stands behind the opcode in a script.
#[derive(Debug, Default)]
pub(super) struct Operands {
    /// Words, strings and blocks, in order.
    pub(super) items: Vec<Rope>,
    /// `length=`.
    pub(super) length: Option<i128>,
}

/// Encodes one instruction.
pub(super) fn encode(row: &Row, operands: &Operands, out: &mut Rope) -> Result<()> {
    out.push(&[row.opcode.byte()]);
    let lines = match row.argument {
        Kind::None => 0,
        Kind::LinePair => 2,
        _ => 1,
    };
    ensure!(operands.items.len() == lines, "{} takes {lines} arguments", row.name);
    let number = || -> Result<i128> { number(&operands.items[0].flatten()) };
    match row.argument {
        Kind::None => {}
        Kind::UInt1 => out.push(&u8::try_from(number()?)?.to_le_bytes()),
        Kind::UInt2 => out.push(&u16::try_from(number()?)?.to_le_bytes()),
        Kind::Int4 => out.push(&i32::try_from(number()?)?.to_le_bytes()),
        Kind::UInt4 => out.push(&u32::try_from(number()?)?.to_le_bytes()),
        Kind::UInt8 => out.push(&u64::try_from(number()?)?.to_le_bytes()),
        Kind::Float8 => {
            let text = String::from_utf8(operands.items[0].flatten())?;
            out.push(&text.parse::<f64>().context("not a float")?.to_be_bytes());
        }
        Kind::DecimalShort
        | Kind::DecimalLong
        | Kind::FloatLine
        | Kind::StringLine
        | Kind::Line
        | Kind::UnicodeLine
        | Kind::LinePair => {
            for line in &operands.items {
                out.append(line);
                out.push(b"\n");
            }
        }
        Kind::String1 | Kind::Bytes1 | Kind::Unicode1 => counted(1, operands, out)?,
        Kind::String4 | Kind::Bytes4 | Kind::Unicode4 => counted(4, operands, out)?,
        Kind::Bytes8 | Kind::ByteArray8 | Kind::Unicode8 => counted(8, operands, out)?,
        Kind::Long1 | Kind::Long4 => {
            let bytes = little_endian(number()?);
            let operands = Operands { items: vec![bytes.into()], length: operands.length };
            counted(if row.argument == Kind::Long1 { 1 } else { 4 }, &operands, out)?;
        }
    }
    Ok(())
}

fn counted(width: usize, operands: &Operands, out: &mut Rope) -> Result<()> {
    let data = &operands.items[0];
    let length = operands.length.map_or(i128::try_from(data.len()), Ok)?;
    let fits = length >> (8 * width) == 0 || (width == 4 && i32::try_from(length).is_ok());
    ensure!(fits, "a length of {length} does not fit {width} bytes");
    out.push(&length.to_le_bytes()[..width]);
    out.append(data);
    Ok(())
}

/// The shortest two's complement form, as `encode_long` in `Lib/pickle.py` writes it.
fn little_endian(value: i128) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    if value == 0 {
        bytes.clear();
    }
    let sign = if value < 0 { 0xff } else { 0 };
    while bytes.len() > 1
        && bytes.last() == Some(&sign)
        && (bytes[bytes.len() - 2] >> 7 == 1) == (value < 0)
    {
        bytes.pop();
    }
    bytes
}

/// A number in a script: decimal or `0x…`, with `+`, `-` and `*` applied from left to right.
pub(super) fn number(text: &[u8]) -> Result<i128> {
    let text = std::str::from_utf8(text)?;
    let mut total: Option<i128> = None;
    let mut operator = b'+';
    let mut start = 0;
    for at in 1..=text.len() {
        if at < text.len() && !matches!(text.as_bytes()[at], b'+' | b'-' | b'*') {
            continue;
        }
        let term = &text[start..at];
        let (sign, digits) = match term.strip_prefix('-') {
            Some(digits) if total.is_none() => (-1, digits),
            _ => (1, term),
        };
        let value = match digits.strip_prefix("0x") {
            Some(hexadecimal) => i128::from_str_radix(hexadecimal, 16),
            None => digits.parse(),
        };
        let value = sign * value.with_context(|| format!("not a number: `{text}`"))?;
        total = Some(match (total, operator) {
            (None, _) => value,
            (Some(total), b'+') => total + value,
            (Some(total), b'-') => total - value,
            (Some(total), _) => total * value,
        });
        operator = text.as_bytes().get(at).copied().unwrap_or_default();
        start = at + 1;
    }
    match total {
        Some(total) => Ok(total),
        None => bail!("a number is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(name: &str, items: &[&[u8]]) -> Vec<u8> {
        let items = items.iter().map(|item| item.to_vec().into()).collect();
        let mut out = Rope::default();
        encode(row(name.as_bytes()).unwrap(), &Operands { items, length: None }, &mut out).unwrap();
        out.flatten()
    }

    #[test]
    fn argument_kinds_drive_the_encoding() {
        assert_eq!(bytes("GLOBAL", &[b"os", b"system"]), b"cos\nsystem\n");
        assert_eq!(bytes("BINUNICODE", &[b"hi"]), b"X\x02\0\0\0hi");
        assert_eq!(
            bytes("LONG1", &[b"0x1950a86a20f9469cfc6c"]),
            b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
        );
        assert_eq!(bytes("LONG1", &[b"-1"]), b"\x8a\x01\xff");
        assert_eq!(bytes("LONG1", &[b"128"]), b"\x8a\x02\x80\0");
        assert_eq!(bytes("INT", &[b"0x10"]), b"I0x10\n");
        assert_eq!(bytes("BININT2", &[b"1001"]), b"M\xe9\x03");
    }

    #[test]
    fn numbers_add_up() {
        assert_eq!(number(b"2*3+0x10").unwrap(), 22);
        assert_eq!(number(b"-5").unwrap(), -5);
        assert_eq!(number(b"10-3").unwrap(), 7);
        assert!(number(b"ten").is_err());
    }
}
