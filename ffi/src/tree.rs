//! What is asked of values: numbers, texts, and what they hold.
//!
//! A value of another kind than a function is for is SECURE_TORCH_RESULT_USAGE, always.

use std::mem::MaybeUninit;

use secure_torch::core::checkpoint::{DictKind, Object, Value as Held};

use crate::boundary::{Failure, fill, given};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::library::ResultNumber;
use crate::object::{self, held, other, shown};
use crate::text::Str;
use crate::value::{KindNumber, Value};

/// Bytes, which belong to the handle that they were asked of.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// The first byte; never NULL.
    pub data: *const u8,
    /// How many bytes there are.
    pub length: usize,
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        const NONE: &[u8] = &[0];
        Self { data: NONE.as_ptr(), length: 0 }
    }
}

/// The name of a kind, for people: `list`. Empty for a number that is none. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_kind_name(kind: KindNumber) -> Str {
    Str::from(object::name(kind))
}

/// A bool.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_bool(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    truth: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("truth", truth, error, || match held(given(checkpoint, "checkpoint")?.made(), value)? {
        Held::Bool(truth) => Ok(truth),
        _ => Err(other(value, "truth")),
    })
}

/// An integer of up to 64 bits.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_int(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    number: Option<&mut MaybeUninit<i64>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("number", number, error, || match held(given(checkpoint, "checkpoint")?.made(), value)? {
        Held::Int(number) => Ok(number),
        _ => Err(other(value, "integer of 64 bits")),
    })
}

/// A float.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_float(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    number: Option<&mut MaybeUninit<f64>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("number", number, error, || match held(given(checkpoint, "checkpoint")?.made(), value)? {
        Held::Float(number) => Ok(number),
        _ => Err(other(value, "float")),
    })
}

/// A complex number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    /// The real part.
    pub real: f64,
    /// The imaginary part.
    pub imaginary: f64,
}

/// A complex number.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_complex(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    number: Option<&mut MaybeUninit<Complex>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("number", number, error, || {
        match object::object(given(checkpoint, "checkpoint")?.made(), value)? {
            Some(&Object::Complex(real, imaginary)) => Ok(Complex { real, imaginary }),
            _ => Err(other(value, "complex number")),
        }
    })
}

/// The text of a string. It belongs to the checkpoint.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_text(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    text: Option<&mut MaybeUninit<Str>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("text", text, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        match held(made, value)? {
            Held::Text(span) => Ok(Str::from(made.text(span))),
            _ => Err(other(value, "text")),
        }
    })
}

/// The bytes of a bytes, a bytearray, a numpy scalar, or of an integer of more than 64 bits (two's
/// complement, little-endian). They belong to the checkpoint.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_bytes(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    bytes: Option<&mut MaybeUninit<Bytes>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("bytes", bytes, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let span = match held(made, value)? {
            Held::Bytes(span) | Held::Integer(span) => Some(span),
            Held::Object(id) => match made.object(id) {
                Object::ByteArray(span) | Object::Scalar(_, span) => Some(*span),
                _ => None,
            },
            _ => None,
        };
        Ok(Bytes::from(made.bytes(span.ok_or_else(|| other(value, "bytes"))?)))
    })
}

/// The number of a dtype: one of SECURE_TORCH_DTYPE_*.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_dtype(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    dtype: Option<&mut MaybeUninit<u32>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("dtype", dtype, error, || match held(given(checkpoint, "checkpoint")?.made(), value)? {
        Held::Dtype(dtype) => Ok(dtype.number().into()),
        _ => Err(other(value, "dtype")),
    })
}

/// The number of a storage, less than secure_torch_checkpoint_storage_count().
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_storage(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    storage: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("storage", storage, error, || {
        match held(given(checkpoint, "checkpoint")?.made(), value)? {
            Held::Storage(id) => Ok(id.index() as u64),
            _ => Err(other(value, "storage")),
        }
    })
}

/// The start, stop and step of a range.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first number.
    pub start: i64,
    /// Where it ends, which is no number of it.
    pub stop: i64,
    /// From each number to the next.
    pub step: i64,
}

/// A range.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_range(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    range: Option<&mut MaybeUninit<Range>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("range", range, error, || {
        match object::object(given(checkpoint, "checkpoint")?.made(), value)? {
            Some(&Object::Range([start, stop, step])) => Ok(Range { start, stop, step }),
            _ => Err(other(value, "range")),
        }
    })
}

/// A device. Its text belongs to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Device {
    /// Its type: `cpu`, `cuda`.
    pub type_name: Str,
    /// Its number, where `has_index` says that there is one.
    pub index: u32,
    /// Whether it has a number.
    pub has_index: bool,
}

/// A device.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_device(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    device: Option<&mut MaybeUninit<Device>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("device", device, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        match object::object(made, value)? {
            Some(&Object::Device(kind, index)) => Ok(Device {
                type_name: Str::from(made.text(kind)),
                index: index.unwrap_or_default(),
                has_index: index.is_some(),
            }),
            _ => Err(other(value, "device")),
        }
    })
}

