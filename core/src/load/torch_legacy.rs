//! PyTorch's legacy layout: five pickles, then the storages (`_legacy_load` in
//! `torch/serialization.py`).
//!
//! The object's pickle names its storages and says how long they are; the fifth pickle says in which
//! order their bytes follow, each behind a count of its elements. Counts and sizes must agree, and
//! each storage that a tensor lies on must be there: PyTorch hands out memory that nobody has
//! written where one is not.

use alloc::collections::BTreeMap;
use alloc::string::String;

use super::pickle::{NoStorages, StorageRequest, Storages, Surroundings, build};
use super::{Options, offset};
use crate::checkpoint::{
    Builder, Checkpoint, Dtype, LoadError, Object, Place, Problem, Span, Storage, StorageId, Value,
};
use crate::format::torch_legacy::{MAGIC, STREAMS};
use crate::pickle::audit::PersistentIds;

/// `PROTOCOL_VERSION` in `torch/serialization.py`.
const VERSION: i64 = 1001;

/// Loads a file. Offsets in errors count from its start.
///
/// # Errors
/// [`LoadError`].
pub fn load(bytes: &[u8], options: &Options) -> Result<Checkpoint, LoadError> {
    let mut builder = Builder::new();
    let mut storages = Roots { known: BTreeMap::new(), views: BTreeMap::new() };
    let mut at = 0_usize;
    let mut values = [Value::None; STREAMS.len()];
    for (value, name) in values.iter_mut().zip(STREAMS) {
        let object = name == "object";
        let ids = if object { PersistentIds::LegacyStorages } else { PersistentIds::None };
        let storages: &mut dyn Storages = if object { &mut storages } else { &mut NoStorages };
        let rest = bytes.get(at..).unwrap_or_default();
        let surroundings = Surroundings { ids, torchscript: false };
        let (built, end) = build(rest, options, surroundings, &mut builder, storages)
            .map_err(|error| error.behind(offset(at)))?;
        *value = built;
        at = at.saturating_add(end);
    }
    let [magic, version, _, root, keys] = values;
    if !is_magic(&builder, magic) {
        return Err(LoadError::at(Problem::Format("the magic number is another"), 0));
    }
    if version != Value::Int(VERSION) {
        return Err(LoadError::at(Problem::Format("the protocol version is another"), 0));
    }
    place(bytes, at, options.file, &mut builder, &mut storages, keys)?;
    let finished = builder.finish(root, &options.limits.pickle);
    finished.map_err(|problem| LoadError::at(problem, offset(at)))
}

fn is_magic(builder: &Builder, value: Value) -> bool {
    matches!(value, Value::Integer(span) if builder.so_far().bytes(span) == MAGIC)
}

/// Finds the bytes of each storage behind the pickles.
fn place(
    bytes: &[u8],
    start: usize,
    file: u32,
    builder: &mut Builder,
    storages: &mut Roots,
    keys: Value,
) -> Result<(), LoadError> {
    let mut at = offset(start);
    let keys = match keys {
        Value::Object(id) => match builder.so_far().object(id) {
            Object::List(keys) => keys.clone(),
            _ => return Err(LoadError::at(Problem::Format("the storage keys are no list"), at)),
        },
        _ => return Err(LoadError::at(Problem::Format("the storage keys are no list"), at)),
    };
    let end = offset(bytes.len());
    for key in keys {
        let key = match key {
            Value::Text(key) => Some(builder.so_far().text(key)),
            // The strings of Python 2, where the caller wants them as bytes.
            Value::Bytes(key) => core::str::from_utf8(builder.so_far().bytes(key)).ok(),
            _ => None,
        };
        let Some(key) = key.map(String::from) else {
            return Err(LoadError::at(Problem::Format("a storage key is no text"), at));
        };
        let fail = |problem, at| LoadError::about(problem, at, key.clone());
        let known = storages.known.get_mut(&key);
        let known = known.ok_or_else(|| fail(Problem::MissingStorage, at))?;
        let count = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.first_chunk());
        let count = count.ok_or_else(|| fail(Problem::ShortStorage, at))?;
        if u64::from_le_bytes(*count) != known.elements || known.placed {
            return Err(fail(Problem::StorageConflict, at));
        }
        let data = at.saturating_add(8);
        let length = known.elements.saturating_mul(known.dtype.size());
        at = data.saturating_add(length);
        if at > end {
            return Err(fail(Problem::ShortStorage, data));
        }
        known.placed = true;
        builder.place(known.id, Place::File { file, offset: data }, false);
    }
    let missing = storages.known.iter().find(|(_, known)| !known.placed && known.elements > 0);
    match missing {
        Some((key, _)) => Err(LoadError::about(Problem::MissingStorage, at, key.clone())),
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Known {
    id: StorageId,
    dtype: Dtype,
    elements: u64,
    placed: bool,
}

/// The storages that the object's pickle names, by key.
struct Roots {
    known: BTreeMap<String, Known>,
    /// Parts of them, each with what it is a part of.
    views: BTreeMap<String, (StorageId, u64, u64, StorageId)>,
}

impl Storages for Roots {
    fn storage(
        &mut self,
        builder: &mut Builder,
        request: &StorageRequest<'_>,
    ) -> Result<StorageId, Problem> {
        let root = self.root(builder, request)?;
        let Some((key, first, size)) = request.view else { return Ok(root) };
        if let Some(&(id, known_first, known_size, known_root)) = self.views.get(key) {
            let same = (known_first, known_size, known_root) == (first, size, root);
            return if same { Ok(id) } else { Err(Problem::StorageConflict) };
        }
        let end = first.checked_add(size).filter(|&end| end <= request.elements);
        let width = request.dtype.size();
        let (Some(_), Some(bytes), Some(first_byte)) =
            (end, size.checked_mul(width), first.checked_mul(width))
        else {
            return Err(Problem::ShortStorage);
        };
        let location = builder.text(request.location)?;
        let place = Place::View { of: root, offset: first_byte };
        let dtype = request.dtype;
        let id = builder.storage(Storage { bytes, dtype, location, place, swapped: false })?;
        self.views.insert(String::from(key), (id, first, size, root));
        Ok(id)
    }
}

impl Roots {
    fn root(
        &mut self,
        builder: &mut Builder,
        request: &StorageRequest<'_>,
    ) -> Result<StorageId, Problem> {
        let &StorageRequest { key, dtype, location, elements, .. } = request;
        if let Some(known) = self.known.get(key) {
            if known.dtype == dtype && known.elements == elements {
                return Ok(known.id);
            }
            // A storage without bytes takes the type of each mention (`persistent_load`).
            if known.elements > 0 || elements > 0 {
                return Err(Problem::StorageConflict);
            }
        }
        let bytes = elements.checked_mul(dtype.size()).ok_or(Problem::ShortStorage)?;
        let location = builder.text(location)?;
        // Until the fifth pickle has said where.
        let place = Place::Owned(Span::EMPTY);
        let id = builder.storage(Storage { bytes, dtype, location, place, swapped: false })?;
        self.known.insert(String::from(key), Known { id, dtype, elements, placed: false });
        Ok(id)
    }
}
