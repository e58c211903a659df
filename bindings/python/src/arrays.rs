//! Storages and tensors as numpy's arrays, and the arrays of numpy's that checkpoints hold.
//!
//! An array lies over the checkpoint's own memory and keeps it alive. What numpy has no type for
//! takes one of the package `ml_dtypes`, where that is installed.

use std::collections::HashMap;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList};
use secure_torch::core::checkpoint::{Array, Dtype, NumpyDtype, Span, StorageId, Tensor};
use secure_torch::{Checkpoint, Memory};

use crate::errors::{not_installed, raised, unsupported};
use crate::tensors::{memory, tuple};

/// Bytes that numpy makes an array of.
#[pyclass(frozen, module = "secure_torch._native")]
struct Bytes(Memory);

#[pymethods]
impl Bytes {
    /// See "The array interface protocol" in numpy's reference.
    #[getter]
    #[pyo3(name = "__array_interface__")]
    fn array_interface<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", "|u1")?;
        interface.set_item("shape", (self.0.len(),))?;
        interface.set_item("data", (self.0.start().as_ptr().addr(), false))?;
        Ok(interface)
    }
}

/// The storages of a checkpoint in numpy.
pub(crate) struct Arrays<'a, 'py> {
    py: Python<'py>,
    made: &'a Checkpoint,
    numpy: Bound<'py, PyModule>,
    asarray: Bound<'py, PyAny>,
    ndarray: Bound<'py, PyAny>,
    /// numpy's types for those of torch's, as far as they were asked for.
    elements: Vec<Option<Bound<'py, PyAny>>>,
    slots: Vec<Option<Bound<'py, PyAny>>>,
    /// numpy's types for records, by their fields.
    records: HashMap<Span, Bound<'py, PyAny>>,
    copy: bool,
}

impl<'a, 'py> Arrays<'a, 'py> {
    pub(crate) fn new(py: Python<'py>, made: &'a Checkpoint, copy: bool) -> PyResult<Self> {
        let numpy = py.import("numpy").map_err(|error| {
            let path = made.files().first().map_or("", |file| file.name());
            let cause = "it holds tensors or arrays, and numpy is not installed: install it, or torch \
                         for tensors alone";
            if error.is_instance_of::<PyImportError>(py) {
                not_installed(py, path, cause)
            } else {
                error
            }
        })?;
        let (asarray, ndarray) = (numpy.getattr("asarray")?, numpy.getattr("ndarray")?);
        let elements = vec![None; Dtype::ALL.len()];
        let slots = vec![None; made.storages().len()];
        Ok(Self {
            py,
            made,
            numpy,
            asarray,
            ndarray,
            elements,
            slots,
            records: HashMap::new(),
            copy,
        })
    }

    fn unsupported(&self, cause: &str) -> PyErr {
        let path = self.made.files().first().map_or("", |file| file.name());
        unsupported(self.py, path, cause)
    }

