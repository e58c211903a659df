//! Tensors of ONNX: their types, and their numbers where those are not bytes already.
//!
//! Follows `onnx/onnx.proto` (`TensorProto`) and `numpy_helper.to_array` of onnx 1.23. Integers of
//! four and of two bits stand several in a byte there, and in a byte each in torch and in
//! `ml_dtypes`; they are unpacked, those with a sign extended. Two floats of four bits stand in a
//! byte in both (`float4_e2m1fn_x2`).

use alloc::vec::Vec;

use super::{Dense, Located, Reader, wide};
use crate::checkpoint::{Dtype, Object, ObjectId, Problem, StorageId, Value};
use crate::format::onnx::graph::known;
use crate::format::onnx::tensor::{Tensor, each_number};
use crate::format::protobuf::{Message, Value as Wire, int64};

/// The most bytes that a byte of a file may become.
pub(super) const GROWTH: u64 = 8;

/// How the elements of a type are kept.
#[derive(Clone, Copy)]
enum Kind {
    /// As in torch.
    Plain,
    /// So many bits each, several in a byte, the first lowest; with a sign or without.
    Packed(u32, bool),
    /// Two in a byte, which torch takes for one element.
    Pairs,
}

/// The type of torch's, and how elements are kept (`TensorProto.DataType`).
const fn element(data_type: i32) -> Option<(Dtype, Kind)> {
    Some(match data_type {
        1 => (Dtype::Float32, Kind::Plain),
        2 => (Dtype::Uint8, Kind::Plain),
        3 => (Dtype::Int8, Kind::Plain),
        4 => (Dtype::Uint16, Kind::Plain),
        5 => (Dtype::Int16, Kind::Plain),
        6 => (Dtype::Int32, Kind::Plain),
        7 => (Dtype::Int64, Kind::Plain),
        9 => (Dtype::Bool, Kind::Plain),
        10 => (Dtype::Float16, Kind::Plain),
        11 => (Dtype::Float64, Kind::Plain),
        12 => (Dtype::Uint32, Kind::Plain),
        13 => (Dtype::Uint64, Kind::Plain),
        14 => (Dtype::Complex64, Kind::Plain),
        15 => (Dtype::Complex128, Kind::Plain),
        16 => (Dtype::Bfloat16, Kind::Plain),
        17 => (Dtype::Float8E4m3fn, Kind::Plain),
        18 => (Dtype::Float8E4m3fnuz, Kind::Plain),
        19 => (Dtype::Float8E5m2, Kind::Plain),
        20 => (Dtype::Float8E5m2fnuz, Kind::Plain),
        21 => (Dtype::Uint4, Kind::Packed(4, false)),
        22 => (Dtype::Int4, Kind::Packed(4, true)),
        23 => (Dtype::Float4E2m1fnX2, Kind::Pairs),
        24 => (Dtype::Float8E8m0fnu, Kind::Plain),
        25 => (Dtype::Uint2, Kind::Packed(2, false)),
        26 => (Dtype::Int2, Kind::Packed(2, true)),
        _ => return None,
    })
}

/// `TensorProto.DataType.STRING`
const TEXT: i32 = 8;

/// Data of a tensor, as the type packs it.
enum Data {
    Located(Located),
    Owned(Vec<u8>),
}

