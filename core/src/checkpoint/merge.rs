//! Putting a finished checkpoint into another that is under construction.
//!
//! Every pool is appended to its like, and whatever leads into one is moved by as much, so that
//! values that are shared stay shared, and nothing is walked by its nesting. What the two had in
//! common stays double.

use super::error::Problem;
use super::{
    Array, Builder, Checkpoint, Dict, DictKind, Field, Instance, NumpyDtype, Object, ObjectId,
    Parameter, Place, Quantizer, Span, Sparse, Storage, StorageId, Tensor, Value,
};

/// How far everything is moved, by pool.
#[derive(Clone, Copy)]
struct Shift {
    text: u32,
    bytes: u32,
    items: u32,
    dims: u32,
    fields: u32,
    objects: u32,
    quantizers: u32,
    storages: u32,
    files: u32,
}

impl Builder {
    /// Takes in all of a checkpoint whose files are numbered from `files` on from now: its value.
    /// Its metadata stays where it is.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn absorb(&mut self, other: &Checkpoint, files: u32) -> Result<Value, Problem> {
        let made = &mut self.made;
        let room = |have: usize, more: usize| {
            let both = have.checked_add(more).and_then(|both| u32::try_from(both).ok());
            both.ok_or(Problem::Full)?;
            u32::try_from(have).map_err(|_| Problem::Full)
        };
        let shift = Shift {
            text: room(made.text.len(), other.text.len())?,
            bytes: room(made.bytes.len(), other.bytes.len())?,
            items: room(made.items.len(), other.items.len())?,
            dims: room(made.dims.len(), other.dims.len())?,
            fields: room(made.fields.len(), other.fields.len())?,
            objects: room(made.objects.len(), other.objects.len())?,
            quantizers: room(made.quantizers.len(), other.quantizers.len())?,
            storages: room(made.storages.len(), other.storages.len())?,
            files,
        };
        made.bytes.try_reserve(other.bytes.len()).map_err(|_| Problem::Full)?;
        made.text.push_str(&other.text);
        made.bytes.extend_from_slice(&other.bytes);
        made.dims.extend_from_slice(&other.dims);
        made.items.extend(other.items.iter().map(|&value| shift.value(value)));
        made.fields.extend(other.fields.iter().map(|&field| shift.field(field)));
        made.objects.extend(other.objects.iter().map(|object| shift.object(object)));
        made.quantizers.extend(other.quantizers.iter().map(|&of| shift.quantizer(of)));
        for &storage in &other.storages {
            let storage = shift.storage(storage)?;
            made.storages.push(storage);
        }
        Ok(shift.value(other.root))
    }
}

/// A span in a pool that starts so much later. The pools' lengths were counted before.
const fn span(span: Span, by: u32) -> Span {
    Span { start: span.start.saturating_add(by), length: span.length }
}

impl Shift {
    const fn id(self, id: ObjectId) -> ObjectId {
        ObjectId(id.0.saturating_add(self.objects))
    }

    const fn storage_id(self, id: StorageId) -> StorageId {
        StorageId(id.0.saturating_add(self.storages))
    }

    fn value(self, value: Value) -> Value {
        match value {
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Dtype(_)
            | Value::Global(_) => value,
            Value::Integer(of) => Value::Integer(span(of, self.bytes)),
            Value::Text(of) => Value::Text(span(of, self.text)),
            Value::Bytes(of) => Value::Bytes(span(of, self.bytes)),
            Value::Tuple(of) => Value::Tuple(span(of, self.items)),
            Value::Size(of) => Value::Size(span(of, self.items)),
            Value::Storage(id) => Value::Storage(self.storage_id(id)),
            Value::Object(id) => Value::Object(self.id(id)),
        }
    }

    fn values(self, values: &[Value]) -> alloc::vec::Vec<Value> {
        values.iter().map(|&value| self.value(value)).collect()
    }

