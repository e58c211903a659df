//! A folder that holds a model, judged as a whole.
//!
//! Loaders of repositories read more than the file they are given: an index names shards, a graph
//! names its weights, a configuration names Python modules. Every file is judged by itself first;
//! here is what only the folder shows: files that are named and missing, links, or too short,
//! shards that nobody names, and code that lies where a loader would import it.
//!
//! It follows no link out of the folder and opens nothing that the scan has not found, but for
//! the headers of shards that an index promises tensors of. It judges neither what code does nor
//! whether weights are good.
//!
//! Sources: `transformers`, `utils/hub.py` (`get_checkpoint_shard_files`) and
//! `dynamic_module_utils.py`; `onnx`, `docs/ExternalData.md` and `checker.cc`
//! (`resolve_external_data_location`); `huggingface_hub`, `file_download.py` (the cache's layout);
//! TensorFlow.js, `io/weights_loader.ts`.

mod claims;
mod follow;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secure_torch_core::format::detect::Format;
use secure_torch_core::score::Rule;

use crate::policy::{FILE_NAME, Policy};
use crate::report::Report;
use crate::scan::tally::{Subject, Tally};
pub(crate) use claims::{Claims, Companion, is_companion};
pub(crate) use follow::{beside, follow};

/// Configurations that loaders of repositories look for by these names.
const MARKERS: [&str; 4] =
    ["config.json", "tokenizer_config.json", "model_index.json", "saved_model.pb"];

/// What is judged of a file and says nothing of weights.
const NO_WEIGHTS: [&str; 12] = [
    "text",
    "unknown",
    "png",
    "jpeg",
    "gif",
    "pdf",
    "python",
    "hub-config",
    "shard-index",
    "keras-config",
    "skops",
    "openvino",
];

/// Files that run code when somebody installs or builds what lies in the folder.
const INSTALLERS: [&str; 8] = [
    "requirements.txt",
    "setup.py",
    "pyproject.toml",
    "environment.yml",
    "dockerfile",
    "install.sh",
    "setup.sh",
    "makefile",
];

/// How many of them a note names.
const INSTALLERS_SHOWN: usize = 10;

/// The judgements of the repositories among the files below a folder, in the order of their
/// paths. A repository is a folder that holds a marker, with weights in it or below it; one in
/// another is a part of it.
pub(crate) fn judge(
    root: &Path,
    files: &[(&Path, &Report)],
    policy: &Policy,
) -> Vec<(PathBuf, Report)> {
    let marked: BTreeSet<&Path> = files
        .iter()
        .filter_map(|(path, report)| {
            let folder = path.parent()?;
            let mut inside = folder.ancestors().take_while(|folder| folder.starts_with(root));
            if let Some(package) = inside.find(|f| has_ending(&name_of(f), "mlpackage")) {
                return Some(package);
            }
            is_marker(&name_of(path), report).then_some(folder)
        })
        .collect();
    let mut repositories: BTreeMap<&Path, Vec<(&Path, &Report)>> = BTreeMap::new();
    for (path, report) in files {
        let outermost = path.ancestors().skip(1).filter(|above| marked.contains(above)).last();
        if let Some(folder) = outermost {
            repositories.entry(folder).or_default().push((path, report));
        }
    }
    repositories
        .into_iter()
        .filter(|(_, inside)| inside.iter().any(|(_, report)| holds_weights(report)))
        .map(|(folder, inside)| (folder.to_owned(), report_of(folder, &inside, policy)))
        .collect()
}

