//! What was in a model file, as data: plain values, tensors, and the storages below them.
//!
//! A [`Checkpoint`] is made by a [`Builder`] and never changes afterwards. Every reader that loads
//! (the pickle builder, safetensors, numpy, ONNX) ends in the builder, and every consumer (torch,
//! numpy, a C++ server, the safetensors writer) starts from what it gives.
//!
//! What a finished checkpoint promises, whoever built it and from whatever bytes:
//!
//! - every id and span in it leads to something;
//! - every tensor lies inside its storage, counted without overflow ([`extent`]);
//! - its values form no cycle, nest no deeper than the limit and expand, when shared parts are
//!   counted wherever they appear, to no more leaves than the limit;
//! - the keys of its dicts and the items of its sets are hashable, and no key occurs twice (the
//!   last value stays, in the place of the first, as in Python).
//!
//! It refuses to hold tensor bytes: a [`Storage`] says where its bytes lie, and whoever opened the
//! file gives them out. What it can therefore not promise by itself is what the *numbers* in a
//! tensor say; the indices of sparse tensors are checked by [`sparse::check`] once they are at hand.

mod builder;
mod dtype;
mod error;
pub mod extent;
mod finish;
mod key;
mod merge;
mod numpy;
pub mod sparse;

use alloc::string::String;
use alloc::vec::Vec;

use crate::rules::AllowedGlobal;

pub use builder::{Builder, Parts};
pub use dtype::{Dtype, Family};
pub use error::{LoadError, Problem};
pub(crate) use finish::keep_last;
pub use numpy::{Field, NumpyDtype};

/// A stretch of one of the checkpoint's pools. The pools hold up to 4 GiB each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Of nothing.
    pub const EMPTY: Self = Self { start: 0, length: 0 };

    /// A stretch that somebody who keeps `start` and `len` names again. Of nothing, where it leads
    /// outside of its pool.
    #[must_use]
    pub const fn at(start: u32, length: u32) -> Self {
        Self { start, length }
    }

    /// How many bytes, or items, it spans.
    #[must_use]
    pub const fn len(self) -> usize {
        self.length as usize
    }

    /// Whether it spans none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Where it starts in its pool: two spans that start at one place and are not empty are one.
    #[must_use]
    pub const fn start(self) -> usize {
        self.start as usize
    }
}

/// The number of an object: two values with one number are one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(u32);

/// The number of a storage: tensors with one number share memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageId(u32);

impl ObjectId {
    /// The number as an index into [`Checkpoint::objects`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl StorageId {
    /// The number as an index into [`Checkpoint::storages`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value: itself where it is small and immutable, or a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// Any other integer: two's complement, little-endian ([`Checkpoint::bytes`]).
    Integer(Span),
    /// A float.
    Float(f64),
    /// A `str` ([`Checkpoint::text`]).
    Text(Span),
    /// A `bytes` ([`Checkpoint::bytes`]).
    Bytes(Span),
    /// A `tuple` ([`Checkpoint::items`]).
    Tuple(Span),
    /// A `torch.Size` ([`Checkpoint::items`]): integers.
    Size(Span),
    /// A `torch.dtype`
    Dtype(Dtype),
    /// A global of the allowlist, as a value: a class, a layout, a memory format.
    Global(&'static AllowedGlobal),
    /// A storage that the file holds as a value of its own.
    Storage(StorageId),
    /// Whatever has an identity or does not fit here.
    Object(ObjectId),
}

/// Something with an identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A `list`
    List(Vec<Value>),
    /// A `dict` or one of its kin.
    Dict(Dict),
    /// A `set`
    Set(Vec<Value>),
    /// A `frozenset`
    FrozenSet(Vec<Value>),
    /// A `collections.deque`, and its greatest length.
    Deque(Vec<Value>, Option<u64>),
    /// A `bytearray`
    ByteArray(Span),
    /// A `complex`
    Complex(f64, f64),
    /// A `slice`: start, stop, step.
    Slice([Value; 3]),
    /// A `range`: start, stop, step.
    Range([i64; 3]),
    /// A `torch.device`: its type, and its number where it has one.
    Device(Span, Option<u32>),
    /// A tensor.
    Tensor(Tensor),
    /// A sparse tensor.
    Sparse(Sparse),
    /// A `torch.nn.Parameter`, or what wraps a tensor like one.
    Parameter(Parameter),
    /// A `numpy.ndarray` of numbers, strings or records.
    Array(Array),
    /// A `numpy.ndarray` of objects: its shape, and its items, the last index fastest (the first,
    /// where the flag is set).
    ObjectArray(Span, Vec<Value>, bool),
    /// A numpy scalar: its type and its bytes.
    Scalar(NumpyDtype, Span),
    /// A `numpy.dtype`
    NumpyDtype(NumpyDtype),
    /// An instance of any other class of the allowlist.
    Instance(Instance),
}

