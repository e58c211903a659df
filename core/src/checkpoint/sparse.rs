//! Whether the parts of a sparse tensor fit each other.
//!
//! PyTorch builds sparse tensors from a file without looking at their indices, and its kernels use
//! them as they are: an index outside the shape reads and writes outside the tensor. So the
//! invariants of `aten/src/ATen/native/sparse/ValidateCompressedIndicesCommon.h` and of
//! `_validate_sparse_coo_tensor_args` in `SparseTensor.cpp` are checked here, and COO's claim to be
//! coalesced too, on the numbers themselves.
//!
//! What is checked must be what is used: the caller gives the bytes that it will hand out, not those
//! of a file that somebody may write to meanwhile.

use super::{Checkpoint, Dtype, Layout, Object, ObjectId, Problem, Sparse, StorageId, Tensor};

/// The bytes of a storage, in this machine's usual order: little-endian.
pub type Bytes<'b> = &'b dyn Fn(StorageId) -> Option<&'b [u8]>;

/// Checks a sparse tensor's parts against its shape and against each other.
///
/// # Errors
/// [`Problem::Sparse`]; [`Problem::MissingStorage`] where `bytes` has none for an index;
/// [`Problem::Unbuilt`] where there are more indices than their storage has room for.
pub fn check<'m>(made: &'m Checkpoint, sparse: &Sparse, bytes: Bytes<'m>) -> Result<(), Problem> {
    let shape = made.dims(sparse.shape);
    let values = dense(made, sparse.values)?;
    let values_shape = made.shape(values);
    match sparse.layout {
        Layout::Coo => {
            let indices = Indices::of(made, sparse.indices, bytes)?;
            coo(&indices, values_shape, shape, sparse.coalesced == Some(true))
        }
        layout => {
            let compressed = Indices::of(made, sparse.indices, bytes)?;
            let plain = Indices::of(made, sparse.plain.ok_or(Problem::Sparse)?, bytes)?;
            if compressed.dtype != plain.dtype {
                return Err(Problem::Sparse);
            }
            compressed_layout(layout, &compressed, &plain, values_shape, shape)
        }
    }
}

fn dense(made: &Checkpoint, id: ObjectId) -> Result<&Tensor, Problem> {
    match made.object(id) {
        Object::Tensor(tensor) => Ok(tensor),
        _ => Err(Problem::Sparse),
    }
}

/// Integers of a dense tensor.
struct Indices<'m> {
    dtype: Dtype,
    shape: &'m [u64],
    strides: &'m [u64],
    offset: u64,
    bytes: &'m [u8],
}

impl<'m> Indices<'m> {
    fn of(made: &'m Checkpoint, id: ObjectId, bytes: Bytes<'m>) -> Result<Self, Problem> {
        let tensor = dense(made, id)?;
        if !matches!(tensor.dtype(), Dtype::Int64 | Dtype::Int32) {
            return Err(Problem::Sparse);
        }
        // Kernels read the numbers as they are stored or as they are shown, one this and another that.
        if tensor.is_neg() || tensor.is_conj() {
            return Err(Problem::Sparse);
        }
        let storage = tensor.storage().ok_or(Problem::Sparse)?;
        let bytes = bytes(storage).ok_or(Problem::MissingStorage)?;
        let shape = made.shape(tensor);
        // With strides of zero, a storage of a few bytes would hold indices without end to look at.
        let size = shape.iter().try_fold(tensor.dtype().size(), |size, &n| size.checked_mul(n));
        let held = size.and_then(|size| usize::try_from(size).ok());
        if held.is_none_or(|size| size > bytes.len()) {
            return Err(Problem::Unbuilt(
                "the indices of a sparse tensor overlap in their storage",
            ));
        }
        let (strides, offset) = (made.strides(tensor), tensor.offset());
        Ok(Self { dtype: tensor.dtype(), shape, strides, offset, bytes })
    }

    /// The integer at these places, if it is none below zero.
    fn at(&self, places: &[u64]) -> Result<u64, Problem> {
        let mut element = self.offset;
        for (&place, &stride) in places.iter().zip(self.strides) {
            let step = place.checked_mul(stride).ok_or(Problem::Sparse)?;
            element = element.checked_add(step).ok_or(Problem::Sparse)?;
        }
        let start = element.checked_mul(self.dtype.size());
        let start = start.and_then(|start| usize::try_from(start).ok()).ok_or(Problem::Sparse)?;
        let rest = self.bytes.get(start..).ok_or(Problem::MissingStorage)?;
        let number = match self.dtype {
            Dtype::Int32 => rest.first_chunk().map(|b| i64::from(i32::from_le_bytes(*b))),
            _ => rest.first_chunk().map(|b| i64::from_le_bytes(*b)),
        };
        u64::try_from(number.ok_or(Problem::MissingStorage)?).map_err(|_| Problem::Sparse)
    }
}

