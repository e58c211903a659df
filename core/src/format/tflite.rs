//! TensorFlow Lite (LiteRT) models: a FlatBuffer of operators, tensors and buffers.
//!
//! Every table that the schema reaches is checked. Operators that TensorFlow Lite does not bring
//! along are judged by name (`tflite` in `spec/rules/names.toml`); those called `Flex…` run
//! TensorFlow's own operators, and are judged by the node in their options, which is what the
//! delegate runs whatever the name behind `Flex` says. Buffers that stand behind the FlatBuffer
//! must lie inside the file, and weights in other files are named.
//!
//! What it refuses to do: look into the options of built-in operators, and into the numbers.
//!
//! Follows tensorflow/tensorflow, `tensorflow/compiler/mlir/lite/schema/schema.fbs` (version 3c),
//! `tensorflow/lite/core/interpreter_builder.cc` and `tensorflow/lite/delegates/flex/kernel.cc`;
//! for external buffers, `docs` of google-ai-edge/LiteRT on large models.

use super::detect::signature;
use super::event::{Anomaly, Event, External, Sink};
use super::flatbuffer::{Kind, Shape, Table, is_flatbuffer, walk};
use super::protobuf::{Message, Value};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};

mod flexbuffer;

anomaly_kinds! {
    /// What a TensorFlow Lite model may hold that an honest one does not.
    pub enum TfLiteKind;
    Identifier, FormatStructure, "tflite-identifier",
        "the identifier `TFL3` is not there, and the interpreter refuses the file";
    Custom, ReferenceUnknown, "tflite-custom-operator",
        "a custom operator is native code that whoever loads the model must bring, and nobody has judged it";
    Flex, TensorflowOperator, "tflite-flex-operator",
        "an operator of TensorFlow reads or writes files, runs other code or reaches the network";
    FlexOptions, FormatStructure, "tflite-flex-options",
        "an operator of TensorFlow has no node in its options, and its delegate refuses it";
    Index, FormatStructure, "tflite-index",
        "an operator or a tensor refers to something that the model does not have";
    Buffer, FormatStructure, "tflite-buffer",
        "a buffer lies outside the file";
    Partial, FormatPartial, "tflite-partial",
        "what the operators compute was not judged";
}

static TENSOR: Shape = Shape {
    fields: &[
        Kind::Vector(4),
        Kind::Inline(1),
        Kind::Inline(4), // buffer
        Kind::Text,
        Kind::Table(&QUANTIZATION),
        Kind::Inline(1),
        Kind::Table(&SPARSITY),
        Kind::Vector(4),
        Kind::Inline(1),
        Kind::Tables(&VARIANT),
        Kind::Inline(4), // external buffer
    ],
};
static QUANTIZATION: Shape = Shape {
    fields: &[
        Kind::Vector(4),
        Kind::Vector(4),
        Kind::Vector(4),
        Kind::Vector(8),
        Kind::Inline(1),
        Kind::Any,
        Kind::Inline(4),
    ],
};
static SPARSITY: Shape =
    Shape { fields: &[Kind::Vector(4), Kind::Vector(4), Kind::Tables(&DIMENSION)] };
static DIMENSION: Shape = Shape {
    fields: &[
        Kind::Inline(1),
        Kind::Inline(4),
        Kind::Inline(1),
        Kind::Union(INDICES),
        Kind::Inline(1),
        Kind::Union(INDICES),
    ],
};
const INDICES: &[Kind] = &[
    Kind::Table(&Shape { fields: &[Kind::Vector(4)] }),
    Kind::Table(&Shape { fields: &[Kind::Vector(2)] }),
    Kind::Table(&Shape { fields: &[Kind::Vector(1)] }),
];
static VARIANT: Shape = Shape { fields: &[Kind::Vector(4), Kind::Inline(1), Kind::Inline(1)] };
static OPERATOR_CODE: Shape =
    Shape { fields: &[Kind::Inline(1), Kind::Text, Kind::Inline(4), Kind::Inline(4)] };