/// A `dict` or one of its kin.
#[derive(Clone, Debug, PartialEq)]
pub struct Dict {
    /// Its class.
    pub kind: DictKind,
    /// Keys and values, in order.
    pub items: Vec<(Value, Value)>,
    /// The attributes that the file gives to the object, a dict: `_metadata` of a `state_dict`.
    pub state: Option<Value>,
}

/// The class of a [`Dict`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DictKind {
    /// `dict`
    Plain,
    /// `collections.OrderedDict`
    Ordered,
    /// `collections.Counter`
    Counter,
    /// `collections.defaultdict`, and its factory: a class of the allowlist, or `None`.
    Default(Value),
    /// Another class of the allowlist, that holds items.
    Other(&'static AllowedGlobal),
}

/// A tensor: how the elements of a storage are looked at.
///
/// It lies inside its storage: only [`Builder::tensor`] makes one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    dtype: Dtype,
    storage: Option<StorageId>,
    offset: u64,
    /// Sizes, and strides behind them.
    dims: u32,
    rank: u8,
    flags: u8,
    quantizer: Option<u32>,
    class: Option<&'static AllowedGlobal>,
}

impl Tensor {
    /// The type of its elements.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The storage; none for a tensor on torch's `meta` device, which has no data.
    #[must_use]
    pub const fn storage(&self) -> Option<StorageId> {
        self.storage
    }

    /// How many elements of the storage lie before its first.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many dimensions it has.
    #[must_use]
    pub const fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Whether it collects gradients.
    #[must_use]
    pub const fn requires_grad(&self) -> bool {
        self.flags & Parts::REQUIRES_GRAD != 0
    }

    /// Whether it shows the complex conjugate of its storage.
    #[must_use]
    pub const fn is_conj(&self) -> bool {
        self.flags & Parts::CONJ != 0
    }

    /// Whether it shows the negative of its storage.
    #[must_use]
    pub const fn is_neg(&self) -> bool {
        self.flags & Parts::NEG != 0
    }

    /// The same look at the same storage, with other flags ([`Parts::REQUIRES_GRAD`] and its kin).
    #[must_use]
    pub const fn with_flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    /// The tensor subclass that the file names for it, by name only.
    #[must_use]
    pub const fn class(&self) -> Option<&'static AllowedGlobal> {
        self.class
    }
}

/// How a quantised tensor's integers stand for floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantizer {
    /// One scale and one zero point.
    PerTensor {
        /// The scale.
        scale: f64,
        /// The zero point.
        zero_point: i64,
    },
    /// A scale and a zero point for each index along an axis: two tensors of that length.
    PerChannel {
        /// The scales.
        scales: ObjectId,
        /// The zero points.
        zero_points: ObjectId,
        /// The axis, less than the rank.
        axis: u8,
        /// Whether the zero points are floats (`per_channel_affine_float_qparams`).
        float: bool,
    },
}

/// The layout of a [`Sparse`] tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `torch.sparse_coo`
    Coo,
    /// `torch.sparse_csr`
    Csr,
    /// `torch.sparse_csc`
    Csc,
    /// `torch.sparse_bsr`
    Bsr,
    /// `torch.sparse_bsc`
    Bsc,
}

impl Layout {
    /// The layout of a name under `torch`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "sparse_coo" => Self::Coo,
            "sparse_csr" => Self::Csr,
            "sparse_csc" => Self::Csc,
            "sparse_bsr" => Self::Bsr,
            "sparse_bsc" => Self::Bsc,
            _ => return None,
        })
    }

    /// The name under `torch`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coo => "sparse_coo",
            Self::Csr => "sparse_csr",
            Self::Csc => "sparse_csc",
            Self::Bsr => "sparse_bsr",
            Self::Bsc => "sparse_bsc",
        }
    }
}

/// A sparse tensor: dense tensors that [`sparse::check`] has to find sound before anybody
/// multiplies with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparse {
    /// How the indices are kept.
    pub layout: Layout,
    /// The indices of COO; of the others the compressed ones, such as `crow_indices`.
    pub indices: ObjectId,
    /// The plain indices, such as `col_indices`; none for COO.
    pub plain: Option<ObjectId>,
    /// The values.
    pub values: ObjectId,
    /// The shape ([`Checkpoint::dims`]).
    pub shape: Span,
    /// Whether the indices are said to be sorted and unique; COO alone says so.
    pub coalesced: Option<bool>,
}

