//! Damage to bytes.

use crate::numbers::Numbers;

/// One change to the bytes: a bit, a byte, a cut, a repetition, or a piece of another input.
pub(crate) fn damage(numbers: &mut Numbers, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.extend(other);
        return;
    }
    let at = numbers.below(bytes.len());
    match numbers.below(6) {
        0 => bytes[at] ^= 1 << numbers.below(8),
        1 => bytes[at] = numbers.below(256) as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..(at + numbers.below(16)).min(bytes.len()))),
        4 => {
            let piece = bytes[at..(at + numbers.below(64)).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        _ if other.is_empty() => {}
        _ => {
            let from = numbers.below(other.len());
            let piece = &other[from..(from + numbers.below(256)).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}
