//! Every object of a JSON text, with what stands under the keys that matter to its reader.
//!
//! Loaders that make objects of a configuration recurse into all of it, so that where an object
//! stands says nothing. The walk hands out each object once it is whole, inner ones first. It
//! builds nothing, and nests no deeper than the reader of JSON does.

use crate::json::{JsonError, Reader, Str, Token};

/// The longest `module.name` that is looked up: rules know none that is half as long.
pub(super) const NAME_BYTES: usize = 512;

/// How a text that opens an object or a list is encoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encoding<'a> {
    /// UTF-8, behind its mark if it has one.
    Utf8(&'a [u8]),
    /// UTF-16 or UTF-32.
    Wide(Wide<'a>),
    /// Not such a text.
    None,
}

/// Text in units of two or four bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide<'a> {
    bytes: &'a [u8],
    size: usize,
    big: bool,
}

impl Wide<'_> {
    /// Each unit, where it is ASCII; a question mark otherwise.
    pub(super) fn units(&self) -> impl Iterator<Item = u8> {
        let big = self.big;
        self.bytes.chunks_exact(self.size).map(move |unit| {
            let ends = if big { unit.split_last() } else { unit.split_first() };
            match ends {
                Some((&byte, rest)) if rest.iter().all(|&byte| byte == 0) => byte,
                _ => b'?',
            }
        })
    }
}

impl<'a> Encoding<'a> {
    /// What Python's `json.detect_encoding` makes of the bytes, where they open an object or a list.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let found = Self::guess(bytes);
        if matches!(found.first(), Some(b'{' | b'[')) { found } else { Self::None }
    }

    fn guess(bytes: &'a [u8]) -> Self {
        let wide = |skip: usize, size, big| {
            let bytes = bytes.get(skip..).unwrap_or_default();
            Self::Wide(Wide { bytes, size, big })
        };
        match bytes {
            [0, 0, 0xfe, 0xff, ..] => wide(4, 4, true),
            [0xff, 0xfe, 0, 0, ..] => wide(4, 4, false),
            [0xfe, 0xff, ..] => wide(2, 2, true),
            [0xff, 0xfe, ..] => wide(2, 2, false),
            [0, 0, _, _, ..] => wide(0, 4, true),
            [0, _, _, _, ..] => wide(0, 2, true),
            [_, 0, 0, 0, ..] => wide(0, 4, false),
            [_, 0, _, _, ..] => wide(0, 2, false),
            _ => Self::Utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
        }
    }

    /// The first character that is no white space.
    fn first(self) -> Option<u8> {
        let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self {
            Self::Utf8(text) => text.iter().copied().find(is_text),
            Self::Wide(text) => text.units().find(is_text),
            Self::None => None,
        }
    }
}

/// Whether a text starts here that opens an object or a list; nothing where the bytes end before
/// that shows.
pub(super) fn opens(bytes: &[u8]) -> Option<bool> {
    Some(matches!(Encoding::guess(bytes.get(..4).map(|_| bytes)?).first()?, b'{' | b'['))
}

/// Whether a text that is no sound JSON has each of the strings, as Python's reader would see
/// them.
pub(super) fn speaks<const N: usize>(
    mut text: impl Iterator<Item = u8>,
    strings: &[&str; N],
) -> bool {
    let mut seen = [false; N];
    while text.by_ref().any(|byte| byte == b'"') {
        let mut string = [0_u8; 16];
        let mut length = 0_usize;
        while let Some(mut byte) = text.next() {
            if byte == b'"' {
                break;
            }
            if byte == b'\\' {
                byte = match text.next() {
                    Some(b'u') => {
                        let digits = text.by_ref().take(4);
                        let value = digits.fold(0_u32, |value, digit| {
                            value << 4 | char::from(digit).to_digit(16).unwrap_or(0)
                        });
                        u8::try_from(value).unwrap_or(b'?')
                    }
                    Some(other) => other,
                    None => break,
                };
            }
            if let Some(place) = string.get_mut(length) {
                *place = byte;
            }
            length = length.saturating_add(1);
        }
        let string = string.get(..length).unwrap_or_default();
        for (name, seen) in strings.iter().zip(&mut seen) {
            *seen |= string == name.as_bytes();
        }
        if seen.iter().all(|&seen| seen) {
            return true;
        }
    }
    false
}