/// A `torch.nn.Parameter`, `Buffer` or their kin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The class.
    pub class: &'static AllowedGlobal,
    /// The tensor inside; none where it is uninitialised.
    pub data: Option<ObjectId>,
    /// Whether it collects gradients.
    pub requires_grad: bool,
    /// The attributes that the file gives to the object: a dict, or a pair of dicts.
    pub state: Option<Value>,
}

/// An array of numpy's: a storage and how it is looked at, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array {
    /// The type of an element.
    pub dtype: NumpyDtype,
    /// The sizes ([`Checkpoint::dims`]).
    pub shape: Span,
    /// Whether the first index changes fastest.
    pub fortran: bool,
    /// The bytes, exactly as many as the shape takes.
    pub storage: StorageId,
}

/// An instance of a class of the allowlist, as the call that makes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instance {
    /// What is called.
    pub class: &'static AllowedGlobal,
    /// The arguments ([`Checkpoint::items`]), of the kinds that the allowlist admits.
    pub arguments: Span,
    /// The state that it is given.
    pub state: Option<Value>,
}

/// The memory below tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storage {
    /// Its length in bytes.
    pub bytes: u64,
    /// The element type that the file declares for it; `uint8` where it declares none.
    pub dtype: Dtype,
    /// The device that it was on, such as `cpu` or `cuda:0` ([`Checkpoint::text`]).
    pub location: Span,
    /// Where the bytes are.
    pub place: Place,
    /// Whether the bytes of each element stand in the other order than this format's usual one,
    /// little-endian, and have to be reversed.
    pub swapped: bool,
}

/// Where the bytes of a [`Storage`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As they are in a file, of those that the checkpoint was opened from.
    File {
        /// The number of the file.
        file: u32,
        /// The first byte in it.
        offset: u64,
    },
    /// Compressed in an archive: whoever opened the file unpacks them.
    Member {
        /// The number of the file.
        file: u32,
        /// Where the member's header stands in the central directory
        /// ([`Archive::entry`](crate::format::zip::Archive::entry)).
        header: u64,
    },
    /// In the checkpoint itself ([`Checkpoint::bytes`]).
    Owned(Span),
    /// In another storage, from a byte on.
    View {
        /// The storage, which is no view itself.
        of: StorageId,
        /// The first byte in it.
        offset: u64,
    },
}

/// What was in a model file. See the [module](self) for what it promises.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    root: Value,
    text: String,
    bytes: Vec<u8>,
    items: Vec<Value>,
    dims: Vec<u64>,
    fields: Vec<Field>,
    objects: Vec<Object>,
    quantizers: Vec<Quantizer>,
    storages: Vec<Storage>,
    metadata: Vec<(Span, Span)>,
}

impl Checkpoint {
    /// The value that the file holds.
    #[must_use]
    pub const fn root(&self) -> Value {
        self.root
    }

