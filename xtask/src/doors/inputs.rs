//! The inputs of the table: every vector, names that are hard to carry, and published models.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

use crate::{env, inputs, place, vectors};

/// Published files up to this size are judged.
const LARGEST: u64 = 200_000_000;

/// Names that have to come through every language unchanged: beyond ASCII and beyond sixteen bits,
/// with what JSON escapes and what it does not, and what HTML, shells and terminals would obey.
pub(crate) const NAMES: [&str; 9] = [
    "häßlich 模型 😀.pkl",
    "a\"b'c\\d.pkl",
    "\u{202e}lkp.evil\u{2028}\u{feff}.pkl",
    "\u{1b}[2J\u{7f}\u{1}\u{9b}.pkl",
    "<img src=x onerror=alert(1)>&amp;.pkl",
    "{0} {{1}} %s %00 $HOME `id`.pkl",
    "e\u{301} \u{e9}.pkl",
    "\u{fffd}\u{fffe}\u{10ffff}.pkl",
    " leading and trailing .pkl ",
];

/// A pickle whose one global has a name of this kind.
const HOSTILE: &[u8] =
    b"\x80\x04\x8c\x0e\xe6\xa8\xa1\"\\\xe2\x80\xae\xf0\x9f\x98\x80\x7f\x8c\x01\x01\x93)R.";

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The lists of the two modes.
    pub(crate) bytes: String,
    pub(crate) path: String,
    /// The verdict that a vector wants, and what it shows.
    pub(crate) wanted: BTreeMap<String, (String, String)>,
    pub(crate) vectors: usize,
    pub(crate) folders: usize,
    /// Files in those folders: only `path` can judge them.
    pub(crate) files: usize,
    pub(crate) real: usize,
    pub(crate) large: usize,
    /// Folders whose links cannot be made here.
    pub(crate) unmade: Vec<String>,
}

/// Writes every input into an empty folder.
pub(crate) fn write(folder: &Path, skips: &mut env::Skips) -> Result<Written> {
    let mut written = Written::default();
    vectors::each(|vector| {
        written.wanted.insert(vector.id.clone(), (vector.verdict, vector.comment));
        // Each has a folder of its own: the files beside a file may say what it is.
        let place = format!("vectors/{}", vector.id);
        let mut listed = String::new();
        for (name, content) in &vector.files {
            let path = folder.join(&place).join(name);
            fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
            match content {
                vectors::Made::Bytes(bytes) => fs::write(&path, bytes)?,
                vectors::Made::Link(target) => {
                    if link(target, &path).is_err() {
                        written.unmade.push(vector.id.clone());
                        return Ok(());
                    }
                }
            }
            let id = match vector.is_folder {
                true => format!("{}/{name}", vector.id),
                false => vector.id.clone(),
            };
            listed.push_str(&line(&id, name, &format!("{place}/{name}"))?);
        }
        written.path.push_str(&listed);
        if vector.is_folder {
            written.folders += 1;
            written.files += vector.files.len();
        } else {
            written.vectors += 1;
            written.bytes.push_str(&listed);
        }
        Ok(())
    })?;
    for (index, name) in NAMES.iter().enumerate() {
        let place = format!("names/{index}");
        fs::create_dir_all(folder.join(&place))?;
        fs::write(folder.join(&place).join(name), HOSTILE)?;
        let listed = line(&format!("name-{index}"), name, &format!("{place}/{name}"))?;
        written.path.push_str(&listed);
        written.bytes.push_str(&listed);
    }
    real(folder, &mut written, skips)?;
    Ok(written)
}

/// Published models that are in the cache already.
fn real(folder: &Path, written: &mut Written, skips: &mut env::Skips) -> Result<()> {
    let root = place::inputs()?;
    let found = inputs::collect(false, |_| false, skips)?;
    if found.is_empty() {
        skips.add("real inputs", &anyhow!("none is there: run `cargo xtask inputs`"));
        return Ok(());
    }
    link(&root.to_string_lossy(), &folder.join("real"))
        .context("cannot link to the real inputs")?;
    for input in found {
        let Ok(path) = input.path.strip_prefix(&root) else { continue };
        let path = path.to_string_lossy().into_owned();
        if input.size > LARGEST {
            written.large += 1;
            continue;
        }
        written.real += 1;
        let name = path.rsplit('/').next().unwrap_or(&path);
        written.path.push_str(&line(&format!("real/{path}"), name, &format!("real/{path}"))?);
    }
    Ok(())
}

fn line(id: &str, name: &str, path: &str) -> Result<String> {
    let plain = |text: &str| !text.contains(['\t', '\n', '\r']);
    ensure!([id, name, path].into_iter().all(plain), "`{id:?}` cannot stand in a list");
    Ok(format!("{id}\t{name}\t{path}\n"))
}

#[cfg(unix)]
pub(super) fn link(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
pub(super) fn link(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
