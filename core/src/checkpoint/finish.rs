//! The end of construction: no cycles, no depth or expansion past the limits, no doubled keys.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::builder::COPIED_FLOOR;
use super::error::Problem;
use super::{Builder, Checkpoint, Object, ObjectId, Place, Storage, Value, children};
use crate::limits;

/// What is known of a value while it is measured.
#[derive(Clone, Copy)]
enum State {
    /// Its children are being measured.
    Open,
    /// It nests so deep, and expands to so many leaves.
    Done { depth: u32, leaves: u64 },
}

/// A value that waits for its children.
struct Frame {
    value: Value,
    children: Vec<Value>,
    next: usize,
    depth: u32,
    leaves: u64,
}

impl Builder {
    /// Makes `root` the checkpoint's value, and checks what the module's introduction promises.
    ///
    /// # Errors
    /// [`Problem::Cycle`], [`Problem::Depth`], [`Problem::Expansion`], [`Problem::Unhashable`];
    /// [`Problem::Quantizer`] where scales became others after their tensor was made.
    pub fn finish(self, root: Value, limits: &limits::Pickle) -> Result<Checkpoint, Problem> {
        let mut made = self.made;
        made.root = root;
        let reached = measure(&made, root, limits)?;
        let there = weigh(&made)?;
        let mut effort = there.saturating_mul(KEY_RATIO).saturating_add(KEY_FLOOR);
        for id in reached {
            normalise(&mut made, id, &mut effort)?;
        }
        for object in &mut made.objects {
            if let Object::Deque(items, Some(most)) = object {
                keep_last(items, *most);
            }
        }
        Ok(made)
    }
}

/// What consumers copy for each object may be this many times what the checkpoint holds, above
/// [`COPIED_FLOOR`]: arrays over one byte string, objects with one dict of attributes.
const COPIED_RATIO: u64 = 4;
/// The leaves of keys, long texts counted by 64 bytes, to each byte of what the checkpoint holds, and
/// above that. Each is looked at a few times, here and by Python.
const KEY_RATIO: u64 = 2;
const KEY_FLOOR: u64 = 1 << 20;
/// Keys with one hash that are not the same. Python compares each with all others.
const COLLISIONS: usize = 64;
/// What a value takes in a container, about.
const VALUE: u64 = 24;
/// What an object takes, about.
const OBJECT: u64 = 64;

