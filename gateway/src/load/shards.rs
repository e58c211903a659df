//! Checkpoints in several files, held together by an index.
//!
//! Every shard that the index names is opened once, judged under the same policy and loaded from the
//! same opened bytes; the result is one dict in the order of the index. Metadata is that of the index,
//! and of each key that it does not have, the first that a shard has.
//!
//! It refuses an index and shards that disagree: each tensor lies in the shard that the index says,
//! and a shard holds no other. It follows no index from an index.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use secure_torch_core::checkpoint::{Builder, Dict, DictKind, Object, Value};
use secure_torch_core::format::detect::Format;
use secure_torch_core::load::index::{self, Index};

use super::beside::Beside;
use super::{Checkpoint, LoadError, LoadOptions, allowed, failed, read};
use crate::error::{Code, Error};
use crate::policy::Policy;
use crate::report::Report;
use crate::scan;
use crate::source::Source;
use crate::text::printable;

/// The formats that a shard may have.
const SHARDS: [Format; 5] = [
    Format::Safetensors,
    Format::PytorchZip,
    Format::PytorchLegacy,
    Format::PytorchTar,
    Format::Pickle,
];

/// The files that loaders look for in a folder, those that need no pickle first (`transformers`,
/// `modeling_utils.py`).
const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Judges what a path leads to and loads it: a file, or of a folder the first that is there of
/// `model.safetensors`, its index, `pytorch_model.bin` and its index.
///
/// # Errors
/// As [`super::load`]; [`Code::NotFound`] where a folder has none of these.
pub fn load_path(
    path: &Path,
    policy: &Policy,
    options: &LoadOptions,
) -> Result<(Checkpoint, Report), LoadError> {
    let before = |error| LoadError { error, report: None };
    if !path.is_dir() {
        return super::load(Source::open(path).map_err(before)?, policy, options);
    }
    let mut found = NAMES.into_iter().filter(|name| path.join(name).exists());
    let Some(name) = found.next() else {
        let cause = format!("the folder has none of {}", NAMES.join(", "));
        return Err(before(Error::new(Code::NotFound, path.to_string_lossy(), cause)));
    };
    let others: Vec<&str> = found.collect();
    let source = Source::open(&path.join(name)).map_err(before)?;
    let (checkpoint, mut report) = super::load(source, policy, options)?;
    if !others.is_empty() {
        let others = others.join("`, `");
        report
            .limits
            .push(format!("`{others}` lie in the folder too, and were neither judged nor loaded"));
    }
    Ok((checkpoint, report))
}

pub(super) fn index(
    source: &Arc<Source>,
    policy: &Policy,
    options: &LoadOptions,
) -> Result<Checkpoint, Error> {
    let index = index::read(source.bytes()).map_err(|error| failed(source.name(), "", &error))?;
    let beside = Beside::new(source, 0, options.sealed);
    // Before any is opened: each would be judged and held as often as it is spelled.
    let mut paths = HashMap::new();
    for name in &index.shards {
        if let Some(other) = paths.insert(beside.path(name)?, name) {
            let cause =
                format!("it calls one shard `{}` and `{}`", printable(other), printable(name));
            return Err(Error::new(Code::Malformed, source.name(), cause));
        }
    }
    let shards: Result<Vec<Checkpoint>, Error> =
        index.shards.par_iter().map(|name| shard(beside.source(name)?, policy, options)).collect();
    merge(source, &index, &shards?, policy)
}

/// One shard, judged and loaded. What the policy blocks is an error even for a caller that only
/// listens: the report that it gets is the index's.
fn shard(source: Source, policy: &Policy, options: &LoadOptions) -> Result<Checkpoint, Error> {
    let source = Arc::new(source);
    let (report, _, formats) = scan::judge(&source, policy, None);
    allowed(&source, &report, &LoadOptions { audit_only: false, ..*options })?;
    match formats.as_slice() {
        [format] if SHARDS.contains(format) => read(&source, &formats, policy, options),
        _ => {
            let cause = format!(
                "an index names it, and shards of the format {} are not loaded",
                report.format
            );
            Err(Error::new(Code::Unsupported, source.name(), cause))
        }
    }
}

/// All shards as one.
fn merge(
    source: &Arc<Source>,
    index: &Index,
    shards: &[Checkpoint],
    policy: &Policy,
) -> Result<Checkpoint, Error> {
    let full = |problem| {
        let error = secure_torch_core::checkpoint::LoadError::at(problem, 0);
        failed(source.name(), "", &error)
    };
    let mut builder = Builder::new();
    let mut metadata: BTreeMap<&str, &str> = BTreeMap::new();
    let of_index = index.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in of_index.chain(shards.iter().flat_map(|shard| shard.metadata())) {
        if metadata.insert(key, value).is_none() {
            builder.metadata(key, value).map_err(full)?;
        }
    }
    let mut files = vec![Arc::clone(source)];
    // What each shard holds and the index has not asked for yet.
    let mut held: Vec<HashMap<String, (Value, Value)>> = Vec::new();
    for shard in shards {
        let first = u32::try_from(files.len()).unwrap_or(u32::MAX);
        let root = builder.absorb(shard, first).map_err(full)?;
        held.push(tensors(&builder, root).ok_or_else(|| {
            let cause = "an index names it, and it is no dict of tensors by name";
            Error::new(Code::Malformed, name_of(shard), cause)
        })?);
        files.extend(shard.files().iter().cloned());
    }
    let mut items = Vec::with_capacity(index.tensors.len());
    for (name, place) in &index.tensors {
        let found = held.get_mut(*place).and_then(|held| held.remove(name));
        items.push(found.ok_or_else(|| {
            let cause =
                format!("the index says that it holds `{}`, and it does not", printable(name));
            Error::new(Code::Malformed, shards.get(*place).map_or("", name_of), cause)
        })?);
    }
    for (shard, held) in shards.iter().zip(&held) {
        if let Some(name) = held.keys().min() {
            let cause = format!("it holds `{}`, and the index does not say so", printable(name));
            return Err(Error::new(Code::Malformed, name_of(shard), cause));
        }
    }
    let dict = Object::Dict(Dict { kind: DictKind::Plain, items, state: None });
    let root = builder.object(dict).map_err(full)?;
    let made = builder.finish(Value::Object(root), &policy.limits.pickle).map_err(full)?;
    Checkpoint::new(made, files, policy.limits)
}

fn name_of(shard: &Checkpoint) -> &str {
    shard.files().first().map_or("", |file| file.name())
}

/// The keys and values of a dict by its keys, if all of them are text.
fn tensors(builder: &Builder, root: Value) -> Option<HashMap<String, (Value, Value)>> {
    let Value::Object(id) = root else { return None };
    let Object::Dict(dict) = builder.so_far().object(id) else { return None };
    let items = dict.items.iter().map(|&(key, value)| match key {
        Value::Text(text) => Some((builder.so_far().text(text).to_owned(), (key, value))),
        _ => None,
    });
    items.collect()
}
