//! Sparse initialisers, as COO tensors.
//!
//! ONNX keeps the indices as one row for each value, or as one number for each that counts through
//! the whole tensor (`SparseTensorProto` in `onnx.proto`). torch wants a column for each value: rows
//! are looked at the other way around, in their place, and single numbers are taken apart.

use alloc::vec::Vec;

use super::numbers::{shape, sizes};
use super::{Dense, Located, Reader, wide};
use crate::checkpoint::{Dtype, Layout, Object, ObjectId, Place, Problem, Sparse, StorageId};
use crate::format::onnx::graph::known;
use crate::format::onnx::tensor::Tensor;
use crate::format::protobuf::{Message, Value as Wire};

/// The values of a sparse tensor.
pub(super) fn values(message: Message<'_>) -> Message<'_> {
    part(message, 1).unwrap_or(Message::new(&[], message.offset))
}

fn part(message: Message<'_>, number: u32) -> Option<Message<'_>> {
    known(message).find_map(|field| match field.value {
        Wire::Bytes(inner) if field.number == number => Some(inner),
        _ => None,
    })
}

impl<'a> Reader<'a, '_> {
    /// A sparse tensor. Its indices are checked like those of any other once they are at hand.
    pub(super) fn sparse(&mut self, message: Message<'a>) -> Result<ObjectId, Problem> {
        let sizes = sizes(message, 3)?;
        let rank = wide(sizes.len());
        let values = self.tensor(&Tensor::of(values(message)))?;
        let count = match self.builder.so_far().object(values) {
            Object::Tensor(values) => match self.builder.so_far().shape(values) {
                &[count] => count,
                _ => return Err(Problem::Sparse),
            },
            _ => return Err(Problem::Unbuilt("a sparse tensor holds text")),
        };
        let indices = match part(message, 2) {
            Some(indices) => self.indices(&Tensor::of(indices), &sizes, count)?,
            None if count == 0 => {
                let storage = self.owned(Dtype::Int64, &[])?;
                Dense::tensor(&mut self.builder, Dtype::Int64, &[rank, 0], storage)?
            }
            None => return Err(Problem::Sparse),
        };
        let shape = self.builder.dims(&sizes)?;
        let (layout, coalesced) = (Layout::Coo, Some(true));
        let sparse = Sparse { layout, indices, plain: None, values, shape, coalesced };
        self.builder.object(Object::Sparse(sparse))
    }

    /// The indices of `count` values, a column for each.
    fn indices(
        &mut self,
        tensor: &Tensor<'a>,
        sizes: &[u64],
        count: u64,
    ) -> Result<ObjectId, Problem> {
        let mut said = shape(tensor)?;
        let (dtype, storage) = self.storage(tensor, &mut said)?;
        let rank = wide(sizes.len());
        if dtype != Dtype::Int64 || said.first() != Some(&count) {
            return Err(Problem::Sparse);
        }
        match *said.as_slice() {
            [_, axes] if axes == rank => {
                Dense::strided(&mut self.builder, dtype, &[rank, count], &[1, rank], storage)
            }
            [_] if rank == 1 => Dense::tensor(&mut self.builder, dtype, &[1, count], storage),
            [_] => {
                let length = count.checked_mul(rank).and_then(|all| all.checked_mul(8));
                self.grow(length.ok_or(Problem::Full)?)?;
                let columns = columns(self.stored(storage)?, sizes, count)?;
                let storage = self.owned(dtype, &columns)?;
                Dense::tensor(&mut self.builder, dtype, &[rank, count], storage)
            }
            _ => Err(Problem::Sparse),
        }
    }

    /// The bytes of a storage that was made here.
    fn stored(&self, id: StorageId) -> Result<&[u8], Problem> {
        let made = self.builder.so_far();
        let storage = made.storage(id).ok_or(Problem::MissingStorage)?;
        match storage.place {
            Place::Owned(span) => Ok(made.bytes(span)),
            Place::File { file, offset } => {
                self.slice(Located { file, offset, length: storage.bytes })
            }
            _ => Err(Problem::MissingStorage),
        }
    }
}

/// Takes numbers apart that count through a tensor of these sizes, the last index fastest.
fn columns(words: &[u8], sizes: &[u64], count: u64) -> Result<Vec<u8>, Problem> {
    let count = usize::try_from(count).map_err(|_| Problem::Full)?;
    let mut columns: Vec<[u8; 8]> = Vec::new();
    let all = count.checked_mul(sizes.len()).ok_or(Problem::Full)?;
    columns.try_reserve_exact(all).map_err(|_| Problem::Full)?;
    columns.resize(all, [0; 8]);
    for (at, word) in words.as_chunks::<8>().0.iter().enumerate() {
        let mut left = u64::from_le_bytes(*word);
        for (axis, &size) in sizes.iter().enumerate().rev() {
            let index = left.checked_rem(size).ok_or(Problem::Sparse)?;
            left = left.checked_div(size).ok_or(Problem::Sparse)?;
            let place = axis.checked_mul(count).and_then(|start| start.checked_add(at));
            let place = place.and_then(|place| columns.get_mut(place)).ok_or(Problem::Sparse)?;
            *place = index.to_le_bytes();
        }
        if left > 0 {
            return Err(Problem::Sparse);
        }
    }
    Ok(columns.into_flattened())
}