    fn object(self, object: &Object) -> Object {
        match *object {
            Object::List(ref items) => Object::List(self.values(items)),
            Object::Dict(ref dict) => Object::Dict(self.dict(dict)),
            Object::Set(ref items) => Object::Set(self.values(items)),
            Object::FrozenSet(ref items) => Object::FrozenSet(self.values(items)),
            Object::Deque(ref items, most) => Object::Deque(self.values(items), most),
            Object::ByteArray(of) => Object::ByteArray(span(of, self.bytes)),
            Object::Complex(..) | Object::Range(_) => object.clone(),
            Object::Slice(items) => Object::Slice(items.map(|item| self.value(item))),
            Object::Device(of, number) => Object::Device(span(of, self.text), number),
            Object::Tensor(tensor) => Object::Tensor(self.tensor(tensor)),
            Object::Sparse(sparse) => Object::Sparse(Sparse {
                indices: self.id(sparse.indices),
                plain: sparse.plain.map(|id| self.id(id)),
                values: self.id(sparse.values),
                shape: span(sparse.shape, self.dims),
                ..sparse
            }),
            Object::Parameter(parameter) => Object::Parameter(Parameter {
                data: parameter.data.map(|id| self.id(id)),
                state: parameter.state.map(|state| self.value(state)),
                ..parameter
            }),
            Object::Array(array) => Object::Array(Array {
                dtype: self.numpy(array.dtype),
                shape: span(array.shape, self.dims),
                storage: self.storage_id(array.storage),
                ..array
            }),
            Object::ObjectArray(shape, ref items, fortran) => {
                Object::ObjectArray(span(shape, self.dims), self.values(items), fortran)
            }
            Object::Scalar(dtype, of) => Object::Scalar(self.numpy(dtype), span(of, self.bytes)),
            Object::NumpyDtype(dtype) => Object::NumpyDtype(self.numpy(dtype)),
            Object::Instance(instance) => Object::Instance(Instance {
                arguments: span(instance.arguments, self.items),
                state: instance.state.map(|state| self.value(state)),
                ..instance
            }),
        }
    }

    fn dict(self, dict: &Dict) -> Dict {
        let pair = |&(key, value): &(Value, Value)| (self.value(key), self.value(value));
        let kind = match dict.kind {
            DictKind::Default(factory) => DictKind::Default(self.value(factory)),
            kind => kind,
        };
        let items = dict.items.iter().map(pair).collect();
        Dict { kind, items, state: dict.state.map(|state| self.value(state)) }
    }

    fn tensor(self, tensor: Tensor) -> Tensor {
        Tensor {
            storage: tensor.storage.map(|id| self.storage_id(id)),
            dims: tensor.dims.saturating_add(self.dims),
            quantizer: tensor.quantizer.map(|at| at.saturating_add(self.quantizers)),
            ..tensor
        }
    }

    const fn numpy(self, dtype: NumpyDtype) -> NumpyDtype {
        NumpyDtype { fields: span(dtype.fields, self.fields), ..dtype }
    }

    const fn field(self, field: Field) -> Field {
        Field { name: span(field.name, self.text), dtype: self.numpy(field.dtype), ..field }
    }

    const fn quantizer(self, quantizer: Quantizer) -> Quantizer {
        match quantizer {
            Quantizer::PerTensor { .. } => quantizer,
            Quantizer::PerChannel { scales, zero_points, axis, float } => {
                let (scales, zero_points) = (self.id(scales), self.id(zero_points));
                Quantizer::PerChannel { scales, zero_points, axis, float }
            }
        }
    }

