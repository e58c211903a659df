//! Tensors: what they are, and where their elements lie.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use secure_torch::core::checkpoint::extent::Extent;
use secure_torch::core::checkpoint::{
    Dtype, Object, Parameter, Quantizer as Held, Tensor, Value as Core,
};
use secure_torch::{Checkpoint as Made, Code, Memory};

use crate::boundary::{Failure, fill, given, tell};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::library::ResultNumber;
use crate::object::{held, number, other};
use crate::text::Str;
use crate::tree::Class;
use crate::value::Value;

/// The type of a tensor's elements: one of SECURE_TORCH_DTYPE_*, whose numbers are permanent. They are
/// those of c10::ScalarType.
pub type DtypeNumber = u32;

/// The name of a dtype in torch: `float32`. Empty for a number that is none. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_dtype_name(dtype: DtypeNumber) -> Str {
    tell(Str::default(), || Str::of(Dtype::from_number(dtype).map(Dtype::name)))
}

/// The bytes of an element. Types of less than a byte are stored in a whole one. 0 for a number that
/// is none.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_dtype_size(dtype: DtypeNumber) -> u64 {
    tell(0, || Dtype::from_number(dtype).map_or(0, Dtype::size))
}

/// A tensor: how the elements of a storage are looked at. It lies inside its storage. Its sizes,
/// strides and texts belong to the checkpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TensorInfo {
    /// The sizes, `rank` of them, none negative.
    pub shape: *const i64,
    /// The strides, in elements, `rank` of them, none negative.
    pub strides: *const i64,
    /// How many elements there are, those that share a place counted each.
    pub elements: u64,
    /// The number of the storage; UINT64_MAX for a tensor without data (`is_meta`).
    pub storage: u64,
    /// How many elements of the storage lie before the first.
    pub storage_offset: u64,
    /// The bytes from the first element to the end of the last; 0 without elements.
    pub data_length: u64,
    /// The tensor subclass or the class of the parameter that the file names; empty for none.
    pub class_of: Class,
    /// The bytes of an element.
    pub element_size: u32,
    /// The type of the elements.
    pub dtype: DtypeNumber,
    /// How many dimensions there are; at most 64.
    pub rank: u32,
    /// Whether it collects gradients.
    pub requires_grad: bool,
    /// Whether it shows the complex conjugate of its elements.
    pub is_conj: bool,
    /// Whether it shows the negative of its elements.
    pub is_neg: bool,
    /// Whether it has no data: it is on torch's `meta` device.
    pub is_meta: bool,
    /// Whether it is a torch.nn.Parameter or what wraps a tensor like one.
    pub is_parameter: bool,
    /// Whether it is quantised: secure_torch_tensor_quantizer().
    pub is_quantized: bool,
}

impl Default for TensorInfo {
    fn default() -> Self {
        Self {
            shape: ptr::null(),
            strides: ptr::null(),
            elements: 0,
            storage: u64::MAX,
            storage_offset: 0,
            data_length: 0,
            class_of: Class::default(),
            element_size: 0,
            dtype: 0,
            rank: 0,
            requires_grad: false,
            is_conj: false,
            is_neg: false,
            is_meta: false,
            is_parameter: false,
            is_quantized: false,
        }
    }
}

/// The tensor of a number: that of a tensor, or of a parameter that has one.
pub(crate) fn tensor(made: &Made, index: u32) -> Result<(&Tensor, Option<&Parameter>), Failure> {
    let lost = || Failure::usage(format!("`tensor` is {index}, which is no tensor"));
    let id = usize::try_from(index).ok().and_then(|index| made.object_id(index));
    match made.object(id.ok_or_else(lost)?) {
        Object::Tensor(tensor) => Ok((tensor, None)),
        Object::Parameter(parameter) => match parameter.data.map(|data| made.object(data)) {
            Some(Object::Tensor(tensor)) => Ok((tensor, Some(parameter))),
            _ => Err(lost()),
        },
        _ => Err(lost()),
    }
}

