//! XML, as much of it as a model's description is written in: elements, attributes, text.
//!
//! What it refuses to do: entities of the file's own. A document type may declare them, name other
//! files in them and nest them without end, so it is an event of its own and never followed.
//!
//! Follows "Extensible Markup Language (XML) 1.0", sections 2 and 3, and is stricter where readers
//! part: no attribute stands twice, names are ASCII, and everything is closed in the order in which
//! it was opened. Text is not checked for the characters that XML forbids.

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// An element starts.
    Start {
        /// Its name.
        name: &'a [u8],
        /// What stands between the name and the end of the tag.
        attributes: &'a [u8],
        /// Whether it ends at once.
        empty: bool,
    },
    /// An element ends.
    End(&'a [u8]),
    /// A document type.
    Doctype,
    /// Text.
    Text {
        /// Whether it is white space alone.
        blank: bool,
    },
    /// Anything else: a comment, an instruction.
    Other,
}

/// The bytes are no XML from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoXml;

/// Walks a document.
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Items<'a> {
    /// A byte order mark may stand at the front.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 } }
    }

    /// Where the next item starts.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// What stands before the next `end`, which is passed over.
    fn until(&mut self, end: &[u8]) -> Result<&'a [u8], NoXml> {
        let rest = self.rest();
        let found = rest.windows(end.len()).position(|window| window == end).ok_or(NoXml)?;
        self.at = self.at.saturating_add(found).saturating_add(end.len());
        rest.get(..found).ok_or(NoXml)
    }

    fn skip(&mut self, prefix: &[u8]) -> bool {
        let skipped = self.rest().starts_with(prefix);
        if skipped {
            self.at = self.at.saturating_add(prefix.len());
        }
        skipped
    }

    /// The next item; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>, NoXml> {
        if self.rest().is_empty() {
            return Ok(None);
        }
        if !self.skip(b"<") {
            let text = self.rest();
            let length = text.iter().position(|&byte| byte == b'<').unwrap_or(text.len());
            self.at = self.at.saturating_add(length);
            let blank = text.iter().take(length).all(u8::is_ascii_whitespace);
            return Ok(Some(Item::Text { blank }));
        }
        let other = if self.skip(b"!--") {
            self.until(b"-->")
        } else if self.skip(b"![CDATA[") {
            self.until(b"]]>")
        } else if self.skip(b"?") {
            self.until(b"?>")
        } else if self.skip(b"!") {
            self.doctype()?;
            return Ok(Some(Item::Doctype));
        } else {
            return self.tag().map(Some);
        };
        other.map(|_| Some(Item::Other))
    }

    /// A declaration, up to its end outside quotes and brackets.
    fn doctype(&mut self) -> Result<(), NoXml> {
        let (mut quote, mut open) = (None, 0_u32);
        for &byte in self.rest() {
            self.at = self.at.saturating_add(1);
            match (quote, byte) {
                (Some(mark), _) => quote = quote.filter(|_| byte != mark),
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'[' | b'<') => open = open.saturating_add(1),
                (None, b']') => open = open.saturating_sub(1),
                (None, b'>') if open == 0 => return Ok(()),
                (None, b'>') => open = open.saturating_sub(1),
                _ => {}
            }
        }
        Err(NoXml)
    }

    fn tag(&mut self) -> Result<Item<'a>, NoXml> {
        let ends = self.skip(b"/");
        let rest = self.rest();
        let length = rest.iter().position(|byte| !is_name(*byte)).ok_or(NoXml)?;
        let (name, rest) = rest.split_at_checked(length).ok_or(NoXml)?;
        if name.is_empty() {
            return Err(NoXml);
        }
        let mut quote = None;
        let end = rest.iter().position(|&byte| match quote {
            Some(mark) => {
                quote = quote.filter(|_| byte != mark);
                false
            }
            None if byte == b'"' || byte == b'\'' => {
                quote = Some(byte);
                false
            }
            None => byte == b'>',
        });
        let end = end.ok_or(NoXml)?;
        let inside = rest.get(..end).ok_or(NoXml)?;
        self.at = self.at.saturating_add(length).saturating_add(end).saturating_add(1);
        if ends {
            return if inside.trim_ascii().is_empty() { Ok(Item::End(name)) } else { Err(NoXml) };
        }
        let (attributes, empty) = match inside.strip_suffix(b"/") {
            Some(attributes) => (attributes, true),
            None => (inside, false),
        };
        Ok(Item::Start { name, attributes, empty })
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':')
}

/// The attributes of a tag, each a name and a value as it is spelled.
pub(super) fn attributes(inside: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), NoXml>> {
    let mut rest = inside.trim_ascii();
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let one = attribute(rest);
        rest = one.map_or(&[], |(.., rest)| rest);
        Some(one.map(|(name, value, _)| (name, value)).ok_or(NoXml))
    })
}

/// A name, an equals sign, a value in quotes; and what follows.
fn attribute(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = bytes.iter().position(|&byte| !is_name(byte)).filter(|&length| length > 0)?;
    let (name, rest) = bytes.split_at_checked(length)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (mark, rest) = rest.split_first().filter(|(mark, _)| matches!(**mark, b'"' | b'\''))?;
    let length = rest.iter().position(|byte| byte == mark)?;
    let (value, rest) = rest.split_at_checked(length)?;
    let rest = rest.get(1..)?;
    let parted = rest.is_empty() || rest.first().is_some_and(u8::is_ascii_whitespace);
    parted.then_some((name, value, rest.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn items(bytes: &[u8]) -> Result<Vec<Item<'_>>, NoXml> {
        let (mut items, mut walk) = (vec![], Items::new(bytes));
        while let Some(item) = walk.next()? {
            if !matches!(item, Item::Other | Item::Text { .. }) {
                items.push(item);
            }
        }
        Ok(items)
    }

    #[test]
    fn elements_are_read() {
        let start = |name, attributes, empty| Item::Start { name, attributes, empty };
        let read = items(b"<?xml version='1.0'?>\n<!-- <no> --><net a='>' b=\"/\"><x/>text<![CDATA[<no>]]></net >");
        let expected = vec![
            start(b"net", b" a='>' b=\"/\"", false),
            start(b"x", b"", true),
            Item::End(b"net"),
        ];
        assert_eq!(read, Ok(expected));
        assert_eq!(items(b"<!DOCTYPE a [<!ENTITY x \"]>\">]><a/>").unwrap()[0], Item::Doctype);
        for broken in [
            &b"<"[..],
            b"<a",
            b"<a b='>",
            b"<!-- ",
            b"<![CDATA[ ]>",
            b"<? ",
            b"<!DOCTYPE [",
            b"</a b>",
            b"< a>",
        ] {
            assert_eq!(items(broken), Err(NoXml));
        }
    }

    #[test]
    fn attributes_are_read() {
        let read = |inside: &'static [u8]| attributes(inside).collect::<Result<Vec<_>, _>>();
        assert_eq!(read(b" a = '1'\nb=\"'\" "), Ok(vec![(&b"a"[..], &b"1"[..]), (b"b", b"'")]));
        assert_eq!(read(b""), Ok(vec![]));
        for broken in [&b"a"[..], b"a=", b"a=1", b"a='1", b"='1'", b"a='1'b='2'"] {
            assert_eq!(read(broken), Err(NoXml));
        }
    }
}
