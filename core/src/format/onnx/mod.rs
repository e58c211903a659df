//! ONNX: a graph of operators with its weights, as one protobuf message.
//!
//! An ONNX file holds no program; what it can do to whoever loads it is what its readers do with
//! it. So it is walked twice. The first walk holds every byte of the encoding to the schema:
//! protobuf skips, merges and overwrites without a word, and each of these lets two readers see
//! two models. The second walks the graph with everything in it that may hold operators or
//! tensors (subgraphs in attributes, local functions, training steps, sparse weights), and says
//! which operators need a library of somebody's, which tensors lie in other files and where, and
//! which do not have the size that their shape calls for.
//!
//! What it refuses to do: compute anything, infer types, open other files, or look into a
//! tensor's numbers. A field that the schema of IR version 14 does not have is a finding, and so
//! is a newer version: a reader of tomorrow may do something with it, and every reader of today
//! refuses it. Laxer than `onnx.checker`, because no reader depends on it and honest files break
//! it: graphs without a name, types without a shape, names in whatever order, operators with
//! attributes that their schema does not list.
//!
//! Follows `onnx/onnx.proto`, `onnx/checker.cc` and `docs/ExternalData.md` of onnx 1.23, and
//! ONNX Runtime's `core/framework/tensorprotoutils.cc` where it is stricter.

mod domains;
mod external;
mod functions;
pub(crate) mod graph;
mod schema;
pub(crate) mod tensor;
mod wire;

use super::event::Sink;
use super::protobuf::{Message, Value, WireErrorKind};
use crate::limits::Limits;

use graph::Walk;

/// The newest IR version of the schema (`onnx.proto`: `IR_VERSION`).
const IR_VERSION: i64 = 14;