/// How many bytes there are from a tensor's first element to the end of its last, and how many
/// elements.
pub(crate) fn extent(made: &Made, tensor: &Tensor) -> Result<(u64, Extent), Failure> {
    let over = |_| Failure::of(Code::Malformed, "a tensor has more elements than can be counted");
    let extent = Extent::of(made.shape(tensor), made.strides(tensor)).map_err(over)?;
    // The core counted before that this fits.
    Ok((extent.reach.saturating_mul(tensor.dtype().size()), extent))
}

/// The number of a tensor, or of the parameter around one, for secure_torch_tensor_info() and its kin.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds, and for a parameter that is not
/// initialised.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_value_tensor(
    checkpoint: Option<&Checkpoint>,
    value: Value,
    tensor: Option<&mut MaybeUninit<u32>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("tensor", tensor, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let Core::Object(id) = held(made, value)? else { return Err(other(value, "tensor")) };
        match made.object(id) {
            Object::Tensor(_) => Ok(number(id)),
            Object::Parameter(parameter) => match parameter.data.map(|data| made.object(data)) {
                Some(Object::Tensor(_)) => Ok(number(id)),
                Some(_) => Err(Failure::usage("`value` is a parameter around no dense tensor")),
                None => Err(Failure::usage("`value` is a parameter that is not initialised")),
            },
            _ => Err(other(value, "tensor")),
        }
    })
}

/// What a tensor is.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for a number that is no tensor's.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_tensor_info(
    checkpoint: Option<&Checkpoint>,
    tensor: u32,
    info: Option<&mut MaybeUninit<TensorInfo>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("info", info, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let (tensor, parameter) = self::tensor(made, tensor)?;
        let (length, extent) = extent(made, tensor)?;
        let class = parameter.map(|parameter| parameter.class).or(tensor.class());
        let storage = tensor.storage().map(|id| id.index() as u64);
        Ok(TensorInfo {
            // Sizes and strides are checked to fit the sign bit's half when the tensor is made.
            shape: made.shape(tensor).as_ptr().cast(),
            strides: made.strides(tensor).as_ptr().cast(),
            elements: extent.elements,
            storage: storage.unwrap_or(u64::MAX),
            storage_offset: tensor.offset(),
            data_length: length,
            class_of: class.map_or_else(Class::default, Class::of),
            element_size: u32::try_from(tensor.dtype().size()).unwrap_or(u32::MAX),
            dtype: tensor.dtype().number().into(),
            rank: u32::try_from(tensor.rank()).unwrap_or(u32::MAX),
            requires_grad: parameter.map_or(tensor.requires_grad(), |held| held.requires_grad),
            is_conj: tensor.is_conj(),
            is_neg: tensor.is_neg(),
            is_meta: storage.is_none(),
            is_parameter: parameter.is_some(),
            is_quantized: made.quantizer(tensor).is_some(),
        })
    })
}

/// How the integers of a quantised tensor stand for floats: one of SECURE_TORCH_QUANTIZER_*.
pub type QuantizerNumber = u32;
/// Not at all.
pub const SECURE_TORCH_QUANTIZER_NONE: QuantizerNumber = 0;
/// One scale and one zero point for all.
pub const SECURE_TORCH_QUANTIZER_PER_TENSOR: QuantizerNumber = 1;
/// A scale and a zero point for each index along an axis.
pub const SECURE_TORCH_QUANTIZER_PER_CHANNEL: QuantizerNumber = 2;
/// The same, with zero points that are floats.
pub const SECURE_TORCH_QUANTIZER_PER_CHANNEL_FLOAT: QuantizerNumber = 3;

/// How the integers of a quantised tensor stand for floats.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantizer {
    /// The scale, where there is one for all.
    pub scale: f64,
    /// The zero point, where there is one for all.
    pub zero_point: i64,
    /// One of SECURE_TORCH_QUANTIZER_*; the fields that it does not name are 0.
    pub kind: QuantizerNumber,
    /// The axis of the channels, less than the rank.
    pub axis: u32,
    /// The tensor of the scales, as many as there are channels.
    pub scales: u32,
    /// The tensor of the zero points, as many as there are channels.
    pub zero_points: u32,
}

