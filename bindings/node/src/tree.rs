//! The values of a checkpoint as JSON, from which the package makes JavaScript's values.
//!
//! A value is `null`, a boolean, a number, a short text, or a list of a tag and what belongs to it.
//! Whatever can occur in many places is told once, in a table, and referred to by its number: one
//! object of the checkpoint stays one object, and what hostile files share without end stays small.
//!
//! | tag | what follows |
//! |---|---|
//! | `o`, `t`, `z`, `s` | the number of an object, a tuple, a size, a text |
//! | `b`, `i` | the number of bytes: as they are, or an integer (two's complement, little-endian) |
//! | `n`, `f` | a number in decimal digits that JavaScript would round; `NaN` or an infinity |
//! | `d`, `g`, `u` | the name of an element type; module and name of a global; the number of a storage |

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use secure_torch::core::checkpoint::{
    Dict, DictKind, NumpyDtype, Object, ObjectId, Quantizer, Span, Sparse, Tensor, Value,
};
use secure_torch::core::rules::AllowedGlobal;
use secure_torch::{Checkpoint, Error};
use serde_json::{Value as Json, json};

use crate::wire::exact;

/// Longer texts stand in the table.
const SHORT: usize = 48;

/// What is told, and the bytes that it refers to.
pub(crate) fn tell(made: &Checkpoint) -> Result<(String, Vec<Span>), Error> {
    let mut teller =
        Teller { made, tuples: Table::default(), texts: Table::default(), bytes: Table::default() };
    let root = teller.value(made.root());
    let objects: Vec<Json> = made.objects().iter().map(|object| teller.object(object)).collect();
    let names: Vec<Json> = made
        .named_tensors()?
        .into_iter()
        .map(|found| json!([found.name, teller.reference(found.object)]))
        .collect();
    // Tuples hold tuples, which join the table as they are met.
    let mut tuples = Vec::new();
    while let Some(&span) = teller.tuples.spans.get(tuples.len()) {
        tuples.push(teller.values(made.items(span)));
    }
    let texts: Vec<&str> = teller.texts.spans.iter().map(|&span| made.text(span)).collect();
    let storages: Vec<Json> = made
        .storages()
        .iter()
        .map(|storage| json!([storage.bytes, storage.dtype.name(), made.text(storage.location)]))
        .collect();
    let metadata: Vec<(&str, &str)> = made.metadata().collect();
    let files: Vec<&str> = made.files().iter().map(|file| file.name()).collect();
    let told = json!({
        "root": root,
        "objects": objects,
        "tuples": tuples,
        "texts": texts,
        "names": names,
        "storages": exact(Json::from(storages)),
        "metadata": metadata,
        "files": files,
    });
    Ok((told.to_string(), teller.bytes.spans))
}

/// Stretches of a pool, each once.
#[derive(Default)]
struct Table {
    spans: Vec<Span>,
    numbers: HashMap<Span, usize>,
}

impl Table {
    fn number(&mut self, span: Span) -> usize {
        match self.numbers.entry(span) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.spans.push(span);
                *new.insert(self.spans.len().saturating_sub(1))
            }
        }
    }
}

struct Teller<'c> {
    made: &'c Checkpoint,
    tuples: Table,
    texts: Table,
    bytes: Table,
}

