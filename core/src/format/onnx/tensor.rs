//! Tensors: whether what is there is what the shape and the type call for.
//!
//! `onnx/checker.cc` takes data that is longer than it need be; ONNX Runtime
//! (`tensorprotoutils.cc`) and `numpy_helper.to_array` do not, and neither do we.

use crate::format::event::Sink;
use crate::format::protobuf::{Message, Value, int32, int64};

use super::Violation;
use super::external::Description;

/// The field that holds a type's numbers when they are not raw (`onnx.proto`, `TensorProto`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Float = 0,
    Int32 = 1,
    Text = 2,
    Int64 = 3,
    Double = 4,
    Uint64 = 5,
}

/// A type of elements.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    /// How many bits one takes in raw data.
    pub(crate) bits: u64,
    pub(crate) store: Store,
    /// How many numbers of the store one element takes.
    numbers: u64,
    /// How many elements a number of the store may hold: as many as `checker.cc` counts, and as
    /// few as `numpy_helper.py` packs.
    packed: (u64, u64),
}

impl Element {
    const fn plain(bits: u64, store: Store) -> Self {
        Self { bits, store, numbers: 1, packed: (1, 1) }
    }

    /// `TensorProto.DataType`.
    pub(crate) const fn of(data_type: i32) -> Option<Self> {
        Some(match data_type {
            1 => Self::plain(32, Store::Float),
            2 | 3 | 9 | 17..=20 | 24 => Self::plain(8, Store::Int32),
            4 | 5 | 10 | 16 => Self::plain(16, Store::Int32),
            6 => Self::plain(32, Store::Int32),
            7 => Self::plain(64, Store::Int64),
            8 => Self::plain(0, Store::Text),
            11 => Self::plain(64, Store::Double),
            12 => Self::plain(32, Store::Uint64),
            13 => Self::plain(64, Store::Uint64),
            14 => Self { numbers: 2, ..Self::plain(64, Store::Float) },
            15 => Self { numbers: 2, ..Self::plain(128, Store::Double) },
            21..=23 => Self { packed: (8, 2), ..Self::plain(4, Store::Int32) },
            25 | 26 => Self { packed: (16, 4), ..Self::plain(2, Store::Int32) },
            27 | 28 => Self::plain(6, Store::Int32),
            _ => return None,
        })
    }

    /// How many bytes so many elements take in raw data.
    pub(crate) fn raw(self, elements: u64) -> Option<u64> {
        elements.checked_mul(self.bits).map(|bits| bits.div_ceil(8))
    }

    /// How many numbers so many elements take in their store: at least, and at most.
    fn stored(self, elements: u64) -> Option<(u64, u64)> {
        let numbers = elements.checked_mul(self.numbers)?;
        Some((numbers.div_ceil(self.packed.0), numbers.div_ceil(self.packed.1)))
    }
}

/// What a tensor says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'a> {
    pub(crate) message: Message<'a>,
    pub(crate) name: &'a [u8],
    /// `DataType`; zero where there is none.
    pub(crate) data_type: i32,
    /// The dimensions, and how many elements they make: nothing where that cannot be counted.
    rank: u64,
    first: [i64; 2],
    pub(crate) elements: Option<u64>,
    pub(crate) raw: Option<Message<'a>>,
    stores: [u64; 6],
    segment: Option<u64>,
    /// Whether its data lies in another file, and where that is said as no reader knows it.
    pub(crate) elsewhere: bool,
    nowhere: Option<u64>,
    pub(crate) description: Description<'a>,
}

impl<'a> Tensor<'a> {
    pub(crate) fn of(message: Message<'a>) -> Self {
        let mut tensor = Self {
            message,
            name: &[],
            data_type: 0,
            rank: 0,
            first: [0; 2],
            elements: Some(1),
            raw: None,
            stores: [0; 6],
            segment: None,
            elsewhere: false,
            nowhere: None,
            description: Description::default(),
        };
        for field in message.fields().map_while(Result::ok) {
            match (field.number, field.value) {
                (1, dims) => each_number(dims, |dim| tensor.dimension(int64(dim))),
                (2, Value::Varint(number)) => tensor.data_type = int32(number).unwrap_or(0),
                (3, _) => tensor.segment = Some(field.offset),
                (4, value) => tensor.count(Store::Float, count(value, 4)),
                (5, value) => tensor.count(Store::Int32, count(value, 0)),
                (6, _) => tensor.count(Store::Text, 1),
                (7, value) => tensor.count(Store::Int64, count(value, 0)),
                (8, Value::Bytes(name)) => tensor.name = name.bytes,
                (9, Value::Bytes(raw)) => tensor.raw = Some(raw),
                (10, value) => tensor.count(Store::Double, count(value, 8)),
                (11, value) => tensor.count(Store::Uint64, count(value, 0)),
                (13, _) => tensor.description.add(field),
                (14, Value::Varint(place)) => match int32(place) {
                    Some(0) => tensor.elsewhere = false,
                    Some(1) => tensor.elsewhere = true,
                    // An enum that protobuf sets aside, or hands out as a number.
                    _ => tensor.nowhere = Some(field.offset),
                },
                _ => {}
            }
        }
        tensor
    }

