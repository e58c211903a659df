//! Tensors, parameters and storages: `torch/_utils.py` and `torch/serialization.py`, rebuilt.

use alloc::string::String;
use alloc::vec::Vec;

use super::{BuildDomain, StorageRequest};
use crate::checkpoint::extent::DIMENSIONS;
use crate::checkpoint::{
    Dtype, Layout, LoadError, Object, ObjectId, Parameter, Parts, Place, Problem, Quantizer, Span,
    Sparse, StorageId, Tensor, Value,
};
use crate::limits::PICKLE_NAME_BYTES;
use crate::load::Python2Text;
use crate::load::dense::Dense;
use crate::pickle::audit::PersistentIds;
use crate::pickle::decode::Instruction;
use crate::rules::AllowedGlobal;

/// Sizes, strides or offsets, on the stack.
struct Dims {
    numbers: [u64; DIMENSIONS],
    length: usize,
}

impl Dims {
    fn get(&self) -> &[u64] {
        self.numbers.get(..self.length).unwrap_or_default()
    }
}

impl BuildDomain<'_> {
    /// What a persistent id stands for (`persistent_load` in `torch/serialization.py`).
    pub(super) fn persistent_id(
        &mut self,
        instruction: &Instruction<'_>,
        id: Value,
    ) -> Result<Value, LoadError> {
        let ids = self.surroundings.ids;
        if ids == PersistentIds::Tensors {
            let number = match id {
                Value::Int(number) => Some(number),
                Value::Text(text) => self.builder.so_far().text(text).parse().ok(),
                _ => None,
            };
            let found = number.and_then(|number| self.storages.numbered(number));
            return found.ok_or(LoadError::at(Problem::PersistentId, instruction.offset));
        }
        self.storage_of(ids, id)
            .map(Value::Storage)
            .map_err(|(problem, key)| LoadError::about(problem, instruction.offset, key))
    }

    fn storage_of(
        &mut self,
        ids: PersistentIds,
        id: Value,
    ) -> Result<StorageId, (Problem, String)> {
        let none = || (Problem::PersistentId, String::new());
        let Value::Tuple(span) = id else { return Err(none()) };
        let made = self.builder.so_far();
        let (fixed, view) = match *made.items(span) {
            [a, b, c, d, e] => ([a, b, c, d, e], None),
            [a, b, c, d, e, view] if ids == PersistentIds::LegacyStorages => {
                ([a, b, c, d, e], Some(view))
            }
            _ => return Err(none()),
        };
        let legacy = matches!(ids, PersistentIds::LegacyStorages | PersistentIds::Storages);
        let [tag, Value::Global(class), key, location, Value::Int(elements)] = fixed else {
            return Err(none());
        };
        let texts = (self.internal(tag), self.internal(key), self.internal(location));
        let (Some("storage"), Some(key), Some(location)) = texts else { return Err(none()) };
        if !legacy {
            return Err(none());
        }
        let (key, location) = (String::from(key), String::from(location));
        let elements = u64::try_from(elements).map_err(|_| (Problem::PersistentId, key.clone()))?;
        let dtype = Dtype::from_class(class.name).ok_or((Problem::Dtype, key.clone()))?;
        let view = match view {
            None | Some(Value::None) => None,
            Some(Value::Tuple(view)) => match *made.items(view) {
                [key, Value::Int(offset), Value::Int(size)] => {
                    let numbers = u64::try_from(offset).ok().zip(u64::try_from(size).ok());
                    let (offset, size) = numbers.ok_or_else(none)?;
                    Some((String::from(self.internal(key).ok_or_else(none)?), offset, size))
                }
                _ => return Err(none()),
            },
            Some(_) => return Err(none()),
        };
        let view = view.as_ref().map(|(key, offset, size)| (key.as_str(), *offset, *size));
        let request = StorageRequest { key: &key, dtype, location: &location, elements, view };
        let found = self.storages.storage(self.builder, &request);
        found.map_err(|problem| (problem, key))
    }

    /// A text of PyTorch's own. Where the caller wants the strings of Python 2 as bytes, these come
    /// as bytes with the others (`_maybe_decode_ascii` in `torch/serialization.py`). None is longer
    /// than any name: each is copied.
    fn internal(&self, value: Value) -> Option<&str> {
        match value {
            Value::Text(span) | Value::Bytes(span) if span.len() > PICKLE_NAME_BYTES as usize => {
                None
            }
            Value::Text(span) => Some(self.builder.so_far().text(span)),
            Value::Bytes(span) if self.text == Python2Text::Bytes => {
                core::str::from_utf8(self.builder.so_far().bytes(span))
                    .ok()
                    .filter(|text| text.is_ascii())
            }
            _ => None,
        }
    }

    /// A callable of `torch._utils`.
    pub(super) fn torch_utils(
        &mut self,
        entry: &'static AllowedGlobal,
        arguments: &[Value],
    ) -> Result<Value, Problem> {
        match (entry.name, arguments) {
            ("_rebuild_tensor", &[Value::Storage(storage), offset, size, stride]) => {
                let tensor = self.over(storage, None, offset, size, stride, 0, None)?;
                self.object(Object::Tensor(tensor))
            }
            (
                "_rebuild_tensor_v2",
                &[
                    Value::Storage(storage),
                    offset,
                    size,
                    stride,
                    Value::Bool(grad),
                    hooks,
                    ref metadata @ ..,
                ],
            ) => {
                self.no_hooks(hooks)?;
                let flags = self.flags(grad, metadata.first())?;
                let tensor = self.over(storage, None, offset, size, stride, flags, None)?;
                self.object(Object::Tensor(tensor))
            }
            (
                "_rebuild_tensor_v3",
                &[
                    Value::Storage(storage),
                    offset,
                    size,
                    stride,
                    Value::Bool(grad),
                    hooks,
                    Value::Dtype(dtype),
                    ref metadata @ ..,
                ],
            ) => {
                self.no_hooks(hooks)?;
                let flags = self.flags(grad, metadata.first())?;
                let tensor = self.over(storage, Some(dtype), offset, size, stride, flags, None)?;
                self.object(Object::Tensor(tensor))
            }
            (
                "_rebuild_qtensor",
                &[
                    Value::Storage(storage),
                    offset,
                    size,
                    stride,
                    quantizer,
                    Value::Bool(grad),
                    hooks,
                ],
            ) => {
                self.no_hooks(hooks)?;
                let quantizer = self.quantizer(quantizer)?;
                let flags = grad_flag(grad);
                let tensor =
                    self.over(storage, None, offset, size, stride, flags, Some(quantizer))?;
                self.object(Object::Tensor(tensor))
            }
            ("_rebuild_parameter", &[data, Value::Bool(grad), hooks]) => {
                self.no_hooks(hooks)?;
                self.parameter("Parameter", Some(data), grad, None)
            }
            ("_rebuild_parameter_with_state", &[data, Value::Bool(grad), hooks, state]) => {
                self.no_hooks(hooks)?;
                self.parameter("Parameter", Some(data), grad, Some(state))
            }
            (
                "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor",
                &[Value::Global(layout), Value::Tuple(parts)],
            ) => self.sparse(layout, parts),
            (
                "_rebuild_meta_tensor_no_storage",
                &[Value::Dtype(dtype), size, stride, Value::Bool(grad)],
            ) => {
                let flags = grad_flag(grad);
                self.meta(dtype, Value::Int(0), size, stride, flags, None)
            }
            (
                "_rebuild_wrapper_subclass",
                &[
                    Value::Global(class),
                    Value::Dtype(dtype),
                    size,
                    stride,
                    offset,
                    Value::Global(layout),
                    _,
                    Value::Bool(grad),
                ],
            ) if layout.name == "strided" => {
                let flags = grad_flag(grad);
                self.meta(dtype, offset, size, stride, flags, Some(class))
            }
            (
                "_rebuild_device_tensor_from_cpu_tensor",
                &[Value::Object(id), Value::Dtype(dtype), _, Value::Bool(grad)],
            ) => {
                let Object::Tensor(tensor) = *self.builder.so_far().object(id) else {
                    return Err(Problem::Arguments);
                };
                if tensor.dtype() != dtype {
                    return Err(Problem::Unsupported);
                }
                let flags = grad_flag(grad);
                self.object(Object::Tensor(tensor.with_flags(flags)))
            }
            (
                "_rebuild_device_tensor_from_numpy" | "_rebuild_xla_tensor",
                &[Value::Object(id), Value::Dtype(dtype), _, Value::Bool(grad)],
            ) => self.over_array(id, dtype, grad),
            _ => Err(Problem::Unsupported),
        }
    }

    /// A callable of torch's other modules.
    pub(super) fn torch(
        &mut self,
        entry: &'static AllowedGlobal,
        span: Span,
        arguments: &[Value],
    ) -> Result<Value, Problem> {
        match (entry.module, entry.name, arguments) {
            ("torch", "device", _) => self.device(arguments),
            ("torch", "Size", [sizes]) => {
                let sizes = self.sequence(*sizes).ok_or(Problem::Arguments)?;
                if !sizes.iter().all(|size| matches!(size, Value::Int(_))) {
                    return Err(Problem::Arguments);
                }
                self.builder.items(&sizes).map(Value::Size)
            }
            ("torch.serialization", "_get_layout", [name]) => self.layout(*name),
            ("torch.jit._pickle", "restore_type_tag", [value, _])
            | ("torch.jit._pickle", _, [value]) => Ok(*value),
            ("torch" | "torch.cuda", name, []) if name.ends_with("Tensor") => {
                let dtype = Dtype::from_class(name).unwrap_or(Dtype::Float32);
                self.empty(dtype)
            }
            ("torch.nn.parameter", "Parameter", []) => {
                let data = self.empty(Dtype::Float32)?;
                self.parameter("Parameter", Some(data), true, None)
            }
            ("torch.nn.parameter", "Parameter", [data, grad @ ..]) => {
                let grad = !matches!(grad, [Value::Bool(false)]);
                self.parameter("Parameter", Some(*data), grad, None)
            }
            ("torch.nn.parameter", name, grad) => {
                let grad = !matches!(grad, [Value::Bool(false)]);
                self.parameter(name, None, grad, None)
            }
            // A file in a byte string is a file of its own, which nobody opens here.
            ("torch.storage", ..) => Err(Problem::Unsupported),
            _ => self.instance(entry, span),
        }
    }

    /// A tensor without elements.
    fn empty(&mut self, dtype: Dtype) -> Result<Value, Problem> {
        let place = Place::Owned(Span::EMPTY);
        let storage = Dense::new(self.builder)?.storage(self.builder, dtype, 0, place)?;
        Dense::tensor(self.builder, dtype, &[0], storage).map(Value::Object)
    }

    fn dims(&self, value: Value) -> Result<Dims, Problem> {
        let items = match value {
            Value::Tuple(span) | Value::Size(span) => self.builder.so_far().items(span),
            _ => return Err(Problem::Arguments),
        };
        let mut dims = Dims { numbers: [0; DIMENSIONS], length: items.len() };
        if items.len() > DIMENSIONS {
            return Err(Problem::Tensor(crate::checkpoint::extent::Misfit::Dimensions));
        }
        for (slot, &item) in dims.numbers.iter_mut().zip(items) {
            *slot = unsigned(item)?;
        }
        Ok(dims)
    }

    /// A tensor over a storage. Without a type of its own it has the storage's.
    #[expect(clippy::too_many_arguments, reason = "they are those of `_rebuild_tensor_v3`")]
    pub(super) fn over(
        &mut self,
        storage: StorageId,
        dtype: Option<Dtype>,
        offset: Value,
        size: Value,
        stride: Value,
        flags: u8,
        quantizer: Option<Quantizer>,
    ) -> Result<Tensor, Problem> {
        let (shape, strides) = (self.dims(size)?, self.dims(stride)?);
        let declared = self.builder.so_far().storage(storage).map(|storage| storage.dtype);
        let dtype = dtype.or(declared).ok_or(Problem::MissingStorage)?;
        self.builder.tensor(&Parts {
            dtype,
            storage: Some(storage),
            offset: unsigned(offset)?,
            shape: shape.get(),
            strides: strides.get(),
            flags,
            quantizer,
            class: None,
        })
    }

    fn meta(
        &mut self,
        dtype: Dtype,
        offset: Value,
        size: Value,
        stride: Value,
        flags: u8,
        class: Option<&'static AllowedGlobal>,
    ) -> Result<Value, Problem> {
        let (shape, strides) = (self.dims(size)?, self.dims(stride)?);
        let tensor = self.builder.tensor(&Parts {
            dtype,
            storage: None,
            offset: unsigned(offset)?,
            shape: shape.get(),
            strides: strides.get(),
            flags,
            quantizer: None,
            class,
        })?;
        self.object(Object::Tensor(tensor))
    }

    /// Backward hooks are callables, of which a file can hold none that we would build.
    pub(super) fn no_hooks(&self, hooks: Value) -> Result<(), Problem> {
        match hooks {
            Value::None => Ok(()),
            hooks if self.dict_items(hooks).is_some_and(|items| items.is_empty()) => Ok(()),
            _ => Err(Problem::Unsupported),
        }
    }

    /// The flags of a tensor: `requires_grad`, and the bits of its metadata
    /// (`torch._utils.set_tensor_metadata`, `torch/csrc/jit/serialization/pickler.h`).
    fn flags(&self, grad: bool, metadata: Option<&Value>) -> Result<u8, Problem> {
        let mut flags = grad_flag(grad);
        let Some(&metadata) = metadata.filter(|metadata| **metadata != Value::None) else {
            return Ok(flags);
        };
        for (key, value) in self.dict_items(metadata).ok_or(Problem::Arguments)? {
            let flag = match self.text_of(key) {
                Some("conj") => Parts::CONJ,
                Some("neg") => Parts::NEG,
                _ => return Err(Problem::Unsupported),
            };
            // That the key is there sets the bit, whatever its value (`setTensorMetadata`).
            match value {
                Value::Bool(_) => flags |= flag,
                _ => return Err(Problem::Arguments),
            }
        }
        Ok(flags)
    }

    pub(super) fn parameter(
        &mut self,
        name: &str,
        data: Option<Value>,
        requires_grad: bool,
        state: Option<Value>,
    ) -> Result<Value, Problem> {
        let class =
            crate::rules::allowed("torch.nn.parameter", name).ok_or(Problem::Unsupported)?;
        let data = match data {
            None => None,
            Some(Value::Object(id)) => match self.builder.so_far().object(id) {
                Object::Tensor(_) | Object::Sparse(_) => Some(id),
                Object::Parameter(inner) => inner.data,
                _ => return Err(Problem::Arguments),
            },
            Some(_) => return Err(Problem::Arguments),
        };
        // A state that holds nothing is none.
        let state = state.filter(|&state| {
            state != Value::None && self.dict_items(state).is_none_or(|items| !items.is_empty())
        });
        self.object(Object::Parameter(Parameter { class, data, requires_grad, state }))
    }

    /// A scheme, its numbers and an axis (`_rebuild_qtensor` in `torch/_utils.py`).
    fn quantizer(&mut self, value: Value) -> Result<Quantizer, Problem> {
        let Value::Tuple(span) = value else { return Err(Problem::Arguments) };
        let mut parts = [Value::None; 4];
        let items = self.builder.so_far().items(span);
        let count = items.len();
        parts.iter_mut().zip(items).for_each(|(slot, &item)| *slot = item);
        let [Value::Global(scheme), scales, zero_points, axis] = parts else {
            return Err(Problem::Quantizer);
        };
        match (scheme.name, count, axis) {
            ("per_tensor_affine", 3, _) => match (scales, zero_points) {
                (Value::Float(scale), Value::Int(zero_point)) => {
                    Ok(Quantizer::PerTensor { scale, zero_point })
                }
                _ => Err(Problem::Quantizer),
            },
            ("per_channel_affine" | "per_channel_affine_float_qparams", 4, Value::Int(axis)) => {
                let axis = u8::try_from(axis).map_err(|_| Problem::Quantizer)?;
                let float = scheme.name == "per_channel_affine_float_qparams";
                let (real, whole) = if float {
                    (Dtype::Float32, Dtype::Float32)
                } else {
                    (Dtype::Float64, Dtype::Int64)
                };
                Ok(Quantizer::PerChannel {
                    scales: self.numbers(scales, real)?,
                    zero_points: self.numbers(zero_points, whole)?,
                    axis,
                    float,
                })
            }
            _ => Err(Problem::Quantizer),
        }
    }

    /// A tensor, or a list of numbers as one, which old files hold.
    fn numbers(&mut self, value: Value, dtype: Dtype) -> Result<ObjectId, Problem> {
        if let Value::Object(id) = value
            && matches!(self.builder.so_far().object(id), Object::Tensor(_))
        {
            return Ok(id);
        }
        let mut bytes = Vec::new();
        let numbers = self.sequence(value).ok_or(Problem::Quantizer)?;
        for &number in &numbers {
            match (dtype, number) {
                (Dtype::Int64, Value::Int(number)) => bytes.extend(number.to_le_bytes()),
                (Dtype::Float64, _) => bytes.extend(super::call::float(number)?.to_le_bytes()),
                (Dtype::Float32, _) => bytes.extend(single(number)?.to_le_bytes()),
                _ => return Err(Problem::Quantizer),
            }
        }
        let place = Place::Owned(self.builder.bytes(&bytes)?);
        let length = super::as_u64(bytes.len());
        let storage = Dense::new(self.builder)?.storage(self.builder, dtype, length, place)?;
        Dense::tensor(self.builder, dtype, &[super::as_u64(numbers.len())], storage)
    }

    /// A layout and its parts (`_rebuild_sparse_tensor` in `torch/_utils.py`). Whether the indices
    /// are sound is for whoever has their bytes.
    fn sparse(&mut self, layout: &AllowedGlobal, parts: Span) -> Result<Value, Problem> {
        let layout = Layout::from_name(layout.name).ok_or(Problem::Arguments)?;
        let made = self.builder.so_far();
        let tensor = |value: Value| match value {
            Value::Object(id) if matches!(made.object(id), Object::Tensor(_)) => Ok(id),
            _ => Err(Problem::Arguments),
        };
        let (indices, plain, values, size, coalesced) = match (layout, made.items(parts)) {
            (Layout::Coo, &[indices, values, size]) => (tensor(indices)?, None, values, size, None),
            (Layout::Coo, &[indices, values, size, coalesced]) => {
                let coalesced = match coalesced {
                    Value::Bool(coalesced) => Some(coalesced),
                    Value::None => None,
                    _ => return Err(Problem::Arguments),
                };
                (tensor(indices)?, None, values, size, coalesced)
            }
            (Layout::Coo, _) => return Err(Problem::Arguments),
            (_, &[compressed, plain, values, size]) => {
                (tensor(compressed)?, Some(tensor(plain)?), values, size, None)
            }
            _ => return Err(Problem::Arguments),
        };
        let values = tensor(values)?;
        let shape = self.dims(size)?;
        let shape = self.builder.dims(shape.get())?;
        let sparse = Sparse { layout, indices, plain, values, shape, coalesced };
        self.object(Object::Sparse(sparse))
    }

    /// A tensor over an array of the same type.
    fn over_array(&mut self, id: ObjectId, dtype: Dtype, grad: bool) -> Result<Value, Problem> {
        let Object::Array(array) = *self.builder.so_far().object(id) else {
            return Err(Problem::Arguments);
        };
        if array.dtype.torch() != Some(dtype) || array.dtype.big || array.fortran {
            return Err(Problem::Unsupported);
        }
        let mut dims = Dims { numbers: [0; DIMENSIONS], length: array.shape.len() };
        let shape = self.builder.so_far().dims(array.shape);
        dims.numbers.iter_mut().zip(shape).for_each(|(slot, &size)| *slot = size);
        let id = Dense::tensor(self.builder, dtype, dims.get(), array.storage)?;
        if let Some(Object::Tensor(tensor)) = self.builder.object_mut(id) {
            *tensor = tensor.with_flags(grad_flag(grad));
        }
        Ok(Value::Object(id))
    }
}

/// The flags of a tensor that has no other.
pub(super) const fn grad_flag(grad: bool) -> u8 {
    if grad { Parts::REQUIRES_GRAD } else { 0 }
}

fn unsigned(value: Value) -> Result<u64, Problem> {
    match value {
        Value::Int(number) => u64::try_from(number).map_err(|_| {
            // A stride or an offset below zero would reach in front of the storage.
            Problem::Tensor(crate::checkpoint::extent::Misfit::Outside)
        }),
        _ => Err(Problem::Arguments),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "as `torch.tensor` rounds")]
fn single(value: Value) -> Result<f32, Problem> {
    Ok(super::call::float(value)? as f32)
}
