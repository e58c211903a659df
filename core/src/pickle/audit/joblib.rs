//! joblib's arrays: what its unpickler takes from between the opcodes.
//!
//! `NumpyUnpickler.load_build` in `joblib/numpy_pickle.py` replaces an array wrapper by its array
//! as soon as `BUILD` has given the wrapper its state, and reads the array's bytes from where the
//! stream stands. How many they are follows from the state: shape, dtype, alignment. Where the
//! state does not say it in literals, nobody can know what joblib reads, and that is a finding.

use super::domain::AuditDomain;
use super::sink::{Detail, Sink};
use super::value::{Container, Import, Item, NO_PRODUCT, Tuple, Value};
use crate::pickle::decode::Instruction;
use crate::pickle::kind::Kind;
use crate::pickle::store::Store;
use crate::score::Rule;

/// What the state dict of a joblib array wrapper holds so far.
#[derive(Clone, Copy)]
pub(super) struct Wrapper {
    /// The dict.
    container: u32,
    /// How many items the array has.
    items: Option<u64>,
    /// The size of an item.
    item: Item,
    /// Whether a padding byte stands before the array.
    padded: Option<bool>,
    /// Whether it holds what is none of a wrapper's own attributes.
    odd: bool,
}

impl Wrapper {
    /// Whether this is the state in that dict, and says that the array holds Python objects.
    pub(super) fn holds_objects(&self, container: u32) -> bool {
        self.container == container && self.item == Item::OBJECT
    }
}

/// What joblib's unpickler reads behind the `BUILD` of an array wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawArray {
    /// So many bytes, with one byte before them that counts padding if `padded`.
    Bytes {
        /// How many bytes the array takes.
        length: u64,
        /// Whether padding stands before it.
        padded: bool,
    },
    /// Another pickle.
    Pickle,
}