static OPERATOR: Shape = Shape {
    fields: &[
        Kind::Inline(4), // operator code
        Kind::Vector(4),
        Kind::Vector(4),
        Kind::Inline(1),
        Kind::Any,
        Kind::Vector(1), // custom options
        Kind::Inline(1),
        Kind::Vector(1),
        Kind::Vector(4),
        Kind::Inline(8), // where larger custom options are
        Kind::Inline(8), // and how large
        Kind::Inline(1),
        Kind::Any,
    ],
};
static SUBGRAPH: Shape = Shape {
    fields: &[
        Kind::Tables(&TENSOR),
        Kind::Vector(4),
        Kind::Vector(4),
        Kind::Tables(&OPERATOR),
        Kind::Text,
    ],
};
static BUFFER: Shape = Shape { fields: &[Kind::Vector(1), Kind::Inline(8), Kind::Inline(8)] };
static METADATA: Shape = Shape { fields: &[Kind::Text, Kind::Inline(4)] };
static TENSOR_NAME: Shape = Shape { fields: &[Kind::Text, Kind::Inline(4)] };
static SIGNATURE: Shape = Shape {
    fields: &[
        Kind::Tables(&TENSOR_NAME),
        Kind::Tables(&TENSOR_NAME),
        Kind::Text,
        Kind::Text,
        Kind::Inline(4),
    ],
};
static GROUP: Shape = Shape { fields: &[Kind::Text] };
static EXTERNAL: Shape = Shape {
    fields: &[Kind::Inline(4), Kind::Inline(4), Kind::Inline(8), Kind::Inline(8), Kind::Text],
};
static MODEL: Shape = Shape {
    fields: &[
        Kind::Inline(4),
        Kind::Tables(&OPERATOR_CODE), // 1
        Kind::Tables(&SUBGRAPH),
        Kind::Text,
        Kind::Tables(&BUFFER), // 4
        Kind::Vector(4),
        Kind::Tables(&METADATA), // 6
        Kind::Tables(&SIGNATURE),
        Kind::Tables(&GROUP), // 8
        Kind::Tables(&EXTERNAL),
    ],
};

/// `CUSTOM` among the built-in operators.
const CUSTOM: u8 = 32;
/// How the converter spells an operator of TensorFlow.
const FLEX: &[u8] = b"Flex";

/// Whether the interpreter would take the bytes: it looks for the identifier
/// (`tensorflow/compiler/mlir/lite/core/model_builder_base.h`).
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    is_flatbuffer(bytes, |identifier| identifier == b"TFL3")
}

/// Walks every table.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    if bytes.get(4..8) != Some(b"TFL3") {
        sink(TfLiteKind::Identifier.at(0, &[]));
        return;
    }
    let model = super::flatbuffer::root(bytes);
    walk(bytes, &MODEL, limits, sink, &mut |shape, table, sink| {
        let Some(model) = model else { return };
        if core::ptr::eq(shape, &raw const OPERATOR_CODE) {
            operator_code(table, sink);
        } else if core::ptr::eq(shape, &raw const OPERATOR) {
            operator(bytes, model, table, sink);
        } else if core::ptr::eq(shape, &raw const TENSOR) {
            if table.u32(2) != 0 && table.u32(2) >= model.count(4) {
                sink(TfLiteKind::Index.at(table.offset(), table.text(3)));
            }
        } else if core::ptr::eq(shape, &raw const BUFFER) {
            buffer(bytes, table, sink);
        } else if core::ptr::eq(shape, &raw const EXTERNAL) {
            external(model, table, sink);
        }
    });
    sink(TfLiteKind::Partial.at(0, &[]));
    sink(Event::Unjudged("what the operators of a TensorFlow Lite model compute was not judged"));
}

