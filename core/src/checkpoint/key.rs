//! Keys of dicts and items of sets: which are the same, and which cannot be any.
//!
//! Python compares keys by value: `1`, `1.0` and `True` are one key. Objects that compare by
//! identity are told apart by their number; so are a frozenset and an instance here, although
//! Python may find two of them equal. A consumer that has Python's own dict gets its answer there.

use core::cmp::Ordering;

use super::error::Problem;
use super::{Checkpoint, Object, Span, Value};

impl Checkpoint {
    /// Whether a value can be a key. Values that nest are looked into, so they must not be cyclic;
    /// each leaf, and each further stretch of a long one, is taken from `effort`.
    ///
    /// # Errors
    /// [`Problem::Expansion`] where that is used up.
    pub(super) fn is_hashable(&self, value: Value, effort: &mut u64) -> Result<bool, Problem> {
        let long = |span: Span| u64::try_from(span.len() / STRETCH).unwrap_or(u64::MAX);
        let cost = match value {
            Value::Text(span) | Value::Bytes(span) | Value::Integer(span) => long(span),
            Value::Size(span) => u64::try_from(span.len()).unwrap_or(u64::MAX),
            _ => 0,
        };
        *effort = effort.checked_sub(cost.saturating_add(1)).ok_or(Problem::Expansion)?;
        Ok(match value {
            Value::Tuple(span) => {
                for &item in self.items(span) {
                    if !self.is_hashable(item, effort)? {
                        return Ok(false);
                    }
                }
                true
            }
            Value::Object(id) => !matches!(
                self.object(id),
                Object::List(_)
                    | Object::Dict(_)
                    | Object::Set(_)
                    | Object::Deque(..)
                    | Object::ByteArray(_)
                    | Object::Slice(_)
                    | Object::Array(_)
                    | Object::ObjectArray(..)
            ),
            _ => true,
        })
    }

    /// A number that is the same for keys that are the same.
    pub(super) fn key_hash(&self, key: Value) -> u64 {
        match key {
            Value::Text(span) => hash(1, self.text(span).as_bytes()),
            Value::Bytes(span) => hash(2, self.bytes(span)),
            Value::Integer(span) => hash(3, &modulo(self.bytes(span)).to_le_bytes()),
            Value::Tuple(span) | Value::Size(span) => {
                self.items(span).iter().fold(4, |sum: u64, &item| {
                    sum.wrapping_mul(PRIME).wrapping_add(self.key_hash(item))
                })
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => match number(key) {
                Number::Whole(whole) => hash(5, &whole.to_le_bytes()),
                Number::Float(float) => hash(6, &float.to_le_bytes()),
            },
            Value::None => 7,
            Value::Dtype(dtype) => hash(8, dtype.name().as_bytes()),
            Value::Global(global) => hash(9, global.name.as_bytes()),
            Value::Storage(id) => hash(10, &id.0.to_le_bytes()),
            Value::Object(id) => hash(11, &id.0.to_le_bytes()),
        }
    }

    /// An order in which two keys are equal where Python finds them the same.
    pub(super) fn key_order(&self, one: Value, other: Value) -> Ordering {
        match (one, other) {
            (Value::Text(a), Value::Text(b)) => self.text(a).cmp(self.text(b)),
            (Value::Bytes(a), Value::Bytes(b)) | (Value::Integer(a), Value::Integer(b)) => {
                self.bytes(a).cmp(self.bytes(b))
            }
            (Value::Tuple(a) | Value::Size(a), Value::Tuple(b) | Value::Size(b)) => {
                self.tuple_order(a, b)
            }
            (Value::Dtype(a), Value::Dtype(b)) => a.name().cmp(b.name()),
            (Value::Global(a), Value::Global(b)) => (a.module, a.name).cmp(&(b.module, b.name)),
            (Value::Storage(a), Value::Storage(b)) => a.cmp(&b),
            (Value::Object(a), Value::Object(b)) => a.cmp(&b),
            _ => match (rank(one), rank(other)) {
                (NUMBER, NUMBER) => match (number(one), number(other)) {
                    (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
                    (Number::Float(a), Number::Float(b)) => a.total_cmp(&b),
                    (Number::Whole(_), Number::Float(_)) => Ordering::Less,
                    (Number::Float(_), Number::Whole(_)) => Ordering::Greater,
                },
                (a, b) => a.cmp(&b),
            },
        }
    }

    fn tuple_order(&self, one: Span, other: Span) -> Ordering {
        let (one, other) = (self.items(one), self.items(other));
        let pairs = one.iter().zip(other).map(|(&a, &b)| self.key_order(a, b));
        pairs.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
    }
}

/// How much of a long key counts as one leaf.
const STRETCH: usize = 64;

/// The modulus of Python's hash of numbers on 64-bit machines (`Include/cpython/pyhash.h`).
const MODULUS: u64 = (1 << 61) - 1;

/// What Python makes the hash of an integer of, with its sign: those that collide there collide
/// here. Of 64-bit integers no more than sixteen can.
fn modulo(bytes: &[u8]) -> u64 {
    let negative = bytes.last().is_some_and(|&top| top >= 0x80);
    let rest = bytes.iter().rev().fold(0_u64, |sum, &byte| {
        // The magnitude less one, where it is negative: that tells as many apart.
        let byte = if negative { !byte } else { byte };
        // Times 256: bits that leave at the top come back at the bottom.
        let sum = (sum.wrapping_shl(8) & MODULUS) | sum.wrapping_shr(53);
        let sum = sum.saturating_add(byte.into());
        sum.checked_sub(MODULUS).unwrap_or(sum)
    });
    rest.wrapping_shl(1) | u64::from(negative)
}

const NUMBER: u8 = 5;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Fowler, Noll and Vo's hash, variant 1a. Keys that collide on purpose are sorted, and more of them
/// than a few are refused (`COLLISIONS` in `finish.rs`).
fn hash(seed: u8, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ u64::from(seed);
    bytes.iter().fold(start, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(PRIME))
}

const fn rank(value: Value) -> u8 {
    match value {
        Value::Text(_) => 1,
        Value::Bytes(_) => 2,
        Value::Integer(_) => 3,
        Value::Tuple(_) | Value::Size(_) => 4,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => NUMBER,
        Value::None => 7,
        Value::Dtype(_) => 8,
        Value::Global(_) => 9,
        Value::Storage(_) => 10,
        Value::Object(_) => 11,
    }
}

enum Number {
    Whole(i64),
    Float(f64),
}

/// A number by value: a float that is a whole number is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "only where it leads back to the same float"
)]
fn number(value: Value) -> Number {
    match value {
        Value::Bool(value) => Number::Whole(value.into()),
        Value::Int(value) => Number::Whole(value),
        // 2^63 saturates to the largest integer, which is another float's.
        Value::Float(value) if (value as i64) as f64 == value && value < 9.2e18 => {
            Number::Whole(value as i64)
        }
        Value::Float(value) => Number::Float(value),
        _ => Number::Whole(0),
    }
}