impl Teller<'_> {
    fn value(&mut self, value: Value) -> Json {
        match value {
            Value::None => Json::Null,
            Value::Bool(value) => value.into(),
            Value::Int(value) => match exact(value.into()) {
                Json::Object(_) => json!(["n", value.to_string()]),
                safe => safe,
            },
            Value::Float(value) => float(value),
            Value::Integer(span) => json!(["i", self.bytes.number(span)]),
            Value::Text(span) if span.len() <= SHORT => self.made.text(span).into(),
            Value::Text(span) => json!(["s", self.texts.number(span)]),
            Value::Bytes(span) => json!(["b", self.bytes.number(span)]),
            Value::Tuple(span) => json!(["t", self.tuples.number(span)]),
            Value::Size(span) => json!(["z", self.tuples.number(span)]),
            Value::Dtype(dtype) => json!(["d", dtype.name()]),
            Value::Global(global) => json!(["g", global.module, global.name]),
            Value::Storage(id) => json!(["u", id.index()]),
            Value::Object(id) => self.reference(id),
        }
    }

    fn reference(&self, id: ObjectId) -> Json {
        json!(["o", id.index()])
    }

    fn values(&mut self, values: &[Value]) -> Json {
        values.iter().map(|&value| self.value(value)).collect()
    }

    fn maybe(&mut self, value: Option<Value>) -> Json {
        value.map_or(Json::Null, |value| json!([self.value(value)]))
    }

    fn object(&mut self, object: &Object) -> Json {
        let made = self.made;
        match object {
            Object::List(items) => json!(["list", self.values(items)]),
            Object::Dict(dict) => self.dict(dict),
            Object::Set(items) => json!(["set", self.values(items)]),
            Object::FrozenSet(items) => json!(["frozenset", self.values(items)]),
            Object::Deque(items, _) => json!(["deque", self.values(items)]),
            Object::ByteArray(span) => json!(["bytearray", self.bytes.number(*span)]),
            &Object::Complex(real, imaginary) => {
                json!(["complex", float(real), float(imaginary)])
            }
            Object::Slice(parts) => json!(["slice", self.values(parts)]),
            Object::Range(parts) => {
                let parts = parts.map(|part| self.value(Value::Int(part)));
                json!(["range", parts])
            }
            &Object::Device(kind, index) => json!(["device", made.text(kind), index]),
            Object::Tensor(tensor) => self.tensor(tensor),
            Object::Sparse(sparse) => self.sparse(sparse),
            Object::Parameter(parameter) => {
                let data = parameter.data.map(|data| self.reference(data));
                let state = self.maybe(parameter.state);
                json!(["parameter", class(parameter.class), data, parameter.requires_grad, state])
            }
            Object::Array(array) => {
                let dtype = &array.dtype;
                let shape = sizes(made.dims(array.shape));
                json!(["array", self.numpy(dtype), shape, array.fortran, array.storage.index()])
            }
            Object::ObjectArray(shape, items, fortran) => {
                json!(["objects", sizes(made.dims(*shape)), fortran, self.values(items)])
            }
            Object::Scalar(dtype, span) => {
                json!(["scalar", self.numpy(dtype), self.bytes.number(*span)])
            }
            Object::NumpyDtype(dtype) => json!(["dtype", self.numpy(dtype)]),
            Object::Instance(instance) => {
                let arguments = self.values(made.items(instance.arguments));
                json!(["instance", class(instance.class), arguments, self.maybe(instance.state)])
            }
        }
    }

    fn dict(&mut self, dict: &Dict) -> Json {
        let (name, factory) = match dict.kind {
            DictKind::Plain => ("dict".to_owned(), None),
            DictKind::Ordered => ("collections.OrderedDict".to_owned(), None),
            DictKind::Counter => ("collections.Counter".to_owned(), None),
            DictKind::Default(factory) => ("collections.defaultdict".to_owned(), Some(factory)),
            DictKind::Other(global) => (class(global), None),
        };
        let items: Vec<Json> = dict
            .items
            .iter()
            .map(|&(key, value)| json!([self.value(key), self.value(value)]))
            .collect();
        json!(["dict", name, items, self.maybe(dict.state), self.maybe(factory)])
    }

    fn tensor(&self, tensor: &Tensor) -> Json {
        let made = self.made;
        let quantizer = match made.quantizer(tensor) {
            None => Json::Null,
            Some(&Quantizer::PerTensor { scale, zero_point }) => {
                let scale = float(scale);
                json!({ "scale": scale, "zeroPoint": exact(zero_point.into()) })
            }
            Some(&Quantizer::PerChannel { scales, zero_points, axis, .. }) => json!({
                "scales": self.reference(scales),
                "zeroPoints": self.reference(zero_points),
                "axis": axis,
            }),
        };
        json!([
            "tensor",
            tensor.dtype().name(),
            tensor.storage().map(|id| id.index()),
            exact(tensor.offset().into()),
            sizes(made.shape(tensor)),
            sizes(made.strides(tensor)),
            [tensor.requires_grad(), tensor.is_conj(), tensor.is_neg()],
            quantizer,
            tensor.class().map(class),
        ])
    }

    fn sparse(&self, sparse: &Sparse) -> Json {
        json!([
            "sparse",
            sparse.layout.name(),
            self.reference(sparse.indices),
            sparse.plain.map(|plain| self.reference(plain)),
            self.reference(sparse.values),
            sizes(self.made.dims(sparse.shape)),
            sparse.coalesced,
        ])
    }

    /// The type's name, and for a record its fields, whose types are told by name alone.
    fn numpy(&self, dtype: &NumpyDtype) -> Json {
        let fields: Vec<Json> = self
            .made
            .fields(dtype.fields)
            .iter()
            .map(|field| json!([self.made.text(field.name), field.dtype.to_string(), field.offset]))
            .collect();
        json!([dtype.to_string(), dtype.size, fields])
    }
}

fn float(value: f64) -> Json {
    if value.is_finite() {
        value.into()
    } else if value.is_nan() {
        json!(["f", "NaN"])
    } else {
        json!(["f", if value > 0.0 { "Infinity" } else { "-Infinity" }])
    }
}

fn class(global: &AllowedGlobal) -> String {
    format!("{}.{}", global.module, global.name)
}

fn sizes(sizes: &[u64]) -> Json {
    exact(sizes.into())
}
