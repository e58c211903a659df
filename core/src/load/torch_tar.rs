//! PyTorch's oldest layout: a tar of `storages`, `tensors` and `pickle` (`legacy_load` inside
//! `_legacy_load` in `torch/serialization.py`).
//!
//! `storages` and `tensors` let pickles and raw bytes take turns; the module
//! [`crate::format::torch_tar`] says how many bytes follow which pickle. The object's pickle then
//! refers to tensors and storages by their numbers.

use alloc::collections::BTreeMap;

use super::pickle::{NoStorages, StorageRequest, Storages, Surroundings, build};
use super::{Options, offset};
use crate::checkpoint::extent::DIMENSIONS;
use crate::checkpoint::{
    Builder, Checkpoint, Dtype, LoadError, Object, ObjectId, Parts, Place, Problem, Storage,
    StorageId, Value,
};
use crate::format::tar::{Archive, Member};
use crate::format::torch_tar::Records;
use crate::pickle::audit::PersistentIds;

/// Loads an archive. Offsets in errors count from the start of the file.
///
/// # Errors
/// [`LoadError`].
pub fn load(bytes: &[u8], options: &Options) -> Result<Checkpoint, LoadError> {
    let archive = Archive::open(bytes)
        .map_err(|error| LoadError::at(Problem::Format(error.kind.message()), error.offset))?;
    let member = |name: &'static [u8], missing| {
        let dotted = |member: &Member<'_>| {
            member.name.bytes().eq(b"./".iter().copied().chain(name.iter().copied()))
        };
        let found =
            archive.find(name).or_else(|| archive.members().map_while(Result::ok).find(dotted));
        let found = found.ok_or(LoadError::at(Problem::Format(missing), 0))?;
        let (start, end) = (found.data_range().start, found.data_range().end);
        let part = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let part = part.and_then(|(start, end)| Some((start, bytes.get(start..end)?)));
        part.ok_or(LoadError::at(Problem::Truncated, start))
    };
    let mut builder = Builder::new();
    let mut read = Reading { builder: &mut builder, options, objects: BTreeMap::new() };
    let (start, part) = member(b"storages", "the archive has no member `storages`")?;
    read.storages(start, part)?;
    let (start, part) = member(b"tensors", "the archive has no member `tensors`")?;
    read.tensors(start, part)?;
    let mut numbered = Numbered { objects: read.objects };
    let (start, part) = member(b"pickle", "the archive has no member `pickle`")?;
    let surroundings = Surroundings { ids: PersistentIds::Tensors, torchscript: false };
    let (root, end) = build(part, options, surroundings, &mut builder, &mut numbered)
        .map_err(|error| error.behind(offset(start)))?;
    let finished = builder.finish(root, &options.limits.pickle);
    finished.map_err(|problem| LoadError::at(problem, offset(start.saturating_add(end))))
}

/// What a number stands for.
#[derive(Clone, Copy)]
enum Numbering {
    Storage(StorageId),
    Tensor(ObjectId),
}

struct Numbered {
    objects: BTreeMap<i64, Numbering>,
}

impl Storages for Numbered {
    fn storage(&mut self, _: &mut Builder, _: &StorageRequest<'_>) -> Result<StorageId, Problem> {
        Err(Problem::PersistentId)
    }

    fn numbered(&mut self, number: i64) -> Option<Value> {
        Some(match self.objects.get(&number)? {
            Numbering::Tensor(id) => Value::Object(*id),
            Numbering::Storage(id) => Value::Storage(*id),
        })
    }
}

struct Reading<'r> {
    builder: &'r mut Builder,
    options: &'r Options,
    objects: BTreeMap<i64, Numbering>,
}

/// A place in a member, for reading on.
struct Cursor<'c> {
    bytes: &'c [u8],
    /// Where the member starts in the file.
    base: usize,
    at: usize,
}

impl<'c> Cursor<'c> {
    fn place(&self) -> u64 {
        offset(self.base.saturating_add(self.at))
    }

    fn fail<V>(&self, problem: Problem) -> Result<V, LoadError> {
        Err(LoadError::at(problem, self.place()))
    }

