//! `cargo xtask env`: what the tests need beyond Rust, into ignored folders.
//!
//! - `.venv` in the tree, with the pinned packages of
//!   `tests/python/requirements.txt`; a stamp of their hash and of the
//!   interpreter makes a second run instant;
//! - the two targets that prove the core needs no standard library;
//! - the other CPythons on this machine, which the oracle asks too;
//! - torch, which many tests compare with, and libtorch's archive reader (`torch.rs`).
//!
//! What it refuses to do: touch the system's packages, unless we are root on a
//! Debian system or were told to with `--system-packages`; and pass over in
//! silence what could not be had. That is listed by name, and is a failure
//! when `CI=true`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{place, shell, torch};

/// Targets without a standard library, or without an operating system.
pub(crate) const BARE_TARGETS: [&str; 2] = ["thumbv7em-none-eabi", "wasm32-unknown-unknown"];

const OLDEST_PYTHON: (u32, u32) = (3, 9);
const NEWEST_PYTHON: u32 = 14;

/// Choices on the command line of `env`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// May use the system's package manager (through `sudo` when not root).
    #[arg(long)]
    system_packages: bool,
    /// Also build `cargo-nextest` into the cache (slow).
    #[arg(long)]
    nextest: bool,
}

/// Things that could not be had, by name.
#[derive(Default)]
pub(crate) struct Skips(Vec<(String, String)>);

impl Skips {
    pub(crate) fn add(&mut self, name: &str, error: &anyhow::Error) {
        println!("    skipped {name}: {error:#}");
        self.0.push((name.to_owned(), format!("{error:#}")));
    }

    /// Prints the closing list; an error if there is one and this is CI.
    pub(crate) fn close(&self) -> Result<()> {
        for (name, reason) in &self.0 {
            println!("skipped: {name} ({reason})");
        }
        if place::is_ci() && !self.0.is_empty() {
            bail!("{} skipped, which `CI=true` does not allow", self.0.len());
        }
        Ok(())
    }
}

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut skips = Skips::default();
    match venv(arguments.system_packages) {
        Ok(python) => println!("python environment: {}", python.display()),
        Err(error) => skips.add("python environment", &error),
    }
    for target in BARE_TARGETS {
        match rust_target(target) {
            Ok(()) => println!("rust target: {target}"),
            Err(error) => skips.add(target, &error),
        }
    }
    match torch::join_venv() {
        Ok(folder) => println!("torch: {}", folder.display()),
        Err(error) => skips.add("torch", &error),
    }
    match torch::records() {
        Ok(program) => println!("libtorch's archive reader: {}", program.display()),
        Err(error) => skips.add("libtorch's archive reader", &error),
    }
    for (version, python) in pythons() {
        println!("cpython 3.{version}: {}", python.display());
    }
    if arguments.nextest && !has_nextest() {
        let folder = place::cache()?.join("tools");
        let installed = shell::run(
            shell::cargo().args(["install", "cargo-nextest", "--locked", "--root"]).arg(folder),
        );
        if let Err(error) = installed {
            skips.add("cargo-nextest", &error);
        }
    }
    skips.close()
}