/// A class or a function by its name. Its texts are valid for ever.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Class {
    /// The module.
    pub module: Str,
    /// The name in the module.
    pub name: Str,
}

impl Class {
    pub(crate) fn of(global: &'static secure_torch::core::rules::AllowedGlobal) -> Self {
        Self { module: Str::from(global.module), name: Str::from(global.name) }
    }

    fn new(module: &'static str, name: &'static str) -> Self {
        Self { module: Str::from(module), name: Str::from(name) }
    }
}

/// The class of a dict, a parameter or an instance; what a global names. It is a name alone: nothing
/// is imported.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_class(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    named: Option<&mut MaybeUninit<Class>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("named", named, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let object = match held(made, value)? {
            Held::Global(global) => return Ok(Class::of(global)),
            Held::Object(id) => made.object(id),
            _ => return Err(other(value, "class")),
        };
        match object {
            Object::Dict(dict) => Ok(match dict.kind {
                DictKind::Plain => Class::new("builtins", "dict"),
                DictKind::Ordered => Class::new("collections", "OrderedDict"),
                DictKind::Counter => Class::new("collections", "Counter"),
                DictKind::Default(_) => Class::new("collections", "defaultdict"),
                DictKind::Other(class) => Class::of(class),
            }),
            Object::Parameter(parameter) => Ok(Class::of(parameter.class)),
            Object::Instance(instance) => Ok(Class::of(instance.class)),
            _ => Err(other(value, "class")),
        }
    })
}

/// What a value holds in places.
fn items(made: &secure_torch::Checkpoint, value: Value) -> Result<&[Held], Failure> {
    Ok(match held(made, value)? {
        Held::Tuple(span) | Held::Size(span) => made.items(span),
        Held::Object(id) => match made.object(id) {
            Object::List(items)
            | Object::Set(items)
            | Object::FrozenSet(items)
            | Object::Deque(items, _)
            | Object::ObjectArray(_, items, _) => items,
            Object::Slice(items) => items,
            Object::Instance(instance) => made.items(instance.arguments),
            _ => return Err(other(value, "items")),
        },
        _ => return Err(other(value, "items")),
    })
}

/// How many items a tuple, a size, a list, a set, a frozenset, a deque, a slice or an object array
/// holds, how many entries a dict, how many arguments an instance.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_length(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    length: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("length", length, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        match object::object(made, value)? {
            Some(Object::Dict(dict)) => Ok(dict.items.len()),
            _ => Ok(items(made, value)?.len()),
        }
    })
}

/// An item of a value that secure_torch_value_length() counts items or arguments of.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds, and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_item(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    index: usize,
    item: Option<&mut MaybeUninit<Value>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("item", item, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let found = crate::report::item(items(made, value)?, index, "items")?;
        Ok(shown(made, *found))
    })
}

/// A key of a dict, and what stands under it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// The key. It occurs once, and is hashable.
    pub key: Value,
    /// The value.
    pub value: Value,
}

/// An entry of a dict, in order.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds, and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_entry(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    index: usize,
    entry: Option<&mut MaybeUninit<Entry>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("entry", entry, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let Some(Object::Dict(dict)) = object::object(made, value)? else {
            return Err(other(value, "entries"));
        };
        let &(key, value) = crate::report::item(&dict.items, index, "entries")?;
        Ok(Entry { key: shown(made, key), value: shown(made, value) })
    })
}

/// The attributes that the file gives to a dict, a parameter or an instance, such as `_metadata` of a
/// `state_dict`; a value of the kind SECURE_TORCH_KIND_NONE where it gives none.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_state(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    state: Option<&mut MaybeUninit<Value>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("state", state, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let state = match object::object(made, value)? {
            Some(Object::Dict(dict)) => dict.state,
            Some(Object::Parameter(parameter)) => parameter.state,
            Some(Object::Instance(instance)) => instance.state,
            _ => return Err(other(value, "state")),
        };
        Ok(shown(made, state.unwrap_or(Held::None)))
    })
}

/// What makes the values that a defaultdict does not have yet: a global or None.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for other values.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_factory(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    factory: Option<&mut MaybeUninit<Value>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("factory", factory, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        match object::object(made, value)? {
            Some(Object::Dict(dict)) => match dict.kind {
                DictKind::Default(factory) => Ok(shown(made, factory)),
                _ => Err(other(value, "factory")),
            },
            _ => Err(other(value, "factory")),
        }
    })
}

/// How many items a deque may hold at most; UINT64_MAX where there is no limit.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_deque_limit(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    limit: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("limit", limit, error, || {
        match object::object(given(checkpoint, "checkpoint")?.made(), value)? {
            Some(Object::Deque(_, limit)) => Ok(limit.unwrap_or(u64::MAX)),
            _ => Err(other(value, "limit")),
        }
    })
}