/// Whether some interpreter takes the code for a custom one: older ones read one byte, newer ones
/// the larger of it and of four (`tensorflow/compiler/mlir/lite/schema/schema_utils.cc`,
/// `GetBuiltinCode`).
fn is_custom(code: Table<'_>) -> bool {
    code.u8(0) == CUSTOM || code.u32(3) == u32::from(CUSTOM)
}

fn operator_code(code: Table<'_>, sink: Sink<'_>) {
    let name = code.text(1);
    // What `Flex` runs stands in the options of each operator.
    if !is_custom(code) || name.starts_with(FLEX) {
        return;
    }
    match named(System::Tflite, name) {
        Some(Named::Known(_)) => {}
        Some(Named::Dangerous(why)) => flex(why, code.offset(), name, sink),
        None => sink(TfLiteKind::Custom.at(code.offset(), name)),
    }
}

fn flex(why: &'static str, offset: u64, subject: &[u8], sink: Sink<'_>) {
    sink(Event::Anomaly(Anomaly {
        rule: TfLiteKind::Flex.rule(),
        id: TfLiteKind::Flex.id(),
        message: why,
        offset,
        subject,
    }));
}

/// An operator of a subgraph: what it refers to, and the node of one that is TensorFlow's.
fn operator(bytes: &[u8], model: Table<'_>, operator: Table<'_>, sink: Sink<'_>) {
    let Some(code) = model.item(1, operator.u32(0)) else {
        sink(TfLiteKind::Index.at(operator.offset(), &[]));
        return;
    };
    let name = code.text(1);
    let Some(own) = name.strip_prefix(FLEX).filter(|_| is_custom(code)) else { return };
    if let Some(Named::Dangerous(why)) = named(System::Tensorflow, own) {
        flex(why, operator.offset(), name, sink);
    }
    let inline = operator.run(5).map(|run| Message::new(run.bytes, run.offset()));
    let outside = || stretch(bytes, operator.u64(9), operator.u64(10));
    let options = inline.filter(|run| !run.bytes.is_empty()).or_else(outside);
    let node = options.and_then(|options| {
        let (inside, bytes) = flexbuffer::text(options.bytes, 1)?;
        Some(Message::new(bytes, options.offset.saturating_add(inside)))
    });
    match node {
        Some(node) if names_operator(node) => super::savedmodel::read_node(node, sink),
        _ => sink(TfLiteKind::FlexOptions.at(operator.offset(), name)),
    }
}

/// Whether a node says which operator it is.
fn names_operator(node: Message<'_>) -> bool {
    node.fields().any(|field| {
        field.is_ok_and(|field| field.number == 2 && matches!(field.value, Value::Bytes(_)))
    })
}

/// Bytes behind the FlatBuffer. An offset of zero or one says that there are none.
fn stretch(bytes: &[u8], offset: u64, size: u64) -> Option<Message<'_>> {
    if offset < 2 {
        return None;
    }
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    Some(Message::new(bytes.get(start..end)?, offset))
}

fn buffer(bytes: &[u8], buffer: Table<'_>, sink: Sink<'_>) {
    let outside = stretch(bytes, buffer.u64(1), buffer.u64(2));
    if outside.is_none() && buffer.u64(1) > 1 {
        sink(TfLiteKind::Buffer.at(buffer.offset(), &[]));
    }
    let inline = buffer.run(0).map(|run| Message::new(run.bytes, run.offset()));
    for Message { bytes, offset } in inline.into_iter().chain(outside) {
        if signature(bytes).is_some_and(|signature| signature.native) {
            sink(Event::Member { name: b"buffer", offset, bytes });
        }
    }
}

/// Weights in another file, which LiteRT looks for beside the model.
fn external(model: Table<'_>, buffer: Table<'_>, sink: Sink<'_>) {
    match model.item(8, buffer.u32(1)) {
        Some(group) => sink(Event::External(External {
            location: group.text(0),
            offset: buffer.u64(2),
            length: Some(buffer.u64(3)),
        })),
        None => sink(TfLiteKind::Index.at(buffer.offset(), &[])),
    }
}
