//! Values on a line: safe to print, and cut where they are long.

use secure_torch_core::checkpoint::{DictKind, Object, Quantizer, Value};

use crate::load::Checkpoint;
use crate::text::printable;
use crate::tree::child;

/// How many items of a plain sequence are shown, and how many characters of a text.
const SHOWN: usize = 8;
const SHOWN_TEXT: usize = 60;

/// How integers stand for floats.
pub(super) fn quantized(quantizer: &Quantizer) -> String {
    match quantizer {
        Quantizer::PerTensor { scale, zero_point } => {
            format!("per tensor, scale {scale}, zero point {zero_point}")
        }
        Quantizer::PerChannel { axis, float, .. } => {
            let points = if *float { ", zero points are floats" } else { "" };
            format!("per channel of axis {axis}{points}")
        }
    }
}

/// What a value is.
pub(super) fn kind(made: &Checkpoint, value: Value) -> String {
    let name = match value {
        Value::None => "None",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Integer(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::Tuple(_) => "tuple",
        Value::Size(_) => "torch.Size",
        Value::Dtype(_) => "torch.dtype",
        Value::Global(_) => "global",
        Value::Storage(_) => "storage",
        Value::Object(id) => match made.object(id) {
            Object::List(_) => "list",
            Object::Dict(dict) => match dict.kind {
                DictKind::Plain => "dict",
                DictKind::Ordered => "collections.OrderedDict",
                DictKind::Counter => "collections.Counter",
                DictKind::Default(_) => "collections.defaultdict",
                DictKind::Other(class) => {
                    return printable(&format!("{}.{}", class.module, class.name));
                }
            },
            Object::Set(_) => "set",
            Object::FrozenSet(_) => "frozenset",
            Object::Deque(..) => "collections.deque",
            Object::ByteArray(_) => "bytearray",
            Object::Complex(..) => "complex",
            Object::Slice(_) => "slice",
            Object::Range(_) => "range",
            Object::Device(..) => "torch.device",
            Object::Tensor(_) | Object::Sparse(_) => "tensor",
            Object::Parameter(parameter) => parameter.class.name,
            Object::Array(_) | Object::ObjectArray(..) => "numpy.ndarray",
            Object::Scalar(..) => "numpy scalar",
            Object::NumpyDtype(_) => "numpy.dtype",
            Object::Instance(instance) => {
                let class = instance.class;
                return printable(&format!("{}.{}", class.module, class.name));
            }
        },
    };
    name.to_owned()
}

/// A sequence of plain values on one line; none where it holds anything else.
pub(super) fn plain_sequence(made: &Checkpoint, value: Value, items: usize) -> Option<String> {
    let (open, close) = match value {
        Value::Tuple(_) => ('(', ')'),
        Value::Object(id) if matches!(made.object(id), Object::List(_)) => ('[', ']'),
        _ => return None,
    };
    let values = (0..items).map_while(|at| child(made, value, at)).map(|(_, value)| value);
    let is_plain = |value: Value| match value {
        Value::Tuple(_) => false,
        Value::Object(id) => matches!(made.object(id), Object::Complex(..) | Object::Device(..)),
        _ => true,
    };
    if !values.clone().all(is_plain) {
        return None;
    }
    let mut shown: Vec<String> = values.take(SHOWN).map(|value| plain(made, value)).collect();
    if items > SHOWN {
        shown.push("…".to_owned());
    }
    Some(format!("{open}{}{close}", shown.join(", ")))
}

/// A plain value, safe to print and not too long.
pub(crate) fn plain(made: &Checkpoint, value: Value) -> String {
    let bytes = |count: usize| format!("{count} bytes");
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Integer(span) => format!("an integer of {} bytes", span.len()),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(span) => {
            let text = made.text(span);
            let cut: String = text.chars().take(SHOWN_TEXT).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("'{}{more}'", printable(&cut))
        }
        Value::Bytes(span) => bytes(span.len()),
        Value::Tuple(span) => format!("a tuple of {}", span.len()),
        Value::Size(span) => {
            let sizes = made.items(span).iter().take(SHOWN).map(|&size| match size {
                Value::Int(size) => size.to_string(),
                other => kind(made, other),
            });
            let more = if span.len() > SHOWN { ", …" } else { "" };
            format!("torch.Size([{}{more}])", sizes.collect::<Vec<_>>().join(", "))
        }
        Value::Dtype(dtype) => format!("torch.{dtype}"),
        Value::Global(global) => printable(&format!("{}.{}", global.module, global.name)),
        Value::Storage(id) => {
            let bytes = made.storage(id).map_or(0, |storage| storage.bytes);
            format!("a storage of {bytes} bytes")
        }
        Value::Object(id) => match made.object(id) {
            Object::Set(items) | Object::FrozenSet(items) => format!("{} items", items.len()),
            Object::ByteArray(span) => bytes(span.len()),
            Object::Complex(real, imaginary) => format!("({real:?}{imaginary:+?}j)"),
            Object::Slice(parts) => {
                let parts: Vec<String> = parts.iter().map(|&part| short(made, part)).collect();
                format!("slice({})", parts.join(", "))
            }
            Object::Range([start, stop, step]) => format!("range({start}, {stop}, {step})"),
            Object::Device(kind, number) => {
                let number = number.map_or_else(String::new, |number| format!(":{number}"));
                format!("device('{}{number}')", printable(made.text(*kind)))
            }
            Object::Scalar(dtype, _) => format!("a number of type {dtype}"),
            Object::NumpyDtype(dtype) => format!("dtype('{dtype}')"),
            Object::Instance(instance) => format!("{} arguments", instance.arguments.len()),
            _ => kind(made, value),
        },
    }
}

/// A value inside of another one that is shown on a line.
fn short(made: &Checkpoint, value: Value) -> String {
    match value {
        Value::Object(_) | Value::Tuple(_) => kind(made, value),
        _ => plain(made, value),
    }
}
