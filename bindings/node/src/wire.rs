//! Numbers on their way to JavaScript, whose own are exact up to 2^53 only.
//!
//! `JSON.parse` rounds what is longer, without a word. Such a number goes over as `{"$n": "…"}`,
//! and the package makes a `bigint` of it.

use serde_json::{Number, Value, json};

/// `Number.MAX_SAFE_INTEGER` (ECMA-262, 21.1.2.6).
const SAFE: u64 = (1 << 53) - 1;

/// The same value, in which JavaScript rounds nothing.
pub(crate) fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) => integer(number),
        Value::Array(items) => Value::Array(items.into_iter().map(exact).collect()),
        Value::Object(items) => {
            Value::Object(items.into_iter().map(|(key, item)| (key, exact(item))).collect())
        }
        other => other,
    }
}

fn integer(number: Number) -> Value {
    let safe = match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => number <= SAFE,
        (None, Some(number)) => number.unsigned_abs() <= SAFE,
        (None, None) => true,
    };
    if safe { Value::Number(number) } else { json!({ "$n": number.to_string() }) }
}
