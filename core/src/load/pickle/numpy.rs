//! numpy's arrays, scalars and types (`numpy/_core/src/multiarray/methods.c`, `descriptor.c`,
//! `numpy/_core/numeric.py`), rebuilt from their bytes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::BuildDomain;
use crate::checkpoint::extent::DIMENSIONS;
use crate::checkpoint::{Array, Dtype, Field, NumpyDtype, Object, Place, Problem, Span, Value};
use crate::load::dense::Dense;
use crate::rules::AllowedGlobal;

/// A type of Python objects: what an array of them holds are values, not bytes.
const OBJECTS: NumpyDtype =
    NumpyDtype { kind: b'O', size: 8, big: false, unit: None, fields: Span::EMPTY, aligned: false };

/// How deep records may nest, and how many fields one may have in all.
const RECORD_DEPTH: u32 = 16;
const RECORD_FIELDS: u64 = 65_536;

impl BuildDomain<'_> {
    /// A callable of numpy's.
    pub(super) fn numpy(
        &mut self,
        entry: &'static AllowedGlobal,
        arguments: &[Value],
    ) -> Result<Value, Problem> {
        match (entry.name, arguments) {
            ("dtype", &[name, ..]) => {
                let dtype = self.dtype_of_name(name)?;
                self.object(Object::NumpyDtype(dtype))
            }
            // An empty array of bytes, until its state comes.
            ("_reconstruct", &[Value::Global(class), ..]) if class.name == "ndarray" => {
                let dtype = NumpyDtype::parse("|i1").ok_or(Problem::Dtype)?;
                let array = self.array(dtype, &[0], false, Span::EMPTY)?;
                self.object(array)
            }
            ("scalar", &[dtype, bytes]) => {
                let dtype = self.numpy_dtype(dtype)?;
                let bytes = self.raw_bytes(bytes)?;
                if dtype.kind == b'O' || bytes.len() != width(dtype)? {
                    return Err(Problem::ArrayBytes);
                }
                self.object(Object::Scalar(dtype, bytes))
            }
            ("_frombuffer", &[bytes, dtype, shape, order, ref axes @ ..]) => {
                if axes.iter().any(|axis| *axis != Value::None) {
                    return Err(Problem::Unsupported);
                }
                let dtype = self.numpy_dtype(dtype)?;
                let bytes = self.raw_bytes(bytes)?;
                let fortran = match self.text_of(order) {
                    Some("C") => false,
                    Some("F") => true,
                    _ => return Err(Problem::Arguments),
                };
                let shape = self.shape(shape)?;
                let array = self.array(dtype, &shape, fortran, bytes)?;
                self.object(array)
            }
            _ => Err(Problem::Unsupported),
        }
    }

    pub(super) fn numpy_dtype(&self, value: Value) -> Result<NumpyDtype, Problem> {
        match value {
            Value::Object(id) => match self.builder.so_far().object(id) {
                Object::NumpyDtype(dtype) => Ok(*dtype),
                _ => Err(Problem::Arguments),
            },
            _ => Err(Problem::Arguments),
        }
    }

    fn dtype_of_name(&self, name: Value) -> Result<NumpyDtype, Problem> {
        let made = self.builder.so_far();
        let name = match name {
            Value::Text(span) => Some(made.text(span)),
            Value::Bytes(span) => core::str::from_utf8(made.bytes(span)).ok(),
            _ => None,
        };
        let name = name.ok_or(Problem::Arguments)?;
        if matches!(name, "O" | "O8" | "|O") {
            return Ok(OBJECTS);
        }
        NumpyDtype::parse(name).ok_or(Problem::Dtype)
    }

    /// The state of a type: version, byte order, sub-array, names, fields, size, alignment, flags,
    /// and a date's unit (`arraydescr_setstate`).
    pub(super) fn dtype_state(
        &mut self,
        dtype: NumpyDtype,
        state: Span,
    ) -> Result<NumpyDtype, Problem> {
        let made = self.builder.so_far();
        let (order, subarray, names, fields, size, flags, unit) = match *made.items(state) {
            [Value::Int(3 | 4), order, subarray, names, fields, size, _, flags] => {
                (order, subarray, names, fields, size, flags, None)
            }
            [Value::Int(4), order, subarray, names, fields, size, _, flags, unit] => {
                (order, subarray, names, fields, size, flags, Some(unit))
            }
            _ => return Err(Problem::State),
        };
        if subarray != Value::None {
            return Err(Problem::Dtype);
        }
        let order = match order {
            Value::Text(span) => made.text(span).as_bytes(),
            Value::Bytes(span) => made.bytes(span),
            _ => return Err(Problem::State),
        };
        let big = match order {
            b">" => true,
            b"<" | b"|" | b"=" => false,
            _ => return Err(Problem::State),
        };
        match size {
            Value::Int(-1) => {}
            Value::Int(size) if u32::try_from(size) == Ok(dtype.size) => {}
            _ => return Err(Problem::State),
        }
        let mut dtype = dtype;
        dtype.big = big && dtype.size > 1 && !matches!(dtype.kind, b'S' | b'V' | b'O');
        if let Some(unit) = unit.filter(|unit| *unit != Value::None) {
            dtype.unit = Some(self.unit(unit)?);
        }
        if names != Value::None {
            let names = self.sequence(names).ok_or(Problem::State)?;
            dtype.fields = self.record(dtype.size, &names, fields)?;
            // `NPY_ALIGNED_STRUCT` (`numpy/_core/include/numpy/ndarraytypes.h`).
            dtype.aligned = matches!(flags, Value::Int(flags) if flags & 0x80 != 0);
        }
        Ok(dtype)
    }

    /// `({}, (unit, count, 1, 1))`, the metadata of a date's type.
    fn unit(&self, value: Value) -> Result<(&'static str, u32), Problem> {
        let inner = match self.sequence(value).as_deref() {
            Some(&[_, inner]) => self.sequence(inner),
            _ => None,
        };
        let Some(&[name, Value::Int(count), ..]) = inner.as_deref() else {
            return Err(Problem::State);
        };
        let made = self.builder.so_far();
        let name = match name {
            Value::Text(span) => Some(made.text(span)),
            Value::Bytes(span) => core::str::from_utf8(made.bytes(span)).ok(),
            _ => None,
        };
        let unit = name.and_then(NumpyDtype::unit).ok_or(Problem::State)?;
        let count = u32::try_from(count).ok().filter(|&count| count > 0);
        Ok((unit, count.ok_or(Problem::State)?))
    }

    /// The fields of a record, each inside of it.
    fn record(&mut self, size: u32, names: &[Value], fields: Value) -> Result<Span, Problem> {
        let known = self.dict_items(fields).ok_or(Problem::State)?;
        let known: BTreeMap<&str, Value> =
            known.iter().filter_map(|&(key, value)| Some((self.text_of(key)?, value))).collect();
        let (mut found, mut deepest, mut leaves) = (Vec::new(), 0_u32, 0_u64);
        for &name in names {
            let Value::Text(span) = name else { return Err(Problem::State) };
            let text = self.builder.so_far().text(span);
            let entry = known.get(text).and_then(|&value| self.sequence(value));
            let Some(&[dtype, Value::Int(offset), ..]) = entry.as_deref() else {
                return Err(Problem::State);
            };
            let dtype = self.numpy_dtype(dtype)?;
            let offset = u32::try_from(offset).map_err(|_| Problem::State)?;
            let end = offset.checked_add(dtype.size).filter(|&end| end <= size);
            if end.is_none() || dtype.kind == b'O' {
                return Err(Problem::Dtype);
            }
            let inside = self.records.get(&dtype.fields.start());
            let (depth, fields) = match inside {
                Some(&inside) if !dtype.fields.is_empty() => inside,
                _ => (0, 0),
            };
            deepest = deepest.max(depth);
            leaves = leaves.saturating_add(fields).saturating_add(1);
            found.push(Field { name: span, dtype, offset });
        }
        // Fields may share a type and a place, so that few bytes spell any number of them.
        let depth = deepest.saturating_add(1);
        if depth > RECORD_DEPTH {
            return Err(Problem::Depth);
        }
        if leaves > RECORD_FIELDS {
            return Err(Problem::Expansion);
        }
        let fields = self.builder.fields(&found)?;
        self.records.insert(fields.start(), (depth, leaves));
        Ok(fields)
    }

    /// The state of an array: version, shape, type, order, and its bytes or its objects
    /// (`array_setstate`).
    pub(super) fn array_state(&mut self, state: Span) -> Result<Object, Problem> {
        let items = self.builder.so_far().items(state);
        let (shape, dtype, fortran, data) = match *items {
            [Value::Int(_), shape, dtype, Value::Bool(fortran), data] => {
                (shape, dtype, fortran, data)
            }
            [Value::Int(_), shape, dtype, Value::Int(fortran), data]
            | [shape, dtype, Value::Int(fortran), data] => (shape, dtype, fortran != 0, data),
            [shape, dtype, Value::Bool(fortran), data] => (shape, dtype, fortran, data),
            _ => return Err(Problem::State),
        };
        let dtype = self.numpy_dtype(dtype)?;
        let shape = self.shape(shape)?;
        if dtype.kind != b'O' {
            let bytes = self.raw_bytes(data)?;
            let (dtype, bytes) = self.native(dtype, bytes)?;
            return self.array(dtype, &shape, fortran, bytes);
        }
        let values = self.sequence(data).ok_or(Problem::State)?;
        let count = shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size));
        if count != Some(super::as_u64(values.len())) {
            return Err(Problem::ArrayBytes);
        }
        let shape = self.builder.dims(&shape)?;
        Ok(Object::ObjectArray(shape, values, fortran))
    }

    /// The bytes in this machine's order: numpy turns them around when it reads a state, and the
    /// type with them (`array_setstate`, "byte-swap on pickle-read"). Records stay as they are.
    fn native(&mut self, dtype: NumpyDtype, bytes: Span) -> Result<(NumpyDtype, Span), Problem> {
        let width = match (dtype.big, dtype.kind) {
            (false, _) => return Ok((dtype, bytes)),
            (true, b'U') => 4,
            (true, b'c') => width(dtype)?.checked_div(2).unwrap_or_default(),
            (true, _) => width(dtype)?,
        };
        let mut turned = self.builder.so_far().bytes(bytes).to_vec();
        turned.chunks_exact_mut(width.max(1)).for_each(<[u8]>::reverse);
        let bytes = self.builder.bytes(&turned)?;
        Ok((NumpyDtype { big: false, ..dtype }, bytes))
    }

    fn shape(&self, value: Value) -> Result<Vec<u64>, Problem> {
        let sizes = match value {
            Value::Int(_) => [value].to_vec(),
            _ => self.sequence(value).ok_or(Problem::Arguments)?,
        };
        if sizes.len() > DIMENSIONS {
            return Err(Problem::ArrayBytes);
        }
        let size = |value: &Value| match value {
            Value::Int(size) => u64::try_from(*size).ok(),
            _ => None,
        };
        sizes.iter().map(size).collect::<Option<_>>().ok_or(Problem::ArrayBytes)
    }

    /// The bytes of an array, as text where Python 2 wrote it.
    fn raw_bytes(&mut self, value: Value) -> Result<Span, Problem> {
        match value {
            Value::Bytes(span) => Ok(span),
            Value::Text(text) => self.latin1(text),
            Value::Object(id) => match self.builder.so_far().object(id) {
                Object::ByteArray(span) => Ok(*span),
                _ => Err(Problem::Arguments),
            },
            _ => Err(Problem::Arguments),
        }
    }

    /// An array over exactly its bytes.
    fn array(
        &mut self,
        dtype: NumpyDtype,
        shape: &[u64],
        fortran: bool,
        bytes: Span,
    ) -> Result<Object, Problem> {
        if dtype.kind == b'O' {
            return Err(Problem::Dtype);
        }
        let size = shape.iter().try_fold(u64::from(dtype.size), |size, &count| {
            size.checked_mul(count).filter(|&size| size <= i64::MAX.unsigned_abs())
        });
        let length = super::as_u64(bytes.len());
        if size != Some(length) {
            return Err(Problem::ArrayBytes);
        }
        let element = dtype.torch().unwrap_or(Dtype::Uint8);
        let place = Place::Owned(bytes);
        let storage = Dense::new(self.builder)?.storage(self.builder, element, length, place)?;
        let shape = self.builder.dims(shape)?;
        Ok(Object::Array(Array { dtype, shape, fortran, storage }))
    }
}

fn width(dtype: NumpyDtype) -> Result<usize, Problem> {
    usize::try_from(dtype.size).map_err(|_| Problem::ArrayBytes)
}
