//! TensorFlow graphs as text: `saved_model.pbtxt`, `graph.pbtxt`, a MetaGraphDef in a `.meta`.
//!
//! TensorFlow reads them wherever it reads the binary ones: `saved_model.pbtxt` where there is no
//! `saved_model.pb` (`python/saved_model/loader_impl.py`, `parse_saved_model`), and any
//! MetaGraphDef that is no binary one (`python/framework/meta_graph.py`,
//! `read_meta_graph_file`). Every operator that is named is judged as in a binary graph.
//!
//! It refuses to ask which field of which message an `op` is: the text is split as the text
//! format's reader splits it (protobuf, `python/google/protobuf/text_format.py`, `Tokenizer`),
//! and every string behind that name counts. Graphs as bytes in attributes are not looked into.

use super::event::{Event, Sink};
use super::savedmodel::SavedModelKind;
use crate::limits::{FILE_TEXT_BYTES, Limits};
use crate::rules::names::{Named, System, named};

/// Operators' names are shorter.
const LONGEST: usize = 128;

/// Whether the bytes are text in which a node names its operator.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > FILE_TEXT_BYTES || !starts_as_message(bytes) {
        return false;
    }
    let (mut nodes, mut operators) = (false, false);
    let sound = walk(bytes, &mut |seen| match seen {
        Seen::Message(name) => nodes |= matches!(name, b"node" | b"node_def"),
        Seen::Operator(..) => operators = true,
    });
    sound && nodes && operators
}

/// Judges each operator.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    if !accepts(bytes) {
        return;
    }
    walk(bytes, &mut |seen| {
        if let Seen::Operator(name, offset) = seen
            && matches!(named(System::Tensorflow, name), Some(Named::Dangerous(_)))
        {
            sink(SavedModelKind::Operator.at(u64::try_from(offset).unwrap_or(u64::MAX), name));
        }
    });
    sink(SavedModelKind::Partial.at(0, &[]));
    sink(Event::Unjudged(
        "of a TensorFlow graph as text only the names of its operators were judged",
    ));
}

/// What the walk meets.
enum Seen<'a> {
    /// A field that holds a message.
    Message(&'a [u8]),
    /// What is behind an `op`, and where.
    Operator(&'a [u8], usize),
}

/// A field's name comes first, and then what a field may have.
fn starts_as_message(bytes: &[u8]) -> bool {
    let mut text = Text { bytes, at: 0 };
    text.skip();
    !text.word().is_empty() && {
        text.skip();
        matches!(text.peek(), Some(b':' | b'{' | b'<'))
    }
}

/// Whether a message may start here, as far as the bytes go.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    let mut text = Text { bytes, at: 0 };
    text.skip();
    let named = !text.word().is_empty();
    if text.peek().is_none() {
        return true;
    }
    text.skip();
    named && text.peek().is_none_or(|byte| matches!(byte, b':' | b'{' | b'<'))
}

/// Hands out every field with a message, and every operator; whether every string ends.
fn walk(bytes: &[u8], look: &mut dyn FnMut(Seen<'_>)) -> bool {
    let mut text = Text { bytes, at: 0 };
    let mut field: &[u8] = b"";
    loop {
        text.skip();
        let Some(byte) = text.peek() else { return true };
        match byte {
            b'"' | b'\'' => {
                let start = text.at;
                let mut name = [0_u8; LONGEST];
                let Some(length) = text.strings(&mut name) else { return false };
                if let (b"op", Some(name)) = (field, name.get(..length)) {
                    look(Seen::Operator(name, start));
                }
            }
            b'{' | b'<' => {
                look(Seen::Message(field));
                text.at = text.at.saturating_add(1);
            }
            b':' | b'[' | b']' | b',' | b';' | b'}' | b'>' => text.at = text.at.saturating_add(1),
            _ => {
                let word = text.word();
                if word.is_empty() {
                    // Marks of a type's address, or nothing that is read.
                    text.at = text.at.saturating_add(1);
                } else {
                    field = word;
                }
            }
        }
    }
}

struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    /// White space and comments.
    fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'#' {
                while self.next().is_some_and(|byte| byte != b'\n') {}
            } else if byte.is_ascii_whitespace() || byte == 0x0b {
                self.at = self.at.saturating_add(1);
            } else {
                break;
            }
        }
    }

    /// A name or a number.
    fn word(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let part = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-' | b'/')
        };
        let length = rest.iter().take_while(|byte| part(byte)).count();
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    /// Strings one behind the other, which are one; how long it is.
    fn strings(&mut self, into: &mut [u8; LONGEST]) -> Option<usize> {
        let mut length = 0_usize;
        while let Some(quote @ (b'"' | b'\'')) = self.peek() {
            self.at = self.at.saturating_add(1);
            loop {
                let mut byte = self.next()?;
                if byte == quote {
                    break;
                }
                if byte == b'\\' {
                    byte = self.escape()?;
                }
                if let Some(place) = into.get_mut(length) {
                    *place = byte;
                }
                length = length.saturating_add(1);
            }
            self.skip();
        }
        Some(length)
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Option<u8> {
        let byte = self.next()?;
        let (base, most, start) = match byte {
            b'0'..=b'7' => (8, 2, u32::from(byte.saturating_sub(b'0'))),
            b'x' | b'X' => (16, 2, 0),
            b'u' => (16, 4, 0),
            b'U' => (16, 8, 0),
            b'n' => return Some(b'\n'),
            b't' => return Some(b'\t'),
            _ => return Some(byte),
        };
        let mut value = start;
        for _ in 0..most {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(base));
            let Some(digit) = digit else { break };
            value = value.wrapping_mul(base).wrapping_add(digit);
            self.at = self.at.saturating_add(1);
        }
        Some(u8::try_from(value).unwrap_or(b'?'))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn operators(text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        walk(text.as_bytes(), &mut |what| {
            if let Seen::Operator(name, _) = what {
                seen.push(String::from_utf8_lossy(name).into_owned());
            }
        });
        seen
    }

    #[test]
    fn operators_are_read_as_the_text_format_reads_them() {
        let text = "node { # op: \"No\"\n name: \"op\" op: 'Wr' \"ite\" # \n \"\\x46\\151le\"; } node < op : \"A\" >";
        assert_eq!(operators(text), ["WriteFile", "A"]);
        assert!(accepts(text.as_bytes()));
    }

    #[test]
    fn other_text_is_none() {
        for text in ["", "node", "{\"op\": \"x\"}", "op: \"x\"", "node {} op", "node { op: \"x"] {
            assert!(!accepts(text.as_bytes()), "{text}");
        }
    }
}
