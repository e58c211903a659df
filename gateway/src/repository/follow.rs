//! Following what a file refers to: each file that it names is there, is a file, is no link out
//! of the folder, and is long enough.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secure_torch_core::format::detect::Format;
use secure_torch_core::limits;
use secure_torch_core::score::Rule;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::name_of;
use crate::policy::Policy;
use crate::scan::Reference;
use crate::scan::tally::Tally;
use crate::text::printable_bytes;

/// Why a file that is named cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Escapes,
    Missing,
    Link,
    NotAFile,
}

impl Problem {
    const fn message(self) -> &'static str {
        match self {
            Self::Escapes => "a file outside the folder is named",
            Self::Missing => "a file is named that is not there",
            Self::Link => "a file is named that is a link, or lies behind one",
            Self::NotAFile => "something is named that is no regular file",
        }
    }
}

/// Checks the files that the file at `path`, whose bytes are at hand, refers to.
pub(crate) fn follow(
    path: &Path,
    bytes: &[u8],
    references: &[Reference],
    policy: &Policy,
    tally: &mut Tally,
) {
    let folder = crate::policy::folder_of(path);
    let (shards, others): (Vec<_>, Vec<_>) =
        references.iter().partition(|reference| reference.by == Format::ShardIndex);
    // Tensors in their thousands share a file.
    let mut found: HashMap<&[u8], Found> = HashMap::new();
    for reference in others {
        let location = reference.location.as_slice();
        let found = found.entry(location).or_insert_with(|| find(&folder, reference));
        check(found, reference, tally);
    }
    // Loaders look for a sharded checkpoint's index by this ending.
    let is_index = name_of(path).ends_with(".index.json")
        && bytes.len() as u64 <= policy.limits.file.text_bytes;
    let map = if is_index { weight_map(bytes).unwrap_or_default() } else { BTreeMap::new() };
    let mut named: BTreeMap<Vec<u8>, Reference> = BTreeMap::new();
    for shard in shards {
        named.insert(shard.location.clone(), shard.clone());
    }
    for shard in map.keys().map(|shard| shard.as_bytes().to_vec()) {
        let by = Format::ShardIndex;
        let reference = Reference { by, location: shard.clone(), offset: 0, length: None };
        named.entry(shard).or_insert(reference);
    }
    let found: Vec<(Reference, Found)> = named
        .into_values()
        .map(|reference| {
            let found = find(&folder, &reference);
            (reference, found)
        })
        .collect();
    let missing = |(_, found): &(Reference, Found)| matches!(found, Err(Problem::Missing));
    if !found.is_empty() && found.iter().all(missing) {
        // Downloads that leave out one of two formats leave its index behind, and nobody loads by
        // an index that has no shard at all.
        tally.note(format!("none of the {} files that it names is here", found.len()));
        return;
    }
    // One file may be spelled in several ways, and is read once.
    let mut promised: BTreeMap<&Path, Vec<&[String]>> = BTreeMap::new();
    for (reference, found) in &found {
        let shard = std::str::from_utf8(&reference.location).ok();
        let tensors = shard.and_then(|shard| map.get(shard));
        if check(found, reference, tally)
            && let (Ok((shard, _)), Some(tensors)) = (found, tensors)
        {
            promised.entry(shard).or_default().push(tensors);
        }
    }
    let most = (bytes.len() as u64).saturating_mul(HEADER_RATIO).saturating_add(HEADER_FLOOR);
    for (shard, tensors) in promised {
        compare(shard, &tensors, most, tally);
    }
}

/// How long a shard's header may be, in lengths of the index, to be compared with it: both name the
/// same tensors, and the header says a little more of each. Indexes that share a shard would have
/// it read again for each otherwise.
const HEADER_RATIO: u64 = 16;
/// What is granted besides.
const HEADER_FLOOR: u64 = 64 << 10;

/// A file that is named, or why there is none.
type Found = Result<(PathBuf, Metadata), Problem>;

fn find(folder: &Path, reference: &Reference) -> Found {
    let location = reference.location.as_slice();
    let location = match reference.by {
        // Core ML writes the package's own folder in front.
        Format::CoreMl => location.strip_prefix(b"@model_path/").unwrap_or(location),
        _ => location,
    };
    resolve(folder, location)
}

