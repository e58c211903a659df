//! What a value holds under keys or in places, and the one walk down a checkpoint that everybody
//! takes who names what is there.

use secure_torch_core::checkpoint::{Object, Value};

use crate::inspect::plain;
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

/// A value that a walk has come to.
pub(crate) struct Step<'p> {
    pub(crate) value: Value,
    /// How it is reached; nothing for where the walk began.
    pub(crate) key: Option<Key>,
    /// The keys that lead to it, joined by dots. Not safe to print.
    pub(crate) path: &'p str,
    /// Where in the path the last key begins.
    last: usize,
    /// How many keys there are.
    pub(crate) depth: u32,
}

impl<'p> Step<'p> {
    /// The last key as it stands in the path.
    pub(crate) fn last(&self) -> &'p str {
        self.path.get(self.last..).unwrap_or_default()
    }

    /// Whether the last key can be part of a name: others stand in the path as they are shown.
    pub(crate) const fn is_named(&self) -> bool {
        matches!(
            self.key,
            None | Some(Key::Place(_) | Key::Of(Value::Text(_)) | Key::Of(Value::Int(_)))
        )
    }
}

/// A container on the way down.
struct Frame {
    value: Value,
    next: usize,
    path: usize,
    depth: u32,
}

/// Comes to a value and to everything below it that `visit` asks to see, without recursion.
///
/// Shared parts are come to wherever they appear, as in Python. A long key costs its length for each
/// value below it, and hostile files share without end: whoever walks keeps count of the paths.
pub(crate) fn walk<E>(
    checkpoint: &Checkpoint,
    root: Value,
    visit: &mut dyn FnMut(&Step<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut path = String::new();
    let mut frames = Vec::new();
    if visit(&Step { value: root, key: None, path: &path, last: 0, depth: 0 })? {
        frames.push(Frame { value: root, next: 0, path: 0, depth: 1 });
    }
    while let Some(frame) = frames.last_mut() {
        let Some((key, value)) = child(checkpoint, frame.value, frame.next) else {
            frames.pop();
            continue;
        };
        frame.next = frame.next.saturating_add(1);
        let depth = frame.depth;
        path.truncate(frame.path);
        if depth > 1 {
            path.push('.');
        }
        let last = path.len();
        match key {
            Key::Place(place) => path.push_str(&place.to_string()),
            Key::Of(Value::Text(span)) => path.push_str(checkpoint.text(span)),
            Key::Of(key) => path.push_str(&plain(checkpoint, key)),
        }
        if visit(&Step { value, key: Some(key), path: &path, last, depth })? {
            let depth = depth.saturating_add(1);
            frames.push(Frame { value, next: 0, path: path.len(), depth });
        }
    }
    Ok(())
}