    fn dimension(&mut self, dim: i64) {
        let place = usize::try_from(self.rank).ok();
        if let Some(first) = place.and_then(|place| self.first.get_mut(place)) {
            *first = dim;
        }
        self.rank = self.rank.saturating_add(1);
        let size = u64::try_from(dim).ok();
        let product =
            self.elements.zip(size).and_then(|(elements, size)| elements.checked_mul(size));
        self.elements = product.filter(|&product| i64::try_from(product).is_ok());
    }

    fn count(&mut self, store: Store, more: u64) {
        if let Some(count) = self.stores.get_mut(store as usize) {
            *count = count.saturating_add(more);
        }
    }

    /// How many numbers a store holds.
    pub(crate) fn stored(&self, store: Store) -> u64 {
        self.stores.get(store as usize).copied().unwrap_or(0)
    }

    /// How many places hold data.
    fn places(&self) -> usize {
        let raw = usize::from(self.raw.is_some_and(|raw| !raw.bytes.is_empty()));
        self.stores.iter().filter(|&&count| count > 0).count().saturating_add(raw)
    }
}

/// Judges a tensor. Gives the location of its data if that lies in another file of the folder;
/// `before` is the one that was given last.
pub(super) fn judge<'a>(
    message: Message<'a>,
    must_be_named: bool,
    before: &'a [u8],
    sink: Sink<'_>,
) -> &'a [u8] {
    let tensor = Tensor::of(message);
    if must_be_named && tensor.name.is_empty() {
        sink(Violation::Unnamed.at(message.offset, &[]));
    }
    judged(&tensor, before, sink)
}

fn judged<'a>(tensor: &Tensor<'a>, before: &'a [u8], sink: Sink<'_>) -> &'a [u8] {
    let (at, name) = (tensor.message.offset, tensor.name);
    if let Some(offset) = tensor.segment {
        sink(Violation::TensorSegment.at(offset, name));
    }
    if let Some(offset) = tensor.nowhere {
        sink(Violation::TensorData.at(offset, name));
    }
    let element = Element::of(tensor.data_type);
    if element.is_none() {
        sink(Violation::TensorType.at(at, name));
    }
    let size = element.zip(tensor.elements).and_then(|(element, count)| element.raw(count));
    if tensor.elements.is_none() || element.is_some() && size.is_none() {
        sink(Violation::TensorShape.at(at, name));
    }
    if tensor.elsewhere {
        if tensor.places() > 0 {
            sink(Violation::TensorData.at(at, name));
        }
        if element.is_some_and(|element| element.store == Store::Text) {
            // Text has no raw form that could lie in another file.
            sink(Violation::TensorType.at(at, name));
        }
        return tensor
            .description
            .judge(tensor.message, name, size, before, sink)
            .unwrap_or(before);
    }
    if tensor.description.present {
        // Readers go by the place that is said, others may go by the keys.
        sink(Violation::ExternalKeys.at(at, name));
        tensor.description.judge(tensor.message, name, size, before, sink);
    }
    let (Some(element), Some(elements), Some(size)) = (element, tensor.elements, size) else {
        return before;
    };
    if tensor.places() != usize::from(elements > 0) {
        sink(Violation::TensorData.at(at, name));
    } else if let Some(raw) = tensor.raw.filter(|raw| !raw.bytes.is_empty()) {
        if element.store == Store::Text {
            sink(Violation::TensorData.at(raw.offset, name));
        } else if u64::try_from(raw.bytes.len()).ok() != Some(size) {
            sink(Violation::TensorSize.at(raw.offset, name));
        }
    } else if elements > 0 {
        let stored = tensor.stored(element.store);
        let fits =
            element.stored(elements).is_some_and(|(least, most)| (least..=most).contains(&stored));
        if stored == 0 {
            sink(Violation::TensorData.at(at, name));
        } else if !fits {
            sink(Violation::TensorSize.at(at, name));
        }
    }
    before
}

/// The most dimensions of a sparse tensor that are told apart; no operator takes as many.
const RANK: usize = 32;

