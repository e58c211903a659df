//! torch, for the tests that compare with it, and libtorch's own archive reader.
//!
//! The pinned release and what it needs go into the cache, several gigabytes, one copy for each
//! minor version of Python. `.venv` finds it there by a `.pth` file. Its libraries and headers are
//! also what `tests/python/libtorch/records.cpp` is linked against, with the system's C++ compiler.
//! Nothing of the workspace links libtorch.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{env, place, shell};

const TORCH: &str = "2.13.0";

/// The folder that torch can be imported from, fetched where it is missing.
pub(crate) fn folder() -> Result<PathBuf> {
    let python = env::client_python()?;
    let cache = place::cache()?;
    let folder = cache.join(format!("torch-{TORCH}-cp3{}", env::minor(&python)?));
    if folder.is_dir() {
        return Ok(folder);
    }
    println!("    fetching torch {TORCH}");
    fs::create_dir_all(&cache).context("cannot make the cache")?;
    let passing = tempfile::tempdir_in(&cache).context("cannot make a folder in the cache")?;
    let mut pip = shell::command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-compile", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--only-binary=:all:", "--target"]);
    shell::read(pip.arg(passing.path()).arg(format!("torch=={TORCH}")))?;
    // Under this name it is complete.
    fs::rename(passing.keep(), &folder).context("cannot write to the cache")?;
    Ok(folder)
}

/// Lets `.venv` import torch. Its own packages win over those that came with torch.
pub(crate) fn join_venv() -> Result<PathBuf> {
    let folder = folder()?;
    let file = env::site_packages(&place::venv_python())?.join("torch-of-the-cache.pth");
    let wanted = format!("{}\n", folder.display());
    if fs::read_to_string(&file).ok().as_ref() != Some(&wanted) {
        fs::write(&file, wanted).context("cannot write to `.venv`")?;
    }
    Ok(folder)
}

/// The program that says what libtorch sees, built where it is not up to date.
pub(crate) fn records() -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("libtorch's archive reader is built on Linux on x86-64 only");
    }
    let folder = folder()?;
    let source = place::root().join("tests/python/libtorch/records.cpp");
    let text = fs::read(&source).context("cannot read `records.cpp`")?;
    let hash: String = Sha256::digest(&text).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let program = folder.join("bin").join(format!("secure-torch-records-{hash}"));
    if !program.is_file() {
        compile(&source, &folder, &program)?;
    }
    Ok(program)
}

fn compile(source: &Path, folder: &Path, program: &Path) -> Result<()> {
    let compiler = ["c++", "g++", "clang++"].into_iter().find_map(place::on_path);
    let library = folder.join("torch/lib");
    fs::create_dir_all(program.parent().context("a file needs a folder")?)?;
    let passing = program.with_extension("part");
    let mut command = shell::command(compiler.context("no C++ compiler on the path")?);
    command.args(["-std=c++20", "-O1", "-w", "-o"]).arg(&passing).arg(source);
    command.arg("-I").arg(folder.join("torch/include"));
    command.arg("-L").arg(&library).args(["-lc10", "-ltorch_cpu"]);
    // The library names others that only other parts of it need.
    command.arg("-Wl,--allow-shlib-undefined");
    command.arg(format!("-Wl,-rpath,{}", library.display()));
    shell::read(&mut command)?;
    ensure!(passing.is_file(), "the compiler gave nothing");
    fs::rename(&passing, program).context("cannot write to the cache")
}
