//! Tensors that reach outside their storage.
//!
//! `_rebuild_tensor_v2(storage, offset, size, stride, …)` lays a view over a storage. Loaders have
//! trusted these numbers (CVE-2026-24747 and its kin), so the audit checks them where the stream
//! spells them out right before the call, as every pickler does: no number is negative, and the
//! last element lies inside. Numbers that come from elsewhere are left to whoever builds the
//! tensor, who must check them all.

use super::domain::AuditDomain;
use super::sink::{Detail, Sink};
use super::value::{Container, Import, NO_PRODUCT, Value};
use crate::pickle::decode::Instruction;
use crate::pickle::store::Store;
use crate::score::Rule;

/// A tuple of integers, item by item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dimensions {
    tuple: Option<Value>,
    items: [i64; Self::MOST],
}

impl Dimensions {
    /// PyTorch allows 64 dimensions; nobody uses more than a few.
    const MOST: usize = 8;

    pub(super) const NONE: Self = Self { tuple: None, items: [0; Self::MOST] };

    fn items(&self, tuple: Value) -> Option<&[i64]> {
        let Value::Ints { arity, .. } = tuple else { return None };
        (self.tuple == Some(tuple)).then(|| self.items.get(..usize::from(arity)))?
    }
}

impl<S, I, C> AuditDomain<'_, '_, S, I, C>
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    /// Keeps the items of a tuple of integers for the call that may follow.
    pub(super) fn note_ints(&mut self, tuple: Value, items: &[Value]) {
        if !matches!(tuple, Value::Ints { .. }) || items.len() > Dimensions::MOST {
            return;
        }
        let mut dimensions = Dimensions { tuple: Some(tuple), ..Dimensions::NONE };
        for (slot, &item) in dimensions.items.iter_mut().zip(items) {
            if let Value::Int(value) = item {
                *slot = value;
            }
        }
        let [_, last] = self.recent;
        self.recent = [last, dimensions];
    }

    /// Checks the arguments of a tensor over a storage.
    pub(super) fn check_tensor(&mut self, at: &Instruction<'_>, items: &[Value]) {
        let [Value::Storage { elements }, offset, size, stride, ..] = *items else { return };
        if self.is_negative(offset) || self.is_negative(size) || self.is_negative(stride) {
            let why = Detail::Text("a tensor has a negative offset, size or stride");
            return self.find(Rule::PickleCallShape, at.offset, why);
        }
        let Value::Int(offset) = offset else { return };
        let [sizes, strides] = self.recent;
        let (Some(sizes), Some(strides)) = (sizes.items(size), strides.items(stride)) else {
            return;
        };
        if sizes.len() != strides.len() {
            let why = Detail::Text("a tensor has not as many strides as sizes");
            return self.find(Rule::PickleCallShape, at.offset, why);
        }
        if sizes.contains(&0) {
            return;
        }
        let last = sizes.iter().zip(strides).try_fold(offset, |last, (&size, &stride)| {
            last.checked_add(size.checked_sub(1)?.checked_mul(stride)?)
        });
        let inside = last
            .and_then(|last| u64::try_from(last).ok())
            .is_some_and(|last| elements == NO_PRODUCT || last < elements);
        if !inside {
            let why = Detail::Text("a tensor reaches outside its storage");
            self.find(Rule::PickleCallShape, at.offset, why);
        }
    }

    /// Whether a number, or one of a tuple of numbers, is known to be negative. A tuple of
    /// numbers none of which is has a kind of its own.
    const fn is_negative(&self, value: Value) -> bool {
        match value {
            Value::Int(number) => number < 0,
            Value::Tuple(tuple) => {
                tuple.arity > 0 && matches!(tuple.kinds, [crate::pickle::kind::Kind::Int, ..])
            }
            _ => false,
        }
    }
}