    fn take(&mut self, length: u64) -> Result<&'c [u8], LoadError> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        match (taken, end) {
            (Some(taken), Some(end)) => {
                self.at = end;
                Ok(taken)
            }
            _ => self.fail(Problem::ShortStorage),
        }
    }

    fn number(&mut self) -> Result<u64, LoadError> {
        let bytes = self.take(8)?;
        match bytes.first_chunk() {
            Some(bytes) => Ok(u64::from_le_bytes(*bytes)),
            None => self.fail(Problem::ShortStorage),
        }
    }
}

impl Reading<'_> {
    fn pickle(&mut self, cursor: &mut Cursor<'_>) -> Result<Value, LoadError> {
        let rest = cursor.bytes.get(cursor.at..).unwrap_or_default();
        let surroundings = Surroundings { ids: PersistentIds::None, torchscript: false };
        let (value, end) = build(rest, self.options, surroundings, self.builder, &mut NoStorages)
            .map_err(|error| error.behind(cursor.place()))?;
        cursor.at = cursor.at.saturating_add(end);
        Ok(value)
    }

    fn count(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, LoadError> {
        match self.pickle(cursor)? {
            Value::Int(count @ 0..) => Ok(count.unsigned_abs()),
            _ => cursor.fail(Problem::Format("a member does not start with a count")),
        }
    }

    /// The three items of a record's pickle.
    fn record(&mut self, cursor: &mut Cursor<'_>) -> Result<[Value; 3], LoadError> {
        let value = self.pickle(cursor)?;
        let items = match value {
            Value::Tuple(span) => self.builder.so_far().items(span),
            _ => &[],
        };
        match *items {
            [a, b, c] => Ok([a, b, c]),
            _ => cursor.fail(Problem::Format("a record is no tuple of three")),
        }
    }

    fn key(&self, value: Value) -> Option<i64> {
        match value {
            Value::Int(number) => Some(number),
            Value::Text(span) => self.builder.so_far().text(span).parse().ok(),
            _ => None,
        }
    }

    fn storages(&mut self, base: usize, bytes: &[u8]) -> Result<(), LoadError> {
        let mut cursor = Cursor { bytes, base, at: 0 };
        for _ in 0..self.count(&mut cursor)? {
            let [key, location, class] = self.record(&mut cursor)?;
            let key = self.key(key);
            let (Some(key), Value::Text(location), Value::Global(class)) = (key, location, class)
            else {
                return cursor
                    .fail(Problem::Format("a storage's record is not what PyTorch wrote"));
            };
            let Some(dtype) = Dtype::from_class(class.name) else {
                return cursor.fail(Problem::Dtype);
            };
            let elements = cursor.number()?;
            let place = Place::File { file: self.options.file, offset: cursor.place() };
            let Some(length) = elements.checked_mul(dtype.size()) else {
                return cursor.fail(Problem::ShortStorage);
            };
            cursor.take(length)?;
            let storage = Storage { bytes: length, dtype, location, place, swapped: false };
            let id = self.builder.storage(storage);
            let id = id.map_err(|problem| LoadError::at(problem, cursor.place()))?;
            self.insert(&cursor, key, Numbering::Storage(id))?;
        }
        self.views(&mut cursor)
    }

    /// Storages that are parts of others: the number of each, that of its root, where it begins and
    /// how long it is, in elements.
    fn views(&mut self, cursor: &mut Cursor<'_>) -> Result<(), LoadError> {
        let value = self.pickle(cursor)?;
        let wrong = Problem::Format("the list of views is not what PyTorch wrote");
        let made = self.builder.so_far();
        let list = match value {
            Value::Object(id) => match made.object(id) {
                Object::List(items) => items.clone(),
                _ => return cursor.fail(wrong),
            },
            _ => return cursor.fail(wrong),
        };
        for item in list {
            let made = self.builder.so_far();
            let items = match item {
                Value::Tuple(span) => made.items(span),
                _ => &[],
            };
            let &[target, root, Value::Int(first @ 0..), Value::Int(size @ 0..)] = items else {
                return cursor.fail(wrong);
            };
            let (Some(target), Some(root)) = (self.key(target), self.key(root)) else {
                return cursor.fail(wrong);
            };
            let Some(&Numbering::Storage(of)) = self.objects.get(&root) else {
                return cursor.fail(Problem::MissingStorage);
            };
            let Some(&storage) = self.builder.so_far().storage(of) else {
                return cursor.fail(Problem::MissingStorage);
            };
            let width = storage.dtype.size();
            let offset = first.unsigned_abs().checked_mul(width);
            let bytes = size.unsigned_abs().checked_mul(width);
            let end = offset.zip(bytes).and_then(|(offset, bytes)| offset.checked_add(bytes));
            let (Some(offset), Some(bytes), Some(_)) =
                (offset, bytes, end.filter(|&end| end <= storage.bytes))
            else {
                return cursor.fail(Problem::ShortStorage);
            };
            // A part of a part is a part of the whole: nothing walks from one to the next.
            let place = match storage.place {
                Place::View { of, offset: before } => {
                    Place::View { of, offset: before.saturating_add(offset) }
                }
                _ => Place::View { of, offset },
            };
            let id = self.builder.storage(Storage { bytes, place, ..storage });
            let id = id.map_err(|problem| LoadError::at(problem, cursor.place()))?;
            self.insert(cursor, target, Numbering::Storage(id))?;
        }
        Ok(())
    }

    fn tensors(&mut self, base: usize, bytes: &[u8]) -> Result<(), LoadError> {
        let mut cursor = Cursor { bytes, base, at: 0 };
        for _ in 0..self.count(&mut cursor)? {
            let [key, storage, class] = self.record(&mut cursor)?;
            let (Some(key), Some(storage), Value::Global(class)) =
                (self.key(key), self.key(storage), class)
            else {
                return cursor.fail(Problem::Format("a tensor's record is not what PyTorch wrote"));
            };
            let Some(&Numbering::Storage(storage)) = self.objects.get(&storage) else {
                return cursor.fail(Problem::MissingStorage);
            };
            // PyTorch takes the storage's type, whatever class the tensor is said to have had.
            let Some(dtype) = self.builder.so_far().storage(storage).map(|found| found.dtype)
            else {
                return cursor.fail(Problem::MissingStorage);
            };
            let place = cursor.place();
            let rest = bytes.get(cursor.at..).unwrap_or_default();
            let length = Records::Tensors.raw_length(Some(class.name), rest);
            let Some(length) = length else { return cursor.fail(Problem::Truncated) };
            let mut raw = Cursor { bytes: cursor.take(length)?, base: cursor.base, at: 0 };
            let dimensions = raw.number()? & u64::from(u32::MAX);
            let rank = usize::try_from(dimensions).unwrap_or(usize::MAX);
            let (mut shape, mut strides) = ([0; DIMENSIONS], [0; DIMENSIONS]);
            let (Some(shape), Some(strides)) = (shape.get_mut(..rank), strides.get_mut(..rank))
            else {
                let misfit = crate::checkpoint::extent::Misfit::Dimensions;
                return Err(LoadError::at(Problem::Tensor(misfit), place));
            };
            for slot in shape.iter_mut().chain(strides.iter_mut()) {
                *slot = raw.number()?;
            }
            let parts = Parts {
                dtype,
                storage: Some(storage),
                offset: raw.number()?,
                shape,
                strides,
                flags: 0,
                quantizer: None,
                class: None,
            };
            let tensor = self.builder.tensor(&parts);
            let id = tensor.and_then(|tensor| self.builder.object(Object::Tensor(tensor)));
            let id = id.map_err(|problem| LoadError::at(problem, place))?;
            self.insert(&cursor, key, Numbering::Tensor(id))?;
        }
        Ok(())
    }

    fn insert(&mut self, cursor: &Cursor<'_>, key: i64, what: Numbering) -> Result<(), LoadError> {
        match self.objects.insert(key, what) {
            None => Ok(()),
            Some(_) => cursor.fail(Problem::StorageConflict),
        }
    }
}