fn coo(
    indices: &Indices<'_>,
    values: &[u64],
    shape: &[u64],
    coalesced: bool,
) -> Result<(), Problem> {
    let &[sparse, count] = indices.shape else { return Err(Problem::Sparse) };
    if indices.dtype != Dtype::Int64 {
        return Err(Problem::Sparse);
    }
    let split = usize::try_from(sparse).ok().and_then(|sparse| shape.split_at_checked(sparse));
    let (sizes, rest) = split.ok_or(Problem::Sparse)?;
    if values.split_first() != Some((&count, rest)) {
        return Err(Problem::Sparse);
    }
    if sizes.is_empty() {
        // A scalar of so many values, of which a coalesced one has one.
        return if coalesced && count > 1 { Err(Problem::Sparse) } else { Ok(()) };
    }
    for at in 0..count {
        // Where the indices are sorted and unique, one of them is larger than before, and none in
        // front of it is smaller.
        let mut larger = at == 0 || !coalesced;
        for (dimension, &size) in (0_u64..).zip(sizes) {
            let index = indices.at(&[dimension, at])?;
            if index >= size {
                return Err(Problem::Sparse);
            }
            if !larger {
                let before = indices.at(&[dimension, at.saturating_sub(1)])?;
                if index < before {
                    return Err(Problem::Sparse);
                }
                larger = index > before;
            }
        }
        if !larger {
            return Err(Problem::Sparse);
        }
    }
    Ok(())
}

/// CSR, CSC, BSR and BSC, with any number of batch dimensions in front and dense ones behind.
fn compressed_layout(
    layout: Layout,
    compressed: &Indices<'_>,
    plain: &Indices<'_>,
    values: &[u64],
    shape: &[u64],
) -> Result<(), Problem> {
    let batches = compressed.shape.len().checked_sub(1).ok_or(Problem::Sparse)?;
    let (batch, rest) = shape.split_at_checked(batches).ok_or(Problem::Sparse)?;
    let &[rows, columns, ref dense @ ..] = rest else { return Err(Problem::Sparse) };
    // How many index rows and columns there are: blocks count as one.
    let blocked = matches!(layout, Layout::Bsr | Layout::Bsc);
    let (values_batch, values_rest) = values.split_at_checked(batches).ok_or(Problem::Sparse)?;
    let (&count, values_rest) = values_rest.split_first().ok_or(Problem::Sparse)?;
    let (rows, columns, values_dense) = match *values_rest {
        [height, width, ref dense @ ..] if blocked => {
            let whole = |size: u64, block: u64| {
                (size.checked_rem(block) == Some(0)).then_some(size.checked_div(block)).flatten()
            };
            let rows = whole(rows, height).ok_or(Problem::Sparse)?;
            (rows, whole(columns, width).ok_or(Problem::Sparse)?, dense)
        }
        _ if blocked => return Err(Problem::Sparse),
        _ => (rows, columns, values_rest),
    };
    let by_row = matches!(layout, Layout::Csr | Layout::Bsr);
    let (lines, width) = if by_row { (rows, columns) } else { (columns, rows) };
    let split = |shape: &[u64]| shape.split_last().map(|(&last, rest)| (last, rest == batch));
    if dense != values_dense
        || values_batch != batch
        || split(compressed.shape) != Some((lines.saturating_add(1), true))
        || split(plain.shape) != Some((count, true))
    {
        return Err(Problem::Sparse);
    }
    if compressed.shape.contains(&0) {
        // A batch of size zero has no indices at all.
        return Ok(());
    }
    let mut places = [0_u64; super::extent::DIMENSIONS];
    let places = places.get_mut(..=batches).ok_or(Problem::Sparse)?;
    loop {
        one_batch(compressed, plain, places, lines, width, count)?;
        if !step(places, batch) {
            return Ok(());
        }
    }
}

/// Goes to the next batch; false behind the last.
fn step(places: &mut [u64], batch: &[u64]) -> bool {
    for (place, &size) in places.iter_mut().zip(batch).rev() {
        *place = place.saturating_add(1);
        if *place < size {
            return true;
        }
        *place = 0;
    }
    false
}

fn one_batch(
    compressed: &Indices<'_>,
    plain: &Indices<'_>,
    places: &mut [u64],
    lines: u64,
    width: u64,
    count: u64,
) -> Result<(), Problem> {
    let mut at = |indices: &Indices<'_>, last: u64| {
        if let Some(place) = places.last_mut() {
            *place = last;
        }
        indices.at(places)
    };
    let mut start = at(compressed, 0)?;
    if start != 0 {
        return Err(Problem::Sparse);
    }
    for line in 1..=lines {
        let end = at(compressed, line)?;
        if end < start || end > count || end.saturating_sub(start) > width {
            return Err(Problem::Sparse);
        }
        let mut before = None;
        for place in start..end {
            let index = at(plain, place)?;
            if index >= width || before.is_some_and(|before| before >= index) {
                return Err(Problem::Sparse);
            }
            before = Some(index);
        }
        start = end;
    }
    if let Some(place) = places.last_mut() {
        *place = 0;
    }
    if start == count { Ok(()) } else { Err(Problem::Sparse) }
}