/// Makes the virtual environment, or finds it up to date; gives its interpreter.
pub(crate) fn venv(system_packages: bool) -> Result<PathBuf> {
    let root = place::root();
    let requirements = root.join("tests/python/requirements.txt");
    let wanted = fs::read(&requirements).context("cannot read `tests/python/requirements.txt`")?;
    let base = base_python()?;
    let mut hash = Sha256::new();
    hash.update(&wanted);
    hash.update(base.as_os_str().as_encoded_bytes());
    hash.update(version(&base)?.1.to_le_bytes());
    let wanted: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();

    let python = place::venv_python();
    let folder = root.join(".venv");
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && version(&python).is_ok() {
        return Ok(python);
    }
    // Making it anew empties the folder, which through a link is somebody else's.
    if folder.is_symlink() {
        bail!("`.venv` is a link to an environment for other requirements: remove the link first");
    }
    println!("    making `.venv` with {}", base.display());
    if let Err(first) = create_venv(&base, &folder) {
        install_venv_package(system_packages).context(first)?;
        create_venv(&base, &folder)?;
    }
    shell::run(
        shell::command(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--only-binary=:all:", "--requirement"])
            .arg(&requirements),
    )?;
    fs::write(&stamp, wanted).context("cannot write the stamp of `.venv`")?;
    Ok(python)
}

fn create_venv(base: &Path, folder: &Path) -> Result<()> {
    shell::read(shell::command(base).args(["-m", "venv", "--clear"]).arg(folder)).map(drop)
}

/// Debian keeps `venv` in a package of its own.
fn install_venv_package(allowed: bool) -> Result<()> {
    debian_package("python3-venv", allowed)
}

/// Installs a package of Debian, where that is allowed.
pub(crate) fn debian_package(package: &str, allowed: bool) -> Result<()> {
    let debian = Path::new("/etc/debian_version").exists() && place::on_path("apt-get").is_some();
    if !debian {
        bail!("`{package}` is missing, and the system is not debian: install it by hand");
    }
    let root = shell::read(shell::command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root && !allowed {
        bail!("`{package}` is missing: install it, or give `--system-packages`");
    }
    for arguments in [["update", "--quiet"].as_slice(), &["install", "--yes", "--quiet", package]] {
        let mut command = if root { shell::command("apt-get") } else { shell::command("sudo") };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        shell::read(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    Ok(())
}

/// Adds a target to the pinned toolchain where it is missing.
pub(crate) fn rust_target(target: &str) -> Result<()> {
    let sysroot = shell::read(shell::command("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib");
    if library.is_dir() {
        return Ok(());
    }
    shell::read(shell::command("rustup").args(["target", "add", target])).map(drop)
}

/// True when `cargo nextest` answers, from the path or from our cache.
pub(crate) fn has_nextest() -> bool {
    shell::read(nextest().arg("--version")).is_ok()
}

/// `cargo nextest`, ours from the cache where the path has none.
pub(crate) fn nextest() -> std::process::Command {
    let name = format!("cargo-nextest{}", std::env::consts::EXE_SUFFIX);
    let ours = place::cache().map(|cache| cache.join("tools/bin").join(name));
    match ours {
        Ok(ours) if ours.is_file() && place::on_path("cargo-nextest").is_none() => {
            let mut command = shell::command(ours);
            command.arg("nextest");
            command
        }
        _ => {
            let mut command = shell::cargo();
            command.arg("nextest");
            command
        }
    }
}

/// A python to run a package client with: ours where it is made, else the base.
pub(crate) fn client_python() -> Result<PathBuf> {
    let ours = place::venv_python();
    if version(&ours).is_ok() { Ok(ours) } else { base_python() }
}

/// The interpreter to build on: `$SECURE_TORCH_PYTHON`, else the newest of the
/// plain `python3` and its numbered siblings that is new enough.
fn base_python() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("SECURE_TORCH_PYTHON") {
        let given = PathBuf::from(given);
        version(&given).context("`SECURE_TORCH_PYTHON` does not name a usable python")?;
        return Ok(given);
    }
    if let Some(python) = place::on_path("python3").filter(|python| version(python).is_ok()) {
        return Ok(python);
    }
    let found = pythons().pop().map(|(_, python)| python);
    found.context("no python 3.9 or newer on the path: install one, or set `SECURE_TORCH_PYTHON`")
}

/// The minor version of an interpreter that is CPython and new enough.
fn version(python: &Path) -> Result<(PathBuf, u32)> {
    let ask = "import sys; print(sys.implementation.name, *sys.version_info[:2])";
    let answer = shell::read(shell::command(python).args(["-I", "-S", "-c", ask]))?;
    let words: Vec<&str> = answer.split_whitespace().collect();
    let ["cpython", major, minor] = words.as_slice() else {
        bail!("`{}` is not cpython", python.display());
    };
    let (major, minor): (u32, u32) = (major.parse()?, minor.parse()?);
    if (major, minor) < OLDEST_PYTHON {
        bail!("`{}` is older than python 3.9", python.display());
    }
    Ok((python.to_path_buf(), minor))
}

/// The minor version of an interpreter.
pub(crate) fn minor(python: &Path) -> Result<u32> {
    version(python).map(|(_, minor)| minor)
}

/// Where an interpreter's packages are installed.
pub(crate) fn site_packages(python: &Path) -> Result<PathBuf> {
    let ask = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let answer = shell::read(shell::command(python).args(["-I", "-c", ask]))?;
    Ok(PathBuf::from(answer.trim()))
}

/// Every CPython at hand, one for each minor version, oldest first.
pub(crate) fn pythons() -> Vec<(u32, PathBuf)> {
    let mut candidates = Vec::new();
    for minor in OLDEST_PYTHON.1..=NEWEST_PYTHON {
        candidates.extend(place::on_path(&format!("python3.{minor}")));
    }
    candidates.extend(place::on_path("python3"));
    // pyenv's shims refuse all versions but the chosen one: ask for its folder.
    if let Ok(folder) = shell::read(shell::command("pyenv").arg("root"))
        && let Ok(entries) = fs::read_dir(Path::new(folder.trim()).join("versions"))
    {
        candidates.extend(entries.flatten().map(|entry| entry.path().join("bin/python3")));
    }
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for candidate in candidates {
        if let Ok((python, minor)) = version(&candidate)
            && !found.iter().any(|(have, _)| *have == minor)
        {
            found.push((minor, python));
        }
    }
    found.sort();
    found
}
