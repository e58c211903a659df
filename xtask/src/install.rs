//! `cargo xtask install`: the C libraries, their headers, and what CMake and pkg-config find them by.
//!
//! Everything is told from where it lies, so that the prefix can be moved. Below it:
//!
//! - `include/`: `secure_torch.h`, and the C++ headers;
//! - `lib/`: `libsecure_torch.so.VERSION` with its links, `libsecure_torch.a`, `pkgconfig/`, `cmake/`;
//! - `share/licenses/secure_torch/LICENSE`.
//!
//! It refuses systems other than Linux, whose names of shared libraries it does not know.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{place, shell};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The number in the soname, as `ffi/build.rs` has it.
const SONAME: &str = "0";

/// What a program needs that links the static library: `rustc --print native-static-libs`.
const STATIC_LIBS: [&str; 5] = ["gcc_s", "rt", "pthread", "m", "dl"];

/// What `cargo xtask install` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder to install below; absolute.
    #[arg(long)]
    pub(crate) prefix: PathBuf,
    /// The folder of libraries, below the prefix.
    #[arg(long, default_value = "lib")]
    pub(crate) libdir: PathBuf,
    /// Put everything below this folder, for whoever makes a package.
    #[arg(long)]
    pub(crate) destdir: Option<PathBuf>,
    /// The profile that the libraries are built in.
    #[arg(long, default_value = "library")]
    pub(crate) profile: String,
}

/// Builds the libraries and installs them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the C libraries are installed on Linux only");
    }
    ensure!(arguments.prefix.is_absolute(), "`--prefix` has to be absolute");
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    ensure!(arguments.libdir.components().all(plain), "`--libdir` has to lie below the prefix");
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--package", "secure-torch-ffi", "--profile"]);
    shell::run(build.arg(&arguments.profile))?;
    // The folder of the dev profile has a name of its own (the Cargo book, "Profiles").
    let folder = if arguments.profile == "dev" { "debug" } else { &arguments.profile };
    files(arguments, &shell::target_folder()?.join(folder))
}

fn files(arguments: &Arguments, built: &Path) -> Result<()> {
    let prefix = match &arguments.destdir {
        None => arguments.prefix.clone(),
        Some(below) => below.join(arguments.prefix.strip_prefix("/").unwrap_or(&arguments.prefix)),
    };
    let library = prefix.join(&arguments.libdir);
    let sources = place::root().join("ffi");
    copy_tree(&sources.join("include"), &prefix.join("include"))?;

    let real = format!("libsecure_torch.so.{VERSION}");
    let soname = format!("libsecure_torch.so.{SONAME}");
    copy(&built.join("libsecure_torch_ffi.so"), &library.join(&real))?;
    link(&real, &library.join(&soname))?;
    link(&soname, &library.join("libsecure_torch.so"))?;
    copy(&built.join("libsecure_torch_ffi.a"), &library.join("libsecure_torch.a"))?;

    let depth = arguments.libdir.components().count();
    let up = |below: usize| vec![".."; depth + below].join("/");
    let text = |from: &str, to: &Path, below: usize| -> Result<()> {
        let template = fs::read_to_string(sources.join(from))?;
        write(to, &filled(&template, &up(below)))
    };
    text("pkgconfig/secure_torch.pc.in", &library.join("pkgconfig/secure_torch.pc"), 1)?;
    let cmake = library.join("cmake/secure_torch");
    for name in ["secure_torch-config.cmake", "secure_torch-config-version.cmake"] {
        text(&format!("cmake/{name}.in"), &cmake.join(name), 2)?;
    }
    let libtorch = "secure_torch-libtorch.cmake";
    if sources.join("cmake").join(libtorch).is_file() {
        copy(&sources.join("cmake").join(libtorch), &cmake.join(libtorch))?;
    }
    copy(&place::root().join("LICENSE"), &prefix.join("share/licenses/secure_torch/LICENSE"))
}

fn filled(template: &str, up: &str) -> String {
    let mut version = VERSION.split('.');
    let (major, minor) = (version.next().unwrap_or(""), version.next().unwrap_or(""));
    let flags: Vec<String> = STATIC_LIBS.iter().map(|name| format!("-l{name}")).collect();
    template
        .replace("@UP@", up)
        .replace("@VERSION@", VERSION)
        .replace("@MAJOR@", major)
        .replace("@MINOR@", minor)
        .replace("@ABI@", SONAME)
        .replace("@STATIC_LIBS@", &flags.join(" "))
        .replace("@STATIC_LIBS_CMAKE@", &STATIC_LIBS.join(";"))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else {
            copy(&entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Copies a file beside its place and renames it: a program that has the old one open keeps it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let passing = passing(to)?;
    fs::copy(from, &passing).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&passing, to).with_context(|| format!("cannot write {}", to.display()))
}

fn write(to: &Path, text: &str) -> Result<()> {
    let passing = passing(to)?;
    fs::write(&passing, text).with_context(|| format!("cannot write {}", passing.display()))?;
    fs::rename(&passing, to).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(unix)]
fn link(target: &str, at: &Path) -> Result<()> {
    let passing = passing(at)?;
    std::os::unix::fs::symlink(target, &passing)
        .with_context(|| format!("cannot link {}", at.display()))?;
    fs::rename(&passing, at).with_context(|| format!("cannot write {}", at.display()))
}

#[cfg(not(unix))]
fn link(_: &str, at: &Path) -> Result<()> {
    bail!("cannot link {}", at.display())
}

/// A name beside a file, free, in a folder that is there.
fn passing(to: &Path) -> Result<PathBuf> {
    let folder = to.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut name = to.file_name().context("a file needs a name")?.to_owned();
    name.push(".part");
    let passing = folder.join(name);
    if passing.symlink_metadata().is_ok() {
        fs::remove_file(&passing)?;
    }
    Ok(passing)
}
