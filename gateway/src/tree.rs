//! What a value holds under keys or in places, for whoever walks down a checkpoint.

use secure_torch_core::checkpoint::{Object, Value};

use crate::load::Checkpoint;

/// How a value is reached from its container.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    /// Under a key of a dict.
    Of(Value),
    /// At a place in a sequence.
    Place(usize),
}

/// How many values a container holds under keys or in places; none for what is no such container.
pub(crate) fn length(checkpoint: &Checkpoint, value: Value) -> Option<usize> {
    match value {
        Value::Tuple(span) => Some(span.len()),
        Value::Object(id) => match checkpoint.object(id) {
            Object::Dict(dict) => Some(dict.items.len()),
            Object::List(items) | Object::Deque(items, _) | Object::ObjectArray(_, items, _) => {
                Some(items.len())
            }
            _ => None,
        },
        _ => None,
    }
}

/// The value at a place, in the order of the keys.
pub(crate) fn child(checkpoint: &Checkpoint, value: Value, at: usize) -> Option<(Key, Value)> {
    let place = |items: &[Value]| items.get(at).map(|&value| (Key::Place(at), value));
    match value {
        Value::Tuple(span) => place(checkpoint.items(span)),
        Value::Object(id) => match checkpoint.object(id) {
            Object::Dict(dict) => dict.items.get(at).map(|&(key, value)| (Key::Of(key), value)),
            Object::List(items) | Object::Deque(items, _) | Object::ObjectArray(_, items, _) => {
                place(items)
            }
            _ => None,
        },
        _ => None,
    }
}
