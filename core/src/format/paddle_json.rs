//! Programs that PaddlePaddle 3 writes as JSON (`inference.json`).
//!
//! Every object names what it is under `#`: a block, a type, or an operator behind the number or
//! the name of its dialect, as `1.conv2d`. Operators are judged by the system `paddle` of
//! `spec/rules/names.toml`, as in a binary program; an underscore at the end means that one works
//! in place.
//!
//! It refuses to ask where an object stands, and judges nothing else of it.
//!
//! Follows PaddlePaddle/Paddle, `paddle/fluid/pir/serialize_deserialize/`.

use super::event::{Event, Sink};
use super::objects::{Encoding, Seen, each};
use super::paddle::PaddleKind;
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};

/// What an object is, and what the head of the file says of its format.
const KEYS: [&str; 2] = ["#", "magic"];

/// Operators' names are shorter.
const LONGEST: usize = 128;

/// Whether the bytes are JSON with the head of such a program.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    let Encoding::Utf8(text) = Encoding::of(bytes) else { return false };
    let mut found = false;
    let read = each(text, &KEYS, &mut |object| {
        let [_, magic] = object.seen;
        found |= object.depth == 1 && magic.is("pir");
    });
    read.is_ok() && found
}

/// Judges each operator.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    let Encoding::Utf8(text) = Encoding::of(bytes) else { return };
    if !accepts(bytes) {
        return;
    }
    // What is no JSON was not accepted.
    let _ = each(text, &KEYS, &mut |object| {
        let [Seen::Text(name), _] = object.seen else { return };
        let mut buffer = [0; LONGEST];
        let Some(name) = name.text(&mut buffer) else { return };
        let operator = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
        let operator = operator.strip_suffix(b"_").unwrap_or(operator);
        if matches!(named(System::Paddle, operator), Some(Named::Dangerous(_))) {
            sink(PaddleKind::Operator.at(object.offset, operator));
        }
    });
    sink(PaddleKind::Partial.at(0, &[]));
    sink(Event::Unjudged(
        "of a PaddlePaddle program as JSON only the names of its operators were judged",
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_json_is_no_program() {
        assert!(accepts(br##"{"base_code": {"magic": "pir"}, "program": {"#": "1.relu"}}"##));
        for text in ["", "{}", r#"{"magic": "pir"}"#, r##"{"a": {"#": "1.load"}}"##] {
            assert!(!accepts(text.as_bytes()), "{text}");
        }
    }
}
