//! The values of a checkpoint as objects of Python's.
//!
//! One object of the checkpoint is one object here, and a storage that several tensors share is one
//! storage. Containers, texts and numbers are made directly; what is rare is made by the package's
//! `_values.py`, from a table of its own.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet,
    PyString, PyTuple,
};
use secure_torch::Checkpoint;
use secure_torch::core::checkpoint::{
    Dict, DictKind, Object, ObjectId, Parameter, Quantizer, Span, Sparse, Value,
};
use secure_torch::core::rules::AllowedGlobal;

use crate::arrays::Arrays;
use crate::errors::unsupported;
use crate::tensors::{Torch, tuple};

/// Values nest no deeper, whatever the policy's limits say: each level takes some of the stack.
const DEPTH: u32 = 400;

type Made<'py> = PyResult<Bound<'py, PyAny>>;

/// The objects of a checkpoint that were made so far.
pub(crate) struct Tree<'a, 'py> {
    py: Python<'py>,
    made: &'a Checkpoint,
    /// Where tensors become torch's; numpy's otherwise.
    torch: Option<Torch<'a, 'py>>,
    arrays: Option<Arrays<'a, 'py>>,
    copy: bool,
    objects: Vec<Option<Bound<'py, PyAny>>>,
    texts: HashMap<Span, Bound<'py, PyAny>>,
    /// Bytes, integers and sizes: each once, however often it is referred to.
    bytes: HashMap<Span, Bound<'py, PyAny>>,
    integers: HashMap<Span, Bound<'py, PyAny>>,
    sizes: HashMap<Span, Bound<'py, PyAny>>,
    tuples: HashMap<Span, Bound<'py, PyAny>>,
    depth: u32,
}

impl<'a, 'py> Tree<'a, 'py> {
    pub(crate) fn new(
        py: Python<'py>,
        made: &'a Checkpoint,
        torch: Option<Torch<'a, 'py>>,
        copy: bool,
    ) -> Self {
        let objects = vec![None; made.objects().len()];
        Self {
            py,
            made,
            torch,
            arrays: None,
            copy,
            objects,
            texts: HashMap::new(),
            bytes: HashMap::new(),
            integers: HashMap::new(),
            sizes: HashMap::new(),
            tuples: HashMap::new(),
            depth: 0,
        }
    }

    /// Whether the exception that is passing came out of the caller's `map_location`.
    pub(crate) fn asked(&self) -> bool {
        self.torch.as_ref().is_some_and(|torch| torch.asked)
    }

    fn arrays(&mut self) -> PyResult<&mut Arrays<'a, 'py>> {
        let arrays = match self.arrays.take() {
            Some(arrays) => arrays,
            None => Arrays::new(self.py, self.made, self.copy)?,
        };
        Ok(self.arrays.insert(arrays))
    }

    /// A function of `secure_torch._values`.
    fn call<A: pyo3::call::PyCallArgs<'py>>(&self, name: &str, arguments: A) -> Made<'py> {
        self.py.import("secure_torch._values")?.getattr(name)?.call1(arguments)
    }

    fn unsupported(&self, cause: &str) -> PyErr {
        let path = self.made.files().first().map_or("", |file| file.name());
        unsupported(self.py, path, cause)
    }