    fn storage(self, storage: Storage) -> Result<Storage, Problem> {
        let number = |file: u32| file.checked_add(self.files).ok_or(Problem::Full);
        let place = match storage.place {
            Place::File { file, offset } => Place::File { file: number(file)?, offset },
            Place::Member { file, header } => Place::Member { file: number(file)?, header },
            Place::Owned(of) => Place::Owned(span(of, self.bytes)),
            Place::View { of, offset } => Place::View { of: self.storage_id(of), offset },
        };
        Ok(Storage { location: span(storage.location, self.text), place, ..storage })
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a broken promise fails the test")]
mod tests {
    extern crate std;

    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::super::{Dtype, Layout, Parts};
    use super::*;
    use crate::limits::Limits;

    /// A storage with everything that it leads to.
    fn storage(made: &Checkpoint, id: StorageId, files: u32) -> String {
        let storage = made.storage(id).unwrap();
        let place = match storage.place {
            Place::File { file, offset } => format!("file {} {offset}", file - files),
            Place::Member { file, header } => format!("member {} {header}", file - files),
            Place::Owned(of) => format!("owned {:?}", made.bytes(of)),
            Place::View { of, offset } => {
                format!("view {} {offset}", self::storage(made, of, files))
            }
        };
        let location = made.text(storage.location);
        format!("{} {} {location} {} {place}", storage.bytes, storage.dtype, storage.swapped)
    }

    fn numpy(made: &Checkpoint, dtype: NumpyDtype) -> String {
        let fields = made.fields(dtype.fields).iter();
        let fields: Vec<String> = fields
            .map(|field| {
                let name = made.text(field.name);
                format!("{name} {} {}", field.offset, numpy(made, field.dtype))
            })
            .collect();
        format!("{dtype}{fields:?}")
    }

    /// A value with everything that it leads to.
    fn shown(made: &Checkpoint, value: Value, files: u32) -> String {
        let own = match value {
            Value::Text(of) => made.text(of).into(),
            Value::Bytes(of) | Value::Integer(of) => format!("{:?}", made.bytes(of)),
            Value::Size(of) => format!("{:?}", made.items(of)),
            Value::Storage(id) => storage(made, id, files),
            Value::Tuple(_) => String::new(),
            Value::Object(id) => match made.object(id) {
                Object::Deque(_, most) => format!("{most:?}"),
                Object::ByteArray(of) => format!("{:?}", made.bytes(*of)),
                Object::Device(of, number) => format!("{} {number:?}", made.text(*of)),
                Object::Tensor(tensor) => format!(
                    "{} {:?} {:?} {:?} {:?}",
                    tensor.dtype(),
                    made.shape(tensor),
                    made.strides(tensor),
                    tensor.storage().map(|id| storage(made, id, files)),
                    made.quantizer(tensor).map(core::mem::discriminant),
                ),
                Object::Sparse(sparse) => {
                    format!("{:?} {:?}", sparse.layout, made.dims(sparse.shape))
                }
                Object::Array(array) => format!(
                    "{} {:?} {} {}",
                    numpy(made, array.dtype),
                    made.dims(array.shape),
                    array.fortran,
                    storage(made, array.storage, files)
                ),
                Object::ObjectArray(shape, _, _) => format!("{:?}", made.dims(*shape)),
                Object::Scalar(dtype, of) => {
                    format!("{} {:?}", numpy(made, *dtype), made.bytes(*of))
                }
                Object::NumpyDtype(dtype) => numpy(made, *dtype),
                Object::Complex(..) | Object::Range(_) => format!("{:?}", made.object(id)),
                other => format!("{:?}", core::mem::discriminant(other)),
            },
            plain => format!("{plain:?}"),
        };
        let mut children = Vec::new();
        made.children(value, &mut |child| children.push(shown(made, child, files)));
        format!("{own}({})", children.join(","))
    }

    /// One of everything.
    fn everything() -> Checkpoint {
        let mut b = Builder::new();
        let text = b.text("text").unwrap();
        let bytes = b.bytes(&[1, 2, 3, 4]).unwrap();
        let location = b.text("cpu").unwrap();
        let mut ids = Vec::new();
        for place in [
            Place::Owned(bytes),
            Place::File { file: 0, offset: 7 },
            Place::Member { file: 1, header: 9 },
            Place::View { of: StorageId(0), offset: 2 },
        ] {
            let (dtype, bytes, swapped) = (Dtype::Uint8, 4, false);
            ids.push(b.storage(Storage { bytes, dtype, location, place, swapped }).unwrap());
        }
        let tensor = |b: &mut Builder, dtype, storage, shape: &[u64], quantizer| {
            let (strides, class) = (&[1][..shape.len()], None);
            let parts =
                Parts { dtype, storage, offset: 0, shape, strides, flags: 1, quantizer, class };
            let tensor = b.tensor(&parts).unwrap();
            b.object(Object::Tensor(tensor)).unwrap()
        };
        let one = tensor(&mut b, Dtype::Uint8, Some(ids[1]), &[2], None);
        let other = tensor(&mut b, Dtype::Uint8, Some(ids[3]), &[2], None);
        let none = tensor(&mut b, Dtype::Uint8, None, &[], None);
        let per_channel =
            Quantizer::PerChannel { scales: one, zero_points: other, axis: 0, float: false };
        let quantised = [Quantizer::PerTensor { scale: 0.5, zero_point: 1 }, per_channel]
            .map(|of| tensor(&mut b, Dtype::Qint8, Some(ids[2]), &[2], Some(of)));
        let shape = b.dims(&[4, 1]).unwrap();
        let (layout, coalesced) = (Layout::Csr, None);
        let sparse =
            Sparse { layout, indices: one, plain: Some(other), values: one, shape, coalesced };
        let class = crate::rules::allowed_globals().iter().next().unwrap();
        let plain = NumpyDtype::parse("<M8[25s]").unwrap();
        let name = b.text("field").unwrap();
        let fields = b.fields(&[Field { name, dtype: plain, offset: 0 }]).unwrap();
        let inner =
            NumpyDtype { kind: b'V', size: 8, big: false, unit: None, fields, aligned: false };
        let fields = b.fields(&[Field { name, dtype: inner, offset: 0 }]).unwrap();
        let record = NumpyDtype { fields, ..inner };
        let items = b.items(&[Value::Int(1), Value::Text(text)]).unwrap();
        let size = b.items(&[Value::Int(2)]).unwrap();
        let list = vec![Value::Tuple(items), Value::Size(size), Value::None, Value::Global(class)];
        let pair = vec![(Value::Text(text), Value::Object(one))];
        let state = Some(Value::Text(text));
        let objects = vec![
            Object::List(list.clone()),
            Object::Dict(Dict {
                kind: DictKind::Default(Value::Bytes(bytes)),
                items: pair.clone(),
                state,
            }),
            Object::Dict(Dict { kind: DictKind::Plain, items: pair, state: None }),
            Object::Set(vec![Value::Integer(bytes)]),
            Object::FrozenSet(vec![Value::Bool(true)]),
            Object::Deque(list.clone(), Some(9)),
            Object::ByteArray(bytes),
            Object::Complex(1.0, 2.0),
            Object::Slice([Value::None, Value::Text(text), Value::Int(3)]),
            Object::Range([1, 2, 3]),
            Object::Device(location, Some(1)),
            Object::Sparse(sparse),
            Object::Parameter(Parameter { class, data: Some(other), requires_grad: true, state }),
            Object::Array(Array { dtype: record, shape, fortran: true, storage: ids[2] }),
            Object::ObjectArray(shape, list, false),
            Object::Scalar(plain, bytes),
            Object::NumpyDtype(record),
            Object::Instance(Instance { class, arguments: items, state }),
        ];
        let mut all = vec![Value::Storage(ids[0]), Value::Dtype(Dtype::Int8), Value::Float(0.5)];
        all.extend([one, other, none].map(Value::Object));
        all.extend(quantised.map(Value::Object));
        for object in objects {
            all.push(Value::Object(b.object(object).unwrap()));
        }
        let root = Value::Tuple(b.items(&all).unwrap());
        b.finish(root, &Limits::default().pickle).unwrap()
    }

    #[test]
    fn everything_stays_what_it_was() {
        let other = everything();
        let expected = shown(&other, other.root(), 0);
        let mut builder = Builder::new();
        let roots = [1, 5].map(|files| builder.absorb(&other, files).unwrap());
        let both = Value::Tuple(builder.items(&roots).unwrap());
        let made = builder.finish(both, &Limits::default().pickle).unwrap();
        for (root, files) in roots.into_iter().zip([1, 5]) {
            assert_eq!(shown(&made, root, files), expected);
        }
        // What was shared still is, and nothing else became so.
        assert_eq!(made.storages().len(), 2 * other.storages().len());
        assert_eq!(made.objects().len(), 2 * other.objects().len());
    }
}
