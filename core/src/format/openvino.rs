//! OpenVINO's model descriptions: the XML of its intermediate representation.
//!
//! Every element is read. A layer that is of no `opset` comes from an extension, which is a native
//! library that whoever loads the model must bring, and is judged by the system `openvino` of
//! `spec/rules/names.toml`. Where a constant's numbers stand in the `.bin` beside it is two
//! numbers, which are numbers and have a sum. A document type is a finding: entities make XML
//! readers open other files and grow without end, and no model needs one.
//!
//! What it refuses to do: compute, or read the `.bin`, which has the same name as the description.
//!
//! Follows openvinotoolkit/openvino, `src/frontends/ir/src/{frontend,ir_deserializer}.cpp`.
//! Stricter than pugixml, by which OpenVINO reads, about what is XML at all (`openvino/xml.rs`).

mod xml;

use super::event::{Event, Sink};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};
use xml::{Item, Items, NoXml, attributes};

anomaly_kinds! {
    /// What a model's description may hold that an honest one does not.
    pub enum OpenVinoKind;
    Xml, FormatStructure, "openvino-xml",
        "the bytes are not well formed as XML, so that readers part or refuse them";
    Root, FormatStructure, "openvino-root",
        "the root element is no `net`, or something stands in front of it or behind it";
    Doctype, FormatStructure, "openvino-doctype",
        "a document type is declared, whose entities may name other files or grow without end";
    Reference, FormatStructure, "openvino-reference",
        "a layer's type is spelled with references, which not every reader resolves";
    Extension, ReferenceUnknown, "openvino-extension",
        "a layer comes from an extension: native code that whoever loads the model must bring, and nobody has judged it";
    Weights, FormatStructure, "openvino-weights",
        "where a constant's numbers stand is no number, or past what a file can hold";
    Depth, FormatStructure, "openvino-depth",
        "elements nest deeper than the limit; the rest could not be judged";
    Partial, FormatPartial, "openvino-partial",
        "what the layers compute was not judged";
}

/// How much may stand before the root element: a declaration, comments, a licence.
pub(super) const PROLOGUE: usize = 64 << 10;

/// How many attributes an element has at most: operations have some dozens.
const ATTRIBUTES: usize = 256;

/// Whether the bytes are a description: XML whose root element is `net`.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    has_root(bytes, false)
}

/// Whether the first element is `net`. pugixml passes over `text` in front of it, which no XML has;
/// a page that shows a model has it as well.
fn has_root(bytes: &[u8], text: bool) -> bool {
    let mut items = Items::new(bytes.get(..PROLOGUE).unwrap_or(bytes));
    loop {
        match items.next() {
            Ok(Some(Item::Other | Item::Doctype)) => {}
            Ok(Some(Item::Text { blank })) if blank || text => {}
            Ok(Some(Item::Start { name, .. })) => return name == b"net",
            _ => return false,
        }
    }
}

/// Walks every element.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    if !has_root(bytes, true) {
        return;
    }
    let mut walk = Walk { items: Items::new(bytes), deepest: limits.format.object_depth, sink };
    if let Err(NoXml) = walk.document() {
        let at = wide(walk.items.at());
        (walk.sink)(OpenVinoKind::Xml.at(at, &[]));
    }
    sink(OpenVinoKind::Partial.at(0, &[]));
    sink(Event::Unjudged(
        "what the layers of an OpenVINO model compute, and the numbers beside it, was not judged",
    ));
}

struct Walk<'w, 'a> {
    items: Items<'a>,
    deepest: u32,
    sink: Sink<'w>,
}