anomaly_kinds! {
    /// What can be wrong with an ONNX model, or lead out of it.
    pub enum Violation;
    Truncated, OnnxStructure, "onnx-truncated",
        "a message ends inside a field, and every reader refuses the model";
    Overrun, OnnxStructure, "onnx-overrun",
        "a length reaches past the end of its message, and every reader refuses the model";
    Varint, OnnxStructure, "onnx-varint",
        "a number has more than 64 bits, of which some readers drop the rest";
    Key, OnnxStructure, "onnx-key",
        "a field's key is longer than its number needs: some readers read the field, others skip it";
    FieldNumber, OnnxStructure, "onnx-field-number",
        "a field's number is zero or higher than there are";
    WireType, OnnxStructure, "onnx-wire-type",
        "a field has a wire type that does not exist";
    Length, OnnxStructure, "onnx-length",
        "a length is 2 GiB or more, or spelled in more than five bytes, which readers refuse";
    Group, OnnxStructure, "onnx-group",
        "a group starts or ends where there is none, or nests too deep";
    Text, OnnxStructure, "onnx-text",
        "a string is not UTF-8: some readers refuse it, others hand out bytes";
    FieldUnknown, OnnxStructure, "onnx-field-unknown",
        "a field that the schema does not have: readers skip it, and it can hide anything";
    FieldAgain, OnnxStructure, "onnx-field-again",
        "a field stands again that there is one of: readers keep the last number, and merge messages";
    WireTypeOther, OnnxStructure, "onnx-wire-type-other",
        "a field has another wire type than the schema gives it, and readers skip it";
    NumberTooWide, OnnxStructure, "onnx-number-too-wide",
        "a number does not fit the 32 bits of its field, and readers drop the rest";
    Depth, OnnxStructure, "onnx-depth",
        "messages nest deeper than protobuf readers go";
    TooManyMessages, OnnxStructure, "onnx-too-many-messages",
        "the model has more messages, or breaks more rules, than the limit; the rest could not be judged";
    TooLarge, OnnxStructure, "onnx-too-large",
        "the model takes 2 GiB or more, which protobuf readers refuse";
    Version, OnnxStructure, "onnx-version",
        "the model has no IR version, or one that is newer than any that can be judged";
    GraphMissing, OnnxStructure, "onnx-graph-missing",
        "the model has no graph";
    Imports, OnnxStructure, "onnx-imports",
        "the operator sets that the model imports are missing, contradict each other, or have no plausible version";
    ImportMissing, OnnxStructure, "onnx-import-missing",
        "a node belongs to a domain that is not imported where it stands";
    Node, OnnxStructure, "onnx-node",
        "a node has no operator, or neither inputs nor outputs";
    Attribute, OnnxStructure, "onnx-attribute",
        "an attribute has no name, a type that is not that of its value, more than one value, or a value and a reference";
    AttributeAgain, OnnxStructure, "onnx-attribute-again",
        "a node has the same attribute twice, or more of them than any operator: readers part over which one counts";
    Function, OnnxStructure, "onnx-function",
        "a function has no name, or is there twice";
    TooManyFunctions, OnnxStructure, "onnx-too-many-functions",
        "the model has more functions than can be told apart";
    FunctionCalls, OnnxStructure, "onnx-function-calls",
        "functions call each other in a circle, or in a chain longer than readers follow";
    FunctionsGrow, OnnxStructure, "onnx-functions-grow",
        "the graph has more nodes than the limit once each function stands in the place of its calls";
    ValueInfo, OnnxStructure, "onnx-value-info",
        "an input or an output has no name, or no type";
    Unnamed, OnnxStructure, "onnx-unnamed",
        "a tensor of the graph has no name";
    MetadataAgain, OnnxStructure, "onnx-metadata-again",
        "a key of the metadata is there twice";
    TensorType, OnnxStructure, "onnx-tensor-type",
        "a tensor has no type, or one that does not exist";
    TensorShape, OnnxStructure, "onnx-tensor-shape",
        "a tensor has a negative dimension, or more elements than can be counted";
    TensorData, OnnxStructure, "onnx-tensor-data",
        "a tensor has no data, data in more than one place, or data in a place for another type";
    TensorSize, OnnxStructure, "onnx-tensor-size",
        "a tensor's data does not have the size that its shape and type call for";
    TensorSegment, OnnxStructure, "onnx-tensor-segment",
        "a tensor is a segment of another, which no reader supports";
    Sparse, OnnxStructure, "onnx-sparse",
        "a sparse tensor's values, indices and dimensions do not agree, or an index is out of range";
    ExternalKeys, OnnxStructure, "onnx-external-keys",
        "the description of external data lacks a location, names a key twice or an unknown one, or stands on a tensor whose data is here";
    ExternalRange, OnnxStructure, "onnx-external-range",
        "the offset or the length of external data is no number, leads past any file, or is not what the tensor needs";
    ExternalSpelling, OnnxStructure, "onnx-external-spelling",
        "the location of external data is not spelled as one plain relative path";
    ExternalInside, OnnxExternalData, "onnx-external-inside",
        "a tensor's data lies in another file of the model's folder";
    ExternalEscape, OnnxExternalDataEscape, "onnx-external-escape",
        "the location of external data is absolute, climbs, or means something else than a file below the model's folder on some system";
    ExternalAddress, OnnxExternalDataEscape, "onnx-external-address",
        "the location says that the offset is an address in the memory of whoever loads the model (ONNX Runtime's `_ORT_MEM_ADDR_`)";
    DomainCustom, OnnxCustomDomain, "onnx-domain-custom",
        "a node's operator comes with no runtime, so that the model needs a native library of somebody's";
    OperatorUnknown, OnnxCustomDomain, "onnx-operator-unknown",
        "a node's operator is none of its domain in the version that is imported, so that the model needs a native library of somebody's";
    OperatorDangerous, OnnxCustomDomain, "onnx-operator-dangerous",
        "a node's operator hands its attributes to code outside the graph, or to a compiler's output";
    TextCode, MetadataCode, "onnx-text-code",
        "text for people looks like a program";
}