    /// The text of a [`Value::Text`].
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.text.get(range(span)).unwrap_or_default()
    }

    /// The bytes of a [`Value::Bytes`], [`Value::Integer`] and their kin.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.bytes.get(range(span)).unwrap_or_default()
    }

    /// The items of a [`Value::Tuple`] and their kin.
    #[must_use]
    pub fn items(&self, span: Span) -> &[Value] {
        self.items.get(range(span)).unwrap_or_default()
    }

    /// The sizes of an [`Array`], a [`Sparse`] tensor or an object array.
    #[must_use]
    pub fn dims(&self, span: Span) -> &[u64] {
        self.dims.get(range(span)).unwrap_or_default()
    }

    /// The fields of a numpy record type.
    #[must_use]
    pub fn fields(&self, span: Span) -> &[Field] {
        self.fields.get(range(span)).unwrap_or_default()
    }

    /// Every object.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// An object; an empty list where the number is not of this checkpoint.
    #[must_use]
    pub fn object(&self, id: ObjectId) -> &Object {
        static NONE: Object = Object::List(Vec::new());
        self.objects.get(id.index()).unwrap_or(&NONE)
    }

    /// The number of an object by its index.
    #[must_use]
    pub fn object_id(&self, index: usize) -> Option<ObjectId> {
        (index < self.objects.len()).then(|| u32::try_from(index).ok().map(ObjectId)).flatten()
    }

    /// Every storage.
    #[must_use]
    pub fn storages(&self) -> &[Storage] {
        &self.storages
    }

    /// A storage.
    #[must_use]
    pub fn storage(&self, id: StorageId) -> Option<&Storage> {
        self.storages.get(id.index())
    }

    /// The number of a storage by its index.
    #[must_use]
    pub fn storage_id(&self, index: usize) -> Option<StorageId> {
        (index < self.storages.len()).then(|| u32::try_from(index).ok().map(StorageId)).flatten()
    }

    /// A tensor's sizes.
    #[must_use]
    pub fn shape(&self, tensor: &Tensor) -> &[u64] {
        self.dims.get(range(Span { start: tensor.dims, length: tensor.rank.into() })).unwrap_or(&[])
    }

    /// A tensor's strides, in elements.
    #[must_use]
    pub fn strides(&self, tensor: &Tensor) -> &[u64] {
        let start = tensor.dims.saturating_add(tensor.rank.into());
        self.dims.get(range(Span { start, length: tensor.rank.into() })).unwrap_or(&[])
    }

    /// How a quantised tensor's integers stand for floats.
    #[must_use]
    pub fn quantizer(&self, tensor: &Tensor) -> Option<&Quantizer> {
        self.quantizers.get(usize::try_from(tensor.quantizer?).ok()?)
    }

    /// The metadata that the format keeps beside the value, such as safetensors' `__metadata__`.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.metadata.iter().map(|&(key, value)| (self.text(key), self.text(value)))
    }

    /// One of these pairs, which is found at once however many there are.
    #[must_use]
    pub fn metadata_at(&self, index: usize) -> Option<(&str, &str)> {
        let &(key, value) = self.metadata.get(index)?;
        Some((self.text(key), self.text(value)))
    }

    /// The dict that the root is, if it is one.
    #[must_use]
    pub fn root_dict(&self) -> Option<&Dict> {
        match self.root {
            Value::Object(id) => match self.object(id) {
                Object::Dict(dict) => Some(dict),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value under a text key of a dict.
    #[must_use]
    pub fn get(&self, dict: &Dict, key: &str) -> Option<Value> {
        let is_key = |value: Value| matches!(value, Value::Text(span) if self.text(span) == key);
        dict.items.iter().find(|(found, _)| is_key(*found)).map(|&(_, value)| value)
    }

    /// Calls `each` with every value that a value holds directly, in order.
    pub fn children(&self, value: Value, each: &mut dyn FnMut(Value)) {
        children(&self.objects, &self.items, &self.quantizers, value, each);
    }
}

fn range(span: Span) -> core::ops::Range<usize> {
    span.start()..span.start().saturating_add(span.len())
}

/// What a value holds directly.
fn children(
    objects: &[Object],
    items: &[Value],
    quantizers: &[Quantizer],
    value: Value,
    each: &mut dyn FnMut(Value),
) {
    let tuple = |span: Span, each: &mut dyn FnMut(Value)| {
        items.get(range(span)).unwrap_or_default().iter().copied().for_each(each);
    };
    let id = match value {
        Value::Tuple(span) => return tuple(span, each),
        Value::Object(id) => id,
        _ => return,
    };
    match objects.get(id.index()) {
        Some(
            Object::List(items)
            | Object::Set(items)
            | Object::FrozenSet(items)
            | Object::Deque(items, _)
            | Object::ObjectArray(_, items, _),
        ) => items.iter().copied().for_each(each),
        Some(Object::Dict(dict)) => {
            for &(key, value) in &dict.items {
                each(key);
                each(value);
            }
            if let DictKind::Default(factory) = dict.kind {
                each(factory);
            }
            dict.state.into_iter().for_each(each);
        }
        Some(Object::Slice(items)) => items.iter().copied().for_each(each),
        Some(Object::Tensor(tensor)) => {
            let quantizer =
                tensor.quantizer.and_then(|at| quantizers.get(usize::try_from(at).ok()?));
            if let Some(&Quantizer::PerChannel { scales, zero_points, .. }) = quantizer {
                each(Value::Object(scales));
                each(Value::Object(zero_points));
            }
        }
        Some(Object::Sparse(sparse)) => {
            each(Value::Object(sparse.indices));
            sparse.plain.into_iter().for_each(|plain| each(Value::Object(plain)));
            each(Value::Object(sparse.values));
        }
        Some(Object::Parameter(parameter)) => {
            parameter.data.into_iter().for_each(|data| each(Value::Object(data)));
            parameter.state.into_iter().for_each(each);
        }
        Some(Object::Instance(instance)) => {
            tuple(instance.arguments, each);
            instance.state.into_iter().for_each(each);
        }
        Some(
            Object::ByteArray(_)
            | Object::Complex(..)
            | Object::Range(_)
            | Object::Device(..)
            | Object::Array(_)
            | Object::Scalar(..)
            | Object::NumpyDtype(_),
        )
        | None => {}
    }
}

#[cfg(test)]
mod tests;
