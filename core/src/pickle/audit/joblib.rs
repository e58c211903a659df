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
    /// Takes note of what a joblib array wrapper's state says about the bytes that follow.
    pub(super) fn note_wrapper(&mut self, container: u32, items: &[Value]) {
        let mut wrapper =
            self.wrapper.filter(|wrapper| wrapper.container == container).unwrap_or(Wrapper {
                container,
                items: None,
                item: Item::UNKNOWN,
                padded: Some(false),
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
                Some(_) => {}
                // Nobody knows which key this is.
                None => wrapper.items = None,
            }
        }
        self.wrapper = Some(wrapper);
    }

    /// How joblib reads on behind the `BUILD` of an array wrapper with this state.
    pub(super) fn raw_array(&mut self, at: &Instruction<'_>, state: Value) {
        let wrapper = self.wrapper.take();
        let known = match (wrapper, state) {
            (Some(wrapper), Value::Container { id, .. }) if wrapper.container == id => wrapper,
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
