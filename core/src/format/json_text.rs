//! The questions of [`super::code_text`], asked of strings in JSON.
//!
//! What a string means is judged, and not how it is spelled. An escaped one is unescaped window
//! by window, so that no heap is needed.

use super::code_text::{REACH, code_like, code_like_inside, template_escape};
use crate::json::Str;

/// [`code_like`] of what a JSON string means; gives an offset in the JSON text.
#[must_use]
pub fn code_like_string(string: &Str<'_>) -> Option<u64> {
    in_string(string, code_like, code_like_inside)
}

/// [`template_escape`] of what a JSON string means; gives an offset in the JSON text.
#[must_use]
pub fn template_escape_string(string: &Str<'_>) -> Option<u64> {
    in_string(string, template_escape, template_escape)
}

/// Where in a text the first thing stands that is looked for.
type Search = fn(&[u8]) -> Option<usize>;

/// How much of an escaped string is looked at together.
const WINDOW: usize = 4096;

/// The offset is that of the string where the string is escaped.
fn in_string(string: &Str<'_>, search: Search, later: Search) -> Option<u64> {
    let mut search = search;
    if string.is_plain() {
        let at = search(string.raw().as_bytes())?;
        return string.offset().checked_add(u64::try_from(at).ok()?);
    }
    let mut window = [0_u8; WINDOW];
    let mut length = 0_usize;
    for character in string.chars() {
        let mut encoded = [0; 4];
        for &byte in character.encode_utf8(&mut encoded).as_bytes() {
            if length == WINDOW {
                if search(&window).is_some() {
                    return Some(string.offset());
                }
                search = later;
                window.copy_within(WINDOW.saturating_sub(REACH).., 0);
                length = REACH;
            }
            if let Some(place) = window.get_mut(length) {
                *place = byte;
            }
            length = length.saturating_add(1);
        }
    }
    search(window.get(..length).unwrap_or_default()).map(|_| string.offset())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Reader, Token};

    #[test]
    fn escaped_strings_are_judged_by_what_they_mean() {
        let string = |text: &'static [u8]| match Reader::new(text).token() {
            Ok(Some(Token::String(string))) => string,
            other => panic!("{other:?}"),
        };
        assert_eq!(code_like_string(&string(br#""x os.system('id')""#)), Some(3));
        assert_eq!(code_like_string(&string(br#""\u006fs.syst\u0065m('id')""#)), Some(1));
        assert_eq!(template_escape_string(&string(br#""{{ x.\u005f_class__ }}""#)), Some(1));
        assert_eq!(template_escape_string(&string(br#""{{ x.name }}\n""#)), None);
    }

    #[test]
    fn windows_miss_nothing_between_them() {
        extern crate std;
        for pad in WINDOW - 30..WINDOW + 30 {
            let text = std::format!("\"\\n{}os.system('id')\"", " ".repeat(pad));
            let Ok(Some(Token::String(string))) = Reader::new(text.as_bytes()).token() else {
                panic!("no string")
            };
            assert!(code_like_string(&string).is_some(), "{pad}");
        }
    }
}
