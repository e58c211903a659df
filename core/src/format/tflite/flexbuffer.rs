//! FlexBuffers, as far as the options of TensorFlow's operators need them: a vector of texts.
//!
//! Follows google/flatbuffers, `include/flatbuffers/flexbuffers.h` (`GetRoot`, `Reference`,
//! `Vector`): the root's type and width stand in the last two bytes, everything else lies before
//! its reference, and a vector has its length before its items and their types behind them.

/// The types that are read, of those in `enum Type`.
const TEXT: u8 = 5;
const MAP: u8 = 9;
const VECTOR: u8 = 10;

/// The text that is an item of the root vector, and where it starts.
pub(super) fn text(bytes: &[u8], index: usize) -> Option<(u64, &[u8])> {
    let last = bytes.len().checked_sub(1)?;
    let width = usize::from(*bytes.get(last)?);
    let kind = last.checked_sub(1)?;
    let root = Value { at: kind.checked_sub(width)?, width, packed: *bytes.get(kind)? };
    // A map's values are a vector too.
    (root.kind() == VECTOR || root.kind() == MAP).then_some(())?;
    let (items, count) = root.sized(bytes)?;
    (index < count).then_some(())?;
    let width = root.child_width();
    let kinds = items.checked_add(count.checked_mul(width)?)?;
    let item = Value {
        at: items.checked_add(index.checked_mul(width)?)?,
        width,
        packed: *bytes.get(kinds.checked_add(index)?)?,
    };
    (item.kind() == TEXT).then_some(())?;
    let (start, length) = item.sized(bytes)?;
    Some((u64::try_from(start).ok()?, bytes.get(start..start.checked_add(length)?)?))
}

/// A value: where it stands, in how many bytes, and of which type.
struct Value {
    at: usize,
    width: usize,
    packed: u8,
}

impl Value {
    const fn kind(&self) -> u8 {
        self.packed >> 2
    }

    /// How many bytes each part of what it refers to takes.
    fn child_width(&self) -> usize {
        1_usize.checked_shl(u32::from(self.packed & 3)).unwrap_or(1)
    }

    /// Where what it refers to starts, and how many parts that has.
    fn sized(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let start = self.at.checked_sub(number(bytes, self.at, self.width)?)?;
        let width = self.child_width();
        Some((start, number(bytes, start.checked_sub(width)?, width)?))
    }
}

/// A number of one, two, four or eight bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    matches!(width, 1 | 2 | 4 | 8).then_some(())?;
    let found = bytes.get(at..at.checked_add(width)?)?;
    let mut word = [0; 8];
    word.get_mut(..width)?.copy_from_slice(found);
    usize::try_from(u64::from_le_bytes(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_vector_are_found() {
        // As the Python package writes `["Add", "node"]`.
        let bytes = b"\x03Add\0\x04node\0\x02\x0b\x07\x14\x14\x04\x28\x01";
        assert_eq!(text(bytes, 0), Some((1, &b"Add"[..])));
        assert_eq!(text(bytes, 1), Some((6, &b"node"[..])));
        assert_eq!(text(bytes, 2), None);
        for cut in 0..bytes.len() {
            assert_eq!(text(&bytes[..cut], 1), None, "{cut}");
        }
        assert_eq!(text(&[0xff; 32], 1), None);
    }
}
