//! Plain tensors, on the CPU, over storages of their own.

use crate::checkpoint::extent::{DIMENSIONS, Misfit, contiguous};
use crate::checkpoint::{
    Builder, Dtype, Object, ObjectId, Parts, Place, Problem, Span, Storage, StorageId,
};

/// Makes storages and tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    location: Span,
}

impl Dense {
    pub(super) fn new(builder: &mut Builder) -> Result<Self, Problem> {
        Ok(Self { location: builder.text("cpu")? })
    }

    /// A storage of `bytes` bytes.
    pub(super) fn storage(
        self,
        builder: &mut Builder,
        dtype: Dtype,
        bytes: u64,
        place: Place,
    ) -> Result<StorageId, Problem> {
        let location = self.location;
        builder.storage(Storage { bytes, dtype, location, place, swapped: false })
    }

    /// A tensor whose elements follow each other from the first byte of a storage.
    pub(super) fn tensor(
        builder: &mut Builder,
        dtype: Dtype,
        shape: &[u64],
        storage: StorageId,
    ) -> Result<ObjectId, Problem> {
        let mut strides = [0_u64; DIMENSIONS];
        let misfit = Problem::Tensor(Misfit::Dimensions);
        let strides = strides.get_mut(..shape.len()).ok_or(misfit)?;
        contiguous(shape, strides).map_err(Problem::Tensor)?;
        Self::strided(builder, dtype, shape, strides, storage)
    }

    /// A tensor that starts at the first byte of a storage.
    pub(super) fn strided(
        builder: &mut Builder,
        dtype: Dtype,
        shape: &[u64],
        strides: &[u64],
        storage: StorageId,
    ) -> Result<ObjectId, Problem> {
        let parts = Parts {
            dtype,
            storage: Some(storage),
            offset: 0,
            shape,
            strides,
            flags: 0,
            quantizer: None,
            class: None,
        };
        let tensor = builder.tensor(&parts)?;
        builder.object(Object::Tensor(tensor))
    }
}
