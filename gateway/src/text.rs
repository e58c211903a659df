//! Names from a hostile file, made safe to print.

use std::borrow::Cow;

use secure_torch_core::limits;

/// The text with every character escaped that could move a cursor, hide or reorder text.
///
/// Control characters, the bidirectional overrides of Unicode TR 9 and other format characters
/// become `\u{…}`; the length is cut at the limit of `spec/limits.toml`, and says so.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(256));
    for character in text.chars() {
        if out.len() >= limits::REPORT_SUBJECT_BYTES as usize {
            out.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// [`printable`], never cut: for names that tell files apart.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().map(|c| printable(c.encode_utf8(&mut [0; 4]))).collect()
}

/// JSON with every character escaped that is not printable ASCII, so that no terminal on the way
/// obeys a byte of it. Such characters stand only inside strings, where `\u` means the same.
#[must_use]
pub fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~' | '\n') {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// [`printable_bytes`], without a copy of what is so already, as nearly all names are.
pub(crate) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let plain = bytes.len() <= limits::REPORT_SUBJECT_BYTES as usize
        && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match std::str::from_utf8(bytes) {
        Ok(text) if plain => Cow::Borrowed(text),
        _ => Cow::Owned(printable_bytes(bytes)),
    }
}

/// Bytes as text: UTF-8 where they are, escapes where they are not.
#[must_use]
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
        if out.len() >= limits::REPORT_SUBJECT_BYTES as usize {
            break;
        }
    }
    out
}

/// Characters of Unicode's general category Cf and the separators that terminals obey.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(printable("tränen/模型.pt"), "tränen/模型.pt");
        assert_eq!(printable_bytes(b"a\xffb\n"), "a\\xffb\\u{a}");
        let long = printable(&"x".repeat(10_000));
        assert!(long.len() < 300 && long.ends_with('…'));
    }

    #[test]
    fn names_are_spelled_out_and_never_cut() {
        assert_eq!(visible("a\u{1b}\u{202e}模.pt"), "a\\u{1b}\\u{202e}模.pt");
        let long = "x".repeat(5_000);
        assert_eq!(visible(&long), long);
    }

    #[test]
    fn escapes_change_the_spelling_and_not_the_value() {
        let value = serde_json::json!({"模": "a\u{9b}2J\u{7f}\u{1b}[0m\u{202e}😀\n"});
        for text in [value.to_string(), format!("{value:#}")] {
            let escaped = ascii_json(&text);
            assert!(escaped.chars().all(|c| matches!(c, ' '..='~' | '\n')));
            let found: serde_json::Value = serde_json::from_str(&escaped).unwrap();
            assert_eq!(found, value);
        }
    }

    #[test]
    fn what_is_shown_is_what_is_printable() {
        let most = "x".repeat(limits::REPORT_SUBJECT_BYTES as usize);
        let more = format!("{most}x");
        for text in ["", "archive/data/0", "a\x7f", "a\nb", "模型", &most, &more] {
            assert_eq!(shown(text.as_bytes()), printable(text));
        }
        assert_eq!(shown(b"a\xff"), "a\\xff");
        assert!(matches!(shown(most.as_bytes()), Cow::Borrowed(_)));
    }
}
