//! `secure_torch_value`: what a value is, before anything is asked of it.

/// A value of a checkpoint. It is valid with the checkpoint that gave it; of a value that was made
/// otherwise nothing but an error or another value of the checkpoint comes.
///
/// Two values of kinds from SECURE_TORCH_KIND_BYTEARRAY on that have the same kind and payload are
/// one object. Values form no cycle.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// What it is: one of SECURE_TORCH_KIND_*. A later release may give kinds that this header does
    /// not know.
    pub kind: KindNumber,
    /// 0
    pub reserved: u32,
    /// The library's own.
    pub payload: u64,
}

/// What a value is: one of SECURE_TORCH_KIND_*, whose numbers are permanent.
pub type KindNumber = u32;
/// None.
pub const SECURE_TORCH_KIND_NONE: KindNumber = 0;
/// A bool: secure_torch_value_bool().
pub const SECURE_TORCH_KIND_BOOL: KindNumber = 1;
/// An integer of up to 64 bits: secure_torch_value_int().
pub const SECURE_TORCH_KIND_INT: KindNumber = 2;
/// Any other integer: secure_torch_value_bytes(), two's complement, little-endian.
pub const SECURE_TORCH_KIND_BIGINT: KindNumber = 3;
/// A float: secure_torch_value_float().
pub const SECURE_TORCH_KIND_FLOAT: KindNumber = 4;
/// A str: secure_torch_value_text().
pub const SECURE_TORCH_KIND_STRING: KindNumber = 5;
/// A bytes: secure_torch_value_bytes().
pub const SECURE_TORCH_KIND_BYTES: KindNumber = 6;
/// A tuple: secure_torch_value_item().
pub const SECURE_TORCH_KIND_TUPLE: KindNumber = 7;
/// A torch.Size: secure_torch_value_item().
pub const SECURE_TORCH_KIND_SIZE: KindNumber = 8;
/// A torch.dtype: secure_torch_value_dtype().
pub const SECURE_TORCH_KIND_DTYPE: KindNumber = 9;
/// A class, a layout or a memory format, by name alone: secure_torch_value_class().
pub const SECURE_TORCH_KIND_GLOBAL: KindNumber = 10;
/// A storage as a value of its own: secure_torch_value_storage().
pub const SECURE_TORCH_KIND_STORAGE: KindNumber = 11;
/// A bytearray: secure_torch_value_bytes().
pub const SECURE_TORCH_KIND_BYTEARRAY: KindNumber = 12;
/// A complex: secure_torch_value_complex().
pub const SECURE_TORCH_KIND_COMPLEX: KindNumber = 13;
/// A list: secure_torch_value_item().
pub const SECURE_TORCH_KIND_LIST: KindNumber = 14;
/// A dict or one of its kin: secure_torch_value_entry(), secure_torch_value_class(),
/// secure_torch_value_state(), and for a defaultdict secure_torch_value_factory().
pub const SECURE_TORCH_KIND_DICT: KindNumber = 15;
/// A set: secure_torch_value_item().
pub const SECURE_TORCH_KIND_SET: KindNumber = 16;
/// A frozenset: secure_torch_value_item().
pub const SECURE_TORCH_KIND_FROZENSET: KindNumber = 17;
/// A collections.deque: secure_torch_value_item(), secure_torch_value_deque_limit().
pub const SECURE_TORCH_KIND_DEQUE: KindNumber = 18;
/// A slice: secure_torch_value_item(), which gives start, stop and step.
pub const SECURE_TORCH_KIND_SLICE: KindNumber = 19;
/// A range: secure_torch_value_range().
pub const SECURE_TORCH_KIND_RANGE: KindNumber = 20;
/// A torch.device: secure_torch_value_device().
pub const SECURE_TORCH_KIND_DEVICE: KindNumber = 21;
/// A tensor: secure_torch_value_tensor().
pub const SECURE_TORCH_KIND_TENSOR: KindNumber = 22;
/// A torch.nn.Parameter or what wraps a tensor like one: secure_torch_value_tensor(), which fails for
/// one that is not initialised, secure_torch_value_class(), secure_torch_value_state().
pub const SECURE_TORCH_KIND_PARAMETER: KindNumber = 23;
/// A sparse tensor: secure_torch_value_sparse().
pub const SECURE_TORCH_KIND_SPARSE: KindNumber = 24;
/// A numpy.ndarray of numbers, strings or records: secure_torch_value_array().
pub const SECURE_TORCH_KIND_ARRAY: KindNumber = 25;
/// A numpy.ndarray of objects: secure_torch_value_array() for its shape, secure_torch_value_item().
pub const SECURE_TORCH_KIND_OBJECT_ARRAY: KindNumber = 26;
/// A numpy scalar: secure_torch_value_numpy_dtype(), secure_torch_value_bytes().
pub const SECURE_TORCH_KIND_SCALAR: KindNumber = 27;
/// A numpy.dtype: secure_torch_value_numpy_dtype().
pub const SECURE_TORCH_KIND_NUMPY_DTYPE: KindNumber = 28;
/// An instance of any other class that a checkpoint may hold: secure_torch_value_class(),
/// secure_torch_value_item() for the arguments of the call that makes it, secure_torch_value_state().
pub const SECURE_TORCH_KIND_INSTANCE: KindNumber = 29;
