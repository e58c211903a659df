//! libtorch's own archive reader, for the test that compares readers.
//!
//! The wheel of PyTorch brings the library and its headers. What the reader needs of them goes
//! into the cache, half a gigabyte, with two small libraries of NVIDIA's that the CPU part
//! names; `tests/python/libtorch/records.cpp` is linked against them with the system's C++
//! compiler. Nothing of the workspace links libtorch.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{env, place, shell};

const TORCH: &str = "2.13.0";
const PACKAGES: [&str; 3] =
    ["torch==2.13.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];
/// What is kept of the packages; the libraries find each other by these places.
const KEPT: [&str; 9] = [
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "torch/lib/libtorch_cpu.so",
    "torch/include/ATen",
    "torch/include/c10",
    "torch/include/caffe2",
    "torch/include/torch",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// The program that says what libtorch sees, built where it is not up to date.
pub(crate) fn records() -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("the wheel of libtorch that is pinned here is for Linux on x86-64");
    }
    let folder = place::cache()?.join(format!("libtorch-{TORCH}"));
    if !folder.join("complete").is_file() {
        install(&folder)?;
    }
    let source = place::root().join("tests/python/libtorch/records.cpp");
    let text = fs::read(&source).context("cannot read `records.cpp`")?;
    let hash: String = Sha256::digest(&text).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let program = folder.join(format!("records-{hash}"));
    if !program.is_file() {
        compile(&source, &folder, &program)?;
    }
    Ok(program)
}

fn install(folder: &Path) -> Result<()> {
    println!("    fetching libtorch {TORCH}");
    let cache = place::cache()?;
    fs::create_dir_all(&cache).context("cannot make the cache")?;
    let passing = tempfile::tempdir_in(&cache).context("cannot make a folder in the cache")?;
    let mut pip = shell::command(env::client_python()?);
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--only-binary=:all:", "--target"]);
    shell::read(pip.arg(passing.path()).args(PACKAGES))?;
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot remove an unfinished libtorch")?;
    }
    for kept in KEPT {
        let target = folder.join(kept);
        fs::create_dir_all(target.parent().context("a file needs a folder")?)?;
        fs::rename(passing.path().join(kept), &target)
            .with_context(|| format!("the packages hold no `{kept}`"))?;
    }
    fs::write(folder.join("complete"), PACKAGES.join("\n")).context("cannot write to the cache")
}

fn compile(source: &Path, folder: &Path, program: &Path) -> Result<()> {
    let compiler = ["c++", "g++", "clang++"].into_iter().find_map(place::on_path);
    let library = folder.join("torch/lib");
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
