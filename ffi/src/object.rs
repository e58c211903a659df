//! Values of the core as C sees them, and back. Whatever C passes is looked up, never trusted.

use secure_torch::Checkpoint as Made;
use secure_torch::core::checkpoint::{Dtype, Object, ObjectId, Span, Value as Held};
use secure_torch::core::rules::{AllowedGlobal, allowed_globals};

use crate::boundary::Failure;
use crate::value::{self, KindNumber, Value};

/// The number of an object.
pub(crate) fn number(id: ObjectId) -> u32 {
    u32::try_from(id.index()).unwrap_or(u32::MAX)
}

/// A value of the core as C sees it.
pub(crate) fn shown(made: &Made, held: Held) -> Value {
    let (kind, payload) = match held {
        Held::None => (value::SECURE_TORCH_KIND_NONE, 0),
        Held::Bool(truth) => (value::SECURE_TORCH_KIND_BOOL, u64::from(truth)),
        Held::Int(number) => (value::SECURE_TORCH_KIND_INT, number.cast_unsigned()),
        Held::Integer(span) => (value::SECURE_TORCH_KIND_BIGINT, packed(span)),
        Held::Float(number) => (value::SECURE_TORCH_KIND_FLOAT, number.to_bits()),
        Held::Text(span) => (value::SECURE_TORCH_KIND_STRING, packed(span)),
        Held::Bytes(span) => (value::SECURE_TORCH_KIND_BYTES, packed(span)),
        Held::Tuple(span) => (value::SECURE_TORCH_KIND_TUPLE, packed(span)),
        Held::Size(span) => (value::SECURE_TORCH_KIND_SIZE, packed(span)),
        Held::Dtype(dtype) => (value::SECURE_TORCH_KIND_DTYPE, dtype.number().into()),
        Held::Global(global) => (value::SECURE_TORCH_KIND_GLOBAL, place(global)),
        Held::Storage(id) => (value::SECURE_TORCH_KIND_STORAGE, id.index() as u64),
        Held::Object(id) => (kind(made.object(id)), id.index() as u64),
    };
    Value { kind, reserved: 0, payload }
}

/// The value that C means.
pub(crate) fn held(made: &Made, given: Value) -> Result<Held, Failure> {
    let lost = || Failure::usage("`value` is no value of this checkpoint");
    let index = usize::try_from(given.payload).map_err(|_| lost());
    Ok(match given.kind {
        value::SECURE_TORCH_KIND_NONE => Held::None,
        value::SECURE_TORCH_KIND_BOOL => Held::Bool(given.payload != 0),
        value::SECURE_TORCH_KIND_INT => Held::Int(given.payload.cast_signed()),
        value::SECURE_TORCH_KIND_BIGINT => Held::Integer(span(given.payload)),
        value::SECURE_TORCH_KIND_FLOAT => Held::Float(f64::from_bits(given.payload)),
        value::SECURE_TORCH_KIND_STRING => Held::Text(span(given.payload)),
        value::SECURE_TORCH_KIND_BYTES => Held::Bytes(span(given.payload)),
        value::SECURE_TORCH_KIND_TUPLE => Held::Tuple(span(given.payload)),
        value::SECURE_TORCH_KIND_SIZE => Held::Size(span(given.payload)),
        value::SECURE_TORCH_KIND_DTYPE => {
            let number = u32::try_from(given.payload).ok();
            Held::Dtype(number.and_then(Dtype::from_number).ok_or_else(lost)?)
        }
        value::SECURE_TORCH_KIND_GLOBAL => {
            Held::Global(allowed_globals().get(index?).ok_or_else(lost)?)
        }
        value::SECURE_TORCH_KIND_STORAGE => {
            Held::Storage(made.storage_id(index?).ok_or_else(lost)?)
        }
        claimed => {
            let id = made.object_id(index?).ok_or_else(lost)?;
            if kind(made.object(id)) != claimed {
                return Err(lost());
            }
            Held::Object(id)
        }
    })
}

/// The object that C means, where it means one.
pub(crate) fn object(made: &Made, given: Value) -> Result<Option<&Object>, Failure> {
    match held(made, given)? {
        Held::Object(id) => Ok(Some(made.object(id))),
        _ => Ok(None),
    }
}

/// What is said where something else was asked of a value than it has.
pub(crate) fn other(given: Value, wanted: &str) -> Failure {
    Failure::usage(format!("`value` is of the kind {}, which has no {wanted}", name(given.kind)))
}

/// The name of a kind.
pub(crate) const fn name(kind: KindNumber) -> &'static str {
    const NAMES: [&str; 30] = [
        "none",
        "bool",
        "int",
        "bigint",
        "float",
        "string",
        "bytes",
        "tuple",
        "size",
        "dtype",
        "global",
        "storage",
        "bytearray",
        "complex",
        "list",
        "dict",
        "set",
        "frozenset",
        "deque",
        "slice",
        "range",
        "device",
        "tensor",
        "parameter",
        "sparse",
        "array",
        "object_array",
        "scalar",
        "numpy_dtype",
        "instance",
    ];
    if (kind as usize) < NAMES.len() { NAMES[kind as usize] } else { "" }
}

const fn kind(object: &Object) -> KindNumber {
    match object {
        Object::List(_) => value::SECURE_TORCH_KIND_LIST,
        Object::Dict(_) => value::SECURE_TORCH_KIND_DICT,
        Object::Set(_) => value::SECURE_TORCH_KIND_SET,
        Object::FrozenSet(_) => value::SECURE_TORCH_KIND_FROZENSET,
        Object::Deque(..) => value::SECURE_TORCH_KIND_DEQUE,
        Object::ByteArray(_) => value::SECURE_TORCH_KIND_BYTEARRAY,
        Object::Complex(..) => value::SECURE_TORCH_KIND_COMPLEX,
        Object::Slice(_) => value::SECURE_TORCH_KIND_SLICE,
        Object::Range(_) => value::SECURE_TORCH_KIND_RANGE,
        Object::Device(..) => value::SECURE_TORCH_KIND_DEVICE,
        Object::Tensor(_) => value::SECURE_TORCH_KIND_TENSOR,
        Object::Sparse(_) => value::SECURE_TORCH_KIND_SPARSE,
        Object::Parameter(_) => value::SECURE_TORCH_KIND_PARAMETER,
        Object::Array(_) => value::SECURE_TORCH_KIND_ARRAY,
        Object::ObjectArray(..) => value::SECURE_TORCH_KIND_OBJECT_ARRAY,
        Object::Scalar(..) => value::SECURE_TORCH_KIND_SCALAR,
        Object::NumpyDtype(_) => value::SECURE_TORCH_KIND_NUMPY_DTYPE,
        Object::Instance(_) => value::SECURE_TORCH_KIND_INSTANCE,
    }
}

/// A span in a payload: its start below, its length above.
pub(crate) fn packed(span: Span) -> u64 {
    (span.len() as u64) << 32 | span.start() as u64
}

/// The span of a payload. The pools look it up in any case.
pub(crate) fn span(payload: u64) -> Span {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    Span::at(half(payload), half(payload >> 32))
}

/// Where a global stands in the table, which has each once.
fn place(global: &'static AllowedGlobal) -> u64 {
    let table = allowed_globals();
    table.iter().position(|row| std::ptr::eq(row, global)).unwrap_or(table.len()) as u64
}
