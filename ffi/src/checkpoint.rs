//! `secure_torch_checkpoint`: what was in a file, and the file, kept open.

use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use secure_torch::NamedTensor as Named;
use secure_torch::core::checkpoint::{Object, Value as Held};

use crate::boundary::{Failure, end, enter, fill, given, tell};
use crate::error::Error;
use crate::library::ResultNumber;
use crate::object;
use crate::report::item;
use crate::text::Str;
use crate::value::Value;

/// What was in a model file: a tree of values, tensors, and the storages below them. The file stays
/// open as long as a handle to it lives.
///
/// Ownership: yours; end it with secure_torch_checkpoint_free(). Threads: it never changes, and any
/// number of them may use it.
#[derive(Debug)]
pub struct Checkpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    made: secure_torch::Checkpoint,
    /// The tensors by their dotted names, once they were asked for.
    named: OnceLock<Vec<Named>>,
}

impl Checkpoint {
    pub(crate) fn new(made: secure_torch::Checkpoint) -> Self {
        Self { inner: Arc::new(Inner { made, named: OnceLock::new() }) }
    }

    pub(crate) fn made(&self) -> &secure_torch::Checkpoint {
        &self.inner.made
    }

    fn named(&self) -> Result<&[Named], Failure> {
        let Inner { made, named } = &*self.inner;
        match named.get() {
            Some(found) => Ok(found),
            None => {
                let found = made.named_tensors()?;
                Ok(named.get_or_init(|| found))
            }
        }
    }
}

/// Another handle to the same checkpoint, whose texts, values and addresses are the same: it lives as
/// long as any of its handles. NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_clone(
    checkpoint: Option<&Checkpoint>,
) -> Option<Box<Checkpoint>> {
    tell(None, || {
        checkpoint.map(|checkpoint| Box::new(Checkpoint { inner: Arc::clone(&checkpoint.inner) }))
    })
}

/// Ends a handle. NULL is fine. With the last one the file is closed, and every text, value and
/// address that was asked of the checkpoint ends; memory handles and DLPack exports do not.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_free(checkpoint: Option<Box<Checkpoint>>) {
    end(checkpoint);
}

/// The value that the file holds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_root(checkpoint: Option<&Checkpoint>) -> Value {
    tell(Value::default(), || {
        checkpoint.map_or_else(Value::default, |checkpoint| {
            let made = checkpoint.made();
            object::shown(made, made.root())
        })
    })
}

/// A pair of the metadata that the format keeps beside the values. Its texts belong to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Metadata {
    /// The key.
    pub key: Str,
    /// The value.
    pub value: Str,
}

/// How many pairs of metadata the format keeps beside the values, such as safetensors'
/// `__metadata__`.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_metadata_count(checkpoint: Option<&Checkpoint>) -> usize {
    tell(0, || checkpoint.map_or(0, |checkpoint| checkpoint.made().metadata().len()))
}

/// A pair of metadata.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_metadata(
    checkpoint: Option<&Checkpoint>,
    index: usize,
    metadata: Option<&mut MaybeUninit<Metadata>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("metadata", metadata, error, || {
        let pair = given(checkpoint, "checkpoint")?.made().metadata_at(index);
        let past = || Failure::usage(format!("`index` is {index}, past the last pair"));
        let (key, value) = pair.ok_or_else(past)?;
        Ok(Metadata { key: Str::from(key), value: Str::from(value) })
    })
}

/// A tensor by its name. The name belongs to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NamedTensor {
    /// The keys that lead to it, joined by dots; empty where it is all that there is. Not safe to
    /// print.
    pub name: Str,
    /// What it is: of the kind SECURE_TORCH_KIND_TENSOR, SECURE_TORCH_KIND_PARAMETER,
    /// SECURE_TORCH_KIND_SPARSE or SECURE_TORCH_KIND_ARRAY.
    pub value: Value,
    /// The tensor, for secure_torch_tensor_info() and its kin; UINT32_MAX for what is sparse or an
    /// array of numpy's.
    pub tensor: u32,
}

impl Default for NamedTensor {
    fn default() -> Self {
        Self { name: Str::default(), value: Value::default(), tensor: u32::MAX }
    }
}

/// How many names of tensors there are: a tensor that two keys lead to has two.
///
/// Errors: SECURE_TORCH_RESULT_INPUT_TOO_LARGE where the names take more memory than those of any
/// honest file.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_tensor_count(
    checkpoint: Option<&Checkpoint>,
    count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("count", count, error, || Ok(given(checkpoint, "checkpoint")?.named()?.len()))
}

/// A tensor by its name, in the order of the file.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last, and as
/// secure_torch_checkpoint_tensor_count().
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_tensor(
    checkpoint: Option<&Checkpoint>,
    index: usize,
    tensor: Option<&mut MaybeUninit<NamedTensor>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("tensor", tensor, error, || {
        let checkpoint = given(checkpoint, "checkpoint")?;
        let Named { name, object, parameter } = item(checkpoint.named()?, index, "tensors")?;
        let (made, id) = (checkpoint.made(), parameter.unwrap_or(*object));
        let is_dense = matches!(made.object(*object), Object::Tensor(_));
        Ok(NamedTensor {
            name: Str::from(name.as_str()),
            value: object::shown(made, Held::Object(id)),
            tensor: if is_dense { object::number(id) } else { u32::MAX },
        })
    })
}

/// Makes ready, on several threads, the memory of every storage that does not lie in the file as it
/// is, so that it is there at once when it is asked for. With `copy`, what
/// secure_torch_storage_copy() gives as well.
///
/// Errors: SECURE_TORCH_RESULT_MODEL_MALFORMED, SECURE_TORCH_RESULT_INPUT_TOO_LARGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_checkpoint_prepare(
    checkpoint: Option<&Checkpoint>,
    copy: bool,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || Ok(given(checkpoint, "checkpoint")?.made().prepare(copy)?))
}