    /// The bytes of a storage, as an array.
    fn bytes(&mut self, id: StorageId) -> PyResult<Bound<'py, PyAny>> {
        if let Some(Some(bytes)) = self.slots.get(id.index()) {
            return Ok(bytes.clone());
        }
        let memory = memory(self.made, id, self.copy);
        let memory = memory.map_err(|error| raised(self.py, &error, None))?;
        let bytes = self.asarray.call1((Bytes(memory),))?;
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = Some(bytes.clone());
        }
        Ok(bytes)
    }

    /// A storage that the file holds as a value: an array of its elements.
    pub(crate) fn storage(&mut self, id: StorageId) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self.made.storage(id).map_or(Dtype::Uint8, |storage| storage.dtype);
        let dtype = self.element(dtype)?;
        self.bytes(id)?.call_method1("view", (dtype,))
    }

    /// numpy's type for a type of torch's.
    fn element(&mut self, dtype: Dtype) -> PyResult<Bound<'py, PyAny>> {
        if let Some(Some(found)) = self.elements.get(dtype as usize) {
            return Ok(found.clone());
        }
        let values = self.py.import("secure_torch._numpy")?;
        let found = values.call_method1("element", (dtype.name(),))?;
        if found.is_none() {
            let cause = format!(
                "numpy has no element type `{dtype}`: install torch, or `ml_dtypes` for bfloat16 \
                 and the kinds of float8"
            );
            return Err(self.unsupported(&cause));
        }
        if let Some(slot) = self.elements.get_mut(dtype as usize) {
            *slot = Some(found.clone());
        }
        Ok(found)
    }

    /// A tensor, as an array.
    pub(crate) fn tensor(&mut self, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
        let Some(id) = tensor.storage() else {
            return Err(self.unsupported("a tensor has no data, which only torch can show"));
        };
        if self.made.quantizer(tensor).is_some() {
            return Err(self.unsupported("a tensor is quantised, which only torch can show"));
        }
        let dtype = self.element(tensor.dtype())?;
        let size = tensor.dtype().size();
        // The core counted that every place fits; numpy counts again.
        let strides: Vec<u64> =
            self.made.strides(tensor).iter().map(|stride| stride.saturating_mul(size)).collect();
        let shape = tuple(self.py, self.made.shape(tensor))?;
        let (bytes, empty) = (self.bytes(id)?, self.made.shape(tensor).contains(&0));
        let mut array = if empty {
            self.numpy.call_method1("empty", (shape, dtype))?
        } else {
            let offset = tensor.offset().saturating_mul(size);
            let arguments = (shape, dtype, bytes, offset, tuple(self.py, &strides)?);
            self.ndarray.call1(arguments)?
        };
        let repeats = self.made.strides(tensor).contains(&0);
        if repeats && (tensor.is_conj() || tensor.is_neg()) {
            // numpy would write every one of them, and they may be any number.
            return Err(self.unsupported(
                "a tensor repeats its elements and shows their conjugate or negative, which only \
                 torch can show",
            ));
        }
        for (marked, function) in [(tensor.is_conj(), "conjugate"), (tensor.is_neg(), "negative")] {
            if marked {
                array = self.numpy.call_method1(function, (array,))?;
            }
        }
        Ok(array)
    }

    /// An array.
    pub(crate) fn array(&mut self, array: &Array) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self.dtype(&array.dtype, 0)?;
        let shape = tuple(self.py, self.made.dims(array.shape))?;
        let order = if array.fortran { "F" } else { "C" };
        if array.dtype.size == 0 {
            // `zeros` would widen the elements to a byte, for as many as the file likes to say.
            let (none, nothing) = (self.py.None(), PyByteArray::new(self.py, &[0]));
            let arguments = (shape, dtype, nothing, 0, none, order);
            return self.numpy.getattr("ndarray")?.call1(arguments);
        }
        if self.made.dims(array.shape).contains(&0) {
            return self.numpy.call_method1("zeros", (shape, dtype, order));
        }
        let bytes = self.bytes(array.storage)?;
        let none = self.py.None();
        self.ndarray.call1((shape, dtype, bytes, 0, none, order))
    }

    /// An array of objects.
    pub(crate) fn objects(
        &self,
        shape: &[u64],
        items: Bound<'py, PyList>,
        fortran: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let values = self.py.import("secure_torch._numpy")?;
        values.call_method1("objects", (tuple(self.py, shape)?, items, fortran))
    }

    /// A scalar.
    pub(crate) fn scalar(
        &mut self,
        dtype: &NumpyDtype,
        bytes: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self.dtype(dtype, 0)?;
        let bytes = PyBytes::new(self.py, bytes);
        self.py.import("secure_torch._numpy")?.call_method1("scalar", (dtype, bytes))
    }

    /// An element type of numpy's.
    pub(crate) fn dtype(&mut self, dtype: &NumpyDtype, depth: u8) -> PyResult<Bound<'py, PyAny>> {
        let make = self.numpy.getattr("dtype")?;
        let fields = self.made.fields(dtype.fields);
        if fields.is_empty() {
            return make.call1((dtype.to_string(),));
        }
        // Fields share types, and few bytes spell any number of fields that do.
        if let Some(known) = self.records.get(&dtype.fields) {
            return Ok(known.clone());
        }
        if depth > 30 {
            return Err(self.unsupported("records nest too deep"));
        }
        let (names, formats) = (PyList::empty(self.py), PyList::empty(self.py));
        let offsets = PyList::empty(self.py);
        for field in fields {
            names.append(self.made.text(field.name))?;
            formats.append(self.dtype(&field.dtype, depth.saturating_add(1))?)?;
            offsets.append(field.offset)?;
        }
        let record = PyDict::new(self.py);
        record.set_item("names", names)?;
        record.set_item("formats", formats)?;
        record.set_item("offsets", offsets)?;
        record.set_item("itemsize", dtype.size)?;
        let made = make.call1((record, dtype.aligned))?;
        self.records.insert(dtype.fields, made.clone());
        Ok(made)
    }
}