/// How the integers of a tensor stand for floats; SECURE_TORCH_QUANTIZER_NONE where it is not
/// quantised.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for a number that is no tensor's.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_tensor_quantizer(
    checkpoint: Option<&Checkpoint>,
    tensor: u32,
    quantizer: Option<&mut MaybeUninit<Quantizer>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("quantizer", quantizer, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let (tensor, _) = self::tensor(made, tensor)?;
        Ok(match made.quantizer(tensor) {
            None => Quantizer { kind: SECURE_TORCH_QUANTIZER_NONE, ..Quantizer::default() },
            Some(&Held::PerTensor { scale, zero_point }) => Quantizer {
                scale,
                zero_point,
                kind: SECURE_TORCH_QUANTIZER_PER_TENSOR,
                ..Quantizer::default()
            },
            Some(&Held::PerChannel { scales, zero_points, axis, float }) => Quantizer {
                kind: match float {
                    false => SECURE_TORCH_QUANTIZER_PER_CHANNEL,
                    true => SECURE_TORCH_QUANTIZER_PER_CHANNEL_FLOAT,
                },
                axis: axis.into(),
                scales: number(scales),
                zero_points: number(zero_points),
                ..Quantizer::default()
            },
        })
    })
}

/// The elements of a tensor in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TensorData {
    /// The first element, aligned for its type and little-endian; never NULL. What is written there
    /// is seen through this checkpoint alone and never reaches the file.
    pub data: *mut c_void,
    /// The bytes from there to the end of the last element; 0 without elements.
    pub length: usize,
}

impl Default for TensorData {
    fn default() -> Self {
        Self { data: ptr::null_mut(), length: 0 }
    }
}

/// The elements of a tensor in memory: those of the file's mapping where they lie there as they are,
/// else unpacked when the storage is first asked for. They are laid out as secure_torch_tensor_info()
/// says, and belong to the checkpoint.
///
/// The flags `is_conj` and `is_neg` are not applied. Threads: whoever writes there sees to it that
/// nobody reads meanwhile.
///
/// Errors: SECURE_TORCH_RESULT_MODEL_MALFORMED where a compressed storage does not unpack to what it
/// declares, SECURE_TORCH_RESULT_INPUT_TOO_LARGE past a limit, SECURE_TORCH_RESULT_MODEL_UNSUPPORTED
/// for a tensor without data, SECURE_TORCH_RESULT_USAGE for a number that is no tensor's.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_tensor_data(
    checkpoint: Option<&Checkpoint>,
    tensor: u32,
    data: Option<&mut MaybeUninit<TensorData>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("data", data, error, || {
        let made = given(checkpoint, "checkpoint")?.made();
        let (tensor, _) = self::tensor(made, tensor)?;
        let (length, _) = extent(made, tensor)?;
        let memory = made.memory(tensor.storage().ok_or_else(without_data)?)?;
        // The checkpoint keeps what it handed out, so the address outlives this handle to it.
        let part = part(memory, tensor, length)?;
        Ok(TensorData { data: part.start().as_ptr().cast(), length: part.len() })
    })
}

/// Where a tensor lies in its storage's memory.
pub(crate) fn part(memory: Memory, tensor: &Tensor, length: u64) -> Result<Memory, Failure> {
    // One without elements may be said to lie anywhere.
    let offset = if length == 0 { 0 } else { tensor.offset() };
    let start = offset.saturating_mul(tensor.dtype().size());
    let part = usize::try_from(length).ok().and_then(|length| memory.part(start, length));
    part.ok_or_else(|| Failure::of(Code::Malformed, "a tensor lies outside of its storage"))
}

pub(crate) fn without_data() -> Failure {
    Failure::of(Code::Unsupported, "the tensor has no data: it was saved on the `meta` device")
}
