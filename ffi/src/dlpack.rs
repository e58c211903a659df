//! Tensors as DLPack, which torch and others take without copying.

use std::mem::MaybeUninit;

use secure_torch::Code;
use secure_torch::dlpack::{ManagedTensorVersioned as DLManagedTensorVersioned, versioned};

use crate::boundary::{Failure, clear, enter, given};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::library::ResultNumber;
use crate::tensor;

/// A tensor as DLPack 1.1 (`dlpack.h`), over the same memory as secure_torch_tensor_data(). It keeps
/// that memory alive by itself and outlives the checkpoint.
///
/// Ownership: yours. Call its `deleter` once, on any thread, unless you hand it on to a library that
/// does. Nothing of the header may be changed.
///
/// Errors: SECURE_TORCH_RESULT_MODEL_UNSUPPORTED for tensors without data, for quantised and other
/// elements that DLPack has no name for, and for tensors that show the conjugate or the negative of
/// their elements; others as secure_torch_tensor_data().
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_tensor_to_dlpack(
    checkpoint: Option<&Checkpoint>,
    tensor: u32,
    mut managed: Option<&mut MaybeUninit<*mut DLManagedTensorVersioned>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    clear(&mut managed);
    enter(error, || {
        let managed = given(managed, "managed")?;
        let made = given(checkpoint, "checkpoint")?.made();
        let (tensor, _) = tensor::tensor(made, tensor)?;
        if tensor.is_conj() || tensor.is_neg() {
            let message = "the tensor shows the conjugate or the negative of its elements, which \
                           DLPack cannot say";
            return Err(Failure::of(Code::Unsupported, message));
        }
        let (length, _) = tensor::extent(made, tensor)?;
        let memory = made.memory(tensor.storage().ok_or_else(tensor::without_data)?)?;
        let memory = tensor::part(memory, tensor, length)?;
        let exported = versioned(memory, tensor.dtype(), made.shape(tensor), made.strides(tensor));
        let unnamed =
            || format!("DLPack has no name for elements of the type `{}`", tensor.dtype());
        let exported = exported.ok_or_else(|| Failure::of(Code::Unsupported, unnamed()))?;
        managed.write(exported.as_ptr());
        Ok(())
    })
}
