//! Arrays and element types of numpy's, and sparse tensors: what is seldom in a checkpoint.

use std::mem::MaybeUninit;
use std::ptr;

use secure_torch::Checkpoint as Made;
use secure_torch::core::checkpoint::{NumpyDtype as Held, Object, Span};

use crate::boundary::{Failure, fill, given};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::library::ResultNumber;
use crate::object::{self, number, other};
use crate::report::item;
use crate::text::Str;
use crate::value::Value;

/// An element type of numpy's. Its texts belong to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NumpyDtype {
    /// The unit of a date or a span of time: `ns`; empty for everything else.
    pub unit: Str,
    /// The library's own; it leads to the fields.
    pub fields: u64,
    /// How many of the unit make one step.
    pub unit_count: u32,
    /// The bytes of an element.
    pub size: u32,
    /// How many fields a record has: secure_torch_numpy_field(). 0 for everything else.
    pub field_count: u32,
    /// numpy's letter: `b`, `i`, `u`, `f`, `c`, `S`, `U`, `V`, `M`, `m`; `O` in a dtype that stands
    /// by itself.
    pub kind: u8,
    /// Whether the bytes of an element stand in big-endian order.
    pub big_endian: bool,
    /// Whether a record is laid out as a compiler of C would.
    pub aligned: bool,
}

/// A field of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NumpyField {
    /// Its name. It belongs to the checkpoint.
    pub name: Str,
    /// Its type.
    pub dtype: NumpyDtype,
    /// Where it starts in the record, in bytes.
    pub offset: u32,
}

/// An array of numpy's. Its sizes belong to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Array {
    /// The sizes, `rank` of them, none negative.
    pub shape: *const i64,
    /// The type of an element; that of objects has the kind `O` alone.
    pub dtype: NumpyDtype,
    /// The number of the storage, whose bytes the elements fill; UINT64_MAX for objects, which are
    /// items of the value.
    pub storage: u64,
    /// How many dimensions there are.
    pub rank: u32,
    /// Whether the first index changes fastest; the last does otherwise.
    pub fortran: bool,
}

impl Default for Array {
    fn default() -> Self {
        let dtype = NumpyDtype::default();
        Self { shape: ptr::null(), dtype, storage: u64::MAX, rank: 0, fortran: false }
    }
}

fn told(dtype: &Held) -> NumpyDtype {
    let (unit, unit_count) = dtype.unit.unwrap_or_default();
    NumpyDtype {
        unit: Str::from(unit),
        fields: object::packed(dtype.fields),
        unit_count,
        size: dtype.size,
        field_count: u32::try_from(dtype.fields.len()).unwrap_or(u32::MAX),
        kind: dtype.kind,
        big_endian: dtype.big,
        aligned: dtype.aligned,
    }
}

/// Sizes as C sees them: their address and how many there are.
fn sizes(made: &Made, span: Span) -> Result<(*const i64, u32), Failure> {
    let sizes = made.dims(span);
    // C reads them with a sign.
    if sizes.iter().any(|&size| i64::try_from(size).is_err()) {
        let message = "a size is larger than any that memory has";
        return Err(Failure::of(secure_torch::Code::Malformed, message));
    }
    Ok((sizes.as_ptr().cast(), u32::try_from(sizes.len()).unwrap_or(u32::MAX)))
}

/// An array of numbers, strings or records, or the shape of one of objects.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_array(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    array: Option<&mut MaybeUninit<Array>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("array", array, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        match object::object(made, value)? {
            Some(Object::Array(array)) => {
                let (shape, rank) = sizes(made, array.shape)?;
                let (dtype, storage) = (told(&array.dtype), array.storage.index() as u64);
                Ok(Array { shape, dtype, storage, rank, fortran: array.fortran })
            }
            Some(Object::ObjectArray(shape, _, fortran)) => {
                let (shape, rank) = sizes(made, *shape)?;
                let dtype = NumpyDtype { kind: b'O', size: 8, ..NumpyDtype::default() };
                Ok(Array { shape, dtype, storage: u64::MAX, rank, fortran: *fortran })
            }
            _ => Err(other(value, "array")),
        }
    })
}