impl<'a, S, I, C> AuditDomain<'a, '_, S, I, C>
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    /// The item size that a tuple tells of a numpy dtype: `(name, align, copy)`, which makes one,
    /// or the state that one is given.
    ///
    /// `arraydescr_setstate` in numpy takes `(version, byteorder, subdtype, names, fields, item
    /// size, alignment, flags)`; the item size is -1 where the name has said it, and the lowest
    /// flag says that items hold objects.
    pub(super) fn item_of(&self, items: &[Value]) -> Item {
        match *items {
            [name @ Value::Text { length: 1..=8, .. }, _, _] => {
                let mut buffer = [0; 16];
                self.name(name, &mut buffer)
                    .map_or(Item::UNKNOWN, |name| Item::of_name(name.as_bytes()))
            }
            // A field: its dtype, its offset, and perhaps a title; or a subarray's dtype and shape.
            [Value::Instance { kind: Kind::Dtype, item, .. }, place, ..] if items.len() <= 3 => {
                match (item.bytes(), place) {
                    (Some(size), Value::Int(offset)) => i64::try_from(size)
                        .map_or(Item::UNKNOWN, |size| Item::of_bytes(offset.saturating_add(size))),
                    _ => item,
                }
            }
            [_, _, subarray, _, made_of, Value::Int(size), _, Value::Int(flags), ..]
                if flags & 1 == 0 && self.denies(subarray, made_of, size) =>
            {
                Item::DENIED
            }
            [
                Value::Int(_),
                _,
                Value::Plain(Kind::None),
                _,
                _,
                Value::Int(size),
                _,
                Value::Int(flags),
                ..,
            ] => match (flags & 1, size) {
                (1, _) => Item::OBJECT,
                (_, ..0) => Item::KEPT,
                _ => Item::of_bytes(size),
            },
            _ => Item::UNKNOWN,
        }
    }

    /// Whether a dtype's state that says "no objects" contradicts its subarray or its fields, or
    /// its size their furthest end.
    fn denies(&self, subarray: Value, made_of: Value, size: i64) -> bool {
        let of_objects = matches!(subarray, Value::Tuple(Tuple { item: Item::OBJECT, .. }));
        let row = match made_of {
            Value::Container { id, .. } => self.container(id),
            _ => None,
        };
        of_objects
            || row.is_some_and(|row| row.objects || i64::from(row.reach) > size && row.reach > 0)
    }

    /// The class of array wrappers is called and nothing else: as an argument it could make one
    /// that is not seen to be made.
    pub(super) fn check_wrapper_class(&mut self, at: &Instruction<'_>, items: &[Value]) {
        if !self.options.joblib {
            return;
        }
        let is_wrapper = |&item: &Value| match item {
            Value::Import(import) => self.entry(import).is_some_and(super::is_joblib_wrapper),
            _ => false,
        };
        if items.iter().any(is_wrapper) {
            let why = "the class of joblib's array wrappers is passed on instead of called";
            self.find(Rule::PickleDivergent, at.offset, Detail::Text(why));
        }
    }

    /// A dtype is given its state: it must go on to hold objects, or not to, as its name told, for
    /// numpy takes raw bytes for objects where the flag is missing. For joblib its item size must
    /// stay the same too, because a copy of it may be in the memo.
    pub(super) fn build_dtype(&mut self, at: &Instruction<'_>, item: Item, state: Value) {
        let told = match state {
            Value::Tuple(tuple) => tuple.item,
            _ => Item::UNKNOWN,
        };
        if told == Item::DENIED {
            let why = "the state of a dtype contradicts its fields: where they end, or that one holds objects";
            return self.find(Rule::PickleCallShape, at.offset, Detail::Text(why));
        }
        if matches!(item, Item::OBJECT | Item::UNKNOWN) && told != Item::OBJECT {
            let why = "the state of a dtype of objects says that it holds none";
            return self.find(Rule::PickleCallShape, at.offset, Detail::Text(why));
        }
        let kept = told == Item::KEPT || told == item && item != Item::UNKNOWN;
        if self.options.joblib && !kept {
            let why = "the state of a dtype changes how many bytes joblib reads for each item";
            self.find(Rule::PickleDivergent, at.offset, Detail::Text(why));
        }
    }

    /// Takes note of what a joblib array wrapper's state says about the bytes that follow.
    pub(super) fn note_wrapper(&mut self, container: u32, fresh: bool, items: &[Value]) {
        // A dict that holds something already, or that a call has made, holds what was not seen.
        let fresh = fresh && self.wrapper.is_none_or(|wrapper| wrapper.container != container);
        let known = self.wrapper.filter(|wrapper| wrapper.container == container);
        let mut wrapper = known.unwrap_or(Wrapper {
            container,
            items: None,
            item: Item::UNKNOWN,
            padded: Some(false),
            odd: !fresh,
        });
        for pair in items.chunks_exact(2) {
            let [key, value] = *pair else { continue };
            let mut buffer = [0; 40];
            match self.name(key, &mut buffer) {
                Some("shape") => wrapper.items = array_items(value),
                Some("dtype") => {
                    wrapper.item = match value {
                        Value::Instance { kind: Kind::Dtype, item, .. } => item,
                        _ => Item::UNKNOWN,
                    }
                }
                Some("numpy_array_alignment_bytes") => {
                    wrapper.padded = match value {
                        Value::Plain(Kind::None) => Some(false),
                        Value::Int(_) => Some(true),
                        _ => None,
                    }
                }
                Some("subclass" | "order" | "allow_mmap") => {}
                // Any other attribute could stand in for a method of the wrapper's; and nobody
                // knows which key a text is that readers see differently.
                Some(_) | None => wrapper.odd = true,
            }
        }
        self.wrapper = Some(wrapper);
    }

    /// How joblib reads on behind the `BUILD` of an array wrapper with this state.
    ///
    /// The wrapper must be the one that was made last and have no state yet: a second `BUILD`
    /// adds to the first one's, which is not kept.
    pub(super) fn raw_array(&mut self, at: &Instruction<'_>, serial: Item, state: Value) {
        let wrapper = self.wrapper.take();
        if self.fresh_wrapper.take() != Some(serial) {
            return self.lost_array(at);
        }
        let known = match (wrapper, state) {
            (Some(wrapper), Value::Container { id, .. })
                if wrapper.container == id && !wrapper.odd =>
            {
                wrapper
            }
            _ => return self.lost_array(at),
        };
        self.raw = if known.item == Item::OBJECT {
            Some(RawArray::Pickle)
        } else {
            match (known.item.bytes(), known.items, known.padded) {
                (Some(size), Some(items), Some(padded)) => {
                    items.checked_mul(size).map(|length| RawArray::Bytes { length, padded })
                }
                _ => None,
            }
        };
        if self.raw.is_none() {
            self.lost_array(at);
        }
    }

    fn lost_array(&mut self, at: &Instruction<'_>) {
        let why = "how many bytes joblib reads here as an array cannot be known";
        self.find(Rule::PickleDivergent, at.offset, Detail::Text(why));
    }
}

/// How many items an array of this shape has.
fn array_items(shape: Value) -> Option<u64> {
    match shape {
        Value::Ints { product, .. } => Some(product).filter(|&product| product != NO_PRODUCT),
        // The shape of a numpy scalar is the empty tuple, which holds one item.
        Value::Tuple(Tuple { arity: 0, .. }) => Some(1),
        _ => None,
    }
}

/// What the values of a dict say as the fields of a dtype: how far they reach, and whether one
/// holds objects. Values that are no fields say nothing.
pub(super) fn fields(items: &[Value]) -> (u32, bool) {
    let (mut reach, mut objects) = (0, false);
    for pair in items.chunks_exact(2) {
        if let [_, Value::Tuple(Tuple { kinds: [Kind::Dtype, ..], item, .. })] = *pair {
            objects |= item == Item::OBJECT;
            let end = item.bytes().and_then(|end| u32::try_from(end).ok());
            reach = reach.max(end.unwrap_or(if item == Item::OBJECT { 0 } else { u32::MAX }));
        }
    }
    (reach, objects)
}