/// Leaves only the last items of a queue.
pub(crate) fn keep_last(items: &mut Vec<Value>, most: u64) {
    if let Ok(most) = usize::try_from(most) {
        let extra = items.len().saturating_sub(most);
        items.drain(..extra);
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// How many bytes the checkpoint holds, about; an error where its objects, made one by one, would
/// take many times that.
fn weigh(made: &Checkpoint) -> Result<u64, Problem> {
    let pools = [made.text.len(), made.bytes.len()];
    let mut there = pools.into_iter().map(wide).fold(0, u64::saturating_add);
    there = there.saturating_add(wide(made.items.len()).saturating_mul(VALUE));
    let mut asked = 0_u64;
    for object in &made.objects {
        let values = |count: usize| wide(count).saturating_mul(VALUE);
        let held = match object {
            Object::List(items)
            | Object::Set(items)
            | Object::FrozenSet(items)
            | Object::Deque(items, _)
            | Object::ObjectArray(_, items, _) => values(items.len()),
            Object::Dict(dict) => values(dict.items.len()).saturating_mul(2),
            _ => 0,
        };
        there = there.saturating_add(OBJECT).saturating_add(held);
        let attributes = |state: Option<Value>| state.map_or(0, |state| attributes(made, state));
        let copied = match object {
            Object::ByteArray(bytes) | Object::Scalar(_, bytes) => wide(bytes.len()),
            Object::Array(array) => match made.storage(array.storage) {
                Some(Storage { place: Place::Owned(bytes), .. }) => wide(bytes.len()),
                _ => 0,
            },
            Object::Dict(dict) => attributes(dict.state),
            Object::Parameter(parameter) => attributes(parameter.state),
            Object::Instance(instance) => {
                let arguments = made.items(instance.arguments).iter().map(|&item| match item {
                    Value::Text(span) | Value::Bytes(span) | Value::Integer(span) => {
                        VALUE.saturating_add(wide(span.len()))
                    }
                    _ => VALUE,
                });
                arguments.fold(attributes(instance.state), u64::saturating_add)
            }
            Object::Tensor(tensor) => {
                // A scale or a zero point can become another tensor once it was given.
                if let Some(quantizer) = made.quantizer(tensor) {
                    made.channels_fit(quantizer, made.shape(tensor))?;
                }
                0
            }
            _ => 0,
        };
        asked = asked.saturating_add(copied);
    }
    let most = there.saturating_mul(COPIED_RATIO).saturating_add(COPIED_FLOOR);
    if asked > most { Err(Problem::Expansion) } else { Ok(there) }
}

/// What attributes take: a dict, or a tuple of some.
fn attributes(made: &Checkpoint, state: Value) -> u64 {
    let dict = |value: Value| match value {
        Value::Object(id) => match made.object(id) {
            Object::Dict(dict) => wide(dict.items.len()).saturating_mul(VALUE).saturating_mul(2),
            _ => 0,
        },
        _ => 0,
    };
    match state {
        Value::Tuple(span) => {
            made.items(span).iter().map(|&item| dict(item)).fold(0, u64::saturating_add)
        }
        state => dict(state),
    }
}

/// Measures everything below `root`, without recursion; the dicts and sets that it met.
fn measure(
    made: &Checkpoint,
    root: Value,
    limits: &limits::Pickle,
) -> Result<Vec<ObjectId>, Problem> {
    let mut objects: Vec<Option<State>> = Vec::new();
    objects.resize(made.objects.len(), None);
    let mut tuples: BTreeMap<usize, State> = BTreeMap::new();
    let mut reached = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut next = Some(root);
    loop {
        // A value to look at, or none where the topmost frame has no more.
        let done = match next.take() {
            Some(value) => {
                let known = match value {
                    Value::Object(id) => objects.get(id.index()).copied().flatten(),
                    Value::Tuple(span) if !span.is_empty() => tuples.get(&span.start()).copied(),
                    _ => Some(State::Done { depth: 0, leaves: 1 }),
                };
                match known {
                    Some(State::Open) => return Err(Problem::Cycle),
                    Some(State::Done { depth, leaves }) => Some((depth, leaves)),
                    None => {
                        if frames.len() > depth_limit(limits) {
                            return Err(Problem::Depth);
                        }
                        set(&mut objects, &mut tuples, value, State::Open);
                        if let Value::Object(id) = value
                            && matches!(
                                made.object(id),
                                Object::Dict(_) | Object::Set(_) | Object::FrozenSet(_)
                            )
                        {
                            reached.push(id);
                        }
                        let mut held = Vec::new();
                        children(
                            &made.objects,
                            &made.items,
                            &made.quantizers,
                            value,
                            &mut |child| {
                                held.push(child);
                            },
                        );
                        frames.push(Frame { value, children: held, next: 0, depth: 0, leaves: 1 });
                        None
                    }
                }
            }
            None => None,
        };
        let Some(frame) = frames.last_mut() else { return Ok(reached) };
        if let Some((depth, leaves)) = done {
            frame.depth = frame.depth.max(depth);
            frame.leaves = frame.leaves.saturating_add(leaves);
            if frame.leaves > limits.expansion {
                return Err(Problem::Expansion);
            }
        }
        if let Some(&child) = frame.children.get(frame.next) {
            frame.next = frame.next.saturating_add(1);
            next = Some(child);
            continue;
        }
        let Some(frame) = frames.pop() else { return Ok(reached) };
        let depth = frame.depth.saturating_add(1);
        if depth > limits.container_depth {
            return Err(Problem::Depth);
        }
        let state = State::Done { depth, leaves: frame.leaves };
        set(&mut objects, &mut tuples, frame.value, state);
        if frames.is_empty() {
            return Ok(reached);
        }
        // The frame above hears of it as of any value that is known.
        next = Some(frame.value);
    }
}

fn set(
    objects: &mut [Option<State>],
    tuples: &mut BTreeMap<usize, State>,
    value: Value,
    state: State,
) {
    match value {
        Value::Object(id) => {
            if let Some(slot) = objects.get_mut(id.index()) {
                *slot = Some(state);
            }
        }
        Value::Tuple(span) => drop(tuples.insert(span.start(), state)),
        _ => {}
    }
}

fn depth_limit(limits: &limits::Pickle) -> usize {
    usize::try_from(limits.container_depth).unwrap_or(usize::MAX)
}

/// Keeps of each key the first place and the last value.
fn normalise(made: &mut Checkpoint, id: ObjectId, effort: &mut u64) -> Result<(), Problem> {
    let keys: Vec<Value> = match made.object(id) {
        Object::Dict(dict) => dict.items.iter().map(|&(key, _)| key).collect(),
        Object::Set(items) | Object::FrozenSet(items) => items.clone(),
        _ => return Ok(()),
    };
    for &key in &keys {
        if !made.is_hashable(key, effort)? {
            return Err(Problem::Unhashable);
        }
    }
    let doubled = doubled(made, &keys)?;
    if doubled.is_empty() {
        return Ok(());
    }
    match made.objects.get_mut(id.index()) {
        Some(Object::Dict(dict)) => {
            for &(first, later) in &doubled {
                let value = dict.items.get(later).map(|&(_, value)| value);
                if let (Some(item), Some(value)) = (dict.items.get_mut(first), value) {
                    item.1 = value;
                }
            }
            retain(&mut dict.items, &doubled);
        }
        Some(Object::Set(items) | Object::FrozenSet(items)) => retain(items, &doubled),
        _ => {}
    }
    Ok(())
}

/// The places of keys that stood before: each with the first place, in the order of the later one.
fn doubled(made: &Checkpoint, keys: &[Value]) -> Result<Vec<(usize, usize)>, Problem> {
    let mut order: Vec<(u64, usize)> =
        keys.iter().map(|&key| made.key_hash(key)).zip(0..).collect();
    order.sort_unstable();
    let key = |at: usize| keys.get(at).copied().unwrap_or(Value::None);
    let mut doubled = Vec::new();
    for run in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        run.sort_unstable_by(|a, b| made.key_order(key(a.1), key(b.1)).then(a.1.cmp(&b.1)));
        let mut distinct = 0_usize;
        for same in run.chunk_by(|a, b| made.key_order(key(a.1), key(b.1)).is_eq()) {
            distinct = distinct.saturating_add(1);
            if distinct > COLLISIONS {
                return Err(Problem::Expansion);
            }
            if let [first, later @ ..] = same {
                doubled.extend(later.iter().map(|later| (first.1, later.1)));
            }
        }
    }
    doubled.sort_unstable_by_key(|&(_, later)| later);
    Ok(doubled)
}

fn retain<T>(items: &mut Vec<T>, doubled: &[(usize, usize)]) {
    let mut doubled = doubled.iter().map(|&(_, later)| later).peekable();
    let mut at = 0_usize;
    items.retain(|_| {
        let drop = doubled.next_if_eq(&at).is_some();
        at = at.saturating_add(1);
        !drop
    });
}
