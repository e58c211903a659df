//! The part of a checkpoint that a key leads to.

use std::borrow::Cow;

use secure_torch_core::checkpoint::{Object, Value};

use super::plan::cannot;
use crate::error::Error;
use crate::load::Checkpoint;
use crate::text::printable;
use crate::tree::{Key, child, length};

/// How many keys are named where none fits.
const FIRST: usize = 5;

/// The value that a dotted path leads to. Keys may hold dots themselves.
pub(super) fn part(checkpoint: &Checkpoint, key: &str) -> Result<Value, Error> {
    let mut found = Vec::new();
    let mut waiting = vec![(checkpoint.root(), key)];
    while let Some((value, rest)) = waiting.pop() {
        for at in 0..length(checkpoint, value).unwrap_or(0) {
            let Some((key, value)) = child(checkpoint, value, at) else { break };
            let text = match key {
                Key::Of(Value::Text(span)) => Cow::Borrowed(checkpoint.text(span)),
                Key::Of(Value::Int(number)) => Cow::Owned(number.to_string()),
                Key::Of(_) => continue,
                Key::Place(place) => Cow::Owned(place.to_string()),
            };
            match rest.strip_prefix(text.as_ref()) {
                Some("") => found.push(value),
                Some(rest) => {
                    if let Some(rest) = rest.strip_prefix('.') {
                        waiting.push((value, rest));
                    }
                }
                None => {}
            }
        }
    }
    let shown = printable(key);
    match found.as_slice() {
        [value] => Ok(*value),
        [] => Err(cannot(
            checkpoint,
            format!("nothing is there under the key `{shown}`{}", keys(checkpoint)),
        )),
        _ => Err(cannot(checkpoint, format!("the key `{shown}` leads to more than one value"))),
    }
}

/// The first keys of the root, to choose from.
fn keys(checkpoint: &Checkpoint) -> String {
    let Some(dict) = checkpoint.root_dict() else { return String::new() };
    let text = |&(key, _): &(Value, Value)| match key {
        Value::Text(span) => Some(format!("`{}`", printable(checkpoint.text(span)))),
        _ => None,
    };
    let keys: Vec<String> = dict.items.iter().filter_map(text).take(FIRST).collect();
    if keys.is_empty() { String::new() } else { format!("; the file has {}", keys.join(", ")) }
}

/// The key of the first dict in the root that holds tensors alone.
pub(super) fn pure_part(checkpoint: &Checkpoint) -> Option<&str> {
    checkpoint.root_dict()?.items.iter().find_map(|&(key, value)| {
        let (Value::Text(key), Value::Object(id)) = (key, value) else { return None };
        let Object::Dict(dict) = checkpoint.object(id) else { return None };
        let is_tensor = |&(_, value): &(Value, Value)| {
            matches!(value, Value::Object(id)
                if matches!(checkpoint.object(id), Object::Tensor(_) | Object::Parameter(_)))
        };
        let pure = !dict.items.is_empty() && dict.items.iter().all(is_tensor);
        pure.then(|| checkpoint.text(key))
    })
}