/// Judges a sparse tensor: its two tensors, and that each index is inside and behind the one
/// before, as `checker.cc` has it.
pub(super) fn judge_sparse<'a>(
    message: Message<'a>,
    must_be_named: bool,
    before: &'a [u8],
    sink: Sink<'_>,
) -> &'a [u8] {
    let mut before = before;
    let mut values = None;
    let mut indices = None;
    let mut dims = [0_u64; RANK];
    let mut rank = 0_usize;
    let mut positive = true;
    for field in message.fields().map_while(Result::ok) {
        match (field.number, field.value) {
            (1, Value::Bytes(tensor)) => values = Some(Tensor::of(tensor)),
            (2, Value::Bytes(tensor)) => indices = Some(Tensor::of(tensor)),
            (3, value) => each_number(value, |dim| {
                let dim = u64::try_from(int64(dim)).unwrap_or(0);
                positive &= dim > 0;
                if let Some(place) = dims.get_mut(rank) {
                    *place = dim;
                }
                rank = rank.saturating_add(1);
            }),
            _ => {}
        }
    }
    for tensor in [values, indices].into_iter().flatten() {
        before = judged(&tensor, before, sink);
    }
    if must_be_named && values.is_none_or(|values| values.name.is_empty()) {
        sink(Violation::Unnamed.at(message.offset, &[]));
    }
    let dims = dims.get(..rank).unwrap_or_default();
    let fits = positive
        && !dims.is_empty()
        && values.is_some_and(|values| agree(&values, indices.as_ref(), dims));
    if !fits {
        sink(Violation::Sparse.at(message.offset, &[]));
    }
    before
}

/// Whether the indices are as many as the values, and each is inside `dims` and behind the last.
fn agree(values: &Tensor<'_>, indices: Option<&Tensor<'_>>, dims: &[u64]) -> bool {
    let Ok(count) = u64::try_from(values.first[0]) else { return false };
    if values.rank != 1 {
        return false;
    }
    let Some(indices) = indices else { return count == 0 };
    let rank = u64::try_from(dims.len()).unwrap_or(u64::MAX);
    // Indices in another file are not read by the checker, nor by us.
    if indices.data_type != 7 || indices.elsewhere || u64::try_from(indices.first[0]) != Ok(count) {
        return false;
    }
    let Some(whole) = dims.iter().try_fold(1_u64, |whole, &dim| whole.checked_mul(dim)) else {
        return false;
    };
    let mut linear = 0_u64;
    let mut axis = 0_usize;
    let mut last = None;
    let mut inside = true;
    let mut take = |number: i64| {
        let Ok(index) = u64::try_from(number) else {
            inside = false;
            return;
        };
        let (limit, axes) = match indices.rank {
            1 => (whole, 1),
            _ => (dims.get(axis).copied().unwrap_or(0), dims.len()),
        };
        inside &= index < limit;
        linear = linear.saturating_mul(limit).saturating_add(index);
        axis = axis.saturating_add(1);
        if axis >= axes {
            inside &= last.is_none_or(|last| last < linear);
            last = Some(linear);
            (axis, linear) = (0, 0);
        }
    };
    match indices.raw {
        Some(raw) => {
            raw.bytes.as_chunks::<8>().0.iter().for_each(|word| take(i64::from_le_bytes(*word)))
        }
        None => {
            for field in
                indices.message.fields().map_while(Result::ok).filter(|field| field.number == 7)
            {
                each_number(field.value, |number| take(int64(number)));
            }
        }
    }
    let shape =
        indices.rank == 1 || indices.rank == 2 && u64::try_from(indices.first[1]) == Ok(rank);
    shape && inside
}

/// How many numbers a repeated field adds: one, or as many as are packed. `width` is that of a
/// word in bytes, or zero for varints, each of which ends in a byte below 0x80.
fn count(value: Value<'_>, width: u64) -> u64 {
    match value {
        Value::Bytes(packed) if width == 0 => {
            let ends = packed.bytes.iter().filter(|&&byte| byte < 0x80).count();
            u64::try_from(ends).unwrap_or(u64::MAX)
        }
        Value::Bytes(packed) => packed.words(width).unwrap_or(0),
        _ => 1,
    }
}

/// The numbers that a repeated varint field adds.
pub(crate) fn each_number(value: Value<'_>, mut take: impl FnMut(u64)) {
    match value {
        Value::Varint(number) => take(number),
        Value::Bytes(packed) => packed.varints().map_while(Result::ok).for_each(take),
        _ => {}
    }
}

/// Whether elements can have this type (`TensorProto.DataType`).
pub(super) const fn is_type(data_type: i32) -> bool {
    Element::of(data_type).is_some()
}
