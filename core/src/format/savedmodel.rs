//! TensorFlow's graphs: a SavedModel, a MetaGraphDef (`.meta`) and a GraphDef (a frozen `.pb`),
//! and what lies beside a SavedModel: its fingerprint (`fingerprint.pb`) and the description of its
//! Keras layers (`keras_metadata.pb`), which older writers keep in the SavedModel itself.
//!
//! Every node is named by its operator, wherever it stands: in the graph, in the functions of its
//! library, in the functions that attributes name, and in graphs that attributes carry as bytes,
//! which are handed out to be judged by themselves. Operators are judged by the system
//! `tensorflow` of `spec/rules/names.toml`; three of them by what an attribute says.
//!
//! What it refuses to do: compute. What an operator is given is not followed, so a saver's
//! `SaveV2` passes whatever name reaches it; that TensorFlow itself is no sandbox for graphs is
//! said in its `SECURITY.md`.
//!
//! Follows tensorflow/tensorflow, `tensorflow/core/protobuf/{saved_model,meta_graph}.proto`,
//! `tensorflow/core/framework/{graph,node_def,attr_value,function}.proto`,
//! `tensorflow/core/protobuf/{saved_object_graph,fingerprint}.proto` and, for Keras,
//! `keras/protobuf/saved_metadata.proto`. Stricter than protobuf, which drops the rest of a field
//! that does not parse into its schema: bytes that are no message where one belongs are a finding.
//! Where a field that stands once is written again, readers keep the last; here all are judged.

use super::detect::signature;
use super::event::{Anomaly, Event, Sink};
use super::protobuf::{Field, Message, Value, WireError};
use crate::limits::{FORMAT_MESSAGE_DEPTH, FORMAT_OBJECTS, Limits};
use crate::rules::names::{Named, System, named};

anomaly_kinds! {
    /// What a TensorFlow graph may hold that an honest one does not.
    pub enum SavedModelKind;
    Operator, TensorflowOperator, "tensorflow-operator",
        "an operator reads or writes files, runs other code or reaches the network";
    Wire, FormatStructure, "tensorflow-wire",
        "bytes are no message where the schema has one, so that TensorFlow refuses the graph";
    NoGraph, FormatStructure, "tensorflow-no-graph",
        "there is no graph in it";
    Asset, FormatStructure, "tensorflow-asset",
        "the name of an asset leads out of the model's folder";
    Depth, FormatStructure, "tensorflow-depth",
        "messages nest deeper than readers go; the rest could not be judged";
    Objects, FormatStructure, "tensorflow-objects",
        "the graph has more nodes than the limit; the rest could not be judged";
    Partial, FormatPartial, "tensorflow-partial",
        "what the graph computes was not judged";
}

/// Whether TensorFlow would take the bytes for a graph of one of the kinds.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    Kind::ALL.iter().any(|kind| kind.fits(Message::new(bytes, 0)))
}

/// Walks every graph.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let message = Message::new(bytes, 0);
    let mut walk = Walk { objects: limits.format.objects, sink };
    let mut found = false;
    for kind in Kind::ALL {
        if kind.fits(message) {
            found = true;
            // What ended it has been reported.
            let _ = kind.walk(&mut walk, message);
        }
    }
    if !found {
        let failed = message.fields().find_map(Result::err);
        let kind = if failed.is_some() { SavedModelKind::Wire } else { SavedModelKind::NoGraph };
        (walk.sink)(kind.at(failed.map_or(0, |error| error.offset), &[]));
    }
    sink(SavedModelKind::Partial.at(0, &[]));
    sink(Event::Unjudged(
        "what a TensorFlow graph computes, and what its saver's operators are given, was not \
         judged; operators of other libraries were not told from TensorFlow's own",
    ));
}

/// Walks a node that stands alone, as TensorFlow Lite keeps them.
pub(super) fn read_node(node: Message<'_>, sink: Sink<'_>) {
    let mut walk = Walk { objects: FORMAT_OBJECTS, sink };
    // What ended it has been reported.
    let _ = walk.node(node);
}