    /// A value.
    pub(crate) fn value(&mut self, value: Value) -> Made<'py> {
        let py = self.py;
        Ok(match value {
            Value::None => py.None().into_bound(py),
            Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Value::Int(value) => PyInt::new(py, value).into_any(),
            Value::Integer(span) => self.integer(span)?,
            Value::Float(value) => PyFloat::new(py, value).into_any(),
            Value::Text(span) => self.text(span),
            Value::Bytes(span) => {
                let made = self.made;
                let bytes = self.bytes.entry(span);
                bytes.or_insert_with(|| PyBytes::new(py, made.bytes(span)).into_any()).clone()
            }
            Value::Tuple(span) => self.tuple(span)?,
            Value::Size(span) => self.size(span)?,
            Value::Dtype(dtype) => match &mut self.torch {
                Some(torch) => torch.dtype(dtype)?,
                None => PyString::new(py, &format!("torch.{dtype}")).into_any(),
            },
            Value::Global(global) => self.global(global)?,
            Value::Storage(id) => match &mut self.torch {
                Some(torch) => torch.storage(id)?,
                None => self.arrays()?.storage(id)?,
            },
            Value::Object(id) => self.object(id)?,
        })
    }

    fn text(&mut self, span: Span) -> Bound<'py, PyAny> {
        let text = self.texts.entry(span);
        text.or_insert_with(|| PyString::new(self.py, self.made.text(span)).into_any()).clone()
    }

    fn integer(&mut self, span: Span) -> Made<'py> {
        if let Some(integer) = self.integers.get(&span) {
            return Ok(integer.clone());
        }
        let integer = self.call("integer", (self.made.bytes(span),))?;
        self.integers.insert(span, integer.clone());
        Ok(integer)
    }

    fn size(&mut self, span: Span) -> Made<'py> {
        if let Some(size) = self.sizes.get(&span) {
            return Ok(size.clone());
        }
        let sizes = self.tuple(span)?;
        let size = self.call("size", (sizes, self.torch.is_some()))?;
        self.sizes.insert(span, size.clone());
        Ok(size)
    }

    fn tuple(&mut self, span: Span) -> Made<'py> {
        if span.is_empty() {
            return Ok(PyTuple::empty(self.py).into_any());
        }
        if let Some(tuple) = self.tuples.get(&span) {
            return Ok(tuple.clone());
        }
        self.deeper()?;
        let items = self.values(self.made.items(span))?;
        self.depth = self.depth.saturating_sub(1);
        let tuple = PyTuple::new(self.py, items)?.into_any();
        self.tuples.insert(span, tuple.clone());
        Ok(tuple)
    }

    fn deeper(&mut self) -> PyResult<()> {
        self.depth = self.depth.saturating_add(1);
        let cause = format!("its values nest deeper than {DEPTH}");
        if self.depth > DEPTH { Err(self.unsupported(&cause)) } else { Ok(()) }
    }

    fn values(&mut self, values: &[Value]) -> PyResult<Vec<Bound<'py, PyAny>>> {
        values.iter().map(|&value| self.value(value)).collect()
    }

    fn list(&mut self, values: &[Value]) -> PyResult<Bound<'py, PyList>> {
        PyList::new(self.py, self.values(values)?)
    }

    fn global(&self, global: &AllowedGlobal) -> Made<'py> {
        self.call("global_", (global.module, global.name, self.torch.is_some()))
    }

    fn object(&mut self, id: ObjectId) -> Made<'py> {
        if let Some(Some(made)) = self.objects.get(id.index()) {
            return Ok(made.clone());
        }
        self.deeper()?;
        let made = self.make(self.made.object(id))?;
        self.depth = self.depth.saturating_sub(1);
        if let Some(slot) = self.objects.get_mut(id.index()) {
            *slot = Some(made.clone());
        }
        Ok(made)
    }

    fn make(&mut self, object: &'a Object) -> Made<'py> {
        let py = self.py;
        Ok(match object {
            Object::List(items) => self.list(items)?.into_any(),
            Object::Dict(dict) => self.dict(dict)?,
            Object::Set(items) => PySet::new(py, self.values(items)?)?.into_any(),
            Object::FrozenSet(items) => PyFrozenSet::new(py, self.values(items)?)?.into_any(),
            Object::Deque(items, longest) => {
                let items = self.list(items)?;
                self.call("deque", (items, *longest))?
            }
            Object::ByteArray(span) => PyByteArray::new(py, self.made.bytes(*span)).into_any(),
            Object::Complex(real, imaginary) => {
                PyComplex::from_doubles(py, *real, *imaginary).into_any()
            }
            Object::Slice(parts) => {
                let parts = PyTuple::new(py, self.values(parts)?)?;
                self.call("slice_", (parts,))?
            }
            &Object::Range([start, stop, step]) => self.call("range_", (start, stop, step))?,
            &Object::Device(kind, index) => {
                let kind = self.made.text(kind);
                self.call("device", (kind, index, self.torch.is_some()))?
            }
            Object::Tensor(tensor) => {
                let channels = match self.made.quantizer(tensor) {
                    Some(&Quantizer::PerChannel { scales, zero_points, .. }) => {
                        Some((self.object(scales)?, self.object(zero_points)?))
                    }
                    _ => None,
                };
                match &mut self.torch {
                    Some(torch) => torch.tensor(tensor, channels)?,
                    None => self.arrays()?.tensor(tensor)?,
                }
            }
            Object::Sparse(sparse) => self.sparse(sparse)?,
            Object::Parameter(parameter) => self.parameter(parameter)?,
            Object::Array(array) => self.arrays()?.array(array)?,
            Object::ObjectArray(shape, items, fortran) => {
                let items = self.list(items)?;
                let shape = self.made.dims(*shape);
                self.arrays()?.objects(shape, items, *fortran)?
            }
            Object::Scalar(dtype, span) => {
                let bytes = self.made.bytes(*span);
                self.arrays()?.scalar(dtype, bytes)?
            }
            Object::NumpyDtype(dtype) => self.arrays()?.dtype(dtype, 0)?,
            Object::Instance(instance) => {
                let arguments = self.tuple(instance.arguments)?;
                let state = self.value(instance.state.unwrap_or(Value::None))?;
                let class = instance.class;
                let torch = self.torch.is_some();
                self.call("instance", (class.module, class.name, arguments, state, torch))?
            }
        })
    }

    fn dict(&mut self, dict: &Dict) -> Made<'py> {
        let made = match dict.kind {
            DictKind::Plain => {
                let made = PyDict::new(self.py);
                for &(key, value) in &dict.items {
                    let key = self.value(key)?;
                    made.set_item(key, self.value(value)?)?;
                }
                made.into_any()
            }
            kind => {
                let made = match kind {
                    DictKind::Plain | DictKind::Ordered => self.call("OrderedDict", ())?,
                    DictKind::Counter => self.call("Counter", ())?,
                    DictKind::Default(factory) => {
                        let factory = self.value(factory)?;
                        self.call("defaultdict", (factory,))?
                    }
                    DictKind::Other(class) => self.call("mapping", (class.module, class.name))?,
                };
                for &(key, value) in &dict.items {
                    let key = self.value(key)?;
                    made.set_item(key, self.value(value)?)?;
                }
                made
            }
        };
        if let Some(state) = dict.state {
            let state = self.value(state)?;
            self.call("give_state", (&made, state))?;
        }
        Ok(made)
    }

    fn sparse(&mut self, sparse: &Sparse) -> Made<'py> {
        if self.torch.is_none() {
            return Err(self.unsupported("a tensor is sparse, which only torch can show"));
        }
        let indices = self.object(sparse.indices)?;
        let plain = sparse.plain.map(|plain| self.object(plain)).transpose()?;
        let values = self.object(sparse.values)?;
        let shape = tuple(self.py, self.made.dims(sparse.shape))?;
        let layout = sparse.layout.name();
        match &self.torch {
            Some(torch) => {
                torch.call("sparse", (layout, indices, plain, values, shape, sparse.coalesced))
            }
            None => Err(self.unsupported("a tensor is sparse, which only torch can show")),
        }
    }

    fn parameter(&mut self, parameter: &Parameter) -> Made<'py> {
        let data = parameter.data.map(|data| self.object(data)).transpose()?;
        let state = parameter.state.map(|state| self.value(state)).transpose()?;
        match &self.torch {
            Some(torch) => {
                let requires_grad = parameter.requires_grad;
                torch.call("parameter", (parameter.class.name, data, requires_grad, state))
            }
            None => data.ok_or_else(|| {
                self.unsupported("a parameter is not initialised, which only torch can show")
            }),
        }
    }
}
