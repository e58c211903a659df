//! The data descriptor behind an entry's data (APPNOTE 4.3.9).

use super::super::ranges::Bytes;
use super::bytes::{u32_at, u64_at};
use super::header::Entry;

/// Where the data descriptor behind `at` ends, if one with the entry's numbers is there
/// (APPNOTE 4.3.9). The signature is optional and the sizes take 4 or 8 bytes each, 8 when the
/// local header has a ZIP64 block; writers err on both, so every form is tried, and one that
/// ends where the next entry starts is preferred.
pub(super) fn find_descriptor(
    bytes: Bytes<'_>,
    entry: &Entry<'_>,
    at: u64,
    wide: bool,
    next: u64,
) -> Option<u64> {
    let forms = [(true, wide), (false, wide), (true, !wide), (false, !wide)];
    let ends = || {
        forms
            .iter()
            .filter_map(|&(signature, wide)| descriptor_end(bytes, entry, at, signature, wide))
    };
    ends().find(|&end| end == next).or_else(|| ends().next())
}

fn descriptor_end(
    bytes: Bytes<'_>,
    entry: &Entry<'_>,
    at: u64,
    signature: bool,
    wide: bool,
) -> Option<u64> {
    let signature_length: u64 = if signature { 4 } else { 0 };
    let fields_length: u64 = if wide { 20 } else { 12 };
    let start = at.checked_add(signature_length)?;
    if signature && bytes.slice(at, 4)? != b"PK\x07\x08" {
        return None;
    }
    let fields = bytes.slice(start, fields_length)?;
    let central = &entry.central;
    let (compressed, uncompressed) = if wide {
        (u64_at(fields, 4)?, u64_at(fields, 12)?)
    } else {
        (u64::from(u32_at(fields, 4)?), u64::from(u32_at(fields, 8)?))
    };
    let found = (u32_at(fields, 0)?, compressed, uncompressed);
    let expected = (central.crc, central.compressed_size, central.uncompressed_size);
    if found != expected {
        return None;
    }
    start.checked_add(fields_length)
}