/// A message that TensorFlow reads as a file.
#[derive(Clone, Copy)]
enum Kind {
    SavedModel,
    MetaGraph,
    Graph,
    KerasMetadata,
    Fingerprint,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::SavedModel, Self::MetaGraph, Self::Graph, Self::KerasMetadata, Self::Fingerprint];

    /// Fields of other messages may stand beside those that make the kind: a reader skips what it
    /// does not know.
    fn fits(self, message: Message<'_>) -> bool {
        match self {
            Self::SavedModel => holds(message, 2, |inner| Self::MetaGraph.fits(inner)),
            Self::MetaGraph => holds(message, 2, |inner| Self::Graph.fits(inner)),
            Self::Graph => {
                holds(message, 1, is_node)
                    || holds(message, 2, |library| {
                        holds(library, 1, |function| holds(function, 3, is_node))
                    })
            }
            Self::KerasMetadata => holds(message, 1, is_saved_object),
            Self::Fingerprint => is_fingerprint(message),
        }
    }

    fn walk(self, walk: &mut Walk<'_>, message: Message<'_>) -> Result<(), Ended> {
        match self {
            Self::SavedModel => {
                walk.messages(message, 2, |walk, inner| Self::MetaGraph.walk(walk, inner))
            }
            Self::MetaGraph => walk.meta_graph(message),
            Self::Graph => walk.graph(message),
            Self::KerasMetadata => walk.messages(message, 1, Walk::saved_object),
            // Hashes, which nothing runs.
            Self::Fingerprint => Ok(()),
        }
    }
}