/// Checks one file that is named; whether nothing is wrong with it.
fn check(found: &Found, reference: &Reference, tally: &mut Tally) -> bool {
    let subject = printable_bytes(&reference.location);
    let metadata = match found {
        Ok((_, metadata)) => metadata,
        Err(problem) => {
            let outside = matches!(problem, Problem::Escapes | Problem::Link);
            let graph = reference.by != Format::ShardIndex;
            let rule =
                if graph && outside { Rule::OnnxExternalDataEscape } else { Rule::RepositoryShard };
            tally.find(rule, "", None, &subject, problem.message());
            return false;
        }
    };
    let end = reference.offset.checked_add(reference.length.unwrap_or(0));
    if end.is_some_and(|end| end <= metadata.len()) {
        return true;
    }
    let why = format!(
        "bytes up to {} of it are used, and it holds {}",
        end.map_or_else(|| "2^64 and more".to_owned(), |end| end.to_string()),
        metadata.len()
    );
    tally.find(Rule::RepositoryShard, "", None, &subject, why);
    false
}

/// The path of the regular file that a location leads to inside a folder, or why there is none.
pub(crate) fn beside(folder: &Path, location: &[u8]) -> Result<PathBuf, &'static str> {
    resolve(folder, location).map(|(path, _)| path).map_err(Problem::message)
}

/// The regular file that a location leads to inside a folder.
fn resolve(folder: &Path, location: &[u8]) -> Found {
    let location = std::str::from_utf8(location).map_err(|_| Problem::Missing)?;
    // A backslash parts names for readers on Windows.
    let parts: Vec<&str> = location.split(['/', '\\']).filter(|part| *part != ".").collect();
    let drive = location.as_bytes().get(1) == Some(&b':');
    let odd = |part: &&str| matches!(*part, "" | "..") || part.contains('\0');
    if drive || parts.is_empty() || parts.iter().any(odd) {
        return Err(Problem::Escapes);
    }
    let mut path = folder.to_owned();
    for (index, part) in parts.iter().enumerate() {
        path.push(part);
        let metadata = fs::symlink_metadata(&path).map_err(|_| Problem::Missing)?;
        if metadata.is_symlink() {
            let last = index + 1 == parts.len();
            if !(last && is_cached(&path)) {
                return Err(Problem::Link);
            }
        }
    }
    let metadata = fs::metadata(&path).map_err(|_| Problem::Missing)?;
    if metadata.is_file() { Ok((path, metadata)) } else { Err(Problem::NotAFile) }
}

/// Whether a link is one of the Hugging Face cache's own: `snapshots/REVISION/…` leads into
/// `blobs` of the same repository, and to a regular file in it.
fn is_cached(link: &Path) -> bool {
    let Ok(target) = link.canonicalize() else { return false };
    let Some(folder) = link.parent().and_then(|folder| folder.canonicalize().ok()) else {
        return false;
    };
    let repository = folder
        .ancestors()
        .find(|above| above.file_name().is_some_and(|name| name == "snapshots"))
        .and_then(Path::parent);
    let Some(repository) = repository else { return false };
    target.parent() == Some(repository.join("blobs").as_path())
}

/// The tensors that an index promises, by the shard that is to hold them.
pub(super) fn weight_map(bytes: &[u8]) -> Option<BTreeMap<String, Vec<String>>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(bytes).ok()?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in index.weight_map {
        shards.entry(shard).or_default().push(tensor);
    }
    Some(shards)
}

/// A safetensors shard holds the tensors that the index promises of it.
fn compare(shard: &Path, tensors: &[&[String]], most: u64, tally: &mut Tally) {
    if !super::has_ending(&name_of(shard), "safetensors") {
        return;
    }
    // What is wrong with the header itself is the shard's own finding.
    let Some(header) = header(shard, most, tally) else { return };
    for tensor in tensors.iter().copied().flatten().filter(|tensor| !header.contains_key(*tensor)) {
        let why = format!("the index says that `{}` holds it, and it does not", {
            crate::text::printable(&name_of(shard))
        });
        tally.find(Rule::RepositoryShard, "", None, tensor, why);
    }
}

fn header(shard: &Path, most: u64, tally: &mut Tally) -> Option<BTreeMap<String, IgnoredAny>> {
    let mut file = File::open(shard).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > limits::FORMAT_SAFETENSORS_HEADER_BYTES {
        return None;
    }
    if length > most {
        tally.note("a shard's header is far longer than the index, and the two were not compared");
        return None;
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    serde_json::from_slice(&header).ok()
}

#[cfg(test)]
mod tests;