impl Violation {
    const fn of_wire(kind: WireErrorKind) -> Self {
        match kind {
            WireErrorKind::Truncated => Self::Truncated,
            WireErrorKind::Overrun => Self::Overrun,
            WireErrorKind::VarintTooLong => Self::Varint,
            WireErrorKind::KeyTooLong => Self::Key,
            WireErrorKind::FieldNumber => Self::FieldNumber,
            WireErrorKind::WireType => Self::WireType,
            WireErrorKind::LengthTooLong => Self::Length,
            WireErrorKind::GroupEnd | WireErrorKind::GroupDepth => Self::Group,
            WireErrorKind::Text => Self::Text,
        }
    }
}

/// The fields of the model itself that are looked at to tell whether it is one. Writers put the
/// graph and the imports first; only metadata and functions, which come behind, are many.
const FIRST_FIELDS: usize = 4096;

/// Whether a reader of ONNX would try these bytes.
///
/// Whole protobuf counts as soon as two things are in it that only a model has: other fields are
/// skipped by every reader. Protobuf that breaks off counts when all that stands before the break
/// belongs to a model, so that a damaged model is called one. Core ML, `SavedModel` and Paddle
/// files have the same first byte or the same wire types; none has a graph at number 7 or an
/// operator set at number 8.
pub fn accepts(bytes: &[u8]) -> bool {
    let mut version = false;
    let mut imports = false;
    let mut graph = Likeness::None;
    let mut others = false;
    let mut fields = Message::new(bytes, 0).fields();
    for _ in 0..FIRST_FIELDS {
        let rest = fields.rest();
        let field = match fields.next() {
            Some(Ok(field)) => field,
            Some(Err(_)) => {
                // `3a`: the key of the graph, whose length reaches past the end.
                let likely = graph > Likeness::None || rest.bytes.first() == Some(&0x3a);
                let two = version && (imports || likely) || imports && graph == Likeness::Nodes;
                return two && !others || version && imports && likely;
            }
            None => break,
        };
        match (field.number, field.value) {
            (1, Value::Varint(_)) => version = true,
            (7, Value::Bytes(inner)) => graph = graph.max(Likeness::of(inner)),
            (8, Value::Bytes(inner)) => imports |= is_import(inner),
            (2..=4 | 6 | 14 | 20 | 25 | 26, Value::Bytes(_)) | (5, Value::Varint(_)) => {}
            _ => others = true,
        }
    }
    match graph {
        Likeness::Nodes => true,
        Likeness::Fields => version || imports,
        Likeness::None => version && imports,
    }
}

/// Walks a model and everything in it.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let model = Message::new(bytes, 0);
    if i32::try_from(bytes.len()).is_err() {
        sink(Violation::TooLarge.at(0, &[]));
    }
    if wire::check(model, &schema::MODEL, limits, sink) {
        Walk::new(limits, sink).model(model);
    }
}

/// How much bytes look like a graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    None,
    /// One of its first fields is one of a graph.
    Fields,
    /// One of them is a node, and starts with a field of a node.
    Nodes,
}

impl Likeness {
    fn of(graph: Message<'_>) -> Self {
        let is_node = |node: Message<'_>| match node.fields().next() {
            Some(Ok(field)) => {
                let number = schema::NODE.rule(field.number).is_some();
                number && matches!(field.value, Value::Bytes(_))
            }
            _ => false,
        };
        let fields = graph.fields().map_while(Result::ok).take(16);
        let likeness = fields.map(|field| match (field.number, field.value) {
            (1, Value::Bytes(node)) if is_node(node) => Self::Nodes,
            (number, Value::Bytes(_)) if schema::GRAPH.rule(number).is_some() => Self::Fields,
            _ => Self::None,
        });
        likeness.max().unwrap_or(Self::None)
    }
}

fn is_import(import: Message<'_>) -> bool {
    let mut any = false;
    for field in import {
        let (Ok(field), true) = (field, !import.bytes.is_empty()) else { return false };
        any |= match (field.number, field.value) {
            (1, Value::Bytes(domain)) if domain.text().is_ok() => false,
            (2, Value::Varint(_)) => true,
            _ => return false,
        };
    }
    any
}