/// Whether the whole is a message, and a field of this number holds bytes like these.
fn holds(message: Message<'_>, number: u32, like: impl Fn(Message<'_>) -> bool) -> bool {
    let mut found = false;
    for field in message {
        match field {
            Ok(Field { number: other, value: Value::Bytes(inner), .. }) if other == number => {
                found = found || like(inner);
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    found
}

/// Whether bytes are a node: a name, an operator, inputs that are text, attributes with a key.
/// TensorFlow refuses a node without a name (`tensorflow/core/graph/graph_constructor.cc`). A Core
/// ML feature, which has texts in the same places, has a message where a node's inputs stand, and a
/// MediaPipe node texts where the attributes do.
fn is_node(message: Message<'_>) -> bool {
    let (mut name, mut operator) = (false, false);
    for field in message {
        match field {
            Ok(Field { number, value: Value::Bytes(inner), .. }) => match number {
                1 => name = !inner.bytes.is_empty() && is_plain(inner.bytes),
                2 => operator = is_operator(inner.bytes),
                3 if !is_plain(inner.bytes) => return false,
                5 if !holds(inner, 1, |key| is_plain(key.bytes)) => return false,
                _ => {}
            },
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    name && operator
}

/// Operators are named by letters, digits, `_` and, behind the name of a library, `>`; functions
/// are too, and some writers put `.`, `-` and `/` in their names.
fn is_operator(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_>.-/".contains(byte);
    !name.is_empty() && name.iter().all(fits)
}

fn is_plain(text: &[u8]) -> bool {
    !text.iter().any(u8::is_ascii_control)
}

/// Whether bytes are a layer of `keras_metadata.pb`: Keras gives each an identifier of its own.
fn is_saved_object(message: Message<'_>) -> bool {
    holds(message, 4, |identifier| identifier.bytes.starts_with(b"_tf_keras_"))
        && holds(message, 5, |metadata| metadata.bytes.starts_with(b"{"))
}

/// Whether bytes are a fingerprint and nothing else: hashes of the checksum, the graph, the
/// signatures and the objects, then a version.
fn is_fingerprint(message: Message<'_>) -> bool {
    let mut hashes = [false; 4];
    for field in message {
        let Ok(Field { number, value, .. }) = field else { return false };
        match (number, value) {
            (1..=5, Value::Varint(_)) => {
                let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
                if let Some(hash) = place.and_then(|place| hashes.get_mut(place)) {
                    *hash = true;
                }
            }
            (6 | 7, Value::Bytes(_)) => {}
            _ => return false,
        }
    }
    hashes == [true; 4]
}

/// Nothing more is read.
struct Ended;

struct Walk<'w> {
    /// How many more nodes and attributes are read.
    objects: u32,
    sink: Sink<'w>,
}

impl Walk<'_> {
    /// Hands each message of this field on.
    fn messages<'m>(
        &mut self,
        message: Message<'m>,
        number: u32,
        mut each: impl FnMut(&mut Self, Message<'m>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        for inner in message.messages(number) {
            let inner = self.checked(inner)?;
            each(self, inner)?;
        }
        Ok(())
    }

    fn checked<T>(&mut self, read: Result<T, WireError>) -> Result<T, Ended> {
        read.map_err(|error| {
            (self.sink)(SavedModelKind::Wire.at(error.offset, error.kind.message().as_bytes()));
            Ended
        })
    }

    fn count(&mut self, offset: u64) -> Result<(), Ended> {
        if let Some(rest) = self.objects.checked_sub(1) {
            self.objects = rest;
            return Ok(());
        }
        (self.sink)(SavedModelKind::Objects.at(offset, &[]));
        Err(Ended)
    }

    fn meta_graph(&mut self, message: Message<'_>) -> Result<(), Ended> {
        for field in message {
            let field = self.checked(field)?;
            match (field.number, field.value) {
                (2, Value::Bytes(graph)) => self.graph(graph)?,
                (6, Value::Bytes(asset)) => self.asset(asset)?,
                (7, Value::Bytes(objects)) => self.messages(objects, 1, |walk, object| {
                    walk.messages(object, 4, Self::user_object)
                })?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The loader puts the name behind the model's folder and `assets`, and opens what is there
    /// (`tensorflow/python/saved_model/loader_impl.py`, `get_asset_tensors`).
    fn asset(&mut self, message: Message<'_>) -> Result<(), Ended> {
        self.messages(message, 2, |walk, name| {
            let climbs = name.bytes.split(|byte| b"/\\".contains(byte)).any(|part| part == b"..");
            let absolute = name.bytes.starts_with(b"/")
                || name.bytes.starts_with(b"\\")
                || name.bytes.contains(&b':');
            if climbs || absolute {
                (walk.sink)(SavedModelKind::Asset.at(name.offset, name.bytes));
            }
            Ok(())
        })
    }

    fn graph(&mut self, message: Message<'_>) -> Result<(), Ended> {
        for field in message {
            let field = self.checked(field)?;
            match (field.number, field.value) {
                (1, Value::Bytes(node)) => self.node(node)?,
                (2, Value::Bytes(library)) => self.messages(library, 1, Self::function)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn function(&mut self, message: Message<'_>) -> Result<(), Ended> {
        for field in message {
            let field = self.checked(field)?;
            match (field.number, field.value) {
                (3, Value::Bytes(node)) => self.node(node)?,
                (5, Value::Bytes(attribute)) => self.attribute(attribute, &[], 0)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, message: Message<'_>) -> Result<(), Ended> {
        self.count(message.offset)?;
        let mut operator: &[u8] = &[];
        self.messages(message, 2, |walk, name| {
            walk.operator(name);
            operator = name.bytes;
            Ok(())
        })?;
        self.messages(message, 5, |walk, attribute| walk.attribute(attribute, operator, 0))
    }

    fn operator(&mut self, name: Message<'_>) {
        if let Some(Named::Dangerous(why)) = named(System::Tensorflow, name.bytes) {
            self.dangerous(why, name);
        }
    }

    fn dangerous(&mut self, why: &'static str, subject: Message<'_>) {
        (self.sink)(Event::Anomaly(Anomaly {
            rule: SavedModelKind::Operator.rule(),
            id: SavedModelKind::Operator.id(),
            message: why,
            offset: subject.offset,
            subject: subject.bytes,
        }));
    }

    /// An entry of a map from names to values.
    fn attribute(&mut self, entry: Message<'_>, operator: &[u8], depth: u32) -> Result<(), Ended> {
        self.count(entry.offset)?;
        let mut key: &[u8] = &[];
        self.messages(entry, 1, |_, name| {
            key = name.bytes;
            Ok(())
        })?;
        self.messages(entry, 2, |walk, value| walk.value(value, operator, key, depth))
    }

    fn value(
        &mut self,
        value: Message<'_>,
        operator: &[u8],
        key: &[u8],
        depth: u32,
    ) -> Result<(), Ended> {
        if depth >= FORMAT_MESSAGE_DEPTH {
            (self.sink)(SavedModelKind::Depth.at(value.offset, &[]));
            return Err(Ended);
        }
        let deeper = depth.saturating_add(1);
        for field in value {
            let field = self.checked(field)?;
            match (field.number, field.value) {
                (1, Value::Bytes(list)) => {
                    for field in list {
                        let field = self.checked(field)?;
                        match (field.number, field.value) {
                            (2, Value::Bytes(text)) => self.text(text, operator, key),
                            (9, Value::Bytes(function)) => self.reference(function, deeper)?,
                            _ => {}
                        }
                    }
                }
                (2, Value::Bytes(text)) => self.text(text, operator, key),
                // The strings of a constant tensor.
                (8, Value::Bytes(tensor)) => self.messages(tensor, 8, |walk, text| {
                    walk.embedded(text);
                    Ok(())
                })?,
                (10, Value::Bytes(function)) => self.reference(function, deeper)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A function by its name, with attributes of its own.
    fn reference(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        for field in message {
            let field = self.checked(field)?;
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => self.operator(name),
                (2, Value::Bytes(entry)) => self.attribute(entry, &[], depth)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The text of an attribute: some operators reach a file only if it says so.
    fn text(&mut self, text: Message<'_>, operator: &[u8], key: &[u8]) {
        let starts = |prefix: &[u8]| text.bytes.starts_with(prefix);
        match (operator, key) {
            // `tensorflow/core/kernels/logging_ops.cc`
            (b"PrintV2", b"output_stream") if starts(b"file://") => {
                self.dangerous("prints into a file of any name", text);
            }
            // `tensorflow/core/kernels/candidate_sampler_ops.cc`
            (b"FixedUnigramCandidateSampler", b"vocab_file") if !text.bytes.is_empty() => {
                self.dangerous("reads a vocabulary of any name", text);
            }
            // `tensorflow/core/util/proto/descriptors.cc`
            (b"EncodeProto" | b"DecodeProto" | b"DecodeProtoV2", b"descriptor_source")
                if !text.bytes.is_empty() && !starts(b"local://") && !starts(b"bytes://") =>
            {
                self.dangerous("reads the description of a message from a file of any name", text);
            }
            _ => self.embedded(text),
        }
    }

    /// Bytes that are a file of their own: a graph, or a program for the machine.
    fn embedded(&mut self, text: Message<'_>) {
        let native = signature(text.bytes).is_some_and(|signature| signature.native);
        if native || accepts(text.bytes) {
            let Message { bytes, offset } = text;
            (self.sink)(Event::Member { name: b"bytes", offset, bytes });
        }
    }

    /// A Keras layer among the objects of a SavedModel, as TensorFlow wrote them before 2.5.
    fn user_object(&mut self, message: Message<'_>) -> Result<(), Ended> {
        let keras = holds(message, 1, |identifier| identifier.bytes.starts_with(b"_tf_keras_"));
        self.messages(message, 3, |walk, Message { bytes, offset }| {
            if keras && bytes.starts_with(b"{") {
                (walk.sink)(Event::Member { name: b"metadata.json", offset, bytes });
            }
            Ok(())
        })
    }

    /// A layer's configuration is JSON in a text, and judged like a file of it.
    fn saved_object(&mut self, message: Message<'_>) -> Result<(), Ended> {
        self.count(message.offset)?;
        self.messages(message, 5, |walk, Message { bytes, offset }| {
            (walk.sink)(Event::Member { name: b"metadata.json", offset, bytes });
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