/// The type of a numpy scalar or array, or a numpy.dtype.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_numpy_dtype(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    dtype: Option<&mut MaybeUninit<NumpyDtype>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("dtype", dtype, error, || {
        match object::object(given(checkpoint, "checkpoint")?.made(), value)? {
            Some(Object::Scalar(dtype, _) | Object::NumpyDtype(dtype)) => Ok(told(dtype)),
            Some(Object::Array(array)) => Ok(told(&array.dtype)),
            _ => Err(other(value, "numpy dtype")),
        }
    })
}

/// A field of a record type that the checkpoint gave, `index` less than its `field_count`.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_numpy_field(
    checkpoint: Option<&Checkpoint>,
    dtype: Option<&NumpyDtype>,
    index: usize,
    field: Option<&mut MaybeUninit<NumpyField>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("field", field, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let fields = made.fields(object::span(given(dtype, "dtype")?.fields));
        let found = item(fields, index, "fields")?;
        Ok(NumpyField {
            name: Str::from(made.text(found.name)),
            dtype: told(&found.dtype),
            offset: found.offset,
        })
    })
}

/// Whether the indices of a sparse tensor are said to be sorted and unique: one of
/// SECURE_TORCH_COALESCED_*.
pub type CoalescedNumber = u32;
/// Nothing is said.
pub const SECURE_TORCH_COALESCED_UNKNOWN: CoalescedNumber = 0;
/// They are not.
pub const SECURE_TORCH_COALESCED_NO: CoalescedNumber = 1;
/// They are.
pub const SECURE_TORCH_COALESCED_YES: CoalescedNumber = 2;

/// A sparse tensor, whose indices were checked when it was loaded. Its sizes belong to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sparse {
    /// `sparse_coo`, `sparse_csr`, `sparse_csc`, `sparse_bsr` or `sparse_bsc`.
    pub layout: Str,
    /// The sizes, `rank` of them, none negative.
    pub shape: *const i64,
    /// How many dimensions there are.
    pub rank: u32,
    /// The tensor of the indices of `sparse_coo`; of the others that of the compressed ones.
    pub indices: u32,
    /// The tensor of the plain indices, where `has_plain_indices` says that there is one.
    pub plain_indices: u32,
    /// The tensor of the values.
    pub values: u32,
    /// Whether the indices are said to be sorted and unique.
    pub coalesced: CoalescedNumber,
    /// Whether there are plain indices: not for `sparse_coo`.
    pub has_plain_indices: bool,
}

impl Default for Sparse {
    fn default() -> Self {
        Self {
            layout: Str::default(),
            shape: ptr::null(),
            rank: 0,
            indices: 0,
            plain_indices: 0,
            values: 0,
            coalesced: SECURE_TORCH_COALESCED_UNKNOWN,
            has_plain_indices: false,
        }
    }
}

/// A sparse tensor, or the one in a parameter.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_sparse(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    sparse: Option<&mut MaybeUninit<Sparse>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("sparse", sparse, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let inner = match object::object(made, value)? {
            Some(Object::Parameter(parameter)) => parameter.data.map(|data| made.object(data)),
            found => found,
        };
        let Some(Object::Sparse(sparse)) = inner else {
            return Err(other(value, "sparse tensor"));
        };
        let (shape, rank) = sizes(made, sparse.shape)?;
        Ok(Sparse {
            layout: Str::from(sparse.layout.name()),
            shape,
            rank,
            indices: number(sparse.indices),
            plain_indices: sparse.plain.map_or(0, number),
            values: number(sparse.values),
            coalesced: match sparse.coalesced {
                None => SECURE_TORCH_COALESCED_UNKNOWN,
                Some(false) => SECURE_TORCH_COALESCED_NO,
                Some(true) => SECURE_TORCH_COALESCED_YES,
            },
            has_plain_indices: sparse.plain.is_some(),
        })
    })
}
