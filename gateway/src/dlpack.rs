//! Memory as DLPack (`dlpack.h`), which torch, numpy, JAX and others take without copying.
//!
//! Both forms are here: the one of 1.0 and later, with a version ([`versioned`]), and the one before
//! it ([`managed`]), which every torch since 1.10 takes. Neither is read-only: the memory is private
//! to its holder. Each keeps its memory alive by itself until its deleter is called.
//!
//! It refuses element types that DLPack has no name for.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use secure_torch_core::checkpoint::{Dtype, Family};

use crate::load::Memory;

const CPU: i32 = 1;

/// The version that [`versioned`] follows: the first that names the types of float8 and float4.
const VERSION: Version = Version { major: 1, minor: 1 };

/// `DLPackVersion`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Another one breaks consumers.
    pub major: u32,
    /// A later one adds to what the earlier has.
    pub minor: u32,
}

/// `DLDataType`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataType {
    /// `DLDataTypeCode`
    pub code: u8,
    /// The bits of one lane.
    pub bits: u8,
    /// How many numbers stand in one element.
    pub lanes: u16,
}

/// `DLTensor`
#[repr(C)]
#[derive(Debug)]
pub struct Tensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`
#[repr(C)]
#[derive(Debug)]
pub struct ManagedTensor {
    tensor: Tensor,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

/// `DLManagedTensorVersioned`
#[repr(C)]
#[derive(Debug)]
pub struct ManagedTensorVersioned {
    version: Version,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
    flags: u64,
    tensor: Tensor,
}

/// Sizes and strides, to which the header points: not a `Box`, which would claim to be the only way to
/// them wherever it moves.
struct Sizes(NonNull<[i64]>);

impl Drop for Sizes {
    fn drop(&mut self) {
        // SAFETY: `made` leaked them from a `Box`, and nobody looks at them after the header's end.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What a header is the first field of, and what it refers to.
#[repr(C)]
struct Managed<H> {
    header: H,
    sizes: Sizes,
    memory: Memory,
}

/// DLPack's name for an element type.
#[must_use]
pub const fn data_type(dtype: Dtype) -> Option<DataType> {
    let (code, lanes) = match dtype {
        Dtype::Bfloat16 => (4, 1),
        Dtype::Float8E4m3fn => (10, 1),
        Dtype::Float8E4m3fnuz => (11, 1),
        Dtype::Float8E5m2 => (12, 1),
        Dtype::Float8E5m2fnuz => (13, 1),
        Dtype::Float8E8m0fnu => (14, 1),
        // Two to the byte (`aten/src/ATen/DLConvertor.cpp`).
        Dtype::Float4E2m1fnX2 => return Some(DataType { code: 17, bits: 4, lanes: 2 }),
        _ => match dtype.family() {
            Family::Signed => (0, 1),
            Family::Unsigned => (1, 1),
            Family::Float => (2, 1),
            Family::Complex => (5, 1),
            Family::Bool => (6, 1),
            Family::Quantized | Family::Bits => return None,
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
    Some(DataType { code, bits, lanes })
}

/// A `DLManagedTensorVersioned` over memory that starts with a tensor's first element, its strides in
/// elements. Nothing for types and sizes that DLPack does not have. Whoever takes it calls its
/// deleter, once, on any thread.
///
/// The memory has to hold every element: the caller has counted.
#[must_use]
pub fn versioned(
    memory: Memory,
    dtype: Dtype,
    shape: &[u64],
    strides: &[u64],
) -> Option<NonNull<ManagedTensorVersioned>> {
    if shape.len() != strides.len() {
        return None;
    }
    let header = |tensor| ManagedTensorVersioned {
        version: VERSION,
        manager: ptr::null_mut(),
        deleter: Some(delete::<ManagedTensorVersioned>),
        flags: 0,
        tensor,
    };
    let managed = made(memory, dtype, shape, Some(strides), header)?;
    Some(managed.cast())
}

/// A `DLManagedTensor` over memory that a tensor of this type and shape fills, its elements in order.
/// See [`versioned`].
#[must_use]
pub fn managed(memory: Memory, dtype: Dtype, shape: &[u64]) -> Option<NonNull<ManagedTensor>> {
    let deleter = Some(delete::<ManagedTensor> as unsafe extern "C" fn(*mut ManagedTensor));
    let header = |tensor| ManagedTensor { tensor, manager: ptr::null_mut(), deleter };
    Some(made(memory, dtype, shape, None, header)?.cast())
}

/// Ends a tensor that nobody took.
///
/// # Safety
/// It is one of [`managed`]'s that nobody will use again.
pub unsafe fn end(managed: NonNull<ManagedTensor>) {
    // SAFETY: as the caller says.
    unsafe { delete(managed.as_ptr()) };
}

/// [`end`], of one with a version.
///
/// # Safety
/// It is one of [`versioned`]'s that nobody will use again.
pub unsafe fn end_versioned(managed: NonNull<ManagedTensorVersioned>) {
    // SAFETY: as the caller says.
    unsafe { delete(managed.as_ptr()) };
}

fn made<H>(
    memory: Memory,
    dtype: Dtype,
    shape: &[u64],
    strides: Option<&[u64]>,
    header: impl FnOnce(Tensor) -> H,
) -> Option<NonNull<Managed<H>>> {
    let dtype = data_type(dtype)?;
    let all = shape.iter().chain(strides.unwrap_or_default());
    let sizes: Option<Box<[i64]>> = all.map(|&size| i64::try_from(size).ok()).collect();
    let sizes = Sizes(NonNull::from(Box::leak(sizes?)));
    let start = sizes.0.as_ptr().cast::<i64>();
    let tensor = Tensor {
        data: memory.start().as_ptr().cast(),
        device_type: CPU,
        device_id: 0,
        ndim: i32::try_from(shape.len()).ok()?,
        dtype,
        shape: start,
        // Behind the sizes; without strides the elements follow each other.
        strides: strides.map_or(ptr::null_mut(), |_| start.wrapping_add(shape.len())),
        byte_offset: 0,
    };
    let managed = Box::new(Managed { header: header(tensor), sizes, memory });
    Some(NonNull::from(Box::leak(managed)))
}

/// Ends a header and what it keeps alive. A consumer calls it on any thread.
///
/// # Safety
/// `managed` is NULL, or one of [`made`]'s that nobody will use again.
unsafe extern "C" fn delete<H>(managed: *mut H) {
    if managed.is_null() {
        return;
    }
    // SAFETY: the header is the first field of the `Managed` that `made` leaked from a `Box`.
    let managed = unsafe { Box::from_raw(managed.cast::<Managed<H>>()) };
    // Freeing memory and closing mappings does not panic.
    drop(managed);
}