/// What stands under a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Seen<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// `null`.
    Null,
    /// A string.
    Text(Str<'a>),
    /// A list.
    List,
    /// Anything else.
    Other,
}

impl<'a> Seen<'a> {
    pub(super) const fn text(self) -> Option<Str<'a>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether anything but `null` stands there.
    pub(super) const fn is_there(self) -> bool {
        !matches!(self, Self::Nothing | Self::Null)
    }

    /// Whether the key stands there, whatever is under it.
    pub(super) const fn is_named(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    pub(super) fn is(self, text: &str) -> bool {
        self.text().is_some_and(|seen| seen == *text)
    }
}

/// An object: what stands under each of the keys, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a, const N: usize> {
    /// Where it starts in the text.
    pub(super) offset: u64,
    /// In how many objects and lists it lies.
    pub(super) depth: u32,
    /// Whether one of the keys stands twice: readers take the first or the last.
    pub(super) repeated: bool,
    /// The last value of each key.
    pub(super) seen: [Seen<'a>; N],
}

/// Hands each object of `text` to `look`.
pub(super) fn each<'a, const N: usize>(
    text: &'a [u8],
    keys: &[&str; N],
    look: &mut dyn FnMut(&Object<'a, N>),
) -> Result<(), JsonError> {
    let mut reader = Reader::new(text);
    if let Some(token) = reader.token()? {
        rest(&mut reader, token, keys, 0, look)?;
    }
    reader.finish()
}

/// What follows the first token of a value.
fn rest<'a, const N: usize>(
    reader: &mut Reader<'a>,
    token: Token<'a>,
    keys: &[&str; N],
    depth: u32,
    look: &mut dyn FnMut(&Object<'a, N>),
) -> Result<(), JsonError> {
    let inner = depth.saturating_add(1);
    match token {
        Token::ObjectStart => {
            let offset = reader.start();
            let mut object = Object { offset, depth, repeated: false, seen: [Seen::Nothing; N] };
            while let Some(key) = reader.key()? {
                let Some(token) = reader.token()? else { break };
                let place = keys.iter().zip(&mut object.seen).find(|(name, _)| key == **name);
                if let Some((_, place)) = place {
                    object.repeated |= place.is_there();
                    *place = match token {
                        Token::String(text) => Seen::Text(text),
                        Token::ArrayStart => Seen::List,
                        Token::Null => Seen::Null,
                        _ => Seen::Other,
                    };
                }
                rest(reader, token, keys, inner, look)?;
            }
            look(&object);
        }
        Token::ArrayStart => {
            while let Some(token) = reader.token()? {
                if token == Token::ArrayEnd {
                    break;
                }
                rest(reader, token, keys, inner, look)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `module.name`, and where its last part starts; the name alone where there is no module.
pub(super) fn join<'b>(
    module: Option<Str<'_>>,
    name: Str<'_>,
    buffer: &'b mut [u8; NAME_BYTES],
) -> Option<(&'b [u8], Option<usize>)> {
    let mut length = 0_usize;
    let mut dot = None;
    let module = module.into_iter().flat_map(|module| module.chars().map(Some).chain([None]));
    for character in module.chain(name.chars().map(Some)) {
        if character.is_none() {
            dot = Some(length);
        }
        let character = character.unwrap_or('.');
        let end = length.checked_add(character.len_utf8())?;
        character.encode_utf8(buffer.get_mut(length..end)?);
        length = end;
    }
    Some((buffer.get(..length)?, dot))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn inner_objects_come_first_and_repeats_are_seen() {
        let text = br#"[{"a": {"a": "x", "\u0061": 1}, "b": [], "c": {}}, {"b": null}]"#;
        let mut seen = Vec::new();
        each(text, &["a", "b"], &mut |object| {
            let keys = object.seen.map(Seen::is_there);
            seen.push((object.offset, object.depth, object.repeated, keys));
        })
        .unwrap();
        assert_eq!(
            seen,
            [
                (7, 2, true, [true, false]),
                (46, 2, false, [false, false]),
                (1, 1, false, [true, true]),
                (51, 1, false, [false, false]),
            ]
        );
        assert!(each(b"{\"a\": ", &["a"], &mut |_| {}).is_err());
    }
}
