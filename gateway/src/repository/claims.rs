//! Which files another one takes for raw numbers.
//!
//! A claim changes one thing only: a file that no reader accepts and no signature names is
//! `weights` instead of `format.unknown`. So whoever makes a claim gains nothing for a pickle, an
//! archive or a program. A claim counts from a file that a reader of its own accepts, never from
//! a name alone.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use secure_torch_core::format::detect::Format;

use super::{has_ending, name_of};
use crate::scan::Reference;

/// A judged file that may claim others.
pub(crate) struct Companion<'c> {
    /// Where it lies.
    pub(crate) path: &'c Path,
    /// What it is.
    pub(crate) formats: &'c [&'static str],
    /// The files that it names.
    pub(crate) references: &'c [Reference],
    /// Whether the files that it names are raw numbers.
    pub(crate) raw: bool,
}

/// Whether a file of this name may claim others, and is judged before them.
pub(crate) fn is_companion(path: &Path) -> bool {
    let name = name_of(path);
    ["json", "xml", "onnx", "pb", "pdmodel", "mlmodel"]
        .iter()
        .any(|ending| has_ending(&name, ending))
}

/// The claims of some files.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The claimed file, and the name of the one that claims it.
    files: HashMap<PathBuf, String>,
    /// Folders with a SavedModel, which claims `variables/variables.*`.
    saved: HashSet<PathBuf>,
}

impl Claims {
    /// Adds what a file claims.
    pub(crate) fn add(&mut self, companion: &Companion<'_>) {
        let Companion { path, formats, references, raw } = *companion;
        let of = |format: Format| formats.contains(&format.id());
        let name = name_of(path);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut claim = |file: PathBuf| {
            // In a cache the name is a link, and the numbers are judged where they lie as well.
            if let Some(target) = target(&file) {
                self.files.entry(target).or_insert_with(|| name.clone());
            }
            self.files.entry(file).or_insert_with(|| name.clone());
        };
        for reference in references {
            // An index of shards names files that have a format of their own; a manifest of
            // TensorFlow.js names raw numbers.
            if reference.by == Format::ShardIndex && !raw {
                continue;
            }
            let location = reference.location.strip_prefix(b"@model_path/");
            let location = location.unwrap_or(&reference.location);
            let Ok(location) = std::str::from_utf8(location) else { continue };
            let mut inside = Path::new(location).components();
            if inside.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                claim(folder.join(location).components().collect());
            }
        }
        if of(Format::OpenVino) {
            claim(path.with_extension("bin"));
        }
        if of(Format::Paddle) {
            claim(path.with_extension("pdiparams"));
        }
        if of(Format::CoreMl) {
            claim(folder.join("weights/weight.bin"));
        }
        if of(Format::SavedModel) && name == "saved_model.pb" {
            self.saved.insert(folder.to_owned());
        }
    }

    /// Who claims a file.
    pub(crate) fn of(&self, path: &Path) -> Option<&str> {
        if let Some(name) = self.files.get(path) {
            return Some(name);
        }
        let folder = path.parent()?;
        let variables =
            folder.file_name()? == "variables" && name_of(path).starts_with("variables.");
        (variables && self.saved.contains(folder.parent()?)).then_some("saved_model.pb")
    }
}

/// Where a link leads, spelled as a walk from the same place would spell it.
fn target(link: &Path) -> Option<PathBuf> {
    let mut path = link.parent()?.to_owned();
    for part in std::fs::read_link(link).ok()?.components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(by: Format, location: &str) -> Reference {
        Reference { by, location: location.into(), offset: 0, length: None }
    }

    fn claims(path: &str, formats: &[&'static str], references: &[Reference], raw: bool) -> Claims {
        let mut claims = Claims::default();
        claims.add(&Companion { path: Path::new(path), formats, references, raw });
        claims
    }

    #[test]
    fn graphs_and_manifests_claim_what_they_name() {
        let shard = [reference(Format::ShardIndex, "group1-shard1of1.bin")];
        let manifest = claims("m/model.json", &["shard-index"], &shard, true);
        assert_eq!(manifest.of(Path::new("m/group1-shard1of1.bin")), Some("model.json"));
        assert_eq!(manifest.of(Path::new("group1-shard1of1.bin")), None);
        // Shards of an index are files of a format.
        let index = claims("m/model.json", &["shard-index"], &shard, false);
        assert_eq!(index.of(Path::new("m/group1-shard1of1.bin")), None);
        for location in ["./w.bin", "w.bin"] {
            let graph = claims("m/a.onnx", &["onnx"], &[reference(Format::Onnx, location)], false);
            assert_eq!(graph.of(Path::new("m/w.bin")), Some("a.onnx"), "{location}");
        }
        for location in ["../m/w.bin", "/m/w.bin"] {
            let graph = claims("m/a.onnx", &["onnx"], &[reference(Format::Onnx, location)], false);
            assert_eq!(graph.of(Path::new("m/w.bin")), None, "{location}");
        }
    }

    #[test]
    fn pairs_claim_by_their_names_once_a_reader_accepts_the_first() {
        let of = |path: &str, formats: &[&'static str], file: &str| {
            claims(path, formats, &[], false).of(Path::new(file)).map(str::to_owned)
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(of("m/x.xml", &["openvino"], "m/x.bin"), some("x.xml"));
        assert_eq!(of("m/x.xml", &["text"], "m/x.bin"), None);
        assert_eq!(of("m/x.xml", &["openvino"], "m/y.bin"), None);
        assert_eq!(of("m/x.pdmodel", &["paddle"], "m/x.pdiparams"), some("x.pdmodel"));
        let weight = "p.mlpackage/Data/a/weights/weight.bin";
        assert_eq!(
            of("p.mlpackage/Data/a/model.mlmodel", &["coreml"], weight),
            some("model.mlmodel")
        );
        let saved = ("m/saved_model.pb", ["savedmodel"]);
        let data = "m/variables/variables.data-00000-of-00001";
        assert_eq!(of(saved.0, &saved.1, data), some("saved_model.pb"));
        assert_eq!(of(saved.0, &["unknown"], data), None);
        assert_eq!(of(saved.0, &saved.1, "m/variables/model.bin"), None);
        assert_eq!(of(saved.0, &saved.1, "m/assets/variables.x"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_claim_reaches_through_a_cache_to_its_blob() {
        let cache = tempfile::tempdir().unwrap();
        let snapshot = cache.path().join("snapshots/0123");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::os::unix::fs::symlink("../../blobs/0a", snapshot.join("w.bin")).unwrap();
        let path = snapshot.join("a.onnx");
        let references = [reference(Format::Onnx, "w.bin")];
        let claims = claims(path.to_str().unwrap(), &["onnx"], &references, false);
        assert_eq!(claims.of(&snapshot.join("w.bin")), Some("a.onnx"));
        assert_eq!(claims.of(&cache.path().join("blobs/0a")), Some("a.onnx"));
        assert_eq!(claims.of(&cache.path().join("blobs/0b")), None);
    }
}
