//! Elements of a storage in an order, and what makes two views of one the same.

use std::borrow::Cow;

use secure_torch_core::checkpoint::{Dtype, Family, Place, StorageId, Tensor};

use crate::load::Checkpoint;

/// Elements of a storage, in an order.
#[derive(Debug)]
pub(crate) struct View<'c> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'c [u64],
    pub(crate) strides: Cow<'c, [u64]>,
    pub(crate) storage: StorageId,
    /// How many elements lie before the first.
    pub(crate) offset: u64,
    /// The numbers are complex conjugates of what is stored.
    pub(crate) conjugate: bool,
    /// The numbers are negatives of what is stored.
    pub(crate) negative: bool,
    /// The bytes of each element are stored in big-endian order.
    pub(crate) swapped: bool,
    /// Nobody else has this storage, so that nothing has to be kept of it.
    pub(crate) passing: bool,
}

impl<'c> View<'c> {
    /// How a tensor looks at its storage; none where it has none.
    pub(crate) fn of(checkpoint: &'c Checkpoint, tensor: &'c Tensor) -> Option<Self> {
        let dtype = tensor.dtype();
        Some(Self {
            dtype,
            shape: checkpoint.shape(tensor),
            strides: Cow::Borrowed(checkpoint.strides(tensor)),
            storage: tensor.storage()?,
            offset: tensor.offset(),
            // torch takes the bit of anything else for nothing.
            conjugate: tensor.is_conj() && dtype.family() == Family::Complex,
            negative: tensor.is_neg(),
            swapped: false,
            passing: false,
        })
    }

    /// Whether what is shown is not what is stored.
    pub(crate) const fn is_changed(&self) -> bool {
        self.conjugate || self.negative || self.swapped
    }
}

/// What two names of one tensor have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) storage: StorageId,
    /// The first byte.
    pub(crate) start: u64,
    dtype: Dtype,
    shape: Vec<u64>,
    strides: Vec<u64>,
    flags: [bool; 3],
}

impl Identity {
    /// What a view is, whatever its name and its storage's number.
    pub(crate) fn of(checkpoint: &Checkpoint, view: &View<'_>) -> Self {
        let mut start = view.offset.saturating_mul(view.dtype.size());
        let mut storage = view.storage;
        // Legacy files have storages inside storages. A view's number is the higher one.
        while let Some(Place::View { of, offset }) =
            checkpoint.storage(storage).map(|found| found.place)
            && of < storage
        {
            start = start.saturating_add(offset);
            storage = of;
        }
        // The stride of a dimension of one leads nowhere.
        let strides = view.shape.iter().zip(view.strides.iter());
        let strides = strides.map(|(&size, &stride)| if size == 1 { 0 } else { stride }).collect();
        Self {
            storage,
            start,
            dtype: view.dtype,
            shape: view.shape.to_vec(),
            strides,
            flags: [view.conjugate, view.negative, view.swapped],
        }
    }
}