impl<'a> Reader<'a, '_> {
    /// A tensor, or an array of text.
    pub(super) fn tensor(&mut self, tensor: &Tensor<'a>) -> Result<ObjectId, Problem> {
        if tensor.data_type == TEXT {
            return self.text(tensor);
        }
        let mut shape = shape(tensor)?;
        let (dtype, storage) = self.storage(tensor, &mut shape)?;
        Dense::tensor(&mut self.builder, dtype, &shape, storage)
    }

    /// The type and the storage of a tensor. The shape becomes the one that torch gives it.
    pub(super) fn storage(
        &mut self,
        tensor: &Tensor<'a>,
        shape: &mut [u64],
    ) -> Result<(Dtype, StorageId), Problem> {
        let (dtype, kind) = element(tensor.data_type)
            .ok_or(Problem::Unbuilt("torch has no type for these elements"))?;
        let elements = shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
        let elements = elements.ok_or(Problem::Format("a tensor's size overflows"))?;
        let bits = match kind {
            Kind::Plain => dtype.size().saturating_mul(8),
            Kind::Packed(bits, _) => bits.into(),
            Kind::Pairs => {
                let last = shape.last_mut().filter(|last| last.is_multiple_of(2));
                let odd = "torch takes two of these elements for one, and the last size is odd";
                let last = last.ok_or(Problem::Unbuilt(odd))?;
                *last /= 2;
                4
            }
        };
        let size =
            elements.checked_mul(bits).ok_or(Problem::Format("a tensor's size overflows"))?;
        let size = size.div_ceil(8);
        if elements == 0 {
            return Ok((dtype, self.owned(dtype, &[])?));
        }
        let data = self.data(tensor, dtype, kind, size)?;
        let storage = match (data, kind) {
            (Data::Located(located), Kind::Packed(bits, signed)) => {
                self.grow(elements)?;
                let unpacked = unpack(self.slice(located)?, elements, bits, signed)?;
                self.owned(dtype, &unpacked)?
            }
            (Data::Owned(bytes), Kind::Packed(bits, signed)) => {
                self.grow(elements)?;
                self.owned(dtype, &unpack(&bytes, elements, bits, signed)?)?
            }
            (Data::Located(located), _) => self.in_file(dtype, located)?,
            (Data::Owned(bytes), _) => self.owned(dtype, &bytes)?,
        };
        Ok((dtype, storage))
    }

    /// Counts bytes that are put together, against those that are there.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Problem> {
        let left = self.unpacked.checked_sub(bytes.div_ceil(GROWTH));
        self.unpacked = left.ok_or(Problem::Full)?;
        Ok(())
    }

    /// The data of a tensor that takes `size` bytes: exactly as many.
    fn data(
        &mut self,
        tensor: &Tensor<'a>,
        dtype: Dtype,
        kind: Kind,
        size: u64,
    ) -> Result<Data, Problem> {
        let located = if tensor.elsewhere {
            Some(self.elsewhere(tensor, size)?)
        } else if let Some(raw) = tensor.raw.filter(|raw| !raw.bytes.is_empty()) {
            let length = wide(raw.bytes.len());
            Some(Located { file: self.file, offset: raw.offset, length })
        } else {
            packed_words(tensor, dtype).map(|(offset, length)| Located {
                file: self.file,
                offset,
                length,
            })
        };
        let (data, length) = match located {
            Some(located) => (Data::Located(located), located.length),
            None => {
                self.grow(size)?;
                let bytes = collected(tensor, dtype, kind, size)?;
                let length = wide(bytes.len());
                (Data::Owned(bytes), length)
            }
        };
        let other = "a tensor's data does not have the size that its shape and type call for";
        if length == size { Ok(data) } else { Err(Problem::Format(other)) }
    }

    fn text(&mut self, tensor: &Tensor<'a>) -> Result<ObjectId, Problem> {
        let shape = shape(tensor)?;
        let mut items = Vec::new();
        for field in known(tensor.message).filter(|field| field.number == 6) {
            let Wire::Bytes(text) = field.value else { continue };
            let text = text.text().map_err(|_| Problem::Encoding)?;
            items.push(Value::Text(self.builder.text(text)?));
        }
        let count = shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
        if tensor.elsewhere || count != Some(wide(items.len())) {
            return Err(Problem::ArrayBytes);
        }
        let shape = self.builder.dims(&shape)?;
        self.builder.object(Object::ObjectArray(shape, items, false))
    }
}

/// The sizes of a tensor.
pub(super) fn shape(tensor: &Tensor<'_>) -> Result<Vec<u64>, Problem> {
    sizes(tensor.message, 1)
}

/// The sizes in a field of a message.
pub(super) fn sizes(message: Message<'_>, number: u32) -> Result<Vec<u64>, Problem> {
    let mut sizes = Vec::new();
    let mut negative = false;
    for field in known(message).filter(|field| field.number == number) {
        each_number(field.value, |size| match u64::try_from(int64(size)) {
            Ok(size) => sizes.push(size),
            Err(_) => negative = true,
        });
    }
    if negative { Err(Problem::Format("a tensor has a negative dimension")) } else { Ok(sizes) }
}

