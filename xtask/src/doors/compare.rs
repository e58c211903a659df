//! The lines of two doors, byte for byte.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// How many characters are shown around the first differing place.
const AROUND: usize = 40;

/// What a door printed: for each id the text behind it.
pub(crate) type Lines = BTreeMap<String, String>;

/// Reads `id TAB text` lines. An id that comes twice, or a line without one, is an error: the door
/// does not do what it is asked.
pub(crate) fn read(printed: &[u8]) -> Result<Lines> {
    let mut lines = Lines::new();
    let text = std::str::from_utf8(printed)?;
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        let Some((id, text)) = line.split_once('\t') else {
            anyhow::bail!("it printed a line without a tab: `{}`", cut(line, 0));
        };
        let before = lines.insert(id.to_owned(), text.to_owned());
        ensure!(before.is_none(), "it printed `{id}` twice");
    }
    Ok(lines)
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) equal: usize,
    /// A sentence for each difference.
    pub(crate) different: Vec<String>,
}

/// Compares a door's lines with those that are wanted: the same ids, and the same bytes behind each.
pub(crate) fn compare(wanted: &Lines, found: &Lines) -> Outcome {
    let mut outcome = Outcome::default();
    for (id, wanted) in wanted {
        match found.get(id) {
            Some(found) if found == wanted => outcome.equal += 1,
            Some(found) => outcome.different.push(format!("{id}: {}", difference(wanted, found))),
            None => outcome.different.push(format!("{id}: no line")),
        }
    }
    for id in found.keys().filter(|id| !wanted.contains_key(*id)) {
        outcome.different.push(format!("{id}: a line that nobody asked for"));
    }
    outcome
}

/// The first place in which two texts differ, with what stands there.
fn difference(wanted: &str, found: &str) -> String {
    let pairs = wanted.bytes().zip(found.bytes());
    let same = pairs.take_while(|(wanted, found)| wanted == found).count();
    format!("at byte {same}: wanted `{}`, found `{}`", cut(wanted, same), cut(found, same))
}

/// The text around a byte, safe to print.
fn cut(text: &str, at: usize) -> String {
    let start = text.floor_char_boundary(at.saturating_sub(AROUND));
    let end = text.floor_char_boundary(at.saturating_add(AROUND).min(text.len()));
    text.get(start..end).unwrap_or_default().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn equal_lines_are_counted_in_any_order() {
        let outcome = compare(&lines("a\t{}\nb\t[1]\n"), &lines("b\t[1]\na\t{}"));
        assert_eq!((outcome.equal, outcome.different.len()), (2, 0));
    }

    #[test]
    fn a_door_that_lies_is_told_with_the_first_differing_place() {
        let wanted = lines("a\t{\"verdict\":\"block\"}\nb\t{}\n");
        let found = lines("a\t{\"verdict\":\"allow\"}\nb\t{}\n");
        let outcome = compare(&wanted, &found);
        assert_eq!(outcome.equal, 1);
        assert!(outcome.different[0].starts_with("a: at byte 12: wanted"), "{outcome:?}");
        assert!(outcome.different[0].contains("allow"), "{outcome:?}");
    }

    #[test]
    fn a_shorter_text_a_missing_line_and_one_too_many_differ() {
        let differences = |found| compare(&lines("a\t{\"b\":1}"), &lines(found)).different;
        assert_eq!(differences("a\t{\"b\":1}").len(), 0);
        assert!(differences("a\t{\"b\":1")[0].contains("at byte 6"));
        assert!(differences("a\t{\"b\":1} ")[0].contains("at byte 7"));
        assert_eq!(differences(""), ["a: no line"]);
        assert_eq!(differences("a\t{\"b\":1}\nc\t{}"), ["c: a line that nobody asked for"]);
        assert_eq!(differences("a\t{\"b\":1}\r").len(), 1);
    }

    #[test]
    fn what_is_no_list_of_lines_is_an_error() {
        for bad in [&b"a\t1\na\t1\n"[..], b"no tab\n", b"a\t\xff\n"] {
            assert!(read(bad).is_err());
        }
    }

    #[test]
    fn places_are_cut_between_characters() {
        let (wanted, found) = ("模".repeat(50), format!("{}x", "模".repeat(49)));
        assert!(difference(&wanted, &found).starts_with("at byte 147"));
    }
}
