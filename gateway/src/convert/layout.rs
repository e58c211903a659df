//! The header of a safetensors file, as the reference writer lays it out.
//!
//! `safetensors/src/tensor.rs` (`prepare`) sorts tensors by their type, the widest first, and then by
//! name, and pads the header to eight bytes: so every tensor is aligned for its type in a file that
//! is mapped. The order of [`ORDER`] is that of its enum, from the last to the first. Metadata, which
//! it writes in the order of a hash table, is sorted here, so that the same checkpoint gives the same
//! file.

use std::collections::BTreeMap;

use secure_torch_core::checkpoint::Dtype;
use secure_torch_core::limits;
use serde_json::Value;

use super::plan::{METADATA, Plan};
use crate::error::{Code, Error};
use crate::load::Checkpoint;

/// The types in the order in which their tensors are written.
const ORDER: [&str; 20] = [
    "U64",
    "I64",
    "F64",
    "C64",
    "F32",
    "U32",
    "I32",
    "BF16",
    "F16",
    "U16",
    "I16",
    "F8_E5M2FNUZ",
    "F8_E4M3FNUZ",
    "F8_E8M0",
    "F8_E4M3",
    "F8_E5M2",
    "I8",
    "U8",
    "F4",
    "BOOL",
];

/// Where a type's tensors stand among those of other types; none where the format has no such type.
pub(super) fn rank(dtype: Dtype) -> Option<usize> {
    let name = dtype.safetensors()?;
    ORDER.iter().position(|known| *known == name)
}

/// The length, the header and its padding.
pub(super) fn header(checkpoint: &Checkpoint, plan: &Plan<'_>) -> Result<Vec<u8>, Error> {
    let mut text = String::from("{\"__metadata__\":");
    text.push_str(&metadata(checkpoint, plan)?);
    let mut offset = 0_u64;
    for tensor in &plan.tensors {
        let end = offset.saturating_add(tensor.bytes);
        let name = Value::from(tensor.name.as_str());
        let dtype = tensor.view.dtype.safetensors().unwrap_or_default();
        let shape = Value::from(shape(tensor.view.dtype, tensor.view.shape));
        let entry = format!(
            ",{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{offset},{end}]}}"
        );
        text.push_str(&entry);
        offset = end;
    }
    text.push('}');
    let mut header = text.into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = header.len() as u64;
    if length > limits::FORMAT_SAFETENSORS_HEADER_BYTES {
        let most = limits::FORMAT_SAFETENSORS_HEADER_BYTES;
        let cause =
            format!("names and shapes take {length} bytes, and readers take {most} at most");
        return Err(Error::new(Code::TooLarge, checkpoint.name(), cause));
    }
    header.splice(0..0, length.to_le_bytes());
    Ok(header)
}

/// The sizes as the format counts them: it counts the four-bit elements of `F4` singly, of which
/// torch takes two for one along the last dimension.
fn shape(dtype: Dtype, shape: &[u64]) -> Vec<u64> {
    let mut shape = shape.to_vec();
    if let (Dtype::Float4E2m1fnX2, Some(last)) = (dtype, shape.last_mut()) {
        *last = last.saturating_mul(2);
    }
    shape
}

/// The metadata: the checkpoint's own, the names that were not written, and, where nothing else says
/// so, that the tensors are PyTorch's.
fn metadata(checkpoint: &Checkpoint, plan: &Plan<'_>) -> Result<String, Error> {
    let mut pairs: BTreeMap<&str, &str> = checkpoint.metadata().collect();
    for (left_out, kept) in &plan.tied {
        // The reference keeps the older entry here and says nothing of the name.
        if pairs.insert(left_out, kept).is_some() {
            let name = crate::text::printable(left_out);
            let cause = format!(
                "`{name}` is another name of `{}`, and the metadata has an entry of that name already; \
                 write such tensors once for each name (`--duplicate-shared`)",
                crate::text::printable(kept)
            );
            return Err(Error::new(Code::Inconvertible, checkpoint.name(), cause));
        }
    }
    pairs.entry("format").or_insert("pt");
    let text = serde_json::to_string(&pairs);
    text.map_err(|error| {
        Error::new(Code::Inconvertible, checkpoint.name(), format!("{METADATA}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_format_has_its_place_and_wider_ones_come_first() {
        let mut known: Vec<Dtype> =
            Dtype::ALL.iter().copied().filter(|dtype| dtype.safetensors().is_some()).collect();
        assert_eq!(known.len(), ORDER.len());
        known.sort_by_key(|dtype| rank(*dtype).unwrap());
        assert!(known.is_sorted_by_key(|dtype| std::cmp::Reverse(dtype.swap_width())));
        assert_eq!(rank(Dtype::Complex128), None);
    }
}