fn report_of(folder: &Path, files: &[(&Path, &Report)], policy: &Policy) -> Report {
    let mut tally = Tally::new(policy.limits.report);
    let mut size = 0_u64;
    let mut installers = BTreeSet::new();
    for (path, report) in files {
        size = size.saturating_add(report.size_bytes);
        let place = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        let name = name_of(path);
        repeat(report, &place, &mut tally);
        if has_ending(&name, "py") {
            let why = "Python source lies beside the weights";
            tally.find(Rule::RepositoryCode, &place, None, &name, why);
        }
        if INSTALLERS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            installers.insert(place.into_owned());
        }
    }
    shards(folder, files, policy.limits.file.text_bytes, &mut tally);
    if !installers.is_empty() {
        let names: Vec<String> = installers
            .iter()
            .take(INSTALLERS_SHOWN)
            .map(|name| format!("`{}`", crate::text::printable(name)))
            .collect();
        let more = match installers.len().saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        tally.note(format!(
            "{}{more}: installing or building from it runs code, which is not judged",
            names.join(", ")
        ));
    }
    if files.iter().any(|(path, _)| name_of(path) == FILE_NAME) {
        tally.note(NOT_OBEYED);
    }
    tally.part("", Format::Repository, size);
    let name = folder.to_string_lossy();
    let subject = Subject { name: &name, path: Some(folder), size };
    tally.into_report(&subject, policy, &[Format::Repository])
}

/// What is said of a policy file among the files that are judged.
pub(crate) const NOT_OBEYED: &str = "a `secure-torch.toml` lies among what is judged; it is not obeyed there, because whoever \
     made the model may have put it there";

/// What a file's judgement says of the folder that it lies in.
fn repeat(report: &Report, place: &str, tally: &mut Tally) {
    let of_folder =
        [Rule::RepositoryShard, Rule::OnnxExternalDataEscape, Rule::RepositoryRemoteCode];
    for finding in report.findings.iter().filter(|finding| finding.ignored.is_none()) {
        if let Some(rule) = of_folder.iter().find(|rule| rule.id() == finding.rule) {
            let part = if finding.path.is_empty() {
                place.to_owned()
            } else {
                format!("{place}!/{}", finding.path)
            };
            tally.find(*rule, &part, finding.offset, &finding.subject, &finding.message);
        }
    }
}

/// An index, if it is no longer than a text may be.
fn read_index(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

/// Files that look like shards of a set that an index names, and that it does not name.
///
/// A loader that takes every `*.safetensors` of a folder would read them, and whoever looks at the
/// index would not see them.
fn shards(folder: &Path, files: &[(&Path, &Report)], most: u64, tally: &mut Tally) {
    let mut named: BTreeMap<(PathBuf, String), BTreeSet<String>> = BTreeMap::new();
    for (path, _) in files.iter().filter(|(path, _)| name_of(path).ends_with(".index.json")) {
        let Some(map) = read_index(path, most).and_then(|bytes| follow::weight_map(&bytes)) else {
            continue;
        };
        let folder = path.parent().unwrap_or(path);
        for shard in map.keys() {
            if let Some(set) = set_of(shard) {
                named.entry((folder.to_owned(), set)).or_default().insert(shard.clone());
            }
        }
    }
    for (path, _) in files {
        let name = name_of(path);
        let parent = path.parent().unwrap_or(path).to_owned();
        let Some(set) = set_of(&name) else { continue };
        let Some(known) = named.get(&(parent, set)) else { continue };
        if !known.contains(&name) {
            let place = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
            let why = "it looks like a shard of the set, and the index does not name it";
            tally.find(Rule::RepositoryShard, &place, None, &name, why);
        }
    }
}

/// The set that a shard belongs to by its name: `model-00001-of-00003.safetensors` is one of
/// `model.safetensors`.
fn set_of(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let (stem, total) = stem.rsplit_once("-of-")?;
    let (stem, number) = stem.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits(total) && digits(number)).then(|| format!("{stem}.{ending}"))
}

fn is_marker(name: &str, report: &Report) -> bool {
    let of = |id: &str| report.formats.contains(&id);
    MARKERS.contains(&name)
        || name.ends_with(".index.json")
        || of("shard-index")
        || of("openvino")
        || of("coreml")
        || has_ending(name, "pdmodel")
        || report.score_breakdown.contains_key(Rule::OnnxExternalData.id())
        || report.score_breakdown.contains_key(Rule::OnnxExternalDataEscape.id())
}

fn holds_weights(report: &Report) -> bool {
    report.formats.iter().any(|format| !NO_WEIGHTS.contains(format))
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(stem, last)| !stem.is_empty() && last.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests;
