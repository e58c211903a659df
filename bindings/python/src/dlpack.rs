//! Memory as a DLPack capsule, which torch takes without copying.

use std::ffi::CStr;
use std::ptr::NonNull;

use pyo3::ffi;
use pyo3::prelude::*;
use secure_torch::Memory;
use secure_torch::core::checkpoint::Dtype;
use secure_torch::dlpack::{self, ManagedTensor};

/// The most dimensions of a tensor that is handed over this way.
pub(crate) const DIMENSIONS: usize = 8;

const NAME: &CStr = c"dltensor";

/// A capsule over memory that a tensor of this type and shape fills, its elements in order. `None`
/// for types and shapes that are not handed over this way.
pub(crate) fn capsule<'py>(
    py: Python<'py>,
    memory: &Memory,
    dtype: Dtype,
    sizes: &[u64],
) -> Option<PyResult<Bound<'py, PyAny>>> {
    if sizes.len() > DIMENSIONS || !is_taken(dtype) {
        return None;
    }
    let managed = dlpack::managed(memory.clone(), dtype, sizes)?;
    let start = managed.as_ptr().cast();
    // SAFETY: the name lives as long as the program; the destructor is for capsules of this name
    // and content.
    let capsule = unsafe { ffi::PyCapsule_New(start, NAME.as_ptr(), Some(destroy)) };
    // SAFETY: a new reference, or null with an exception set.
    let capsule = unsafe { Bound::from_owned_ptr_or_err(py, capsule) };
    if capsule.is_err() {
        // SAFETY: no capsule took it over.
        unsafe { dlpack::end(managed) };
    }
    Some(capsule)
}

/// Whether every torch since 1.10 takes an element type this way. The kinds of float8, and uint16 and
/// wider, came to it later.
fn is_taken(dtype: Dtype) -> bool {
    let late = matches!(dtype, Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64);
    // The codes up to that of bool.
    !late && dlpack::data_type(dtype).is_some_and(|found| found.code <= 6)
}

/// Ends a capsule. One that was consumed carries another name by then, and is the consumer's.
///
/// # Safety
/// Python calls it, with one of [`capsule`]'s capsules.
unsafe extern "C" fn destroy(capsule: *mut ffi::PyObject) {
    // SAFETY: Python passes a capsule that is alive.
    if unsafe { ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) } == 0 {
        return;
    }
    // SAFETY: the capsule is valid under this name.
    let managed = unsafe { ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()) };
    if let Some(managed) = NonNull::new(managed.cast::<ManagedTensor>()) {
        // SAFETY: nobody consumed it, so it is still ours alone.
        unsafe { dlpack::end(managed) };
    }
}
