//! Where things are: the tree, the cache outside it, the programs on the path.
//!
//! Nothing here creates a folder or starts a program.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The root of the checked-out tree.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cache for downloads and tools: `$SECURE_TORCH_CACHE`, else
/// `$XDG_CACHE_HOME/secure-torch`, else `~/.cache/secure-torch`.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(folder) = set("SECURE_TORCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("secure-torch")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/secure-torch")))
    else {
        bail!("no place for the cache: set `SECURE_TORCH_CACHE`");
    };
    Ok(folder)
}

/// The folder of real inputs inside the cache.
pub(crate) fn inputs() -> Result<PathBuf> {
    Ok(cache()?.join("inputs"))
}

/// The interpreter of the tree's own virtual environment, made or not.
pub(crate) fn venv_python() -> PathBuf {
    python_of(&root().join(".venv"))
}

/// The interpreter of a virtual environment.
pub(crate) fn python_of(folder: &Path) -> PathBuf {
    if cfg!(windows) {
        folder.join("Scripts").join("python.exe")
    } else {
        folder.join("bin").join("python")
    }
}

/// The first program of this name on the path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

/// True when a skipped step must fail the run.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
