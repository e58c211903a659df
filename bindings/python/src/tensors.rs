//! Storages and tensors as torch's.
//!
//! The first tensor that is all of its storage is handed over as a DLPack capsule, which is the
//! fastest way into torch; its storage is then that tensor's. Every other one is a view of a
//! storage, made as `torch._utils._rebuild_tensor` makes it. The rare kinds are made by
//! `secure_torch/_torch.py`, which is also where every name of torch's that is used is spelled out.

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use secure_torch::core::checkpoint::{Dtype, Quantizer, StorageId, Tensor, extent};
use secure_torch::{Checkpoint, Memory};

use crate::dlpack;
use crate::errors::{raised, unsupported};

/// What is known of a storage.
enum Slot<'py> {
    /// A tensor that is all of it was given out.
    Tensor(Bound<'py, PyAny>),
    /// It was made, and is on the CPU unless a device is said.
    Storage(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>),
}

/// Where storages go.
pub(crate) enum Location<'py> {
    /// They stay on the CPU, wherever they were saved.
    Stay,
    /// A function of the storage and the place where it was saved says.
    Ask(Bound<'py, PyAny>),
    /// As [`Self::Ask`], but what was on the CPU stays there.
    AskUnlessCpu(Bound<'py, PyAny>),
}

/// The storages of a checkpoint in torch.
pub(crate) struct Torch<'a, 'py> {
    py: Python<'py>,
    made: &'a Checkpoint,
    /// `secure_torch._torch`
    module: Bound<'py, PyModule>,
    from_dlpack: Bound<'py, PyAny>,
    empty: Bound<'py, PyAny>,
    cpu: Bound<'py, PyAny>,
    dtypes: Vec<Option<Bound<'py, PyDict>>>,
    slots: Vec<Option<Slot<'py>>>,
    /// The storages that are values of their own, each of which is one object.
    typed: HashMap<usize, Bound<'py, PyAny>>,
    copy: bool,
    location: Location<'py>,
    /// The exception that is passing came out of the caller's `map_location`.
    pub(crate) asked: bool,
}

/// The memory of a storage: a private mapping of the file where it can be, unless a copy is wanted.
pub(crate) fn memory(
    made: &Checkpoint,
    id: StorageId,
    copy: bool,
) -> Result<Memory, secure_torch::Error> {
    if copy { made.copy(id) } else { made.memory(id) }
}

impl<'a, 'py> Torch<'a, 'py> {
    pub(crate) fn new(
        py: Python<'py>,
        made: &'a Checkpoint,
        copy: bool,
        location: Location<'py>,
    ) -> PyResult<Self> {
        let module = py.import("secure_torch._torch")?;
        let mut slots = Vec::new();
        slots.resize_with(made.storages().len(), || None);
        Ok(Self {
            py,
            made,
            from_dlpack: module.getattr("from_dlpack")?,
            empty: module.getattr("empty")?,
            cpu: module.getattr("cpu")?,
            dtypes: Dtype::ALL.iter().map(|_| None).collect(),
            module,
            slots,
            typed: HashMap::new(),
            copy,
            location,
            asked: false,
        })
    }

    /// A function of `secure_torch._torch`.
    pub(crate) fn call<A>(&self, name: &str, arguments: A) -> PyResult<Bound<'py, PyAny>>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        self.module.getattr(name)?.call1(arguments)
    }

    /// `torch.float32`
    pub(crate) fn dtype(&mut self, dtype: Dtype) -> PyResult<Bound<'py, PyAny>> {
        let kwargs = self.kwargs(dtype)?;
        kwargs.as_any().get_item(intern!(self.py, "dtype"))
    }

    /// `{"dtype": torch.float32, "device": torch.device("cpu")}`: the caller's default device is not
    /// where a file's tensors go.
    fn kwargs(&mut self, dtype: Dtype) -> PyResult<Bound<'py, PyDict>> {
        let slot = self.dtypes.get_mut(dtype as usize);
        if let Some(Some(kwargs)) = &slot {
            return Ok(kwargs.clone());
        }
        let found = self.module.getattr("dtype")?.call1((dtype.name(),))?;
        if found.is_none() {
            let path = self.made.files().first().map_or("", |file| file.name());
            let cause = format!("this torch has no element type `{dtype}`");
            return Err(unsupported(self.py, path, &cause));
        }
        let kwargs = PyDict::new(self.py);
        kwargs.set_item(intern!(self.py, "dtype"), found)?;
        kwargs.set_item(intern!(self.py, "device"), &self.cpu)?;
        if let Some(slot) = slot {
            *slot = Some(kwargs.clone());
        }
        Ok(kwargs)
    }

    fn stays(&self, id: StorageId) -> bool {
        let is_cpu = |id| {
            let storage = self.made.storage(id);
            storage.is_some_and(|storage| self.made.text(storage.location) == "cpu")
        };
        match self.location {
            Location::Stay => true,
            Location::Ask(_) => false,
            Location::AskUnlessCpu(_) => is_cpu(id),
        }
    }

    /// A storage as `torch.UntypedStorage`, and its device unless that is the CPU.
    fn untyped(
        &mut self,
        id: StorageId,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
        let py = self.py;
        match self.slots.get(id.index()) {
            Some(Some(Slot::Storage(storage, device))) => {
                return Ok((storage.clone(), device.clone()));
            }
            Some(Some(Slot::Tensor(tensor))) => {
                return Ok((tensor.call_method0(intern!(py, "untyped_storage"))?, None));
            }
            _ => {}
        }
        let memory = memory(self.made, id, self.copy).map_err(|error| raised(py, &error, None))?;
        let length = u64::try_from(memory.len())?;
        let capsule = dlpack::capsule(py, &memory, Dtype::Uint8, &[length]);
        let bytes = capsule.transpose()?.ok_or_else(|| {
            pyo3::exceptions::PyOverflowError::new_err("a storage is longer than torch can count")
        })?;
        let bytes = self.from_dlpack.call1((bytes,))?;
        let mut storage = bytes.call_method0(intern!(py, "untyped_storage"))?;
        let mut device = None;
        if !self.stays(id)
            && let Location::Ask(ask) | Location::AskUnlessCpu(ask) = &self.location
        {
            let saved = self.made.storage(id).map_or("", |found| self.made.text(found.location));
            self.asked = true;
            storage = ask.call1((storage, saved))?;
            self.asked = false;
            let found = storage.getattr(intern!(py, "device"))?;
            if found.getattr(intern!(py, "type"))?.extract::<String>()? != "cpu" {
                device = Some(found);
            }
        }
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = Some(Slot::Storage(storage.clone(), device.clone()));
        }
        Ok((storage, device))
    }

    /// A storage that the file holds as a value: `torch.load` gives a `TypedStorage` for it.
    pub(crate) fn storage(&mut self, id: StorageId) -> PyResult<Bound<'py, PyAny>> {
        if let Some(typed) = self.typed.get(&id.index()) {
            return Ok(typed.clone());
        }
        let dtype = self.made.storage(id).map_or(Dtype::Uint8, |storage| storage.dtype);
        let dtype = self.dtype(dtype)?;
        let (storage, _) = self.untyped(id)?;
        let typed = self.call("typed_storage", (storage, dtype))?;
        self.typed.insert(id.index(), typed.clone());
        Ok(typed)
    }

    /// A tensor. `quantizer` gives the scales and zero points of one that has them for a channel.
    pub(crate) fn tensor(
        &mut self,
        tensor: &Tensor,
        channels: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (shape, strides) = (self.made.shape(tensor), self.made.strides(tensor));
        let made = match tensor.storage() {
            None => {
                let dtype = self.dtype(tensor.dtype())?;
                self.call("meta", (tuple(self.py, shape)?, tuple(self.py, strides)?, dtype))?
            }
            Some(id) => match self.made.quantizer(tensor) {
                Some(quantizer) => self.quantized(id, tensor, quantizer, channels)?,
                None => match self.whole(id, tensor)? {
                    Some(whole) => whole,
                    None => self.view(id, tensor)?,
                },
            },
        };
        if tensor.requires_grad() {
            made.call_method0(intern!(self.py, "requires_grad_"))?;
        }
        if tensor.is_conj() || tensor.is_neg() {
            self.call("mark", (&made, tensor.is_conj(), tensor.is_neg()))?;
        }
        match tensor.class() {
            Some(class) => self.call("subclass", (made, class.module, class.name)),
            None => Ok(made),
        }
    }

    /// The first tensor of a storage, where it is all of it and in order.
    fn whole(&mut self, id: StorageId, tensor: &Tensor) -> PyResult<Option<Bound<'py, PyAny>>> {
        let shape = self.made.shape(tensor);
        let Some(storage) = self.made.storage(id) else { return Ok(None) };
        let free = matches!(self.slots.get(id.index()), Some(None));
        if !free || tensor.offset() != 0 || shape.len() > dlpack::DIMENSIONS || !self.stays(id) {
            return Ok(None);
        }
        let mut strides = [0; dlpack::DIMENSIONS];
        let strides = strides.get_mut(..shape.len()).unwrap_or_default();
        let in_order =
            extent::contiguous(shape, strides).is_ok() && strides == self.made.strides(tensor);
        let elements = shape.iter().try_fold(1_u64, |all, &size| all.checked_mul(size));
        let bytes = elements.and_then(|elements| elements.checked_mul(tensor.dtype().size()));
        if !in_order || bytes != Some(storage.bytes) {
            return Ok(None);
        }
        let memory = memory(self.made, id, self.copy);
        let memory = memory.map_err(|error| raised(self.py, &error, None))?;
        let Some(capsule) = dlpack::capsule(self.py, &memory, tensor.dtype(), shape) else {
            return Ok(None);
        };
        let made = self.from_dlpack.call1((capsule?,))?;
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = Some(Slot::Tensor(made.clone()));
        }
        Ok(Some(made))
    }

    /// A tensor as a view of its storage.
    fn view(&mut self, id: StorageId, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let (storage, device) = self.untyped(id)?;
        let mut kwargs = self.kwargs(tensor.dtype())?;
        if let Some(device) = device {
            kwargs = kwargs.copy()?;
            kwargs.set_item(intern!(py, "device"), device)?;
        }
        let empty = self.empty.call((0,), Some(&kwargs))?;
        let shape = tuple(py, self.made.shape(tensor))?;
        let strides = tuple(py, self.made.strides(tensor))?;
        empty.call_method1(intern!(py, "set_"), (storage, tensor.offset(), shape, strides))
    }

    fn quantized(
        &mut self,
        id: StorageId,
        tensor: &Tensor,
        quantizer: &Quantizer,
        channels: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self.dtype(tensor.dtype())?;
        let (storage, _) = self.untyped(id)?;
        let shape = tuple(self.py, self.made.shape(tensor))?;
        let strides = tuple(self.py, self.made.strides(tensor))?;
        let view = (storage, dtype, tensor.offset(), shape, strides);
        match (quantizer, channels) {
            (&Quantizer::PerTensor { scale, zero_point }, _) => {
                self.call("per_tensor", (view, scale, zero_point))
            }
            (&Quantizer::PerChannel { axis, float, .. }, Some((scales, zero_points))) => {
                self.call("per_channel", (view, scales, zero_points, axis, float))
            }
            (Quantizer::PerChannel { .. }, None) => {
                Err(pyo3::exceptions::PyRuntimeError::new_err("a quantiser without its tensors"))
            }
        }
    }
}

/// Sizes as a tuple of integers.
pub(crate) fn tuple<'py>(py: Python<'py>, sizes: &[u64]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, sizes)
}
