//! PyTorch's oldest layout: a tar of `sys_info`, `pickle`, `storages` and `tensors`.
//!
//! `legacy_load` inside `_legacy_load` in `torch/serialization.py` tries it before anything
//! else when it reads a real file. `storages` and `tensors` interleave pickles with raw bytes:
//! a count, and then for each storage a pickled `(key, location, storage class)`, eight bytes
//! that count its elements and the elements; for each tensor a pickled `(key, storage key,
//! tensor class)`, its dimensions (four bytes, and four of padding), sizes, strides and offset.
//!
//! This module says how many raw bytes follow a pickle. It does not judge the pickles.

/// Whether an archive with these members is PyTorch's.
pub fn is_layout<'n>(names: impl Iterator<Item = &'n [u8]>) -> bool {
    let (mut pickle, mut storages) = (false, false);
    for name in names {
        let name = name.strip_prefix(b"./").unwrap_or(name);
        pickle |= name == b"pickle";
        storages |= name == b"storages";
    }
    pickle && storages
}

/// Whether a member interleaves pickles with raw bytes, and of which kind.
#[must_use]
pub fn interleaved(name: &[u8]) -> Option<Records> {
    match name.strip_prefix(b"./").unwrap_or(name) {
        b"storages" => Some(Records::Storages),
        b"tensors" => Some(Records::Tensors),
        _ => None,
    }
}

/// What follows the pickles of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Element counts and elements.
    Storages,
    /// Dimensions, sizes, strides and offsets.
    Tensors,
}

impl Records {
    /// How many raw bytes stand at the front of `rest`, behind a pickle that named `class`.
    ///
    /// A pickle that names no class (the count, the list of views) is followed by none.
    #[must_use]
    pub fn raw_length(self, class: Option<&str>, rest: &[u8]) -> Option<u64> {
        let Some(class) = class else { return Some(0) };
        match self {
            Self::Storages => {
                let count = u64::from_le_bytes(*rest.first_chunk()?);
                count.checked_mul(element_size(class)?)?.checked_add(8)
            }
            Self::Tensors => {
                let dimensions = u64::from(u32::from_le_bytes(*rest.first_chunk()?));
                // Sizes and strides, eight bytes each, then the offset.
                dimensions.checked_mul(16)?.checked_add(16)
            }
        }
    }
}

/// The bytes of an element of a storage class.
#[must_use]
pub fn element_size(class: &str) -> Option<u64> {
    Some(match class {
        "ByteStorage" | "CharStorage" | "BoolStorage" | "UntypedStorage" | "QInt8Storage"
        | "QUInt8Storage" => 1,
        "ShortStorage" | "HalfStorage" | "BFloat16Storage" => 2,
        "IntStorage" | "FloatStorage" | "QInt32Storage" => 4,
        "LongStorage" | "DoubleStorage" | "ComplexFloatStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_follow_the_pickles() {
        let rest = [3, 0, 0, 0, 0, 0, 0, 0, 9];
        assert_eq!(Records::Storages.raw_length(Some("FloatStorage"), &rest), Some(20));
        assert_eq!(Records::Storages.raw_length(Some("OddStorage"), &rest), None);
        assert_eq!(Records::Storages.raw_length(None, &rest), Some(0));
        assert_eq!(Records::Tensors.raw_length(Some("FloatTensor"), &rest), Some(64));
        assert_eq!(Records::Tensors.raw_length(Some("FloatTensor"), &rest[..3]), None);
        let huge = [0xff; 8];
        assert_eq!(Records::Storages.raw_length(Some("FloatStorage"), &huge), None);
    }

    #[test]
    fn both_members_make_the_layout() {
        let names = |list: &[&'static [u8]]| is_layout(list.iter().copied());
        assert!(names(&[b"sys_info", b"pickle", b"./storages", b"tensors"]));
        assert!(!names(&[b"pickle", b"a"]));
    }
}
