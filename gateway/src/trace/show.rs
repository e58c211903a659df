//! How a listing shows arguments and objects: in a few words, cut, and safe to print.

use secure_torch_core::pickle::audit::{NO_IMPORT, Value};
use secure_torch_core::pickle::decode::{Arg, Instruction};
use secure_torch_core::pickle::kind::Kind;
use secure_torch_core::pickle::opcode::Argument;

use crate::text::{printable, printable_bytes};

/// How many objects of the stack a row shows.
const SHOWN: usize = 4;

/// How many characters of an argument a row shows.
const ARGUMENT: usize = 48;

/// How many characters of a string on the stack a row shows.
const TEXT: usize = 24;

/// The argument as a listing shows it.
pub(super) fn argument(at: &Instruction<'_>) -> String {
    match at.arg {
        Arg::None => String::new(),
        Arg::Int(number) => number.to_string(),
        Arg::Count(number) => number.to_string(),
        Arg::Float(number) => format!("{number:?}"),
        Arg::Line(line) => cut(&printable_bytes(line), ARGUMENT),
        Arg::Lines(module, name) => {
            let half = ARGUMENT / 2;
            format!("{} {}", cut(&printable_bytes(module), half), cut(&printable_bytes(name), half))
        }
        Arg::Data(data) => match at.opcode.argument() {
            Argument::Unicode1 | Argument::Unicode4 | Argument::Unicode8 => quoted(data, ARGUMENT),
            Argument::Long1 | Argument::Long4 => long(data),
            _ => bytes(data),
        },
    }
}

/// Text in quotes, with its length where it is cut.
fn quoted(data: &[u8], most: usize) -> String {
    let text = printable_bytes(data.get(..data.len().min(most * 4)).unwrap_or(data));
    if text.chars().count() > most {
        format!("'{}' ({} bytes)", cut(&text, most), data.len())
    } else {
        format!("'{text}'")
    }
}

/// Bytes as ASCII with escapes, with their length where they are cut.
fn bytes(data: &[u8]) -> String {
    let shown = data.get(..data.len().min(ARGUMENT)).unwrap_or(data).escape_ascii().to_string();
    if data.len() > ARGUMENT || shown.chars().count() > ARGUMENT {
        format!("b'{}' ({} bytes)", cut(&shown, ARGUMENT), data.len())
    } else {
        format!("b'{shown}'")
    }
}

/// A little-endian two's complement integer, where it fits 128 bits.
fn long(data: &[u8]) -> String {
    let mut wide = match data.last() {
        Some(last) if last & 0x80 != 0 => [0xff; 16],
        _ => [0; 16],
    };
    match wide.get_mut(..data.len()) {
        Some(low) => {
            low.copy_from_slice(data);
            i128::from_le_bytes(wide).to_string()
        }
        None => format!("an integer of {} bytes", data.len()),
    }
}

/// The topmost objects and marks, in the order of the stack.
pub(super) fn top(
    stream: &[u8],
    stack: &[Value],
    marks: &[usize],
    globals: &[String],
) -> Vec<String> {
    let mut shown = Vec::with_capacity(SHOWN);
    let mut marks = marks.iter().rev().peekable();
    let mut height = stack.len();
    while shown.len() < SHOWN {
        if marks.next_if(|&&mark| mark >= height).is_some() {
            shown.push("mark".to_owned());
            continue;
        }
        let Some(below) = height.checked_sub(1) else {
            break;
        };
        let Some(value) = stack.get(below) else { break };
        shown.push(object(stream, value, globals));
        height = below;
    }
    shown.reverse();
    shown
}

/// An object of the stack in a few words.
fn object(stream: &[u8], value: &Value, globals: &[String]) -> String {
    let global = |import: u32| -> Option<&str> {
        usize::try_from(import).ok().and_then(|index| globals.get(index)).map(String::as_str)
    };
    match *value {
        Value::Missing => "nothing".to_owned(),
        Value::Plain(kind) => name_of(kind).to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Bytes { .. } => "bytes".to_owned(),
        Value::Storage { .. } => "storage".to_owned(),
        Value::Text { length, offset, .. } => {
            let data = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
            let data = data.and_then(|(from, length)| stream.get(from..from.checked_add(length)?));
            data.map_or_else(|| "text".to_owned(), |data| quoted(data, TEXT))
        }
        Value::Tuple(tuple) => {
            let known = usize::from(tuple.arity).min(tuple.kinds.len());
            let kinds = tuple.kinds.iter().take(known).map(|kind| name_of(*kind));
            let mut items: Vec<&str> = kinds.collect();
            if usize::from(tuple.arity) > known {
                items.push("…");
            }
            format!("tuple({})", items.join(", "))
        }
        Value::Ints { arity, .. } => format!("tuple({arity} × int)"),
        Value::Container { kind, import, .. } if import == NO_IMPORT => name_of(kind).to_owned(),
        Value::Container { import, .. } | Value::Instance { import, .. } => {
            format!("{}(…)", global(import).unwrap_or("object"))
        }
        Value::Import(import) => global(import).unwrap_or("an import").to_owned(),
    }
}

/// The kind's name, as `spec/rules/allowed.toml` has it.
fn name_of(kind: Kind) -> &'static str {
    let row = Kind::NAMES.iter().find(|(known, _)| *known == kind);
    row.map_or("unknown", |(_, name)| name)
}

pub(super) fn dotted(module: &str, name: &str) -> String {
    printable(&format!("{module}.{name}"))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_integers_are_read() {
        assert_eq!(long(&[]), "0");
        assert_eq!(long(&[0xff]), "-1");
        assert_eq!(long(&[0, 1]), "256");
        assert_eq!(long(&[1; 17]), "an integer of 17 bytes");
    }
}