impl<'a> Walk<'_, 'a> {
    fn document(&mut self) -> Result<(), NoXml> {
        let mut root = false;
        while let Some(item) = self.items.next()? {
            let at = wide(self.items.at());
            match item {
                Item::Other | Item::Text { blank: true } => {}
                Item::Text { blank: false } => (self.sink)(OpenVinoKind::Root.at(at, &[])),
                Item::Doctype => (self.sink)(OpenVinoKind::Doctype.at(at, &[])),
                Item::End(_) => return Err(NoXml),
                Item::Start { name, attributes, empty } => {
                    if root || name != b"net" {
                        (self.sink)(OpenVinoKind::Root.at(at, name));
                    }
                    root = true;
                    self.element(Element { name, attributes, empty }, false, 0)?;
                }
            }
        }
        if root { Ok(()) } else { Err(NoXml) }
    }

    /// An element and everything in it; `constant` says that it stands in a constant's layer.
    fn element(&mut self, element: Element<'a>, constant: bool, depth: u32) -> Result<(), NoXml> {
        let at = wide(self.items.at());
        if depth >= self.deepest {
            (self.sink)(OpenVinoKind::Depth.at(at, element.name));
            return Err(NoXml);
        }
        element.check()?;
        if constant && element.name == b"data" {
            self.weights(element, at);
        }
        let constant = element.name == b"layer" && self.layer(element, at);
        if element.empty {
            return Ok(());
        }
        loop {
            let at = wide(self.items.at());
            match self.items.next()?.ok_or(NoXml)? {
                Item::Other | Item::Text { .. } => {}
                Item::Doctype => (self.sink)(OpenVinoKind::Doctype.at(at, &[])),
                Item::End(name) if name == element.name => return Ok(()),
                Item::End(_) => return Err(NoXml),
                Item::Start { name, attributes, empty } => {
                    let inner = Element { name, attributes, empty };
                    self.element(inner, constant, depth.saturating_add(1))?;
                }
            }
        }
    }

    /// Judges a layer; whether it is a constant.
    fn layer(&mut self, layer: Element<'_>, at: u64) -> bool {
        let kind = layer.attribute(b"type").unwrap_or_default();
        // Descriptions before version 10 give no opset: every layer was built in.
        let set = layer.attribute(b"version");
        if [kind, set.unwrap_or_default()].iter().any(|text| text.contains(&b'&')) {
            (self.sink)(OpenVinoKind::Reference.at(at, kind));
        } else if set.is_some_and(|set| !is_built_in(set) && !is_known(set, kind)) {
            (self.sink)(OpenVinoKind::Extension.at(at, kind));
        }
        kind == b"Const"
    }

    fn weights(&mut self, data: Element<'_>, at: u64) {
        let number = |name: &[u8]| match data.attribute(name) {
            Some(text) => decimal(text),
            None => Some(0),
        };
        let end = number(b"offset")
            .zip(number(b"size"))
            .and_then(|(offset, size)| offset.checked_add(size));
        if end.is_none() {
            (self.sink)(OpenVinoKind::Weights.at(at, data.attributes.trim_ascii()));
        }
    }
}

/// The start of an element.
#[derive(Clone, Copy)]
struct Element<'a> {
    name: &'a [u8],
    attributes: &'a [u8],
    empty: bool,
}

impl<'a> Element<'a> {
    /// The attributes are well formed, not too many to compare, and each stands once.
    fn check(&self) -> Result<(), NoXml> {
        for (at, attribute) in attributes(self.attributes).enumerate() {
            let (name, _) = attribute?;
            if at >= ATTRIBUTES {
                return Err(NoXml);
            }
            let before = attributes(self.attributes).take(at);
            if before.flatten().any(|(other, _)| other == name) {
                return Err(NoXml);
            }
        }
        Ok(())
    }

    fn attribute(&self, name: &[u8]) -> Option<&'a [u8]> {
        attributes(self.attributes)
            .flatten()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

/// `opset1` and so on: the sets of operations that OpenVINO itself brings.
fn is_built_in(set: &[u8]) -> bool {
    let number = set.strip_prefix(b"opset");
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Whether a layer of another set is known all the same.
fn is_known(set: &[u8], kind: &[u8]) -> bool {
    matches!(set, b"extension" | b"experimental")
        && matches!(named(System::Openvino, kind), Some(Named::Known(_)))
}

/// A number as XML spells those of a file's places: digits, and below 2^63.
fn decimal(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text.trim_ascii()).ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number: &u64| digits && i64::try_from(number).is_ok())
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