/// The field that a type's numbers stand in, one by one.
const fn field_of(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::Float32 | Dtype::Complex64 => 4,
        Dtype::Int64 => 7,
        Dtype::Float64 | Dtype::Complex128 => 10,
        Dtype::Uint32 | Dtype::Uint64 => 11,
        _ => 5,
    }
}

/// Where words stand behind each other in one field, as they would in raw data: first byte and
/// length.
fn packed_words(tensor: &Tensor<'_>, dtype: Dtype) -> Option<(u64, u64)> {
    let number = field_of(dtype);
    let mut fields = known(tensor.message).filter(|field| field.number == number);
    match (number, fields.next()?.value, fields.next()) {
        (4 | 10, Wire::Bytes(words), None) => Some((words.offset, wide(words.bytes.len()))),
        _ => None,
    }
}

/// Numbers that stand one by one, as bytes. There are no more of them than the message holds.
fn collected(tensor: &Tensor<'_>, dtype: Dtype, kind: Kind, size: u64) -> Result<Vec<u8>, Problem> {
    let number = field_of(dtype);
    let range = match kind {
        Kind::Plain => range(dtype),
        // `numpy_helper.py` puts a packed byte into each number; `checker.cc` would take four.
        Kind::Packed(..) | Kind::Pairs => (0, 255),
    };
    let width = match kind {
        Kind::Plain => usize::try_from(dtype.size()).unwrap_or(usize::MAX),
        Kind::Packed(..) | Kind::Pairs => 1,
    };
    let (mut bytes, mut outside) = (Vec::new(), false);
    for field in known(tensor.message).filter(|field| field.number == number) {
        match field.value {
            Wire::Fixed32(word) => bytes.extend_from_slice(&word.to_le_bytes()),
            Wire::Fixed64(word) => bytes.extend_from_slice(&word.to_le_bytes()),
            Wire::Bytes(words) if matches!(number, 4 | 10) => bytes.extend_from_slice(words.bytes),
            value => each_number(value, |number| {
                outside |= !matches!(dtype, Dtype::Int64 | Dtype::Uint64)
                    && !(range.0..=range.1).contains(&int64(number));
                bytes.extend(number.to_le_bytes().iter().take(width));
            }),
        }
        if wide(bytes.len()) > size {
            return Err(Problem::ArrayBytes);
        }
    }
    if outside { Err(Problem::Format("a number does not fit its type")) } else { Ok(bytes) }
}

/// The numbers that a type may have in its field.
const fn range(dtype: Dtype) -> (i64, i64) {
    match dtype {
        Dtype::Bool => (0, 1),
        Dtype::Int8 => (-0x80, 0x7f),
        Dtype::Int16 => (-0x8000, 0x7fff),
        Dtype::Uint16 | Dtype::Float16 | Dtype::Bfloat16 => (0, 0xffff),
        Dtype::Int32 => (-0x8000_0000, 0x7fff_ffff),
        Dtype::Uint32 => (0, 0xffff_ffff),
        // Bytes, and floats of eight bits by their bits.
        _ => (0, 0xff),
    }
}

/// A byte for each element of those that stand several in a byte, the first lowest.
fn unpack(packed: &[u8], elements: u64, bits: u32, signed: bool) -> Result<Vec<u8>, Problem> {
    let count = usize::try_from(elements).map_err(|_| Problem::Full)?;
    let mut unpacked = Vec::new();
    unpacked.try_reserve_exact(count).map_err(|_| Problem::Full)?;
    let high = 8_u32.saturating_sub(bits);
    for &byte in packed {
        let mut left = byte;
        for _ in 0..8_u32.checked_div(bits).unwrap_or(0) {
            let top = left.wrapping_shl(high);
            let element = if signed {
                top.cast_signed().wrapping_shr(high).cast_unsigned()
            } else {
                top.wrapping_shr(high)
            };
            left = left.wrapping_shr(bits);
            if unpacked.len() < count {
                unpacked.push(element);
            }
        }
    }
    if unpacked.len() == count { Ok(unpacked) } else { Err(Problem::ArrayBytes) }
}
