//! Memory as a DLPack capsule (dlpack.h, version 0.8), which torch takes without copying.
//!
//! The form without a version is the one that every torch since 1.10 takes; it has no flag for
//! read-only memory, and none is given out here.

use std::ffi::{CStr, c_void};

use pyo3::ffi;
use pyo3::prelude::*;
use secure_torch::Memory;
use secure_torch::core::checkpoint::{Dtype, Family};

/// The most dimensions of a tensor that is handed over this way.
pub(crate) const DIMENSIONS: usize = 8;

const NAME: &CStr = c"dltensor";
const CPU: i32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct ManagedTensor {
    tensor: Tensor,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedTensor)>,
}

/// What a capsule points to: the header that DLPack prescribes, and behind it what it refers to.
#[repr(C)]
struct Managed {
    header: ManagedTensor,
    shape: [i64; DIMENSIONS],
    memory: Memory,
}

/// DLPack's name for an element type, where every torch knows it.
const fn data_type(dtype: Dtype) -> Option<DataType> {
    let code = match dtype {
        Dtype::Bfloat16 => 4,
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => 2,
        // uint16 and wider came to torch later than the types that it takes here.
        Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => return None,
        _ => match dtype.family() {
            Family::Signed => 0,
            Family::Unsigned => 1,
            Family::Complex => 5,
            Family::Bool => 6,
            Family::Float | Family::Quantized | Family::Bits => return None,
        },
    };
    let bits = match dtype.size() {
        1 => 8,
        2 => 16,
        4 => 32,
        8 => 64,
        16 => 128,
        _ => return None,
    };
    Some(DataType { code, bits, lanes: 1 })
}

/// A capsule over memory that a tensor of this type and shape fills, its elements in order. `None`
/// for types and shapes that are not handed over this way.
pub(crate) fn capsule<'py>(
    py: Python<'py>,
    memory: &Memory,
    dtype: Dtype,
    sizes: &[u64],
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let dtype = data_type(dtype)?;
    let mut shape = [0; DIMENSIONS];
    for (place, &size) in shape.get_mut(..sizes.len())?.iter_mut().zip(sizes) {
        *place = i64::try_from(size).ok()?;
    }
    let tensor = Tensor {
        data: memory.start().as_ptr().cast(),
        device_type: CPU,
        device_id: 0,
        ndim: i32::try_from(sizes.len()).ok()?,
        dtype,
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let header = ManagedTensor { tensor, manager: std::ptr::null_mut(), deleter: Some(delete) };
    let managed = Box::into_raw(Box::new(Managed { header, shape, memory: memory.clone() }));
    // SAFETY: `managed` was just made and nobody else has it.
    let owned = unsafe { &mut *managed };
    owned.header.tensor.shape = owned.shape.as_mut_ptr();
    // SAFETY: the name lives as long as the program; the destructor is for capsules of this name
    // and content.
    let capsule = unsafe { ffi::PyCapsule_New(managed.cast(), NAME.as_ptr(), Some(destroy)) };
    // SAFETY: a new reference, or null with an exception set.
    let capsule = unsafe { Bound::from_owned_ptr_or_err(py, capsule) };
    if capsule.is_err() {
        // SAFETY: no capsule took it over.
        unsafe { delete(managed.cast()) };
    }
    Some(capsule)
}

/// Ends what a capsule pointed to. A consumer calls it on any thread, with or without the GIL.
///
/// # Safety
/// `managed` is one of [`capsule`]'s that nobody will use again.
unsafe extern "C" fn delete(managed: *mut ManagedTensor) {
    // SAFETY: the header is the first field of the `Managed` that `capsule` made in a `Box`.
    drop(unsafe { Box::from_raw(managed.cast::<Managed>()) });
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
    // SAFETY: nobody consumed it, so it is still ours alone.
    unsafe { delete(managed.cast()) };
}
