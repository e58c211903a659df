//! `secure_torch_memory`: the memory of a storage, which lives by itself.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use secure_torch::Checkpoint as Made;
use secure_torch::core::checkpoint::StorageId;

use crate::boundary::{Failure, end, fill, given, make, tell};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::library::ResultNumber;
use crate::tensor::DtypeNumber;
use crate::text::Str;

/// The memory of one storage, which stays when the checkpoint goes. What is written to a mapping of
/// the file is seen through the checkpoint and its memories alone and never reaches the file.
///
/// Ownership: yours; end it with secure_torch_memory_free(). Threads: any number of them may ask it;
/// whoever writes to the bytes sees to it that nobody reads meanwhile.
#[derive(Debug)]
pub struct Memory(secure_torch::Memory);

/// A storage: the memory below tensors. Its text belongs to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StorageInfo {
    /// Its length in bytes.
    pub length: u64,
    /// The device that it was saved on: `cpu`, `cuda:0`.
    pub location: Str,
    /// The type that the file declares for its elements; that of `uint8` where it declares none.
    pub dtype: DtypeNumber,
}

fn storage(made: &Made, index: u64) -> Result<StorageId, Failure> {
    let id = usize::try_from(index).ok().and_then(|index| made.storage_id(index));
    let count = made.storages().len();
    let message = || format!("`storage` is {index}, and there are {count} storages");
    id.ok_or_else(|| Failure::usage(message()))
}

/// How many storages there are.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_storage_count(checkpoint: Option<&Checkpoint>) -> u64 {
    tell(0, || checkpoint.map_or(0, |checkpoint| checkpoint.made().storages().len() as u64))
}

/// What a storage is.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_storage_info(
    checkpoint: Option<&Checkpoint>,
    storage: u64,
    info: Option<&mut MaybeUninit<StorageInfo>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("info", info, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let id = self::storage(made, storage)?;
        let found = made.storage(id).ok_or_else(|| Failure::usage("no such storage"))?;
        Ok(StorageInfo {
            length: found.bytes,
            location: Str::from(made.text(found.location)),
            dtype: found.dtype.number().into(),
        })
    })
}

/// The memory of a storage, aligned for its elements, little-endian: the file's private mapping where
/// the bytes lie there as they are, else a copy. The same storage is the same memory each time.
///
/// Errors: SECURE_TORCH_RESULT_MODEL_MALFORMED where a compressed storage does not unpack to what it
/// declares, SECURE_TORCH_RESULT_INPUT_TOO_LARGE past a limit, SECURE_TORCH_RESULT_USAGE for a number
/// that is no storage.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_storage_memory(
    checkpoint: Option<&Checkpoint>,
    storage: u64,
    memory: Option<&mut MaybeUninit<*mut Memory>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("memory", memory, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        Ok(Memory(made.memory(self::storage(made, storage)?)?))
    })
}

/// A copy of a storage's bytes that shares nothing with the file, aligned for its elements,
/// little-endian. The same storage is the same memory each time.
///
/// Errors: as secure_torch_storage_memory().
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_storage_copy(
    checkpoint: Option<&Checkpoint>,
    storage: u64,
    memory: Option<&mut MaybeUninit<*mut Memory>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("memory", memory, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        Ok(Memory(made.copy(self::storage(made, storage)?)?))
    })
}

/// The first byte; NULL for NULL alone.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_memory_data(memory: Option<&Memory>) -> *mut c_void {
    memory.map_or(ptr::null_mut(), |memory| memory.0.start().as_ptr().cast())
}

/// How many bytes there are.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_memory_length(memory: Option<&Memory>) -> usize {
    memory.map_or(0, |memory| memory.0.len())
}

/// Whether it is the file's own mapping, of which nothing was copied.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_memory_is_mapped(memory: Option<&Memory>) -> bool {
    memory.is_some_and(|memory| memory.0.is_mapped())
}

/// Another handle to the same memory. NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_memory_clone(memory: Option<&Memory>) -> Option<Box<Memory>> {
    tell(None, || memory.map(|memory| Box::new(Memory(memory.0.clone()))))
}

/// Ends a handle. NULL is fine. With the last one, and the checkpoint, the memory goes.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_memory_free(memory: Option<Box<Memory>>) {
    end(memory);
}
